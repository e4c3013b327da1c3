//! Processes by `/proc` and by pidfd: who there is, who is signalled, who is waited for.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use crate::sys::types::Process;

/// A process that can be signalled without hitting a later owner of its pid.
#[derive(Debug)]
pub(crate) struct ProcessHandle(Option<OwnedFd>);

impl ProcessHandle {
    pub(crate) fn open(pid: u32) -> Self {
        Self(to_pid(pid).and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()))
    }

    pub(crate) fn kill(&self) {
        self.send(Signal::KILL);
    }

    pub(crate) fn stop(&self) {
        self.send(Signal::STOP);
    }

    pub(crate) fn terminate(&self) {
        self.send(Signal::TERM);
    }

    fn send(&self, signal: Signal) {
        if let Some(fd) = &self.0 {
            // The only failure that is left is that it is gone already.
            let _ = rustix::process::pidfd_send_signal(fd, signal);
        }
    }
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

pub(crate) fn process(pid: u32) -> Option<Process> {
    parse_stat(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// `PID (NAME) STATE PPID ...`, where the name may hold anything, parentheses included: see proc_pid_stat(5).
fn parse_stat(stat: &[u8]) -> Option<Process> {
    let close = memchr::memrchr(b')', stat)?;
    let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    // State is field 3, start time field 22.
    let start_time = fields.nth(17)?.parse().ok()?;
    Some(Process {
        parent,
        start_time,
        zombie: matches!(state, "Z" | "X"),
    })
}

pub(crate) fn processes() -> BTreeMap<u32, Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, process(pid)?))
        })
        .collect()
}

pub(crate) fn environment_has(pid: u32, assignment: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
        environ
            .split(|byte| *byte == 0)
            .any(|entry| entry == assignment.as_bytes())
    })
}

pub(crate) fn boot_id() -> Option<String> {
    Some(
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()?
            .trim()
            .to_owned(),
    )
}

pub(crate) fn become_subreaper() {
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Reaps those of `pids` that are zombies of this process. Others are left to whoever started and waits for them.
pub(crate) fn reap(pids: impl Iterator<Item = u32>) {
    for pid in pids.filter_map(to_pid) {
        let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

/// Waits for any child to end: its pid, exit code or signal. `None` when there is no child left.
pub(crate) fn wait_any() -> Option<(u32, Option<i32>, Option<i32>)> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => {
                return Some((
                    u32::try_from(pid.as_raw_nonzero().get()).ok()?,
                    status.exit_status(),
                    status.terminating_signal(),
                ));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

pub(crate) fn interrupt_group(leader: u32) {
    if let Some(pid) = to_pid(leader) {
        let _ = rustix::process::kill_process_group(pid, Signal::INT);
    }
}

pub(crate) fn terminate_group(leader: u32) {
    if let Some(pid) = to_pid(leader) {
        let _ = rustix::process::kill_process_group(pid, Signal::TERM);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_process_name_cannot_fake_the_fields_after_it() {
        let tail = "S 7 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1000 1";
        for name in ["sh", "a b", ") S 1 ", "x) Z 9 9", "\u{fffd}\n)"] {
            let stat = format!("12 ({name}) {tail}");
            let process = parse_stat(stat.as_bytes()).unwrap();
            assert_eq!(
                (process.parent, process.start_time, process.zombie),
                (7, 4242, false),
                "{name:?}"
            );
        }
        assert!(parse_stat(b"12 (sh) S 7").is_none());
        assert!(parse_stat(b"").is_none());
        assert!(process(std::process::id()).is_some());
    }
}
