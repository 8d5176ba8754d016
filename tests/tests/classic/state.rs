//! What one request leaves for the next: a session, compiled scripts, and nothing else.

use std::path::Path;
use std::thread;

use serde_json::Value;
use troupe_tests::{Client, Request, eventually};

use crate::{classic, serve};

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
fn messages_to_the_systems_log_go_out_under_the_name_that_their_own_script_gave() {
    let server = classic().php("threads = 2").start();
    thread::scope(|scope| {
        scope.spawn(|| server.get("/syslog.php?own=first&awaits=go").expect(200));
        eventually("the first has its name", || {
            server.folder().join("opened-first").exists().then_some(())
        });
        server.get("/syslog.php?own=second").expect(200);
        server.folder().write("go", "");
    });
    server.log().wait_text("second: said by second");
    server.log().wait_text("first: said by first");
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

#[test]
fn a_script_begins_in_its_own_folder_and_shutdown_functions_run_in_the_servers() {
    let server = classic().start();
    let link = format!("/proc/{}/cwd", server.pid());
    let servers = std::fs::read_link(link).unwrap();
    for _ in 0..2 {
        let answer = server.get("/directory.php").expect(200);
        let text = answer.text();
        let (own, after) = text.split_once('\n').unwrap();
        assert!(own.ends_with("/php/classic"), "{text}");
        assert_eq!(Path::new(after), servers);
    }
}
