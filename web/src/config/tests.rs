use super::*;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

/// A folder with a document root, a script, a certificate and a key in it.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("public")).unwrap();
    for file in [
        "public/index.php",
        "worker.php",
        "cert.pem",
        "key.pem",
        "php.ini",
    ] {
        fs::write(folder.path().join(file), "").unwrap();
    }
    folder
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let variables = variables.iter();
    variables
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

fn parse_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Invalid> {
    let folder = folder();
    let path = Path::new("troupe.toml");
    Config::parse(path, text.into(), folder.path(), environment(variables))
}

/// The mistakes of a document, each as "line:column: message" or "origin: message".
fn mistakes(text: &str) -> Vec<String> {
    let shown = parse_with(text, &[]).unwrap_err().to_string();
    shown
        .lines()
        .filter(|line| !line.starts_with("  ") && !line.ends_with("in the configuration"))
        .map(|line| line.trim_start_matches("troupe.toml:").trim().to_owned())
        .collect()
}

/// A document whose only mistakes are those of `text`, appended to a right beginning of one line.
fn mistakes_after_site(text: &str) -> Vec<String> {
    mistakes(&format!("site = [{{ root = \"public\" }}]\n{text}"))
}

const SITE: &str = "[[site]]\nroot = \"public\"\n";

#[test]
fn a_site_is_all_that_must_be_said() {
    let config = parse_with(SITE, &[]).unwrap();
    assert_eq!(config.server.listen[0].to_string(), "http://127.0.0.1:8080");
    assert_eq!(config.server.max_wait_time, Some(Duration::from_secs(30)));
    assert_eq!(
        config.admin.listen.unwrap().to_string(),
        "http://127.0.0.1:2019"
    );
    assert_eq!(config.health.listen, None);
    assert!(config.php.threads >= 2);
    let site = &config.sites[0];
    assert_eq!(site.name, "default");
    assert!(site.root.is_absolute() && site.root.ends_with("public"));
    assert_eq!(site.try_files, ["$uri", "$uri/", "/index.php"]);
}

#[test]
fn every_key_is_read() {
    let config = parse_with(
        r#"
        [server]
        listen = [":80", "tls::443", "unix:t.sock"]
        reuse_port = true
        io_threads = 3
        max_connections = 10
        header_size = "16KiB"
        body_size = "1GiB"
        header_read_timeout = "1s"
        body_idle_timeout = "2s"
        write_idle_timeout = "3s"
        keep_alive = "4s"
        queue_length = 5
        max_wait_time = "off"
        shutdown_grace = "6s"
        tls_cert = "cert.pem"
        tls_key = "key.pem"
        compress = ["gzip"]
        log_format = "json"
        log_level = "warn"
        log_file = "troupe.log"
        access_log = "access.log"
        [admin]
        listen = "0.0.0.0:2019"
        token = "0123456789abcdef"
        [health]
        listen = ":2020"
        [php]
        threads = 2
        max_threads = 4
        deadline = "30s"
        slow_log = "1s"
        php_ini = "php.ini"
        scan_dir = "public"
        ini = { memory_limit = "64M" }
        admin_ini = { open_basedir = "/srv" }
        [[site]]
        name = "shop"
        hosts = ["shop.example", "*.Shop.example"]
        root = "public"
        index = "index.php"
        env = { APP_ENV = "prod" }
        try_files = ["$uri", "/index.php"]
        path_split = [".php", ".php5"]
        symlinks = ["public"]
        [[site.worker]]
        script = "public/index.php"
        num = 2
        max_threads = 3
        env = { A = "b" }
        name = "front"
        match = ["/api/*"]
        watch = ["src/**/*.php"]
        restart = "transient"
        boot_timeout = "off"
        backoff = "1s"
        backoff_max = "2s"
        intensity = 3
        period = "1m"
        max_consecutive_failures = 4
        grace = "7s"
        max_requests = 1000
        ttl = "1h"
        max_memory = "256MiB"
        deadline = "10s"
        slow_log = "1s"
        [[site.background]]
        name = "queue"
        script = "worker.php"
        num = 2
        max_threads = 3
        env = {}
        watch = []
        restart = "permanent"
        boot_timeout = "5m"
        grace = "1m"
        max_queue = 8
        max_names = 2
        task_deadline = "1h"
        "#,
        &[],
    )
    .unwrap();
    assert_eq!(config.server.max_wait_time, None);
    assert_eq!(config.server.compress, [Encoding::Gzip]);
    assert!(matches!(&config.server.access_log, Some(AccessLog::File(path)) if path.is_absolute()));
    assert_eq!(config.php.ini["memory_limit"], "64M");
    assert_eq!(config.sites[0].hosts[1], "*.shop.example");
    let worker = &config.sites[0].workers[0];
    assert_eq!(worker.restart.restart, Restart::Transient);
    assert_eq!(worker.restart.boot_timeout, None);
    assert_eq!(worker.max_memory.unwrap().0, 256 << 20);
    assert_eq!(config.sites[0].background[0].name.as_deref(), Some("queue"));
}

