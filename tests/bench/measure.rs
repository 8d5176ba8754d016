//! One cell of the tables: a kind of work at a number of connections.
//!
//! Each contestant is first measured with each of its setups, and the best one goes on. Then come
//! blocks of bursts: all contestants in a random order, and in the reverse of that (ABBA), so that what
//! drifts in the machine falls on all of them alike. A block gives one ratio for every pair.
//!
//! A server runs only while it takes part: one that does nothing costs its neighbours something all the same.

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use crate::connection::Exchange;
use crate::load::Load;
use crate::processes;
use crate::servers::{Contestant, Launcher, Server, Setup};
use crate::stats::{Estimate, estimate, median};
use crate::work::{self, Work};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub is_quick: bool,
    blocks: usize,
    /// What a burst is measured for.
    burst: Duration,
    /// What comes before one and does not count.
    lead: Duration,
    /// Of the first round of the search for the best setup.
    sweep: Duration,
    /// Of clients that ask at a fixed rate, each time.
    pub paced: Duration,
    pub paced_rounds: usize,
    /// Of servers that are looked at one by one.
    pub alone: Duration,
}

impl Effort {
    pub const FULL: Self = Self {
        is_quick: false,
        blocks: 7,
        burst: Duration::from_millis(150),
        lead: Duration::ZERO,
        sweep: Duration::from_millis(50),
        paced: Duration::from_secs(1),
        paced_rounds: 2,
        alone: Duration::from_millis(700),
    };
    pub const QUICK: Self = Self {
        is_quick: true,
        blocks: 3,
        burst: Duration::from_millis(60),
        lead: Duration::ZERO,
        sweep: Duration::from_millis(15),
        paced: Duration::from_millis(250),
        paced_rounds: 1,
        alone: Duration::from_millis(200),
    };

    /// For requests that take long.
    pub fn for_slow_requests(self) -> Self {
        Self {
            burst: self.burst * 6,
            sweep: self.sweep * 4,
            ..self
        }
    }

    /// For what is all about which thread runs where: the kernel takes a while to find out. A burst and its lead
    /// take a second, fewer of them make up for some of it.
    pub fn for_hello(self) -> Self {
        Self {
            blocks: self.blocks.min(5),
            burst: self.burst * 5,
            lead: self.burst * 5 / 3,
            sweep: self.sweep * 6,
            ..self
        }
    }

    /// Of the connection counts of a kind of work; one will do for a quick look at most of them.
    pub fn connections(self, work: &Work) -> &'static [usize] {
        let all = work.connections;
        match self.is_quick && work.name != "hello" {
            true => &all[all.len() - 1..],
            false => all,
        }
    }
}

pub struct Cell {
    pub work: &'static str,
    pub connections: usize,
    pub rows: Vec<Row>,
}

/// One contestant in one cell.
pub struct Row {
    pub setup: Setup,
    /// Requests a second, one figure for each block.
    rates: Vec<f64>,
    /// Processor time of a request in microseconds, one figure for each block.
    costs: Vec<f64>,
    /// Context switches of a request, one figure for each block.
    switches: Vec<f64>,
    /// The longest that any answer took.
    pub slowest: Duration,
}

impl Row {
    pub fn rate(&self) -> f64 {
        median(&self.rates)
    }

    pub fn cost(&self) -> f64 {
        median(&self.costs)
    }

    pub fn switches(&self) -> f64 {
        median(&self.switches)
    }

    /// Nothing when the cost of one of them is not known.
    pub fn cost_of(&self, other: &Row) -> Option<Estimate> {
        let is_known = self.cost() > 0.0 && other.cost() > 0.0;
        is_known.then(|| estimate(&ratios(&self.costs, &other.costs)))
    }

    pub fn rate_of(&self, other: &Row) -> Option<Estimate> {
        Some(estimate(&ratios(&self.rates, &other.rates)))
    }
}

fn ratios(these: &[f64], those: &[f64]) -> Vec<f64> {
    these.iter().zip(those).map(|(a, b)| a / b).collect()
}

