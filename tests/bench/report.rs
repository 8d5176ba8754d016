//! The page that a run becomes: the machine, the goals, the tables, and how it was measured.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use crate::Results;
use crate::configs;
use crate::measure::{self, Cell, Row};
use crate::servers::{Contestant, Launcher};
use crate::stats::Estimate;
use crate::tables;
use crate::work::Work;

pub struct Report<'a> {
    pub results: &'a Results,
    pub works: &'a [Work],
    pub launcher: &'a Launcher,
    /// The commit of an earlier version.
    pub before: Option<String>,
    pub load_before: f64,
    pub took: Duration,
    /// Troupe's with its PHP's, php-fpm's, nginx's, wrk's.
    pub versions: [String; 4],
}

/// What is to be reached: work, connections, share of bare's requests, times bare's cost, times php-fpm's requests.
type Goal = (&'static str, usize, Option<f64>, Option<f64>, f64);

const WORKER_GOALS: [Goal; 3] = [
    ("hello", 64, Some(0.75), Some(1.8), 4.0),
    ("hello", 16, Some(0.55), Some(2.4), 2.5),
    ("hello", 1, Some(0.45), Some(4.0), 1.5),
];
const CLASSIC_GOALS: [Goal; 4] = [
    ("hello", 64, Some(0.45), Some(3.0), 2.2),
    ("hello", 16, Some(0.35), Some(4.5), 1.8),
    ("hello", 1, None, None, 1.1),
    ("wordpress", 8, None, None, 1.1),
];

/// From the launch to the first answer, without preloading.
const START_GOAL: Duration = Duration::from_millis(50);

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
            tables::work(&mut text, work, &self.results.cells);
        }
        tables::rates(&mut text, &self.results.rates);
        tables::alone(&mut text, &self.results.alone);
        tables::scale(&mut text, &self.results.scale);
        if let Some(tasks) = &self.results.tasks {
            let _ = writeln!(
                text,
                "## Tasks and variables, inside PHP\n\nTimed by the scripts themselves (`tests/bench/run-tasks`): round trips to a worker and back, beside what a PHP team has instead, and reads of variables.\n\n{tasks}"
            );
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
        let mut cells = self.results.cells.iter();
        if !cells.any(|cell| matches!(cell.work, "hello" | "wordpress")) {
            return;
        }
        text.push_str(
            "## Goals\n\nFor the hello script where nothing else is said, each server at its best setup.\n\
             Where the time goes that is missed, and what it would take: [a request](decisions/0004-what-a-request-costs.md),\n\
             [WordPress](decisions/0005-libphp-as-php-builds-it.md).\n\n\
             | | requests, of bare actix-web | processor time a request, of bare | requests, of nginx + php-fpm |\n\
             | --- | --- | --- | --- |\n",
        );
        let worker = WORKER_GOALS.map(|goal| (Contestant::Worker, goal));
        let classic = CLASSIC_GOALS.map(|goal| (Contestant::Classic, goal));
        for (contestant, (work, connections, rate, cost, fpm)) in worker.into_iter().chain(classic)
        {
            let mut cells = self.results.cells.iter();
            let cell = cells.find(|cell| cell.work == work && cell.connections == connections);
            let Some((cell, row)) = cell.and_then(|cell| Some((cell, cell.row(contestant)?)))
            else {
                continue;
            };
            let what = match work {
                "wordpress" => ", WordPress",
                _ => "",
            };
            let of = |other, ratio| median_of(cell, row, other, ratio);
            let _ = writeln!(
                text,
                "| {}{what}, c={connections} | {} | {} | {} |",
                contestant.name(),
                at_least(of(Contestant::Bare, Row::rate_of), rate),
                at_most(of(Contestant::Bare, Row::cost_of), cost),
                at_least(of(Contestant::Fpm, Row::rate_of), Some(fpm)),
            );
        }
        text.push('\n');
        if let Some((rates, costs)) = measure::since_before(&self.results.cells) {
            let [rates, costs] = [rates, costs].map(tables::interval);
            let _ = writeln!(
                text,
                "- Troupe, worker, of the version before, {} (hello, all connection counts together): {rates} of its requests, {costs} of its processor time",
                self.before.as_deref().unwrap_or_default(),
            );
        }
        let starts = &self.results.alone;
        for alone in starts {
            let contestant = alone.setup.contestant;
            if !matches!(contestant, Contestant::Classic | Contestant::Worker) {
                continue;
            }
            let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
            let goal = milliseconds(START_GOAL);
            let is = judged(
                &format!("{:.0} ms", milliseconds(alone.start)),
                alone.start <= START_GOAL,
                &format!("≤ {goal:.0} ms"),
            );
            let name = contestant.name();
            let _ = writeln!(text, "- {name}, from the launch to the first answer: {is}");
        }
        if !starts.is_empty() {
            text.push('\n');
        }
    }

    fn soundness(&self, text: &mut String) {
        if let Some(twins) = measure::twins(&self.results.cells) {
            let is_sound = twins.low <= 1.0 && twins.high >= 1.0;
            let _ = writeln!(
                text,
                "## Is it sound?\n\n\
                 The same server started twice (worker mode, hello, all connection counts together): {} of itself. {}\n",
                tables::interval(twins),
                match is_sound {
                    true => "The interval holds 1, as it must.",
                    false => "**The interval does not hold 1: this run is not to be trusted.**",
                }
            );
        }
        if !self.results.by_wrk.is_empty() {
            text.push_str("Hello at c=64 once more, by wrk for two seconds each:\n\n| server | requests/s |\n| --- | --- |\n");
            for (contestant, rate) in &self.results.by_wrk {
                let _ = writeln!(text, "| {} | {rate:.0} |", contestant.name());
            }
            text.push('\n');
        }
    }

    fn method(&self, text: &mut String) {
        let folder = &self.launcher.folder;
        let tidy = |config: String| {
            config
                .replace(&self.launcher.site.display().to_string(), "SITE")
                .replace(&folder.display().to_string(), "TMP")
        };
        let example = "127.0.0.1:8080".parse();
        let nginx = example.map_or_else(
            |_| String::new(),
            |address| configs::nginx(folder, &self.launcher.site, 2, address),
        );
        let _ = writeln!(
            text,
            "{}\nphp-fpm:\n\n```ini\n{}```\n\nnginx:\n\n```nginx\n{}```",
            include_str!("method.md"),
            tidy(configs::fpm(folder, 4)),
            tidy(nginx),
        );
    }
}

