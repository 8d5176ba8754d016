//! The servers that are compared, each started on a loopback port of its own and stopped by its process id.

use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::configs;
use crate::connection::Exchange;
use crate::load::Load;
use crate::processes;

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contestant {
    /// Troupe, a clean state for every request.
    Classic,
    /// Troupe in worker mode.
    Worker,
    /// Troupe in worker mode once more: it must come out as the other one does.
    WorkerAgain,
    /// An earlier version in worker mode, which the command line names.
    Before,
    /// The bare actix-web handler in Troupe's binary.
    Bare,
    /// nginx in front of php-fpm.
    Fpm,
    /// One that the command line names.
    Other(&'static Other),
}

impl Contestant {
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "Troupe, classic",
            Self::Worker => "Troupe, worker",
            Self::WorkerAgain => "Troupe, worker (again)",
            Self::Before => "Troupe before, worker",
            Self::Bare => "bare actix-web",
            Self::Fpm => "nginx + php-fpm",
            Self::Other(other) => &other.name,
        }
    }

    /// Whether it is there only for the worker to be compared with.
    pub fn is_yardstick_of_worker(self) -> bool {
        matches!(self, Self::WorkerAgain | Self::Before)
    }

    /// All its setups.
    pub fn setups(self) -> Vec<Setup> {
        let all = |counts: Vec<(usize, usize)>| {
            let setup = |(network, php)| Setup {
                contestant: self,
                network,
                php,
            };
            counts.into_iter().map(setup).collect()
        };
        match self {
            Self::Classic | Self::Worker | Self::WorkerAgain | Self::Before => all(TROUPE.to_vec()),
            Self::Bare => all(vec![(1, 0), (2, 0)]),
            Self::Fpm => {
                let pairs = |workers| FPM.iter().map(move |children| (workers, *children));
                all([1, 2].into_iter().flat_map(pairs).collect())
            }
            Self::Other(_) => all(vec![(0, 0)]),
        }
    }
}

/// Threads for the network, and for PHP.
const TROUPE: &[(usize, usize)] = &[(1, 1), (1, 2), (2, 2), (1, 4), (2, 16), (1, 64)];
/// Processes of php-fpm.
const FPM: &[usize] = &[2, 4, 16, 64];

/// `--also NAME=URL` or `--also NAME=COMMAND`.
#[derive(Debug, PartialEq, Eq)]
pub struct Other {
    name: String,
    /// A URL of a server that runs, or a command that starts one.
    how: String,
}

impl Other {
    pub fn read(argument: &str) -> Result<Self, String> {
        match argument.split_once('=') {
            Some((name, how)) if !name.is_empty() && !how.is_empty() => Ok(Self {
                name: name.to_owned(),
                how: how.to_owned(),
            }),
            _ => Err(format!(
                "--also wants NAME=URL or NAME=COMMAND, not {argument}"
            )),
        }
    }

    /// Where it listens, if it runs already.
    fn address(&self) -> io::Result<Option<SocketAddr>> {
        let Some(rest) = self.how.strip_prefix("http://") else {
            return Ok(None);
        };
        let host = rest.split('/').next().unwrap_or_default();
        let host = match host.contains(':') {
            true => host.to_owned(),
            false => format!("{host}:80"),
        };
        host.to_socket_addrs()?
            .next()
            .map(Some)
            .ok_or_else(|| io::Error::other(format!("{host} has no address")))
    }
}

/// One way to set a contestant up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    pub contestant: Contestant,
    /// Threads or processes for the network.
    pub network: usize,
    /// Threads or processes for PHP.
    pub php: usize,
}

impl Setup {
    /// As the tables show it.
    pub fn label(self) -> String {
        match self.contestant {
            Contestant::Bare => format!("{} threads", self.network),
            Contestant::Fpm => format!("{} + {} processes", self.network, self.php),
            Contestant::Other(_) => "–".into(),
            _ => format!("{} + {} threads", self.network, self.php),
        }
    }
}

/// What all servers have in common.
pub struct Launcher {
    pub troupe: PathBuf,
    /// An earlier version of it.
    pub before: Option<PathBuf>,
    pub fpm: PathBuf,
    pub site: PathBuf,
    /// Where sockets, logs and configurations lie.
    pub folder: PathBuf,
    /// More arguments for Troupe.
    pub arguments: Vec<String>,
    started: Cell<usize>,
}

/// One that runs.
pub struct Server {
    pub setup: Setup,
    pub address: SocketAddr,
    /// Empty for one that somebody else has started.
    children: Vec<Child>,
}

/// Far more than a start takes.
const LIMIT: Duration = Duration::from_secs(20);

impl Launcher {
    pub fn new(troupe: &Path, fpm: &Path, site: &Path, folder: &Path) -> Self {
        Self {
            troupe: troupe.to_owned(),
            before: None,
            fpm: fpm.to_owned(),
            site: site.to_owned(),
            folder: folder.to_owned(),
            arguments: Vec::new(),
            started: Cell::new(0),
        }
    }

