//! Properties that hold for any bytes that reach this crate from outside, each as one function of
//! those bytes.
//!
//! `tests/fuzz` runs them under libFuzzer; the tests below run them over its corpus and over small changes of it. The
//! functions panic where something does not hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a target's way to report is to panic"
)]

use std::path::Path;

use crate::agent::events::Interpreter;
use process::Line;

/// No line of Claude Code's ends a pass, and what is made of it is a line of bounded length.
pub fn stream_json(data: &[u8]) {
    let mut interpreter = Interpreter::new(Path::new("/work/tree"), gateway::Issued::default());
    for line in data.split(|&byte| byte == b'\n') {
        for event in interpreter.read(&Line::Whole(line.to_vec())) {
            let told = event.to_string();
            assert!(!told.contains('\n'), "{told:?}");
            event.step();
        }
    }
    interpreter.turns();
    interpreter.last_text();
    interpreter.result();
}

#[cfg(test)]
#[path = "../../../../tests/fuzz/short_run.rs"]
mod short_run;

#[cfg(test)]
mod tests {
    use super::short_run::short_run;

    #[test]
    fn any_line_of_an_agent_is_read_or_passed_over() {
        short_run("stream_json", 400, super::stream_json);
    }
}
