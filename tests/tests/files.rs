//! Static files beside PHP: what is sent, in which form, and what never is.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use std::os::unix::fs::symlink;

use troupe_tests::{Request, Server, Setup};

const TEXT: &[u8] = b"0123456789abcdef";

fn serve() -> Server {
    Setup::with_files(&[
        ("a.txt", TEXT),
        ("picture.png", b"\x89PNG"),
        ("style.css", b"body { color: black }"),
        ("with space.html", b"<p>space</p>"),
        ("folder/index.html", b"index of the folder"),
        ("empty/other.txt", b"no index here"),
        ("hello.php", b"<?php echo 'run'; // secret"),
        ("backup.php.bak", b"<?php // secret"),
        ("lib.inc", b"<?php // secret"),
        ("UPPER.PHP", b"<?php // secret"),
        (".env", b"secret"),
        (".git/config", b"secret"),
        (".well-known/acme", b"challenge"),
        ("uploads/x.jpg", b"<?php echo 'run from an upload';"),
        ("../outside.txt", b"secret"),
    ])
    .start()
}

#[test]
fn a_file_is_sent_with_type_length_and_validators() {
    let server = serve();
    let response = server.get("/a.txt").expect(200);
    assert_eq!(response.body, TEXT);
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(response.header("content-length"), Some("16"));
    assert_eq!(response.header("accept-ranges"), Some("bytes"));
    assert!(response.header("etag").is_some());
    assert!(response.header("last-modified").is_some());
    let picture = server.get("/picture.png").expect(200);
    assert_eq!(picture.header("content-type"), Some("image/png"));
    let space = server.get("/with%20space.html").expect(200);
    assert_eq!(space.text(), "<p>space</p>");
}

#[test]
fn head_says_what_get_would_send() {
    let server = serve();
    let mut client = server.connect();
    let head = client.request(&Request::head("/a.txt")).expect(200);
    assert_eq!(head.header("content-length"), Some("16"));
    assert_eq!(client.request(&Request::get("/a.txt")).body, TEXT);
    let post = server.send(&Request::form("/a.txt", "a=1")).expect(405);
    assert_eq!(post.header("allow"), Some("GET, HEAD"));
}

#[test]
fn a_client_that_has_the_file_is_told_so() {
    let server = serve();
    let first = server.get("/a.txt");
    let etag = first.header("etag").unwrap();
    let modified = first.header("last-modified").unwrap();
    for (name, value) in [("If-None-Match", etag), ("If-Modified-Since", modified)] {
        let again = server.send(&Request::get("/a.txt").header(name, value));
        assert_eq!(again.status, 304, "{name}");
        assert_eq!(again.header("etag"), Some(etag));
    }
    let other = Request::get("/a.txt").header("If-None-Match", "\"other\"");
    server.send(&other).expect(200);
    let other = Request::get("/a.txt").header("If-Match", "\"other\"");
    server.send(&other).expect(412);
}

#[test]
fn ranges_are_parts_of_the_file() {
    let server = serve();
    for (range, part, content_range) in [
        ("bytes=0-3", &TEXT[..4], "bytes 0-3/16"),
        ("bytes=10-", &TEXT[10..], "bytes 10-15/16"),
        ("bytes=-2", &TEXT[14..], "bytes 14-15/16"),
        ("bytes=8-100", &TEXT[8..], "bytes 8-15/16"),
    ] {
        let response = server.send(&Request::get("/a.txt").header("Range", range));
        assert_eq!(response.status, 206, "{range}");
        assert_eq!(response.body, part, "{range}");
        assert_eq!(response.header("content-range"), Some(content_range));
    }
    let beyond = server.send(&Request::get("/a.txt").header("Range", "bytes=99-"));
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), Some("bytes */16"));
    let stale = Request::get("/a.txt")
        .header("Range", "bytes=0-3")
        .header("If-Range", "\"stale\"");
    assert_eq!(server.send(&stale).expect(200).body, TEXT);
}

