//! However a request's script ends, its client gets an answer and the thread serves the next one.

mod common;

use common::Pool;

struct Case {
    does: &'static str,
    status: u16,
    /// Has to be in the body.
    says: &'static str,
}

const fn case(does: &'static str, status: u16, says: &'static str) -> Case {
    Case { does, status, says }
}

const CASES: &[Case] = &[
    case(
        "memory",
        500,
        "Allowed memory size of 16777216 bytes exhausted",
    ),
    case("recursion", 200, "50000 10000"),
    case("endless recursion", 500, "Allowed memory size"),
    case("exit in a shutdown function", 200, "first "),
    case(
        "throw in a shutdown function",
        200,
        "from a shutdown function",
    ),
    case(
        "throw in a destructor in the middle",
        500,
        "from a destructor",
    ),
    case("close the standard streams", 200, "still heard"),
    case("exit in an output callback", 200, ""),
    case("fatal error", 500, "undefined_function()"),
    case("exit with a status", 202, ""),
    case("error after output", 200, "begun "),
    case("die in a nested include", 200, "dead"),
    case("unbuffered levels", 200, "ab"),
    case("other wrappers and loaders", 200, "changed"),
    case(
        "wrappers that are taken away at the end",
        500,
        "undefined_function()",
    ),
];

fn query(does: &str) -> String {
    format!("do={}", does.replace(' ', "+"))
}

fn try_all(pool: &Pool, script: &str) {
    for Case { does, status, says } in CASES {
        let (got, body) = pool.ask(script, &query(does));
        assert_eq!(got, *status, "{does}: {body}");
        assert!(body.contains(says), "{does}: {body}");
        assert!(!body.contains("not reached"), "{does}: {body}");
        assert_eq!(pool.ask(script, ""), (200, "fine".into()), "after {does}");
    }
}

#[test]
fn a_classic_thread_survives_every_end_of_a_script() {
    let pool = Pool::classic();
    try_all(&pool, "ends.php");
    let (status, body) = pool.ask("ends.php", &query("throw in a destructor"));
    assert!(body.contains("from a destructor"), "{status}: {body}");
    assert_eq!(pool.ask("ends.php", ""), (200, "fine".into()));
    // At the very end PHP has no place left to show the exception.
    assert_eq!(
        pool.ask("ends.php", &query("throw in an output callback"))
            .0,
        500
    );
    assert_eq!(pool.ask("ends.php", ""), (200, "fine".into()));
    pool.stop();
}

#[test]
fn a_worker_survives_every_end_of_a_request() {
    let pool = Pool::worker("ends.php");
    try_all(&pool, "");
    let (status, body) = pool.ask("", &query("throw in an output callback"));
    assert!(body.contains("from an output callback"), "{status}: {body}");
    assert_eq!(pool.ask("", ""), (200, "fine".into()));
    pool.stop();
}
