//! One cell of the tables: a kind of work at a number of connections.
//!
//! Each contestant is first measured briefly with each of its setups, and the best one goes on. Then come
//! blocks of bursts: all contestants in a random order, and in the reverse of that (ABBA), so that what
//! drifts in the machine falls on all of them alike. A block gives one ratio for every pair.

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use crate::load::Load;
use crate::servers::{Contestant, Servers, Variant};
use crate::stats::{Estimate, estimate, median};
use crate::takes_part;
use crate::work::Work;

/// How much is measured.
pub struct Effort {
    pub connections: &'static [usize],
    blocks: usize,
    burst: Duration,
    sweep: Duration,
}

impl Effort {
    pub const FULL: Self = Self {
        connections: &[1, 16, 64],
        blocks: 9,
        burst: Duration::from_millis(150),
        sweep: Duration::from_millis(100),
    };
    pub const QUICK: Self = Self {
        connections: &[1, 16, 64],
        blocks: 4,
        burst: Duration::from_millis(80),
        sweep: Duration::from_millis(40),
    };
}

const ALL: [Contestant; 5] = [
    Contestant::Classic,
    Contestant::Worker,
    Contestant::WorkerAgain,
    Contestant::Bare,
    Contestant::Fpm,
];

pub struct Cell {
    pub work: &'static str,
    pub connections: usize,
    pub rows: Vec<Row>,
}

/// One contestant in one cell.
pub struct Row {
    pub contestant: Contestant,
    pub setup: String,
    /// Of the variant, in `Servers`.
    variant: usize,
    /// Requests a second, one figure for each block.
    rates: Vec<f64>,
    /// Processor time of a request in microseconds, one figure for each block.
    costs: Vec<f64>,
}

impl Row {
    pub fn rate(&self) -> f64 {
        median(&self.rates)
    }

    pub fn cost(&self) -> f64 {
        median(&self.costs)
    }

    pub fn rate_of(&self, other: &Row) -> Estimate {
        estimate(&ratios(&self.rates, &other.rates))
    }

    pub fn cost_of(&self, other: &Row) -> Estimate {
        estimate(&ratios(&self.costs, &other.costs))
    }
}

fn ratios(these: &[f64], those: &[f64]) -> Vec<f64> {
    these.iter().zip(those).map(|(a, b)| a / b).collect()
}

impl Cell {
    pub fn row(&self, contestant: Contestant) -> Option<&Row> {
        self.rows.iter().find(|row| row.contestant == contestant)
    }

    pub fn in_a_line(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            format!(
                "{} {:.0}/s ({})",
                row.contestant.name(),
                row.rate(),
                row.setup
            )
        });
        let rows: Vec<_> = rows.collect();
        format!("{} c={}: {}", self.work, self.connections, rows.join(", "))
    }
}

type Failure = Box<dyn Error>;

