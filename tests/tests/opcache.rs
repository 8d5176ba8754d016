//! OPcache's larger features, in classic and in worker mode: preloading, and code compiled by the JIT.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use troupe_tests::{Request, Server, Setup};

/// Settings under test, without and with a worker for the page.
fn servers(ini: &[(&str, &str)]) -> [(Server, Value); 2] {
    let setup = || {
        let setup = Setup::serving("opcache").php("threads = 2");
        let ini = ini.iter();
        ini.fold(setup, |setup, (name, value)| setup.ini(name, value))
    };
    [
        (setup().start(), Value::Null),
        (setup().worker("page.php", "num = 2").start(), json!("page")),
    ]
}

/// What the page says to some clients at once, each of which asks several times.
fn pages(server: &Server) -> Vec<Value> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.connect();
                    let pages = (0..25).map(|_| {
                        client
                            .request(&Request::get("/page.php"))
                            .expect(200)
                            .json()
                    });
                    pages.collect::<Vec<_>>()
                })
            })
            .collect();
        let pages = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        pages.collect()
    })
}

#[test]
fn what_is_preloaded_is_there_in_every_request() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/php/opcache/preload.php");
    // Only root has to say as whom it preloads.
    let ini = [
        ("opcache.preload", file),
        ("opcache.preload_user", "root"),
        ("opcache.jit", "disable"),
    ];
    for (server, worker) in servers(&ini) {
        for page in pages(&server) {
            assert_eq!(page["preloaded"], json!(["preloaded", "as well"]));
            assert_eq!(page["preloaded scripts"], true);
            assert_eq!(page["worker"], worker);
            assert_eq!(page["jit"], false);
        }
        let record = server.stop();
        assert!(record.all_with("PHP Fatal").is_empty());
    }
}

#[test]
fn the_jit_compiles_what_is_hot_when_it_is_asked_for() {
    for mode in ["tracing", "function"] {
        let ini = [("opcache.jit", mode), ("opcache.jit_buffer_size", "32M")];
        for (server, worker) in servers(&ini) {
            let first = server.get("/page.php").expect(200).json();
            let pages = pages(&server);
            for page in &pages {
                assert_eq!(page["jit"], true, "{mode}");
                assert_eq!(page["sum"], 599_997, "{mode}");
                assert_eq!(page["worker"], worker);
            }
            let memory = |page: &Value| page["jit memory"].as_u64().unwrap();
            let last = pages.iter().map(memory).max().unwrap();
            // Tracing compiles what it has seen run; whole functions are compiled with their file.
            let grows = last > memory(&first);
            assert_eq!(grows, mode == "tracing", "{first} {last}");
        }
    }
}

#[test]
fn when_a_script_was_last_used_is_told_right_to_several_threads_at_once() {
    let server = Setup::serving("opcache").php("threads = 4").start();
    server.get("/page.php").expect(200);
    // Its time is another one than that of the script that asks.
    thread::sleep(Duration::from_millis(1100));
    let seen: Vec<Value> = thread::scope(|scope| {
        let ask = || server.get("/status.php").expect(200).json();
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        let answers = asking.into_iter().map(|asked| asked.join().unwrap());
        answers.collect()
    });
    for seen in seen {
        assert!(seen["scripts"].as_u64().unwrap() >= 40_000, "{seen}");
        assert_eq!(seen["wrong"], json!([]));
    }
}
