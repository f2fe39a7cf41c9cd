//! What the server costs: processor time and memory of its processes, from `/proc`.

use std::{collections::HashMap, fs};

/// The processes to measure: each root with all its descendants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    /// Process ids of the server.
    pub(crate) server: Vec<u32>,
    /// Process ids of its database, where that is a process of its own.
    pub(crate) database: Vec<u32>,
}

/// Processor time, user and system, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cpu {
    /// The server's.
    pub(crate) server: f64,
    /// Its database's; zero where that is part of the server.
    pub(crate) database: f64,
    /// This process's own: near all it has, it is the generator that limits.
    pub(crate) generator: f64,
}

impl Cpu {
    /// Server and database together.
    pub(crate) fn total_s(self) -> f64 {
        self.server + self.database
    }

    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            server: self.server - earlier.server,
            database: self.database - earlier.database,
            generator: self.generator - earlier.generator,
        }
    }
}

/// Memory, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident, server and database.
    pub(crate) rss: u64,
    /// With shared pages counted once, server and database.
    pub(crate) pss: u64,
    /// The database's part of `pss`.
    pub(crate) database_pss: u64,
}

impl Meter {
    /// Is there anything to measure?
    pub(crate) fn known(&self) -> bool {
        !self.server.is_empty()
    }

    /// Processor time used so far. Processes that are gone without a parent to count them are lost.
    pub(crate) fn cpu(&self) -> Cpu {
        let parents = parents();
        let cpu = |roots: &[u32]| {
            let pids = with_descendants(roots, &parents);
            pids.iter().filter_map(|pid| cpu_seconds(&proc_file(*pid, "stat"))).sum()
        };
        Cpu {
            server: cpu(&self.server),
            database: cpu(&self.database),
            generator: cpu_seconds(&proc_file(std::process::id(), "stat")).unwrap_or(0.0),
        }
    }

    /// Memory in use. The kernel walks all pages for it, which holds the server up for a moment.
    pub(crate) fn memory(&self) -> Memory {
        let parents = parents();
        let memory = |roots: &[u32]| {
            let pids = with_descendants(roots, &parents);
            pids.iter().fold((0, 0), |(rss, pss), pid| {
                let text = proc_file(*pid, "smaps_rollup");
                (rss + kib(&text, "Rss:"), pss + kib(&text, "Pss:"))
            })
        };
        let (server, database) = (memory(&self.server), memory(&self.database));
        Memory { rss: server.0 + database.0, pss: server.1 + database.1, database_pss: database.1 }
    }
}

/// A file below `/proc/<pid>`; empty when the process is gone.
fn proc_file(pid: u32, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default()
}

/// Each process's parent.
fn parents() -> HashMap<u32, u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, stat_field(&proc_file(pid, "stat"), 4)?.parse().ok()?)))
        .collect()
}

fn with_descendants(roots: &[u32], parents: &HashMap<u32, u32>) -> Vec<u32> {
    let mut all = roots.to_vec();
    let mut next = 0;
    while next < all.len() {
        let parent = all[next];
        let children = parents.iter().filter(|(pid, p)| **p == parent && !all.contains(pid));
        let children: Vec<u32> = children.map(|(pid, _)| *pid).collect();
        all.extend(children);
        next += 1;
    }
    all
}

/// User and system time of a process and of its children that have ended, in seconds.
#[expect(clippy::cast_precision_loss, reason = "ticks stay far below 2^52")]
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut ticks = 0_u64;
    for field in 14..=17 {
        ticks += stat_field(stat, field)?.parse::<u64>().ok()?;
    }
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Field `number` of a `/proc/<pid>/stat` line, counted from 1 as in proc(5); from 3 on.
fn stat_field(stat: &str, number: usize) -> Option<&str> {
    // the second field is a name in brackets which may hold anything, brackets too
    let after_name = stat.get(stat.rfind(')')? + 1..)?;
    after_name.split_ascii_whitespace().nth(number.checked_sub(3)?)
}

/// The number behind `label`.
fn kib(text: &str, label: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "77 (odd) name) S 12 77 77 0 -1 4194560 1 2 3 4 150 50 25 25 20 0 1 0 9";

    #[test]
    fn fields_are_counted_after_the_name() {
        assert_eq!(stat_field(STAT, 3), Some("S"));
        assert_eq!(stat_field(STAT, 4), Some("12"));
        assert_eq!(stat_field("", 4), None);
        assert_eq!(cpu_seconds("1 (x) S 1"), None);
        let ticks = u32::try_from(rustix::param::clock_ticks_per_second()).unwrap();
        assert!((cpu_seconds(STAT).unwrap() * f64::from(ticks) - 250.0).abs() < 0.01);
    }

    #[test]
    fn memory_is_read() {
        let text = "555-7ff ---p 0 00:00 0  [rollup]\nRss:       1234 kB\nPss:        99 kB\n";
        assert_eq!((kib(text, "Rss:"), kib(text, "Pss:"), kib(text, "Swap:")), (1234, 99, 0));
    }

    #[test]
    fn descendants_are_found() {
        let parents = HashMap::from([(1, 0), (2, 1), (3, 2), (4, 1), (9, 8)]);
        let mut all = with_descendants(&[2, 4], &parents);
        all.sort_unstable();
        assert_eq!(all, [2, 3, 4]);
    }

    #[test]
    fn this_process_costs_something() {
        let meter = Meter { server: vec![std::process::id()], database: vec![] };
        let memory = meter.memory();
        assert!(memory.rss > 0 && memory.pss > 0);
        assert_eq!(memory.database_pss, 0);
        assert!(meter.cpu().total_s() >= 0.0);
    }
}
