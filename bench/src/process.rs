//! What the kernel knows of a running server: its CPU time and its memory, with all threads and children.

use std::collections::BTreeMap;
use std::fs;

/// CPU time of a family of processes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cpu {
    /// Time on a CPU, in nanoseconds, from `schedstat`: exact to some microseconds.
    pub total_ns: u64,
    /// The part of it in user space, in clock ticks: for the share only.
    pub user_ticks: u64,
    /// The part of it in the kernel, in clock ticks.
    pub system_ticks: u64,
}

impl Cpu {
    /// The time spent since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            total_ns: self.total_ns.saturating_sub(earlier.total_ns),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
        }
    }

    /// The share of user space in it, from 0 to 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn user_share(self) -> f64 {
        let ticks = self.user_ticks + self.system_ticks;
        if ticks == 0 { 0.0 } else { self.user_ticks as f64 / ticks as f64 }
    }
}

/// The CPU time of a process, its threads and its descendants.
#[must_use]
pub fn cpu(pid: u32) -> Cpu {
    let mut sum = Cpu::default();
    for member in family(pid) {
        for task in tasks(member) {
            sum.total_ns += schedule(member, task, 0);
        }
        let stat = fs::read_to_string(format!("/proc/{member}/stat")).unwrap_or_default();
        // The name stands in parentheses and may hold anything; user and system time are the 12th and 13th after it.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut fields = after_name.split_whitespace().skip(11).map(|field| field.parse::<u64>().unwrap_or(0));
        sum.user_ticks += fields.next().unwrap_or(0);
        sum.system_ticks += fields.next().unwrap_or(0);
    }
    sum
}

/// How long each thread has had a CPU that is neither ours nor of whom we started, in nanoseconds.
#[derive(Debug, Clone, Default)]
pub struct Others(BTreeMap<u32, u64>);

/// Everybody else on this machine, the kernel's own threads too.
#[must_use]
pub fn others() -> Others {
    let ours = family(std::process::id());
    let strangers = numbered("/proc").into_iter().filter(|pid| !ours.contains(pid));
    let tasks = strangers.flat_map(|pid| tasks(pid).into_iter().map(move |task| (pid, task)));
    Others(tasks.map(|(pid, task)| (task, schedule(pid, task, 0))).collect())
}

impl Others {
    /// What they took since `earlier`. Of those who ended meanwhile nothing is known.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> u64 {
        let before = |task| earlier.0.get(task).copied().unwrap_or(0);
        self.0.iter().map(|(task, ns)| ns.saturating_sub(before(task))).sum()
    }
}

/// How much of all cores the host has kept for itself since the start, in nanoseconds; to a hundredth of a second.
#[must_use]
pub fn stolen_ns() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = text.lines().next().and_then(|line| line.split_whitespace().nth(8)?.parse::<u64>().ok()).unwrap_or(0);
    ticks * 10_000_000
}

/// How long a process's first thread has been ready to run and did not, in nanoseconds.
#[must_use]
pub fn delay_ns(pid: u32) -> u64 {
    schedule(pid, pid, 1)
}

/// A figure of a thread's `schedstat`: time on a CPU, time ready for one.
fn schedule(pid: u32, task: u32, at: usize) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")).unwrap_or_default();
    text.split_whitespace().nth(at).and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// The proportional set size of a process and its descendants, in bytes.
#[must_use]
pub fn memory_bytes(pid: u32) -> u64 {
    rollup_bytes(pid, "Pss:")
}

/// The resident set size of a process and its descendants, in bytes: what others use too counts whole.
#[must_use]
pub fn resident_bytes(pid: u32) -> u64 {
    rollup_bytes(pid, "Rss:")
}

/// What a process and its descendants have resident that stands in no file, in bytes: heap, stacks, and what of a file's pages has
/// been written on.
#[must_use]
pub fn anonymous_bytes(pid: u32) -> u64 {
    rollup_bytes(pid, "Anonymous:")
}

fn rollup_bytes(pid: u32, which: &str) -> u64 {
    family(pid)
        .into_iter()
        .map(|member| {
            let text = fs::read_to_string(format!("/proc/{member}/smaps_rollup")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(which));
            line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
        })
        .sum()
}

/// The most memory a process and its descendants have had resident, each for itself, in bytes.
#[must_use]
pub fn peak_bytes(pid: u32) -> u64 {
    family(pid)
        .into_iter()
        .map(|member| {
            let text = fs::read_to_string(format!("/proc/{member}/status")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
        })
        .sum()
}

/// How many descriptors a process holds open.
#[must_use]
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// A process and its descendants, parents before children.
#[must_use]
pub fn family(pid: u32) -> Vec<u32> {
    // Not every kernel has /proc/PID/task/TID/children, so everybody is asked who the parent is.
    let parents: Vec<(u32, u32)> = numbered("/proc").into_iter().filter_map(|p| Some((p, parent(p)?))).collect();
    let mut members = vec![pid];
    let mut at = 0;
    while let Some(&member) = members.get(at) {
        members.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(child, _)| *child));
        at += 1;
    }
    members
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn tasks(pid: u32) -> Vec<u32> {
    numbered(&format!("/proc/{pid}/task"))
}

fn numbered(folder: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_ourselves_use_time_and_memory() {
        let me = std::process::id();
        assert_eq!(family(me)[0], me);
        assert!(cpu(me).total_ns > 0);
        assert!(memory_bytes(me) > 64 * 1024);
        assert!(resident_bytes(me) >= memory_bytes(me));
        assert!((64 * 1024..=resident_bytes(me)).contains(&anonymous_bytes(me)));
        assert!(descriptors(me) >= 3);
        assert!(!others().0.contains_key(&me) && others().since(&others()) < 1_000_000_000);
    }
}
