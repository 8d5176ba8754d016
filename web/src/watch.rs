//! Restarts workers when files change: the `watch` globs of the configuration.
//!
//! Changes come in bursts (an editor's save, a checkout, a build), so a restart waits until it has been
//! quiet for a moment, though not for ever. What is kept of a burst is one mark for each worker, whatever its
//! size. The restart is the rolling one: no request is lost, and a worker whose new code does not boot leaves
//! its siblings running.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::timeout;
use troupe_actors::Handle;
use troupe_actors::tree::{Kind, Node, NodeId};

use crate::config::Config;

/// So long it must have been quiet.
const QUIET: Duration = Duration::from_millis(150);
/// So long a restart is put off when it does not become quiet.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why files can't be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error("cannot watch files: {0}")]
    System(#[from] notify::Error),
    #[error("`watch`: {0}")]
    Pattern(#[from] globset::Error),
}

/// Which workers a change is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Workers {
    Pool(NodeId),
    /// All background workers of a site but the named ones: those that the catch-all started.
    Undeclared {
        site: NodeId,
        declared: Vec<String>,
    },
}

/// Watches until it is dropped.
pub struct Watch {
    _watcher: RecommendedWatcher,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    watched: Vec<Watched>,
    changed: Notify,
}

#[derive(Debug)]
struct Watched {
    workers: Workers,
    globs: GlobSet,
    has_changed: AtomicBool,
}

impl Watch {
    /// Begins to watch; `None` when the configuration wants nothing watched.
    pub fn begin(config: &Config) -> Result<Option<Self>, WatchError> {
        let mut folders = BTreeSet::new();
        let mut watched = Vec::new();
        for (workers, patterns) in wanted(config) {
            folders.extend(patterns.iter().map(|pattern| fixed_part(pattern)));
            watched.push(Watched {
                workers,
                globs: globs(patterns)?,
                has_changed: AtomicBool::new(false),
            });
        }
        if watched.is_empty() {
            return Ok(None);
        }
        let seen = Arc::new(Seen {
            watched,
            changed: Notify::new(),
        });
        let told = seen.clone();
        let mut watcher = notify::recommended_watcher(move |event| told.hear(event))?;
        for folder in topmost(folders) {
            watcher.watch(&folder, RecursiveMode::Recursive)?;
        }
        Ok(Some(Self {
            _watcher: watcher,
            seen,
        }))
    }

    /// Restarts what has changed, for as long as it is polled.
    pub async fn run(&self, tree: &Handle) {
        loop {
            self.seen.changed.notified().await;
            let first = Instant::now();
            while first.elapsed() < PATIENCE
                && timeout(QUIET, self.seen.changed.notified()).await.is_ok()
            {}
            for watched in &self.seen.watched {
                if watched.has_changed.swap(false, Ordering::SeqCst) {
                    watched.workers.restart(tree).await;
                }
            }
        }
    }
}

impl Seen {
    fn hear(&self, event: notify::Result<Event>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!("a change of files may have been missed: {error}");
                return;
            }
        };
        if matches!(event.kind, EventKind::Access(_)) {
            return;
        }
        let mut is_new = false;
        for watched in &self.watched {
            // The system lost events: anything may have changed.
            let concerns =
                event.need_rescan() || event.paths.iter().any(|path| watched.globs.is_match(path));
            if concerns {
                watched.has_changed.store(true, Ordering::SeqCst);
                is_new = true;
            }
        }
        if is_new {
            self.changed.notify_one();
        }
    }
}

impl Workers {
    async fn restart(&self, tree: &Handle) {
        let nodes = match self {
            Self::Pool(node) => vec![node.clone()],
            Self::Undeclared { site, declared } => tree
                .tree()
                .node(site)
                .map(|site| undeclared(&site, declared))
                .unwrap_or_default(),
        };
        for node in nodes {
            match tree.restart(node.clone()).await {
                Ok(()) => tracing::info!(%node, "files have changed: restarted"),
                Err(error) => tracing::warn!(%node, "files have changed: {error}"),
            }
        }
    }
}

fn undeclared(site: &Node, declared: &[String]) -> Vec<NodeId> {
    let pools = site.children.iter();
    pools
        .filter(|pool| pool.kind == Kind::BackgroundPool && !declared.contains(&pool.name))
        .map(|pool| pool.id.clone())
        .collect()
}

/// Whether the configuration wants anything watched.
pub fn wants_any(config: &Config) -> bool {
    !wanted(config).is_empty()
}

