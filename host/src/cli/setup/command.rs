//! The subcommand `setup`: asks, shows, writes; and takes back with `--undo`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::json_config::{self, JsonClient};
use super::program::Program;
use super::questions::{self, Values};
use super::{codex_config, env_file, install};
use crate::cli::terminal::complain;
use crate::cli::{GlobalOptions, exit};
use settings::{EditedFile, Settings, Sources, setting};
use signing::SigningKey;

/// The text for AGENTS.md, so that Codex delegates what is worth it.
const AGENTS_TEXT: &str = include_str!("agents.md");

/// The arguments of `setup`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SetupArguments {
    /// The client to set up
    #[arg(long, value_enum, default_value_t = Client::Codex)]
    pub(super) client: Client,
    /// Directory that holds your repositories (SANDBOX_ROOT)
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
    /// Gateway URL (ONEAPI_BASE_URL)
    #[arg(long, value_name = "URL")]
    pub(super) gateway: Option<String>,
    /// Name of the variable that holds the gateway's key; the key itself is never an argument
    #[arg(long, value_name = "NAME")]
    pub(super) key_from: Option<String>,
    /// The gateway's model (CLAUDE_MODEL)
    #[arg(long)]
    pub(super) model: Option<String>,
    /// The client's config file instead of the user's own; Codex then gets a table there and no plugin
    #[arg(long, alias = "codex-config", value_name = "FILE")]
    pub(super) client_config: Option<PathBuf>,
    /// Only print what would be written
    #[arg(long, conflicts_with = "undo")]
    pub(super) print: bool,
    /// Remove this server from the client's config; the settings stay
    #[arg(long)]
    pub(super) undo: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Print a text for AGENTS.md on when to delegate, and nothing else
    #[arg(long)]
    pub(super) agents_md: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Client {
    /// Codex: installs a plugin (server, skill, hooks that wake a session); a table in config.toml where it knows no plugins
    Codex,
    /// Claude Code: installs the same plugin
    ClaudeCode,
    /// VS Code: writes its mcp.json
    Vscode,
    /// Cursor: writes its mcp.json
    Cursor,
    /// Gemini CLI: writes its settings.json
    Gemini,
}

