//! Starting and stopping, stage by stage.

use super::*;

#[test]
fn stages_start_one_after_the_other_and_one_stage_together() {
    let mut bench = Bench::new(
        one_for_one(),
        &[(C, staged(1)), (A, staged(0)), (B, staged(0))],
    );
    assert_eq!(bench.said(), "", "nothing before start");
    bench.start();
    assert_eq!(bench.said(), "start A, start B");
    bench.ready(A);
    assert_eq!(bench.said(), "");
    bench.ready(B);
    assert_eq!(bench.said(), "start C");
}

#[test]
fn a_stage_that_fails_does_not_hold_the_next_one_back() {
    let mut bench = Bench::new(one_for_one(), &three());
    bench.start();
    bench.fails_boot(A);
    assert_eq!(bench.said(), "start A, start B");
}

#[test]
fn a_stage_that_takes_too_long_does_not_hold_the_next_one_back() {
    let mut bench = Bench::new(one_for_one(), &three());
    bench.start();
    assert_eq!(bench.said(), "start A");
    assert_eq!(bench.due_in(), Some(5_000));
    bench.after(5_000);
    assert_eq!(bench.said(), "start B");
}

#[test]
fn stops_in_reverse_order_each_stage_after_the_one_above_is_down() {
    let mut bench = Bench::running(one_for_one(), &three());
    bench.supervisor.stop(None, bench.now);
    assert_eq!(bench.said(), "stop C");
    bench.leaves(C);
    assert_eq!(bench.said(), "stop B");
    bench.leaves(B);
    assert_eq!(bench.said(), "stop A");
    bench.leaves(A);
    assert_eq!(bench.said(), "stopped");
}

#[test]
fn one_stage_stops_together_the_last_added_first() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0)), (B, staged(0))]);
    bench.supervisor.stop(None, bench.now);
    assert_eq!(bench.said(), "stop B, stop A");
}

#[test]
fn who_does_not_leave_in_its_grace_is_forced_once() {
    let spec = ChildSpec {
        grace: Duration::from_secs(5),
        ..ChildSpec::default()
    };
    let mut bench = Bench::running(one_for_one(), &[(A, spec)]);
    bench.supervisor.stop(None, bench.now);
    bench.said();
    assert_eq!(bench.due_in(), Some(5_000));
    bench.after(4_999);
    assert_eq!(bench.said(), "");
    bench.after(1);
    assert_eq!(bench.said(), "force A");
    bench.after(60_000);
    assert_eq!(bench.said(), "");
    bench.exits(A, exit(Cause::Abnormal, true, 0));
    assert_eq!(bench.said(), "stopped");
}

#[test]
fn a_deadline_for_all_shortens_every_grace() {
    let mut bench = Bench::running(one_for_one(), &three());
    bench.supervisor.stop_child(C, bench.now);
    bench
        .supervisor
        .stop(Some(Duration::from_secs(2)), bench.now);
    assert_eq!(bench.said(), "stop C");
    bench.after(2_000);
    assert_eq!(bench.said(), "force C");
    bench.leaves(C);
    assert_eq!(
        bench.said(),
        "stop B, force B",
        "the time is up for those below too"
    );
}

#[test]
fn stopping_while_children_wait_for_their_backoff_needs_no_wait() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0))]);
    bench.leaves(A);
    bench.fails_boot(A);
    bench.said();
    bench.supervisor.stop(None, bench.now);
    assert_eq!(bench.said(), "stopped");
    assert_eq!(bench.due_in(), None);
}

#[test]
fn a_supervisor_without_children_stops_at_once() {
    let mut bench = Bench::running(one_for_one(), &[]);
    bench.supervisor.stop(None, bench.now);
    assert_eq!(bench.said(), "stopped");
}
