//! Our entry in the JSON configuration of other clients; comments and everything else there stay as they are.

use std::path::PathBuf;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstRootNode};

use super::codex_config::{SERVER, TOOL_TIMEOUT_S};
use super::program::Program;
use settings::Sources;

/// A client that keeps its servers in a JSON file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonClient {
    VsCode,
    Cursor,
    Gemini,
}

/// The reason why the text cannot be changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum JsonConfigError {
    #[error("{0}")]
    Syntax(String),
    #[error("{0} is not an object")]
    NoObject(&'static str),
}

impl JsonClient {
    /// The user's own file (each client's documentation: VS Code `mcp.json` in the user folder, Cursor `~/.cursor/mcp.json`,
    /// Gemini CLI `~/.gemini/settings.json`).
    pub(super) fn path(self, sources: &Sources) -> Option<PathBuf> {
        let home = sources.home.as_ref();
        match self {
            Self::Cursor => home.map(|home| home.join(".cursor/mcp.json")),
            Self::Gemini => home.map(|home| home.join(".gemini/settings.json")),
            Self::VsCode if cfg!(windows) => sources
                .environment
                .get("APPDATA")
                .map(|folder| PathBuf::from(folder).join("Code/User/mcp.json")),
            Self::VsCode if cfg!(target_os = "macos") => {
                home.map(|home| home.join("Library/Application Support/Code/User/mcp.json"))
            }
            Self::VsCode => sources
                .environment
                .get("XDG_CONFIG_HOME")
                .map(PathBuf::from)
                .or_else(|| home.map(|home| home.join(".config")))
                .map(|folder| folder.join("Code/User/mcp.json")),
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::VsCode => "servers",
            Self::Cursor | Self::Gemini => "mcpServers",
        }
    }

    fn entry(self, program: &Program<'_>) -> CstInputValue {
        let mut arguments: Vec<CstInputValue> = program
            .arguments
            .iter()
            .map(|argument| argument.to_string_lossy().into_owned().into())
            .collect();
        arguments.push("serve".into());
        let mut entry: Vec<(String, CstInputValue)> = vec![
            ("command".into(), program.path.display().to_string().into()),
            ("args".into(), CstInputValue::Array(arguments)),
        ];
        match self {
            Self::VsCode => entry.insert(0, ("type".into(), "stdio".into())),
            Self::Cursor => {}
            // Milliseconds; its own default ends a call after ten minutes.
            Self::Gemini => entry.push((
                "timeout".into(),
                CstInputValue::Number((TOOL_TIMEOUT_S * 1_000).to_string()),
            )),
        }
        CstInputValue::Object(entry)
    }

    /// The text with our entry in it. One that is there is made anew.
    pub(super) fn with(self, text: &str, program: &Program<'_>) -> Result<String, JsonConfigError> {
        let root = parse(text)?;
        let object = root
            .object_value_or_create()
            .ok_or(JsonConfigError::NoObject("the whole"))?;
        let servers = object
            .object_value_or_create(self.table())
            .ok_or(JsonConfigError::NoObject(self.table()))?;
        let entry = self.entry(program);
        match servers.get(SERVER) {
            Some(ours) => ours.set_value(entry),
            None => drop(servers.append(SERVER, entry)),
        }
        Ok(ended(text, root.to_string()))
    }

    /// The text without our entry.
    pub(super) fn without(self, text: &str) -> Result<String, JsonConfigError> {
        let root = parse(text)?;
        let Some(servers) = root
            .object_value()
            .and_then(|object| object.object_value(self.table()))
        else {
            return Ok(text.to_owned());
        };
        let Some(ours) = servers.get(SERVER) else {
            return Ok(text.to_owned());
        };
        ours.remove();
        if servers.properties().is_empty()
            && let Some(table) = root
                .object_value()
                .and_then(|object| object.get(self.table()))
        {
            table.remove();
        }
        Ok(root.to_string())
    }
}

fn parse(text: &str) -> Result<CstRootNode, JsonConfigError> {
    CstRootNode::parse(text, &ParseOptions::default())
        .map_err(|error| JsonConfigError::Syntax(error.to_string()))
}

/// A file of our own making ends with a line break; another ends as it did.
fn ended(before: &str, after: String) -> String {
    if before.trim().is_empty() && !after.ends_with('\n') {
        after + "\n"
    } else {
        after
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    const CLIENTS: [JsonClient; 3] = [JsonClient::VsCode, JsonClient::Cursor, JsonClient::Gemini];

    fn program() -> Program<'static> {
        Program {
            path: Path::new("/opt/bin/mcp-codex-worker"),
            arguments: Vec::new(),
            variables: &[],
        }
    }

    #[test]
    fn our_entry_comes_and_goes_and_comments_stay() {
        for client in CLIENTS {
            let table = client.table();
            let theirs = format!(
                "{{\n  // mine\n  \"theme\": \"dark\", /* the good one */\n  \"{table}\": {{\n    \"other\": {{ \"command\": \"x\" }},\n  }},\n}}\n"
            );
            let with = client.with(&theirs, &program()).unwrap();
            assert!(
                with.contains("// mine") && with.contains("/* the good one */"),
                "{with}"
            );
            assert!(with.contains("\"other\": { \"command\": \"x\" }"), "{with}");
            assert!(
                with.contains(SERVER) && with.contains("\"serve\""),
                "{with}"
            );
            assert_eq!(
                client.with(&with, &program()).unwrap(),
                with,
                "twice is once"
            );
            let without = client.without(&with).unwrap();
            assert!(!without.contains(SERVER), "{without}");
            assert!(
                without.contains("\"other\": { \"command\": \"x\" }"),
                "{without}"
            );
            assert_eq!(client.without(&theirs).unwrap(), theirs);
        }
    }

    #[test]
    fn a_file_that_is_not_there_yet_holds_only_us() {
        for client in CLIENTS {
            let with = client.with("", &program()).unwrap();
            let read: serde_json::Value = serde_json::from_str(&with).unwrap();
            assert_eq!(
                read[client.table()][SERVER]["command"],
                "/opt/bin/mcp-codex-worker"
            );
            let without = client.without(&with).unwrap();
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&without).unwrap(),
                serde_json::json!({})
            );
        }
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        for text in ["{", "[1]", "{\"mcpServers\": 3, \"servers\": []}"] {
            for client in CLIENTS {
                assert!(client.with(text, &program()).is_err(), "{text}");
            }
        }
    }
}
