//! Model checks: loom runs each of these in every order that the memory model allows, and fails on a lost
//! wake-up as a deadlock. They check the code that ships; only `sync` is exchanged.
//!
//! `make models` runs them. A model has few threads and few steps, since the orders to try grow
//! exponentially with both.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use bytes::Bytes;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::{self, JoinHandle};

use crate::body::{self, BodyError, BodyReader, BodyWriter, body_port};
use crate::queue::{JobQueue, Seat};
use crate::response::{
    ClientLeft, Head, Outcome, PARTS, Part, ResponseReader, ResponseWriter, Withdrawal,
    response_port,
};
use crate::sync::{Mutex, lock};
use crate::wait::{Heed, Interrupted, KillReason, Parker, Wait};

/// Every order with at most three preemptions, in seconds; without a bound the larger models take hours.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Blocks until `poll` is ready, as a PHP thread between two jobs does.
fn wait<T>(poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    Wait::for_this_thread()
        .until(Heed::Kill, None, poll)
        .unwrap()
}

mod waiting {
    use super::*;

    /// The smallest thing to wait for.
    #[derive(Default)]
    struct Flag(Mutex<(bool, Option<Waker>)>);

    impl Flag {
        fn raise(&self) {
            let waker = {
                let mut flag = lock(&self.0);
                flag.0 = true;
                flag.1.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
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

    /// Runs `wait` on a thread of its own and hands out what others reach of it.
    fn spawn<T: 'static>(wait: impl FnOnce(&Wait) -> T + 'static) -> (Arc<Parker>, JoinHandle<T>) {
        let (parker_of, parker) = loom::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let waiting = Wait::for_this_thread();
            parker_of.send(waiting.parker()).unwrap();
            wait(&waiting)
        });
        (parker.recv().unwrap(), thread)
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
            let (parker, thread) =
                spawn(|wait| wait.until(Heed::Kill, None, |_| Poll::<()>::Pending));
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
            let (parker, thread) =
                spawn(|wait| wait.until(Heed::Drain, None, |_| Poll::<()>::Pending));
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
            let (parker, thread) =
                spawn(|wait| wait.until(Heed::Kill, None, |_| Poll::<()>::Pending));
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
}

mod queueing {
    use super::*;

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
    fn a_drained_taker_takes_the_job_or_leaves_it_to_another() {
        check(|| {
            let queue = JobQueue::new(1);
            let (parker_of, parker) = loom::sync::mpsc::channel();
            let mut seat = queue.seat();
            let drained = thread::spawn(move || {
                let waiting = Wait::for_this_thread();
                parker_of.send(waiting.parker()).unwrap();
                waiting
                    .until(Heed::Drain, None, |cx| seat.poll_pop(cx))
                    .ok()
                    .flatten()
            });
            let mut seat = queue.seat();
            let stayer = thread::spawn(move || take(&mut seat));
            let parker: Arc<Parker> = parker.recv().unwrap();
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
}

mod bodies {
    use super::*;

    static FULL: [u8; body::CAPACITY] = [1; body::CAPACITY];

    fn send(writer: &mut BodyWriter, chunk: &'static [u8]) -> Result<(), BodyError> {
        wait(|cx| writer.poll_ready(cx))?;
        writer.push(Bytes::from_static(chunk));
        Ok(())
    }

    /// Everything up to the end, and how it ended.
    fn read_all(reader: &mut BodyReader) -> (Vec<u8>, Result<(), BodyError>) {
        let mut buffer = vec![0; body::CAPACITY];
        let mut all = Vec::new();
        loop {
            match wait(|cx| reader.poll_read(cx, &mut buffer)) {
                Ok(0) => return (all, Ok(())),
                Ok(read) => all.extend_from_slice(&buffer[..read]),
                Err(error) => return (all, Err(error)),
            }
        }
    }

    #[test]
    fn chunks_arrive_in_order_once_each_and_then_the_end() {
        check(|| {
            let (mut writer, mut reader) = body_port();
            let client = thread::spawn(move || {
                send(&mut writer, b"ab").unwrap();
                send(&mut writer, b"cd").unwrap();
                writer.finish();
            });
            assert_eq!(read_all(&mut reader), (b"abcd".to_vec(), Ok(())));
            client.join().unwrap();
        });
    }

    #[test]
    fn a_client_that_leaves_ends_the_readers_wait() {
        check(|| {
            let (mut writer, mut reader) = body_port();
            let client = thread::spawn(move || send(&mut writer, b"half").unwrap());
            assert_eq!(
                read_all(&mut reader),
                (b"half".to_vec(), Err(BodyError::ClientLeft))
            );
            client.join().unwrap();
        });
    }

    #[test]
    fn a_writer_that_waits_for_room_goes_on_when_there_is_some() {
        check(|| {
            let (mut writer, mut reader) = body_port();
            writer.push(Bytes::from_static(&FULL));
            let client = thread::spawn(move || {
                send(&mut writer, b"more").unwrap();
                writer.finish();
            });
            let (all, end) = read_all(&mut reader);
            assert_eq!((all.len(), end), (body::CAPACITY + 4, Ok(())));
            client.join().unwrap();
        });
    }

    #[test]
    fn a_script_that_no_longer_reads_ends_the_writers_wait() {
        check(|| {
            let (mut writer, reader) = body_port();
            writer.push(Bytes::from_static(&FULL));
            let client = thread::spawn(move || send(&mut writer, b"more"));
            drop(reader);
            assert_eq!(client.join().unwrap(), Err(BodyError::NotRead));
        });
    }
}

mod responses {
    use super::*;

    fn head() -> Head {
        Head {
            status: 200,
            headers: Vec::new(),
        }
    }

    fn send(writer: &mut ResponseWriter, body: &[u8]) -> Result<(), ClientLeft> {
        writer.write(body);
        wait(|cx| writer.poll_flush(cx))
    }

    /// A writer whose next flush has to wait: the port is full of `PARTS` bytes, 1 to `PARTS`.
    fn full_port() -> (ResponseWriter, ResponseReader) {
        let (mut writer, reader) = response_port();
        writer.set_head(head());
        for n in 1..=PARTS as u8 {
            send(&mut writer, &[n]).unwrap();
        }
        (writer, reader)
    }

    /// The body up to the end, and how it ended. Asserts that one head comes first.
    fn receive_all(reader: &mut ResponseReader) -> (Vec<u8>, Outcome) {
        let mut all = None::<Vec<u8>>;
        loop {
            match wait(|cx| reader.poll_part(cx)) {
                Ok(Part::Head { body, .. }) => {
                    assert!(all.replace(body.to_vec()).is_none(), "a second head")
                }
                Ok(Part::Body(body)) => all.as_mut().unwrap().extend_from_slice(&body),
                Ok(Part::Informational(_)) => unreachable!("none was sent"),
                Err(outcome) => return (all.unwrap_or_default(), outcome),
            }
        }
    }

    #[test]
    fn parts_arrive_in_order_once_each_and_then_the_outcome() {
        check(|| {
            let (mut writer, mut reader) = response_port();
            let script = thread::spawn(move || {
                writer.set_head(head());
                send(&mut writer, b"a").unwrap();
                send(&mut writer, b"b").unwrap();
                writer.write(b"c");
                writer.finish();
            });
            assert_eq!(
                receive_all(&mut reader),
                (b"abc".to_vec(), Outcome::Complete)
            );
            script.join().unwrap();
        });
    }

    #[test]
    fn a_script_that_dies_ends_the_readers_wait_unfinished() {
        check(|| {
            let (mut writer, mut reader) = response_port();
            let script = thread::spawn(move || {
                writer.set_head(head());
                send(&mut writer, b"a").unwrap();
                writer.write(b"never handed over");
            });
            assert_eq!(receive_all(&mut reader), (b"a".to_vec(), Outcome::Aborted));
            script.join().unwrap();
        });
    }

    #[test]
    fn a_writer_that_waits_for_a_slow_client_goes_on_when_it_reads() {
        check(|| {
            let (mut writer, mut reader) = full_port();
            let script = thread::spawn(move || {
                send(&mut writer, &[PARTS as u8 + 1]).unwrap();
                writer.finish();
            });
            let expected = (1..=PARTS as u8 + 1).collect();
            assert_eq!(receive_all(&mut reader), (expected, Outcome::Complete));
            script.join().unwrap();
        });
    }

    #[test]
    fn a_client_that_leaves_ends_the_writers_wait() {
        check(|| {
            let (mut writer, reader) = full_port();
            let script = thread::spawn(move || send(&mut writer, b"more"));
            drop(reader);
            assert_eq!(script.join().unwrap(), Err(ClientLeft));
        });
    }

    #[test]
    fn a_response_ends_once_when_its_thread_is_given_up() {
        check(|| {
            let (mut writer, mut reader) = response_port();
            let breaker = writer.breaker();
            let script = thread::spawn(move || {
                writer.set_head(head());
                let sent = send(&mut writer, b"a");
                writer.write(b"b");
                writer.finish();
                sent
            });
            let operator = thread::spawn(move || breaker.give_up());
            let received = receive_all(&mut reader);
            let sent = script.join().unwrap();
            operator.join().unwrap();
            match received.1 {
                Outcome::Complete => assert_eq!(received.0, b"ab"),
                Outcome::GivenUp => {
                    assert_eq!(received.0, if sent.is_ok() { "a" } else { "" }.as_bytes())
                }
                Outcome::Aborted => unreachable!("it was finished or given up"),
            }
            assert_eq!(receive_all(&mut reader), (Vec::new(), received.1));
        });
    }

    #[test]
    fn a_job_is_either_begun_or_withdrawn() {
        check(|| {
            let (mut writer, reader) = response_port();
            let script = thread::spawn(move || writer.begin());
            let withdrawn = matches!(reader.withdraw(), Withdrawal::Withdrawn);
            assert_eq!(script.join().unwrap(), !withdrawn);
        });
    }
}
