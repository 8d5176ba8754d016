//! A rolling restart: one child at a time, the next only when the last is ready again.
//!
//! When a child does not come back the restart halts and the children not yet reached keep running what they
//! have: a deploy that can't boot costs one worker, not the pool.

use std::collections::VecDeque;

use super::supervisor::ChildId;

/// One rolling restart. A second one asked for while it runs starts over with everybody.
#[derive(Debug, Default)]
pub struct Rolling {
    queue: VecDeque<ChildId>,
    current: Option<ChildId>,
}

/// What to do after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing: it was about somebody else.
    Wait,
    /// Restart this child.
    Next(ChildId),
    /// Every child has been restarted.
    Done,
    /// The child did not come back; this many were not restarted.
    Halted(ChildId, usize),
}

impl Rolling {
    /// Starts with the first of `children`.
    pub fn begin(&mut self, children: impl IntoIterator<Item = ChildId>) -> Progress {
        self.queue = children.into_iter().collect();
        match self.current {
            // It may have started before what is being rolled out: it has its turn again.
            Some(_) => Progress::Wait,
            None => self.advance(),
        }
    }

    fn advance(&mut self) -> Progress {
        self.current = self.queue.pop_front();
        self.current.map_or(Progress::Done, Progress::Next)
    }

    /// The child is ready.
    pub fn ready(&mut self, id: ChildId) -> Progress {
        if self.current == Some(id) {
            self.advance()
        } else {
            Progress::Wait
        }
    }

    /// The child's boot failed.
    pub fn failed(&mut self, id: ChildId) -> Progress {
        if self.current != Some(id) {
            return Progress::Wait;
        }
        self.current = None;
        let left = self.queue.len();
        self.queue.clear();
        Progress::Halted(id, left)
    }

    /// The child is no more.
    pub fn removed(&mut self, id: ChildId) -> Progress {
        self.queue.retain(|queued| *queued != id);
        if self.current == Some(id) {
            self.advance()
        } else {
            Progress::Wait
        }
    }

    /// The child that is being restarted.
    pub fn current(&self) -> Option<ChildId> {
        self.current
    }

    /// Gives up: the pool stops.
    pub fn cancel(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: impl IntoIterator<Item = u32>) -> Vec<ChildId> {
        numbers.into_iter().map(ChildId).collect()
    }

    #[test]
    fn the_next_child_waits_until_the_last_is_ready() {
        let mut rolling = Rolling::default();
        assert_eq!(rolling.begin(ids([1, 2])), Progress::Next(ChildId(1)));
        assert_eq!(
            rolling.ready(ChildId(2)),
            Progress::Wait,
            "somebody else's readiness is no signal"
        );
        assert_eq!(rolling.ready(ChildId(1)), Progress::Next(ChildId(2)));
        assert_eq!(rolling.ready(ChildId(2)), Progress::Done);
        assert_eq!(rolling.current(), None);
    }

    #[test]
    fn a_failed_boot_spares_the_others() {
        let mut rolling = Rolling::default();
        rolling.begin(ids([1, 2, 3]));
        assert_eq!(rolling.failed(ChildId(1)), Progress::Halted(ChildId(1), 2));
        assert_eq!(
            rolling.ready(ChildId(1)),
            Progress::Wait,
            "it comes back by its backoff, the restart is over"
        );
        assert_eq!(
            rolling.begin(ids([1])),
            Progress::Next(ChildId(1)),
            "and another one can begin"
        );
    }

    #[test]
    fn a_second_restart_starts_over_with_everybody() {
        let mut rolling = Rolling::default();
        rolling.begin(ids([1, 2]));
        assert_eq!(rolling.begin(ids([1, 2])), Progress::Wait);
        assert_eq!(rolling.ready(ChildId(1)), Progress::Next(ChildId(1)));
        assert_eq!(rolling.ready(ChildId(1)), Progress::Next(ChildId(2)));
    }

    #[test]
    fn a_child_that_is_removed_is_skipped() {
        let mut rolling = Rolling::default();
        rolling.begin(ids([1, 2, 3]));
        assert_eq!(rolling.removed(ChildId(2)), Progress::Wait);
        assert_eq!(rolling.removed(ChildId(1)), Progress::Next(ChildId(3)));
        assert_eq!(rolling.removed(ChildId(3)), Progress::Done);
    }

    #[test]
    fn nobody_to_restart_is_done_at_once() {
        assert_eq!(Rolling::default().begin([]), Progress::Done);
    }
}
