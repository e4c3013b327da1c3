//! The commands for people: setup, doctor, run, jobs, gc.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cli/network.rs"]
mod network;
#[path = "cli/run.rs"]
mod run;
#[path = "cli/smoke.rs"]
mod smoke;
#[path = "cli/version.rs"]
mod version;

use std::fs::FileTimes;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use job::{JobId, State, Store};
use redact::{KnownValues, Redactor};
use serde_json::{Value, json};
use tempfile::TempDir;
use worker_test_support::clients;

/// A new user with an empty home.
struct User {
    home: TempDir,
    environment: Vec<(String, String)>,
}

impl User {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            environment: Vec::new(),
        }
        // Compiling the plugins anew for each takes most of a test's time.
        .with(
            "WORKER_CACHE_DIR",
            &clients::shared_cache().display().to_string(),
        )
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With compiled plugins of its own: what is deleted here is nobody else's.
    fn with_a_cache_of_its_own(self) -> Self {
        let cache = self.path("cache").display().to_string();
        self.with("WORKER_CACHE_DIR", &cache)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-codex-worker"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.environment.iter().cloned())
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn store(&self) -> Store {
        Store::open(&self.path(".local/state/mcp-codex-worker")).unwrap()
    }

    /// A job whose runner died at once.
    fn dead_job(&self) -> JobId {
        let id = JobId::random().unwrap();
        drop(self.store().add(&id).unwrap());
        id
    }

    fn doctor(&self) -> Vec<Value> {
        let output = self.run(&["doctor", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn verdict<'a>(findings: &'a [Value], what: &str) -> &'a str {
    findings
        .iter()
        .find(|finding| finding["what"] == what)
        .unwrap_or_else(|| panic!("nothing about {what}: {findings:?}"))["verdict"]
        .as_str()
        .unwrap()
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The commands that the help names.
fn commands(user: &User) -> Vec<String> {
    let help = stdout(&user.run(&["--help"]));
    let commands: Vec<String> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // Deeper lines are the rest of a description.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .map(str::to_owned)
        .collect();
    assert!(commands.len() >= 12, "{help}");
    commands
}

#[test]
fn every_command_explains_itself() {
    let user = User::new();
    for command in commands(&user) {
        let output = user.run(&[&command, "--help"]);
        assert!(output.status.success(), "{command}");
        assert!(stdout(&output).contains("Usage:"), "{command}");
    }
    assert_eq!(user.run(&["no-such-command"]).status.code(), Some(2));
}

fn repository_file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_readme_names_every_command_and_explains_every_cause_of_failure() {
    let readme = repository_file("README.md");
    for command in commands(&User::new()) {
        assert!(
            readme.contains(&format!("mcp-codex-worker {command} ")),
            "README.md does not name `{command}`"
        );
    }
    for cause in job::EndCause::ALL {
        assert!(
            readme.contains(&format!("`{cause}`")),
            "README.md does not explain `{cause}`"
        );
    }
}

#[test]
fn a_new_user_sets_up_codex_and_takes_it_back() {
    let user = User::new().with("MY_KEY", "sk-the-key#1");
    let config = user.path(".codex/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    let theirs = "# mine\nmodel = \"gpt-5.5\"\n";
    std::fs::write(&config, theirs).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    std::fs::create_dir(user.path("repos")).unwrap();
    let setup = [
        "setup",
        "--root",
        "repos",
        "--gateway",
        "https://gateway.example/v1",
        "--key-from",
        "MY_KEY",
        "--model",
        "deepseek-v4-flash",
    ];

    // Without a word of agreement nothing is written.
    let asked = user.run(&setup);
    assert_eq!(asked.status.code(), Some(1), "{}", stderr(&asked));
    let printed = user.run(&[&setup[..], &["--print"]].concat());
    assert!(
        printed.status.success() && stdout(&printed).contains("[mcp_servers.codex_async_worker]")
    );
    assert_eq!(std::fs::read_to_string(&config).unwrap(), theirs);
    assert!(!user.path(".config/mcp-codex-worker/.env").exists());

    let agreed = user.run(&[&setup[..], &["--yes"]].concat());
    assert!(agreed.status.success(), "{}", stderr(&agreed));
    assert!(!stdout(&agreed).contains("sk-the-key"), "the key was shown");
    assert!(
        std::fs::read_to_string(&config)
            .unwrap()
            .starts_with(theirs)
    );
    let env_file = user.path(".config/mcp-codex-worker/.env");
    #[cfg(unix)]
    assert_eq!((mode(&env_file), mode(&config)), (0o600, 0o640));
    assert!(
        std::fs::read_to_string(&env_file)
            .unwrap()
            .contains("ONEAPI_API_KEY='sk-the-key#1'")
    );

    let findings = user.doctor();
    for what in [
        "Codex",
        "SANDBOX_ROOT",
        "gateway",
        "model",
        ".env",
        "job store",
        "plugins",
        "dialect",
    ] {
        assert_eq!(verdict(&findings, what), "ok", "{findings:#?}");
    }

    for finding in &findings {
        let what = finding["what"].as_str().unwrap();
        assert!(
            !what.starts_with("plugin ") || finding["verdict"] == "ok",
            "{finding}"
        );
    }

    // Again changes nothing; undo leaves what was there before.
    let again = user.run(&[&setup[..], &["--yes"]].concat());
    assert!(
        stdout(&again).contains("config.toml stays as it is"),
        "{}",
        stdout(&again)
    );
    let undone = user.run(&["setup", "--undo", "--yes"]);
    assert!(undone.status.success());
    assert_eq!(
        std::fs::read_to_string(&config).unwrap().trim_end(),
        theirs.trim_end()
    );
    let kept = std::fs::read_to_string(user.path(".codex/config.toml.before-mcp-codex-worker"));
    assert_eq!(
        kept.unwrap(),
        theirs,
        "the backup is what was there before us"
    );
}

#[test]
fn setup_takes_along_what_only_the_shell_knows() {
    // Codex hands its servers none of it.
    let user = User::new()
        .with("ANTHROPIC_BASE_URL", "https://relay.example")
        .with("ANTHROPIC_API_KEY", "key-of-the-relay")
        .with("CLAUDE_MODEL", "some-model");
    std::fs::create_dir(user.path("repos")).unwrap();
    let output = user.run(&["setup", "--yes", "--root", "~/repos"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stdout(&output).contains("key-of-the-relay"));
    let bare = User {
        home: user.home,
        environment: User::new().environment,
    };
    let findings = bare.doctor();
    for what in ["SANDBOX_ROOT", "gateway", "model"] {
        assert_eq!(verdict(&findings, what), "ok", "{findings:#?}");
    }
    let missing = bare.run(&["setup", "--yes", "--root", "~/nowhere"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("is no directory"));
}

#[test]
fn completions_are_there_for_every_shell() {
    let user = User::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = stdout(&user.run(&["completions", shell]));
        for word in ["run", "doctor", "network", "smoke"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
        assert!(!script.contains("__runner"), "{shell} offers the runner");
    }
}

/// F21.
#[cfg(unix)]
#[test]
fn output_that_nobody_reads_ends_a_command_quietly() {
    let user = User::new();
    let rows: [&[&str]; 14] = [
        &["completions", "bash"],
        &["completions", "zsh"],
        &["plugin", "list"],
        &["plugin", "list", "--json"],
        &["plugin", "inspect", "nothing"],
        &["doctor"],
        &["doctor", "--settings"],
        &["jobs"],
        &["jobs", "show", "nothing"],
        &["stats"],
        &["gc"],
        &["setup", "--agents-md"],
        &["--help"],
        &["no-such-command"],
    ];
    for arguments in rows {
        let read_by_nobody = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer
        };
        let status = user
            .command(arguments)
            .stdout(read_by_nobody())
            .stderr(read_by_nobody())
            .status()
            .unwrap();
        let code = status.code();
        assert!(
            code.is_some_and(|code| (0..4).contains(&code)),
            "{arguments:?}: {status}"
        );
    }
}

/// F23.
#[cfg(unix)]
#[test]
fn setup_keeps_the_link_the_line_ends_and_the_mark_of_codexs_config() {
    let user = User::new();
    std::fs::create_dir_all(user.path(".codex")).unwrap();
    let config = user.path(".codex/config.toml");
    std::os::unix::fs::symlink("../dotfiles/codex.toml", &config).unwrap();
    for before in [
        None,
        Some("# mine\r\nmodel = \"gpt-5.5\" # good\r\n"),
        Some("\u{feff}# mine\r\nmodel = \"gpt-5.5\"\r\n"),
        Some("\u{feff}model = \"gpt-5.5\"\n"),
    ] {
        let kept = user.path("dotfiles/codex.toml");
        if let Some(text) = before {
            std::fs::write(&kept, text).unwrap();
        }
        let done = user.run(&["setup", "--yes", "--root", user.path("").to_str().unwrap()]);
        assert!(done.status.success(), "{}", stderr(&done));
        assert!(
            std::fs::symlink_metadata(&config).unwrap().is_symlink(),
            "{before:?}"
        );
        let text = std::fs::read_to_string(&kept).unwrap();
        assert!(
            text.contains("codex_async_worker") && text.starts_with(before.unwrap_or_default()),
            "{text:?}"
        );
        let crlf = before.is_some_and(|before| before.contains('\r'));
        assert_eq!(
            text.matches("\r\n").count(),
            if crlf { text.matches('\n').count() } else { 0 },
            "{text:?}"
        );
        let undone = user.run(&["setup", "--undo", "--yes"]);
        assert!(undone.status.success(), "{}", stderr(&undone));
        let text = std::fs::read_to_string(&kept).unwrap();
        assert_eq!(text, before.unwrap_or_default());
    }
}

#[test]
fn setup_writes_no_value_that_would_be_refused() {
    let user = User::new();
    let output = user.run(&[
        "setup",
        "--yes",
        "--gateway",
        "https://me:pw@gateway.example",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("ONEAPI_BASE_URL") && !stderr(&output).contains("pw@"));
    assert!(!user.path(".config/mcp-codex-worker/.env").exists());
}

#[test]
fn doctor_says_what_is_wrong_and_what_to_do() {
    let user = User::new();
    let output = user.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    let findings = user.doctor();
    for what in ["SANDBOX_ROOT", "gateway"] {
        assert_eq!(verdict(&findings, what), "fail");
    }
    for finding in &findings {
        assert!(
            finding["verdict"] == "ok" || finding["remedy"].is_string(),
            "{finding}"
        );
    }

    // A mistake in the settings hides nothing else that can be looked at without them.
    let user = User::new().with("MAX_RUNNING_JOBS", "lots-of-secret");
    let output = user.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("MAX_RUNNING_JOBS") && !stdout(&output).contains("lots-of-secret")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn doctor_names_the_programs_on_path_that_no_job_could_run() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let user = User::new();
    let program = |path: &str, text: &str| {
        let path = user.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    program("tools/bin/granted", "#!/bin/sh\n");
    let hidden = program("src/hidden/run.sh", "#!/bin/sh\n");
    symlink(&hidden, user.path("tools/bin/linked")).unwrap();
    let own = program("own/language/bin/language", "#!/bin/sh\n");
    program("tools/bin/script", &format!("#!{} -x\n", own.display()));
    symlink("nowhere", user.path("tools/bin/dangling")).unwrap();
    let path = format!(
        "{}:{}",
        user.path("tools/bin").display(),
        std::env::var("PATH").unwrap()
    );
    let findings = |user: &User| -> Vec<Value> {
        let all = user.doctor().into_iter();
        all.filter(|finding| finding["what"] == "PATH").collect()
    };
    let user = user.with("PATH", &path);
    let found = findings(&user);
    let text = serde_json::to_string(&found).unwrap();
    assert!(
        !text.contains("granted") && !text.contains("dangling"),
        "{text}"
    );
    let script = found
        .iter()
        .find(|finding| finding["detail"].to_string().contains("script"));
    let detail = script.unwrap()["detail"].as_str().unwrap();
    assert!(
        detail.contains("are run by") && detail.contains("own/language/bin"),
        "{detail}"
    );
    let remedy = script.unwrap()["remedy"].as_str().unwrap();
    assert!(remedy.contains("WORKER_SANDBOX_READ="), "{remedy}");
    let line = remedy
        .split_once("WORKER_SANDBOX_READ=")
        .unwrap()
        .1
        .to_owned();
    assert!(
        line.contains("own/language") && !line.ends_with("/bin"),
        "{line}"
    );
    let user = user.with("WORKER_SANDBOX_READ", &line);
    let found = findings(&user);
    assert_eq!(
        verdict(&found, "PATH"),
        "ok",
        "the line is the remedy: {found:?}"
    );
}

#[cfg(unix)]
#[test]
fn doctor_finds_and_mends_files_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let user = User::new();
    drop(user.store());
    let env_file = user.path(".config/mcp-codex-worker/.env");
    std::fs::create_dir_all(env_file.parent().unwrap()).unwrap();
    std::fs::write(&env_file, "CLAUDE_MODEL=m\n").unwrap();
    let state = user.path(".local/state/mcp-codex-worker");
    std::fs::set_permissions(&env_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).unwrap();
    let findings = user.doctor();
    assert_eq!(verdict(&findings, ".env"), "fail");
    assert_eq!(verdict(&findings, "job store"), "fail");

    user.run(&["doctor", "--fix"]);
    assert_eq!((mode(&env_file), mode(&state)), (0o600, 0o700));
    let findings = user.doctor();
    assert_eq!(verdict(&findings, ".env"), "ok");
    assert_eq!(verdict(&findings, "job store"), "ok");
}

/// A store without a database is made anew in silence, as on the first start; what it held before is not forgotten in silence.
#[test]
fn doctor_tells_of_jobs_whose_database_was_lost() {
    let user = User::new();
    let id = user.dead_job();
    assert_eq!(verdict(&user.doctor(), "job store"), "ok");
    let state = user.path(".local/state/mcp-codex-worker");
    let folder = std::fs::File::open(state.join("jobs").join(id.as_str())).unwrap();
    folder
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    for name in ["jobs.db", "jobs.db-wal", "jobs.db-shm"] {
        let _ = std::fs::remove_file(state.join(name));
    }
    std::fs::write(state.join("jobs.db"), "").unwrap();
    let told = stdout(&user.run(&["doctor"]));
    assert!(
        told.contains("with 0 jobs, and 1 folders of jobs that jobs.db does not know")
            && told.contains("put the former jobs.db back"),
        "{told}"
    );
    assert_eq!(verdict(&user.doctor(), "job store"), "warn");
}

#[test]
fn jobs_are_listed_shown_and_forgotten() {
    let user = User::new();
    assert!(stdout(&user.run(&["jobs"])).contains("No jobs yet"));
    let id = user.dead_job();

    let listed = user.run(&["jobs", "ls", "--json"]);
    let rows: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(rows[0]["job_id"], id.as_str());
    assert_eq!(
        rows[0]["job_status"], "interrupted",
        "a look at it settles it"
    );

    // By the beginning of its id, and as the last one.
    for name in [&id.as_str()[..8], "last", id.as_str()] {
        let shown = user.run(&["jobs", "show", name]);
        assert!(shown.status.success(), "{}", stderr(&shown));
        assert!(stdout(&shown).contains("interrupted"), "{}", stdout(&shown));
    }
    // It is over: waiting ends at once, and says by its exit code that this is no success.
    assert_eq!(user.run(&["jobs", "wait", "last"]).status.code(), Some(3));
    assert!(
        user.run(&["jobs", "tail", "last", "--follow"])
            .status
            .success()
    );
    assert!(user.run(&["jobs", "cancel", "last"]).status.success());

    let unknown = user.run(&["jobs", "rm", id.as_str(), "zzzzzz"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        user.store().job(&id).unwrap().is_some(),
        "one wrong name removes nothing"
    );
    assert!(user.run(&["jobs", "rm", "last"]).status.success());
    assert!(user.store().job(&id).unwrap().is_none());
    assert!(!user.store().job_folder(&id).exists());
}

#[test]
fn a_job_that_is_not_over_is_not_forgotten() {
    let user = User::new().with_a_cache_of_its_own();
    let id = JobId::random().unwrap();
    // This test holds its lock, as a runner would.
    let hold = user.store().add(&id).unwrap();
    let refused = user.run(&["jobs", "rm", id.as_str()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("not over"));
    assert!(
        user.run(&["gc", "--older-than", "0s", "--max-size", "0K"])
            .status
            .success()
    );
    assert_eq!(user.store().job(&id).unwrap().unwrap().state, State::Queued);
    drop(hold);
}

#[test]
fn gc_forgets_by_age_and_by_size_and_only_looks_when_told() {
    let user = User::new().with_a_cache_of_its_own();
    let old = user.dead_job();
    let new = user.dead_job();
    for id in [&old, &new] {
        std::fs::write(
            user.store().job_folder(id).join("log.txt"),
            vec![b'x'; 60_000],
        )
        .unwrap();
    }
    let looked = user.run(&["gc", "--max-size", "100K", "--dry-run"]);
    assert!(
        stdout(&looked).contains(old.as_str()),
        "{}",
        stdout(&looked)
    );
    assert!(
        !stdout(&looked).contains(new.as_str()),
        "the newer one fits"
    );
    assert_eq!(user.store().jobs(9).unwrap().len(), 2);

    assert!(user.run(&["gc", "--max-size", "100K"]).status.success());
    let left: Vec<JobId> = user
        .store()
        .jobs(9)
        .unwrap()
        .into_iter()
        .map(|job| job.id)
        .collect();
    assert_eq!(left, [new]);
    assert!(user.run(&["gc", "--older-than", "0s"]).status.success());
    assert!(user.store().jobs(9).unwrap().len() <= 1);
}

/// Compiled code of half a gigabyte stood there, and nobody knew it.
#[test]
fn gc_forgets_compiled_plugins_that_nobody_used() {
    let user = User::new().with_a_cache_of_its_own();
    let folder = user.path("cache/plugins");
    std::fs::create_dir_all(&folder).unwrap();
    let compiled = |name: &str, days: u64| {
        let file = folder.join(name);
        std::fs::write(&file, vec![0; 1_000_000]).unwrap();
        let when = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        let times = FileTimes::new().set_modified(when).set_accessed(when);
        let opened = std::fs::File::options().write(true).open(&file).unwrap();
        opened.set_times(times).unwrap();
        file
    };
    let (old, new) = (compiled("a-1.cwasm", 40), compiled("b-1.cwasm", 2));
    let said = user.run(&["gc", "--older-than", "30d", "--dry-run"]);
    let words = "1 unused compiled plugins would be deleted, 1";
    assert!(stdout(&said).contains(words), "{}", stdout(&said));
    assert!(old.exists(), "only looked");
    let said = stdout(&user.run(&["gc", "--older-than", "30d"]));
    assert!(said.contains("1 unused compiled plugins deleted"), "{said}");
    assert!(!old.exists() && new.exists());
}

#[test]
fn stats_add_up_what_the_store_has() {
    let user = User::new().with("NO_COLOR", "1");
    assert!(stdout(&user.run(&["stats"])).starts_with("jobs        0\n"));
    let id = JobId::random().unwrap();
    let store = user.store();
    let hold = store.add(&id).unwrap();
    let redactor = Redactor::new(KnownValues::new(), Vec::new());
    let result = redactor.json(json!({ "job_id": id, "job_status": "completed" }));
    store.finish(&id, State::Completed, &result).unwrap();
    drop(hold);
    for (gateway, input, cached, output) in
        [("primary", 9_000, 4_000, 500), ("fallback", 1_000, 0, 100)]
    {
        let record = json!({
            "time": "2026-11-22T00:00:00Z", "id": "r", "job": id, "route": "job", "gateway": gateway,
            "server.address": "g.example", "dialect": "openai", "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": input, "gen_ai.usage.output_tokens": output,
            "gen_ai.usage.cache_read.input_tokens": cached, "gen_ai.usage.cache_creation.input_tokens": 0,
            "gen_ai.usage.reasoning.output_tokens": 0, "stream": true, "attempts": 1,
            "http.response.status_code": 200, "duration_ms": 1.0,
        });
        store
            .record_request(Some(&id), &redactor.json(record))
            .unwrap();
    }
    store.record_call(Some(&id), "start", 400, 600).unwrap();
    store.record_call(None, "get", 100, 100).unwrap();

    let user = user
        .with("WORKER_PRICE_INPUT", "1")
        .with("WORKER_PRICE_OUTPUT", "10");
    let summary: Value =
        serde_json::from_slice(&user.run(&["stats", "--json", "--by", "model"]).stdout).unwrap();
    assert_eq!(summary["states"], json!({"completed": 1}));
    assert_eq!(summary["pass_rate"], 1.0);
    assert_eq!(summary["fallback_rate"], 0.5);
    assert_eq!(summary["groups"]["m"]["input"], 10_000);
    let surface = summary["planner"]["surface_tokens"].as_u64().unwrap();
    assert_eq!(summary["planner"]["tokens"], 300 + surface);
    // 6,000 uncached in, 600 out, less 250 of the job's own call and what the tools cost.
    assert_eq!(
        summary["delegation"]["net_tokens"],
        6_000 + 600 - 250 - surface
    );
    assert_eq!(summary["delegation"]["lost"], json!([]));
    let shown = stdout(&user.run(&["stats", "--by", "day"]));
    assert!(shown.contains("█") && shown.contains("$0.0160"), "{shown}");
}

#[test]
fn a_wrong_call_is_told_apart_from_a_failure() {
    let user = User::new();
    assert_eq!(
        user.run(&["--set", "MAX_RUNNING_JOBS=0", "jobs"])
            .status
            .code(),
        Some(2)
    );
    assert_eq!(
        user.run(&["gc", "--older-than", "soon"]).status.code(),
        Some(2)
    );
    assert_eq!(
        user.run(&["--set", "nonsense", "jobs"]).status.code(),
        Some(2)
    );
}

#[test]
fn setup_writes_the_json_of_other_clients_and_takes_it_back() {
    for (client, path) in [
        ("vscode", ".config/Code/User/mcp.json"),
        ("cursor", ".cursor/mcp.json"),
        ("gemini", ".gemini/settings.json"),
    ] {
        let user = User::new();
        std::fs::create_dir(user.path("repos")).unwrap();
        let config = user.path(path);
        std::fs::create_dir_all(config.parent().unwrap()).unwrap();
        let theirs = "{\n  // mine\n  \"theme\": \"dark\"\n}\n";
        std::fs::write(&config, theirs).unwrap();
        let setup = ["setup", "--client", client, "--root", "repos", "--yes"];
        let done = user.run(&setup);
        assert!(done.status.success(), "{client}: {}", stderr(&done));
        let written = std::fs::read_to_string(&config).unwrap();
        assert!(written.contains("// mine"), "{written}");
        assert!(written.contains("codex_async_worker"), "{written}");
        let again = user.run(&setup);
        assert!(
            stdout(&again).contains("stays as it is"),
            "{}",
            stdout(&again)
        );
        let undone = user.run(&["setup", "--client", client, "--undo", "--yes"]);
        assert!(undone.status.success(), "{client}: {}", stderr(&undone));
        let left = std::fs::read_to_string(&config).unwrap();
        assert!(
            left.contains("// mine") && !left.contains("codex_async_worker"),
            "{left}"
        );

        // What is no JSON is left alone, by name.
        std::fs::write(&config, "{ oops").unwrap();
        let refused = user.run(&setup);
        assert_eq!(refused.status.code(), Some(1), "{client}");
        assert!(
            stderr(&refused).contains("correct it first"),
            "{}",
            stderr(&refused)
        );
        assert_eq!(std::fs::read_to_string(&config).unwrap(), "{ oops");
    }
}
