//! PHP's own tests, run through the server over HTTP.
//!
//! | file | holds |
//! | --- | --- |
//! | `folders.txt` | which of PHP's tests |
//! | `known.txt` | which of them fail or are left out, and why |
//! | `section`, `expect` | the format of a `.phpt` |
//! | `plan` | which tests a web server can run, with which settings |
//! | `server`, `http`, `run` | a server for every set of settings; requests; many tests at once |
//!
//! A test's INI settings are given to a server of its own, which all tests with equal settings share, so
//! that settings of the whole system can be tested as well. All tests run twice in the same servers, the
//! second time in reverse, so that what one leaves behind is found by another; and all of that once
//! without OPcache and once with it.
//!
//! Environment of a run by hand:
//!
//! - `TROUPE_BIN`: the binary; without it, the one built beside this test
//! - `TROUPE_PHPT`: PHP's source tree, or the `phpt` folder that `php-src-build/build.sh --tests` keeps
//! - `TROUPE_PHPT_ONLY`: only tests whose name contains this, or `@FILE` for those that a file names
//! - `TROUPE_PHPT_PASS`: only passes (plain1, plain2, opcache1, opcache2) whose name contains this
//! - `TROUPE_PHPT_WITH=builtin`: run them through PHP's own web server instead, to compare

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

mod expect;
mod http;
mod known;
mod plan;
mod run;
mod section;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::known::Known;
use crate::plan::{Plan, Test};
use crate::run::{Outcome, Report};
use crate::server::{Program, Site};

const FOLDERS: &str = include_str!("folders.txt");
const KNOWN: &str = include_str!("known.txt");

/// Name, with OPcache?, its two passes.
const PHASES: [(&str, bool, [&str; 2]); 2] = [
    ("plain", false, ["plain1", "plain2"]),
    ("opcache", true, ["opcache1", "opcache2"]),
];

#[test]
fn phps_own_tests_pass_through_the_server() {
    let begun = Instant::now();
    let binary = troupe_tests::binary();
    let (php, extensions) = php_of(&binary);
    let source = source(&php);
    let only = std::env::var("TROUPE_PHPT_ONLY").unwrap_or_default();
    let chosen: Option<BTreeSet<String>> = only.strip_prefix('@').map(|file| {
        let names = fs::read_to_string(file).unwrap();
        names.lines().map(str::to_owned).collect()
    });
    let is_chosen = |name: &str| match &chosen {
        Some(names) => names.contains(name),
        None => name.contains(&only),
    };
    let only_pass = std::env::var("TROUPE_PHPT_PASS").unwrap_or_default();
    let is_whole = only.is_empty() && only_pass.is_empty();
    let program = match std::env::var("TROUPE_PHPT_WITH").as_deref() {
        Ok("builtin") => Program::Builtin,
        _ => Program::Troupe(binary),
    };
    let known = Known::parse(KNOWN).unwrap();
    let folders: Vec<_> = FOLDERS
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();

    // A short path: some tests put sockets beside themselves.
    let work = std::env::temp_dir().join(format!("troupe-phpt-{}", std::process::id()));
    let details = Path::new(env!("CARGO_TARGET_TMPDIR")).join("phpt");
    let _ = fs::remove_dir_all(&details);
    fs::create_dir_all(&details).unwrap();

    let root = work.join("root");
    fs::create_dir_all(&root).unwrap();
    let mut plan = plan::plan(&source, &folders, &root, &extensions).unwrap();
    omit(&mut plan, &known);
    for test in &mut plan.tests {
        let clashes = known.clashes(&test.name).map(str::to_owned);
        test.conflicts.extend(clashes);
    }
    say(&format!("phpt: planned in {:.0?}", begun.elapsed()));
    let mut reports = Vec::new();
    for (name, opcache, passes) in PHASES {
        let site = Site {
            program: program.clone(),
            php: php.clone(),
            root: root.clone(),
            logs: details.join(name),
            ini: work.join(format!("{name}.ini")),
            opcache,
        };
        fs::create_dir_all(&site.logs).unwrap();
        let extension = if opcache {
            "zend_extension=opcache\n"
        } else {
            ""
        };
        fs::write(&site.ini, extension).unwrap();
        let tests: Vec<&Test> = plan
            .tests
            .iter()
            .filter(|test| is_chosen(&test.name) && (opcache || !test.needs_opcache))
            .collect();
        let passes: Vec<_> = passes
            .into_iter()
            .filter(|pass| pass.contains(&only_pass))
            .collect();
        let report = run::run(&site, &tests, &passes, &details);
        say(&format!(
            "phpt: {name}: {} tests, {} servers, {:.0?} since the start",
            tests.len(),
            report.servers,
            begun.elapsed()
        ));
        reports.push(report);
    }
    let _ = fs::remove_dir_all(&work);

    let judged = judge(&plan, &reports, &known, is_whole);
    fs::write(details.join("report.txt"), &judged.text).unwrap();
    say(&format!(
        "{}phpt: the whole report: {}/report.txt",
        judged.summary,
        details.display()
    ));
    assert!(judged.faults.is_empty(), "\n{}", judged.faults.join("\n"));
}

