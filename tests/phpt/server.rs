//! A server with the settings of one group of tests.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::plan::Settings;

/// What runs the tests.
#[derive(Debug, Clone)]
pub enum Program {
    Troupe(PathBuf),
    /// PHP's built-in server, to compare with: is a failure ours or the nature of a web server?
    Builtin,
}

/// What all servers of a run share.
#[derive(Debug, Clone)]
pub struct Site {
    pub program: Program,
    /// The `php` of the same build, for tests that start one.
    pub php: PathBuf,
    pub root: PathBuf,
    /// Where the servers' logs go.
    pub logs: PathBuf,
    /// The php.ini of all of them.
    pub ini: PathBuf,
    pub opcache: bool,
}

/// PHP threads of a server; as many tests are sent to it at once.
pub const THREADS: usize = 4;

/// Settings that every test is written for.
const BASE: &[&str] = &[
    "output_handler=",
    "open_basedir=",
    "disable_functions=",
    "output_buffering=Off",
    "error_reporting=32767",
    "display_errors=1",
    "display_startup_errors=1",
    "log_errors=0",
    "html_errors=0",
    "report_memleaks=1",
    "docref_root=",
    "docref_ext=.html",
    "error_prepend_string=",
    "error_append_string=",
    "auto_prepend_file=",
    "auto_append_file=",
    "ignore_repeated_errors=0",
    "precision=14",
    "serialize_precision=-1",
    "memory_limit=128M",
    "zend.assertions=1",
    "zend.exception_ignore_args=0",
    "zend.exception_string_param_max_len=15",
    "short_open_tag=0",
    // Tests that make and remove the same paths were written for processes that know none of them yet. Those of
    // this cache itself turn it on again: see the plan.
    "realpath_cache_size=0",
];

/// Scripts are compiled anew as soon as their file changes, however young it is.
const OPCACHE: &[&str] = &[
    "opcache.enable=1",
    "opcache.file_update_protection=0",
    "opcache.revalidate_freq=0",
    // What the compiler warns of is said again when the code comes from the cache.
    "opcache.record_warnings=1",
    "opcache.jit=disable",
];

/// Far more than a start or a stop takes.
const LIMIT: Duration = Duration::from_secs(30);

pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
    is_ours: bool,
}

impl Server {
    pub fn start(site: &Site, settings: &Settings, number: usize) -> Result<Self, String> {
        let io = |what: &str, error: std::io::Error| format!("{what}: {error}");
        let mut definitions: Vec<String> = BASE.iter().map(|text| (*text).to_owned()).collect();
        if site.opcache {
            definitions.extend(OPCACHE.iter().map(|text| (*text).to_owned()));
        }
        let own = settings.ini.iter();
        definitions.extend(own.map(|(name, value)| format!("{name}={value}")));

        let log = site.logs.join(format!("server-{number}.log"));
        let output = File::create(&log).map_err(|error| io("cannot write the log", error))?;
        let mut chosen = None;
        let mut command = match &site.program {
            Program::Troupe(binary) => {
                let mut command = Command::new(binary);
                let threads = THREADS.to_string();
                command
                    .args(["php-server", "--listen", "127.0.0.1:0", "--admin", "off"])
                    .args(["--threads", &threads, "--root"])
                    .arg(&site.root)
                    .arg("--php-ini")
                    .arg(&site.ini);
                command
            }
            Program::Builtin => {
                let address = TcpListener::bind("127.0.0.1:0")
                    .and_then(|listener| listener.local_addr())
                    .map_err(|error| io("no free port", error))?;
                chosen = Some(address);
                let mut command = Command::new(&site.php);
                command
                    .arg("-c")
                    .arg(&site.ini)
                    .args(["-S", &address.to_string(), "-t"])
                    .arg(&site.root);
                command
            }
        };
        for definition in &definitions {
            command.args(["-d", definition]);
        }
        let extra = definitions.iter().fold("-n".to_owned(), |extra, text| {
            format!("{extra} -d \"{text}\"")
        });
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PHP_INI_SCAN_DIR", "")
            .env("TEST_PHP_EXECUTABLE", &site.php)
            .env("TEST_PHP_EXTRA_ARGS", extra)
            .env("NO_INTERACTION", "1")
            .env("SKIP_ONLINE_TESTS", "1")
            .env("SKIP_SLOW_TESTS", "1")
            .env("SKIP_PERF_SENSITIVE", "1")
            .envs(settings.env.iter().cloned())
            .current_dir(&site.root)
            .stdin(Stdio::null())
            .stderr(
                output
                    .try_clone()
                    .map_err(|error| io("cannot share the log", error))?,
            )
            .stdout(output);
        let child = command
            .spawn()
            .map_err(|error| io("cannot start the server", error))?;
        let mut server = Self {
            child,
            address: chosen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
            log,
            is_ours: chosen.is_none(),
        };
        server.wait_until_it_serves()?;
        Ok(server)
    }

    fn wait_until_it_serves(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            if let Ok(Some(status)) = self.child.try_wait() {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(format!("the server did not start ({status}): {log}"));
            }
            if !self.is_ours && TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            if self.is_ours
                && let Some(address) = listening(&self.log)
            {
                self.address = address;
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        Err("the server does not say that it serves".into())
    }

    /// How it died, when it did.
    pub fn death(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Stops it as an operator would; an end that is not clean is an error.
    pub fn stop(mut self) -> Result<(), String> {
        if !self.is_ours {
            return Ok(());
        }
        let pid = i32::try_from(self.child.id()).unwrap_or_default();
        if let Some(pid) = rustix::process::Pid::from_raw(pid) {
            // It may have died before: the status says so.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let begun = Instant::now();
        while begun.elapsed() < LIMIT + Duration::from_secs(10) {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => {
                    let log = fs::read_to_string(&self.log).unwrap_or_default();
                    let end = log.lines().rev().take(5).collect::<Vec<_>>().join("\n");
                    return Err(format!("the server ended with {status}: {end}"));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(3)),
                Err(error) => return Err(format!("the server can't be waited for: {error}")),
            }
        }
        Err("the server did not stop".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a clean stop there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the server listens, once its log says so.
fn listening(log: &Path) -> Option<SocketAddr> {
    let text = fs::read_to_string(log).ok()?;
    let line = text.lines().find(|line| line.contains("serving"))?;
    let (_, address) = line.split_once("http://")?;
    let end = address.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')?;
    address[..end].parse().ok()
}
