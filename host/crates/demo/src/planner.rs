//! The demo in Codex's place: one call of `start` that waits for the result.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::DemoError;
use super::console::Console;
use super::interrupt::Interrupt;
use super::mcp_client::{McpClient, ReadByModel, ToolReply};

/// The time that a call other than the waiting one may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The interval at which the job's log is looked at.
const GLANCE: Duration = Duration::from_millis(300);

/// A job that has come back to the planner.
pub(super) struct Ended {
    /// The reply as Codex's model reads it.
    pub(super) result: Value,
    /// The diff, for the people who watch.
    pub(super) diff: Option<String>,
    /// The text that Codex's model would have read and written.
    pub(super) read_by_model: ReadByModel,
}

/// Gives the job to `serve` and prints what happens until the reply is there.
pub(super) fn delegate(
    serve: &dyn Fn() -> io::Result<Command>,
    job: &Value,
    interrupt: &Interrupt,
    console: &mut Console,
) -> Result<Ended, DemoError> {
    let mut planner = McpClient::connect(serve()?, PATIENCE)?;
    // Watching is for the audience: a second front on the same store, as another Codex would be, and not charged.
    let mut watcher = Watcher {
        front: McpClient::connect(serve()?, PATIENCE)?,
        job: None,
        cursor: 0,
    };
    console.say(&serde_json::to_string_pretty(job).unwrap_or_default());
    console.say("");
    let patience = Duration::from_millis(job["wait_ms"].as_u64().unwrap_or_default()) + PATIENCE;
    let deadline = Instant::now() + patience;
    let call = planner.send_call("start", job)?;
    let reply = loop {
        if let Some(reply) = planner.poll_call(call, "start", GLANCE)? {
            // Too late to cancel anything, but whoever asked to leave is not told a story to its end.
            if interrupt.seen() {
                return Err(DemoError::Interrupted);
            }
            break reply;
        }
        watcher.notice(planner.notifications());
        watcher.show_log(console)?;
        // A job just started gets its name with the first progress; until then there is nothing to cancel by.
        if interrupt.seen() && watcher.job.is_some() {
            watcher.cancel()?;
            return Err(DemoError::Interrupted);
        }
        if Instant::now() > deadline {
            return Err(DemoError::Unexpected(
                "`start` did not answer in time".into(),
            ));
        }
    };
    if reply.is_error {
        return Err(DemoError::Refused(reply.read_by_codex()));
    }
    watcher.job = reply.structured["job_id"].as_str().map(str::to_owned);
    watcher.show_log(console)?;
    let diff = watcher.diff()?;
    Ok(Ended {
        result: reply.structured,
        diff,
        read_by_model: planner.read_by_model(),
    })
}

/// Follows the job for the people at the terminal.
struct Watcher {
    front: McpClient,
    job: Option<String>,
    cursor: u64,
}

impl Watcher {
    /// Progress notifications of the waiting call begin with the job's id.
    fn notice(&mut self, notifications: &[Value]) {
        if self.job.is_none() {
            let mut messages = notifications
                .iter()
                .filter_map(|note| note["params"]["message"].as_str());
            self.job = messages.find_map(|message| Some(message.split_once(": ")?.0.to_owned()));
        }
    }

    fn show_log(&mut self, console: &mut Console) -> Result<(), DemoError> {
        loop {
            let cursor = self.cursor;
            let Some(reply) = self.ask("tail", json!({"cursor": cursor}))? else {
                return Ok(());
            };
            let log = reply.structured["log"].as_str().unwrap_or_default();
            for line in log.lines() {
                console.say(&format!("| {line}"));
            }
            self.cursor = reply.structured["cursor"].as_u64().unwrap_or(cursor);
            if self.cursor == cursor {
                return Ok(());
            }
        }
    }

    fn diff(&mut self) -> Result<Option<String>, DemoError> {
        let reply = self.ask("get", json!({"include_diff": true}))?;
        let diff = reply
            .as_ref()
            .and_then(|reply| reply.structured["diff"].as_str());
        Ok(diff.filter(|diff| !diff.is_empty()).map(str::to_owned))
    }

    fn cancel(&mut self) -> Result<(), DemoError> {
        self.ask("cancel", json!({}))?;
        Ok(())
    }

    fn ask(&mut self, tool: &str, mut arguments: Value) -> Result<Option<ToolReply>, DemoError> {
        let Some(job) = &self.job else {
            return Ok(None);
        };
        arguments["job_id"] = json!(job);
        let reply = self.front.call(tool, arguments, PATIENCE)?;
        if reply.is_error {
            return Err(DemoError::Unexpected(format!(
                "`{tool}` answered {}",
                reply.read_by_codex()
            )));
        }
        Ok(Some(reply))
    }
}
