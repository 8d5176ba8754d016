//! Where log lines go: a stream or a file, written by a thread of its own.
//!
//! An I/O thread must never wait for a slow disk or a blocked pipe, and a write (let alone a wake-up)
//! for each request would cost more than some requests. So lines gather in memory for a moment and
//! are written together. Warnings and errors are written at once by the thread that has them: they
//! are rare, and they are what is looked for after a crash.
//!
//! When the other side does not take the lines, memory stays bounded: new lines are dropped, and
//! counted, and the count is written when it goes on.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long lines gather before they are written.
const GATHER: Duration = Duration::from_millis(50);
/// Bytes that may wait to be written.
const MOST_WAITING: usize = 8 << 20;
/// Bytes that a buffer keeps when it is empty.
const MOST_KEPT: usize = 2 << 20;

/// A place for lines; clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Sink(Arc<Handle>);

/// What the handles share, and the writing thread not: it ends with the last of them.
#[derive(Debug)]
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        lock(&self.0.waiting).is_closed = true;
        self.0.arrived.notify_one();
    }
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Lines came into an empty buffer, or none come any more.
    arrived: Condvar,
    /// Locked while writing, and never while `waiting` is.
    output: Mutex<Output>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    dropped: u64,
    /// Every handle is gone: no more lines come.
    is_closed: bool,
}

#[derive(Debug)]
struct Output {
    file: Box<dyn WriteDebug>,
    /// The file's name, to open it again after a rotation.
    path: Option<PathBuf>,
    /// Empty, with room: lines are gathered in one buffer while another is written.
    spare: Vec<u8>,
}

trait WriteDebug: Write + Send + std::fmt::Debug {}
impl<T: Write + Send + std::fmt::Debug> WriteDebug for T {}

impl Sink {
    /// Lines go to standard error.
    pub fn stderr() -> io::Result<Self> {
        Self::start(Box::new(io::stderr()), None)
    }

    /// Lines are appended to the file at `path`.
    pub fn file(path: &Path) -> io::Result<Self> {
        Self::start(Box::new(append_to(path)?), Some(path.to_owned()))
    }

    fn start(file: Box<dyn WriteDebug>, path: Option<PathBuf>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            output: Mutex::new(Output {
                file,
                path,
                spare: Vec::new(),
            }),
        });
        let handle = Handle(shared.clone());
        std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || {
                while shared.wait_for_lines() {
                    std::thread::sleep(GATHER);
                    shared.flush();
                }
            })?;
        Ok(Self(Arc::new(handle)))
    }

    /// Opens the file by its name again, after somebody renamed it.
    pub fn reopen(&self) -> io::Result<()> {
        self.flush();
        let mut output = lock(&self.0.0.output);
        if let Some(path) = &output.path {
            output.file = Box::new(append_to(path)?);
        }
        Ok(())
    }

    /// Takes one line, which is not urgent.
    pub fn append(&self, line: &[u8]) {
        self.0.0.append(line);
    }

    /// Writes what waits.
    pub fn flush(&self) {
        self.0.0.flush();
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.map_err(|error| {
        let path = path.display();
        io::Error::new(error.kind(), format!("cannot open the log {path}: {error}"))
    })
}

impl Shared {
    /// False when there are none and none will come.
    fn wait_for_lines(&self) -> bool {
        let none_yet = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.is_closed;
        let waiting = self
            .arrived
            .wait_while(lock(&self.waiting), none_yet)
            .unwrap_or_else(PoisonError::into_inner);
        !waiting.lines.is_empty()
    }

    fn append(&self, line: &[u8]) {
        let mut waiting = lock(&self.waiting);
        if waiting.lines.len() + line.len() > MOST_WAITING {
            waiting.dropped += 1;
            return;
        }
        let was_empty = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if was_empty {
            self.arrived.notify_one();
        }
    }

    fn flush(&self) {
        let mut output = lock(&self.output);
        let spare = std::mem::take(&mut output.spare);
        let (mut lines, dropped) = {
            let mut waiting = lock(&self.waiting);
            let lines = std::mem::replace(&mut waiting.lines, spare);
            (lines, std::mem::take(&mut waiting.dropped))
        };
        if dropped > 0 {
            let note = format!("{dropped} log lines were dropped: the log could not be written\n");
            lines.extend_from_slice(note.as_bytes());
        }
        if !lines.is_empty() {
            // There is nobody to tell about a log that can't be written.
            let _ = output.file.write_all(&lines);
            let _ = output.file.flush();
            lines.clear();
            lines.shrink_to(MOST_KEPT);
        }
        output.spare = lines;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            sink: &self.0.0,
            urgent: false,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line {
            sink: &self.0.0,
            urgent: *metadata.level() <= Level::WARN,
        }
    }
}

/// Takes one line.
#[derive(Debug)]
pub struct Line<'a> {
    sink: &'a Shared,
    urgent: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.sink.append(line);
        if self.urgent {
            self.sink.flush();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn sink() -> (tempfile::TempDir, PathBuf, Sink) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let sink = Sink::file(&path).unwrap();
        (folder, path, sink)
    }

    #[test]
    fn lines_are_written_soon_and_urgent_ones_at_once() {
        let (_folder, path, sink) = sink();
        sink.make_writer().write_all(b"soon\n").unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while fs::read_to_string(&path).unwrap() != "soon\n" {
            assert!(std::time::Instant::now() < deadline, "never written");
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut urgent = Line {
            sink: &sink.0.0,
            urgent: true,
        };
        urgent.write_all(b"now\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "soon\nnow\n");
    }

    #[test]
    fn the_writing_thread_ends_with_the_last_handle_and_writes_what_is_left() {
        let (_folder, path, sink) = sink();
        let shared = Arc::downgrade(&sink.0.0);
        sink.clone().append(b"first\n");
        sink.append(b"last\n");
        drop(sink);
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while shared.strong_count() > 0 {
            assert!(std::time::Instant::now() < deadline, "it never ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\nlast\n");
    }

    #[test]
    fn after_a_rotation_the_new_file_gets_the_lines_and_none_is_lost() {
        let (folder, path, sink) = sink();
        sink.make_writer().write_all(b"old\n").unwrap();
        let rotated = folder.path().join("log.1");
        fs::rename(&path, &rotated).unwrap();
        sink.reopen().unwrap();
        sink.make_writer().write_all(b"new\n").unwrap();
        sink.flush();
        assert_eq!(fs::read_to_string(&rotated).unwrap(), "old\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
    }

    #[test]
    fn lines_beyond_the_bound_are_dropped_and_counted() {
        let (_folder, path, sink) = sink();
        let output = lock(&sink.0.0.output);
        let line = vec![b'x'; MOST_WAITING / 2];
        for _ in 0..4 {
            sink.make_writer().write_all(&line).unwrap();
        }
        drop(output);
        sink.flush();
        let written = fs::read_to_string(&path).unwrap();
        assert!(written.ends_with("2 log lines were dropped: the log could not be written\n"));
    }
}
