//! Where one HTTP/1 request ends and the next begins.
//!
//! actix-http decodes a pipelined request while the one before it is still being answered, and then
//! answers the earlier one by the later one's method and version: a GET before a HEAD would lose its
//! body, and the client would take the next response for it. So a connection gets the bytes of one
//! request at a time, and this finds out which those are.
//!
//! It only holds bytes back, but for one thing: of a request line that is longer than actix-http takes,
//! the end of the target is left out, so that the request can be refused as what it is. actix-http
//! parses and validates on its own, and whatever the two could disagree about makes that connection wait
//! and time out, nothing worse.

use memchr::memchr;

/// Follows the bytes of a connection.
#[derive(Debug, Default)]
pub struct Framing {
    place: Place,
    /// The beginning of a line whose end has not arrived yet.
    line: Vec<u8>,
    /// Bytes of the request line so far.
    request_line: usize,
    is_cut: bool,
    content_length: u64,
    is_chunked: bool,
}

/// What was done with some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// How many belong to the present request. None do once it is complete.
    pub taken: usize,
    /// How many of those are passed on; they were moved to the front.
    pub passed: usize,
}

/// More of a line than this says nothing about framing.
const LINE: usize = 256;

/// What is passed on of a request line. Just below what the target's parser takes.
const REQUEST_LINE: usize = 64_000;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the request line, where empty lines are allowed.
    #[default]
    Start,
    /// Within a target, after the part of it that is passed on.
    Excess,
    Headers,
    Body {
        left: u64,
    },
    ChunkSize,
    Chunk {
        left: u64,
    },
    /// After the last chunk, up to an empty line.
    Trailers,
    End,
}

impl Framing {
    /// Tells the present request's bytes from what follows it.
    pub fn admit(&mut self, bytes: &mut [u8]) -> Admitted {
        let (mut at, mut passed) = (0, 0);
        while at < bytes.len() && self.place != Place::End {
            let count = match self.place {
                Place::Excess => {
                    at += self.excess(&bytes[at..]);
                    continue;
                }
                Place::Body { left } => {
                    let taken = take(left, bytes.len() - at);
                    self.place = match left - taken as u64 {
                        0 => Place::End,
                        left => Place::Body { left },
                    };
                    taken
                }
                Place::Chunk { left } => {
                    let taken = take(left, bytes.len() - at);
                    self.place = match left - taken as u64 {
                        0 => Place::ChunkSize,
                        left => Place::Chunk { left },
                    };
                    taken
                }
                _ => self.line(&bytes[at..]),
            };
            if passed < at {
                bytes.copy_within(at..at + count, passed);
            }
            at += count;
            passed += count;
        }
        Admitted { taken: at, passed }
    }

    /// Whether the present request's target was too long to be passed on whole.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether the present request's head is complete.
    pub fn has_head(&self) -> bool {
        !matches!(self.place, Place::Start | Place::Excess | Place::Headers)
    }

    /// Whether the present request's head is complete, and its body is not.
    pub fn is_in_body(&self) -> bool {
        self.has_head() && self.place != Place::End
    }

    /// Goes on to the next request; false while the present one is not complete.
    pub fn next(&mut self) -> bool {
        let is_complete = self.place == Place::End;
        if is_complete {
            *self = Self::default();
        }
        is_complete
    }

    /// Up to the end of the target.
    fn excess(&mut self, bytes: &[u8]) -> usize {
        let end = bytes.iter().position(|&byte| matches!(byte, b' ' | b'\n'));
        if end.is_some() {
            self.place = Place::Start;
        }
        end.unwrap_or(bytes.len())
    }

