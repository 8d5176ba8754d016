//! A request's path, decoded once and made canonical.
//!
//! Every later decision is made on this value, so that no two parts of the server can read one path
//! in two ways. It begins with a slash and holds no empty segment, no `.` or `..`, and no NUL. A slash
//! that came percent-encoded is data, not structure: what lies behind one can't name a file (an
//! application still gets it, as part of PATH_INFO or REQUEST_URI).

/// Why a path can't be served: the request is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    #[error("the path does not begin with a slash")]
    Relative,
    #[error("the path holds a percent sign without two hexadecimal digits")]
    Encoding,
    #[error("the path holds a NUL")]
    Nul,
    #[error("the path leads above the root")]
    AboveRoot,
    #[error("the path hides a dot segment behind an encoded slash")]
    HiddenDots,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPath {
    bytes: Vec<u8>,
    /// Prefixes up to here may name a file.
    file_end: usize,
}

impl RequestPath {
    /// Decodes the path of a request's target, without its query.
    pub fn decode(raw: &str) -> Result<Self, BadPath> {
        let raw = raw.strip_prefix('/').ok_or(BadPath::Relative)?;
        let mut segments: Vec<Segment> = Vec::new();
        let mut is_folder = false;
        for raw_segment in raw.split('/') {
            let segment = Segment::decode(raw_segment)?;
            is_folder = true;
            match segment.bytes.as_slice() {
                b"" | b"." => {}
                b".." => {
                    segments.pop().ok_or(BadPath::AboveRoot)?;
                }
                _ => {
                    segments.push(segment);
                    is_folder = false;
                }
            }
        }
        let mut bytes = Vec::with_capacity(raw.len() + 1);
        let mut file_end = None;
        for segment in &segments {
            if segment.holds_slash {
                file_end.get_or_insert(bytes.len());
            }
            bytes.push(b'/');
            bytes.extend_from_slice(&segment.bytes);
        }
        if is_folder {
            bytes.push(b'/');
        }
        let file_end = file_end.unwrap_or(bytes.len());
        Ok(Self { bytes, file_end })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The path, when it may name a file or folder.
    pub fn as_file(&self) -> Option<&[u8]> {
        (self.file_end == self.bytes.len()).then_some(&self.bytes)
    }

    /// Whether it ends with a slash.
    pub fn is_folder(&self) -> bool {
        self.bytes.ends_with(b"/")
    }

    /// Every split behind a segment that ends with `suffix`, as (script name, path info), shortest
    /// script name first.
    ///
    /// The suffix must end the segment: `photo.jpg/x.php` splits only behind `x.php`, which is then
    /// looked for as a file of exactly that name, so an uploaded file of another kind never runs.
    pub fn script_splits<'a>(
        &'a self,
        suffix: &'a str,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let suffix = suffix.as_bytes();
        (1..=self.file_end)
            .filter(|&end| end == self.bytes.len() || self.bytes[end] == b'/')
            .map(|end| self.bytes.split_at(end))
            .filter(move |(script, _)| script.ends_with(suffix))
    }
}

struct Segment {
    bytes: Vec<u8>,
    holds_slash: bool,
}

impl Segment {
    fn decode(raw: &str) -> Result<Self, BadPath> {
        let mut bytes = Vec::with_capacity(raw.len());
        let mut holds_slash = false;
        let mut rest = raw.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            let byte = match (byte, after) {
                (b'%', [high, low, after @ ..]) => {
                    rest = after;
                    let byte = (hex(*high)? << 4) | hex(*low)?;
                    holds_slash |= byte == b'/';
                    byte
                }
                (b'%', _) => return Err(BadPath::Encoding),
                (byte, _) => byte,
            };
            if byte == 0 {
                return Err(BadPath::Nul);
            }
            bytes.push(byte);
        }
        let is_dots = |part: &[u8]| matches!(part, b"." | b"..");
        if holds_slash && bytes.split(|&byte| byte == b'/').any(is_dots) {
            return Err(BadPath::HiddenDots);
        }
        Ok(Self { bytes, holds_slash })
    }
}

fn hex(digit: u8) -> Result<u8, BadPath> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(BadPath::Encoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(raw: &str) -> String {
        String::from_utf8(RequestPath::decode(raw).unwrap().bytes).unwrap()
    }

    #[test]
    fn paths_become_canonical() {
        for (raw, canonical) in [
            ("/", "/"),
            ("//", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("//a///b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/%61%2e%2E", "/a.."),
            ("/a/%2e%2e/b", "/b"),
            ("/caf%C3%A9", "/café"),
            ("/a+b", "/a+b"),
            ("/a\\..\\b", "/a\\..\\b"),
        ] {
            assert_eq!(decoded(raw), canonical, "{raw}");
        }
    }

    #[test]
    fn malformed_paths_are_refused() {
        for (raw, why) in [
            ("", BadPath::Relative),
            ("*", BadPath::Relative),
            ("/%", BadPath::Encoding),
            ("/%4", BadPath::Encoding),
            ("/%zz", BadPath::Encoding),
            ("/a%00.php", BadPath::Nul),
            ("/..", BadPath::AboveRoot),
            ("/a/../../etc/passwd", BadPath::AboveRoot),
            ("/%2e%2e/etc/passwd", BadPath::AboveRoot),
            ("/a/..%2f..%2fetc/passwd", BadPath::HiddenDots),
            ("/a%2f%2e", BadPath::HiddenDots),
        ] {
            assert_eq!(RequestPath::decode(raw), Err(why), "{raw}");
        }
    }

    #[test]
    fn nothing_behind_an_encoded_slash_names_a_file() {
        assert_eq!(RequestPath::decode("/a%2Fb").unwrap().as_file(), None);
        assert!(RequestPath::decode("/a/b").unwrap().as_file().is_some());
        let path = RequestPath::decode("/index.php/a%2Fb.php").unwrap();
        let splits: Vec<_> = path.script_splits(".php").collect();
        assert_eq!(splits, [(&b"/index.php"[..], &b"/a/b.php"[..])]);
    }

    #[test]
    fn scripts_split_only_behind_whole_segments() {
        let path = RequestPath::decode("/a.php/b.phpx/c.php").unwrap();
        let splits: Vec<_> = path.script_splits(".php").collect();
        assert_eq!(
            splits,
            [
                (&b"/a.php"[..], &b"/b.phpx/c.php"[..]),
                (&b"/a.php/b.phpx/c.php"[..], &b""[..])
            ]
        );
        let path = RequestPath::decode("/index.php/").unwrap();
        let splits: Vec<_> = path.script_splits(".php").collect();
        assert_eq!(splits, [(&b"/index.php"[..], &b"/"[..])]);
    }
}
