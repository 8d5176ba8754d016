//! As much of HTML as it takes to fill in a form.

use crate::url;

/// A form, with the values that a browser would send if its user changed nothing.
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// As the page has it: absolute, relative or empty.
    pub action: String,
    pub is_post: bool,
    pub is_multipart: bool,
    pub fields: Vec<(String, String)>,
    buttons: Vec<(String, String)>,
}

impl Form {
    /// Gives a field this value, whatever it had.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(given, _)| given != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes the mark out of a checkbox.
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(given, _)| given != name);
        self
    }

    /// Presses the button of that name.
    #[track_caller]
    pub fn press(mut self, name: &str) -> Self {
        let button = self.buttons.iter().find(|(given, _)| given == name);
        let button = button.unwrap_or_else(|| panic!("no button {name} in {:?}", self.buttons));
        self.fields.push(button.clone());
        self
    }

    pub fn encoded(&self) -> String {
        let fields = self.fields.iter();
        url::encode(fields.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    fn has(&self, name: &str) -> bool {
        let mut names = self.fields.iter().chain(&self.buttons);
        names.any(|(given, _)| given == name)
    }
}

/// The form that has a field or a button of that name.
#[track_caller]
pub fn form_with(html: &str, field: &str) -> Form {
    let mut forms = forms(html).into_iter();
    let form = forms.find(|form| form.has(field));
    form.unwrap_or_else(|| panic!("no form with a field {field} in\n{html}"))
}

fn forms(html: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut is_inside = false;
    // The select that is open: its name, what it would send, whether an option said so.
    let mut select: Option<(String, Option<String>, bool)> = None;
    let mut tags = Tags(html);
    while let Some(tag) = tags.next() {
        if tag.name == "form" {
            is_inside = true;
            forms.push(Form {
                action: tag.get("action").unwrap_or_default(),
                is_post: tag.is("method", "post"),
                is_multipart: tag.is("enctype", "multipart/form-data"),
                ..Form::default()
            });
        }
        let (true, Some(form)) = (is_inside, forms.last_mut()) else {
            continue;
        };
        let value = || tag.get("value").unwrap_or_default();
        let is_enabled = tag.get("disabled").is_none();
        match tag.name.as_str() {
            "/form" => is_inside = false,
            "input" | "button" => {
                let kind = tag.get("type").unwrap_or_default().to_ascii_lowercase();
                let Some(name) = tag.get("name").filter(|_| is_enabled) else {
                    continue;
                };
                match kind.as_str() {
                    "submit" | "image" => form.buttons.push((name, value())),
                    _ if tag.name == "button" => form.buttons.push((name, value())),
                    "reset" | "button" | "file" => {}
                    "checkbox" | "radio" => {
                        if tag.get("checked").is_some() {
                            let value = tag.get("value").unwrap_or_else(|| "on".into());
                            form.fields.push((name, value));
                        }
                    }
                    _ => form.fields.push((name, value())),
                }
            }
            "textarea" => {
                let text = tags.text_until("</textarea");
                // The line break after the tag is not part of the text.
                let text = text.strip_prefix('\n').unwrap_or(text);
                if let Some(name) = tag.get("name").filter(|_| is_enabled) {
                    form.fields.push((name, decode(text)));
                }
            }
            "select" if is_enabled => {
                select = tag.get("name").map(|name| (name, None, false));
            }
            "option" => {
                let text = tags.text_until("<");
                let value = tag.get("value").unwrap_or_else(|| decode(text.trim()));
                if let Some((_, chosen, is_said)) = &mut select {
                    let says = tag.get("selected").is_some() && !*is_said;
                    if chosen.is_none() || says {
                        *chosen = Some(value);
                    }
                    *is_said |= says;
                }
            }
            "/select" => {
                if let Some((name, Some(value), _)) = select.take() {
                    form.fields.push((name, value));
                }
            }
            _ => {}
        }
    }
    forms
}

struct Tag {
    /// In lower case, with its slash when it is a closing one.
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn get(&self, name: &str) -> Option<String> {
        let mut attributes = self.attributes.iter();
        let found = attributes.find(|(given, _)| given == name);
        found.map(|(_, value)| value.clone())
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.get(name)
            .is_some_and(|v| v.eq_ignore_ascii_case(value))
    }
}

/// The tags of what is left of a page; scripts, styles and comments are passed over.
struct Tags<'a>(&'a str);