    /// Reads up to the end of a line, and acts on it when it is there.
    fn line(&mut self, bytes: &[u8]) -> usize {
        let end = memchr(b'\n', bytes);
        if self.place == Place::Start && !self.is_cut {
            let room = REQUEST_LINE - self.request_line;
            let length = end.unwrap_or(bytes.len());
            if length > room {
                self.is_cut = true;
                self.place = Place::Excess;
                return room;
            }
            self.request_line = if end.is_some() {
                0
            } else {
                self.request_line + length
            };
        }
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = LINE.saturating_sub(self.line.len());
        let part = &part[..part.len().min(room)];
        let Some(end) = end else {
            self.line.extend_from_slice(part);
            return bytes.len();
        };
        let mut begun = std::mem::take(&mut self.line);
        let line = match begun.is_empty() {
            true => part,
            false => {
                begun.extend_from_slice(part);
                &begun
            }
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.place = match (self.place, line.is_empty()) {
            (Place::Start, true) => Place::Start,
            (Place::Start, false) => Place::Headers,
            (Place::Headers, true) if self.is_chunked => Place::ChunkSize,
            (Place::Headers, true) => match self.content_length {
                0 => Place::End,
                left => Place::Body { left },
            },
            (Place::Headers, false) => {
                self.header(line);
                Place::Headers
            }
            // The line end behind a chunk's data.
            (Place::ChunkSize, true) => Place::ChunkSize,
            (Place::ChunkSize, false) => match chunk_size(line) {
                0 => Place::Trailers,
                left => Place::Chunk { left },
            },
            (Place::Trailers, true) => Place::End,
            (place, _) => place,
        };
        end + 1
    }

    fn header(&mut self, line: &[u8]) {
        let Some(colon) = memchr(b':', line) else {
            return;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = std::str::from_utf8(value).ok();
            self.content_length = value.and_then(|value| value.parse().ok()).unwrap_or(0);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.is_chunked = value.to_ascii_lowercase().ends_with(b"chunked");
        }
    }
}

fn take(left: u64, there: usize) -> usize {
    usize::try_from(left).map_or(there, |left| left.min(there))
}

/// The size before any extension; what is malformed is for actix-http to refuse.
fn chunk_size(line: &[u8]) -> u64 {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let size = std::str::from_utf8(&line[..digits.count()]).ok();
    size.and_then(|size| u64::from_str_radix(size, 16).ok())
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTS: [&str; 6] = [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\r\n\r\nHEAD /a HTTP/1.0\n\n",
        "POST / HTTP/1.1\r\nContent-Length:  5 \r\n\r\n\r\n\r\nx",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n5;x=y\r\nab\r\n\n\r\n0\r\nTrailer: x\r\n\r\n",
        "PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "DELETE / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    ];

    /// Of bytes that are all passed on.
    fn admit(framing: &mut Framing, bytes: &mut [u8]) -> usize {
        let admitted = framing.admit(bytes);
        assert_eq!(admitted.taken, admitted.passed);
        admitted.taken
    }

    #[test]
    fn one_request_is_admitted_at_a_time() {
        let all = REQUESTS.concat();
        let mut all = all.into_bytes();
        let mut rest = all.as_mut_slice();
        let mut framing = Framing::default();
        for request in REQUESTS {
            let count = admit(&mut framing, rest);
            assert_eq!(&rest[..count], request.as_bytes());
            rest = &mut rest[count..];
            assert_eq!(admit(&mut framing, rest), 0);
            assert!(framing.next());
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn it_makes_no_difference_in_which_pieces_the_bytes_arrive() {
        let all = REQUESTS.concat();
        for size in 1..20 {
            let mut framing = Framing::default();
            let mut found = Vec::new();
            let mut request = Vec::new();
            for piece in all.clone().into_bytes().chunks_mut(size) {
                let mut piece = piece;
                while !piece.is_empty() {
                    match admit(&mut framing, piece) {
                        0 => {
                            found.push(String::from_utf8(std::mem::take(&mut request)).unwrap());
                            assert!(framing.next());
                        }
                        admitted => {
                            request.extend_from_slice(&piece[..admitted]);
                            piece = &mut piece[admitted..];
                        }
                    }
                }
            }
            found.push(String::from_utf8(request).unwrap());
            assert_eq!(found, REQUESTS, "in pieces of {size}");
        }
    }

    #[test]
    fn an_unfinished_request_stays_the_present_one() {
        let mut framing = Framing::default();
        let begun = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na";
        framing.admit(&mut begun.to_vec());
        assert!(!framing.next());
        assert_eq!(admit(&mut framing, &mut b"bcGET".to_vec()), 2);
    }

    #[test]
    fn endless_lines_do_not_fill_the_memory() {
        let mut framing = Framing::default();
        framing.admit(&mut b"GET / HTTP/1.1\r\n".to_vec());
        let mut line = vec![b'x'; 100_000];
        assert_eq!(admit(&mut framing, &mut line), 100_000);
        assert!(framing.line.len() <= LINE);
    }

    #[test]
    fn the_end_of_a_target_that_is_too_long_is_left_out() {
        let tail = " HTTP/1.1\r\nHost: x\r\n\r\n";
        let request = format!("GET /{}{tail}", "a".repeat(200_000));
        let cut = format!("{}{tail}", &request[..REQUEST_LINE]);
        for size in [1, 999, 64_000, 100_000, 1_000_000] {
            let mut framing = Framing::default();
            let mut passed = Vec::new();
            for piece in request.clone().into_bytes().chunks_mut(size) {
                let admitted = framing.admit(piece);
                assert_eq!(admitted.taken, piece.len());
                passed.extend_from_slice(&piece[..admitted.passed]);
            }
            assert!(framing.is_cut());
            assert_eq!(
                String::from_utf8(passed).unwrap(),
                cut,
                "in pieces of {size}"
            );
            assert!(framing.next() && !framing.is_cut());
        }
        let mut longest = format!("GET /{}{tail}", "a".repeat(63_900)).into_bytes();
        let mut framing = Framing::default();
        assert_eq!(admit(&mut framing, &mut longest), longest.len());
        assert!(!framing.is_cut());
    }
}
