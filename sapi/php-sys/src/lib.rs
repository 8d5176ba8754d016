//! Bindings to the embedded PHP through Troupe's C shim, made by bindgen from `sapi/shim/troupe.h`.
//!
//! Nothing but bindgen's output: macros, inline functions and `zend_try` live in the shim.

#![allow(
    non_camel_case_types,
    non_upper_case_globals,
    clippy::undocumented_unsafe_blocks
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));

/// Where the embedded PHP is installed.
pub const PREFIX: &str = env!("TROUPE_PHP_PREFIX");
