//! Settings: where they come from, what is refused, and that the documents say what the table in code says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

extern crate mcp_codex_worker_settings as settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use settings::{Origin, PermissionMode, SETTINGS, Settings, SettingsError, Sources};
use tempfile::TempDir;

/// A user with a home of their own and nothing set.
struct User {
    home: TempDir,
    sources: Sources,
}

impl User {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let environment = BTreeMap::from([("HOME".to_owned(), home.path().display().to_string())]);
        let sources = Sources::from_environment(environment);
        std::fs::create_dir_all(&sources.config_dir).unwrap();
        Self { home, sources }
    }

    fn environment(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(name.into(), value.into());
        self
    }

    fn flag(mut self, name: &str, value: &str) -> Self {
        self.sources.flags.push((name.into(), value.into()));
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.sources.config_dir.join(name), text).unwrap();
        self
    }

    fn load(&self) -> Result<Settings, SettingsError> {
        Settings::load(&self.sources)
    }
}

fn root() -> PathBuf {
    // `host/crates/settings`, below the repository.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(3)
        .unwrap()
        .to_owned()
}

#[test]
fn without_anything_set_the_documented_defaults_hold() {
    let user = User::new();
    let settings = user.load().unwrap();
    assert_eq!(settings.claude_code_model, "sonnet");
    assert_eq!(settings.permission_mode, PermissionMode::AcceptEdits);
    assert_eq!(settings.wait_default_ms, 240_000);
    assert_eq!(settings.max_running_jobs, 4);
    assert_eq!(settings.diff_max_bytes, 20_000);
    assert_eq!(settings.check_output_response_max, 2_000);
    assert_eq!(settings.job_timeout_ms, 30 * 60 * 1000);
    assert_eq!(settings.stall_ms, 5 * 60 * 1000);
    assert!(
        settings.use_openai_adapter && !settings.allow_bypass && !settings.include_diff_default
    );
    assert!(
        settings.sandbox_root.is_none() && settings.gateway.is_none() && settings.model.is_none()
    );
    assert_eq!(
        settings.state_dir,
        user.home.path().join(".local/state/mcp-codex-worker")
    );
    assert_eq!(
        settings.cache_dir,
        user.home.path().join(".cache/mcp-codex-worker")
    );
    assert!(settings.origins.is_empty() && settings.warnings.is_empty());
    let reason = settings.gateway().unwrap_err().to_string();
    assert!(reason.contains("ONEAPI_BASE_URL"), "{reason}");
}

#[test]
fn the_stronger_source_wins() {
    let name = "MAX_RUNNING_JOBS";
    let mut user = User::new().file("config.toml", "MAX_RUNNING_JOBS = 11");
    let seen = |user: &User| {
        let settings = user.load().unwrap();
        (
            settings.max_running_jobs,
            settings.origins.get(name).copied(),
        )
    };
    assert_eq!(seen(&user), (11, Some(Origin::ConfigFile)));
    user = user.file(".env", "MAX_RUNNING_JOBS=12");
    assert_eq!(seen(&user), (12, Some(Origin::EnvFile)));
    user = user.environment(name, "13");
    assert_eq!(seen(&user), (13, Some(Origin::Environment)));
    user = user.flag(name, "14");
    assert_eq!(seen(&user), (14, Some(Origin::Flag)));
    // An empty value means "not set here".
    user = user.flag(name, "").environment(name, " ");
    user.sources.flags.remove(0);
    assert_eq!(seen(&user), (12, Some(Origin::EnvFile)));
}

#[test]
fn files_are_read_from_the_config_folder_or_by_name_and_from_nowhere_else() {
    let user = User::new();
    let elsewhere = user.home.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("mine.env"), "CLAUDE_MODEL=from-env").unwrap();
    std::fs::write(
        elsewhere.join("mine.toml"),
        "CLAUDE_CODE_MODEL = 'from-toml'",
    )
    .unwrap();
    let mut sources = user.sources.clone();
    sources.env_file = Some(elsewhere.join("mine.env"));
    sources.config = Some(elsewhere.join("mine.toml"));
    let settings = Settings::load(&sources).unwrap();
    assert_eq!(settings.model.as_deref(), Some("from-env"));
    assert_eq!(settings.claude_code_model, "from-toml");

    // Whoever names a file wants it read.
    sources.env_file = Some(elsewhere.join("absent.env"));
    let error = Settings::load(&sources).unwrap_err().to_string();
    assert!(error.contains("absent.env"), "{error}");
}

