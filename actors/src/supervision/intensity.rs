//! How many failures in how much time are too many.

use std::time::{Duration, Instant};

/// More than `limit` failures within `period` make a supervisor give up and escalate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    /// So many failures are still borne.
    pub limit: u32,
    /// The length of the sliding window.
    pub period: Duration,
}

/// The failures of the last `period`.
#[derive(Debug, Clone)]
pub struct Window {
    intensity: Intensity,
    failures: Vec<Instant>,
}

impl Window {
    /// A window without failures.
    pub fn new(intensity: Intensity) -> Self {
        Self {
            intensity,
            failures: Vec::new(),
        }
    }

    /// Counts a failure; true when it is one too many.
    pub fn fail(&mut self, now: Instant) -> bool {
        let period = self.intensity.period;
        self.failures
            .retain(|failure| now.saturating_duration_since(*failure) < period);
        self.failures.push(now);
        self.count(now) > self.intensity.limit
    }

    /// Failures within the window that ends `now`.
    pub fn count(&self, now: Instant) -> u32 {
        let period = self.intensity.period;
        let recent = self
            .failures
            .iter()
            .filter(|failure| now.saturating_duration_since(**failure) < period);
        u32::try_from(recent.count()).unwrap_or(u32::MAX)
    }

    /// What the window was made for.
    pub fn intensity(&self) -> Intensity {
        self.intensity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> (Window, Instant) {
        (
            Window::new(Intensity {
                limit: 5,
                period: Duration::from_secs(30),
            }),
            Instant::now(),
        )
    }

    #[test]
    fn the_failure_after_the_limit_is_one_too_many() {
        let (mut window, start) = window();
        let verdicts: Vec<bool> = (0..6)
            .map(|n| window.fail(start + Duration::from_secs(n)))
            .collect();
        assert_eq!(verdicts, [false, false, false, false, false, true]);
    }

    #[test]
    fn failures_leave_the_window_when_the_period_is_over() {
        let (mut window, start) = window();
        for n in 0..20 {
            assert!(
                !window.fail(start + Duration::from_secs(6 * n)),
                "five in thirty seconds are borne for ever"
            );
        }
        assert_eq!(window.count(start + Duration::from_secs(6 * 19 + 30)), 0);
    }
}
