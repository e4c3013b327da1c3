//! Signals that the job changed the scripts that its own checks run. A check that the agent can
//! rewrite proves nothing.
//!
//! Looked at are the files that the given commands name as programs: scripts, `package.json` scripts, make and just files,
//! cargo's configuration (which can name a runner), and what those scripts run in turn. Test files are not among them:
//! changing tests is often the task, and the check `test-tampering` watches it. A file that `scoped_patch.paths` names
//! itself (not only its directory) may be changed: the caller said so, for its own checks.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::plan::Plan;
use crate::checks::{CheckSpec, CommandLine, Origin, ScopedPatch};
use workspace::Changes;

/// The depth to which scripts are followed that run scripts.
const DEPTH: usize = 3;

/// Scripts are text of a sane size; what is longer is not looked into.
const SCRIPT_BYTES: u64 = 256 << 10;

/// The tree before and after the job, as far as this needs it. Paths are relative to the working directory.
pub(super) struct Contents<'a> {
    /// True if the job changed, added, renamed or deleted this file.
    pub(super) changed: &'a dyn Fn(&str) -> bool,
    /// A file as it was before the job, bounded; `None` when there was none.
    pub(super) before: &'a dyn Fn(&str) -> Option<String>,
    /// A file as it is now, bounded.
    pub(super) now: &'a dyn Fn(&str) -> Option<String>,
}

/// The changed files that the checks of a plan depend on.
pub(super) fn changed_by(plan: &Plan<'_>, changes: &Changes) -> Vec<String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let changed = |path: &str| {
        // A program that the rules ignore (`.venv/bin/check`) decides as much as one that is tracked.
        let ignored = || changes.ignored_files.iter().any(|file| *file == *path);
        changes.find(path.as_bytes()).is_some() || ignored()
    };
    let before = |path: &str| {
        changes
            .read_before(path.as_bytes(), 0, SCRIPT_BYTES)
            .ok()
            .map(text)
    };
    let now = |path: &str| {
        if changed(path) {
            return changes
                .read(path.as_bytes(), 0, SCRIPT_BYTES)
                .ok()
                .map(text);
        }
        read_bounded(&plan.place.tree.work_dir.join(path)).map(text)
    };
    depended_on(
        plan.checks,
        plan.scoped_patch,
        &Contents {
            changed: &changed,
            before: &before,
            now: &now,
        },
    )
}

/// A file that did not change is what it was before the job. Not through a FIFO, which would never end.
fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .ok()?
        .take(SCRIPT_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}

/// The changed files that the command checks depend on, each with what changed in it where that is known.
fn depended_on(
    checks: &[CheckSpec],
    scope: Option<&ScopedPatch>,
    tree: &Contents<'_>,
) -> Vec<String> {
    let mut found = Found {
        tree,
        scope: None,
        seen: BTreeSet::new(),
        changed: BTreeSet::new(),
    };
    // The operator's first: what a job's own scope allows to be changed is not the operator's word.
    let of_job = |check: &&CheckSpec| check.origin() == Origin::Job;
    let order = checks.iter().filter(|check| !of_job(check));
    for check in order.chain(checks.iter().filter(of_job)) {
        let CheckSpec::Command(check) = check else {
            continue;
        };
        found.scope = scope.filter(|_| check.origin == Origin::Job);
        let folder = check
            .cwd
            .as_ref()
            .map(|cwd| cwd.to_string_lossy().into_owned())
            .unwrap_or_default();
        match &check.command {
            CommandLine::Shell(script) => found.script(&folder, script, DEPTH),
            CommandLine::Argv(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                found.command(&folder, &words, DEPTH);
            }
        }
    }
    found.changed.into_iter().collect()
}

struct Found<'a, 'b> {
    tree: &'a Contents<'b>,
    scope: Option<&'a ScopedPatch>,
    seen: BTreeSet<String>,
    changed: BTreeSet<String>,
}

impl Found<'_, '_> {
    /// Every simple command of a shell script.
    fn script(&mut self, folder: &str, script: &str, depth: usize) {
        for line in script
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
        {
            for command in line.split([';', '|', '&', '(', ')', '`', '{', '}']) {
                let words: Vec<&str> = command
                    .split_whitespace()
                    .map(|word| word.trim_matches(['"', '\'']))
                    .filter(|word| !word.is_empty())
                    .collect();
                self.command(folder, &words, depth);
            }
        }
    }

