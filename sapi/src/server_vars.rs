//! What `$_SERVER` will hold, laid out so that the C side reads it without a call per entry.
//!
//! All bytes are in one buffer; an entry is four numbers. One allocation of the buffer and one of the entries is
//! all a request costs here.

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
        Self {
            bytes: Vec::with_capacity(2048),
            entries: Vec::with_capacity(48),
            environment: 0,
        }
    }

    /// Adds an entry. One that would not fit the 32-bit layout is left out; header and URI limits are far
    /// below that.
    pub fn push(&mut self, name: VarName, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        let start = self.bytes.len();
        let (Ok(at), Ok(len)) = (u32::try_from(start), u32::try_from(value.len())) else {
            return;
        };
        self.bytes.extend_from_slice(value);
        self.entries.push(Entry {
            name: name as u32,
            name_len: 0,
            value: at,
            value_len: len,
        });
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
    pub fn push_header(&mut self, name: &str, value: impl AsRef<[u8]>) {
        if let Some(known) = VarName::of_header(name) {
            return self.push(known, value);
        }
        let plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !plain || name.eq_ignore_ascii_case("proxy") {
            return;
        }
        let spell = |bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(b"HTTP_");
            bytes.extend(name.bytes().map(|byte| match byte {
                b'-' => b'_',
                byte => byte.to_ascii_uppercase(),
            }));
        };
        self.push_with(spell, value.as_ref());
    }

    fn push_with(&mut self, name: impl FnOnce(&mut Vec<u8>), value: &[u8]) {
        let start = self.bytes.len();
        name(&mut self.bytes);
        let middle = self.bytes.len();
        if middle == start {
            return;
        }
        self.bytes.extend_from_slice(value);
        let offsets = (
            u32::try_from(start),
            u32::try_from(middle - start),
            u32::try_from(middle),
            u32::try_from(value.len()),
        );
        if let (Ok(name), Ok(name_len), Ok(value), Ok(value_len)) = offsets {
            self.entries.push(Entry {
                name,
                name_len,
                value,
                value_len,
            });
        } else {
            self.bytes.truncate(start);
        }
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
        vars.push(VarName::RequestMethod, "GET");
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
    }

    #[test]
    fn headers_that_could_be_mistaken_for_others_are_left_out() {
        let mut vars = ServerVars::new();
        for name in ["Proxy", "pRoXy", "X_Forwarded_For", "X-Weird.Name", "X Y"] {
            vars.push_header(name, "evil");
        }
        assert!(listed(&vars).is_empty());
    }
}