/// Who wants what watched.
fn wanted(config: &Config) -> Vec<(Workers, &[String])> {
    let mut wanted: Vec<(Workers, &[String])> = Vec::new();
    for site in &config.sites {
        let node = NodeId::site(&site.name);
        for worker in &site.workers {
            let pool = Workers::Pool(node.http_pool(&worker.name));
            wanted.push((pool, &worker.watch));
        }
        let names = site
            .background
            .iter()
            .filter_map(|worker| worker.name.clone());
        let declared: Vec<String> = names.collect();
        for worker in &site.background {
            let workers = match &worker.name {
                Some(name) => Workers::Pool(node.background_pool(name)),
                None => Workers::Undeclared {
                    site: node.clone(),
                    declared: declared.clone(),
                },
            };
            wanted.push((workers, &worker.watch));
        }
    }
    wanted.retain(|(_, patterns)| !patterns.is_empty());
    wanted
}

fn globs(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut globs = GlobSetBuilder::new();
    for pattern in patterns {
        globs.add(glob(pattern)?);
    }
    globs.build()
}

/// A pattern as it is meant: `*` stays within a folder, `**` does not.
pub fn glob(pattern: &str) -> Result<globset::Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).build()
}

/// The folder that all files of a pattern are in: the part before the first wildcard.
fn fixed_part(pattern: &str) -> PathBuf {
    let end = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
    let end = pattern[..end].rfind('/').unwrap_or(0);
    let mut folder = Path::new(&pattern[..end.max(1)]);
    // A folder that does not exist yet is awaited in the one it will be in.
    while !folder.is_dir() {
        folder = folder.parent().unwrap_or(Path::new("/"));
    }
    folder.to_owned()
}

/// Those folders that are in no other one: each is watched with all below it.
fn topmost(folders: BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut topmost: Vec<PathBuf> = Vec::new();
    // In order, a folder comes before what is in it.
    for folder in folders {
        if !topmost.iter().any(|outer| folder.starts_with(outer)) {
            topmost.push(folder);
        }
    }
    topmost
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn is_match(pattern: &str, path: &str) -> bool {
        globs(&[pattern.to_owned()]).unwrap().is_match(path)
    }

    #[test]
    fn one_star_stays_in_its_folder() {
        assert!(is_match("/app/*.php", "/app/a.php"));
        assert!(!is_match("/app/*.php", "/app/src/a.php"));
        assert!(is_match("/app/**/*.{php,twig}", "/app/src/deep/a.twig"));
        assert!(is_match("/app/**/*.php", "/app/a.php"));
        assert!(!is_match("/app/**/*.php", "/app/a.php.swp"));
    }

    #[test]
    fn the_folder_before_the_first_wildcard_is_watched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        for rest in ["/**/*.php", "/*.php", "/missing/deep/**", "/file.php"] {
            assert_eq!(
                fixed_part(&format!("{path}{rest}")),
                folder.path(),
                "{rest}"
            );
        }
        assert_eq!(fixed_part("/*"), Path::new("/"));
    }

    #[test]
    fn folders_within_watched_ones_are_not_watched_twice() {
        let folders = ["/a/b", "/a", "/ab", "/a/b/c"].map(PathBuf::from).into();
        assert_eq!(topmost(folders), [Path::new("/a"), Path::new("/ab")]);
    }

    #[actix_web::test]
    async fn a_burst_of_changes_is_one_mark_and_others_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("src")).unwrap();
        let text = format!(
            "[[site]]\nroot = {root:?}\n\
             [[site.worker]]\nname = \"php\"\nscript = \"w.php\"\nwatch = [\"src/**/*.php\"]\n\
             [[site.worker]]\nname = \"twig\"\nscript = \"w.php\"\nmatch = \"/t\"\nwatch = [\"**/*.twig\"]\n"
        );
        fs::write(root.join("w.php"), "").unwrap();
        let path = Path::new("troupe.toml");
        let config = Config::parse(path, text, &root, Default::default()).unwrap();
        let watch = Watch::begin(&config).unwrap().unwrap();
        for number in 0..20 {
            fs::write(root.join(format!("src/{number}.php")), "").unwrap();
        }
        fs::write(root.join("src/readme.md"), "").unwrap();
        let changed = watch.seen.changed.notified();
        timeout(Duration::from_secs(5), changed)
            .await
            .expect("it is noticed");
        let marks: Vec<_> = watch
            .seen
            .watched
            .iter()
            .map(|watched| watched.has_changed.load(Ordering::SeqCst))
            .collect();
        assert_eq!(marks, [true, false]);
    }
}
