//! The kinds of values a setting can have, and how each is read.
//!
//! A kind says what it expects in the user's words ("a duration such as \"5s\"") and reads itself
//! from a TOML value or from plain text (an environment variable, a flag). Plain text needs no quotes,
//! and lists are separated by commas there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::nearest;

/// A mistake inside a value: where in the file, and what.
pub type Mistake = (Range<usize>, String);

/// A kind of value.
pub trait Kind: Sized {
    /// "a duration such as \"5s\"": completes "expected …".
    const EXPECTED: &'static str;

    /// Reads a value of the configuration file; what is wrong is appended to `mistakes`.
    fn read(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Option<Self>;

    /// Reads an environment variable's or a flag's text.
    fn from_text(text: &str) -> Result<Self, String>;
}

fn wrong<K: Kind>(value: &Spanned<DeValue<'_>>) -> Mistake {
    let found = match value.get_ref() {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Integer(value) => value.to_string(),
        DeValue::Float(value) => value.as_str().into(),
        DeValue::Datetime(value) => value.to_string(),
    };
    (
        value.span(),
        format!("expected {}, found {found}", K::EXPECTED),
    )
}

/// Reads a kind that is written as a string.
pub fn read_string<K: Kind>(
    value: &Spanned<DeValue<'_>>,
    mistakes: &mut Vec<Mistake>,
) -> Option<K> {
    let DeValue::String(text) = value.get_ref() else {
        mistakes.push(wrong::<K>(value));
        return None;
    };
    K::from_text(text)
        .map_err(|message| mistakes.push((value.span(), message)))
        .ok()
}

impl Kind for String {
    const EXPECTED: &'static str = "a string";

    fn read(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        read_string(value, mistakes)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Kind for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn read(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        read_string(value, mistakes)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("expected a path, found nothing".into()),
            path => Ok(path.into()),
        }
    }
}

impl Kind for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                mistakes.push(wrong::<Self>(value));
                None
            }
        }
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("expected {}, found \"{text}\"", Self::EXPECTED))
    }
}

macro_rules! whole_number {
    ($($number:ty: $expected:literal),*) => {$(
        impl Kind for $number {
            const EXPECTED: &'static str = $expected;

            fn read(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Option<Self> {
                let DeValue::Integer(number) = value.get_ref() else {
                    mistakes.push(wrong::<Self>(value));
                    return None;
                };
                let number = <$number>::from_str_radix(number.as_str(), number.radix());
                number.map_err(|_| mistakes.push(wrong::<Self>(value))).ok()
            }

            fn from_text(text: &str) -> Result<Self, String> {
                text.parse()
                    .map_err(|_| format!("expected {}, found \"{text}\"", Self::EXPECTED))
            }
        }
    )*};
}

whole_number!(
    usize: "a whole number of 0 or more",
    u32: "a whole number between 0 and 4294967295"
);

const UNITS_OF_TIME: [(&str, f64); 5] = [
    ("ms", 0.001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
];

impl Kind for Duration {
    const EXPECTED: &'static str = "a duration such as \"250ms\", \"5s\" or \"10m\"";

    fn read(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        read_string(value, mistakes)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        quantity(text, &UNITS_OF_TIME)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .ok_or_else(|| format!("expected {}, found \"{text}\"", Self::EXPECTED))
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    pub const fn kib(count: u64) -> Self {
        Self(count * 1024)
    }

    pub const fn mib(count: u64) -> Self {
        Self(count * 1024 * 1024)
    }
}

const UNITS_OF_SIZE: [(&str, f64); 7] = [
    ("B", 1.0),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
];

impl Kind for Size {
    const EXPECTED: &'static str = "a size such as \"64KiB\", \"8MiB\" or \"1GiB\"";

    fn read(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        read_string(value, mistakes)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        // Far above any memory or disk, and far below where a float stops counting bytes.
        const MOST: f64 = 1e15;
        quantity(text, &UNITS_OF_SIZE)
            .filter(|bytes| *bytes <= MOST)
            .map(|bytes| Size(bytes as u64))
            .ok_or_else(|| format!("expected {}, found \"{text}\"", Self::EXPECTED))
    }
}

/// A non-negative number with one of `units`; a bare `0` needs no unit.
fn quantity(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    if text == "0" {
        return Some(0.0);
    }
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..unit_at].parse().ok()?;
    let unit = text[unit_at..].trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    Some(number * factor)
}

/// A setting that can be switched off with "off".
impl<K: Kind> Kind for Option<K> {
    const EXPECTED: &'static str = K::EXPECTED;

    fn read(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(text) if text == "off" => Some(None),
            _ => K::read(value, mistakes).map(Some),
        }
    }

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(None),
            text => K::from_text(text).map(Some),
        }
    }
}

/// A list; one value may stand without brackets.
impl<K: Kind> Kind for Vec<K> {
    const EXPECTED: &'static str = K::EXPECTED;

    fn read(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let DeValue::Array(items) = value.get_ref() else {
            return K::read(value, mistakes).map(|item| vec![item]);
        };
        let count = mistakes.len();
        let items = items
            .iter()
            .filter_map(|item| K::read(item, mistakes))
            .collect();
        (mistakes.len() == count).then_some(items)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(K::from_text)
            .collect()
    }
}

/// A table of names and plain values, such as `env` and `ini`; numbers and booleans are kept as
/// PHP's ini files write them.
pub type Table = BTreeMap<String, String>;

impl Kind for Table {
    const EXPECTED: &'static str = "a table of names and values";

