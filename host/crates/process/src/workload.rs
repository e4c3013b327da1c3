//! The work of a task's children: the difference between a build that is silent and an agent that
//! hangs.

use std::collections::BTreeMap;
use std::time::Duration;

/// The work of a task's processes so far, its main process and the helper left out. Empty where the system does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload(BTreeMap<u32, Work>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Work {
    /// Processor time in clock ticks, that of ended children included.
    ticks: u64,
    /// Bytes given to write calls.
    written: u64,
}

/// The least processor time that counts as work, in thousandths of one core: an idle server with timers stays below.
const LEAST_CORE: u64 = 10;
/// The least output that counts as work, in bytes a second: the wake-ups of an idle runtime stay below.
const LEAST_BYTES: u64 = 256;

impl Workload {
    /// Looks at the task whose helper has this pid ([`Running::pid`](super::Running::pid)).
    pub fn of(helper: u32) -> Self {
        look(helper)
    }

    /// Returns true if the processes worked since `before`, which was looked at `elapsed` ago.
    pub fn has_worked_since(&self, before: &Self, elapsed: Duration) -> bool {
        let (mut ticks, mut written) = (0, 0);
        for (pid, now) in &self.0 {
            let before = before.0.get(pid).copied().unwrap_or_default();
            ticks += now.ticks.saturating_sub(before.ticks);
            written += now.written.saturating_sub(before.written);
        }
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let worked = ticks.saturating_mul(1_000_000) / ticks_per_second().max(1);
        worked >= millis.saturating_mul(LEAST_CORE).max(1)
            || written.saturating_mul(1_000) >= millis.saturating_mul(LEAST_BYTES).max(1)
    }
}

#[cfg(target_os = "linux")]
fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

#[cfg(not(target_os = "linux"))]
fn ticks_per_second() -> u64 {
    1
}

#[cfg(not(target_os = "linux"))]
fn look(_helper: u32) -> Workload {
    Workload::default()
}

#[cfg(target_os = "linux")]
fn look(helper: u32) -> Workload {
    let processes = super::sys::processes();
    let children = |of: u32| {
        let mut children: Vec<u32> = processes
            .iter()
            .filter(|(_, process)| process.parent == of)
            .map(|(pid, _)| *pid)
            .collect();
        children.sort_by_key(|pid| processes.get(pid).map(|process| process.start_time));
        children
    };
    // Where there are namespaces the helper's one child is the helper in them, see `helper`.
    let inner = children(helper)
        .into_iter()
        .find(|pid| is_helper(*pid))
        .unwrap_or(helper);
    // The helper starts nothing else; what it adopts came later.
    let main = children(inner).into_iter().next();
    let mut found = BTreeMap::new();
    for pid in super::tree::descendants(&processes, helper) {
        if pid == inner {
            continue;
        }
        if let Some(work) = work_of(pid, Some(pid) == main) {
            found.insert(pid, work);
        }
    }
    Workload(found)
}

#[cfg(target_os = "linux")]
fn is_helper(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
        let mut words = line.split(|byte| *byte == 0).skip(1);
        words.next() == Some(super::INIT_SUBCOMMAND.as_bytes())
            && words.next() == Some(b"inner".as_slice())
    })
}

/// The work of one process; of the main process only that of its ended children.
#[cfg(target_os = "linux")]
fn work_of(pid: u32, main: bool) -> Option<Work> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let ticks = ticks_in(&stat, main)?;
    let written = if main {
        0
    } else {
        // Another user's process does not tell: then its processor time counts alone.
        std::fs::read_to_string(format!("/proc/{pid}/io"))
            .ok()
            .and_then(|io| {
                io.lines()
                    .find_map(|line| line.strip_prefix("wchar: ")?.parse().ok())
            })
            .unwrap_or_default()
    };
    Some(Work { ticks, written })
}

/// Fields 14 to 17 of proc_pid_stat(5): user and system time, and those of waited-for children.
#[cfg(target_os = "linux")]
fn ticks_in(stat: &[u8], children_only: bool) -> Option<u64> {
    let close = memchr::memrchr(b')', stat)?;
    let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    let times: Vec<u64> = rest
        .split_ascii_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse().ok())
        .collect();
    let [user, system, children_user, children_system] = *times.as_slice() else {
        return None;
    };
    let own = if children_only { 0 } else { user + system };
    Some(own + children_user + children_system)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(rows: &[(u32, u64, u64)]) -> Workload {
        let rows = rows
            .iter()
            .map(|&(pid, ticks, written)| (pid, Work { ticks, written }));
        Workload(rows.collect())
    }

    #[test]
    fn work_is_processor_time_or_output_and_not_the_ticking_of_an_idle_server() {
        let second = ticks_per_second();
        let rows = [
            ("nothing", load(&[(1, 0, 0)]), false),
            ("a build", load(&[(1, 60 * second, 0)]), true),
            ("a new process", load(&[(2, 60 * second, 0)]), true),
            ("an idle server", load(&[(1, second / 10, 1_000)]), false),
            ("a download", load(&[(1, 0, 1 << 20)]), true),
        ];
        for (story, now, worked) in rows {
            let before = load(&[(1, 0, 0)]);
            assert_eq!(
                now.has_worked_since(&before, Duration::from_secs(60)),
                worked,
                "{story}"
            );
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn times_are_read_behind_any_name() {
        let stat = b"7 (a ) b) S 1 7 7 0 -1 4 1 1 1 1 10 20 3 4 20 0 1 0 99 0 0";
        assert_eq!(ticks_in(stat, false), Some(37));
        assert_eq!(ticks_in(stat, true), Some(7));
        assert_eq!(ticks_in(b"7 (a", false), None);
    }
}
