//! What a worker publishes: a reader waits for the first snapshot or for the news that there will be none.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::{check, wait};
use crate::background::{Unavailable, Vars};

#[test]
fn the_first_publish_ends_every_readers_wait() {
    check(|| {
        let vars = Arc::new(Vars::default());
        let readers = [(); 2].map(|()| {
            let vars = vars.clone();
            thread::spawn(move || wait(|cx| vars.poll_current(cx)).map(|value| *value))
        });
        vars.publish(vars.begin_life(), 7);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), Ok(7));
        }
    });
}

#[test]
fn a_worker_that_cannot_boot_ends_its_readers_waits() {
    check(|| {
        let vars = Arc::new(Vars::<u32>::default());
        let reader = thread::spawn({
            let vars = vars.clone();
            move || wait(|cx| vars.poll_current(cx)).map(|value| *value)
        });
        vars.set_unavailable(Unavailable::Stopping);
        assert_eq!(reader.join().unwrap(), Err(Unavailable::Stopping));
    });
}

#[test]
fn a_reader_sees_one_snapshot_or_the_next() {
    check(|| {
        let vars = Arc::new(Vars::default());
        let life = vars.begin_life();
        vars.publish(life, [1, 1]);
        let reader = thread::spawn({
            let vars = vars.clone();
            move || *vars.current().unwrap()
        });
        vars.publish(life, [2, 2]);
        let seen = reader.join().unwrap();
        assert!(seen == [1, 1] || seen == [2, 2], "{seen:?}");
        assert_eq!(vars.current().as_deref(), Some(&[2, 2]));
    });
}

/// Counts how often it was freed.
struct Freed(Arc<AtomicUsize>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_snapshot_is_freed_once_when_the_last_who_has_it_lets_go() {
    check(|| {
        let vars = Arc::new(Vars::default());
        let freed = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let life = vars.begin_life();
        vars.publish(life, Freed(freed[0].clone()));
        let reader = thread::spawn({
            let (vars, first) = (vars.clone(), freed[0].clone());
            move || {
                let held = vars.current().unwrap();
                if Arc::ptr_eq(&held.0, &first) {
                    assert_eq!(first.load(Ordering::SeqCst), 0, "freed while it is read");
                }
            }
        });
        vars.publish(life, Freed(freed[1].clone()));
        reader.join().unwrap();
        let counts = freed.each_ref().map(|freed| freed.load(Ordering::SeqCst));
        assert_eq!(counts, [1, 0]);
        vars.discard(life);
        assert_eq!(freed[1].load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_reader_outlasts_a_crash_and_gets_what_the_next_life_publishes() {
    check(|| {
        let vars = Arc::new(Vars::default());
        let reader = thread::spawn({
            let vars = vars.clone();
            move || wait(|cx| vars.poll_current(cx)).map(|value| *value)
        });
        let crashed = vars.begin_life();
        vars.discard(crashed);
        vars.publish(vars.begin_life(), 2);
        assert_eq!(reader.join().unwrap(), Ok(2));
    });
}

#[test]
fn of_a_first_publish_and_a_failed_boot_a_reader_sees_the_one_that_came_first() {
    check(|| {
        let vars = Arc::new(Vars::default());
        let failure = Unavailable::CannotBoot("parse error".into());
        let reader = thread::spawn({
            let vars = vars.clone();
            move || wait(|cx| vars.poll_current(cx)).map(|value| *value)
        });
        let failing = thread::spawn({
            let (vars, failure) = (vars.clone(), failure.clone());
            move || vars.set_unavailable(failure)
        });
        vars.publish(vars.begin_life(), 7);
        failing.join().unwrap();
        let seen = reader.join().unwrap();
        assert!(seen == Ok(7) || seen == Err(failure), "{seen:?}");
        let later = wait(|cx| vars.poll_current(cx)).map(|value| *value);
        assert_eq!(later, Ok(7), "what was published outlives the failure");
    });
}

#[test]
fn a_reader_that_gave_up_waiting_costs_the_others_nothing() {
    check(|| {
        let vars = Arc::new(Vars::default());
        // Its deadline came: it was polled once and will not come back.
        let gone = std::task::Waker::noop();
        assert!(
            vars.poll_current(&mut std::task::Context::from_waker(gone))
                .is_pending()
        );
        let reader = thread::spawn({
            let vars = vars.clone();
            move || wait(|cx| vars.poll_current(cx)).map(|value| *value)
        });
        vars.publish(vars.begin_life(), 7);
        assert_eq!(reader.join().unwrap(), Ok(7));
    });
}
