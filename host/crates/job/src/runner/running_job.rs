//! A job at work, as each of its steps sees it: what it has, what was found out so far, and what cuts it short.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::journal::Journal;
use super::resources::JobResources;
use super::stop::{Stop, StopCause};
use crate::agent::AgentOutcome;
use crate::end_cause::EndCause;
use crate::lock::LockGuard;
use crate::spec::JobSpec;
use crate::state::State;
use crate::verify::{Rooms, Verdicts, revise};
use process::Level;
use settings::Settings;
use workspace::{Changes, FilePath, Interrupt, Limits, WorkspaceError};

/// The time that a stopped job waits for its own work on files. The largest trees take about this long to be made.
const LAST_WRITES: Duration = Duration::from_secs(15);

/// The findings about a job so far.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) changes: Option<Arc<Changes>>,
    pub(super) verdicts: Option<Verdicts>,
    pub(super) agent: Option<AgentOutcome>,
    pub(super) level: Option<Level>,
    pub(super) passes: Vec<revise::Pass>,
    pub(super) stopped: Option<revise::Reason>,
    pub(super) notes: Vec<String>,
    /// Ignored files that the job touched and that other programs run by themselves.
    pub(super) autorun: Vec<FilePath>,
    /// The notes say what became of the job's commits.
    pub(super) git_brought: bool,
    /// Every check passed on the base as well, and no test changed.
    pub(super) unproven: bool,
    /// What the job started from, and the tree that came of it.
    pub(super) start: Start,
    /// The models that worked, in order.
    pub(super) models: Vec<String>,
}

/// The state of the repository that a job started from.
#[derive(Default)]
pub(super) struct Start {
    pub(super) commit: Option<String>,
    pub(super) tree: Option<String>,
    /// True if the tree held uncommitted work besides, where that is known.
    pub(super) dirty: Option<bool>,
    pub(super) result_tree: Option<String>,
}

/// The reason why a job ends before its verdict.
#[derive(Debug)]
pub(super) enum EarlyExit {
    /// Somebody or something wanted it ended: the switch knows who.
    Stopped,
    /// The agent gave no sign of life for WORKER_STALL_MS; its last step.
    Stalled(String),
    /// It had no turn within WORKER_QUEUE_MS; what it waited for.
    NoTurn(String),
    /// The agent needs a decision: its question.
    NeedsInput(String),
    /// Something is missing or broken: the cause, and a sentence that says what to do.
    Fault(EndCause, String),
}

impl EarlyExit {
    pub(super) fn fault(cause: EndCause) -> impl Fn(&dyn std::fmt::Display) -> Self {
        move |fault| Self::Fault(cause, fault.to_string())
    }

    /// Returns the end of the work on a tree: the job's own end, or something about the tree.
    pub(super) fn tree(fault: &WorkspaceError) -> Self {
        match fault {
            WorkspaceError::Stopped => Self::Stopped,
            fault => Self::Fault(EndCause::Workspace, fault.to_string()),
        }
    }
}

/// A job at work.
pub(super) struct Job {
    pub(super) settings: Arc<Settings>,
    pub(super) spec: JobSpec,
    pub(super) resources: JobResources,
    pub(super) journal: Arc<Mutex<Journal>>,
    pub(super) stop: Stop,
    /// The rooms of the checks, one each.
    pub(super) rooms: Arc<Rooms>,
    pub(super) findings: Findings,
    /// The hold on the tree that it must have alone, until it works there.
    pub(super) tree: Option<LockGuard>,
    /// The moment at which `timeout_ms` is over; set when preparing begins.
    pub(super) deadline: Option<Instant>,
    /// The tasks on threads.
    pub(super) threads: TaskTracker,
    /// Ends that work when the job is to end.
    pub(super) halt: Interrupt,
}

impl Job {
    /// The job's record.
    pub(super) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts down what plugins logged since the last time.
    pub(super) fn write_plugin_log(&self) {
        let mut journal = self.journal();
        let redactor = journal.redactor().clone();
        let redact = |text: &str| redactor.text(text).into_string();
        for text in self.resources.plugins.take_log(redact) {
            journal.line(&text);
        }
    }

    /// The job's folder in the store.
    pub(super) fn folder(&self) -> PathBuf {
        let journal = self.journal();
        journal.store().job_folder(journal.id())
    }

    /// The limits of a look at files, which ends with the job.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            interrupt: self.halt.clone(),
            ..Limits::default()
        }
    }

    /// Enters the next state.
    pub(super) fn advance(&self, to: State) -> Result<(), EarlyExit> {
        match self.journal().advance(to) {
            Ok(true) => Ok(()),
            // Somebody ended the job in the store: there is nothing left to do for it.
            Ok(false) => {
                self.stop.now(StopCause::Cancelled);
                Err(EarlyExit::Stopped)
            }
            Err(fault) => Err(EarlyExit::fault(EndCause::Store)(&fault)),
        }
    }

    /// The work's result, unless the job is to end before.
    pub(super) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, EarlyExit> {
        tokio::select! {
            biased;
            () = self.stop.token().cancelled() => Err(EarlyExit::Stopped),
            result = work => Ok(result),
        }
    }

    /// Does what would hold up others on a thread of its own. A job that is stopped does not wait for it here, but before
    /// its end is told: see [`Job::quiet`].
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, EarlyExit> {
        let work = self.threads.spawn_blocking(work);
        self.unless_stopped(work)
            .await?
            .map_err(|fault| EarlyExit::fault(EndCause::Host)(&fault))
    }

    /// Waits until no thread of the job writes any more. A thread cannot be stopped, only outlived.
    pub(super) async fn quiet(&self) {
        self.threads.close();
        if tokio::time::timeout(LAST_WRITES, self.threads.wait())
            .await
            .is_err()
        {
            tracing::warn!("the job ends while its files are still being worked on");
        }
    }
}
