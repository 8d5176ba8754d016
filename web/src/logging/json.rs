//! A record as one line of JSON.
//!
//! Every request has a record, so its line is written straight into the buffer that goes to the sink.

use std::cell::RefCell;
use std::fmt::{self, Debug};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// `{"timestamp":…,"level":…,` the record's fields `,"target":…}`
pub struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        with_line(
            metadata.level(),
            metadata.target(),
            |line| event.record(&mut Fields(line)),
            |line| writer.write_str(line),
        )
    }
}

/// Makes up one line, and has it used before the next one is made.
pub fn with_line<T>(
    level: &Level,
    target: &str,
    fields: impl FnOnce(&mut Line),
    used: impl FnOnce(&str) -> T,
) -> T {
    thread_local! {
        static LINE: RefCell<Line> = RefCell::default();
    }
    LINE.with_borrow_mut(|line| {
        line.0.clear();
        line.0.push_str("{\"timestamp\":\"");
        write_time(&mut line.0, SystemTime::now());
        line.0.push_str("\",\"level\":\"");
        line.0.push_str(level.as_str());
        line.0.push('"');
        fields(line);
        line.text("target", target);
        line.0.push_str("}\n");
        used(&line.0)
    })
}

/// A line, in the making. Fields are named in the code, with nothing to escape; inlined, their names are
/// stored without a call.
#[derive(Default)]
pub struct Line(String);

impl Line {
    #[inline(always)]
    fn name(&mut self, name: &str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    #[inline(always)]
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.0.push('"');
        escape(&mut self.0, value);
        self.0.push('"');
    }

    #[inline(always)]
    pub fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        self.0.push_str(itoa::Buffer::new().format(value));
    }

    #[inline(always)]
    pub fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.0.push_str(if value { "true" } else { "false" });
    }

    /// A number of thousandths as a number of wholes.
    pub fn thousandths(&mut self, name: &str, value: u64) {
        self.number(name, value / 1000);
        self.0.push('.');
        push_padded(&mut self.0, value % 1000, 3);
    }
}

struct Fields<'a>(&'a mut Line);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.text(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.text(field.name(), &format!("{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.number(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.name(field.name());
        self.0.0.push_str(itoa::Buffer::new().format(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.name(field.name());
        match value.is_finite() {
            true => self.0.0.push_str(&value.to_string()),
            false => self.0.0.push_str("null"),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.flag(field.name(), value);
    }
}

/// Text inside quotes.
fn escape(line: &mut String, text: &str) {
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // Looks at all bytes without a branch, sixteen at a time: hardly a text has one to escape.
    let mut is_plain = true;
    for byte in text.bytes() {
        is_plain &= !is_special(byte);
    }
    match is_plain {
        true => line.push_str(text),
        false => escape_each(line, text),
    }
}

fn escape_each(line: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            control if control < ' ' => {
                line.push_str("\\u00");
                let hex = |digit: u32| char::from_digit(digit, 16).unwrap_or('0');
                line.push(hex(u32::from(control) / 16));
                line.push(hex(u32::from(control) % 16));
            }
            plain => line.push(plain),
        }
    }
}

/// The last `digits` decimal digits.
fn push_padded(text: &mut String, number: u64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = number / 10_u64.pow(place) % 10;
        text.push(char::from(b'0' + digit as u8));
    }
}

/// RFC 3339 in UTC, with microseconds. The second is spelled out once for all its lines.
fn write_time(line: &mut String, time: SystemTime) {
    thread_local! {
        static SECOND: RefCell<(u64, String)> = RefCell::default();
    }
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if text.is_empty() || *second != since.as_secs() {
            *second = since.as_secs();
            *text = spell_second(*second);
        }
        line.push_str(text);
    });
    line.push('.');
    push_padded(line, since.subsec_micros().into(), 6);
    line.push('Z');
}

fn spell_second(second: u64) -> String {
    let (days, in_day) = (second / 86_400, second % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// The date of a day since 1970. Years are counted from March, so that the odd day comes last in them.
fn date(days: u64) -> (u64, u64, u64) {
    const FROM_YEAR_0: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days + FROM_YEAR_0;
    let (era, day_of_era) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn time(second: u64) -> String {
        let mut text = String::new();
        write_time(&mut text, UNIX_EPOCH + Duration::from_secs(second));
        text
    }

    #[test]
    fn times_are_spelled_as_the_calendar_has_them() {
        for (second, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(time(second), expected);
        }
        let micros = UNIX_EPOCH + Duration::from_micros(1_000_007);
        let mut text = String::new();
        write_time(&mut text, micros);
        assert_eq!(text, "1970-01-01T00:00:01.000007Z");
    }

    #[test]
    fn whatever_a_text_holds_the_line_is_json() {
        let all: String = (0..0x250).filter_map(char::from_u32).collect();
        let mut line = Line::default();
        line.text("all", &all);
        let value = line.0.strip_prefix(",\"all\":").unwrap();
        assert_eq!(serde_json::from_str::<String>(value).unwrap(), all);
    }

    #[test]
    fn thousandths_are_a_fraction() {
        let mut line = Line::default();
        for (value, expected) in [(0, 0.0), (7, 0.007), (1_250, 1.25), (12_000, 12.0)] {
            line.0.clear();
            line.thousandths("ms", value);
            let value = line.0.strip_prefix(",\"ms\":").unwrap();
            assert_eq!(serde_json::from_str::<f64>(value).unwrap(), expected);
        }
    }
}
