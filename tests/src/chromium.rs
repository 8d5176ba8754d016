//! A headless browser, driven by its debugging protocol over two pipes.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::eventually;
use crate::folder::Folder;

/// See the module. Gone with its owner.
pub struct Chromium {
    browser: Child,
    commands: File,
    answers: BufReader<File>,
    session: Option<String>,
    last: u64,
    // Dropped last: the profile is in it.
    _folder: Folder,
}

impl Chromium {
    /// Starts it with a page of this size.
    #[track_caller]
    pub fn start(width: u32, height: u32) -> Self {
        let folder = Folder::new();
        let pipe = |name| {
            let path = folder.join(name);
            let made = Command::new("mkfifo").arg(&path).status();
            assert!(made.expect("mkfifo runs").success());
            path
        };
        let (to, from) = (pipe("commands"), pipe("answers"));
        // It wants the pipes as descriptors 3 and 4, which a shell can arrange.
        let browser = Command::new("sh")
            .args([
                "-c",
                "to=$1 from=$2; shift 2; exec chromium \"$@\" 3<\"$to\" 4>\"$from\"",
                "sh",
            ])
            .args([&to, &from])
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
            ])
            .args([
                "--no-first-run",
                "--disable-extensions",
                "--disable-background-networking",
            ])
            .arg(format!("--window-size={width},{height}"))
            .arg(format!(
                "--user-data-dir={}",
                folder.join("profile").display()
            ))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        let commands = File::options()
            .write(true)
            .open(&to)
            .expect("it reads commands");
        let answers = BufReader::new(File::open(&from).expect("it answers"));
        let mut chromium = Self {
            browser,
            commands,
            answers,
            session: None,
            last: 0,
            _folder: folder,
        };
        let page = chromium.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let session = chromium.call("Target.attachToTarget", attach);
        chromium.session = session["sessionId"].as_str().map(str::to_owned);
        chromium
    }

    /// Opens a page and waits until it is there.
    #[track_caller]
    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
        eventually("the page is loaded", || {
            let state = format!("document.readyState === 'complete' && location.href === {url:?}");
            (self.evaluate(&state) == true).then_some(())
        });
    }

    /// What an expression of JavaScript is in the page.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", asked);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// The page as it looks now: a PNG in base64.
    #[track_caller]
    pub fn screenshot(&mut self) -> String {
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
        shot["data"].as_str().expect("a picture").to_owned()
    }

    #[track_caller]
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        let sent = self.commands.write_all(format!("{command}\0").as_bytes());
        sent.expect("the browser lives");
        loop {
            let mut message = Vec::new();
            let read = self.answers.read_until(0, &mut message).expect("an answer");
            assert!(read > 0, "the browser has ended");
            message.pop();
            let answer: Value = serde_json::from_slice(&message).expect("JSON");
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
