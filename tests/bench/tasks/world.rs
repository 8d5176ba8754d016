//! The servers and scripts that take part, each on sockets of its own, each ended by its process id.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Way;
use crate::sums::Burst;

/// Workers that publish vars, and how many bytes.
pub const VARS: [(&str, usize); 2] = [("small", 100), ("large", 1 << 20)];

/// Far more than a start takes.
const LIMIT: Duration = Duration::from_secs(20);

pub struct World {
    folder: PathBuf,
    address: SocketAddr,
    troupe: Child,
    redis: Child,
    workers: Vec<Child>,
}

impl World {
    pub fn start(troupe: &Path) -> io::Result<Self> {
        let folder =
            std::env::temp_dir().join(format!("troupe-bench-tasks-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = folder.join("troupe.toml");
        fs::write(&config, config_text(address))?;
        let log = File::create(folder.join("troupe.log"))?;
        let troupe = Command::new(troupe)
            .args(["run", "--config"])
            .arg(&config)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let socket = folder.join("redis.sock");
        let redis = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "no",
                "--unixsocket",
            ])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()?;
        let world = Self {
            folder,
            address,
            troupe,
            redis,
            workers: Vec::new(),
        };
        until("Troupe serves", || TcpStream::connect(address).is_ok())?;
        until("Redis serves", || socket.exists())?;
        Ok(world)
    }

    /// Has so many workers serve the list of jobs.
    pub fn redis_workers(&mut self, count: usize) -> io::Result<()> {
        self.workers.drain(..).try_for_each(end)?;
        for _ in 0..count {
            let worker = self.redis_script(&["worker"]).spawn()?;
            self.workers.push(worker);
        }
        Ok(())
    }

    fn redis_script(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("php8.2");
        let (role, rest) = arguments.split_at(1);
        command.arg(scripts().join("redis.php")).args(role);
        command.arg(self.folder.join("redis.sock")).args(rest);
        command
    }

    /// Lets senders make round trips side by side.
    pub fn burst(
        &self,
        way: Way,
        senders: usize,
        pool: usize,
        size: usize,
        seconds: f64,
    ) -> io::Result<Burst> {
        let mut burst = Burst::default();
        let answers: Vec<io::Result<Vec<u8>>> = thread::scope(|scope| {
            let senders: Vec<_> = (0..senders)
                .map(|number| {
                    scope.spawn(move || match way {
                        Way::Redis => self.redis_sender(number, size, seconds),
                        Way::Tasks => self.get(&format!(
                            "way=tasks&pool=pool{pool}&size={size}&seconds={seconds}"
                        )),
                        Way::Http => self.get(&format!(
                            "way=http&pool={pool}&size={size}&seconds={seconds}"
                        )),
                    })
                })
                .collect();
            let join = |sender: thread::ScopedJoinHandle<'_, _>| sender.join();
            let gone = |_| Err(io::Error::other("a sender panicked"));
            senders
                .into_iter()
                .map(|sender| join(sender).unwrap_or_else(gone))
                .collect()
        });
        for answer in answers {
            burst.add(&answer?)?;
        }
        Ok(burst)
    }

    /// Lets one sender read many updates of each task.
    pub fn updates(&self, each: usize, seconds: f64) -> io::Result<Burst> {
        let mut burst = Burst::default();
        let query = format!("way=tasks&pool=pool1&size=16&seconds={seconds}&updates={each}");
        burst.add(&self.get(&query)?)?;
        Ok(burst)
    }

    fn redis_sender(&self, number: usize, size: usize, seconds: f64) -> io::Result<Vec<u8>> {
        let (number, seconds, size) = (number.to_string(), seconds.to_string(), size.to_string());
        let output = self
            .redis_script(&["sender", &number, &seconds, &size])
            .output()?;
        Ok(output.stdout)
    }

    /// Nanoseconds that a script takes to read published vars of this size.
    pub fn read_vars(&self, script: &str, name: &str, size: usize) -> io::Result<f64> {
        let answer = self.ask(&format!("{script}?name={name}&size={size}"))?;
        serde_json::from_slice(&answer).map_err(|_| {
            let answer = String::from_utf8_lossy(&answer);
            io::Error::other(format!("{script} answers {answer:?}"))
        })
    }

    fn get(&self, query: &str) -> io::Result<Vec<u8>> {
        self.ask(&format!("sender.php?{query}"))
    }

    fn ask(&self, target: &str) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address)?;
        let address = self.address;
        write!(stream, "GET /{target} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        Ok(answer.split_off(body.map_or(0, |at| at + 4)))
    }

    /// Processor time that Troupe has used.
    pub fn cpu_seconds(&self) -> io::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.troupe.id()))?;
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<f64>().ok());
        let total = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
        Ok(total.unwrap_or_default() / rustix::param::clock_ticks_per_second() as f64)
    }

    /// A server that has died or complained has measured nothing.
    pub fn check(mut self) -> Result<(), Box<dyn std::error::Error>> {
        if let Some(status) = self.troupe.try_wait()? {
            return Err(format!("Troupe ended with {status}").into());
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in self
            .workers
            .iter_mut()
            .chain([&mut self.troupe, &mut self.redis])
        {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        // What is left over is in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn end(mut child: Child) -> io::Result<()> {
    child.kill()?;
    child.wait().map(drop)
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/tasks")
}

fn until(what: &str, is_so: impl Fn() -> bool) -> io::Result<()> {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > LIMIT {
            return Err(io::Error::other(format!("never came: {what}")));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn config_text(address: SocketAddr) -> String {
    let site = scripts().join("site");
    let mut text = format!(
        "[server]\nlisten = [\"{address}\"]\nio_threads = 1\naccess_log = \"off\"\nbody_size = \"64MiB\"\n\
         [admin]\nlisten = \"off\"\n[php]\nthreads = 17\n[php.ini]\nmemory_limit = \"512M\"\n\
         [[site]]\nroot = {site:?}\n"
    );
    for count in [1, 4] {
        let (worker, pool) = (
            site.join("worker.php"),
            site.join(format!("pool{count}.php")),
        );
        text += &format!(
            "[[site.background]]\nname = \"pool{count}\"\nscript = {worker:?}\nnum = {count}\nmax_queue = 64\n\
             [[site.worker]]\nscript = {pool:?}\nnum = {count}\n"
        );
    }
    for (name, size) in VARS {
        let script = site.join("vars.php");
        text += &format!(
            "[[site.background]]\nname = \"{name}\"\nscript = {script:?}\nnum = 1\nenv = {{ SIZE = \"{size}\" }}\n"
        );
    }
    let script = site.join("read-worker.php");
    text += &format!("[[site.worker]]\nscript = {script:?}\nnum = 1\n");
    text
}
