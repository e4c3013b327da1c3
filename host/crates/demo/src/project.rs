//! The demo's repository, the job that Codex gives, and what the scripted model does about it.

use std::fs;
use std::io;
use std::path::Path;

use git2::{IndexAddOption, RepositoryInitOptions, Signature};
use serde_json::{Value, json};

use super::gateway::{Script, Turn};

/// The fault in the repository, for people.
pub(super) const FAULT: &str =
    "total() in src/cart.js forgets the last item, so two of three tests fail";

/// The command that shows it.
pub(super) const TEST_COMMAND: &str = "node --test";

const WRONG: &str = "i < items.length - 1";
const RIGHT: &str = "i < items.length";

const FILES: &[(&str, &str)] = &[
    ("package.json", include_str!("project/package.json")),
    ("src/cart.js", include_str!("project/cart.js")),
    ("test/cart.test.js", include_str!("project/cart.test.js")),
];

/// The reason why the repository could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// A file could not be written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The first commit could not be made.
    #[error("{0}")]
    Git(#[from] git2::Error),
}

/// Makes the demo's repository at `top`.
pub(super) fn create(top: &Path) -> Result<(), ProjectError> {
    repository(top, FILES, "A cart that adds up")
}

/// Makes a repository at `top` with these files in one commit.
pub fn repository(top: &Path, files: &[(&str, &str)], message: &str) -> Result<(), ProjectError> {
    for (path, content) in files {
        let path = top.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, content)?;
    }
    // No template: it could bring hooks along.
    let mut options = RepositoryInitOptions::new();
    options.initial_head("main").external_template(false);
    let repository = git2::Repository::init_opts(top, &options)?;
    let mut index = repository.index()?;
    index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
    index.write()?;
    let tree = repository.find_tree(index.write_tree()?)?;
    let author = Signature::now("mcp-codex-worker demo", "demo@localhost")?;
    repository.commit(Some("HEAD"), &author, &author, message, &tree, &[])?;
    Ok(())
}

/// The arguments of the one call to `start`.
pub(super) fn job(top: &Path, wait_ms: u64) -> Value {
    json!({
        "prompt": "Fix the failing tests with the smallest safe code change.",
        "allowed_dirs": [top],
        "permission_mode": "acceptEdits",
        "scoped_patch": {"paths": ["src"], "max_diff_bytes": 20_000},
        "checks": [{"name": "unit tests", "command": TEST_COMMAND, "timeout_ms": 120_000}],
        "wait_ms": wait_ms,
    })
}

/// The moves of the scripted model: it looks, it edits, it tests, as a real one would.
pub(super) fn script() -> Script {
    let test = |why: &str| Turn::call("Bash", json!({"command": TEST_COMMAND, "description": why}));
    Script::turns([
        test("Run the tests").saying("I will run the tests first."),
        Turn::call("Read", json!({"file_path": "{cwd}/test/cart.test.js"}))
            .and_call("Read", json!({"file_path": "{cwd}/src/cart.js"})),
        Turn::call(
            "Edit",
            json!({"file_path": "{cwd}/src/cart.js", "old_string": WRONG, "new_string": RIGHT}),
        )
        .saying("The loop ends one item too early."),
        test("Run the tests again"),
        Turn::say(
            "The loop in total() stopped before the last item. It now visits every item, and all tests pass.",
        ),
    ])
}
