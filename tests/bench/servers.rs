//! The servers that are compared, each started on loopback ports of its own and stopped by its process id.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contestant {
    /// Troupe, a clean state for every request.
    Classic,
    /// Troupe in worker mode.
    Worker,
    /// Troupe in worker mode once more: it must come out as the other one does.
    WorkerAgain,
    /// The bare actix-web handler in Troupe's binary.
    Bare,
    /// nginx in front of php-fpm.
    Fpm,
}

impl Contestant {
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "Troupe, classic",
            Self::Worker => "Troupe, worker",
            Self::WorkerAgain => "Troupe, worker (again)",
            Self::Bare => "bare actix-web",
            Self::Fpm => "nginx + php-fpm",
        }
    }
}

/// One way to set a contestant up.
pub struct Variant {
    pub contestant: Contestant,
    /// Its thread or process counts, as the table shows them.
    pub setup: String,
    pub address: SocketAddr,
    /// The processes that serve it; their children count as well.
    roots: Vec<u32>,
}

/// Threads for the network, and for PHP.
const TROUPE: &[(usize, usize)] = &[(1, 1), (1, 2), (2, 2), (1, 4), (2, 16), (1, 64)];
const BARE: &[usize] = &[1, 2];
const NGINX: &[usize] = &[1, 2];
const FPM: &[usize] = &[1, 2, 4, 16, 64];

/// Everything that runs.
pub struct Servers {
    pub variants: Vec<Variant>,
    children: Vec<Child>,
    folder: PathBuf,
}

/// Far more than a start takes.
const LIMIT: Duration = Duration::from_secs(20);

