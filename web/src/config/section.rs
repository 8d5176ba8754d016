//! Reads one table of the configuration, key by key.
//!
//! Asking for a key is what makes it known: [`Section::finish`] reports every other key of the table,
//! with the nearest known one as a suggestion. For each key the environment is asked first, then the
//! table, then the default is taken; and where the value came from is kept in [`Origins`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Origin, Origins, nearest};
use super::value::Kind;

/// The process environment, or a test's.
pub type Environment = BTreeMap<String, String>;

/// Variables of the build, which whoever builds and runs in one shell has set.
const OF_THE_BUILD: [&str; 3] = [
    "TROUPE_PHP_CONFIG",
    "TROUPE_PHP_EXTENSIONS",
    "TROUPE_PHP_SOURCE",
];

/// What all sections of one configuration share: the environment, and what was found out so far.
pub struct Reader {
    environment: Environment,
    findings: RefCell<Findings>,
}

#[derive(Default)]
struct Findings {
    origins: Origins,
    diagnostics: Vec<Diagnostic>,
    variables: BTreeSet<String>,
}

impl Reader {
    pub fn new(environment: Environment) -> Self {
        Self {
            environment,
            findings: RefCell::default(),
        }
    }

    pub fn report(&self, origin: Origin, message: String) {
        let mut findings = self.findings.borrow_mut();
        findings.diagnostics.push(Diagnostic { origin, message });
    }

    fn remember(&self, path: String, origin: Origin) {
        self.findings.borrow_mut().origins.set(path, origin);
    }

    /// Reports variables that look like overrides but name no setting. Others that merely begin with
    /// `TROUPE_` are left alone: orchestrators add such variables for a service called "troupe".
    fn report_unknown_variables(&self) {
        let known = self.findings.borrow().variables.clone();
        let prefixes: BTreeSet<_> = ["SERVER", "ADMIN", "HEALTH", "PHP", "SITE"]
            .map(|section| format!("TROUPE_{section}_"))
            .into();
        for name in self.environment.keys() {
            let claimed = prefixes.iter().any(|prefix| name.starts_with(prefix));
            if claimed && !known.contains(name) && !OF_THE_BUILD.contains(&name.as_str()) {
                let hint = match nearest(name, known.iter().map(String::as_str)) {
                    Some(known) => format!(" (did you mean {known}?)"),
                    None => String::new(),
                };
                self.report(
                    Origin::Variable(name.clone()),
                    format!("there is no such setting{hint}"),
                );
            }
        }
    }

    pub fn finish(self) -> (Origins, Vec<Diagnostic>) {
        self.report_unknown_variables();
        let findings = self.findings.into_inner();
        (findings.origins, findings.diagnostics)
    }
}

/// One table being read.
pub struct Section<'r> {
    reader: &'r Reader,
    table: Option<&'r DeTable<'r>>,
    /// Its key path, as in [`Origins`]; empty for the whole document.
    path: String,
    /// As the user writes it: `[server]`, `[[site]]`.
    title: String,
    /// What its variables begin with; a table without a name has none.
    variables: Option<String>,
    known: Vec<&'static str>,
}

impl<'r> Section<'r> {
    /// The whole document.
    pub fn root(reader: &'r Reader, document: &'r DeTable<'r>) -> Self {
        Self {
            reader,
            table: Some(document),
            path: String::new(),
            title: "the configuration".into(),
            variables: Some("TROUPE".into()),
            known: Vec::new(),
        }
    }

    fn path_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    fn entry(&mut self, key: &'static str) -> Option<&'r Spanned<DeValue<'r>>> {
        self.known.push(key);
        let (_, value) = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(value)
    }

