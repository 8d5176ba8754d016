//! Who may use the admin endpoint: whoever has the token or, without one, programs on this machine.
//!
//! A page in a browser on this machine is not meant, although its requests come from here: it is
//! kept out by the headers that browsers set and pages can't (`Origin`, `Sec-Fetch-Site`), and a name that
//! was made to resolve to this machine is no name of the endpoint (DNS rebinding).

use std::net::IpAddr;

use actix_web::body::BoxBody;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};

use crate::answer;
use crate::host::Host;

/// Why somebody is kept out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptOut {
    WithoutToken,
    /// A page in a browser.
    Page,
}

impl KeptOut {
    pub fn answer(self) -> HttpResponse<BoxBody> {
        match self {
            Self::WithoutToken => {
                let mut refused = answer::status(StatusCode::UNAUTHORIZED);
                let scheme = header::HeaderValue::from_static("Bearer");
                refused
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, scheme);
                refused
            }
            Self::Page => answer::status(StatusCode::FORBIDDEN),
        }
    }
}

pub fn check(token: Option<&str>, request: &HttpRequest) -> Result<(), KeptOut> {
    match token {
        Some(token) if has_token(request, token) => Ok(()),
        Some(_) => Err(KeptOut::WithoutToken),
        None if is_from_a_page(request) || !is_to_this_machine(request) => Err(KeptOut::Page),
        None => Ok(()),
    }
}

fn has_token(request: &HttpRequest, token: &str) -> bool {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    given.is_some_and(|given| is_equal(given, token.as_bytes()))
}

/// Takes as long for a wrong first byte as for a wrong last one.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let pairs = one.iter().zip(other);
    let difference = pairs.fold(0, |difference, (one, other)| difference | (one ^ other));
    one.len() == other.len() && std::hint::black_box(difference) == 0
}

fn is_from_a_page(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let site = headers.get("sec-fetch-site").map(|value| value.as_bytes());
    headers.contains_key(header::ORIGIN) || site.is_some_and(|site| site != b"none")
}

fn is_to_this_machine(request: &HttpRequest) -> bool {
    let Ok(host) = Host::of(request.head()) else {
        return false;
    };
    let name = host.name().trim_matches(['[', ']']);
    name.is_empty() || name == "localhost" || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn status(token: Option<&str>, headers: &[(&str, &str)]) -> u16 {
        let mut request = TestRequest::with_uri("/tree").insert_header(("host", "127.0.0.1:2019"));
        for header in headers {
            request = request.insert_header(*header);
        }
        match check(token, &request.to_http_request()) {
            Ok(()) => 200,
            Err(kept_out) => kept_out.answer().status().as_u16(),
        }
    }

    #[test]
    fn the_token_opens() {
        let token = Some("0123456789abcdef");
        assert_eq!(status(token, &[]), 401);
        assert_eq!(
            status(token, &[("authorization", "Bearer 0123456789abcdeF")]),
            401
        );
        assert_eq!(
            status(token, &[("authorization", "Bearer 0123456789abcde")]),
            401
        );
        assert_eq!(status(token, &[("authorization", "0123456789abcdef")]), 401);
        assert_eq!(
            status(token, &[("authorization", "Bearer 0123456789abcdef")]),
            200
        );
    }

    #[test]
    fn without_one_programs_get_in_and_pages_do_not() {
        assert_eq!(status(None, &[]), 200);
        assert_eq!(status(None, &[("host", "localhost:2019")]), 200);
        assert_eq!(status(None, &[("host", "[::1]:2019")]), 200);
        assert_eq!(status(None, &[("sec-fetch-site", "none")]), 200);
        for header in [
            ("host", "rebound.example"),
            ("origin", "http://127.0.0.1:8080"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(status(None, &[header]), 403, "{header:?}");
        }
    }
}
