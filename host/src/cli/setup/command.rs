//! The subcommand `setup`: asks, shows, writes; and takes back with `--undo`.

use std::path::Path;
use std::process::ExitCode;

use super::arguments::{Client, SetupArguments};
use super::client_config::{agreed, json_client, say};
use super::error::SetupError;
use super::json_config::JsonClient;
use super::program::Program;
use super::questions::{self, Values};
use super::{env_file, install};
use crate::cli::terminal::complain;
use crate::cli::{GlobalOptions, exit};
use settings::{EditedFile, Settings, Sources, setting};
use signing::SigningKey;

/// The text for AGENTS.md, so that Codex delegates what is worth it.
const AGENTS_TEXT: &str = include_str!("agents.md");

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
    let path = std::env::current_exe().map_err(SetupError::file(Path::new("this program")))?;
    let writes = !arguments.undo && !arguments.print;
    if writes && path.iter().any(|part| part == "_npx") {
        return Err(SetupError::Npx);
    }
    // Everything is asked, and what cannot be used is found, before anything is written.
    let values = if arguments.undo {
        Values::new()
    } else {
        questions::values(sources, arguments)?
    };
    check(sources, &values)?;
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

/// Returns true if the settings would load with these values.
fn check(sources: &Sources, values: &Values) -> Result<(), SetupError> {
    Settings::load(&questions::with(sources, values))?;
    Ok(())
}
