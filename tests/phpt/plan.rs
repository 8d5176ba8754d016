//! Which tests there are, which of them can be run through a server, and with which settings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::expect::Expect;
use crate::http::Request;
use crate::section::Phpt;

/// What a server is started with. Tests with equal settings share one.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Settings {
    pub ini: Vec<(String, String)>,
    pub env: Vec<(String, String)>,
}

/// A test that can be run.
#[derive(Debug)]
pub struct Test {
    /// Its path in PHP's source tree, without `.phpt`.
    pub name: String,
    pub settings: Settings,
    pub expect: Expect,
    pub expect_headers: Vec<(String, String)>,
    pub request: Request,
    pub has_skipif: bool,
    pub has_clean: bool,
    /// A failure that PHP itself expects.
    pub is_xfail: bool,
    /// What it must not share with another test at the same time.
    pub conflicts: BTreeSet<String>,
    /// It changes something of the whole process: no other test may run in it then.
    pub is_exclusive: bool,
    pub needs_opcache: bool,
}

/// All tests of the chosen folders.
#[derive(Debug, Default)]
pub struct Plan {
    pub tests: Vec<Test>,
    /// Name and reason.
    pub not_run: Vec<(String, String)>,
}

/// Sections that only a command line can give to a script.
const COMMAND_LINE: &[(&str, &str)] = &[
    ("ARGS", "needs arguments of a command line"),
    ("STDIN", "needs standard input"),
    ("CAPTURE_STDIO", "needs the streams of a command line"),
    ("PHPDBG", "is for phpdbg"),
    ("REDIRECTTEST", "stands for tests of other folders"),
];

/// Calls after which a process is not what it was, for all its threads.
const PROCESS_WIDE: &[&str] = &[
    "setlocale",
    "umask",
    "bindtextdomain",
    "mb_regex_set_options",
];

/// What a test of the cache of resolved paths calls: it is off for all others.
const REALPATH_CACHE: &[&str] = &["realpath_cache_get(", "clearstatcache(true"];

/// Copies the folders' files to `root` and reads their tests. `extensions` are in lower case.
pub fn plan(
    source: &Path,
    folders: &[String],
    root: &Path,
    extensions: &BTreeSet<String>,
) -> io::Result<Plan> {
    let mut plan = Plan::default();
    for folder in folders {
        let (folder, with_tests) = match folder.strip_prefix('+') {
            Some(folder) => (folder, false),
            None => (folder.as_str(), true),
        };
        let mut reader = Reader {
            source,
            root,
            extensions,
            with_tests,
            plan: &mut plan,
        };
        reader
            .folder(Path::new(folder))
            .map_err(|error| io::Error::new(error.kind(), format!("{folder}: {error}")))?;
    }
    Ok(plan)
}

/// Reads one folder and those in it.
struct Reader<'a> {
    source: &'a Path,
    root: &'a Path,
    extensions: &'a BTreeSet<String>,
    with_tests: bool,
    plan: &'a mut Plan,
}

impl Reader<'_> {
    fn folder(&mut self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(self.root.join(folder))?;
        let its_source = self.source.join(folder);
        let mut entries: Vec<_> = fs::read_dir(&its_source)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let conflicts = fs::read_to_string(its_source.join("CONFLICTS")).unwrap_or_default();
        for entry in entries {
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.folder(&path)?;
            } else if path.extension().is_none_or(|extension| extension != "phpt") {
                fs::copy(entry.path(), self.root.join(&path))?;
            } else if self.with_tests {
                self.test(&path, &fs::read(entry.path())?, lines(&conflicts));
            }
        }
        Ok(())
    }

    fn test(&mut self, path: &Path, text: &[u8], conflicts: impl Iterator<Item = String>) {
        let read = Phpt::parse(text)
            .and_then(|phpt| read_test(self.source, path, self.root, self.extensions, &phpt));
        match read {
            Ok(mut test) => {
                test.conflicts.extend(conflicts);
                self.plan.tests.push(test);
            }
            Err(reason) => {
                let name = path.with_extension("").to_string_lossy().into_owned();
                self.plan.not_run.push((name, reason));
            }
        }
    }
}

/// Lines that say something.
fn lines(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim().to_owned())
        .filter(|line| !line.is_empty())
}

