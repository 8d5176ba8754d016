//! What the servers are asked to do.

use std::path::Path;
use std::process::Command;

use crate::load::Exchange;
use crate::servers::Contestant;

/// A kind of request.
pub struct Work {
    pub name: &'static str,
    pub title: &'static str,
    exchange: Exchange,
    /// The bare handler does the same without PHP; it has nothing to compute.
    is_for_bare: bool,
}

impl Work {
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    pub fn is_for(&self, contestant: Contestant) -> bool {
        contestant != Contestant::Bare || self.is_for_bare
    }
}

/// All of them. `php` computes the answers that have to be computed.
pub fn all(php: &Path) -> Result<Vec<Work>, String> {
    let rounds = rounds_in_a_millisecond(php)?;
    let hash =
        format!("$h = ''; for ($i = 0; $i < {rounds}; $i++) {{ $h = md5($h . $i); }} echo $h;");
    let body = "0123456789".repeat(10240);
    let upload = vec![b'x'; 64 * 1024];
    let upload_hash = run(php, "echo md5(str_repeat('x', 65536));")?;
    Ok(vec![
        get(
            "hello",
            "hello: `$_SERVER['REQUEST_URI']` in a sentence",
            "work=hello",
            "Hello /index.php?work=hello",
            true,
        ),
        get(
            "cpu",
            "1 ms of computing",
            &format!("work=cpu&rounds={rounds}"),
            &run(php, &hash)?,
            false,
        ),
        get("sleep", "5 ms of waiting", "work=sleep", "slept", true),
        get("body", "a body of 100 KB", "work=body", &body, true),
        Work {
            name: "post",
            title: "an upload of 64 KB",
            exchange: Exchange {
                request: [
                    request(
                        "POST",
                        "work=post",
                        "Content-Type: application/octet-stream\r\nContent-Length: 65536\r\n",
                    )
                    .as_bytes(),
                    &upload,
                ]
                .concat(),
                body: upload_hash.into_bytes(),
            },
            is_for_bare: false,
        },
    ])
}

fn get(
    name: &'static str,
    title: &'static str,
    query: &str,
    body: &str,
    is_for_bare: bool,
) -> Work {
    Work {
        name,
        title,
        exchange: Exchange {
            request: request("GET", query, "").into_bytes(),
            body: body.as_bytes().to_vec(),
        },
        is_for_bare,
    }
}

fn request(method: &str, query: &str, headers: &str) -> String {
    format!("{method} /index.php?{query} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

/// How many rounds of the script's loop take a millisecond on this machine.
fn rounds_in_a_millisecond(php: &Path) -> Result<u64, String> {
    let code = "$best = 0; for ($try = 0; $try < 30; $try++) { $h = ''; $n = 0; $end = hrtime(true) + 1000000;
        while (hrtime(true) < $end) { for ($i = 0; $i < 20; $i++) { $h = md5($h . $i); } $n += 20; }
        $best = max($best, $n); } echo $best;";
    let text = run(php, code)?;
    text.parse()
        .map_err(|_| format!("php counted {text:?} rounds"))
}

fn run(php: &Path, code: &str) -> Result<String, String> {
    let output = Command::new(php).args(["-n", "-r", code]).output();
    let output = output.map_err(|error| format!("{}: {error}", php.display()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{}: {output:?}", php.display())),
    }
}
