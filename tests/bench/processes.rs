//! What processes have used, as the kernel tells it in `/proc`.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// These processes and all that descend from them.
pub fn family(roots: &[u32]) -> Vec<u32> {
    let mut pids = roots.to_vec();
    let mut next = 0;
    while let Some(pid) = pids.get(next).copied() {
        pids.extend(children_of(pid));
        next += 1;
    }
    pids
}

fn children_of(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = text.unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Time on processors, of all threads since their start.
pub fn cpu_time(pids: &[u32]) -> Duration {
    // In nanoseconds by the scheduler; the clock ticks of `stat` are too coarse for a burst.
    let nanoseconds = |text: &str| text.split_whitespace().next()?.parse().ok();
    Duration::from_nanos(of_threads(pids, "schedstat", nanoseconds))
}

/// How often threads gave their processor up or had it taken.
pub fn context_switches(pids: &[u32]) -> u64 {
    of_threads(pids, "status", |text| {
        let names = ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"];
        Some(names.iter().filter_map(|name| field(text, name)).sum())
    })
}

/// Sums up a number that is in a file of each thread.
fn of_threads(pids: &[u32], file: &str, number: impl Fn(&str) -> Option<u64>) -> u64 {
    let threads = pids
        .iter()
        .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok())
        .flatten();
    threads
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.ok()?.path().join(file)).ok()?;
            number(&text)
        })
        .sum()
}

/// In KiB: the most that each process ever had in memory, summed up; what processes share counts for each.
pub fn peak_memory(pids: &[u32]) -> u64 {
    of_processes(pids, "status", "VmHWM:")
}

/// In KiB: what is in memory now; what processes share is divided among them.
pub fn memory(pids: &[u32]) -> u64 {
    of_processes(pids, "smaps_rollup", "Pss:")
}

fn of_processes(pids: &[u32], file: &str, name: &str) -> u64 {
    let number = |pid: &u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        field(&text, name)
    };
    pids.iter().filter_map(number).sum()
}

/// The number of a line `name 123 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

/// How many system calls processes make while `work` is done, by `perf stat`, which does not slow them down as
/// tracing would; nothing where it may not or can't.
pub fn system_calls<T>(pids: &[u32], work: impl FnOnce() -> T) -> (T, Option<u64>) {
    let list: Vec<String> = pids.iter().map(u32::to_string).collect();
    let perf = Command::new("perf")
        .args(["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p"])
        .arg(list.join(","))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    // It says nowhere when it has begun to count.
    std::thread::sleep(Duration::from_millis(500));
    let done = work();
    let Ok(perf) = perf else {
        return (done, None);
    };
    if let Some(pid) = i32::try_from(perf.id()).ok().and_then(Pid::from_raw) {
        // It has ended by itself if it can't count.
        let _ = kill_process(pid, Signal::INT);
    }
    let count = perf.wait_with_output().ok().and_then(|output| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find(|line| line.contains("sys_enter"))?;
        line.split(',').next()?.parse().ok()
    });
    (done, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something_of_everything() {
        let pids = family(&[std::process::id()]);
        assert!(cpu_time(&pids) > Duration::ZERO);
        assert!(context_switches(&pids) > 0);
        assert!(peak_memory(&pids) > 100);
        assert!(memory(&pids) > 100);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text =
            "nonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t35\nVmHWM:\t  12 kB\n";
        assert_eq!(field(text, "voluntary_ctxt_switches:"), Some(35));
        assert_eq!(field(text, "VmHWM:"), Some(12));
        assert_eq!(field(text, "VmRSS:"), None);
    }
}
