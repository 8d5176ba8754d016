//! The response port: parts in order and once, one outcome, and each end's going ends the other's wait.

use loom::thread;

use super::{check, wait};
use crate::head::Head;
use crate::response::{
    ClientLeft, Outcome, PARTS, Part, ResponseReader, ResponseWriter, Withdrawal, response_port,
};

fn send(writer: &mut ResponseWriter, body: &[u8]) -> Result<(), ClientLeft> {
    writer.write(body);
    wait(|cx| writer.poll_flush(cx))
}

/// A writer whose next flush has to wait: the port is full of `PARTS` bytes, 1 to `PARTS`.
fn full_port() -> (ResponseWriter, ResponseReader) {
    let (mut writer, reader) = response_port();
    writer.set_head(Head::new(200));
    for n in 1..=PARTS as u8 {
        send(&mut writer, &[n]).unwrap();
    }
    (writer, reader)
}

/// The body up to the end, and how it ended. Asserts that one head comes first.
fn receive_all(reader: &mut ResponseReader) -> (Vec<u8>, Outcome) {
    let mut all = None::<Vec<u8>>;
    loop {
        match wait(|cx| reader.poll_part(cx)) {
            Ok(Part::Head { body, .. }) => {
                assert!(all.replace(body.to_vec()).is_none(), "a second head")
            }
            Ok(Part::Body(body)) => all.as_mut().unwrap().extend_from_slice(&body),
            Ok(Part::Informational(_)) => unreachable!("none was sent"),
            Err(outcome) => return (all.unwrap_or_default(), outcome),
        }
    }
}

#[test]
fn parts_arrive_in_order_once_each_and_then_the_outcome() {
    check(|| {
        let (mut writer, mut reader) = response_port();
        let script = thread::spawn(move || {
            writer.set_head(Head::new(200));
            send(&mut writer, b"a").unwrap();
            send(&mut writer, b"b").unwrap();
            writer.write(b"c");
            writer.finish();
        });
        assert_eq!(
            receive_all(&mut reader),
            (b"abc".to_vec(), Outcome::Complete)
        );
        script.join().unwrap();
    });
}

#[test]
fn a_script_that_dies_ends_the_readers_wait_unfinished() {
    check(|| {
        let (mut writer, mut reader) = response_port();
        let script = thread::spawn(move || {
            writer.set_head(Head::new(200));
            send(&mut writer, b"a").unwrap();
            writer.write(b"never handed over");
        });
        assert_eq!(receive_all(&mut reader), (b"a".to_vec(), Outcome::Aborted));
        script.join().unwrap();
    });
}

#[test]
fn a_writer_that_waits_for_a_slow_client_goes_on_when_it_reads() {
    check(|| {
        let (mut writer, mut reader) = full_port();
        let script = thread::spawn(move || {
            send(&mut writer, &[PARTS as u8 + 1]).unwrap();
            writer.finish();
        });
        let expected = (1..=PARTS as u8 + 1).collect();
        assert_eq!(receive_all(&mut reader), (expected, Outcome::Complete));
        script.join().unwrap();
    });
}

#[test]
fn a_client_that_leaves_ends_the_writers_wait() {
    check(|| {
        let (mut writer, reader) = full_port();
        let script = thread::spawn(move || send(&mut writer, b"more"));
        drop(reader);
        assert_eq!(script.join().unwrap(), Err(ClientLeft));
    });
}

#[test]
fn a_response_ends_once_when_its_thread_is_given_up() {
    check(|| {
        let (mut writer, mut reader) = response_port();
        let breaker = writer.breaker();
        let script = thread::spawn(move || {
            writer.set_head(Head::new(200));
            let sent = send(&mut writer, b"a");
            writer.write(b"b");
            writer.finish();
            sent
        });
        let operator = thread::spawn(move || breaker.give_up());
        let received = receive_all(&mut reader);
        let sent = script.join().unwrap();
        operator.join().unwrap();
        match received.1 {
            Outcome::Complete => assert_eq!(received.0, b"ab"),
            Outcome::GivenUp => {
                assert_eq!(received.0, if sent.is_ok() { "a" } else { "" }.as_bytes())
            }
            Outcome::Aborted => unreachable!("it was finished or given up"),
        }
        assert_eq!(receive_all(&mut reader), (Vec::new(), received.1));
    });
}

#[test]
fn a_job_is_either_begun_or_withdrawn() {
    check(|| {
        let (mut writer, reader) = response_port();
        let script = thread::spawn(move || writer.begin());
        let withdrawn = matches!(reader.withdraw(), Withdrawal::Withdrawn);
        assert_eq!(script.join().unwrap(), !withdrawn);
    });
}