impl<'a> Tags<'a> {
    /// What stands before `end`, which is not consumed.
    fn text_until(&mut self, end: &str) -> &'a str {
        let at = self.0.find(end).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(at);
        self.0 = rest;
        text
    }

    fn attribute(&mut self) -> Option<(String, String)> {
        self.0 = self
            .0
            .trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if self.0.is_empty() || self.0.starts_with('>') {
            return None;
        }
        let ends = |c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/');
        // A stray `=` is a name of its own.
        let at = self.0.find(ends).unwrap_or(self.0.len()).max(1);
        let (name, rest) = self.0.split_at(at);
        self.0 = rest;
        let Some(rest) = rest.trim_start().strip_prefix('=') else {
            return Some((name.to_ascii_lowercase(), String::new()));
        };
        let rest = rest.trim_start();
        let (value, rest) = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => rest[1..].split_once(quote).unwrap_or((&rest[1..], "")),
            _ => {
                let end = |c: char| c.is_whitespace() || c == '>';
                rest.split_at(rest.find(end).unwrap_or(rest.len()))
            }
        };
        self.0 = rest;
        Some((name.to_ascii_lowercase(), decode(value)))
    }
}

impl Iterator for Tags<'_> {
    type Item = Tag;

    fn next(&mut self) -> Option<Tag> {
        loop {
            self.text_until("<");
            self.0 = self.0.strip_prefix('<')?;
            if self.0.starts_with("!--") {
                self.text_until("-->");
                continue;
            }
            let ends = |c: char| c.is_whitespace() || c == '>';
            let at = self.0.find(ends).unwrap_or(self.0.len());
            let (name, rest) = self.0.split_at(at);
            let name = name.trim_end_matches('/').to_ascii_lowercase();
            self.0 = rest;
            let mut attributes = Vec::new();
            while let Some(attribute) = self.attribute() {
                attributes.push(attribute);
            }
            self.0 = self.0.strip_prefix('>').unwrap_or(self.0);
            if name == "script" || name == "style" {
                self.text_until(&format!("</{name}"));
            }
            return Some(Tag { name, attributes });
        }
    }
}

/// Resolves the character references that forms have in them.
pub fn decode(text: &str) -> String {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        decoded += before;
        rest = after;
        let reference = after.split_once(';').and_then(|(name, after)| {
            let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok();
            let character = match name {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "nbsp" => '\u{a0}',
                _ => {
                    let digits = name.strip_prefix('#')?;
                    let code = match digits.strip_prefix(['x', 'X']) {
                        Some(hexadecimal) => number(hexadecimal, 16),
                        None => number(digits, 10),
                    };
                    char::from_u32(code?)?
                }
            };
            Some((character, after))
        });
        match reference {
            Some((character, after)) => {
                decoded.push(character);
                rest = after;
            }
            None => decoded.push('&'),
        }
    }
    decoded + rest
}

#[test]
fn forms_send_what_a_browser_would_send() {
    let form = form_with(
        r#"<form action="/other"><input name=q></form><script>"<form><input name=a>"</script>
        <!-- <form><input name="a"> --><form method=POST action="/x?a=1&amp;b=2" class='wide'>
        <input type="hidden" name="a" value="1 &quot;&#039;&#x3c;"/><input name="b" value=2 disabled>
        <input type=checkbox name=c checked><input type="checkbox" name="d" value="x">
        <input type='radio' name='e' value='1'><input type='radio' name='e' value='2' checked='checked' />
        <select name="f"><option value="1">one</option><option selected>two</option></select>
        <select name="g"><option value="1">one</option><option value="2">two</option></select>
        <textarea name="h">
&lt;b&gt;</textarea><input type="submit" name="go" value="Go"></form>"#,
        "a",
    );
    assert!(form.is_post);
    assert_eq!(form.action, "/x?a=1&b=2");
    let sent = "a=1+%22%27%3C&c=on&e=2&f=two&g=1&h=%3Cb%3E&x=+%26&go=Go";
    assert_eq!(form.set("x", " &").press("go").encoded(), sent);
}
