//! The actors: they own what they stand for and carry out what `supervision` decides.
//!
//! ```text
//!   Branch (root) ─┬─ Branch (site) ─┬─ Pool ─── Worker ═══ PHP thread (HttpDriver)
//!                  │                 └─ Tasks ── Task ┄┄┄┄┄ two streams in scripts
//!                  └─ Pool (classic) ── Worker ═══ PHP thread
//!
//!   Order, Steer ──►  down the tree        ◄── Word  up the tree
//!   ThreadOrder  ──►  worker to thread     ◄── Report
//!   requests     ──►  PoolPort, past every actor, straight to a thread
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | `spec` | what the server is to consist of |
//! | `handle` | the way in: start, steer, shut down |
//! | `kin` | what parents and children say to each other |
//! | `brood` | the part that every supervising actor has |
//! | `branch`, `pool`, `worker` | the actors |
//! | `tasks`, `task` | the actors of what requests have handed to background workers |
//! | `driver` | the worker's arm on its PHP thread |
//! | `port`, `stats` | a pool's front door, and how long requests waited and took |
//! | `thread`, `boards` | what is needed of PHP threads, and where their owners leave the hold of them |
//! | `guard`, `census` | panics as exits, and the proof that nothing is left behind |

mod background;
mod boards;
mod branch;
mod brood;
mod census;
mod door;
mod driver;
mod guard;
mod handle;
mod kin;
mod pool;
mod port;
mod reins;
mod scope;
mod spec;
mod stats;
mod steer;
mod task;
mod tasks;
mod thread;
mod worker;

pub use census::Census;
pub use handle::{BacktraceError, Farewell, Handle, StartError, start};
pub use port::{Outage, PoolPort, Refused};
pub use spec::{BackgroundSpec, PoolSpec, Script, ServerSpec, SiteSpec, Work};
pub use stats::{BOUNDS, Counts, Histogram, Stats, TaskEnds, TaskStats};
pub use steer::{Action, SteerError};
pub use thread::{Control, Spawn, Spawned};

#[cfg(test)]
mod tests;
