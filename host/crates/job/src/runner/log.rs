//! The agent's doings as lines of the job's log, and as live progress.

use std::sync::{Arc, Mutex, PoisonError};

use super::journal::Journal;
use crate::agent::AgentEvent;
use redact::text;

/// A line of the log is at most this long; what is longer stands in the transcript.
const LINE_MAX: usize = 240;

/// Writes down what the agent does.
pub(super) struct AgentLog {
    journal: Arc<Mutex<Journal>>,
}

impl AgentLog {
    pub(super) fn new(journal: Arc<Mutex<Journal>>) -> Self {
        Self { journal }
    }

    /// Writes one event down.
    pub(super) fn tell(&mut self, event: &AgentEvent) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if let AgentEvent::Turn(number) = event {
            return journal.progress("turns", *number);
        }
        // Redacted whole and cut afterwards: half a secret is one that no rule knows.
        let words = match event {
            AgentEvent::Text(words) => format!("says: {words}"),
            event => event.to_string(),
        };
        let line = text::one_line(&text::printable(&journal.redactor().text(&words)), LINE_MAX);
        // A call has its line when its outcome is known; until then it is the step that the agent is at.
        if !matches!(event, AgentEvent::ToolUse { .. }) {
            journal.line(&line);
        }
        if event.step().is_some() {
            journal.progress("last", line);
        }
    }
}
