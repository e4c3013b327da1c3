//! The reason why a call was refused, in the form that every failed tool call answers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A call that was refused, and nothing started: names the argument (or setting) and the rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The argument or setting at fault, as in `checks[1].timeout_ms`.
    pub argument: String,
    /// The rule that it breaks, and what to do.
    pub rule: String,
}

impl Refusal {
    /// A refusal of `argument` because of `rule`.
    pub fn new(argument: impl Into<String>, rule: impl fmt::Display) -> Self {
        Self {
            argument: argument.into(),
            rule: rule.to_string(),
        }
    }

    /// A fault that no argument caused.
    pub fn internal(fault: impl fmt::Display) -> Self {
        Self::new("host", fault)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.argument, self.rule)
    }
}

impl std::error::Error for Refusal {}
