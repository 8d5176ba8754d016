//! What the servers are asked to do.

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;

use crate::connection::Exchange;
use crate::servers::{Contestant, Setup};

/// A kind of request.
pub struct Work {
    pub name: &'static str,
    pub title: &'static str,
    /// They are asked in turns.
    pub exchanges: Vec<Exchange>,
    /// Every request has a new connection.
    pub is_renewing: bool,
    /// How many connections it is measured at.
    pub connections: &'static [usize],
    /// Threads or processes for PHP that are worth a try.
    php: RangeInclusive<usize>,
    who: Who,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Everybody,
    /// The bare handler does the same without PHP; it has nothing to compute and takes no upload.
    WithPhp,
    /// PHP has no part in it or starts anew for each request: worker mode is the same as classic mode.
    WithoutWorkers,
}

impl Work {
    pub fn is_for(&self, contestant: Contestant) -> bool {
        match contestant {
            Contestant::Bare => self.who == Who::Everybody,
            Contestant::Worker => self.who != Who::WithoutWorkers,
            // The second worker is there to be compared with the first one.
            Contestant::WorkerAgain | Contestant::Before => self.name == "hello",
            Contestant::Classic | Contestant::Fpm | Contestant::Other(_) => true,
        }
    }

    /// What a contestant is measured with, the best of which goes on.
    pub fn setups(&self, contestant: Contestant) -> Vec<Setup> {
        let mut setups = contestant.setups();
        setups.retain(|setup| self.php.contains(&setup.php));
        setups
    }

    /// The front page of WordPress, whose text is known only when it has been asked for.
    pub fn wordpress(page: Exchange) -> Self {
        Self {
            who: Who::WithoutWorkers,
            connections: &[8],
            // A page keeps a processor busy.
            php: 2..=16,
            ..Self::new("wordpress", "WordPress: the front page", page)
        }
    }

    fn new(name: &'static str, title: &'static str, exchange: Exchange) -> Self {
        Self {
            name,
            title,
            exchanges: vec![exchange],
            is_renewing: false,
            connections: &[16],
            php: 0..=usize::MAX,
            who: Who::Everybody,
        }
    }
}

/// Variables that a background worker has published: nobody else has them.
pub fn vars() -> Vec<Work> {
    let work = |name, title, worker: &str, count| Work {
        who: Who::WithPhp,
        connections: &[16],
        ..Work::new(
            name,
            title,
            get(
                &format!("work=vars&name={worker}"),
                &format!("{count} times 100"),
            ),
        )
    };
    vec![
        work(
            "vars-small",
            "100 bytes of a background worker's variables",
            "small",
            1,
        ),
        work(
            "vars-big",
            "a megabyte of a background worker's variables, in 10,000 strings",
            "big",
            10_000,
        ),
    ]
}

/// Puts what is served into a folder.
pub fn write_site(folder: &Path) -> io::Result<()> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/site");
    fs::create_dir_all(folder)?;
    for script in ["index.php", "vars.php"] {
        fs::copy(scripts.join(script), folder.join(script))?;
    }
    fs::write(folder.join("page.html"), page())
}

/// 16 KB.
fn page() -> String {
    "<p>0123456789</p>".repeat(964)
}

pub fn hello() -> Exchange {
    get("work=hello", "Hello /index.php?work=hello")
}

/// All but WordPress and variables. `php` computes the answers that have to be computed.
pub fn all(php: &Path) -> Result<Vec<Work>, String> {
    let rounds = rounds_in_a_millisecond(php)?;
    let hash =
        format!("$h = ''; for ($i = 0; $i < {rounds}; $i++) {{ $h = md5($h . $i); }} echo $h;");
    let sleep = get("work=sleep", "slept");
    let posted = vec![b'x'; 64 * 1024];
    let posted_hash = run(php, "echo md5(str_repeat('x', 65536));")?;
    let body = "0123456789".repeat(10240);
    Ok(vec![
        Work {
            connections: &[1, 16, 64, 256],
            ..Work::new(
                "hello",
                "hello: `$_SERVER['REQUEST_URI']` in a sentence",
                hello(),
            )
        },
        Work {
            who: Who::WithPhp,
            connections: &[1, 16],
            ..Work::new(
                "cpu",
                "1 ms of computing",
                get(&format!("work=cpu&rounds={rounds}"), &run(php, &hash)?),
            )
        },
        Work {
            connections: &[1, 64],
            ..Work::new("sleep", "5 ms of waiting", sleep.clone())
        },
        Work {
            connections: &[64],
            exchanges: [vec![hello(); 9], vec![sleep]].concat(),
            ..Work::new(
                "mixed",
                "fast and slow ones mixed: nine times hello, then 5 ms of waiting",
                hello(),
            )
        },
        Work {
            connections: &[16, 64],
            ..Work::new("body", "a body of 100 KB", get("work=body", &body))
        },
        Work {
            who: Who::WithPhp,
            connections: &[1, 16],
            ..Work::new(
                "post",
                "a raw POST of 64 KB",
                Exchange {
                    request: post("work=post", "application/octet-stream", &posted),
                    body: posted_hash.clone().into_bytes(),
                },
            )
        },
        Work {
            who: Who::WithPhp,
            ..Work::new(
                "upload",
                "a multipart upload of a file of 64 KB",
                Exchange {
                    request: upload(&posted),
                    body: format!("{posted_hash} for Ada").into_bytes(),
                },
            )
        },
        Work {
            is_renewing: true,
            ..Work::new(
                "connect",
                "hello, a new connection for every request",
                Exchange {
                    request: request("GET", "work=hello", "Connection: close\r\n").into_bytes(),
                    ..hello()
                },
            )
        },
        Work {
            who: Who::WithoutWorkers,
            connections: &[64],
            ..Work::new(
                "static",
                "a static file of 16 KB; nginx serves it by itself",
                Exchange {
                    request: b"GET /page.html HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
                    body: page().into_bytes(),
                },
            )
        },
    ])
}

fn get(query: &str, body: &str) -> Exchange {
    Exchange {
        request: request("GET", query, "").into_bytes(),
        body: body.as_bytes().to_vec(),
    }
}

fn post(query: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let headers = format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n");
    [request("POST", query, &headers).as_bytes(), body].concat()
}

fn upload(file: &[u8]) -> Vec<u8> {
    let body = [
        b"--border\r\nContent-Disposition: form-data; name=\"who\"\r\n\r\nAda\r\n\
          --border\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
          Content-Type: application/octet-stream\r\n\r\n",
        file,
        b"\r\n--border--\r\n",
    ]
    .concat();
    post("work=upload", "multipart/form-data; boundary=border", &body)
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
