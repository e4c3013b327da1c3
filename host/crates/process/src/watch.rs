//! The watch on what a task takes of the machine: processes, memory, disk.
//!
//! The kernel's own limits do not fit: those on processes count all of a user's and none of root's, those on a process's
//! memory count what is only reserved (sanitizers reserve terabytes), and a memory cgroup is there for few. So the helper
//! looks every so often, and what is over in between is over by little.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::command::TaskLimits;
use crate::{sys, tree};

/// The most processes that a task may have at once. Builds and test runs stay far below; a fork storm does not.
const CROWD: usize = 1_000;
/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The time between two counts of what was written: a count walks every folder that the task may write.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// The most files that one count looks at.
const MOST_FILES: usize = 2_000_000;

const MB: u64 = 1 << 20;

/// A watch on one task.
pub(crate) struct Watch {
    limits: TaskLimits,
    own_pids: bool,
    began: SystemTime,
    /// The folders that the task may write, with what was free there when it began.
    written: Vec<(PathBuf, u64)>,
    counted: Option<Instant>,
}

impl Watch {
    pub(crate) fn new(limits: TaskLimits, written: Vec<PathBuf>, own_pids: bool) -> Self {
        let written = written.into_iter().filter_map(|path| {
            let free = free(&path)?;
            Some((path, free))
        });
        Self {
            limits,
            own_pids,
            began: SystemTime::now(),
            written: written.collect(),
            counted: None,
        }
    }

    /// Waits until the task takes too much, and gives the reason.
    pub(crate) fn wait(&mut self) -> String {
        loop {
            std::thread::sleep(LOOK_EVERY);
            let processes = self.processes();
            if processes.len() > CROWD {
                let count = processes.len();
                return format!("it had {count} processes at once; {CROWD} are allowed");
            }
            if let Some(limit) = self.limits.memory
                && let Some(used) = above(&processes, limit)
            {
                return format!(
                    "it used {} MB of memory; {} MB are allowed (WORKER_TASK_MEMORY_MB)",
                    used / MB,
                    limit / MB
                );
            }
            if let Some(limit) = self.limits.disk
                && let Some(written) = self.written_above(limit)
            {
                return format!(
                    "it wrote {} MB to disk; {} MB are allowed (WORKER_TASK_DISK_MB)",
                    written / MB,
                    limit / MB
                );
            }
        }
    }

    fn processes(&self) -> Vec<u32> {
        let processes = sys::processes();
        match self.own_pids {
            true => processes.into_keys().collect(),
            false => tree::descendants(&processes, std::process::id())
                .into_iter()
                .collect(),
        }
    }

    /// Returns the bytes that the task wrote, where they are more than these. Looks for them only once as much is missing
    /// on one of the disks: others write as well.
    fn written_above(&mut self, limit: u64) -> Option<u64> {
        let missing = self
            .written
            .iter()
            .any(|(path, before)| before.saturating_sub(free(path).unwrap_or(*before)) > limit);
        let due = self.counted.is_none_or(|at| at.elapsed() > COUNT_EVERY);
        if !missing || !due {
            return None;
        }
        let mut files = 0;
        let paths = self.written.iter().map(|(path, _)| path);
        let written = paths.map(|path| newer(path, self.began, &mut files)).sum();
        self.counted = Some(Instant::now());
        (written > limit).then_some(written)
    }
}

/// The bytes that are free where a path lies.
fn free(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// The bytes on disk of the files below a folder that changed since.
fn newer(top: &Path, since: SystemTime, files: &mut usize) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let since = since
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    let mut bytes = 0;
    let mut pending = vec![top.to_path_buf()];
    while let Some(folder) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            let Ok(found) = entry.metadata() else {
                continue;
            };
            *files += 1;
            if *files > MOST_FILES {
                return bytes;
            }
            if found.is_dir() {
                pending.push(entry.path());
            } else if found.ctime() >= since {
                bytes += found.blocks().saturating_mul(512) / found.nlink().max(1);
            }
        }
    }
    bytes
}

/// Returns the memory of these processes, where it is more than this. What several share counts once, but that takes the
/// kernel long: it is asked only where the sum of all is too much.
fn above(processes: &[u32], limit: u64) -> Option<u64> {
    let sum: u64 = processes.iter().filter_map(|pid| resident(*pid)).sum();
    if sum <= limit {
        return None;
    }
    let exact = processes.iter().map(|pid| share(*pid).or(resident(*pid)));
    let exact: u64 = exact.flatten().sum();
    (exact > limit).then_some(exact)
}

/// The bytes of memory that a process has for itself, and for its forks.
fn resident(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = statm.split_ascii_whitespace().skip(1);
    let all: u64 = pages.next()?.parse().ok()?;
    let of_files: u64 = pages.next()?.parse().ok()?;
    Some(
        all.saturating_sub(of_files)
            .saturating_mul(rustix::param::page_size() as u64),
    )
}

/// The same with what it shares with its forks divided among them.
fn share(pid: u32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss_Anon:"))?;
    let kb: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kb.saturating_mul(1024))
}

/// The bytes of memory that this machine has, or the container that this process runs in; none where that is not known.
pub fn machine_memory() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kb: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    let all = kb.saturating_mul(1024);
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|limit| limit.trim().parse::<u64>().ok());
    Some(container.map_or(all, |limit| limit.min(all)))
}
