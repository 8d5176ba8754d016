//! What a test wants served, as a configuration file.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::folder::Folder;
use crate::server::Server;

/// See the module. Scripts find the test's folder, in which they may write, in `$_SERVER['SCRATCH']`.
#[derive(Debug)]
pub struct Setup {
    pub(crate) folder: Folder,
    root: PathBuf,
    listen: Option<String>,
    server: String,
    php: String,
    ini: String,
    admin_ini: String,
    site: String,
    env: String,
    tables: String,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) soft_limit: Option<u32>,
}

impl Setup {
    /// Serves a folder of `tests/php`.
    pub fn serving(folder: &str) -> Self {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("php");
        Self::with_root(scripts.join(folder))
    }

    /// Serves a folder with these files; the test may add to them, in `www` of its folder.
    pub fn with_files(files: &[(&str, &[u8])]) -> Self {
        let mut setup = Self::with_root(PathBuf::new());
        setup.root = setup.folder.join("www");
        std::fs::create_dir(&setup.root).unwrap();
        for (name, content) in files {
            setup.folder.write(&format!("www/{name}"), content);
        }
        setup
    }

    fn with_root(root: PathBuf) -> Self {
        Self {
            folder: Folder::new(),
            root,
            listen: None,
            server: String::new(),
            php: String::new(),
            ini: String::new(),
            admin_ini: String::new(),
            site: String::new(),
            env: String::new(),
            tables: String::new(),
            environment: Vec::new(),
            soft_limit: None,
        }
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Listens there instead of on a free port of 127.0.0.1.
    pub fn listen(mut self, addresses: &[&str]) -> Self {
        self.listen = Some(format!("{addresses:?}"));
        self
    }

    /// Lines of `[server]`.
    pub fn server(mut self, lines: &str) -> Self {
        self.server += &format!("{lines}\n");
        self
    }

    /// Lines of `[php]`.
    pub fn php(mut self, lines: &str) -> Self {
        self.php += &format!("{lines}\n");
        self
    }

    /// A setting that scripts may change.
    pub fn ini(mut self, name: &str, value: &str) -> Self {
        self.ini += &format!("{name:?} = {value:?}\n");
        self
    }

    /// A setting that they can't change.
    pub fn admin_ini(mut self, name: &str, value: &str) -> Self {
        self.admin_ini += &format!("{name:?} = {value:?}\n");
        self
    }

    /// Lines of the `[[site]]`.
    pub fn site(mut self, lines: &str) -> Self {
        self.site += &format!("{lines}\n");
        self
    }

    /// A variable of the site.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env += &format!("{name:?} = {value:?}\n");
        self
    }

    /// A `[[site.worker]]` of a script in the root, with these lines.
    pub fn worker(mut self, script: &str, lines: &str) -> Self {
        let script = self.root.join(script);
        self.tables += &format!("\n[[site.worker]]\nscript = {script:?}\n{lines}\n");
        self
    }

    /// A `[[site.background]]` of a script in the root, with these lines.
    pub fn background(mut self, script: &str, lines: &str) -> Self {
        let script = self.root.join(script);
        self.tables += &format!("\n[[site.background]]\nscript = {script:?}\n{lines}\n");
        self
    }

    /// What comes after the site: more sites, for example.
    pub fn and(mut self, toml: &str) -> Self {
        self.tables += &format!("\n{toml}\n");
        self
    }

    /// A variable of the server's own environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the server with this soft limit of open files.
    pub fn soft_limit(mut self, limit: u32) -> Self {
        self.soft_limit = Some(limit);
        self
    }

    #[track_caller]
    pub fn start(self) -> Server {
        Server::start(self)
    }

    /// Writes the configuration file and returns its path.
    pub(crate) fn write_config(&self) -> PathBuf {
        let listen = self.listen.as_deref().unwrap_or("[\"127.0.0.1:0\"]");
        let scratch = self.folder.path();
        let root = &self.root;
        let mut toml = String::new();
        let _ = write!(
            toml,
            "[server]\nlisten = {listen}\nlog_format = \"json\"\n{}\n\
             [admin]\nlisten = \"unix:admin.sock\"\n\n\
             [php]\n{}\n[php.ini]\n{}\n[php.admin_ini]\n{}\n\
             [[site]]\nroot = {root:?}\n{}\n[site.env]\nSCRATCH = {scratch:?}\n{}{}",
            self.server, self.php, self.ini, self.admin_ini, self.site, self.env, self.tables
        );
        self.folder.write("troupe.toml", toml)
    }
}
