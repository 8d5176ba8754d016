//! Which exits are failures, and how long the next start waits.

use super::*;

#[test]
fn an_exit_after_ready_restarts_at_once_and_never_counts() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0))]);
    for _ in 0..100 {
        bench.exits(A, exit(Cause::Abnormal, true, 1));
        assert_eq!(bench.said(), "start A");
        bench.ready(A);
    }
    assert_eq!(bench.failures(), 0);
}

#[test]
fn a_loop_without_work_is_slowed_to_the_minimum_uptime_but_never_counts() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0))]);
    for _ in 0..20 {
        bench.after(300);
        bench.exits(A, exit(Cause::Normal, true, 0));
        assert_eq!(bench.said(), "");
        assert_eq!(bench.due_in(), Some(700));
        bench.after(700);
        assert_eq!(bench.said(), "start A");
        bench.ready(A);
    }
    assert_eq!(bench.failures(), 0);
    bench.after(1_000);
    bench.exits(A, exit(Cause::Normal, true, 0));
    assert_eq!(bench.said(), "start A", "up for long enough, it is no loop");
}

#[test]
fn recycling_never_counts_even_before_ready() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0))]);
    for _ in 0..50 {
        bench.exits(A, exit(Cause::Recycled, false, 0));
        assert_eq!(bench.said(), "start A");
    }
    assert_eq!(bench.failures(), 0);
}

#[test]
fn failed_boots_wait_longer_and_longer() {
    let policy = Policy {
        intensity: None,
        ..Policy::default()
    };
    let spec = ChildSpec {
        max_consecutive_failures: None,
        ..ChildSpec::default()
    };
    let mut bench = Bench::new(policy, &[(A, spec)]);
    bench.start();
    for wait in [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000] {
        bench.said();
        bench.fails_boot(A);
        assert_eq!(bench.due_in(), Some(u128::from(wait)));
        bench.after(wait - 1);
        assert_eq!(bench.said(), "");
        bench.after(1);
        assert_eq!(bench.said(), "start A");
    }
}

#[test]
fn a_minute_of_health_forgives_and_a_short_life_does_not() {
    let mut bench = Bench::running(one_for_one(), &[(A, staged(0))]);
    bench.exits(A, exit(Cause::Abnormal, true, 1));
    bench.fails_boot(A);
    bench.after(100);
    bench.ready(A);
    bench.after(59_000);
    bench.exits(A, exit(Cause::Abnormal, true, 1));
    bench.fails_boot(A);
    assert_eq!(bench.due_in(), Some(200));
    bench.after(200);
    bench.ready(A);
    bench.after(60_000);
    bench.exits(A, exit(Cause::Abnormal, true, 1));
    bench.fails_boot(A);
    assert_eq!(bench.due_in(), Some(100));
}

#[test]
fn the_jitter_reaches_the_wait() {
    let mut bench = Bench::new(one_for_one(), &[(A, staged(0))]);
    bench.start();
    bench
        .supervisor
        .exited(A, &exit(Cause::Abnormal, false, 0), bench.now, &mut || 0.5);
    assert_eq!(bench.due_in(), Some(110));
}
