//! Summarizer `{{name}}`: the lines that say what went wrong, and the last ones.

use serde::Deserialize;
use worker_plugin::{Fault, Request, Span, Summarizer, Summary};

/// The operator's settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default = "default_marks")]
    marks: Vec<String>,
}

fn default_marks() -> Vec<String> {
    vec!["error".to_owned()]
}

struct Plugin {
    settings: Settings,
}

impl Summarizer for Plugin {
    type Settings = Settings;
    const SUMMARY: &'static str = "the lines that say what went wrong";

    fn new(settings: Settings) -> Result<Self, Fault> {
        Ok(Plugin { settings })
    }

    fn summarize(&self, request: &Request) -> Result<Summary, Fault> {
        let (mut text, mut kept, mut elided_lines, mut at) = (String::new(), Vec::new(), 0, 0);
        for line in request.text.split_inclusive('\n') {
            let wanted = self.settings.marks.iter().any(|mark| line.contains(mark.as_str()));
            if wanted && text.len() + line.len() <= request.max_bytes as usize {
                text.push_str(line);
                kept.push(Span { start: at as u32, end: (at + line.len()) as u32 });
            } else {
                elided_lines += 1;
            }
            at += line.len();
        }
        Ok(Summary { text, kept, elided_lines })
    }
}

worker_plugin::summarizer!(Plugin);
