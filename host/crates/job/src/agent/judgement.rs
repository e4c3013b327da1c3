//! The end of a pass, by everything that Claude Code gives: exit code, result event, `is_error`,
//! turns. None alone will do: an API error comes with subtype "success", an unknown slash command
//! with exit code 0 and no turn.

use super::events::{ResultEvent, cut};
use super::outcome::Ending;
use crate::end_cause::EndCause;
use process::Exit;

/// The longest message that is passed on.
const MESSAGE_LIMIT: usize = 600;

pub(super) fn ending(exit: Exit, result: Option<&ResultEvent>, stderr: &str) -> Ending {
    let failed = |cause, message: String| Ending::Failed {
        cause,
        message: cut(message.trim(), MESSAGE_LIMIT),
    };
    let Some(result) = result else {
        let said = if stderr.is_empty() {
            "it said nothing".to_owned()
        } else {
            stderr.to_owned()
        };
        return match exit.code {
            Some(1) if stderr.contains("No conversation found") => {
                failed(EndCause::SessionLost, said)
            }
            Some(code) if code < 126 => failed(
                EndCause::AgentStart,
                format!("Claude Code gave no result ({exit}): {said}"),
            ),
            _ => failed(
                EndCause::AgentCrash,
                format!("Claude Code ended by {exit} without a result: {said}"),
            ),
        };
    };
    if result.subtype == "error_max_turns" {
        return Ending::MaxTurns;
    }
    let said = result.complaint();
    if result.is_error || result.subtype.starts_with("error") {
        return if said.contains("No conversation found") {
            failed(EndCause::SessionLost, said)
        } else if result.terminal_reason.as_deref() == Some("prompt_too_long") {
            failed(EndCause::PromptTooLong, said)
        } else if let Some(status) = result.api_error_status {
            failed(
                EndCause::GatewayError,
                format!("HTTP {status}: {}", words_of_the_gateway(&said, status)),
            )
        } else if said.contains("API Error") || said.contains("Unable to connect") {
            failed(EndCause::GatewayError, without_advice(&said).to_owned())
        } else {
            failed(EndCause::AgentError, said)
        };
    }
    if result.num_turns == 0 {
        return failed(
            EndCause::NoTurn,
            format!("Claude Code made no request: {said}"),
        );
    }
    if !exit.success() {
        return failed(
            EndCause::AgentCrash,
            format!("Claude Code gave a result, but ended with {exit}: {stderr}"),
        );
    }
    Ending::Success
}

/// An API error without the advice that Claude Code puts behind it: that speaks of the adapter's address as the gateway's.
fn without_advice(said: &str) -> &str {
    const ADVICE: &str = " This is a server-side issue";
    said.split_once(ADVICE).map_or(said, |(words, _)| words)
}

/// Without the "API Error: 502 " before it, too: the status is told apart.
fn words_of_the_gateway(said: &str, status: u16) -> &str {
    let words = without_advice(said);
    let words = words.strip_prefix("API Error: ").unwrap_or(words);
    let status = format!("{status} ");
    words.strip_prefix(status.as_str()).unwrap_or(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::agent::events::Interpreter;
    use process::Line;

    fn judged(code: i32, line: &str, stderr: &str) -> Ending {
        let mut interpreter =
            Interpreter::new(std::path::Path::new("/repo"), gateway::Issued::default());
        if !line.is_empty() {
            interpreter.read(&Line::Whole(line.as_bytes().to_vec()));
        }
        ending(
            Exit {
                code: Some(code),
                signal: None,
            },
            interpreter.result(),
            stderr,
        )
    }

    /// The result events are shortened from what Claude Code 2.1.197 sent.
    #[test]
    fn every_ending_of_claude_code_is_told_apart() {
        let cause = |code, line: &str, stderr: &str| match judged(code, line, stderr) {
            Ending::Failed { cause, .. } => cause,
            other => panic!("{other:?}"),
        };
        let done = r#"{"type":"result","subtype":"success","is_error":false,"api_error_status":null,"num_turns":5,"result":"All done.","permission_denials":[],"terminal_reason":"completed"}"#;
        assert_eq!(judged(0, done, ""), Ending::Success);
        assert_eq!(cause(1, done, ""), EndCause::AgentCrash);
        let api = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":500,"num_turns":1,"result":"API Error: 500 boom"}"#;
        assert_eq!(cause(1, api, ""), EndCause::GatewayError);
        assert_eq!(cause(0, api, ""), EndCause::GatewayError);
        let advised = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":502,"num_turns":1,"result":"API Error: 502 The gateway broke off. This is a server-side issue, usually temporary — try again in a moment. If it persists, check your inference gateway (127.0.0.1:45031)."}"#;
        let Ending::Failed { message, .. } = judged(1, advised, "") else {
            panic!("not failed")
        };
        assert_eq!(message, "HTTP 502: The gateway broke off.");
        let refused = r#"{"type":"result","subtype":"success","is_error":true,"num_turns":1,"result":"Unable to connect to API (ConnectionRefused)"}"#;
        assert_eq!(cause(1, refused, ""), EndCause::GatewayError);
        let long = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":400,"num_turns":1,"result":"Prompt is too long","terminal_reason":"prompt_too_long"}"#;
        assert_eq!(cause(1, long, ""), EndCause::PromptTooLong);
        let slash = r#"{"type":"result","subtype":"success","is_error":false,"num_turns":0,"result":"Unknown command: /x"}"#;
        assert_eq!(cause(0, slash, ""), EndCause::NoTurn);
        let turns = r#"{"type":"result","subtype":"error_max_turns","is_error":true,"num_turns":3,"errors":["Reached maximum number of turns (2)"]}"#;
        assert_eq!(judged(1, turns, ""), Ending::MaxTurns);
        let interrupted = r#"{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":2,"errors":["aborted"]}"#;
        assert_eq!(cause(1, interrupted, ""), EndCause::AgentError);
        let lost = r#"{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":0,"errors":["No conversation found with session ID: 1"]}"#;
        assert_eq!(cause(1, lost, ""), EndCause::SessionLost);
        assert_eq!(
            cause(1, "", "error: unknown option '--bare'"),
            EndCause::AgentStart
        );
        assert_eq!(cause(137, "", ""), EndCause::AgentCrash);
        let killed = ending(
            Exit {
                code: None,
                signal: Some(9),
            },
            None,
            "",
        );
        assert!(
            matches!(
                killed,
                Ending::Failed {
                    cause: EndCause::AgentCrash,
                    ..
                }
            ),
            "{killed:?}"
        );
    }
}
