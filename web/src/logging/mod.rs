//! The log and the access log, through `tracing`: for people on a terminal, JSON otherwise.
//!
//! One line a record. A request's record has the target `access`; records of PHP code carry the
//! request's id as well, so that the two can be put together.
//!
//! Every request has a record, so as JSON it goes past `tracing`, straight into its log (see [`Access`]).

mod json;
mod sink;

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{EnvFilter, Registry, fmt};

use self::json::Json;
pub use self::json::Line;
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
    access: Option<Access>,
}

/// How requests are recorded.
#[derive(Debug, Clone)]
pub enum Access {
    /// As lines of JSON.
    Json(JsonLog),
    /// Through `tracing`, which knows how people like their lines.
    Traced,
}

/// A log of JSON for lines that are written past `tracing`.
#[derive(Debug, Clone)]
pub struct JsonLog(Sink);

impl JsonLog {
    #[cfg(test)]
    pub fn flush(&self) {
        self.0.flush();
    }

    /// Writes a record of the level `INFO`.
    pub fn write(&self, target: &str, fields: impl FnOnce(&mut Line)) {
        let written = |line: &str| self.0.append(line.as_bytes());
        json::with_line(&Level::INFO, target, fields, written);
    }
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
        let access_in_log = server.access_log == Some(AccessLog::Log);
        let wanted = filter_fn(move |metadata| access_in_log || metadata.target() != ACCESS);
        let log = filter(&server.log_level)?.and(wanted);
        let log = lines(main.clone(), is_json, is_terminal).with_filter(log);
        let mut layers = vec![log.boxed()];
        let mut access = match access_in_log && lets_access_through(filter(&server.log_level)?) {
            true => Some(main),
            false => None,
        };
        if let Some(AccessLog::File(path)) = &server.access_log {
            let sink = Sink::file(path)?;
            sinks.push(sink.clone());
            access = Some(sink.clone());
            let only_access = filter_fn(|metadata| metadata.target() == ACCESS);
            layers.push(lines(sink, is_json, false).with_filter(only_access).boxed());
        }
        let subscriber = Registry::default().with(layers);
        tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
        let access = access.map(|sink| match is_json {
            true => Access::Json(JsonLog(sink)),
            false => Access::Traced,
        });
        Ok(Self { sinks, access })
    }

    /// How requests are recorded, if they are.
    pub fn access(&self) -> Option<&Access> {
        self.access.as_ref()
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

fn filter(level: &str) -> io::Result<EnvFilter> {
    let mut filter = EnvFilter::builder().parse_lossy(level);
    for directive in QUIET {
        let (target, _) = directive.split_once('=').unwrap_or((directive, ""));
        if !level.contains(target) {
            filter = filter.add_directive(directive.parse().map_err(io::Error::other)?);
        }
    }
    Ok(filter)
}

fn lets_access_through(filter: EnvFilter) -> bool {
    let alone = Registry::default().with(filter);
    tracing::subscriber::with_default(alone, || tracing::enabled!(target: ACCESS, Level::INFO))
}

/// The two ways to one log of JSON.
#[cfg(test)]
pub fn json_for_tests(path: &std::path::Path) -> (JsonLog, impl tracing::Subscriber) {
    let sink = Sink::file(path).unwrap();
    let traced = lines(sink.clone(), true, false);
    (JsonLog(sink), Registry::default().with(traced))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_of_the_log_and_of_the_target_decide_on_access_records() {
        for (level, expected) in [
            ("info", true),
            ("warn", false),
            ("warn,access=info", true),
            ("debug,access=off", false),
        ] {
            let filter = filter(level).unwrap();
            assert_eq!(lets_access_through(filter), expected, "{level}");
        }
    }
}
