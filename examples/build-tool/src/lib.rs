//! Summarizer `build-tool`: the output of an invented build tool, `forge`, reduced to what failed.
//!
//! ```text
//! [forge] step compile ... ok
//! [forge] step link ... FAILED
//!   | undefined symbol: frobnicate
//! [forge] 1 of 2 steps failed
//! ```

use worker_plugin::{Fault, NoSettings, Request, Span, Summarizer, Summary};

struct BuildTool;

impl Summarizer for BuildTool {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "failed steps of forge";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(BuildTool)
    }

    fn summarize(&self, request: &Request) -> Result<Summary, Fault> {
        if !request.text.contains("[forge]") {
            return Err(Fault::unsupported("no output of forge"));
        }
        let mut summary = Summary { text: String::new(), kept: Vec::new(), elided_lines: 0 };
        let (mut at, mut in_failure) = (0, false);
        for line in request.text.split_inclusive('\n') {
            if line.starts_with("[forge] step") {
                in_failure = line.trim_end().ends_with("FAILED");
            }
            let total = line.starts_with("[forge]") && line.trim_end().ends_with("failed");
            let fits = summary.text.len() + line.len() <= request.max_bytes as usize;
            if (in_failure || total) && fits {
                summary.text.push_str(line);
                summary.kept.push(Span { start: at as u32, end: (at + line.len()) as u32 });
            } else {
                summary.elided_lines += 1;
            }
            at += line.len();
        }
        Ok(summary)
    }
}

worker_plugin::summarizer!(BuildTool);