    fn read(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let DeValue::Table(entries) = value.get_ref() else {
            mistakes.push(wrong::<Self>(value));
            return None;
        };
        let count = mistakes.len();
        let mut table = Table::new();
        flatten(entries, "", &mut table, mistakes);
        (mistakes.len() == count).then_some(table)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.split(',')
            .filter(|entry| !entry.trim().is_empty())
            .map(|entry| {
                entry
                    .split_once('=')
                    .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
                    .ok_or_else(|| format!("expected name=value, found \"{entry}\""))
            })
            .collect()
    }
}

/// `opcache.enable = 1` is, to TOML, a table in a table: the dots are put back.
fn flatten(
    entries: &toml::de::DeTable<'_>,
    prefix: &str,
    table: &mut Table,
    mistakes: &mut Vec<Mistake>,
) {
    for (name, value) in entries {
        let name = format!("{prefix}{}", name.get_ref());
        let text = match value.get_ref() {
            DeValue::String(text) => text.clone().into_owned(),
            DeValue::Boolean(true) => "1".into(),
            DeValue::Boolean(false) => "0".into(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().into(),
            DeValue::Float(number) => number.as_str().into(),
            DeValue::Table(inner) => {
                flatten(inner, &format!("{name}."), table, mistakes);
                continue;
            }
            _ => {
                let message = format!("`{name}`: expected a string, a number, true or false");
                mistakes.push((value.span(), message));
                continue;
            }
        };
        table.insert(name, text);
    }
}

/// Reads a kind that is one of a few words.
pub fn one_of<T: Copy>(text: &str, words: &[(&'static str, T)]) -> Result<T, String> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let names: Vec<_> = words
        .iter()
        .map(|(word, _)| format!("\"{word}\""))
        .collect();
    let hint = nearest(text, words.iter().map(|(word, _)| *word))
        .map(|word| format!(" (did you mean \"{word}\"?)"))
        .unwrap_or_default();
    Err(format!(
        "expected one of {}, found \"{text}\"{hint}",
        names.join(", ")
    ))
}

/// Implements [`Kind`] for an enum written as one of a few words.
macro_rules! words {
    ($kind:ty, $expected:literal, $($word:literal => $value:expr),+ $(,)?) => {
        impl $crate::config::value::Kind for $kind {
            const EXPECTED: &'static str = $expected;

            fn read(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                mistakes: &mut Vec<$crate::config::value::Mistake>,
            ) -> Option<Self> {
                $crate::config::value::read_string(value, mistakes)
            }

            fn from_text(text: &str) -> Result<Self, String> {
                $crate::config::value::one_of(text, &[$(($word, $value)),+])
            }
        }
    };
}
pub(super) use words;

#[cfg(test)]
mod tests {
    use super::*;

    fn read<K: Kind>(text: &str) -> Result<K, String> {
        let value = DeValue::parse(text).unwrap();
        let mut mistakes = Vec::new();
        K::read(&value, &mut mistakes).ok_or_else(|| mistakes.remove(0).1)
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(Duration::from_text("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(Duration::from_text("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(Duration::from_text("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(Duration::from_text("0"), Ok(Duration::ZERO));
        for wrong in ["5", "5 parsecs", "-1s", "s", "", "1..5s", "9e99d"] {
            assert!(Duration::from_text(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            read::<Duration>("5").unwrap_err(),
            "expected a duration such as \"250ms\", \"5s\" or \"10m\", found 5"
        );
    }

    #[test]
    fn sizes_have_units_of_1024_or_1000() {
        assert_eq!(Size::from_text("8MiB"), Ok(Size::mib(8)));
        assert_eq!(Size::from_text("1.5KiB"), Ok(Size(1536)));
        assert_eq!(Size::from_text("2MB"), Ok(Size(2_000_000)));
        assert!(Size::from_text("8M").is_err());
        assert!(Size::from_text("999999999GiB").is_err());
    }

    #[test]
    fn a_limit_can_be_switched_off() {
        assert_eq!(Option::<Duration>::from_text("off"), Ok(None));
        assert_eq!(
            Option::<Duration>::from_text("1s"),
            Ok(Some(Duration::from_secs(1)))
        );
    }

    #[test]
    fn one_value_is_a_list_of_one_and_each_wrong_item_is_reported() {
        assert_eq!(read::<Vec<String>>("\"a\""), Ok(vec!["a".to_owned()]));
        let value = DeValue::parse("[\"a\", 1, true]").unwrap();
        let mut mistakes = Vec::new();
        assert_eq!(Vec::<String>::read(&value, &mut mistakes), None);
        assert_eq!(mistakes.len(), 2);
        assert_eq!(
            Vec::<String>::from_text("a, b,"),
            Ok(vec!["a".to_owned(), "b".to_owned()])
        );
    }

    #[test]
    fn ini_tables_keep_their_dots_and_write_booleans_as_php_does() {
        let table: Table =
            read("{ opcache.enable = true, memory_limit = \"64M\", precision = 14 }").unwrap();
        let entries: Vec<_> = table
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            entries,
            [
                ("memory_limit", "64M"),
                ("opcache.enable", "1"),
                ("precision", "14")
            ]
        );
        assert!(read::<Table>("{ a = [1] }").is_err());
        assert!(Table::from_text("a").is_err());
    }

    #[test]
    fn numbers_out_of_range_are_refused_not_wrapped() {
        assert!(read::<u32>("4294967296").is_err());
        assert!(read::<usize>("-1").is_err());
        assert_eq!(read::<usize>("0x10"), Ok(16));
    }
}
