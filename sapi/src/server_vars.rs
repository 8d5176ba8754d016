//! What `$_SERVER` will hold, laid out so that the C side reads it without a call per entry.
//!
//! All bytes are in one buffer; an entry is four numbers. One allocation of the buffer and one of the entries is
//! all a request costs here. What PHP wants of a request beside them (method, script, cookies, …) it finds in the
//! same buffer, where each value ends with a NUL.

use std::ffi::c_char;

use crate::var_name::VarName;

/// One entry: where its name and its value lie in the buffer. Read by `shim/server_vars.c`. Without a length,
/// `name` is the number of a [`VarName`].
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    name: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
}

/// A text in the buffer of a [`ServerVars`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Text {
    at: u32,
    len: u32,
}

impl Text {
    /// Its first `count` bytes, or all of them. It does not end with a NUL then.
    pub fn first(self, count: usize) -> Self {
        let len = u32::try_from(count).map_or(self.len, |count| count.min(self.len));
        Self { at: self.at, len }
    }

    /// What lies behind its first `count` bytes, if it has as many.
    pub fn after(self, count: usize) -> Self {
        let count = u32::try_from(count).map_or(self.len, |count| count.min(self.len));
        Self {
            at: self.at + count,
            len: self.len - count,
        }
    }
}

/// The entries of `$_SERVER`, in order. A later entry of the same name wins.
#[derive(Debug, Default)]
pub struct ServerVars {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// How many entries the environment has; they are the last ones.
    environment: usize,
}

impl ServerVars {
    /// Room for a usual request.
    pub fn new() -> Self {
        Self::with_room(2048)
    }

    /// Room for a usual number of entries, with values of so many bytes.
    pub fn with_room(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            entries: Vec::with_capacity(48),
            environment: 0,
        }
    }

    /// Adds an entry.
    pub fn push(&mut self, name: VarName, value: impl AsRef<[u8]>) -> Text {
        let text = self.text(value);
        self.push_text(name, text);
        text
    }

    /// Adds an entry whose value is there already.
    pub fn push_text(&mut self, name: VarName, text: Text) {
        self.entries.push(Entry {
            name: name as u32,
            name_len: 0,
            value: text.at,
            value_len: text.len,
        });
    }

    /// Adds a text that is no entry. One that would not fit the 32-bit layout is empty; header and URI limits
    /// are far below that.
    pub fn text(&mut self, text: impl AsRef<[u8]>) -> Text {
        let text = text.as_ref();
        let (Ok(at), Ok(len)) = (u32::try_from(self.bytes.len()), u32::try_from(text.len())) else {
            return Text::default();
        };
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        Text { at, len }
    }

    /// A text of this buffer.
    pub fn get(&self, text: Text) -> &[u8] {
        let (at, len) = (text.at as usize, text.len as usize);
        self.bytes.get(at..at + len).unwrap_or_default()
    }

    /// The same for C. It lives as long as the buffer does.
    pub(crate) fn c_text(&self, text: Text) -> *const c_char {
        match self.bytes.get(text.at as usize..) {
            Some(bytes) if text.len > 0 => bytes.as_ptr().cast(),
            _ => c"".as_ptr(),
        }
    }

    /// Adds a variable of the site's or the worker's environment, which `getenv()` finds as well. They come
    /// after all other entries.
    pub fn push_environment(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let before = self.entries.len();
        self.push_with(
            |bytes| bytes.extend_from_slice(name.as_bytes()),
            value.as_ref(),
        );
        self.environment += self.entries.len() - before;
    }

    /// Adds a request header, whose name is in lower case, as `HTTP_*`.
    ///
    /// Left out: `Proxy`, which programs would take for their own proxy setting (httpoxy), and names with an
    /// underscore or another character outside letters, digits and dashes, which would be confused with the
    /// dashed name that the server checked.
    pub fn push_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Option<Text> {
        if let Some(known) = VarName::of_header(name) {
            return Some(self.push(known, value));
        }
        let plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !plain || name.eq_ignore_ascii_case("proxy") {
            return None;
        }
        let spell = |bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(b"HTTP_");
            bytes.extend(name.bytes().map(|byte| match byte {
                b'-' => b'_',
                byte => byte.to_ascii_uppercase(),
            }));
        };
        self.push_with(spell, value.as_ref())
    }

    fn push_with(&mut self, name: impl FnOnce(&mut Vec<u8>), value: &[u8]) -> Option<Text> {
        let start = self.bytes.len();
        name(&mut self.bytes);
        let name = u32::try_from(start).ok()?;
        let name_len = u32::try_from(self.bytes.len() - start).ok()?;
        if name_len == 0 {
            return None;
        }
        let text = self.text(value);
        self.entries.push(Entry {
            name,
            name_len,
            value: text.at,
            value_len: text.len,
        });
        Some(text)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn environment(&self) -> usize {
        self.environment
    }

    /// The entries as text, for logs and tests.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let slice =
            |start: u32, len: u32| &self.bytes[start as usize..start as usize + len as usize];
        self.entries.iter().map(move |entry| {
            let name = match entry.name_len {
                0 => VarName::ALL[entry.name as usize].as_bytes(),
                len => slice(entry.name, len),
            };
            (name, slice(entry.value, entry.value_len))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn listed(vars: &ServerVars) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        vars.iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    #[test]
    fn headers_are_spelled_as_cgi_does() {
        let mut vars = ServerVars::new();
        let method = vars.push(VarName::RequestMethod, "GET");
        vars.push_header("accept-language", "de");
        vars.push_header("x-other", "1");
        let expected = [
            ("REQUEST_METHOD", "GET"),
            ("HTTP_ACCEPT_LANGUAGE", "de"),
            ("HTTP_X_OTHER", "1"),
        ];
        assert_eq!(
            listed(&vars),
            expected.map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
        assert_eq!(vars.get(method), b"GET");
    }

    #[test]
    fn headers_that_could_be_mistaken_for_others_are_left_out() {
        let mut vars = ServerVars::new();
        for name in ["Proxy", "pRoXy", "X_Forwarded_For", "X-Weird.Name", "X Y"] {
            vars.push_header(name, "evil");
        }
        assert!(listed(&vars).is_empty());
    }

    #[test]
    fn texts_end_with_a_nul_for_c() {
        let mut vars = ServerVars::new();
        let uri = vars.push(VarName::RequestUri, "/a?b=c");
        let query = uri.after("/a?".len());
        vars.push_text(VarName::QueryString, query);
        let nothing = vars.text("");
        vars.push_header("x-other", "1");
        for (text, expected) in [
            (uri, c"/a?b=c"),
            (query, c"b=c"),
            (uri.after(6), c""),
            (uri.after(7), c""),
            (nothing, c""),
            (Text::default(), c""),
        ] {
            // SAFETY: what `c_text` gives ends with a NUL and lives as long as `vars`.
            assert_eq!(unsafe { CStr::from_ptr(vars.c_text(text)) }, expected);
            assert_eq!(vars.get(text), expected.to_bytes());
        }
        assert_eq!(listed(&vars)[1], ("QUERY_STRING".into(), "b=c".into()));
    }
}
