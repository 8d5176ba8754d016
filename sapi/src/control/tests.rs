//! Whom a kill hits.

use super::*;
use crate::response::response_port;
use crate::wait::Wait;

fn thread() -> (Arc<Shared>, ThreadControl) {
    let watchdog = Watchdog::start().unwrap_or_else(|error| panic!("no watchdog: {error}"));
    let shared = Arc::new(Shared::new(Wait::for_this_thread().parker(), watchdog));
    let control = ThreadControl {
        shared: shared.clone(),
    };
    (shared, control)
}

fn begin_request(shared: &Shared) -> bool {
    let (writer, _reader) = response_port();
    let title = Title {
        id: 1,
        method: b"GET",
        uri: b"/",
    };
    // SAFETY: constants are always there.
    unsafe { shared.begin_request(title, Instant::now(), None, writer.breaker()) }
}

fn begin_script(shared: &Shared) {
    shared.begin_script(Instant::now());
}

fn end(shared: &Shared, to: Doing) -> Option<KillReason> {
    shared.end(to, Instant::now(), true, None)
}

#[test]
fn a_kill_between_two_requests_does_not_hit_the_next() {
    let (shared, control) = thread();
    begin_script(&shared);
    assert!(control.kill(KillReason::Operator, None));
    assert!(!begin_request(&shared), "it would be killed");
    assert_eq!(control.status().activity, Activity::Script);
    assert_eq!(end(&shared, Doing::Idle), Some(KillReason::Operator));
    begin_script(&shared);
    assert!(begin_request(&shared), "the script's next run serves it");
    assert_eq!(shared.killed(), None);
}

#[test]
fn a_kill_that_comes_late_for_its_request_hits_none() {
    let (shared, control) = thread();
    begin_script(&shared);
    assert!(begin_request(&shared));
    let meant = control.status().generation;
    end(&shared, Doing::Script);
    assert!(begin_request(&shared));
    assert!(!control.kill(KillReason::Operator, Some(meant)));
    assert_eq!(shared.killed(), None);
}

#[test]
fn a_kill_ends_with_the_request_that_it_hit() {
    let (shared, control) = thread();
    begin_script(&shared);
    assert!(begin_request(&shared));
    assert!(control.kill(KillReason::Operator, None));
    let killed = end(&shared, Doing::Script);
    assert_eq!(killed, Some(KillReason::Operator));
    assert!(begin_request(&shared));
}

/// Counts what the lookout is told.
fn watch(control: &ThreadControl, slow_after: Option<Duration>) -> Arc<AtomicU32> {
    let told = Arc::new(AtomicU32::new(0));
    let count = told.clone();
    control.watch(Lookout {
        slow_after,
        stuck_after: Duration::from_secs(60),
        look: Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }),
    });
    told
}

#[test]
fn a_slow_request_is_told_once_and_a_quick_one_never() {
    let (shared, control) = thread();
    let slow_after = Duration::from_secs(60);
    let told = watch(&control, Some(slow_after));
    begin_script(&shared);
    assert!(begin_request(&shared));
    end(&shared, Doing::Script);
    let later = Instant::now() + 2 * slow_after;
    assert_eq!(shared.tend(later), None, "it was quick");
    assert!(begin_request(&shared));
    let due = shared.tend(Instant::now()).expect("it may become slow");
    assert_eq!(told.load(Ordering::SeqCst), 0);
    assert_eq!(shared.tend(due), None);
    assert_eq!(shared.tend(later), None);
    assert_eq!(told.load(Ordering::SeqCst), 1);
}

#[test]
fn what_was_killed_and_does_not_end_is_told_once() {
    let (shared, control) = thread();
    let told = watch(&control, None);
    begin_script(&shared);
    assert!(begin_request(&shared));
    assert!(control.kill(KillReason::Operator, None));
    end(&shared, Doing::Script);
    let later = Instant::now() + Duration::from_secs(120);
    assert_eq!(shared.tend(later), None, "it ended");
    assert!(begin_request(&shared));
    assert!(control.kill(KillReason::Operator, None));
    assert!(control.kill(KillReason::Stop, None));
    shared.tend(Instant::now());
    assert_eq!(told.load(Ordering::SeqCst), 0);
    shared.tend(later);
    shared.tend(later);
    assert_eq!(told.load(Ordering::SeqCst), 1);
}

#[test]
fn a_kill_outlives_a_request_that_had_no_client() {
    let (shared, control) = thread();
    begin_script(&shared);
    assert!(begin_request(&shared));
    assert!(control.kill(KillReason::Stop, None));
    shared.step_back(Doing::Script, Instant::now());
    assert!(!begin_request(&shared));
}
