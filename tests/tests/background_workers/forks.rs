//! A worker that starts processes does the server no harm.

use serde_json::json;
use troupe_tests::{Setup, eventually};

use crate::{node, read, steer};

#[test]
fn children_live_and_die_and_the_server_goes_on() {
    let server = Setup::serving("background")
        .background("forks.php", "name = \"forks\"")
        .background("values.php", "")
        .start();
    for round in 1..=3 {
        let vars = &read(&server, "name=forks")["value"];
        assert_eq!(
            *vars,
            json!({
                "echo": ["hello", 0], "shell": ["", 3], "exec": "again",
                "exit": 7, "end": 0, "uses the server": 4, "throws": 255, "killed": -9,
            })
        );
        let children = "another\n".repeat(round);
        assert_eq!(server.folder().read("child"), children);
        assert_eq!(
            read(&server, "name=large-10")["value"]["blob"],
            "xxxxxxxxxx"
        );
        steer(&server, "site:default:background:forks", "restart");
        eventually("it is ready", || {
            let worker = node(&server, "site:default:background:forks:1");
            (worker["state"] == "ready").then_some(())
        });
    }
}
