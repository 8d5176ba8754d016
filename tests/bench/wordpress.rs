//! WordPress from Debian's package, on a MariaDB of its own, installed and ready to be read.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use troupe_tests::{MariaDb, eventually, package};

use crate::connection::Exchange;
use crate::servers::{Contestant, Launcher, Setup};

/// WordPress believes that it is on `localhost`, whatever port a server listens on.
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n";

/// Its cron would make requests to its own server, at a port that it takes from the name.
const PREFIX: &str = "<?php
define('DISABLE_WP_CRON', true);
define('WP_SITEURL', 'http://localhost');
define('WP_HOME', 'http://localhost');";

pub struct WordPress {
    // Serves until the comparison is over.
    _database: MariaDb,
    pub root: PathBuf,
}

impl WordPress {
    /// Installs it below `folder`. Panics when a package is missing, and names it.
    pub fn install(folder: &Path, php: &Path) -> Result<Self, Box<dyn Error>> {
        let database = MariaDb::start();
        database.run("create database wordpress character set utf8mb4");
        let root = folder.join("wordpress");
        fs::create_dir_all(&root)?;
        let files = package::installed("wordpress", "/usr/share/wordpress");
        package::copy(&files, &root);
        let socket = database.socket().display().to_string();
        let config = package::fixture("wordpress/wp-config.php")
            .replace("getenv('DB_SOCKET')", &format!("'{socket}'"))
            .replacen("<?php", PREFIX, 1)
            .replace("define('WP_DEBUG', true)", "define('WP_DEBUG', false)");
        fs::write(root.join("wp-config.php"), config)?;
        let install = "define('WP_INSTALLING', true);
            $_SERVER['HTTP_HOST'] = 'localhost'; $_SERVER['REQUEST_URI'] = '/';
            function wp_mail() { return true; }
            require 'wp-load.php'; require 'wp-admin/includes/upgrade.php';
            wp_install('A diary', 'author', 'author@example.org', true, '', 'password');";
        let output = Command::new(php)
            .args(["-d", "memory_limit=512M", "-r", install])
            .current_dir(&root)
            .output()?;
        if !output.status.success() {
            return Err(format!("WordPress is not installed: {output:?}").into());
        }
        Ok(Self {
            _database: database,
            root,
        })
    }

    /// The front page, as Troupe serves it once everything is in its place: what all answers must be.
    pub fn front_page(&self, launcher: &Launcher) -> Result<Exchange, Box<dyn Error>> {
        let setup = Setup {
            contestant: Contestant::Classic,
            network: 1,
            php: 1,
        };
        let server = launcher.launch(setup)?;
        eventually("Troupe serves WordPress", || {
            TcpStream::connect(server.address).ok()
        });
        let mut page = Vec::new();
        // The first one may be another: WordPress fills its caches.
        for _ in 0..3 {
            page = get(server.address)?;
        }
        let text = String::from_utf8_lossy(&page);
        if !text.contains("Hello world!") || !text.trim_end().ends_with("</html>") {
            return Err(format!("this is no front page: {text}").into());
        }
        Ok(Exchange {
            request: format!("{REQUEST}\r\n").into_bytes(),
            body: page,
        })
    }
}

fn get(server: SocketAddr) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut stream = TcpStream::connect(server)?;
    // HTTP/1.0: the body is all that follows the head.
    let request = REQUEST.replace("HTTP/1.1", "HTTP/1.0");
    stream.write_all(format!("{request}\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let end = end.ok_or("an answer without a head")?;
    Ok(answer.split_off(end + 4))
}
