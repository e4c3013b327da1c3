//! From written values to typed ones.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::{NoGateway, Problem, SettingsError};
use super::origin::Origin;
use super::path::is_absolute;
use super::sources::{Layers, Raw, Sources, is_name};
use super::table::setting;
use super::values::{Secret, Toolset, UnknownValue};
use super::{FallbackSettings, GatewaySettings, Price, Prices, Settings};

/// A day: longer waits and jobs are mistakes.
const MAX_MS: u64 = 24 * 60 * 60 * 1000;
/// A petabyte.
const MAX_MB: u64 = 1 << 30;

/// The longest value of any setting but a list or a table, in bytes.
const MAX_TEXT: usize = 4096;

/// Takes values out of the layers and remembers what was wrong with them.
pub(super) struct Reader<'a> {
    sources: &'a Sources,
    layers: Layers,
    problems: Vec<Problem>,
    origins: BTreeMap<&'static str, Origin>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources, layers: Layers) -> Self {
        Self {
            sources,
            layers,
            problems: Vec::new(),
            origins: BTreeMap::new(),
        }
    }

    pub(super) fn settings(mut self) -> Result<Settings, SettingsError> {
        let (gateway, gateway_missing) = match self.gateway() {
            Ok(gateway) => (Some(gateway), NoGateway::Url),
            Err(missing) => (None, missing),
        };
        let fallback = self.fallback();
        let prices = self.prices();
        let check_env = self.list("WORKER_CHECK_ENV", |name| {
            is_name(name)
                .then(|| name.to_owned())
                .ok_or("must be names of variables: letters, digits and _, separated by commas")
        });
        let check_env = check_env.unwrap_or_default();
        let check_values = check_env
            .iter()
            .filter_map(|name| {
                let value = self.sources.environment.get(name)?;
                Some((name.clone(), Secret::new(value)))
            })
            .collect();
        let keys = super::SETTINGS
            .iter()
            .filter(|setting| setting.secret)
            .flat_map(|setting| {
                self.layers
                    .all(setting.name)
                    .into_iter()
                    .map(|value| (setting.name.to_owned(), Secret::new(value)))
            })
            .collect();
        let state_dir = self.folder("WORKER_STATE_DIR", self.sources.default_state_dir());
        let cache_dir = self.folder("WORKER_CACHE_DIR", self.sources.default_cache_dir());
        let log_file = self.log_file(&state_dir);
        let settings = Settings {
            sandbox_root: self.path("SANDBOX_ROOT"),
            gateway,
            model: self.model("CLAUDE_MODEL").or(self.model("ANTHROPIC_MODEL")),
            claude_code_model: self.model("CLAUDE_CODE_MODEL").unwrap_or_default(),
            permission_mode: self
                .word("CLAUDE_PERMISSION_MODE")
                .unwrap_or(super::PermissionMode::AcceptEdits),
            allow_bypass: self.switch("ALLOW_BYPASS_PERMISSIONS"),
            use_openai_adapter: self.switch("USE_OPENAI_ADAPTER"),
            toolsets: self.toolsets(),
            wait_default_ms: self.number("WAIT_DEFAULT_MS", 0, MAX_MS),
            include_diff_default: self.switch("INCLUDE_DIFF_DEFAULT"),
            diff_max_bytes: self.number("DIFF_MAX_BYTES", 0, 10_000_000),
            check_output_response_max: self.number("CHECK_OUTPUT_RESPONSE_MAX", 0, 1_000_000),
            max_running_jobs: usize::try_from(self.number("MAX_RUNNING_JOBS", 1, 100)).unwrap_or(1),
            isolation: self
                .word("WORKER_ISOLATION")
                .unwrap_or(super::Isolation::None),
            escalate_model: self.model("WORKER_ESCALATE_MODEL"),
            lite_model: self.model("WORKER_LITE_MODEL"),
            fallback,
            metrics_file: self.path("WORKER_METRICS_FILE"),
            prices,
            dialect: self.parse("WORKER_DIALECT", |raw| {
                plugin_name(raw).ok_or("must be a plugin's name: letters, digits, - and _".into())
            }),
            gateway_retries: u32::try_from(self.number("WORKER_GATEWAY_RETRIES", 0, 10))
                .unwrap_or(0),
            check_before: self.switch("WORKER_CHECK_BEFORE"),
            gateway_patience_ms: self.number("WORKER_GATEWAY_PATIENCE_MS", 0, MAX_MS),
            gateway_idle_ms: self.number("WORKER_GATEWAY_IDLE_MS", 100, MAX_MS),
            signing_key: self
                .path("WORKER_SIGNING_KEY")
                .unwrap_or_else(|| self.sources.config_dir.join("signing-key.pem")),
            allowed_tools: self.list("WORKER_ALLOWED_TOOLS", |rule| {
                (!rule.chars().any(char::is_control))
                    .then(|| rule.to_owned())
                    .ok_or("must be tool rules such as Bash(npm test), separated by commas")
            }),
            sandbox: self
                .word("WORKER_SANDBOX")
                .unwrap_or(super::SandboxMode::Auto),
            sandbox_read: self.paths("WORKER_SANDBOX_READ"),
            sandbox_write: self.paths("WORKER_SANDBOX_WRITE"),
            task_memory_mb: self.optional_number("WORKER_TASK_MEMORY_MB", MAX_MB),
            task_disk_mb: self.number("WORKER_TASK_DISK_MB", 0, MAX_MB),
            job_timeout_ms: self.number("WORKER_JOB_TIMEOUT_MS", 1, MAX_MS),
            keep_days: self.number("WORKER_KEEP_DAYS", 0, 36_500),
            keep_mb: self.number("WORKER_KEEP_MB", 0, 1 << 40),
            queue_ms: self.number("WORKER_QUEUE_MS", 1, MAX_MS),
            stall_ms: self.number("WORKER_STALL_MS", 1, MAX_MS),
            check_env,
            check_values,
            claude_bin: self.path("WORKER_CLAUDE_BIN"),
            agent_profile: self
                .word("WORKER_AGENT_PROFILE")
                .unwrap_or(super::Profile::Bare),
            plugin_max_bytes: self.number("WORKER_PLUGIN_MAX_BYTES", 64 << 10, 1 << 30),
            update_url: self.url("WORKER_UPDATE_URL").unwrap_or_default(),
            state_dir,
            log_file,
            log_format: self
                .word("WORKER_LOG_FORMAT")
                .unwrap_or(super::LogFormat::Text),
            cache_dir,
            config_dir: self.sources.config_dir.clone(),
            home: self.sources.home.clone(),
            plugins: std::mem::take(&mut self.layers.plugins),
            checks: std::mem::take(&mut self.layers.checks),
            repositories: std::mem::take(&mut self.layers.repositories),
            origins: BTreeMap::new(),
            warnings: std::mem::take(&mut self.layers.warnings),
            sources: self.sources.clone(),
            keys,
            gateway_missing,
        };
        if self.problems.is_empty() {
            Ok(Settings {
                origins: self.origins,
                ..settings
            })
        } else {
            Err(SettingsError {
                problems: self.problems,
            })
        }
    }

    /// The value of a setting, else its default; a bad one is put down and counts as absent.
    fn parse<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Raw) -> Result<T, Cow<'static, str>>,
    ) -> Option<T> {
        let (raw, origin) = match self.layers.find(name) {
            Some((raw, origin)) => {
                self.origins.insert(name, origin);
                (raw, origin)
            }
            None => (
                Raw::Text(setting(name)?.default?.to_owned()),
                Origin::Default,
            ),
        };
        let refused = match &raw {
            Raw::Text(text) if text.contains('\u{fffd}') => Err("must be valid UTF-8".into()),
            _ => parse(&raw),
        };
        refused
            .map_err(|rule| {
                self.problems
                    .push(Problem::new(name, Some(origin), class(&raw), rule));
            })
            .ok()
    }

    fn text<T>(
        &mut self,
        name: &'static str,
        rule: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.parse(name, |raw| match raw {
            Raw::Text(text) if text.len() <= MAX_TEXT => parse(text.trim()).ok_or(rule.into()),
            _ => Err(rule.into()),
        })
    }

    fn switch(&mut self, name: &'static str) -> bool {
        self.text(name, "must be 1 or 0", |text| {
            match text.to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" | "on" => Some(true),
                "0" | "false" | "no" | "off" => Some(false),
                _ => None,
            }
        })
        .unwrap_or_default()
    }

    fn number(&mut self, name: &'static str, least: u64, most: u64) -> u64 {
        self.parse(name, |raw| {
            match raw {
                Raw::Text(text) => text
                    .trim()
                    .parse()
                    .ok()
                    .filter(|number| (least..=most).contains(number)),
                Raw::List(_) => None,
            }
            .ok_or_else(|| format!("must be a whole number from {least} to {most}").into())
        })
        .unwrap_or(least)
    }

    fn optional_number(&mut self, name: &'static str, most: u64) -> Option<u64> {
        self.parse(name, |raw| {
            match raw {
                Raw::Text(text) => text.trim().parse().ok().filter(|number| *number <= most),
                Raw::List(_) => None,
            }
            .ok_or_else(|| format!("must be a whole number from 0 to {most}").into())
        })
    }

    fn word<T: FromStr<Err = UnknownValue>>(&mut self, name: &'static str) -> Option<T> {
        self.parse(name, |raw| match raw {
            Raw::Text(text) => text
                .trim()
                .parse()
                .map_err(|unknown: UnknownValue| unknown.to_string().into()),
            Raw::List(_) => Err("must be one word".into()),
        })
    }

    /// A model's name: it goes into requests and command lines, so it may look like neither an option nor a header.
    fn model(&mut self, name: &'static str) -> Option<String> {
        self.text(
            name,
            "must be a model's name: no spaces or control characters, not beginning with -, at most 200 bytes",
            model_name,
        )
    }

    fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        let home = self.sources.home.clone();
        self.text(name, "must be an absolute path", |text| {
            absolute(text, home.as_ref())
        })
    }

    fn folder(&mut self, name: &'static str, default: Option<PathBuf>) -> PathBuf {
        let given = self.path(name);
        let known_bad = self.problems.iter().any(|problem| problem.name == name);
        given.or(default).unwrap_or_else(|| {
            if !known_bad {
                self.problems.push(Problem::new(
                    name,
                    None,
                    "not set and HOME is not set either",
                    "must be an absolute path",
                ));
            }
            PathBuf::new()
        })
    }

    /// The default where nothing is said, nothing where it is `off`.
    fn log_file(&mut self, state_dir: &Path) -> Option<PathBuf> {
        let home = self.sources.home.clone();
        let default = state_dir.join("logs").join("worker.log");
        let given = self.text(
            "WORKER_LOG_FILE",
            "must be an absolute path, or off",
            |text| match text {
                "off" => Some(None),
                text => absolute(text, home.as_ref()).map(Some),
            },
        );
        given.unwrap_or(Some(default))
    }

    fn paths(&mut self, name: &'static str) -> Vec<PathBuf> {
        let home = self.sources.home.clone();
        self.parse(name, |raw| {
            let paths: Vec<String> = match raw {
                Raw::Text(text) => std::env::split_paths(text)
                    .map(|path| path.to_string_lossy().into_owned())
                    .collect(),
                Raw::List(list) => list.clone(),
            };
            paths
                .iter()
                .filter(|path| !path.is_empty())
                .map(|path| absolute(path, home.as_ref()))
                .collect::<Option<Vec<_>>>()
                .ok_or("must be absolute paths, separated like those of PATH".into())
        })
        .unwrap_or_default()
    }

    fn list<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<Vec<T>> {
        self.parse(name, |raw| {
            let items = match raw {
                Raw::Text(text) => split_outside_parentheses(text),
                Raw::List(list) => list.iter().map(String::as_str).collect(),
            };
            items
                .into_iter()
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| parse(item).map_err(Cow::from))
                .collect()
        })
    }

    fn toolsets(&mut self) -> Vec<Toolset> {
        const RULE: &str = "must be one or more of jobs, analyze, reading, separated by commas";
        let sets = self.list("WORKER_TOOLSETS", |word| word.parse().map_err(|_| RULE));
        match sets {
            Some(sets) if sets.is_empty() => {
                let origin = self.origins.get("WORKER_TOOLSETS").copied();
                self.problems.push(Problem::new(
                    "WORKER_TOOLSETS",
                    origin,
                    "an empty list",
                    RULE,
                ));
                sets
            }
            // A bad value is put down already.
            sets => sets.unwrap_or_default(),
        }
    }

    fn url(&mut self, name: &'static str) -> Option<String> {
        self.text(
            name,
            "must be an http:// or https:// URL without user name, password, query or fragment",
            gateway_url,
        )
    }

    fn key(&mut self, name: &'static str) -> Option<Secret> {
        self.text(
            name,
            "must be visible ASCII without spaces: it is sent in a header",
            |text| {
                text.bytes()
                    .all(|byte| byte.is_ascii_graphic())
                    .then(|| Secret::new(text))
            },
        )
    }

    /// The family is chosen by the URL; a key of the other family is never sent to it.
    fn gateway(&mut self) -> Result<GatewaySettings, NoGateway> {
        let oneapi = (self.url("ONEAPI_BASE_URL"), self.key("ONEAPI_API_KEY"));
        let anthropic = (
            self.url("ANTHROPIC_BASE_URL"),
            self.key("ANTHROPIC_API_KEY"),
        );
        let families = [("ONEAPI", oneapi), ("ANTHROPIC", anthropic)];
        for (family, (url, key)) in families {
            let Some(base_url) = url else { continue };
            let api_key = key.ok_or(NoGateway::KeyOf(family))?;
            return Ok(GatewaySettings { base_url, api_key });
        }
        Err(NoGateway::Url)
    }

    fn fallback(&mut self) -> Option<FallbackSettings> {
        let base_url = self.url("FALLBACK_BASE_URL");
        let api_key = self.key("FALLBACK_API_KEY");
        const MODELS: &str = "must be at most 3 names of models, separated by commas";
        let models = self
            .list("FALLBACK_MODELS", |name| model_name(name).ok_or(MODELS))
            .unwrap_or_default();
        if models.len() > 3 {
            let origin = self.origins.get("FALLBACK_MODELS").copied();
            self.problems.push(Problem::new(
                "FALLBACK_MODELS",
                origin,
                "a list of more than 3",
                MODELS,
            ));
        }
        match (base_url, api_key) {
            (Some(base_url), Some(api_key)) => Some(FallbackSettings {
                base_url,
                api_key,
                models,
            }),
            (Some(_), None) if !self.is_bad("FALLBACK_API_KEY") => {
                self.layers.warnings.push(
                    "FALLBACK_API_KEY is not set although FALLBACK_BASE_URL is: there is no fallback"
                        .to_owned(),
                );
                None
            }
            _ => None,
        }
    }

    fn is_bad(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| problem.name == name)
    }

    fn price(&mut self, name: &'static str) -> Option<f64> {
        self.text(
            name,
            "must be a number of US dollars for a million tokens, 0 or more",
            |text| {
                text.parse()
                    .ok()
                    .filter(|price: &f64| price.is_finite() && *price >= 0.0)
            },
        )
    }

    fn prices(&mut self) -> Prices {
        let input = self.price("WORKER_PRICE_INPUT");
        let output = self.price("WORKER_PRICE_OUTPUT");
        let cache = self.price("WORKER_PRICE_CACHE");
        let default = match (input, output) {
            (None, None) => None,
            (input, output) => Some(Price {
                input: input.unwrap_or_default(),
                output: output.unwrap_or_default(),
                cache,
            }),
        };
        let home = self.sources.home.clone();
        const RULE: &str = "must be JSON {\"model\": {\"input\": 1, \"output\": 2, \"cache\": 0.1}} or the absolute path of a file with it";
        let models = self.parse("WORKER_PRICE_TABLE", |raw| {
            let Raw::Text(text) = raw else {
                return Err(RULE.into());
            };
            let text = text.trim();
            let table = if text.starts_with('{') {
                Cow::from(text)
            } else {
                let path = absolute(text, home.as_ref()).ok_or(RULE)?;
                Cow::from(
                    std::fs::read_to_string(&path)
                        .map_err(|error| format!("the file cannot be read: {error}"))?,
                )
            };
            serde_json::from_str::<BTreeMap<String, Price>>(&table)
                .ok()
                .filter(|table| table.values().all(Price::is_sane))
                .ok_or(RULE.into())
        });
        Prices {
            default,
            models: models.unwrap_or_default(),
        }
    }
}

