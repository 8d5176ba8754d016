//! The resizer of `examples/`: a background worker's updates, live in a browser.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use std::process::Command;

use serde_json::json;
use troupe_tests::{Chromium, Folder, Request, Server, eventually, troupe};

fn resizer() -> Server {
    let config = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/resizer/troupe.toml"
    );
    let mut command = troupe();
    command
        .args(["run", "--config", config])
        .env("TROUPE_SERVER_LISTEN", "127.0.0.1:0")
        .env("TROUPE_ADMIN_LISTEN", "off");
    Server::spawn(command, Folder::new())
}

#[test]
fn a_browser_shows_each_copy_as_it_is_done() {
    let server = resizer();
    let mut browser = Chromium::start(1000, 900);
    browser.open(&format!("http://{}/", server.host()));
    // Notes every step of the progress bar.
    browser.evaluate(
        "window.steps = [];
         new MutationObserver(() => steps.push($('progress').value))
             .observe($('copies'), { childList: true });
         $('sample').click()",
    );
    let shot = eventually("the first half is done", || {
        (browser.evaluate("$('progress').value >= 50") == true).then(|| browser.screenshot())
    });
    eventually("all is done", || {
        (browser.evaluate("$('state').textContent") == "Done.").then_some(())
    });
    let percents: Vec<u32> = (1..=10).map(|step| step * 10).collect();
    assert_eq!(
        browser.evaluate("steps.filter(step => step)"),
        json!(percents)
    );
    let loaded = "[...document.images].map(image => image.complete && image.naturalWidth)";
    assert_eq!(
        browser.evaluate(loaded),
        json!([1600, 1280, 1024, 800, 640, 480, 320, 240, 160, 80])
    );
    // For the documentation, where somebody wants it.
    if let Some(path) = std::env::var_os("TROUPE_SCREENSHOT") {
        let folder = Folder::new();
        let encoded = folder.write("shot", shot);
        let mut decoder = Command::new("base64");
        let decoder = decoder.arg("--decode").arg(encoded);
        let decoded = decoder
            .stdout(std::fs::File::create(path).unwrap())
            .status();
        assert!(decoded.unwrap().success());
    }
}

#[test]
fn what_is_no_picture_is_refused() {
    let server = resizer();
    let refused = server.send(&Request::post("/upload", "image/png", b"no picture"));
    assert_eq!(
        refused.expect(422).text(),
        "That is no picture, or one of more than 16 MB."
    );
    server.get("/progress?id=../../etc/passwd").expect(404);
}
