//! Supervision without actors: plain state machines that are told the time and answer with decisions.
//!
//! The rules are Erlang/OTP's (child specs, restart types, strategies, intensity and period, ordered start and
//! reverse stop, escalation) with one change that suits PHP: **only an exit before ready is a failure**. A
//! script that dies while serving a request has hurt that request; starting it again at once hurts nobody. A
//! script that can't boot would be tried again without end, and that is what backoff and intensity are for.
//!
//! | file | decides |
//! | --- | --- |
//! | `spec` | what becomes of one child after one exit |
//! | `supervisor` | the order of starts and stops, group restarts, escalation |
//! | `backoff`, `intensity` | how long to wait, and how much is too much |
//! | `recycle` | when a healthy worker should be replaced |
//! | `rolling` | who is next in a rolling restart |
//! | `scaling` | when a pool grows and shrinks |

mod backoff;
mod child;
mod exit;
mod intensity;
mod recycle;
mod rolling;
mod scaling;
mod spec;
mod supervisor;

pub use backoff::{Backoff, BackoffPolicy};
pub use exit::{Cause, Detail, Exit};
pub use intensity::{Intensity, Window};
pub use recycle::{Recycle, RecycleLimits, RecyclePolicy};
pub use rolling::{Progress, Rolling};
pub use scaling::{Load, Scale, Scaler, ScalingPolicy};
pub use spec::{BootLimit, ChildSpec, Policy, Restart, Strategy, Verdict};
pub use supervisor::{ChildId, Command, Escalation, Leave, Phase, Supervisor};
