//! OPcache is shared by all threads and emptied without harm to any of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Pool, answer, engine_with};

/// Timestamps are not looked at, so that only a reset shows a change, and memory is soon full.
const SETTINGS: &[(&str, &str)] = &[
    ("opcache.enable", "1"),
    ("opcache.validate_timestamps", "0"),
    ("opcache.file_update_protection", "0"),
    ("opcache.memory_consumption", "8"),
    ("opcache.max_wasted_percentage", "1"),
    ("opcache.interned_strings_buffer", "1"),
    ("opcache.jit_buffer_size", "0"),
];

/// What `ballast` of a file holds: enough to fill the memory in a hundred versions.
const BALLAST: usize = 2_000;

struct Included(PathBuf);

impl Included {
    fn new(name: &str) -> Self {
        engine_with(SETTINGS);
        let included = Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name));
        included.write(1);
        included
    }

    fn write(&self, version: usize) {
        let ballast: String = (0..BALLAST)
            .map(|n| format!("[{n}, {version}], "))
            .collect();
        let code = format!("<?php return ['version' => {version}, 'ballast' => [{ballast}]];");
        // Replaced as deployments do it: whoever includes it sees one version or the other.
        let next = self.0.with_extension("next");
        fs::write(&next, code).unwrap();
        fs::rename(&next, &self.0).unwrap();
    }

    fn query(&self, rest: &str) -> String {
        format!("file={}&{rest}", self.0.display())
    }
}

#[test]
fn a_reset_under_load_fails_no_request_and_shows_what_changed() {
    let included = Included::new("under_load.php");
    let pool = Pool::classic();
    let siblings: Vec<Pool> = (0..3).map(|_| pool.sibling()).collect();
    let resetter = Pool::classic();
    let mut shown = 0;
    for version in 1..=300 {
        included.write(version);
        let mut load: Vec<_> = (0..8)
            .map(|_| pool.send("opcache.php", &included.query("")))
            .collect();
        assert_eq!(
            resetter.ask("opcache.php", "do=reset"),
            (200, "bool(true)\n".into())
        );
        for reader in &mut load {
            let (status, body) = answer(reader);
            let (version, ballast) = body.split_once(' ').expect("a version and a count");
            assert_eq!((status, ballast), (200, BALLAST.to_string().as_str()));
            shown = version.parse().unwrap();
        }
        assert!(
            shown == version || shown + 1 == version,
            "{shown} while {version} is being shown"
        );
        let (_, body) = pool.ask("opcache.php", &included.query(""));
        assert_eq!(body, format!("{version} {BALLAST}"));
    }
    // The memory was full more than once, so OPcache emptied it for real, too.
    let restarts: usize = pool.ask("opcache.php", "do=restarts").1.parse().unwrap();
    assert!(restarts > 0, "OPcache never had to restart");
    assert_eq!(resetter.seen(|seen| seen.opcache_resets), 300);
    for pool in siblings.into_iter().chain([pool, resetter]) {
        pool.stop();
    }
}

#[test]
fn a_worker_that_resets_tells_its_driver_and_shows_the_change_after_a_restart() {
    let included = Included::new("worker.php");
    let pool = Pool::worker("opcache_worker.php");
    assert_eq!(pool.ask("", &included.query("")).1, "1");
    included.write(2);
    assert_eq!(pool.ask("", &included.query("do=reset")).1, "1");
    assert_eq!(pool.seen(|seen| seen.opcache_resets), 1);
    pool.stop();
    let restarted = Pool::worker("opcache_worker.php");
    assert_eq!(restarted.ask("", &included.query("")).1, "2");
    restarted.stop();
}
