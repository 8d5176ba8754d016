//! A private MariaDB: its own data, its own socket, no port; it goes with its owner.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::{Folder, eventually};
use rustix::process::{Pid, Signal, getuid, kill_process};

use crate::package::{output, program};

/// See the module. Its user `root` has no password.
pub struct MariaDb {
    child: Child,
    folder: Folder,
}

impl MariaDb {
    #[track_caller]
    pub fn start() -> Self {
        let folder = Folder::new();
        let data = format!("--datadir={}", folder.join("data").display());
        let socket = format!("--socket={}", folder.join("socket").display());
        let mut install = Command::new(program("mariadb-server-core", "mariadb-install-db"));
        install
            .args(["--no-defaults", "--skip-test-db", "--skip-name-resolve"])
            .args(["--auth-root-authentication-method=normal", &data]);
        let mut server = Command::new(program("mariadb-server-core", "mariadbd"));
        server
            .args(["--no-defaults", "--skip-networking", &data, &socket])
            // Nothing of this outlives the test: it need not survive a crash of the machine.
            .args(["--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0"])
            .args([
                "--innodb-buffer-pool-size=64M",
                "--innodb-log-file-size=16M",
            ]);
        if getuid().is_root() {
            // It wants to be told that this is meant.
            install.arg("--user=root");
            server.arg("--user=root");
        }
        output(&mut install);
        let log = std::fs::File::create(folder.join("log")).unwrap();
        server
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = server.spawn().expect("MariaDB can be started");
        let mut database = Self { child, folder };
        eventually("MariaDB answers", || {
            if let Some(status) = database.child.try_wait().unwrap() {
                panic!("MariaDB ended, {status}: {}", database.folder.read("log"));
            }
            let mut ping = database.client("select 1");
            let status = ping.stderr(Stdio::null()).stdout(Stdio::null()).status();
            status.unwrap().success().then_some(())
        });
        database
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// Runs a statement; returns its rows, values separated by tabs.
    #[track_caller]
    pub fn run(&self, sql: &str) -> String {
        let output = output(&mut self.client(sql));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn client(&self, sql: &str) -> Command {
        let mut command = Command::new(program("mariadb-client", "mariadb"));
        command
            .args([
                "--no-defaults",
                "--user=root",
                "--batch",
                "--skip-column-names",
            ])
            .arg("--socket")
            .arg(self.socket())
            .arg("--execute")
            .arg(sql);
        command
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        // It may have ended already, which the test will have noticed.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
