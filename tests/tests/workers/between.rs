//! What a request leaves for the next one: nothing but what the documentation says.

use serde_json::{Value, json};
use troupe_tests::{Part, Request, eventually};

use super::{ask, boots, one, workers};

#[test]
fn a_request_sees_nothing_of_the_one_before() {
    requests_see_nothing_of_each_other("num = 1");
}

#[test]
fn what_the_boot_has_set_is_restored_and_not_the_default() {
    requests_see_nothing_of_each_other("num = 1\nenv = { SET_BY_BOOT = \"on\" }");
}

fn requests_see_nothing_of_each_other(lines: &str) {
    let setup = workers(lines);
    let scratch = setup.folder().path().to_str().unwrap().to_owned();
    let server = setup.ini("sys_temp_dir", &scratch).start();
    let clean = ask(&server, "traces").expect(200).json();
    for what in ["get", "post", "cookie", "files"] {
        let expected = match what {
            "get" => json!({"do": "traces"}),
            _ => json!([]),
        };
        assert_eq!(clean[what], expected, "{what}");
    }
    let parts = [
        Part {
            name: "left",
            file_name: None,
            content: b"left",
        },
        Part {
            name: "file",
            file_name: Some("left.bin"),
            content: b"left",
        },
    ];
    let leaver = Request::multipart("/worker.php?do=leave&left=left", &parts)
        .header("Cookie", "left=left")
        .header("X-Own", "left")
        // "user:pass" in Base64
        .header("Authorization", "Basic dXNlcjpwYXNz");
    for _ in 0..3 {
        let left = server.send(&leaver).expect(202);
        assert_eq!(left.header("x-left"), Some("1"));
        assert_eq!(left.header("x-callback"), Some("1"));
        assert_eq!(left.text(), "left!");
        let response = ask(&server, "traces").expect(200);
        assert_eq!(response.header("x-left"), None);
        assert_eq!(response.header("x-callback"), None);
        assert_eq!(response.header("set-cookie"), None);
        let charset = response.header("content-type");
        assert_eq!(charset, Some("application/json"));
        let seen = response.json();
        for (what, value) in clean.as_object().unwrap() {
            assert_eq!(&seen[what], value, "{what} is left");
        }
    }
    assert_eq!(boots(&server), 1, "the worker was never restarted");
}

#[test]
fn stream_wrappers_and_filters_of_a_library_that_remembers_them_are_there_for_later_requests() {
    let server = one();
    for _ in 0..3 {
        assert!(
            ask(&server, "library")
                .expect(200)
                .text()
                .starts_with("<OWN>")
        );
    }
}

#[test]
fn server_variables_are_the_requests_own_whatever_became_of_those_before() {
    // The last three are names of what PHP itself puts there, and of an index of a list.
    let env = "env = { OWN = \"own\", argv = \"text\", REQUEST_TIME = \"then\", 7 = \"seven\" }";
    for env in ["", env] {
        let server = workers(&format!("num = 1\n{env}")).start();
        let mut kept = Vec::new();
        for (then, headers) in [
            ("", [("X-One", "first"), ("Accept", "a/b")].as_slice()),
            ("", &[("X-One", "second"), ("Accept", "a/b")]),
            ("change", &[("X-One", "second"), ("Accept", "c")]),
            ("", &[("X-One", "second"), ("Accept", "c")]),
            ("keep", &[("X-One", "second"), ("Accept", "c")]),
            ("keep", &[("X-One", "third"), ("Accept", "c")]),
            ("", &[("X-One", ""), ("Accept", "longer/than/before")]),
            ("forget", &[("X-Two", "second"), ("Accept", "c")]),
            ("", &[("X-Two", "second"), ("Accept-Language", "c")]),
            ("", &[("X-Two", "2")]),
            ("", &[("X-Two", "2"), ("Accept", "c")]),
        ] {
            let uri = format!("/worker.php?do=server&then={then}");
            let mut request = Request::get(&uri);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let seen = server.send(&request).expect(200).json();
            assert_eq!(seen[1], Value::from(kept.clone()), "what was kept");
            let variables = seen[0].as_object().unwrap();
            let of_header = |(name, value): &(&str, &str)| {
                let name = name.to_uppercase().replace('-', "_");
                (format!("HTTP_{name}"), Value::from(*value))
            };
            let expected: Value = headers.iter().map(of_header).collect();
            let is_sent = |name: &str| name.starts_with("HTTP_") && name != "HTTP_HOST";
            let sent = variables.iter().filter(|(name, _)| is_sent(name));
            let sent: Value = sent
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            assert_eq!(sent, expected);
            assert_eq!(variables["REQUEST_URI"], uri);
            assert_eq!(variables["QUERY_STRING"], uri["/worker.php?".len()..]);
            assert_eq!(variables["argv"], json!([variables["QUERY_STRING"]]));
            assert!(variables["REQUEST_TIME"].as_u64() > Some(1_700_000_000));
            assert_eq!(variables.contains_key("OWN"), !env.is_empty());
            assert_eq!(variables.contains_key("7"), !env.is_empty());
            assert!(!variables.contains_key("ADDED"));
            match then {
                "keep" => kept.push(seen[0].clone()),
                "forget" => kept.clear(),
                _ => {}
            }
        }
        assert_eq!(boots(&server), 1);
    }
}

#[test]
fn a_file_that_has_changed_is_looked_at_anew_by_the_next_request() {
    let server = one();
    for text in ["one", "another"] {
        server.folder().write("file", text);
        let size = ask(&server, "size").expect(200).text().parse::<usize>();
        assert_eq!(size, Ok(text.len()));
    }
}

