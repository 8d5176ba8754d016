//! The host a request is for.

use actix_http::RequestHead;
use actix_web::http::Version;
use actix_web::http::header;

use crate::route::without_port;

/// The host, as the client wrote it: from the request's target, else from its `Host` header. Empty for
/// an HTTP/1.0 client that says none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host<'a>(&'a str);

/// Why a request's host is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    #[error("the Host header is missing")]
    Missing,
    #[error("there are several Host headers")]
    Several,
    #[error("the Host header is malformed")]
    Malformed,
}

impl<'a> Host<'a> {
    pub fn of(request: &'a RequestHead) -> Result<Self, BadHost> {
        let mut headers = request.headers.get_all(&header::HOST);
        let first = headers.next();
        if headers.next().is_some() {
            return Err(BadHost::Several);
        }
        let host = match (request.uri.authority(), first) {
            (Some(authority), _) => authority.as_str(),
            (None, Some(value)) => value.to_str().map_err(|_| BadHost::Malformed)?,
            (None, None) if request.version == Version::HTTP_10 => "",
            (None, None) => return Err(BadHost::Missing),
        };
        // Scripts print it into links and mails: nothing but host names and addresses gets through.
        let is_plain = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
        };
        match host.bytes().all(is_plain) {
            true => Ok(Self(host)),
            false => Err(BadHost::Malformed),
        }
    }

    pub fn as_str(self) -> &'a str {
        self.0
    }

    pub fn name(self) -> &'a str {
        without_port(self.0)
    }

    pub fn port(self) -> Option<&'a str> {
        self.0[self.name().len()..].strip_prefix(':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn host(request: TestRequest) -> Result<String, BadHost> {
        let request = request.to_request();
        Host::of(request.head()).map(|host| host.as_str().to_owned())
    }

    #[test]
    fn the_target_wins_over_the_header() {
        let request = TestRequest::with_uri("http://a.org:81/x").insert_header(("host", "b.org"));
        assert_eq!(host(request), Ok("a.org:81".into()));
        let request = TestRequest::with_uri("/x").insert_header(("host", "b.org"));
        assert_eq!(host(request), Ok("b.org".into()));
    }

    #[test]
    fn a_request_without_one_host_is_refused() {
        assert_eq!(host(TestRequest::with_uri("/")), Err(BadHost::Missing));
        let old = TestRequest::with_uri("/").version(Version::HTTP_10);
        assert_eq!(host(old), Ok(String::new()));
        let two = TestRequest::with_uri("/")
            .append_header(("host", "a"))
            .append_header(("host", "b"));
        assert_eq!(host(two), Err(BadHost::Several));
        for wrong in ["a b", "a\"><script>", "a/b", "a@b"] {
            let request = TestRequest::with_uri("/").insert_header(("host", wrong));
            assert_eq!(host(request), Err(BadHost::Malformed), "{wrong}");
        }
    }

    #[test]
    fn name_and_port() {
        for (text, name, port) in [
            ("a.org:80", "a.org", Some("80")),
            ("a.org", "a.org", None),
            ("[::1]:80", "[::1]", Some("80")),
            ("[::1]", "[::1]", None),
        ] {
            assert_eq!((Host(text).name(), Host(text).port()), (name, port));
        }
    }
}
