//! What people ask for.

use super::*;

#[test]
fn a_restart_on_request_pauses_and_starts_again() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0)), (B, staged(0))]);
    bench.supervisor.restart_child(A, bench.now);
    assert_eq!(bench.said(), "pause A");
    bench.exits(A, exit(Cause::Recycled, true, 3));
    assert_eq!(bench.said(), "start A");
    assert_eq!(bench.supervisor.generation(A), 2);
}

#[test]
fn a_restart_on_request_ends_a_backoff_and_forgets_failures() {
    let mut bench = Bench::new(one_for_one(), &[(A, staged(0))]);
    bench.start();
    for wait in [100, 200, 400] {
        bench.fails_boot(A);
        bench.after(wait);
    }
    bench.fails_boot(A);
    bench.said();
    bench.supervisor.restart_child(A, bench.now);
    assert_eq!(bench.said(), "start A");
    bench.fails_boot(A);
    assert_eq!(bench.due_in(), Some(100));
}

#[test]
fn a_stopped_child_rests_until_it_is_restarted() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0))]);
    bench.supervisor.stop_child(A, bench.now);
    bench.leaves(A);
    bench.after(60_000);
    assert_eq!(bench.said(), "stop A");
    assert!(bench.supervisor.rests(A));
    bench.supervisor.restart_child(A, bench.now);
    assert_eq!(bench.said(), "start A");
}

#[test]
fn a_removed_child_is_forgotten_when_it_is_down() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0)), (B, staged(0))]);
    bench.supervisor.remove(B, bench.now);
    assert_eq!(bench.said(), "stop B");
    bench.leaves(B);
    assert_eq!(bench.said(), "forget B");
    assert_eq!(bench.supervisor.children().collect::<Vec<_>>(), [A]);
}

#[test]
fn a_child_added_while_running_starts() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0))]);
    bench.supervisor.add(B, staged(0), bench.now);
    assert_eq!(bench.said(), "start B");
}

#[test]
fn nothing_is_restarted_while_everything_stops() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0)), (B, staged(0))]);
    bench.supervisor.stop(None, bench.now);
    bench.supervisor.restart_child(A, bench.now);
    bench.leaves(B);
    bench.leaves(A);
    assert_eq!(bench.said(), "stop B, stop A, stopped");
}
