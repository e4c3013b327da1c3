//! Check `leftovers`: nothing is left behind that only helped on the way: debug prints, breakpoints, TODOs, stray files.
//! Only added lines count.

use serde::Deserialize;
use worker_plugin::{Change, Check, Fault, Finding, Job, MOST_FINDINGS, Report, matches_any};

/// The leftovers that count.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// True if an added TODO, FIXME or XXX fails the check.
    pub todo: bool,
    /// True if an added debug print or breakpoint fails the check.
    pub prints: bool,
    /// Globs of files in which neither counts.
    pub ignore: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            todo: true,
            prints: true,
            ignore: ["scripts/", "examples/", "*.md", "*.rst", "*.txt", "*.snap"]
                .map(str::to_owned)
                .to_vec(),
        }
    }
}

/// Extensions, what in them is a debug print or a breakpoint.
const PRINTS: &[(&[&str], &[&str])] = &[
    (&["rs"], &["dbg!("]),
    (
        &["js", "jsx", "ts", "tsx", "mjs", "cjs", "vue", "svelte"],
        &[
            "console.log(",
            "console.debug(",
            "console.trace(",
            "debugger;",
        ],
    ),
    (
        &["py"],
        &[
            "breakpoint()",
            "pdb.set_trace(",
            "import pdb",
            "import ipdb",
            "ic(",
        ],
    ),
    (&["rb"], &["binding.pry", "binding.irb", "byebug"]),
    (&["php"], &["var_dump(", "print_r(", "dd("]),
    (&["go"], &["spew.Dump(", "runtime.Breakpoint("]),
    (
        &["java", "kt"],
        &["System.out.println(", ".printStackTrace("],
    ),
    (
        &["c", "cc", "cpp", "h", "hpp"],
        &["__builtin_trap(", "__debugbreak("],
    ),
    (&["ex", "exs"], &["IO.inspect(", "IEx.pry", "dbg("]),
    (&["swift"], &["debugPrint(", "dump("]),
];

/// Files that editors, merges and crashes leave.
const STRAY: &[&str] = &[
    "*.orig",
    "*.rej",
    "*.bak",
    "*.swp",
    "*.swo",
    "*~",
    "*.tmp",
    ".DS_Store",
    "nohup.out",
    "core",
    "*.pyc",
    "*.stackdump",
    "npm-debug.log",
    "yarn-error.log",
];

/// The check.
pub struct Leftovers {
    settings: Settings,
}

impl Check for Leftovers {
    type Settings = Settings;
    const SUMMARY: &'static str = "no debug prints, TODOs or stray files are left behind";
    const SCHEMA: Option<&'static str> = Some(include_str!("settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, Fault> {
        Ok(Leftovers { settings })
    }

    fn run(&self, job: &dyn Job) -> Result<Report, Fault> {
        let mut findings = Vec::new();
        for file in job.changed() {
            if file.is_deleted() {
                continue;
            }
            let is_new = matches!(file.change(), Change::Added | Change::Renamed);
            // The name alone: a folder `core` is no core dump.
            let name = file.path.rsplit('/').next().unwrap_or(&file.path);
            if is_new && matches_any(STRAY, name) {
                let finding =
                    Finding::error("stray-file", "a file that nobody wants in the repository")
                        .in_file(&file.path);
                findings.push(finding.hint("delete it"));
                continue;
            }
            if file.is_binary() || matches_any(&self.settings.ignore, &file.path) {
                continue;
            }
            let prints = prints_of(&file.path);
            for line in job.added(&file.path) {
                let line = line?;
                if findings.len() == MOST_FINDINGS {
                    return Ok(Report::of(findings));
                }
                if self.settings.prints
                    && let Some(print) = prints.iter().find(|print| calls(&line.text, print))
                {
                    let finding = Finding::error("debug-print", format!("{print} was added"))
                        .at(&file.path, line.number);
                    findings.push(finding.hint("remove it, or use the project's own logging"));
                } else if self.settings.todo
                    && let Some(word) = ["TODO", "FIXME", "XXX"]
                        .iter()
                        .find(|word| is_word(&line.text, word))
                {
                    let finding =
                        Finding::error("todo", format!("{word} was added: the work is not done"))
                            .at(&file.path, line.number);
                    findings.push(finding.hint("do it now, or leave it out"));
                }
            }
        }
        Ok(Report::of(findings))
    }
}

