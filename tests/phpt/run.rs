//! Runs tests through servers, many at once.
//!
//! ```text
//! lane ─► a group of equal settings ─► its server ─► passes over its tests ─► THREADS senders
//! ```
//!
//! A server that dies is started again, so that one test does not take the others with it; those it
//! was running then are run once more, one by one, to find the one that kills it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::http::{self, Request, Response};
use crate::plan::{Settings, Test};
use crate::server::{Server, Site, THREADS};

/// How one test went in one pass.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// The test itself says why it can't run.
    Skipped(String),
    /// What went wrong, in a line.
    Failed(String),
}

#[derive(Debug)]
pub struct Verdict {
    pub name: String,
    pub pass: &'static str,
    pub outcome: Outcome,
    pub took: Duration,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    pub verdicts: Vec<Verdict>,
    /// Servers that did not start, died, or did not stop well.
    pub troubles: Vec<String>,
    pub servers: usize,
}

/// Runs all of `tests` once in each of `passes`, each pass in the servers of the one before.
pub fn run(site: &Site, tests: &[&Test], passes: &[&'static str], details: &Path) -> Report {
    let mut groups: BTreeMap<&Settings, Vec<&Test>> = BTreeMap::new();
    for test in tests {
        groups.entry(&test.settings).or_default().push(test);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, tests)| std::cmp::Reverse(tests.len()));

    let lanes = std::thread::available_parallelism().map_or(2, usize::from);
    let next = AtomicUsize::new(0);
    let report = Mutex::new(Report::default());
    let conflicts = Conflicts::new(tests);
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((settings, tests)) = groups.get(index) else {
                        return;
                    };
                    let group = Group {
                        site,
                        settings,
                        number: index,
                        conflicts: &conflicts,
                        process: RwLock::new(()),
                        details,
                        server: Mutex::new(None),
                        report: &report,
                    };
                    group.run(tests, passes);
                }
            });
        }
    });
    report.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What tests of all groups must not use at the same time.
struct Conflicts<'a> {
    everything: RwLock<()>,
    keys: BTreeMap<&'a str, Mutex<()>>,
}

impl<'a> Conflicts<'a> {
    fn new(tests: &[&'a Test]) -> Self {
        let keys: BTreeSet<&str> = tests
            .iter()
            .flat_map(|test| test.conflicts.iter().map(String::as_str))
            .collect();
        Self {
            everything: RwLock::new(()),
            keys: keys.into_iter().map(|key| (key, Mutex::new(()))).collect(),
        }
    }
}

/// Tests of equal settings, and their server.
struct Group<'a> {
    site: &'a Site,
    settings: &'a Settings,
    number: usize,
    conflicts: &'a Conflicts<'a>,
    /// Held alone by a test that changes the whole process.
    process: RwLock<()>,
    details: &'a Path,
    server: Mutex<Option<Server>>,
    report: &'a Mutex<Report>,
}

/// The server did not answer; its death, when it was one, has been noted.
struct Unanswered(String);

