#![forbid(unsafe_code)]
mod cli;
mod compress;
mod config;
mod encoding;
mod logging;
mod route;
mod static_files;
fn main() {}
