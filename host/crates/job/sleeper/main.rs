//! The process of a job that waits for its turn: asleep, and small.
//!
//! The program itself would be a megabyte of relocations for each job that waits. This one has no dependency but std; it is
//! built by `build.rs` and carried by the program, which becomes it by `exec` and becomes itself again from it. What both have
//! in common stays as it is: pid, standard input (a socket with the job's handles in it), standard output (the job's locked
//! file), standard error, environment.
//!
//! ```text
//! NAME __waiter STATE UNTIL_MS --of PROGRAM BELL CALLER QUEUE [GLOBAL...]
//! ```
//!
//! PROGRAM, BELL and CALLER are numbers of inherited handles (CALLER is `-` where nobody is attached), QUEUE is the file
//! whose lock makes a waiter the dispatcher; that one becomes the program again, with the lock.

use std::env;
use std::ffi::{OsStr, OsString, c_int, c_ulong};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

/// What libc has and std has not.
mod sys {
    use std::ffi::{c_int, c_short, c_ulong};

    #[repr(C)]
    pub struct PollFd {
        pub fd: c_int,
        pub events: c_short,
        pub revents: c_short,
    }

    /// `sigset_t` of Linux: 1,024 bits.
    pub type SigSet = [u64; 16];

    pub const POLLIN: c_short = 1;
    pub const PR_SET_DUMPABLE: c_int = 4;
    pub const F_SETFD: c_int = 2;
    pub const FD_CLOEXEC: c_int = 1;
    pub const SIG_BLOCK: c_int = 0;
    pub const SIG_UNBLOCK: c_int = 1;
    pub const SFD_CLOEXEC: c_int = 0o2_000_000;
    pub const ENDS: [c_int; 3] = [1, 2, 15];

    unsafe extern "C" {
        pub fn poll(fds: *mut PollFd, count: c_ulong, timeout: c_int) -> c_int;
        pub fn prctl(option: c_int, value: c_ulong, ...) -> c_int;
        pub fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
        pub fn sigemptyset(set: *mut SigSet) -> c_int;
        pub fn sigaddset(set: *mut SigSet, signal: c_int) -> c_int;
        pub fn sigprocmask(how: c_int, set: *const SigSet, old: *mut SigSet) -> c_int;
        pub fn signalfd(fd: c_int, set: *const SigSet, flags: c_int) -> c_int;
    }
}

/// The reason why it wakes.
enum Woken {
    /// The bell rang, the caller is gone, or the time is up: the runner finds out which.
    Look,
    /// SIGTERM, SIGINT or SIGHUP.
    Ended,
    /// It is the dispatcher from now on, and holds this lock.
    Dispatcher(File),
}

fn main() -> ExitCode {
    // The environment holds gateway keys: no other process of this user reads it in /proc.
    // SAFETY: no pointer is passed.
    unsafe { sys::prctl(sys::PR_SET_DUMPABLE, 0 as c_ulong) };
    let fault = wait();
    // Only a fault comes here. The lock ends with this process, and the job as `interrupted`.
    eprintln!("mcp-codex-worker: a job that waits lost its place: {fault}");
    ExitCode::FAILURE
}

fn wait() -> io::Error {
    let arguments: Vec<OsString> = env::args_os().collect();
    let [
        name,
        word,
        state,
        until,
        of,
        program,
        bell,
        caller,
        queue,
        globals @ ..,
    ] = arguments.as_slice()
    else {
        return started_wrongly();
    };
    if of != "--of" {
        return started_wrongly();
    }
    let number = |text: &OsStr| text.to_str().and_then(|text| text.parse::<i64>().ok());
    let handle = |text: &OsStr| number(text).and_then(|number| RawFd::try_from(number).ok());
    let (Some(until), Some(program), Some(bell)) = (number(until), handle(program), handle(bell))
    else {
        return started_wrongly();
    };
    let caller = handle(caller);
    for inherited in [Some(program), Some(bell), caller].into_iter().flatten() {
        if let Err(fault) = close_on_exec(inherited, true) {
            return fault;
        }
    }
    let woken = match sleep(until, bell, caller, queue) {
        Ok(woken) => woken,
        Err(fault) => return fault,
    };
    // As it was inherited: an update may have put another program in its place.
    let mut next = Command::new(format!("/proc/self/fd/{program}"));
    next.arg0(name);
    match &woken {
        Woken::Look => next.args(globals).args(["__runner", "--waited"]),
        Woken::Ended => next.args(globals).args(["__runner", "--waited", "--ended"]),
        Woken::Dispatcher(lock) => {
            if let Err(fault) = close_on_exec(lock.as_raw_fd(), false) {
                return fault;
            }
            let lock = lock.as_raw_fd().to_string();
            next.arg(word)
                .arg(state)
                .arg(until.to_string())
                .arg("--dispatcher")
                .arg(lock)
                .args(globals)
        }
    };
    if let Err(fault) = mask(sys::SIG_UNBLOCK) {
        return fault;
    }
    next.exec()
}

