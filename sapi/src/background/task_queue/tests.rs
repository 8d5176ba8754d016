use super::*;
use crate::background::bell::readable;
use crate::background::task::{TaskObserver, TaskOutcome, TaskSender, task};
use crate::control::Hold;

struct Quiet;

impl TaskObserver for Quiet {
    fn accepted(&self) {}
    fn taken(&self, _: &Arc<str>) {}
    fn ended(&self, _: &TaskOutcome) {}
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn send(queue: &TaskQueue<u32>, payload: u32) -> (TaskSender<u32>, Poll<Result<(), Unavailable>>) {
    let (sender, offer) = task(payload, |_| Arc::new(Quiet));
    let sent = queue.line().poll_send(&mut Some(offer), &mut cx());
    (sender, sent)
}

#[test]
fn each_task_signals_one_thread_and_a_waiting_one_first() {
    let queue = TaskQueue::new(8);
    let mut busy = queue.place("w");
    let mut idle = queue.place("w");
    assert!(idle.poll_signal(&mut cx()).is_pending());
    let (_first, sent) = send(&queue, 1);
    assert!(sent.is_ready());
    assert!(idle.is_signalled());
    assert!(!busy.is_signalled());
    let (_second, _) = send(&queue, 2);
    assert!(busy.is_signalled());
    assert_eq!(idle.poll_signal(&mut cx()), Poll::Ready(Signal::Task));
    assert_eq!(idle.receive().map(|(payload, _)| payload), Some(1));
    assert_eq!(busy.receive().map(|(payload, _)| payload), Some(2));
    assert!(
        busy.poll_signal(&mut cx()).is_pending(),
        "a taken task leaves no signal behind"
    );
}

#[test]
fn a_thread_that_takes_one_of_several_tasks_is_signalled_again() {
    let queue = TaskQueue::new(8);
    let mut only = queue.place("w");
    let _senders = [send(&queue, 1), send(&queue, 2)];
    for expected in [1, 2] {
        assert_eq!(only.poll_signal(&mut cx()), Poll::Ready(Signal::Task));
        assert_eq!(only.receive().map(|(payload, _)| payload), Some(expected));
    }
    assert!(only.poll_signal(&mut cx()).is_pending());
}

#[test]
fn a_thread_that_leaves_passes_its_signal_on() {
    let queue = TaskQueue::new(8);
    let mut first = queue.place("w");
    let second = queue.place("w");
    assert!(first.poll_signal(&mut cx()).is_pending());
    let _sender = send(&queue, 1);
    assert!(first.is_signalled() && !second.is_signalled());
    drop(first);
    assert!(second.is_signalled());
}

#[test]
fn a_thread_that_is_lost_aborts_every_task_it_holds() {
    let queue = TaskQueue::new(8);
    let mut senders = [send(&queue, 1).0, send(&queue, 2).0];
    let mut place = queue.place("w");
    let held = [place.receive().unwrap(), place.receive().unwrap()];
    let (waiting, _) = send(&queue, 3);
    let sibling = queue.place("w");
    place.stopper().lose();
    for sender in &mut senders {
        assert_eq!(
            sender.poll_update(&mut cx()),
            Poll::Ready(Err(TaskOutcome::Aborted))
        );
    }
    assert!(
        sibling.is_signalled(),
        "what it had not taken is a sibling's"
    );
    drop((held, waiting));
}

#[test]
fn a_thread_that_stops_says_so_once_and_then_ends() {
    let queue = TaskQueue::<u32>::new(1);
    let mut place = queue.place("w");
    place.stopper().stop();
    assert_eq!(place.poll_signal(&mut cx()), Poll::Ready(Signal::Stop));
    assert_eq!(place.poll_signal(&mut cx()), Poll::Ready(Signal::End));
    assert!(place.is_signalled());
}

/// A thread with a task in hand, and another task that it was signalled for.
fn busy(queue: &TaskQueue<u32>) -> (Place<u32>, impl Sized) {
    let mut busy = queue.place("a:1");
    let first = send(queue, 1);
    assert_eq!(busy.poll_signal(&mut cx()), Poll::Ready(Signal::Task));
    let task = busy.receive();
    let second = send(queue, 2);
    assert!(busy.is_signalled());
    (busy, (first, task, second))
}

#[test]
fn a_thread_that_begins_to_wait_takes_over_the_signal_of_a_busy_one() {
    let queue = TaskQueue::new(8);
    let (busy, _held) = busy(&queue);
    let mut idle = queue.place("a:1");
    assert_eq!(idle.poll_signal(&mut cx()), Poll::Ready(Signal::Task));
    assert!(!busy.is_signalled());
    assert_eq!(idle.receive().map(|(payload, _)| payload), Some(2));
    assert!(idle.poll_signal(&mut cx()).is_pending());
}

#[test]
fn one_that_begins_to_select_does_too() {
    let queue = TaskQueue::new(8);
    let (busy, _held) = busy(&queue);
    let mut idle = queue.place("a:1");
    let descriptor = idle.descriptor(false).unwrap();
    assert!(idle.is_signalled() && !busy.is_signalled());
    assert!(readable(descriptor));
}

#[test]
fn a_signal_that_may_have_been_seen_is_not_taken_back() {
    for keeps in [false, true] {
        let queue = TaskQueue::new(8);
        let (mut watching, _held) = busy(&queue);
        watching.descriptor(keeps).unwrap();
        let mut idle = queue.place("a:1");
        assert!(idle.poll_signal(&mut cx()).is_pending());
        assert_eq!(watching.poll_signal(&mut cx()), Poll::Ready(Signal::Task));
    }
}

#[test]
fn a_thread_that_selects_is_signalled_before_a_busy_one() {
    let queue = TaskQueue::new(8);
    let mut selecting = queue.place("a:1");
    selecting.descriptor(false).unwrap();
    let busy = queue.place("a:1");
    let _sender = send(&queue, 1);
    assert!(selecting.is_signalled() && !busy.is_signalled());
}

#[test]
fn a_thread_that_shall_stop_takes_no_more_tasks() {
    let queue = TaskQueue::new(2);
    let (mut leaving, mut staying) = (queue.place("a:1"), queue.place("a:1"));
    let _sender = send(&queue, 1);
    leaving.stopper().stop();
    assert!(leaving.receive().is_none());
    assert_eq!(staying.receive().map(|(payload, _)| payload), Some(1));
}

#[test]
fn a_thread_with_a_task_in_hand_is_not_idle_and_does_not_retire() {
    let queue = TaskQueue::new(2);
    let mut place = queue.place("a:1");
    let stopper = place.stopper();
    let came = stopper.idle_since().unwrap();
    let (sender, _) = send(&queue, 1);
    let (_, task) = place.receive().unwrap();
    assert_eq!(stopper.idle_since(), None);
    assert!(!stopper.retire());
    assert!(!place.is_signalled());
    task.complete();
    assert!(
        stopper.idle_since().unwrap() > came,
        "though nobody has read its end"
    );
    assert!(stopper.retire());
    let _waiting = send(&queue, 2);
    assert!(place.receive().is_none() && place.poll_signal(&mut cx()).is_pending());
    stopper.stop();
    assert_eq!(place.poll_signal(&mut cx()), Poll::Ready(Signal::Stop));
    drop(sender);
}

#[test]
fn whoever_adds_threads_is_told_of_tasks_and_senders_that_wait() {
    let queue = TaskQueue::new(1);
    let told = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = told.clone();
    queue.on_wait(Some(Arc::new(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    })));
    let _queued = send(&queue, 1);
    let (_second, offer) = task(2, |_| Arc::new(Quiet));
    let (mut line, mut offer) = (queue.line(), Some(offer));
    assert!(line.poll_send(&mut offer, &mut cx()).is_pending());
    assert_eq!(queue.demand(), 2);
    assert_eq!(told.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[test]
fn senders_wait_for_room_in_their_order_and_a_cancelled_task_makes_room() {
    let queue = TaskQueue::new(1);
    let (first, sent) = send(&queue, 1);
    assert!(sent.is_ready());
    let (_second, offer) = task(2, |_| Arc::new(Quiet));
    let (mut line, mut offer) = (queue.line(), Some(offer));
    assert!(line.poll_send(&mut offer, &mut cx()).is_pending());
    let (_third, late) = task(3, |_| Arc::new(Quiet));
    let (mut late_line, mut late) = (queue.line(), Some(late));
    drop(first);
    assert!(
        late_line.poll_send(&mut late, &mut cx()).is_pending(),
        "it is not its turn"
    );
    assert!(line.poll_send(&mut offer, &mut cx()).is_ready());
    let mut place = queue.place("w");
    assert_eq!(place.receive().map(|(payload, _)| payload), Some(2));
    assert!(late_line.poll_send(&mut late, &mut cx()).is_ready());
}

#[test]
fn a_worker_that_cannot_boot_refuses_waiting_tasks_and_senders() {
    let queue = TaskQueue::new(1);
    let (mut sender, _) = send(&queue, 1);
    queue.set_unavailable(&Unavailable::CannotBoot("parse error".into()));
    let refused = sender.poll_update(&mut cx());
    assert_eq!(
        refused,
        Poll::Ready(Err(TaskOutcome::Refused("parse error".into())))
    );
    let (_second, sent) = send(&queue, 2);
    assert_eq!(
        sent,
        Poll::Ready(Err(Unavailable::CannotBoot("parse error".into())))
    );
    queue.set_available();
    assert!(send(&queue, 3).1.is_ready());
}
