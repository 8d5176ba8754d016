//! What every Prometheus client tells of its process, by the usual names.

use std::fs;

use super::text::Text;

/// Leaves out what the system does not say.
pub fn write(text: &mut Text) {
    if let Some(seconds) = processor_seconds() {
        text.counter(
            "process_cpu_seconds_total",
            "Processor time used, in seconds.",
        )
        .sample(&[], seconds);
    }
    if let Some(bytes) = resident_bytes() {
        text.gauge(
            "process_resident_memory_bytes",
            "Resident memory, in bytes.",
        )
        .sample(&[], bytes);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        text.gauge("process_open_fds", "Open file descriptors.")
            .sample(&[], entries.count() as f64);
    }
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn processor_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name, in parentheses, and may hold spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_memory_and_time() {
        assert!(resident_bytes().unwrap() > 1024.0 * 1024.0);
        assert!(processor_seconds().unwrap() >= 0.0);
    }
}
