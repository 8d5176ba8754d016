//! Which file, script or answer a request's path stands for: a pure mapping, apart from looking at
//! the site's folder.
//!
//! ```text
//! Host ──► Hosts ──► site ──► RequestPath ──► a worker's `match`? ──► try_files, one by one ──► Target
//! ```
//!
//! What is never sent as a file, whatever is configured: hidden files (a segment that begins with a
//! dot, but for `.well-known`), and PHP sources with the copies that editors and deployments leave of
//! them. Only a file whose own name ends with one of `path_split` runs, so neither `photo.jpg/.php`
//! nor `photo.jpg/x.php` can make an upload run.
//!
//! Files are opened for each request; scripts are looked for once in a while (see [`scripts`]).

mod document_root;
mod hosts;
mod path;
mod scripts;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::config::Site;

pub use self::document_root::{Entered, Entry, OpenFile, Refusal};
pub use self::hosts::{HostPattern, Hosts, without_port};
pub use self::path::{BadPath, RequestPath};
pub use self::scripts::ScriptFile;

use self::document_root::DocumentRoot;
use self::scripts::Scripts;

/// What a path stands for.
#[derive(Debug)]
pub enum Target<'s> {
    Static(StaticFile<'s>),
    Php(Script),
    /// A folder asked for without its slash: the canonical path with it, not yet percent-encoded.
    Redirect(Vec<u8>),
    NotFound,
    /// The file is there, and must not be read.
    Forbidden,
    BadRequest(BadPath),
    /// The system failed to look: a log line and a 500.
    Failed(rustix::io::Errno),
}

/// A file to send, open.
#[derive(Debug)]
pub struct StaticFile<'s> {
    /// Its path below the root, beginning with a slash.
    pub path: Vec<u8>,
    pub open: OpenFile,
    /// To look for pre-compressed files beside it.
    pub root: Entered<'s>,
}

/// A script to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub file: Arc<ScriptFile>,
    pub path_info: Vec<u8>,
}

/// One entry of `try_files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TryFile {
    /// `$uri`, or `$uri.html`: the path with something appended.
    Uri { append: String },
    /// `$uri/`: the index of the folder.
    Folder,
    /// `/index.php`: always this one.
    Path(String),
    /// `=404`
    NotFound,
}

impl TryFile {
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "=404" => return Ok(Self::NotFound),
            "$uri/" => return Ok(Self::Folder),
            _ => {}
        }
        if text.contains(['?', '\0']) {
            return Err(format!(
                "\"{text}\": the query is always kept and can't be written here"
            ));
        }
        if let Some(append) = text.strip_prefix("$uri") {
            let append = append.to_owned();
            return Ok(Self::Uri { append });
        }
        let is_canonical = |path: &str| {
            let strange = |part: &str| matches!(part, "" | "." | "..");
            !path.contains('$') && !path[1..].split('/').any(strange)
        };
        match text {
            path if path.starts_with('/') && is_canonical(path) => Ok(Self::Path(path.into())),
            _ => Err(format!(
                "expected \"$uri\", \"$uri/\", \"$uri.html\", a path such as \"/index.php\", or \"=404\", found \"{text}\""
            )),
        }
    }
}

/// The mapping of one site.
#[derive(Debug)]
pub struct Router {
    root: DocumentRoot,
    index: Vec<String>,
    try_files: Vec<TryFile>,
    path_split: Vec<String>,
    workers: Vec<WorkerRoute>,
    /// A path is first of all the name of a file.
    names_come_first: bool,
    scripts: Scripts,
}

#[derive(Debug)]
struct WorkerRoute {
    script: PathBuf,
    /// Below the root, as requests name it; absent for a script outside.
    script_name: Option<Vec<u8>>,
    matches: Vec<String>,
}

impl WorkerRoute {
    fn new(site: &Site, script: &Path, matches: &[String]) -> Self {
        let below = |root: &Path, script: &Path| {
            let relative = script.strip_prefix(root).ok()?;
            Some([b"/", relative.as_os_str().as_bytes()].concat())
        };
        let script_name = below(&site.root, script).or_else(|| {
            below(
                &site.root.canonicalize().ok()?,
                &script.canonicalize().ok()?,
            )
        });
        Self {
            script: script.to_owned(),
            script_name,
            matches: matches.to_owned(),
        }
    }
}

impl Router {
    pub fn new(site: &Site) -> io::Result<Self> {
        let try_files = site.try_files.iter();
        let try_files: Vec<_> = try_files
            .map(|entry| TryFile::parse(entry))
            .collect::<Result<_, _>>()
            .map_err(io::Error::other)?;
        let workers = site.workers.iter();
        let workers: Vec<_> = workers
            .map(|worker| WorkerRoute::new(site, &worker.script, &worker.matches))
            .collect();
        let is_name =
            |entry: &TryFile| matches!(entry, TryFile::Uri { append } if append.is_empty());
        Ok(Self {
            root: DocumentRoot::new(&site.root, &site.symlinks)?,
            index: site.index.clone(),
            names_come_first: try_files.first().is_some_and(is_name)
                && workers.iter().all(|worker| worker.matches.is_empty()),
            try_files,
            path_split: site.path_split.clone(),
            workers,
            scripts: Scripts::default(),
        })
    }