#[test]
fn a_runner_started_with_the_arguments_loads_the_same() {
    let user = User::new().flag("SANDBOX_ROOT", "/work space/a=b");
    let mut sources = user.sources.clone();
    sources.config = Some("/c/config.toml".into());
    let arguments: Vec<String> = sources
        .arguments()
        .into_iter()
        .map(|argument| argument.into_string().unwrap())
        .collect();
    assert_eq!(
        arguments,
        [
            "--config",
            "/c/config.toml",
            "--set",
            "SANDBOX_ROOT=/work space/a=b"
        ]
    );
}

#[test]
fn url_and_key_are_always_of_the_same_family() {
    let both = User::new()
        .environment("ONEAPI_BASE_URL", "https://one.example/v1/")
        .environment("ONEAPI_API_KEY", "one-key")
        .environment("ANTHROPIC_BASE_URL", "https://anthropic.example")
        .environment("ANTHROPIC_API_KEY", "anthropic-key");
    let settings = both.load().unwrap();
    let gateway = settings.gateway().unwrap();
    assert_eq!(
        (gateway.base_url.as_str(), gateway.api_key.expose()),
        ("https://one.example/v1", "one-key")
    );

    let settings = both.environment("ONEAPI_BASE_URL", "").load().unwrap();
    let gateway = settings.gateway().unwrap();
    assert_eq!(
        (gateway.base_url.as_str(), gateway.api_key.expose()),
        ("https://anthropic.example", "anthropic-key")
    );

    for (url, key) in [
        ("ONEAPI_BASE_URL", "ANTHROPIC_API_KEY"),
        ("ANTHROPIC_BASE_URL", "ONEAPI_API_KEY"),
    ] {
        let settings = User::new()
            .environment(url, "https://a.example")
            .environment(key, "k")
            .load()
            .unwrap();
        let reason = settings.gateway().unwrap_err().to_string();
        assert!(
            settings.gateway.is_none() && reason.contains(&url.replace("BASE_URL", "API_KEY")),
            "{reason}"
        );
    }
}

#[test]
fn keys_are_known_to_the_redactor_and_shown_to_nobody() {
    let settings = User::new()
        .environment("ONEAPI_BASE_URL", "https://one.example")
        .environment("ONEAPI_API_KEY", "key-in-use-1")
        .environment("ANTHROPIC_API_KEY", "key-of-the-other-family-2")
        .environment("WORKER_CHECK_ENV", "NPM_TOKEN, ABSENT")
        .environment("NPM_TOKEN", "npm-token-3")
        .file(".env", "ONEAPI_API_KEY=key-overridden-4\nFALLBACK_BASE_URL=http://f.example\nFALLBACK_API_KEY=fallback-5")
        .load()
        .unwrap();
    let secrets: BTreeMap<&str, &str> = settings
        .secrets()
        .map(|(name, value)| (value.expose(), name))
        .collect();
    for value in [
        "key-in-use-1",
        "key-of-the-other-family-2",
        "npm-token-3",
        "key-overridden-4",
        "fallback-5",
    ] {
        assert!(secrets.contains_key(value), "{value} would not be redacted");
        assert!(!format!("{settings:?}").contains(value), "{value} is shown");
    }
    let blind = settings.without_keys();
    assert_eq!(blind.secrets().count(), 0);
    assert!(
        blind.gateway().is_ok(),
        "it still knows that there is a gateway"
    );
}

#[test]
fn bad_values_are_refused_by_name_class_and_rule() {
    let rows = [
        ("SANDBOX_ROOT", "relative/path"),
        ("SANDBOX_ROOT", "two words"),
        ("ONEAPI_BASE_URL", "gateway.example"),
        ("ONEAPI_BASE_URL", "ftp://gateway.example"),
        ("ONEAPI_BASE_URL", "https://user:pass@gateway.example"),
        ("ONEAPI_BASE_URL", "https://gateway.example/?api-key=1"),
        ("ONEAPI_BASE_URL", "https://gate\tway.example"),
        ("ONEAPI_BASE_URL", "https://"),
        ("ONEAPI_API_KEY", "with space"),
        ("ONEAPI_API_KEY", "with\r\nHeader: x"),
        ("CLAUDE_MODEL", "--dangerously-skip-permissions"),
        ("CLAUDE_PERMISSION_MODE", "acceptedits"),
        ("ALLOW_BYPASS_PERMISSIONS", "maybe"),
        ("WAIT_DEFAULT_MS", "-1"),
        ("WAIT_DEFAULT_MS", "4m"),
        ("WAIT_DEFAULT_MS", "86400001"),
        ("MAX_RUNNING_JOBS", "0"),
        ("MAX_RUNNING_JOBS", "101"),
        ("MAX_RUNNING_JOBS", "2.5"),
        ("DIFF_MAX_BYTES", "1e3000"),
        ("WORKER_ISOLATION", "container"),
        ("WORKER_SANDBOX", "on"),
        ("WORKER_AGENT_PROFILE", "thin"),
        ("FALLBACK_MODELS", "a,b,c,d"),
        ("WORKER_PRICE_INPUT", "-0.1"),
        ("WORKER_PRICE_INPUT", "NaN"),
        ("WORKER_PRICE_TABLE", "{\"m\": 3}"),
        (
            "WORKER_PRICE_TABLE",
            "{\"m\": {\"input\": -1, \"output\": 1}}",
        ),
        ("WORKER_DIALECT", "../dialect.wasm"),
        ("WORKER_SANDBOX_READ", "/ok:not/ok"),
        ("WORKER_CHECK_ENV", "A, B-C"),
        ("WORKER_STATE_DIR", "state"),
        ("WORKER_JOB_TIMEOUT_MS", "0"),
        ("CLAUDE_MODEL", "a\u{fffd}b"),
    ];
    let mut shown = String::new();
    for (name, value) in rows {
        let error = User::new().environment(name, value).load().expect_err(name);
        assert_eq!(error.problems.len(), 1, "{error}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("{name} (environment) is ")),
            "{error}"
        );
        shown.push_str(&format!("{name} = {value:?}\n    {error}\n"));
    }
    insta::assert_snapshot!("bad_values", shown);
}

