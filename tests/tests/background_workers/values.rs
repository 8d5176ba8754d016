//! What is published arrives as it is; mistakes are told by the right exception.

use serde_json::{Value, json};
use troupe_tests::{Server, Setup};

use crate::read;

/// Every name is a worker of `values.php`; `read.php` is served in both modes.
fn values() -> Setup {
    Setup::serving("background").background("values.php", "max_names = 30")
}

fn in_worker_mode(setup: Setup) -> Setup {
    setup.worker("read.php", "num = 1")
}

/// Both ways to read.
fn both(check: impl Fn(&Server)) {
    check(&values().start());
    check(&in_worker_mode(values()).start());
}

#[track_caller]
fn error(answer: &Value) -> &str {
    answer["error"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn every_kind_of_value_arrives_as_it_was_published() {
    both(|server| assert_eq!(read(server, "name=everything&do=everything"), true));
}

#[test]
fn an_array_of_512_levels_arrives_and_one_more_is_refused() {
    both(|server| {
        let deep = read(server, "name=depth-512&do=deep");
        assert_eq!(deep, 512);
        let objection = read(server, "name=depth-513");
        let text = objection["value"]["objection"].as_str().unwrap();
        assert!(
            text.starts_with("ValueError: frankenphp_worker_set_vars(): Argument #1 ($vars) must hold only values that can be sent: arrays nested deeper than 512 levels are not supported, at ['in']"),
            "{text}"
        );
        let far = read(server, "name=depth-100000");
        assert!(
            far["value"]["objection"]
                .as_str()
                .unwrap()
                .starts_with("ValueError")
        );
    });
}

#[test]
fn what_cannot_travel_is_refused_by_its_path_before_anything_is_published() {
    let prefix = "ValueError: frankenphp_worker_set_vars(): Argument #1 ($vars) must hold only values that can be sent: ";
    let server = values().start();
    let objections = &read(&server, "name=objections")["value"]["objections"];
    for (what, expected) in [
        ("object", "objects are not supported, at ['a']['b'][1]"),
        ("closure", "objects are not supported, at [0]"),
        (
            "resource",
            "resources are not supported, at ['deep'][0]['er']",
        ),
        ("reference", "references are not supported, at ['x']"),
        ("recursive", "references are not supported, at ['self']"),
    ] {
        assert_eq!(objections[what], format!("{prefix}{expected}"));
    }
    assert_eq!(
        objections["nothing was published"],
        "RuntimeException: timeout waiting for background worker: objections"
    );
}

#[test]
fn an_enum_or_a_case_that_the_reader_has_not_got_is_a_logic_exception() {
    both(|server| {
        assert_eq!(
            error(&read(server, "name=unknown&do=unknown")),
            "LogicException: enum \"OnlyHere\" is not known here"
        );
        assert_eq!(
            error(&read(server, "name=renamed&do=renamed")),
            "LogicException: enum \"Changing\" has no case \"Added\" here"
        );
        // The next reader is none the worse for it.
        assert_eq!(read(server, "name=everything&do=same")["same"], true);
    });
}

#[test]
fn a_worker_knows_itself_by_its_server_variables() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("php/background/values.php");
    let server = values()
        .env("SITE", "of the site")
        .background(
            "values.php",
            "name = \"server-declared\"\nenv = { OWN = \"its own\" }",
        )
        .start();
    for (name, own) in [
        ("server-declared", json!("its own")),
        ("server-lazy", Value::Null),
    ] {
        let vars = &read(&server, &format!("name={name}"))["value"];
        assert_eq!(vars["argv"], json!([script, name]));
        assert_eq!(vars["argc"], 2);
        assert_eq!(vars["global argv"], json!([script, name]));
        assert_eq!(
            (&vars["name"], &vars["background"]),
            (&json!(name), &json!(true))
        );
        assert_eq!(vars["limit"], "0");
        assert_eq!((&vars["env"], &vars["site"]), (&own, &json!("of the site")));
        assert_eq!(vars["uptime"], true);
        assert_eq!(
            vars["handle_request"],
            "RuntimeException: frankenphp_handle_request() cannot be called in a background worker"
        );
    }
}

#[test]
fn a_lazily_started_worker_has_the_variables_of_its_catch_all() {
    let server = Setup::serving("background")
        .background("values.php", "env = { OWN = \"its own\" }")
        .start();
    assert_eq!(read(&server, "name=server-lazy")["value"]["env"], "its own");
}

#[test]
fn a_list_of_names_is_answered_by_an_array_keyed_by_name() {
    both(|server| {
        let both = read(server, "names[]=large-3&names[]=large-5&names[]=large-3");
        let lengths: Vec<_> = both["value"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, vars)| (name.as_str(), vars["blob"].as_str().unwrap().len()))
            .collect();
        assert_eq!(lengths, [("large-3", 3), ("large-5", 5)]);
    });
}

#[test]
fn workers_of_a_list_are_started_side_by_side() {
    let server = Setup::serving("background")
        .background("together.php", "")
        .start();
    // Each publishes only when the other has been started too.
    let both = read(&server, "names[]=one&names[]=two");
    assert_eq!(
        both,
        json!({"value": {"one": {"name": "one"}, "two": {"name": "two"}}})
    );
}