fn sleep(until: i64, bell: RawFd, caller: Option<RawFd>, queue: &OsStr) -> io::Result<Woken> {
    // Before the thread, which inherits it.
    let signals = mask(sys::SIG_BLOCK)?;
    // SAFETY: the set lives as long as the call; the handle that comes is nobody else's.
    let signals = unsafe {
        let fd = sys::signalfd(-1, &signals, sys::SFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let (mine, mut theirs) = UnixStream::pair()?;
    let queue = queue.to_owned();
    // A lock cannot be waited for together with other things.
    let locking = std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(move || {
            let lock = locked(&queue);
            let _ = theirs.write_all(b"!");
            lock
        })?;
    let on = |fd: RawFd, events| sys::PollFd {
        fd,
        events,
        revents: 0,
    };
    let mut ends = vec![
        on(signals.as_raw_fd(), sys::POLLIN),
        on(mine.as_raw_fd(), sys::POLLIN),
        on(bell, sys::POLLIN),
    ];
    // Hanging up is told unasked.
    ends.extend(caller.map(|caller| on(caller, 0)));
    loop {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let left = until.saturating_sub(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        let left = c_int::try_from(left.max(0)).unwrap_or(c_int::MAX);
        // SAFETY: the list lives as long as the call, and its length is its own.
        let told = unsafe { sys::poll(ends.as_mut_ptr(), ends.len() as c_ulong, left) };
        if told < 0 {
            let fault = io::Error::last_os_error();
            if fault.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(fault);
        }
        let has = |at: usize| ends.get(at).is_some_and(|end| end.revents != 0);
        if has(0) {
            // Taken, so that it does not wait for the program that comes.
            let mut taken = [0; 128];
            File::from(signals).read(&mut taken)?;
            return Ok(Woken::Ended);
        }
        // The rest looks for itself, the end of a wait among it.
        if !has(1) {
            return Ok(Woken::Look);
        }
        // Where it cannot be had, the runner finds out why.
        return Ok(match locking.join() {
            Ok(Ok(lock)) => Woken::Dispatcher(lock),
            Ok(Err(_)) | Err(_) => Woken::Look,
        });
    }
}

/// Takes the lock of the file, and waits until nobody else has it.
fn locked(path: &OsStr) -> io::Result<File> {
    loop {
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        file.lock()?;
        // Whoever held it before may have taken the file away: then it locks nothing for others.
        let own = file.metadata()?;
        match std::fs::symlink_metadata(path) {
            Ok(there) if (own.dev(), own.ino()) == (there.dev(), there.ino()) => return Ok(file),
            Ok(_) => {}
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            Err(fault) => return Err(fault),
        }
    }
}

fn mask(how: c_int) -> io::Result<sys::SigSet> {
    let mut set: sys::SigSet = [0; 16];
    // SAFETY: the set is of the size that libc has, and lives as long as the calls.
    let failed = unsafe {
        sys::sigemptyset(&mut set);
        for signal in sys::ENDS {
            sys::sigaddset(&mut set, signal);
        }
        sys::sigprocmask(how, &set, std::ptr::null_mut()) != 0
    };
    match failed {
        true => Err(io::Error::last_os_error()),
        false => Ok(set),
    }
}

fn close_on_exec(fd: RawFd, close: bool) -> io::Result<()> {
    let flag = if close { sys::FD_CLOEXEC } else { 0 };
    // SAFETY: no pointer is passed.
    match unsafe { sys::fcntl(fd, sys::F_SETFD, flag) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn started_wrongly() -> io::Error {
    io::Error::other("it was not started by this program")
}
