//! A test of whether a session still knows its task.
//!
//! Claude Code 2.1.197 writes its transcript without waiting for the disk. Once in some hundred runs, on a busy machine, the
//! very first prompt was missing from it: a pass that resumes the session then goes on without knowing the task. So
//! the transcript is looked at before a session is resumed.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// More of a transcript is not read. It holds every file that the agent saw.
const READ_LIMIT: u64 = 256 << 20;

/// The parts of a transcript's line that tell whether it is part of the conversation, and where.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    uuid: Option<String>,
    parent_uuid: Option<String>,
    #[serde(default)]
    is_sidechain: bool,
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    role: String,
    #[serde(default)]
    content: Value,
}

impl Message {
    fn asks(&self, task: &str) -> bool {
        let in_block = |block: &Value| {
            let text = block.get("text").and_then(Value::as_str);
            text.is_some_and(|text| text.contains(task))
        };
        self.role == "user"
            && match &self.content {
                Value::String(text) => text.contains(task),
                Value::Array(blocks) => blocks.iter().any(in_block),
                _ => false,
            }
    }
}

/// Returns true if the conversation that `--resume` would take up holds a prompt with this task.
/// Whatever cannot be read or understood counts as a session that does not know it: to say a task
/// twice costs a few tokens, to resume without one costs the pass. Only for a home in which nothing
/// runs.
pub(super) fn knows(home: &Path, session: &str, task: &str) -> bool {
    let known = find(home, session).and_then(|file| holds(&file, task.trim()));
    known.unwrap_or(false)
}

/// `~/.claude/projects/<working directory>/<session>.jsonl`
fn find(home: &Path, session: &str) -> Option<PathBuf> {
    let name = format!("{session}.jsonl");
    let projects = fs::read_dir(home.join(".claude/projects")).ok()?;
    projects
        .flatten()
        .map(|project| project.path().join(&name))
        // The home is the agent's to write: what is no plain file is not opened.
        .find(|file| fs::symlink_metadata(file).is_ok_and(|found| found.is_file()))
}

/// Follows the conversation from its last message back to its first, as Claude Code does.
fn holds(transcript: &Path, task: &str) -> Option<bool> {
    let file = File::open(transcript).ok()?;
    let mut parents: HashMap<String, Option<String>> = HashMap::new();
    let mut asking: HashSet<String> = HashSet::new();
    let mut last = None;
    for line in BufReader::new(file.take(READ_LIMIT)).split(b'\n') {
        // A last line that was cut off is none.
        let Ok(entry) = serde_json::from_slice::<Entry>(&line.ok()?) else {
            continue;
        };
        let Some(id) = entry.uuid.filter(|_| !entry.is_sidechain) else {
            continue;
        };
        if let Some(message) = &entry.message {
            last = Some(id.clone());
            if message.asks(task) {
                asking.insert(id.clone());
            }
        }
        parents.insert(id, entry.parent_uuid);
    }
    let mut at = last;
    while let Some(id) = at {
        if asking.contains(&id) {
            return Some(true);
        }
        // Taken out, so that a circle ends.
        at = parents.remove(&id).flatten();
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SESSION: &str = "11111111-1111-4111-8111-111111111111";

    /// Shortened from what Claude Code 2.1.197 wrote.
    const LINES: [&str; 5] = [
        r#"{"type":"queue-operation","operation":"enqueue","sessionId":"1"}"#,
        r#"{"parentUuid":null,"isSidechain":false,"type":"user","message":{"role":"user","content":"Lead.\n\nTask:\nSay \"2\".\n"},"uuid":"a"}"#,
        r#"{"parentUuid":"a","isSidechain":false,"type":"attachment","attachment":{},"uuid":"b"}"#,
        r#"{"parentUuid":"b","isSidechain":false,"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"Say \"2\"."}]},"uuid":"c"}"#,
        r#"{"parentUuid":"c","isSidechain":false,"type":"user","message":{"role":"user","content":[{"type":"tool_result","content":"Say \"2\"."}]},"uuid":"d"}"#,
    ];

    fn knows_by(lines: &[&str]) -> bool {
        let home = tempfile::tempdir().unwrap();
        let project = home.path().join(".claude/projects/-work");
        fs::create_dir_all(&project).unwrap();
        fs::write(project.join(format!("{SESSION}.jsonl")), lines.join("\n")).unwrap();
        knows(home.path(), SESSION, "Say \"2\".\n")
    }

    #[test]
    fn a_session_knows_its_task_by_the_conversation_that_leads_to_its_first_prompt() {
        let [queue, prompt, between, answer, result] = LINES;
        let blocks = r#"{"parentUuid":null,"message":{"role":"user","content":[{"type":"text","text":"Task:\nSay \"2\"."}]},"uuid":"a"}"#;
        let circle = prompt.replace(r#""parentUuid":null"#, r#""parentUuid":"d""#);
        let other = prompt.replace("Say", "Do not say");
        let aside = prompt.replace("\"isSidechain\":false", "\"isSidechain\":true");
        let rows: [(&str, &[&str], bool); 11] = [
            ("whole", &LINES, true),
            ("a prompt of blocks", &[blocks, between, answer], true),
            ("written out of order", &[answer, between, prompt], true),
            (
                "cut off behind",
                &[prompt, between, answer, r#"{"parentUuid":"c","uu"#],
                true,
            ),
            (
                "the prompt is missing",
                &[queue, between, answer, result],
                false,
            ),
            ("a link is missing", &[queue, prompt, answer, result], false),
            ("another task", &[&other, between, answer], false),
            (
                "in a side conversation only",
                &[&aside, between, answer],
                false,
            ),
            (
                "a circle",
                &[&circle.replace("Say", "No"), between, answer, result],
                false,
            ),
            ("only the queue", &[queue], false),
            ("nothing", &[], false),
        ];
        for (story, lines, known) in rows {
            assert_eq!(knows_by(lines), known, "{story}");
        }
    }

    #[test]
    fn what_cannot_be_read_counts_as_not_known() {
        let home = tempfile::tempdir().unwrap();
        assert!(!knows(home.path(), SESSION, "x"));
        let project = home.path().join(".claude/projects/-work");
        fs::create_dir_all(project.join(format!("{SESSION}.jsonl"))).unwrap();
        assert!(!knows(home.path(), SESSION, "x"));
    }
}
