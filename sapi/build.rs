//! Compiles the C shim against the headers of the PHP that `php-sys` found, and tells how to link it.

#![allow(
    clippy::expect_used,
    reason = "a build script that cannot go on shall say why and fail"
)]

use std::env;

/// What the shim defines in the place of the C library, for PHP and the libraries PHP uses. The dynamic linker
/// takes it from the executable, which therefore has to have it, whether or not it calls it, and to export it.
const INTERPOSED: &[&str] = &[
    "accept",
    "asctime",
    "closelog",
    "connect",
    "dlopen",
    "fcntl",
    "fcntl64",
    "flock",
    "getprotobyname",
    "getprotobynumber",
    "getservbyname",
    "getservbyport",
    "localtime",
    "nanosleep",
    "openlog",
    "pclose",
    "poll",
    "read",
    "recv",
    "recvfrom",
    "recvmsg",
    "setlocale",
    "sigaction",
    "sigprocmask",
    "sleep",
    "syslog",
    "usleep",
    "waitpid",
];

fn main() {
    let version = env::var("CARGO_PKG_VERSION").expect("cargo sets the version");
    let includes = env::var("DEP_PHP_INCLUDES").expect("php-sys tells its include flags");
    let mut shim = cc::Build::new();
    for flag in includes.split_whitespace() {
        // As system headers, so that warnings are ours alone.
        shim.flag(flag.replacen("-I", "-isystem", 1));
    }
    // As PHP itself was compiled: some of its structures are laid out by it.
    shim.flag("-pthread");
    shim.std("gnu11")
        .define("_GNU_SOURCE", None)
        .define("ZEND_ENABLE_STATIC_TSRMLS_CACHE", "1")
        .define("TROUPE_VERSION", format!("\"{version}\"").as_str())
        .define("TROUPE_SOFTWARE", format!("\"Troupe/{version}\"").as_str())
        .flag("-Wno-unused-parameter")
        .flag("-Wno-sign-compare");
    for file in std::fs::read_dir("shim")
        .expect("sapi/shim is there")
        .flatten()
    {
        let path = file.path();
        println!("cargo:rerun-if-changed={}", path.display());
        if path.extension().is_some_and(|extension| extension == "c") {
            shim.file(path);
        }
    }
    println!("cargo:rerun-if-changed=shim");
    shim.compile("troupe_shim");
    // libphp is shared and lives in PHP's own prefix: every executable that links it must find it there. A
    // dependent crate passes the flag on in its build script.
    let prefix = env::var("DEP_PHP_PREFIX").expect("php-sys tells its prefix");
    let exports: String = INTERPOSED
        .iter()
        .map(|name| format!(",--undefined={name},--export-dynamic-symbol={name}"))
        .collect();
    let link_arg = format!("-Wl,-rpath,{prefix}/lib{exports}");
    println!("cargo:rustc-link-arg={link_arg}");
    println!("cargo:link_arg={link_arg}");
}
