//! Writes Prometheus' text format: each family once, with its help and type, values escaped.

use std::fmt::Write;

use troupe_actors::{BOUNDS, Counts};

/// The page being written.
#[derive(Debug, Default)]
pub struct Text(String);

/// Names and values.
pub type Labels<'a> = [(&'a str, &'a str)];

impl Text {
    pub fn gauge<'t>(&'t mut self, name: &'t str, help: &str) -> Family<'t> {
        self.family(name, help, "gauge")
    }

    pub fn counter<'t>(&'t mut self, name: &'t str, help: &str) -> Family<'t> {
        self.family(name, help, "counter")
    }

    pub fn histogram<'t>(&'t mut self, name: &'t str, help: &str) -> Family<'t> {
        self.family(name, help, "histogram")
    }

    fn family<'t>(&'t mut self, name: &'t str, help: &str, kind: &str) -> Family<'t> {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: self, name }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string can't fail.
        let _ = self.0.write_fmt(line);
    }

    pub fn finish(self) -> String {
        self.0
    }
}

/// A metric, to be given its samples.
pub struct Family<'t> {
    text: &'t mut Text,
    name: &'t str,
}

impl Family<'_> {
    pub fn sample(&mut self, labels: &Labels<'_>, value: f64) {
        self.write("", labels, None, value);
    }

    pub fn histogram(&mut self, labels: &Labels<'_>, counts: &Counts) {
        let bounds = BOUNDS.iter().map(f64::to_string);
        let bounds = bounds.chain(std::iter::once("+Inf".to_owned()));
        for (bound, count) in bounds.zip(counts.cumulative) {
            self.write("_bucket", labels, Some(&bound), count as f64);
        }
        let total = counts.cumulative.last().copied().unwrap_or_default();
        self.write("_sum", labels, None, counts.sum);
        self.write("_count", labels, None, total as f64);
    }

    fn write(&mut self, suffix: &str, labels: &Labels<'_>, bound: Option<&str>, value: f64) {
        let labels = labels
            .iter()
            .copied()
            .chain(bound.map(|bound| ("le", bound)));
        let labels: Vec<_> = labels
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let name = self.name;
        match labels.as_slice() {
            [] => self.text.line(format_args!("{name}{suffix} {value}\n")),
            labels => {
                let labels = labels.join(",");
                self.text
                    .line(format_args!("{name}{suffix}{{{labels}}} {value}\n"));
            }
        }
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_help_type_and_escaped_labels() {
        let mut text = Text::default();
        text.gauge("depth", "How deep.")
            .sample(&[("pool", "a\"b\\\n")], 1.5);
        text.counter("exits_total", "Ends.").sample(&[], 2.0);
        assert_eq!(
            text.finish(),
            "# HELP depth How deep.\n# TYPE depth gauge\ndepth{pool=\"a\\\"b\\\\\\n\"} 1.5\n\
             # HELP exits_total Ends.\n# TYPE exits_total counter\nexits_total 2\n"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_infinity() {
        let mut cumulative = [3; BOUNDS.len() + 1];
        cumulative[0] = 1;
        let counts = Counts {
            cumulative,
            sum: 0.5,
        };
        let mut text = Text::default();
        text.histogram("t", "T.")
            .histogram(&[("pool", "a")], &counts);
        let text = text.finish();
        assert!(text.contains("\nt_bucket{pool=\"a\",le=\"0.00025\"} 1\n"));
        assert!(text.contains("\nt_bucket{pool=\"a\",le=\"+Inf\"} 3\n"));
        assert!(text.ends_with("t_sum{pool=\"a\"} 0.5\nt_count{pool=\"a\"} 3\n"));
    }
}
