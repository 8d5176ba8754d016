//! Clients that go on asking while something happens to the server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::client::Client;
use crate::request::Request;
use crate::server::Server;

/// Sets the flag when it goes, also when the test panics: the clients must not go on for ever then.
struct Enough<'a>(&'a AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Server {
    /// Lets `event` happen while `clients` ask for `target` again and again, each on its own connection. Every
    /// answer must be a 200 with `text`. Returns what `event` did; it is given a count of the answers so far.
    #[track_caller]
    pub fn under_load<T>(
        &self,
        clients: usize,
        target: &str,
        text: &str,
        event: impl FnOnce(&AtomicU64) -> T,
    ) -> T {
        let enough = AtomicBool::new(false);
        let answers = AtomicU64::new(0);
        thread::scope(|scope| {
            let ask = || {
                let mut client = self.connect();
                while !enough.load(Ordering::SeqCst) {
                    client = client_after(self, client, target, text);
                    answers.fetch_add(1, Ordering::SeqCst);
                }
            };
            let asking: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
            let guard = Enough(&enough);
            let outcome = event(&answers);
            drop(guard);
            for client in asking {
                client.join().expect("every answer was right");
            }
            outcome
        })
    }
}

/// One request; the connection for the next one.
fn client_after(server: &Server, mut client: Client, target: &str, text: &str) -> Client {
    let response = client.request(&Request::get(target)).expect(200);
    assert_eq!(response.text(), text);
    match response.header("connection") {
        Some("close") => server.connect(),
        _ => client,
    }
}
