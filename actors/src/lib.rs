//! Who serves a request, who restarts whom, and what may be known of either.
//!
//! ```text
//!   supervision   decides: plain state machines, tested by a clock that only the test moves
//!   actors        carry out: root, sites, pools, workers, each the owner of what it stands for
//!   tree          tells: every node with its state, history and present work
//! ```
//!
//! `web` starts the tree with [`start`], hands requests to [`PoolPort`]s, and asks the [`Handle`] for everything
//! else. Below is `sapi`, which knows no actor: a worker drives its PHP thread through `sapi`'s `Driver` trait.

#![forbid(unsafe_code)]

mod actors;
pub mod supervision;
pub mod tree;

pub use actors::*;
