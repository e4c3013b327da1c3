//! The user's identity for git.

use super::Workspace;

/// The name and the address under which git would commit in a working tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitIdentity {
    /// `user.name`.
    pub name: Option<String>,
    /// `user.email`.
    pub email: Option<String>,
}

impl GitIdentity {
    /// Reads the configuration of the user, of the system and of the repository, the repository's last. What cannot be
    /// read counts as not set.
    pub fn of(workspace: &Workspace) -> Self {
        let Ok(mut config) = git2::Config::open_default() else {
            return Self::default();
        };
        let own = workspace.git_dir().join("config");
        if own.is_file() {
            // A file that git could not read either adds nothing.
            let _ = config.add_file(&own, git2::ConfigLevel::Local, false);
        }
        let get = |name: &str| {
            let value = config.get_string(name).ok()?;
            let plain = !value.is_empty() && !value.chars().any(char::is_control);
            plain.then_some(value)
        };
        Self {
            name: get("user.name"),
            email: get("user.email"),
        }
    }

    /// The identity as a git configuration file; none where there is nothing to say.
    pub fn to_config(&self) -> Option<String> {
        let quoted =
            |value: &str| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
        let lines: String = [("name", &self.name), ("email", &self.email)]
            .into_iter()
            .filter_map(|(key, value)| Some(format!("\t{key} = {}\n", quoted(value.as_deref()?))))
            .collect();
        (!lines.is_empty()).then(|| format!("[user]\n{lines}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for name in ["Ada", "O'Neill \"Bob\" \\ Co; # x", "Łukasz  two"] {
            let identity = GitIdentity {
                name: Some(name.to_owned()),
                email: Some("ada@example.org".to_owned()),
            };
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("config");
            std::fs::write(&file, identity.to_config().unwrap()).unwrap();
            let config = git2::Config::open(&file).unwrap();
            assert_eq!(config.get_string("user.name").unwrap(), name);
            assert_eq!(config.get_string("user.email").unwrap(), "ada@example.org");
        }
        assert_eq!(GitIdentity::default().to_config(), None);
    }
}
