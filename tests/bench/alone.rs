//! What a server needs for itself: how long it takes to start, its memory, what it asks of the kernel, what
//! connections cost that ask nothing. Each server runs alone, started for this.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use crate::load::Load;
use crate::measure::Effort;
use crate::processes;
use crate::servers::{Contestant, Launcher, Server, Setup};
use crate::stats::median;
use crate::work::Work;

/// Open connections that ask nothing any more.
const IDLE: usize = 10_000;
/// Clients that ask meanwhile, and where nothing else is said.
const ASKING: usize = 64;

pub struct Alone {
    pub setup: Setup,
    /// From the launch to the first right answer.
    pub start: Duration,
    /// KiB: of all processes, each at its most.
    pub peak_memory: u64,
    /// KiB: after work, with what is shared counted once.
    pub memory: u64,
    /// KiB: what one more PHP thread or process needs.
    pub memory_of_thread: Option<f64>,
    /// Of a request.
    pub switches: f64,
    /// Of a request; nothing where perf can't count.
    pub calls: Option<f64>,
    pub idle: Idle,
}

/// With idle connections, and without.
pub struct Idle {
    pub connections: usize,
    /// KiB, of one of them.
    pub memory: f64,
    pub rate_without: f64,
    pub rate_with: f64,
}

/// One of a series of servers that differ in one thing.
pub struct Step {
    /// That are declared.
    pub sites: usize,
    pub connections: usize,
    pub setup: Setup,
    /// From the launch to the first right answer.
    pub start: Duration,
    /// Requests a second.
    pub rate: f64,
    /// Processor time of a request in microseconds.
    pub cost: f64,
    /// KiB.
    pub memory: u64,
}

pub fn look(
    launcher: &Launcher,
    setup: Setup,
    hello: &Work,
    effort: Effort,
) -> Result<Alone, Box<dyn Error>> {
    let starts = if effort.is_quick { 1 } else { 5 };
    let mut times = Vec::new();
    for _ in 0..starts {
        let begun = Instant::now();
        let server = launcher.launch(setup)?;
        server.wait_for(&hello.exchanges)?;
        times.push(begun.elapsed().as_secs_f64());
    }

    let server = launcher.launch(setup)?;
    server.wait_for(&hello.exchanges)?;
    let mut load = Load::connect(server.address, ASKING, false)?;
    load.burst(&hello.exchanges, effort.alone / 2)?;
    // By now all of them have been started.
    let pids = server.processes();
    let switches_before = processes::context_switches(&pids);
    let burst = load.burst(&hello.exchanges, effort.alone)?;
    let switches = processes::context_switches(&pids).saturating_sub(switches_before);
    let peak_memory = processes::peak_memory(&pids);
    let memory = processes::memory(&pids);
    let (counted, calls) =
        processes::system_calls(&pids, || load.burst(&hello.exchanges, effort.alone));
    let counted = counted?;

    let connections = if effort.is_quick { IDLE / 10 } else { IDLE };
    let before = processes::memory(&pids);
    let without = load.burst(&hello.exchanges, effort.alone)?;
    let idle = idle(&server.address, connections, hello)?;
    let memory_with = processes::memory(&pids);
    let rate_with = load.burst(&hello.exchanges, effort.alone)?.rate();
    // Once more without: the machine may have changed its pace. What the server does about the ends does not count.
    drop(idle);
    load.burst(&hello.exchanges, effort.alone / 2)?;
    let again = load.burst(&hello.exchanges, effort.alone)?;
    drop(server);

    Ok(Alone {
        setup,
        start: Duration::from_secs_f64(median(&times)),
        peak_memory,
        memory,
        memory_of_thread: memory_of_thread(launcher, setup, hello, effort)?,
        switches: switches as f64 / burst.requests as f64,
        calls: calls.map(|calls| calls as f64 / counted.requests as f64),
        idle: Idle {
            connections,
            memory: memory_with.saturating_sub(before) as f64 / connections as f64,
            rate_without: (without.rate() + again.rate()) / 2.0,
            rate_with,
        },
    })
}

/// Connections that have had an answer each. A few at a time, since a server may send away what is too much at once.
fn idle(address: &std::net::SocketAddr, count: usize, hello: &Work) -> io::Result<Vec<Load>> {
    (0..count / 50)
        .map(|_| {
            let mut load = Load::connect(*address, 50, false)?;
            load.once(&hello.exchanges)?;
            Ok(load)
        })
        .collect()
}

/// By the difference between few and many of them.
fn memory_of_thread(
    launcher: &Launcher,
    setup: Setup,
    hello: &Work,
    effort: Effort,
) -> Result<Option<f64>, Box<dyn Error>> {
    if matches!(setup.contestant, Contestant::Bare | Contestant::Other(_)) {
        return Ok(None);
    }
    let [few, many] = [1, 64];
    let with = |php| {
        let launch = || launcher.launch(Setup { php, ..setup });
        measured(launch, 1, ASKING, hello, effort)
    };
    let more = with(many)?.memory.saturating_sub(with(few)?.memory);
    Ok(Some(more as f64 / (many - few) as f64))
}

/// A server of its own for one figure.
fn measured(
    launch: impl FnOnce() -> io::Result<Server>,
    sites: usize,
    connections: usize,
    hello: &Work,
    effort: Effort,
) -> Result<Step, Box<dyn Error>> {
    let begun = Instant::now();
    let server = launch()?;
    server.wait_for(&hello.exchanges)?;
    let start = begun.elapsed();
    let mut load = Load::connect(server.address, connections, false)?;
    load.burst(&hello.exchanges, effort.alone / 2)?;
    let pids = server.processes();
    let before = processes::cpu_time(&pids);
    let burst = load.burst(&hello.exchanges, effort.alone)?;
    let cost = processes::cpu_time(&pids).saturating_sub(before);
    Ok(Step {
        sites,
        connections,
        setup: server.setup,
        start,
        rate: burst.rate(),
        cost: cost.as_secs_f64() * 1e6 / burst.requests as f64,
        memory: processes::memory(&pids),
    })
}

/// From one connection to ten thousand, from one PHP thread to 64, from one site to a thousand.
pub fn scale(
    launcher: &Launcher,
    best: Setup,
    hello: &Work,
    effort: Effort,
) -> Result<Vec<Step>, Box<dyn Error>> {
    let connections = [1, 16, 64, 256, 1000, 10_000];
    let by_connections = connections.map(|connections| (connections, best, 1));
    let by_threads = [1, 4, 16, 64].map(|php| (ASKING, Setup { php, ..best }, 1));
    let by_sites = [1, 1000].map(|sites| (ASKING, best, sites));
    let all = by_connections.into_iter().chain(by_threads).chain(by_sites);
    let ours = all.map(|(connections, setup, sites)| {
        let launch = || launcher.launch_with_sites(setup, sites);
        measured(launch, sites, connections, hello, effort)
    });
    // What of it is due to the connections themselves.
    let bare = connections.map(|connections| {
        let setup = Setup {
            contestant: Contestant::Bare,
            network: best.network,
            php: 0,
        };
        measured(|| launcher.launch(setup), 1, connections, hello, effort)
    });
    ours.chain(bare).collect()
}
