//! What the commands of a verification left behind: evidence is what stands at the end (D21).
//!
//! The checks run what the agent wrote, so a check can do what the agent could not: rewrite the change that was shown,
//! write out of scope, commit. The tree is looked at again after the last command that could write.

use super::verdict::Cause;
use super::{SCOPE_LINE, signals};
use crate::setup::SETUP_LINE;
use workspace::{Changes, Later};

/// The line of a verification whose checks changed the agent's files.
pub(super) const VERIFICATION_LINE: &str = "verification";

/// The line of files that checks wrote where the job may not.
pub(super) const WRITES_LINE: &str = "check_writes";

/// Files that package managers rewrite as part of a build. Where they lie outside the job's directories, in a workspace
/// above them for example, a check may bring them up to date.
const LOCK_FILES: [&str; 14] = [
    "Cargo.lock",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
    "go.sum",
    "go.work.sum",
    "poetry.lock",
    "uv.lock",
    "Pipfile.lock",
    "Gemfile.lock",
    "composer.lock",
];

/// What is said of the second look.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    /// Lines that fail.
    pub(super) failing: Vec<(&'static str, Cause)>,
    /// Files that the checks wrote where they may, by name.
    pub(super) written: Vec<String>,
}

/// Judges what differs between the look before the checks and the one after them. `out_of_scope` tells whether a path
/// relative to the working directory lies outside `scoped_patch`.
pub(super) fn judge(
    before: &Changes,
    after: &Changes,
    isolated: bool,
    out_of_scope: impl Fn(&str) -> bool,
) -> Aftermath {
    let Later {
        altered,
        further,
        git,
    } = after.since(before);
    let mut aftermath = Aftermath::default();
    if !altered.is_empty() {
        let paths = altered.iter().map(ToString::to_string).collect();
        aftermath
            .failing
            .push((VERIFICATION_LINE, Cause::ChecksChangedTheWork { paths }));
    }
    let mut outside = Vec::new();
    for (path, allowed) in &further {
        let path = path.to_string();
        let lock_file = LOCK_FILES
            .iter()
            .any(|name| path.rsplit('/').next() == Some(name));
        if lock_file || (*allowed && !out_of_scope(&path)) {
            aftermath.written.push(path);
        } else {
            outside.push(path);
        }
    }
    if !outside.is_empty() {
        let cause = Cause::ChecksWroteOutside { paths: outside };
        aftermath.failing.push((WRITES_LINE, cause));
    }
    let git: Vec<String> = git
        .iter()
        .filter(|change| signals::fails(change, isolated))
        .map(ToString::to_string)
        .collect();
    if !git.is_empty() {
        aftermath
            .failing
            .push(("git", Cause::GitChanged { what: git }));
    }
    aftermath
}

/// The names of the host's own lines, which no check may take.
pub(super) const HOST_LINES: [&str; 11] = [
    SCOPE_LINE,
    VERIFICATION_LINE,
    WRITES_LINE,
    "agent",
    "allowed_dirs",
    "budget",
    "changes",
    "check_scripts",
    "git",
    "permissions",
    SETUP_LINE,
];
