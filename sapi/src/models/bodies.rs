//! The body port: chunks in order and once, and each end's going ends the other's wait.

use bytes::Bytes;
use loom::thread;

use super::{check, wait};
use crate::body::{BodyError, BodyReader, BodyWriter, CAPACITY, body_port};

static FULL: [u8; CAPACITY] = [1; CAPACITY];

fn send(writer: &mut BodyWriter, chunk: &'static [u8]) -> Result<(), BodyError> {
    wait(|cx| writer.poll_ready(cx))?;
    writer.push(Bytes::from_static(chunk));
    Ok(())
}

/// Everything up to the end, and how it ended.
fn read_all(reader: &mut BodyReader) -> (Vec<u8>, Result<(), BodyError>) {
    let mut buffer = vec![0; CAPACITY];
    let mut all = Vec::new();
    loop {
        match wait(|cx| reader.poll_read(cx, &mut buffer)) {
            Ok(0) => return (all, Ok(())),
            Ok(read) => all.extend_from_slice(&buffer[..read]),
            Err(error) => return (all, Err(error)),
        }
    }
}

#[test]
fn chunks_arrive_in_order_once_each_and_then_the_end() {
    check(|| {
        let (mut writer, mut reader) = body_port();
        let client = thread::spawn(move || {
            send(&mut writer, b"ab").unwrap();
            send(&mut writer, b"cd").unwrap();
            writer.finish();
        });
        assert_eq!(read_all(&mut reader), (b"abcd".to_vec(), Ok(())));
        client.join().unwrap();
    });
}

#[test]
fn a_client_that_leaves_ends_the_readers_wait() {
    check(|| {
        let (mut writer, mut reader) = body_port();
        let client = thread::spawn(move || send(&mut writer, b"half").unwrap());
        assert_eq!(
            read_all(&mut reader),
            (b"half".to_vec(), Err(BodyError::ClientLeft))
        );
        client.join().unwrap();
    });
}

#[test]
fn a_writer_that_waits_for_room_goes_on_when_there_is_some() {
    check(|| {
        let (mut writer, mut reader) = body_port();
        writer.push(Bytes::from_static(&FULL));
        let client = thread::spawn(move || {
            send(&mut writer, b"more").unwrap();
            writer.finish();
        });
        let (all, end) = read_all(&mut reader);
        assert_eq!((all.len(), end), (CAPACITY + 4, Ok(())));
        client.join().unwrap();
    });
}

#[test]
fn a_script_that_no_longer_reads_ends_the_writers_wait() {
    check(|| {
        let (mut writer, reader) = body_port();
        writer.push(Bytes::from_static(&FULL));
        let client = thread::spawn(move || send(&mut writer, b"more"));
        drop(reader);
        assert_eq!(client.join().unwrap(), Err(BodyError::NotRead));
    });
}
