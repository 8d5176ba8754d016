//! Who comes back from which exit.

use super::*;

#[test]
fn a_permanent_child_comes_back_from_every_exit() {
    for cause in [Cause::Normal, Cause::Abnormal, Cause::Recycled] {
        let mut bench = Bench::running(one_for_one(), &[(A, staged(0))]);
        bench.exits(A, exit(cause, true, 1));
        assert_eq!(bench.said(), "start A", "{cause:?}");
    }
}

#[test]
fn a_transient_child_rests_after_a_normal_exit_only() {
    for (cause, expected) in [
        (Cause::Normal, ""),
        (Cause::Abnormal, "start A"),
        (Cause::Recycled, "start A"),
    ] {
        let spec = ChildSpec {
            restart: Restart::Transient,
            ..ChildSpec::default()
        };
        let mut bench = Bench::running(one_for_one(), &[(A, spec)]);
        bench.exits(A, exit(cause, true, 1));
        assert_eq!(bench.said(), expected, "{cause:?}");
        assert_eq!(bench.supervisor.rests(A), expected.is_empty());
    }
}

#[test]
fn a_temporary_child_comes_back_only_when_it_was_recycled() {
    for (cause, expected) in [
        (Cause::Normal, ""),
        (Cause::Abnormal, ""),
        (Cause::Recycled, "start A"),
    ] {
        let spec = ChildSpec {
            restart: Restart::Temporary,
            ..ChildSpec::default()
        };
        let mut bench = Bench::running(one_for_one(), &[(A, spec)]);
        bench.exits(A, exit(cause, true, 1));
        assert_eq!(bench.said(), expected, "{cause:?}");
    }
}

#[test]
fn a_temporary_child_that_fails_its_boot_is_no_failure_of_its_supervisor() {
    let spec = ChildSpec {
        restart: Restart::Temporary,
        ..ChildSpec::default()
    };
    let mut bench = Bench::new(one_for_one(), &[(A, spec)]);
    bench.start();
    bench.fails_boot(A);
    assert_eq!(bench.failures(), 0);
    assert_eq!(bench.due_in(), None);
}
