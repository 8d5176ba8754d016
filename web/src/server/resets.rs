//! Streams of HTTP/2 that their clients give up.
//!
//! When a connection of HTTP/1 ends, actix-http drops what it was waiting for. On HTTP/2 it waits on: a request
//! learns of its stream's end only by what it reads or writes, and one that waits for PHP does neither. So the
//! connection follows the frames that come in, and after each reset, and at its own end, has its requests look.

use std::rc::Rc;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// For the requests of one connection; clones are handles to the same one.
#[derive(Debug, Clone, Default)]
pub struct Resets(Rc<Notify>);

impl Resets {
    /// Ready after the next one, counted from this call on.
    pub fn next(&self) -> Notified<'_> {
        self.0.notified()
    }

    pub(super) fn announce(&self) {
        self.0.notify_waiters();
    }
}

const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
/// Length (three bytes), type, flags, stream (four).
const HEAD: usize = 9;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;

/// What frames say.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// A stream was reset.
    pub reset: bool,
    /// There is room for more of a response.
    pub window: bool,
}

/// Follows the frames of a connection, however they are cut.
#[derive(Debug)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// Bytes of the head that have come.
    filled: usize,
    /// Bytes to come before the next head.
    skip: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            head: [0; HEAD],
            filled: 0,
            skip: PREFACE,
        }
    }
}

impl Frames {
    /// What the next `bytes` of the connection say.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = bytes.len().min(HEAD - self.filled);
            if taken == 0 {
                return seen;
            }
            self.head[self.filled..][..taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == HEAD {
                let [l1, l2, l3, kind, ..] = self.head;
                self.filled = 0;
                self.skip = u32::from_be_bytes([0, l1, l2, l3]) as usize;
                // Its end may be still to come; it is announced when more is read.
                seen.reset |= kind == RST_STREAM;
                seen.window |= kind == WINDOW_UPDATE;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        // Everything in it looks like a reset.
        frame.extend(std::iter::repeat_n(RST_STREAM, length.into()));
        frame
    }

    #[test]
    fn resets_are_found_however_the_frames_are_cut() {
        let quiet = [vec![RST_STREAM; PREFACE], frame(4, 0), frame(0, 200)].concat();
        let mut all = quiet.clone();
        all.extend(frame(RST_STREAM, 4));
        all.extend(frame(WINDOW_UPDATE, 4));
        all.extend(frame(1, 30));
        for size in [1, 2, 7, 9, 10, 100, all.len()] {
            let mut frames = Frames::default();
            let seen = all.chunks(size).map(|cut| frames.follow(cut));
            let found: Vec<_> = seen.map(|seen| seen.reset).collect();
            let at = found.iter().position(|found| *found);
            assert_eq!(
                at,
                Some((quiet.len() + HEAD - 1) / size),
                "in pieces of {size}"
            );
            assert_eq!(found.iter().filter(|found| **found).count(), 1);
            let mut frames = Frames::default();
            let windows = all.chunks(size).filter(|cut| frames.follow(cut).window);
            assert_eq!(windows.count(), 1);
        }
    }
}