#[test]
fn a_session_between_two_requests_is_closed_before_the_second() {
    let server = workers("num = 1\ndeadline = \"5s\"").start();
    let expected = [
        json!([]),
        json!({"of": "the script"}),
        json!({"of": "the script"}),
    ];
    for session in expected {
        assert_eq!(ask(&server, "session").expect(200).json(), session);
    }
}

#[test]
fn php_compresses_for_clients_that_take_it() {
    for compresses in ["0", "1"] {
        let server = workers("num = 1")
            .ini("zlib.output_compression", compresses)
            .start();
        for _ in 0..2 {
            let request = Request::get("/worker.php?do=compress");
            let plain = server.send(&request).expect(200);
            assert_eq!(plain.header("content-encoding"), None);
            assert_eq!(plain.text(), "hello");
            let packed = server.send(&request.header("Accept-Encoding", "gzip"));
            assert_eq!(packed.expect(200).header("content-encoding"), Some("gzip"));
            let request = Request::get("/worker.php?do=compress+not");
            let plain = server.send(&request.header("Accept-Encoding", "gzip"));
            assert_eq!(plain.expect(200).text(), "hello");
        }
        assert!(server.log().all_with("php::output").is_empty());
    }
}

#[test]
fn a_kept_stream_of_a_body_ends_with_its_request() {
    let server = one();
    let body = "its body ".repeat(10_000);
    let request = |method| Request::new(method, "/worker.php?do=input").body(&body);
    // What the stream had read already, which is more than the script took of it.
    let read = &body[4..8192];
    for (method, before) in [
        ("POST", Value::Null),
        ("PUT", json!(read)),
        ("POST", json!(read)),
    ] {
        let seen = server.send(&request(method)).expect(200).json();
        assert_eq!(seen, json!([before, "its "]));
    }
    assert_eq!(boots(&server), 1);
}

#[test]
fn server_variables_stay_what_they_are_when_the_filter_extension_is_asked() {
    let env = "env = { \"odd.name\" = \"odd\", argv = \"text\" }";
    let server = workers(&format!("num = 1\n{env}")).start();
    for _ in 0..3 {
        let seen = ask(&server, "filter").expect(200).json();
        let found = json!({
            "REQUEST_URI": "/worker.php?do=filter",
            "odd_name": "odd",
            "odd.name": null,
            "argv": "text",
        });
        assert_eq!(seen, json!([found, true, ["do=filter"], false]));
    }
}

#[test]
fn what_output_is_rewritten_with_is_the_requests_own() {
    let server = one();
    for with in ["1", "2"] {
        let page = ask(&server, &format!("rewrite&with={with}"));
        let field = format!("<input type=\"hidden\" name=\"with\" value=\"{with}\" />");
        assert_eq!(page.text(), format!("<form>{field}</form>"));
        assert_eq!(ask(&server, "rewrite").text(), "<form></form>");
    }
}

#[test]
fn signals_that_a_request_blocks_are_blocked_for_itself_only_and_never_the_servers() {
    let server = workers("num = 1\ndeadline = \"500ms\"").start();
    for _ in 0..2 {
        let before = ask(&server, "block+signals").expect(200).json();
        assert_eq!(before, json!([]));
        ask(&server, "block+signals&sleep=1").expect(504);
    }
    assert_eq!(server.metric("troupe_lost_threads_total"), 0.0);
}

#[test]
fn messages_to_the_systems_log_are_under_the_name_that_the_boot_or_the_request_gave() {
    for (env, of_the_boot) in [
        ("", None),
        ("env = { SET_BY_BOOT = \"on\" }", Some("boot: ")),
    ] {
        let server = workers(&format!("num = 1\n{env}")).start();
        for text in ["one", "two"] {
            ask(&server, &format!("log&as=left&text={text}")).expect(200);
            ask(&server, &format!("log&text=after_{text}")).expect(200);
        }
        ask(&server, "log&as=last&text=last").expect(200);
        server.log().wait_text("last: last");
        server.log().wait_text("left: one");
        server.log().wait_text("left: two");
        for after in ["after_one", "after_two"] {
            let said = server.log().all_with(&format!(": {after}"));
            assert_eq!(said.len(), usize::from(of_the_boot.is_some()), "{said:?}");
            if let Some(name) = of_the_boot {
                assert!(said[0].to_string().contains(name), "{said:?}");
            }
        }
    }
}

#[test]
fn shutdown_functions_run_at_the_end_of_their_own_request() {
    let server = one();
    ask(&server, "leave");
    eventually("the shutdown function ran", || {
        (server.folder().read("shutdown").lines().count() == 1).then_some(())
    });
    ask(&server, "hello").expect(200);
    ask(&server, "hello").expect(200);
    assert_eq!(server.folder().read("shutdown"), "/worker.php?do=leave\n");
}

#[test]
fn destructors_of_what_a_request_leaves_behind_are_never_heard_by_another_client() {
    let server = one();
    for _ in 0..2 {
        assert_eq!(
            ask(&server, "speakers").expect(200).text(),
            "Speaker get post cookie server files request session "
        );
        server.log().wait_text("an error handler ");
        assert_eq!(ask(&server, "hello").text(), "hello");
    }
    // Symfony's runtime and others end their work on a request behind it, with what it began with.
    let changed = "[\"do=speakers\",{\"do\":\"speakers\"},[],[]]\n";
    assert_eq!(server.folder().read("changed"), changed.repeat(2));
    assert_eq!(boots(&server), 1);
}

#[test]
fn digest_credentials_are_gone_with_their_request() {
    let server = one();
    let request =
        Request::get("/worker.php?do=traces").header("Authorization", "Digest username=\"u\"");
    assert_eq!(server.send(&request).json()["digest"], "username=\"u\"");
    assert_eq!(ask(&server, "traces").json()["digest"], Value::Null);
}
