//! When it gives up.

use super::*;

#[test]
fn one_failure_more_than_the_intensity_stops_the_siblings_and_escalates() {
    let mut bench = Bench::running(
        one_for_one(),
        &[(A, staged(0)), (B, staged(0)), (C, staged(0))],
    );
    for id in [A, B] {
        bench.exits(id, exit(Cause::Abnormal, true, 1));
    }
    for _ in 0..3 {
        bench.said();
        bench.fails_boot(A);
        bench.fails_boot(B);
        bench.after(1_000);
    }
    assert_eq!(bench.said(), "stop C");
    bench.leaves(C);
    assert_eq!(bench.said(), "escalate: 6 failures");
    bench.after(60_000);
    assert_eq!(bench.said(), "", "an escalated supervisor is over");
}

#[test]
fn failures_that_are_far_apart_do_not_escalate() {
    let policy = Policy {
        intensity: Some(Intensity {
            limit: 2,
            period: Duration::from_secs(30),
        }),
        ..one_for_one()
    };
    let spec = ChildSpec {
        max_consecutive_failures: None,
        ..ChildSpec::default()
    };
    let mut bench = Bench::new(policy, &[(A, spec)]);
    bench.start();
    for _ in 0..10 {
        bench.said();
        bench.fails_boot(A);
        bench.after(16_000);
        assert_eq!(bench.said(), "start A");
    }
}

#[test]
fn six_failed_boots_in_a_row_escalate_however_slow_they_are() {
    let mut bench = Bench::new(one_for_one(), &[(A, staged(0))]);
    bench.start();
    for _ in 0..5 {
        bench.after(31_000);
        bench.fails_boot(A);
        bench.after(31_000);
    }
    bench.said();
    bench.fails_boot(A);
    assert_eq!(bench.said(), "escalate: A failed 6 times");
}

#[test]
fn a_successful_boot_breaks_the_row() {
    let spec = ChildSpec {
        max_consecutive_failures: Some(2),
        ..ChildSpec::default()
    };
    let mut bench = Bench::running(one_for_one(), &[(A, spec)]);
    for _ in 0..3 {
        bench.exits(A, exit(Cause::Abnormal, true, 1));
        bench.fails_boot(A);
        bench.after(31_000);
        bench.ready(A);
    }
    assert!(!bench.said().contains("escalate"));
}

#[test]
fn a_site_bears_every_escalation_of_its_pools() {
    let spec = ChildSpec {
        max_consecutive_failures: None,
        ..ChildSpec::default()
    };
    let mut bench = Bench::running(Policy::site(), &[(A, spec.clone()), (B, spec)]);
    for _ in 0..100 {
        bench.exits(A, exit(Cause::Escalated, true, 0));
        assert_eq!(bench.said(), "");
        bench.after(12_000);
        assert_eq!(bench.said(), "start A");
    }
}

#[test]
fn an_escalated_child_waits_for_its_backoff_and_does_not_count() {
    let mut bench = Bench::running(
        Policy::root(),
        &[(
            A,
            ChildSpec {
                max_consecutive_failures: None,
                ..staged(0)
            },
        )],
    );
    for _ in 0..20 {
        bench.exits(A, exit(Cause::Escalated, false, 0));
        bench.after(12_000);
        assert_eq!(bench.said(), "start A");
    }
    assert_eq!(bench.failures(), 0);
}

#[test]
fn panics_count_even_after_ready_so_that_the_root_ends_a_loop_of_them() {
    let spec = ChildSpec {
        max_consecutive_failures: None,
        ..ChildSpec::default()
    };
    let mut bench = Bench::running(Policy::root(), &[(A, spec)]);
    for _ in 0..3 {
        bench.exits(A, exit(Cause::Panicked, true, 9));
        bench.after(1_000);
        bench.ready(A);
    }
    assert!(!bench.said().contains("escalate"));
    bench.exits(A, exit(Cause::Panicked, true, 9));
    assert_eq!(bench.said(), "escalate: 4 failures");
}

#[test]
fn stop_wins_over_an_escalation_under_way() {
    let spec = ChildSpec {
        max_consecutive_failures: Some(1),
        ..ChildSpec::default()
    };
    let mut bench = Bench::running(one_for_one(), &[(A, spec), (B, staged(0))]);
    bench.exits(A, exit(Cause::Abnormal, true, 1));
    bench.fails_boot(A);
    bench.supervisor.stop(None, bench.now);
    bench.leaves(B);
    assert_eq!(bench.said(), "start A, stop B, stopped");
}
