//! A Symfony application, the same in classic mode and in worker mode.

use std::path::Path;

use troupe_tests::{Part, Request, Response, Server, Setup, eventually};

use crate::browser::Browser;
use crate::crowd::crowd;
use troupe_tests::package::{assert_quiet, copy, installed};

/// A worker whose exception nobody caught, not even Symfony, ends and is started again.
const EXPECTED: &[&str] = &["exited: exit status 255"];

#[test]
fn symfony_answers_alike_in_classic_and_in_worker_mode() {
    let classic = start(false);
    let worker = start(true);
    // Twice: the second time the workers have a past.
    for round in 1..=2 {
        let (mut one, mut other) = (Browser::new(&classic), Browser::new(&worker));
        for (target, request) in requests() {
            let expected = comparable(one.send(target, request.clone()));
            let found = comparable(other.send(target, request.clone()));
            assert_eq!(found, expected, "round {round}: {request:?}");
        }
    }
    for server in [&classic, &worker] {
        check(server);
        sessions_are_where_the_application_wants_them(server);
        every_client_has_a_session(server);
        runs_after_the_response(server);
    }
    assert_quiet(&classic.stop(), &[]);
    assert_quiet(&worker.stop(), EXPECTED);
}

fn start(in_worker_mode: bool) -> Server {
    let bundle = "/usr/share/php/Symfony/Bundle/FrameworkBundle/autoload.php";
    installed("php-symfony-framework-bundle", bundle);
    let setup = Setup::with_files(&[]);
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/symfony");
    copy(&files, setup.folder().path());
    copy(&files.join("public"), setup.root());
    let sessions = setup.folder().join("sessions");
    std::fs::create_dir(&sessions).unwrap();
    std::fs::create_dir(setup.folder().join("store")).unwrap();
    let setup = setup
        .php("threads = 4")
        .ini("opcache.enable", "1")
        .ini("include_path", ".:/usr/share/php")
        .ini("session.save_path", &sessions.display().to_string());
    match in_worker_mode {
        true => setup.worker("index.php", "num = 4").start(),
        false => setup.start(),
    }
}

/// What a browser asks for in this order; each answer must be the same in both modes.
fn requests() -> Vec<(&'static str, Request)> {
    let form = |target, fields| (target, Request::form(target, fields));
    let get = |target| (target, Request::get(target));
    let parts = [
        Part {
            name: "title",
            file_name: None,
            content: "Äußerst".as_bytes(),
        },
        Part {
            name: "script",
            file_name: Some("play.txt"),
            content: &[b'x'; 300_000],
        },
    ];
    let etag = "\"50c53ac8ca1e3b1c6ac0e6f6e2eed6b5\"";
    let with = |target, name, value| (target, Request::get(target).header(name, value));
    vec![
        get("/hello/you?a[]=1&a[]=2&b=%C3%A4"),
        get("/index.php/hello/you"),
        with("/hello/you", "Accept-Language", "nl, de;q=0.8, en;q=0.5"),
        with("/hello/you", "Authorization", "Basic dHJvdXBlOnNlY3JldA=="),
        get("/hello/you"),
        with("/hello/you", "X-Requested-With", "XMLHttpRequest"),
        with("/hello/you", "If-None-Match", etag),
        form("/form", "a=1&b[c]=2&b[d][]=3"),
        ("/form", Request::multipart("/form", &parts)),
        (
            "/form",
            Request::post("/form", "application/json", "{\"a\":1}"),
        ),
        form("/form", "_method=DELETE&a=1"),
        (
            "/form",
            Request::new("PUT", "/form")
                .header("Content-Type", "text/plain")
                .body("as it is"),
        ),
        get("/form"),
        get("/count"),
        get("/count"),
        get("/me"),
        form("/login", "user=anna"),
        get("/me"),
        get("/broken"),
        get("/me"),
        get("/count"),
        get("/logout"),
        get("/me"),
        get("/count"),
        get("/cookies"),
        get("/hello/cookie"),
        get("/stream"),
        get("/download"),
        with("/download", "Range", "bytes=2-9"),
        ("/download", Request::head("/download")),
        ("/hello/you", Request::head("/hello/you")),
        get("/refused"),
        get("/type-error"),
        get("/warning"),
        get("/no-such-page"),
        get("/hello/"),
    ]
}

