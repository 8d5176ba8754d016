//! When a healthy worker is replaced on purpose: it has served enough, lived long enough, or grown too big.
//!
//! Each start draws its own limits from the policy, up to a fifth below it, so that workers that started
//! together do not leave together. The policy's values stay true upper limits.

use std::time::Duration;

/// The limits as configured; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecyclePolicy {
    /// Requests or tasks a worker serves at most.
    pub max_requests: Option<u64>,
    /// How long a worker lives at most; a request that is being served then is finished.
    pub ttl: Option<Duration>,
    /// Bytes of PHP memory after a request beyond which the worker is replaced.
    pub max_memory: Option<u64>,
}

/// The limits of one start of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecycleLimits {
    requests: Option<u64>,
    ttl: Option<Duration>,
    memory: Option<u64>,
}

/// The limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recycle {
    /// `max_requests`
    MaxRequests,
    /// `ttl`
    Ttl,
    /// `max_memory`
    MaxMemory,
}

impl Recycle {
    /// The configuration key of the limit.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxRequests => "max_requests",
            Self::Ttl => "ttl",
            Self::MaxMemory => "max_memory",
        }
    }
}

/// The share of `max_requests` and `ttl` that is left to chance.
const JITTER: f64 = 0.2;

impl RecyclePolicy {
    /// Draws the limits of one start. `random` yields numbers from 0 up to, not including, 1.
    pub fn draw(&self, random: &mut dyn FnMut() -> f64) -> RecycleLimits {
        let mut share = || 1.0 - JITTER * random();
        RecycleLimits {
            // The precision lost beyond 2^53 requests is of no account.
            requests: self
                .max_requests
                .map(|max| ((max as f64 * share()).ceil() as u64).clamp(1, max.max(1))),
            ttl: self.ttl.map(|ttl| ttl.mul_f64(share()).min(ttl)),
            // Not drawn: leaks differ from worker to worker by themselves.
            memory: self.max_memory,
        }
    }
}

impl RecycleLimits {
    /// The limit that a worker has reached, asked between two requests.
    pub fn reached(&self, served: u64, age: Duration, memory: u64) -> Option<Recycle> {
        if self.requests.is_some_and(|max| served >= max) {
            Some(Recycle::MaxRequests)
        } else if self.ttl.is_some_and(|ttl| age >= ttl) {
            Some(Recycle::Ttl)
        } else if self.memory.is_some_and(|max| memory > max) {
            Some(Recycle::MaxMemory)
        } else {
            None
        }
    }

    /// How old the worker may become.
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RecyclePolicy = RecyclePolicy {
        max_requests: Some(1_000),
        ttl: Some(Duration::from_secs(100)),
        max_memory: Some(64 << 20),
    };

    #[test]
    fn limits_lie_between_four_fifths_and_the_configured_value() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut distinct = std::collections::HashSet::new();
        for _ in 0..500 {
            let limits = POLICY.draw(&mut || rng.f64());
            let requests = limits.requests.unwrap();
            let ttl = limits.ttl.unwrap();
            assert!((800..=1_000).contains(&requests), "{requests}");
            assert!((80.0..=100.0).contains(&ttl.as_secs_f64()), "{ttl:?}");
            distinct.insert(requests);
        }
        assert!(
            distinct.len() > 100,
            "workers that started together leave at different times"
        );
    }

    #[test]
    fn small_and_zero_limits_still_let_one_request_through() {
        for max in [0, 1] {
            let policy = RecyclePolicy {
                max_requests: Some(max),
                ..RecyclePolicy::default()
            };
            let limits = policy.draw(&mut || 0.99);
            assert_eq!(limits.reached(0, Duration::ZERO, 0), None);
            assert_eq!(
                limits.reached(1, Duration::ZERO, 0),
                Some(Recycle::MaxRequests)
            );
        }
    }

    #[test]
    fn each_limit_is_reached_by_itself() {
        let limits = POLICY.draw(&mut || 0.0);
        assert_eq!(limits.reached(999, Duration::from_secs(99), 64 << 20), None);
        assert_eq!(
            limits.reached(1_000, Duration::ZERO, 0),
            Some(Recycle::MaxRequests)
        );
        assert_eq!(
            limits.reached(0, Duration::from_secs(100), 0),
            Some(Recycle::Ttl)
        );
        assert_eq!(
            limits.reached(0, Duration::ZERO, (64 << 20) + 1),
            Some(Recycle::MaxMemory)
        );
        let none = RecyclePolicy::default().draw(&mut || 0.0);
        assert_eq!(none.reached(u64::MAX, Duration::MAX, u64::MAX), None);
    }
}
