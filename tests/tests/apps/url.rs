//! Addresses and form encoding.

/// `application/x-www-form-urlencoded`.
pub fn encode<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let fields = fields.into_iter();
    let pairs = fields.map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                escaped.push(byte.into());
            }
            b' ' => escaped.push('+'),
            _ => escaped += &format!("%{byte:02X}"),
        }
    }
    escaped
}

/// Where a link leads that stands on the page `base`, a path with its query; `host` is the server's own,
/// which no link may leave.
#[track_caller]
pub fn resolve(host: &str, base: &str, link: &str) -> String {
    let link = link.split('#').next().unwrap_or_default();
    let (path, query) = base.split_once('?').unwrap_or((base, ""));
    if let Some((_, rest)) = link
        .split_once("://")
        .filter(|(s, _)| s.starts_with("http"))
    {
        let target = rest.strip_prefix(host);
        let target = target.unwrap_or_else(|| panic!("{link} leads away from {host}"));
        return if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        };
    }
    match link.chars().next() {
        None if query.is_empty() => path.to_owned(),
        None => base.to_owned(),
        Some('/') => link.to_owned(),
        Some('?') => format!("{path}{link}"),
        Some(_) => {
            let mut folders: Vec<&str> = path.split('/').collect();
            folders.pop();
            let mut link = link;
            while let Some(rest) = link.strip_prefix("../") {
                folders.pop();
                link = rest;
            }
            let link = link.strip_prefix("./").unwrap_or(link);
            format!("{}/{link}", folders.join("/"))
        }
    }
}

#[test]
fn links_are_resolved_as_browsers_do() {
    let links = [
        ("", "/a/b?c=d"),
        ("#top", "/a/b?c=d"),
        ("?x=y", "/a/b?x=y"),
        ("e.php?x=http://other/", "/a/e.php?x=http://other/"),
        ("../e", "/e"),
        ("/e#f", "/e"),
        ("http://here:1/e", "/e"),
        ("http://here:1", "/"),
    ];
    for (link, target) in links {
        assert_eq!(resolve("here:1", "/a/b?c=d", link), target, "{link}");
    }
}
