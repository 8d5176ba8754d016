//! Starts that take too long, children that start themselves again, timers.

use super::*;

#[test]
fn a_start_that_takes_too_long_is_forced_and_counts_as_failed() {
    let spec = ChildSpec {
        boot: BootLimit::Forced(Duration::from_secs(60)),
        ..ChildSpec::default()
    };
    let mut bench = Bench::new(one_for_one(), &[(A, spec)]);
    bench.start();
    bench.said();
    bench.after(5_000);
    assert_eq!(bench.due_in(), Some(55_000));
    bench.after(55_000);
    assert_eq!(bench.said(), "end boot of A");
    assert_eq!(bench.due_in(), None, "forced once");
    assert!(bench.supervisor.late(A).is_some());
    bench.fails_boot(A);
    assert_eq!(bench.failures(), 1);
    assert_eq!(bench.supervisor.late(A), None);
}

#[test]
fn a_start_without_a_limit_goes_on_when_it_is_late() {
    let spec = ChildSpec {
        boot: BootLimit::Told(Duration::from_secs(60)),
        ..ChildSpec::default()
    };
    let mut bench = Bench::new(one_for_one(), &[(A, spec)]);
    bench.start();
    bench.said();
    bench.after(5_000);
    assert_eq!(bench.supervisor.late(A), None);
    bench.after(55_000);
    assert_eq!(bench.said(), "");
    assert_eq!(bench.due_in(), None, "it is late once");
    let told = bench.supervisor.late(A).unwrap().passed();
    assert_eq!(
        told.to_string(),
        "boot_timeout: its boot has not ended within 60 s"
    );
    bench.ready(A);
    assert_eq!(bench.supervisor.late(A), None);
    bench.supervisor.relaunched(A, bench.now);
    assert_eq!(bench.supervisor.late(A), None, "its next start begins anew");
}

#[test]
fn a_child_that_relaunched_itself_is_starting_again_without_a_command() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0))]);
    bench.supervisor.relaunched(A, bench.now);
    assert_eq!(bench.said(), "");
    assert_eq!(bench.supervisor.generation(A), 2);
    assert!(matches!(
        bench.supervisor.phase(A),
        Some(Phase::Starting { .. })
    ));
    bench.fails_boot(A);
    assert_eq!(bench.failures(), 1);
}

#[test]
fn a_child_that_relaunched_itself_although_it_was_asked_to_leave_still_has_to() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0))]);
    bench.supervisor.stop_child(A, bench.now);
    bench.supervisor.relaunched(A, bench.now);
    bench.leaves(A);
    assert_eq!(bench.said(), "stop A");
}

#[test]
fn an_exit_of_a_child_that_is_down_is_ignored() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0))]);
    bench.exits(A, exit(Cause::Abnormal, true, 1));
    bench.fails_boot(A);
    bench.fails_boot(A);
    assert_eq!(bench.failures(), 1);
}

#[test]
fn a_child_that_waits_for_its_turn_needs_no_timer() {
    let mut bench = Bench::running(with(Strategy::OneForAll), &[(A, staged(0)), (B, staged(1))]);
    bench.exits(A, exit(Cause::Abnormal, true, 1));
    bench.leaves(B);
    bench.fails_boot(A);
    bench.after(100);
    assert!(bench.said().ends_with("start A"));
    assert_eq!(
        bench.due_in(),
        Some(5_000),
        "B is due, but A's turn comes first"
    );
}

#[test]
fn backoff_defaults_are_the_documented_ones() {
    let policy = BackoffPolicy::default();
    assert_eq!(
        (
            policy.base.as_millis(),
            policy.cap.as_secs(),
            policy.healthy_after.as_secs()
        ),
        (100, 10, 60)
    );
    let spec = ChildSpec::default();
    assert_eq!(
        (spec.min_uptime.as_secs(), spec.max_consecutive_failures),
        (1, Some(6))
    );
    let limits = |policy: Policy| {
        policy
            .intensity
            .map(|intensity| (intensity.limit, intensity.period.as_secs()))
    };
    assert_eq!(limits(Policy::pool()), Some((5, 30)));
    assert_eq!(limits(Policy::root()), Some((3, 60)));
    assert_eq!(limits(Policy::site()), None);
}
