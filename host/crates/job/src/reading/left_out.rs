//! The parts that a reply leaves out.

use serde_json::Value;

use super::limits::SOFT_LIMIT;
use super::lines::LINE_MAX;
use redact::{Redactor, text};

/// The most sentences about what was left out, and the most names in one of them.
const LEFT_OUT_MAX: usize = 12;

/// The parts that a reply does not show, and why.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    sentences: Vec<String>,
    pub(super) binary: usize,
    pub(super) large: Vec<String>,
    pub(super) unreadable: Vec<String>,
}

impl LeftOut {
    pub(super) fn say(&mut self, sentence: String) {
        self.sentences.push(sentence);
    }

    /// `what: a, b and 7 more`.
    pub(super) fn say_of(&mut self, what: &str, names: &[String]) {
        if names.is_empty() {
            return;
        }
        let shown = names.get(..LEFT_OUT_MAX).unwrap_or(names);
        let more = match names.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        self.say(format!("{what}: {}{more}", shown.join(", ")));
    }

    pub(super) fn out_of_time(&mut self, done: usize, of: usize) {
        self.say(format!(
            "stopped after {} s, {done} of {of} files read: name fewer paths",
            SOFT_LIMIT.as_secs()
        ));
    }

    pub(super) fn reply(mut self, redactor: &Redactor) -> Option<Value> {
        if self.binary > 0 {
            self.say(format!("{} binary files", self.binary));
        }
        let large = std::mem::take(&mut self.large);
        self.say_of("too large", &large);
        let unreadable = std::mem::take(&mut self.unreadable);
        self.say_of("cannot be read", &unreadable);
        let sentences = self.sentences.iter().take(LEFT_OUT_MAX);
        let shown: Vec<Value> = sentences
            .map(|sentence| text::one_line(&redactor.text(sentence), 2 * LINE_MAX).into())
            .collect();
        (!shown.is_empty()).then(|| shown.into())
    }
}
