//! MediaWiki on SQLite.

use std::os::unix::fs::symlink;

use troupe_tests::{Part, Request, Server, Setup, eventually, troupe};

use crate::browser::{Browser, Page};
use crate::crowd::{CLIENTS, crowd, same_for_all};
use crate::url;
use troupe_tests::package::{assert_quiet, copy, installed, output};

const PASSWORD: &str = "correct horse & battery staple";

const TEXT: &str = "'''Troupe''' plays [[Main Page|here]], not on [[an unwritten page]].\n\n\
    == Äußerst ==\n* {{NUMBEROFUSERS}}";

/// MediaWiki takes a lock's file away that another request may have taken away before.
const EXPECTED: &[&str] = &["/FSLockManager.php"];

/// What differs from one request to the next, whoever asks.
const VARIES: &[(&str, &str)] = &[
    ("\"wgRequestId\":\"", "\""),
    ("\"wgBackendResponseTime\":", "}"),
    ("\"wgPageParseReport\":", ";mw.config"),
    // What the parser measured, and what it took from its cache.
    ("NewPP limit report", "-->"),
    ("Saved in parser cache", "-->"),
    // They have the time in them.
    ("mw.user.tokens.set(", ");"),
];

#[test]
fn mediawiki_is_installed_edited_and_read_by_a_crowd() {
    let server = start();
    install(&server);
    let mut editor = log_in(&server);
    edit(&mut editor, "Troupe", TEXT);
    upload_a_picture(&server, &mut editor);
    read(&server);

    let mut pages: Vec<Request> = [
        "/wiki/Main_Page",
        "/wiki/Troupe",
        "/wiki/File:Stage.png",
        "/wiki/Special:AllPages",
        "/index.php?title=Troupe&action=history",
        "/index.php?search=plays&fulltext=1",
        "/api.php?action=query&list=allpages&format=json",
        "/rest.php/v1/page/Troupe/html",
        "/load.php?lang=en&modules=skins.vector.styles.legacy&only=styles&skin=vector",
        "/resources/assets/poweredby_mediawiki_88x31.png",
    ]
    .map(Request::get)
    .into();
    let target = "/index.php?title=Troupe&action=info";
    pages.push(editor.with_cookies(target, Request::get(target)));
    same_for_all(&server, &pages, 2, VARIES);

    write_all_at_once(&server, &editor);

    let log = server.stop();
    assert_quiet(&log, EXPECTED);
}

/// The wiki's folder has code, images and settings of its own; what is big and only read is linked to.
fn start() -> Server {
    let setup = Setup::with_files(&[]);
    let files = installed("mediawiki", "/usr/share/mediawiki");
    for entry in files.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let to = setup.root().join(name);
        match name {
            "LocalSettings.php" | "config" | "extensions" | "extensions-core" | "images" => {}
            "includes" | "mw-config" => copy(&path, &to),
            _ if path.is_dir() => symlink(&path, to).unwrap(),
            _ => drop(std::fs::copy(&path, to).unwrap()),
        }
    }
    for folder in ["www/images", "www/extensions", "data", "sessions"] {
        std::fs::create_dir(setup.folder().join(folder)).unwrap();
    }
    let root = setup.root().display().to_string();
    let sessions = setup.folder().join("sessions").display().to_string();
    setup
        .php("threads = 8")
        .site("symlinks = [\"/usr/share/mediawiki\"]")
        .env("MW_INSTALL_PATH", &root)
        .ini("opcache.enable", "1")
        .ini("session.save_path", &sessions)
        .start()
}

/// Goes through the pages of the installer, and puts the settings that it offers where it says.
fn install(server: &Server) {
    let mut owner = Browser::new(server);
    owner.open("/").says("/mw-config/index.php");
    let data = server.folder().join("data").display().to_string();
    let mut page = owner.open("/mw-config/index.php");
    loop {
        let title = page.between("<h2>", "</h2>");
        if title == "Complete!" {
            break;
        }
        let form = page.form("submit-continue");
        let form = match title.as_str() {
            "Connect to database" => form
                .set("DBType", "sqlite")
                .set("sqlite_wgSQLiteDataDir", &data),
            "Name" => form
                .set("config_wgSitename", "Troupe’s wiki")
                .set("config__AdminName", "Editor")
                .set("config__AdminPassword", PASSWORD)
                .set("config__AdminPasswordConfirm", PASSWORD)
                .set("config__SkipOptional", "skip")
                .without("config_wgPingback"),
            _ => form,
        };
        page = owner.submit(&page, form.press("submit-continue"));
    }
    let settings = owner.open("/mw-config/index.php?localsettings=1");
    let disposition = settings.response.header("content-disposition");
    assert!(disposition.is_some_and(|d| d.contains("LocalSettings.php")));
    // Addresses as Wikipedia has them are the front controller's; thumbnails are GD's, whatever else the
    // machine has.
    let settings = format!(
        "{}\n$wgArticlePath = '/wiki/$1';\n$wgEnableUploads = true;\n\
         $wgUseImageMagick = false;\n",
        settings.text()
    );
    server.folder().write("www/LocalSettings.php", settings);
}

