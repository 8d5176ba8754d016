//! Names in `$_SERVER` that nearly every request has.
//!
//! PHP gets them once, at its start, and keeps them as strings with their hash; a request then passes numbers
//! (see [`crate::ServerVars`] and `shim/server_vars.c`).

macro_rules! names {
    ($($name:ident = $text:literal,)*) => {
        /// A name that PHP knows by its number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub enum VarName {
            $(#[doc = $text] $name,)*
        }

        impl VarName {
            /// All of them, by their numbers.
            pub(crate) const ALL: &[&str] = &[$($text,)*];
        }
    };
}

names! {
    GatewayInterface = "GATEWAY_INTERFACE",
    ServerSoftware = "SERVER_SOFTWARE",
    ServerProtocol = "SERVER_PROTOCOL",
    RequestMethod = "REQUEST_METHOD",
    RequestUri = "REQUEST_URI",
    QueryString = "QUERY_STRING",
    RequestScheme = "REQUEST_SCHEME",
    Https = "HTTPS",
    SslProtocol = "SSL_PROTOCOL",
    SslCipher = "SSL_CIPHER",
    ServerName = "SERVER_NAME",
    ServerAddr = "SERVER_ADDR",
    ServerPort = "SERVER_PORT",
    RemoteAddr = "REMOTE_ADDR",
    RemoteHost = "REMOTE_HOST",
    RemotePort = "REMOTE_PORT",
    DocumentRoot = "DOCUMENT_ROOT",
    ScriptFilename = "SCRIPT_FILENAME",
    ScriptName = "SCRIPT_NAME",
    DocumentUri = "DOCUMENT_URI",
    PhpSelf = "PHP_SELF",
    PathInfo = "PATH_INFO",
    PathTranslated = "PATH_TRANSLATED",
    ContentType = "CONTENT_TYPE",
    ContentLength = "CONTENT_LENGTH",
    HttpHost = "HTTP_HOST",
    HttpAccept = "HTTP_ACCEPT",
    HttpAcceptEncoding = "HTTP_ACCEPT_ENCODING",
    HttpAcceptLanguage = "HTTP_ACCEPT_LANGUAGE",
    HttpAuthorization = "HTTP_AUTHORIZATION",
    HttpCacheControl = "HTTP_CACHE_CONTROL",
    HttpConnection = "HTTP_CONNECTION",
    HttpCookie = "HTTP_COOKIE",
    HttpDnt = "HTTP_DNT",
    HttpIfModifiedSince = "HTTP_IF_MODIFIED_SINCE",
    HttpIfNoneMatch = "HTTP_IF_NONE_MATCH",
    HttpOrigin = "HTTP_ORIGIN",
    HttpPragma = "HTTP_PRAGMA",
    HttpPriority = "HTTP_PRIORITY",
    HttpReferer = "HTTP_REFERER",
    HttpSecFetchDest = "HTTP_SEC_FETCH_DEST",
    HttpSecFetchMode = "HTTP_SEC_FETCH_MODE",
    HttpSecFetchSite = "HTTP_SEC_FETCH_SITE",
    HttpSecFetchUser = "HTTP_SEC_FETCH_USER",
    HttpUpgradeInsecureRequests = "HTTP_UPGRADE_INSECURE_REQUESTS",
    HttpUserAgent = "HTTP_USER_AGENT",
    HttpXForwardedFor = "HTTP_X_FORWARDED_FOR",
    HttpXForwardedHost = "HTTP_X_FORWARDED_HOST",
    HttpXForwardedProto = "HTTP_X_FORWARDED_PROTO",
    HttpXRequestedWith = "HTTP_X_REQUESTED_WITH",
}

impl VarName {
    /// The name as PHP spells it.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize]
    }

    /// That of a request header, whose name is in lower case.
    pub(crate) fn of_header(header: &str) -> Option<Self> {
        Some(match header {
            "accept" => Self::HttpAccept,
            "accept-encoding" => Self::HttpAcceptEncoding,
            "accept-language" => Self::HttpAcceptLanguage,
            "authorization" => Self::HttpAuthorization,
            "cache-control" => Self::HttpCacheControl,
            "connection" => Self::HttpConnection,
            "cookie" => Self::HttpCookie,
            "dnt" => Self::HttpDnt,
            "if-modified-since" => Self::HttpIfModifiedSince,
            "if-none-match" => Self::HttpIfNoneMatch,
            "origin" => Self::HttpOrigin,
            "pragma" => Self::HttpPragma,
            "priority" => Self::HttpPriority,
            "referer" => Self::HttpReferer,
            "sec-fetch-dest" => Self::HttpSecFetchDest,
            "sec-fetch-mode" => Self::HttpSecFetchMode,
            "sec-fetch-site" => Self::HttpSecFetchSite,
            "sec-fetch-user" => Self::HttpSecFetchUser,
            "upgrade-insecure-requests" => Self::HttpUpgradeInsecureRequests,
            "user-agent" => Self::HttpUserAgent,
            "x-forwarded-for" => Self::HttpXForwardedFor,
            "x-forwarded-host" => Self::HttpXForwardedHost,
            "x-forwarded-proto" => Self::HttpXForwardedProto,
            "x-requested-with" => Self::HttpXRequestedWith,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_header_is_found_by_the_name_it_has_on_the_wire() {
        let headers = VarName::ALL.iter().filter(|name| name.starts_with("HTTP_"));
        // Host is a variable of its own: a request's target outweighs the header.
        for name in headers.filter(|name| **name != "HTTP_HOST") {
            let header = name["HTTP_".len()..].replace('_', "-").to_lowercase();
            let found = VarName::of_header(&header).map(VarName::as_str);
            assert_eq!(found, Some(*name));
        }
        assert_eq!(VarName::of_header("x-other"), None);
    }
}
