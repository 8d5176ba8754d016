//! Commands that tests run: the server's own, curl for what the plain client does not speak, openssl.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::folder::Folder;

/// The server under test: `TROUPE_BIN`, else the one that was built beside this program. Panics when there is none.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TROUPE_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a program knows its own path");
    // Of target/release/deps/classic-0123456789abcdef, target/release/troupe.
    let mut places = own.ancestors().map(|folder| folder.join("troupe"));
    let found = places.find(|path| path.is_file());
    found.expect("the server is not there: build it (`make build`), or set TROUPE_BIN")
}

/// `troupe`, not started yet, without anything of this environment that would configure it.
pub fn troupe() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("TROUPE_") || name_text.starts_with("PHP_INI_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs curl; returns what it printed. It must succeed.
#[track_caller]
pub fn curl(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "30"]);
    let output = output(command.args(arguments));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes a certificate for `localhost` and 127.0.0.1, signed by itself; returns it and its key.
#[track_caller]
pub fn self_signed(folder: &Folder, name: &str) -> (PathBuf, PathBuf) {
    let cert = folder.join(&format!("{name}.pem"));
    let key = folder.join(&format!("{name}.key"));
    let mut command = Command::new("openssl");
    command
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
        .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-subj", &format!("/CN={name}")])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert);
    output(&mut command);
    (cert, key)
}

#[track_caller]
fn output(command: &mut Command) -> Output {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
