//! WordPress on MariaDB.

use serde_json::{Value, json};
use troupe_tests::{Part, Request, Server, Setup, eventually, troupe};

use crate::browser::Browser;
use crate::crowd::{crowd, same_for_all};
use crate::url;
use troupe_tests::MariaDb;
use troupe_tests::package::{assert_quiet, copy, fixture, installed, output};

const PASSWORD: &str = "correct horse & battery staple";

/// What WordPress 6.1 itself complains about, whatever server it runs on.
const EXPECTED: &[&str] = &[
    // It looks for updates and translations, and has no way out of the test's machine.
    "WordPress could not establish a secure connection to WordPress.org",
    // The page of its installation, when it sends the mail that says so.
    "Undefined variable $upload_path",
    "Undefined variable $upload_url_path",
];

#[test]
fn wordpress_is_installed_written_in_and_read_by_a_crowd() {
    let database = MariaDb::start();
    database.run("create database wordpress character set utf8mb4");
    let server = start(&database);

    install(&server);
    let mut author = log_in(&server);
    switch_on_permalinks(&mut author);
    let picture = upload_a_picture(&server, &mut author);
    let post = publish(&mut author, &picture);
    read(&server, &post, &picture);
    comment(&server, &mut author, &post);
    publish_by_cron(&server, &database, &mut author);

    let id = &post["id"];
    let mut pages: Vec<Request> = [
        "/".to_owned(),
        path(&server, &post["link"]),
        path(
            &server,
            &server.get("/wp-json/wp/v2/posts/1").json()["link"],
        ),
        "/sample-page/".into(),
        "/feed/".into(),
        "/?s=Troupe".into(),
        "/category/uncategorized/".into(),
        format!("/wp-json/wp/v2/posts/{id}"),
        path(&server, &picture["source_url"]),
        "/wp-includes/css/dashicons.min.css".into(),
    ]
    .iter()
    .map(|target| Request::get(target))
    .collect();
    for target in ["/wp-admin/edit.php", "/wp-admin/options-reading.php"] {
        pages.push(author.with_cookies(target, Request::get(target)));
    }
    same_for_all(&server, &pages, 2, &[("var userSettings =", ";")]);

    write_all_at_once(&server, &author);

    let log = server.stop();
    assert_quiet(&log, EXPECTED);
}

fn start(database: &MariaDb) -> Server {
    let setup = Setup::with_files(&[]);
    let files = installed("wordpress", "/usr/share/wordpress");
    installed(
        "wordpress-theme-twentytwentythree",
        "/usr/share/wordpress/wp-content/themes/twentytwentythree/style.css",
    );
    copy(&files, setup.root());
    // Debian's own configuration reads /etc/wordpress; this one is the test's.
    let config = fixture("wordpress/wp-config.php");
    setup.folder().write("www/wp-config.php", config);
    let mail = setup.folder().join("mail");
    let socket = database.socket();
    setup
        .php("threads = 8")
        .env("DB_SOCKET", &socket.display().to_string())
        .ini("opcache.enable", "1")
        .ini("sendmail_path", &format!("cat >> '{}'", mail.display()))
        .start()
}

fn install(server: &Server) {
    let mut owner = Browser::new(server);
    let page = owner.open("/").says("WordPress");
    assert_eq!(page.target, "/wp-admin/install.php");
    let form = page
        .form("weblog_title")
        .set("weblog_title", "A Troupe’s diary")
        .set("user_name", "author")
        .set("admin_password", PASSWORD)
        .set("admin_password2", PASSWORD)
        .set("pw_weak", "on")
        .set("admin_email", "author@example.org")
        .press("Submit");
    owner.submit(&page, form).says("Success!");
    let host = server.host();
    let mail = server.folder().read("mail");
    assert!(mail.contains("To: author@example.org"), "{mail}");
    assert!(
        mail.contains(&format!("http://{host}/wp-login.php")),
        "{mail}"
    );
}

fn log_in(server: &Server) -> Browser {
    let mut author = Browser::new(server);
    let page = author.open("/wp-admin/");
    let form = page.form("pwd").set("log", "author");
    let refused = form.clone().set("pwd", "wrong").press("wp-submit");
    author
        .submit(&page, refused)
        .says("The password you entered");
    let form = form.set("pwd", PASSWORD).press("wp-submit");
    let page = author.submit(&page, form).says("<h1>Dashboard</h1>");
    assert_eq!(page.target, "/wp-admin/");
    author
}

