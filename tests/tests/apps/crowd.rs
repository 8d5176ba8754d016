//! Sixteen clients at once.

use std::sync::{Barrier, OnceLock};

use troupe_tests::{Client, Request, Server};

pub const CLIENTS: usize = 16;

/// Lets [`CLIENTS`] clients, each with a number and a connection of its own, do something at once. When one
/// of them panics, so does this.
#[track_caller]
pub fn crowd(server: &Server, visit: impl Fn(usize, &mut Client) + Sync) {
    let start = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (start, visit) = (&start, &visit);
            scope.spawn(move || {
                let mut client = server.connect();
                start.wait();
                visit(number, &mut client);
            });
        }
    });
}

/// Asks for each page alone, then lets the crowd ask for all of them, `rounds` times, each client
/// starting with another one. Every response must have status 200 and the body that it had alone, but for
/// what stands between the marks of `varies`.
#[track_caller]
pub fn same_for_all(server: &Server, requests: &[Request], rounds: usize, varies: &[(&str, &str)]) {
    let alone = |request| mask(&server.send(request).expect(200).body, varies);
    let alone: Vec<_> = requests.iter().map(alone).collect();
    let first_difference = OnceLock::new();
    crowd(server, |number, client| {
        for step in 0..requests.len() * rounds {
            if first_difference.get().is_some() {
                return;
            }
            let which = (number + step) % requests.len();
            let response = client.request(&requests[which]);
            let body = mask(&response.body, varies);
            if response.status != 200 || body != alone[which] {
                let (request, status) = (&requests[which], response.status);
                let difference = difference(&alone[which], &body);
                let _ = first_difference.set(format!(
                    "client {number}, step {step}, status {status}: {request:?}\n{difference}"
                ));
            }
        }
    });
    if let Some(difference) = first_difference.get() {
        panic!("not what one client alone gets: {difference}");
    }
}

/// Takes out what stands between each pair of marks.
fn mask(body: &[u8], varies: &[(&str, &str)]) -> Vec<u8> {
    let find = |text: &[u8], mark: &str| {
        let mut windows = text.windows(mark.len());
        windows.position(|window| window == mark.as_bytes())
    };
    let mut body = body.to_vec();
    for (before, after) in varies {
        let mut from = 0;
        while let Some(at) = find(&body[from..], before) {
            from += at + before.len();
            let length = find(&body[from..], after).unwrap_or(0);
            body.drain(from..from + length);
        }
    }
    body
}

/// Where two texts begin to differ.
fn difference(expected: &[u8], found: &[u8]) -> String {
    let same = expected.iter().zip(found).take_while(|(a, b)| a == b);
    let at = same.count();
    let around = |text: &[u8]| {
        let range = at.saturating_sub(60)..text.len().min(at + 160);
        String::from_utf8_lossy(&text[range]).into_owned()
    };
    format!(
        "at byte {at}\n  expected …{}…\n  found …{}…",
        around(expected),
        around(found)
    )
}
