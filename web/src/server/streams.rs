//! How many requests a client of HTTP/2 may have in flight on one connection.
//!
//! actix-http sets no limit, and has no way to: a client that opens streams and reads none of them would have a file
//! open for each, on the one connection that it counts as. So the limit is written into the first frame that goes
//! out. It is advice, for clients that keep to it; who goes far beyond is refused, and loses the connection.

/// What clients are told.
const ADVISED: u32 = 128;

/// What is borne: clients need not wait to be told, and give streams up sooner than that is noticed.
pub const MOST: usize = 512;

/// Length (three bytes), type, flags, stream (four).
const HEAD: usize = 9;
const SETTINGS: u8 = 4;
const MAX_CONCURRENT_STREAMS: u16 = 3;

/// The frame of settings at the beginning of `bytes` with the limit put in, and the length of the one without.
/// `None` when there is no such frame.
pub fn limited(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let &[l1, l2, l3, kind, ..] = bytes else {
        return None;
    };
    let length = u32::from_be_bytes([0, l1, l2, l3]);
    let end = HEAD + usize::try_from(length).ok()?;
    if kind != SETTINGS || bytes.len() < end {
        return None;
    }
    let id = MAX_CONCURRENT_STREAMS.to_be_bytes();
    let value = ADVISED.to_be_bytes();
    let [_, new_length @ ..] = (length + (id.len() + value.len()) as u32).to_be_bytes();
    let frame = [&new_length, &bytes[3..end], &id, &value].concat();
    Some((frame, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_one_more_setting() {
        let window = [0, 4, 0, 1, 0, 0];
        let before = [&[0, 0, 6, SETTINGS, 0, 0, 0, 0, 0], &window[..]].concat();
        let after = [&[0, 0, 12, SETTINGS, 0, 0, 0, 0, 0], &window[..]].concat();
        let after = [&after[..], &[0, 3, 0, 0, 0, 128]].concat();
        assert_eq!(limited(&before), Some((after.clone(), 15)));
        let more = [&before[..], b"more"].concat();
        assert_eq!(limited(&more), Some((after, 15)));
        for other in [&before[..14], &[0, 0, 0, 6, 0, 0, 0, 0, 0], &[]] {
            assert_eq!(limited(other), None);
        }
    }
}
