//! `run`: one job in the foreground, for CI and for people. A front like any other, since the job has a runner of its own;
//! only that the job ends with it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Map, Value};

use super::jobs::{is_over, named, show};
use super::progress::Progress;
use super::signals::Signals;
use super::terminal::{Terminal, complain};
use super::{GlobalOptions, exit};
use job::artifacts::{self, Artifacts};
use job::{Front, JobId, JobRow, Refusal, State, Store, StoreError, spec};
use settings::Settings;
use workspace::Unapplied;

/// The longest job file, in bytes: far more than a prompt of the longest kind with its checks.
const JOB_MAX: u64 = 4 << 20;

/// The interval at which the job is looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// Every job stands in the queue until its runner has begun: only one that stays there longer waits for others.
const BEGINNING: Duration = Duration::from_secs(2);

/// Bytes of the log that are read at a time.
const SLICE: u64 = 24_000;

/// The arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "\
The job is the JSON object that `start` takes (examples/job.json); relative allowed_dirs are taken from the current
directory. Progress goes to stderr, the result to stdout. Ctrl-C cancels the job; a second Ctrl-C exits without waiting.
The job ends with this process, also when that is killed.

Exit code: 0 completed, 1 failed, 2 the job or the settings are wrong and nothing was started, 3 cancelled, timed out or
interrupted, 130 exited before the job ended.")]
pub(super) struct RunArguments {
    /// The job; `-` reads it from stdin
    #[arg(long, value_name = "FILE")]
    job: PathBuf,
    /// Print the result as one line of JSON, with tokens, cost_usd, and the paths of patch and statement
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// The reason why there is no result.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("{0} is longer than {max} MB", max = JOB_MAX >> 20)]
    TooLong(String),
    #[error("{path} is no job: {reason}")]
    NoJob { path: String, reason: String },
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no runtime: {0}")]
    Runtime(io::Error),
    #[error("left before job {0} was over; it is being cancelled (`jobs show {0}`)")]
    Left(JobId),
}

impl RunError {
    fn code(&self) -> u8 {
        match self {
            Self::File { .. } | Self::TooLong(_) | Self::NoJob { .. } => exit::USAGE,
            Self::Refused(refusal) => exit::of_refusal(refusal),
            Self::Store(_) | Self::Runtime(_) => exit::FAILED,
            Self::Left(_) => exit::LEFT,
        }
    }
}

/// Runs the job to its end; the exit code is its verdict.
pub(super) fn run(global: &GlobalOptions, arguments: &RunArguments) -> ExitCode {
    let settings = match global.settings() {
        Ok(settings) => settings.without_keys(),
        Err(code) => return code,
    };
    match foreground(settings, arguments) {
        Ok(state) => ExitCode::from(exit::of_job(state)),
        Err(error) => {
            complain(format_args!("mcp-codex-worker: {error}"));
            ExitCode::from(error.code())
        }
    }
}

fn foreground(settings: Settings, arguments: &RunArguments) -> Result<State, RunError> {
    let job = read_job(&arguments.job)?;
    let store = Store::open(&settings.state_dir)?;
    let front = Front::new(settings);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let mut watch = Watch {
        front,
        store,
        progress: Progress::stderr(arguments.quiet),
        cursor: Value::from(0),
        began: Instant::now(),
    };
    let (id, view) = runtime.block_on(watch.job(job))?;
    // A cancel that is still on its way has done its part with the job's end.
    runtime.shutdown_background();

    let mut terminal = Terminal::stdout();
    let row = watch.store.job(&id)?;
    if arguments.json {
        let view = with_account(&watch.store, row.as_ref(), view)?;
        terminal.line(view.to_string());
    } else {
        for line in show::lines(&terminal, &id, row.as_ref(), &view) {
            terminal.line(line);
        }
    }
    let home = watch
        .store
        .job_folder(row.as_ref().map_or(&id, JobRow::home));
    if let Some(unapplied) = Unapplied::of(&home, id.as_str()) {
        watch.progress.line(&format!(
            "{unapplied}; `mcp-codex-worker jobs apply {id}` brings them into your checkout"
        ));
    }
    Ok(row.map_or(State::Interrupted, |row| row.state))
}

/// A job and the people who watch it.
struct Watch {
    front: Front,
    store: Store,
    progress: Progress,
    cursor: Value,
    began: Instant,
}

impl Watch {
    async fn job(&mut self, job: Map<String, Value>) -> Result<(JobId, Value), RunError> {
        // From here on Ctrl-C ends no longer this process alone and leaves the job behind.
        let mut signals = Signals::listen().map_err(RunError::Runtime)?;
        let (id, _guard) = self.front.start_attached(job).await?;
        self.progress.line(&format!("job {id}"));
        let mut cancelling = false;
        let front = self.front.clone();
        loop {
            let mut patience = named(&id);
            patience.insert("timeout_ms".to_owned(), spec::TIMEOUT_MAX_MS.into());
            let mut ended = pin!(front.wait(patience, |_| {}));
            let mut tick = tokio::time::interval(GLANCE);
            let view = loop {
                tokio::select! {
                    biased;
                    view = &mut ended => break view?,
                    () = signals.next() => {
                        if cancelling {
                            return Err(RunError::Left(id));
                        }
                        cancelling = true;
                        self.progress.line("cancelling; once more leaves without waiting for its end");
                        let (front, arguments) = (self.front.clone(), named(&id));
                        tokio::spawn(async move { front.cancel(arguments).await });
                    }
                    _ = tick.tick() => self.glance(&id).await?,
                }
            };
            // A wait ends after a day, which a job behind a long queue may outlast.
            if is_over(&view) {
                self.log(&id).await?;
                self.progress.clear();
                return Ok((id, view));
            }
        }
    }

