//! Settings, by which way they ever come.

use serde_json::json;
use troupe_tests::{Server, troupe};

use crate::classic;

#[test]
fn settings_come_from_flags_and_scripts_may_change_them_for_their_request() {
    let folder = troupe_tests::Folder::new();
    folder.write("hello.ini", "precision = 7\nhtml_errors = On\n");
    let mut command = troupe();
    command
        .args(["php-server", "--listen", "127.0.0.1:0", "--admin", "off"])
        .args(["-d", "precision=9", "-d", "short_open_tag"])
        .arg("--php-ini")
        .arg(folder.join("hello.ini"))
        .args(["--threads", "1", "--root"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/php/classic"));
    let server = Server::spawn(command, folder);
    let seen = server.get("/ini.php?name=precision&value=3").json();
    assert_eq!(seen, json!({"before": "9", "set": true, "after": "3"}));
    // The only thread there is has changed it; the next request starts anew.
    assert_eq!(server.get("/ini.php?name=precision").json()["before"], "9");
    assert_eq!(
        server.get("/ini.php?name=short_open_tag").json()["before"],
        "1"
    );
    assert_eq!(
        server.get("/ini.php?name=html_errors").json()["before"],
        "1"
    );
}

#[test]
fn a_folder_of_ini_files_holds_settings_and_extensions() {
    let setup = classic();
    setup
        .folder()
        .write("ini/10.ini", "precision = 8\nextension = igbinary\n");
    setup.folder().write("ini/20.ini", "precision = 7\n");
    setup
        .folder()
        .write("php.ini", "precision = 6\nserialize_precision = 5\n");
    let server = setup
        .php("scan_dir = \"ini\"\nphp_ini = \"php.ini\"")
        .start();
    let seen = |name: &str| server.get(&format!("/ini.php?name={name}")).json()["before"].clone();
    assert_eq!(
        seen("precision"),
        "7",
        "the last file wins, and php.ini comes first"
    );
    assert_eq!(seen("serialize_precision"), "5");
    assert_eq!(
        seen("igbinary.compact_strings"),
        "1",
        "the extension is loaded"
    );
    assert_eq!(
        seen("redis.session.locking_enabled"),
        false,
        "and no other one"
    );
}

#[test]
fn locked_settings_win_over_a_scripts_wish() {
    let server = classic()
        .admin_ini("memory_limit", "64M")
        .ini("precision", "9")
        .start();
    assert_eq!(
        server.get("/ini.php?name=memory_limit&value=1G").json(),
        json!({"before": "64M", "set": false, "after": "64M"})
    );
    assert_eq!(
        server.get("/ini.php?name=precision&value=3").json(),
        json!({"before": "9", "set": true, "after": "3"})
    );
}

#[test]
fn files_can_be_put_before_and_after_every_script() {
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/php/classic");
    let server = classic()
        .ini("auto_prepend_file", &format!("{scripts}/prepended.php"))
        .ini("auto_append_file", &format!("{scripts}/appended.php"))
        .start();
    assert_eq!(server.get("/hello.php").text(), "prepended hello appended");
}
