//! A rolling restart: one child at a time, the next only when the last is ready again.
//!
//! When a child does not come back the restart halts and the children not yet reached keep running what they
//! have: a deploy that can't boot costs one worker, not the pool.

use std::collections::VecDeque;

use super::supervisor::ChildId;

/// The rolling restart of a pool. What is asked for while one runs joins it.
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
    /// Queues `children`, each once, and starts with the first if nobody is being restarted. One that is being
    /// restarted right now has another turn: it may have started before what is being rolled out.
    pub fn join(&mut self, children: impl IntoIterator<Item = ChildId>) -> Progress {
        for id in children {
            if !self.queue.contains(&id) {
                self.queue.push_back(id);
            }
        }
        if self.current.is_some() {
            Progress::Wait
        } else {
            self.advance()
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

    /// The child's boot failed, or does not end.
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
        assert_eq!(rolling.join(ids([1, 2])), Progress::Next(ChildId(1)));
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
        rolling.join(ids([1, 2, 3]));
        assert_eq!(rolling.failed(ChildId(1)), Progress::Halted(ChildId(1), 2));
        assert_eq!(
            rolling.ready(ChildId(1)),
            Progress::Wait,
            "it comes back by its backoff, the restart is over"
        );
        assert_eq!(
            rolling.join(ids([1])),
            Progress::Next(ChildId(1)),
            "and another one can begin"
        );
    }

    #[test]
    fn a_second_restart_gives_everybody_another_turn() {
        let mut rolling = Rolling::default();
        rolling.join(ids([1, 2]));
        assert_eq!(rolling.join(ids([1, 2])), Progress::Wait);
        assert_eq!(rolling.ready(ChildId(1)), Progress::Next(ChildId(2)));
        assert_eq!(rolling.ready(ChildId(2)), Progress::Next(ChildId(1)));
        assert_eq!(rolling.ready(ChildId(1)), Progress::Done);
    }

    #[test]
    fn a_child_that_is_removed_is_skipped() {
        let mut rolling = Rolling::default();
        rolling.join(ids([1, 2, 3]));
        assert_eq!(rolling.removed(ChildId(2)), Progress::Wait);
        assert_eq!(rolling.removed(ChildId(1)), Progress::Next(ChildId(3)));
        assert_eq!(rolling.removed(ChildId(3)), Progress::Done);
    }

    #[test]
    fn nobody_to_restart_is_done_at_once() {
        assert_eq!(Rolling::default().join([]), Progress::Done);
    }
}
