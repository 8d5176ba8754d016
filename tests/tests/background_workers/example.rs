//! `examples/flags` with a real Redis.

use std::process::{Child, Command, Stdio};

use troupe_tests::{Folder, Server, eventually, troupe};

/// A Redis on a socket of the test's folder.
struct Redis {
    child: Child,
    socket: String,
}

impl Redis {
    fn start(folder: &Folder) -> Self {
        let socket = folder.join("redis.sock").to_str().unwrap().to_owned();
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--dir"])
            .arg(folder.path())
            .args(["--unixsocket", &socket])
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server: {error}"));
        let redis = Self { child, socket };
        eventually("Redis answers", || {
            (redis.try_say(&["PING"])? == "PONG\n").then_some(())
        });
        redis
    }

    fn try_say(&self, words: &[&str]) -> Option<String> {
        let output = Command::new("redis-cli")
            .args(["-s", &self.socket])
            .args(words)
            .output()
            .unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// Sets a flag, and says so.
    fn set(&self, flag: &str, value: &str) {
        self.try_say(&["HSET", "flags", flag, value]).unwrap();
        self.try_say(&["PUBLISH", "flags", "changed"]).unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn example(redis: &str) -> Server {
    let mut command = troupe();
    command
        .args(["run", "--config"])
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../examples/flags/troupe.toml"
        ))
        .env("TROUPE_SERVER_LISTEN", "127.0.0.1:0")
        .env("TROUPE_SERVER_LOG_FORMAT", "json")
        .env("TROUPE_ADMIN_LISTEN", "off")
        .env("TROUPE_SITE_FLAGS_ENV", format!("REDIS={redis}"));
    Server::spawn(command, Folder::new())
}

#[track_caller]
fn becomes(server: &Server, expected: &str) {
    eventually(expected, || {
        let page = server.get("/").expect(200);
        (page.text() == expected).then_some(())
    });
}

#[test]
fn requests_read_the_flags_that_redis_holds_and_keep_them_while_it_is_away() {
    let folder = Folder::new();
    let socket = folder.join("redis.sock").to_str().unwrap().to_owned();
    // Redis is not there yet: requests are served all the same.
    let server = example(&socket);
    assert_eq!(
        server.get("/").expect(200).text(),
        "checkout: old\nflags: {}\n"
    );
    server.log().wait_text("Redis is away");
    let redis = Redis::start(&folder);
    redis.set("checkout", "new");
    becomes(&server, "checkout: new\nflags: {\"checkout\":\"new\"}\n");
    redis.set("search", "on");
    becomes(
        &server,
        "checkout: new\nflags: {\"checkout\":\"new\",\"search\":\"on\"}\n",
    );
    drop(redis);
    server.log().wait_text("the subscription has ended");
    becomes(
        &server,
        "checkout: new\nflags: {\"checkout\":\"new\",\"search\":\"on\"}\n",
    );
    // It comes back empty.
    let redis = Redis::start(&folder);
    becomes(&server, "checkout: old\nflags: {}\n");
    redis.set("checkout", "newest");
    becomes(
        &server,
        "checkout: newest\nflags: {\"checkout\":\"newest\"}\n",
    );
}
