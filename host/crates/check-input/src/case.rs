//! The input of a check in a job, as a case that `plugin test` plays again.
//!
//! A record of it is made while the job is verified: afterwards its trees may be gone, or hold something else. The record is
//! bounded, and its texts are for the caller to redact. What it has no room for, or no way to say, it names.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use plugins::PluginError;
use plugins::check::{
    ChangedFile, Command, FileKind, FileState, LinePage, Moment, Outcome, ReadError, Report,
    Snapshot,
};

/// The bytes of text that a record keeps of one file at one moment, or of one command.
const FILE: u64 = 256 << 10;

/// The bytes of text that a record keeps in all.
const ALL: u64 = 1 << 20;

/// A job that remembers which files beyond the changed ones a check read.
pub struct Recorder {
    job: Arc<dyn Snapshot>,
    read: Mutex<BTreeSet<String>>,
}

impl Recorder {
    /// A recorder over a job.
    pub fn new(job: Arc<dyn Snapshot>) -> Self {
        Recorder {
            job,
            read: Mutex::default(),
        }
    }
}

impl Snapshot for Recorder {
    fn id(&self) -> String {
        self.job.id()
    }
    fn task(&self) -> String {
        self.job.task()
    }
    fn changed(&self) -> Vec<ChangedFile> {
        self.job.changed()
    }
    fn commands(&self) -> Vec<Command> {
        self.job.commands()
    }
    fn changed_lines(
        &self,
        path: &str,
        moment: Moment,
        after: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError> {
        self.job.changed_lines(path, moment, after, max_bytes)
    }
    fn diff(&self, path: Option<&str>) -> Result<Vec<u8>, ReadError> {
        self.job.diff(path)
    }
    fn read(
        &self,
        path: &str,
        moment: Moment,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, ReadError> {
        self.job.read(path, moment, offset, len)
    }
    fn read_output(&self, command: usize, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        self.job.read_output(command, offset, len)
    }
    fn agent_message(&self) -> String {
        self.job.agent_message()
    }
    fn find(&self, glob: &str) -> Result<Vec<String>, ReadError> {
        self.job.find(glob)
    }
    fn read_tree(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        let read = self.job.read_tree(path, offset, len);
        if read.is_ok() {
            let mut seen = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(path.to_owned());
        }
        read
    }
}

/// The record of one pass: what all checks saw, and what each of them was asked and said.
#[derive(Debug, Default)]
pub struct Record {
    job: Option<Value>,
    checks: Vec<Value>,
    /// Bytes of text that are kept.
    kept: u64,
}

/// One run of a check.
#[derive(Debug)]
pub struct Run<'a> {
    /// The name of the check in the result.
    pub name: &'a str,
    /// The name of the plugin.
    pub plugin: &'a str,
    /// The settings that it worked with.
    pub settings: Value,
    /// The answer.
    pub answer: &'a Result<Report, PluginError>,
}

impl Record {
    /// Adds a run. The job's changes are read for the first one only: they are the same for all.
    pub fn add(&mut self, run: &Run<'_>, job: &Recorder) {
        let mut left_out = Vec::new();
        let mut tree = Map::new();
        let seen = job.read.lock().unwrap_or_else(PoisonError::into_inner);
        for path in seen.iter() {
            let read = |offset, len| job.job.read_tree(path, offset, len);
            match self.text(read) {
                Some(text) => drop(tree.insert(path.clone(), json!(text))),
                None => left_out.push(path.clone()),
            }
        }
        if self.job.is_none() {
            let changed = self.changed(&*job.job, &mut left_out);
            self.job = Some(json!({
                "task": job.task(),
                "agent_message": job.agent_message(),
                "changed": changed,
                "commands": [],
            }));
        }
        let commands = job.commands();
        let known = self.job.as_ref().and_then(|job| job["commands"].as_array());
        let known = known.map_or(0, Vec::len);
        for (at, command) in commands.iter().enumerate().skip(known) {
            let read = |offset, len| job.job.read_output(at, offset, len);
            let output = self.text(read).unwrap_or_else(|| {
                left_out.push(format!("the output of {}", command.name));
                String::new()
            });
            let command = json!({
                "name": command.name,
                "argv": command.argv,
                "exit_code": command.exit_code,
                "timed_out": command.timed_out,
                "output": output,
            });
            let list = self
                .job
                .as_mut()
                .and_then(|job| job["commands"].as_array_mut());
            list.into_iter().for_each(|list| list.push(command.clone()));
        }
        self.checks.push(json!({
            "name": run.name,
            "plugin": run.plugin,
            "settings": run.settings,
            "commands": commands.len(),
            "tree": tree,
            "expect": expected(run.answer),
            "left_out": left_out,
        }));
    }