    /// The value of `key`, if it was given and is right.
    pub fn optional<K: Kind>(&mut self, key: &'static str) -> Option<K> {
        let entry = self.entry(key);
        let path = self.path_of(key);
        if let Some(prefix) = &self.variables {
            let name = format!("{prefix}_{}", key.to_ascii_uppercase());
            let text = self.reader.environment.get(&name).cloned();
            let mut findings = self.reader.findings.borrow_mut();
            findings.variables.insert(name.clone());
            drop(findings);
            if let Some(text) = text {
                let origin = Origin::Variable(name);
                self.reader.remember(path, origin.clone());
                return K::from_text(&text)
                    .map_err(|message| self.reader.report(origin, message))
                    .ok();
            }
        }
        let entry = entry?;
        self.reader.remember(path, Origin::File(entry.span()));
        let mut mistakes = Vec::new();
        let value = K::read(entry, &mut mistakes);
        for (span, message) in mistakes {
            self.reader
                .report(Origin::File(span), format!("`{key}`: {message}"));
        }
        value
    }

    /// The value of `key`, or its default.
    pub fn get<K: Kind>(&mut self, key: &'static str, default: K) -> K {
        self.optional(key).unwrap_or(default)
    }

    /// The table `[key]`; an absent one is read like an empty one, so that defaults and the
    /// environment apply.
    pub fn table(&mut self, key: &'static str) -> Section<'r> {
        let table = self.entry(key).and_then(|value| match value.get_ref() {
            DeValue::Table(table) => {
                self.reader
                    .remember(self.path_of(key), Origin::File(value.span()));
                Some(table)
            }
            _ => {
                let message = format!("`{key}` must be a table: write [{key}]");
                self.reader.report(Origin::File(value.span()), message);
                None
            }
        });
        Section {
            reader: self.reader,
            table,
            path: self.path_of(key),
            title: format!("[{key}]"),
            variables: self.variable_prefix(key),
            known: Vec::new(),
        }
    }

    /// The tables `[[key]]`, in order.
    pub fn tables(&mut self, key: &'static str) -> Vec<Section<'r>> {
        let Some(value) = self.entry(key) else {
            return Vec::new();
        };
        let title = match self.path.as_str() {
            "" => format!("[[{key}]]"),
            _ => format!("{}.{key}]]", self.title.trim_end_matches(']')),
        };
        let DeValue::Array(items) = value.get_ref() else {
            let message = format!("`{key}` must be a list of tables: write {title}");
            self.reader.report(Origin::File(value.span()), message);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let DeValue::Table(table) = item.get_ref() else {
                let message = format!("`{key}` must be a list of tables: write {title}");
                self.reader.report(Origin::File(item.span()), message);
                continue;
            };
            let path = format!("{}.{index}", self.path_of(key));
            self.reader
                .remember(path.clone(), Origin::File(item.span()));
            let name = table.iter().find(|(name, _)| name.get_ref() == "name");
            let variables = name
                .and_then(|(_, name)| name.get_ref().as_str())
                .and_then(|name| {
                    let prefix = self.variable_prefix(key)?;
                    Some(format!("{prefix}_{}", variable_case(name)))
                });
            sections.push(Section {
                reader: self.reader,
                table: Some(table),
                path,
                title: title.clone(),
                variables,
                known: Vec::new(),
            });
        }
        sections
    }

    fn variable_prefix(&self, key: &str) -> Option<String> {
        let prefix = self.variables.as_ref()?;
        Some(format!("{prefix}_{}", key.to_ascii_uppercase()))
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self) {
        let Some(table) = self.table else { return };
        for (key, _) in table {
            let name = key.get_ref();
            if self.known.iter().any(|known| name == known) {
                continue;
            }
            let hint = match nearest(name, self.known.iter().copied()) {
                Some(known) => format!(" (did you mean `{known}`?)"),
                None => format!(" (known keys: {})", self.known.join(", ")),
            };
            let message = format!("unknown key `{name}` in {}{hint}", self.title);
            self.reader.report(Origin::File(key.span()), message);
        }
    }
}

/// `my-site.example` as part of a variable's name: `MY_SITE_EXAMPLE`.
fn variable_case(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() => c.to_ascii_uppercase(),
            _ => '_',
        })
        .collect()
}
