//! A run of the server under callgrind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use troupe_tests::{Client, Folder, Request, Server, troupe};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Worker,
    Classic,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Classic => "classic",
        }
    }
}

/// Instructions of one request.
pub struct Profile {
    pub mode: Mode,
    pub total: i64,
    /// What functions take themselves, without those they call.
    pub functions: BTreeMap<String, i64>,
}

impl Profile {
    pub fn of(mode: Mode, (few, many): (u32, u32)) -> Self {
        let before = run(mode, few);
        let mut functions = run(mode, many);
        for (name, count) in before {
            *functions.entry(name).or_default() -= count;
        }
        let requests = i64::from(many - few);
        for count in functions.values_mut() {
            *count /= requests;
        }
        functions.retain(|_, count| *count != 0);
        Self {
            mode,
            total: functions.values().sum(),
            functions,
        }
    }
}

/// Instructions of each function in the life of a server that answers `requests`.
fn run(mode: Mode, requests: u32) -> BTreeMap<String, i64> {
    let folder = Folder::new();
    let output = folder.join("callgrind.out");
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/site");
    let mut command = Command::new("valgrind");
    command
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", output.display()))
        .arg(troupe().get_program())
        .args(["php-server", "--listen", "127.0.0.1:0", "--admin", "off"])
        .args(["--threads", "1", "--root"])
        .arg(&site)
        .env("TROUPE_SERVER_IO_THREADS", "1");
    if mode == Mode::Worker {
        command.arg(format!("--worker={},1", site.join("index.php").display()));
    }
    let server = Server::spawn(command, Folder::new());
    let mut client = Client::connect(server.address());
    let request = Request::get("/index.php?work=hello");
    for _ in 0..requests {
        client.request(&request).expect(200);
    }
    drop(client);
    server.stop();
    read(&fs::read_to_string(output).unwrap())
}

/// Reads callgrind's format: a line `fn=` names the function whose costs follow, a cost after a line
/// `calls=` is what the called function took. Names are written once and then go by number.
fn read(text: &str) -> BTreeMap<String, i64> {
    let mut names = BTreeMap::new();
    let mut counts = BTreeMap::new();
    let mut function = String::new();
    let mut is_of_call = false;
    for line in text.lines() {
        if let Some(name) = line
            .strip_prefix("fn=")
            .or_else(|| line.strip_prefix("cfn="))
        {
            let (number, name) = name.split_once(' ').unwrap_or((name, ""));
            if !name.is_empty() {
                names.insert(number.to_owned(), name.to_owned());
            }
            if line.starts_with("fn=") {
                function = names.get(number).cloned().unwrap_or_default();
            }
        } else if line.starts_with("calls=") {
            is_of_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
            && !std::mem::take(&mut is_of_call)
        {
            let cost = line.split(' ').nth(1);
            let cost = cost.and_then(|cost| cost.parse::<i64>().ok());
            *counts.entry(function.clone()).or_default() += cost.unwrap_or(0);
        }
    }
    counts
}

#[test]
fn costs_go_to_the_function_that_has_them() {
    let text =
        "fn=(1) first\n10 5\n+2 1\ncfn=(2) second\ncalls=3 20\n+1 100\n* 4\nfn=(2)\n20 90\n-1 10\n";
    let expected = [("first".to_owned(), 10), ("second".to_owned(), 100)];
    assert_eq!(read(text), BTreeMap::from(expected));
}