impl Servers {
    pub fn start(troupe: &Path, fpm: &Path, site: &Path) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("troupe-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let mut servers = Self {
            variants: Vec::new(),
            children: Vec::new(),
            folder,
        };
        for (io, threads) in TROUPE {
            servers.troupe(troupe, site, Contestant::Classic, *io, *threads)?;
            servers.troupe(troupe, site, Contestant::Worker, *io, *threads)?;
            servers.troupe(troupe, site, Contestant::WorkerAgain, *io, *threads)?;
        }
        for io in BARE {
            servers.bare(troupe, *io)?;
        }
        servers.fpm(fpm, site)?;
        for variant in &servers.variants {
            wait_for(variant.address)?;
        }
        Ok(servers)
    }

    fn troupe(
        &mut self,
        binary: &Path,
        site: &Path,
        contestant: Contestant,
        io: usize,
        threads: usize,
    ) -> io::Result<()> {
        let address = free_address()?;
        let mut command = Command::new(binary);
        command
            .env("TROUPE_SERVER_IO_THREADS", io.to_string())
            .args(["php-server", "--admin", "off", "--listen"])
            .arg(address.to_string())
            .arg("--root")
            .arg(site);
        let count = match contestant {
            Contestant::Classic => threads,
            // It has classic threads too, for scripts that are no worker.
            _ => 1,
        };
        command.args(["--threads", &count.to_string()]);
        if contestant != Contestant::Classic {
            let worker = site.join("index.php");
            command.arg(format!("--worker={},{threads}", worker.display()));
        }
        let pid = self.spawn(command)?;
        self.variants.push(Variant {
            contestant,
            setup: format!("{io} + {threads} threads"),
            address,
            roots: vec![pid],
        });
        Ok(())
    }

    fn bare(&mut self, binary: &Path, io: usize) -> io::Result<()> {
        let address = free_address()?;
        let mut command = Command::new(binary);
        command
            .env("TROUPE_SERVER_IO_THREADS", io.to_string())
            .args(["bench-handler", "--listen"])
            .arg(address.to_string());
        let pid = self.spawn(command)?;
        self.variants.push(Variant {
            contestant: Contestant::Bare,
            setup: format!("{io} threads"),
            address,
            roots: vec![pid],
        });
        Ok(())
    }

    /// One php-fpm with a pool for every count, and nginx with a port for every pool.
    ///
    /// Connections between the two are not kept: an idle one would keep its php-fpm process from all other
    /// requests, for ever when there are more of them than processes.
    fn fpm(&mut self, binary: &Path, site: &Path) -> io::Result<()> {
        let config = self.folder.join("fpm.conf");
        fs::write(&config, self.fpm_config())?;
        let mut command = Command::new(binary);
        command
            .arg("--nodaemonize")
            .arg("--fpm-config")
            .arg(&config);
        if is_root() {
            command.arg("--allow-to-run-as-root");
        }
        let fpm = self.spawn(command)?;
        for workers in NGINX {
            let addresses = FPM
                .iter()
                .map(|_| free_address())
                .collect::<io::Result<Vec<_>>>()?;
            let config = self.folder.join(format!("nginx-{workers}.conf"));
            fs::write(&config, self.nginx_config(site, *workers, &addresses))?;
            let mut command = Command::new("nginx");
            command.arg("-c").arg(&config).arg("-e").arg("stderr");
            let nginx = self.spawn(command)?;
            for (children, address) in FPM.iter().zip(addresses) {
                self.variants.push(Variant {
                    contestant: Contestant::Fpm,
                    setup: format!("{workers} + {children} processes"),
                    address,
                    roots: vec![nginx, fpm],
                });
            }
        }
        Ok(())
    }

    pub fn fpm_config(&self) -> String {
        let is_root = is_root();
        let folder = self.folder.display();
        let mut text = format!("[global]\nerror_log = {folder}/fpm.log\ndaemonize = no\n");
        for children in FPM {
            text.push_str(&format!(
                "[pool{children}]\nlisten = {folder}/fpm-{children}.sock\nlisten.backlog = 4096\n\
                 pm = static\npm.max_children = {children}\n"
            ));
            if is_root {
                text.push_str("user = root\ngroup = root\n");
            }
        }
        text
    }

    pub fn nginx_config(&self, site: &Path, workers: usize, addresses: &[SocketAddr]) -> String {
        let folder = self.folder.display();
        let mut text = String::new();
        if is_root() {
            text.push_str("user root;\n");
        }
        text.push_str(&format!(
            "daemon off;\nworker_processes {workers};\npid {folder}/nginx-{workers}.pid;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n\
             access_log {folder}/nginx-{workers}.log;\n\
             keepalive_requests 100000000;\n\
             tcp_nodelay on;\n\
             client_body_buffer_size 256k;\n\
             client_max_body_size 16m;\n\
             client_body_temp_path {folder}/body-{workers};\n\
             fastcgi_temp_path {folder}/fastcgi-{workers};\n\
             proxy_temp_path {folder}/proxy-{workers};\n\
             uwsgi_temp_path {folder}/uwsgi-{workers};\n\
             scgi_temp_path {folder}/scgi-{workers};\n\
             fastcgi_buffer_size 64k;\n\
             fastcgi_buffers 16 64k;\n"
        ));
        for (children, address) in FPM.iter().zip(addresses) {
            text.push_str(&format!(
                "server {{ listen {address} backlog=4096; root {root};\n\
                 location ~ \\.php$ {{ fastcgi_pass unix:{folder}/fpm-{children}.sock;\n\
                 include /etc/nginx/fastcgi_params;\n\
                 fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; }} }}\n",
                root = site.display(),
            ));
        }
        text.push_str("}\n");
        text
    }

    /// Where sockets, logs and configurations lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn spawn(&mut self, mut command: Command) -> io::Result<u32> {
        let log = self.folder.join(format!("output-{}", self.children.len()));
        let output = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{command:?}: {error}")))?;
        let pid = child.id();
        self.children.push(child);
        Ok(pid)
    }
}

impl Drop for Servers {
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
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        // Only logs are in it.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Variant {
    /// Time on processors, of all its threads since their start.
    pub fn cpu_time(&self) -> Duration {
        let mut pids = self.roots.clone();
        let mut next = 0;
        while let Some(pid) = pids.get(next).copied() {
            pids.extend(children_of(pid));
            next += 1;
        }
        pids.sort_unstable();
        pids.dedup();
        pids.into_iter().map(cpu_time_of).sum()
    }
}

fn children_of(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = text.unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// In nanoseconds by the scheduler; the clock ticks of `stat` are too coarse for a burst.
fn cpu_time_of(pid: u32) -> Duration {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Duration::ZERO;
    };
    tasks
        .filter_map(|task| {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
            Some(Duration::from_nanos(nanoseconds))
        })
        .sum()
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn wait_for(address: SocketAddr) -> io::Result<()> {
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        if begun.elapsed() > LIMIT {
            return Err(io::Error::other(format!("nobody serves {address}")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
