//! The counts that are kept in `baseline.txt`: the toolchain, then for each mode its total and the functions
//! that take most.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::profile::{Mode, Profile};

/// Functions below this many instructions are not kept.
const WORTH_KEEPING: i64 = 40;

/// Functions that a complaint names.
const NAMED: usize = 8;

pub struct Baseline {
    pub toolchain: String,
    pub profiles: Vec<Profile>,
}

impl Baseline {
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut lines = text.lines();
        let toolchain = lines.next().unwrap_or_default().to_owned();
        let mut profiles: Vec<Profile> = Vec::new();
        for line in lines {
            let (count, name) = line.split_once(' ').unwrap();
            let count: i64 = count.parse().unwrap();
            let modes = [Mode::Worker, Mode::Classic];
            match modes.into_iter().find(|mode| mode.name() == name) {
                Some(mode) => profiles.push(Profile {
                    mode,
                    total: count,
                    functions: Default::default(),
                }),
                None => {
                    let profile = profiles.last_mut().unwrap();
                    profile.functions.insert(name.to_owned(), count);
                }
            }
        }
        Self {
            toolchain,
            profiles,
        }
    }

    pub fn write(&self, path: &Path) {
        let mut text = format!("{}\n", self.toolchain);
        for profile in &self.profiles {
            writeln!(text, "{} {}", profile.total, profile.mode.name()).unwrap();
            let mut functions: Vec<_> = profile.functions.iter().collect();
            functions.sort_by_key(|(_, count)| -**count);
            for (name, count) in functions {
                if *count >= WORTH_KEEPING {
                    writeln!(text, "{count} {name}").unwrap();
                }
            }
        }
        fs::write(path, text).unwrap();
    }
}

/// What the counts depend on beside our own code and PHP's, which is part of it.
pub fn toolchain() -> String {
    let first_line = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().next().unwrap_or_default().to_owned()
    };
    [
        first_line("rustc", "--version"),
        first_line("cc", "--version"),
        first_line("ldd", "--version"),
    ]
    .join("; ")
}

/// The functions that grew most.
pub fn complaint(before: &Profile, now: &Profile) -> String {
    let mut grown: Vec<_> = now
        .functions
        .iter()
        .map(|(name, count)| (count - before.functions.get(name).unwrap_or(&0), name))
        .collect();
    grown.sort_by_key(|(growth, _)| -growth);
    let mut text = format!(
        "{}: {} instructions a request, {} in the baseline; grown:\n",
        now.mode.name(),
        now.total,
        before.total
    );
    for (growth, name) in grown.into_iter().take(NAMED) {
        writeln!(text, "  {growth:+} {name}").unwrap();
    }
    text
}