/// From here on every page but the files is the front controller's.
fn switch_on_permalinks(author: &mut Browser) {
    let page = author.open("/wp-admin/options-permalink.php");
    let form = page
        .form("permalink_structure")
        .set("selection", "custom")
        .set("permalink_structure", "/%year%/%postname%/")
        .press("submit");
    let page = author.submit(&page, form);
    page.says("Permalink structure updated");
}

/// Uploads a JPEG by the plain form; returns what the REST API says of it.
fn upload_a_picture(server: &Server, author: &mut Browser) -> Value {
    let draw = "$i = imagecreatetruecolor(1600, 1200);
        for ($y = 0; $y < 1200; $y += 10) for ($x = 0; $x < 1600; $x += 10)
            imagefilledrectangle($i, $x, $y, $x + 9, $y + 9, imagecolorallocate($i, $x * 7 % 256, $y * 5 % 256, 9));
        imagejpeg($i);";
    let picture = output(troupe().args(["php-cli", "-r", draw])).stdout;
    assert_eq!(jpeg_size(&picture), (1600, 1200));

    let page = author.open("/wp-admin/media-new.php");
    let form = page.form("html-upload").press("html-upload");
    let file = Part {
        name: "async-upload",
        file_name: Some("stage.jpg"),
        content: &picture,
    };
    let page = author.upload(&page, form, file);
    assert!(
        page.target.starts_with("/wp-admin/upload.php"),
        "{}",
        page.target
    );

    let media = server.get("/wp-json/wp/v2/media").expect(200).json();
    let media = media[0].clone();
    assert_eq!(media["mime_type"], "image/jpeg");
    let full = server.get(&path(server, &media["source_url"])).expect(200);
    assert!(full.body == picture, "the picture is not what was uploaded");
    let sizes = media["media_details"]["sizes"].as_object().unwrap();
    for name in ["thumbnail", "medium", "medium_large", "large", "1536x1536"] {
        let size = &sizes[name];
        let response = server.get(&path(server, &size["source_url"])).expect(200);
        assert_eq!(response.header("content-type"), Some("image/jpeg"));
        let (width, height) = jpeg_size(&response.body);
        assert_eq!(
            (&json!(width), &json!(height)),
            (&size["width"], &size["height"])
        );
    }
    media
}

/// Publishes a post as the editor does: by the REST API, with the session and the nonce of its page.
fn publish(author: &mut Browser, picture: &Value) -> Value {
    let source = picture["source_url"].as_str().unwrap();
    let post = json!({
        "title": "First night",
        "status": "publish",
        "featured_media": picture["id"],
        "content": format!("<!-- wp:paragraph --><p>Äußerst “schön”: Troupe.</p><!-- /wp:paragraph -->\
            <!-- wp:image --><figure class=\"wp-block-image\"><img src=\"{source}\"/></figure><!-- /wp:image -->"),
    });
    create(author, &post)
}

fn create(author: &mut Browser, post: &Value) -> Value {
    let nonce = nonce(author);
    let response = author.send(POSTS, post_request(&nonce, post));
    response.expect(201).json()
}

const POSTS: &str = "/wp-json/wp/v2/posts?_locale=user";

fn post_request(nonce: &str, post: &Value) -> Request {
    Request::post(POSTS, "application/json", post.to_string()).header("X-WP-Nonce", nonce)
}

fn nonce(author: &mut Browser) -> String {
    let page = author.open("/wp-admin/post-new.php");
    page.between("createNonceMiddleware( \"", "\"")
}

fn read(server: &Server, post: &Value, picture: &Value) {
    let mut reader = Browser::new(server);
    let link = path(server, &post["link"]);
    assert!(link.ends_with("/first-night/"), "{link}");
    let source = picture["source_url"].as_str().unwrap();
    let page = reader
        .open(&link)
        .says("<title>First night &#8211; A Troupe’s diary</title>");
    let page = page.says("<p>Äußerst “schön”: Troupe.</p>");
    page.says(&format!("<img decoding=\"async\" src=\"{source}\""))
        .says("stage-1024x768.jpg");

    // The old address leads to the new one, and so does the one with the script's name.
    let page = reader.open(&format!("/?p={}", post["id"]));
    assert_eq!(page.target, link);
    let page = reader.open(&format!("/index.php{link}"));
    assert_eq!(page.target, link);
    reader.open("/feed/").says("<title>First night</title>");
    let missing = server.get("/2001/no-such-night/").expect(404);
    assert!(missing.text().contains("Page not found"));

    let id = &post["id"];
    let read = server
        .get(&format!("/wp-json/wp/v2/posts/{id}"))
        .expect(200);
    assert_eq!(read.json()["title"]["rendered"], "First night");
    // Who has not logged in can't write.
    let refused = server.send(&post_request("0123456789", &json!({"title": "x"})));
    assert_eq!(
        refused.expect(403).json()["code"],
        "rest_cookie_invalid_nonce"
    );
}

