//! stream_select() and socket_select() behave as PHP's, with descriptors of any number.

mod common;

use common::Pool;

#[track_caller]
fn expect(query: &str, expected: &str) {
    let pool = Pool::classic();
    assert_eq!(pool.ask("select.php", query), (200, expected.to_owned()));
    pool.stop();
}

const STREAMS: &str =
    r#"{"count":3,"keys":[["b",7],[5],[]],"nothing":[0,[]],"closed by the peer":[1,1]}"#;
const SOCKETS: &str = concat!(
    r#"{"count":2,"keys":[["b"],[9]],"nothing":[0,[]],"errors":["#,
    r#""TypeError: socket_select(): Argument #1 ($read) must only have elements of type Socket, int given","#,
    r#""TypeError: socket_select(): Argument #1 ($read) contains a closed socket","#,
    r#""ValueError: socket_select(): At least one array argument must be passed"]}"#
);

#[test]
fn streams_that_are_ready_stay_in_their_arrays_under_their_keys() {
    expect("do=streams", STREAMS);
}

#[test]
fn streams_with_high_descriptors_are_served_as_well() {
    expect("do=streams&high", STREAMS);
}

#[test]
fn data_that_php_has_buffered_counts_as_readable_and_ends_the_wait() {
    expect("do=buffered", r#"[1,["b"],[]]"#);
}

#[test]
fn wrong_arguments_are_told_as_php_tells_them() {
    let errors = [
        "ValueError: No stream arrays were passed",
        "ValueError: No stream arrays were passed",
        "ValueError: stream_select(): Argument #4 ($seconds) must be greater than or equal to 0",
        "ValueError: stream_select(): Argument #5 ($microseconds) must be greater than or equal to 0",
        "ValueError: stream_select(): Argument #5 ($microseconds) must be null when argument #4 ($seconds) is null",
        "ValueError: No stream arrays were passed",
    ];
    let list: Vec<String> = errors.iter().map(|error| format!("\"{error}\"")).collect();
    expect("do=errors", &format!("[{}]", list.join(",")));
}

#[test]
fn elements_that_are_references_stay_what_they_are() {
    expect("do=references", r#"[1,["k"],1,"x"]"#);
}

#[test]
fn a_hang_up_is_no_exceptional_condition() {
    expect("do=hang-up", "[0,true]");
}

#[test]
fn sockets_are_selected_with_low_and_high_descriptors() {
    expect("do=sockets", SOCKETS);
    expect("do=sockets&high", SOCKETS);
}
