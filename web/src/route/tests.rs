use super::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Instant;
use tempfile::TempDir;

/// A site in a temporary folder.
struct Fixture {
    folder: TempDir,
    site: Site,
}

impl Fixture {
    fn new(files: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let site = Site {
            name: "test".into(),
            hosts: Vec::new(),
            root: folder.path().canonicalize().unwrap(),
            index: Site::default_index(),
            env: Default::default(),
            try_files: Site::default_try_files(),
            path_split: Site::default_path_split(),
            symlinks: Vec::new(),
            tls: None,
            workers: Vec::new(),
            background: Vec::new(),
        };
        Self { folder, site }
    }

    /// What a path maps to, in a few words: the same when its script is known.
    fn resolve(&self, path: &str) -> String {
        let router = Router::new(&self.site).unwrap();
        let first = self.describe(router.resolve(path, Instant::now()));
        assert_eq!(
            self.describe(router.resolve(path, Instant::now())),
            first,
            "{path}"
        );
        first
    }

    fn describe(&self, target: Target<'_>) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match target {
            Target::Static(file) => format!("static {}", text(&file.path)),
            Target::Php(script) => {
                let name = text(&script.file.script_name);
                if script.file.worker.is_none() {
                    let expected = self.site.root.join(name.trim_start_matches('/'));
                    assert_eq!(script.file.script_filename, expected);
                }
                assert_eq!(script.file.document_root, self.site.root);
                let worker = script.file.worker.map(|worker| format!(" worker {worker}"));
                let info = text(&script.path_info);
                format!("php {name} [{info}]{}", worker.unwrap_or_default())
            }
            Target::Redirect(path) => format!("redirect {}", text(&path)),
            Target::NotFound => "not found".into(),
            Target::Forbidden => "forbidden".into(),
            Target::BadRequest(_) => "bad request".into(),
            Target::Failed(errno) => format!("failed {errno}"),
        }
    }

    fn assert(&self, cases: &[(&str, &str)]) {
        for (path, target) in cases {
            assert_eq!(self.resolve(path), *target, "{path}");
        }
    }
}

fn worker(script: &str, root: &Path, matches: &[&str]) -> crate::config::Worker {
    let mut worker = crate::config::Worker::new(root.join(script), Some(1));
    worker.matches = matches.iter().map(|&pattern| pattern.to_owned()).collect();
    worker
}

#[test]
fn the_default_is_a_file_then_an_index_then_the_front_controller() {
    Fixture::new(&[
        "index.php",
        "style.css",
        "admin/index.php",
        "manual/index.html",
        "empty/file.txt",
        "tool.php",
    ])
    .assert(&[
        ("/", "php /index.php []"),
        ("/index.php", "php /index.php []"),
        ("/style.css", "static /style.css"),
        ("/st%79le.css", "static /style.css"),
        ("/style.css/", "php /index.php []"),
        ("/tool.php", "php /tool.php []"),
        ("/blog/some-post", "php /index.php []"),
        ("/missing.png", "php /index.php []"),
        ("/missing.php", "php /index.php []"),
        ("/admin", "redirect /admin/"),
        ("/admin/", "php /admin/index.php []"),
        ("/manual", "redirect /manual/"),
        ("/manual/", "static /manual/index.html"),
        ("/empty", "php /index.php []"),
        ("/empty/", "php /index.php []"),
    ]);
}

#[test]
fn path_info_follows_an_existing_script_only() {
    Fixture::new(&["index.php", "app.php/inner.php", "a/b.php"]).assert(&[
        ("/index.php/x/y", "php /index.php [/x/y]"),
        ("/index.php/", "php /index.php [/]"),
        ("/index.php/caf%C3%A9", "php /index.php [/café]"),
        ("/a/b.php/c.php/d", "php /a/b.php [/c.php/d]"),
        ("/app.php/inner.php/x", "php /app.php/inner.php [/x]"),
        ("/none.php/x", "php /index.php []"),
    ]);
}

#[test]
fn an_upload_never_runs_whatever_is_appended_to_it() {
    let fixture = Fixture::new(&["up/x.jpg", "up/y.php.jpg", "up/Z.PHP", "index.html"]);
    fixture.assert(&[
        ("/up/x.jpg", "static /up/x.jpg"),
        ("/up/x.jpg/.php", "not found"),
        ("/up/x.jpg/x.php", "not found"),
        ("/up/x.jpg/x.php/y", "not found"),
        ("/up/x.jpg%2F.php", "not found"),
        ("/up/x.jpg%2Fx.php", "not found"),
        ("/up/x.jpg%00.php", "bad request"),
        ("/up/x.jpg%0A.php", "not found"),
        ("/up/x.jpg%20.php", "not found"),
        ("/up/y.php.jpg", "static /up/y.php.jpg"),
        ("/up/y.php.jpg/z", "not found"),
        // Not to be run by its name, and a source that must not be shown.
        ("/up/Z.PHP", "not found"),
    ]);
}

#[test]
fn nothing_leaves_the_root() {
    let fixture = Fixture::new(&["a.txt", "index.html"]);
    for path in [
        "/../a.txt",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/a.txt/..%2f..%2f..%2fetc%2fpasswd",
    ] {
        assert_eq!(fixture.resolve(path), "bad request", "{path}");
    }
    fixture.assert(&[
        ("/..\\..\\etc\\passwd", "not found"),
        ("/..%5c..%5cetc%5cpasswd", "not found"),
        ("/%252e%252e/etc/passwd", "not found"),
        ("/....//etc/passwd", "not found"),
        ("/b/../a.txt", "static /a.txt"),
    ]);
}

