//! An HTTP/2 connection down to its frames, for what curl can't be told to do: to leave a stream, or all of
//! them, at a moment of the test's choice.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;

use crate::client::Address;
use crate::{LIMIT, Server};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// The error code of a stream that is no longer wanted.
const CANCEL: u32 = 8;

/// See the module. By prior knowledge, over TCP. Reads wait at most [`LIMIT`].
pub struct Http2 {
    socket: BufReader<TcpStream>,
    host: String,
    last: u32,
}

/// A request's own stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamId(u32);

impl Http2 {
    #[track_caller]
    pub fn connect(server: &Server) -> Self {
        let Address::Tcp(address) = server.address() else {
            panic!("the server listens on no port");
        };
        let socket = TcpStream::connect(address).expect("the server accepts connections");
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let mut connection = Self {
            socket: BufReader::new(socket),
            host: server.host(),
            last: 0,
        };
        connection.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        connection.frame(SETTINGS, 0, 0, &[]);
        connection
    }

    /// Sends a request; what it is answered has to be read.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> StreamId {
        self.last = if self.last == 0 { 1 } else { self.last + 2 };
        // `:method: GET` and `:scheme: http` of HPACK's static table, then its names `:path` and `:authority`.
        let mut block = vec![0x82, 0x86];
        for (name, value) in [(4, target), (1, &self.host)] {
            assert!(value.len() < 127, "longer ones take more than a byte");
            block.extend_from_slice(&[name, value.len() as u8]);
            block.extend_from_slice(value.as_bytes());
        }
        self.frame(HEADERS, END_HEADERS | END_STREAM, self.last, &block);
        StreamId(self.last)
    }

    /// Gives a stream up; the connection stays.
    #[track_caller]
    pub fn reset(&mut self, stream: StreamId) {
        self.frame(RST_STREAM, 0, stream.0, &CANCEL.to_be_bytes());
    }

    /// The next piece of a stream's body; empty is its end. Frames of other streams are passed over.
    #[track_caller]
    pub fn data(&mut self, stream: StreamId) -> Vec<u8> {
        loop {
            let mut head = [0; 9];
            self.socket.read_exact(&mut head).expect("a frame");
            let [l1, l2, l3, kind, flags, s1, s2, s3, s4] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, l1, l2, l3]) as usize];
            self.socket.read_exact(&mut payload).expect("a whole frame");
            let of = StreamId(u32::from_be_bytes([s1, s2, s3, s4]));
            match kind {
                SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]),
                GOAWAY => panic!("the server ends the connection: {payload:?}"),
                RST_STREAM if of == stream => panic!("the server resets the stream: {payload:?}"),
                DATA if !payload.is_empty() => {
                    let more = (payload.len() as u32).to_be_bytes();
                    self.frame(WINDOW_UPDATE, 0, 0, &more);
                    if of == stream {
                        return payload;
                    }
                }
                DATA | HEADERS if of == stream && flags & END_STREAM != 0 => return Vec::new(),
                _ => {}
            }
        }
    }

    /// The body of a request's answer, from here to its end.
    #[track_caller]
    pub fn text(&mut self, stream: StreamId) -> String {
        let mut body = Vec::new();
        loop {
            let piece = self.data(stream);
            if piece.is_empty() {
                return String::from_utf8(body).expect("text");
            }
            body.extend_from_slice(&piece);
        }
    }

    #[track_caller]
    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = (payload.len() as u32).to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.write(&frame);
    }

    #[track_caller]
    fn write(&mut self, bytes: &[u8]) {
        self.socket
            .get_mut()
            .write_all(bytes)
            .expect("the server reads");
    }
}