    /// The whole record; none where no check ran.
    pub fn into_json(self) -> Option<Value> {
        let mut record = self.job?;
        record["checks"] = Value::from(self.checks);
        Some(record)
    }

    fn changed(&mut self, job: &dyn Snapshot, left_out: &mut Vec<String>) -> Map<String, Value> {
        let mut changed = Map::new();
        for file in job.changed() {
            let before = file.previous_path.as_ref().unwrap_or(&file.path);
            let sides = [
                (before, Moment::Before, &file.before),
                (&file.path, Moment::After, &file.after),
            ];
            for (path, moment, state) in sides {
                let Some(state) = state else { continue };
                let side = match moment {
                    Moment::Before => "before",
                    Moment::After => "after",
                };
                let read = |offset, len| job.read(path, moment, offset, len);
                match self.content(state, moment, read) {
                    Some(content) => {
                        let entry = changed.entry(path.clone());
                        entry.or_insert_with(|| json!({}))[side] = content;
                    }
                    None => left_out.push(format!("{path} ({side})")),
                }
                if state.binary {
                    left_out.push(format!("{path} ({side}, binary): a stand-in of its size"));
                }
            }
        }
        changed
    }

    /// A side of a changed file as a case has it.
    fn content(
        &mut self,
        state: &FileState,
        moment: Moment,
        read: impl Fn(u64, u32) -> Result<Vec<u8>, ReadError>,
    ) -> Option<Value> {
        let executable = match &state.kind {
            FileKind::Regular => false,
            FileKind::Executable => true,
            FileKind::Symlink => return Some(json!({ "symlink": self.text(read)? })),
            FileKind::Submodule | FileKind::Other(_) => return None,
        };
        let mut content = match state.binary {
            // A record has no bytes that nobody can look through for secrets. What a check can see of them, that they are
            // no text, how many they are, and that they changed, is kept.
            true => json!({
                "text": match moment { Moment::Before => "\0", Moment::After => "\u{1}\0" },
                "repeat": match moment {
                    Moment::Before => state.size,
                    Moment::After => state.size.div_ceil(2),
                }.min(FILE),
            }),
            false => json!({ "text": self.text(read)? }),
        };
        if executable {
            content["executable"] = json!(true);
        }
        match executable || state.binary {
            true => Some(content),
            false => content.get("text").cloned(),
        }
    }

    /// A whole text, if there is room for it and it is one.
    fn text(&mut self, read: impl Fn(u64, u32) -> Result<Vec<u8>, ReadError>) -> Option<String> {
        let room = FILE.min(ALL - self.kept);
        let bytes = read(0, u32::try_from(room + 1).ok()?).ok()?;
        let size = bytes.len() as u64;
        if size > room {
            return None;
        }
        let text = String::from_utf8(bytes).ok()?;
        self.kept += size;
        Some(text)
    }
}

/// The expectation of a case: the answer that the check gave, so that it passes until the plugin is mended.
fn expected(answer: &Result<Report, PluginError>) -> Value {
    let report = match answer {
        Ok(report) => report,
        Err(error) => return json!({ "error": error.what }),
    };
    let mut expect = json!({ "passed": report.is_passed() });
    if let Outcome::NotApplicable(reason) = &report.outcome {
        expect["not_applicable"] = json!(reason);
    }
    if report.more == 0 && report.suppressed == 0 {
        let findings = report.findings.iter().map(|finding| {
            let mut shown = json!({ "rule": finding.rule, "message": finding.message });
            if let Some(path) = finding.path() {
                shown["path"] = json!(path);
            }
            if let Some(line) = finding.line() {
                shown["line"] = json!(line);
            }
            shown
        });
        expect["findings"] = findings.collect();
    }
    expect
}
