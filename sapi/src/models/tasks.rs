//! The task port and the queue of a background pool: updates in order and once, one outcome, nobody waits for
//! what will not come.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::{check, wait};
use crate::background::leash::Leash;
use crate::background::{
    Line, Place, Signal, TaskClosed, TaskObserver, TaskOffer, TaskOutcome, TaskQueue, TaskSender,
    TaskWorker, UPDATES, task,
};

/// Counts the ends that a task's actor is told of.
#[derive(Default)]
struct Ends(AtomicUsize);

impl Ends {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl TaskObserver for Ends {
    fn accepted(&self) {}

    fn taken(&self, _: &Arc<str>) {}

    fn ended(&self, _: &TaskOutcome) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn open(payload: u32) -> (TaskSender<u32>, TaskOffer<u32>, Arc<Ends>) {
    let ends = Arc::new(Ends::default());
    let (sender, offer) = task(payload, |_| ends.clone());
    (sender, offer, ends)
}

/// A task that a worker has taken.
fn taken() -> (TaskSender<u32>, TaskWorker<u32>, Arc<Ends>) {
    let (sender, offer, ends) = open(7);
    let (_, worker) = offer.take(&"w".into()).unwrap();
    (sender, worker, ends)
}

fn update(worker: &mut TaskWorker<u32>, update: u32) -> Result<(), TaskClosed> {
    wait(|cx| worker.poll_room(cx))?;
    worker.update(update)
}

fn read_all(sender: &mut TaskSender<u32>) -> (Vec<u32>, TaskOutcome) {
    let mut all = Vec::new();
    loop {
        match wait(|cx| sender.poll_update(cx)) {
            Ok(update) => all.push(update),
            Err(outcome) => return (all, outcome),
        }
    }
}

#[test]
fn updates_arrive_in_order_once_each_and_then_the_outcome() {
    check(|| {
        let (mut sender, mut worker, ends) = taken();
        let script = thread::spawn(move || {
            update(&mut worker, 1).unwrap();
            update(&mut worker, 2).unwrap();
            worker.complete();
        });
        let read = read_all(&mut sender);
        assert_eq!(read, (vec![1, 2], TaskOutcome::Completed));
        script.join().unwrap();
        assert_eq!(ends.count(), 1);
    });
}

#[test]
fn a_worker_that_waits_for_credit_goes_on_when_the_sender_reads() {
    check(|| {
        let (mut sender, mut worker, _) = taken();
        for n in 0..UPDATES as u32 {
            update(&mut worker, n).unwrap();
        }
        let script = thread::spawn(move || {
            update(&mut worker, UPDATES as u32).unwrap();
            drop(worker);
        });
        let read = read_all(&mut sender);
        let expected = (0..=UPDATES as u32).collect();
        assert_eq!(read, (expected, TaskOutcome::Aborted));
        script.join().unwrap();
    });
}

#[test]
fn a_sender_that_gives_up_ends_the_workers_waits() {
    check(|| {
        let (sender, mut worker, _) = taken();
        for n in 0..UPDATES as u32 {
            update(&mut worker, n).unwrap();
        }
        let script = thread::spawn(move || {
            assert_eq!(update(&mut worker, 99), Err(TaskClosed));
            wait(|cx| worker.poll_closed(cx));
        });
        drop(sender);
        script.join().unwrap();
    });
}

#[test]
fn a_task_that_is_completed_and_cancelled_at_once_ends_once() {
    check(|| {
        let (sender, worker, ends) = taken();
        let script = thread::spawn(move || worker.complete());
        drop(sender);
        script.join().unwrap();
        assert_eq!(ends.count(), 1);
    });
}

#[test]
fn an_offer_is_taken_or_cancelled_and_its_sender_learns_which() {
    check(|| {
        let (mut sender, offer, ends) = open(7);
        let script = thread::spawn(move || match offer.take(&"w".into()) {
            Some((_, worker)) => worker.complete(),
            None => unreachable!("nobody has cancelled it"),
        });
        wait(|cx| sender.poll_taken(cx));
        drop(sender);
        script.join().unwrap();
        assert_eq!(ends.count(), 1);

        let (sender, offer, ends) = open(7);
        let script = thread::spawn(move || drop(offer.take(&"w".into())));
        drop(sender);
        script.join().unwrap();
        assert_eq!(ends.count(), 1);
    });
}

/// Waits for a signal, then takes what there is.
fn receive(place: &mut Place<u32>) -> u32 {
    loop {
        assert_eq!(wait(|cx| place.poll_signal(cx)), Signal::Task);
        if let Some((payload, worker)) = place.receive() {
            worker.complete();
            return payload;
        }
    }
}

fn send(line: &mut Line<u32>, offer: TaskOffer<u32>) {
    let mut offer = Some(offer);
    wait(|cx| line.poll_send(&mut offer, cx)).unwrap();
}

#[test]
fn no_thread_sleeps_while_a_task_waits() {
    check(|| {
        let queue = TaskQueue::new(2);
        let threads = [(); 2].map(|()| {
            let mut place = queue.place("w");
            thread::spawn(move || receive(&mut place))
        });
        let mut senders = Vec::new();
        for payload in [1, 2] {
            let (sender, offer, _) = open(payload);
            send(&mut queue.line(), offer);
            senders.push(sender);
        }
        let mut received = threads.map(|thread| thread.join().unwrap());
        received.sort_unstable();
        assert_eq!(received, [1, 2]);
    });
}

#[test]
fn a_thread_that_stops_leaves_its_signal_to_another() {
    check(|| {
        let queue = TaskQueue::new(1);
        let mut staying = queue.place("w");
        let stayer = thread::spawn(move || receive(&mut staying));
        let mut leaving = queue.place("w");
        let stopper = leaving.stopper();
        let leaver = thread::spawn(move || {
            // Signalled for the task or not, it does not take it.
            while wait(|cx| leaving.poll_signal(cx)) == Signal::Task {}
            leaving
        });
        let (_sender, offer, _) = open(7);
        send(&mut queue.line(), offer);
        stopper.stop();
        // It still cleans up while the other one serves.
        let _leaving = leaver.join().unwrap();
        assert_eq!(stayer.join().unwrap(), 7);
    });
}

#[test]
fn a_sender_that_waits_for_room_goes_on_when_a_task_is_taken() {
    check(|| {
        let queue = TaskQueue::new(1);
        let (_first, offer, _) = open(1);
        send(&mut queue.line(), offer);
        let mut line = queue.line();
        let script = thread::spawn(move || {
            let (mut sender, offer, _) = open(2);
            send(&mut line, offer);
            read_all(&mut sender).1
        });
        let mut place = queue.place("w");
        assert_eq!([receive(&mut place), receive(&mut place)], [1, 2]);
        assert_eq!(script.join().unwrap(), TaskOutcome::Completed);
    });
}

#[test]
fn a_worker_that_is_stopping_refuses_those_who_wait() {
    check(|| {
        let queue = TaskQueue::new(1);
        let (mut first, offer, _) = open(1);
        send(&mut queue.line(), offer);
        let mut line = queue.line();
        let script = thread::spawn(move || {
            let (_sender, offer, _) = open(2);
            let mut offer = Some(offer);
            wait(|cx| line.poll_send(&mut offer, cx)).is_err()
        });
        queue.set_unavailable(&crate::background::Unavailable::Stopping);
        assert!(script.join().unwrap());
        assert!(matches!(read_all(&mut first).1, TaskOutcome::Refused(_)));
    });
}

#[test]
fn an_operator_who_cancels_meets_a_worker_that_completes_and_one_of_them_is_told() {
    check(|| {
        let ends = Arc::new(Ends::default());
        let mut hold = None;
        let (mut sender, offer) = task(7, |port| {
            hold = Some(port);
            ends.clone()
        });
        let (_, worker) = offer.take(&"w".into()).unwrap();
        let hold = hold.and_then(|hold| hold.upgrade()).unwrap();
        let operator = thread::spawn(move || hold.end(TaskOutcome::Revoked));
        worker.complete();
        let (_, outcome) = read_all(&mut sender);
        let revoked = operator.join().unwrap();
        assert_eq!(revoked, outcome == TaskOutcome::Revoked);
        assert_eq!(ends.count(), 1);
    });
}

#[test]
fn a_client_that_leaves_while_its_request_sends_a_task_ends_it() {
    check(|| {
        let leash = Arc::new(Leash::default());
        let left = leash.clone();
        let client = thread::spawn(move || left.client_left());
        let mut hold = None;
        let (mut sender, offer) = task(7, |port| {
            hold = Some(port);
            Arc::new(Ends::default())
        });
        let (_, _worker) = offer.take(&"w".into()).unwrap();
        leash.tie(hold.unwrap());
        assert_eq!(read_all(&mut sender).1, TaskOutcome::Deserted);
        client.join().unwrap();
    });
}
