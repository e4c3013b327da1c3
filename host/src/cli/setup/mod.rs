//! `setup`: makes this server known to Codex, and writes the settings it needs.
//!
//! Nothing is written before it was shown, and what is written can be taken back with `--undo`.

mod codex_config;
mod env_file;

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{GlobalOptions, exit};
use crate::settings::{Settings, Sources, setting};

/// What to put into AGENTS.md, so that Codex delegates what is worth it.
const AGENTS_TEXT: &str = include_str!("agents.md");

/// The settings that a first job needs, in the order in which they are asked for.
const ASKED: [&str; 4] = [
    "SANDBOX_ROOT",
    "ONEAPI_BASE_URL",
    "ONEAPI_API_KEY",
    "CLAUDE_MODEL",
];

/// What `setup` takes.
#[derive(Debug, Args)]
pub(super) struct SetupArguments {
    /// The client to set up
    #[arg(long, value_enum, default_value_t = Client::Codex)]
    client: Client,
    /// Directory that holds your repositories (SANDBOX_ROOT)
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Gateway URL (ONEAPI_BASE_URL)
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    /// Name of the variable that holds the gateway's key; the key itself never stands on a command line
    #[arg(long, value_name = "NAME")]
    key_from: Option<String>,
    /// The gateway's model (CLAUDE_MODEL)
    #[arg(long)]
    model: Option<String>,
    /// Codex's config file instead of $CODEX_HOME/config.toml
    #[arg(long, value_name = "FILE")]
    codex_config: Option<PathBuf>,
    /// Only print what would be written
    #[arg(long, conflicts_with = "undo")]
    print: bool,
    /// Take this server out of the client's config again; settings stay
    #[arg(long)]
    undo: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Print a text for AGENTS.md on when to delegate, and nothing else
    #[arg(long)]
    agents_md: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Client {
    /// Codex: writes its config.toml
    Codex,
    /// Claude Code: prints the command that adds this server
    ClaudeCode,
}

/// Why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error("{path}: {source}")]
    File {
        path: String,
        source: std::io::Error,
    },
    #[error("{0} is no valid TOML; correct it first: {1}")]
    Config(String, String),
    #[error("{0}")]
    Value(String),
    #[error("HOME is not set; name the files with --codex-config and --env-file")]
    NoHome,
    #[error("the variable {0} (--key-from) is not set")]
    NoKey(String),
}

impl SetupError {
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { path, source }
    }
}

/// Does it, or says what is missing.
pub(super) fn run(global: &GlobalOptions, arguments: &SetupArguments) -> ExitCode {
    if arguments.agents_md {
        say(AGENTS_TEXT.trim_end());
        return ExitCode::from(exit::OK);
    }
    match set_up(&global.sources(), arguments) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            eprintln!("mcp-codex-worker: {error}");
            ExitCode::from(exit::FAILED)
        }
    }
}

fn set_up(sources: &Sources, arguments: &SetupArguments) -> Result<(), SetupError> {
    let program = std::env::current_exe().map_err(SetupError::file(Path::new("this program")))?;
    if arguments.client == Client::ClaudeCode {
        let name = codex_config::SERVER;
        say(&if arguments.undo {
            format!("claude mcp remove {name}")
        } else {
            format!("claude mcp add {name} -- {} serve", program.display())
        });
    } else {
        let path = codex_config_path(sources, arguments)?;
        let before = read_or_empty(&path)?;
        let server = codex_config::Server {
            program: &program,
            // Codex hands on nothing but HOME and PATH, and where our own files lie may hang on more.
            variables: ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"]
                .into_iter()
                .filter(|name| sources.environment.contains_key(*name))
                .collect(),
            arguments: sources.arguments(),
        };
        let after = if arguments.undo {
            codex_config::without(&before)
        } else {
            codex_config::with(&before, &server)
        }
        .map_err(|error| SetupError::Config(path.display().to_string(), error))?;
        change(&path, &before, &after, arguments)?;
    }
    if arguments.undo {
        return Ok(());
    }
    let path = sources.env_file_path();
    let before = read_or_empty(&path)?;
    let values = values(sources, arguments)?;
    let after = env_file::with(&before, &values);
    // Shown without secrets; what cannot be used is found before anything is written.
    check(sources, &values)?;
    let masked: BTreeMap<&str, String> = values
        .iter()
        .map(|(name, value)| {
            let secret = setting(name).is_some_and(|setting| setting.secret);
            (
                *name,
                if secret {
                    "***".to_owned()
                } else {
                    value.clone()
                },
            )
        })
        .collect();
    if values.is_empty() {
        say(&format!("{} stays as it is", path.display()));
    } else if arguments.print || agreed(&path, &env_file::with("", &masked), arguments)? {
        if arguments.print {
            say(&format!(
                "# {}\n{}",
                path.display(),
                env_file::with("", &masked)
            ));
        } else {
            write_private(&path, &after)?;
            say(&format!("wrote {}", path.display()));
        }
    }
    if !arguments.print {
        say("Next: mcp-codex-worker doctor. For AGENTS.md: mcp-codex-worker setup --agents-md");
    }
    Ok(())
}

