//! The head of a response on its way between threads.

use std::fmt::{self, Debug, Formatter};

/// Status and headers, in the order the script set them.
///
/// The headers are in one piece of memory, which is all that another thread has to let go of: memory that goes
/// back to the thread it came from costs that thread its next allocations.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// 100 to 999; validated by the writer's caller.
    pub status: u16,
    /// Names and values in turns, each behind its length.
    texts: Vec<u8>,
}

/// A length's bytes.
const LENGTH: usize = size_of::<u32>();

impl Head {
    /// Without headers.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            texts: Vec::new(),
        }
    }

    /// Makes room for so many headers, whose names and values have so many bytes together.
    pub fn reserve(&mut self, headers: usize, bytes: usize) {
        self.texts.reserve(headers * 2 * LENGTH + bytes);
    }

    /// Adds a header: a name as the script spelled it, and bytes. One that is longer than 4 GB is left out.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let (Ok(name_len), Ok(value_len)) = (u32::try_from(name.len()), u32::try_from(value.len()))
        else {
            return;
        };
        self.texts.extend_from_slice(&name_len.to_ne_bytes());
        self.texts.extend_from_slice(name);
        self.texts.extend_from_slice(&value_len.to_ne_bytes());
        self.texts.extend_from_slice(value);
    }

    /// Names and values.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = self.texts.as_slice();
        std::iter::from_fn(move || Some((next(&mut rest)?, next(&mut rest)?)))
    }
}

fn next<'a>(texts: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = texts.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
    *texts = rest;
    Some(text)
}

impl Debug for Head {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let headers = self.headers();
        f.debug_map()
            .entry(&"status", &self.status)
            .entries(headers.map(|(name, value)| (text(name), text(value))))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_out_as_they_went_in() {
        let headers: [(&[u8], &[u8]); 4] = [
            (b"X-One", b"1"),
            (b"", b""),
            (b"x-one", b"\xff\x00: "),
            (b"Empty", b""),
        ];
        let mut head = Head::new(404);
        assert_eq!(head.headers().count(), 0);
        for (name, value) in headers {
            head.push(name, value);
        }
        assert_eq!(head.headers().collect::<Vec<_>>(), headers);
        let shown = r#"{"status": 404, "X-One": "1", "": "", "x-one": "�\0: ", "Empty": ""}"#;
        assert_eq!(format!("{head:?}"), shown);
    }
}