    /// The log's new lines, and where the job stands.
    async fn glance(&mut self, id: &JobId) -> Result<(), RunError> {
        if self.progress.is_quiet() {
            return Ok(());
        }
        self.log(id).await?;
        let view = self.front.get(named(id)).await?;
        let mut status = view
            .get("job_status")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if status == State::Queued.as_str() && self.began.elapsed() >= BEGINNING {
            match self.store.queued_before(id)?.len() {
                0 => status.push_str(", next (MAX_RUNNING_JOBS run already)"),
                1 => status.push_str(", one job before it"),
                before => status.push_str(&format!(", {before} jobs before it")),
            }
        }
        self.progress.status(&status, &detail(&view));
        Ok(())
    }

    async fn log(&mut self, id: &JobId) -> Result<(), RunError> {
        if self.progress.is_quiet() {
            return Ok(());
        }
        loop {
            let mut arguments = named(id);
            arguments.insert("cursor".to_owned(), self.cursor.clone());
            arguments.insert("max_bytes".to_owned(), SLICE.into());
            let slice = self.front.tail(arguments).await?;
            let text = slice.get("log").and_then(Value::as_str).unwrap_or_default();
            for line in text.lines() {
                self.progress.line(line);
            }
            let next = slice.get("cursor").cloned().unwrap_or_default();
            if next == self.cursor {
                return Ok(());
            }
            self.cursor = next;
        }
    }
}

/// The result with what a harness needs besides: what was spent, and the files of the diff and the statement.
fn with_account(store: &Store, row: Option<&JobRow>, mut view: Value) -> Result<Value, StoreError> {
    let (Some(row), Some(fields)) = (row, view.as_object_mut()) else {
        return Ok(view);
    };
    let spent = store.spent_in_all(&row.id)?;
    fields.insert("tokens".to_owned(), spent.tokens.into());
    fields.insert("cost_usd".to_owned(), spent.cost_usd.into());
    let own = store.job_folder(&row.id);
    for (field, folder, name) in [
        ("patch", store.evidence_folder(row)?, artifacts::DIFF),
        ("statement", own, artifacts::STATEMENT),
    ] {
        let path = Artifacts::in_job(&folder).path(name);
        let path = path.is_file().then(|| path.display().to_string());
        fields.insert(field.to_owned(), path.into());
    }
    Ok(view)
}

/// The text behind the status while a job runs: time, turns, and the agent's step.
fn detail(view: &Value) -> String {
    let mut parts = Vec::new();
    let number = |key: &str| view.get(key).and_then(Value::as_u64);
    if let Some(seconds) = number("elapsed_s") {
        parts.push(format!("{seconds} s"));
    }
    if let Some(pass) = number("pass").filter(|pass| *pass > 1) {
        parts.push(format!("pass {pass}"));
    }
    if let Some(turns) = number("turns") {
        parts.push(format!("{turns} turns"));
    }
    for key in ["waiting_for", "last"] {
        if let Some(text) = view.get(key).and_then(Value::as_str) {
            parts.push(text.to_owned());
        }
    }
    parts.join(" | ")
}

/// The arguments of `start` in a file.
fn read_job(path: &Path) -> Result<Map<String, Value>, RunError> {
    let name = path.display().to_string();
    let failed = |source| RunError::File {
        path: name.clone(),
        source,
    };
    let mut text = Vec::new();
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    source
        .take(JOB_MAX + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > JOB_MAX {
        return Err(RunError::TooLong(name));
    }
    let no_job = |reason: String| RunError::NoJob {
        path: name.clone(),
        reason,
    };
    // Editors on Windows put a byte order mark in front.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let job = serde_json::from_slice(text).map_err(|error| no_job(error.to_string()))?;
    let Value::Object(mut job) = job else {
        return Err(no_job("it must be a JSON object".to_owned()));
    };
    // The foreground waits for the end in any case.
    job.remove("wait_ms");
    if let Some(Value::Array(folders)) = job.get_mut("allowed_dirs") {
        for folder in folders {
            from_here(folder).map_err(failed)?;
        }
    }
    Ok(job)
}

/// A relative directory as one from the current directory, which means something to whoever calls `run`.
fn from_here(folder: &mut Value) -> io::Result<()> {
    if let Value::String(text) = folder
        && !text.is_empty()
        && Path::new(text.as_str()).is_relative()
    {
        let absolute = std::env::current_dir()?.join(&*text);
        let absolute = absolute.canonicalize().unwrap_or(absolute);
        *text = absolute.display().to_string();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_live_line_says_what_is_known() {
        let view = json!({"job_status": "running", "elapsed_s": 12, "pass": 2, "turns": 7, "last": "Bash npm test"});
        assert_eq!(detail(&view), "12 s | pass 2 | 7 turns | Bash npm test");
        assert_eq!(
            detail(&json!({"job_status": "queued", "elapsed_s": 0})),
            "0 s"
        );
    }
}