/// A response without what can't be the same: dates, and the session's number in its cookie.
fn comparable(response: Response) -> (u16, Vec<(String, String)>, String) {
    let headers = response.headers.iter().filter_map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        let value = match value.strip_prefix("PHPSESSID=") {
            Some(cookie) => {
                let (number, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
                format!("PHPSESSID of {} bytes;{attributes}", number.len())
            }
            // The time of the answer, unless it is PHP's own date in the past.
            None if name == "expires" && !value.contains("1981") => "now".to_owned(),
            None => value.clone(),
        };
        (name != "date" && name != "last-modified").then_some((name, value))
    });
    let mut headers: Vec<_> = headers.collect();
    headers.sort();
    let body = String::from_utf8_lossy(&response.body).into_owned();
    (response.status, headers, body)
}

/// That the answers are not only alike but right.
fn check(server: &Server) {
    let hello = server.get("/hello/you?b=%C3%A4").expect(200).json();
    assert_eq!(hello["name"], "you");
    assert_eq!(hello["query"]["b"], "ä");
    assert_eq!(hello["user"], serde_json::Value::Null);
    let mut user = Browser::new(server);
    let response = user.send("/login", Request::form("/login", "user=anna"));
    assert_eq!(response.expect(303).header("location"), Some("/me"));
    let me = user.open("/me").response.json();
    assert_eq!(me.to_string(), r#"{"notices":["Welcome!"],"user":"anna"}"#);
    let me = user.open("/me").response.json();
    assert_eq!(me.to_string(), r#"{"notices":[],"user":"anna"}"#);

    for target in ["/broken", "/type-error"] {
        let broken = server.get(target).expect(500);
        assert!(broken.text().contains("500 Internal Server Error"));
    }
    let refused = server.get("/refused").expect(403);
    assert_eq!(refused.header("x-door"), Some("shut"));
    server.get("/no-such-page").expect(404);
    let not_allowed = server.get("/form").expect(405);
    assert_eq!(not_allowed.header("allow"), Some("POST, PUT, DELETE"));
    let cookies = server.get("/cookies").expect(202);
    assert_eq!(cookies.all("set-cookie").len(), 3);
    assert_eq!(cookies.all("x-stage"), ["left", "right"]);
    let range = Request::get("/download").header("Range", "bytes=2-4");
    assert_eq!(server.send(&range).expect(206).text(), "php");
}

/// Symfony makes its session storage once and keeps it, with its handler and the settings of its cookie.
fn sessions_are_where_the_application_wants_them(server: &Server) {
    for _ in 0..8 {
        let response = server.get("/count").expect(200);
        let cookie = response.header("set-cookie").expect("a new session");
        assert!(cookie.ends_with("httponly; samesite=lax"), "{cookie}");
    }
    let in_folder = |name: &str| {
        let files = server.folder().join(name).read_dir().unwrap();
        files.count()
    };
    assert!(in_folder("store") >= 8, "{} sessions", in_folder("store"));
    assert_eq!(in_folder("sessions"), 0, "PHP's own handler was used");
}

/// Sixteen users count at once, each in a session of their own, while others get exceptions.
fn every_client_has_a_session(server: &Server) {
    crowd(server, |number, client| {
        let mut user = Browser::new(server);
        for count in 1..=20 {
            let request = user.with_cookies("/count", Request::get("/count"));
            let response = client.request(&request).expect(200);
            user.keep_cookies(&response);
            assert_eq!(response.json()["count"], count, "client {number}");
            match (number + count) % 4 {
                0 => drop(client.request(&Request::get("/broken")).expect(500)),
                1 => drop(client.request(&Request::get("/refused")).expect(403)),
                _ => {}
            }
        }
    });
}

fn runs_after_the_response(server: &Server) {
    server.get("/hello/you?afterwards=it").expect(200);
    eventually("the terminate event runs", || {
        let found = server.get("/afterwards?name=it").expect(200);
        (found.text() == "\"200\"").then_some(())
    });
}
