//! Lets the executables of this crate find the embedded PHP at run time.

fn main() {
    let rpath =
        std::env::var("DEP_TROUPE_SHIM_RPATH").expect("troupe-sapi tells how to find libphp");
    println!("cargo:rustc-link-arg={rpath}");
}
