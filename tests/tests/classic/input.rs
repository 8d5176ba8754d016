//! What a script is told of its request: variables, superglobals, bodies.

use serde_json::{Value, json};
use troupe_tests::{Request, eventually};

use crate::{classic, serve};

#[test]
fn the_server_variables_are_those_of_cgi_and_more() {
    let server = classic().env("APP_ENV", "test").start();
    let request = Request::post("/server.php/in%20fo?a=1&b=%2F", "text/x-own", "four")
        .header("X-Custom-Header", "custom")
        .header("Accept-Language", "de, en")
        .header("Proxy", "http://evil.example");
    let vars = server.send(&request).expect(200).json();
    let root = format!("{}/php/classic", env!("CARGO_MANIFEST_DIR"));
    let port = server.host().rsplit(':').next().unwrap().to_owned();
    for (name, value) in [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        (
            "SERVER_SOFTWARE",
            concat!("Troupe/", env!("CARGO_PKG_VERSION")),
        ),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "127.0.0.1"),
        ("SERVER_ADDR", "127.0.0.1"),
        ("SERVER_PORT", &port),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_URI", "/server.php/in%20fo?a=1&b=%2F"),
        ("QUERY_STRING", "a=1&b=%2F"),
        ("REQUEST_SCHEME", "http"),
        ("DOCUMENT_ROOT", &root),
        ("SCRIPT_FILENAME", &format!("{root}/server.php")),
        ("SCRIPT_NAME", "/server.php"),
        ("PATH_INFO", "/in fo"),
        ("PATH_TRANSLATED", &format!("{root}/in fo")),
        ("PHP_SELF", "/server.php/in fo"),
        ("CONTENT_TYPE", "text/x-own"),
        ("CONTENT_LENGTH", "4"),
        ("HTTP_HOST", &server.host()),
        ("HTTP_X_CUSTOM_HEADER", "custom"),
        ("HTTP_ACCEPT_LANGUAGE", "de, en"),
        ("APP_ENV", "test"),
    ] {
        assert_eq!(vars[name], value, "{name}");
    }
    let remote_port: u16 = vars["REMOTE_PORT"].as_str().unwrap().parse().unwrap();
    assert_ne!(remote_port, 0);
    let time = vars["REQUEST_TIME"].as_i64().unwrap();
    assert_eq!(vars["REQUEST_TIME_FLOAT"].as_f64().unwrap() as i64, time);
    for absent in [
        "HTTP_PROXY",
        "HTTPS",
        "HTTP_CONTENT_TYPE",
        "HTTP_CONTENT_LENGTH",
        "FRANKENPHP_WORKER",
        "FRANKENPHP_WORKER_NAME",
    ] {
        assert_eq!(vars[absent], Value::Null, "{absent}");
    }
}

#[test]
fn argv_holds_the_query_when_it_is_asked_for() {
    let with = classic().ini("register_argc_argv", "On").start();
    let vars = with.get("/server.php?a+b").json();
    assert_eq!(vars["argv"], json!(["a", "b"]));
    assert_eq!(vars["argc"], 2);
    let without = classic().ini("register_argc_argv", "Off").start();
    assert_eq!(without.get("/server.php?a+b").json()["argv"], Value::Null);
}

#[test]
fn filter_input_finds_what_was_sent_whatever_a_script_made_of_it() {
    let request = Request::get("/filter.php?a=1").header("X-Other", "<b>");
    let server = classic().env("OWN_NAME", "<c>").start();
    for _ in 0..2 {
        assert_eq!(
            server.send(&request).expect(200).json(),
            json!({
                "sent": "a=1", "filtered": "1", "changed": "changed", "header": "<b>",
                "in server": "<b>", "has host": true, "own": "<c>", "in env": "<c>",
            })
        );
    }
    let server = classic()
        .ini("filter.default", "special_chars")
        .env("OWN_NAME", "<c>")
        .start();
    let answer = server.send(&request).expect(200).json();
    assert_eq!(answer["in server"], "&#60;b&#62;");
    assert_eq!(answer["header"], "<b>");
    assert_eq!(answer["in env"], "&#60;c&#62;");
}

