//! What a supervisor is told about its children and about itself, in Erlang/OTP's terms.

use std::time::Duration;

use super::backoff::BackoffPolicy;
use super::exit::{Cause, Detail, Exit};
use super::intensity::Intensity;

/// Which exits bring a child back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// Every exit.
    #[default]
    Permanent,
    /// Every exit but a normal one.
    Transient,
    /// None. Recycling on purpose is no exit in this sense and still brings the child back.
    Temporary,
}

/// Who else restarts when a child fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Nobody.
    #[default]
    OneForOne,
    /// All children.
    OneForAll,
    /// Those that start after it.
    RestForOne,
}

/// How long a start may take to be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootLimit {
    /// Beyond this it is ended by force and counts as failed.
    Forced(Duration),
    /// As long as it needs; beyond this, whoever waits for it waits no longer.
    Told(Duration),
}

impl BootLimit {
    /// When the start is late.
    pub fn after(self) -> Duration {
        match self {
            Self::Forced(after) | Self::Told(after) => after,
        }
    }

    /// What people are told of a late start.
    pub fn passed(self) -> Detail {
        let seconds = self.after().as_secs_f64();
        Detail::message(
            "boot_timeout",
            format!("its boot has not ended within {seconds} s"),
        )
    }
}

/// What a supervisor knows of one child.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildSpec {
    /// Which exits bring it back.
    pub restart: Restart,
    /// Children start stage by stage, in rising order, and stop in falling order. Those of one stage start
    /// and stop together: a pool's workers need not wait for each other, a site's HTTP workers need its
    /// background workers.
    pub stage: u32,
    /// Asked to stop, it has this long before it is forced.
    pub grace: Duration,
    /// How long a start may take.
    pub boot: BootLimit,
    /// The next stage waits no longer than this for a start to be ready.
    pub start_patience: Duration,
    /// How long it waits after a failure.
    pub backoff: BackoffPolicy,
    /// A child that was ready for less than this, without having served anything, is looping: its next start
    /// is put off until this much time has passed since it was ready.
    pub min_uptime: Duration,
    /// So many failed boots in a row are too many, however far apart they were.
    pub max_consecutive_failures: Option<u32>,
}

impl Default for ChildSpec {
    fn default() -> Self {
        Self {
            restart: Restart::default(),
            stage: 0,
            grace: Duration::from_secs(5),
            boot: BootLimit::Told(Duration::from_secs(60)),
            start_patience: Duration::from_secs(5),
            backoff: BackoffPolicy::default(),
            min_uptime: Duration::from_secs(1),
            max_consecutive_failures: Some(6),
        }
    }
}

/// What becomes of a child that exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its restart type lets it rest.
    Rest,
    /// It starts again at once.
    AtOnce,
    /// It starts again when it has been gone for this long: it may be looping.
    Guarded(Duration),
    /// It failed: it waits for its backoff.
    Failed {
        /// The failure counts towards the supervisor's intensity.
        counts: bool,
    },
}

impl ChildSpec {
    /// What becomes of a child with this spec after `exit`, `uptime` after it was ready (zero when it never
    /// was). The PHP thread asks too, so that the common case needs no round trip to the supervisor.
    pub fn verdict(&self, exit: &Exit, uptime: Duration) -> Verdict {
        let comes_back = match (self.restart, exit.cause) {
            (_, Cause::Recycled) | (Restart::Permanent, _) => true,
            (Restart::Transient, cause) => cause != Cause::Normal,
            (Restart::Temporary, _) => false,
        };
        if !comes_back {
            return Verdict::Rest;
        }
        match exit.cause {
            // The supervisor below has counted already; here it only spaces the attempts.
            Cause::Escalated => Verdict::Failed { counts: false },
            // A bug of ours: however long the child was up, a loop of them must end somewhere.
            Cause::Panicked => Verdict::Failed { counts: true },
            Cause::Recycled => Verdict::AtOnce,
            Cause::Normal | Cause::Abnormal if !exit.was_ready => Verdict::Failed { counts: true },
            // What it served has spaced its exits: one bad URL must not put the worker to sleep.
            Cause::Normal | Cause::Abnormal if exit.served > 0 || uptime >= self.min_uptime => {
                Verdict::AtOnce
            }
            Cause::Normal | Cause::Abnormal => Verdict::Guarded(self.min_uptime - uptime),
        }
    }
}

/// What a supervisor knows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Who restarts together.
    pub strategy: Strategy,
    /// When it escalates; `None` never does and retries for ever, each child at its own backoff.
    pub intensity: Option<Intensity>,
}

impl Policy {
    /// A pool: more than 5 failed boots in 30 s mean that its script is broken.
    pub fn pool() -> Self {
        Self {
            strategy: Strategy::OneForOne,
            intensity: Some(Intensity {
                limit: 5,
                period: Duration::from_secs(30),
            }),
        }
    }

    /// A site bears every failure of its pools, so that none of them can end another site or the server.
    pub fn site() -> Self {
        Self {
            strategy: Strategy::OneForOne,
            intensity: None,
        }
    }

    /// The root: more than 3 panics of its children in 60 s, and the process is better started afresh.
    pub fn root() -> Self {
        Self {
            strategy: Strategy::OneForOne,
            intensity: Some(Intensity {
                limit: 3,
                period: Duration::from_secs(60),
            }),
        }
    }
}
