//! What a server has written to its log, and to its standard output.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

use crate::eventually;

/// One line of the log: JSON, or text as it is when PHP or a library wrote it.
pub type Record = Value;

/// See the module. Clones are handles to the same log.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Record>>>);

impl Log {
    /// Collects the lines of `output` on a thread of its own, until it ends.
    pub(crate) fn follow(&self, output: impl Read + Send + 'static) {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line).into_owned();
                let record = serde_json::from_str(&line).unwrap_or(Value::String(line));
                log.lines().push(record);
            }
        });
    }

    /// The first record for which `is_it`, once it is there; `what` says what is waited for.
    #[track_caller]
    pub fn wait(&self, what: &str, is_it: impl Fn(&Record) -> bool) -> Record {
        eventually(what, || self.find(&is_it))
    }

    /// The first record that holds `text`, in whichever field, once it is there.
    #[track_caller]
    pub fn wait_text(&self, text: &str) -> Record {
        self.wait(text, |record| holds(record, text))
    }

    pub fn find(&self, is_it: impl Fn(&Record) -> bool) -> Option<Record> {
        self.lines().iter().find(|record| is_it(record)).cloned()
    }

    /// The records for which `is_it`, so far.
    pub fn all(&self, is_it: impl Fn(&Record) -> bool) -> Vec<Record> {
        let lines = self.lines();
        lines
            .iter()
            .filter(|record| is_it(record))
            .cloned()
            .collect()
    }

    /// The records that hold `text`, so far.
    pub fn all_with(&self, text: &str) -> Vec<Record> {
        self.all(|record| holds(record, text))
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Record>> {
        self.0.lock().unwrap()
    }
}

impl std::fmt::Display for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for record in self.lines().iter() {
            match record {
                Value::String(line) => writeln!(f, "{line}")?,
                record => writeln!(f, "{record}")?,
            }
        }
        Ok(())
    }
}

fn holds(record: &Record, text: &str) -> bool {
    match record {
        Value::String(value) => value.contains(text),
        Value::Object(fields) => fields.values().any(|value| holds(value, text)),
        Value::Array(items) => items.iter().any(|value| holds(value, text)),
        other => {
            let written = other.to_string();
            written == text
        }
    }
}