fn codex_config_path(sources: &Sources, arguments: &SetupArguments) -> Result<PathBuf, SetupError> {
    let folder = || {
        sources
            .environment
            .get("CODEX_HOME")
            .map(PathBuf::from)
            .or_else(|| sources.home.as_ref().map(|home| home.join(".codex")))
    };
    match &arguments.codex_config {
        Some(path) => Ok(path.clone()),
        None => folder()
            .map(|folder| folder.join("config.toml"))
            .ok_or(SetupError::NoHome),
    }
}

/// Shows the new text of a file, and writes it behind a backup.
fn change(
    path: &Path,
    before: &str,
    after: &str,
    arguments: &SetupArguments,
) -> Result<(), SetupError> {
    if before == after {
        say(&format!("{} stays as it is", path.display()));
        return Ok(());
    }
    let difference = similar::TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(1)
        .to_string();
    if arguments.print {
        say(&format!("# {}\n{difference}", path.display()));
        return Ok(());
    }
    if !agreed(path, &difference, arguments)? {
        return Ok(());
    }
    if !before.is_empty() {
        let mut backup = path.as_os_str().to_owned();
        backup.push(".before-mcp-codex-worker");
        let backup = PathBuf::from(backup);
        write_private(&backup, before)?;
        say(&format!("kept {}", backup.display()));
    }
    write_private(path, after)?;
    say(&format!("wrote {}", path.display()));
    Ok(())
}

/// Shows a change; asks where somebody is there to answer.
fn agreed(path: &Path, shown: &str, arguments: &SetupArguments) -> Result<bool, SetupError> {
    say(&format!("{}:\n\n{shown}", path.display()));
    if arguments.yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(SetupError::Value(
            "nobody is there to agree; give --yes to write it, or --print to only look".to_owned(),
        ));
    }
    let answer = ask("Write it? [y/N] ", false)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The values to write: from the flags, and, where somebody is there, asked for when nothing else sets them.
fn values(
    sources: &Sources,
    arguments: &SetupArguments,
) -> Result<BTreeMap<&'static str, String>, SetupError> {
    let mut values = BTreeMap::new();
    if let Some(root) = &arguments.root {
        let root = std::path::absolute(root).map_err(SetupError::file(root))?;
        values.insert("SANDBOX_ROOT", root.display().to_string());
    }
    if let Some(url) = &arguments.gateway {
        values.insert("ONEAPI_BASE_URL", url.clone());
    }
    if let Some(name) = &arguments.key_from {
        let key = sources
            .environment
            .get(name)
            .ok_or_else(|| SetupError::NoKey(name.clone()))?;
        values.insert("ONEAPI_API_KEY", key.clone());
    }
    if let Some(model) = &arguments.model {
        values.insert("CLAUDE_MODEL", model.clone());
    }
    let interactive = !arguments.yes && !arguments.print && std::io::stdin().is_terminal();
    if interactive {
        let there = Settings::load(sources).map(|settings| settings.origins);
        for name in ASKED {
            let known = there.as_ref().is_ok_and(|origins| {
                origins.contains_key(name)
                    || origins.contains_key(name.replace("ONEAPI", "ANTHROPIC").as_str())
            });
            if known || values.contains_key(name) {
                continue;
            }
            let Some(setting) = setting(name) else {
                continue;
            };
            let answer = ask(&format!("{}\n{name}: ", setting.doc), setting.secret)?;
            if !answer.trim().is_empty() {
                values.insert(name, answer.trim().to_owned());
            }
        }
    }
    Ok(values)
}

/// Whether the settings would load with these values.
fn check(sources: &Sources, values: &BTreeMap<&'static str, String>) -> Result<(), SetupError> {
    let mut with = sources.clone();
    for (name, value) in values {
        with.environment.insert((*name).to_owned(), value.clone());
    }
    Settings::load(&with)
        .map(drop)
        .map_err(|error| SetupError::Value(error.to_string()))
}

fn ask(question: &str, hidden: bool) -> Result<String, SetupError> {
    let fault = SetupError::file(Path::new("the terminal"));
    let mut out = std::io::stdout();
    let _ = write!(out, "{question}");
    let _ = out.flush();
    let mut line = String::new();
    let read = {
        let _silence = hidden.then(Silence::begin);
        std::io::stdin().lock().read_line(&mut line)
    };
    if hidden {
        let _ = writeln!(out);
    }
    read.map_err(fault)?;
    Ok(line)
}

/// The terminal does not show what is typed while this lives.
#[cfg(unix)]
struct Silence(Option<rustix::termios::Termios>);

#[cfg(unix)]
impl Silence {
    fn begin() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(mut quiet) = before.clone() {
            quiet.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &quiet);
        }
        Self(before)
    }
}

#[cfg(unix)]
impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let now = rustix::termios::OptionalActions::Now;
            let _ = rustix::termios::tcsetattr(std::io::stdin(), now, before);
        }
    }
}

#[cfg(not(unix))]
struct Silence;

#[cfg(not(unix))]
impl Silence {
    fn begin() -> Self {
        Self
    }
}

fn read_or_empty(path: &Path) -> Result<String, SetupError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(SetupError::file(path)(error)),
    }
}

/// Writes a file for the owner's eyes, whole or not at all. A link is followed: people keep their configs elsewhere.
fn write_private(path: &Path, text: &str) -> Result<(), SetupError> {
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().ok_or(SetupError::NoHome)?;
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(".mcp-codex-worker-")
            .tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&target).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(SetupError::file(&target))
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
