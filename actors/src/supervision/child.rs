//! What a supervisor knows of one of its children.

use std::time::Instant;

use super::backoff::Backoff;
use super::spec::ChildSpec;
use super::supervisor::{ChildId, Phase};

/// What is wanted of a child that is, or will be, down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Run,
    Rest,
    Gone,
}

#[derive(Debug)]
pub(super) struct Child {
    pub(super) id: ChildId,
    pub(super) spec: ChildSpec,
    pub(super) phase: Phase,
    pub(super) want: Want,
    /// It is to go down before anything else happens to it.
    pub(super) leaving: bool,
    /// It has been ready or has failed since it was last wanted; the next stage need not wait for it.
    pub(super) tried: bool,
    /// It starts no sooner than this.
    pub(super) not_before: Option<Instant>,
    /// Its start takes longer than it may.
    pub(super) late: bool,
    pub(super) backoff: Backoff,
    /// Failed boots in a row.
    pub(super) consecutive: u32,
    pub(super) generation: u64,
}

impl Child {
    pub(super) fn is_down(&self) -> bool {
        self.phase == Phase::Down
    }

    pub(super) fn runs(&self) -> bool {
        matches!(self.phase, Phase::Starting { .. } | Phase::Up { .. })
    }

    /// When this start is late, if it is not yet.
    pub(super) fn late_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Starting { since } if !self.late => Some(since + self.spec.boot.after()),
            _ => None,
        }
    }

    /// When the next stage stops waiting for this start.
    pub(super) fn patience_ends_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Starting { since } if !self.tried => Some(since + self.spec.start_patience),
            _ => None,
        }
    }

    pub(super) fn want_run(&mut self, not_before: Option<Instant>) {
        self.want = Want::Run;
        self.tried = false;
        self.not_before = not_before;
    }

    pub(super) fn leave(&mut self, want: Want) {
        self.leaving = !self.is_down();
        match want {
            Want::Run => self.want_run(None),
            want => self.want = want,
        }
    }
}
