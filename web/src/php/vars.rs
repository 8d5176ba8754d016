//! What `$_SERVER` says: the CGI/1.1 variables, the headers, the site's environment.

use std::os::unix::ffi::OsStrExt;

use actix_http::RequestHead;
use actix_web::http::header::{self, HeaderMap};
use troupe_sapi::{ServerVars, Text, VarName};

use crate::config::value::Table;
use crate::host::Host;
use crate::route::Script;
use crate::server::Facts;

/// What the server calls itself.
const SOFTWARE: &str = concat!("Troupe/", env!("CARGO_PKG_VERSION"));

/// What a request's variables are made of.
pub struct Sources<'a> {
    pub request: &'a RequestHead,
    pub facts: &'a Facts,
    pub host: &'a Host<'a>,
    pub script: &'a Script,
    /// The site's, and the worker's: the later wins.
    pub env: [&'a Table; 2],
    /// As announced, or as counted when the whole body is there.
    pub content_length: Option<u64>,
}

/// The variables, and what else PHP wants to know of a request, which is all in their buffer.
pub struct Laid {
    pub vars: ServerVars,
    pub method: Text,
    pub uri: Text,
    pub query: Text,
    pub script: Text,
    pub content_type: Option<Text>,
    pub cookie: Option<Text>,
    pub authorization: Option<Text>,
}

/// Lays the variables out. Those of the environment come last, since the last of a name wins.
pub fn lay_out(sources: &Sources<'_>) -> Laid {
    let &Sources {
        request,
        facts,
        host,
        script,
        ..
    } = sources;
    let mut vars = ServerVars::with_room(room(sources));
    // HTTP/2 has no such header, and a request's target outweighs it.
    let host_text = vars.text(host.as_str());
    if !host.as_str().is_empty() {
        vars.push_text(VarName::HttpHost, host_text);
    }
    let Headers {
        content_type,
        cookie,
        authorization,
    } = push_headers(&mut vars, &request.headers);

    let is_https = facts.tls.is_some();
    vars.push(VarName::GatewayInterface, "CGI/1.1");
    vars.push(VarName::ServerSoftware, SOFTWARE);
    vars.push(VarName::ServerProtocol, protocol(request));
    let method = vars.push(VarName::RequestMethod, request.method.as_str());
    let path_and_query = request.uri.path_and_query();
    let uri = path_and_query.map_or("/", |uri| uri.as_str());
    let before_query = uri.len() - request.uri.query().map_or(0, str::len);
    let uri = vars.push(VarName::RequestUri, uri);
    let query = uri.after(before_query);
    vars.push_text(VarName::QueryString, query);
    vars.push(
        VarName::RequestScheme,
        if is_https { "https" } else { "http" },
    );
    if let Some(tls) = &facts.tls {
        vars.push(VarName::Https, "on");
        vars.push(VarName::SslProtocol, tls.protocol);
        vars.push(VarName::SslCipher, &tls.cipher);
    }

    vars.push_text(VarName::ServerName, host_text.first(host.name().len()));
    let (client, client_port) = match &facts.addresses {
        Some(addresses) => {
            vars.push(VarName::ServerAddr, &addresses.own_ip);
            vars.push(VarName::ServerPort, &addresses.own_port);
            (&*addresses.client_ip, &*addresses.client_port)
        }
        None => {
            // A unix socket has no addresses; the port is the one the client believes in.
            vars.push(VarName::ServerAddr, "unix:");
            vars.push(VarName::ServerPort, host.port().unwrap_or("80"));
            ("unix:", "0")
        }
    };
    let client = vars.push(VarName::RemoteAddr, client);
    vars.push_text(VarName::RemoteHost, client);
    vars.push(VarName::RemotePort, client_port);

    let document_root = script.file.document_root.as_os_str().as_bytes();
    vars.push(VarName::DocumentRoot, document_root);
    let filename = vars.push(
        VarName::ScriptFilename,
        script.file.script_filename.as_os_str().as_bytes(),
    );
    let name = vars.push(VarName::ScriptName, &script.file.script_name);
    vars.push_text(VarName::DocumentUri, name);
    match script.path_info.as_slice() {
        [] => vars.push_text(VarName::PhpSelf, name),
        path_info => {
            let own = [&script.file.script_name, path_info].concat();
            vars.push(VarName::PhpSelf, own);
            vars.push(VarName::PathInfo, path_info);
            vars.push(VarName::PathTranslated, [document_root, path_info].concat());
        }
    }

    if let Some(length) = sources.content_length {
        vars.push(VarName::ContentLength, length.to_string());
    }
    for env in sources.env {
        for (name, value) in env {
            vars.push_environment(name, value);
        }
    }
    Laid {
        vars,
        method,
        uri,
        query,
        script: filename,
        content_type,
        cookie,
        authorization,
    }
}