/// Puts the test's scripts into the root; fails with the reason why it can't be run.
fn read_test(
    source: &Path,
    path: &Path,
    root: &Path,
    loaded: &BTreeSet<String>,
    phpt: &Phpt,
) -> Result<Test, String> {
    for (section, reason) in COMMAND_LINE {
        if phpt.has(section) {
            return Err((*reason).into());
        }
    }
    for section in [
        "GZIP_POST",
        "DEFLATE_POST",
        "EXPECT_EXTERNAL",
        "EXPECTF_EXTERNAL",
    ] {
        if phpt.has(section) {
            return Err(format!("has the rare section {section}"));
        }
    }
    let extensions = phpt.lines("EXTENSIONS");
    let needs_opcache = extensions
        .iter()
        .any(|name| name.eq_ignore_ascii_case("opcache"));
    for extension in &extensions {
        let extension = extension.to_lowercase();
        if extension != "opcache" && !loaded.contains(&extension) {
            return Err(format!("needs the extension {extension}"));
        }
    }
    let script = script(source, path, phpt)?;
    let expect = Expect::of(phpt)?;
    let folder = root.join(path.parent().unwrap_or(path));
    let (env, mut headers) = environment(phpt);
    let request = request(path, phpt, &mut headers)?;

    let write = |extension: &str, text: &[u8]| {
        let file = root.join(path.with_extension(extension));
        fs::write(file, text).map_err(|error| format!("cannot be written: {error}"))
    };
    write("php", &script)?;
    for (section, extension) in [("SKIPIF", "skip.php"), ("CLEAN", "clean.php")] {
        if let Some(text) = phpt.get(section) {
            write(extension, text)?;
        }
    }
    let text = String::from_utf8_lossy(&script);
    let calls = |names: &[&str]| names.iter().any(|name| text.contains(name));
    Ok(Test {
        name: path.with_extension("").to_string_lossy().into_owned(),
        settings: Settings {
            ini: ini(phpt, &folder, calls(REALPATH_CACHE)),
            env,
        },
        expect,
        expect_headers: header_lines(phpt.get("EXPECTHEADERS").unwrap_or_default()),
        request,
        has_skipif: phpt.has("SKIPIF"),
        has_clean: phpt.has("CLEAN"),
        is_xfail: phpt.has("XFAIL"),
        conflicts: phpt.lines("CONFLICTS").into_iter().collect(),
        is_exclusive: calls(PROCESS_WIDE),
        needs_opcache,
    })
}

fn script(source: &Path, path: &Path, phpt: &Phpt) -> Result<Vec<u8>, String> {
    if let Some(script) = phpt.get("FILE") {
        return Ok(script.to_vec());
    }
    if let Some(script) = phpt.get("FILEEOF") {
        let script = script.strip_suffix(b"\n").unwrap_or(script);
        return Ok(script.strip_suffix(b"\r").unwrap_or(script).to_vec());
    }
    let Some(name) = phpt.text("FILE_EXTERNAL") else {
        return Err("has no script".into());
    };
    let file: PathBuf = source.join(path.parent().unwrap_or(path)).join(&name);
    fs::read(file).map_err(|error| format!("its script {name} can't be read: {error}"))
}

/// The test's settings, as one sorted list so that equal ones are found.
fn ini(phpt: &Phpt, folder: &Path, caches_paths: bool) -> Vec<(String, String)> {
    let folder = folder.to_string_lossy();
    let temporary = std::env::temp_dir();
    let mut ini = BTreeMap::new();
    if caches_paths {
        ini.insert("realpath_cache_size".to_owned(), "4M".to_owned());
    }
    for (name, value) in phpt.pairs("INI") {
        let mut value = value
            .replace("{PWD}", &folder)
            .replace("{TMP}", &temporary.to_string_lossy());
        if let Some((before, rest)) = value.split_once("{MAIL:")
            && let Some((file, after)) = rest.split_once('}')
        {
            let file = match file.starts_with('/') {
                true => file.to_owned(),
                false => format!("{folder}/{file}"),
            };
            value = format!("{before}tee {file} >/dev/null{after}");
        }
        if !name.starts_with([';', '#']) {
            ini.insert(name, value);
        }
    }
    ini.into_iter().collect()
}

type Pairs = Vec<(String, String)>;
type Headers = Vec<(String, Vec<u8>)>;

