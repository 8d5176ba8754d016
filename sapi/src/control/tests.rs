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

fn request() -> Activity {
    Activity::Request {
        id: 1,
        method: "GET".into(),
        uri: "/".into(),
    }
}

fn begin_request(shared: &Shared) -> bool {
    let (writer, _reader) = response_port();
    shared.begin_request(request(), None, writer.breaker())
}

#[test]
fn a_kill_between_two_requests_does_not_hit_the_next() {
    let (shared, control) = thread();
    shared.begin_script();
    assert!(control.kill(KillReason::Operator, None));
    assert!(!begin_request(&shared), "it would be killed");
    assert_eq!(control.status().activity, Activity::Script);
    assert_eq!(
        shared.end(Activity::Idle, false, None),
        Some(KillReason::Operator)
    );
    shared.begin_script();
    assert!(begin_request(&shared), "the script's next run serves it");
    assert_eq!(shared.killed(), None);
}

#[test]
fn a_kill_that_comes_late_for_its_request_hits_none() {
    let (shared, control) = thread();
    shared.begin_script();
    assert!(begin_request(&shared));
    let meant = control.status().generation;
    shared.end(Activity::Script, true, None);
    assert!(begin_request(&shared));
    assert!(!control.kill(KillReason::Operator, Some(meant)));
    assert_eq!(shared.killed(), None);
}

#[test]
fn a_kill_ends_with_the_request_that_it_hit() {
    let (shared, control) = thread();
    shared.begin_script();
    assert!(begin_request(&shared));
    assert!(control.kill(KillReason::Operator, None));
    let killed = shared.end(Activity::Script, true, None);
    assert_eq!(killed, Some(KillReason::Operator));
    assert!(begin_request(&shared));
}

#[test]
fn a_kill_outlives_a_request_that_had_no_client() {
    let (shared, control) = thread();
    shared.begin_script();
    assert!(begin_request(&shared));
    assert!(control.kill(KillReason::Stop, None));
    shared.step_back(Activity::Script);
    assert!(!begin_request(&shared));
}
