//! The tokens that the planner read, beside those that the job used.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::console::{Console, grouped};
use super::mcp_client::ReadByModel;

/// Bytes a token: the usual rule of thumb for English, JSON and code.
const BYTES_A_TOKEN: usize = 4;

/// The tokens that a job used at its gateway, by the lines of WORKER_METRICS_FILE.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct JobTokens {
    requests: u64,
    input: u64,
    output: u64,
}

impl JobTokens {
    /// Adds up the lines of a metrics file.
    pub(super) fn read(metrics: &Path) -> io::Result<Self> {
        match fs::read_to_string(metrics) {
            Ok(lines) => Ok(Self::of(&lines)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn of(lines: &str) -> Self {
        let mut sum = Self::default();
        for record in lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        {
            sum.requests += 1;
            sum.input += record["gen_ai.usage.input_tokens"]
                .as_u64()
                .unwrap_or_default();
            sum.output += record["gen_ai.usage.output_tokens"]
                .as_u64()
                .unwrap_or_default();
        }
        sum
    }

    fn total(self) -> u64 {
        self.input + self.output
    }
}

/// Prints both sides. `scripted` says that the gateway's count is an estimate too.
pub(super) fn show(planner: &ReadByModel, job: &JobTokens, scripted: bool, console: &mut Console) {
    let tokens = |bytes: usize| bytes.div_ceil(BYTES_A_TOKEN) as u64;
    let parts = [
        tokens(planner.surface),
        tokens(planner.arguments),
        tokens(planner.replies),
    ];
    let read: u64 = parts.iter().sum();
    let [surface, arguments, replies] = parts.map(grouped);
    let calls = planner.calls;
    console.say(&format!(
        "Codex's model   {:>7} tokens in {calls} {}",
        grouped(read),
        if calls == 1 { "call" } else { "calls" }
    ));
    console.say(&format!(
        "                {surface:>7} tool names, descriptions and parameters"
    ));
    console.say(&format!("                {arguments:>7} arguments"));
    console.say(&format!("                {replies:>7} replies"));
    console.say(&format!(
        "The job         {:>7} tokens in {} requests to the gateway ({} in, {} out)",
        grouped(job.total()),
        job.requests,
        grouped(job.input),
        grouped(job.output)
    ));
    if let Some(percent) = (read * 100).checked_div(job.total()) {
        console.say(&format!(
            "Codex's model read {percent} % of what the job used."
        ));
    }
    let method = if scripted {
        "Both are estimated"
    } else {
        "Codex's side is estimated"
    };
    console.say(&format!("({method} at {BYTES_A_TOKEN} bytes a token.)"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_metrics_file_are_added_up() {
        let lines = "{\"gen_ai.usage.input_tokens\": 100, \"gen_ai.usage.output_tokens\": 5}\n\
                     {\"gen_ai.usage.input_tokens\": 20}\n";
        assert_eq!(
            JobTokens::of(lines),
            JobTokens {
                requests: 2,
                input: 120,
                output: 5
            }
        );
    }
}