fn prints_of(path: &str) -> &'static [&'static str] {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    PRINTS
        .iter()
        .find(|(extensions, _)| extensions.contains(&extension))
        .map_or(&[], |(_, prints)| prints)
}

/// The call itself, not the end of a longer name, and not in a comment.
fn calls(line: &str, call: &str) -> bool {
    let code = line.trim_start();
    if ["//", "#", "*", "/*", "--"]
        .iter()
        .any(|comment| code.starts_with(comment))
    {
        return false;
    }
    line.match_indices(call).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|c| {
            !(c.is_alphanumeric()
                || c == '_'
                || c == '.' && !call.starts_with('.')
                || c == '"'
                || c == '\''
                || c == '`')
        })
    })
}

fn is_word(line: &str, word: &str) -> bool {
    let beside = |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == '-'));
    line.match_indices(word).any(|(at, _)| {
        beside(line.get(..at).and_then(|before| before.chars().next_back()))
            && beside(
                line.get(at + word.len()..)
                    .and_then(|after| after.chars().next()),
            )
    })
}

worker_plugin::check!(Leftovers);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use worker_plugin::testing::{FakeJob, configured};

    fn found(settings: &str, path: &str, text: &str) -> Vec<String> {
        let check = configured(Leftovers::new, settings).unwrap();
        let report = check.run(&FakeJob::default().added(path, text)).unwrap();
        report
            .findings
            .into_iter()
            .map(|finding| finding.rule)
            .collect()
    }

    #[test]
    fn what_helped_on_the_way_is_found() {
        let rows: &[(&str, &str, &[&str])] = &[
            ("src/a.rs", "let x = dbg!(y);", &["debug-print"]),
            ("src/a.rs", "// dbg!(y) would help", &[]),
            ("src/a.rs", "println!(\"hello\");", &[]),
            ("src/a.rs", "let mydbg!(y)", &[]),
            ("src/a.ts", "  console.log('here', x);", &["debug-print"]),
            ("src/a.ts", "my.console.log(x)", &[]),
            ("src/a.ts", "expect(\"console.log(x)\")", &[]),
            ("app.py", "import pdb; pdb.set_trace()", &["debug-print"]),
            ("app.py", "magic(x)", &[]),
            ("src/a.rs", "// TODO: later", &["todo"]),
            ("src/a.rs", "let TODOS = 3; // todo-list", &[]),
            ("README.md", "TODO: write", &[]),
            ("src/a.rs.orig", "x", &["stray-file"]),
            ("core", "x", &["stray-file"]),
            ("src/core/a.rs", "x", &[]),
        ];
        for (path, text, wanted) in rows {
            assert_eq!(found("{}", path, text), *wanted, "{path}: {text}");
        }
    }

    #[test]
    fn settings_choose() {
        assert!(found(r#"{"todo": false}"#, "a.rs", "// TODO").is_empty());
        assert!(found(r#"{"prints": false}"#, "a.rs", "dbg!(1)").is_empty());
        assert!(found(r#"{"ignore": ["tools/"]}"#, "tools/a.js", "console.log(1)").is_empty());
    }

    #[test]
    fn what_was_there_before_is_not_blamed() {
        let (before, after) = ("dbg!(1);\ndbg!(2);\n", "dbg!(1);\nfine();\n");
        let job = FakeJob::default().modified("a.rs", before, after);
        assert!(
            configured(Leftovers::new, "{}")
                .unwrap()
                .run(&job)
                .unwrap()
                .is_passed()
        );
    }
}
