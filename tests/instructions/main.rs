//! What a request costs in instructions, compared with what it did when the baseline was written.
//!
//! Times differ from run to run by more than a mistake costs; counts hardly do. The server runs under
//! valgrind's callgrind twice, with few requests and with many; the difference, divided, is one request.
//! More than [`TOLERANCE`] above the baseline fails, and names the functions that grew. A change that is
//! worth its price, or saves a good deal, writes a new baseline:
//!
//! ```text
//! TROUPE_ACCEPT=1 cargo test --release -p troupe-tests --test instructions
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | `profile` | a run under callgrind, and its reading |
//! | `baseline` | the counts that are kept, and how they compare |
//!
//! The counts belong to a compiler and a C library: elsewhere there is nothing to compare with.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

mod baseline;
mod profile;

use std::path::Path;

use crate::baseline::Baseline;
use crate::profile::{Mode, Profile};

/// In percent of the baseline.
const TOLERANCE: f64 = 3.0;

/// A thread that looks for work while the machine is busy with others adds to the count, so a count that is
/// too high is taken again.
const TRIES: usize = 4;

/// Requests of the short and of the long run.
const RUNS: (u32, u32) = (200, 1200);

#[test]
fn a_request_takes_no_more_instructions_than_it_did() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions/baseline.txt");
    let toolchain = baseline::toolchain();
    let accepts = std::env::var_os("TROUPE_ACCEPT").is_some();
    let kept = Baseline::read(&path);
    if !accepts && kept.toolchain != toolchain {
        eprintln!(
            "not compared: the baseline is of {}, this is {toolchain}",
            kept.toolchain
        );
        return;
    }
    if accepts {
        let profiles = [Mode::Worker, Mode::Classic].map(|mode| Profile::of(mode, RUNS));
        let profiles = profiles.into();
        Baseline {
            toolchain,
            profiles,
        }
        .write(&path);
        return;
    }
    let mut complaints = Vec::new();
    for before in &kept.profiles {
        let limit = before.total as f64 * (1.0 + TOLERANCE / 100.0);
        let mut grown = None;
        for _ in 0..TRIES {
            let now = Profile::of(before.mode, RUNS);
            eprintln!(
                "{}: {} instructions a request, {} in the baseline",
                now.mode.name(),
                now.total,
                before.total
            );
            grown = (now.total as f64 > limit).then(|| baseline::complaint(before, &now));
            if grown.is_none() {
                break;
            }
        }
        complaints.extend(grown);
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
