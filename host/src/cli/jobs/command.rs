//! The subcommands of `jobs`.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::show;
use crate::cli::terminal::{Terminal, age, complain, shorten};
use crate::cli::{GlobalOptions, exit, retention};
use job::upkeep::{Retention, UpkeepError};
use job::{self, Asker, Front, JobId, JobRow, Refusal, State, Store, StoreError, now_ms};
use redact::text::printable;
use settings::Settings;
use workspace::Unapplied;

/// The interval at which a display is drawn again.
const EVERY: Duration = Duration::from_secs(1);

/// The number of jobs that `ls` shows when it is not told.
const SHOWN: usize = 20;

/// The arguments of `jobs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code of `wait`: 0 completed, 1 failed, 3 cancelled, timed out or interrupted. Of the others: 0 done, 1 not done.")]
pub(in crate::cli) struct JobsArguments {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List jobs, newest first (the default)
    Ls {
        /// The number of jobs
        #[arg(long, default_value_t = SHOWN)]
        limit: usize,
        /// Draw the list again every second
        #[arg(long)]
        watch: bool,
    },
    /// Show one job: its task, its state, its result
    Show {
        /// The job's id, the beginning of one, or `last`
        job: String,
        /// Show the diff too
        #[arg(long)]
        diff: bool,
        /// Refresh every second until the job has ended
        #[arg(long)]
        watch: bool,
    },
    /// Print a job's log
    Tail {
        /// The job's id, the beginning of one, or `last`
        job: String,
        /// Go on until the job ends
        #[arg(short, long)]
        follow: bool,
    },
    /// Wait until jobs end; the exit code is the worst verdict
    Wait {
        /// Ids, the beginnings of ids, or `last`
        #[arg(required = true)]
        jobs: Vec<String>,
    },
    /// End a job with all its processes
    Cancel {
        /// The job's id, the beginning of one, or `last`
        job: String,
    },
    /// Apply the changes of an isolated job to the checkout that it started from; of several, as one that is verified as a whole
    Apply {
        /// Ids, the beginnings of ids, or `last`
        #[arg(required = true)]
        jobs: Vec<String>,
        /// How to apply them
        #[arg(long, value_enum, default_value_t = How::Merge)]
        how: How,
    },
    /// Delete jobs that have ended, with their records and artifacts
    Rm {
        /// Ids, the beginnings of ids, or `last`
        #[arg(required = true)]
        jobs: Vec<String>,
        /// Also delete isolated jobs whose changes were not applied
        #[arg(short, long)]
        force: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    /// A branch worker/JOB with the result, merged into the current one
    Merge,
    /// Merged into the files and staged, not committed
    Squash,
    /// Written into the files, nothing staged
    Patch,
}

impl How {
    /// The word that `apply` takes.
    fn word(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Squash => "squash",
            Self::Patch => "patch",
        }
    }
}

/// The reason why a command about jobs did nothing.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum JobsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Upkeep(#[from] UpkeepError),
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("no job begins with `{0}`; `mcp-codex-worker jobs` lists them")]
    Unknown(String),
    #[error("{count} jobs begin with `{name}`; write more of the id")]
    Ambiguous { name: String, count: usize },
    #[error("there are no jobs yet")]
    None,
    #[error("job {0} is not over; cancel it first")]
    Unfinished(JobId),
    #[error(
        "job {id}: {unapplied}; `mcp-codex-worker jobs apply {id}` brings a completed job's changes into the checkout, --force discards them"
    )]
    Unapplied { id: JobId, unapplied: Unapplied },
    #[error("no runtime: {0}")]
    Runtime(#[from] std::io::Error),
}

