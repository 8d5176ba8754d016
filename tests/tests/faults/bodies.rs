//! Bodies that are malformed, too large, or not what was announced.

use troupe_tests::Request;

use crate::{answer, await_upload, faults, harms_nobody};

#[test]
fn bodies_of_conflicting_or_senseless_length_are_refused() {
    let server = faults().start();
    harms_nobody(&server, || {
        for headers in [
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 1, 2\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length: 99999999999999999999999\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        ] {
            let mut client = server.connect();
            client.write(format!(
                "POST /hello.php HTTP/1.1\r\nHost: a\r\n{headers}\r\n\
                 0\r\n\r\nGET /smuggled.php HTTP/1.1\r\nHost: a\r\n\r\n"
            ));
            assert_eq!(client.response().status, 400, "{headers}");
            // Least of all is the rest taken for a request.
            assert_eq!(client.rest(), b"", "{headers}");
        }
    });
    assert!(server.stop().all_with("smuggled").is_empty());
}

#[test]
fn bad_chunking_is_refused() {
    let server = faults().start();
    harms_nobody(&server, || {
        for chunks in [
            "zz\r\nabc\r\n0\r\n\r\n",
            "3\r\nabcdef\r\n0\r\n\r\n",
            "-3\r\nabc\r\n0\r\n\r\n",
            "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        ] {
            let mut client = server.connect();
            client.write(format!(
                "POST /upload.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
            ));
            assert_eq!(client.response().status, 400, "{chunks:?}");
            assert_eq!(client.rest(), b"", "{chunks:?}");
        }
    });
}

#[test]
fn a_body_that_goes_bad_while_it_is_read_is_no_complete_body() {
    let server = faults().start();
    let mut client = server.connect();
    client.write(
        "POST /upload.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    );
    await_upload(&server, "begun");
    client.write("nonsense\r\n");
    // Too late for a status when the server has hung up already; never a success.
    if let Ok(response) = client.try_response() {
        assert_eq!(response.status, 400);
    }
    await_upload(&server, "ended");
    assert!(server.folder().read("upload").contains("read 3 aborted=1"));
}

#[test]
fn bodies_beyond_the_limit_are_refused_whether_announced_or_not() {
    let server = faults().server("body_size = \"100KiB\"").start();
    harms_nobody(&server, || {
        let announced = "POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n";
        assert_eq!(answer(&server, announced).status, 413);
        let mut client = server.connect();
        client.write("POST /upload.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..20 {
            // It may hang up before it has read everything.
            if client
                .try_write(format!("2710\r\n{}\r\n", "x".repeat(0x2710)))
                .is_err()
            {
                break;
            }
        }
        assert_eq!(client.response().status, 413);
    });
}

#[test]
fn a_client_that_asks_first_need_not_send_a_body_that_is_too_large() {
    let server = faults().server("body_size = \"100KiB\"").start();
    let mut client = server.connect();
    client.write(
        "POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.response().status, 413, "and no 100 before it");
    assert_eq!(client.rest(), b"");
    server.log().wait("its record", |record| {
        record["uri"] == "/upload.php" && record["status"] == 413
    });
    assert_eq!(server.folder().read("upload"), "");
}

#[test]
fn a_body_that_nobody_reads_does_not_confuse_the_next_request() {
    let server = faults().start();
    for length in [10, 100_000, 1_000_000] {
        let mut client = server.connect();
        let body = "GET /smuggled.php HTTP/1.1\r\n".repeat(length / 28 + 1);
        client.send(&Request::post("/body_ignored.php", "text/plain", body));
        assert_eq!(client.response().expect(200).text(), "not read");
        // The server may close the connection instead of reading on.
        client
            .try_write("GET /hello.php HTTP/1.1\r\nHost: a\r\n\r\n")
            .ok();
        if let Ok(next) = client.try_response() {
            assert_eq!((next.status, next.text()), (200, "hello"));
        }
    }
    assert!(server.stop().all_with("smuggled").is_empty());
}