    fn command(&mut self, folder: &str, words: &[&str], depth: usize) {
        const WRAPPERS: &[&str] = &[
            "env", "exec", "time", "nice", "command", "sudo", "nohup", "then", "do", "else", "if",
            "while", "!", "npx", "bunx", "xvfb-run", "set",
        ];
        let mut words = words;
        while let [first, rest @ ..] = words {
            let is_assignment = first
                .split_once('=')
                .is_some_and(|(name, _)| !name.is_empty() && !name.contains(['/', '-']));
            if !is_assignment && !WRAPPERS.contains(first) {
                break;
            }
            words = rest;
        }
        let [program, args @ ..] = words else { return };
        let name = program.rsplit('/').next().unwrap_or(program);
        match name {
            "sh" | "bash" | "dash" | "zsh" | "ksh" | "source" | "." => match args {
                [flag, script, ..] if flag.starts_with('-') && flag.ends_with('c') => {
                    self.script(folder, script, depth)
                }
                _ => {
                    if let Some(file) = args.iter().find(|arg| !arg.starts_with('-')) {
                        self.file(folder, file, depth);
                    }
                }
            },
            "python" | "python3" | "node" | "deno" | "bun" | "ruby" | "perl" | "php" | "tsx"
            | "ts-node"
                if !matches!(args, ["run" | "test" | "task" | "x", ..]) =>
            {
                let modules = args
                    .iter()
                    .any(|arg| matches!(*arg, "-c" | "-m" | "-e" | "--eval" | "--test"));
                if let Some(file) = args
                    .iter()
                    .find(|arg| !arg.starts_with('-'))
                    .filter(|file| !modules && sounds_like_a_check(file))
                {
                    self.file(folder, file, depth);
                }
            }
            "npm" | "yarn" | "pnpm" | "bun" => self.package_script(folder, args, depth),
            "make" | "gmake" => {
                let option = |wanted: &str| {
                    args.iter()
                        .position(|arg| *arg == wanted)
                        .and_then(|at| args.get(at + 1))
                        .copied()
                };
                let folder =
                    option("-C").map_or_else(|| folder.to_owned(), |inner| join(folder, inner));
                match option("-f") {
                    Some(file) => self.file(&folder, file, 0),
                    None => ["GNUmakefile", "makefile", "Makefile"]
                        .iter()
                        .for_each(|file| self.file(&folder, file, 0)),
                }
            }
            "just" => ["justfile", "Justfile", ".justfile"]
                .iter()
                .for_each(|file| self.file(folder, file, 0)),
            "tox" | "nox" => ["tox.ini", "noxfile.py"]
                .iter()
                .for_each(|file| self.file(folder, file, 0)),
            "cargo" => [
                ".cargo/config.toml",
                ".cargo/config",
                ".config/nextest.toml",
            ]
            .iter()
            .for_each(|file| self.file(folder, file, 0)),
            _ => {}
        }
        if program.contains('/') && !program.starts_with('/') {
            self.file(folder, program, depth);
        }
    }

    /// A file that is run: changed, or running others that are.
    fn file(&mut self, folder: &str, file: &str, depth: usize) {
        let path = join(folder, file);
        if is_test_file(&path) || self.may_change(&path) || !self.seen.insert(path.clone()) {
            return;
        }
        if (self.tree.changed)(&path) {
            self.changed.insert(path);
        } else if depth > 0
            && let Some(script) = (self.tree.now)(&path).filter(|script| is_shell(&path, script))
        {
            // What a script names is relative to where it runs, which is nearly always where it was started.
            self.script(folder, &script, depth - 1);
        }
    }

    /// `npm test`, `npm run lint`: the entry of `package.json` as it was and as it is.
    fn package_script(&mut self, folder: &str, args: &[&str], depth: usize) {
        let mut words = args.iter().filter(|arg| !arg.starts_with('-'));
        let name = match words.next() {
            Some(&"run" | &"run-script") => words.next().copied(),
            Some(&"t" | &"tst") => Some("test"),
            word => word.copied(),
        };
        let Some(name) = name else { return };
        let file = join(folder, "package.json");
        if self.may_change(&file) || !self.seen.insert(format!("{file}#{name}")) {
            return;
        }
        let scripts = |text: Option<String>| -> Option<Value> {
            serde_json::from_str::<Value>(&text?)
                .ok()?
                .get("scripts")
                .cloned()
        };
        let now = scripts((self.tree.now)(&file));
        let before = if (self.tree.changed)(&file) {
            scripts((self.tree.before)(&file))
        } else {
            now.clone()
        };
        let entry = |scripts: &Option<Value>, name: &str| {
            scripts.as_ref()?.get(name)?.as_str().map(str::to_owned)
        };
        for name in [format!("pre{name}"), name.to_owned(), format!("post{name}")] {
            let was = entry(&before, &name);
            if was != entry(&now, &name) {
                self.changed.insert(format!("{file} (script {name})"));
            } else if let Some(script) = was.filter(|_| depth > 0) {
                self.script(folder, &script, depth - 1);
            }
        }
    }

    /// The caller named this very file as one that may change.
    fn may_change(&self, path: &str) -> bool {
        self.scope.is_some_and(|scope| {
            scope
                .paths
                .iter()
                .any(|allowed| allowed.trim_start_matches("./") == path)
        })
    }
}

/// Joins and takes out `.` and `..`, without asking the file system.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    name.contains(".test.")
        || name.contains(".spec.")
        || stem.starts_with("test_") && name.ends_with(".py")
        || stem.ends_with("_test")
}

