//! PHP threads driven by hand: classic requests, a worker script, kills. One process, one PHP.

mod common;

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::{Pool, answer, request};
use troupe_sapi::{KillReason, Outcome, ScriptExit};

#[test]
fn a_classic_thread_answers_from_a_clean_state() {
    let pool = Pool::classic();
    assert_eq!(
        pool.ask("hello.php", "n=1"),
        (200, "hello you 1 body".into())
    );
    assert_eq!(
        pool.ask("hello.php", "n=2"),
        (200, "hello you 2 body".into())
    );
    assert_eq!(pool.stop().len(), 2);
}

#[test]
fn a_worker_script_serves_many_requests_and_starts_again_after_an_exit() {
    let pool = Pool::worker("worker.php");
    assert_eq!(pool.ask("", "a=1"), (200, "request 1 of w1 a=1".into()));
    assert_eq!(pool.ask("", "a=2"), (200, "request 2 of w1 a=2".into()));
    assert_eq!(pool.ask("", "do=exit"), (200, "bye".into()));
    assert_eq!(pool.ask("", "a=3"), (200, "request 1 of w1 a=3".into()));
    assert_eq!(pool.ask("", "do=throw").0, 500);
    assert_eq!(pool.ask("", "a=4"), (200, "request 1 of w1 a=4".into()));
    let exits: Vec<_> = pool
        .stop()
        .into_iter()
        .map(|end| (end.was_ready, end.exit))
        .collect();
    assert_eq!(exits[0], (true, ScriptExit::Exited { status: 0 }));
    let (true, ScriptExit::Failed(failure)) = &exits[1] else {
        panic!("{exits:?}")
    };
    assert!(failure.message.contains("oh"), "{failure:?}");
    assert!(failure.file.ends_with("worker.php"));
    assert_eq!(exits[2], (true, ScriptExit::Returned));
}

#[test]
fn a_script_in_a_busy_loop_is_killed_and_its_thread_serves_on() {
    let pool = Pool::worker("worker.php");
    let mut reader = pool.send("", "do=loop");
    pool.await_busy();
    let control = pool.thread.control();
    let trace = control
        .backtrace(Duration::from_secs(5))
        .expect("the script tells its stack");
    assert!(trace.contains("worker.php"), "{trace}");
    let generation = control.status().generation;
    assert!(
        !control.kill(KillReason::Operator, Some(generation - 1)),
        "a stale kill must not hit"
    );
    assert!(control.kill(KillReason::Operator, Some(generation)));
    assert_eq!(answer(&mut reader).0, 500);
    assert_eq!(pool.ask("", "a=1"), (200, "request 1 of w1 a=1".into()));
    let exits: Vec<_> = pool.stop().into_iter().map(|end| end.exit).collect();
    assert_eq!(
        exits,
        [
            ScriptExit::Killed(KillReason::Operator),
            ScriptExit::Returned
        ]
    );
}

#[test]
fn a_job_whose_client_left_is_not_run() {
    let pool = Pool::classic();
    let (request, reader) = request("hello.php", "");
    drop(reader);
    pool.push(request);
    assert_eq!(pool.ask("hello.php", "n=1").0, 200);
    assert_eq!(pool.stop().len(), 1);
}

#[test]
fn a_deadline_ends_a_request_with_504() {
    let pool = Pool::worker("worker.php");
    let (mut request, mut reader) = request("", "do=loop");
    request.deadline = Some(Duration::from_millis(50));
    pool.push(request);
    assert_eq!(answer(&mut reader).0, 504);
    pool.stop();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(
        reader.poll_part(&mut cx),
        Poll::Ready(Err(Outcome::Complete))
    ));
}

#[test]
fn what_one_thread_looks_up_of_protocols_and_services_no_other_thread_is_told() {
    let expected = [
        ("tcp", "6"),
        ("17", "\"udp\""),
        ("ssh", "22"),
        ("53", "\"domain\""),
        ("udp", "17"),
        ("6", "\"tcp\""),
        ("domain", "53"),
        ("22", "\"ssh\""),
        ("none", "false"),
    ];
    let pools: Vec<_> = expected.iter().map(|_| Pool::classic()).collect();
    let ask =
        |(pool, (what, _)): (&Pool, &(&str, &str))| pool.send("netdb.php", &format!("what={what}"));
    let readers: Vec<_> = pools.iter().zip(&expected).map(ask).collect();
    for (mut reader, (what, told)) in readers.into_iter().zip(expected) {
        assert_eq!(answer(&mut reader), (200, told.to_owned()), "{what}");
    }
    for pool in pools {
        pool.stop();
    }
}
