//! The caller of a tool, as far as its call and its process say.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use job::Asker;

/// The longest name of a session, in bytes; clients use UUIDs.
const SESSION_MAX: usize = 200;

/// The caller, and its folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Caller {
    workspace: Option<PathBuf>,
    session: Option<String>,
    is_codex: bool,
}

impl Caller {
    /// The caller of a request with this `_meta`. Codex tells its workspaces there (`x-codex-turn-metadata.workspaces`, a
    /// directory each, measured with 0.169 and 0.171); other clients start their servers in the directory they work in.
    pub(super) fn of(meta: &Map<String, Value>) -> Self {
        let turn = meta.get("x-codex-turn-metadata");
        let session = turn
            .and_then(|turn| turn.get("session_id"))
            .and_then(Value::as_str)
            .filter(|session| session.len() <= SESSION_MAX)
            .map(str::to_owned);
        let workspaces = turn
            .and_then(|turn| turn.get("workspaces"))
            .and_then(Value::as_object);
        let told = match workspaces {
            // Of several, which one is meant is the planner's to say.
            Some(workspaces) if workspaces.len() == 1 => workspaces.keys().next(),
            Some(workspaces) if workspaces.len() > 1 => {
                return Self {
                    session,
                    is_codex: true,
                    ..Self::default()
                };
            }
            _ => None,
        };
        let told = told.map(PathBuf::from);
        Self {
            workspace: told
                .or_else(|| std::env::current_dir().ok())
                .filter(|folder| folder.is_absolute()),
            session,
            is_codex: turn.is_some(),
        }
    }

    /// Returns true if Codex calls: it describes its turn in every call.
    pub(super) fn is_codex(&self) -> bool {
        self.is_codex
    }

    /// The session that is woken when a job of this call ends. The client is the process that
    /// started this server.
    pub(super) fn asker(&self) -> Asker {
        Asker {
            session: self.session.clone(),
            processes: process::ancestors().into_iter().take(1).collect(),
            workspace: self.workspace.clone(),
        }
    }

    /// The directory that the caller works in, where there is one and no doubt which.
    pub(super) fn workspace(&self) -> Option<&Path> {
        self.workspace.as_deref()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn workspace(meta: &Value) -> Option<PathBuf> {
        Caller::of(meta.as_object().unwrap())
            .workspace()
            .map(Path::to_owned)
    }

    #[test]
    fn codex_says_where_it_works_and_other_clients_start_us_there() {
        let here = std::env::current_dir().ok();
        let one =
            json!({"x-codex-turn-metadata": {"workspaces": {"/w/a": {"has_changes": false}}}});
        let two = json!({"x-codex-turn-metadata": {"workspaces": {"/w/a": {}, "/w/b": {}}}});
        for (meta, wanted) in [
            (one, Some(PathBuf::from("/w/a"))),
            (two, None),
            (
                json!({"x-codex-turn-metadata": {"workspaces": {}}}),
                here.clone(),
            ),
            (json!({"x-codex-turn-metadata": 7}), here.clone()),
            (json!({}), here),
            (
                json!({"x-codex-turn-metadata": {"workspaces": {"relative": {}}}}),
                None,
            ),
        ] {
            assert_eq!(workspace(&meta), wanted, "{meta}");
        }
    }
}