    /// Starts a server; it may not listen yet.
    pub fn launch(&self, setup: Setup) -> io::Result<Server> {
        let (folder, mut server) = self.prepare(setup)?;
        let address = server.address.to_string();
        match setup.contestant {
            Contestant::Fpm => self.fpm(&mut server, &folder)?,
            Contestant::Other(other) => match other.address()? {
                Some(address) => server.address = address,
                None => {
                    let site = self.site.display().to_string();
                    let line = other.how.replace("{address}", &address);
                    let mut command = Command::new("sh");
                    // Without a shell in between, which would not pass a signal on.
                    command
                        .arg("-c")
                        .arg(format!("exec {}", line.replace("{site}", &site)));
                    server.spawn(command, &folder)?;
                }
            },
            Contestant::Bare => {
                let mut command = Command::new(&self.troupe);
                command
                    .env("TROUPE_SERVER_IO_THREADS", setup.network.to_string())
                    .args(["bench-handler", "--listen", &address]);
                server.spawn(command, &folder)?;
            }
            Contestant::Classic
            | Contestant::Worker
            | Contestant::WorkerAgain
            | Contestant::Before => {
                let mut command = Command::new(match (setup.contestant, &self.before) {
                    (Contestant::Before, Some(before)) => before,
                    _ => &self.troupe,
                });
                command
                    .env("TROUPE_SERVER_IO_THREADS", setup.network.to_string())
                    .args(["php-server", "--admin", "off", "--listen", &address])
                    .arg("--root")
                    .arg(&self.site)
                    .args(&self.arguments);
                if setup.contestant == Contestant::Classic {
                    command.args(["--threads", &setup.php.to_string()]);
                } else {
                    let worker = self.site.join("index.php");
                    // It has a classic thread too, for scripts that are no worker.
                    command.arg("--threads=1");
                    command.arg(format!("--worker={},{}", worker.display(), setup.php));
                }
                server.spawn(command, &folder)?;
            }
        }
        Ok(server)
    }

    /// Starts Troupe in worker mode by a configuration file that declares so many sites; all but one, which gets the
    /// requests, have a name of their own.
    pub fn launch_with_sites(&self, setup: Setup, sites: usize) -> io::Result<Server> {
        let (folder, mut server) = self.prepare(setup)?;
        let config = folder.join("troupe.toml");
        let text = configs::sites(&self.site, setup, server.address, sites);
        fs::write(&config, text)?;
        let mut command = Command::new(&self.troupe);
        command.args(["run", "--config"]).arg(&config);
        server.spawn(command, &folder)?;
        Ok(server)
    }

    fn prepare(&self, setup: Setup) -> io::Result<(PathBuf, Server)> {
        self.started.set(self.started.get() + 1);
        let folder = self.folder.join(format!("server-{}", self.started.get()));
        fs::create_dir_all(&folder)?;
        let server = Server {
            setup,
            address: TcpListener::bind("127.0.0.1:0")?.local_addr()?,
            children: Vec::new(),
        };
        Ok((folder, server))
    }

    fn fpm(&self, server: &mut Server, folder: &Path) -> io::Result<()> {
        let config = folder.join("fpm.conf");
        fs::write(&config, configs::fpm(folder, server.setup.php))?;
        let mut command = Command::new(&self.fpm);
        command
            .arg("--nodaemonize")
            .arg("--fpm-config")
            .arg(&config);
        if configs::is_root() {
            command.arg("--allow-to-run-as-root");
        }
        server.spawn(command, folder)?;
        let config = folder.join("nginx.conf");
        let workers = server.setup.network;
        let text = configs::nginx(folder, &self.site, workers, server.address);
        fs::write(&config, text)?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&config).arg("-e").arg("stderr");
        server.spawn(command, folder)
    }

    /// Starts servers and waits until all of them answer.
    pub fn start(&self, setups: &[Setup], exchanges: &[Exchange]) -> io::Result<Vec<Server>> {
        let servers: Vec<Server> = setups
            .iter()
            .map(|setup| self.launch(*setup))
            .collect::<io::Result<_>>()?;
        for server in &servers {
            server.wait_for(exchanges)?;
        }
        Ok(servers)
    }
}

impl Server {
    fn spawn(&mut self, mut command: Command, folder: &Path) -> io::Result<()> {
        let output = File::create(folder.join(format!("output-{}", self.children.len())))?;
        let child = command
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{command:?}: {error}")))?;
        self.children.push(child);
        Ok(())
    }

    /// Waits for its first right answer.
    pub fn wait_for(&self, exchanges: &[Exchange]) -> io::Result<()> {
        let begun = Instant::now();
        let ask = || Load::connect(self.address, 1, false)?.once(exchanges);
        while let Err(error) = ask() {
            if begun.elapsed() > LIMIT {
                let name = self.setup.contestant.name();
                let address = self.address;
                let text = format!("{name} does not serve {address}: {error}");
                return Err(io::Error::other(text));
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        Ok(())
    }

    /// All processes that serve; none of a server that somebody else has started.
    pub fn processes(&self) -> Vec<u32> {
        let roots: Vec<u32> = self.children.iter().map(Child::id).collect();
        processes::family(&roots)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in &mut self.children {
            let pid = i32::try_from(child.id()).ok();
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                // One that has died already is waited for all the same.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        for child in &mut self.children {
            let begun = Instant::now();
            while matches!(child.try_wait(), Ok(None)) {
                if begun.elapsed() > LIMIT {
                    let _ = child.kill();
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_server_is_a_name_and_a_url_or_a_command() {
        let running = Other::read("mine=http://127.0.0.1:8080/").unwrap();
        assert_eq!(running.name, "mine");
        assert_eq!(
            running.address().unwrap(),
            Some("127.0.0.1:8080".parse().unwrap())
        );
        let command = Other::read("its=server --listen={address}").unwrap();
        assert_eq!(command.how, "server --listen={address}");
        assert_eq!(command.address().unwrap(), None);
        assert!(Other::read("mine").is_err());
    }
}
