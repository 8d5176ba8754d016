//! Opens files below a site's root, and nothing else, whatever the path or the symlinks in it say.
//!
//! The kernel itself keeps the way inside (`openat2`, beneath and without symlinks), and a file is
//! checked after it was opened and served from the same descriptor, so nothing can be swapped in
//! between. A way with symlinks is judged by where it ends, on the opened file's own path
//! (`/proc/self/fd`): inside the root, or in one of the site's `symlinks` folders. The caller gets that
//! place as well, since what a file may be used for depends on its own name and not on a link's.
//! Kernels without `openat2` get this second check for every file.
//!
//! The root is opened anew every [`TRUST`]: when it is a symlink that a deployment moves to a new
//! release, each request sees the one or the other, never a mixture.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// How long an open root, and a script that was found in it, are taken to be what they were.
const TRUST: Duration = Duration::from_secs(1);

/// A folder to serve from.
#[derive(Debug)]
pub struct DocumentRoot {
    path: PathBuf,
    /// Canonical folders outside the root that symlinks may lead to.
    symlinks: Vec<PathBuf>,
    /// Whether the path may mean another folder tomorrow.
    is_symlinked: bool,
    trust: Duration,
    last: Mutex<Option<Arc<Open>>>,
}

/// What a path below the root is.
#[derive(Debug)]
pub enum Entry {
    File(OpenFile),
    Folder,
}

/// A regular file, open for reading.
#[derive(Debug)]
pub struct OpenFile {
    pub file: File,
    pub stat: Stat,
    /// Where the file really is, below the root or the `symlinks` folder it is in and beginning with
    /// a slash, when a symlink led there.
    pub place: Option<Vec<u8>>,
}

/// Why there is no entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing of that name, or nothing that may be served.
    Missing,
    /// It is there and must not be read, by permission or because a symlink leads outside.
    Forbidden,
    /// The system can't open it now (too many open files, an I/O error).
    Failed(Errno),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::INVAL => Self::Missing,
            // A socket, or a device without a driver.
            Errno::NXIO | Errno::NODEV => Self::Missing,
            Errno::ACCESS | Errno::PERM | Errno::LOOP => Self::Forbidden,
            errno => Self::Failed(errno),
        }
    }
}

/// Never waits for a FIFO's other end, never becomes a terminal's owner.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

impl DocumentRoot {
    /// `path` is absolute.
    pub fn new(path: &Path, symlinks: &[PathBuf]) -> io::Result<Self> {
        let canonical = path.canonicalize()?;
        Ok(Self {
            is_symlinked: canonical != path,
            path: path.to_owned(),
            trust: TRUST,
            last: Mutex::default(),
            symlinks: symlinks
                .iter()
                .map(|folder| folder.canonicalize())
                .collect::<Result<_, _>>()?,
        })
    }

    /// The root for one request, which came `now`: opened now, or a moment ago.
    pub fn enter(&self, now: Instant) -> Result<Entered<'_>, Refusal> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match &*last {
            Some(open) if now.duration_since(open.since) < self.trust => open.clone(),
            _ => last.insert(Arc::new(self.open()?)).clone(),
        };
        Ok(Entered { root: self, open })
    }

    fn open(&self) -> Result<Open, Refusal> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&self.path, flags, Mode::empty())?;
        let path = match self.is_symlinked {
            true => real_path(&folder)?,
            false => self.path.clone(),
        };
        Ok(Open {
            folder,
            path,
            since: Instant::now(),
        })
    }
}

#[derive(Debug)]
struct Open {
    folder: OwnedFd,
    path: PathBuf,
    since: Instant,
}

/// A root, open.
#[derive(Debug, Clone)]
pub struct Entered<'a> {
    root: &'a DocumentRoot,
    open: Arc<Open>,
}

/// Names one opening of a root.
#[derive(Debug, Clone)]
pub struct Opening(Arc<Open>);

