//! A response, as it was read from the wire.

use serde_json::Value;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// `HTTP/1.1`
    pub version: String,
    pub status: u16,
    pub reason: String,
    /// In the order of the wire.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The 1xx responses before it.
    pub informational: Vec<Response>,
}

impl Response {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// The values of all headers of that name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let headers = self.headers.iter();
        let same = headers.filter(|(given, _)| given.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    /// The body, which is UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body, which is JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            let status = self.status;
            let body = String::from_utf8_lossy(&self.body);
            panic!("not JSON ({error}), status {status}: {body}")
        })
    }

    /// The response itself, after a look at its status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{:?}\n{body}", self.headers);
        self
    }

    pub(crate) fn is_informational(&self) -> bool {
        (100..200).contains(&self.status)
    }
}
