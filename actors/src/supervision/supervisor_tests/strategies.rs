//! Who else is restarted with the one that ended.

use super::*;

#[test]
fn one_for_one_leaves_the_siblings_alone() {
    let mut bench = Bench::running(one_for_one(), &three());
    bench.exits(B, exit(Cause::Abnormal, true, 1));
    assert_eq!(bench.said(), "start B");
}

#[test]
fn one_for_all_stops_everybody_in_reverse_and_starts_them_in_order() {
    let mut bench = Bench::running(with(Strategy::OneForAll), &three());
    bench.exits(B, exit(Cause::Abnormal, true, 1));
    assert_eq!(bench.said(), "pause C");
    bench.leaves(C);
    assert_eq!(bench.said(), "pause A");
    bench.leaves(A);
    assert_eq!(bench.said(), "start A");
    bench.ready(A);
    assert_eq!(bench.said(), "start B");
    bench.ready(B);
    assert_eq!(bench.said(), "start C");
}

#[test]
fn rest_for_one_restarts_it_and_those_after_it() {
    let mut bench = Bench::running(with(Strategy::RestForOne), &three());
    bench.exits(B, exit(Cause::Abnormal, true, 1));
    assert_eq!(bench.said(), "pause C");
    bench.leaves(C);
    assert_eq!(bench.said(), "start B");
    bench.ready(B);
    assert_eq!(bench.said(), "start C");
}

#[test]
fn a_group_waits_for_the_backoff_of_the_one_that_failed() {
    let mut bench = Bench::running(with(Strategy::OneForAll), &[(A, staged(0)), (B, staged(0))]);
    bench.exits(B, exit(Cause::Abnormal, true, 1));
    bench.leaves(A);
    assert_eq!(bench.said(), "pause A, start A, start B");
    bench.ready(A);
    bench.fails_boot(B);
    assert_eq!(bench.said(), "pause A");
    bench.leaves(A);
    assert_eq!(bench.said(), "");
    assert_eq!(bench.due_in(), Some(100));
    bench.after(100);
    assert_eq!(bench.said(), "start A, start B");
}

#[test]
fn a_child_that_was_stopped_on_purpose_is_not_in_the_group() {
    let mut bench = Bench::running(with(Strategy::OneForAll), &three());
    bench.supervisor.stop_child(C, bench.now);
    bench.leaves(C);
    bench.said();
    bench.exits(B, exit(Cause::Abnormal, true, 1));
    bench.leaves(A);
    bench.ready(A);
    bench.ready(B);
    assert_eq!(bench.said(), "pause A, start A, start B");
}

#[test]
fn a_second_failure_while_the_group_leaves_changes_nothing() {
    let mut bench = Bench::running(with(Strategy::OneForAll), &three());
    bench.exits(B, exit(Cause::Abnormal, true, 1));
    bench.exits(C, exit(Cause::Abnormal, true, 1));
    assert_eq!(bench.said(), "pause C, pause A");
    bench.leaves(A);
    assert_eq!(bench.said(), "start A");
}
