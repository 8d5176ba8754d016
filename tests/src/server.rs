//! A running server.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::client::{Address, Client};
use crate::command::troupe;
use crate::eventually;
use crate::folder::Folder;
use crate::log::Log;
use crate::request::Request;
use crate::response::Response;
use crate::setup::Setup;

/// See the module. When it goes, it is stopped by SIGTERM and must come to a clean end; a test that has
/// failed kills it and shows its log.
pub struct Server {
    child: Child,
    folder: Folder,
    addresses: Vec<Address>,
    log: Log,
    /// The test has seen to its end.
    is_over: bool,
}

impl Server {
    #[track_caller]
    pub(crate) fn start(setup: Setup) -> Self {
        let config = setup.write_config();
        let mut command = match setup.soft_limit {
            None => troupe(),
            Some(limit) => limited(limit),
        };
        command.arg("run").arg("--config").arg(config);
        command.envs(setup.environment.clone());
        Self::spawn(command, setup.folder)
    }

    /// Starts a server by its command line, which must listen on TCP and log JSON.
    #[track_caller]
    pub fn spawn(mut command: Command, folder: Folder) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server can be started");
        let log = Log::default();
        log.follow(child.stdout.take().unwrap());
        log.follow(child.stderr.take().unwrap());
        let mut server = Self {
            child,
            folder,
            addresses: Vec::new(),
            log,
            is_over: false,
        };
        server.addresses = eventually("the server serves", || {
            if let Some(status) = server.child.try_wait().unwrap() {
                server.is_over = true;
                panic!("the server ended with {status}");
            }
            let record = server.log.find(|record| record["message"] == "serving")?;
            Some(addresses(&record["listen"]))
        });
        server
    }

    /// The folder of this test, in which its scripts may write.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The first address it listens on.
    pub fn address(&self) -> &Address {
        &self.addresses[0]
    }

    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// `127.0.0.1:43210`
    pub fn host(&self) -> String {
        self.address().host()
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// A new connection.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Sends a request on a new connection, and returns its response.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        self.connect().request(request)
    }

    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.send(&Request::get(target))
    }

    /// Sends a request to the admin endpoint.
    #[track_caller]
    pub fn admin(&self, request: &Request) -> Response {
        Client::connect(&self.admin_address()).request(request)
    }

    pub fn admin_address(&self) -> Address {
        Address::Unix(self.folder.join("admin.sock"))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the server lives");
    }

    /// Waits for the process to end, without a wish of the test's own.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let status = eventually("the server ends", || self.child.try_wait().unwrap());
        self.is_over = true;
        status
    }

    /// Stops it as an operator would, which must be a success; returns its log.
    #[track_caller]
    pub fn stop(mut self) -> Log {
        self.end();
        self.log.clone()
    }

    #[track_caller]
    fn end(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "after SIGTERM: {status}\n{}", self.log);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // It may have ended already.
            let _ = self.child.kill();
            let _ = self.child.wait();
            eprintln!("--- the server's log\n{}---", self.log);
        } else if !self.is_over {
            self.end();
        }
    }
}

/// The server's command by way of a shell that limits open files.
fn limited(limit: u32) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -Sn {limit} && exec \"$0\" \"$@\"");
    command.arg("-c").arg(script).arg(troupe().get_program());
    command
}

/// `["http://127.0.0.1:43210", "unix:/path"]`, as the log has it.
fn addresses(listen: &Value) -> Vec<Address> {
    let list: Vec<String> = match listen {
        Value::String(text) => serde_json::from_str(text).expect("a list of addresses"),
        list => serde_json::from_value(list.clone()).expect("a list of addresses"),
    };
    let address = |text: &String| match text.strip_prefix("unix:") {
        Some(path) => Address::Unix(PathBuf::from(path)),
        None => {
            let (_, address) = text.split_once("://").expect("a URL");
            Address::Tcp(address.parse().expect("an address and a port"))
        }
    };
    list.iter().map(address).collect()
}
