//! The supervisor under a clock that only the test moves.

mod escalation;
mod failures;
mod requests;
mod restart_types;
mod stages;
mod strategies;
mod time;

use super::*;
use crate::supervision::backoff::BackoffPolicy;
use crate::supervision::exit::{Cause, Detail};
use crate::supervision::intensity::Intensity;
use crate::supervision::spec::Restart;

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
                Command::EndBoot(id) => format!("end boot of {}", name(id)),
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
