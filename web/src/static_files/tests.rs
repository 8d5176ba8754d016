use super::*;
use crate::config::Site;
use crate::route::{Router, Target};
use actix_web::body::to_bytes;
use actix_web::test::TestRequest;
use std::fs;
use std::time::Instant;
use tempfile::TempDir;

const ALL: [Encoding; 3] = [Encoding::Zstd, Encoding::Brotli, Encoding::Gzip];

struct Fixture {
    _folder: TempDir,
    router: Router,
}

impl Fixture {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let site = Site {
            name: "test".into(),
            hosts: Vec::new(),
            root: folder.path().to_owned(),
            index: Vec::new(),
            env: Default::default(),
            try_files: Site::default_try_files(),
            path_split: Vec::new(),
            symlinks: Vec::new(),
            tls: None,
            workers: Vec::new(),
            background: Vec::new(),
        };
        Self {
            router: Router::new(&site).unwrap(),
            _folder: folder,
        }
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> HttpResponse {
        self.request(Method::GET, path, headers)
    }

    fn request(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> HttpResponse {
        let mut request = TestRequest::with_uri(path).method(method);
        for header in headers {
            request = request.insert_header(*header);
        }
        match self.router.resolve(path, Instant::now()) {
            Target::Static(file) => respond(&request.to_request(), file, &ALL),
            other => panic!("not a file: {other:?}"),
        }
    }
}

fn header(response: &HttpResponse, name: &str) -> String {
    let value = response.headers().get(name);
    value.map_or(String::new(), |value| value.to_str().unwrap().into())
}

async fn body(response: HttpResponse) -> Vec<u8> {
    to_bytes(response.into_body()).await.unwrap().to_vec()
}

#[actix_web::test]
async fn a_file_is_sent_whole_with_type_and_validators() {
    let content: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
    let fixture = Fixture::new(&[("a.png", &content), ("a.css", b"p{}"), ("x", b"?")]);
    let response = fixture.get("/a.png", &[]);
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), "image/png");
    assert_eq!(header(&response, "accept-ranges"), "bytes");
    assert!(header(&response, "etag").starts_with('"'));
    assert!(header(&response, "last-modified").ends_with("GMT"));
    assert_eq!(response.body().size(), BodySize::Sized(200_000));
    assert_eq!(body(response).await, content);

    let css = fixture.get("/a.css", &[]);
    assert_eq!(header(&css, "content-type"), "text/css; charset=utf-8");
    let unknown = fixture.get("/x", &[]);
    let binary = "application/octet-stream";
    assert_eq!(header(&unknown, "content-type"), binary);
}

#[actix_web::test]
async fn an_empty_file_is_sent() {
    let response = Fixture::new(&[("a.txt", b"")]).get("/a.txt", &[]);
    assert_eq!(
        (response.status().as_u16(), body(response).await.len()),
        (200, 0)
    );
}

#[actix_web::test]
async fn head_has_the_length_and_no_body() {
    let fixture = Fixture::new(&[("a.txt", b"hello")]);
    let response = fixture.request(Method::HEAD, "/a.txt", &[]);
    assert_eq!(response.body().size(), BodySize::Sized(5));
    assert_eq!(body(response).await, b"");
}

#[test]
fn other_methods_are_refused() {
    let response = Fixture::new(&[("a.txt", b"")]).request(Method::POST, "/a.txt", &[]);
    assert_eq!(response.status(), 405);
    assert_eq!(header(&response, "allow"), "GET, HEAD");
}

#[actix_web::test]
async fn ranges() {
    let fixture = Fixture::new(&[("a.txt", b"0123456789")]);
    for (range, status, content_range, expected) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
        ("bytes=-30", 206, "bytes 0-9/10", "0123456789"),
        ("bytes=5-500", 206, "bytes 5-9/10", "56789"),
        ("bytes=10-", 416, "bytes */10", ""),
        ("bytes=-0", 416, "bytes */10", ""),
        ("bytes=4-2", 200, "", "0123456789"),
        ("bytes=0-1,3-4", 200, "", "0123456789"),
        ("lines=1-2", 200, "", "0123456789"),
        ("bytes=x", 200, "", "0123456789"),
    ] {
        let response = fixture.get("/a.txt", &[("range", range)]);
        assert_eq!(response.status(), status, "{range}");
        assert_eq!(header(&response, "content-range"), content_range, "{range}");
        assert_eq!(body(response).await, expected.as_bytes(), "{range}");
    }
}