/// The kind of value, in words that do not repeat it.
fn class(raw: &Raw) -> &'static str {
    let Raw::Text(text) = raw else {
        return "a list";
    };
    let text = text.trim();
    if text.chars().any(char::is_control) {
        "text with control characters"
    } else if text.len() > MAX_TEXT {
        "a very long text"
    } else if let Ok(number) = text.parse::<f64>() {
        match number {
            number if number.is_nan() || number.is_infinite() => "not a finite number",
            number if number < 0.0 => "a negative number",
            number if number.fract() != 0.0 => "a decimal number",
            _ => "a number",
        }
    } else if text.contains("://") {
        "a URL"
    } else if is_absolute(text.as_ref()) {
        "an absolute path"
    } else if text.starts_with(['{', '[']) {
        "JSON"
    } else if text.contains(['/', '\\']) {
        "a relative path"
    } else if text.contains(char::is_whitespace) {
        "several words"
    } else {
        "a word"
    }
}

fn absolute(text: &str, home: Option<&PathBuf>) -> Option<PathBuf> {
    if text.contains('\0') {
        return None;
    }
    if text == "~" {
        return home.cloned();
    }
    if let Some(rest) = text.strip_prefix("~/") {
        return home.map(|home| home.join(rest));
    }
    let path = PathBuf::from(text);
    is_absolute(&path).then_some(path)
}

fn model_name(text: &str) -> Option<String> {
    let fits = !text.is_empty()
        && text.len() <= 200
        && !text.starts_with('-')
        && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    fits.then(|| text.to_owned())
}

fn plugin_name(raw: &Raw) -> Option<String> {
    let Raw::Text(text) = raw else { return None };
    let text = text.trim();
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    fits.then(|| text.to_owned())
}

/// The URL in its normal form, without a trailing slash. Control characters are looked for before parsing, because URL
/// parsers drop tabs and line breaks silently.
fn gateway_url(text: &str) -> Option<String> {
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) || text.contains('\\') {
        return None;
    }
    let url = reqwest::Url::parse(text).ok()?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && !text.contains('@')
        && url.query().is_none()
        && url.fragment().is_none();
    fits.then(|| url.as_str().trim_end_matches('/').to_owned())
}

/// Items between commas; `Bash(git add a,b)` stays one.
fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0usize;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}
