//! Streams of workers stay usable however many connections the server holds.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use troupe_tests::{Client, Server, Setup};

use crate::{read, steer};

const CLIENTS: usize = 5000;

/// This process's own limit, for its ends of the connections.
fn raise_own_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, wanted).unwrap();
    let enough = limit
        .maximum
        .is_none_or(|maximum| maximum > 2 * CLIENTS as u64);
    assert!(enough, "the system allows only {limit:?}");
}

fn crowd(server: &Server) -> Vec<Client> {
    (0..CLIENTS)
        .map(|_| Client::connect(server.address()))
        .collect()
}

#[test]
fn a_signaling_streams_descriptor_is_below_1024_with_5000_clients() {
    raise_own_limit();
    // The limit of a login shell, which the server raises by itself.
    let server = Setup::serving("background")
        .soft_limit(1024)
        .server("max_connections = 10000\nheader_read_timeout = \"5m\"")
        .background("descriptor.php", "name = \"it\"\ngrace = \"1h\"")
        .start();
    let mut clients = crowd(&server);
    // Accepted, every one of them.
    let last = clients.last_mut().unwrap();
    last.request(&troupe_tests::Request::get("/hello.html"));
    server.folder().write("crowd", "");
    let vars = &read(&server, "name=it")["value"];
    let new: Vec<u64> = serde_json::from_value(vars["new"].clone()).unwrap();
    assert!(vars["open"].as_u64().unwrap() > CLIENTS as u64, "{vars}");
    assert!(
        !new.is_empty() && new.iter().all(|number| *number < 1024),
        "{vars}"
    );
    steer(&server, "site:default:background:it", "restart");
    assert_eq!(server.folder().read("left"), "\n");
}
