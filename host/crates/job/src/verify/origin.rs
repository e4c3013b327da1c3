//! Whose a check is: the job's, or the operator's. The operator's commands run first, no check of a job takes the place
//! or the name of a standing one.

use super::aftermath;
use super::verdict::CheckVerdict;
use crate::checks::{CheckSpec, Origin};
use redact::Redactor;

/// The order in which checks run: the operator's commands first. What stands in the result is the given order.
pub(super) fn order(checks: &[CheckSpec]) -> Vec<usize> {
    let first = |at: &usize| {
        let check = checks.get(*at);
        check.is_some_and(|check| {
            check.origin() != Origin::Job && matches!(check, CheckSpec::Command(_))
        })
    };
    let (mut order, others): (Vec<usize>, Vec<usize>) = (0..checks.len()).partition(first);
    order.extend(others);
    order
}

/// Says in a check's line that it is the operator's.
pub(super) fn wanted_by(
    origin: Origin,
    mut verdict: CheckVerdict,
    redactor: &Redactor,
) -> CheckVerdict {
    let word = match origin {
        Origin::Job => return verdict,
        Origin::Default => "default",
        Origin::Required => "required",
    };
    verdict.summary = match verdict.summary.trim() {
        "" => redactor.text(word),
        summary => redactor.text(&format!("{word}; {summary}")),
    };
    verdict
}

/// The check plugins that the operator wants every job to pass (`[plugins] checks`): all of them but those that the
/// operator requires with settings of their own (`[[checks]]`). What a job gives never takes the place of one: the job would
/// choose the settings that it is judged by.
pub(super) fn standing<'a>(checks: &[CheckSpec], wanted: &'a [String]) -> Vec<&'a str> {
    let required = |name: &&String| {
        checks.iter().any(|check| {
            matches!(check, CheckSpec::Plugin(check)
                if check.plugin == **name && check.origin == Origin::Required)
        })
    };
    let standing = wanted.iter().filter(|name| !required(name));
    standing.map(String::as_str).collect()
}

/// Gives a check that has the name of a standing one, or of a line of the host's own, another: results are told apart by
/// it, and no check speaks with the host's voice.
pub(super) fn tell_apart(verdict: &mut CheckVerdict, check: &CheckSpec, standing: &[&str]) {
    let name = verdict.name.as_str();
    if standing.contains(&name) || aftermath::HOST_LINES.contains(&name) {
        verdict.name = told_apart(check);
    }
}

/// The name of a check whose own one is taken.
pub(super) fn told_apart(check: &CheckSpec) -> String {
    let whose = match check.origin() {
        Origin::Job => "the job's",
        Origin::Default => "default",
        Origin::Required => "required",
    };
    format!("{} ({whose})", check.name())
}

#[cfg(test)]
mod tests {
    use crate::checks::PluginCheck;

    use super::super::verdict::{Cause, made};
    use super::*;

    fn check(name: &str, plugin: &str, origin: Origin) -> CheckSpec {
        CheckSpec::Plugin(PluginCheck {
            name: name.to_owned(),
            plugin: plugin.to_owned(),
            settings: serde_json::json!({ "max_lines": 1_000_000 }),
            origin,
        })
    }

    #[test]
    fn a_job_adds_a_check_to_a_required_one_and_never_takes_its_place() {
        let wanted = ["diff-size".to_owned(), "leftovers".to_owned()];
        for (checks, expected) in [
            (vec![], &["diff-size", "leftovers"][..]),
            (
                vec![check("diff-size", "diff-size", Origin::Job)],
                &["diff-size", "leftovers"],
            ),
            (
                vec![check("lax", "diff-size", Origin::Default)],
                &["diff-size", "leftovers"],
            ),
            (
                vec![check("size", "diff-size", Origin::Required)],
                &["leftovers"],
            ),
        ] {
            assert_eq!(standing(&checks, &wanted), expected, "{checks:?}");
        }
    }

    #[test]
    fn a_check_with_the_name_of_a_standing_one_gets_another() {
        let redactor = Redactor::new(redact::KnownValues::new(), Vec::new());
        let passed = |name: &str| {
            let reason = String::new();
            made(name, Cause::NotRun { reason }, &redactor)
        };
        for (name, shown) in [("diff-size", "diff-size (the job's)"), ("lax", "lax")] {
            let mut verdict = passed(name);
            tell_apart(
                &mut verdict,
                &check(name, "diff-size", Origin::Job),
                &["diff-size"],
            );
            assert_eq!(verdict.name, shown);
        }
    }
}
