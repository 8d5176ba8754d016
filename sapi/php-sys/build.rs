//! Finds the PHP to embed and makes the bindings to Troupe's C shim.
//!
//! The PHP is named by `TROUPE_PHP_CONFIG` (a `php-config`); without it the newest complete build in the
//! cache of `php-src-build/` is taken. Its prefix, include flags and libraries reach dependent build scripts as
//! `DEP_PHP_*`.

#![allow(
    clippy::expect_used,
    reason = "a build script that cannot go on shall say why and fail"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-env-changed=TROUPE_PHP_CONFIG");
    println!("cargo:rerun-if-env-changed=TROUPE_CACHE");
    println!("cargo:rerun-if-changed=../shim/troupe.h");

    let php_config = php_config();
    let prefix = ask(&php_config, "--prefix");
    println!("cargo:prefix={prefix}");
    println!("cargo:includes={}", ask(&php_config, "--includes"));
    println!("cargo:version={}", ask(&php_config, "--version"));
    println!("cargo:rustc-env=TROUPE_PHP_PREFIX={prefix}");
    println!("cargo:rustc-link-search=native={prefix}/lib");
    println!("cargo:rustc-link-lib=dylib=php");

    let bindings = bindgen::Builder::default()
        .header("../shim/troupe.h")
        .allowlist_item("(troupe|TROUPE)_.*")
        .default_enum_style(bindgen::EnumVariation::Rust {
            non_exhaustive: false,
        })
        .constified_enum("troupe_asked")
        .constified_enum("troupe_trace_state")
        .prepend_enum_name(false)
        .derive_default(true)
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()))
        .generate()
        .unwrap_or_else(|error| panic!("bindgen could not read sapi/shim/troupe.h: {error}"));
    let out =
        PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("bindings.rs");
    bindings
        .write_to_file(&out)
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", out.display()));
}

fn php_config() -> PathBuf {
    if let Some(given) = env::var_os("TROUPE_PHP_CONFIG") {
        let given = PathBuf::from(given);
        assert!(
            given.is_file(),
            "TROUPE_PHP_CONFIG names {}, which is no file",
            given.display()
        );
        return given;
    }
    let cache = env::var_os("TROUPE_CACHE")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
            let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache");
            base.unwrap_or_else(home).join("troupe")
        });
    newest_build(&cache).unwrap_or_else(|| {
        panic!("no PHP found: run `make build`, or set TROUPE_PHP_CONFIG to the php-config of a thread-safe PHP")
    })
}

fn newest_build(cache: &Path) -> Option<PathBuf> {
    let builds = fs::read_dir(cache)
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    let complete = builds.filter_map(|prefix| {
        let finished = fs::metadata(prefix.join(".complete"))
            .and_then(|stamp| stamp.modified())
            .ok()?;
        Some((finished, prefix.join("bin/php-config")))
    });
    complete.max().map(|(_, php_config)| php_config)
}

fn ask(php_config: &Path, question: &str) -> String {
    let answer = Command::new(php_config)
        .arg(question)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", php_config.display()));
    assert!(
        answer.status.success(),
        "{} {question} failed",
        php_config.display()
    );
    String::from_utf8_lossy(&answer.stdout).trim().to_owned()
}