/// Does what was asked, and says on stderr why it could not.
pub(in crate::cli) fn run(global: &GlobalOptions, arguments: &JobsArguments) -> ExitCode {
    let settings = match global.settings() {
        Ok(settings) => settings.without_keys(),
        Err(code) => return code,
    };
    match Jobs::open(settings, arguments.json).and_then(|mut jobs| jobs.run(&arguments.command)) {
        Ok(code) => code,
        Err(error) => {
            complain(format_args!("mcp-codex-worker: {error}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

/// Finds a job by its id, the beginning of one, or `last`.
pub(in crate::cli) fn find(store: &Store, name: &str) -> Result<JobId, JobsError> {
    if let Ok(id) = name.parse::<JobId>() {
        return Ok(id);
    }
    if name == "last" {
        let newest = store.jobs(1)?.pop();
        return newest.map(|job| job.id).ok_or(JobsError::None);
    }
    let mut meant = match name {
        "" => Vec::new(),
        name => store.ids_beginning_with(name, usize::MAX)?,
    };
    match (meant.pop(), meant.len()) {
        (Some(id), 0) => Ok(id),
        (Some(_), others) => Err(JobsError::Ambiguous {
            name: name.to_owned(),
            count: others + 1,
        }),
        (None, _) => Err(JobsError::Unknown(shorten(name, 40))),
    }
}

struct Jobs {
    store: Store,
    front: Front,
    runtime: tokio::runtime::Runtime,
    terminal: Terminal,
    json: bool,
}

impl Jobs {
    fn open(settings: Settings, json: bool) -> Result<Self, JobsError> {
        Ok(Self {
            store: Store::open(&settings.state_dir)?,
            front: Front::new(settings),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            terminal: Terminal::stdout(),
            json,
        })
    }

    fn run(&mut self, command: &Option<Command>) -> Result<ExitCode, JobsError> {
        match command {
            None => self.list(SHOWN, false)?,
            Some(Command::Ls { limit, watch }) => self.list(*limit, *watch)?,
            Some(Command::Show { job, diff, watch }) => {
                self.show(&find(&self.store, job)?, *diff, *watch)?;
            }
            Some(Command::Tail { job, follow }) => self.tail(&find(&self.store, job)?, *follow)?,
            Some(Command::Wait { jobs }) => return self.wait(jobs),
            Some(Command::Cancel { job }) => {
                let id = find(&self.store, job)?;
                let view = self.runtime.block_on(self.front.cancel(named(&id)))?;
                self.print(&id, &view)?;
            }
            Some(Command::Apply { jobs, how }) => match &jobs[..] {
                [job] => self.apply(&find(&self.store, job)?, *how)?,
                jobs => return self.apply_combined(jobs, *how),
            },
            Some(Command::Rm { jobs, force }) => self.remove(jobs, *force)?,
        }
        Ok(ExitCode::from(exit::OK))
    }

    fn list(&mut self, limit: usize, watch: bool) -> Result<(), JobsError> {
        loop {
            job::settle_all(&self.store)?;
            let jobs = self.store.jobs(limit)?;
            if watch {
                self.terminal.clear();
            }
            if self.json {
                let rows: Vec<Value> = jobs.iter().map(row_json).collect();
                self.terminal.line(Value::from(rows).to_string());
            } else {
                self.table(&jobs);
                self.announce()?;
            }
            if !watch || self.terminal.is_gone() {
                return Ok(());
            }
            std::thread::sleep(EVERY);
        }
    }

    fn table(&mut self, jobs: &[JobRow]) {
        if jobs.is_empty() {
            self.terminal
                .line("No jobs yet. Codex starts them with the tool `start`.");
            return;
        }
        let unique = unique_length(jobs);
        self.terminal.line(format!(
            "{:<unique$}  {:<11}  {:>8}  {:>8}  task",
            "job", "status", "age", "took"
        ));
        for job in jobs {
            let id: String = job.id.as_str().chars().take(unique).collect();
            let line = format!(
                "{id:<unique$}  {}  {:>8}  {:>8}  {}",
                self.terminal.state(job.state),
                age(now_ms() - job.created_ms),
                took(job),
                shorten(&task(job), 60),
            );
            self.terminal.line(line);
        }
    }

    /// Says what retention will delete. From then on it may: see [`Retention`].
    fn announce(&mut self) -> Result<(), JobsError> {
        let due = Retention::announced(&self.store)?;
        for line in retention::lines(&due, now_ms()) {
            self.terminal.line(line);
        }
        if !due.is_empty() {
            Retention::told(&self.store)?;
        }
        Ok(())
    }

    fn show(&mut self, id: &JobId, diff: bool, watch: bool) -> Result<(), JobsError> {
        loop {
            let mut arguments = named(id);
            arguments.insert("include_diff".to_owned(), diff.into());
            let view = self.runtime.block_on(self.front.get(arguments))?;
            if watch {
                self.terminal.clear();
            }
            self.print(id, &view)?;
            if !watch || is_over(&view) || self.terminal.is_gone() {
                return Ok(());
            }
            std::thread::sleep(EVERY);
        }
    }

    /// Waits for the job that combines them; its verdict is the exit code.
    fn apply_combined(&mut self, jobs: &[String], how: How) -> Result<ExitCode, JobsError> {
        let ids = jobs
            .iter()
            .map(|job| find(&self.store, job))
            .collect::<Result<Vec<_>, _>>()?;
        let mut arguments = Map::new();
        arguments.insert("job_ids".to_owned(), json!(ids));
        arguments.insert("how".to_owned(), how.word().into());
        arguments.insert("wait_ms".to_owned(), job::spec::TIMEOUT_MAX_MS.into());
        let asker = Asker::default();
        let view = self
            .runtime
            .block_on(self.front.apply(arguments, asker, |_| {}))?;
        let id = view["job_id"].as_str().and_then(|id| id.parse().ok());
        let id: JobId = id.ok_or(JobsError::None)?;
        self.print(&id, &view)?;
        let code = state_of(&view).map_or(exit::UNDECIDED, exit::of_job);
        Ok(ExitCode::from(code))
    }

    fn apply(&mut self, id: &JobId, how: How) -> Result<(), JobsError> {
        let mut arguments = named(id);
        arguments.insert("how".to_owned(), how.word().into());
        let reply = self
            .runtime
            .block_on(self.front.apply(arguments, Asker::default(), |_| {}))?;
        if self.json {
            self.terminal.line(reply.to_string());
        } else {
            for line in show::applied(&self.terminal, &reply) {
                self.terminal.line(line);
            }
        }
        Ok(())
    }

    fn print(&mut self, id: &JobId, view: &Value) -> Result<(), JobsError> {
        if self.json {
            self.terminal.line(view.to_string());
            return Ok(());
        }
        let job = self.store.job(id)?;
        for line in show::lines(&self.terminal, id, job.as_ref(), view) {
            self.terminal.line(line);
        }
        Ok(())
    }

    fn tail(&mut self, id: &JobId, follow: bool) -> Result<(), JobsError> {
        let mut cursor = Value::from(0);
        loop {
            let mut arguments = named(id);
            arguments.insert("cursor".to_owned(), cursor.clone());
            arguments.insert("max_bytes".to_owned(), 24_000.into());
            let slice = self.runtime.block_on(self.front.tail(arguments))?;
            let log = slice.get("log").and_then(Value::as_str).unwrap_or_default();
            if self.json {
                self.terminal.line(slice.to_string());
            } else if !log.is_empty() {
                self.terminal.line(printable(log.trim_end_matches('\n')));
            }
            let next = slice.get("cursor").cloned().unwrap_or_default();
            if next == cursor {
                if is_over(&slice) || !follow || self.terminal.is_gone() {
                    return Ok(());
                }
                std::thread::sleep(EVERY);
            }
            cursor = next;
        }
    }

    fn wait(&mut self, names: &[String]) -> Result<ExitCode, JobsError> {
        // First all of them are found: a mistake in one name waits for none.
        let ids = names
            .iter()
            .map(|name| find(&self.store, name))
            .collect::<Result<Vec<_>, _>>()?;
        let mut worst = exit::OK;
        for id in ids {
            let mut arguments = named(&id);
            arguments.insert("timeout_ms".to_owned(), job::spec::TIMEOUT_MAX_MS.into());
            let view = self
                .runtime
                .block_on(self.front.wait(arguments, |_: &Value| {}))?;
            self.print(&id, &view)?;
            let code = state_of(&view).map_or(exit::UNDECIDED, exit::of_job);
            // A verdict against the work is worse than none.
            worst = match (worst, code) {
                (exit::FAILED, _) | (_, exit::FAILED) => exit::FAILED,
                (before, now) => before.max(now),
            };
        }
        Ok(ExitCode::from(worst))
    }

    fn remove(&mut self, names: &[String], force: bool) -> Result<(), JobsError> {
        job::settle_all(&self.store)?;
        // First all of them are found, then all are removed: a mistake in one name removes nothing.
        let mut ids = BTreeSet::new();
        for name in names {
            let id = find(&self.store, name)?;
            match self.store.job(&id)? {
                None => return Err(JobsError::Unknown(shorten(name, 40))),
                Some(job) if !job.state.is_terminal() => return Err(JobsError::Unfinished(id)),
                Some(job) => {
                    let folder = self.store.job_folder(job.home());
                    let unapplied = Unapplied::of(&folder, id.as_str());
                    if let (Some(unapplied), false) = (unapplied, force) {
                        return Err(JobsError::Unapplied { id, unapplied });
                    }
                    // A job that works in another one's folder goes before that one.
                    ids.insert((job.lives_in.is_none(), id))
                }
            };
        }
        for (_, id) in &ids {
            self.store.remove(id)?;
            if !self.json {
                self.terminal.line(format!("{id} removed"));
            }
        }
        if self.json {
            self.terminal.line(json!({ "removed": ids }).to_string());
        }
        Ok(())
    }
}

fn state_of(view: &Value) -> Option<State> {
    view.get("job_status")?.as_str()?.parse().ok()
}

/// Returns true if there is nothing more to come.
pub(in crate::cli) fn is_over(view: &Value) -> bool {
    state_of(view).is_none_or(State::is_terminal)
}

/// The arguments of a call about one job.
pub(in crate::cli) fn named(id: &JobId) -> Map<String, Value> {
    Map::from_iter([("job_id".to_owned(), id.as_str().into())])
}

fn row_json(job: &JobRow) -> Value {
    json!({
        "job_id": job.id,
        "job_status": job.state,
        "created_ms": job.created_ms,
        "started_ms": job.started_ms,
        "ended_ms": job.ended_ms,
        "spec": job.spec,
        "progress": job.progress,
        "result": job.result,
    })
}

fn task(job: &JobRow) -> String {
    job.spec
        .as_ref()
        .and_then(|spec| spec.get("prompt"))
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn took(job: &JobRow) -> String {
    match (job.started_ms, job.ended_ms) {
        (Some(started), Some(ended)) => age(ended - started),
        (Some(started), None) => age(now_ms() - started),
        (None, _) => "-".to_owned(),
    }
}

/// The length of the ids that tells these jobs apart; never less than 6.
fn unique_length(jobs: &[JobRow]) -> usize {
    let full = jobs.first().map_or(6, |job| job.id.as_str().len());
    (6..full)
        .find(|length| {
            let heads: BTreeSet<&str> = jobs
                .iter()
                .filter_map(|job| job.id.as_str().get(..*length))
                .collect();
            heads.len() == jobs.len()
        })
        .unwrap_or(full)
}
