//! The supervision tree as people see it: every node with its state, its history and its present work.
//!
//! The actors write, `web`'s admin endpoint and the command line read. The tree decides nothing; whoever wants
//! to change something sends a message to the actor that owns it.

mod id;
mod node;
mod picture;
mod registry;

pub use id::NodeId;
pub use node::{Current, Errand, Facts, Failures, Kind, LastExit, Live, Node, Queue, State};
pub use picture::picture;
pub use registry::{Change, Entry, Feed, Probe, Tree};

#[cfg(test)]
mod tests;
