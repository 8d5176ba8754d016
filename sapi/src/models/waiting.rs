//! The wait: no wake-up is lost; a kill and a drain always end it.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use loom::thread;

use super::{check, spawn, wait};
use crate::sync::{Mutex, lock, unlock_and_wake};
use crate::wait::{Heed, Interrupted, KillReason, Wait};

/// The smallest thing to wait for.
#[derive(Default)]
struct Flag(Mutex<(bool, Option<Waker>)>);

impl Flag {
    fn raise(&self) {
        let mut flag = lock(&self.0);
        flag.0 = true;
        let waker = flag.1.take();
        unlock_and_wake(flag, waker);
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut flag = lock(&self.0);
        if flag.0 {
            return Poll::Ready(());
        }
        flag.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[test]
fn a_wake_up_between_poll_and_park_is_not_lost() {
    check(|| {
        let flag = Arc::new(Flag::default());
        let raiser = thread::spawn({
            let flag = flag.clone();
            move || flag.raise()
        });
        wait(|cx| flag.poll(cx));
        raiser.join().unwrap();
    });
}

#[test]
fn a_wake_up_that_came_late_does_not_spoil_the_next_wait() {
    check(|| {
        let flags = Arc::new([Flag::default(), Flag::default()]);
        let raiser = thread::spawn({
            let flags = flags.clone();
            move || flags.iter().for_each(Flag::raise)
        });
        let this = Wait::for_this_thread();
        for flag in flags.iter() {
            assert_eq!(this.until(Heed::Kill, None, |cx| flag.poll(cx)), Ok(()));
        }
        raiser.join().unwrap();
    });
}

#[test]
fn a_kill_ends_a_wait() {
    check(|| {
        let (parker, thread) = spawn(|wait| wait.until(Heed::Kill, None, |_| Poll::<()>::Pending));
        parker.kill(KillReason::Operator);
        assert_eq!(
            thread.join().unwrap(),
            Err(Interrupted::Killed(KillReason::Operator))
        );
    });
}

#[test]
fn a_drain_ends_a_wait_that_heeds_it() {
    check(|| {
        let (parker, thread) = spawn(|wait| wait.until(Heed::Drain, None, |_| Poll::<()>::Pending));
        parker.set_draining(true);
        assert_eq!(thread.join().unwrap(), Err(Interrupted::Draining));
    });
}

#[test]
fn a_drain_does_not_end_a_wait_in_the_middle_of_something() {
    check(|| {
        let flag = Arc::new(Flag::default());
        let (parker, thread) = spawn({
            let flag = flag.clone();
            move |wait| wait.until(Heed::Kill, None, |cx| flag.poll(cx))
        });
        parker.set_draining(true);
        flag.raise();
        assert_eq!(thread.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_kill_and_a_wake_up_at_once_end_the_wait_by_one_of_them() {
    check(|| {
        let flag = Arc::new(Flag::default());
        let (parker, thread) = spawn({
            let flag = flag.clone();
            move |wait| wait.until(Heed::Kill, None, |cx| flag.poll(cx))
        });
        let killer = thread::spawn(move || parker.kill(KillReason::Stop));
        flag.raise();
        killer.join().unwrap();
        let ended = thread.join().unwrap();
        assert!(
            matches!(ended, Ok(()) | Err(Interrupted::Killed(KillReason::Stop))),
            "{ended:?}"
        );
    });
}

#[test]
fn a_wake_up_for_nothing_does_not_swallow_a_kill() {
    check(|| {
        let (parker, thread) = spawn(|wait| wait.until(Heed::Kill, None, |_| Poll::<()>::Pending));
        let waker = Waker::from(parker.clone());
        let waking = thread::spawn(move || waker.wake());
        parker.kill(KillReason::Deadline);
        assert_eq!(
            thread.join().unwrap(),
            Err(Interrupted::Killed(KillReason::Deadline))
        );
        waking.join().unwrap();
    });
}

#[test]
fn a_passed_deadline_ends_a_wait() {
    check(|| {
        let flag = Arc::new(Flag::default());
        let raiser = thread::spawn({
            let flag = flag.clone();
            move || flag.raise()
        });
        let this = Wait::for_this_thread();
        let ended = this.until(Heed::Kill, Some(Instant::now()), |cx| flag.poll(cx));
        assert!(
            matches!(ended, Ok(()) | Err(Interrupted::Deadline)),
            "{ended:?}"
        );
        // The waker it left behind does no harm.
        assert_eq!(this.until(Heed::Kill, None, |cx| flag.poll(cx)), Ok(()));
        raiser.join().unwrap();
    });
}
