//! How long requests wait and how long they take, counted by the PHP threads without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use troupe_sapi::TaskOutcome;

/// Upper bounds of the buckets in seconds; the last bucket has none.
pub const BOUNDS: [f64; 14] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// Counts of durations by size.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// What a histogram held when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    /// Durations up to each of [`BOUNDS`], smaller ones included, and at last all of them.
    pub cumulative: [u64; BOUNDS.len() + 1],
    /// Their sum in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Reads it. Durations that are recorded meanwhile may be in one number and not in the other.
    pub fn read(&self) -> Counts {
        let mut total = 0;
        let cumulative = std::array::from_fn(|bucket| {
            total += self.buckets[bucket].load(Ordering::Relaxed);
            total
        });
        Counts {
            cumulative,
            sum: self.nanos.load(Ordering::Relaxed) as f64 / 1e9,
        }
    }
}

/// A pool's times.
#[derive(Debug, Default)]
pub struct Stats {
    /// From the moment the server had read the request's head until a thread took it.
    pub wait: Histogram,
    /// From then until it was answered.
    pub service: Histogram,
}

/// What is counted of one background worker's tasks. Every task that was sent ends in one of the others.
#[derive(Debug, Default)]
pub struct TaskStats {
    sent: AtomicU64,
    taken: AtomicU64,
    /// Ends of tasks that a thread had taken.
    returned: AtomicU64,
    completed: AtomicU64,
    cancelled: AtomicU64,
    aborted: AtomicU64,
    timed_out: AtomicU64,
    /// From the sending until a thread took it.
    pub wait: Histogram,
    /// From then until its end.
    pub run: Histogram,
}

/// Ends of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskEnds {
    /// The worker closed them.
    pub completed: u64,
    /// The sender, its client's departure or an operator ended them.
    pub cancelled: u64,
    /// The worker ended first, or never took them.
    pub aborted: u64,
    /// Nobody accepted them in time, or they passed their deadline.
    pub timed_out: u64,
}

impl TaskStats {
    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn taken(&self, waited: Duration) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.wait.record(waited);
    }

    pub(crate) fn ended(&self, outcome: &TaskOutcome, ran: Option<Duration>) {
        if let Some(ran) = ran {
            self.returned.fetch_add(1, Ordering::Relaxed);
            self.run.record(ran);
        }
        let count = match outcome {
            TaskOutcome::Completed => &self.completed,
            TaskOutcome::Cancelled | TaskOutcome::Revoked | TaskOutcome::Deserted => {
                &self.cancelled
            }
            TaskOutcome::Aborted | TaskOutcome::Refused(_) => &self.aborted,
            TaskOutcome::Overdue(_) | TaskOutcome::NotAccepted => &self.timed_out,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Tasks that were sent.
    pub fn total(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Tasks that a thread has in hand. Told from two counts that are not read at once: a moment's view.
    pub fn running(&self) -> u64 {
        let returned = self.returned.load(Ordering::Relaxed);
        self.taken.load(Ordering::Relaxed).saturating_sub(returned)
    }

    /// How they ended.
    pub fn ends(&self) -> TaskEnds {
        TaskEnds {
            completed: self.completed.load(Ordering::Relaxed),
            cancelled: self.cancelled.load(Ordering::Relaxed),
            aborted: self.aborted.load(Ordering::Relaxed),
            timed_out: self.timed_out.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_that_bounds_them_from_above() {
        let histogram = Histogram::default();
        for micros in [0, 250, 251, 1_000, 99_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let counts = histogram.read();
        assert_eq!(counts.cumulative[..4], [2, 3, 4, 4]);
        assert_eq!(counts.cumulative[BOUNDS.len() - 1..], [4, 5]);
        assert!((counts.sum - 99.001_501).abs() < 1e-9, "{}", counts.sum);
    }
}
