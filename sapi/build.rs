//! Compiles the C shim against the headers of the PHP that `php-sys` found.

use std::env;

fn main() {
    let version = env::var("CARGO_PKG_VERSION").expect("cargo sets the version");
    let includes = env::var("DEP_PHP_INCLUDES").expect("php-sys tells its include flags");
    let mut shim = cc::Build::new();
    for flag in includes.split_whitespace() {
        // As system headers, so that warnings are ours alone.
        shim.flag(flag.replacen("-I", "-isystem", 1));
    }
    shim.std("gnu11")
        .define("_GNU_SOURCE", None)
        .define("ZEND_ENABLE_STATIC_TSRMLS_CACHE", "1")
        .define("TROUPE_VERSION", format!("\"{version}\"").as_str())
        .define("TROUPE_SOFTWARE", format!("\"Troupe/{version}\"").as_str())
        .flag("-Wno-unused-parameter")
        .flag("-Wno-sign-compare");
    for file in std::fs::read_dir("shim").expect("sapi/shim is there").flatten() {
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
    let rpath = format!("-Wl,-rpath,{}/lib", env::var("DEP_PHP_PREFIX").expect("php-sys tells its prefix"));
    println!("cargo:rustc-link-arg={rpath}");
    println!("cargo:rpath={rpath}");
}
