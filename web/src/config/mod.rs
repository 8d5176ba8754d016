//! The configuration: read, checked, and handed over as plain values.
//!
//! ```text
//! troupe.toml ─┐
//! TROUPE_…     ├─► read (keys, kinds, defaults) ─► Config + Origins ─► validate ─► Config
//! flags       ─┘                                                         │
//!                                             every mistake, where it was said
//! ```
//!
//! Flags win over environment variables, those over the file, the file over the defaults. The variable
//! of a key is `TROUPE_`, its table, `_`, the key, all in capitals: `TROUPE_SERVER_LISTEN`. A named
//! `[[site]]` or worker puts its name in: `TROUPE_SITE_BLOG_ROOT`, `TROUPE_SITE_BLOG_WORKER_API_NUM`;
//! tables without a `name` can't be overridden. Lists are separated by commas, tables are written
//! `name=value,name=value`.

mod diagnostic;
mod flags;
mod listen;
mod model;
mod read;
mod section;
mod validate;
pub mod value;

use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use self::diagnostic::Invalid;
pub use self::flags::ServerFlags;
pub use self::listen::Listen;
pub use self::model::*;
pub use self::section::Environment;

use self::diagnostic::{Diagnostic, Origin, Origins, Source};
use self::section::{Reader, Section};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl Config {
    /// Reads and validates the file at `path`, overridden by `environment`.
    pub fn load(path: &Path, environment: Environment) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let file = std::path::absolute(path).map_err(unreadable)?;
        let base = file.parent().unwrap_or(Path::new("/"));
        Ok(Self::parse(path, text, base, environment)?)
    }

    /// Reads and validates `text`; `path` is its name in messages, `base` the folder that relative
    /// paths are taken from.
    pub fn parse(
        path: &Path,
        text: String,
        base: &Path,
        environment: Environment,
    ) -> Result<Self, Invalid> {
        let (document, syntax_errors) = DeTable::parse_recoverable(&text);
        let result = match syntax_errors.as_slice() {
            [] => read(document.get_ref(), base, environment),
            // What was guessed past a syntax error would be reported as wrong, too.
            errors => Err(errors.iter().map(syntax_error).collect()),
        };
        result.map_err(|diagnostics| {
            let path = path.to_owned();
            Invalid::new(Source { path, text }, diagnostics)
        })
    }

    /// The configuration of `troupe php-server`: one site, the rest by flags, environment and
    /// defaults. `base` is the working directory.
    pub fn from_flags(
        flags: &ServerFlags,
        base: &Path,
        environment: Environment,
    ) -> Result<Self, Invalid> {
        let empty = DeTable::new();
        let (mut config, mut origins, mut diagnostics) = read_table(&empty, base, environment);
        flags.apply(base, &mut config, &mut origins, &mut diagnostics);
        validated(config, origins, diagnostics)
            .map_err(|diagnostics| Invalid::new(Source::default(), diagnostics))
    }
}

fn read(
    document: &DeTable<'_>,
    base: &Path,
    environment: Environment,
) -> Result<Config, Vec<Diagnostic>> {
    let (config, origins, diagnostics) = read_table(document, base, environment);
    validated(config, origins, diagnostics)
}

fn read_table(
    document: &DeTable<'_>,
    base: &Path,
    environment: Environment,
) -> (Config, Origins, Vec<Diagnostic>) {
    let reader = Reader::new(environment);
    let config = read::config(Section::root(&reader, document), base);
    let (origins, diagnostics) = reader.finish();
    (config, origins, diagnostics)
}

fn validated(
    config: Config,
    origins: Origins,
    mut diagnostics: Vec<Diagnostic>,
) -> Result<Config, Vec<Diagnostic>> {
    validate::check(&config, &origins, &mut diagnostics);
    match diagnostics.as_slice() {
        [] => Ok(config),
        _ => Err(diagnostics),
    }
}

fn syntax_error(error: &toml::de::Error) -> Diagnostic {
    Diagnostic {
        origin: error.span().map_or(Origin::Default, Origin::File),
        message: error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests;
