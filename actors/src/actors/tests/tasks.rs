//! The actors of tasks, with ports of numbers in place of PHP values.

use troupe_sapi::{TaskOffer, TaskOutcome, TaskSender, task};

use super::stage::Stage;
use super::*;
use crate::tree::{Kind, picture};

/// A site whose background worker is never started: its tasks are the test's own.
fn show(task_deadline: Option<Duration>) -> Show {
    let mailer = BackgroundSpec {
        task_deadline,
        ..mailer()
    };
    Show::in_background(&Stage::playing(|scene| scene.hang()), mailer)
}

impl Show {
    fn send(&self) -> (TaskSender<u32>, TaskOffer<u32>) {
        let scope = self.handle.scope("shop").unwrap();
        task(1, |hold| scope.observe("mailer", "/cart", hold))
    }

    /// Waits until the stats say so: the ends of a task may know of its end a moment earlier.
    async fn counts(&self, what: &str, is_so: impl Fn(TaskEnds) -> bool) {
        eventually(what, || is_so(self.stats().ends()).then_some(())).await;
    }

    fn stats(&self) -> Arc<TaskStats> {
        self.handle.task_stats("shop", "mailer").unwrap()
    }
}

fn tasks() -> NodeId {
    NodeId::site("shop").tasks()
}

async fn outcome(mut sender: TaskSender<u32>) -> TaskOutcome {
    std::future::poll_fn(|cx| sender.poll_update(cx))
        .await
        .unwrap_err()
}

#[tokio::test]
async fn thousands_of_tasks_have_their_actors_and_leave_nothing_behind() {
    const MANY: usize = 5_000;
    let show = show(None);
    show.state(&tasks(), State::Ready).await;
    let before = show.handle.census().actors();
    let sent: Vec<_> = (0..MANY).map(|_| show.send()).collect();
    let node = show
        .until(&tasks(), "all are there", |node| {
            node.children.len() == MANY
        })
        .await;
    assert!(node.children.iter().all(|task| task.kind == Kind::Task));
    assert_eq!(node.children[4].id, tasks().task(5));
    assert_eq!(node.children[4].errand.as_ref().unwrap().sender, "/cart");
    assert_eq!(show.handle.census().actors(), before + MANY);
    let lines = picture(&node).lines().count();
    assert_eq!(lines, 101, "what is drawn is bounded");

    for (sender, offer) in sent {
        let (_, worker) = offer.take(&"thread".into()).unwrap();
        worker.complete();
        drop(sender);
    }
    show.until(&tasks(), "all are gone", |node| node.children.is_empty())
        .await;
    eventually("their actors are gone", || {
        (show.handle.census().actors() == before).then_some(())
    })
    .await;
    show.counts("all are completed", |ends| ends.completed == MANY as u64)
        .await;
    show.close().await;
}

#[tokio::test]
async fn a_task_is_known_by_its_state_and_ended_by_an_operator() {
    let show = show(None);
    let (sender, offer) = show.send();
    let id = tasks().task(1);
    show.state(&id, State::Starting).await;
    sender.accepted();
    show.state(&id, State::Queued).await;
    let (_, worker) = offer.take(&"site:shop:background:mailer:1".into()).unwrap();
    let node = show.state(&id, State::Running).await;
    let thread = node.errand.and_then(|errand| errand.worker);
    assert_eq!(thread, Some(NodeId::parse("site:shop:background:mailer:1")));
    assert_eq!(show.stats().running(), 1);

    assert_eq!(show.handle.cancel(id.clone()).await, Ok(()));
    assert_eq!(outcome(sender).await, TaskOutcome::Revoked);
    let not_found = Err(SteerError::NotFound(id.clone()));
    assert_eq!(show.handle.cancel(id).await, not_found);
    let unfit = Err(SteerError::Unfit(tasks()));
    assert_eq!(show.handle.cancel(tasks()).await, unfit);
    drop(worker);
    show.counts("it is cancelled", |ends| ends.cancelled == 1)
        .await;
    show.close().await;
}

#[tokio::test]
async fn a_task_is_ended_by_its_deadline_however_long_its_worker_stays() {
    let limit = Duration::from_millis(1);
    let show = show(Some(limit));
    let (sender, offer) = show.send();
    let (_, worker) = offer.take(&"thread".into()).unwrap();
    assert_eq!(outcome(sender).await, TaskOutcome::Overdue(limit));
    show.counts("it has timed out", |ends| ends.timed_out == 1)
        .await;
    drop(worker);
    show.close().await;
}

#[tokio::test]
async fn no_task_outlives_its_site() {
    let show = show(None);
    let held = [show.send(), show.send()];
    show.until(&tasks(), "both are there", |node| node.children.len() == 2)
        .await;
    show.close().await;
    for (sender, offer) in held {
        assert_eq!(outcome(sender).await, TaskOutcome::Aborted);
        assert!(offer.is_cancelled());
    }
}
