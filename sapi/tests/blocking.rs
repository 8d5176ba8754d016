//! A kill ends PHP wherever it blocks, and the thread serves on.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::task::Poll;

use common::{Pool, answer_of, await_blocked, folder};
use troupe_sapi::{KillReason, ScriptExit};

/// A server that accepts connections and never says a word.
struct Silent {
    listener: TcpListener,
}

impl Silent {
    fn start() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }
}

/// Kills a script that blocks, and expects its end and nothing after it.
fn kill_while_in(pool: &Pool, what: &str, query: &str) {
    let query = format!("do={}&{query}", what.replace(' ', "+"));
    let mut reader = pool.send("blocking.php", &query);
    await_blocked(&mut reader);
    assert!(pool.control().kill(KillReason::Operator, None), "{what}");
    let answer = answer_of(&mut reader);
    assert!(!answer.body.contains("after"), "{what}: {}", answer.body);
    let exit = loop {
        if let Some(end) = pool.seen(|seen| seen.ends.pop()) {
            break end.exit;
        }
        std::thread::yield_now();
    };
    assert_eq!(exit, ScriptExit::Killed(KillReason::Operator), "{what}");
}

#[test]
fn a_kill_ends_php_in_whatever_call_it_blocks() {
    let silent = Silent::start();
    let query = format!("port={}", silent.port());
    let pool = Pool::classic();
    for what in [
        "sleep",
        "usleep",
        "time_nanosleep",
        "fread",
        "fgets",
        "http",
        "tls",
        "stream_socket_accept",
        "stream_select",
        "socket_accept",
        "socket_read",
        "curl",
        "mysqli",
        "pgsql",
        "pdo_mysql",
        "pdo_pgsql",
        "exec",
        "exec of a silent child",
        "proc_close",
        "fread of a pipe",
    ] {
        kill_while_in(&pool, what, &query);
    }
    let (status, body) = pool.ask("blocking.php", "do=nothing");
    assert_eq!(status, 200);
    assert!(
        body.ends_with("after\n"),
        "the thread blocks and serves as before: {body}"
    );
    pool.stop();
}

#[test]
fn a_kill_ends_php_that_waits_for_a_lock() {
    let folder = folder("locks");
    let file = folder.join("lock");
    let pool = Pool::classic();
    let query = |file: &PathBuf| format!("file={}", file.display());

    let lock = File::create(&file).unwrap();
    lock.lock().unwrap();
    kill_while_in(&pool, "flock", &query(&file));

    let session = File::create(folder.join("sess_blocking")).unwrap();
    session.lock().unwrap();
    kill_while_in(&pool, "a session lock", &query(&file));

    let database = query(&folder.join("database"));
    let other = Pool::classic();
    let mut locker = other.send(
        "blocking.php",
        &format!("do=an+SQLite+transaction&{database}"),
    );
    await_blocked(&mut locker);
    kill_while_in(&pool, "a locked SQLite database", &database);
    assert!(other.control().kill(KillReason::Operator, None));
    other.stop();
    pool.stop();
}

#[test]
fn a_kill_of_a_worker_that_blocks_reaches_it_and_the_script_starts_again() {
    let silent = Silent::start();
    let pool = Pool::worker("worker.php");
    let mut reader = pool.send("", &format!("do=read&port={}", silent.port()));
    await_blocked(&mut reader);
    assert!(pool.control().kill(KillReason::Stop, None));
    assert!(!answer_of(&mut reader).body.contains("request"));
    assert_eq!(pool.ask("", "a=1"), (200, "request 1 of w1 a=1".into()));
    let exits: Vec<_> = pool.stop().into_iter().map(|end| end.exit).collect();
    assert_eq!(
        exits,
        [ScriptExit::Killed(KillReason::Stop), ScriptExit::Returned]
    );
}

#[test]
fn calls_that_do_not_block_are_untouched() {
    let server = Silent::start();
    let port = server.port();
    let pool = Pool::classic();
    let mut reader = pool.send("blocking.php", &format!("do=fgets&port={port}"));
    await_blocked(&mut reader);
    let (mut connection, _) = server.listener.accept().unwrap();
    connection.write_all(b"a line\n").unwrap();
    assert!(answer_of(&mut reader).body.ends_with("after\n"));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(matches!(reader.poll_part(&mut cx), Poll::Ready(Err(_))));
    pool.stop();
}
