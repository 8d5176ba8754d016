//! Scripts that are missing, broken, without end, or ill at their end.

use troupe_tests::{Folder, Request, Server, Setup, troupe};

use crate::{faults, harms_nobody};

#[test]
fn a_missing_script_is_a_404() {
    let server = faults().start();
    harms_nobody(&server, || {
        for target in ["/missing.php", "/missing.php/info", "/missing/"] {
            server.get(target).expect(404);
        }
    });
}

#[test]
fn a_script_that_can_not_be_read_is_refused_and_the_log_names_it() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let setup = Setup::with_files(&[
        ("closed.php", b"<?php echo 'secret';"),
        ("hello.php", b"hello"),
    ]);
    let root = setup.root().to_owned();
    symlink("around.php", root.join("around.php")).unwrap();
    symlink("/etc/passwd", root.join("outside.php")).unwrap();
    std::fs::create_dir(root.join("folder.php")).unwrap();
    let closed = root.join("closed.php");
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o0)).unwrap();
    let server = setup.start();
    harms_nobody(&server, || {
        // Nothing is closed to root.
        if std::fs::File::open(&closed).is_err() {
            server.get("/closed.php").expect(403);
            server.log().wait_text("/closed.php");
        }
        server.get("/outside.php").expect(403);
        server.log().wait("its record", |record| {
            record["path"] == "/outside.php" && record["level"] == "WARN"
        });
        let around = server.get("/around.php").status;
        assert!((400..500).contains(&around), "{around}");
        server.get("/folder.php").expect(404);
    });
}

#[test]
fn a_syntax_error_is_a_500_and_the_log_says_where() {
    let server = faults().start();
    harms_nobody(&server, || {
        let response = server.get("/syntax-error.php").expect(500);
        assert_eq!(response.text(), "");
    });
    let record = server.log().wait_text("PHP Parse error");
    let message = record["message"].as_str().unwrap();
    assert!(
        message.contains("faults/syntax-error.php on line"),
        "{message}"
    );
    assert_eq!(record["level"], "ERROR");
}

#[test]
fn exit_in_a_shutdown_function_ends_the_shutdown_functions() {
    let server = faults().start();
    harms_nobody(&server, || {
        let response = server.get("/exit_at_the_end.php").expect(200);
        assert_eq!(response.text(), "body shutdown");
    });
}

#[test]
fn exceptions_at_the_very_end_are_logged_with_their_place() {
    let server = faults().start();
    for (script, from) in [
        ("throwing_destructor.php", "from the destructor"),
        ("throwing_shutdown.php", "from the shutdown function"),
    ] {
        harms_nobody(&server, || {
            let response = server.get(&format!("/{script}"));
            assert_eq!(response.text(), "body", "{script}");
        });
        let record = server.log().wait_text(from);
        assert!(record.to_string().contains(script), "{record}");
    }
    harms_nobody(&server, || server.get("/throwing_buffer.php").expect(500));
    server.log().wait_text("from the output handler");
}

#[test]
fn a_script_that_closes_stdout_closes_nothing_of_the_servers() {
    let server = faults().start();
    harms_nobody(&server, || {
        for _ in 0..3 {
            let response = server.get("/closes_stdout.php").expect(200);
            assert_eq!(response.text(), "body");
        }
    });
    server.log().wait_text("a line on standard output");
    server.get("/syntax-error.php").expect(500);
    server.log().wait_text("PHP Parse error");
}

#[test]
fn a_flood_of_warnings_is_logged_and_the_page_is_served() {
    let server = faults().start();
    assert_eq!(server.get("/warnings.php").expect(200).text(), "done");
    server.log().wait_text("warning 999");
    assert_eq!(server.log().all_with("PHP Warning:  warning").len(), 1000);
}

#[test]
fn a_script_that_has_left_no_memory_at_all_ends_alone() {
    let folder = Folder::new();
    let script = "<?php
        ini_set('display_errors', '0');
        ini_set('memory_limit', '4M');
        class Link
        {
            public function __construct(public ?Link $next, public string $text) {}
        }
        for ($link = null;;) {
            $link = new Link($link, str_repeat('x', (int) $_GET['length']));
        }";
    folder.write("www/full.php", script);
    folder.write("www/hello.php", "hello");
    // The server's own folder: PHP copies its name when the script has ended, into memory of a size that the script
    // has used up.
    let parent = format!("{}/", "x".repeat(200));
    let here = parent.clone() + &"y".repeat(299 - parent.len() - folder.path().as_os_str().len());
    folder.write(&format!("{here}/file"), "");
    let mut command = troupe();
    command.current_dir(folder.join(&here));
    command.args([
        "php-server",
        "--listen",
        "127.0.0.1:0",
        "--threads",
        "1",
        "--root",
    ]);
    command.arg(folder.join("www"));
    let server = Server::spawn(command, folder);
    for length in [240, 264, 272, 280, 288] {
        let full = Request::get(&format!("/full.php?length={length}"));
        server.send(&full).expect(500);
    }
    assert_eq!(server.get("/hello.php").expect(200).text(), "hello");
}