impl Cell {
    pub fn row(&self, contestant: Contestant) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.setup.contestant == contestant)
    }

    /// Requests a second of the slowest one, but for those that are there only to be compared with.
    pub fn slowest_rate(&self) -> f64 {
        let rows = self.rows.iter();
        let rows = rows.filter(|row| !row.setup.contestant.is_yardstick_of_worker());
        rows.map(Row::rate).fold(f64::MAX, f64::min)
    }

    pub fn in_a_line(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            format!(
                "{} {:.0}/s ({})",
                row.setup.contestant.name(),
                row.rate(),
                row.setup.label()
            )
        });
        let rows: Vec<_> = rows.collect();
        format!("{} c={}: {}", self.work, self.connections, rows.join(", "))
    }
}

type Failure = Box<dyn Error>;

/// What a block adds up for each row.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    requests: u64,
    took: Duration,
    cpu: Duration,
    switches: u64,
}

pub fn cell(
    launcher: &Launcher,
    contestants: &[Contestant],
    work: &Work,
    connections: usize,
    effort: Effort,
) -> Result<Cell, Failure> {
    let mut servers: Vec<Server> = Vec::new();
    for contestant in contestants.iter().copied() {
        if !work.is_for(contestant) {
            continue;
        }
        let setups = match contestant {
            // With the setup of the one that they are compared with, or that would be compared too.
            Contestant::WorkerAgain | Contestant::Before => {
                let all = servers.iter().map(|server| server.setup);
                let mut twins = all.filter(|setup| setup.contestant == Contestant::Worker);
                let twin = twins.next().ok_or("they have nobody to be compared with")?;
                vec![Setup { contestant, ..twin }]
            }
            _ => work.setups(contestant),
        };
        servers.extend(best(launcher, &setups, work, connections, effort)?);
    }

    let new_row = |server: &Server| Row {
        setup: server.setup,
        rates: Vec::new(),
        costs: Vec::new(),
        switches: Vec::new(),
        slowest: Duration::ZERO,
    };
    let mut rows: Vec<Row> = servers.iter().map(new_row).collect();
    let mut loads = servers
        .iter()
        .map(|server| Load::connect(server.address, connections, work.is_renewing))
        .collect::<Result<Vec<_>, _>>()?;
    let pids: Vec<_> = servers.iter().map(Server::processes).collect();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    // The first block warms everything up.
    for block in 0..=effort.blocks {
        fastrand::shuffle(&mut order);
        let there_and_back: Vec<usize> = order.iter().chain(order.iter().rev()).copied().collect();
        let mut sums = vec![Sum::default(); rows.len()];
        for index in there_and_back {
            let pids = &pids[index];
            let failed = |error| of(&servers[index], work, &error);
            let load = &mut loads[index];
            load.burst(&work.exchanges, effort.lead).map_err(failed)?;
            let switches_before = processes::context_switches(pids);
            let cpu_before = processes::cpu_time(pids);
            let burst = load.burst(&work.exchanges, effort.burst).map_err(failed)?;
            let cpu = processes::cpu_time(pids).saturating_sub(cpu_before);
            let switches = processes::context_switches(pids).saturating_sub(switches_before);
            let sum = &mut sums[index];
            sum.requests += burst.requests;
            sum.took += burst.took;
            sum.cpu += cpu;
            sum.switches += switches;
            if block > 0 {
                rows[index].slowest = rows[index].slowest.max(burst.slowest);
            }
        }
        if block == 0 {
            continue;
        }
        for (row, sum) in rows.iter_mut().zip(sums) {
            let requests = sum.requests as f64;
            row.rates.push(requests / sum.took.as_secs_f64());
            row.costs.push(sum.cpu.as_secs_f64() * 1e6 / requests);
            row.switches.push(sum.switches as f64 / requests);
        }
    }
    Ok(Cell {
        work: work.name,
        connections,
        rows,
    })
}

/// A server whose setup may be the best of its contestant.
struct Candidate {
    // Dropped first: a server need not wait for its clients.
    load: Load,
    server: Server,
    requests: u64,
    took: Duration,
}

impl Candidate {
    fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }
}