#[test]
fn every_mistake_is_told_at_once() {
    let error = User::new()
        .environment("MAX_RUNNING_JOBS", "0")
        .file(".env", "WAIT_DEFAULT_MS=soon")
        .load()
        .unwrap_err();
    assert_eq!(error.problems.len(), 2, "{error}");
}

#[test]
fn a_misspelt_name_is_not_ignored() {
    let refused = User::new()
        .file("config.toml", "SANDBOXROOT = '/x'")
        .load()
        .unwrap_err()
        .to_string();
    assert!(refused.contains("did you mean SANDBOX_ROOT?"), "{refused}");
    let refused = User::new()
        .flag("WORKER_SANBOX", "off")
        .load()
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("did you mean WORKER_SANDBOX?"),
        "{refused}"
    );
    // The environment and .env may hold what is meant for others.
    let settings = User::new()
        .environment("WORKER_STAL_MS", "1")
        .file(".env", "DEBUG=1")
        .load()
        .unwrap();
    assert_eq!(settings.warnings.len(), 2, "{:?}", settings.warnings);
    assert!(
        settings
            .warnings
            .iter()
            .any(|warning| warning.contains("WORKER_STALL_MS"))
    );
}

#[test]
fn keys_do_not_stand_on_command_lines() {
    let refused = User::new()
        .flag("ONEAPI_API_KEY", "sk-secret")
        .load()
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("ONEAPI_API_KEY (flag)") && !refused.contains("sk-secret"),
        "{refused}"
    );
}

#[test]
fn a_config_file_that_is_no_toml_is_told_without_its_text() {
    for text in [
        "ONEAPI_API_KEY = sk-secret",
        "[plugins",
        "plugins = 'sk-secret'",
        "checks = 'sk-secret'",
        "repositories = 'sk-secret'",
        "[repositories.'/srv']\nchecks = 'sk-secret'",
        "MAX_RUNNING_JOBS = { a = 'sk-secret' }",
    ] {
        let refused = User::new()
            .file("config.toml", text)
            .load()
            .unwrap_err()
            .to_string();
        assert!(!refused.contains("sk-secret"), "{refused}");
    }
}

#[test]
fn paths_are_read_as_people_write_them_on_every_system() {
    let user = User::new()
        .environment("SANDBOX_ROOT", r"C:\Users\me\repos")
        .file(
            ".env",
            "WORKER_CLAUDE_BIN=~/bin/claude\nWORKER_METRICS_FILE=\"D:/logs/new.jsonl\"",
        );
    let settings = user.load().unwrap();
    assert_eq!(
        settings.sandbox_root.as_deref(),
        Some(Path::new(r"C:\Users\me\repos"))
    );
    assert_eq!(
        settings.claude_bin,
        Some(user.home.path().join("bin/claude"))
    );
    assert_eq!(
        settings.metrics_file.as_deref(),
        Some(Path::new("D:/logs/new.jsonl"))
    );
}

