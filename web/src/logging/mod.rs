//! The log and the access log, through `tracing`: for people on a terminal, JSON otherwise.
//!
//! One line a record. A request's record has the target `access`; records of PHP code carry the
//! request's id as well, so that the two can be put together.

mod json;
mod sink;

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{EnvFilter, Registry, fmt};

use self::json::Json;
use self::sink::Sink;
use crate::config::{AccessLog, LogFormat, Server};

/// The target of access records.
pub const ACCESS: &str = "access";

/// What actix reports of broken connections and malformed requests is the client's doing and visible
/// in the access log or not worth a line; at the level of errors it would let anyone fill the log.
const QUIET: [&str; 3] = ["actix_http=off", "actix_server=warn", "h2=warn"];

/// Handles to the open logs.
#[derive(Debug, Clone)]
pub struct Logs {
    sinks: Vec<Sink>,
}

impl Logs {
    /// Opens the logs and directs all records to them from now on, once in the life of the process.
    pub fn start(server: &Server) -> io::Result<Self> {
        let main = match &server.log_file {
            Some(path) => Sink::file(path)?,
            None => Sink::stderr()?,
        };
        let is_terminal = server.log_file.is_none() && io::stderr().is_terminal();
        let is_json = match server.log_format {
            LogFormat::Auto => !is_terminal,
            LogFormat::Json => true,
            LogFormat::Human => false,
        };
        let mut sinks = vec![main.clone()];
        let mut filter = EnvFilter::builder().parse_lossy(&server.log_level);
        for directive in QUIET {
            let (target, _) = directive.split_once('=').unwrap_or((directive, ""));
            if !server.log_level.contains(target) {
                filter = filter.add_directive(directive.parse().map_err(io::Error::other)?);
            }
        }
        let access_in_log = server.access_log == Some(AccessLog::Log);
        let wanted = filter_fn(move |metadata| access_in_log || metadata.target() != ACCESS);
        let log = lines(main, is_json, is_terminal).with_filter(filter.and(wanted));
        let mut layers = vec![log.boxed()];
        if let Some(AccessLog::File(path)) = &server.access_log {
            let sink = Sink::file(path)?;
            sinks.push(sink.clone());
            let only_access = filter_fn(|metadata| metadata.target() == ACCESS);
            layers.push(lines(sink, is_json, false).with_filter(only_access).boxed());
        }
        let subscriber = Registry::default().with(layers);
        tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
        Ok(Self { sinks })
    }

    /// Opens the files by their names again, after a rotation.
    pub fn reopen(&self) {
        for sink in &self.sinks {
            if let Err(error) = sink.reopen() {
                tracing::error!("the log goes on in the old file: {error}");
            }
        }
    }

    /// Writes what waits; the last thing a process does.
    pub fn flush(&self) {
        for sink in &self.sinks {
            sink.flush();
        }
    }
}

fn lines(sink: Sink, is_json: bool, is_terminal: bool) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = fmt::layer().with_writer(sink).with_ansi(is_terminal);
    match is_json {
        true => lines.event_format(Json).boxed(),
        false => lines.boxed(),
    }
}

/// Whether access records are wanted at all: making one up costs time.
pub fn access_is_on(server: &Server) -> bool {
    server.access_log.is_some() && LevelFilter::current() >= LevelFilter::INFO
}
