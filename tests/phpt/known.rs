//! The list of tests that are known to fail, or not to be worth running, each with its reason.
//!
//! A line is `fail NAME: reason`, `omit NAME: reason` or `clash NAME: reason`. `fail@PASS,PASS` fails in
//! those passes only; tests that clash with each other are not run at the same time. In `omit` and `clash`
//! NAME may end with `*`. A failure that is not listed fails the run, and so does a listed one that passes:
//! the list says how things are.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Known {
    fails: BTreeMap<String, (Vec<String>, String)>,
    omitted: Vec<(String, String)>,
    clashes: Vec<String>,
}

impl Known {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut known = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = || {
                format!(
                    "known.txt, line {}: not a `fail`, `omit` or `clash`",
                    index + 1
                )
            };
            let (verb, rest) = line.split_once(' ').ok_or_else(bad)?;
            let (name, reason) = rest.split_once(": ").ok_or_else(bad)?;
            let (name, reason) = (name.trim().to_owned(), reason.trim().to_owned());
            let (verb, passes) = verb.split_once('@').unwrap_or((verb, ""));
            let passes = passes.split(',').filter(|pass| !pass.is_empty());
            let passes = passes.map(str::to_owned).collect();
            match verb {
                "fail" if known.fails.contains_key(&name) => {
                    return Err(format!("known.txt: {name} is listed twice"));
                }
                "fail" => {
                    known.fails.insert(name, (passes, reason));
                }
                "omit" => known.omitted.push((name, reason)),
                "clash" => known.clashes.push(name),
                _ => return Err(bad()),
            }
        }
        Ok(known)
    }

    /// Why the test is not to be run.
    pub fn omits(&self, name: &str) -> Option<&str> {
        let mut omitted = self.omitted.iter();
        let found = omitted.find(|(listed, _)| matches(listed, name));
        found.map(|(_, reason)| reason.as_str())
    }

    /// The entries by which it clashes with other tests.
    pub fn clashes(&self, name: &str) -> impl Iterator<Item = &str> {
        let clashes = self.clashes.iter().map(String::as_str);
        clashes.filter(move |listed| matches(listed, name))
    }

    /// Whether the test is expected to fail in that pass.
    pub fn fails(&self, name: &str, pass: &str) -> bool {
        self.fails.get(name).is_some_and(|(passes, _)| {
            passes.is_empty() || passes.iter().any(|listed| listed == pass)
        })
    }

    /// Listed names, to find those that are no tests any more.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fails.keys().map(String::as_str)
    }
}

fn matches(listed: &str, name: &str) -> bool {
    match listed.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => listed == name,
    }
}

#[test]
fn the_list_is_by_name_and_pass() {
    let text = "# c\n\nfail a/b: it is so\nfail@plain2,opcache2 c: why: not\nomit d/*: no\nomit e: no\nclash x_*: y";
    let known = Known::parse(text).unwrap();
    assert!(known.fails("a/b", "plain1"));
    assert!(known.fails("c", "plain2") && !known.fails("c", "plain1"));
    assert_eq!(known.omits("d/x"), Some("no"));
    assert_eq!(known.omits("ee"), None);
    assert_eq!(known.clashes("x_1").collect::<Vec<_>>(), ["x_*"]);
    assert_eq!(known.clashes("x").count(), 0);
    assert!(Known::parse("fail a/b").is_err());
    assert!(Known::parse("maybe a: b").is_err());
    assert!(Known::parse("fail a: b\nfail a: c").is_err());
}
