//! Our table in Codex's config.toml; everything else there stays as it is, comments included.

use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::program::Program;

/// The name that Codex shows its model.
pub(in crate::cli) const SERVER: &str = "codex_async_worker";

/// Seconds that a call may last: as long as a job.
pub(super) const TOOL_TIMEOUT_S: i64 = 3600;

/// Seconds until the server must have answered the first message.
pub(super) const STARTUP_TIMEOUT_S: i64 = 30;

/// Milliseconds that a `wait` lasts: below the time-out of a call.
pub(super) const WAIT_MS: &str = "1800000";

/// The reason why a config of Codex cannot be edited.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error("{}", .0.message())]
    Toml(#[from] toml_edit::TomlError),
    #[error("{0} is not a table")]
    NoTable(String),
}

/// The text with our table in it. What somebody changed or added in an earlier one stays.
pub(super) fn with(text: &str, program: &Program<'_>) -> Result<String, ConfigError> {
    let mut config: DocumentMut = text.parse()?;
    let servers = config
        .entry("mcp_servers")
        .or_insert_with(|| {
            let mut servers = Table::new();
            servers.set_implicit(true);
            Item::Table(servers)
        })
        .as_table_like_mut()
        .ok_or_else(|| ConfigError::NoTable("mcp_servers".to_owned()))?;
    let table = servers
        .entry(SERVER)
        .or_insert_with(|| Item::Table(Table::new()))
        .as_table_like_mut()
        .ok_or_else(|| ConfigError::NoTable(format!("mcp_servers.{SERVER}")))?;

    let mut arguments: Array = program
        .arguments
        .iter()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    arguments.push("serve");
    table.insert("command", value(program.path.display().to_string()));
    table.insert("args", value(arguments));
    let mut keep = |key: &str, item: Item| {
        table.entry(key).or_insert(item);
    };
    keep("startup_timeout_sec", value(STARTUP_TIMEOUT_S));
    keep("tool_timeout_sec", value(TOOL_TIMEOUT_S));
    keep("supports_parallel_tool_calls", value(true));
    if !program.variables.is_empty() {
        keep(
            "env_vars",
            value(program.variables.iter().copied().collect::<Array>()),
        );
    }
    let mut environment = Table::new();
    environment.insert("WAIT_DEFAULT_MS", value(WAIT_MS));
    keep("env", Item::Table(environment));
    Ok(config.to_string())
}

/// The text without our table.
pub(super) fn without(text: &str) -> Result<String, ConfigError> {
    let mut config: DocumentMut = text.parse()?;
    if let Some(servers) = config
        .get_mut("mcp_servers")
        .and_then(Item::as_table_like_mut)
    {
        servers.remove(SERVER);
        if servers.is_empty() {
            config.remove("mcp_servers");
        }
    }
    Ok(config.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const THEIRS: &str =
        "# mine\nmodel = \"gpt-5.5\" # the good one\n\n[mcp_servers.other]\ncommand = \"x\"\n";

    fn server() -> Program<'static> {
        Program {
            path: std::path::Path::new("/opt/bin/mcp-codex-worker"),
            variables: &["XDG_CONFIG_HOME"],
            arguments: Vec::new(),
        }
    }

    #[test]
    fn our_table_comes_and_goes_and_theirs_stay() {
        for before in ["", THEIRS] {
            let after = with(before, &server()).unwrap();
            assert!(after.starts_with(before), "{after}");
            let read: toml::Table = after.parse().unwrap();
            let ours = &read["mcp_servers"][SERVER];
            assert_eq!(ours["command"].as_str(), Some("/opt/bin/mcp-codex-worker"));
            assert_eq!(ours["tool_timeout_sec"].as_integer(), Some(3600));
            assert_eq!(ours["env"]["WAIT_DEFAULT_MS"].as_str(), Some(WAIT_MS));
            assert_eq!(without(&after).unwrap().trim_end(), before.trim_end());
        }
    }

    #[test]
    fn a_second_run_changes_the_program_and_keeps_what_was_tuned() {
        let tuned = with(THEIRS, &server())
            .unwrap()
            .replace("tool_timeout_sec = 3600", "tool_timeout_sec = 900 # enough");
        assert_eq!(with(&tuned, &server()).unwrap(), tuned);
        let moved = Program {
            path: std::path::Path::new("/new/place"),
            ..server()
        };
        let moved = with(&tuned, &moved).unwrap();
        assert!(moved.contains("/new/place") && moved.contains("900 # enough"));
    }

    #[test]
    fn a_windows_path_is_read_as_it_was_written() {
        let path = r"C:\new\tools\mcp-codex-worker.exe";
        let server = Program {
            path: std::path::Path::new(path),
            ..server()
        };
        let written: toml::Table = with("", &server).unwrap().parse().unwrap();
        assert_eq!(
            written["mcp_servers"][SERVER]["command"].as_str(),
            Some(path)
        );
    }

    #[test]
    fn what_is_no_config_is_left_alone() {
        assert!(with("model = ", &server()).is_err());
        assert!(with("mcp_servers = 3", &server()).is_err());
    }
}
