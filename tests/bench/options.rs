//! The command line.

use std::path::PathBuf;

use crate::servers::Other;

pub const USAGE: &str = "known: --quick, --only WORK, --also NAME=URL, --also NAME=COMMAND, --before COMMIT=BINARY, --output FILE";

pub struct Options {
    pub is_quick: bool,
    /// The only kind of work to measure.
    pub only: Option<String>,
    /// More servers.
    pub also: Vec<Other>,
    /// An earlier version of Troupe: its commit and its binary.
    pub before: Option<(String, PathBuf)>,
    pub output: Option<PathBuf>,
}

impl Options {
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            is_quick: false,
            only: None,
            also: Vec::new(),
            before: None,
            output: None,
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{argument} wants a value ({USAGE})"))
            };
            match argument.as_str() {
                "--quick" => options.is_quick = true,
                "--only" => options.only = Some(value()?),
                "--also" => options.also.push(Other::read(&value()?)?),
                "--before" => options.before = Some(before(&value()?)?),
                "--output" => options.output = Some(value()?.into()),
                other => return Err(format!("unknown argument {other} ({USAGE})")),
            }
        }
        // What is kept is the whole comparison and nothing else.
        let is_whole = !options.is_quick && options.only.is_none() && options.also.is_empty();
        if options.output.is_none() && is_whole {
            options.output = Some("docs/benchmarks.md".into());
        }
        Ok(options)
    }

    /// Whether to measure this.
    pub fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == name)
    }
}

fn before(argument: &str) -> Result<(String, PathBuf), String> {
    let parts = argument.split_once('=');
    let (commit, binary) =
        parts.ok_or_else(|| format!("--before wants COMMIT=BINARY, not {argument}"))?;
    Ok((commit.to_owned(), binary.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        Options::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn only_a_whole_run_is_kept_unless_a_file_is_named() {
        let kept = |line| read(line).unwrap().output.is_some();
        assert!(kept(""));
        assert!(!kept("--quick"));
        assert!(!kept("--only hello"));
        assert!(!kept("--also mine=http://127.0.0.1:80"));
        assert!(kept("--quick --output /tmp/x.md"));
    }

    #[test]
    fn what_is_not_wanted_is_left_out_and_mistakes_are_named() {
        assert!(read("").unwrap().wants("hello"));
        assert!(!read("--only body").unwrap().wants("hello"));
        let complaint = read("--fast").err().unwrap();
        assert!(complaint.contains("--fast"), "{complaint}");
        assert!(read("--only").is_err());
        assert!(read("--also mine").is_err());
        assert!(read("--before mine").is_err());
    }
}
