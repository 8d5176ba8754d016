//! What came out of bursts.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

/// What the senders of one burst told, added up.
#[derive(Debug, Default)]
pub struct Burst {
    /// Round trips of all senders.
    pub trips: u64,
    /// The longest time that one of them took for its own.
    seconds: f64,
    /// How many took so many microseconds.
    micros: BTreeMap<u64, u64>,
}

impl Burst {
    /// Adds what one sender answered.
    pub fn add(&mut self, answer: &[u8]) -> io::Result<()> {
        let told: Value = serde_json::from_slice(answer).map_err(|error| {
            let text = String::from_utf8_lossy(answer);
            io::Error::other(format!("a sender failed ({error}): {text}"))
        })?;
        self.trips += told["trips"].as_u64().unwrap_or_default();
        self.seconds = self
            .seconds
            .max(told["seconds"].as_f64().unwrap_or_default());
        for (micros, count) in told["micros"].as_object().into_iter().flatten() {
            let micros = micros.parse().map_err(io::Error::other)?;
            *self.micros.entry(micros).or_default() += count.as_u64().unwrap_or_default();
        }
        Ok(())
    }

    pub fn a_second(&self) -> f64 {
        self.trips as f64 / self.seconds
    }

    /// In microseconds.
    pub fn percentile(&self, percent: f64) -> f64 {
        let wanted = self.trips as f64 * percent / 100.0;
        let mut seen = 0;
        for (micros, count) in &self.micros {
            seen += count;
            if seen as f64 >= wanted {
                return *micros as f64;
            }
        }
        0.0
    }
}

/// The middle one of an odd number.
pub fn median(sample: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = sample.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_added_up_and_percentiles_go_by_round_trips() {
        let mut burst = Burst::default();
        burst
            .add(br#"{"trips":3,"seconds":1.0,"micros":{"10":2,"40":1}}"#)
            .unwrap();
        burst
            .add(br#"{"trips":1,"seconds":2.0,"micros":{"20":1}}"#)
            .unwrap();
        assert_eq!(burst.a_second(), 2.0);
        assert_eq!(
            (burst.percentile(50.0), burst.percentile(99.0)),
            (10.0, 40.0)
        );
        assert!(burst.add(b"Fatal error").is_err());
    }
}