#[test]
fn readers_who_come_together_start_a_worker_once() {
    let server = Setup::serving("background")
        .php("threads = 8")
        .background("together.php", "")
        .start();
    std::thread::scope(|scope| {
        let readers = [(); 8].map(|()| scope.spawn(|| read(&server, "name=one")));
        let folder = server.folder();
        troupe_tests::eventually("it was started", || {
            (!folder.read("here-one").is_empty()).then_some(())
        });
        folder.write("here-two", "");
        for reader in readers {
            assert_eq!(reader.join().unwrap()["value"]["name"], "one");
        }
    });
    assert_eq!(
        server.folder().read("here-one"),
        "\n",
        "it was started once"
    );
}

#[test]
fn mistakes_of_a_reader_are_told_by_the_right_exception() {
    both(|server| {
        let function = "frankenphp_worker_get_vars(): Argument";
        for (query, expected) in [
            (
                "name=",
                format!("ValueError: {function} #1 ($name) must not be empty"),
            ),
            (
                "names[]=large-1&names[]=",
                format!("ValueError: {function} #1 ($name) must not have an empty name in it"),
            ),
            (
                "do=raw&names=[]",
                format!("ValueError: {function} #1 ($name) must name at least one worker"),
            ),
            (
                "do=raw&names=[1]",
                format!("TypeError: {function} #1 ($name) must be a list of strings, int in it"),
            ),
            (
                "name=large-1&timeout=-1",
                format!("ValueError: {function} #2 ($timeout) must be greater than or equal to 0"),
            ),
            (
                "name=silent&timeout=0.05",
                "RuntimeException: timeout waiting for background worker: silent".to_owned(),
            ),
            (
                "name=silent&timeout=0",
                "RuntimeException: timeout waiting for background worker: silent".to_owned(),
            ),
            (
                "names[]=large-1&names[]=silent&timeout=0.05",
                "RuntimeException: timeout waiting for background worker: silent".to_owned(),
            ),
            (
                "name=&do=short",
                "ValueError: frankenphp_get_vars(): Argument #1 ($name) must not be empty"
                    .to_owned(),
            ),
        ] {
            assert_eq!(error(&read(server, query)), expected, "{query}");
        }
        assert_eq!(
            read(server, "name=large-4&do=short")["value"]["blob"],
            "xxxx"
        );
    });
}

#[test]
fn a_workers_own_functions_are_refused_elsewhere() {
    both(|server| {
        let refused = read(server, "do=elsewhere");
        for (place, function) in [
            "frankenphp_worker_set_vars",
            "frankenphp_worker_get_signaling_stream",
            "frankenphp_get_worker_handle",
        ]
        .iter()
        .enumerate()
        {
            assert_eq!(
                error(&refused[place]),
                format!("RuntimeException: {function}() can only be called in a background worker")
            );
        }
    });
}

#[test]
fn a_site_without_background_workers_says_so() {
    let server = Setup::serving("background").start();
    assert_eq!(
        error(&read(&server, "name=any")),
        "RuntimeException: no background worker configured"
    );
}

#[test]
fn a_name_that_is_not_declared_is_not_found_without_a_catch_all() {
    let server = Setup::serving("background")
        .background("values.php", "name = \"large-1\"")
        .start();
    assert_eq!(
        error(&read(&server, "name=large-2")),
        "RuntimeException: background worker not found: large-2"
    );
    assert_eq!(
        error(&read(&server, "names[]=large-1&names[]=large-2")),
        "RuntimeException: background worker not found: large-2"
    );
}

#[test]
fn a_catch_all_starts_sixteen_names_unless_it_is_told_otherwise() {
    let server = Setup::serving("background")
        .background("values.php", "")
        .background("values.php", "name = \"large-0\"\nnum = 0")
        .start();
    // Names that are declared count for nothing.
    assert_eq!(read(&server, "name=large-0")["value"]["blob"], "");
    for number in 1..=16 {
        let vars = read(&server, &format!("name=large-{number}"));
        assert_eq!(vars["value"]["blob"].as_str().unwrap().len(), number);
    }
    assert_eq!(
        error(&read(&server, "name=large-17")),
        "RuntimeException: limit of 16 background worker names reached, cannot start: large-17"
    );
    assert_eq!(
        read(&server, "name=large-16")["value"]["blob"]
            .as_str()
            .unwrap()
            .len(),
        16
    );
}

#[test]
fn two_sites_may_use_one_name_without_meeting() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/php/background");
    let second = format!(
        "[[site]]\nhosts = [\"second.test\"]\nroot = {root:?}\nenv = {{ SITE = \"the second\" }}\n\
         [[site.background]]\nname = \"server\"\nscript = \"{root}/values.php\"\n"
    );
    let server = Setup::serving("background")
        .env("SITE", "the first")
        .background("values.php", "name = \"server\"")
        .and(&second)
        .start();
    assert_eq!(read(&server, "name=server")["value"]["site"], "the first");
    let request = troupe_tests::Request::get("/read.php?name=server").header("Host", "second.test");
    let answer = server.send(&request).expect(200).json();
    assert_eq!(answer["value"]["site"], "the second");
}
