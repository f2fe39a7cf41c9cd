//! What the operating system tells of this process (Linux; elsewhere nothing is told).

use std::fs;

use metrics::gauge;

/// Clock ticks a second in `/proc`, the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Sets the gauges of the process.
pub(crate) fn measure() {
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        if let Some(kib) = field(&status, "VmRSS:") {
            gauge!("process_resident_memory_bytes").set(kib * 1024.0);
        }
        if let Some(threads) = field(&status, "Threads:") {
            gauge!("process_threads").set(threads);
        }
    }
    if let Some(ticks) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_ticks) {
        gauge!("process_cpu_seconds_total").set(ticks / TICKS_PER_SECOND);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        let count = u32::try_from(entries.count()).unwrap_or(u32::MAX);
        gauge!("process_open_fds").set(f64::from(count));
    }
}

fn field(status: &str, name: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// User and system time from `/proc/self/stat`, whose second field may hold spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        assert_eq!(field("Name:\thaechi\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2048.0));
        let stat = "7 (a (b) c) S 1 1 1 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 1 0 5";
        assert_eq!(cpu_ticks(stat), Some(42.0));
    }
}
