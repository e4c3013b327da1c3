//! Runs the binary under test with settings, a home and a store of its own.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use demo::mcp_client::{McpClient, ToolReply};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::gateway::ScriptedGateway;
use crate::{Repository, StandIn, clients};

/// The time that a step with real clients may take on a busy machine before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The binary under test and what it is told through its environment.
pub struct Worker {
    binary: PathBuf,
    home: TempDir,
    settings: BTreeMap<String, String>,
}

impl Worker {
    /// `binary` is `env!("CARGO_BIN_EXE_mcp-codex-worker")`. Works in the repository's root, on the gateway, with the
    /// pinned Claude Code.
    pub fn new(binary: &str, repository: &Repository, gateway: &ScriptedGateway) -> Self {
        Self::bare(binary)
            .set("SANDBOX_ROOT", repository.root().display())
            .set("ONEAPI_BASE_URL", gateway.base_url())
            .set("ONEAPI_API_KEY", "gateway-key-of-the-test")
            .set("CLAUDE_MODEL", "scripted")
            .set("WORKER_CLAUDE_BIN", clients::claude_code().display())
    }

    /// A worker with an agent that needs no model, and a gateway that nobody asks.
    pub fn with_stand_in(binary: &str, repository: &Repository, agent: &StandIn) -> Self {
        Self::bare(binary)
            .set("SANDBOX_ROOT", repository.root().display())
            .set("ONEAPI_BASE_URL", "http://127.0.0.1:9")
            .set("ONEAPI_API_KEY", "gateway-key-of-the-test")
            .set("CLAUDE_MODEL", "scripted")
            .set("WORKER_CLAUDE_BIN", agent.path().display())
    }

    /// The binary without a root, a gateway or a Claude Code.
    pub fn bare(binary: &str) -> Self {
        let home = tempfile::Builder::new()
            .prefix("worker-home-")
            .tempdir()
            .expect("a temporary folder");
        let state = home.path().join("state");
        Self {
            binary: binary.into(),
            home,
            settings: BTreeMap::new(),
        }
        .set("WORKER_STATE_DIR", state.display())
        .set("WORKER_CACHE_DIR", clients::shared_cache().display())
        // A gateway that a test breaks stays broken; the stories of outages set their own.
        .set("WORKER_GATEWAY_PATIENCE_MS", 0)
        // Its story sets it: every other job would run its checks twice.
        .set("WORKER_CHECK_BEFORE", 0)
    }

    /// With a cache whose lessons are its own: ports are used again, and what a gateway taught another test is no word on
    /// this one's. Plugins that are compiled already come along.
    #[must_use]
    pub fn with_lessons_of_its_own(self) -> Self {
        let (cache, shared) = (self.home().join("cache"), clients::shared_cache());
        let compiled = cache.join("plugins");
        fs::create_dir_all(&compiled).expect("a cache folder");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let own = fs::Permissions::from_mode(0o700);
            fs::set_permissions(&compiled, own).expect("a folder of our own");
        }
        for entry in fs::read_dir(shared.join("plugins"))
            .into_iter()
            .flatten()
            .flatten()
        {
            // One that another test takes away meanwhile is compiled anew.
            let _ = fs::copy(entry.path(), compiled.join(entry.file_name()));
        }
        self.set("WORKER_CACHE_DIR", cache.display())
    }

    /// Gives a setting a value.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.insert(name.to_owned(), value.to_string());
        self
    }

    /// Takes a setting away.
    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn state_dir(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// The binary with these arguments and nothing in its environment but HOME, PATH and the settings.
    pub fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(&self.settings)
            .stdin(Stdio::null());
        command
    }

    /// A front to talk to.
    pub fn serve(&self) -> McpClient {
        McpClient::connect(self.command(["serve"]), PATIENCE)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The table that makes this worker a server named `worker` of Codex, without any approval setting.
    pub fn codex_config(&self) -> String {
        let mut table = format!(
            "[mcp_servers.worker]\ncommand = {}\nargs = [\"serve\"]\nrequired = true\ntool_timeout_sec = 600\n\n[mcp_servers.worker.env]\n",
            json!(self.binary)
        );
        for (name, value) in &self.settings {
            table.push_str(&format!("{name} = {}\n", json!(value)));
        }
        table
    }

    /// The processes that run on this worker's account, `pid: arguments` each: those with its home or its store in their
    /// environment or arguments, fronts excepted.
    #[cfg(target_os = "linux")]
    pub fn processes(&self) -> Vec<String> {
        self.own_processes()
            .map(|(pid, arguments)| format!("{pid}: {arguments}"))
            .collect()
    }

    /// The runners of this worker's jobs.
    #[cfg(target_os = "linux")]
    pub fn runners(&self) -> Vec<i32> {
        let program = self.binary.to_string_lossy().into_owned();
        self.own_processes()
            .filter(|(_, arguments)| {
                arguments.starts_with(&program) && arguments.ends_with(" __runner")
            })
            .map(|(pid, _)| pid)
            .collect()
    }

    #[cfg(target_os = "linux")]
    fn own_processes(&self) -> impl Iterator<Item = (i32, String)> {
        let mark = self.home.path().as_os_str().as_encoded_bytes();
        fs::read_dir("/proc")
            .expect("/proc")
            .flatten()
            .filter_map(move |entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                let arguments = fs::read(entry.path().join("cmdline")).ok()?;
                let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
                let ours = contains(&arguments, mark) || contains(&environment, mark);
                let arguments = String::from_utf8_lossy(&arguments)
                    .replace('\0', " ")
                    .trim_end()
                    .to_owned();
                // A zombie has no arguments and does nothing; a front belongs to whoever holds its stdin.
                (ours && !arguments.is_empty() && !arguments.ends_with(" serve"))
                    .then_some((pid, arguments))
            })
    }

    /// Waits until no process of this worker is left but fronts, and fails with their list when some stay.
    #[cfg(target_os = "linux")]
    pub fn assert_no_process_left(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "processes of the job are left:\n{}",
                left.join("\n")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[cfg(target_os = "linux")]
fn contains(text: &[u8], mark: &[u8]) -> bool {
    text.windows(mark.len()).any(|window| window == mark)
}

/// `kill -9` of one process.
#[cfg(target_os = "linux")]
pub fn kill(pid: i32) {
    let status = Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .expect("run kill");
    assert!(status.success(), "kill -9 {pid}");
}

/// Starts a job and waits for its end; gives the result.
pub fn run_job(front: &mut McpClient, mut job: Value) -> Value {
    job["wait_ms"] = json!(PATIENCE.as_millis() as u64);
    let reply = call(front, "start", job);
    let status = reply.structured["job_status"].as_str().unwrap_or_default();
    assert!(
        [
            "completed",
            "failed",
            "needs_input",
            "cancelled",
            "timed_out",
            "interrupted"
        ]
        .contains(&status),
        "the job did not come to its end: {}",
        reply.structured
    );
    reply.structured
}

/// Calls a tool that must answer, if only with an error of its own.
pub fn call(front: &mut McpClient, tool: &str, arguments: Value) -> ToolReply {
    front
        .call(tool, arguments, PATIENCE * 2)
        .unwrap_or_else(|error| panic!("{error}"))
}
