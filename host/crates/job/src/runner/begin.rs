//! The beginning of a runner's process, and its dispatch.
//!
//! It inherits the job's locked handle and its assignment (see `launch`), leaves the caller's session, and from then on
//! depends on nobody: the front may come and go.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use tracing::Span;

use super::answer::send;
use super::pipeline::Left;
use super::stop::{Stop, StopCause};
use super::{apply, attempts, masked, pipeline, question, reading, resources};
use crate::id::JobId;
use crate::launch::{Assignment, Ready};
use crate::lock::LockGuard;
use crate::queue::handover::Handles;
use crate::queue::waiter::become_waiter;
use crate::spec::JobSpec;
use crate::store::Store;
use crate::upkeep;
use redact::LogMask;
use redact::log::CONTEXT;
use settings::Settings;

/// The longest assignment, in bytes.
const ASSIGNMENT_MAX: u64 = 4 << 20;

/// The reasons for which a runner does not begin.
#[derive(Debug, thiserror::Error)]
enum BeginError {
    #[error("the runner was not started by this program: {0}")]
    Handles(io::Error),
    #[error("the runner's assignment cannot be read: {0}")]
    Assignment(io::Error),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error("the runner cannot start its threads: {0}")]
    Runtime(io::Error),
    #[error("the job cannot wait for its turn: {0}")]
    Wait(io::Error),
}

/// How a runner comes to its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A front assigns it.
    Front,
    /// It waited for its turn.
    Queue {
        /// True if it was told to end while it waited.
        ended: bool,
    },
}

/// Does what the front assigned; the subcommand `__runner`.
pub fn main(settings: Settings, origin: Origin) -> ExitCode {
    let mask = masked::begin_log(&settings);
    match begin(settings, origin, &mask) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!(%fault, "the runner could not begin");
            ExitCode::FAILURE
        }
    }
}