#[test]
fn a_range_of_another_state_of_the_file_gets_the_whole() {
    let fixture = Fixture::new(&[("a.txt", b"0123456789")]);
    let whole = fixture.get("/a.txt", &[]);
    let (tag, date) = (header(&whole, "etag"), header(&whole, "last-modified"));
    for (condition, status) in [
        (tag.as_str(), 206),
        (date.as_str(), 206),
        ("\"other\"", 200),
        (&format!("W/{tag}"), 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
        ("nonsense", 200),
    ] {
        let headers = [("range", "bytes=1-2"), ("if-range", condition)];
        assert_eq!(
            fixture.get("/a.txt", &headers).status(),
            status,
            "{condition}"
        );
    }
}

#[actix_web::test]
async fn conditions() {
    let fixture = Fixture::new(&[("a.txt", b"x")]);
    let whole = fixture.get("/a.txt", &[]);
    let (tag, date) = (header(&whole, "etag"), header(&whole, "last-modified"));
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (headers, status) in [
        (vec![("if-none-match", tag.as_str())], 304),
        (vec![("if-none-match", "*")], 304),
        (vec![("if-none-match", "\"a\", \"b\"")], 200),
        (vec![("if-modified-since", date.as_str())], 304),
        (vec![("if-modified-since", past)], 200),
        // The tag is the better witness: the date is not asked.
        (
            vec![("if-none-match", "\"a\""), ("if-modified-since", &date)],
            200,
        ),
        (vec![("if-match", tag.as_str())], 200),
        (vec![("if-match", "\"a\"")], 412),
        (vec![("if-unmodified-since", past)], 412),
        (vec![("if-unmodified-since", date.as_str())], 200),
    ] {
        let response = fixture.get("/a.txt", &headers);
        assert_eq!(response.status(), status, "{headers:?}");
        assert_eq!(header(&response, "etag"), tag);
        if status != 200 {
            assert_eq!(body(response).await, b"");
        }
    }
}

#[actix_web::test]
async fn a_precompressed_sibling_is_sent_to_those_who_accept_it() {
    let fixture = Fixture::new(&[
        ("a.css", b"plain"),
        ("a.css.br", b"brotli"),
        ("a.css.gz", b"gzip"),
        ("a.png", b"png"),
        ("a.png.gz", b"never"),
    ]);
    for (path, accept, encoding, expected) in [
        ("/a.css", "gzip, br, zstd", "br", "brotli"),
        ("/a.css", "gzip", "gzip", "gzip"),
        ("/a.css", "zstd", "", "plain"),
        ("/a.css", "", "", "plain"),
        ("/a.png", "gzip", "", "png"),
    ] {
        let response = fixture.get(path, &[("accept-encoding", accept)]);
        assert_eq!(header(&response, "content-encoding"), encoding, "{accept}");
        let vary = if path == "/a.css" {
            "accept-encoding"
        } else {
            ""
        };
        assert_eq!(header(&response, "vary"), vary);
        assert_eq!(body(response).await, expected.as_bytes(), "{accept}");
    }
    let part = [("accept-encoding", "br"), ("range", "bytes=0-1")];
    assert_eq!(body(fixture.get("/a.css", &part)).await, b"pl");
}

#[actix_web::test]
async fn a_sibling_older_than_the_file_is_stale() {
    let fixture = Fixture::new(&[("a.css", b"plain"), ("a.css.gz", b"old")]);
    let sibling = File::options()
        .write(true)
        .open(fixture._folder.path().join("a.css.gz"))
        .unwrap();
    sibling.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let response = fixture.get("/a.css", &[("accept-encoding", "gzip")]);
    assert_eq!(body(response).await, b"plain");
}

#[actix_web::test]
async fn a_file_that_shrinks_meanwhile_breaks_the_connection_rather_than_lie() {
    let fixture = Fixture::new(&[("a.txt", b"0123456789")]);
    let response = fixture.get("/a.txt", &[]);
    fs::write(fixture._folder.path().join("a.txt"), "01234").unwrap();
    assert!(to_bytes(response.into_body()).await.is_err());
}
