//! Links the executables of this crate as `sapi` says: they find libphp and export what PHP is to call instead of libc.

#![allow(
    clippy::expect_used,
    reason = "a build script that cannot go on shall say why and fail"
)]

fn main() {
    let link_arg =
        std::env::var("DEP_TROUPE_SHIM_LINK_ARG").expect("troupe-sapi tells how to find libphp");
    println!("cargo:rustc-link-arg={link_arg}");
    // `troupe php-cli` runs the `php` that was built together with libphp.
    let prefix = link_arg
        .split(',')
        .find_map(|argument| argument.strip_suffix("/lib"))
        .expect("the run path is the lib folder of PHP's prefix");
    println!("cargo:rustc-env=TROUPE_PHP_BINARY={prefix}/bin/php");
}
