//! Every setting: its name, its default, its documentation, and where its value came from.
//!
//! Order: flag, environment, `.env`, config file, default. Values are checked once, here; whoever holds a [`Settings`]
//! holds values that are in range.

mod edited;
mod error;
mod origin;
mod parse;
mod path;
mod prices;
mod repositories;
mod sources;
mod table;
mod values;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use edited::EditedFile;
pub use error::{NoGateway, Problem, SettingsError};
pub use origin::Origin;
pub use prices::{Price, Prices};
pub use repositories::{Repositories, RepositoryEntry};
pub use sources::Sources;
pub use table::{SETTINGS, Setting, setting};
pub use values::{
    Isolation, LogFormat, PermissionMode, Profile, SandboxMode, Secret, Toolset, UnknownValue,
};

use parse::Reader;
use sources::Layers;

/// A gateway and its key, always of one family of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySettings {
    /// `http` or `https`, no user name or password, no trailing slash.
    pub base_url: String,
    /// Sent to `base_url` and to nobody else.
    pub api_key: Secret,
}

/// The gateway that is used when the first one fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackSettings {
    /// The URL, as in [`GatewaySettings`].
    pub base_url: String,
    /// The key, as in [`GatewaySettings`].
    pub api_key: Secret,
    /// At most 3, in the order in which they are tried; empty means the main model.
    pub models: Vec<String>,
}

/// Every setting, typed and in range. The names in the field docs are those of [`SETTINGS`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// SANDBOX_ROOT.
    pub sandbox_root: Option<PathBuf>,
    /// ONEAPI_BASE_URL with ONEAPI_API_KEY, else ANTHROPIC_BASE_URL with ANTHROPIC_API_KEY. See [`Settings::gateway`].
    pub gateway: Option<GatewaySettings>,
    /// CLAUDE_MODEL, else ANTHROPIC_MODEL.
    pub model: Option<String>,
    /// CLAUDE_CODE_MODEL.
    pub claude_code_model: String,
    /// CLAUDE_PERMISSION_MODE.
    pub permission_mode: PermissionMode,
    /// ALLOW_BYPASS_PERMISSIONS.
    pub allow_bypass: bool,
    /// USE_OPENAI_ADAPTER: translate, or relay.
    pub use_openai_adapter: bool,
    /// WORKER_TOOLSETS: at least one.
    pub toolsets: Vec<Toolset>,
    /// WAIT_DEFAULT_MS.
    pub wait_default_ms: u64,
    /// INCLUDE_DIFF_DEFAULT.
    pub include_diff_default: bool,
    /// DIFF_MAX_BYTES.
    pub diff_max_bytes: u64,
    /// CHECK_OUTPUT_RESPONSE_MAX, in bytes.
    pub check_output_response_max: u64,
    /// MAX_RUNNING_JOBS.
    pub max_running_jobs: usize,
    /// WORKER_ISOLATION.
    pub isolation: Isolation,
    /// WORKER_ESCALATE_MODEL.
    pub escalate_model: Option<String>,
    /// WORKER_LITE_MODEL.
    pub lite_model: Option<String>,
    /// FALLBACK_BASE_URL, FALLBACK_API_KEY, FALLBACK_MODELS.
    pub fallback: Option<FallbackSettings>,
    /// WORKER_METRICS_FILE.
    pub metrics_file: Option<PathBuf>,
    /// WORKER_PRICE_INPUT, _OUTPUT, _CACHE, WORKER_PRICE_TABLE.
    pub prices: Prices,
    /// WORKER_DIALECT.
    pub dialect: Option<String>,
    /// WORKER_GATEWAY_RETRIES.
    pub gateway_retries: u32,
    /// WORKER_GATEWAY_PATIENCE_MS.
    pub gateway_patience_ms: u64,
    /// WORKER_GATEWAY_IDLE_MS.
    pub gateway_idle_ms: u64,
    /// WORKER_CHECK_BEFORE.
    pub check_before: bool,
    /// WORKER_SIGNING_KEY: the key that signs statements, whether or not there is one.
    pub signing_key: PathBuf,
    /// WORKER_ALLOWED_TOOLS, one rule an item.
    pub allowed_tools: Option<Vec<String>>,
    /// WORKER_SANDBOX.
    pub sandbox: SandboxMode,
    /// WORKER_SANDBOX_READ.
    pub sandbox_read: Vec<PathBuf>,
    /// WORKER_SANDBOX_WRITE.
    pub sandbox_write: Vec<PathBuf>,
    /// WORKER_TASK_MEMORY_MB; absent where the machine decides, 0 where there is no limit.
    pub task_memory_mb: Option<u64>,
    /// WORKER_TASK_DISK_MB; 0 where there is no limit.
    pub task_disk_mb: u64,
    /// WORKER_JOB_TIMEOUT_MS.
    pub job_timeout_ms: u64,
    /// WORKER_KEEP_DAYS; 0 sets no limit.
    pub keep_days: u64,
    /// WORKER_KEEP_MB; 0 sets no limit.
    pub keep_mb: u64,
    /// WORKER_QUEUE_MS.
    pub queue_ms: u64,
    /// WORKER_STALL_MS.
    pub stall_ms: u64,
    /// WORKER_CHECK_ENV: names.
    pub check_env: Vec<String>,
    /// The variables that WORKER_CHECK_ENV names and the environment has.
    pub check_values: Vec<(String, Secret)>,
    /// WORKER_CLAUDE_BIN.
    pub claude_bin: Option<PathBuf>,
    /// WORKER_AGENT_PROFILE.
    pub agent_profile: Profile,
    /// WORKER_PLUGIN_MAX_BYTES: larger plugin components are refused.
    pub plugin_max_bytes: u64,
    /// WORKER_UPDATE_URL.
    pub update_url: String,
    /// WORKER_STATE_DIR: the job store.
    pub state_dir: PathBuf,
    /// WORKER_LOG_FILE; absent when it is off.
    pub log_file: Option<PathBuf>,
    /// WORKER_LOG_FORMAT.
    pub log_format: LogFormat,
    /// WORKER_CACHE_DIR: what can be made again.
    pub cache_dir: PathBuf,
    /// The user's config folder for this tool.
    pub config_dir: PathBuf,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// `[plugins]` of the config file, as it stands there: what it means is for the module `plugins` to say.
    pub plugins: toml::Table,
    /// `[[checks]]` of the config file, as they stand there: what they mean is for the module `job` to say.
    pub checks: Vec<toml::Table>,
    /// `[repositories."PATH"]` of the config file.
    pub repositories: Repositories,
    /// The source of each setting that is not at its default.
    pub origins: BTreeMap<&'static str, Origin>,
    /// The ignored parts, in whole sentences, for `doctor` and the log.
    pub warnings: Vec<String>,
    /// The sources; their [`Sources::arguments`] make a runner load the same.
    pub sources: Sources,
    keys: Vec<(String, Secret)>,
    gateway_missing: NoGateway,
}

