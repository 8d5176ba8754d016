//! The flags of `troupe php-server`, as a configuration of one site.

use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Origin, Origins};
use super::listen::Listen;
use super::model::*;
use super::value::Kind;

/// See `troupe php-server --help`.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct ServerFlags {
    /// The folder to serve, usually the application's `public`
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub root: PathBuf,

    /// Where to listen: ADDR:PORT, :PORT or unix:PATH; repeatable
    ///
    /// Without it, 127.0.0.1:8080, or what TROUPE_SERVER_LISTEN says.
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<String>,

    /// PHP threads for scripts outside worker mode [default: twice the processors]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    /// Let these threads grow to N while requests wait [default: as --threads]
    #[arg(long, value_name = "N")]
    pub max_threads: Option<usize>,

    /// Set a php.ini value, as `php -d` does; repeatable
    #[arg(short = 'd', value_name = "KEY=VALUE")]
    pub define: Vec<String>,

    /// The php.ini to read
    #[arg(long, value_name = "FILE")]
    pub php_ini: Option<PathBuf>,

    /// Where the admin endpoint listens, or `off` [default: 127.0.0.1:2019]
    #[arg(long, value_name = "ADDR|off")]
    pub admin: Option<String>,

    /// A folder outside the root that symlinks in it may lead to; repeatable
    #[arg(long, value_name = "DIR")]
    pub symlinks: Vec<PathBuf>,

    /// Run FILE in worker mode with NUM threads; repeatable
    #[arg(long, value_name = "FILE[,NUM]")]
    pub worker: Vec<String>,

    /// Run FILE as background worker NAME with NUM threads; repeatable
    ///
    /// Without NAME it lends its script to every name that is not declared, each started on first use.
    #[arg(long, value_name = "[NAME=]FILE[,NUM]")]
    pub background: Vec<String>,
}

impl ServerFlags {
    /// Lays the flags over what environment and defaults gave.
    pub(super) fn apply(
        &self,
        base: &Path,
        config: &mut Config,
        origins: &mut Origins,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let mut flags = Flags {
            origins,
            diagnostics,
        };
        if !self.listen.is_empty() {
            let listen = self.listen.iter();
            config.server.listen = listen
                .filter_map(|text| flags.read("--listen", "server.listen", text))
                .map(|listen| match listen {
                    Listen::Unix(path) => Listen::Unix(base.join(path)),
                    other => other,
                })
                .collect();
        }
        if let Some(text) = &self.admin
            && let Some(listen) = flags.read("--admin", "admin.listen", text)
        {
            config.admin.listen = listen;
        }
        if let Some(threads) = self.threads {
            flags.said("--threads", "php.threads");
            config.php.threads = threads;
            config.php.max_threads = match flags.origins.of("php.max_threads") {
                Origin::Default => threads,
                _ => config.php.max_threads.max(threads),
            };
        }
        if let Some(max_threads) = self.max_threads {
            flags.said("--max-threads", "php.max_threads");
            config.php.max_threads = max_threads;
            if self.threads.is_none() {
                config.php.threads = config.php.threads.min(max_threads);
            }
        }
        if let Some(path) = &self.php_ini {
            flags.said("--php-ini", "php.php_ini");
            config.php.php_ini = Some(base.join(path));
        }
        for define in &self.define {
            flags.said("-d", "php.ini");
            // As in `php -d`: a name alone switches it on.
            let (name, value) = define.split_once('=').unwrap_or((define, "1"));
            config.php.ini.insert(name.to_owned(), value.to_owned());
        }
        config.sites = vec![self.site(base, &mut flags)];
    }

    fn site(&self, base: &Path, flags: &mut Flags<'_>) -> Site {
        flags.said("--root", "site.0.root");
        flags.said("--symlinks", "site.0.symlinks");
        let mut site = Site {
            name: "default".into(),
            hosts: Vec::new(),
            root: base.join(&self.root),
            index: Site::default_index(),
            env: Default::default(),
            try_files: Site::default_try_files(),
            path_split: Site::default_path_split(),
            symlinks: self.symlinks.iter().map(|dir| base.join(dir)).collect(),
            tls: None,
            workers: Vec::new(),
            background: Vec::new(),
        };
        for (index, text) in self.worker.iter().enumerate() {
            flags.said("--worker", &format!("site.0.worker.{index}"));
            let (file, num) = file_and_count(text);
            site.workers.push(Worker::new(base.join(file), num));
        }
        for (index, text) in self.background.iter().enumerate() {
            flags.said("--background", &format!("site.0.background.{index}"));
            let (name, file) = match text.split_once('=') {
                Some((name, file)) => (Some(name.to_owned()), file),
                None => (None, text.as_str()),
            };
            let (file, num) = file_and_count(file);
            let background = Background::new(name, base.join(file), num);
            site.background.push(background);
        }
        site
    }
}

/// Reads flags and remembers which setting each one set.
struct Flags<'a> {
    origins: &'a mut Origins,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Flags<'_> {
    fn said(&mut self, flag: &str, key: &str) {
        self.origins.set(key.to_owned(), Origin::Flag(flag.into()));
    }

    fn read<K: Kind>(&mut self, flag: &str, key: &str, text: &str) -> Option<K> {
        self.said(flag, key);
        K::from_text(text)
            .map_err(|message| {
                let origin = Origin::Flag(flag.into());
                self.diagnostics.push(Diagnostic { origin, message });
            })
            .ok()
    }
}

/// `FILE,NUM`; a comma that no number follows belongs to the file's name.
fn file_and_count(text: &str) -> (&str, Option<usize>) {
    match text.rsplit_once(',') {
        Some((file, count)) => match count.parse() {
            Ok(count) => (file, Some(count)),
            Err(_) => (text, None),
        },
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_follows_the_last_comma() {
        assert_eq!(file_and_count("a.php,4"), ("a.php", Some(4)));
        assert_eq!(file_and_count("a,b.php"), ("a,b.php", None));
        assert_eq!(file_and_count("a.php"), ("a.php", None));
    }
}