#[test]
fn unknown_keys_and_wrong_types_are_all_reported_with_their_places() {
    let text = "[server]\nlisen = 1\nkeep_alive = 75\n[[site]]\nroot = \"public\"\nhots = []\n\n[[site.worker]]\nscript = \"worker.php\"\nnum = \"two\"\n[serve]\n";
    assert_eq!(
        mistakes(text),
        [
            "2:1: unknown key `lisen` in [server] (did you mean `listen`?)",
            "3:14: `keep_alive`: expected a duration such as \"250ms\", \"5s\" or \"10m\", found 75",
            "6:1: unknown key `hots` in [[site]] (did you mean `hosts`?)",
            "10:7: `num`: expected a whole number of 0 or more, found \"two\"",
            "11:2: unknown key `serve` in the configuration (did you mean `server`?)",
        ]
    );
}

#[test]
fn a_key_far_from_any_known_one_lists_them() {
    let found = mistakes_after_site("[health]\nfrequency = 1\n");
    assert_eq!(
        found,
        ["3:1: unknown key `frequency` in [health] (known keys: listen)"]
    );
}

#[test]
fn every_key_is_documented() {
    let documentation = include_str!("../../../docs/configure.md");
    let found = mistakes(
        "unknown_to_all = 1\n[server]\nunknown_to_all = 1\n[admin]\nunknown_to_all = 1\n[health]\nunknown_to_all = 1\n\
         [php]\nunknown_to_all = 1\n[[site]]\nroot = \"public\"\nunknown_to_all = 1\n\
         [[site.worker]]\nscript = \"worker.php\"\nunknown_to_all = 1\n\
         [[site.background]]\nscript = \"worker.php\"\nunknown_to_all = 1\n",
    );
    let mut tables = 0;
    for mistake in &found {
        let (_, rest) = mistake.split_once(" in ").unwrap();
        let (title, keys) = rest.split_once(" (known keys: ").unwrap();
        let section = documentation.split("\n## ").find(|s| s.starts_with(title));
        for key in keys.trim_end_matches(')').split(", ") {
            let is_there = match section {
                Some(section) => section.contains(&format!("`{key}`")),
                // The tables themselves.
                None => {
                    documentation.contains(&format!("\n## [{key}]"))
                        || documentation.contains(&format!("\n## [[{key}]]"))
                }
            };
            // A site's tables have sections of their own.
            let is_table = documentation.contains(&format!("\n## [[site.{key}]]"));
            assert!(is_there || is_table, "{title}: {key}");
        }
        tables += 1;
    }
    assert_eq!(tables, 8, "{found:?}");
}

