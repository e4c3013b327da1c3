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
    reach: Reach,
    form: ResultForm,
}

/// The way on which a client reaches this server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Reach {
    /// It started this process, in the directory that it works in, and is its parent.
    #[default]
    Parent,
    /// It called over HTTP: nothing of this process is the client's.
    Http,
}

/// The parts of a result that reach the model of a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ResultForm {
    /// The texts, or the structure beside them that says the same.
    #[default]
    Any,
    /// The structure alone where there is one, as compact JSON; the texts only where there is none. Codex, measured with 0.169
    /// to 0.171.
    StructureFirst,
}

impl Caller {
    /// The caller of a request with this `_meta`. Codex tells its workspaces there (`x-codex-turn-metadata.workspaces`, a
    /// directory each, measured with 0.169 and 0.171); other clients start their servers in the directory they work in.
    pub(super) fn of(meta: &Map<String, Value>, reach: Reach) -> Self {
        // Codex describes its turn in every call.
        let turn = meta.get("x-codex-turn-metadata");
        let form = match turn {
            Some(_) => ResultForm::StructureFirst,
            None => ResultForm::Any,
        };
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
                    reach,
                    form,
                    ..Self::default()
                };
            }
            _ => None,
        };
        let told = told.map(PathBuf::from);
        Self {
            workspace: told
                .or_else(|| match reach {
                    Reach::Parent => std::env::current_dir().ok(),
                    Reach::Http => None,
                })
                .filter(|folder| folder.is_absolute()),
            session,
            reach,
            form,
        }
    }

    /// The parts of a result that its client shows to the model.
    pub(super) fn result_form(&self) -> ResultForm {
        self.form
    }

    /// The session that is woken when a job of this call ends. The client is the process that
    /// started this server, where one did.
    pub(super) fn asker(&self) -> Asker {
        Asker {
            session: self.session.clone(),
            processes: match self.reach {
                Reach::Parent => process::parent().into_iter().collect(),
                Reach::Http => Vec::new(),
            },
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
        Caller::of(meta.as_object().unwrap(), Reach::Parent)
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

    #[test]
    fn over_http_nothing_of_this_process_is_the_clients() {
        let caller = |meta: Value| Caller::of(meta.as_object().unwrap(), Reach::Http);
        let unknown = caller(json!({}));
        assert_eq!(unknown.workspace(), None);
        assert!(!unknown.asker().is_known());
        let codex =
            caller(json!({"x-codex-turn-metadata": {"session_id": "s", "workspaces": {"/w": {}}}}));
        assert_eq!(codex.workspace(), Some(Path::new("/w")));
        assert_eq!(codex.asker().session.as_deref(), Some("s"));
        assert!(codex.asker().processes.is_empty());
    }
}
