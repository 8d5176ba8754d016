//! A timer that costs next to nothing until it is waited for, and little when it is used again.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// See the module.
#[derive(Default)]
pub struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    until: Option<Instant>,
    /// Whom the sleep will wake.
    waiter: Option<Waker>,
}

impl Timer {
    pub fn is_running(&self) -> bool {
        self.until.is_some()
    }

    /// Unless it runs.
    pub fn start(&mut self, duration: Duration) {
        self.until.get_or_insert_with(|| Instant::now() + duration);
    }

    pub fn stop(&mut self) {
        self.until = None;
    }

    /// Starts it unless it runs; ready when the time is over.
    pub fn poll(&mut self, duration: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let until = *self.until.get_or_insert_with(|| Instant::now() + duration);
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() > until {
            sleep.as_mut().reset(until);
        } else if let Some(waiter) = &self.waiter
            && waiter.will_wake(cx.waker())
            && !sleep.is_elapsed()
        {
            return Poll::Pending;
        }
        // A sleep of an earlier use is not moved until it is over: hardly one ever is.
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until);
        }
        self.waiter = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A sleep that is left where an earlier use has put it ends too soon, or makes this wait for an hour.
    #[actix_web::test]
    async fn a_timer_that_is_used_again_runs_for_its_whole_time_and_no_longer() {
        let mut timer = Timer::default();
        let millis = Duration::from_millis;
        for (before, duration) in [
            (HOUR, millis(20)),
            (millis(10), millis(40)),
            (HOUR, millis(10)),
        ] {
            timer.start(before);
            let _ = poll_fn(|cx| Poll::Ready(timer.poll(before, cx))).await;
            timer.stop();
            let begin = Instant::now();
            poll_fn(|cx| timer.poll(duration, cx)).await;
            assert!(begin.elapsed() >= duration);
            timer.stop();
            assert!(!timer.is_running());
        }
    }

    #[actix_web::test]
    async fn a_timer_that_runs_is_not_started_anew() {
        let mut timer = Timer::default();
        timer.start(Duration::from_millis(1));
        timer.start(HOUR);
        poll_fn(|cx| timer.poll(HOUR, cx)).await;
        assert!(timer.is_running(), "until it is stopped");
    }
}
