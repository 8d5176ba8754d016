//! setlocale() changes the locale of its own thread, for its own request.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::io::Write;
use std::net::TcpListener;

use common::{Pool, answer_of, await_blocked};

const DEFAULT: &str = "C.UTF-8 'é' LC_CTYPE=C.UTF-8 LC_NUMERIC=C LC_TIME=C LC_COLLATE=C LC_MONETARY=C \
                       LC_MESSAGES=C LC_PAPER=C LC_NAME=C LC_ADDRESS=C LC_TELEPHONE=C LC_MEASUREMENT=C \
                       LC_IDENTIFICATION=C";

#[test]
fn a_locale_is_seen_by_the_thread_that_set_it_until_its_request_ends() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let (pool, bystander) = (Pool::classic(), Pool::classic());

    let mut reader = pool.send(
        "locale.php",
        &format!("port={}", server.local_addr().unwrap().port()),
    );
    await_blocked(&mut reader);
    assert_eq!(bystander.ask("locale.php", "").1, DEFAULT);
    server.accept().unwrap().0.write_all(b"go on\n").unwrap();
    assert_eq!(answer_of(&mut reader).body, "C false C '' C");
    assert_eq!(pool.ask("locale.php", "").1, DEFAULT);

    pool.stop();
    bystander.stop();
}
