//! The waiter: the process of a job that waits for its turn. It opens no plugin and no store, polls
//! nothing, and becomes the job's runner again by `exec`.
//!
//! Where there is a [`sleeper`](super::sleeper) for this system the waiter is that one, and this program itself only while it
//! is the dispatcher.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use rustix::io::FdFlags;

use super::handover::Handles;
use super::{QUEUE_LOCK, dispatch, folder, sleeper};
use crate::launch::RUNNER_SUBCOMMAND;
use crate::lock::LockGuard;
use crate::store::{Store, now_ms};

/// The subcommand under which a waiter runs.
pub(crate) const WAITER_SUBCOMMAND: &str = "__waiter";

/// The waiter's option: it is the dispatcher, and holds the lock in the handle of this number.
const DISPATCHER: &str = "--dispatcher";

/// The runner's option: it takes up a job that waited.
const WAITED: &str = "--waited";

/// The runner's option: it was told to end (SIGTERM) while it waited.
const ENDED: &str = "--ended";

/// Becomes the waiter of a job, whose runner becomes it again at `until_ms` at the latest. Returns only with a fault.
pub(crate) fn become_waiter(
    handles: &Handles,
    lock: &LockGuard,
    state_dir: &Path,
    until_ms: i64,
    globals: Vec<OsString>,
) -> io::Error {
    let mut arguments: Vec<OsString> = vec![
        WAITER_SUBCOMMAND.into(),
        state_dir.into(),
        until_ms.to_string().into(),
    ];
    let queue = Store::lock_file(state_dir, QUEUE_LOCK);
    let no_sleeper = sleeper::become_sleeper(
        handles,
        lock,
        state_dir,
        &queue,
        arguments.clone(),
        globals.clone(),
    );
    // A file system without programs, for example: then it is a larger waiter.
    tracing::debug!(%no_sleeper, "the job waits as the program itself");
    arguments.extend(globals);
    handles.become_program(lock, arguments)
}

/// The reason why a waiter becomes a runner.
enum Woken {
    /// The bell rang, or the time is up, or the caller or the store is gone, or the queue cannot be served: the runner finds out.
    Look,
    /// A signal.
    Ended,
}

/// Waits, if these are the arguments of a waiter. Called before anything else of the program: a waiter is to be small.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter();
    if arguments.next()? != OsStr::new(WAITER_SUBCOMMAND) {
        return None;
    }
    // The environment holds gateway keys: no other process of this user reads it in /proc.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let waited = wait(&mut arguments);
    // Only a fault comes here. The lock ends with this process, and the job as `interrupted`.
    eprintln!("mcp-codex-worker: a job that waits lost its place: {waited}");
    Some(ExitCode::FAILURE)
}

fn wait(arguments: &mut dyn Iterator<Item = OsString>) -> io::Error {
    let started_wrongly = || io::Error::other("it was not started by this program");
    let (Some(state_dir), Some(until_ms)) = (arguments.next(), arguments.next()) else {
        return started_wrongly();
    };
    let Some(until_ms) = until_ms.to_str().and_then(|text| text.parse::<i64>().ok()) else {
        return started_wrongly();
    };
    let mut globals: Vec<OsString> = arguments.collect();
    let dispatcher = match globals.first() {
        Some(first) if first == DISPATCHER => {
            let handle = globals.get(1).and_then(|handle| handle.to_str());
            match handle
                .and_then(|handle| handle.parse().ok())
                .map(queue_lock)
            {
                Some(Ok(lock)) => {
                    globals.drain(..2);
                    Some(lock)
                }
                Some(Err(fault)) => return fault,
                None => return started_wrongly(),
            }
        }
        _ => None,
    };
    let (handles, lock) = match inherit() {
        Ok(inherited) => inherited,
        Err(fault) => return fault,
    };
    let woken = match sleep(&handles, PathBuf::from(state_dir), until_ms, dispatcher) {
        Ok(woken) => woken,
        Err(fault) => return fault,
    };
    let mut runner = globals;
    runner.push(RUNNER_SUBCOMMAND.into());
    runner.push(WAITED.into());
    if matches!(woken, Woken::Ended) {
        runner.push(ENDED.into());
    }
    handles.become_program(&lock, runner)
}

/// The lock of the queue, which the sleeper that this was holds.
fn queue_lock(handle: RawFd) -> io::Result<LockGuard> {
    // SAFETY: whoever names the handle has left it to this program alone.
    let lock = unsafe { OwnedFd::from_raw_fd(handle) };
    rustix::io::fcntl_setfd(&lock, FdFlags::CLOEXEC)?;
    Ok(LockGuard::inherited(File::from(lock)))
}

fn inherit() -> io::Result<(Handles, LockGuard)> {
    let inbox = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let handles = Handles::receive(&inbox)?;
    let lock = LockGuard::inherited(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok((handles, lock))
}

/// Sleeps until there is something to do. Each thing that may wake it has a thread with a small stack.
fn sleep(
    handles: &Handles,
    state_dir: PathBuf,
    until_ms: i64,
    dispatcher: Option<LockGuard>,
) -> io::Result<Woken> {
    let (wake, woken) = mpsc::channel();
    let signals = wake.clone();
    small_thread(move || {
        if end_signal().is_ok() {
            let _ = signals.send(Woken::Ended);
        }
    })?;
    let queue = wake.clone();
    small_thread(move || {
        serve_queue(&state_dir, dispatcher);
        let _ = queue.send(Woken::Look);
    })?;
    let events = handles.bell.as_fd().try_clone_to_owned()?;
    let channel = handles.channel.as_ref().map(UnixStream::try_clone);
    let channel = channel.transpose()?;
    small_thread(move || {
        use rustix::event::{PollFd, PollFlags, poll};
        loop {
            let mut ends = vec![PollFd::new(&events, PollFlags::IN)];
            // Hanging up is told unasked.
            ends.extend(
                channel
                    .iter()
                    .map(|end| PollFd::new(end, PollFlags::empty())),
            );
            match poll(&mut ends, None) {
                Err(rustix::io::Errno::INTR) => {}
                _ => break,
            }
        }
        let _ = wake.send(Woken::Look);
    })?;
    let left = u64::try_from(until_ms.saturating_sub(now_ms())).unwrap_or(0);
    Ok(woken
        .recv_timeout(Duration::from_millis(left))
        .unwrap_or(Woken::Look))
}

/// Waits until this is the dispatcher, where it is not yet, then is.
fn serve_queue(state_dir: &Path, lock: Option<LockGuard>) {
    let path = Store::lock_file(state_dir, QUEUE_LOCK);
    let served = lock
        .map_or_else(|| LockGuard::wait(&path), Ok)
        .map_err(|source| folder(&path, source))
        .and_then(|lock| Ok((lock, Store::open(state_dir)?)))
        .and_then(|(_lock, store)| dispatch::run(&store));
    if let Err(fault) = served {
        eprintln!("mcp-codex-worker: the queue cannot be served: {fault}");
    }
}

fn small_thread(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    const STACK: usize = 256 << 10;
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(work)
        .map(drop)
}

/// Returns when somebody wants the process ended.
fn end_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
        Ok(())
    })
}
