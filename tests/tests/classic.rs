//! Classic mode: what a PHP script sees and says through the server, one clean state a request.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use std::thread;

use serde_json::{Value, json};
use troupe_tests::{Client, Part, Request, Server, Setup, eventually, troupe};

fn classic() -> Setup {
    Setup::serving("classic")
}

fn serve() -> Server {
    classic().start()
}

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

/// Bytes that repeat in no power of two.
fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// The most memory that the server's process ever had, in bytes.
fn most_memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
    kib * 1024
}

#[test]
fn a_large_body_arrives_whole_and_is_never_wholly_in_memory() {
    let server = classic()
        .ini("memory_limit", "8M")
        .ini("post_max_size", "64M")
        .start();
    let body = noise(24 << 20);
    let request = Request::post("/input.php", "application/octet-stream", &body);
    let before = most_memory(&server);
    let large = server.send(&request).expect(200).json();
    let grown = most_memory(&server) - before;
    assert!(grown < 12 << 20, "{grown} bytes more for a body of 24 MiB");
    assert_eq!(large["length"], body.len());
    assert_eq!(large["again"], true);
    assert!(large["memory"].as_u64().unwrap() < 8 << 20);

    let mut client = server.connect();
    client.write("POST /input.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.chunks(100_000) {
        client.write(format!("{:x}\r\n", piece.len()));
        client.write(piece);
        client.write("\r\n");
    }
    client.write("0\r\n\r\n");
    let chunked = client.response().expect(200).json();
    assert_eq!(chunked["sha256"], large["sha256"]);
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

#[test]
fn uploaded_files_are_there_for_the_request_and_gone_after_it() {
    let server = classic().ini("upload_max_filesize", "4M").start();
    let picture = noise(3 << 20);
    let parts = [
        Part {
            name: "title",
            file_name: None,
            content: b"a title",
        },
        Part {
            name: "file",
            file_name: Some("../päth.bin"),
            content: &picture,
        },
        Part {
            name: "empty",
            file_name: Some(""),
            content: b"",
        },
    ];
    let seen = server
        .send(&Request::multipart("/upload.php", &parts))
        .expect(200)
        .json();
    assert_eq!(seen["post"], json!({"title": "a title"}));
    let file = &seen["files"]["file"];
    assert_eq!(file["name"], "päth.bin", "a name never holds a path");
    assert_eq!(file["size"], picture.len());
    assert_eq!(file["uploaded"], true);
    assert_eq!(seen["files"]["empty"]["error"], 4);
    let temporary = file["temporary"].as_str().unwrap().to_owned();
    eventually("the temporary file is removed", || {
        (!std::path::Path::new(&temporary).exists()).then_some(())
    });

    let seen = server
        .send(&Request::multipart("/upload.php?keep", &parts[1..2]))
        .json();
    assert_eq!(seen["moved"], true);
    assert_eq!(
        std::fs::read(server.folder().join("kept")).unwrap(),
        picture
    );
}

#[test]
fn an_upload_beyond_phps_own_limit_is_an_error_of_that_file() {
    let server = classic().ini("upload_max_filesize", "1K").start();
    let parts = [Part {
        name: "file",
        file_name: Some("large.bin"),
        content: &noise(2048),
    }];
    let seen = server
        .send(&Request::multipart("/upload.php", &parts))
        .expect(200)
        .json();
    assert_eq!(seen["files"]["file"]["error"], 1);
}

fn form(server: &Server, form: &str) -> troupe_tests::Response {
    server.get(&format!("/headers.php?form={}", form.replace(' ', "+")))
}

#[test]
fn header_sets_the_status_in_all_its_forms() {
    let server = serve();
    for (how, status) in [
        ("status line", 404),
        ("status word", 410),
        ("code", 202),
        ("function", 418),
        ("location", 302),
        ("location with code", 307),
    ] {
        let response = form(&server, how);
        assert_eq!(response.status, status, "{how}");
        assert_eq!(response.text(), "body", "{how}");
    }
    assert_eq!(
        form(&server, "location").header("location"),
        Some("/elsewhere")
    );
    let response = form(&server, "no content");
    assert_eq!((response.status, response.body.len()), (204, 0));
}

#[test]
fn header_replaces_appends_and_removes() {
    let server = serve();
    assert_eq!(form(&server, "replace").all("x-a"), ["second"]);
    assert_eq!(form(&server, "append").all("x-a"), ["first", "second"]);
    let removed = form(&server, "remove");
    assert_eq!(removed.header("x-a"), None);
    assert_eq!(removed.header("x-b"), Some("stays"));
    assert_eq!(
        form(&server, "type").all("content-type"),
        ["text/x-own; charset=latin1"]
    );
    assert_eq!(form(&server, "empty").header("x-empty"), Some(""));
    assert_eq!(form(&server, "callback").header("x-late"), Some("callback"));
    assert_eq!(form(&server, "length").text(), "body");
}

#[test]
fn a_header_can_not_smuggle_in_a_second_one() {
    let server = serve();
    let response = form(&server, "injection").expect(200);
    assert_eq!(response.header("x-evil"), None);
    assert_eq!(response.header("x-a"), None);
}

#[test]
fn each_cookie_has_a_header_of_its_own() {
    let server = serve();
    assert_eq!(
        form(&server, "cookies").all("set-cookie"),
        [
            "a=1; path=/; HttpOnly",
            "b=two%20words; SameSite=Lax",
            "c=raw"
        ]
    );
}

#[test]
fn a_script_can_close_its_clients_connection() {
    let server = serve();
    let mut client = server.connect();
    let response = client.request(&Request::get("/headers.php?form=connection+close"));
    assert_eq!(response.expect(200).header("connection"), Some("close"));
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_response_to_head_has_headers_and_no_body() {
    let server = serve();
    let mut client = server.connect();
    let response = client.request(&Request::head("/headers.php?form=code"));
    assert_eq!(response.status, 202);
    assert_eq!(response.header("x-a"), Some("1"));
    // What follows on the connection is the next response, not a body.
    assert_eq!(client.request(&Request::get("/hello.php")).text(), "hello");
}

#[test]
fn output_buffers_nest_and_open_ones_are_sent_at_the_end() {
    let server = serve();
    assert_eq!(server.get("/buffers.php").text(), "OUTER INNER 1");
    let buffered = classic().ini("output_buffering", "4096").start();
    let response = buffered.get("/hello.php");
    assert_eq!(response.text(), "hello");
}

#[test]
fn flush_reaches_the_client_at_once() {
    let server = serve();
    for encoding in ["identity", "gzip"] {
        let _ = std::fs::remove_file(server.folder().join("first-seen"));
        let mut client = server.connect();
        client.send(&Request::get("/flush.php").header("Accept-Encoding", encoding));
        let head = client.head();
        assert_eq!(head.status, 200);
        let first = client.chunk().unwrap();
        assert!(!first.is_empty());
        if encoding == "identity" {
            assert_eq!(first, b"first");
        }
        server.folder().write("first-seen", "");
        let mut rest = Vec::new();
        while let Some(chunk) = client.chunk() {
            rest.extend_from_slice(&chunk);
        }
        assert!(!rest.is_empty(), "{encoding}");
    }
}

#[test]
fn a_script_ends_when_its_client_has_left() {
    let server = serve();
    let mut client = server.connect();
    client.send(&Request::get("/aborted.php"));
    assert_eq!(client.head().status, 200);
    drop(client);
    eventually("the shutdown function ran", || {
        (server.folder().read("shutdown") == "aborted=1 status=1\n").then_some(())
    });
    // A request that is served after it, by whichever thread, proves nothing; the end of the server does.
    let folder = server.folder().path().to_owned();
    let went_on = folder.join("after");
    server.log().wait("the access record", |record| {
        record["uri"] == "/aborted.php" && record["complete"] == false
    });
    assert!(!went_on.exists());
}

#[test]
fn a_script_that_ignores_its_client_goes_on_without_it() {
    let server = serve();
    let mut client = server.connect();
    client.send(&Request::get("/aborted.php?ignore"));
    client.head();
    drop(client);
    eventually("the script has gone on", || {
        (server.folder().read("after") == "went on\n").then_some(())
    });
    eventually("and ended", || {
        (server.folder().read("shutdown") == "aborted=1 status=1\n").then_some(())
    });
}

#[test]
fn shutdown_functions_and_destructors_run_at_the_end_and_may_speak() {
    let server = serve();
    assert_eq!(
        server.get("/shutdown.php").text(),
        "script shutdown nested destructor"
    );
}

#[test]
fn the_client_has_its_whole_answer_when_fastcgi_finish_request_returns() {
    let server = serve();
    let mut client = server.connect();
    let request = Request::post("/finish.php", "text/plain", "a body");
    let response = client.request(&request).expect(200);
    assert_eq!(response.text(), "answer");
    assert_eq!(response.header("x-before"), Some("1"));
    // The connection is free for the next request while the script still runs.
    assert_eq!(client.request(&Request::get("/hello.php")).text(), "hello");
    assert_eq!(server.folder().read("after"), "");
    server.folder().write("answered", "");
    let after = eventually("the script went on", || {
        serde_json::from_str::<Value>(&server.folder().read("after")).ok()
    });
    assert_eq!(
        after,
        json!({"finished": true, "again": false, "body": 6, "headers_sent": true})
    );
}

#[test]
fn a_session_is_kept_by_its_cookie() {
    let server = serve();
    let first = server.get("/session.php").expect(200);
    let cookie = first.header("set-cookie").unwrap().to_owned();
    let (cookie, _) = cookie.split_once(';').unwrap();
    assert_eq!(first.json()["visits"], 1);
    for visits in 2..4 {
        let again = server.send(&Request::get("/session.php").header("Cookie", cookie));
        assert_eq!(again.json()["visits"], visits);
        assert_eq!(again.json()["id"], first.json()["id"]);
    }
    assert_eq!(server.get("/session.php").json()["visits"], 1);
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
fn a_script_that_exceeds_its_memory_is_a_500_and_a_log_line() {
    let server = classic().ini("memory_limit", "32M").start();
    server.get("/memory.php").expect(500);
    let record = server
        .log()
        .wait_text("Allowed memory size of 33554432 bytes exhausted");
    assert_eq!(record["level"], "ERROR");
    assert!(record["request"].is_u64(), "{record}");
    let message = record["message"].as_str().unwrap();
    assert!(message.contains("classic/memory.php"), "{message}");
    assert!(message.contains("line 5"), "{message}");
    assert_eq!(server.get("/hello.php").text(), "hello");
}

#[test]
fn exit_ends_the_request_and_nothing_else() {
    let server = serve();
    let response = server.get("/exit.php").expect(203);
    assert_eq!(response.text(), "before said shutdown");
    let response = server.get("/exit.php?code").expect(203);
    assert_eq!(response.text(), "before  shutdown");
}

#[test]
fn an_uncaught_error_is_a_500_that_keeps_its_details_for_the_log() {
    let server = classic().ini("display_errors", "0").start();
    assert_eq!(server.get("/fatal.php").expect(500).text(), "");
    // Without a buffer, output sends the headers on their way.
    let late = server.get("/fatal.php?after=output").expect(200);
    assert_eq!(late.text(), "output");
    let record = server
        .log()
        .wait_text("undefined function undefined_function()");
    let message = record["message"].as_str().unwrap();
    assert!(message.contains("classic/fatal.php:5"), "{message}");
    assert_eq!(record["level"], "ERROR");

    let shown = classic().ini("display_errors", "1").start();
    let response = shown.get("/fatal.php").expect(500);
    assert!(response.text().contains("undefined_function"));
}

#[test]
fn warnings_and_error_log_go_to_the_log_with_the_requests_number() {
    let server = classic().ini("display_errors", "0").start();
    assert_eq!(server.get("/warning.php").expect(200).text(), "went on");
    let line = server.log().wait_text("a line of the script");
    let warning = server.log().wait_text("Undefined variable $undefined");
    let access = server.log().wait("the access record", |record| {
        record["uri"] == "/warning.php"
    });
    assert_eq!(line["request"], access["request"]);
    assert_eq!(warning["request"], access["request"]);
    assert_eq!(warning["level"], "WARN");
    let message = warning["message"].as_str().unwrap();
    assert!(message.contains("warning.php on line 3"), "{message}");
}

#[test]
fn settings_come_from_flags_and_scripts_may_change_them_for_their_request() {
    let folder = troupe_tests::Folder::new();
    folder.write("hello.ini", "precision = 7\nhtml_errors = On\n");
    let mut command = troupe();
    command
        .args(["php-server", "--listen", "127.0.0.1:0", "--admin", "off"])
        .args(["-d", "precision=9", "-d", "short_open_tag"])
        .arg("--php-ini")
        .arg(folder.join("hello.ini"))
        .args(["--threads", "1", "--root"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/php/classic"));
    let server = Server::spawn(command, folder);
    let seen = server.get("/ini.php?name=precision&value=3").json();
    assert_eq!(seen, json!({"before": "9", "set": true, "after": "3"}));
    // The only thread there is has changed it; the next request starts anew.
    assert_eq!(server.get("/ini.php?name=precision").json()["before"], "9");
    assert_eq!(
        server.get("/ini.php?name=short_open_tag").json()["before"],
        "1"
    );
    assert_eq!(
        server.get("/ini.php?name=html_errors").json()["before"],
        "1"
    );
}

#[test]
fn a_folder_of_ini_files_holds_settings_and_extensions() {
    let setup = classic();
    setup
        .folder()
        .write("ini/10.ini", "precision = 8\nextension = igbinary\n");
    setup.folder().write("ini/20.ini", "precision = 7\n");
    setup
        .folder()
        .write("php.ini", "precision = 6\nserialize_precision = 5\n");
    let server = setup
        .php("scan_dir = \"ini\"\nphp_ini = \"php.ini\"")
        .start();
    let seen = |name: &str| server.get(&format!("/ini.php?name={name}")).json()["before"].clone();
    assert_eq!(
        seen("precision"),
        "7",
        "the last file wins, and php.ini comes first"
    );
    assert_eq!(seen("serialize_precision"), "5");
    assert_eq!(
        seen("igbinary.compact_strings"),
        "1",
        "the extension is loaded"
    );
    assert_eq!(
        seen("redis.session.locking_enabled"),
        false,
        "and no other one"
    );
}

#[test]
fn locked_settings_win_over_a_scripts_wish() {
    let server = classic()
        .admin_ini("memory_limit", "64M")
        .ini("precision", "9")
        .start();
    assert_eq!(
        server.get("/ini.php?name=memory_limit&value=1G").json(),
        json!({"before": "64M", "set": false, "after": "64M"})
    );
    assert_eq!(
        server.get("/ini.php?name=precision&value=3").json(),
        json!({"before": "9", "set": true, "after": "3"})
    );
}

#[test]
fn files_can_be_put_before_and_after_every_script() {
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/php/classic");
    let server = classic()
        .ini("auto_prepend_file", &format!("{scripts}/prepended.php"))
        .ini("auto_append_file", &format!("{scripts}/appended.php"))
        .start();
    assert_eq!(server.get("/hello.php").text(), "prepended hello appended");
}

#[test]
fn putenv_of_one_thread_is_not_seen_by_another_or_by_the_next_request() {
    let server = classic()
        .php("threads = 2")
        .environment("INHERITED", "from outside")
        .start();
    let address = server.address().clone();
    let ask = move |own: &'static str, other: &'static str| {
        let address = address.clone();
        thread::spawn(move || {
            let target = format!("/environment.php?own={own}&other={other}");
            Client::connect(&address)
                .request(&Request::get(&target))
                .json()
        })
    };
    let (left, right) = (ask("left", "right"), ask("right", "left"));
    for (seen, own) in [
        (left.join().unwrap(), "left"),
        (right.join().unwrap(), "right"),
    ] {
        assert_eq!(seen["own"], own);
        assert_eq!(seen["listed"], own);
        assert_eq!(seen["inherited"], "from outside");
        assert_eq!(seen["unset"], false);
    }
    // Both threads, whichever serves which.
    for _ in 0..8 {
        let seen = server.get("/environment.php").json();
        assert_eq!(seen["superglobal"], "from outside");
        assert_eq!(seen["own"], false);
        assert_eq!(seen["listed"], Value::Null);
        assert_eq!(seen["inherited"], "from outside");
    }
}

#[test]
fn the_functions_of_other_servers_are_there() {
    let server = serve();
    let request = Request::post("/functions.php", "text/x-own", "four").header("x-mine", "1");
    let seen = server.send(&request).expect(200).json();
    assert_eq!(
        seen["request"],
        json!({
            "Host": server.host(),
            "Content-Type": "text/x-own",
            "Content-Length": "4",
            "X-Mine": "1",
        })
    );
    assert_eq!(seen["same"], true);
    assert_eq!(seen["response"]["X-Own"], "1");
    assert_eq!(seen["response"]["X-Twice"], "1, 2");
    assert_eq!(seen["same response"], true);
    assert_eq!(seen["sapi"], json!(["frankenphp", "frankenphp"]));
    assert_eq!(
        seen["worker"],
        "frankenphp_handle_request() called while not in worker mode"
    );
}

#[test]
fn an_informational_response_is_sent_while_the_script_goes_on() {
    let server = serve();
    let mut client = server.connect();
    client.send(&Request::get("/early.php"));
    let hint = client.head();
    assert_eq!(hint.status, 103);
    assert_eq!(
        hint.header("link"),
        Some("</style.css>; rel=preload; as=style")
    );
    server.folder().write("hint-seen", "");
    let response = client.response().expect(200);
    assert_eq!(response.text(), "sent 103");
    assert_eq!(response.header("x-final"), Some("yes"));
    assert_eq!(response.header("link"), None);
}

#[test]
fn headers_send_sends_the_head_of_the_response() {
    let server = serve();
    let response = server.get("/headers_send.php").expect(201);
    assert_eq!(response.text(), "sent");
    assert_eq!(response.header("x-sent"), Some("early"));
}

#[test]
fn frankenphp_log_writes_structured_records() {
    let server = classic().server("log_level = \"debug\"").start();
    server.get("/log.php").expect(200);
    for (message, level) in [
        ("plain", "INFO"),
        ("debugging", "DEBUG"),
        ("careful", "WARN"),
        ("broken", "ERROR"),
    ] {
        let record = server
            .log()
            .wait(message, |record| record["message"] == message);
        assert_eq!(record["level"], level, "{record}");
        assert!(record["request"].is_u64(), "{record}");
    }
    let careful = server.log().wait_text("careful");
    let context = careful["context"].as_str().unwrap();
    let context: Value = serde_json::from_str(context).unwrap();
    assert_eq!(context, json!({"user": 7, "nested": {"a": "é"}}));
}

#[test]
fn phpinfo_has_a_section_of_the_server() {
    let server = serve();
    let response = server.get("/phpinfo.php").expect(200);
    let page = response.text();
    assert!(page.contains("<h2><a name=\"module_troupe\""), "{page}");
    let software = concat!("Troupe/", env!("CARGO_PKG_VERSION"));
    assert!(page.contains(software));
    assert!(
        page.contains("Server API </td><td class=\"v\">Troupe"),
        "{page}"
    );
}

#[test]
fn opcache_keeps_compiled_scripts() {
    let server = classic().php("threads = 1").start();
    let first = server.get("/opcache.php").expect(200).json();
    assert_eq!(first["enabled"], true);
    let hits = |seen: &Value| seen["hits"].as_u64().unwrap_or(0);
    let second = server.get("/opcache.php").json();
    let third = server.get("/opcache.php").json();
    assert!(hits(&third) > hits(&second), "{second} {third}");
}

#[test]
fn opcache_can_be_reset_while_others_are_served() {
    let server = classic().php("threads = 4").start();
    thread::scope(|scope| {
        let others: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.connect();
                    for _ in 0..300 {
                        let response = client.request(&Request::get("/hello.php"));
                        assert_eq!((response.status, response.text()), (200, "hello"));
                    }
                })
            })
            .collect();
        let mut client = server.connect();
        for _ in 0..50 {
            client.request(&Request::get("/reset.php")).expect(200);
        }
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn nothing_of_one_request_is_left_for_the_next() {
    let server = classic().php("threads = 1").start();
    let fresh = server.get("/statics.php").expect(200).json();
    assert_eq!(fresh["static"], 1);
    assert_eq!(fresh["global"], false);
    for _ in 0..3 {
        assert_eq!(server.get("/statics.php").expect(200).json(), fresh);
    }
}