/// The environment of the server, and what of it is a request's headers for a CGI program.
fn environment(phpt: &Phpt) -> (Pairs, Headers) {
    let mut env = Pairs::new();
    let mut headers = Headers::new();
    for (name, value) in phpt.pairs("ENV") {
        match name.strip_prefix("HTTP_") {
            Some(header) => headers.push((
                header.replace('_', "-").to_lowercase(),
                value.trim_matches('"').into(),
            )),
            None => env.push((name, value)),
        }
    }
    let lines = header_lines(phpt.get("HEADERS").unwrap_or_default());
    headers.extend(lines.into_iter().map(|(name, value)| (name, value.into())));
    (env, headers)
}

fn header_lines(section: &[u8]) -> Pairs {
    String::from_utf8_lossy(section)
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
        .collect()
}

fn request(path: &Path, phpt: &Phpt, headers: &mut Headers) -> Result<Request, String> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let mut target = format!("/{}", path.with_extension("php").display());
    if !target.is_ascii() || target.contains([' ', '?', '#', '%']) {
        target = percent_encoded(&target);
    }
    if let Some(query) = phpt.text("GET") {
        target = format!("{target}?{query}");
    }
    if let Some(cookie) = phpt.get("COOKIE") {
        headers.push(("Cookie".into(), cookie.trim_ascii().to_vec()));
    }
    let mut method = "GET";
    let mut body = Vec::new();
    for (section, its_method) in [("POST_RAW", "POST"), ("PUT", "PUT")] {
        let Some(text) = phpt.get(section) else {
            continue;
        };
        method = its_method;
        // The first line may say what the rest is.
        let mut is_first = true;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let shown = String::from_utf8_lossy(line);
            match shown.split_once(':') {
                Some((name, kind)) if is_first && name.eq_ignore_ascii_case("content-type") => {
                    headers.push(("Content-Type".into(), kind.trim().into()));
                }
                _ => body.extend_from_slice(line),
            }
            is_first = false;
        }
        if body.ends_with(b"\n") {
            body.pop();
        }
    }
    if let Some(text) = phpt.get("POST") {
        method = "POST";
        body = text.trim_ascii().to_vec();
        headers.push(("Content-Type".into(), FORM.into()));
    }
    if headers
        .iter()
        .any(|(_, value)| value.iter().any(|byte| b"\r\n\0".contains(byte)))
    {
        return Err("has a header that HTTP has no way to send".into());
    }
    Ok(Request {
        method: method.into(),
        target,
        headers: std::mem::take(headers),
        body,
    })
}

fn percent_encoded(path: &str) -> String {
    let mut encoded = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_of(sections: &str) -> Request {
        let phpt = Phpt::parse(format!("--TEST--\nx\n{sections}").as_bytes()).unwrap();
        let (_, mut headers) = environment(&phpt);
        request(Path::new("ext/a b.phpt"), &phpt, &mut headers).unwrap()
    }

    #[test]
    fn a_raw_post_says_its_type_in_its_first_line() {
        let request = request_of("--POST_RAW--\nContent-Type: text/plain\na\nb\n--COOKIE--\nc=d\n");
        assert_eq!(request.method, "POST");
        assert_eq!(request.body, b"a\nb");
        let header = |a: &str, b: &str| (a.to_owned(), b.as_bytes().to_vec());
        let expected = [
            header("Cookie", "c=d"),
            header("Content-Type", "text/plain"),
        ];
        assert_eq!(request.headers, expected);
    }

    #[test]
    fn a_query_is_sent_as_it_is_and_cgi_variables_become_headers() {
        let request = request_of("--GET--\na=%00&b[]=1\n--ENV--\nHTTP_ACCEPT_ENCODING=gzip\nX=y\n");
        assert_eq!(request.target, "/ext/a%20b.php?a=%00&b[]=1");
        let header = ("accept-encoding".to_owned(), b"gzip".to_vec());
        assert_eq!(request.headers, [header]);
    }

    #[test]
    fn settings_are_sorted_and_know_the_folder() {
        let text =
            b"--TEST--\nx\n--INI--\nsendmail_path={MAIL:m.out}\ninclude_path = {PWD}\na=1\na=2\n";
        let phpt = Phpt::parse(text).unwrap();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let expected = [
            pair("a", "2"),
            pair("include_path", "/f"),
            pair("sendmail_path", "tee /f/m.out >/dev/null"),
        ];
        assert_eq!(ini(&phpt, Path::new("/f"), false), expected);
        let cached = pair("realpath_cache_size", "4M");
        assert!(ini(&phpt, Path::new("/f"), true).contains(&cached));
    }
}
