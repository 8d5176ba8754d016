//! What the server adds to PHP: functions of its own and of other servers.

use serde_json::json;
use troupe_tests::Request;

use crate::serve;

#[test]
fn the_functions_of_other_servers_are_there() {
    let server = serve();
    let request = Request::post("/functions.php", "text/x-own", "four").header("x-mine", "1");
    let seen = server.send(&request).expect(200).json();
    assert_eq!(
        seen["request"],
        json!({
            "Host": server.host(),
            "Content-Type": "text/x-own",
            "Content-Length": "4",
            "X-Mine": "1",
        })
    );
    assert_eq!(seen["same"], true);
    assert_eq!(seen["response"]["X-Own"], "1");
    assert_eq!(seen["response"]["X-Twice"], "1, 2");
    assert_eq!(seen["same response"], true);
    assert_eq!(seen["sapi"], json!(["frankenphp", "frankenphp"]));
    assert_eq!(
        seen["worker"],
        "frankenphp_handle_request() called while not in worker mode"
    );
}

#[test]
fn phpinfo_has_a_section_of_the_server() {
    let server = serve();
    let response = server.get("/phpinfo.php").expect(200);
    let page = response.text();
    assert!(page.contains("<h2><a name=\"module_troupe\""), "{page}");
    let software = concat!("Troupe/", env!("CARGO_PKG_VERSION"));
    assert!(page.contains(software));
    assert!(
        page.contains("Server API </td><td class=\"v\">Troupe"),
        "{page}"
    );
}
