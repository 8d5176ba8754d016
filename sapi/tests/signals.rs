//! Signals and children of scripts stay their own affair in a process that serves others.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::mem::MaybeUninit;

use common::{Pool, answer_of, await_blocked, folder};
use troupe_sapi::ScriptExit;

extern "C" fn of_the_server(_signal: libc::c_int) {}

/// The process's handler for a signal.
fn disposition(signal: libc::c_int) -> libc::sighandler_t {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action the call only fills in the present one.
    unsafe {
        assert_eq!(
            libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()),
            0
        );
        action.assume_init().sa_sigaction
    }
}

#[test]
fn handlers_of_scripts_leave_those_of_the_server_alone() {
    let handler = of_the_server as *const () as libc::sighandler_t;
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: the handler does nothing.
        unsafe { libc::signal(signal, handler) };
    }
    let pool = Pool::classic();
    let (_, body) = pool.ask("signals.php", "do=install");
    assert_eq!(body, "[true,true,true,true]");
    // A second run, so that the first one's shutdown is over.
    pool.ask("hello.php", "");
    assert_eq!(disposition(libc::SIGTERM), handler);
    assert_eq!(disposition(libc::SIGINT), handler);
    assert_eq!(disposition(libc::SIGUSR1), libc::SIG_DFL);
    pool.stop();
}

#[test]
fn a_drain_is_a_sigterm_for_scripts_that_handle_it() {
    for how in ["async", "dispatch"] {
        let pool = Pool::worker("signals_worker.php");
        let mut reader = pool.send("", &format!("do={how}"));
        await_blocked(&mut reader);
        pool.control().drain();
        assert_eq!(answer_of(&mut reader).body, "caught 15", "{how}");
        let exits: Vec<_> = pool.stop().into_iter().map(|end| end.exit).collect();
        assert_eq!(exits, [ScriptExit::Returned], "{how}");
    }
}

#[test]
fn calls_that_would_end_the_server_are_refused() {
    let pool = Pool::classic();
    assert_eq!(
        pool.ask("signals.php", "do=exec"),
        (200, "[false,0]".into())
    );
    pool.stop();
}

#[test]
fn a_forked_child_ends_with_its_script_and_its_parent_serves_on() {
    let file = folder("fork").join("child");
    let pool = Pool::classic();
    for _ in 0..20 {
        let answer = pool.ask_all("signals.php", &format!("do=fork&file={}", file.display()));
        assert_eq!(answer.body, "7 the child was here and left");
        assert!(answer.header("X-From").is_empty());
    }
    assert_eq!(pool.stop().len(), 20);
}

#[test]
fn children_are_started_and_waited_for() {
    let pool = Pool::classic();
    let expected = "through a child 0 and a shell 3";
    assert_eq!(
        pool.ask("signals.php", "do=proc_open"),
        (200, expected.into())
    );
    pool.stop();
}
