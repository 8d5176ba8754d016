//! What a worker publishes: a reader waits for the first snapshot or for the news that there will be none.

use std::sync::Arc;

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
        vars.publish(7);
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
        vars.publish([1, 1]);
        let reader = thread::spawn({
            let vars = vars.clone();
            move || *vars.current().unwrap()
        });
        vars.publish([2, 2]);
        let seen = reader.join().unwrap();
        assert!(seen == [1, 1] || seen == [2, 2], "{seen:?}");
        assert_eq!(vars.current().as_deref(), Some(&[2, 2]));
    });
}
