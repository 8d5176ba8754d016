//! One HTTP/1.1 request on a connection of its own, sent and read byte by byte as a test wants it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use troupe_tests::find;

/// Longer than a script may run.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Request {
    pub method: String,
    /// Path and query, as they go on the wire.
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Sends `request`; an answer that ends too early is an error.
pub fn send(server: SocketAddr, request: &Request) -> io::Result<Response> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    write!(
        bytes,
        "{} {} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n",
        request.method, request.target
    )?;
    for (name, value) in &request.headers {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    if request.method != "GET" {
        write!(bytes, "Content-Length: {}\r\n", request.body.len())?;
    }
    bytes.extend(b"\r\n");
    bytes.extend(&request.body);
    // A server may answer without reading all of a body, and then closes.
    let sent = stream.write_all(&bytes);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    if answer.is_empty() {
        sent?;
        read?;
    }
    parse(&answer)
}

fn parse(answer: &[u8]) -> io::Result<Response> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let end = find(answer, b"\r\n\r\n").ok_or_else(|| match answer.is_empty() {
        true => bad("the connection was closed without an answer"),
        false => bad("the head of the answer is incomplete"),
    })?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .ok_or_else(|| bad("the answer has no status"))?;
    if status == 100 {
        return parse(&answer[end + 4..]);
    }
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    let rest = &answer[end + 4..];
    let body = if header("transfer-encoding").is_some() {
        unchunk(rest).ok_or_else(|| bad("the answer ended early"))?
    } else {
        match header("content-length").and_then(|length| length.parse::<usize>().ok()) {
            Some(length) if rest.len() < length => return Err(bad("the answer ended early")),
            _ => rest.to_vec(),
        }
    };
    Ok(Response {
        status,
        headers,
        body,
    })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together_and_a_missing_end_is_an_error() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let whole = format!("{head}3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n");
        assert_eq!(parse(whole.as_bytes()).unwrap().body, b"abcde");
        let cut = format!("{head}3\r\nabc\r\n");
        assert!(parse(cut.as_bytes()).is_err());
    }

    #[test]
    fn a_body_shorter_than_promised_is_an_error() {
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nabcd";
        let response = parse(answer).unwrap();
        assert_eq!((response.status, response.body.len()), (404, 4));
        assert!(parse(&answer[..answer.len() - 1]).is_err());
        assert!(parse(b"").is_err());
    }
}
