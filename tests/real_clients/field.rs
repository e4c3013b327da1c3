//! The real Claude Code where real repositories and machines are: a member of a monorepo, a worktree of a bare clone while
//! somebody fetches, submodules and filtered files, a repository below /tmp, programs in HOME.

use std::path::PathBuf;

use serde_json::{Value, json};
use worker_test_support::checkout::{git, write};
use worker_test_support::gateway::{Gate, Script, ScriptedGateway, Turn};
use worker_test_support::worker::{PATIENCE, call, run_job};
use worker_test_support::{McpClient, Worker, clients};

use super::BINARY;

/// Repositories below a root, and a worker with the real Claude Code.
struct Field {
    dir: tempfile::TempDir,
    worker: Worker,
    gateway: ScriptedGateway,
}

impl Field {
    fn new(script: Script) -> Self {
        let dir = tempfile::Builder::new().prefix("field-").tempdir().unwrap();
        let gateway = ScriptedGateway::start(script).unwrap();
        let root = dir.path().canonicalize().unwrap().join("root");
        std::fs::create_dir(&root).unwrap();
        let worker = Worker::bare(BINARY)
            .set("SANDBOX_ROOT", root.display())
            .set("ONEAPI_BASE_URL", gateway.base_url())
            .set("ONEAPI_API_KEY", "gateway-key-of-the-test")
            .set("CLAUDE_MODEL", "scripted")
            .set("WORKER_CLAUDE_BIN", clients::claude_code().display());
        Self {
            dir,
            worker,
            gateway,
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir
            .path()
            .canonicalize()
            .unwrap()
            .join("root")
            .join(path)
    }

    fn repository(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let top = self.at(name);
        std::fs::create_dir_all(&top).unwrap();
        git(&top, &["init", "-q", "-b", "main"]);
        for (path, text) in files {
            write(&top.join(path), text);
        }
        git(&top, &["add", "-A"]);
        git(&top, &["commit", "-q", "-m", "start"]);
        top
    }

    fn run(&self, front: &mut McpClient, asked: Value) -> Value {
        let result = run_job(front, asked);
        assert_eq!(
            result["job_status"],
            "completed",
            "{result}\n{:?}",
            self.gateway
                .requests()
                .last()
                .map(|last| last.texts("tool"))
        );
        result
    }
}

/// Turns that edit a file of the working directory and then run a command.
fn edits(file: &str, command: &str) -> [Turn; 4] {
    let file = format!("{{cwd}}/{file}");
    [
        Turn::call("Read", json!({ "file_path": file })),
        Turn::call(
            "Edit",
            json!({ "file_path": file, "old_string": "a - b", "new_string": "a + b" }),
        ),
        Turn::call(
            "Bash",
            json!({ "command": command, "description": "Try it" }),
        ),
        Turn::say("It adds now."),
    ]
}

#[test]
fn a_member_of_a_monorepo_is_mended_and_tested_with_narrowed_dirs() {
    let uses = "npm test 2>&1 | tail -3; echo x > ../node_modules/.cache/agents";
    let field = Field::new(Script::turns(edits("src/a.js", uses)));
    let top = field.repository(
        "mono",
        &[
            (
                "package.json",
                r#"{"name": "mono", "private": true, "workspaces": ["sum", "other"]}"#,
            ),
            ("package-lock.json", "{}\n"),
            (".gitignore", "node_modules/\n"),
            (
                "sum/package.json",
                r#"{"name": "sum", "version": "1.0.0", "scripts": {"test": "node --test"}}"#,
            ),
            ("sum/src/a.js", "exports.sum = (a, b) => a - b;\n"),
            (
                "sum/a.test.js",
                "require('node:test')('adds', () => require('node:assert').equal(require('./src/a.js').sum(2, 2), 4));\n",
            ),
            ("other/package.json", r#"{"name": "other", "version": "1.0.0"}"#),
        ],
    );
    std::fs::create_dir_all(top.join("node_modules/.cache")).unwrap();
    let mut front = field.worker.serve();
    let result = field.run(
        &mut front,
        json!({
            "prompt": "Mend the sum.",
            "allowed_dirs": [top.join("sum")],
            "checks": [{
                "name": "tests",
                "command": "npm test && echo x > ../node_modules/.cache/checks && echo '{ }' > ../package-lock.json",
            }],
        }),
    );
    assert_eq!(result["changed_files"], json!(["src/a.js"]), "{result}");
    assert!(top.join("node_modules/.cache/agents").exists());
}

/// The pinned Claude Code and the newest, in the checkout and in a tree of the job's own.
#[test]
fn a_job_commits_its_work() {
    for (program, isolation) in [
        (clients::claude_code(), "none"),
        (clients::newest_claude_code(), "none"),
        (clients::claude_code(), "worktree"),
        (clients::newest_claude_code(), "worktree"),
    ] {
        let commits = "git switch -q -c mend && git commit -qam 'Mend the sum' && git log --format=%s -1 && git status --short";
        let mut field = Field::new(Script::turns(edits("src/a.js", commits)));
        field.worker = field.worker.set("WORKER_CLAUDE_BIN", program.display());
        let top = field.repository("sum", &[("src/a.js", "exports.sum = (a, b) => a - b;\n")]);
        // Nobody's, but for what the repository says.
        git(&top, &["config", "user.name", "Ada"]);
        git(&top, &["config", "user.email", "ada@example.org"]);
        let mut front = field.worker.serve();
        let result = field.run(
            &mut front,
            json!({
                "prompt": "Mend the sum and commit it on a branch.",
                "allowed_dirs": [top],
                "isolation": isolation,
                "checks": [{ "name": "committed", "command": "test \"$(git log --format=%s -1)\" = 'Mend the sum' && git diff --quiet HEAD" }],
            }),
        );
        let log = git(&top, &["log", "--format=%s", "--all"]);
        if isolation == "worktree" {
            assert_eq!(log, "start", "{result}");
            let applied = call(&mut front, "apply", json!({ "job_id": result["job_id"] }));
            assert!(!applied.is_error, "{:?}", applied.structured);
        } else {
            assert_eq!(log, "Mend the sum\nstart", "{result}");
            assert_eq!(git(&top, &["branch", "--show-current"]), "mend", "{result}");
        }
        assert_eq!(git(&top, &["status", "--short"]), "", "{result}");
        assert_eq!(git(&top, &["fsck", "--strict", "--no-dangling"]), "");
        drop(front);
        field.worker.assert_no_process_left();
    }
}

#[test]
fn a_worktree_of_a_bare_clone_is_worked_in_while_somebody_fetches() {
    let gate = Gate::closed();
    let [read, edit, bash, say] = edits("src/a.js", "git add -A && git status --short");
    let field = Field::new(Script::turns([read, edit, bash.behind(&gate), say]));
    let up = field.repository("up", &[("src/a.js", "exports.sum = (a, b) => a - b;\n")]);
    let proj = field.at("proj.git");
    git(
        &field.at(""),
        &["clone", "-q", "--bare", up.to_str().unwrap(), "proj.git"],
    );
    git(
        &proj,
        &[
            "config",
            "remote.origin.fetch",
            "+refs/heads/*:refs/remotes/origin/*",
        ],
    );
    git(&proj, &["worktree", "add", "-q", "../tree", "main"]);
    let top = field.at("tree");
    let mut front = field.worker.serve();
    let started = call(
        &mut front,
        "start",
        json!({
            "prompt": "Mend the sum.",
            "allowed_dirs": [top],
            "checks": [{ "name": "adds", "command": "grep -q 'a + b' src/a.js && git add -A && git diff --cached --name-only | grep -q a.js" }],
        }),
    );
    // Once the agent works, and before it is done.
    assert!(field.gateway.wait_for_requests(3, PATIENCE));
    write(&up.join("news"), "x\n");
    git(&up, &["add", "-A"]);
    git(&up, &["commit", "-q", "-m", "news"]);
    git(&up, &["tag", "v1"]);
    git(&proj, &["fetch", "-q", "--tags", "origin"]);
    gate.open();
    let result = call(
        &mut front,
        "wait",
        json!({ "job_id": started.structured["job_id"], "timeout_ms": PATIENCE.as_millis() as u64 }),
    )
    .structured;
    assert_eq!(result["job_status"], "completed", "{result}");
    assert_eq!(result["changed_files"], json!(["src/a.js"]), "{result}");
}

#[test]
fn an_isolated_job_has_submodules_and_leaves_filtered_files_alone() {
    let field = Field::new(Script::turns(edits(
        "src/a.js",
        "git status --short; cat vendor/lib/l.txt big.bin",
    )));
    let library = field.repository("library", &[("l.txt", "of the library\n")]);
    let top = field.repository("r", &[("src/a.js", "exports.sum = (a, b) => a - b;\n")]);
    git(
        &top,
        &[
            "submodule",
            "add",
            "-q",
            library.to_str().unwrap(),
            "vendor/lib",
        ],
    );
    // As git-lfs does it: what is committed is a pointer, what is in the checkout is the content.
    git(
        &top,
        &[
            "config",
            "filter.lfs.clean",
            "sed 's/^content of /pointer to /'",
        ],
    );
    git(
        &top,
        &[
            "config",
            "filter.lfs.smudge",
            "sed 's/^pointer to /content of /'",
        ],
    );
    git(&top, &["config", "filter.lfs.required", "true"]);
    write(
        &top.join(".gitattributes"),
        "*.bin filter=lfs diff=lfs merge=lfs -text\n",
    );
    write(&top.join("big.bin"), "content of a film\n");
    git(&top, &["add", "-A"]);
    git(&top, &["commit", "-q", "-m", "submodule and film"]);
    assert_eq!(git(&top, &["status", "--porcelain"]), "");
    let mut front = field.worker.serve();
    let result = field.run(
        &mut front,
        json!({
            "prompt": "Mend the sum.",
            "allowed_dirs": [top],
            "isolation": "worktree",
            "checks": [
                { "name": "status", "command": "test \"$(git status --porcelain)\" = ' M src/a.js'" },
                { "name": "submodule", "command": "grep -q library vendor/lib/l.txt" },
            ],
        }),
    );
    assert_eq!(result["changed_files"], json!(["src/a.js"]), "{result}");
    assert!(result["notes"].to_string().contains("git-lfs"), "{result}");
    let applied = call(&mut front, "apply", json!({ "job_id": result["job_id"] })).structured;
    assert_eq!(applied["files"], json!(["src/a.js"]), "{applied}");
    assert_eq!(
        std::fs::read_to_string(top.join("big.bin")).unwrap(),
        "content of a film\n"
    );
    assert_eq!(git(&top, &["status", "--porcelain"]), "");
}

#[test]
fn a_repository_below_tmp_is_worked_in_as_anywhere() {
    let field = Field::new(Script::turns(edits(
        "src/a.js",
        "git add -A && git status --short && touch /tmp/x",
    )));
    let place = tempfile::Builder::new()
        .prefix("below-")
        .tempdir_in("/tmp")
        .unwrap();
    let top = place.path().canonicalize().unwrap().join("r");
    std::fs::create_dir(&top).unwrap();
    git(&top, &["init", "-q", "-b", "main"]);
    write(&top.join("src/a.js"), "exports.sum = (a, b) => a - b;\n");
    git(&top, &["add", "-A"]);
    git(&top, &["commit", "-q", "-m", "start"]);
    let worker = field.worker.set(
        "SANDBOX_ROOT",
        place.path().canonicalize().unwrap().display(),
    );
    let result = run_job(
        &mut worker.serve(),
        json!({
            "prompt": "Mend the sum.",
            "allowed_dirs": [top],
            "checks": [{ "name": "stages", "command": "git add -A && git diff --cached --name-only | grep -q a.js" }],
        }),
    );
    assert_eq!(result["job_status"], "completed", "{result}");
    assert_eq!(result["changed_files"], json!(["src/a.js"]), "{result}");
}

#[test]
fn programs_of_a_conda_like_prefix_in_home_run_in_agent_and_checks() {
    let field = Field::new(Script::turns(edits("src/a.js", "datatool > seen.txt")));
    let prefix = field
        .worker
        .home()
        .canonicalize()
        .unwrap()
        .join("miniconda3");
    write(&prefix.join("conda-meta/history"), "");
    write(&prefix.join("lib/data.txt"), "found beside it\n");
    write(
        &prefix.join("bin/datatool"),
        format!(
            "#!{0}/bin/interpreter\nexec cat {0}/lib/data.txt\n",
            prefix.display()
        ),
    );
    std::os::unix::fs::symlink("/bin/sh", prefix.join("bin/interpreter")).unwrap();
    std::fs::set_permissions(
        prefix.join("bin/datatool"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let top = field.repository("r", &[("src/a.js", "exports.sum = (a, b) => a - b;\n")]);
    let path = format!(
        "{}:{}",
        prefix.join("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let worker = field.worker.set("PATH", path);
    let result = run_job(
        &mut worker.serve(),
        json!({
            "prompt": "Mend the sum.",
            "allowed_dirs": [top],
            "checks": [{ "name": "tool", "command": "test \"$(datatool)\" = 'found beside it'" }],
        }),
    );
    assert_eq!(result["job_status"], "completed", "{result}");
    assert_eq!(
        std::fs::read_to_string(top.join("seen.txt")).unwrap(),
        "found beside it\n"
    );
}
