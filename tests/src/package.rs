//! The applications' files, as Debian installs them, and their server's log.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::{Log, Record};

/// A file or folder of an installed package.
#[track_caller]
pub fn installed(package: &str, path: &str) -> PathBuf {
    let path = PathBuf::from(path);
    assert!(
        path.exists(),
        "{} is not there: install Debian's package {package} (`make test` does)",
        path.display()
    );
    path
}

/// A program of an installed package, in whichever `bin` or `sbin`.
#[track_caller]
pub fn program(package: &str, name: &str) -> PathBuf {
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(Path::new);
    let mut paths = folders.into_iter().map(|folder| folder.join(name));
    paths.find(|path| path.exists()).unwrap_or_else(|| {
        panic!("no {name}: install Debian's package {package} (`make test` does)")
    })
}

/// Copies what is in `from`; links become what they lead to.
#[track_caller]
pub fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    output(command.arg("-rL").arg(from.join(".")).arg(to));
}

/// A file of `tests/apps`.
#[track_caller]
pub fn fixture(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("apps")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a command, which must succeed.
#[track_caller]
pub fn output(command: &mut Command) -> Output {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    assert!(status.success(), "{command:?}: {status}\n{errors}");
    output
}

/// Sees to it that a log holds no warning and no error but those that say one of `expected`: what the
/// application is known to complain about wherever it runs.
#[track_caller]
pub fn assert_quiet(log: &Log, expected: &[&str]) {
    let is_trouble = |record: &Record| match record["level"].as_str() {
        Some("INFO" | "DEBUG" | "TRACE") => false,
        // Text that is not a record of the server's was written by a library, or by a crash.
        Some(_) | None => {
            let text = record.to_string();
            !expected.iter().any(|expected| text.contains(expected))
        }
    };
    let trouble = log.all(is_trouble);
    assert!(trouble.is_empty(), "{trouble:#?}");
}