fn log_in(server: &Server) -> Browser {
    let mut editor = Browser::new(server);
    let page = editor.open("/wiki/Special:UserLogin");
    let form = page.form("wpPassword").set("wpName", "Editor");
    let refused = form
        .clone()
        .set("wpPassword", "wrong")
        .press("wploginattempt");
    editor
        .submit(&page, refused)
        .says("Incorrect username or password");
    let form = form.set("wpPassword", PASSWORD).press("wploginattempt");
    let page = editor.submit(&page, form).says("\"wgUserName\":\"Editor\"");
    assert_eq!(page.target, "/wiki/Main_Page");
    editor
}

/// Uploads a picture by the wiki's form.
fn upload_a_picture(server: &Server, editor: &mut Browser) {
    let page = editor.open("/wiki/Special:Upload");
    let form = page
        .form("wpUpload")
        .set("wpDestFile", "Stage.png")
        .set("wpUploadDescription", "A ''stage''.")
        .press("wpUpload");
    let draw = "imagepng(imagecreatetruecolor(1280, 960));";
    let picture = output(troupe().args(["php-cli", "-r", draw])).stdout;
    let file = Part {
        name: "wpUploadFile",
        file_name: Some("stage.png"),
        content: &picture,
    };
    let page = editor.upload(&page, form, file);
    assert_eq!(page.target, "/wiki/File:Stage.png");
    let page = page.says("<p>A <i>stage</i>.");

    let full = page.between("class=\"fullMedia\"><p><a href=\"", "\"");
    let response = server.get(&full).expect(200);
    assert_eq!(response.header("content-type"), Some("image/png"));
    assert!(
        response.body == picture,
        "the picture is not what was uploaded"
    );
    // GD made the preview.
    let preview = page.between("<img alt=\"File:Stage.png\" src=\"", "\"");
    assert!(preview.contains("/800px-Stage.png"), "{preview}");
    let preview = server.get(&preview).expect(200);
    assert_eq!(
        preview.body[16..24],
        [0, 0, 3, 32, 0, 0, 2, 88],
        "800 × 600"
    );
}

fn edit(editor: &mut Browser, title: &str, text: &str) -> Page {
    let page = editor.open(&format!("/index.php?title={title}&action=edit"));
    let form = page.form("wpTextbox1").set("wpTextbox1", text);
    let form = form.set("wpSummary", "A test").press("wpSave");
    let page = editor.submit(&page, form);
    assert!(
        page.target.starts_with(&format!("/wiki/{title}")),
        "{}",
        page.target
    );
    page
}

fn read(server: &Server) {
    let mut reader = Browser::new(server);
    let page = reader.open("/wiki/Troupe");
    let page = page.says("<title>Troupe - Troupe’s wiki</title>");
    let page = page.says("<b>Troupe</b> plays <a href=\"/wiki/Main_Page\"");
    let page = page.says("<span class=\"mw-headline\" id=\"Äußerst\">");
    page.says("title=\"An unwritten page (page does not exist)\"");
    // The same page by the script's name, with and without a path behind it.
    for target in ["/index.php/Troupe", "/index.php?title=Troupe"] {
        reader.open(target).says("<b>Troupe</b> plays");
    }
    reader
        .open("/index.php?title=Troupe&action=history")
        .says("A test");
    // The index is written after the editor has the answer.
    eventually("the page is found by its words", || {
        let found = server.get("/index.php?search=plays&fulltext=1").expect(200);
        let mark = "<span class='searchmatch'>plays</span>";
        found.text().contains(mark).then_some(())
    });
    let missing = server.get("/wiki/An_unwritten_page").expect(404);
    assert!(
        missing
            .text()
            .contains("There is currently no text in this page")
    );

    let api = "/api.php?action=query&titles=Troupe&prop=revisions&rvprop=content&format=json&formatversion=2";
    let answer = server.get(api).expect(200).json();
    let revision = &answer["query"]["pages"][0]["revisions"][0];
    assert_eq!(revision["content"], TEXT);
    let rest = server.get("/rest.php/v1/page/Troupe").expect(200).json();
    assert_eq!(rest["source"], TEXT);
}

/// Every client creates pages of its own by the API, and reads each one back.
fn write_all_at_once(server: &Server, editor: &Browser) {
    const PAGES_EACH: usize = 2;
    let target = "/api.php?action=query&meta=tokens&format=json";
    let token = editor.clone().send(target, Request::get(target)).json();
    let token = token["query"]["tokens"]["csrftoken"].as_str().unwrap();
    crowd(server, |number, client| {
        for count in 0..PAGES_EACH {
            let title = format!("Written_{number}_{count}");
            let text = format!("This is ''{title}''.");
            let fields = [
                ("action", "edit"),
                ("format", "json"),
                ("title", title.as_str()),
                ("text", text.as_str()),
                ("token", token),
            ];
            let edit = Request::form("/api.php", &url::encode(fields));
            let edit = editor.with_cookies("/api.php", edit);
            let answer = client.request(&edit).expect(200).json();
            assert_eq!(answer["edit"]["result"], "Success", "{answer}");
            let read = Request::get(&format!("/wiki/{title}"));
            let page = client.request(&read).expect(200);
            assert!(
                page.text().contains(&format!("<p>This is <i>{title}</i>.")),
                "{title}"
            );
        }
    });
    let list = "/api.php?action=query&list=allpages&apprefix=Written&aplimit=500&format=json";
    let pages = server.get(list).expect(200).json();
    let pages = pages["query"]["allpages"].as_array().unwrap().len();
    assert_eq!(pages, CLIENTS * PAGES_EACH);
}