impl Entered<'_> {
    /// The root's path, with its symlinks resolved as they were when it was opened: OPcache and PHP's
    /// own path cache then see a new release as new files.
    pub fn path(&self) -> &Path {
        &self.open.path
    }

    /// To know this opening of the root again.
    pub fn opening(&self) -> Opening {
        Opening(self.open.clone())
    }

    pub fn is_of(&self, opening: &Opening) -> bool {
        Arc::ptr_eq(&self.open, &opening.0)
    }

    /// Opens `path`, canonical and beginning with a slash (see [`super::path::RequestPath`]).
    pub fn open(&self, path: &[u8]) -> Result<Entry, Refusal> {
        let relative = path.strip_prefix(b"/").unwrap_or(path);
        let relative = match relative {
            b"" => b".",
            relative => relative,
        };
        let relative = OsStr::from_bytes(relative);
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = rustix::fs::openat2(&self.open.folder, relative, READ, Mode::empty(), resolve);
        match opened {
            Ok(file) => entry(file, None),
            // A symlink, a rename on the way, or no openat2 here.
            Err(Errno::LOOP | Errno::XDEV | Errno::AGAIN | Errno::NOSYS | Errno::PERM) => {
                self.open_and_check(relative)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn open_and_check(&self, relative: &OsStr) -> Result<Entry, Refusal> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found = rustix::fs::openat(&self.open.folder, relative, flags, Mode::empty())?;
        let real = real_path(&found)?;
        let root = real_path(&self.open.folder)?;
        let below = std::iter::once(&root)
            .chain(&self.root.symlinks)
            .find_map(|folder| real.strip_prefix(folder).ok())
            .ok_or(Refusal::Forbidden)?;
        let place = [b"/", below.as_os_str().as_bytes()].concat();
        // The same file again, now to read it, whatever its name means by now.
        let file = rustix::fs::open(own_name(&found), READ, Mode::empty())?;
        entry(file, Some(place))
    }
}

fn entry(file: OwnedFd, place: Option<Vec<u8>>) -> Result<Entry, Refusal> {
    let stat = rustix::fs::fstat(&file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(Entry::File(OpenFile {
            file: file.into(),
            stat,
            place,
        })),
        FileType::Directory => Ok(Entry::Folder),
        _ => Err(Refusal::Missing),
    }
}

fn own_name(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

fn real_path(file: &OwnedFd) -> Result<PathBuf, Refusal> {
    let path = rustix::fs::readlink(own_name(file), Vec::new())?;
    Ok(OsString::from_vec(CStr::to_bytes(&path).to_vec()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn is_file(entered: &Entered<'_>, path: &str) -> bool {
        matches!(entered.open(path.as_bytes()), Ok(Entry::File(_)))
    }

    fn refusal(entered: &Entered<'_>, path: &str) -> Refusal {
        entered.open(path.as_bytes()).unwrap_err()
    }

    #[test]
    fn files_folders_and_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.txt"), "a").unwrap();
        fs::create_dir(folder.path().join("d")).unwrap();
        let root = DocumentRoot::new(folder.path(), &[]).unwrap();
        let entered = root.enter(Instant::now()).unwrap();
        assert!(is_file(&entered, "/a.txt"));
        assert!(matches!(entered.open(b"/d"), Ok(Entry::Folder)));
        assert!(matches!(entered.open(b"/"), Ok(Entry::Folder)));
        for missing in ["/b.txt", "/a.txt/", "/a.txt/b", "/d/x/y"] {
            assert_eq!(refusal(&entered, missing), Refusal::Missing, "{missing}");
        }
        let long = format!("/{}", "x".repeat(5000));
        assert_eq!(refusal(&entered, &long), Refusal::Missing);
    }

    #[test]
    fn symlinks_inside_are_followed_and_those_leaving_are_refused() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("a.txt"), "a").unwrap();
        symlink("a.txt", path.join("relative")).unwrap();
        symlink(path.join("a.txt"), path.join("absolute")).unwrap();
        symlink(outside.path().join("secret"), path.join("out")).unwrap();
        symlink(outside.path(), path.join("outdir")).unwrap();
        symlink("../../../../../../etc/passwd", path.join("up")).unwrap();
        symlink("loop", path.join("loop")).unwrap();

        let root = DocumentRoot::new(path, &[]).unwrap();
        let entered = root.enter(Instant::now()).unwrap();
        for link in ["/relative", "/absolute"] {
            match entered.open(link.as_bytes()).unwrap() {
                Entry::File(open) => assert_eq!(open.place.as_deref(), Some(&b"/a.txt"[..])),
                Entry::Folder => panic!("{link} is a folder"),
            }
        }
        for leaving in ["/out", "/outdir/secret", "/up", "/loop"] {
            assert_eq!(refusal(&entered, leaving), Refusal::Forbidden, "{leaving}");
        }

        let root = DocumentRoot::new(path, &[outside.path().to_owned()]).unwrap();
        let entered = root.enter(Instant::now()).unwrap();
        assert!(is_file(&entered, "/out"));
        assert!(is_file(&entered, "/outdir/secret"));
        assert_eq!(refusal(&entered, "/up"), Refusal::Forbidden);
    }

    #[test]
    fn dots_can_not_climb_even_if_the_caller_lets_them_through() {
        let folder = tempfile::tempdir().unwrap();
        let root = DocumentRoot::new(folder.path(), &[]).unwrap();
        let entered = root.enter(Instant::now()).unwrap();
        assert_eq!(
            refusal(&entered, "/../../../../../../etc/passwd"),
            Refusal::Forbidden
        );
    }

    #[test]
    fn a_fifo_is_nothing_and_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
        let root = DocumentRoot::new(folder.path(), &[]).unwrap();
        assert_eq!(
            refusal(&root.enter(Instant::now()).unwrap(), "/fifo"),
            Refusal::Missing
        );
    }

    #[test]
    fn an_unreadable_file_is_forbidden() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
        let root = DocumentRoot::new(folder.path(), &[]).unwrap();
        // The superuser reads everything.
        if !rustix::process::geteuid().is_root() {
            assert_eq!(
                refusal(&root.enter(Instant::now()).unwrap(), "/a"),
                Refusal::Forbidden
            );
        }
    }

    #[test]
    fn a_root_is_opened_once_for_the_requests_of_a_moment() {
        let folder = tempfile::tempdir().unwrap();
        let mut root = DocumentRoot::new(folder.path(), &[]).unwrap();
        root.trust = Duration::MAX;
        let opening = root.enter(Instant::now()).unwrap().opening();
        assert!(root.enter(Instant::now()).unwrap().is_of(&opening));
        root.trust = Duration::ZERO;
        assert!(!root.enter(Instant::now()).unwrap().is_of(&opening));
    }

    #[test]
    fn a_moved_root_symlink_is_seen_by_the_next_request_only() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for release in ["one", "two"] {
            fs::create_dir(base.join(release)).unwrap();
            fs::write(base.join(release).join(release), "").unwrap();
        }
        symlink("one", base.join("current")).unwrap();
        let mut root = DocumentRoot::new(&base.join("current"), &[]).unwrap();
        root.trust = Duration::ZERO;
        let before = root.enter(Instant::now()).unwrap();
        symlink("two", base.join("next")).unwrap();
        fs::rename(base.join("next"), base.join("current")).unwrap();
        let after = root.enter(Instant::now()).unwrap();
        assert!(is_file(&before, "/one"));
        assert!(is_file(&after, "/two"));
        assert_eq!(before.path(), base.join("one"));
        assert_eq!(after.path(), base.join("two"));
    }
}
