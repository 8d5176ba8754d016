//! The configuration as the rest of the program sees it: plain values, defaults filled in.
//!
//! Each field is a key of `troupe.toml` of the same name; [`super::read`] says which defaults they
//! have, `docs/configure.md` describes them for users.

use std::path::PathBuf;
use std::time::Duration;

use super::listen::Listen;
use super::value::{Size, Table, words};

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub server: Server,
    pub admin: Admin,
    pub health: Health,
    pub php: Php,
    pub sites: Vec<Site>,
}

/// `[server]`: connections, limits and logs.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    pub listen: Vec<Listen>,
    /// Let other processes listen on the same addresses (SO_REUSEPORT).
    pub reuse_port: bool,
    /// Threads that do network I/O; PHP never runs on them.
    pub io_threads: usize,
    /// Connections open at once; more of them wait in the kernel's backlog.
    pub max_connections: usize,

    /// Request line and headers together.
    pub header_size: Size,
    pub body_size: Size,
    /// From the first byte of a request to the end of its headers.
    pub header_read_timeout: Duration,
    /// Between two pieces of a request body.
    pub body_idle_timeout: Duration,
    /// How long a client may take nothing of a response that waits for it.
    pub write_idle_timeout: Duration,
    /// How long a connection may stay open without a request.
    pub keep_alive: Duration,

    /// Requests that may wait for a thread, per pool.
    pub queue_length: usize,
    /// How long a request may wait for a thread.
    pub max_wait_time: Option<Duration>,
    /// How long running requests may take to end after SIGTERM.
    pub shutdown_grace: Duration,

    /// The certificate chain and key (PEM) of every `tls:` address; sites may have their own.
    pub tls: Option<Tls>,
    /// Encodings offered for compressible responses, best first.
    pub compress: Vec<Encoding>,

    pub log_format: LogFormat,
    /// A level, or the directives of `RUST_LOG`.
    pub log_level: String,
    /// Standard error when absent.
    pub log_file: Option<PathBuf>,
    pub access_log: Option<AccessLog>,
}

/// `tls_cert` and `tls_key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Zstd,
    Brotli,
    Gzip,
}

words!(Encoding, "an encoding (\"zstd\", \"br\" or \"gzip\")",
    "zstd" => Encoding::Zstd, "br" => Encoding::Brotli, "gzip" => Encoding::Gzip);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Human when the log goes to a terminal, JSON otherwise.
    Auto,
    Human,
    Json,
}

words!(LogFormat, "a log format (\"auto\", \"human\" or \"json\")",
    "auto" => LogFormat::Auto, "human" => LogFormat::Human, "json" => LogFormat::Json);

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Into the log, as records of the target `access`.
    Log,
    File(PathBuf),
}

/// `[admin]`: the endpoint that shows and steers the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    pub listen: Option<Listen>,
    /// Required as a bearer token when set; must be set when `listen` is not local.
    pub token: Option<String>,
}

/// `[health]`: the read-only part of it (readyz, healthz, metrics) on an address of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    pub listen: Option<Listen>,
}

/// `[php]`: the engine, and the threads for scripts outside worker mode.
#[derive(Debug, Clone, PartialEq)]
pub struct Php {
    pub threads: usize,
    /// The pool grows to this many while requests wait.
    pub max_threads: usize,
    /// Ends a request by wall clock, also inside a blocking call.
    pub deadline: Option<Duration>,
    /// Requests slower than this are logged with the PHP stack.
    pub slow_log: Option<Duration>,
    pub php_ini: Option<PathBuf>,
    pub scan_dir: Option<PathBuf>,
    /// As in php.ini; scripts may change them.
    pub ini: Table,
    /// As `php_admin_value`: scripts can't change them.
    pub admin_ini: Table,
}

/// `[[site]]`: one application.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Its node in the supervision tree.
    pub name: String,
    /// Exact names and `*.example.org`; empty for the site that serves every other host.
    pub hosts: Vec<String>,
    pub root: PathBuf,
    pub index: Vec<String>,
    pub env: Table,
    pub try_files: Vec<String>,
    pub path_split: Vec<String>,
    /// Folders outside the root that symlinks in it may lead to.
    pub symlinks: Vec<PathBuf>,
    pub tls: Option<Tls>,
    pub workers: Vec<Worker>,
    pub background: Vec<Background>,
}

/// `[[site.worker]]`: a script in worker mode.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    pub name: String,
    pub script: PathBuf,
    pub num: usize,
    pub max_threads: usize,
    pub env: Table,
    /// Paths this worker serves without looking for a file, such as `/api/*`.
    pub matches: Vec<String>,
    /// Globs of files whose change restarts it.
    pub watch: Vec<String>,
    pub restart: RestartPolicy,
    pub max_requests: Option<usize>,
    pub ttl: Option<Duration>,
    pub max_memory: Option<Size>,
    /// Ends a request by wall clock, also inside a blocking call.
    pub deadline: Option<Duration>,
    /// Requests slower than this are logged with the PHP stack.
    pub slow_log: Option<Duration>,
}

/// `[[site.background]]`: a script outside the request cycle.
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    /// Absent for the catch-all, which lends its script to every name not declared.
    pub name: Option<String>,
    pub script: PathBuf,
    /// Started at boot; with 0 the first use starts one.
    pub num: usize,
    pub max_threads: usize,
    pub env: Table,
    pub watch: Vec<String>,
    pub restart: RestartPolicy,
    /// Tasks that may wait for a thread, per worker.
    pub max_queue: usize,
    /// Names the catch-all may start.
    pub max_names: usize,
    /// Ends a task that a thread has in hand for longer.
    pub task_deadline: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Whenever it ends.
    Permanent,
    /// When it ends abnormally.
    Transient,
    /// Never.
    Temporary,
}

words!(Restart, "a restart type (\"permanent\", \"transient\" or \"temporary\")",
    "permanent" => Restart::Permanent,
    "transient" => Restart::Transient,
    "temporary" => Restart::Temporary);

/// How the supervisor treats a worker that ended, or must end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestartPolicy {
    pub restart: Restart,
    /// From a script's start to its being ready; beyond it, it is ended and has failed to boot.
    pub boot_timeout: Option<Duration>,
    /// The first wait after a failed boot; it doubles up to `backoff_max`.
    pub backoff: Duration,
    pub backoff_max: Duration,
    /// `intensity` failed boots within `period` take the pool down.
    pub intensity: usize,
    pub period: Duration,
    pub max_consecutive_failures: usize,
    /// From the request to stop to the force.
    pub grace: Duration,
}