    /// Maps the path of a request's target (still percent-encoded, without query); it came `now`.
    pub fn resolve(&self, raw_path: &str, now: Instant) -> Target<'_> {
        let root = self.root.enter(now);
        if let Ok(root) = &root
            && let Some(script) = self.named_script(raw_path, root)
        {
            return Target::Php(script);
        }
        let path = match RequestPath::decode(raw_path) {
            Ok(path) => path,
            Err(bad) => return Target::BadRequest(bad),
        };
        match root.and_then(|root| self.lookup(&path, root)) {
            Ok(Some(target)) => target,
            Ok(None) | Err(Refusal::Missing) => Target::NotFound,
            Err(Refusal::Forbidden) => Target::Forbidden,
            Err(Refusal::Failed(errno)) => Target::Failed(errno),
        }
    }

    /// The script whose very name was asked for, when it is known and nothing comes before a file's name: the
    /// same as what [`lookup`](Self::lookup) finds, without reading the path. Known names are canonical.
    fn named_script(&self, raw_path: &str, root: &Entered<'_>) -> Option<Script> {
        if !self.names_come_first || raw_path.contains('%') {
            return None;
        }
        let file = self.scripts.find(raw_path.as_bytes(), root)?;
        let path_info = Vec::new();
        Some(Script { file, path_info })
    }

    fn lookup<'s>(
        &'s self,
        path: &RequestPath,
        root: Entered<'s>,
    ) -> Result<Option<Target<'s>>, Refusal> {
        if let Some(script) = self.matched_worker(path, &root) {
            return Ok(Some(Target::Php(script)));
        }
        for entry in &self.try_files {
            let found = match entry {
                TryFile::Uri { append } if append.is_empty() => self.try_uri(path, &root)?,
                TryFile::Uri { append } => match path.as_file() {
                    Some(file) => {
                        let file = file.strip_suffix(b"/").unwrap_or(file);
                        self.try_file(&[file, append.as_bytes()].concat(), &root)?
                    }
                    None => None,
                },
                TryFile::Folder => self.try_folder(path, &root)?,
                TryFile::Path(file) => self.try_file(file.as_bytes(), &root)?,
                TryFile::NotFound => return Ok(None),
            };
            match found {
                Some(Found::Php(script)) => return Ok(Some(Target::Php(script))),
                Some(Found::Redirect(path)) => return Ok(Some(Target::Redirect(path))),
                Some(Found::Static { path, open }) => {
                    return Ok(Some(Target::Static(StaticFile { path, open, root })));
                }
                None => {}
            }
        }
        Ok(None)
    }

    fn matched_worker(&self, path: &RequestPath, root: &Entered<'_>) -> Option<Script> {
        let matches = |worker: &WorkerRoute| {
            let mut patterns = worker.matches.iter();
            patterns.any(|pattern| wildcard(pattern.as_bytes(), path.as_bytes()))
        };
        let index = self.workers.iter().position(matches)?;
        let worker = &self.workers[index];
        let script_name = worker.script_name.clone().unwrap_or_else(|| {
            let name = worker.script.file_name().unwrap_or_default();
            [b"/", name.as_bytes()].concat()
        });
        Some(Script {
            file: Arc::new(ScriptFile {
                document_root: root.path().to_owned(),
                script_filename: worker.script.clone(),
                script_name,
                worker: Some(index),
            }),
            path_info: Vec::new(),
        })
    }

    /// `$uri`: the file itself, or a script with path info behind it.
    fn try_uri(&self, path: &RequestPath, root: &Entered<'_>) -> Result<Option<Found>, Refusal> {
        if let Some(file) = path.as_file()
            && let Some(found) = self.try_file(file, root)?
        {
            return Ok(Some(found));
        }
        for suffix in &self.path_split {
            for (script_name, path_info) in path.script_splits(suffix) {
                if path_info.is_empty() {
                    continue;
                }
                if let Some(file) = self.script(script_name, root)? {
                    let path_info = path_info.to_vec();
                    return Ok(Some(Found::Php(Script { file, path_info })));
                }
            }
        }
        Ok(None)
    }

    /// `$uri/`: the folder's index, behind a redirect when the slash is missing.
    fn try_folder(&self, path: &RequestPath, root: &Entered<'_>) -> Result<Option<Found>, Refusal> {
        let Some(folder) = path.as_file() else {
            return Ok(None);
        };
        let mut with_slash = folder.to_vec();
        if !path.is_folder() {
            if !is_visible(folder) || !matches!(open(root, folder)?, Some(Entry::Folder)) {
                return Ok(None);
            }
            with_slash.push(b'/');
        }
        for name in &self.index {
            let found = self.try_file(&[&with_slash, name.as_bytes()].concat(), root)?;
            match found {
                Some(_) if !path.is_folder() => return Ok(Some(Found::Redirect(with_slash))),
                Some(found) => return Ok(Some(found)),
                None => {}
            }
        }
        Ok(None)
    }

    /// The file of exactly this name: run, or sent.
    fn try_file(&self, file: &[u8], root: &Entered<'_>) -> Result<Option<Found>, Refusal> {
        if self.runs(file) {
            let found = self.script(file, root)?.map(|file| {
                let path_info = Vec::new();
                Found::Php(Script { file, path_info })
            });
            return Ok(found);
        }
        let found = self.open(file, root)?.map(|open| {
            let path = file.to_vec();
            Found::Static { path, open }
        });
        Ok(found)
    }

    fn runs(&self, file: &[u8]) -> bool {
        let mut suffixes = self.path_split.iter();
        suffixes.any(|suffix| file.ends_with(suffix.as_bytes()))
    }

    /// Opens a file that may be used as its name says; behind a symlink its own name must say so too.
    fn open(&self, file: &[u8], root: &Entered<'_>) -> Result<Option<OpenFile>, Refusal> {
        let runs = self.runs(file);
        let may_be_used = |name: &[u8]| is_visible(name) && (runs || !is_source(name));
        if file.ends_with(b"/") || !may_be_used(file) {
            return Ok(None);
        }
        let Some(Entry::File(open)) = open(root, file)? else {
            return Ok(None);
        };
        match &open.place {
            Some(place) if !may_be_used(place) || self.runs(place) != runs => {
                Err(Refusal::Forbidden)
            }
            _ => Ok(Some(open)),
        }
    }

    /// The script of exactly this name.
    fn script(&self, name: &[u8], root: &Entered<'_>) -> Result<Option<Arc<ScriptFile>>, Refusal> {
        if let Some(script) = self.scripts.find(name, root) {
            return Ok(Some(script));
        }
        if self.open(name, root)?.is_none() {
            return Ok(None);
        }
        let relative = name.strip_prefix(b"/").unwrap_or(name);
        let is_its_worker = |worker: &WorkerRoute| {
            worker.matches.is_empty() && worker.script_name.as_deref() == Some(name)
        };
        let script = ScriptFile {
            document_root: root.path().to_owned(),
            script_filename: root.path().join(OsStr::from_bytes(relative)),
            script_name: name.to_vec(),
            worker: self.workers.iter().position(is_its_worker),
        };
        Ok(Some(self.scripts.remember(script, root)))
    }
}

