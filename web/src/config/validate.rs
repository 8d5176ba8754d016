//! Whether the values of a configuration make sense together, and on this machine.

use std::collections::BTreeMap;
use std::path::Path;

use tracing_subscriber::EnvFilter;

use super::diagnostic::{Diagnostic, Origins};
use super::listen::Listen;
use super::model::*;
use super::value::Size;
use crate::route::{HostPattern, TryFile};
use crate::watch::glob;

/// actix-http's own limit of a request's head, a constant.
const LARGEST_HEADER_SIZE: Size = Size::kib(128);

/// Appends what is wrong with `config` to `diagnostics`.
pub fn check(config: &Config, origins: &Origins, diagnostics: &mut Vec<Diagnostic>) {
    let mut check = Check {
        origins,
        diagnostics,
    };
    check.server(config);
    check.admin(config);
    check.php(&config.php);
    check.sites(&config.sites);
}

struct Check<'a> {
    origins: &'a Origins,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Check<'_> {
    fn wrong(&mut self, key: &str, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic {
            origin: self.origins.of(key),
            message: message.into(),
        });
    }

    fn server(&mut self, config: &Config) {
        let server = &config.server;
        if server.listen.is_empty() {
            self.wrong("server.listen", "`listen`: at least one address is needed");
        }
        for (key, least, value) in [
            ("io_threads", 1, server.io_threads),
            ("max_connections", 1, server.max_connections),
            ("queue_length", 1, server.queue_length),
        ] {
            if value < least {
                self.wrong(
                    &format!("server.{key}"),
                    format!("`{key}` must be at least {least}"),
                );
            }
        }
        if server.header_size > LARGEST_HEADER_SIZE || server.header_size < Size::kib(1) {
            self.wrong(
                "server.header_size",
                "`header_size` must be between 1KiB and 128KiB",
            );
        }
        for (key, value) in [
            ("header_read_timeout", server.header_read_timeout),
            ("body_idle_timeout", server.body_idle_timeout),
            ("write_idle_timeout", server.write_idle_timeout),
            ("keep_alive", server.keep_alive),
        ] {
            if value.is_zero() {
                self.wrong(
                    &format!("server.{key}"),
                    format!("`{key}` must be more than 0"),
                );
            }
        }
        if let Err(error) = EnvFilter::builder().parse(&server.log_level) {
            self.wrong(
                "server.log_level",
                format!("`log_level`: expected \"debug\", \"info\", \"warn\", \"error\" or directives such as \"info,troupe=debug\": {error}"),
            );
        }
        self.tls("server", server.tls.as_ref());
        let site_has_tls = config.sites.iter().any(|site| site.tls.is_some());
        let listens_tls = server.listen.iter().any(|l| matches!(l, Listen::Tls(_)));
        if listens_tls && server.tls.is_none() && !site_has_tls {
            self.wrong(
                "server.listen",
                "a `tls:` address needs `tls_cert` and `tls_key`, in [server] or in a [[site]]",
            );
        }
        for (index, listen) in server.listen.iter().enumerate() {
            if server.listen[..index]
                .iter()
                .any(|other| same_place(other, listen))
            {
                self.wrong("server.listen", format!("{listen} is listed twice"));
            }
        }
    }

    fn tls(&mut self, table: &str, tls: Option<&Tls>) {
        let Some(tls) = tls else { return };
        for (key, path, other) in [
            ("tls_cert", &tls.cert, "tls_key"),
            ("tls_key", &tls.key, "tls_cert"),
        ] {
            if path.as_os_str().is_empty() {
                self.wrong(
                    &format!("{table}.{other}"),
                    format!("`{other}` needs `{key}` beside it"),
                );
            } else {
                self.readable_file(&format!("{table}.{key}"), key, path);
            }
        }
    }

    fn readable_file(&mut self, path_of_key: &str, key: &str, path: &Path) {
        if let Err(problem) = file_problem(path) {
            self.wrong(
                path_of_key,
                format!("`{key}`: {} {problem}", path.display()),
            );
        }
    }

    fn admin(&mut self, config: &Config) {
        for (table, listen) in [
            ("admin", &config.admin.listen),
            ("health", &config.health.listen),
        ] {
            let Some(listen) = listen else { continue };
            let key = format!("{table}.listen");
            if matches!(listen, Listen::Tls(_)) {
                self.wrong(
                    &key,
                    "`listen`: TLS is not offered here; put a proxy in front",
                );
            }
            let others = config.server.listen.iter();
            if others.clone().any(|other| same_place(other, listen)) {
                self.wrong(
                    &key,
                    format!("`listen`: {listen} is taken by [server]; give [{table}] its own"),
                );
            }
        }
        if let (Some(admin), Some(health)) = (&config.admin.listen, &config.health.listen)
            && same_place(admin, health)
        {
            self.wrong(
                "health.listen",
                format!("`listen`: {health} is taken by [admin], which answers the same"),
            );
        }
        if let Some(listen) = &config.admin.listen {
            match &config.admin.token {
                None if !listen.is_local() => self.wrong(
                    "admin.listen",
                    "`listen`: beyond this machine the admin endpoint needs a `token`",
                ),
                Some(token) if token.len() < 16 => {
                    self.wrong("admin.token", "`token` must have at least 16 characters");
                }
                _ => {}
            }
        }
    }

    fn php(&mut self, php: &Php) {
        self.threads("php", "threads", 1, php.threads, php.max_threads);
        if let Some(path) = &php.php_ini {
            self.readable_file("php.php_ini", "php_ini", path);
        }
        if let Some(path) = &php.scan_dir
            && !path.is_dir()
        {
            self.wrong(
                "php.scan_dir",
                format!("`scan_dir`: {} is not a folder", path.display()),
            );
        }
        for (key, table) in [("ini", &php.ini), ("admin_ini", &php.admin_ini)] {
            for (name, value) in table {
                if !is_ini_name(name) || value.contains(['\n', '\0']) {
                    self.wrong(
                        &format!("php.{key}"),
                        format!("`{key}`: `{name}` = {value:?} can't stand in an ini file"),
                    );
                }
            }
        }
    }

    fn threads(&mut self, table: &str, key: &str, least: usize, count: usize, max: usize) {
        if count < least {
            self.wrong(
                &format!("{table}.{key}"),
                format!("`{key}` must be at least {least}"),
            );
        }
        if max < count {
            self.wrong(
                &format!("{table}.max_threads"),
                format!("`max_threads` ({max}) must not be less than `{key}` ({count})"),
            );
        }
    }

    fn sites(&mut self, sites: &[Site]) {
        if sites.is_empty() {
            self.wrong("site", "no [[site]]: there is nothing to serve");
        }
        let mut names = BTreeMap::new();
        let mut hosts = BTreeMap::new();
        for (index, site) in sites.iter().enumerate() {
            let table = format!("site.{index}");
            if site.hosts.first() != Some(&site.name) {
                self.name(&format!("{table}.name"), "site", &site.name);
            }
            if names.insert(&site.name, index).is_some() {
                self.wrong(
                    &format!("{table}.name"),
                    format!(
                        "there are two sites named \"{}\"; give each a `name`",
                        site.name
                    ),
                );
            }
            let served: Vec<&str> = match site.hosts.as_slice() {
                [] => vec![""],
                hosts => hosts.iter().map(String::as_str).collect(),
            };
            for host in served {
                if let Some(other) = hosts.insert(host.to_owned(), index) {
                    let what = match host {
                        "" => "every host not listed elsewhere".to_owned(),
                        host => format!("\"{host}\""),
                    };
                    let other = &sites[other].name;
                    self.wrong(
                        &format!("{table}.hosts"),
                        format!("`hosts`: {what} is already served by the site \"{other}\""),
                    );
                }
            }
            self.site(&table, site);
        }
    }

    /// Names become node ids of the supervision tree.
    fn name(&mut self, key: &str, what: &str, name: &str) {
        if name.is_empty() || name.contains(['/', '\0']) || name.chars().any(char::is_control) {
            self.wrong(
                key,
                format!("a {what}'s name must not be empty or hold a slash, found {name:?}"),
            );
        }
    }

    fn site(&mut self, table: &str, site: &Site) {
        for host in &site.hosts {
            if HostPattern::parse(host).is_none() {
                self.wrong(
                    &format!("{table}.hosts"),
                    format!("`hosts`: expected a name such as \"example.org\" or \"*.example.org\" (without scheme and port), found \"{host}\""),
                );
            }
        }
        if site.root.as_os_str().is_empty() {
            self.wrong(table, "[[site]] needs a `root`, the folder it serves");
        } else if !site.root.is_dir() {
            self.wrong(
                &format!("{table}.root"),
                format!("`root`: {} is not a folder", site.root.display()),
            );
        }
        for name in &site.index {
            if name.is_empty() || name.contains(['/', '\0']) {
                self.wrong(
                    &format!("{table}.index"),
                    format!("`index`: expected the name of a file, found \"{name}\""),
                );
            }
        }
        for entry in &site.try_files {
            if let Err(message) = TryFile::parse(entry) {
                self.wrong(
                    &format!("{table}.try_files"),
                    format!("`try_files`: {message}"),
                );
            }
        }
        for suffix in &site.path_split {
            if !suffix.starts_with('.') || suffix.len() < 2 || suffix.contains('/') {
                self.wrong(
                    &format!("{table}.path_split"),
                    format!("`path_split`: expected a suffix such as \".php\", found \"{suffix}\""),
                );
            }
        }
        for folder in &site.symlinks {
            if !folder.is_dir() {
                self.wrong(
                    &format!("{table}.symlinks"),
                    format!("`symlinks`: {} is not a folder", folder.display()),
                );
            }
        }
        self.env(table, &site.env);
        self.tls(table, site.tls.as_ref());
        self.workers(table, &site.workers);
        self.background(table, &site.background);
    }

    fn env(&mut self, table: &str, env: &super::value::Table) {
        for (name, value) in env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                self.wrong(
                    &format!("{table}.env"),
                    format!("`env`: {name:?} = {value:?} can't stand in an environment"),
                );
            }
        }
    }

    fn workers(&mut self, site: &str, workers: &[Worker]) {
        let mut names = BTreeMap::new();
        let mut scripts = BTreeMap::new();
        for (index, worker) in workers.iter().enumerate() {
            let table = format!("{site}.worker.{index}");
            if self.script(&table, "[[site.worker]]", &worker.script) {
                self.name(&format!("{table}.name"), "worker", &worker.name);
                if names.insert(&worker.name, ()).is_some() {
                    let name = &worker.name;
                    self.wrong(
                        &format!("{table}.name"),
                        format!("there are two workers named \"{name}\" in this site; give each a `name`"),
                    );
                }
                // By its script alone a request must know its worker; with `match` it does so anyway.
                if worker.matches.is_empty() && scripts.insert(&worker.script, ()).is_some() {
                    self.wrong(
                        &format!("{table}.script"),
                        "`script`: another worker of this site serves it already; set `match` to tell them apart",
                    );
                }
            }
            for pattern in &worker.matches {
                if !pattern.starts_with('/') {
                    self.wrong(
                        &format!("{table}.match"),
                        format!("`match`: expected a path such as \"/api/*\", found \"{pattern}\""),
                    );
                }
            }
            self.threads(&table, "num", 1, worker.num, worker.max_threads);
            for (key, zero) in [
                ("max_requests", worker.max_requests == Some(0)),
                ("ttl", worker.ttl.is_some_and(|ttl| ttl.is_zero())),
                ("max_memory", worker.max_memory == Some(Size(0))),
                ("deadline", worker.deadline.is_some_and(|d| d.is_zero())),
            ] {
                if zero {
                    self.wrong(
                        &format!("{table}.{key}"),
                        format!("`{key}` must be more than 0, or \"off\""),
                    );
                }
            }
            self.env(&table, &worker.env);
            self.watch(&table, &worker.watch);
            self.restart(&table, &worker.restart);
        }
    }

    fn background(&mut self, site: &str, workers: &[Background]) {
        let mut names = BTreeMap::new();
        for (index, worker) in workers.iter().enumerate() {
            let table = format!("{site}.background.{index}");
            self.script(&table, "[[site.background]]", &worker.script);
            if let Some(name) = &worker.name {
                self.name(&format!("{table}.name"), "background worker", name);
            } else if worker.num > 0 {
                self.wrong(
                    &format!("{table}.num"),
                    "`num`: a worker without a `name` is started by its first use, never at boot",
                );
            }
            if names.insert(&worker.name, ()).is_some() {
                let message = match &worker.name {
                    Some(name) => format!("there are two background workers named \"{name}\""),
                    None => "there are two background workers without a name".to_owned(),
                };
                self.wrong(&format!("{table}.name"), format!("{message} in this site"));
            }
            self.threads(&table, "num", 0, worker.num, worker.max_threads);
            for (key, value) in [
                ("max_threads", worker.max_threads),
                ("max_queue", worker.max_queue),
                ("max_names", worker.max_names),
            ] {
                if value == 0 {
                    self.wrong(
                        &format!("{table}.{key}"),
                        format!("`{key}` must be at least 1"),
                    );
                }
            }
            if worker.task_deadline.is_some_and(|limit| limit.is_zero()) {
                self.wrong(
                    &format!("{table}.task_deadline"),
                    "`task_deadline` must be more than 0, or \"off\"",
                );
            }
            self.env(&table, &worker.env);
            self.watch(&table, &worker.watch);
            self.restart(&table, &worker.restart);
        }
    }

    fn watch(&mut self, table: &str, patterns: &[String]) {
        for pattern in patterns {
            if let Err(error) = glob(pattern) {
                self.wrong(&format!("{table}.watch"), format!("`watch`: {error}"));
            }
        }
    }

    fn script(&mut self, table: &str, title: &str, script: &Path) -> bool {
        if script.as_os_str().is_empty() {
            self.wrong(table, format!("{title} needs a `script`"));
            return false;
        }
        self.readable_file(&format!("{table}.script"), "script", script);
        true
    }

    fn restart(&mut self, table: &str, policy: &RestartPolicy) {
        if policy.backoff > policy.backoff_max {
            self.wrong(
                &format!("{table}.backoff"),
                "`backoff` must not be more than `backoff_max`",
            );
        }
        if policy.boot_timeout.is_some_and(|limit| limit.is_zero()) {
            self.wrong(
                &format!("{table}.boot_timeout"),
                "`boot_timeout` must be more than 0, or \"off\"",
            );
        }
        for (key, zero) in [
            ("intensity", policy.intensity == 0),
            ("period", policy.period.is_zero()),
            ("backoff", policy.backoff.is_zero()),
            (
                "max_consecutive_failures",
                policy.max_consecutive_failures == 0,
            ),
        ] {
            if zero {
                self.wrong(
                    &format!("{table}.{key}"),
                    format!("`{key}` must be more than 0"),
                );
            }
        }
    }
}

fn file_problem(path: &Path) -> Result<(), String> {
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err("does not exist".into());
        }
        Err(error) => return Err(format!("can't be used: {error}")),
    };
    if !metadata.is_file() {
        return Err("is not a file".into());
    }
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("can't be read: {error}")),
    }
}

/// Whether both can't be bound at once.
fn same_place(one: &Listen, other: &Listen) -> bool {
    match (one, other) {
        (Listen::Unix(one), Listen::Unix(other)) => one == other,
        (one, other) => match (one.socket(), other.socket()) {
            (Some(one), Some(other)) if one.port() == other.port() && one.port() != 0 => {
                let same_family = one.is_ipv4() == other.is_ipv4();
                let one_is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
                one == other || (same_family && one_is_any)
            }
            _ => false,
        },
    }
}

fn is_ini_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    !name.is_empty() && name.chars().all(plain)
}
