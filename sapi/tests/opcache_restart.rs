//! OPcache empties its memory when it is full, but not under the feet of a script that uses it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Pool, engine_with, folder};

const SETTINGS: &[(&str, &str)] = &[
    ("opcache.enable", "1"),
    ("opcache.file_update_protection", "0"),
    ("opcache.memory_consumption", "8"),
    ("opcache.max_wasted_percentage", "1"),
    ("opcache.interned_strings_buffer", "1"),
    ("opcache.jit_buffer_size", "0"),
];

const FULL: &str = r#"{"pending":true,"restarts":0}"#;
const EMPTIED: &str = r#"{"pending":false,"restarts":1}"#;

#[test]
fn a_full_memory_is_emptied_once_no_script_uses_it() {
    engine_with(SETTINGS);
    let file = folder("restart").join("large.php");
    let ballast: String = (0..5_000).map(|n| format!("[{n}], ")).collect();
    std::fs::write(&file, format!("<?php return [{ballast}];")).unwrap();

    let user = Pool::worker("restart.php");
    assert_eq!(user.ask("", "").1, r#"{"pending":false,"restarts":0}"#);
    let pool = Pool::classic();
    assert_eq!(
        pool.ask("restart.php", &format!("do=fill&file={}", file.display()))
            .1,
        FULL
    );
    // Each of these runs would restart OPcache, were it not for the worker.
    for _ in 0..3 {
        assert_eq!(pool.ask("restart.php", "").1, FULL);
    }
    assert_eq!(user.ask("", "").1, FULL);
    user.stop();
    assert_eq!(pool.ask("restart.php", "").1, EMPTIED);
    pool.stop();
}