impl Settings {
    /// Reads and checks every source.
    ///
    /// # Errors
    ///
    /// Every value that cannot be used, by name, class of value and rule.
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        Reader::new(sources, Layers::read(sources)?).settings()
    }

    /// The gateway.
    ///
    /// # Errors
    ///
    /// Returns the gateway's settings, or the name of the missing one.
    pub fn gateway(&self) -> Result<&GatewaySettings, NoGateway> {
        self.gateway
            .as_ref()
            .ok_or_else(|| self.gateway_missing.clone())
    }

    /// Makes a gateway that was named by hand the one to use, with the key that is set: its own, else that of a gateway
    /// without a URL.
    ///
    /// # Errors
    /// No key is set.
    pub fn use_gateway(&mut self, base_url: &str) -> Result<(), NoGateway> {
        let base_url = base_url.trim_end_matches('/').to_owned();
        if let Some(gateway) = &mut self.gateway {
            gateway.base_url = base_url;
            return Ok(());
        }
        let set = |key: &Secret| !key.expose().trim().is_empty();
        let key = |name: &str| {
            self.keys
                .iter()
                .find(|(known, key)| known == name && set(key))
        };
        let (_, api_key) = key("ONEAPI_API_KEY")
            .or_else(|| key("ANTHROPIC_API_KEY"))
            .ok_or(NoGateway::Key)?;
        self.gateway = Some(GatewaySettings {
            base_url,
            api_key: api_key.clone(),
        });
        Ok(())
    }

    /// Every value that must never be seen, each with the label it gets when it is cut out: the keys of both gateways
    /// (also of the family that is not in use) and the values of WORKER_CHECK_ENV.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.keys
            .iter()
            .chain(&self.check_values)
            .map(|(name, value)| (name.as_str(), value))
    }

    /// The same settings without any key, for a process that must hold none.
    pub fn without_keys(mut self) -> Self {
        self.keys.clear();
        self.check_values.clear();
        if let Some(gateway) = &mut self.gateway {
            gateway.api_key = Secret::new("");
        }
        if let Some(fallback) = &mut self.fallback {
            fallback.api_key = Secret::new("");
        }
        for setting in SETTINGS.iter().filter(|setting| setting.secret) {
            self.sources.environment.remove(setting.name);
        }
        for name in &self.check_env {
            self.sources.environment.remove(name);
        }
        self
    }
}