#[test]
fn a_folder_is_its_index_behind_a_slash() {
    let server = serve();
    assert_eq!(
        server.get("/folder/").expect(200).text(),
        "index of the folder"
    );
    let redirect = server.get("/folder?a=1").expect(301);
    assert_eq!(redirect.header("location"), Some("/folder/?a=1"));
    // Never a listing.
    server.get("/empty/").expect(404);
    server.get("/empty").expect(404);
    // A redirect stays on this host.
    let tricked = server.get("//folder");
    assert_ne!(tricked.header("location"), Some("//folder/"));
}

#[test]
fn a_compressed_copy_is_sent_to_those_who_can_read_it() {
    let setup = Setup::with_files(&[
        ("app.js", b"plain"),
        ("app.js.br", b"br"),
        ("app.js.gz", b"gz"),
    ]);
    let server = setup.start();
    for (accepted, body, encoding) in [
        ("gzip", "gz", Some("gzip")),
        ("gzip, br", "br", Some("br")),
        ("gzip;q=0", "plain", None),
        ("identity", "plain", None),
    ] {
        let response = server.send(&Request::get("/app.js").header("Accept-Encoding", accepted));
        assert_eq!(response.text(), body, "{accepted}");
        assert_eq!(response.header("content-encoding"), encoding, "{accepted}");
        assert_eq!(response.header("vary"), Some("accept-encoding"));
    }
}

#[test]
fn no_path_leads_out_of_the_root() {
    let server = serve();
    for path in [
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/folder/../../outside.txt",
        "/folder/..%2f..%2foutside.txt",
        "/..%5coutside.txt",
        "/folder/%2e%2e/%2e%2e/outside.txt",
        "/a.txt%00.png",
        "/%2foutside.txt",
        "//../outside.txt",
    ] {
        let response = server.get(path);
        assert!(
            matches!(response.status, 400 | 403 | 404),
            "{path}: {}",
            response.status
        );
        assert!(!response.text().contains("secret"), "{path}");
    }
}

#[test]
fn no_symlink_leads_out_of_the_root_unless_it_may() {
    let files: &[(&str, &[u8])] = &[("a.txt", TEXT), ("../shared/b.txt", b"shared")];
    let setup = Setup::with_files(files);
    symlink("a.txt", setup.root().join("inside.txt")).unwrap();
    symlink("../shared/b.txt", setup.root().join("out.txt")).unwrap();
    let server = setup.start();
    assert_eq!(server.get("/inside.txt").expect(200).body, TEXT);
    assert_eq!(server.get("/out.txt").expect(403).header("etag"), None);

    let setup = Setup::with_files(files);
    symlink("../shared/b.txt", setup.root().join("out.txt")).unwrap();
    let allowed = format!("symlinks = [{:?}]", setup.folder().join("shared"));
    let server = setup.site(&allowed).start();
    assert_eq!(server.get("/out.txt").expect(200).text(), "shared");
}

#[test]
fn hidden_files_are_not_there() {
    let server = serve();
    for path in ["/.env", "/.git/config", "/%2eenv", "/folder/../.env"] {
        server.get(path).expect(404);
    }
    assert_eq!(
        server.get("/.well-known/acme").expect(200).text(),
        "challenge"
    );
}

#[test]
fn the_source_of_a_script_is_never_sent() {
    let server = serve();
    assert_eq!(server.get("/hello.php").expect(200).text(), "run");
    for path in [
        "/backup.php.bak",
        "/lib.inc",
        "/UPPER.PHP",
        "/hello.php~",
        "/hello.php.",
    ] {
        let response = server.get(path);
        assert_eq!(response.status, 404, "{path}");
        assert!(!response.text().contains("secret"), "{path}");
    }
    let ranged = Request::get("/hello.php").header("Range", "bytes=0-4");
    assert_eq!(server.send(&ranged).text(), "run");
}

#[test]
fn an_uploaded_file_of_another_kind_is_never_run() {
    let server = serve();
    for path in [
        "/uploads/x.jpg/.php",
        "/uploads/x.jpg/a.php",
        "/uploads/x.jpg%00.php",
    ] {
        let response = server.get(path);
        assert!(
            matches!(response.status, 400 | 404),
            "{path}: {}",
            response.status
        );
    }
    let sent = server.get("/uploads/x.jpg").expect(200);
    assert_eq!(sent.header("content-type"), Some("image/jpeg"));
    assert!(sent.text().starts_with("<?php"), "a picture is only sent");
}
