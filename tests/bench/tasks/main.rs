//! `tests/bench/run-tasks`: round trips of tasks beside the cheapest that a PHP team has instead: lists of
//! Redis, and HTTP requests to a second pool. One machine, one run, in turns.
//!
//! The time is measured where it counts, in the PHP scripts that send (`site/`, `redis.php`); this program starts
//! everything, asks the senders at once and does the sums.

#![forbid(unsafe_code)]

mod sums;
mod world;

use std::error::Error;
use std::process::ExitCode;

use crate::sums::{Burst, median};
use crate::world::{VARS, World};

/// How a round trip goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// send, receive, one update, read, close
    Tasks,
    /// RPUSH, BLPOP and back
    Redis,
    /// a request on a kept connection
    Http,
}

impl Way {
    const ALL: [Self; 3] = [Self::Tasks, Self::Redis, Self::Http];

    fn name(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Redis => "Redis lists",
            Self::Http => "HTTP to a second pool",
        }
    }
}

/// Senders and the pool that serves them.
const CELLS: [(usize, usize); 4] = [(1, 1), (1, 4), (16, 1), (16, 4)];

/// Bytes each way.
const SIZES: [(&str, usize); 3] = [
    ("1 KB", 1 << 10),
    ("100 KB", 100 << 10),
    ("10 MB", 10 << 20),
];

/// Bursts of each way in each cell, in turns.
const ROUNDS: usize = 3;
const SECONDS: f64 = 1.0;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("troupe-bench-tasks: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut world = World::start(&troupe_tests::binary())?;

    println!("| round trips, 64 bytes | senders | pool | a second | p50 us | p99 us | of Redis |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (senders, pool) in CELLS {
        table(&mut world, senders, pool, 64)?;
    }
    println!();
    println!("| round trips by size | senders | pool | a second | p50 us | p99 us | of Redis |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (name, size) in SIZES {
        println!("| **{name}** | | | | | | |");
        table(&mut world, 1, 4, size)?;
    }
    println!();
    updates(&mut world)?;
    println!();
    vars(&world)?;
    world.check()
}

/// One cell: every way in turns.
fn table(
    world: &mut World,
    senders: usize,
    pool: usize,
    size: usize,
) -> Result<(), Box<dyn Error>> {
    let mut bursts: [Vec<Burst>; 3] = Default::default();
    world.redis_workers(pool)?;
    for _ in 0..ROUNDS {
        for (way, bursts) in Way::ALL.into_iter().zip(&mut bursts) {
            bursts.push(world.burst(way, senders, pool, size, SECONDS)?);
        }
    }
    let rate = |bursts: &[Burst]| median(bursts.iter().map(Burst::a_second));
    let redis = rate(&bursts[1]);
    for (way, bursts) in Way::ALL.into_iter().zip(&bursts) {
        println!(
            "| {} | {senders} | {pool} | {:.0} | {:.0} | {:.0} | {:.2} |",
            way.name(),
            rate(bursts),
            median(bursts.iter().map(|burst| burst.percentile(50.0))),
            median(bursts.iter().map(|burst| burst.percentile(99.0))),
            rate(bursts) / redis,
        );
    }
    Ok(())
}

/// Reading what a background worker has published, again and again.
fn vars(world: &World) -> Result<(), Box<dyn Error>> {
    println!("| reading published vars, ns | 100 B | 1 MB | ratio |");
    println!("| --- | --- | --- | --- |");
    for (mode, script) in [("classic", "read.php"), ("worker", "read-worker.php")] {
        let [small, large] = VARS.map(|(name, size)| {
            let reads = (0..ROUNDS).map(|_| world.read_vars(script, name, size));
            reads.collect::<Result<Vec<_>, _>>()
        });
        let (small, large) = (median(small?.into_iter()), median(large?.into_iter()));
        println!(
            "| {mode} | {small:.0} | {large:.0} | {:.2} |",
            large / small
        );
    }
    Ok(())
}

/// Updates on one stream, whose reader keeps up, and what processors spend on each.
fn updates(world: &mut World) -> Result<(), Box<dyn Error>> {
    const EACH: usize = 10_000;
    let mut rates = Vec::new();
    let mut costs = Vec::new();
    for _ in 0..ROUNDS {
        let before = world.cpu_seconds()?;
        let burst = world.updates(EACH, SECONDS)?;
        let spent = world.cpu_seconds()? - before;
        // One trip goes before those that are timed.
        let sent = (burst.trips + 1) as f64 * EACH as f64;
        rates.push(burst.a_second() * EACH as f64);
        costs.push(spent / sent * 1e6);
    }
    println!(
        "Updates on one stream: {:.0} a second, {:.2} us of processor time each, both PHP loops included.",
        median(rates.into_iter()),
        median(costs.into_iter())
    );
    Ok(())
}