/// [`Target`] before the open root is given away.
enum Found {
    Static { path: Vec<u8>, open: OpenFile },
    Php(Script),
    Redirect(Vec<u8>),
}

fn open(root: &Entered<'_>, path: &[u8]) -> Result<Option<Entry>, Refusal> {
    match root.open(path) {
        Ok(entry) => Ok(Some(entry)),
        Err(Refusal::Missing) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Whether no segment is hidden; `/.well-known/` is public by its RFC (8615).
fn is_visible(path: &[u8]) -> bool {
    let path = path.strip_prefix(b"/.well-known/").unwrap_or(path);
    !path
        .split(|&byte| byte == b'/')
        .any(|segment| segment.starts_with(b"."))
}

/// Whether a file is PHP source, or a copy of one, by its name.
fn is_source(path: &[u8]) -> bool {
    const SOURCES: [&str; 15] = [
        "php", "php3", "php4", "php5", "php6", "php7", "php8", "phtml", "pht", "phps", "phpt",
        "phar", "inc", "module", "engine",
    ];
    const COPIES: [&str; 10] = [
        "bak", "backup", "old", "orig", "save", "swp", "swo", "tmp", "dist", "rej",
    ];
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    let name = name.to_ascii_lowercase();
    let mut name = name.as_slice();
    loop {
        while let Some(shorter) = name.strip_suffix(b"~") {
            name = shorter;
        }
        let Some(dot) = name.iter().rposition(|&byte| byte == b'.') else {
            return false;
        };
        let extension = &name[dot + 1..];
        let is_one_of = |list: &[&str]| list.iter().any(|item| item.as_bytes() == extension);
        if is_one_of(&SOURCES) {
            return true;
        }
        if !is_one_of(&COPIES) {
            return false;
        }
        name = &name[..dot];
    }
}

/// Whether `pattern`, in which `*` stands for anything, matches all of `text`.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let mut parts = pattern.split(|&byte| byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let found = (0..=rest.len()).find(|&at| rest[at..].starts_with(part));
        let Some(at) = found else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