/// Takes out the tests that known.txt says are not to be run.
fn omit(plan: &mut Plan, known: &Known) {
    let mut omitted = Vec::new();
    plan.tests.retain(|test| match known.omits(&test.name) {
        Some(reason) => {
            omitted.push((test.name.clone(), format!("known.txt: {reason}")));
            false
        }
        None => true,
    });
    plan.not_run.append(&mut omitted);
}

/// Past the test harness, which keeps the output of a test that passes.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
}

/// The `php` that belongs to the binary, and the extensions of both.
fn php_of(binary: &Path) -> (PathBuf, BTreeSet<String>) {
    let code = "echo implode(PHP_EOL, [PHP_BINDIR.'/php', ...get_loaded_extensions()]);";
    let output = Command::new(binary)
        .args(["php-cli", "-n", "-r", code])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let php = PathBuf::from(lines.next().unwrap());
    (php, lines.map(str::to_lowercase).collect())
}

fn source(php: &Path) -> PathBuf {
    let source = match std::env::var_os("TROUPE_PHPT") {
        Some(path) => PathBuf::from(path),
        None => php.ancestors().nth(2).unwrap().join("phpt"),
    };
    assert!(
        source.join("Zend/tests").exists(),
        "PHP's tests are not at {}: run php-src-build/build.sh --tests, or set TROUPE_PHPT",
        source.display()
    );
    source
}

struct Judged {
    summary: String,
    text: String,
    /// What makes the run fail.
    faults: Vec<String>,
}

fn judge(plan: &Plan, reports: &[Report], known: &Known, is_whole: bool) -> Judged {
    let mut faults = Vec::new();
    let mut failures = Vec::new();
    let mut skipped: BTreeMap<&str, &str> = BTreeMap::new();
    let mut ran: BTreeSet<&str> = BTreeSet::new();
    let mut failed: BTreeSet<&str> = BTreeSet::new();
    let (mut runs, mut passed) = (0, 0);
    for verdict in reports.iter().flat_map(|report| &report.verdicts) {
        let (name, pass) = (verdict.name.as_str(), verdict.pass);
        let is_listed = known.fails(name, pass);
        match &verdict.outcome {
            Outcome::Skipped(reason) => {
                skipped.insert(name, reason);
                continue;
            }
            Outcome::Passed => {
                passed += 1;
                if is_listed {
                    faults.push(format!("{name} ({pass}): passes, but known.txt lists it"));
                }
            }
            Outcome::Failed(why) => {
                failed.insert(name);
                failures.push(format!("{name} ({pass}): {why}"));
                if !is_listed {
                    faults.push(format!("{name} ({pass}): {why}"));
                }
            }
        }
        runs += 1;
        ran.insert(name);
    }
    if is_whole {
        for name in known.names().filter(|name| !ran.contains(name)) {
            faults.push(format!("{name}: known.txt lists it, but it did not run"));
        }
    }
    for trouble in reports.iter().flat_map(|report| &report.troubles) {
        faults.push(trouble.clone());
    }
    skipped.retain(|name, _| !ran.contains(name));
    faults.sort();
    failures.sort();

    let mut summary = String::new();
    let _ = writeln!(
        summary,
        "phpt: {} tests ran {runs} times and passed {passed} times; {} fail at least once, {} skip themselves, {} can't be run",
        ran.len(),
        failed.len(),
        skipped.len(),
        plan.not_run.len(),
    );
    let mut text = summary.clone();
    text.push_str("\nfailures, known ones included\n");
    for failure in &failures {
        let _ = writeln!(text, "  {failure}");
    }
    text.push_str("\nthe slowest\n");
    let mut verdicts: Vec<_> = reports.iter().flat_map(|report| &report.verdicts).collect();
    verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.took));
    for verdict in verdicts.iter().take(40) {
        let _ = writeln!(
            text,
            "  {:.1?} {} ({})",
            verdict.took, verdict.name, verdict.pass
        );
    }
    text.push_str("\nnot run\n");
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let not_run = plan.not_run.iter().map(|(n, r)| (n.as_str(), r.as_str()));
    for (name, reason) in not_run.chain(skipped) {
        by_reason.entry(reason).or_default().push(name);
    }
    for (reason, names) in by_reason {
        let _ = writeln!(text, "  {reason}: {}", names.len());
        for name in names {
            let _ = writeln!(text, "    {name}");
        }
    }
    Judged {
        summary,
        text,
        faults,
    }
}
