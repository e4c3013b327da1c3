//! The writer of a job's records: the log, live progress, the state. Everything is redacted on its
//! way.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tracing::Span;

use crate::id::JobId;
use crate::state::State;
use crate::store::{Store, StoreError, now_ms};
use crate::view;
use redact::log::CONTEXT;
use redact::text::escaped_line;
use redact::{RedactedJson, Redactor};

/// Progress is written at most this often: a poll costs the planner far more than a write costs us.
const PROGRESS_EVERY: Duration = Duration::from_millis(300);

/// The log stops growing here; the end of a job is always written.
const LOG_MAX: u64 = 8 << 20;

fn step(state: State) -> Span {
    tracing::error_span!(target: CONTEXT, "step", step = state.as_str())
}

/// The records of one running job.
pub(super) struct Journal {
    store: Store,
    id: JobId,
    redactor: Redactor,
    state: State,
    log: Option<File>,
    logged: u64,
    began: Instant,
    progress: Map<String, Value>,
    written: Option<Instant>,
    /// Says in every line of the process's log what the job was at.
    step: Span,
}

impl Journal {
    /// Begins the records of a job that stands at `state`.
    pub(super) fn begin(store: Store, id: JobId, redactor: Redactor, state: State) -> Self {
        // A job that waited was begun by an earlier program of this process.
        let created_ms = store.job(&id).ok().flatten().map(|job| job.created_ms);
        let since = created_ms.map_or(0, |created_ms| now_ms().saturating_sub(created_ms));
        let since = Duration::from_millis(u64::try_from(since).unwrap_or(0));
        let path = store.job_folder(&id).join(view::LOG);
        let log = OpenOptions::new().create(true).append(true).open(&path);
        if let Err(fault) = &log {
            tracing::error!(%fault, "the job's log cannot be written");
        }
        Self {
            store,
            redactor,
            state,
            log: log.ok(),
            logged: 0,
            began: Instant::now()
                .checked_sub(since)
                .unwrap_or_else(Instant::now),
            progress: Map::new(),
            written: None,
            step: step(state),
            id,
        }
    }

    /// Enters the step that `state` names.
    fn enter(&mut self, state: State) {
        self.state = state;
        self.step = step(state);
        tracing::info!("begins");
    }

    /// The job.
    pub(super) fn id(&self) -> &JobId {
        &self.id
    }

    /// The store.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The redactor of this job.
    pub(super) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Writes one line that people and planners read.
    pub(super) fn line(&mut self, line: &str) {
        if self.logged > LOG_MAX {
            return;
        }
        let elapsed = self.began.elapsed().as_secs_f32();
        // Redacted as it came, or a secret over several lines would escape its rule. Only the first line has the time:
        // what a name or a message goes on with is no line of the host's.
        let text = self.redactor.text(line);
        let mut entry = String::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let line = escaped_line(line);
            match entry.is_empty() {
                true => entry.push_str(&format!("{elapsed:7.1}s {line}\n")),
                false => entry.push_str(&format!("     ...  {line}\n")),
            }
        }
        self.logged += entry.len() as u64;
        if self.logged > LOG_MAX {
            entry.push_str("        the log ends here: it has reached its limit\n");
        }
        if let Some(log) = &mut self.log
            && let Err(fault) = log.write_all(entry.as_bytes())
        {
            tracing::error!(%fault, "the job's log cannot be written");
            self.log = None;
        }
    }

    /// Notes one field of live progress; written now and then.
    pub(super) fn progress(&mut self, field: &str, value: impl Into<Value>) {
        self.progress.insert(field.to_owned(), value.into());
        if self
            .written
            .is_none_or(|written| written.elapsed() >= PROGRESS_EVERY)
        {
            self.flush();
        }
    }

    /// The job stands at `state` by the queue's doing.
    pub(super) fn entered(&mut self, state: State) {
        self.enter(state);
        self.flush();
    }

    /// The log is complete.
    pub(super) fn close(&mut self) {
        self.log = None;
    }

    /// Moves the job on. `false` when it has ended meanwhile.
    pub(super) fn advance(&mut self, to: State) -> Result<bool, StoreError> {
        let moved = self.store.advance(&self.id, self.state, to)?;
        if moved {
            self.enter(to);
            self.flush();
        }
        Ok(moved)
    }

    /// Writes the progress so far.
    pub(super) fn flush(&mut self) {
        self.written = Some(Instant::now());
        let progress = self.redactor.json(Value::Object(self.progress.clone()));
        self.record("progress", |store, id| store.record_progress(id, &progress));
    }

    /// Records something whose loss does not change the job's outcome.
    pub(super) fn record(
        &self,
        what: &str,
        write: impl FnOnce(&Store, &JobId) -> Result<(), StoreError>,
    ) {
        if let Err(fault) = write(&self.store, &self.id) {
            tracing::error!(%fault, "{what} could not be recorded");
        }
    }

    /// Records one pass of the agent.
    pub(super) fn pass(&self, pass: u32, record: Value) {
        let record: RedactedJson = self.redactor.json(record);
        self.record("a pass", |store, id| store.record_pass(id, pass, &record));
    }
}
