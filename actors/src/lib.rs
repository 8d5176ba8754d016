//! Who serves a request, who restarts whom, and what may be known of either.
//!
//! `supervision` decides (plain state machines); the actors carry the decisions out; `tree` tells.

#![forbid(unsafe_code)]

pub mod supervision;
pub mod tree;
