//! The command line: what `main` does, and one file for each subcommand.

mod adapter;
mod completions;
mod demo;
mod doctor;
mod gc;
mod hook;
mod jobs;
mod plugin;
mod progress;
mod redact;
mod retention;
mod run;
mod runner;
mod serve;
mod setup;
mod signals;
mod smoke;
mod stats;
mod terminal;
mod update;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::Build;
use settings::{Settings, Sources};
use terminal::complain;

/// Exit codes of every subcommand, told apart so that scripts can tell a wrong call from a failed job.
pub mod exit {
    use job::{Refusal, State};

    /// The command did what it was asked to.
    pub const OK: u8 = 0;
    /// It could not, or what it looked at is not in order.
    pub const FAILED: u8 = 1;
    /// The command line or the settings are wrong; nothing was started.
    pub const USAGE: u8 = 2;
    /// Neither: a job that was cancelled, timed out or was interrupted before its verdict, a finding that is doubtful.
    pub const UNDECIDED: u8 = 3;
    /// The shell's code for a program that Ctrl-C ended.
    pub const LEFT: u8 = 130;

    /// The code for a job that is over.
    pub fn of_job(state: State) -> u8 {
        match state {
            State::Completed => OK,
            State::Failed => FAILED,
            _ => UNDECIDED,
        }
    }

    /// The code for a call that was refused: most often because of what was asked.
    pub fn of_refusal(refusal: &Refusal) -> u8 {
        match refusal.argument.as_str() {
            "host" | "store" => FAILED,
            _ => USAGE,
        }
    }
}

/// Delegate coding work from Codex to a background Claude Code job on a cheap gateway, and get verified evidence back.
#[derive(Debug, Parser)]
#[command(name = "mcp-codex-worker", version, max_term_width = 100)]
#[command(after_help = "Without a command: serve.")]
struct Cli {
    #[command(flatten)]
    global: GlobalOptions,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options that every subcommand takes.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalOptions {
    /// Read this .env instead of the one in the config folder
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Read this config file instead of config.toml in the config folder
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set a setting, stronger than every other source (not for keys); may be repeated
    #[arg(long = "set", global = true, value_name = "NAME=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
}

impl GlobalOptions {
    /// The place where the settings of this call come from.
    pub fn sources(&self) -> Sources {
        Sources::from_process(self.set.clone(), self.env_file.clone(), self.config.clone())
    }

    /// The settings of this call; complains on stderr and gives the exit code when they cannot be used.
    ///
    /// # Errors
    ///
    /// [`exit::USAGE`], after the reasons were printed.
    pub fn settings(&self) -> Result<Settings, ExitCode> {
        Settings::load(&self.sources()).map_err(|error| {
            for problem in &error.problems {
                complain(format_args!("mcp-codex-worker: {problem}"));
            }
            ExitCode::from(exit::USAGE)
        })
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.trim().to_owned(), value.to_owned()))
        .ok_or_else(|| "must read NAME=VALUE".to_owned())
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve MCP over stdin and stdout (started by Codex), or over HTTP
    Serve(serve::ServeArguments),
    /// Run what a front assigned over the inherited socket (never started by people)
    #[command(name = job::RUNNER_SUBCOMMAND, hide = true)]
    Runner(runner::RunnerArguments),
    /// Run one job in the foreground; the exit code is its verdict
    Run(run::RunArguments),
    /// Run the adapter alone: Claude Code on any OpenAI-compatible gateway, for interactive use
    Adapter(adapter::AdapterArguments),
    /// Show a whole job with the real Claude Code: no key, no account, nothing left behind
    Demo(demo::DemoArguments),
    /// Check everything that can be wrong, each with its remedy
    Doctor(doctor::DoctorArguments),
    /// Test everything that needs no network, no key and no Claude Code, in seconds
    Smoke(smoke::SmokeArguments),
    /// Add this server to Codex's config and write the settings that it needs
    Setup(setup::SetupArguments),
    /// Wake the session that started jobs when they are over (run by a client's hooks)
    Hook(hook::HookArguments),
    /// List, show, follow, cancel and delete jobs
    Jobs(jobs::JobsArguments),
    /// Show what jobs did and cost, and whether delegating paid
    Stats(stats::StatsArguments),
    /// Delete old jobs, by age and by size
    Gc(gc::GcArguments),
    /// Say whether there is a newer version and how to get it; never updates by itself
    Update(update::UpdateArguments),
    /// Hold the signed statement of a job against a key and a checkout, offline
    Verify(verify::VerifyArguments),
    /// Print a completion script for your shell
    Completions(completions::CompletionsArguments),
    /// Cut secrets out of stdin, as it streams to stdout
    Redact(redact::RedactArguments),
    /// Write, test, inspect, install and remove plugins
    Plugin(plugin::PluginArguments),
}

/// Runs the program.
pub fn main(build: Build) -> ExitCode {
    if let Some(code) = process::init_main(std::env::args_os().skip(1)) {
        return code;
    }
    if let Some(code) = job::waiter_main(std::env::args_os().skip(1)) {
        return code;
    }
    if let Some(code) = crate::smoke::stand_in_main() {
        return code;
    }
    let cli = parse(&build);
    match cli
        .command
        .unwrap_or(Command::Serve(serve::ServeArguments::default()))
    {
        Command::Serve(arguments) => serve::run(&cli.global, arguments),
        Command::Runner(arguments) => runner::run(&cli.global, &arguments),
        Command::Run(arguments) => run::run(&cli.global, &arguments),
        Command::Adapter(arguments) => adapter::run(&cli.global, &arguments),
        Command::Demo(arguments) => demo::run(&cli.global, &arguments),
        Command::Doctor(arguments) => doctor::run(&cli.global, &arguments),
        Command::Smoke(arguments) => smoke::run(&cli.global, &arguments),
        Command::Setup(arguments) => setup::run(&cli.global, &arguments),
        Command::Hook(arguments) => hook::run(&cli.global, &arguments),
        Command::Stats(arguments) => stats::run(&cli.global, &arguments),
        Command::Gc(arguments) => gc::run(&cli.global, &arguments),
        Command::Jobs(arguments) => jobs::run(&cli.global, &arguments),
        Command::Update(arguments) => update::run(&cli.global, &arguments, &build),
        Command::Verify(arguments) => verify::run(&cli.global, &arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Redact(arguments) => redact::run(&cli.global, &arguments),
        Command::Plugin(arguments) => plugin::run(&cli.global, &arguments),
    }
}

/// The command line; a wrong one, `--help` and `--version` end the process, as with clap's own `parse`.
fn parse(build: &Build) -> Cli {
    static VERSION: OnceLock<String> = OnceLock::new();
    let version = VERSION.get_or_init(|| build.line()).as_str();
    let mut matches = Cli::command().version(version).get_matches();
    Cli::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit())
}
