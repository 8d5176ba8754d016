//! How long answers take when clients ask at a fixed rate, whatever the server does: at shares of the peak of the
//! slowest server, the same for all.

use std::error::Error;
use std::time::Duration;

use crate::load::Load;
use crate::measure::{self, Effort};
use crate::servers::{Contestant, Server};
use crate::work::Work;

/// Of the slowest server's peak, in percent.
const SHARES: [u32; 4] = [30, 50, 70, 90];
/// Enough for every request to find one that is free, unless the server stalls.
const CONNECTIONS: usize = 64;

pub struct Rate {
    pub share: u32,
    /// Requests a second.
    pub rate: f64,
    pub rows: Vec<(Contestant, Latencies)>,
}

#[derive(Debug, Clone, Copy)]
pub struct Latencies {
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
}

impl Latencies {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |permille: usize| {
            let index = (all.len() * permille).div_ceil(1000).saturating_sub(1);
            all.get(index).copied().unwrap_or_default()
        };
        Self {
            p50: at(500),
            p99: at(990),
            p999: at(999),
        }
    }
}

/// `slowest` is the peak that they are shares of.
pub fn rates(
    servers: &[Server],
    work: &Work,
    slowest: f64,
    effort: Effort,
) -> Result<Vec<Rate>, Box<dyn Error>> {
    // The kernel lets a sleeper sleep on for 50 us, which would be taken for the servers'.
    std::fs::write("/proc/self/timerslack_ns", "1")?;
    let is_yardstick = |server: &&Server| server.setup.contestant.is_yardstick_of_worker();
    let servers: Vec<_> = servers.iter().filter(|one| !is_yardstick(one)).collect();
    let mut rates = Vec::new();
    for share in SHARES {
        let rate = slowest * f64::from(share) / 100.0;
        let mut samples = vec![Vec::new(); servers.len()];
        let mut order: Vec<usize> = (0..servers.len()).collect();
        for _ in 0..effort.paced_rounds {
            fastrand::shuffle(&mut order);
            for index in order.iter().copied() {
                let server = servers[index];
                let paced = || {
                    // New ones each time: a server may close those that wait for their next turn.
                    let mut load = Load::connect(server.address, CONNECTIONS, false)?;
                    load.once(&work.exchanges)?;
                    load.paced(&work.exchanges, rate, effort.paced)
                };
                let some = paced().map_err(|error| measure::of(server, work, &error))?;
                samples[index].extend(some);
            }
        }
        let rows = servers.iter().zip(samples);
        let rows = rows.map(|(server, samples)| (server.setup.contestant, Latencies::of(samples)));
        rates.push(Rate {
            share,
            rate,
            rows: rows.collect(),
        });
    }
    Ok(rates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_answers_that_came() {
        let all = (1..=1000).rev().map(Duration::from_micros).collect();
        let latencies = Latencies::of(all);
        assert_eq!(latencies.p50, Duration::from_micros(500));
        assert_eq!(latencies.p99, Duration::from_micros(990));
        assert_eq!(latencies.p999, Duration::from_micros(999));
        let one = Latencies::of(vec![Duration::from_micros(7)]);
        assert_eq!(one.p50, one.p999);
    }
}
