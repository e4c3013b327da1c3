//! Process trees as `/proc` tells them, and the end of what is left over.
//!
//! A pid alone names nothing: it is used again. What is remembered is a pid with its start time and the boot it belongs
//! to, and what is signalled is a handle whose start time was compared after it was opened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::sys::{self, ProcessHandle};

/// The time that a sweep goes on after it last met a process that it had not met before: what is
/// left then does not die.
const SWEEP_LIMIT: Duration = Duration::from_secs(10);
/// The time that it goes on at most. A storm on a starved machine takes its time, and one that is
/// left raging takes every pid.
const SWEEP_IN_ALL: Duration = Duration::from_secs(300);

/// A process, told apart from every other that ever had its pid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The pid in this machine's (this container's) own numbering.
    pub pid: u32,
    /// Clock ticks between boot and its start: field 22 of `/proc/PID/stat`.
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// The processes above this one, the nearest first; none on a system where they cannot be told apart.
pub fn ancestors() -> Vec<ProcessIdentity> {
    let mut found = Vec::new();
    let mut pid = std::process::id();
    // A chain of parents is short; a broken one must not go round for ever.
    while found.len() < 64
        && let Some(parent) = sys::process(pid).map(|process| process.parent)
        && parent > 1
    {
        found.extend(identity(parent));
        pid = parent;
    }
    found
}

/// The process that started this one; `None` where it is gone or cannot be told.
pub fn parent() -> Option<ProcessIdentity> {
    let parent = sys::process(std::process::id())?.parent;
    identity(parent).filter(|_| parent > 1)
}

/// The identity of `pid`; `None` when there is no such living process, or no way to tell on this
/// system.
pub fn identity(pid: u32) -> Option<ProcessIdentity> {
    let start_time = sys::process(pid)
        .filter(|process| !process.zombie)?
        .start_time;
    Some(ProcessIdentity {
        pid,
        start_time,
        boot_id: sys::boot_id()?,
    })
}

/// Ends a process that some earlier runner recorded, with everything below it, if it is still the very same process.
/// Returns whether it was.
pub fn end_recorded(recorded: &ProcessIdentity) -> bool {
    let handle = ProcessHandle::open(recorded.pid);
    if identity(recorded.pid).as_ref() != Some(recorded) {
        return false;
    }
    end_below(recorded.pid);
    handle.kill();
    let deadline = Instant::now() + SWEEP_LIMIT;
    while identity(recorded.pid).as_ref() == Some(recorded) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Asks a recorded process to end (SIGTERM), if it is still the very same process. Returns whether it was.
pub fn terminate_recorded(recorded: &ProcessIdentity) -> bool {
    let handle = ProcessHandle::open(recorded.pid);
    let same = identity(recorded.pid).as_ref() == Some(recorded);
    if same {
        handle.terminate();
    }
    same
}

/// Makes this process the one that orphaned descendants fall back to, so that none can leave the tree.
pub fn adopt_strays() {
    sys::become_subreaper();
}

/// Ends every descendant of this process and reaps the adopted ones; returns how many were found alive. For the end of a
/// runner: it also ends helpers of tasks that still run.
pub fn sweep() -> usize {
    end_below(std::process::id())
}

/// Ends all processes whose environment carries `mark`, and what is below them.
pub(crate) fn end_marked(mark: &str) -> usize {
    let needle = format!("{}={mark}", crate::protocol::MARK_VARIABLE);
    end_all(|processes| {
        let marked: Vec<u32> = processes
            .keys()
            .copied()
            .filter(|pid| sys::environment_has(*pid, &needle))
            .collect();
        let mut found = BTreeSet::new();
        for pid in marked {
            found.extend(descendants(processes, pid));
            found.insert(pid);
        }
        found
    })
}

/// Ends everything below `root`, but not `root`.
pub(crate) fn end_below(root: u32) -> usize {
    end_all(|processes| descendants(processes, root))
}

/// Rounds of stop, kill, look again: a tree that forks faster than it is walked must not win. What was stopped cannot
/// fork any more, so each round has fewer that can.
fn end_all(select: impl Fn(&BTreeMap<u32, sys::Process>) -> BTreeSet<u32>) -> usize {
    let began = Instant::now();
    let mut met_new = began;
    let own = std::process::id();
    let mut met = BTreeSet::new();
    loop {
        let processes = sys::processes();
        let parents: BTreeSet<u32> = processes.values().map(|process| process.parent).collect();
        let mut alive: Vec<(u32, u64)> = select(&processes)
            .into_iter()
            .filter(|pid| *pid != own)
            .filter_map(|pid| {
                processes
                    .get(&pid)
                    .filter(|process| !process.zombie)
                    .map(|process| (pid, process.start_time))
            })
            .collect();
        if alive.iter().any(|process| !met.contains(process)) {
            met_new = Instant::now();
        }
        if alive.is_empty() || met_new.elapsed() > SWEEP_LIMIT || began.elapsed() > SWEEP_IN_ALL {
            break;
        }
        // Those that fork come first: each of the many others takes as long as it takes them to make another.
        alive.sort_by_key(|(pid, _)| !parents.contains(pid));
        for stop in [true, false] {
            for (pid, start_time) in &alive {
                let handle = ProcessHandle::open(*pid);
                if sys::process(*pid).is_some_and(|process| process.start_time == *start_time) {
                    if stop { handle.stop() } else { handle.kill() }
                }
            }
        }
        met.extend(alive);
        sys::reap(met.iter().map(|(pid, _)| *pid));
        std::thread::sleep(Duration::from_millis(2));
    }
    sys::reap(met.iter().map(|(pid, _)| *pid));
    met.len()
}

/// All pids below `root`.
pub(crate) fn descendants(processes: &BTreeMap<u32, sys::Process>, root: u32) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, process) in processes {
        children.entry(process.parent).or_default().push(*pid);
    }
    let mut found = BTreeSet::new();
    let mut waiting = vec![root];
    while let Some(pid) = waiting.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if found.insert(*child) {
                waiting.push(*child);
            }
        }
    }
    found
}