pub fn cell(
    servers: &Servers,
    work: &Work,
    connections: usize,
    effort: &Effort,
) -> Result<Cell, Failure> {
    let mut rows: Vec<Row> = Vec::new();
    for contestant in ALL {
        if !takes_part(contestant, work) {
            continue;
        }
        let variant = match contestant {
            // With the setup of its twin, or they would not be twins.
            Contestant::WorkerAgain => {
                let setup = rows.iter().find(|row| row.contestant == Contestant::Worker);
                let setup = setup.map(|row| row.setup.clone()).unwrap_or_default();
                let twin =
                    |variant: &Variant| variant.contestant == contestant && variant.setup == setup;
                servers.variants.iter().position(twin)
            }
            _ => best(servers, contestant, work, connections, effort)?,
        };
        let variant = variant.ok_or_else(|| format!("{} has no setup", contestant.name()))?;
        rows.push(Row {
            contestant,
            setup: servers.variants[variant].setup.clone(),
            variant,
            rates: Vec::new(),
            costs: Vec::new(),
        });
    }

    let mut loads = rows
        .iter()
        .map(|row| Load::connect(servers.variants[row.variant].address, connections))
        .collect::<Result<Vec<_>, _>>()?;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    // The first block warms everything up.
    for block in 0..=effort.blocks {
        fastrand::shuffle(&mut order);
        let there_and_back: Vec<usize> = order.iter().chain(order.iter().rev()).copied().collect();
        let mut sums = vec![(0, Duration::ZERO, Duration::ZERO); rows.len()];
        for index in there_and_back {
            let variant = &servers.variants[rows[index].variant];
            let cpu_before = variant.cpu_time();
            let burst = loads[index]
                .burst(work.exchange(), effort.burst)
                .map_err(|error| of(variant, work, &error))?;
            let sum = &mut sums[index];
            sum.0 += burst.requests;
            sum.1 += burst.took;
            sum.2 += variant.cpu_time().saturating_sub(cpu_before);
        }
        if block == 0 {
            continue;
        }
        for (row, (requests, took, cpu)) in rows.iter_mut().zip(sums) {
            let requests = requests as f64;
            row.rates.push(requests / took.as_secs_f64());
            row.costs.push(cpu.as_secs_f64() * 1e6 / requests);
        }
    }
    Ok(Cell {
        work: work.name,
        connections,
        rows,
    })
}

/// The index of the setup with which `contestant` answers most requests.
fn best(
    servers: &Servers,
    contestant: Contestant,
    work: &Work,
    connections: usize,
    effort: &Effort,
) -> Result<Option<usize>, Failure> {
    let mut best = None;
    let variants = servers.variants.iter().enumerate();
    for (index, variant) in variants.filter(|(_, variant)| variant.contestant == contestant) {
        let mut load = Load::connect(variant.address, connections)?;
        let mut measure = |length| {
            load.burst(work.exchange(), length)
                .map_err(|error| of(variant, work, &error))
        };
        measure(effort.sweep / 2)?;
        let burst = measure(effort.sweep)?;
        let rate = burst.requests as f64 / burst.took.as_secs_f64();
        if best.is_none_or(|(_, best_rate)| rate > best_rate) {
            best = Some((index, rate));
        }
    }
    Ok(best.map(|(index, _)| index))
}

fn of(variant: &Variant, work: &Work, error: &std::io::Error) -> Failure {
    let name = variant.contestant.name();
    format!("{name} ({}), {}: {error}", variant.setup, work.name).into()
}

/// The ratio of two servers that are the same: 1, if the method is sound and the machine is quiet.
pub fn twins(cells: &[Cell]) -> Estimate {
    let mut all = Vec::new();
    for cell in cells {
        let pair = (
            cell.row(Contestant::WorkerAgain),
            cell.row(Contestant::Worker),
        );
        if let (Some(again), Some(worker)) = pair {
            all.extend(ratios(&again.rates, &worker.rates));
        }
    }
    estimate(&all)
}

/// Hello at 64 connections once more, by wrk: contestant and requests a second.
pub fn by_wrk(servers: &Servers, cells: &[Cell]) -> Result<Vec<(Contestant, f64)>, Failure> {
    let hello = cells
        .iter()
        .find(|cell| cell.work == "hello" && cell.connections == 64);
    let Some(hello) = hello else {
        return Ok(Vec::new());
    };
    let mut rates = Vec::new();
    for row in &hello.rows {
        let url = format!(
            "http://{}/index.php?work=hello",
            servers.variants[row.variant].address
        );
        let output = Command::new("wrk")
            .args(["-t1", "-c64", "-d2s", &url])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let rate = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("Requests/sec:"))
            .and_then(|rate| rate.trim().parse().ok())
            .ok_or_else(|| format!("wrk gives no rate: {text}"))?;
        if text.contains("Non-2xx") || text.contains("Socket errors") {
            return Err(format!("{}: wrong answers to wrk: {text}", row.contestant.name()).into());
        }
        rates.push((row.contestant, rate));
    }
    Ok(rates)
}
