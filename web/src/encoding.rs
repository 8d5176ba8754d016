//! Which content encoding a client wants: `Accept-Encoding`, by RFC 9110.

use actix_web::http::header::{self, HeaderMap};

use crate::config::Encoding;

impl Encoding {
    /// Its name in HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// What the name of a pre-compressed file ends with.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }
}

/// Those of `offered` that the client accepts, its favourite first; among equals the order of
/// `offered` stays.
pub fn acceptable(headers: &HeaderMap, offered: &[Encoding]) -> Vec<Encoding> {
    let mut weighed: Vec<(u16, Encoding)> = offered
        .iter()
        .map(|&encoding| (weight(headers, encoding), encoding))
        .filter(|(weight, _)| *weight > 0)
        .collect();
    weighed.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    weighed.into_iter().map(|(_, encoding)| encoding).collect()
}

/// The client's weight for an encoding in thousandths; 0 when it is not accepted.
fn weight(headers: &HeaderMap, encoding: Encoding) -> u16 {
    let mut any = 0;
    let values = headers.get_all(header::ACCEPT_ENCODING);
    for item in values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(','))
    {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts
            .find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")))
            .map_or(1000, thousandths);
        if name.eq_ignore_ascii_case(encoding.name())
            || (encoding == Encoding::Gzip && name.eq_ignore_ascii_case("x-gzip"))
        {
            return weight;
        }
        if name == "*" {
            any = weight;
        }
    }
    any
}

/// `0.5` as 500; what is not a weight counts as a refusal.
fn thousandths(text: &str) -> u16 {
    match text.parse::<f32>() {
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0) as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn accepted(values: &[&str]) -> Vec<&'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(header::ACCEPT_ENCODING, value);
        }
        let offered = [Encoding::Zstd, Encoding::Brotli, Encoding::Gzip];
        let accepted = acceptable(&headers, &offered).into_iter();
        accepted.map(Encoding::name).collect()
    }

    #[test]
    fn the_clients_weights_decide_and_then_our_order() {
        assert!(accepted(&[]).is_empty());
        assert!(accepted(&["", "identity"]).is_empty());
        assert_eq!(
            accepted(&["gzip, deflate, br, zstd"]),
            ["zstd", "br", "gzip"]
        );
        assert_eq!(accepted(&["gzip", "br"]), ["br", "gzip"]);
        assert_eq!(
            accepted(&["gzip;q=1.0, br;q=0.5, zstd;q=0"]),
            ["gzip", "br"]
        );
        assert_eq!(accepted(&["*;q=0.1, X-GZIP"]), ["gzip", "zstd", "br"]);
        assert_eq!(accepted(&["*, br;q=0"]), ["zstd", "gzip"]);
        assert_eq!(accepted(&["gzip;q=2, br;q=x, zstd;q=NaN"]), [""; 0]);
    }
}
