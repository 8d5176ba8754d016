//! Background workers and tasks, as pages of the site use them.

use std::thread;

use serde_json::json;
use troupe_tests::{Request, Server, Setup, eventually};

fn background(lines: &str) -> Server {
    Setup::serving("background")
        .background("worker.php", lines)
        .start()
}

fn page(server: &Server, query: &str) -> serde_json::Value {
    server.get(&format!("/page.php?{query}")).expect(200).json()
}

#[test]
fn a_page_reads_what_a_worker_has_published() {
    let server = background("name = \"counter\"\nnum = 1");
    assert_eq!(
        page(&server, "do=vars"),
        json!({"name": "counter", "background": true, "boots": 1, "limit": "0"})
    );
    assert_eq!(page(&server, "do=vars")["boots"], 1);
}

#[test]
fn a_worker_of_no_threads_is_started_by_its_first_use() {
    let server = background("name = \"counter\"\nnum = 0");
    assert_eq!(server.folder().read("boots"), "");
    assert_eq!(page(&server, "do=vars")["boots"], 1);
}

#[test]
fn the_catch_all_starts_a_worker_for_each_name() {
    let server = background("max_names = 2");
    assert_eq!(page(&server, "do=vars&name=one")["name"], "one");
    assert_eq!(page(&server, "do=vars&name=two")["name"], "two");
    assert_eq!(page(&server, "do=vars&name=one")["name"], "one");
    assert!(page(&server, "do=vars&name=three")["refused"].is_string());
}

#[test]
fn a_name_that_nobody_serves_is_refused_at_once() {
    let server = background("name = \"counter\"");
    assert!(page(&server, "do=vars&name=nobody")["refused"].is_string());
    assert!(page(&server, "do=task&name=nobody")["refused"].is_string());
}

#[test]
fn the_updates_of_a_task_arrive_in_order_and_then_its_end() {
    let server = background("name = \"counter\"\nnum = 1");
    let all: Vec<u32> = (1..=100).collect();
    assert_eq!(
        page(&server, "do=task&updates=100"),
        json!({"updates": all, "error": null})
    );
    assert_eq!(
        page(&server, "do=task"),
        json!({"updates": [], "error": null})
    );
}

#[test]
fn a_worker_that_dies_amid_a_task_never_looks_like_its_completion() {
    let server = background("name = \"counter\"\nnum = 1");
    for (deaths, end) in [(1, "exit"), (2, "throw")] {
        assert_eq!(
            page(&server, &format!("do=task&updates=3&end={end}")),
            json!({
                "updates": [1, 2, 3],
                "error": "background worker exited without completing the task",
            })
        );
        eventually("it was started again", || {
            (page(&server, "do=vars")["boots"] == 1 + deaths).then_some(())
        });
        server.log().wait("its exit", |record| {
            record["message"] == "exited" && record["node"].to_string().contains("counter")
        });
    }
    server.log().wait_text("amid a task");
    assert_eq!(page(&server, "do=task&updates=1")["updates"], json!([1]));
}

#[test]
fn many_pages_share_the_threads_of_a_worker() {
    let server = background("name = \"counter\"\nnum = 2\nmax_queue = 8");
    let address = server.address().clone();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let request = Request::get("/page.php?do=task&updates=5");
                    let answer = troupe_tests::Client::connect(&address).request(&request);
                    assert_eq!(
                        answer.expect(200).json(),
                        json!({"updates": [1, 2, 3, 4, 5], "error": null})
                    );
                }
            });
        }
    });
}

#[test]
fn a_restart_asks_a_worker_to_stop_and_starts_it_anew() {
    let server = background("name = \"counter\"\nnum = 1");
    assert_eq!(page(&server, "do=vars")["boots"], 1);
    let restart = server.admin(&Request::new("POST", "/frankenphp/workers/restart"));
    restart.expect(200);
    assert_eq!(server.folder().read("stops"), "counter\n");
    assert_eq!(page(&server, "do=vars")["boots"], 2);
}