type Ratio = fn(&Row, &Row) -> Option<Estimate>;

fn median_of(cell: &Cell, row: &Row, other: Contestant, ratio: Ratio) -> Option<f64> {
    let other = cell.row(other)?;
    ratio(row, other).map(|estimate| estimate.median)
}

fn at_least(is: Option<f64>, goal: Option<f64>) -> String {
    match (is, goal) {
        (Some(is), Some(goal)) => judged(&format!("{is:.2}"), is >= goal, &format!("≥ {goal}")),
        (is, _) => is.map_or("–".into(), |is| format!("{is:.2}")),
    }
}

fn at_most(is: Option<f64>, goal: Option<f64>) -> String {
    match (is, goal) {
        (Some(is), Some(goal)) => judged(&format!("{is:.2}"), is <= goal, &format!("≤ {goal}")),
        (is, _) => is.map_or("–".into(), |is| format!("{is:.2}")),
    }
}

fn judged(is: &str, is_met: bool, goal: &str) -> String {
    match is_met {
        true => format!("{is} ({goal}: met)"),
        false => format!("**{is}** ({goal}: missed)"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_or_missed_on_its_own_side() {
        assert_eq!(at_least(Some(0.8), Some(0.75)), "0.80 (≥ 0.75: met)");
        assert_eq!(at_least(Some(0.7), Some(0.75)), "**0.70** (≥ 0.75: missed)");
        assert_eq!(at_most(Some(1.7), Some(1.8)), "1.70 (≤ 1.8: met)");
        assert_eq!(at_most(Some(1.9), Some(1.8)), "**1.90** (≤ 1.8: missed)");
        assert_eq!(at_most(Some(1.9), None), "1.90");
        assert_eq!(at_least(None, Some(1.0)), "–");
    }
}
