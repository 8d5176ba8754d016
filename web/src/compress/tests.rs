use super::*;
use actix_web::body::to_bytes;
use std::collections::VecDeque;
use std::io::Read;
use std::task::Waker;

const ALL: [Encoding; 3] = [Encoding::Zstd, Encoding::Brotli, Encoding::Gzip];

fn accepting(encodings: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_static(encodings);
    headers.insert(header::ACCEPT_ENCODING, value);
    headers
}

fn text<'a>(response: &'a HttpResponse<BoxBody>, name: &str) -> &'a str {
    response.headers().get(name).unwrap().to_str().unwrap()
}

fn decoded(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    match encoding {
        "zstd" => zstd::stream::copy_decode(bytes, &mut text).unwrap(),
        "br" => brotli::BrotliDecompress(&mut &bytes[..], &mut text).unwrap(),
        "gzip" => {
            let mut decoder = flate2::read::GzDecoder::new(bytes);
            decoder.read_to_end(&mut text).unwrap();
        }
        other => panic!("unknown encoding {other}"),
    }
    text
}

/// A body whose chunks come with pauses (`None`) between them.
struct Paced(VecDeque<Option<Bytes>>);

impl MessageBody for Paced {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, io::Error>>> {
        match self.0.pop_front() {
            Some(Some(chunk)) => Poll::Ready(Some(Ok(chunk))),
            Some(None) => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

fn html(body: impl MessageBody + 'static) -> HttpResponse<BoxBody> {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::ETAG, "\"tag\""))
        .body(body)
}

#[actix_web::test]
async fn each_encoding_gives_the_same_bytes_back() {
    let page = "the quick brown fox ".repeat(5000);
    for encoding in ["zstd", "br", "gzip"] {
        let response = apply(&accepting(encoding), html(page.clone()), &ALL);
        assert_eq!(text(&response, "content-encoding"), encoding);
        assert_eq!(text(&response, "vary"), "accept-encoding");
        assert_eq!(text(&response, "etag"), "W/\"tag\"");
        assert_eq!(response.body().size(), BodySize::Stream);
        let bytes = to_bytes(response.into_body()).await.unwrap();
        assert!(bytes.len() < page.len() / 10, "{encoding}");
        assert_eq!(decoded(encoding, &bytes), page.as_bytes(), "{encoding}");
    }
}

#[test]
fn a_pause_in_the_body_sends_all_that_came_before_it() {
    for encoding in ["zstd", "br", "gzip"] {
        let chunk = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        let chunks = [
            chunk("data: one\n\n"),
            None,
            None,
            chunk("data: two\n\n"),
            chunk(""),
            None,
            None,
        ];
        let response = apply(&accepting(encoding), html(Paced(chunks.into())), &ALL);
        let mut body = response.into_body();
        let mut cx = Context::from_waker(Waker::noop());
        let mut sent = Vec::new();
        let mut texts = Vec::new();
        for _ in 0..8 {
            match Pin::new(&mut body).poll_next(&mut cx) {
                Poll::Ready(Some(chunk)) => sent.extend_from_slice(&chunk.unwrap()),
                Poll::Ready(None) => break,
                Poll::Pending => texts.push(partially_decoded(encoding, &sent)),
            }
        }
        assert_eq!(
            texts,
            ["data: one\n\n", "data: one\n\ndata: two\n\n"],
            "{encoding}"
        );
        assert_eq!(decoded(encoding, &sent), b"data: one\n\ndata: two\n\n");
    }
}

/// As much as a client can read of a stream that goes on.
fn partially_decoded(encoding: &str, bytes: &[u8]) -> String {
    let mut decoder: Box<dyn Read> = match encoding {
        "zstd" => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
        "br" => Box::new(brotli::Decompressor::new(bytes, 4096)),
        _ => Box::new(flate2::read::GzDecoder::new(bytes)),
    };
    let mut text = Vec::new();
    let mut buffer = [0; 64];
    while let Ok(count) = decoder.read(&mut buffer) {
        if count == 0 {
            break;
        }
        text.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn what_is_not_worth_it_is_left_alone() {
    let long = "x".repeat(5000);
    let with = |name: header::HeaderName, value: &'static str| {
        let mut response = html(long.clone());
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
        response
    };
    for response in [
        html("short"),
        with(header::CONTENT_ENCODING, "gzip"),
        with(header::CONTENT_TYPE, "image/png"),
        with(header::CACHE_CONTROL, "private, no-transform"),
        with(header::CONTENT_RANGE, "bytes 0-1/5"),
        HttpResponse::Ok().body(long.clone()),
        HttpResponse::NotModified()
            .content_type("text/html")
            .finish(),
    ] {
        let before = format!("{:?}", response.headers());
        let response = apply(&accepting("gzip"), response, &ALL);
        assert_eq!(format!("{:?}", response.headers()), before);
    }
}

#[test]
fn a_client_that_wants_none_is_told_that_another_might() {
    let response = apply(&accepting("identity"), html("x".repeat(5000)), &ALL);
    assert!(!response.headers().contains_key(header::CONTENT_ENCODING));
    assert_eq!(text(&response, "vary"), "accept-encoding");
    assert_eq!(text(&response, "etag"), "\"tag\"");
}

#[test]
fn types_that_shrink() {
    for essence in [
        "text/html",
        "TEXT/event-stream",
        "application/ld+json",
        "image/svg+xml",
    ] {
        assert!(is_compressible(essence), "{essence}");
    }
    for essence in [
        "image/png",
        "video/mp4",
        "application/zip",
        "font/woff2",
        "",
    ] {
        assert!(!is_compressible(essence), "{essence}");
    }
}
