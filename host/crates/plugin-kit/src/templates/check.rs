//! Check `{{name}}`: no word of a list may be left behind in what a job adds.

use serde::Deserialize;
use worker_plugin::{Check, Fault, Finding, Job, Report};

/// The settings of the operator and the job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default = "default_words")]
    words: Vec<String>,
}

fn default_words() -> Vec<String> {
    vec!["FIXME".to_owned()]
}

struct Plugin {
    settings: Settings,
}

impl Check for Plugin {
    type Settings = Settings;
    const SUMMARY: &'static str = "no left-over words in added lines";
    const SCHEMA: Option<&'static str> = Some(
        r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": { "words": { "type": "array", "items": { "type": "string", "minLength": 1 } } }
        }"#,
    );

    fn new(settings: Settings) -> Result<Self, Fault> {
        Ok(Plugin { settings })
    }

    fn run(&self, job: &dyn Job) -> Result<Report, Fault> {
        let mut report = Report::passed("");
        for file in job.changed() {
            for line in job.added(&file.path) {
                let line = line?;
                for word in self.settings.words.iter().filter(|word| line.text.contains(*word)) {
                    let finding = Finding::error("left-over", format!("{word} left behind")).at(&file.path, line.number);
                    report.add(finding.hint(format!("do what the {word} says, or remove it")));
                }
            }
        }
        Ok(report)
    }
}

worker_plugin::check!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use worker_plugin::testing::{FakeJob, configured};

    #[test]
    fn a_left_over_word_fails_the_job_and_is_found_on_its_line() {
        let check = configured(Plugin::new, r#"{"words": ["TODO"]}"#).unwrap();
        let job = FakeJob::default().added("src/a.rs", "fn a() {}\n// TODO\n");
        let report = check.run(&job).unwrap();
        assert!(!report.is_passed());
        assert_eq!(report.findings[0].line, Some(2));
    }
}
