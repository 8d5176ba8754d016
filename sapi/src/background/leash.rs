//! What ties the tasks that a request has sent to its client: when the client goes away, they are cancelled.
//!
//! Made when a request sends its first task, and told by the response port, on the I/O thread that notices. A
//! script that has called `ignore_user_abort(true)` keeps its tasks.

use std::sync::Weak;

use super::task::{TaskHold, TaskOutcome};
use crate::sync::{Mutex, lock};

#[derive(Default)]
struct Inner {
    tasks: Vec<Weak<dyn TaskHold>>,
    client_left: bool,
    keeps: bool,
}

/// The tasks of one request.
#[derive(Default)]
pub(crate) struct Leash(Mutex<Inner>);

impl Leash {
    /// Ties a task to the request. If the client has left already, the task ends here.
    pub(crate) fn tie(&self, task: Weak<dyn TaskHold>) {
        let mut inner = lock(&self.0);
        if inner.client_left && !inner.keeps {
            drop(inner);
            desert([task]);
            return;
        }
        // Those that nobody holds any more make room, so that a long request's list stays short.
        if inner.tasks.len() == inner.tasks.capacity() {
            inner.tasks.retain(|task| task.strong_count() > 0);
        }
        inner.tasks.push(task);
    }

    /// The script says whether it goes on without its client.
    pub(crate) fn keep(&self, keeps: bool) {
        let mut inner = lock(&self.0);
        inner.keeps = keeps;
        let tasks = if inner.client_left && !keeps {
            std::mem::take(&mut inner.tasks)
        } else {
            Vec::new()
        };
        drop(inner);
        desert(tasks);
    }

    /// The client has left before its answer was complete.
    pub(crate) fn client_left(&self) {
        let mut inner = lock(&self.0);
        inner.client_left = true;
        let tasks = if inner.keeps {
            Vec::new()
        } else {
            std::mem::take(&mut inner.tasks)
        };
        drop(inner);
        desert(tasks);
    }
}

fn desert(tasks: impl IntoIterator<Item = Weak<dyn TaskHold>>) {
    for task in tasks.into_iter().filter_map(|task| task.upgrade()) {
        task.end(TaskOutcome::Deserted);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;

    use super::super::task::{TaskObserver, TaskSender, task};
    use super::*;

    struct Quiet;

    impl TaskObserver for Quiet {
        fn accepted(&self) {}
        fn taken(&self, _: &Arc<str>) {}
        fn ended(&self, _: &TaskOutcome) {}
    }

    /// A task on the leash, and whether it has ended.
    fn tied(leash: &Leash) -> (TaskSender<u32>, impl Fn() -> bool) {
        let mut hold = None;
        let (sender, offer) = task(1, |port| {
            leash.tie(port.clone());
            hold = port.upgrade();
            Arc::new(Quiet)
        });
        let is_over = move || {
            let _until_now = &offer;
            hold.as_ref().is_some_and(|task| task.look().is_over)
        };
        (sender, is_over)
    }

    #[test]
    fn tasks_end_when_the_client_leaves_and_later_ones_at_once() {
        let leash = Leash::default();
        let (_first, first_is_over) = tied(&leash);
        assert!(!first_is_over());
        leash.client_left();
        assert!(first_is_over());
        let (_second, second_is_over) = tied(&leash);
        assert!(second_is_over());
    }

    #[test]
    fn a_script_that_ignores_the_abort_keeps_its_tasks_until_it_changes_its_mind() {
        let leash = Leash::default();
        leash.keep(true);
        let (_task, is_over) = tied(&leash);
        leash.client_left();
        assert!(!is_over());
        leash.keep(false);
        assert!(is_over());
    }
}
