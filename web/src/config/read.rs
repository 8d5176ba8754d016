//! From a TOML document and the environment to [`Config`]: the keys and their defaults.
//!
//! Whether the values make sense together is [`super::validate`]'s business.

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use super::listen::Listen;
use super::model::*;
use super::section::Section;
use super::value::{Kind, Mistake, Size};

/// Reads the whole document. Relative paths are taken from `base`, the folder of the file.
pub fn config(mut document: Section<'_>, base: &Path) -> Config {
    let config = Config {
        server: server(document.table("server"), base),
        admin: admin(document.table("admin"), base),
        health: health(document.table("health"), base),
        php: php(document.table("php"), base),
        sites: document
            .tables("site")
            .into_iter()
            .map(|section| site(section, base))
            .collect(),
    };
    document.finish();
    config
}

const SECOND: Duration = Duration::from_secs(1);

fn server(mut section: Section<'_>, base: &Path) -> Server {
    let local = Listen::Plain(std::net::SocketAddr::from(([127, 0, 0, 1], 8080)));
    let server = Server {
        listen: listeners(section.get("listen", vec![local]), base),
        reuse_port: section.get("reuse_port", false),
        // The other half is left to PHP, which takes far more time for a request than the network does.
        io_threads: section.get("io_threads", processors().div_ceil(2)),
        max_connections: section.get("max_connections", 25_000),
        header_size: section.get("header_size", Size::kib(64)),
        body_size: section.get("body_size", Size::mib(128)),
        header_read_timeout: section.get("header_read_timeout", 10 * SECOND),
        body_idle_timeout: section.get("body_idle_timeout", 30 * SECOND),
        write_idle_timeout: section.get("write_idle_timeout", 60 * SECOND),
        // Longer than the idle timeouts of the usual load balancers (60 s), so that it is they who
        // close a connection: otherwise they now and then send a request into a closing one.
        keep_alive: section.get("keep_alive", 75 * SECOND),
        queue_length: section.get("queue_length", 1024),
        max_wait_time: section.get("max_wait_time", Some(30 * SECOND)),
        shutdown_grace: section.get("shutdown_grace", 30 * SECOND),
        tls: tls(&mut section, base),
        compress: section.get(
            "compress",
            vec![Encoding::Zstd, Encoding::Brotli, Encoding::Gzip],
        ),
        log_format: section.get("log_format", LogFormat::Auto),
        log_level: section.get("log_level", "info".to_owned()),
        log_file: optional_path(&mut section, "log_file", base),
        access_log: access_log(section.get("access_log", Some(AccessLog::Log)), base),
    };
    section.finish();
    server
}

fn processors() -> usize {
    available_parallelism().map_or(1, usize::from)
}

fn listeners(listeners: Vec<Listen>, base: &Path) -> Vec<Listen> {
    listeners
        .into_iter()
        .map(|listen| match listen {
            Listen::Unix(path) => Listen::Unix(base.join(path)),
            other => other,
        })
        .collect()
}

fn listener(listener: Option<Listen>, base: &Path) -> Option<Listen> {
    listeners(listener.into_iter().collect(), base).pop()
}

fn optional_path(section: &mut Section<'_>, key: &'static str, base: &Path) -> Option<PathBuf> {
    section.optional(key).map(|path: PathBuf| base.join(path))
}

/// One of the two missing is left to the validation: an empty path stands for it.
fn tls(section: &mut Section<'_>, base: &Path) -> Option<Tls> {
    let cert = optional_path(section, "tls_cert", base);
    let key = optional_path(section, "tls_key", base);
    (cert.is_some() || key.is_some()).then(|| Tls {
        cert: cert.unwrap_or_default(),
        key: key.unwrap_or_default(),
    })
}

impl Kind for AccessLog {
    const EXPECTED: &'static str = "\"log\", \"off\" or the path of a file";

    fn read(
        value: &toml::Spanned<toml::de::DeValue<'_>>,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Self> {
        super::value::read_string(value, mistakes)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "log" => Ok(Self::Log),
            path => PathBuf::from_text(path).map(Self::File),
        }
    }
}

fn access_log(log: Option<AccessLog>, base: &Path) -> Option<AccessLog> {
    match log {
        Some(AccessLog::File(path)) => Some(AccessLog::File(base.join(path))),
        log => log,
    }
}

fn admin(mut section: Section<'_>, base: &Path) -> Admin {
    let local = Listen::Plain(std::net::SocketAddr::from(([127, 0, 0, 1], 2019)));
    let admin = Admin {
        listen: listener(section.get("listen", Some(local)), base),
        token: section.optional("token"),
    };
    section.finish();
    admin
}

fn health(mut section: Section<'_>, base: &Path) -> Health {
    let health = Health {
        listen: listener(section.get("listen", None), base),
    };
    section.finish();
    health
}

fn php(mut section: Section<'_>, base: &Path) -> Php {
    // Scripts mostly wait (for a database, for a cache), so more threads than processors.
    let threads = section.get("threads", 2 * processors());
    let php = Php {
        threads,
        max_threads: section.get("max_threads", threads),
        deadline: section.get("deadline", None),
        slow_log: section.get("slow_log", None),
        php_ini: optional_path(&mut section, "php_ini", base),
        scan_dir: optional_path(&mut section, "scan_dir", base),
        ini: section.get("ini", Default::default()),
        admin_ini: section.get("admin_ini", Default::default()),
    };
    section.finish();
    php
}

