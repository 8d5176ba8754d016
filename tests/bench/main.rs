//! `tests/bench/run`: Troupe beside a bare actix-web handler and nginx + php-fpm, on one machine in one run.
//!
//! | file | holds |
//! | --- | --- |
//! | `options` | the command line |
//! | `servers`, `configs` | who is compared, and how each is set up |
//! | `processes` | what a server's processes have used |
//! | `work`, `wordpress` | what they are asked to do |
//! | `load`, `connection` | who asks |
//! | `measure` | sweeps and alternating bursts |
//! | `latency` | answers at a fixed rate |
//! | `alone` | start-up, memory, system calls, idle connections |
//! | `stats` | medians and how sure they are |
//! | `report`, `tables` | docs/benchmarks.md |
//!
//! `tasks/` is a program of its own, whose tables go to the same page.

#![forbid(unsafe_code)]

mod alone;
mod configs;
mod connection;
mod latency;
mod load;
mod measure;
mod options;
mod processes;
mod report;
mod servers;
mod stats;
mod tables;
mod wordpress;
mod work;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use troupe_tests::Folder;

use crate::alone::{Alone, Step};
use crate::latency::Rate;
use crate::measure::{Cell, Effort};
use crate::options::Options;
use crate::report::Report;
use crate::servers::{Contestant, Launcher, Other};
use crate::wordpress::WordPress;
use crate::work::Work;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("troupe-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What has been measured.
#[derive(Default)]
struct Results {
    cells: Vec<Cell>,
    rates: Vec<Rate>,
    by_wrk: Vec<(Contestant, f64)>,
    alone: Vec<Alone>,
    scale: Vec<Step>,
    /// The tables of the other program.
    tasks: Option<String>,
}

type Failure = Box<dyn Error>;

fn run() -> Result<ExitCode, Failure> {
    let mut options = Options::read(std::env::args().skip(1))?;
    let effort = match options.is_quick {
        true => Effort::QUICK,
        false => Effort::FULL,
    };
    let begun = Instant::now();
    let load_before = report::load_average();
    if load_before > 0.5 {
        eprintln!("the machine is busy (load {load_before}): these figures say little");
    }
    allow_many_connections()?;
    let troupe = troupe_tests::binary();
    let fpm = fpm()?;
    let php = php_of(&troupe)?;
    let folder = Folder::new();
    let mut launcher = Launcher::new(&troupe, &fpm, &folder.join("site"), folder.path());
    let (before, binary) = options.before.take().unzip();
    launcher.before = binary;
    work::write_site(&launcher.site)?;
    let others = std::mem::take(&mut options.also);
    let contestants = contestants(launcher.before.is_some(), others);

    let mut works = work::all(&php)?;
    works.retain(|work| options.wants(work.name));
    let mut results = Results::default();
    if !works.is_empty() {
        let compare = Compare {
            launcher: &launcher,
            contestants: &contestants,
            effort,
            begun,
        };
        compare.all(&works, &mut results)?;
    }
    if options.wants("vars") {
        works.extend(with_vars(&launcher, effort, &mut results)?);
    }
    if options.wants("wordpress") {
        let work = on_wordpress(&php, &launcher, effort, &mut results)?;
        works.push(work);
    }
    let wants_tasks = options.only.is_some() || !options.is_quick;
    if options.wants("tasks") && wants_tasks {
        results.tasks = Some(tasks()?);
    }
    if works.is_empty() && results.tasks.is_none() {
        let only = options.only.unwrap_or_default();
        return Err(format!("no kind of work is called {only}").into());
    }

    let report = Report {
        results: &results,
        works: &works,
        launcher: &launcher,
        before,
        load_before,
        took: begun.elapsed(),
        versions: [
            first_line(&troupe, &["version"]),
            first_line(&fpm, &["-v"]),
            first_line(Path::new("nginx"), &["-v"]),
            first_line(Path::new("wrk"), &["-v"]),
        ],
    };
    let text = report.text();
    match &options.output {
        Some(file) => {
            std::fs::write(file, text)?;
            eprintln!("written: {}", file.display());
        }
        None => println!("{text}"),
    }
    match measure::twins(&results.cells) {
        Some(twins) if twins.low > 1.0 || twins.high < 1.0 => {
            eprintln!(
                "the same server twice comes out as {:.3} to {:.3}: this run is not to be trusted",
                twins.low, twins.high
            );
            Ok(ExitCode::FAILURE)
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// They are known as long as the program runs.
fn contestants(has_before: bool, others: Vec<Other>) -> Vec<Contestant> {
    let mut contestants = vec![
        Contestant::Classic,
        Contestant::Worker,
        Contestant::WorkerAgain,
        Contestant::Bare,
        Contestant::Fpm,
    ];
    contestants.extend(has_before.then_some(Contestant::Before));
    let other = |other| Contestant::Other(Box::leak(Box::new(other)));
    contestants.extend(others.into_iter().map(other));
    contestants
}

/// What all of them do.
struct Compare<'a> {
    launcher: &'a Launcher,
    contestants: &'a [Contestant],
    effort: Effort,
    begun: Instant,
}

impl Compare<'_> {
    fn all(&self, works: &[Work], results: &mut Results) -> Result<(), Failure> {
        for work in works {
            let effort = match work.name {
                "hello" => self.effort.for_hello(),
                _ => self.effort,
            };
            for connections in effort.connections(work) {
                let cell =
                    measure::cell(self.launcher, self.contestants, work, *connections, effort)?;
                self.say(&cell.in_a_line());
                results.cells.push(cell);
            }
        }
        let hello = works.iter().find(|work| work.name == "hello");
        let cell = |cell: &&Cell| cell.work == "hello" && cell.connections == 64;
        let Some((hello, cell)) = hello.zip(results.cells.iter().find(cell)) else {
            return Ok(());
        };
        self.say("hello at fixed rates");
        let servers = measure::again(self.launcher, cell, hello, self.effort)?;
        results.rates = latency::rates(&servers, hello, cell.slowest_rate(), self.effort)?;
        if !self.effort.is_quick {
            results.by_wrk = measure::by_wrk(&servers)?;
        }
        let setups = servers.iter().filter(|server| {
            // Those whose processes are ours.
            !server.setup.contestant.is_yardstick_of_worker() && !server.processes().is_empty()
        });
        let setups: Vec<_> = setups.map(|server| server.setup).collect();
        // What comes now runs alone.
        drop(servers);
        for setup in setups {
            self.say(&format!("{} alone", setup.contestant.name()));
            let alone = alone::look(self.launcher, setup, hello, self.effort)?;
            results.alone.push(alone);
            if setup.contestant == Contestant::Worker {
                results.scale = alone::scale(self.launcher, setup, hello, self.effort)?;
            }
        }
        Ok(())
    }

    fn say(&self, text: &str) {
        eprintln!("{:>4.0?} {text}", self.begun.elapsed());
    }
}

/// Troupe alone, with the background workers that publish them.
fn with_vars(
    launcher: &Launcher,
    effort: Effort,
    results: &mut Results,
) -> Result<Vec<Work>, Failure> {
    let folder = launcher.folder.join("with-vars");
    let mut launcher = Launcher::new(&launcher.troupe, &launcher.fpm, &launcher.site, &folder);
    let script = launcher.site.join("vars.php");
    let background = |name| format!("--background={name}={},1", script.display());
    launcher.arguments = ["small", "big"].map(background).to_vec();
    let contestants = [Contestant::Classic, Contestant::Worker];
    let works = work::vars();
    for work in &works {
        for connections in work.connections {
            let cell = measure::cell(&launcher, &contestants, work, *connections, effort)?;
            eprintln!("     {}", cell.in_a_line());
            results.cells.push(cell);
        }
    }
    Ok(works)
}

fn on_wordpress(
    php: &Path,
    launcher: &Launcher,
    effort: Effort,
    results: &mut Results,
) -> Result<Work, Failure> {
    let wordpress = WordPress::install(&launcher.folder, php)?;
    let folder = launcher.folder.join("on-wordpress");
    let launcher = Launcher::new(&launcher.troupe, &launcher.fpm, &wordpress.root, &folder);
    let page = wordpress.front_page(&launcher)?;
    let work = Work::wordpress(page);
    let contestants = [Contestant::Classic, Contestant::Fpm];
    for connections in work.connections {
        let effort = effort.for_slow_requests();
        let cell = measure::cell(&launcher, &contestants, &work, *connections, effort)?;
        eprintln!("     {}", cell.in_a_line());
        results.cells.push(cell);
    }
    Ok(work)
}

/// The tables of `troupe-bench-tasks`.
fn tasks() -> Result<String, Failure> {
    eprintln!("     tasks");
    let program = std::env::current_exe()?.with_file_name("troupe-bench-tasks");
    let output = Command::new(&program).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(format!("{}: {output:?}", program.display()).into()),
    }
}

/// Ours and those of the servers, which inherit the limit.
fn allow_many_connections() -> Result<(), Failure> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// The newest php-fpm that Debian's packages have put here.
fn fpm() -> Result<PathBuf, Box<dyn Error>> {
    let found = std::fs::read_dir("/usr/sbin")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("php-fpm"))
        })
        .max();
    found.ok_or_else(|| "there is no php-fpm in /usr/sbin".into())
}

fn php_of(troupe: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let output = Command::new(troupe)
        .args(["php-cli", "-n", "-r", "echo PHP_BINDIR;"])
        .output()?;
    Ok(Path::new(&String::from_utf8(output.stdout)?).join("php"))
}

/// What a program says of its version, on whichever stream.
fn first_line(program: &Path, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return format!("{} does not run", program.display());
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let count = if arguments == ["version"] { 2 } else { 1 };
    text.lines().take(count).collect::<Vec<_>>().join(", ")
}
