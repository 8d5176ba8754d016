//! `tests/bench/run`: Troupe beside a bare actix-web handler and nginx + php-fpm, on one machine in one run.
//!
//! | file | holds |
//! | --- | --- |
//! | `servers` | who is compared, how each is set up, the time it spends on processors |
//! | `work` | what they are asked to do |
//! | `load` | who asks |
//! | `measure` | sweeps and alternating bursts |
//! | `stats` | medians and how sure they are |
//! | `report` | docs/benchmarks.md |

#![forbid(unsafe_code)]

mod load;
mod measure;
mod report;
mod servers;
mod stats;
mod work;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::measure::{Cell, Effort};
use crate::report::Report;
use crate::servers::{Contestant, Servers};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("troupe-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    is_quick: bool,
    /// The only kind of work to measure.
    only: Option<String>,
    output: Option<PathBuf>,
}

impl Options {
    fn read() -> Result<Self, String> {
        let mut options = Self {
            is_quick: false,
            only: None,
            output: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.is_quick = true,
                "--only" => {
                    let name = arguments.next().ok_or("--only wants a kind of work")?;
                    options.only = Some(name);
                }
                "--output" => {
                    let file = arguments.next().ok_or("--output wants a file")?;
                    options.output = Some(file.into());
                }
                other => {
                    return Err(format!(
                        "unknown argument {other} (known: --quick, --only WORK, --output FILE)"
                    ));
                }
            }
        }
        if options.output.is_none() && !options.is_quick && options.only.is_none() {
            options.output = Some("docs/benchmarks.md".into());
        }
        Ok(options)
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::read()?;
    let effort = match options.is_quick {
        true => Effort::QUICK,
        false => Effort::FULL,
    };
    let begun = Instant::now();
    let load_before = report::load_average();
    if load_before > 0.5 {
        eprintln!("the machine is busy (load {load_before}): these figures say little");
    }
    let troupe = troupe()?;
    let fpm = fpm()?;
    let php = php_of(&troupe)?;
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/site");
    let mut works = work::all(&php)?;
    if let Some(only) = &options.only {
        works.retain(|work| work.name == only);
        if works.is_empty() {
            return Err(format!("no kind of work is called {only}").into());
        }
    }
    let servers = Servers::start(&troupe, &fpm, &site)?;

    let mut cells: Vec<Cell> = Vec::new();
    for work in &works {
        for connections in effort.connections {
            let cell = measure::cell(&servers, work, *connections, &effort)?;
            eprintln!("{:>4.0?} {}", begun.elapsed(), cell.in_a_line());
            cells.push(cell);
        }
    }
    let by_wrk = match options.is_quick {
        true => Vec::new(),
        false => measure::by_wrk(&servers, &cells)?,
    };
    let report = Report {
        cells: &cells,
        by_wrk: &by_wrk,
        works: &works,
        servers: &servers,
        site: &site,
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
    let twins = measure::twins(&cells);
    if twins.low > 1.0 || twins.high < 1.0 {
        eprintln!(
            "the same server twice comes out as {:.3} to {:.3}: this run is not to be trusted",
            twins.low, twins.high
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn troupe() -> Result<PathBuf, Box<dyn Error>> {
    if let Some(path) = std::env::var_os("TROUPE_BIN") {
        return Ok(path.into());
    }
    let binary = std::env::current_exe()?.with_file_name("troupe");
    match binary.exists() {
        true => Ok(binary),
        false => Err(format!("{} has not been built", binary.display()).into()),
    }
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

/// Whether a cell has figures for `contestant`.
fn takes_part(contestant: Contestant, work: &work::Work) -> bool {
    // The second worker is there to be compared with the first one.
    let is_twin = contestant == Contestant::WorkerAgain;
    work.is_for(contestant) && (!is_twin || work.name == "hello")
}