/// The reason why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("{path}: {source}")]
    File {
        path: String,
        source: std::io::Error,
    },
    #[error("{0} is no valid TOML; correct it first: {1}")]
    Config(String, codex_config::ConfigError),
    #[error(transparent)]
    Folder(#[from] questions::FolderError),
    #[error(transparent)]
    Key(#[from] signing::KeyError),
    #[error(transparent)]
    Settings(#[from] settings::SettingsError),
    #[error("there is no terminal to ask on: give --yes to write it, or --print to only look")]
    NobodyAgrees,
    #[error("{0} cannot be read as JSON; correct it first: {1}")]
    Json(String, json_config::JsonConfigError),
    #[error("{command}: {reason}")]
    Client { command: String, reason: String },
    #[error("HOME is not set; name the files with --client-config and --env-file")]
    NoHome,
    #[error("the variable {0} (--key-from) is not set")]
    NoKey(String),
}

impl SetupError {
    pub(super) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { path, source }
    }
}

/// Does it, or says what is missing.
pub(in crate::cli) fn run(global: &GlobalOptions, arguments: &SetupArguments) -> ExitCode {
    if arguments.agents_md {
        say(AGENTS_TEXT.trim_end());
        return ExitCode::from(exit::OK);
    }
    match set_up(&global.sources(), arguments) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            complain(format_args!("mcp-codex-worker: {error}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

fn set_up(sources: &Sources, arguments: &SetupArguments) -> Result<(), SetupError> {
    // Everything is asked, and what cannot be used is found, before anything is written.
    let values = if arguments.undo {
        Values::new()
    } else {
        questions::values(sources, arguments)?
    };
    check(sources, &values)?;
    let path = std::env::current_exe().map_err(SetupError::file(Path::new("this program")))?;
    // Codex hands on nothing but HOME and PATH, and where our own files lie may hang on more.
    let variables: Vec<&'static str> = ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"]
        .into_iter()
        .filter(|name| sources.environment.contains_key(*name))
        .collect();
    let program = Program {
        path: &path,
        arguments: sources.arguments(),
        variables: &variables,
    };
    match arguments.client {
        Client::ClaudeCode => install::claude_code(sources, arguments, &program)?,
        Client::Codex => install::codex(sources, arguments, &program)?,
        Client::Vscode => json_client(JsonClient::VsCode, sources, arguments, &program)?,
        Client::Cursor => json_client(JsonClient::Cursor, sources, arguments, &program)?,
        Client::Gemini => json_client(JsonClient::Gemini, sources, arguments, &program)?,
    }
    if arguments.undo {
        return Ok(());
    }
    settings(sources, &values, arguments)?;
    signing_key(sources, &values, arguments)?;
    if !arguments.print {
        say(
            "\nNext: mcp-codex-worker doctor --network. For AGENTS.md: mcp-codex-worker setup --agents-md",
        );
    }
    Ok(())
}

/// Our table in Codex's config: in, or out again.
pub(super) fn codex_table(
    sources: &Sources,
    arguments: &SetupArguments,
    program: &Program<'_>,
) -> Result<(), SetupError> {
    let path = codex_config_path(sources, arguments)?;
    let file = EditedFile::open(&path).map_err(SetupError::file(&path))?;
    let before = file.text();
    let after = if arguments.undo {
        codex_config::without(before)
    } else {
        codex_config::with(before, program)
    }
    .map_err(|error| SetupError::Config(path.display().to_string(), error))?;
    let theirs = codex_config::without(before).is_ok_and(|text| text == before);
    change(&path, &file, &after, theirs, arguments)
}

/// Our entry in the JSON file of a client: in, or out again.
fn json_client(
    client: JsonClient,
    sources: &Sources,
    arguments: &SetupArguments,
    program: &Program<'_>,
) -> Result<(), SetupError> {
    let path = match &arguments.client_config {
        Some(path) => path.clone(),
        None => client.path(sources).ok_or(SetupError::NoHome)?,
    };
    let file = EditedFile::open(&path).map_err(SetupError::file(&path))?;
    let before = file.text();
    let failed = |error| SetupError::Json(path.display().to_string(), error);
    let after = if arguments.undo {
        client.without(before)
    } else {
        client.with(before, program)
    }
    .map_err(failed)?;
    let theirs = client.without(before).is_ok_and(|text| text == before);
    change(&path, &file, &after, theirs, arguments)
}

/// The settings that a first job needs, in our `.env`; shown without secrets.
fn settings(
    sources: &Sources,
    values: &Values,
    arguments: &SetupArguments,
) -> Result<(), SetupError> {
    let path = sources.env_file_path();
    let file = EditedFile::open(&path).map_err(SetupError::file(&path))?;
    let before = file.text();
    let after = env_file::with(before, values);
    if before == after {
        say(&format!("{} stays as it is", path.display()));
        return Ok(());
    }
    let masked: Values = values
        .iter()
        .map(|(name, value)| match setting(name) {
            Some(setting) if setting.secret => (*name, "***".to_owned()),
            _ => (*name, value.clone()),
        })
        .collect();
    let shown = env_file::with("", &masked);
    if arguments.print {
        say(&format!("# {}\n{shown}", path.display()));
    } else if agreed(&path, &shown, arguments)? {
        file.write_private(&after)
            .map_err(SetupError::file(&path))?;
        say(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// The key that signs the statements of jobs, made once; its public half beside it, for whoever checks them.
fn signing_key(
    sources: &Sources,
    values: &Values,
    arguments: &SetupArguments,
) -> Result<(), SetupError> {
    let path = Settings::load(&questions::with(sources, values))?.signing_key;
    let public = path.with_extension("pub");
    let there = path.exists();
    if arguments.print {
        if !there {
            say(&format!(
                "# {}: a new Ed25519 key, which signs the statements of jobs",
                path.display()
            ));
        }
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        private::make_folder(folder).map_err(SetupError::file(folder))?;
    }
    let key = SigningKey::read_or_create(&path)?.public();
    if !public.exists() {
        std::fs::write(&public, key.to_pem()).map_err(SetupError::file(&public))?;
    }
    if !there {
        say(&format!(
            "wrote {} (signs the statements of jobs; its public key is {key})",
            path.display()
        ));
    }
    Ok(())
}

pub(super) fn codex_config_path(
    sources: &Sources,
    arguments: &SetupArguments,
) -> Result<PathBuf, SetupError> {
    let folder = || {
        sources
            .environment
            .get("CODEX_HOME")
            .map(PathBuf::from)
            .or_else(|| sources.home.as_ref().map(|home| home.join(".codex")))
    };
    match &arguments.client_config {
        Some(path) => Ok(path.clone()),
        None => folder()
            .map(|folder| folder.join("config.toml"))
            .ok_or(SetupError::NoHome),
    }
}

/// Shows the new text of a file, and writes it behind a backup.
///
/// `theirs` says that nothing of it is ours yet.
fn change(
    path: &Path,
    file: &EditedFile,
    after: &str,
    theirs: bool,
    arguments: &SetupArguments,
) -> Result<(), SetupError> {
    let before = file.text();
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
    // What was there before us, once: what we wrote ourselves is taken out again without a copy.
    if theirs && !before.is_empty() {
        let mut backup = path.as_os_str().to_owned();
        backup.push(".before-mcp-codex-worker");
        let backup = PathBuf::from(backup);
        write_copy(&backup, file.bytes()).map_err(SetupError::file(&backup))?;
        say(&format!("kept {}", backup.display()));
    }
    file.write(after).map_err(SetupError::file(path))?;
    say(&format!("wrote {}", path.display()));
    Ok(())
}

/// Shows a change; asks where somebody is there to answer.
pub(super) fn agreed(
    path: &Path,
    shown: &str,
    arguments: &SetupArguments,
) -> Result<bool, SetupError> {
    say(&format!("{}:\n\n{shown}", path.display()));
    if arguments.yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(SetupError::NobodyAgrees);
    }
    questions::agreed("Write it?")
}

/// Returns true if the settings would load with these values.
fn check(sources: &Sources, values: &Values) -> Result<(), SetupError> {
    Settings::load(&questions::with(sources, values))?;
    Ok(())
}

/// Writes a copy for the owner's eyes.
fn write_copy(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = private::file();
    options.write(true).create(true).truncate(true);
    options.open(path)?.write_all(bytes)
}

pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