#[test]
fn syntax_errors_have_places_and_hide_what_follows_from_them() {
    let found = mistakes("[server]\nlisten = \nbody_size = \"1MiB\"\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("2:"), "{found:?}");
}

#[test]
fn tables_must_be_tables() {
    let found = mistakes("server = 1\nsite = \"x\"\n");
    assert_eq!(found[0], "1:10: `server` must be a table: write [server]");
    assert_eq!(
        found[1],
        "2:8: `site` must be a list of tables: write [[site]]"
    );
}

#[test]
fn wrong_words_suggest_the_right_one() {
    let found = mistakes_after_site("[server]\nlog_format = \"jsno\"\n");
    assert_eq!(
        found,
        [
            "3:14: `log_format`: expected one of \"auto\", \"human\", \"json\", found \"jsno\" (did you mean \"json\"?)"
        ]
    );
}

#[test]
fn what_is_missing_on_disk_is_reported_where_it_was_named() {
    let found = mistakes(
        "[php]\nphp_ini = \"no.ini\"\nscan_dir = \"nodir\"\n[[site]]\nroot = \"nowhere\"\nsymlinks = [\"x\"]\n[[site.worker]]\nscript = \"public\"\n[[site.background]]\nscript = \"no.php\"\n",
    );
    assert_eq!(found.len(), 6, "{found:?}");
    assert!(
        found[0].starts_with("2:11: `php_ini`: /") && found[0].ends_with("no.ini does not exist")
    );
    assert!(found[1].starts_with("3:12: `scan_dir`") && found[1].ends_with("is not a folder"));
    assert!(found[2].starts_with("5:8: `root`") && found[2].ends_with("is not a folder"));
    assert!(found[3].starts_with("6:12: `symlinks`"));
    assert!(found[4].starts_with("8:10: `script`") && found[4].ends_with("is not a file"));
    assert!(found[5].starts_with("10:10: `script`") && found[5].ends_with("does not exist"));
}

#[test]
fn missing_keys_point_at_their_table() {
    let found = mistakes("[[site]]\n[[site.worker]]\n[[site.background]]\nname = \"b\"\n");
    assert_eq!(
        found,
        [
            "1:1: [[site]] needs a `root`, the folder it serves",
            "2:1: [[site.worker]] needs a `script`",
            "3:1: [[site.background]] needs a `script`",
        ]
    );
    assert_eq!(mistakes(""), ["no [[site]]: there is nothing to serve"]);
}

#[test]
fn values_that_do_not_fit_together_are_reported() {
    for (text, message) in [
        (
            "[server]\nlisten = []",
            "3:10: `listen`: at least one address is needed",
        ),
        (
            "[server]\nio_threads = 0",
            "3:14: `io_threads` must be at least 1",
        ),
        (
            "[server]\nheader_size = \"1MiB\"",
            "3:15: `header_size` must be between 1KiB and 128KiB",
        ),
        (
            "[server]\nkeep_alive = \"0\"",
            "3:14: `keep_alive` must be more than 0",
        ),
        (
            "[server]\nlisten = \":1\"\ntls_cert = \"cert.pem\"",
            "4:12: `tls_cert` needs `tls_key` beside it",
        ),
        (
            "[server]\nlisten = \"tls::1\"",
            "3:10: a `tls:` address needs `tls_cert` and `tls_key`, in [server] or in a [[site]]",
        ),
        (
            "[server]\nlisten = [\":1\", \"127.0.0.1:1\"]",
            "3:10: http://127.0.0.1:1 is listed twice",
        ),
        (
            "[server]\nlisten = \":2019\"",
            "1:1: `listen`: http://127.0.0.1:2019 is taken by [server]; give [admin] its own",
        ),
        (
            "[admin]\nlisten = \":2019\"",
            "3:10: `listen`: beyond this machine the admin endpoint needs a `token`",
        ),
        (
            "[admin]\ntoken = \"short\"",
            "3:9: `token` must have at least 16 characters",
        ),
        (
            "[health]\nlisten = \"tls::9\"",
            "3:10: `listen`: TLS is not offered here; put a proxy in front",
        ),
        (
            "[health]\nlisten = \"127.0.0.1:2019\"",
            "3:10: `listen`: http://127.0.0.1:2019 is taken by [admin], which answers the same",
        ),
        (
            "[php]\nthreads = 4\nmax_threads = 2",
            "4:15: `max_threads` (2) must not be less than `threads` (4)",
        ),
        ("[php]\nthreads = 0", "3:11: `threads` must be at least 1"),
        (
            "[php]\nini = { \"a b\" = \"1\" }",
            "3:7: `ini`: `a b` = \"1\" can't stand in an ini file",
        ),
    ] {
        let found = mistakes_after_site(text);
        // A default has no place in the file; only its message is compared.
        let expected = message.strip_prefix("1:1: ").unwrap_or(message);
        assert_eq!(found, [expected], "{text}");
    }
}

#[test]
fn mistakes_in_a_site_are_reported() {
    for (text, message) in [
        (
            "hosts = [\"http://a\"]",
            "3:9: `hosts`: expected a name such as \"example.org\" or \"*.example.org\" (without scheme and port), found \"http://a\"",
        ),
        (
            "name = \"a/b\"",
            "3:8: a site's name must not be empty or hold a slash, found \"a/b\"",
        ),
        (
            "index = \"a/b\"",
            "3:9: `index`: expected the name of a file, found \"a/b\"",
        ),
        (
            "path_split = \"php\"",
            "3:14: `path_split`: expected a suffix such as \".php\", found \"php\"",
        ),
        (
            "try_files = \"/a?b\"",
            "3:13: `try_files`: \"/a?b\": the query is always kept and can't be written here",
        ),
        (
            "env = { \"A=B\" = \"c\" }",
            "3:7: `env`: \"A=B\" = \"c\" can't stand in an environment",
        ),
        (
            "[[site]]\nroot = \"public\"\nname = \"b\"",
            "3:1: `hosts`: every host not listed elsewhere is already served by the site \"default\"",
        ),
        (
            "[[site.worker]]\nscript = \"worker.php\"\nmatch = \"api\"",
            "5:9: `match`: expected a path such as \"/api/*\", found \"api\"",
        ),
        (
            "[[site.worker]]\nscript = \"worker.php\"\nnum = 0",
            "5:7: `num` must be at least 1",
        ),
        (
            "[[site.worker]]\nscript = \"worker.php\"\nttl = \"0\"",
            "5:7: `ttl` must be more than 0, or \"off\"",
        ),
        (
            "[[site.worker]]\nscript = \"worker.php\"\nboot_timeout = \"0\"",
            "5:16: `boot_timeout` must be more than 0, or \"off\"",
        ),
        (
            "[[site.worker]]\nscript = \"worker.php\"\nbackoff = \"1m\"",
            "5:11: `backoff` must not be more than `backoff_max`",
        ),
        (
            "[[site.worker]]\nscript = \"worker.php\"\n[[site.worker]]\nscript = \"worker.php\"\nname = \"b\"",
            "6:10: `script`: another worker of this site serves it already; set `match` to tell them apart",
        ),
        (
            "[[site.background]]\nscript = \"worker.php\"\nnum = 1",
            "5:7: `num`: a worker without a `name` is started by its first use, never at boot",
        ),
        (
            "[[site.background]]\nscript = \"worker.php\"\n[[site.background]]\nscript = \"worker.php\"",
            "5:1: there are two background workers without a name in this site",
        ),
        (
            "[[site.background]]\nscript = \"worker.php\"\nmax_queue = 0",
            "5:13: `max_queue` must be at least 1",
        ),
        (
            "[[site.worker]]\nscript = \"worker.php\"\nwatch = \"/[a\"",
            "5:9: `watch`: error parsing glob '/[a': unclosed character class; missing ']'",
        ),
    ] {
        assert_eq!(mistakes(&format!("{SITE}{text}\n")), [message], "{text}");
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let config = parse_with(
        "[server]\nlisten = \":1\"\n[[site]]\nname = \"my-blog\"\nroot = \"nowhere\"\n[[site.worker]]\nname = \"api\"\nscript = \"worker.php\"\nnum = 1\n",
        &[
            ("TROUPE_SERVER_LISTEN", "127.0.0.1:2,unix:/run/t.sock"),
            ("TROUPE_SERVER_MAX_WAIT_TIME", "off"),
            ("TROUPE_PHP_INI", "memory_limit=1G,precision=3"),
            ("TROUPE_SITE_MY_BLOG_ROOT", "public"),
            ("TROUPE_SITE_MY_BLOG_WORKER_API_NUM", "7"),
            ("TROUPE_SERVICE_HOST", "10.0.0.1"),
            ("TROUPE_PHP_CONFIG", "/opt/php/bin/php-config"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen.len(), 2);
    assert_eq!(config.server.max_wait_time, None);
    assert_eq!(config.php.ini["precision"], "3");
    assert!(config.sites[0].root.ends_with("public"));
    assert_eq!(config.sites[0].workers[0].num, 7);
}

#[test]
fn wrong_and_unknown_variables_are_reported_by_name() {
    let shown = parse_with(
        SITE,
        &[
            ("TROUPE_PHP_THREADS", "many"),
            ("TROUPE_SERVER_LISEN", ":1"),
        ],
    )
    .unwrap_err()
    .to_string();
    assert_eq!(
        shown,
        "environment variable TROUPE_PHP_THREADS: expected a whole number of 0 or more, found \"many\"\n\
         environment variable TROUPE_SERVER_LISEN: there is no such setting (did you mean TROUPE_SERVER_LISTEN?)\n\
         2 errors in the configuration"
    );
}

#[test]
fn flags_build_the_same_configuration() {
    let folder = folder();
    let flags = ServerFlags {
        root: "public".into(),
        listen: vec![":1".into()],
        threads: Some(50),
        define: vec!["memory_limit=1G".into(), "opcache.enable_cli".into()],
        admin: Some("off".into()),
        worker: vec!["public/index.php,3".into()],
        background: vec!["queue=worker.php,2".into(), "worker.php".into()],
        ..ServerFlags::default()
    };
    let variables = environment(&[("TROUPE_SERVER_KEEP_ALIVE", "1s")]);
    let config = Config::from_flags(&flags, folder.path(), variables).unwrap();
    assert_eq!(config.server.listen[0].to_string(), "http://0.0.0.0:1");
    assert_eq!(config.server.keep_alive, Duration::from_secs(1));
    assert_eq!((config.php.threads, config.php.max_threads), (50, 50));
    assert_eq!(config.php.ini["memory_limit"], "1G");
    assert_eq!(config.php.ini["opcache.enable_cli"], "1");
    assert_eq!(config.admin.listen, None);
    let site = &config.sites[0];
    assert_eq!(site.root, folder.path().join("public"));
    assert_eq!(
        (site.workers[0].name.as_str(), site.workers[0].num),
        ("index", 3)
    );
    assert_eq!(site.background[0].name.as_deref(), Some("queue"));
    assert_eq!(
        (site.background[1].num, site.background[1].max_threads),
        (0, 1)
    );
}

#[test]
fn as_many_threads_as_a_flag_says_stay_as_many() {
    let threads = |variables: &[(&str, &str)]| {
        let flags = ServerFlags {
            threads: Some(1),
            ..ServerFlags::default()
        };
        let config = Config::from_flags(&flags, folder().path(), environment(variables)).unwrap();
        (config.php.threads, config.php.max_threads)
    };
    assert_eq!(threads(&[]), (1, 1), "it does not grow unless told to");
    assert_eq!(threads(&[("TROUPE_PHP_MAX_THREADS", "7")]), (1, 7));
}

#[test]
fn wrong_flags_are_reported_by_name() {
    let folder = folder();
    let flags = ServerFlags {
        root: "nowhere".into(),
        listen: vec!["80".into()],
        worker: vec!["no.php".into()],
        threads: Some(0),
        ..ServerFlags::default()
    };
    let shown = Config::from_flags(&flags, folder.path(), Environment::new())
        .unwrap_err()
        .to_string();
    for expected in [
        "--listen: expected an address",
        "--root: `root`: ",
        "--worker: `script`: ",
        "--threads: `threads` must be at least 1",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
}