fn site(mut section: Section<'_>, base: &Path) -> Site {
    let hosts: Vec<String> = section.get("hosts", Vec::new());
    let hosts: Vec<String> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    let name = section
        .optional("name")
        .unwrap_or_else(|| match hosts.first() {
            Some(host) => host.clone(),
            None => "default".to_owned(),
        });
    let root: PathBuf = section.get("root", PathBuf::new());
    let root = match root.as_os_str().is_empty() {
        true => root,
        false => base.join(root),
    };
    let site = Site {
        name,
        hosts,
        index: section.get("index", Site::default_index()),
        env: section.get("env", Default::default()),
        try_files: section.get("try_files", Site::default_try_files()),
        path_split: section.get("path_split", Site::default_path_split()),
        symlinks: section
            .get("symlinks", Vec::<PathBuf>::new())
            .into_iter()
            .map(|folder| base.join(folder))
            .collect(),
        tls: tls(&mut section, base),
        workers: section
            .tables("worker")
            .into_iter()
            .map(|section| worker(section, base))
            .collect(),
        background: section
            .tables("background")
            .into_iter()
            .map(|section| background(section, base))
            .collect(),
        root,
    };
    section.finish();
    site
}

impl Site {
    pub fn default_index() -> Vec<String> {
        vec!["index.php".into(), "index.html".into()]
    }

    /// A file, else a folder's index, else the front controller.
    pub fn default_try_files() -> Vec<String> {
        vec!["$uri".into(), "$uri/".into(), "/index.php".into()]
    }

    pub fn default_path_split() -> Vec<String> {
        vec![".php".into()]
    }
}

fn script(section: &mut Section<'_>, base: &Path) -> PathBuf {
    optional_path(section, "script", base).unwrap_or_default()
}

/// A script's name without folder and extension.
fn default_name(script: &Path) -> String {
    script
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn worker(mut section: Section<'_>, base: &Path) -> Worker {
    let script = script(&mut section, base);
    let defaults = Worker::new(script, section.optional("num"));
    let worker = Worker {
        name: section.get("name", defaults.name),
        script: defaults.script,
        num: defaults.num,
        max_threads: section.get("max_threads", defaults.max_threads),
        env: section.get("env", defaults.env),
        matches: section.get("match", defaults.matches),
        watch: globs(&mut section, base),
        restart: restart_policy(&mut section, defaults.restart),
        max_requests: section.get("max_requests", defaults.max_requests),
        ttl: section.get("ttl", defaults.ttl),
        max_memory: section.get("max_memory", defaults.max_memory),
        deadline: section.get("deadline", defaults.deadline),
        slow_log: section.get("slow_log", defaults.slow_log),
    };
    section.finish();
    worker
}

/// Relative patterns are taken from `base`, as paths are.
fn globs(section: &mut Section<'_>, base: &Path) -> Vec<String> {
    let patterns: Vec<String> = section.get("watch", Vec::new());
    let absolute = patterns
        .iter()
        .map(|pattern| base.join(pattern.trim_start_matches("./")));
    absolute
        .map(|pattern| pattern.to_string_lossy().into_owned())
        .collect()
}

impl Worker {
    /// The defaults of a worker; without `num`, twice the processors.
    pub fn new(script: PathBuf, num: Option<usize>) -> Self {
        let num = num.unwrap_or_else(|| 2 * processors());
        Self {
            name: default_name(&script),
            script,
            num,
            max_threads: num,
            env: Default::default(),
            matches: Vec::new(),
            watch: Vec::new(),
            restart: RestartPolicy {
                boot_timeout: Some(60 * SECOND),
                // A request in hand is worth more patience than a loop of our own making.
                grace: 30 * SECOND,
                ..RestartPolicy::default()
            },
            max_requests: None,
            ttl: None,
            max_memory: None,
            deadline: None,
            slow_log: None,
        }
    }
}

fn background(mut section: Section<'_>, base: &Path) -> Background {
    let name = section.optional("name");
    let script = script(&mut section, base);
    let defaults = Background::new(name, script, section.optional("num"));
    let background = Background {
        name: defaults.name,
        script: defaults.script,
        num: defaults.num,
        max_threads: section.get("max_threads", defaults.max_threads),
        env: section.get("env", defaults.env),
        watch: globs(&mut section, base),
        restart: restart_policy(&mut section, defaults.restart),
        max_queue: section.get("max_queue", defaults.max_queue),
        max_names: section.get("max_names", defaults.max_names),
        task_deadline: section.get("task_deadline", defaults.task_deadline),
    };
    section.finish();
    background
}

impl Background {
    /// The defaults of a background worker: a named one is started at boot, the catch-all by use.
    pub fn new(name: Option<String>, script: PathBuf, num: Option<usize>) -> Self {
        let num = num.unwrap_or(usize::from(name.is_some()));
        Self {
            name,
            script,
            num,
            max_threads: num.max(1),
            env: Default::default(),
            watch: Vec::new(),
            restart: RestartPolicy::default(),
            max_queue: 1,
            max_names: 16,
            task_deadline: None,
        }
    }
}

fn restart_policy(section: &mut Section<'_>, defaults: RestartPolicy) -> RestartPolicy {
    RestartPolicy {
        restart: section.get("restart", defaults.restart),
        boot_timeout: section.get("boot_timeout", defaults.boot_timeout),
        backoff: section.get("backoff", defaults.backoff),
        backoff_max: section.get("backoff_max", defaults.backoff_max),
        intensity: section.get("intensity", defaults.intensity),
        period: section.get("period", defaults.period),
        max_consecutive_failures: section.get(
            "max_consecutive_failures",
            defaults.max_consecutive_failures,
        ),
        grace: section.get("grace", defaults.grace),
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            restart: Restart::Permanent,
            // A background worker may do well without ever saying that it is ready.
            boot_timeout: None,
            backoff: Duration::from_millis(100),
            backoff_max: 10 * SECOND,
            intensity: 5,
            period: 30 * SECOND,
            max_consecutive_failures: 6,
            grace: 5 * SECOND,
        }
    }
}
