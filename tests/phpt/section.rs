//! A `.phpt` file: a list of sections, each begun by a line `--NAME--`.

use std::collections::BTreeMap;

/// The sections of one test, by name.
#[derive(Debug, Default)]
pub struct Phpt {
    sections: BTreeMap<String, Vec<u8>>,
}

impl Phpt {
    /// Reads a file's text; fails when it does not begin as a test does.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let mut phpt = Self::default();
        let mut current: Option<String> = None;
        let mut ended = false;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if let Some(name) = section_name(line) {
                phpt.sections.entry(name.clone()).or_default();
                current = Some(name);
                ended = false;
                continue;
            }
            let Some(name) = &current else {
                return Err("it does not begin with a section".into());
            };
            if ended {
                continue;
            }
            if let Some(section) = phpt.sections.get_mut(name) {
                section.extend_from_slice(line);
            }
            // What follows this line in a script is a note to the reader.
            ended = name == "FILE" && line.trim_ascii_end() == b"===DONE===";
        }
        match phpt.has("TEST") {
            true => Ok(phpt),
            false => Err("it has no section TEST".into()),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.sections.contains_key(name)
    }

    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.sections.get(name).map(Vec::as_slice)
    }

    /// A section as text without the white space around it.
    pub fn text(&self, name: &str) -> Option<String> {
        let bytes = self.get(name)?;
        Some(String::from_utf8_lossy(bytes.trim_ascii()).into_owned())
    }

    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        let lines = text.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// `NAME=VALUE` lines.
    pub fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let lines = self.lines(name).into_iter();
        lines
            .filter_map(|line| {
                let (name, value) = line.split_once('=')?;
                Some((name.trim().to_owned(), value.trim().to_owned()))
            })
            .collect()
    }
}

fn section_name(line: &[u8]) -> Option<String> {
    let name = line.trim_ascii_end().strip_prefix(b"--")?;
    let name = name.strip_suffix(b"--")?;
    let is_name = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'_';
    match !name.is_empty() && name.iter().all(is_name) {
        true => String::from_utf8(name.to_vec()).ok(),
        false => None,
    }
}

#[test]
fn sections_keep_their_bytes_and_a_script_ends_at_its_done_line() {
    let text = b"--TEST--\nname\n--INI--\na=1\n b = c=d \n--FILE--\n<?php\n\xff\n===DONE===\nnot this\n--EXPECT--\nx";
    let phpt = Phpt::parse(text).unwrap();
    assert_eq!(
        phpt.get("FILE"),
        Some(b"<?php\n\xff\n===DONE===\n".as_slice())
    );
    assert_eq!(phpt.get("EXPECT"), Some(b"x".as_slice()));
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(phpt.pairs("INI"), [pair("a", "1"), pair("b", "c=d")]);
    assert!(Phpt::parse(b"<?php").is_err());
}