/// Bytes that the variables will take, or a little more.
fn room(sources: &Sources<'_>) -> usize {
    /// Names of headers grow by as much, and all values by their ends.
    const PREFIX: usize = "HTTP_".len() + 1;
    const FIXED: usize = 256;
    let headers = sources.request.headers.iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + PREFIX);
    let target = sources.request.uri.path_and_query();
    let file = &sources.script.file;
    let paths = file.document_root.as_os_str().len()
        + file.script_filename.as_os_str().len()
        + 2 * file.script_name.len();
    let env = sources.env.into_iter().flatten();
    let env = env.map(|(name, value)| name.len() + value.len() + 1);
    headers.sum::<usize>()
        + target.map_or(0, |target| target.as_str().len())
        + paths
        + env.sum::<usize>()
        + FIXED
}

fn protocol(request: &RequestHead) -> &'static str {
    match request.version {
        actix_web::http::Version::HTTP_10 => "HTTP/1.0",
        actix_web::http::Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

/// Headers that PHP looks at itself.
#[derive(Default)]
struct Headers {
    content_type: Option<Text>,
    cookie: Option<Text>,
    authorization: Option<Text>,
}

/// `HTTP_*`. Several headers of one name are joined, cookies by `; ` (RFC 9113, section 8.2.3). Host, type
/// and length of the body have variables of their own.
fn push_headers(vars: &mut ServerVars, headers: &HeaderMap) -> Headers {
    let mut found = Headers::default();
    for name in headers.keys() {
        if matches!(*name, header::HOST | header::CONTENT_LENGTH) {
            continue;
        }
        let mut values = headers.get_all(name);
        let Some(first) = values.next() else { continue };
        let joined;
        let value = match values.next() {
            None => first.as_bytes(),
            Some(second) => {
                joined = join(name, [first, second].into_iter().chain(values));
                joined.as_slice()
            }
        };
        match *name {
            header::CONTENT_TYPE => {
                found.content_type = Some(vars.push(VarName::ContentType, value));
            }
            header::COOKIE => found.cookie = vars.push_header(name.as_str(), value),
            header::AUTHORIZATION => found.authorization = vars.push_header(name.as_str(), value),
            _ => {
                vars.push_header(name.as_str(), value);
            }
        }
    }
    found
}

/// The values of a header of several lines as one.
fn join<'a>(
    name: &header::HeaderName,
    values: impl Iterator<Item = &'a header::HeaderValue>,
) -> Vec<u8> {
    let separator: &[u8] = match *name {
        header::COOKIE => b"; ",
        _ => b", ",
    };
    let values: Vec<_> = values.map(header::HeaderValue::as_bytes).collect();
    values.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::ScriptFile;
    use crate::server::TlsFacts;
    use actix_web::test::TestRequest;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn vars(request: TestRequest, facts: &Facts) -> BTreeMap<String, String> {
        let request = request.to_request();
        let script = Script {
            file: Arc::new(ScriptFile {
                document_root: "/srv/public".into(),
                script_filename: "/srv/public/index.php".into(),
                script_name: b"/index.php".to_vec(),
                worker: None,
            }),
            path_info: b"/a b".to_vec(),
        };
        let env = |name: &str, value: &str| Table::from([(name.to_owned(), value.to_owned())]);
        let sources = Sources {
            request: request.head(),
            facts,
            host: &Host::of(request.head()).unwrap(),
            script: &script,
            env: [&env("APP_ENV", "dev"), &env("APP_ENV", "prod")],
            content_length: Some(3),
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let vars = lay_out(&sources).vars;
        vars.iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    #[test]
    fn the_cgi_variables_are_complete() {
        let request = TestRequest::with_uri("/x/a%20b?q=%2F&r")
            .insert_header(("host", "Example.org:8080"))
            .insert_header(("content-type", "text/plain"))
            .insert_header(("content-length", "3"))
            .append_header(("cookie", "a=1"))
            .append_header(("cookie", "b=2"))
            .append_header(("x-list", "1"))
            .append_header(("x-list", "2"))
            .insert_header(("proxy", "evil"));
        let addresses = ("[::ffff:10.0.0.9]:5000", "10.0.0.1:443");
        let addresses = (addresses.0.parse().unwrap(), addresses.1.parse().unwrap());
        let tls = TlsFacts {
            protocol: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256".into(),
        };
        let vars = vars(request, &Facts::for_tests(Some(addresses), Some(tls)));
        for (name, value) in [
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("SERVER_SOFTWARE", SOFTWARE),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_NAME", "Example.org"),
            ("SERVER_ADDR", "10.0.0.1"),
            ("SERVER_PORT", "443"),
            ("REMOTE_ADDR", "10.0.0.9"),
            ("REMOTE_PORT", "5000"),
            ("REQUEST_METHOD", "GET"),
            ("REQUEST_URI", "/x/a%20b?q=%2F&r"),
            ("QUERY_STRING", "q=%2F&r"),
            ("REQUEST_SCHEME", "https"),
            ("HTTPS", "on"),
            ("SSL_PROTOCOL", "TLSv1.3"),
            ("SSL_CIPHER", "TLS_AES_128_GCM_SHA256"),
            ("DOCUMENT_ROOT", "/srv/public"),
            ("SCRIPT_FILENAME", "/srv/public/index.php"),
            ("SCRIPT_NAME", "/index.php"),
            ("PHP_SELF", "/index.php/a b"),
            ("PATH_INFO", "/a b"),
            ("PATH_TRANSLATED", "/srv/public/a b"),
            ("CONTENT_TYPE", "text/plain"),
            ("CONTENT_LENGTH", "3"),
            ("HTTP_HOST", "Example.org:8080"),
            ("HTTP_COOKIE", "a=1; b=2"),
            ("HTTP_X_LIST", "1, 2"),
            ("APP_ENV", "prod"),
        ] {
            assert_eq!(vars.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(!vars.contains_key("HTTP_PROXY"));
        assert!(!vars.contains_key("HTTP_CONTENT_LENGTH"));
    }

    #[test]
    fn the_host_of_the_target_is_the_host() {
        let request = TestRequest::with_uri("http://target.org/").insert_header(("host", "b.org"));
        let vars = vars(request, &Facts::for_tests(None, None));
        assert_eq!(vars["HTTP_HOST"], "target.org");
        assert_eq!(vars["SERVER_NAME"], "target.org");
    }

    #[test]
    fn a_client_on_a_unix_socket_has_no_address() {
        let request = TestRequest::with_uri("/").insert_header(("host", "a:8080"));
        let vars = vars(request, &Facts::for_tests(None, None));
        assert_eq!(vars["REMOTE_ADDR"], "unix:");
        assert_eq!(vars["SERVER_PORT"], "8080");
        assert!(!vars.contains_key("HTTPS"));
    }
}
