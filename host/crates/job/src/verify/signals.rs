//! Signals of the job's own course: checks that nobody has to ask for, and that are shown only when
//! they fail.

use super::verdict::Cause;
use crate::end_cause::EndCause;
use workspace::{Changes, GitChange};

/// The way the agent's pass ended, as the host saw it. What it said is no part of this.
#[derive(Debug, Clone, Default)]
pub struct AgentEvidence {
    /// The reason why it stopped without success: the cause, and one sentence.
    pub fault: Option<(EndCause, String)>,
    /// The tools that it was denied, as `Bash npm install`.
    pub denials: Vec<String>,
}

/// The source of the signals.
pub(super) struct Course<'a> {
    pub(super) changes: &'a Changes,
    pub(super) agent: &'a AgentEvidence,
    /// The cap that was reached, in a sentence.
    pub(super) budget: Option<&'a str>,
    /// See [`Plan::expect_changes`](super::Plan::expect_changes).
    pub(super) expect_changes: Option<bool>,
    /// True if checks or a scope were given: then somebody wants a change.
    pub(super) verifies: bool,
    /// True if the job has a git directory of its own, in which commits do no harm.
    pub(super) own_git: bool,
}

/// The failing signals, each under its name.
pub(super) fn read(course: &Course<'_>) -> Vec<(&'static str, Cause)> {
    let mut failing = Vec::new();
    if let Some(message) = course.budget {
        failing.push((
            "budget",
            Cause::Budget {
                message: message.to_owned(),
            },
        ));
    }
    if let Some((cause, message)) = &course.agent.fault {
        failing.push((
            "agent",
            Cause::Agent {
                cause: *cause,
                message: message.clone(),
            },
        ));
    }
    let outside: Vec<String> = course
        .changes
        .outside()
        .map(|file| file.path.to_string())
        .chain(
            course
                .changes
                .unreadable_dirs
                .iter()
                .map(|dir| format!("{dir} (cannot be read any more)")),
        )
        .collect();
    if !outside.is_empty() {
        failing.push(("allowed_dirs", Cause::OutsideAllowedDirs { paths: outside }));
    }
    let locked: Vec<String> = course
        .changes
        .locked
        .iter()
        .map(ToString::to_string)
        .collect();
    if !locked.is_empty() {
        failing.push(("readable", Cause::MadeUnreadable { paths: locked }));
    }
    let git: Vec<String> = course
        .changes
        .git
        .iter()
        .filter(|change| fails(change, course.own_git))
        .map(ToString::to_string)
        .collect();
    if !git.is_empty() {
        failing.push(("git", Cause::GitChanged { what: git }));
    }
    let unchanged = course.changes.is_empty();
    if unchanged && course.expect_changes.unwrap_or(course.verifies) {
        failing.push(("changes", Cause::NoChange));
    }
    // Where checks vouch for the work, a refusal on the way is only a number in the result.
    if !course.agent.denials.is_empty() && unchanged && !failing.is_empty() {
        failing.push((
            "permissions",
            Cause::Denied {
                tools: course.agent.denials.clone(),
            },
        ));
    }
    failing
}

/// The user's repository is outside every allowed directory: commits, branches and `.git` itself are not the job's to
/// change. In a git directory of its own, commits are harmless; what git would run never is. Staging and the
/// tree's own ignore rules are told in the result, and changed files are found without asking either.
pub(super) fn fails(change: &GitChange, own_git: bool) -> bool {
    match change {
        GitChange::Index { .. } | GitChange::IgnoreRules { .. } => false,
        change if change.is_others() => false,
        GitChange::Head { .. } | GitChange::Commits { .. } | GitChange::Ref { .. } => !own_git,
        GitChange::NestedRepository { .. } => true,
        change => change.is_tampering(),
    }
}
