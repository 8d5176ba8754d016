//! The supervisor under a clock that only the test moves.

use super::super::backoff::BackoffPolicy;
use super::super::exit::{Cause, Detail};
use super::super::intensity::Intensity;
use super::super::spec::Restart;
use super::*;

/// A supervisor, its clock, and the commands it gave, in words.
struct Bench {
    supervisor: Supervisor,
    now: Instant,
}

const A: ChildId = ChildId(1);
const B: ChildId = ChildId(2);
const C: ChildId = ChildId(3);

fn name(id: ChildId) -> char {
    char::from(b'@' + u8::try_from(id.0).unwrap())
}

fn exit(cause: Cause, was_ready: bool, served: u64) -> Exit {
    Exit {
        cause,
        was_ready,
        served,
        detail: Detail::reason("test"),
    }
}

fn staged(stage: u32) -> ChildSpec {
    ChildSpec {
        stage,
        ..ChildSpec::default()
    }
}

impl Bench {
    fn new(policy: Policy, children: &[(ChildId, ChildSpec)]) -> Self {
        let now = Instant::now();
        let mut supervisor = Supervisor::new(policy);
        for (id, spec) in children {
            supervisor.add(*id, spec.clone(), now);
        }
        Self { supervisor, now }
    }

    /// Started, and everybody ready.
    fn running(policy: Policy, children: &[(ChildId, ChildSpec)]) -> Self {
        let mut bench = Self::new(policy, children);
        bench.start();
        let mut in_order = children.to_vec();
        in_order.sort_by_key(|(_, spec)| spec.stage);
        for (id, _) in in_order {
            bench.ready(id);
        }
        bench.said();
        bench
    }

    /// What was commanded since the last call.
    fn said(&mut self) -> String {
        let mut words = Vec::new();
        while let Some(command) = self.supervisor.next_command() {
            words.push(match command {
                Command::Start(id) => format!("start {}", name(id)),
                Command::Stop(id, Leave::ForNow) => format!("pause {}", name(id)),
                Command::Stop(id, Leave::ForGood) => format!("stop {}", name(id)),
                Command::Force(id) => format!("force {}", name(id)),
                Command::Forget(id) => format!("forget {}", name(id)),
                Command::Escalate(Escalation::Intensity { failures, .. }) => {
                    format!("escalate: {failures} failures")
                }
                Command::Escalate(Escalation::Consecutive { child, failures }) => {
                    format!("escalate: {} failed {failures} times", name(child))
                }
                Command::Stopped => "stopped".to_owned(),
            });
        }
        words.join(", ")
    }

    fn start(&mut self) {
        self.supervisor.start(self.now);
    }

    fn ready(&mut self, id: ChildId) {
        self.supervisor.ready(id, self.now);
    }

    fn exits(&mut self, id: ChildId, exit: Exit) {
        self.supervisor.exited(id, &exit, self.now, &mut || 0.0);
    }

    fn fails_boot(&mut self, id: ChildId) {
        self.exits(id, exit(Cause::Abnormal, false, 0));
    }

    fn leaves(&mut self, id: ChildId) {
        self.exits(id, exit(Cause::Normal, true, 0));
    }

    fn after(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.supervisor.tick(self.now);
    }

    /// Failures in the window.
    fn failures(&self) -> u32 {
        self.supervisor.failures().unwrap().count(self.now)
    }

    /// How long until the supervisor wants to be ticked.
    fn due_in(&self) -> Option<u128> {
        self.supervisor
            .wake_at()
            .map(|at| at.duration_since(self.now).as_millis())
    }
}

fn one_for_one() -> Policy {
    Policy::pool()
}

fn with(strategy: Strategy) -> Policy {
    Policy {
        strategy,
        ..Policy::pool()
    }
}

fn three() -> [(ChildId, ChildSpec); 3] {
    [(A, staged(0)), (B, staged(1)), (C, staged(2))]
}

// Starting and stopping.

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

// Restart types.

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

// Strategies.

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

// What counts.

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

// Escalation.

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

// What people ask for.

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

// Time and generations.

#[test]
fn a_start_that_takes_too_long_is_forced_and_counts_as_failed() {
    let spec = ChildSpec {
        ready_within: Some(Duration::from_secs(60)),
        ..ChildSpec::default()
    };
    let mut bench = Bench::new(one_for_one(), &[(A, spec)]);
    bench.start();
    bench.said();
    bench.after(5_000);
    assert_eq!(bench.due_in(), Some(55_000));
    bench.after(55_000);
    assert_eq!(bench.said(), "force A");
    assert_eq!(bench.due_in(), None, "forced once");
    bench.fails_boot(A);
    assert_eq!(bench.failures(), 1);
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
