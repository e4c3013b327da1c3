//! The traces that the commands of a verification left: evidence is what stands at the end (D21).
//!
//! The checks run what the agent wrote, so a check can do what the agent could not: rewrite the change that was shown,
//! write out of scope, commit. What a check wrote into a view of its own is gone with it, and is in question only where it
//! hid the agent's work from the check itself. What it wrote into the tree is looked for after each one, and put back. The
//! look that is reported comes after the last command.

use std::collections::BTreeSet;
use std::path::Path;

use super::signals;
use super::verdict::{Cause, SCOPE_LINE};
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

/// The forbidden traces of the commands, gathered over all of them.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    /// Files of the agent's that a check showed or left otherwise.
    altered: BTreeSet<String>,
    /// The same, by somebody else than the checks.
    altered_meanwhile: BTreeSet<String>,
    outside: BTreeSet<String>,
    git: BTreeSet<String>,
    /// The files that could not be put back.
    left: BTreeSet<String>,
}

impl Aftermath {
    /// Takes in what a check wrote into its view of the tree. The view is gone: only what it proved is in question.
    pub(super) fn of_layer(&mut self, taken: &Changes, upper: &Path) {
        let altered = taken.altered_in(upper);
        self.altered.extend(altered.iter().map(ToString::to_string));
    }

    /// The same of a copy of the tree.
    pub(super) fn of_copy(&mut self, taken: &Changes, copy: &Path) {
        let altered = taken.altered_in_copy(copy);
        self.altered.extend(altered.iter().map(ToString::to_string));
    }

    /// Takes in what a check wrote into the tree itself. `out_of_scope` tells whether a path relative to the working
    /// directory lies outside `scoped_patch`.
    pub(super) fn of_tree(
        &mut self,
        later: &Later,
        own_git: bool,
        out_of_scope: impl Fn(&str) -> bool,
    ) {
        let Later {
            altered,
            further,
            git,
        } = later;
        self.altered.extend(altered.iter().map(ToString::to_string));
        for (path, allowed) in further {
            let path = path.to_string();
            let lock_file = LOCK_FILES
                .iter()
                .any(|name| path.rsplit('/').next() == Some(name));
            if !lock_file && (!*allowed || out_of_scope(&path)) {
                self.outside.insert(path);
            }
        }
        let git = git.iter().filter(|change| signals::fails(change, own_git));
        self.git.extend(git.map(ToString::to_string));
    }

    /// Takes in what differs at the end though no check could write it: somebody else changed what the agent had left.
    pub(super) fn of_others(&mut self, later: &Later) {
        let altered = later.altered.iter().map(ToString::to_string);
        let altered = altered.filter(|path| !self.altered.contains(path));
        self.altered_meanwhile.extend(altered.collect::<Vec<_>>());
    }

    /// Takes in what could not be put back.
    pub(super) fn left(&mut self, paths: impl IntoIterator<Item = String>) {
        self.left.extend(paths);
    }

    /// The lines that fail.
    pub(super) fn failing(self) -> Vec<(&'static str, Cause)> {
        let Self {
            altered,
            altered_meanwhile,
            outside,
            git,
            left,
        } = self;
        let all = |paths: BTreeSet<String>| (!paths.is_empty()).then(|| Vec::from_iter(paths));
        let altered = all(altered).map(|paths| Cause::ChecksChangedTheWork { paths });
        let meanwhile = all(altered_meanwhile).map(|paths| Cause::WorkChangedMeanwhile { paths });
        let outside = all(outside.into_iter().chain(left).collect());
        [
            altered
                .or(meanwhile)
                .map(|cause| (VERIFICATION_LINE, cause)),
            outside.map(|paths| (WRITES_LINE, Cause::ChecksWroteOutside { paths })),
            all(git).map(|what| ("git", Cause::GitChanged { what })),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The names of the host's own lines, which no check may take.
pub(super) const HOST_LINES: [&str; 12] = [
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
    "readable",
    SETUP_LINE,
];
