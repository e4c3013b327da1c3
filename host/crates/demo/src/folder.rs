//! The folder of a demonstration, and the server that is started there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use tempfile::TempDir;

use super::gateway::ScriptedGateway;
use settings::{SETTINGS, Settings};

/// A folder with a root, a project, a job store and settings of its own, gone with this unless it is kept.
pub struct Folder {
    path: PathBuf,
    own: TempDir,
}

impl Folder {
    /// An empty one; `what` it is for stands in its name.
    pub fn create(what: &str) -> io::Result<Self> {
        let own = tempfile::Builder::new()
            .prefix(&format!("mcp-codex-worker-{what}-"))
            .tempdir()?;
        // The system's temporary folder may be a symlink, and jobs name resolved paths.
        let path = fs::canonicalize(own.path())?;
        let folder = Self { path, own };
        fs::create_dir_all(folder.project())?;
        for path in [folder.no_env_file(), folder.no_config()] {
            fs::write(path, "")?;
        }
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SANDBOX_ROOT.
    fn root(&self) -> PathBuf {
        self.path.join("work")
    }

    /// The folder of the project.
    pub fn project(&self) -> PathBuf {
        self.root().join("cart")
    }

    fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// A line for each gateway request.
    pub(super) fn metrics(&self) -> PathBuf {
        self.path.join("requests.metrics.jsonl")
    }

    /// Empty files in the place of the user's, so that what is scripted is the same for everyone.
    fn no_env_file(&self) -> PathBuf {
        self.path.join("empty.env")
    }

    fn no_config(&self) -> PathBuf {
        self.path.join("empty.toml")
    }

    /// Stays, and is the caller's from now on.
    pub(super) fn leave(mut self) -> PathBuf {
        self.own.disable_cleanup(true);
        self.path
    }

    /// This program's `serve`, as Codex would start it here; with a scripted gateway nothing of the user's settings counts.
    pub fn serve(
        &self,
        settings: &Settings,
        gateway: Option<&ScriptedGateway>,
        claude: &Path,
    ) -> io::Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        let mut set = vec![
            ("SANDBOX_ROOT", self.root().display().to_string()),
            ("WORKER_STATE_DIR", self.state().display().to_string()),
            ("WORKER_CACHE_DIR", settings.cache_dir.display().to_string()),
            ("WORKER_METRICS_FILE", self.metrics().display().to_string()),
            ("WORKER_CLAUDE_BIN", claude.display().to_string()),
        ];
        match gateway {
            None => {
                command.args(settings.sources.arguments());
            }
            Some(gateway) => {
                for setting in SETTINGS {
                    command.env_remove(setting.name);
                }
                command
                    .arg("--env-file")
                    .arg(self.no_env_file())
                    .arg("--config")
                    .arg(self.no_config());
                command.env("ONEAPI_API_KEY", "demo-no-key");
                set.push(("ONEAPI_BASE_URL", gateway.base_url()));
                set.push(("CLAUDE_MODEL", "scripted-model".into()));
            }
        }
        for (name, value) in set {
            command.arg("--set").arg(format!("{name}={value}"));
        }
        command.arg("serve").current_dir(self.root());
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt as _;
            // As Codex does; so Ctrl-C reaches the demo alone, which cancels the job first.
            command.process_group(0);
        }
        Ok(command)
    }
}
