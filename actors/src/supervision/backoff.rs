//! How long a failed child waits before it is tried again.
//!
//! The wait doubles from failure to failure up to a cap, and a random share is added so that workers that
//! failed together (a database went away) do not come back together. The level falls back to the start only
//! after the child has been healthy for a while: a child that boots and dies again a second later is still
//! the same trouble.

use std::time::Duration;

/// The shape of the waits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BackoffPolicy {
    /// The wait after the first failure.
    pub base: Duration,
    /// No wait is longer than this, jitter aside.
    pub cap: Duration,
    /// At most this share of the wait is added at random: 0.2 makes 100 ms into 100 to 120 ms.
    pub jitter: f64,
    /// Ready for this long, a child starts again from `base`.
    pub healthy_after: Duration,
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            cap: Duration::from_secs(10),
            jitter: 0.2,
            healthy_after: Duration::from_secs(60),
        }
    }
}

/// One child's level.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure. `random` yields numbers from 0 up to, not including, 1.
    pub fn fail(&mut self, policy: &BackoffPolicy, random: &mut dyn FnMut() -> f64) -> Duration {
        // Beyond 2^31 the cap has long been reached; the shift must not overflow before that.
        let doublings = self.failures.min(31);
        self.failures = self.failures.saturating_add(1);
        let wait = policy.base.saturating_mul(1 << doublings).min(policy.cap);
        wait.saturating_add(wait.mul_f64((policy.jitter * random()).max(0.0)))
    }

    /// Takes note that the child was ready for `uptime`.
    pub fn lived(&mut self, policy: &BackoffPolicy, uptime: Duration) {
        if uptime >= policy.healthy_after {
            self.reset();
        }
    }

    /// Forgets every failure.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(policy: &BackoffPolicy, random: f64, count: usize) -> Vec<u128> {
        let mut backoff = Backoff::default();
        (0..count)
            .map(|_| backoff.fail(policy, &mut || random).as_millis())
            .collect()
    }

    #[test]
    fn doubles_from_100_ms_to_10_s() {
        let expected = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
        assert_eq!(waits(&BackoffPolicy::default(), 0.0, 9), expected);
    }

    #[test]
    fn jitter_adds_between_nothing_and_a_fifth() {
        let policy = BackoffPolicy::default();
        let mut seed = fastrand::Rng::with_seed(7);
        let mut seen_low = false;
        let mut seen_high = false;
        for _ in 0..1_000 {
            let wait = Backoff::default().fail(&policy, &mut || seed.f64());
            assert!(
                wait >= policy.base && wait <= policy.base.mul_f64(1.2),
                "{wait:?}"
            );
            seen_low |= wait < policy.base.mul_f64(1.02);
            seen_high |= wait > policy.base.mul_f64(1.18);
        }
        assert!(seen_low && seen_high, "the jitter uses its whole range");
    }

    #[test]
    fn jitter_spreads_capped_waits_too() {
        assert_eq!(waits(&BackoffPolicy::default(), 0.5, 9)[8], 11_000);
    }

    #[test]
    fn a_minute_of_health_resets_and_less_does_not() {
        let policy = BackoffPolicy::default();
        let mut backoff = Backoff::default();
        for _ in 0..4 {
            backoff.fail(&policy, &mut || 0.0);
        }
        backoff.lived(&policy, Duration::from_secs(59));
        assert_eq!(backoff.fail(&policy, &mut || 0.0).as_millis(), 1600);
        backoff.lived(&policy, Duration::from_secs(60));
        assert_eq!(backoff.fail(&policy, &mut || 0.0).as_millis(), 100);
    }

    #[test]
    fn endless_failures_do_not_overflow() {
        let policy = BackoffPolicy::default();
        let mut backoff = Backoff { failures: u32::MAX };
        assert_eq!(backoff.fail(&policy, &mut || 0.0), policy.cap);
    }
}