#[test]
fn hidden_files_and_sources_are_never_sent() {
    let hidden = [
        ".env",
        ".git/config",
        ".htaccess",
        "a/.hidden/b.txt",
        ".well-known/.secret",
        "index.php~",
        "wp-config.php.bak",
        "wp-config.php.save.old",
        "config.inc",
        "INDEX.PHTML",
        "tool.phar",
    ];
    let fixture = Fixture::new(
        &[
            &hidden[..],
            &[".well-known/acme-challenge/token", "a.php.html", "b.txt~"],
        ]
        .concat(),
    );
    for path in hidden {
        assert_eq!(fixture.resolve(&format!("/{path}")), "not found", "{path}");
    }
    fixture.assert(&[
        (
            "/.well-known/acme-challenge/token",
            "static /.well-known/acme-challenge/token",
        ),
        ("/a.php.html", "static /a.php.html"),
        ("/b.txt~", "static /b.txt~"),
    ]);
}

#[test]
fn a_symlink_is_judged_by_the_file_it_leads_to() {
    let mut fixture = Fixture::new(&["config.php", "real.txt", "up/x.jpg", ".env", "index.html"]);
    let root = fixture.folder.path().to_owned();
    symlink("config.php", root.join("leak.txt")).unwrap();
    symlink("up/x.jpg", root.join("run.php")).unwrap();
    symlink(".env", root.join("env.txt")).unwrap();
    symlink("real.txt", root.join("fine.txt")).unwrap();
    symlink("config.php", root.join("other.php")).unwrap();
    let outside = Fixture::new(&["shared.txt", "shared.php"]);
    symlink(outside.folder.path(), root.join("out")).unwrap();
    fixture.assert(&[
        ("/leak.txt", "forbidden"),
        ("/run.php", "forbidden"),
        ("/env.txt", "forbidden"),
        ("/fine.txt", "static /fine.txt"),
        ("/other.php", "php /other.php []"),
        ("/out/shared.txt", "forbidden"),
        ("/out/shared.php", "forbidden"),
    ]);
    fixture.site.symlinks = vec![outside.folder.path().to_owned()];
    fixture.assert(&[
        ("/out/shared.txt", "static /out/shared.txt"),
        ("/out/shared.php", "php /out/shared.php []"),
    ]);
}

#[test]
fn try_files_can_be_written_otherwise() {
    let mut fixture = Fixture::new(&["page.html", "shop/index.html", "app/front.php", "a.txt"]);
    let mut tries = |entries: &[&str], cases: &[(&str, &str)]| {
        fixture.site.try_files = entries.iter().map(|&entry| entry.to_owned()).collect();
        fixture.assert(cases);
    };
    tries(
        &["$uri", "$uri.html", "/app/front.php"],
        &[
            ("/page", "static /page.html"),
            ("/page/", "static /page.html"),
            ("/shop/", "php /app/front.php []"),
            ("/x%2Fy", "php /app/front.php []"),
        ],
    );
    tries(
        &["$uri", "=404", "/app/front.php"],
        &[("/a.txt", "static /a.txt"), ("/b", "not found")],
    );
    tries(&["/app/front.php"], &[("/a.txt", "php /app/front.php []")]);
}

#[test]
fn try_files_entries_that_mean_nothing_are_refused() {
    for wrong in [
        "index.php",
        "/a?b",
        "",
        "$url",
        "/../x",
        "=500",
        "/a//b",
        "/$uri",
    ] {
        assert!(TryFile::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_workers_script_or_match_leads_to_it() {
    let mut fixture = Fixture::new(&["index.php", "other.php", "a.txt"]);
    let outside = Fixture::new(&["api-worker.php"]);
    let root = fixture.site.root.clone();
    fixture.site.workers = vec![
        worker("index.php", &root, &[]),
        worker("api-worker.php", outside.folder.path(), &["/api/*", "/rpc"]),
    ];
    fixture.assert(&[
        ("/", "php /index.php [] worker 0"),
        ("/deep/url", "php /index.php [] worker 0"),
        ("/index.php/info", "php /index.php [/info] worker 0"),
        ("/other.php", "php /other.php []"),
        ("/a.txt", "static /a.txt"),
        ("/api/", "php /api-worker.php [] worker 1"),
        ("/api/../a.txt", "static /a.txt"),
        ("/rpc", "php /api-worker.php [] worker 1"),
        ("/rpc/x", "php /index.php [] worker 0"),
    ]);
}

#[test]
fn a_redirect_can_not_lead_to_another_host() {
    Fixture::new(&["evil.example/index.html"])
        .assert(&[("//evil.example", "redirect /evil.example/")]);
}

#[test]
fn wildcards_match_whole_paths() {
    for (pattern, text, matches) in [
        ("/a", "/a", true),
        ("/a", "/ab", false),
        ("/a*", "/ab/c", true),
        ("*.php", "/x.php", true),
        ("*.php", "/x.phpx", false),
        ("/a*c*e", "/abcde", true),
        ("/a*c*e", "/acce", true),
        ("/a*b", "/ab", true),
        ("/ab*ba", "/aba", false),
        ("*", "/", true),
    ] {
        let found = wildcard(pattern.as_bytes(), text.as_bytes());
        assert_eq!(found, matches, "{pattern} {text}");
    }
}
