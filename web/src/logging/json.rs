//! A record as one line of JSON.
//!
//! Every request has a record, so its line is written straight into the buffer that goes to the sink.

use std::cell::RefCell;
use std::fmt::{self, Debug, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
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
        thread_local! {
            static LINE: RefCell<String> = RefCell::default();
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            write_record(line, event)?;
            writer.write_str(line)
        })
    }
}

fn write_record(line: &mut String, event: &Event<'_>) -> fmt::Result {
    let metadata = event.metadata();
    line.push_str("{\"timestamp\":\"");
    write_time(line, SystemTime::now())?;
    line.push_str("\",\"level\":\"");
    line.push_str(metadata.level().as_str());
    line.push('"');
    let mut fields = Fields {
        line,
        result: Ok(()),
    };
    event.record(&mut fields);
    fields.result?;
    line.push_str(",\"target\":\"");
    Escaped(line).write_str(metadata.target())?;
    line.push_str("\"}\n");
    Ok(())
}

struct Fields<'a> {
    line: &'a mut String,
    result: fmt::Result,
}

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl FnOnce(&mut String) -> fmt::Result) {
        if self.result.is_ok() {
            self.name(field);
            self.result = value(self.line);
        }
    }

    fn name(&mut self, field: &Field) {
        self.line.push_str(",\"");
        // Fields are named in the code, with nothing to escape.
        self.line.push_str(field.name());
        self.line.push_str("\":");
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, |line| quoted(line, |text| text.write_str(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, |line| quoted(line, |text| write!(text, "{value:?}")));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, |line| write!(line, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, |line| write!(line, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, |line| match value.is_finite() {
            true => write!(line, "{value}"),
            false => line.write_str("null"),
        });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, |line| {
            line.write_str(if value { "true" } else { "false" })
        });
    }
}

fn quoted(line: &mut String, text: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) -> fmt::Result {
    line.write_char('"')?;
    text(&mut Escaped(line))?;
    line.write_char('"')
}

/// Text inside quotes.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
        while let Some(at) = rest.bytes().position(is_special) {
            self.0.push_str(&rest[..at]);
            match rest.as_bytes()[at] {
                b'"' => self.0.push_str("\\\""),
                b'\\' => self.0.push_str("\\\\"),
                b'\n' => self.0.push_str("\\n"),
                b'\r' => self.0.push_str("\\r"),
                b'\t' => self.0.push_str("\\t"),
                control => write!(self.0, "\\u{control:04x}")?,
            }
            rest = &rest[at + 1..];
        }
        self.0.push_str(rest);
        Ok(())
    }
}

/// RFC 3339 in UTC, with microseconds. The second is spelled out once for all its lines.
fn write_time(line: &mut String, time: SystemTime) -> fmt::Result {
    thread_local! {
        static SECOND: RefCell<(u64, String)> = RefCell::default();
    }
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if text.is_empty() || *second != since.as_secs() {
            *second = since.as_secs();
            text.clear();
            write_second(text, *second)?;
        }
        line.push_str(text);
        Ok(())
    })?;
    write!(line, ".{:06}Z", since.subsec_micros())
}

fn write_second(text: &mut String, second: u64) -> fmt::Result {
    let (days, in_day) = (second / 86_400, second % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    write!(
        text,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    )
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
        write_time(&mut text, UNIX_EPOCH + Duration::from_secs(second)).unwrap();
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
        write_time(&mut text, micros).unwrap();
        assert_eq!(text, "1970-01-01T00:00:01.000007Z");
    }

    #[test]
    fn whatever_a_text_holds_the_line_is_json() {
        let all: String = (0..0x250).filter_map(char::from_u32).collect();
        let mut line = String::new();
        quoted(&mut line, |text| text.write_str(&all)).unwrap();
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), all);
    }
}
