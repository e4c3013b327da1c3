//! The config files of clients: shown, agreed to, and written behind a backup.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::arguments::SetupArguments;
use super::error::SetupError;
use super::json_config::JsonClient;
use super::program::Program;
use super::{codex_config, questions};
use settings::{EditedFile, Sources};

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
pub(super) fn json_client(
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

/// Writes a copy for the owner's eyes.
fn write_copy(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = private::file();
    options.write(true).create(true).truncate(true);
    options.open(path)?.write_all(bytes)
}

pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
