//! A pool's queue: jobs are taken once, nobody sleeps while one waits, wake-ups are throttled and never lost.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::{check, spawn, wait};
use crate::queue::{JobQueue, Seat};
use crate::wait::Heed;

fn push(queue: &JobQueue<u32>, job: u32) {
    assert!(queue.push(job, |_| false).is_ok());
}

fn take(seat: &mut Seat<u32>) -> Option<u32> {
    wait(|cx| seat.poll_pop(cx))
}

#[test]
fn nobody_sleeps_while_a_job_waits() {
    check(|| {
        let queue = JobQueue::new(2);
        let takers = [(); 2].map(|()| {
            let mut seat = queue.seat();
            thread::spawn(move || take(&mut seat).unwrap())
        });
        push(&queue, 1);
        push(&queue, 2);
        let mut taken = takers.map(|taker| taker.join().unwrap());
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
    });
}

#[test]
fn jobs_of_two_pushers_are_taken_once_each() {
    check(|| {
        let queue = JobQueue::new(2);
        let pushers = [1, 2].map(|job| {
            let queue = queue.clone();
            thread::spawn(move || push(&queue, job))
        });
        let mut seat = queue.seat();
        let mut taken = [take(&mut seat).unwrap(), take(&mut seat).unwrap()];
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        assert!(queue.is_empty());
        for pusher in pushers {
            pusher.join().unwrap();
        }
    });
}

#[test]
fn close_ends_every_wait_and_loses_no_job() {
    check(|| {
        let queue = JobQueue::new(2);
        let takers = [(); 2].map(|()| {
            let mut seat = queue.seat();
            thread::spawn(move || std::iter::from_fn(|| take(&mut seat)).count())
        });
        push(&queue, 1);
        queue.close();
        assert!(queue.push(2, |_| false).is_err());
        assert_eq!(
            takers
                .map(|taker| taker.join().unwrap())
                .iter()
                .sum::<usize>(),
            1
        );
    });
}

/// A thread that looks once and leaves, woken meanwhile or not: its job goes to the one that stays.
fn the_job_is_not_lost(leave: fn(Seat<u32>)) {
    check(move || {
        let queue = JobQueue::new(1);
        let mut staying = queue.seat();
        let stayer = thread::spawn(move || take(&mut staying));
        let mut leaving = queue.seat();
        let leaver = thread::spawn(move || {
            let taken = leaving.poll_pop(&mut Context::from_waker(Waker::noop()));
            leave(leaving);
            taken
        });
        push(&queue, 7);
        match leaver.join().unwrap() {
            Poll::Pending => assert_eq!(stayer.join().unwrap(), Some(7)),
            Poll::Ready(job) => {
                assert_eq!(job, Some(7));
                queue.close();
                assert_eq!(stayer.join().unwrap(), None);
            }
        }
    });
}

#[test]
fn a_seat_that_is_dropped_passes_its_wake_up_on() {
    the_job_is_not_lost(drop);
}

#[test]
fn a_seat_that_rests_passes_its_wake_up_on() {
    the_job_is_not_lost(|mut seat| {
        seat.rest();
        // It stays a seat of the queue that nobody waits at.
        std::mem::forget(seat);
    });
}

#[test]
fn a_job_that_is_put_back_goes_to_the_one_that_stays() {
    the_job_is_not_lost(|mut seat| {
        if let Poll::Ready(Some(job)) = seat.poll_pop(&mut Context::from_waker(Waker::noop())) {
            seat.put_back(job);
        }
    });
}

#[test]
fn a_drained_taker_takes_the_job_or_leaves_it_to_another() {
    check(|| {
        let queue = JobQueue::new(1);
        let mut seat = queue.seat();
        let (parker, drained) = spawn(move |waiting| {
            let taken = waiting.until(Heed::Drain, None, |cx| seat.poll_pop(cx));
            taken.ok().flatten()
        });
        let mut seat = queue.seat();
        let stayer = thread::spawn(move || take(&mut seat));
        push(&queue, 7);
        parker.set_draining(true);
        match drained.join().unwrap() {
            Some(job) => {
                assert_eq!(job, 7);
                queue.close();
                assert_eq!(stayer.join().unwrap(), None);
            }
            None => assert_eq!(stayer.join().unwrap(), Some(7)),
        }
    });
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn at_most_one_wake_up_is_in_flight() {
    check(|| {
        let queue = JobQueue::new(2);
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let mut seats = [queue.seat(), queue.seat()];
        for seat in &mut seats {
            assert!(seat.poll_pop(&mut cx).is_pending());
        }
        let pusher = thread::spawn({
            let queue = queue.clone();
            move || push(&queue, 1)
        });
        push(&queue, 2);
        pusher.join().unwrap();
        let woken = || count.0.load(Ordering::SeqCst);
        assert_eq!(woken(), 1);
        let [first, second] = &mut seats;
        // The second seat waited last, so it is the woken one; it wakes one more, for what remains.
        assert!(second.poll_pop(&mut cx).is_ready());
        assert_eq!(woken(), 2);
        assert!(first.poll_pop(&mut cx).is_ready());
        assert_eq!(woken(), 2);
    });
}
