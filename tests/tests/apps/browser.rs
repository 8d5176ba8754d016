//! A browser's memory and manners: it keeps cookies, follows redirects and fills in forms.

use std::collections::BTreeMap;

use troupe_tests::{Address, Client, Part, Request, Response, Server};

use crate::html::{self, Form};
use crate::url;

/// What one user has of one server. Clones share the user's cookies as of now.
#[derive(Clone)]
pub struct Browser {
    address: Address,
    /// By name and path.
    cookies: BTreeMap<(String, String), String>,
}

/// A page and where it was found, after all redirects.
pub struct Page {
    pub target: String,
    pub response: Response,
}

impl Page {
    #[track_caller]
    pub fn text(&self) -> &str {
        self.response.text()
    }

    /// The form that has a field or a button of that name.
    #[track_caller]
    pub fn form(&self, field: &str) -> Form {
        html::form_with(self.text(), field)
    }

    /// The page itself, once it is seen that it says this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let (target, page) = (&self.target, self.text());
        assert!(
            page.contains(text),
            "{target} does not say {text:?}:\n{page}"
        );
        self
    }

    /// What stands between the first `before` and the next `after`.
    #[track_caller]
    pub fn between(&self, before: &str, after: &str) -> String {
        let page = self.text();
        let found = page.split_once(before).map(|(_, rest)| rest);
        match found.and_then(|rest| rest.split_once(after)) {
            Some((found, _)) => found.to_owned(),
            None => panic!("nothing between {before:?} and {after:?} in\n{page}"),
        }
    }
}

impl Browser {
    pub fn new(server: &Server) -> Self {
        Self {
            address: server.address().clone(),
            cookies: BTreeMap::new(),
        }
    }

    /// Opens a page, which must be there.
    #[track_caller]
    pub fn open(&mut self, target: &str) -> Page {
        self.follow(target.to_owned(), Request::get(target))
    }

    /// Sends a form of `page` and follows where that leads.
    #[track_caller]
    pub fn submit(&mut self, page: &Page, form: Form) -> Page {
        let target = url::resolve(&self.address.host(), &page.target, &form.action);
        let fields = form.encoded();
        let request = match (form.is_post, form.is_multipart) {
            (true, false) => Request::form(&target, &fields),
            (true, true) => Request::multipart(&target, &parts(&form)),
            (false, _) => {
                let path = target.split('?').next().unwrap_or_default();
                return self.open(&format!("{path}?{fields}"));
            }
        };
        self.follow(target, request)
    }

    /// Sends a form with a file.
    #[track_caller]
    pub fn upload(&mut self, page: &Page, form: Form, file: Part<'_>) -> Page {
        let target = url::resolve(&self.address.host(), &page.target, &form.action);
        let mut parts = parts(&form);
        parts.push(file);
        self.follow(target.clone(), Request::multipart(&target, &parts))
    }

    /// Sends a request with the cookies that belong to it, and keeps those that come back.
    #[track_caller]
    pub fn send(&mut self, target: &str, request: Request) -> Response {
        let mut client = Client::connect(&self.address);
        let response = client.request(&self.with_cookies(target, request));
        self.keep_cookies(&response);
        response
    }

    #[track_caller]
    fn follow(&mut self, mut target: String, request: Request) -> Page {
        let mut response = self.send(&target, request);
        let mut steps = 0;
        while let (301..=303, Some(location)) = (response.status, response.header("location")) {
            steps += 1;
            assert!(steps < 10, "redirected for ever, at {target} to {location}");
            target = url::resolve(&self.address.host(), &target, location);
            response = self.send(&target, Request::get(&target));
        }
        let response = response.expect(200);
        Page { target, response }
    }

    pub fn with_cookies(&self, target: &str, request: Request) -> Request {
        let cookies = self.cookies.iter();
        let cookies = cookies.filter(|((_, path), _)| target.starts_with(path));
        let cookies: Vec<_> = cookies
            .map(|((name, _), value)| format!("{name}={value}"))
            .collect();
        match cookies.is_empty() {
            true => request,
            false => request.header("Cookie", &cookies.join("; ")),
        }
    }

    pub fn keep_cookies(&mut self, response: &Response) {
        for cookie in response.all("set-cookie") {
            let mut attributes = cookie.split(';').map(str::trim);
            let cookie = attributes.next().unwrap_or_default();
            let (name, value) = cookie.split_once('=').unwrap_or((cookie, ""));
            let mut path = "/";
            let mut is_over = false;
            for attribute in attributes {
                let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
                match key.to_ascii_lowercase().as_str() {
                    "path" => path = value,
                    "max-age" => is_over |= value.starts_with(['0', '-']),
                    "expires" => is_over |= value.contains("1970"),
                    _ => {}
                }
            }
            let key = (name.to_owned(), path.to_owned());
            if is_over {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
    }
}

fn parts(form: &Form) -> Vec<Part<'_>> {
    let fields = form.fields.iter();
    fields
        .map(|(name, value)| Part {
            name,
            file_name: None,
            content: value.as_bytes(),
        })
        .collect()
}
