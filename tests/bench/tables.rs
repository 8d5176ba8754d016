//! The tables of the page.

use std::fmt::Write as _;
use std::time::Duration;

use crate::alone::{Alone, Step};
use crate::latency::Rate;
use crate::measure::Cell;
use crate::servers::Contestant;
use crate::stats::Estimate;
use crate::work::Work;

pub fn work(text: &mut String, work: &Work, cells: &[Cell]) {
    let _ = writeln!(
        text,
        "## {}\n\n\
         | c | server | best setup | requests/s | of bare | of nginx + php-fpm | µs of processor a request | switches a request | slowest, ms |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        work.title
    );
    for cell in cells.iter().filter(|cell| cell.work == work.name) {
        for row in &cell.rows {
            let of = |other| match cell.row(other) {
                Some(other) if other.setup.contestant != row.setup.contestant => {
                    row.rate_of(other).map_or("–".into(), interval)
                }
                _ => "–".into(),
            };
            // That of a server that somebody else has started is not known.
            let is_known = row.cost() > 0.0;
            let known = |value: String| if is_known { value } else { "–".into() };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.0} | {} | {} | {} | {} | {} |",
                cell.connections,
                row.setup.contestant.name(),
                row.setup.label(),
                row.rate(),
                of(Contestant::Bare),
                of(Contestant::Fpm),
                known(format!("{:.0}", row.cost())),
                known(format!("{:.2}", row.switches())),
                milliseconds(row.slowest),
            );
        }
    }
    text.push('\n');
}

pub fn rates(text: &mut String, rates: &[Rate]) {
    if rates.is_empty() {
        return;
    }
    text.push_str(
        "## Hello at a fixed rate: how long answers take\n\n\
         The rate is a share of what the slowest of them reached at c=64, the same for all. Times count from when a request\n\
         was due, not from when it could be sent.\n\n\
         | share | requests/s | server | p50, ms | p99, ms | p99.9, ms |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for rate in rates {
        for (contestant, latencies) in &rate.rows {
            let _ = writeln!(
                text,
                "| {} % | {:.0} | {} | {} | {} | {} |",
                rate.share,
                rate.rate,
                contestant.name(),
                milliseconds(latencies.p50),
                milliseconds(latencies.p99),
                milliseconds(latencies.p999),
            );
        }
    }
    text.push('\n');
}

pub fn alone(text: &mut String, all: &[Alone]) {
    if all.is_empty() {
        return;
    }
    text.push_str(
        "## What a server needs\n\n\
         Each runs alone, with its best setup for hello at c=64.\n\n\
         | server | setup | launch to first answer, ms | peak memory, MiB | memory, shared counted once, MiB | one more PHP thread or process, MiB | switches a request | system calls a request |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let unknown = || "–".to_owned();
    for alone in all {
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.1} | {:.1} | {} | {:.2} | {} |",
            alone.setup.contestant.name(),
            alone.setup.label(),
            alone.start.as_secs_f64() * 1e3,
            mebibytes(alone.peak_memory),
            mebibytes(alone.memory),
            alone
                .memory_of_thread
                .map_or_else(unknown, |memory| format!("{:.2}", memory / 1024.0)),
            alone.switches,
            alone
                .calls
                .map_or_else(unknown, |calls| format!("{calls:.1}")),
        );
    }
    text.push_str(
        "\nWith connections open that ask nothing, after a request each:\n\n\
         | server | idle connections | memory of one, KiB | requests/s without | with | share |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for alone in all {
        let idle = &alone.idle;
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} | {:.0} | {:.0} | {:.2} |",
            alone.setup.contestant.name(),
            idle.connections,
            idle.memory,
            idle.rate_without,
            idle.rate_with,
            idle.rate_with / idle.rate_without,
        );
    }
    text.push('\n');
}

pub fn scale(text: &mut String, steps: &[Step]) {
    if steps.is_empty() {
        return;
    }
    text.push_str(
        "## Scale\n\n\
         Hello in worker mode and by the bare handler, a server of its own for every row; `queue_length` is 16384, so that ten thousand may wait.\n\n\
         | c | server | setup | sites | requests/s | µs of processor a request | memory, MiB | launch to first answer, ms |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for step in steps {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {:.0} | {:.0} | {:.1} | {:.0} |",
            step.connections,
            step.setup.contestant.name(),
            step.setup.label(),
            step.sites,
            step.rate,
            step.cost,
            mebibytes(step.memory),
            step.start.as_secs_f64() * 1e3,
        );
    }
    text.push('\n');
}

pub fn interval(estimate: Estimate) -> String {
    let Estimate { median, low, high } = estimate;
    format!("{median:.2} ({low:.2}–{high:.2})")
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
