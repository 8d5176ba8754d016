//! `troupe`: the command line in front of the server.
//!
//! | module | holds |
//! | --- | --- |
//! | `cli`, `config` | what the user says, checked |
//! | `run`, `assembly` | a server's life; its parts put together |
//! | `server` | bytes in and out: sockets, TLS, HTTP/1 and HTTP/2 |
//! | `app` | a request's way: `host` → `route` → `static_files` or `php` → `compress` → `access` |
//! | `watch` | workers restarted when files change |
//! | `admin`, `admin_client` | the tree seen and steered from outside |
//! | `logging` | where records go |
//! | `bench_handler` | answers without PHP, to compare with |

#![forbid(unsafe_code)]

mod access;
mod admin;
mod admin_client;
mod answer;
mod app;
mod assembly;
mod bench_handler;
mod cli;
mod commands;
mod compress;
mod config;
mod encoding;
mod host;
mod logging;
mod php;
mod route;
mod run;
mod server;
mod static_files;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use troupe_sapi::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::execute(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("troupe: {error}");
            ExitCode::FAILURE
        }
    }
}
