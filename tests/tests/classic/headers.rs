//! The head of the response, as scripts set it.

use troupe_tests::{Request, Server, curl};

use crate::serve;

fn form(server: &Server, form: &str) -> troupe_tests::Response {
    server.get(&format!("/headers.php?form={}", form.replace(' ', "+")))
}

#[test]
fn header_sets_the_status_in_all_its_forms() {
    let server = serve();
    for (how, status) in [
        ("status line", 404),
        ("status word", 410),
        ("code", 202),
        ("function", 418),
        ("location", 302),
        ("location with code", 307),
    ] {
        let response = form(&server, how);
        assert_eq!(response.status, status, "{how}");
        assert_eq!(response.text(), "body", "{how}");
    }
    assert_eq!(
        form(&server, "location").header("location"),
        Some("/elsewhere")
    );
    let response = form(&server, "no content");
    assert_eq!((response.status, response.body.len()), (204, 0));
}

#[test]
fn a_status_that_ends_no_response_is_not_the_last_word() {
    let server = serve();
    let mut client = server.connect();
    for how in ["continue", "switching protocols", "early hints"] {
        let target = format!("/headers.php?form={}", how.replace(' ', "+"));
        let response = client.request(&Request::get(&target));
        assert_eq!((response.status, response.text()), (200, "body"), "{how}");
        assert!(response.informational.is_empty(), "{how}");
    }
}

#[test]
fn a_length_that_a_script_announces_wrongly_harms_nobody_else() {
    let server = serve();
    let mut client = server.connect();
    let more = client.request(&Request::get("/length.php?announced=12"));
    assert_eq!(more.text(), "ten bytes.an");
    assert_eq!(client.request(&Request::get("/hello.php")).text(), "hello");
    let url = format!("http://{}/length.php?announced=12", server.host());
    assert_eq!(curl(["--http2-prior-knowledge", &url]), "ten bytes.an");
    // What there is of it, and then an end that can't be taken for a whole answer.
    client.send(&Request::get("/length.php?announced=30"));
    assert_eq!(client.head().header("content-length"), Some("30"));
    assert_eq!(client.rest(), b"ten bytes.and ten.");
    let record = server.log().wait_text("announced=30");
    assert_eq!(record["complete"], false);
    assert_eq!(record["bytes"], 18);
}

#[test]
fn header_replaces_appends_and_removes() {
    let server = serve();
    assert_eq!(form(&server, "replace").all("x-a"), ["second"]);
    assert_eq!(form(&server, "append").all("x-a"), ["first", "second"]);
    let removed = form(&server, "remove");
    assert_eq!(removed.header("x-a"), None);
    assert_eq!(removed.header("x-b"), Some("stays"));
    assert_eq!(
        form(&server, "type").all("content-type"),
        ["text/x-own; charset=latin1"]
    );
    assert_eq!(form(&server, "empty").header("x-empty"), Some(""));
    assert_eq!(form(&server, "callback").header("x-late"), Some("callback"));
    assert_eq!(form(&server, "length").text(), "body");
}

#[test]
fn a_header_can_not_smuggle_in_a_second_one() {
    let server = serve();
    let response = form(&server, "injection").expect(200);
    assert_eq!(response.header("x-evil"), None);
    assert_eq!(response.header("x-a"), None);
}

#[test]
fn each_cookie_has_a_header_of_its_own() {
    let server = serve();
    assert_eq!(
        form(&server, "cookies").all("set-cookie"),
        [
            "a=1; path=/; HttpOnly",
            "b=two%20words; SameSite=Lax",
            "c=raw"
        ]
    );
}

#[test]
fn a_script_can_close_its_clients_connection() {
    let server = serve();
    let mut client = server.connect();
    let response = client.request(&Request::get("/headers.php?form=connection+close"));
    assert_eq!(response.expect(200).header("connection"), Some("close"));
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_response_to_head_has_headers_and_no_body() {
    let server = serve();
    let mut client = server.connect();
    let response = client.request(&Request::head("/headers.php?form=code"));
    assert_eq!(response.status, 202);
    assert_eq!(response.header("x-a"), Some("1"));
    // What follows on the connection is the next response, not a body.
    assert_eq!(client.request(&Request::get("/hello.php")).text(), "hello");
}

#[test]
fn an_informational_response_is_sent_while_the_script_goes_on() {
    let server = serve();
    let mut client = server.connect();
    client.send(&Request::get("/early.php"));
    let hint = client.head();
    assert_eq!(hint.status, 103);
    assert_eq!(
        hint.header("link"),
        Some("</style.css>; rel=preload; as=style")
    );
    server.folder().write("hint-seen", "");
    let response = client.response().expect(200);
    assert_eq!(response.text(), "sent 103");
    assert_eq!(response.header("x-final"), Some("yes"));
    assert_eq!(response.header("link"), None);
}

#[test]
fn headers_send_sends_the_head_of_the_response() {
    let server = serve();
    let response = server.get("/headers_send.php").expect(201);
    assert_eq!(response.text(), "sent");
    assert_eq!(response.header("x-sent"), Some("early"));
}
