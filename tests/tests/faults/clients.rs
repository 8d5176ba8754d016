//! Clients that are slow, or leave.

use std::thread;

use serde_json::json;
use troupe_tests::{Http2, Request, eventually};

use crate::{await_upload, faults, harms_nobody};

#[test]
fn a_client_that_never_finishes_its_headers_is_dropped() {
    let server = faults().server("header_read_timeout = \"300ms\"").start();
    harms_nobody(&server, || {
        let mut silent = server.connect();
        silent.write("GET /hello.php HTTP/1.1\r\nHost");
        let mut dripping = server.connect();
        dripping.write("GET /hello.php HTTP/1.1\r\nX: ");
        eventually("the dripping client is dropped", || {
            thread::sleep(std::time::Duration::from_millis(20));
            dripping.try_write("a").is_err().then_some(())
        });
        let refused = String::from_utf8(silent.rest()).unwrap();
        assert!(
            refused.is_empty() || refused.starts_with("HTTP/1.1 408 "),
            "{refused}"
        );
        // The second request of a connection is no exception.
        let mut second = server.connect();
        second.request(&Request::get("/hello.php")).expect(200);
        second.write("GET /hello.php HTTP/1.1\r\n");
        second.rest();
    });
}

#[test]
fn a_client_that_stops_sending_its_body_gets_a_408() {
    let server = faults().server("body_idle_timeout = \"300ms\"").start();
    harms_nobody(&server, || {
        for length in [10, 1_000_000] {
            let mut client = server.connect();
            client.write(format!(
                "POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nabc"
            ));
            assert_eq!(client.response().status, 408, "of {length}");
        }
    });
}

#[test]
fn slow_small_bodies_hold_up_no_thread() {
    let server = faults().php("max_threads = 2").start();
    let slow: Vec<_> = (0..10)
        .map(|_| {
            let mut client = server.connect();
            client.write("POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
            client
        })
        .collect();
    harms_nobody(&server, || {
        assert_eq!(server.folder().read("upload"), "", "none has begun");
    });
    for mut client in slow {
        client.write("def");
        assert_eq!(client.response().expect(200).text(), "6");
    }
}

#[test]
fn a_client_that_reads_nothing_is_given_up() {
    let server = faults().server("write_idle_timeout = \"300ms\"").start();
    harms_nobody(&server, || {
        let mut client = server.connect();
        client.send(&Request::get("/download.php"));
        eventually("the script was told", || {
            (server.folder().read("download") == "aborted=1\n").then_some(())
        });
    });
}

#[test]
fn a_client_that_leaves_amid_its_upload_ends_the_script() {
    let server = faults().start();
    harms_nobody(&server, || {
        let mut client = server.connect();
        client.write("POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        client.write("x".repeat(100_000));
        await_upload(&server, "begun");
        drop(client);
        await_upload(&server, "ended");
    });
    let seen = server.folder().read("upload");
    assert!(!seen.contains("aborted=0"), "{seen}");
}

#[test]
fn the_half_of_a_file_that_was_uploaded_is_removed() {
    let folder = troupe_tests::Folder::new();
    let temporary = folder.path().to_owned();
    let files = || std::fs::read_dir(&temporary).unwrap().count();
    let server = faults()
        .ini("upload_tmp_dir", temporary.to_str().unwrap())
        .start();
    harms_nobody(&server, || {
        let mut client = server.connect();
        client.write(
            "POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\
             Content-Type: multipart/form-data; boundary=x\r\n\r\n\
             --x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n",
        );
        client.write("x".repeat(500_000));
        eventually("PHP writes it", || (files() == 1).then_some(()));
        drop(client);
        eventually("it is gone", || (files() == 0).then_some(()));
    });
    assert_eq!(server.folder().read("upload"), "", "the script has not run");
}

#[test]
fn a_client_that_leaves_amid_a_small_upload_starts_no_script() {
    let server = faults().start();
    let mut client = server.connect();
    client.write("POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    drop(client);
    server.log().wait("its access record", |record| {
        record["uri"] == "/upload.php" && record["status"] != 200
    });
    assert_eq!(server.folder().read("upload"), "");
}

#[test]
fn a_client_that_leaves_amid_its_download_ends_the_script() {
    let server = faults().start();
    harms_nobody(&server, || {
        let mut client = server.connect();
        client.send(&Request::get("/download.php"));
        assert_eq!(client.head().status, 200);
        client.bytes(100_000);
        drop(client);
        eventually("the script was told", || {
            (server.folder().read("download") == "aborted=1\n").then_some(())
        });
    });
    let record = server.log().wait("its access record", |record| {
        record["uri"] == "/download.php"
    });
    assert_eq!(record["complete"], false);
}

#[test]
fn a_client_that_leaves_its_download_by_http_2_ends_the_script() {
    let server = faults().start();
    let told = |times: usize| {
        eventually("the script was told", || {
            (server.folder().read("download") == "aborted=1\n".repeat(times)).then_some(())
        });
    };
    harms_nobody(&server, || {
        let mut client = Http2::connect(&server);
        let download = client.get("/download.php");
        client.data(download);
        client.reset(download);
        told(1);
        let hello = client.get("/hello.php");
        assert_eq!(client.text(hello), "hello", "the connection goes on");
        let download = client.get("/download.php");
        client.data(download);
        drop(client);
        told(2);
    });
    eventually("their access records", || {
        let incomplete = server
            .log()
            .all(|record| record["uri"] == "/download.php" && record["complete"] == false);
        (incomplete.len() == 2).then_some(())
    });
}

#[test]
fn a_client_that_leaves_before_its_answer_has_a_record_too() {
    let server = faults().start();
    harms_nobody(&server, || {
        let mut client = server.connect();
        client.send(&Request::get("/sleep.php?limit=1"));
        server.busy_with("/sleep.php");
        drop(client);
        let record = server.log().wait("its access record", |record| {
            record["uri"] == "/sleep.php?limit=1"
        });
        assert_eq!(
            (&record["status"], &record["complete"]),
            (&json!(499), &json!(false))
        );
    });
}

#[test]
fn many_clients_that_vanish_leave_nothing_behind() {
    let server = faults().start();
    harms_nobody(&server, || {
        for turn in 0..200 {
            let mut client = server.connect();
            match turn % 4 {
                0 => {}
                1 => client.write("GET /hel"),
                2 => client.send(&Request::get("/hello.php")),
                _ => client.write(
                    "POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc",
                ),
            }
        }
    });
    // Whatever runs must end by itself for the server to come to its end in time.
    server.stop();
}