/// Of one contestant's setups, the server that answers most requests; nothing when there is none. They take turns, and
/// the better half goes on to a round of twice the length, until one is left: what is close is looked at longest.
fn best(
    launcher: &Launcher,
    setups: &[Setup],
    work: &Work,
    connections: usize,
    effort: Effort,
) -> Result<Option<Server>, Failure> {
    let mut field = Vec::new();
    for server in launcher.start(setups, &first(setups, work))? {
        let warm = || {
            let mut load = Load::connect(server.address, connections, work.is_renewing)?;
            load.burst(&work.exchanges, effort.sweep)?;
            Ok(load)
        };
        match (warm(), server.setup.contestant) {
            (Ok(load), _) => field.push(Candidate {
                load,
                server,
                requests: 0,
                took: Duration::ZERO,
            }),
            (Err(error), Contestant::Other(_)) => {
                eprintln!("left out: {}", of(&server, work, &error));
            }
            (Err(error), _) => return Err(of(&server, work, &error)),
        }
    }
    let mut sweep = effort.sweep;
    while field.len() > 1 {
        for candidate in &mut field {
            (candidate.requests, candidate.took) = (0, Duration::ZERO);
        }
        for index in (0..field.len()).chain((0..field.len()).rev()) {
            let candidate = &mut field[index];
            let failed = |error| of(&candidate.server, work, &error);
            let load = &mut candidate.load;
            load.burst(&work.exchanges, effort.lead).map_err(failed)?;
            let burst = load.burst(&work.exchanges, sweep).map_err(failed)?;
            candidate.requests += burst.requests;
            candidate.took += burst.took;
        }
        field.sort_by(|one, other| other.rate().total_cmp(&one.rate()));
        field.truncate(field.len().div_ceil(2));
        sweep *= 2;
    }
    Ok(field.pop().map(|candidate| candidate.server))
}

/// What servers must answer before they are measured. What somebody else's does not do right is left out.
fn first(setups: &[Setup], work: &Work) -> Vec<Exchange> {
    let is_other = |setup: &Setup| matches!(setup.contestant, Contestant::Other(_));
    match setups.iter().any(is_other) {
        true => vec![work::hello()],
        false => work.exchanges.clone(),
    }
}

/// The servers of a cell once more, warm.
pub fn again(
    launcher: &Launcher,
    cell: &Cell,
    work: &Work,
    effort: Effort,
) -> Result<Vec<Server>, Failure> {
    let setups: Vec<Setup> = cell.rows.iter().map(|row| row.setup).collect();
    let servers = launcher.start(&setups, &first(&setups, work))?;
    for server in &servers {
        let warm = || {
            let mut load = Load::connect(server.address, cell.connections, work.is_renewing)?;
            load.burst(&work.exchanges, effort.sweep)
        };
        warm().map_err(|error| of(server, work, &error))?;
    }
    Ok(servers)
}

pub fn of(server: &Server, work: &Work, error: &std::io::Error) -> Failure {
    let setup = server.setup;
    let (name, label) = (setup.contestant.name(), setup.label());
    format!("{name} ({label}), {}: {error}", work.name).into()
}

/// The ratio of two servers that are the same: 1, if the method is sound and the machine is quiet. Nothing when
/// that was not measured.
pub fn twins(cells: &[Cell]) -> Option<Estimate> {
    over_all(cells, Contestant::WorkerAgain, Contestant::Worker, |row| {
        &row.rates
    })
}

/// This version's share of the one before: of its requests a second, and of its processor time a request. Nothing
/// when that was not measured.
pub fn since_before(cells: &[Cell]) -> Option<(Estimate, Estimate)> {
    let over_all = |figure| over_all(cells, Contestant::Worker, Contestant::Before, figure);
    Some((over_all(|row| &row.rates)?, over_all(|row| &row.costs)?))
}

/// The ratios of two contestants in all cells that have both.
fn over_all(
    cells: &[Cell],
    one: Contestant,
    other: Contestant,
    figure: fn(&Row) -> &[f64],
) -> Option<Estimate> {
    let pairs = cells
        .iter()
        .filter_map(|cell| cell.row(one).zip(cell.row(other)));
    let all: Vec<f64> = pairs
        .flat_map(|(one, other)| ratios(figure(one), figure(other)))
        .collect();
    (!all.is_empty()).then(|| estimate(&all))
}

/// Hello at 64 connections once more, by wrk: contestant and requests a second.
pub fn by_wrk(servers: &[Server]) -> Result<Vec<(Contestant, f64)>, Failure> {
    let mut rates = Vec::new();
    for server in servers {
        let contestant = server.setup.contestant;
        let url = format!("http://{}/index.php?work=hello", server.address);
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
            return Err(format!("{}: wrong answers to wrk: {text}", contestant.name()).into());
        }
        rates.push((contestant, rate));
    }
    Ok(rates)
}
