//! When a pool grows beyond `threads` and when it shrinks back.
//!
//! It grows when requests have been waiting for a little while although no thread is on its way already: one
//! thread at a time, because a thread that boots takes load off the queue only when it is ready. It shrinks
//! when a thread beyond `threads` has been idle for long; idle threads are woken last in, first out, so under
//! little load the ones not needed do become idle.

use std::time::{Duration, Instant};

/// The bounds and the patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalingPolicy {
    /// So many threads always run.
    pub threads: u32,
    /// Never more than this many; equal to `threads`, the pool does not scale.
    pub max_threads: u32,
    /// Requests have to wait for this long before a thread is added.
    pub grow_after: Duration,
    /// An added thread that was idle for this long leaves.
    pub shrink_after: Duration,
}

impl ScalingPolicy {
    /// `threads` threads, growing to `max_threads` after 20 ms of waiting, back after 5 s without work.
    pub fn between(threads: u32, max_threads: u32) -> Self {
        Self {
            threads,
            max_threads: max_threads.max(threads),
            grow_after: Duration::from_millis(20),
            shrink_after: Duration::from_secs(5),
        }
    }
}

/// What the pool sees at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Requests in the queue.
    pub waiting: usize,
    /// Threads that run or are to run, those that boot included.
    pub threads: u32,
    /// Threads that boot.
    pub booting: u32,
    /// How long the longest idle of the added threads has been so.
    pub longest_idle: Option<Duration>,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Nothing.
    Stay,
    /// Add a thread.
    Grow,
    /// Let the longest idle of the added threads go.
    Shrink,
}

/// Remembers since when requests have been waiting.
#[derive(Debug)]
pub struct Scaler {
    policy: ScalingPolicy,
    pressed_since: Option<Instant>,
}

impl Scaler {
    /// A scaler that has seen no load yet.
    pub fn new(policy: ScalingPolicy) -> Self {
        Self {
            policy,
            pressed_since: None,
        }
    }

    /// Decides by what is seen now. To be asked again at [`look_again`](Self::look_again).
    pub fn look(&mut self, load: Load, now: Instant) -> Scale {
        if load.waiting == 0 {
            self.pressed_since = None;
            let spare = load.threads > self.policy.threads;
            let idle = load
                .longest_idle
                .is_some_and(|idle| idle >= self.policy.shrink_after);
            return if spare && idle {
                Scale::Shrink
            } else {
                Scale::Stay
            };
        }
        let since = *self.pressed_since.get_or_insert(now);
        let waited = now.saturating_duration_since(since) >= self.policy.grow_after;
        if waited && load.booting == 0 && load.threads < self.policy.max_threads {
            self.pressed_since = Some(now);
            return Scale::Grow;
        }
        Scale::Stay
    }

    /// How soon to look again: quickly while requests wait and more threads may help, now and then while
    /// there are added threads, not at all otherwise.
    pub fn look_again(&self, load: Load) -> Option<Duration> {
        if self.pressed_since.is_some() && load.threads < self.policy.max_threads {
            Some(self.policy.grow_after)
        } else if load.threads > self.policy.threads {
            Some(self.policy.shrink_after / 5)
        } else {
            None
        }
    }

    /// The policy it was made with.
    pub fn policy(&self) -> ScalingPolicy {
        self.policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn load(waiting: usize, threads: u32, booting: u32, idle_secs: Option<u64>) -> Load {
        Load {
            waiting,
            threads,
            booting,
            longest_idle: idle_secs.map(Duration::from_secs),
        }
    }

    fn scaler() -> (Scaler, Instant) {
        (Scaler::new(ScalingPolicy::between(2, 4)), Instant::now())
    }

    #[test]
    fn grows_only_after_requests_have_waited_for_a_while() {
        let (mut scaler, start) = scaler();
        assert_eq!(scaler.look(load(1, 2, 0, None), start), Scale::Stay);
        assert_eq!(
            scaler.look(load(1, 2, 0, None), start + 19 * MS),
            Scale::Stay
        );
        assert_eq!(
            scaler.look(load(1, 2, 0, None), start + 20 * MS),
            Scale::Grow
        );
    }

    #[test]
    fn a_queue_that_was_empty_in_between_starts_the_wait_anew() {
        let (mut scaler, start) = scaler();
        scaler.look(load(1, 2, 0, None), start);
        scaler.look(load(0, 2, 0, None), start + 10 * MS);
        assert_eq!(
            scaler.look(load(1, 2, 0, None), start + 25 * MS),
            Scale::Stay
        );
    }

    #[test]
    fn waits_for_the_thread_that_boots_and_stops_at_the_maximum() {
        let (mut scaler, start) = scaler();
        scaler.look(load(9, 2, 0, None), start);
        assert_eq!(
            scaler.look(load(9, 3, 1, None), start + 40 * MS),
            Scale::Stay
        );
        assert_eq!(
            scaler.look(load(9, 3, 0, None), start + 60 * MS),
            Scale::Grow
        );
        assert_eq!(
            scaler.look(load(9, 4, 0, None), start + 100 * MS),
            Scale::Stay
        );
        assert_eq!(
            scaler.look_again(load(9, 4, 0, None)),
            Some(Duration::from_secs(1))
        );
    }

    #[test]
    fn one_thread_at_a_time_even_when_it_boots_in_no_time() {
        let (mut scaler, start) = scaler();
        scaler.look(load(9, 2, 0, None), start);
        assert_eq!(
            scaler.look(load(9, 2, 0, None), start + 20 * MS),
            Scale::Grow
        );
        assert_eq!(
            scaler.look(load(9, 3, 0, None), start + 21 * MS),
            Scale::Stay
        );
        assert_eq!(
            scaler.look(load(9, 3, 0, None), start + 40 * MS),
            Scale::Grow
        );
    }

    #[test]
    fn shrinks_when_an_added_thread_is_idle_and_never_below_threads() {
        let (mut scaler, start) = scaler();
        assert_eq!(scaler.look(load(0, 3, 0, Some(4)), start), Scale::Stay);
        assert_eq!(scaler.look(load(0, 3, 0, Some(5)), start), Scale::Shrink);
        assert_eq!(scaler.look(load(0, 2, 0, Some(500)), start), Scale::Stay);
        assert_eq!(
            scaler.look_again(load(0, 2, 0, None)),
            None,
            "a quiet pool at rest needs no timer"
        );
    }

    #[test]
    fn a_fixed_pool_never_scales() {
        let mut scaler = Scaler::new(ScalingPolicy::between(2, 1));
        let start = Instant::now();
        scaler.look(load(9, 2, 0, None), start);
        assert_eq!(
            scaler.look(load(9, 2, 0, None), start + 1_000 * MS),
            Scale::Stay
        );
        assert_eq!(scaler.look_again(load(9, 2, 0, None)), None);
    }
}
