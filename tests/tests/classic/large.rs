//! Bodies that are larger than what the server holds in memory, and files that are uploaded.

use serde_json::json;
use troupe_tests::{Part, Request, Server, eventually};

use crate::classic;

/// Bytes that repeat in no power of two.
fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// The most memory that the server's process ever had, in bytes.
fn most_memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
    kib * 1024
}

#[test]
fn a_large_body_arrives_whole_and_is_never_wholly_in_memory() {
    let server = classic()
        .ini("memory_limit", "8M")
        .ini("post_max_size", "64M")
        .start();
    let body = noise(48 << 20);
    let post = |body| Request::post("/input.php", "application/octet-stream", body);
    // What any first body takes is no matter of its size.
    server.send(&post(&body[..1 << 20])).expect(200);
    let before = most_memory(&server);
    let large = server.send(&post(&body)).expect(200).json();
    let grown = most_memory(&server) - before;
    assert!(grown < 24 << 20, "{grown} bytes more for a body of 48 MiB");
    assert_eq!(large["length"], body.len());
    assert_eq!(large["again"], true);
    assert!(large["memory"].as_u64().unwrap() < 8 << 20);

    let mut client = server.connect();
    client.write("POST /input.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.chunks(100_000) {
        client.write(format!("{:x}\r\n", piece.len()));
        client.write(piece);
        client.write("\r\n");
    }
    client.write("0\r\n\r\n");
    let chunked = client.response().expect(200).json();
    assert_eq!(chunked["sha256"], large["sha256"]);
}

#[test]
fn uploaded_files_are_there_for_the_request_and_gone_after_it() {
    let server = classic().ini("upload_max_filesize", "4M").start();
    let picture = noise(3 << 20);
    let parts = [
        Part {
            name: "title",
            file_name: None,
            content: b"a title",
        },
        Part {
            name: "file",
            file_name: Some("../päth.bin"),
            content: &picture,
        },
        Part {
            name: "empty",
            file_name: Some(""),
            content: b"",
        },
    ];
    let seen = server
        .send(&Request::multipart("/upload.php", &parts))
        .expect(200)
        .json();
    assert_eq!(seen["post"], json!({"title": "a title"}));
    let file = &seen["files"]["file"];
    assert_eq!(file["name"], "päth.bin", "a name never holds a path");
    assert_eq!(file["size"], picture.len());
    assert_eq!(file["uploaded"], true);
    assert_eq!(seen["files"]["empty"]["error"], 4);
    let temporary = file["temporary"].as_str().unwrap().to_owned();
    eventually("the temporary file is removed", || {
        (!std::path::Path::new(&temporary).exists()).then_some(())
    });

    let seen = server
        .send(&Request::multipart("/upload.php?keep", &parts[1..2]))
        .json();
    assert_eq!(seen["moved"], true);
    assert_eq!(
        std::fs::read(server.folder().join("kept")).unwrap(),
        picture
    );
}

#[test]
fn an_upload_beyond_phps_own_limit_is_an_error_of_that_file() {
    let server = classic().ini("upload_max_filesize", "1K").start();
    let parts = [Part {
        name: "file",
        file_name: Some("large.bin"),
        content: &noise(2048),
    }];
    let seen = server
        .send(&Request::multipart("/upload.php", &parts))
        .expect(200)
        .json();
    assert_eq!(seen["files"]["file"]["error"], 1);
}
