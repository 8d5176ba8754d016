//! What people ask of a node: restart, drain, kill, cancel.

use actix::Message;
use tokio::sync::oneshot;

use crate::tree::NodeId;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start afresh without losing a request: one worker at a time, each after it finished what it does.
    Restart,
    /// Finish and stay down until a restart.
    Drain,
    /// End what runs right now; by its restart policy the node comes back.
    Kill,
    /// End a task: its sender and its worker are told so.
    Cancel,
    /// Nothing: the answer is wanted, when all that is to run there is ready, or has failed to be.
    Await,
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SteerError {
    /// There is no such node.
    #[error("there is no node {0}")]
    NotFound(NodeId),
    /// Tasks are cancelled, all others are restarted, drained or killed.
    #[error("{0} is not something that this can be done to")]
    Unfit(NodeId),
    /// A worker did not come back, so the restart was halted before it reached the others.
    #[error("the restart of {node} halted: {reason}; {left} workers keep running what they have")]
    Halted {
        /// The worker.
        node: NodeId,
        /// How its boot failed.
        reason: String,
        /// Workers that were not restarted.
        left: usize,
    },
    /// The server is stopping, or the node went away before the request was carried out.
    #[error("the node went away, or the server is stopping")]
    Gone,
}

/// The answer: for a restart when the last worker is ready again, otherwise at once.
pub type Reply = oneshot::Sender<Result<(), SteerError>>;

/// A request on its way down the tree.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Steer {
    /// The node that is meant.
    pub target: NodeId,
    /// What is asked of it.
    pub action: Action,
    /// Where the answer goes. Dropped, it says `Gone`.
    pub reply: Reply,
}

impl Steer {
    /// Asks the same of several nodes and answers with the first error when all have answered.
    pub fn spread(self, nodes: Vec<NodeId>, mut send: impl FnMut(Steer)) {
        let mut answers = Vec::with_capacity(nodes.len());
        for target in nodes {
            let (reply, answer) = oneshot::channel();
            send(Steer {
                target,
                action: self.action,
                reply,
            });
            answers.push(answer);
        }
        let reply = self.reply;
        actix::spawn(async move {
            let mut result = Ok(());
            for answer in answers {
                result = result.and(answer.await.unwrap_or(Err(SteerError::Gone)));
            }
            // Whoever asked may no longer wait.
            let _ = reply.send(result);
        });
    }
}