#[test]
fn lists_keep_what_stands_in_parentheses_and_may_be_arrays() {
    let settings = User::new()
        .environment(
            "WORKER_ALLOWED_TOOLS",
            "Bash(git add a,b), Bash(npm test:*) ,,Read",
        )
        .file(
            "config.toml",
            "WORKER_SANDBOX_READ = ['/opt/a', '/opt/b']\nFALLBACK_MODELS = ['x', 'y']",
        )
        .load()
        .unwrap();
    assert_eq!(
        settings.allowed_tools.unwrap(),
        ["Bash(git add a,b)", "Bash(npm test:*)", "Read"]
    );
    assert_eq!(
        settings.sandbox_read,
        [Path::new("/opt/a"), Path::new("/opt/b")]
    );
}

#[test]
fn prices_come_from_a_table_or_from_one_line_for_all_models() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("prices.json");
    std::fs::write(
        &table,
        r#"{"deepseek-v4-flash": {"input": 0.28, "output": 0.42, "cache": 0.028}}"#,
    )
    .unwrap();
    let settings = User::new()
        .environment("WORKER_PRICE_INPUT", "1")
        .environment("WORKER_PRICE_OUTPUT", "2")
        .environment("WORKER_PRICE_TABLE", &table.display().to_string())
        .load()
        .unwrap();
    let listed = settings.prices.of("deepseek-v4-flash").unwrap();
    assert!((listed.cost(1_000_000, 1_000_000, 1_000_000) - 0.728).abs() < 1e-9);
    // Without a price of its own, the cache costs what input costs.
    let other = settings.prices.of("other").unwrap();
    assert!((other.cost(1_000_000, 1_000_000, 1_000_000) - 4.0).abs() < 1e-9);
    assert!(User::new().load().unwrap().prices.of("other").is_none());
}

proptest! {
    #[test]
    fn no_value_of_any_setting_panics_or_is_repeated_in_its_refusal(
        index in 0..SETTINGS.len(),
        value in "[ -~\\n\\t\u{0}é]{12,40}",
    ) {
        let setting = &SETTINGS[index];
        let user = User::new().environment(setting.name, &value);
        if let Err(error) = user.load() {
            prop_assert!(!error.to_string().contains(value.trim()));
        }
    }

    #[test]
    fn no_text_of_a_settings_file_panics(text in "\\PC{0,200}", toml in any::<bool>()) {
        let _ = User::new().file(if toml { "config.toml" } else { ".env" }, &text).load();
    }
}

/// Compares a document with its expected text; with UPDATE_DOCS=1 it is written there.
fn check_document(path: &str, text: &str, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join(path), text).unwrap();
    } else {
        let there = std::fs::read_to_string(root().join(path)).unwrap();
        assert!(
            there.contains(expected),
            "{path} differs from the table in code; run UPDATE_DOCS=1 cargo test --test settings"
        );
    }
}

#[test]
fn the_env_example_is_the_table_in_code() {
    let mut text = String::from(
        "# Settings of mcp-codex-worker. Copy to ~/.config/mcp-codex-worker/.env (mode 0600) and uncomment what you need.\n\
         # Stronger sources, in this order: --set NAME=VALUE, the environment, this file, config.toml, the default.\n\
         # This file is never read from the current directory.\n",
    );
    for setting in SETTINGS {
        text.push_str(&format!(
            "\n# {}\n# {}={}\n",
            setting.doc,
            setting.name,
            setting.default.unwrap_or_default()
        ));
    }
    check_document(".env.example", &text, &text);
    // And it is read by the parser that reads the real one.
    let uncommented = text
        .replace("\n# ", "\n")
        .lines()
        .filter(|line| {
            line.split_once('=')
                .is_some_and(|(name, _)| SETTINGS.iter().any(|setting| setting.name == name))
        })
        .collect::<Vec<_>>()
        .join("\n");
    let settings = User::new().file(".env", &uncommented).load().unwrap();
    assert!(settings.warnings.is_empty());
}

#[test]
fn the_readme_table_is_the_table_in_code() {
    let mut table = String::from("| name | default | meaning |\n| --- | --- | --- |\n");
    for setting in SETTINGS {
        let default = setting
            .default
            .map_or("-".to_owned(), |default| format!("`{default}`"));
        let doc = setting.doc.replace('|', "\\|");
        table.push_str(&format!("| `{}` | {default} | {doc} |\n", setting.name));
    }
    let (begin, end) = ("<!-- settings -->\n", "<!-- /settings -->");
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (head, rest) = readme.split_once(begin).expect("the marker of the table");
    let (_, tail) = rest.split_once(end).expect("the end of the table");
    check_document(
        "README.md",
        &format!("{head}{begin}{table}{end}{tail}"),
        &table,
    );
}

#[test]
fn every_setting_is_documented_in_one_sentence() {
    for setting in SETTINGS {
        assert!(setting.doc.ends_with('.'), "{}", setting.name);
        assert!(
            !setting.secret || setting.default.is_none(),
            "{}",
            setting.name
        );
    }
}