fn begin(settings: Settings, origin: Origin, mask: &LogMask) -> Result<(), BeginError> {
    let Inherited { mut channel, hold } = Inherited::take().map_err(BeginError::Handles)?;
    let mut waited = match origin {
        Origin::Front => None,
        Origin::Queue { .. } => Some(Handles::receive(&channel).map_err(BeginError::Handles)?),
    };
    // A session of its own, or the signal that ends the front's group would end the job. Fails only where there is one.
    let _ = rustix::process::setsid();
    // The environment holds gateway keys: no other process of this user reads it in /proc.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let text = match &mut waited {
        Some(handles) => handles.assignment(),
        None => read_assignment(&mut channel),
    };
    let text = text.map_err(BeginError::Assignment)?;
    let assignment =
        serde_json::from_slice(&text).map_err(|fault| BeginError::Assignment(fault.into()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(BeginError::Runtime)?;
    let _context = context(&assignment);
    match assignment {
        Assignment::Job { id, spec, attached } => {
            let stop = Stop::default();
            runtime.block_on(async { stop.listen_for_signals() });
            if origin == (Origin::Queue { ended: true }) {
                stop.now(StopCause::Cancelled);
            }
            if waited.is_none()
                && let Some(refusal) = runtime.block_on(attempts::unknown(&settings, &spec))
            {
                let error = Some(refusal);
                tell(&mut channel, &Ready { error });
                return Ok(());
            }
            let store = match &waited {
                Some(_) => {
                    process::adopt_strays();
                    Store::open(&settings.state_dir)?
                }
                None => match accept(&settings, &id, &spec, &mut channel)? {
                    Some(store) => store,
                    None => return Ok(()),
                },
            };
            let front = match waited {
                Some(handles) => handles.channel,
                None => attached.then_some(channel),
            };
            if let Some(attempts) = spec.attempts.clone() {
                let (own, of, spec) = (settings.clone(), id.clone(), *spec);
                let task = attempts::Task { id, spec, attempts };
                runtime.block_on(attempts::run(settings, task, store, front, stop, mask));
                runtime.shutdown_background();
                drop(hold);
                upkeep::after(&own, &of);
                return Ok(());
            }
            let kept = front.as_ref().map(UnixStream::try_clone).transpose();
            let kept = kept.map_err(BeginError::Handles)?;
            let globals = settings.sources.arguments();
            let state_dir = settings.state_dir.clone();
            let (own, of) = (settings.clone(), id.clone());
            let came_to =
                runtime.block_on(pipeline::run(settings, id, *spec, store, front, stop, mask));
            return match came_to {
                Left::Over => {
                    // The end is told with the lock; what is left to do keeps nobody waiting.
                    runtime.shutdown_background();
                    drop(hold);
                    upkeep::after(&own, &of);
                    Ok(())
                }
                Left::Waits { bell, until_ms } => {
                    let handles = Handles::new(&text, bell, kept).map_err(BeginError::Wait)?;
                    let fault = become_waiter(&handles, &hold, &state_dir, until_ms, globals);
                    Err(BeginError::Wait(fault))
                }
            };
        }
        Assignment::Analyze(question) => {
            runtime.block_on(question::answer(settings, question, channel, mask));
        }
        Assignment::Read(reading) => {
            runtime.block_on(reading::answer(settings, reading, channel, mask));
        }
        // Not ended when the front hangs up: half an apply is worse than one that nobody waits for.
        Assignment::Apply { id, how } => send(&channel, &apply::apply(settings, &id, how, mask)),
        Assignment::Preview { ids } => send(&channel, &apply::preview(settings, &ids, mask)),
    }
    // Whatever a thread of a library still does must not keep the lock.
    runtime.shutdown_background();
    drop(hold);
    Ok(())
}

/// Says in every line of this process's log whose it is. The step of a job is for its journal to say.
fn context(assignment: &Assignment) -> Span {
    let step = |step: &str| tracing::error_span!(target: CONTEXT, "step", step);
    match assignment {
        Assignment::Job { id, .. } => tracing::error_span!(target: CONTEXT, "job", job = %id),
        Assignment::Apply { id, .. } => {
            tracing::error_span!(target: CONTEXT, "job", job = %id, step = "apply")
        }
        Assignment::Preview { .. } => step("preview"),
        Assignment::Analyze(_) => step("analyze"),
        Assignment::Read(reading) => step(reading.tool()),
    }
}

/// Takes over the job: from the answer on, the front counts on this process. Nothing, when it is a job that cannot be
/// done, which is found out before it costs anything.
fn accept(
    settings: &Settings,
    id: &JobId,
    spec: &JobSpec,
    channel: &mut UnixStream,
) -> Result<Option<Store>, BeginError> {
    process::adopt_strays();
    if let Some(refusal) = resources::refusal(settings, spec) {
        let refused = Ready {
            error: Some(refusal),
        };
        tell(channel, &refused);
        return Ok(None);
    }
    let store = Store::open(&settings.state_dir)?;
    store.reserve(id);
    if let Some(identity) = process::identity(std::process::id()) {
        store.record_runner(id, &identity)?;
    }
    // A front that is gone by now does not matter: the job is ours.
    tell(channel, &Ready { error: None });
    Ok(Some(store))
}

/// Says in one line whether the job is taken.
fn tell(channel: &mut UnixStream, ready: &Ready) {
    let mut line = serde_json::to_vec(ready).unwrap_or_default();
    line.push(b'\n');
    let _ = channel.write_all(&line);
}

/// The handles that a runner inherits: the locked handle as standard output, the front's socket as
/// standard input.
struct Inherited {
    channel: UnixStream,
    hold: LockGuard,
}

impl Inherited {
    /// Takes both away from their standard places, so that no child and no stray print gets at them.
    fn take() -> io::Result<Self> {
        let channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let hold = LockGuard::inherited(File::from(io::stdout().as_fd().try_clone_to_owned()?));
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        rustix::stdio::dup2_stdout(io::stderr())?;
        Ok(Self { channel, hold })
    }
}

fn read_assignment(channel: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    (&*channel).take(ASSIGNMENT_MAX).read_to_end(&mut text)?;
    Ok(text)
}
