//! What a test expects of its output: the text itself, a text with placeholders, or a regular expression.

use regex::bytes::{Regex, RegexBuilder};

use crate::section::Phpt;

/// The expectation of one test.
#[derive(Debug)]
pub enum Expect {
    Text(Vec<u8>),
    Pattern { regex: Regex, shown: Vec<u8> },
}

/// Large expectations make large automatons.
const REGEX_SIZE: usize = 256 << 20;

impl Expect {
    /// Fails with the reason why the expectation can't be checked here.
    pub fn of(phpt: &Phpt) -> Result<Self, String> {
        if let Some(text) = phpt.get("EXPECT") {
            return Ok(Self::Text(normal(text)));
        }
        if let Some(text) = phpt.get("EXPECTF") {
            let text = normal(text);
            return match text.contains(&b'%') {
                true => Self::pattern(&format_to_regex(&text), text),
                false => Ok(Self::Text(text)),
            };
        }
        if let Some(text) = phpt.get("EXPECTREGEX") {
            let text = normal(text);
            return Self::pattern(&regex_of_bytes(&text), text);
        }
        Err("it expects nothing that can be compared".into())
    }

    fn pattern(pattern: &str, shown: Vec<u8>) -> Result<Self, String> {
        RegexBuilder::new(&format!("^(?:{pattern})$"))
            .unicode(false)
            .dot_matches_new_line(true)
            .size_limit(REGEX_SIZE)
            .build()
            .map(|regex| Self::Pattern { regex, shown })
            .map_err(|_| "its expectation is a regular expression that only PCRE has".into())
    }

    pub fn is_met_by(&self, output: &[u8]) -> bool {
        let output = normal(output);
        match self {
            Self::Text(text) => *text == output,
            Self::Pattern { regex, .. } => regex.is_match(&output),
        }
    }

    /// As the test's author wrote it.
    pub fn shown(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            Self::Pattern { shown, .. } => shown,
        }
    }
}

/// White space around an output does not count, nor does the kind of line ends.
fn normal(text: &[u8]) -> Vec<u8> {
    let is_space = |byte: &u8| b" \n\r\t\x0b\0".contains(byte);
    let begin = text.iter().position(|byte| !is_space(byte));
    let end = text.iter().rposition(|byte| !is_space(byte));
    let text = match (begin, end) {
        (Some(begin), Some(end)) => &text[begin..=end],
        _ => b"",
    };
    let mut normal = Vec::with_capacity(text.len());
    let mut bytes = text.iter().peekable();
    while let Some(byte) = bytes.next() {
        if *byte != b'\r' || bytes.peek() != Some(&&b'\n') {
            normal.push(*byte);
        }
    }
    normal
}

/// `%d` and its kin, and `%r...%r` around a regular expression.
fn format_to_regex(format: &[u8]) -> String {
    let mut regex = String::with_capacity(format.len() * 2);
    let mut rest = format;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let placeholder = match (byte, after.first()) {
            (b'%', Some(letter)) => letter,
            _ => {
                literal(&mut regex, *byte);
                continue;
            }
        };
        let known = match placeholder {
            b'e' => "/",
            b's' => r"[^\r\n]+",
            b'S' => r"[^\r\n]*",
            b'a' => ".+",
            b'A' => ".*",
            b'w' => r"\s*",
            b'i' => r"[+-]?\d+",
            b'd' => r"\d+",
            b'x' => "[0-9a-fA-F]+",
            b'f' => r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[Ee][+-]?\d+)?",
            b'c' => ".",
            b'0' => r"\x00",
            b'r' => match after[1..].windows(2).position(|pair| pair == b"%r") {
                Some(length) => {
                    let inner = &after[1..=length];
                    regex.push_str("(?:");
                    regex.push_str(&regex_of_bytes(inner));
                    regex.push(')');
                    rest = &after[length + 3..];
                    continue;
                }
                None => {
                    literal(&mut regex, b'%');
                    continue;
                }
            },
            _ => {
                literal(&mut regex, b'%');
                continue;
            }
        };
        regex.push_str(known);
        rest = &after[1..];
    }
    regex
}

fn literal(regex: &mut String, byte: u8) {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'\n' | b' ' => regex.push(char::from(byte)),
        _ => regex.push_str(&format!(r"\x{byte:02x}")),
    }
}

/// A regular expression is text here and bytes in PHP.
fn regex_of_bytes(bytes: &[u8]) -> String {
    let mut regex = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte.is_ascii() {
            true => regex.push(char::from(*byte)),
            false => regex.push_str(&format!(r"\x{byte:02x}")),
        }
    }
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meets(section: &str, expected: &[u8], output: &[u8]) -> bool {
        let text = [
            b"--TEST--\nx\n--",
            section.as_bytes(),
            b"--\n",
            expected,
            b"\n",
        ]
        .concat();
        let phpt = Phpt::parse(&text).unwrap();
        Expect::of(&phpt).unwrap().is_met_by(output)
    }

    #[test]
    fn plain_text_is_compared_without_the_space_around_it() {
        assert!(meets("EXPECT", b"a\nb", b"\n a\r\nb\0 \n"));
        assert!(!meets("EXPECT", b"a", b"ab"));
        assert!(!meets("EXPECT", b"a%d", b"a1"));
    }

    #[test]
    fn placeholders_match_what_they_stand_for_and_no_more() {
        assert!(meets("EXPECTF", b"%d %i %f %x", b"12 -3 .5e7 fF"));
        assert!(!meets("EXPECTF", b"%d", b"-1"));
        assert!(meets("EXPECTF", b"in %s on", b"in a b on"));
        assert!(!meets("EXPECTF", b"in %s on", b"in a\nb on"));
        assert!(!meets("EXPECTF", b"[%s]", b"[]"));
        assert!(meets("EXPECTF", b"[%S]", b"[]"));
        assert!(meets("EXPECTF", b"[%a]", b"[1\n2]"));
        assert!(meets("EXPECTF", b"100% (x.y) %%d", b"100% (x.y) %7"));
        assert!(!meets("EXPECTF", b"%w.", b"x"));
    }

    #[test]
    fn bytes_that_are_no_unicode_match_themselves() {
        assert!(meets("EXPECTF", b"%d\xff\xc3\xa4", b"1\xff\xc3\xa4"));
        assert!(!meets("EXPECTF", b"%d\xff", b"1\xfe"));
    }

    #[test]
    fn a_regular_expression_may_stand_between_text() {
        assert!(meets("EXPECTF", b"(%r[ab]+|c%r)", b"(abba)"));
        assert!(!meets("EXPECTF", b"(%r[ab]+|c%r)", b"(d)"));
        assert!(meets("EXPECTREGEX", b"a.c", b"abc"));
        assert!(!meets("EXPECTREGEX", b"a.c", b"abcd"));
    }
}
