//! The way of an author: a new folder outside the repository, build, test, inspect, add, and a job that fails because of
//! it; and the examples, each built and run as its README says.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mcp_codex_worker::plugins::{PluginSet, PluginSettings};
use mcp_codex_worker::settings::{Settings, Sources};
use serde_json::json;

use super::guests::{engine, folder, workspace};
use super::job::Job;

/// An author's machine: a home of its own, and one target folder for all builds, so that dependencies build once.
struct Author {
    home: tempfile::TempDir,
}

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Author {
    fn new() -> Self {
        Author {
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn config(&self) -> PathBuf {
        self.home.path().join("config/config.toml")
    }

    fn plugin(&self, folder_: &Path, arguments: &[&str]) -> Said {
        std::fs::create_dir_all(self.home.path().join("config")).unwrap();
        if !self.config().exists() {
            std::fs::write(self.config(), "# the operator's own words\n").unwrap();
        }
        let output = Command::new(env!("CARGO_BIN_EXE_mcp-codex-worker"))
            .current_dir(folder_)
            .arg("plugin")
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .env("XDG_CONFIG_HOME", self.home.path().join("xdg"))
            .env("WORKER_CACHE_DIR", folder().join("cache"))
            .env("CARGO_TARGET_DIR", folder().join("authors"))
            .output()
            .unwrap();
        Said {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn ok(&self, folder: &Path, arguments: &[&str]) -> String {
        let said = self.plugin(folder, arguments);
        assert_eq!(
            said.code,
            Some(0),
            "plugin {arguments:?}\n{}{}",
            said.stdout,
            said.stderr
        );
        said.stdout
    }

    fn fails(&self, folder: &Path, arguments: &[&str]) -> String {
        let said = self.plugin(folder, arguments);
        assert_eq!(
            said.code,
            Some(1),
            "plugin {arguments:?}\n{}{}",
            said.stdout,
            said.stderr
        );
        said.stdout + &said.stderr
    }

    /// The plugins that a job of this operator would get.
    fn set(&self) -> PluginSet {
        let sources = Sources {
            config: Some(self.config()),
            config_dir: self.home.path().join("xdg/mcp-codex-worker"),
            home: Some(self.home.path().to_owned()),
            ..Sources::default()
        };
        let settings = Settings::load(&sources).unwrap();
        PluginSet::load(&engine(), &PluginSettings::of(&settings, &[]))
    }
}

#[test]
fn from_an_idea_to_a_check_that_guards_every_job() {
    let author = Author::new();
    let work = author.home.path().join("work");
    std::fs::create_dir_all(&work).unwrap();
    author.ok(&work, &["new", "check", "no-todo"]);
    let plugin = work.join("no-todo");
    let built = author.ok(&plugin, &["build"]);
    assert!(built.contains("no-todo 0.1.0 (check)"), "{built}");
    let tested = author.ok(&plugin, &["test"]);
    assert!(
        tested.contains("passed example") && tested.contains("fuel"),
        "{tested}"
    );
    let seen = author.ok(&plugin, &["inspect", "."]);
    assert!(
        seen.contains("pure: no WASI") && seen.contains("worker:plugin 0.1.0"),
        "{seen}"
    );
    author.ok(&plugin, &["add", "."]);
    let text = std::fs::read_to_string(author.config()).unwrap();
    assert!(text.starts_with("# the operator's own words"), "{text}");
    assert!(author.ok(&plugin, &["list"]).contains("no-todo"));

    let set = author.set();
    assert_eq!(set.standing_checks(), ["no-todo"]);
    // `src/a.rs` of the job holds `aaa`.
    let check = set.check("no-todo").unwrap();
    assert!(check.run(Arc::new(Job), &json!({})).unwrap().passed);
    assert!(
        !check
            .run(Arc::new(Job), &json!({"words": ["aa"]}))
            .unwrap()
            .passed
    );

    author.ok(&plugin, &["disable", "no-todo"]);
    assert_eq!(
        author.set().standing_checks(),
        [""; 0],
        "no job is held to it"
    );
    assert!(
        author
            .set()
            .check("no-todo")
            .err()
            .unwrap()
            .to_string()
            .contains("enabled = true")
    );
    author.ok(&plugin, &["enable", "no-todo"]);
    author.ok(&plugin, &["remove", "no-todo"]);
    assert!(
        author
            .fails(&plugin, &["remove", "no-todo"])
            .contains("is not installed")
    );
    assert!(
        author
            .fails(&plugin, &["disable", "scope"])
            .contains("can't be taken out")
    );

    // A case that fails is shown with what was expected.
    let case = plugin.join("cases/example/case.json");
    let text = std::fs::read_to_string(&case)
        .unwrap()
        .replace("\"line\": 2", "\"line\": 7");
    std::fs::write(&case, text).unwrap();
    let failed = author.fails(&plugin, &["test"]);
    assert!(
        failed.contains("FAILED example") && failed.contains("no finding with"),
        "{failed}"
    );
    assert!(
        author
            .fails(&work, &["new", "check", "no-todo"])
            .contains("exists already")
    );
    assert!(
        author
            .fails(&work, &["new", "check", "No Todo"])
            .contains("small letters")
    );
    assert!(author.fails(&work, &["build"]).contains("plugin.toml"));
}

#[test]
fn every_template_builds_and_passes_its_case() {
    let author = Author::new();
    for kind in ["summarizer", "redactor", "dialect"] {
        let name = format!("new-{kind}");
        author.ok(author.home.path(), &["new", kind, &name]);
        let plugin = author.home.path().join(&name);
        author.ok(&plugin, &["build"]);
        assert!(
            author
                .ok(&plugin, &["test"])
                .contains("1 of 1 cases passed")
        );
    }
}

/// A copy of an example, with the SDK beside it as in the repository: building writes into the folder.
fn copy_of(example: &str) -> PathBuf {
    let tree = folder().join("tree");
    for part in ["wit", "plugins/sdk", &format!("examples/{example}")] {
        copy(&workspace().join(part), &tree.join(part));
    }
    tree.join("examples").join(example)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() {
            if !["target", "node_modules"]
                .iter()
                .any(|skipped| name == *skipped)
            {
                copy(&path, &to.join(name));
            }
        } else if std::fs::read(&path).ok() != std::fs::read(to.join(name)).ok() {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn the_examples_build_and_pass_their_cases() {
    let author = Author::new();
    for example in [
        "migration-rollback",
        "acme-gateway",
        "team-secrets",
        "build-tool",
    ] {
        let folder = copy_of(example);
        author.ok(&folder, &["build"]);
        let tested = author.ok(&folder, &["test"]);
        assert!(
            !tested.contains("FAILED") && tested.contains("passed"),
            "{tested}"
        );
    }
    // The one that reads beyond the change says so, and is installed only with leave.
    let folder = copy_of("migration-rollback");
    let refused = author.fails(&folder, &["add", "."]);
    assert!(
        refused.contains("--grant 'files:migrations/**'"),
        "{refused}"
    );
    author.ok(&folder, &["add", ".", "--grant", "files:migrations/**"]);
    author.set().check("migration-rollback").unwrap();
}

/// JavaScript, with componentize-js from npm. Where npm cannot be reached this test says so and fails only in CI.
#[test]
fn the_example_in_javascript_builds_and_passes_its_cases() {
    let author = Author::new();
    let folder = copy_of("no-console");
    let npm = Command::new("npm")
        .current_dir(&folder)
        .args([
            "install",
            "--no-package-lock",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ])
        .output();
    if !npm.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "npm install failed");
        eprintln!("npm install failed: the example in JavaScript is not built");
        return;
    }
    author.ok(&folder, &["build"]);
    let tested = author.ok(&folder, &["test"]);
    assert!(tested.contains("2 of 2 cases passed"), "{tested}");
}
