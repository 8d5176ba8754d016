//! The commands beside the server, and where settings come from.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use troupe_tests::{Folder, Request, Server, Setup, troupe};

#[test]
fn check_says_everything_that_is_wrong_and_where() {
    let folder = Folder::new();
    let check = |toml: &str| {
        let config = folder.write("troupe.toml", toml);
        let output = troupe()
            .arg("check")
            .arg("--config")
            .arg(config)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), text)
    };
    let (right, text) =
        check("[server]\nkeep_alve = \"5s\"\nlisten = 8080\n\n[[site]]\nroot = \"missing\"\n");
    assert!(!right);
    assert!(text.contains("troupe.toml:2:1: "), "{text}");
    assert!(text.contains("keep_alive"), "a suggestion: {text}");
    assert!(text.contains("troupe.toml:3:10: "), "{text}");
    assert!(text.contains("troupe.toml:6:8: "), "{text}");
    assert!(text.contains("3 errors"), "{text}");
    let (right, text) = check("[[site]]\nroot = \".\"\n");
    assert!(right, "{text}");
    let (right, text) = check("[[site]\n");
    assert!(!right && text.contains("troupe.toml:1:"), "{text}");
}

#[test]
fn php_cli_is_php() {
    let output = troupe()
        .args([
            "php-cli",
            "-r",
            "echo PHP_SAPI, ' ', $argv[1]; exit(3);",
            "--",
            "x",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "cli x");
}

#[test]
fn php_cli_runs_scripts_with_their_arguments_and_input() {
    use std::io::Write as _;
    use std::process::Stdio;

    let folder = Folder::new();
    let script = folder.write(
        "script.php",
        "<?php fwrite(STDOUT, implode(' ', array_slice($argv, 1)) . ':' . stream_get_contents(STDIN));",
    );
    let mut child = troupe()
        .args(["php-cli", "-d", "precision=9"])
        .arg(script)
        .args(["one", "--two"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"input").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one --two:input");
}

#[test]
fn version_names_the_server_its_php_and_the_extensions() {
    let output = troupe().arg("version").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let ours = concat!("Troupe ", env!("CARGO_PKG_VERSION"));
    assert_eq!(lines.next(), Some(ours));
    let php = lines.next().unwrap();
    assert!(
        php.starts_with("PHP 8.") && php.contains("Zend Engine 4."),
        "{php}"
    );
    for extension in ["Core", "mbstring", "session", "Zend OPcache"] {
        let is_there = text
            .lines()
            .any(|line| line.trim_start().starts_with(extension));
        assert!(is_there, "{extension}: {text}");
    }
}

#[test]
fn whoever_reads_a_commands_output_may_stop_at_any_time() {
    let output = std::process::Command::new("bash")
        .args(["-c", "set -o pipefail; \"$0\" version | true"])
        .arg(troupe().get_program())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_environment_wins_over_the_file_and_flags_over_the_environment() {
    let server = Setup::serving("server")
        .server("body_size = \"1MiB\"")
        .environment("TROUPE_SERVER_BODY_SIZE", "1KiB")
        .start();
    let body = Request::post("/hello.php", "text/plain", "x".repeat(2000));
    server.send(&body).expect(413);

    let mut command = troupe();
    command
        .args(["php-server", "--listen", "127.0.0.1:0", "--admin", "off"])
        .args(["--threads", "1", "--max-threads", "2", "--root"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/php/server"))
        .env("TROUPE_SERVER_LISTEN", "127.0.0.1:1")
        .env("TROUPE_SERVER_BODY_SIZE", "1KiB");
    let server = Server::spawn(command, Folder::new());
    assert_eq!(server.get("/hello.php").text(), "hello");
    server.send(&body).expect(413);
}