/// A visitor comments, the author approves, everybody reads.
fn comment(server: &Server, author: &mut Browser, post: &Value) {
    let link = path(server, &post["link"]);
    let mut visitor = Browser::new(server);
    let page = visitor.open(&link);
    let form = page
        .form("comment")
        .set("comment", "Bravo & <em>encore</em>!")
        .set("author", "A visitor")
        .set("email", "visitor@example.org")
        .press("submit");
    let page = visitor.submit(&page, form).says("awaiting moderation");
    page.says("Bravo &amp; encore!");

    let nonce = nonce(author);
    let pending = "/wp-json/wp/v2/comments?status=hold";
    let request = Request::get(pending).header("X-WP-Nonce", &nonce);
    let comments = author.send(pending, request).expect(200).json();
    let target = format!("/wp-json/wp/v2/comments/{}", comments[0]["id"]);
    let approve = Request::post(&target, "application/json", r#"{"status":"approved"}"#);
    let approve = approve.header("X-WP-Nonce", &nonce);
    author.send(&target, approve).expect(200);
    Browser::new(server)
        .open(&link)
        .says("Bravo &amp; <em>encore</em>!");
}

/// A post that has become due is published by wp-cron, which a visit makes WordPress start by a request to
/// its own server.
fn publish_by_cron(server: &Server, database: &MariaDb, author: &mut Browser) {
    let post = json!({
        "title": "Second night",
        "status": "future",
        "date_gmt": "2099-12-31T20:00:00",
        "content": "On time.",
    });
    let post = create(author, &post);
    assert_eq!(post["status"], "future");
    let target = format!("/wp-json/wp/v2/posts/{}", post["id"]);
    server.get(&target).expect(401);
    // The years pass: the post's date, and the time that WordPress has noted to publish it.
    let id = &post["id"];
    let arguments = format!("a:1:{{i:0;i:{id};}}");
    database.run(&format!(
        r#"use wordpress;
        update wp_posts set post_date = '2020-12-31 20:00', post_date_gmt = '2020-12-31 20:00' where ID = {id};
        update wp_options set option_value = concat(
            'a:2:{{i:1609444800;a:1:{{s:19:"publish_future_post";a:1:{{s:32:"', md5('{arguments}'),
            '";a:2:{{s:8:"schedule";b:0;s:4:"args";{arguments}}}}}}}s:7:"version";i:2;}}')
        where option_name = 'cron'"#
    ));
    eventually("wp-cron publishes the post", || {
        server.get("/").expect(200);
        (server.get(&target).status == 200).then_some(())
    });
    server.log().wait("a request to wp-cron.php", |record| {
        let uri = record["uri"].as_str().unwrap_or_default();
        uri.starts_with("/wp-cron.php?doing_wp_cron=") && record["status"] == 200
    });
}

/// Every client publishes posts of its own and reads each one back; at the end all of them are there.
fn write_all_at_once(server: &Server, author: &Browser) {
    const POSTS_EACH: usize = 3;
    let nonce = nonce(&mut author.clone());
    crowd(server, |number, client| {
        for count in 0..POSTS_EACH {
            let title = format!("Number {number}-{count}");
            let post = json!({"title": title, "status": "publish", "content": title});
            let request = author.with_cookies(POSTS, post_request(&nonce, &post));
            let post = client.request(&request).expect(201).json();
            let link = path(server, &post["link"]);
            let page = client.request(&Request::get(&link)).expect(200);
            assert!(page.text().contains(&format!("<p>{title}</p>")), "{link}");
        }
    });
    let written = server.get("/wp-json/wp/v2/posts?search=Number&per_page=1");
    let count = (crate::crowd::CLIENTS * POSTS_EACH).to_string();
    assert_eq!(
        written.expect(200).header("x-wp-total"),
        Some(count.as_str())
    );
}

/// The path of an absolute address in the API's answers.
#[track_caller]
fn path(server: &Server, link: &Value) -> String {
    let link = link.as_str().expect("an address");
    url::resolve(&server.host(), "/", link)
}

/// Width and height, as the frame header has them.
#[track_caller]
fn jpeg_size(bytes: &[u8]) -> (u16, u16) {
    assert_eq!(bytes[..2], [0xff, 0xd8], "not a JPEG");
    let mut at = 2;
    loop {
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        // Baseline or progressive.
        if matches!(bytes[at + 1], 0xc0 | 0xc2) {
            return (word(at + 7), word(at + 5));
        }
        at += 2 + usize::from(word(at + 2));
    }
}