/// `python main.py` runs what is worked on; `python scripts/check_style.py` runs a check.
fn sounds_like_a_check(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let folder = path.split('/').rev().skip(1).any(|part| {
        matches!(
            part,
            "scripts" | "script" | "tools" | "ci" | "bin" | ".ci" | "checks" | "hack"
        )
    });
    let name = path.rsplit('/').next().unwrap_or(&path);
    folder
        || [
            "check", "verify", "lint", "validate", "runtest", "run_test", "run-test", "ci.",
        ]
        .iter()
        .any(|word| name.contains(word))
}

fn is_shell(path: &str, text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    path.ends_with(".sh")
        || path.ends_with(".bash")
        || first.starts_with("#!") && first.ends_with("sh")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::checks::CommandCheck;

    fn check(command: &str) -> CheckSpec {
        CheckSpec::Command(CommandCheck::new(
            "unit tests",
            CommandLine::Shell(command.into()),
            1000,
        ))
    }

    #[test]
    fn a_check_that_the_job_rewrote_is_noticed() {
        let package = |test: &str, extra: &str| {
            format!(r#"{{"scripts":{{"test":"{test}","lint":"eslint ."}}{extra}}}"#)
        };
        let before = BTreeMap::from([
            (
                "run-tests.sh",
                "#!/bin/sh\nset -e\n./scripts/inner.sh && cargo test\n".to_owned(),
            ),
            ("scripts/inner.sh", "#!/bin/bash\necho hi\n".to_owned()),
            ("package.json", package("jest && sh scripts/inner.sh", "")),
            ("web/package.json", package("vitest", "")),
            ("Makefile", "test:\n\tcargo test\n".to_owned()),
            ("main.py", "print()\n".to_owned()),
            ("tools/check_style.py", "x\n".to_owned()),
            ("tests/a.test.js", "x\n".to_owned()),
        ]);
        let rows: &[(&str, &str, Option<String>, &[&str])] = &[
            (
                "./run-tests.sh",
                "run-tests.sh",
                Some("exit 0".into()),
                &["run-tests.sh"],
            ),
            (
                "bash -e run-tests.sh",
                "run-tests.sh",
                Some("exit 0".into()),
                &["run-tests.sh"],
            ),
            (
                "./run-tests.sh",
                "scripts/inner.sh",
                Some("exit 0".into()),
                &["scripts/inner.sh"],
            ),
            (
                "cd . && ./run-tests.sh",
                "run-tests.sh",
                None,
                &["run-tests.sh"],
            ),
            (
                "CI=1 npm test",
                "package.json",
                Some(package("true", "")),
                &["package.json (script test)"],
            ),
            (
                "npm run lint",
                "package.json",
                Some(package("true", "")),
                &[],
            ),
            (
                "npm test",
                "package.json",
                Some(package("jest && sh scripts/inner.sh", r#","version":"2""#)),
                &[],
            ),
            (
                "npm test",
                "scripts/inner.sh",
                Some("exit 0".into()),
                &["scripts/inner.sh"],
            ),
            (
                "make test",
                "Makefile",
                Some("test:\n\ttrue\n".into()),
                &["Makefile"],
            ),
            ("make -C web test", "Makefile", Some("x".into()), &[]),
            (
                "cargo test",
                ".cargo/config.toml",
                Some("[target.x]\nrunner='true'".into()),
                &[".cargo/config.toml"],
            ),
            ("cargo test", "src/lib.rs", Some("x".into()), &[]),
            ("python main.py", "main.py", Some("x".into()), &[]),
            (
                "python3 tools/check_style.py src",
                "tools/check_style.py",
                Some("x".into()),
                &["tools/check_style.py"],
            ),
            (
                "node --test tests/a.test.js",
                "tests/a.test.js",
                Some("x".into()),
                &[],
            ),
            ("/usr/bin/true", "usr/bin/true", Some("x".into()), &[]),
        ];
        for (command, path, now, wanted) in rows {
            let mut after = before.clone();
            match now {
                Some(text) => after.insert(path, text.clone()),
                None => after.remove(path),
            };
            let changed_file = |asked: &str| asked == *path;
            let get = |files: &BTreeMap<&str, String>, path: &str| files.get(path).cloned();
            let tree = Contents {
                changed: &changed_file,
                before: &|path| get(&before, path),
                now: &|path| get(&after, path),
            };
            assert_eq!(
                depended_on(&[check(command)], None, &tree),
                *wanted,
                "{command} with {path}"
            );
            let scope = ScopedPatch {
                paths: vec![(*path).to_owned()],
                ..ScopedPatch::default()
            };
            assert!(
                depended_on(&[check(command)], Some(&scope), &tree).is_empty(),
                "{command}: {path} may change"
            );
            let mut required = check(command);
            required.set_origin(Origin::Required);
            assert_eq!(
                depended_on(&[check(command), required], Some(&scope), &tree),
                *wanted,
                "{command}: the operator allowed nothing"
            );
        }
    }

    #[test]
    fn scripts_that_call_each_other_end() {
        let text = |_: &str| Some("#!/bin/sh\n./a.sh\n./b.sh\n".to_owned());
        let tree = Contents {
            changed: &|path| path == "b.sh",
            before: &text,
            now: &text,
        };
        assert_eq!(depended_on(&[check("./a.sh")], None, &tree), ["b.sh"]);
    }
}