impl Group<'_> {
    fn run(&self, tests: &[&Test], passes: &[&'static str]) {
        for (index, pass) in passes.iter().enumerate() {
            let mut tests = tests.to_vec();
            if index % 2 == 1 {
                // Every test gets other neighbours.
                tests.reverse();
            }
            let next = AtomicUsize::new(0);
            let unanswered = Mutex::new(Vec::new());
            std::thread::scope(|scope| {
                for _ in 0..THREADS.min(tests.len()) {
                    scope.spawn(|| {
                        while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                            let begun = Instant::now();
                            match self.test(test, pass) {
                                Ok(outcome) => self.verdict(test, pass, outcome, begun),
                                Err(_) => lock(&unanswered).push(*test),
                            }
                        }
                    });
                }
            });
            let unanswered = unanswered
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner);
            for test in unanswered {
                let begun = Instant::now();
                let outcome = self.test(test, pass);
                let outcome = outcome.unwrap_or_else(|Unanswered(why)| Outcome::Failed(why));
                self.verdict(test, pass, outcome, begun);
            }
        }
        if let Some(server) = lock(&self.server).take()
            && let Err(trouble) = server.stop()
        {
            lock(self.report)
                .troubles
                .push(format!("{trouble} ({:?})", self.settings));
        }
    }

    fn verdict(&self, test: &Test, pass: &'static str, outcome: Outcome, begun: Instant) {
        lock(self.report).verdicts.push(Verdict {
            name: test.name.clone(),
            pass,
            outcome,
            took: begun.elapsed(),
        });
    }

    /// One test with what belongs to it: may it run, itself, its cleaning up.
    fn test(&self, test: &Test, pass: &str) -> Result<Outcome, Unanswered> {
        let wants_all = test.conflicts.contains("all");
        let everything = &self.conflicts.everything;
        let _alone = wants_all.then(|| everything.write());
        let _among_others = (!wants_all).then(|| everything.read());
        let _alone_in_process = test.is_exclusive.then(|| self.process.write());
        let _with_others = (!test.is_exclusive).then(|| self.process.read());
        // In one order everywhere.
        let keys = test
            .conflicts
            .iter()
            .filter_map(|key| self.conflicts.keys.get(key.as_str()));
        let _keys: Vec<MutexGuard<'_, ()>> = keys.map(lock).collect();

        let script = |extension: &str| Request {
            method: "GET".into(),
            target: match test.request.target.split_once('?') {
                Some((path, _)) => path.replace(".php", extension),
                None => test.request.target.replace(".php", extension),
            },
            ..Request::default()
        };
        let mut is_xfail = test.is_xfail;
        if test.has_skipif {
            let answer = self.send(&script(".skip.php"), test)?;
            let said = String::from_utf8_lossy(&answer.body).trim().to_owned();
            let word = said.to_lowercase();
            if word.starts_with("skip") {
                let reason = said[4..].trim_start_matches([':', ' ', '-']);
                return Ok(Outcome::Skipped(reason.to_owned()));
            }
            is_xfail |= word.starts_with("xfail");
            let is_note = ["xfail", "info", "warn", "flaky", "nocache"]
                .iter()
                .any(|note| word.starts_with(note));
            if !said.is_empty() && !is_note {
                self.write_details(test, pass, &answer);
                return Ok(Outcome::Failed(format!("its SKIPIF fails: {said}")));
            }
        }
        let answer = self.send(&test.request, test)?;
        let failure = self.compare(test, &answer);
        if test.has_clean {
            // Its output does not matter, the server's health does.
            self.send(&script(".clean.php"), test)?;
        }
        match failure {
            Some(why) if !is_xfail => {
                self.write_details(test, pass, &answer);
                Ok(Outcome::Failed(why))
            }
            _ => Ok(Outcome::Passed),
        }
    }

    fn compare(&self, test: &Test, answer: &Response) -> Option<String> {
        for (name, value) in &test.expect_headers {
            let is_there = match name.as_str() {
                "status" => value
                    .split(' ')
                    .next()
                    .is_some_and(|code| code == answer.status.to_string()),
                _ => answer
                    .headers
                    .iter()
                    .any(|(its_name, its_value)| its_name == name && its_value == value),
            };
            if !is_there {
                return Some(format!("the header {name}: {value} is missing"));
            }
        }
        match test.expect.is_met_by(&answer.body) {
            true => None,
            false => Some("the output is another one".into()),
        }
    }

    fn send(&self, request: &Request, test: &Test) -> Result<Response, Unanswered> {
        let address = self.address().map_err(Unanswered)?;
        http::send(address, request).map_err(|error| self.unanswered(test, &error))
    }

    /// Of the running server; starts one when none runs.
    fn address(&self) -> Result<SocketAddr, String> {
        let mut server = lock(&self.server);
        if let Some(running) = server.as_mut()
            && running.death().is_none()
        {
            return Ok(running.address);
        }
        let number = {
            let mut report = lock(self.report);
            report.servers += 1;
            report.servers
        };
        let started = Server::start(self.site, self.settings, number)?;
        let address = started.address;
        *server = Some(started);
        Ok(address)
    }

    fn unanswered(&self, test: &Test, error: &io::Error) -> Unanswered {
        // The process may need a moment to be dead after its sockets are.
        std::thread::sleep(Duration::from_millis(100));
        let mut server = lock(&self.server);
        let death = server.as_mut().and_then(Server::death);
        match death {
            Some(status) => {
                *server = None;
                let what = format!("the server died ({status}), {} was running", test.name);
                lock(self.report).troubles.push(what.clone());
                Unanswered(what)
            }
            None => Unanswered(format!("no answer: {error}")),
        }
    }

    /// A failing test's output beside what it should be.
    fn write_details(&self, test: &Test, pass: &str, answer: &Response) {
        let mut head = format!("HTTP {}\n", answer.status);
        for (name, value) in &answer.headers {
            let _ = writeln!(head, "{name}: {value}");
        }
        let _ = writeln!(
            head,
            "settings of group {}: {:?}",
            self.number, self.settings
        );
        let text = [
            head.as_bytes(),
            b"\n---- expected\n",
            test.expect.shown(),
            b"\n---- got\n",
            &answer.body,
            b"\n",
        ]
        .concat();
        let file = self.details.join(pass).join(format!("{}.txt", test.name));
        if let Some(folder) = file.parent() {
            // Losing the details loses no failure.
            let _ = fs::create_dir_all(folder);
            let _ = fs::write(file, text);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
