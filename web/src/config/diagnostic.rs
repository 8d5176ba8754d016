//! What is wrong with a configuration, and where it was said.
//!
//! Every setting remembers its [`Origin`], so a mistake found by the parser and one found much later
//! by the validation are reported alike: with file, line, column and the line itself, or with the
//! environment variable or flag that carried the value. All mistakes are reported, not only the first.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Bytes of the configuration file.
    File(Range<usize>),
    /// An environment variable.
    Variable(String),
    /// A command line flag.
    Flag(String),
    /// Nobody said it; what is wrong is that it is missing, or that the default does not fit.
    Default,
}

/// The origins of all settings, by key path (`site.0.worker.1.script`).
#[derive(Debug, Default, Clone)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    pub fn set(&mut self, key: String, origin: Origin) {
        self.0.insert(key, origin);
    }

    /// The origin of `key` or, when it was never set, of the table it belongs to.
    pub fn of(&self, key: &str) -> Origin {
        let mut key = key;
        loop {
            if let Some(origin) = self.0.get(key) {
                return origin.clone();
            }
            match key.rfind('.') {
                Some(dot) => key = &key[..dot],
                None => return Origin::Default,
            }
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub origin: Origin,
    pub message: String,
}

/// The text a configuration was read from, to quote it.
#[derive(Debug, Default, Clone)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

impl Source {
    /// Line and column, from 1, of a byte offset; columns count characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    fn line(&self, number: usize) -> &str {
        self.text.lines().nth(number - 1).unwrap_or("")
    }
}

/// All mistakes of one configuration.
#[derive(Debug, thiserror::Error)]
pub struct Invalid {
    pub source_text: Source,
    pub diagnostics: Vec<Diagnostic>,
}

impl Invalid {
    /// Puts the mistakes in the order of the file; what has no place in it comes last, in the order
    /// it was found.
    pub fn new(source_text: Source, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(|diagnostic| match &diagnostic.origin {
            Origin::File(span) => span.start,
            _ => usize::MAX,
        });
        Self {
            source_text,
            diagnostics,
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            let message = &diagnostic.message;
            match &diagnostic.origin {
                Origin::File(span) => {
                    quote(f, &self.source_text, span, message)?;
                }
                Origin::Variable(name) => writeln!(f, "environment variable {name}: {message}")?,
                Origin::Flag(flag) => writeln!(f, "{flag}: {message}")?,
                Origin::Default if self.source_text.path.as_os_str().is_empty() => {
                    writeln!(f, "{message}")?;
                }
                Origin::Default => writeln!(f, "{}: {message}", self.source_text.path.display())?,
            }
        }
        match self.diagnostics.len() {
            1 => f.write_str("1 error in the configuration"),
            count => write!(f, "{count} errors in the configuration"),
        }
    }
}

fn quote(
    f: &mut fmt::Formatter<'_>,
    source: &Source,
    span: &Range<usize>,
    message: &str,
) -> fmt::Result {
    let (line, column) = source.position(span.start);
    writeln!(f, "{}:{line}:{column}: {message}", source.path.display())?;
    let quoted = source.line(line);
    if quoted.trim().is_empty() {
        return Ok(());
    }
    let gutter = line.to_string();
    writeln!(f, "  {gutter} | {quoted}")?;
    let (last_line, end) = source.position(span.end);
    let width = if last_line == line {
        end.saturating_sub(column).max(1)
    } else {
        (quoted.chars().count() + 1).saturating_sub(column).max(1)
    };
    // Tabs are kept in the margin so that the marks stand under what they mark.
    let mut margin = String::new();
    for character in quoted.chars().take(column - 1) {
        margin.push(if character == '\t' { '\t' } else { ' ' });
    }
    let mut marks = String::new();
    for _ in 0..width {
        marks.write_char('^')?;
    }
    writeln!(
        f,
        "  {:gutter$} | {margin}{marks}",
        "",
        gutter = gutter.len()
    )
}

/// The known word nearest to `word`, when it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&word, &candidate.to_ascii_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, candidate)| *distance <= (word.len().max(candidate.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalid(text: &str, span: Range<usize>) -> String {
        Invalid {
            source_text: Source {
                path: "troupe.toml".into(),
                text: text.into(),
            },
            diagnostics: vec![Diagnostic {
                origin: Origin::File(span),
                message: "wrong".into(),
            }],
        }
        .to_string()
    }

    #[test]
    fn a_mistake_is_shown_with_its_line_and_marks_under_it() {
        let shown = invalid("[server]\n\tlisen = 1\n", 10..15);
        assert_eq!(
            shown,
            "troupe.toml:2:2: wrong\n  2 | \tlisen = 1\n    | \t^^^^^\n1 error in the configuration"
        );
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        assert!(invalid("é = 1", 3..4).starts_with("troupe.toml:1:3:"));
    }

    #[test]
    fn a_span_over_several_lines_marks_the_first() {
        let shown = invalid("a = [\n1,\n]\n", 4..10);
        assert!(shown.contains("  1 | a = [\n    |     ^\n"), "{shown}");
    }

    #[test]
    fn an_origin_falls_back_to_the_enclosing_table() {
        let mut origins = Origins::default();
        origins.set("site.0".into(), Origin::Flag("--root".into()));
        assert_eq!(
            origins.of("site.0.worker.1.script"),
            Origin::Flag("--root".into())
        );
        assert_eq!(origins.of("php.threads"), Origin::Default);
    }

    #[test]
    fn suggestions_are_near_or_absent() {
        let known = ["listen", "body_size", "keep_alive"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("keep-alive", known), Some("keep_alive"));
        assert_eq!(nearest("threads", known), None);
    }
}
