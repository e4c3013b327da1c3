//! The whole thing for a newcomer: a small repository with a failing test, a gateway that plays a script, the real
//! Claude Code, and the evidence that Codex would see. No key, no account.
//!
//! The demo takes Codex's place and speaks MCP to `serve`, so everything behind it is the real path. The tests drive the
//! same pieces, so what the demo shows is what they prove.

pub mod console;
mod folder;
pub mod gateway;
pub mod install;
mod interrupt;
pub mod loopback;
pub mod mcp_client;
mod planner;
mod project;
mod tokens;

use std::path::PathBuf;
use std::time::Instant;
use std::{env, io};

use serde_json::Value;

use console::{Console, grouped};
pub use folder::Folder;
use gateway::ScriptedGateway;
use install::{CLAUDE_CODE, InstallError};
use interrupt::Interrupt;
use mcp_client::McpClientError;
use settings::Settings;
use tokens::JobTokens;

pub use project::ProjectError;
pub use project::repository;

/// The caller's choices.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Use the configured gateway instead of the scripted one.
    pub live: bool,
    /// Leave the demo's folder behind.
    pub keep: bool,
}

/// The reason why the demo could not be shown, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// `--live` without a gateway.
    #[error("--live needs a gateway: {0}")]
    NoGateway(#[from] settings::NoGateway),
    /// `--live` without a model.
    #[error("--live needs a gateway: CLAUDE_MODEL is not set: a model name of the gateway")]
    NoModel,
    /// A program that the demo's project needs is missing.
    #[error("`{program}` is not on PATH: {why}")]
    Missing {
        /// The program.
        program: &'static str,
        /// The purpose.
        why: &'static str,
    },
    /// There is no Claude Code and none can be installed.
    #[error("{0}. A Claude Code that is there already can be named in WORKER_CLAUDE_BIN")]
    Install(#[from] InstallError),
    /// The repository could not be made.
    #[error("the demo's repository could not be made: {0}")]
    Project(#[from] ProjectError),
    /// The scripted gateway, a folder or the program itself.
    #[error("the demo could not be set up: {0}")]
    SetUp(#[from] io::Error),
    /// `serve` does not do what it should.
    #[error("{0}")]
    Mcp(#[from] McpClientError),
    /// `start` refused the job.
    #[error("`start` refused the job: {0}")]
    Refused(String),
    /// The job came to another end than it should.
    #[error("the job did not do what it should: {0}")]
    Unexpected(String),
    /// Ctrl-C.
    #[error("interrupted; nothing of the demo runs any more")]
    Interrupted,
}

/// Shows the demo. Everything it writes lies in one temporary folder and in the cache.
///
/// # Errors
/// When it cannot be shown, or when the job is not completed as it should be.
pub fn run(options: Options, settings: &Settings, console: &mut Console) -> Result<(), DemoError> {
    let started = Instant::now();
    if options.live {
        settings.gateway()?;
        if settings.model.is_none() {
            return Err(DemoError::NoModel);
        }
    }
    on_path("node").ok_or(DemoError::Missing {
        program: "node",
        why: "the demo's small project is tested with Node.js 18 or newer",
    })?;
    let folder = Folder::create("demo")?;
    console.line("mcp-codex-worker demo: Codex delegates, Claude Code works, the host verifies.");
    let interrupt = Interrupt::watch()?;
    let shown = show(options, settings, &folder, &interrupt, console);
    if options.keep {
        console.line("");
        console.line(&format!("Kept: {}", folder.leave().display()));
    }
    // What fails because of Ctrl-C (npm gets it too) is no failure of its own.
    shown.map_err(|error| {
        if interrupt.seen() {
            DemoError::Interrupted
        } else {
            error
        }
    })?;
    console.line("");
    console.line(&format!(
        "The demo passed in {:.1} s.",
        started.elapsed().as_secs_f32()
    ));
    Ok(())
}

fn show(
    options: Options,
    settings: &Settings,
    folder: &Folder,
    interrupt: &Interrupt,
    console: &mut Console,
) -> Result<(), DemoError> {
    console.step("A repository with a failing test");
    project::create(&folder.project())?;
    console.say(&format!(
        "{}: {}",
        folder.project().display(),
        project::FAULT
    ));

    console.step("A gateway");
    let gateway = if options.live {
        let base_url = settings.gateway()?.base_url.as_str();
        console.say(&format!(
            "{base_url}, model {}",
            settings.model.as_deref().unwrap_or_default()
        ));
        None
    } else {
        let gateway = ScriptedGateway::start(project::script())?;
        console.say(&format!(
            "{}: plays a script, knows no key and no account",
            gateway.base_url()
        ));
        Some(gateway)
    };

    console.step("Claude Code, the real one");
    let claude = claude_code(settings, console)?;
    console.say(&claude.display().to_string());

    console.step("Codex calls `start`");
    let command = || folder.serve(settings, gateway.as_ref(), &claude);
    let job = project::job(&folder.project(), WAIT_MS);
    let ended = planner::delegate(&command, &job, interrupt, console)?;

    console.step(&format!(
        "What Codex sees ({} bytes)",
        grouped(ended.result.to_string().len() as u64)
    ));
    console.say(&serde_json::to_string_pretty(&ended.result).unwrap_or_default());
    if let Some(diff) = &ended.diff {
        console.step("The change (Codex did not ask for it, so it cost nothing)");
        console.say(diff);
    }

    console.step("What it cost");
    let job = JobTokens::read(&folder.metrics())?;
    tokens::show(&ended.read_by_model, &job, gateway.is_some(), console);

    judge(&ended.result, options.live)
}

/// The time that the one call waits for the result.
const WAIT_MS: u64 = 15 * 60 * 1_000;

/// The demo says that it passed only when the job did what it should.
fn judge(result: &Value, live: bool) -> Result<(), DemoError> {
    let wrong = |what: String| Err(DemoError::Unexpected(what));
    if result["job_status"] != "completed" {
        return wrong(format!(
            "its status is {}, not completed",
            result["job_status"]
        ));
    }
    let changed: Vec<&str> = result["changed_files"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    // A model of one's own may mend it elsewhere, within the scope.
    if changed.is_empty() || (!live && changed != ["src/cart.js"]) {
        return wrong(format!("it changed {changed:?}"));
    }
    Ok(())
}

/// The Claude Code to run: the configured one, the one on PATH, or one installed into the cache.
fn claude_code(settings: &Settings, console: &mut Console) -> Result<PathBuf, DemoError> {
    if let Some(program) = settings.claude_bin.clone().or_else(|| on_path("claude")) {
        return Ok(program);
    }
    let mut progress = |progress| console.install_progress(CLAUDE_CODE.title, progress);
    Ok(CLAUDE_CODE.install(&settings.cache_dir, &mut progress)?)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let program = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(&program))
        .find(|path| path.is_file())
}
