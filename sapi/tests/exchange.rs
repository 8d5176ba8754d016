//! What passes between a client and a script: headers, early ends on either side, uploads.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use common::{Answer, Pool, answer_of, await_first_part, engine_with, folder, request};
use troupe_sapi::{BodyWriter, Outcome, Request, RequestBody, ResponseReader, body_port};

/// Where PHP puts uploaded files.
fn uploads() -> &'static Path {
    static UPLOADS: OnceLock<PathBuf> = OnceLock::new();
    UPLOADS.get_or_init(|| {
        let uploads = folder("uploads");
        engine_with(&[("upload_tmp_dir", uploads.to_str().unwrap())]);
        uploads
    })
}

/// A classic thread with the script for each request, and a worker that serves them all.
fn pools() -> [(Pool, &'static str); 2] {
    uploads();
    [
        (Pool::classic(), "exchange.php"),
        (Pool::worker("exchange.php"), ""),
    ]
}

fn ask(pool: &Pool, script: &str, does: &str) -> Answer {
    pool.ask_all(script, &format!("do={}", does.replace(' ', "+")))
}

#[test]
fn headers_arrive_as_the_script_set_them() {
    for (pool, script) in pools() {
        let answer = ask(&pool, script, "headers");
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("X-Twice"), ["1", "2"]);
        assert_eq!(answer.header("X-Replaced"), ["new"]);
        assert!(answer.header("X-Removed").is_empty());
        assert!(answer.header("X-Evil").is_empty() && answer.header("X-Injected").is_empty());
        assert_eq!(answer.header("Content-Type"), ["text/plain;charset=UTF-8"]);
        assert_eq!(answer.header("Set-Cookie"), ["a=b%20c; HttpOnly"]);
        assert!(answer.headers.iter().all(|(name, _)| name != "No colon"));

        assert_eq!(ask(&pool, script, "status line").status, 404);
        let redirect = ask(&pool, script, "redirect");
        assert_eq!(
            (redirect.status, redirect.header("Location")),
            (303, vec!["/elsewhere"])
        );
        assert_eq!(ask(&pool, script, "code").status, 418);
        let early = ask(&pool, script, "early");
        assert_eq!(
            (early.informational.as_slice(), early.status),
            ([103].as_slice(), 200)
        );
        assert_eq!(early.header("X-Later"), ["1"]);
        assert!(ask(&pool, script, "").header("X-Later").is_empty());
        pool.stop();
    }
}

/// The content of a file that a script writes after its client has gone.
fn await_file(pool: &Pool, file: &Path) -> String {
    // The next answer comes when the script before it has ended.
    pool.ask("exchange.php", "");
    fs::read_to_string(file).unwrap()
}

#[test]
fn a_finished_request_has_its_answer_while_the_script_goes_on() {
    for (pool, script) in pools() {
        let file = folder("finish").join("file");
        let answer = pool.ask_all(script, &format!("do=finish&file={}", file.display()));
        assert_eq!((answer.status, answer.body.as_str()), (200, "answer"));
        assert_eq!(await_file(&pool, &file), "later: body");
        pool.stop();
    }
}

#[test]
fn a_script_learns_that_its_client_left() {
    let (pool, script) = (Pool::classic(), "exchange.php");
    let file = folder("aborted").join("file");
    for (does, expected) in [("aborted", "status 1"), ("ignored", "went on")] {
        let mut reader = pool.send(script, &format!("do={does}&file={}", file.display()));
        await_first_part(&mut reader);
        drop(reader);
        assert_eq!(await_file(&pool, &file), expected);
    }
    pool.stop();
}

const BOUNDARY: &str = "between-parts";

fn upload(script: &str) -> (Box<Request>, ResponseReader, BodyWriter) {
    let (mut request, reader) = request(script, "do=upload");
    let (writer, body) = body_port();
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    request.content_type = Some(request.vars.text(content_type));
    request.content_length = 1_000_000;
    request.body = RequestBody::Stream(body);
    (request, reader, writer)
}

fn form() -> String {
    let disposition = "Content-Disposition: form-data; name";
    format!(
        "--{BOUNDARY}\r\n{disposition}=\"field\"\r\n\r\nvalue\r\n\
         --{BOUNDARY}\r\n{disposition}=\"f\"; filename=\"a.txt\"\r\n\
         Content-Type: text/plain\r\n\r\n{}\r\n--{BOUNDARY}--\r\n",
        "x".repeat(100_000)
    )
}

fn uploaded() -> usize {
    fs::read_dir(uploads()).unwrap().count()
}

#[test]
fn uploaded_files_are_there_for_their_request_only_whoever_leaves_first() {
    let form = Bytes::from(form());
    for (pool, script) in pools() {
        let (request, mut reader, mut writer) = upload(script);
        pool.push(request);
        writer.push(form.clone());
        writer.finish();
        assert_eq!(answer_of(&mut reader).body, "value a.txt 100000 100000");

        // The client leaves in the middle of the file: the script does not run.
        let (request, mut reader, mut writer) = upload(script);
        pool.push(request);
        writer.push(form.slice(..60_000));
        drop(writer);
        let answer = answer_of(&mut reader);
        assert_eq!((answer.status, answer.body.as_str()), (500, ""));

        // The client stalls until its time is up.
        let (mut request, mut reader, mut writer) = upload(script);
        request.deadline = Some(Duration::from_millis(50));
        pool.push(request);
        writer.push(form.slice(..60_000));
        let answer = answer_of(&mut reader);
        assert_eq!(
            (answer.status, answer.outcome),
            (504, Outcome::Complete),
            "{answer:?}"
        );
        assert!(!answer.body.contains("value"));

        // Files go when their request has ended, which is before the next one is answered.
        assert_eq!(pool.ask(script, "").0, 200);
        assert_eq!(uploaded(), 0);
        pool.stop();
    }
}
