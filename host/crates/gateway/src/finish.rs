//! The reason to finish that a gateway gives, and its meaning.
//!
//! Gateways have dozens of words for it. A word that nobody knows is judged by its parts, and what then
//! is still unknown by the answer that came with it: never by a default.

use super::error::ApiError;

/// The reason of an answer's end, as the API has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    EndTurn,
    MaxTokens,
    ToolUse,
    Refusal,
    Sequence,
    ContextWindow,
}

impl Stop {
    /// The word in `stop_reason`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::EndTurn => "end_turn",
            Self::MaxTokens => "max_tokens",
            Self::ToolUse => "tool_use",
            Self::Refusal => "refusal",
            Self::Sequence => "stop_sequence",
            Self::ContextWindow => "model_context_window_exceeded",
        }
    }

    /// The reason that fits what was sent: calls make a turn a tool use, and only calls do.
    pub(crate) fn fitted(self, has_calls: bool, has_sequence: bool) -> Self {
        match self {
            Self::EndTurn if has_calls => Self::ToolUse,
            Self::ToolUse if !has_calls => Self::EndTurn,
            Self::EndTurn if has_sequence => Self::Sequence,
            stop => stop,
        }
    }
}

/// The meaning of a chat-completions `finish_reason`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finish {
    /// A known end.
    Stop(Stop),
    /// The gateway or the model failed.
    Failed(String),
    /// A word without a known meaning.
    Unknown(String),
}

/// Words for a good end, beside `stop`.
const ENDS: [&str; 14] = [
    "stop",
    "end_turn",
    "eos",
    "eos_token",
    "end",
    "ended",
    "complete",
    "completed",
    "finish",
    "finished",
    "done",
    "normal",
    "stop_sequence",
    "success",
];
/// Parts of words for an answer that a filter has cut.
const FILTERED: [&str; 15] = [
    "filter",
    "safety",
    "sensitive",
    "refus",
    "prohibit",
    "block",
    "recitation",
    "spii",
    "moderat",
    "policy",
    "violat",
    "unsafe",
    "guardrail",
    "inappropriate",
    "censor",
];
/// Parts of words for a context window that is full.
const WINDOW: [&str; 3] = ["context_window", "context_length", "context_limit"];
/// Parts of words for a reply that reached its own limit.
const LENGTH: [&str; 6] = [
    "length",
    "max_token",
    "max_output",
    "max_new_token",
    "token_limit",
    "output_limit",
];
/// Parts of words for a failure.
const FAILED: [&str; 19] = [
    "error",
    "fail",
    "abort",
    "network",
    "resource",
    "malformed",
    "cancel",
    "timeout",
    "timed_out",
    "interrupt",
    "overload",
    "unavailable",
    "exception",
    "unexpected",
    "broken",
    "invalid",
    "crash",
    "disconnect",
    "too_many",
];

impl Finish {
    /// Reads the word; `None` where there is none yet.
    pub(crate) fn read(reason: &str) -> Option<Self> {
        let word: String = reason
            .trim()
            .trim_start_matches("FinishReason.")
            .trim_start_matches("FINISH_REASON_")
            .to_ascii_lowercase()
            .replace(['-', ' '], "_");
        let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
        Some(match word.as_str() {
            "" | "null" | "none" | "unspecified" | "finish_reason_unspecified" => return None,
            word if ENDS.contains(&word) => Self::Stop(Stop::EndTurn),
            "tool_calls" | "tool_call" | "function_call" | "function_calls" | "tool_use" => {
                Self::Stop(Stop::ToolUse)
            }
            // Some filters are told with their own kind, as in `content_filter: PROHIBITED_CONTENT`.
            _ if has(&FILTERED) => Self::Stop(Stop::Refusal),
            _ if has(&FAILED) => Self::Failed(reason.trim().to_owned()),
            _ if has(&WINDOW) => Self::Stop(Stop::ContextWindow),
            _ if has(&LENGTH) => Self::Stop(Stop::MaxTokens),
            _ => Self::Unknown(reason.trim().to_owned()),
        })
    }
}

/// The error of an answer that ended in a failure; worth another try where nothing was sent yet.
pub(crate) fn failed(word: &str) -> ApiError {
    if word.eq_ignore_ascii_case("error") {
        return ApiError::bad_gateway("The gateway ended the answer with an error and no reason");
    }
    let word: String = word.chars().take(100).collect();
    ApiError::bad_gateway(format!("The gateway ended the answer with {word}"))
}

/// The error of an answer with nothing in it and an end that nobody knows.
pub(crate) fn empty(word: Option<&str>) -> ApiError {
    match word {
        Some(word) => failed(word),
        None => {
            ApiError::bad_gateway("The gateway's answer has no content and no reason to finish")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_for_an_end_has_its_meaning() {
        use Stop::{ContextWindow, EndTurn, MaxTokens, Refusal, ToolUse};
        for (words, stop) in [
            (
                &[
                    "stop",
                    "STOP",
                    "eos",
                    "end_turn",
                    "COMPLETE",
                    "FinishReason.STOP",
                ][..],
                EndTurn,
            ),
            (
                &[
                    "length",
                    "max_tokens",
                    "MAX_TOKENS",
                    "max_output_tokens",
                    "model_length",
                ],
                MaxTokens,
            ),
            (&["tool_calls", "function_call", "tool_use"], ToolUse),
            (
                &[
                    "content_filter",
                    "sensitive",
                    "SAFETY",
                    "content_filter: PROHIBITED_CONTENT",
                    "BLOCKLIST",
                    "RECITATION",
                    "image_safety",
                ],
                Refusal,
            ),
            (
                &["model_context_window_exceeded", "context_length_exceeded"],
                ContextWindow,
            ),
        ] {
            for word in words {
                assert_eq!(Finish::read(word), Some(Finish::Stop(stop)), "{word}");
            }
        }
        for word in [
            "error",
            "insufficient_system_resource",
            "network_error",
            "MALFORMED_FUNCTION_CALL",
            "UNEXPECTED_TOOL_CALL",
            "abort",
            "cancelled",
            "timeout",
            "engine_overloaded",
        ] {
            assert_eq!(
                Finish::read(word),
                Some(Finish::Failed(word.to_owned())),
                "{word}"
            );
        }
        for word in ["", "null", " "] {
            assert_eq!(Finish::read(word), None, "{word:?}");
        }
        assert_eq!(
            Finish::read("OTHER"),
            Some(Finish::Unknown("OTHER".to_owned()))
        );
    }
}