#[test]
fn a_query_is_what_php_makes_of_it() {
    let server = classic()
        .php("threads = 1")
        .ini("max_input_vars", "4")
        .start();
    for query in [
        "",
        "a=1",
        "a",
        "a=",
        "a&b=&c",
        "&&a=1&&b=2&",
        "=1",
        "=",
        "a==1",
        "a=1=2",
        "a=1&a=2&b=3",
        "b=1&a=2&b=3",
        "1=a&-5=b&0x=c",
        "_=1&-=2&--a=3",
        "this=1&that=2",
        "GLOBALS=1&_GET=2",
        "a.b=1&c+d=2&e%20f=3",
        "a%3d=1",
        "%61=1",
        "a[]=1&a[]=2&b[c][d]=3",
        "a[=1&b]=2",
        "a=%41+%2B%&b=%4&c=%zz&d=%00x",
        "a=%C3%A9&b=%ff",
        "a=1;b=2",
        "%00a=1",
        "a%00b=1",
        "a=1&b=2&c=3&d=4",
        "a=1&b=2&c=3&d=4&e=5",
        "__Host-a=1&..Host-a=2",
    ] {
        // A query that the filter extension is not asked about.
        server.get("/hello.php?b=0").expect(200);
        let seen = server.get(&format!("/query.php?{query}")).expect(200);
        let text = seen.text();
        let json = text.lines().last().unwrap_or_default();
        let seen: Value = serde_json::from_str(json).unwrap_or_default();
        for what in ["as parse_str", "as filter", "request"] {
            assert_eq!(seen[what], true, "{query}: {what}: {text}");
        }
        assert_eq!(seen["after"], json!({"changed": "changed"}), "{query}");
    }
    let seen = server.get("/query.php?a=b%20c+d&e").json();
    assert_eq!(seen["got"], json!({"a": "b c d", "e": ""}));
}

#[test]
fn superglobals_hold_query_form_and_cookies() {
    let server = classic().ini("request_order", "GP").start();
    let request = Request::form(
        "/superglobals.php?a=1&list[]=x&list[]=y&s=get",
        "b=2&s=p%C3%A9",
    )
    .header("Cookie", "c=3; s=cookie");
    let seen = server.send(&request).json();
    assert_eq!(
        seen["get"],
        json!({"a": "1", "list": ["x", "y"], "s": "get"})
    );
    assert_eq!(seen["post"], json!({"b": "2", "s": "pé"}));
    assert_eq!(seen["cookie"], json!({"c": "3", "s": "cookie"}));
    assert_eq!(seen["request"]["a"], "1");
    assert_eq!(seen["request"]["s"], "pé", "the form wins over the query");
}

#[test]
fn cookies_of_several_headers_are_all_there() {
    let server = serve();
    let request = Request::get("/superglobals.php")
        .header("Cookie", "a=1")
        .header("Cookie", "b=2");
    let seen = server.send(&request).json();
    assert_eq!(seen["cookie"], json!({"a": "1", "b": "2"}));
}

#[test]
fn basic_and_digest_credentials_become_variables() {
    let server = serve();
    // "user:pass:word" in Base64
    let basic = Request::get("/server.php").header("Authorization", "Basic dXNlcjpwYXNzOndvcmQ=");
    let vars = server.send(&basic).json();
    assert_eq!(vars["PHP_AUTH_USER"], "user");
    assert_eq!(vars["PHP_AUTH_PW"], "pass:word");
    assert_eq!(vars["HTTP_AUTHORIZATION"], "Basic dXNlcjpwYXNzOndvcmQ=");
    let digest = r#"username="user", realm="r""#;
    let request = Request::get("/server.php").header("Authorization", &format!("Digest {digest}"));
    let vars = server.send(&request).json();
    assert_eq!(vars["PHP_AUTH_DIGEST"], digest);
    assert_eq!(vars["PHP_AUTH_USER"], Value::Null);
    let vars = server.get("/server.php").json();
    assert_eq!(vars["PHP_AUTH_USER"], Value::Null);
    assert_eq!(vars["PHP_AUTH_DIGEST"], Value::Null);
}

#[test]
fn php_input_is_the_body_and_can_be_read_again() {
    let server = serve();
    let body = r#"{"key": "value"}"#;
    let seen = server
        .send(&Request::post("/input.php", "application/json", body))
        .json();
    assert_eq!(seen["length"], body.len());
    assert_eq!(seen["again"], true);
    // Of a form as well, which PHP has parsed before.
    let seen = server.send(&Request::form("/input.php", "a=1&b=2")).json();
    assert_eq!(seen["length"], 7);
    assert_eq!(seen["post"], 2);
    assert_eq!(server.get("/input.php").json()["length"], 0);
}

#[test]
fn a_script_reads_what_has_arrived_while_the_client_still_sends() {
    let server = serve();
    let mut client = server.connect();
    client.write(
        "POST /input_streamed.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    client.write(format!("2000\r\n{}\r\n", "x".repeat(0x2000)));
    eventually("the script has read", || {
        (server.folder().read("read") == "8192\n").then_some(())
    });
    client.write("2\r\nde\r\n0\r\n\r\n");
    assert_eq!(client.response().json(), 8194);
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    let server = serve();
    let mut client = server.connect();
    client.write(
        "POST /input.php HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.head().status, 100);
    client.write("hello");
    assert_eq!(client.response().expect(200).json()["length"], 5);
}
