//! The page that a run becomes.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::measure::{self, Cell, Row};
use crate::servers::{Contestant, Servers};
use crate::stats::Estimate;
use crate::work::Work;

pub struct Report<'a> {
    pub cells: &'a [Cell],
    pub by_wrk: &'a [(Contestant, f64)],
    pub works: &'a [Work],
    pub servers: &'a Servers,
    pub site: &'a Path,
    pub load_before: f64,
    pub took: Duration,
    /// Troupe's with its PHP's, php-fpm's, nginx's, wrk's.
    pub versions: [String; 4],
}

/// What the hello script is to reach: connections, share of bare's requests, times bare's cost, times
/// php-fpm's requests.
type Goal = (usize, Option<f64>, Option<f64>, f64);

const WORKER_GOALS: [Goal; 3] = [
    (64, Some(0.75), Some(1.8), 4.0),
    (16, Some(0.55), Some(2.4), 2.5),
    (1, Some(0.45), Some(4.0), 1.5),
];
const CLASSIC_GOALS: [Goal; 3] = [
    (64, Some(0.45), Some(3.0), 2.2),
    (16, Some(0.35), Some(4.5), 1.8),
    (1, None, None, 1.1),
];

impl Report<'_> {
    pub fn text(&self) -> String {
        let mut text = String::from(
            "# Benchmarks\n\n\
             Written by `make bench` (`tests/bench/run`); do not edit. Figures of one machine say how servers compare,\n\
             not how fast yours will be: run it there.\n\n",
        );
        self.machine(&mut text);
        self.goals(&mut text);
        for work in self.works {
            self.table(&mut text, work);
        }
        self.soundness(&mut text);
        self.method(&mut text);
        text
    }

    fn machine(&self, text: &mut String) {
        let cpu = proc_value("/proc/cpuinfo", "model name");
        let memory = proc_value("/proc/meminfo", "MemTotal");
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        let [troupe, fpm, nginx, wrk] = &self.versions;
        let _ = writeln!(
            text,
            "| | |\n| --- | --- |\n\
             | machine | {processors} processors ({cpu}), {memory}, Linux {}; the load generator runs on the same ones |\n\
             | load before the run | {:.2} |\n\
             | Troupe | {troupe} |\n| php-fpm | {fpm} |\n| nginx | {nginx} |\n| wrk | {wrk} |\n\
             | length of the run | {:.0?} |\n",
            kernel.trim(),
            self.load_before,
            self.took,
        );
    }

    fn goals(&self, text: &mut String) {
        text.push_str(
            "## Goals\n\nFor the hello script, each server at its best setup.\n\n\
             | | requests, of bare actix-web | processor time a request, of bare | requests, of nginx + php-fpm |\n\
             | --- | --- | --- | --- |\n",
        );
        let worker = WORKER_GOALS.map(|goal| (Contestant::Worker, goal));
        let classic = CLASSIC_GOALS.map(|goal| (Contestant::Classic, goal));
        for (contestant, (connections, rate, cost, fpm)) in worker.into_iter().chain(classic) {
            let cell = self
                .cells
                .iter()
                .find(|cell| cell.work == "hello" && cell.connections == connections);
            let Some((cell, row)) = cell.and_then(|cell| Some((cell, cell.row(contestant)?)))
            else {
                continue;
            };
            let of = |other, ratio: fn(&Row, &Row) -> Estimate| {
                cell.row(other).map(|other| ratio(row, other).median)
            };
            let _ = writeln!(
                text,
                "| {}, c={connections} | {} | {} | {} |",
                contestant.name(),
                judged(
                    of(Contestant::Bare, Row::rate_of),
                    rate,
                    "≥",
                    |is, goal| is >= goal
                ),
                judged(
                    of(Contestant::Bare, Row::cost_of),
                    cost,
                    "≤",
                    |is, goal| is <= goal
                ),
                judged(
                    of(Contestant::Fpm, Row::rate_of),
                    Some(fpm),
                    "≥",
                    |is, goal| is >= goal
                ),
            );
        }
        text.push('\n');
    }

    fn table(&self, text: &mut String, work: &Work) {
        let _ = writeln!(
            text,
            "## {}\n\n\
             | c | server | best setup | requests/s | of bare | of nginx + php-fpm | µs of processor a request |\n\
             | --- | --- | --- | --- | --- | --- | --- |",
            work.title
        );
        for cell in self.cells.iter().filter(|cell| cell.work == work.name) {
            for row in &cell.rows {
                let of = |other| match cell.row(other) {
                    Some(other) if other.contestant != row.contestant => {
                        interval(row.rate_of(other))
                    }
                    _ => "–".into(),
                };
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {:.0} | {} | {} | {:.0} |",
                    cell.connections,
                    row.contestant.name(),
                    row.setup,
                    row.rate(),
                    of(Contestant::Bare),
                    of(Contestant::Fpm),
                    row.cost(),
                );
            }
        }
        text.push('\n');
    }

    fn soundness(&self, text: &mut String) {
        let twins = measure::twins(self.cells);
        let is_sound = twins.low <= 1.0 && twins.high >= 1.0;
        let _ = writeln!(
            text,
            "## Is it sound?\n\n\
             The same server started twice (worker mode, hello, all connection counts together): {} of itself. {}\n",
            interval(twins),
            match is_sound {
                true => "The interval holds 1, as it must.",
                false => "**The interval does not hold 1: this run is not to be trusted.**",
            }
        );
        if !self.by_wrk.is_empty() {
            text.push_str("Hello at c=64 once more, by wrk for two seconds each:\n\n| server | requests/s |\n| --- | --- |\n");
            for (contestant, rate) in self.by_wrk {
                let _ = writeln!(text, "| {} | {rate:.0} |", contestant.name());
            }
            text.push('\n');
        }
    }

    fn method(&self, text: &mut String) {
        let site = self.site;
        let example = "127.0.0.1:8080".parse();
        let nginx = example.map_or_else(
            |_| String::new(),
            |address| self.servers.nginx_config(site, 2, &[address]),
        );
        let tidy = |config: &str| {
            config
                .replace(&site.display().to_string(), "SITE")
                .replace(&self.servers.folder().display().to_string(), "TMP")
        };
        let _ = writeln!(
            text,
            "## How it is measured\n\n\
             - All servers run the same script, `tests/bench/site/index.php`, with OPcache, and write an access log to a\n  \
             file. The bare handler (`troupe bench-handler`) has the server's own listeners and actix settings, no PHP and\n  \
             no log; it has nothing to compute and takes no upload.\n\
             - A closed loop keeps c keep-alive connections busy with one request each. **Every answer is compared byte by\n  \
             byte with what it must be; one that is wrong ends the run.**\n\
             - A setup is network threads + PHP threads, or nginx workers + php-fpm processes. In each cell every setup is\n  \
             tried, and each server goes on with its best.\n\
             - Then the servers alternate in short bursts, in a random order and back (ABBA). The figures are medians over\n  \
             these blocks; ratios are taken within a block; in parentheses is the 95 % interval by bootstrap.\n\
             - Processor time is that of all threads and processes of a server, system calls included, by the scheduler's\n  \
             count; the load generator's is not in it.\n\
             - Connections between nginx and php-fpm are not kept: an idle one would keep its process from all other\n  \
             requests, and with more of them than processes some would wait for ever.\n\n\
             Troupe: `TROUPE_SERVER_IO_THREADS=N troupe php-server --root SITE --threads M --admin off`, and with\n\
             `--worker SITE/index.php,M` for worker mode. Everything else is as it comes: logs, limits, deadlines.\n\n\
             php-fpm:\n\n```ini\n{}```\n\nnginx (one server a pool):\n\n```nginx\n{}```",
            tidy(&self.servers.fpm_config()),
            tidy(&nginx),
        );
    }
}

fn judged(is: Option<f64>, goal: Option<f64>, sign: &str, meets: fn(f64, f64) -> bool) -> String {
    match (is, goal) {
        (Some(is), Some(goal)) if meets(is, goal) => format!("{is:.2} ({sign} {goal}: met)"),
        (Some(is), Some(goal)) => format!("**{is:.2}** ({sign} {goal}: missed)"),
        (Some(is), None) => format!("{is:.2}"),
        (None, _) => "–".into(),
    }
}

fn interval(estimate: Estimate) -> String {
    let Estimate { median, low, high } = estimate;
    format!("{median:.2} ({low:.2}–{high:.2})")
}

/// Of the last minute.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().and_then(|first| first.parse().ok());
    first.unwrap_or_default()
}

fn proc_value(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or("?".into(), |(_, value)| value.trim().to_owned())
}
