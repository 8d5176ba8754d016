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

#[test]
fn a_kill_outlives_a_request_that_had_no_client() {
    let (shared, control) = thread();
    begin_script(&shared);
    assert!(begin_request(&shared));
    assert!(control.kill(KillReason::Stop, None));
    shared.step_back(Doing::Script, Instant::now());
    assert!(!begin_request(&shared));
}
