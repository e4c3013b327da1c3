//! The verification of one pass: the signals of the job's own course, the scope, the commands and the check components,
//! one after the other in the given order, each with a verdict; and the last look at the tree.

use std::sync::Arc;

use super::aftermath::{self, Aftermath};
use super::command_check::CommandRun;
use super::origin::{order, standing, tell_apart, wanted_by};
use super::plan::{Evidence, Plan};
use super::verdict::{Cause, CheckVerdict, SCOPE_LINE, Verdicts, listed, made};
use super::{component, sarif, scripts, signals};
use crate::artifacts::{self, Artifacts};
use crate::checks::{CheckSpec, Origin};
use plugins::PluginSet;
use redact::Redactor;
use workspace::Changes;

/// The check component that holds the change against `scoped_patch`, and the name of its line in the result.
const SCOPE: (&str, &str) = ("scope", SCOPE_LINE);

/// Something to show while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A check begins.
    Started(String),
    /// A check ended; its line in the result.
    Ended(String),
}

/// The result of a verification.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    /// The verdicts of the checks.
    pub verdicts: Verdicts,
    /// The differences from the base now, if the checks changed what counts: this, and not what was found before they
    /// ran, is what the tree holds.
    pub stands: Option<Arc<Changes>>,
    /// The other notes for the reader, a short sentence each.
    pub notes: Vec<String>,
}

/// Verifies one pass. Never fails as a whole: what cannot be tried is a verdict that is no pass.
pub async fn run(
    plan: &Plan<'_>,
    evidence: &Evidence<'_>,
    plugins: &PluginSet,
    redactor: &Redactor,
    artifacts: &Artifacts,
    mut progress: impl FnMut(Progress),
) -> Verification {
    let mut verdicts = Verdicts::default();
    for (name, cause) in signals(plan, evidence) {
        let verdict = made(name, cause, redactor);
        progress(Progress::Ended(verdict.line()));
        verdicts.checks.push(verdict);
    }
    let scope = plan.scoped_patch.map(|scope| {
        let settings = serde_json::json!({ "paths": scope.paths });
        component::Component {
            name: SCOPE.1,
            plugin: SCOPE.0,
            settings,
        }
    });
    let mut ran = component::Ran::default();
    let standing = standing(plan.checks, plugins.standing_checks());
    if let Some(scope) = &scope {
        let verdict = run_component(
            scope, plan, evidence, &mut ran, plugins, redactor, artifacts,
        )
        .await;
        progress(Progress::Ended(verdict.line()));
        verdicts.checks.push(verdict);
    }
    let commands = plan.checks.iter();
    let mut marked = Vec::new();
    if commands
        .clone()
        .any(|check| matches!(check, CheckSpec::Command(_)))
    {
        marked = tokio::task::block_in_place(|| {
            plan.place.rooms.begin_pass(plan.base, &evidence.changes)
        });
    }
    let mut aftermath = Aftermath::default();
    let mut lacking: Vec<String> = Vec::new();
    let mut made_of: Vec<Option<CheckVerdict>> = commands.map(|_| None).collect();
    for at in order(plan.checks) {
        let (Some(check), Some(verdict)) = (plan.checks.get(at), made_of.get_mut(at)) else {
            continue;
        };
        if plan.stop.is_cancelled() || plan.deadline <= tokio::time::Instant::now() {
            let reason = "the job ended before it".to_owned();
            let mut left_out = made(check.name(), Cause::NotRun { reason }, redactor);
            tell_apart(&mut left_out, check, &standing);
            *verdict = Some(wanted_by(check.origin(), left_out, redactor));
            continue;
        }
        progress(Progress::Started(check.name().to_owned()));
        let mut came_to = match check {
            CheckSpec::Command(command) => {
                let run = CommandRun {
                    check: command,
                    key: &format!("{at}"),
                    plan,
                    evidence,
                    scope: scope.as_ref(),
                    plugins,
                    redactor,
                    artifacts,
                };
                let (verdict, lacks) = run.go(&mut ran, &mut aftermath).await;
                let told = lacks.into_iter().filter(|told| !lacking.contains(told));
                lacking.extend(told.collect::<Vec<_>>());
                verdict
            }
            CheckSpec::Plugin(check) => {
                let check = component::Component {
                    name: &check.name,
                    plugin: &check.plugin,
                    settings: check.settings.clone(),
                };
                run_component(
                    &check, plan, evidence, &mut ran, plugins, redactor, artifacts,
                )
                .await
            }
        };
        tell_apart(&mut came_to, check, &standing);
        let came_to = wanted_by(check.origin(), came_to, redactor);
        progress(Progress::Ended(came_to.line()));
        *verdict = Some(came_to);
    }
    verdicts.checks.extend(made_of.into_iter().flatten());
    for name in standing {
        let check = component::Component {
            name,
            plugin: name,
            settings: serde_json::Value::Null,
        };
        let verdict = run_component(
            &check, plan, evidence, &mut ran, plugins, redactor, artifacts,
        )
        .await;
        let verdict = wanted_by(Origin::Required, verdict, redactor);
        progress(Progress::Ended(verdict.line()));
        verdicts.checks.push(verdict);
    }
    if !ran.found.is_empty() {
        let name = artifacts::findings_name(plan.pass);
        let text = redactor.json(sarif::log(&ran.found)).to_text();
        if let Err(fault) = artifacts.write(&name, &text) {
            tracing::warn!("the findings are not kept as SARIF: {fault}");
        }
    }
    if let Some(record) = std::mem::take(&mut ran.record).into_json() {
        let text = redactor.json(record).to_text();
        if let Err(fault) = artifacts.write(artifacts::CASE, &text) {
            tracing::warn!("the input of the checks is not kept: {fault}");
        }
    }
    let mut verification = Verification {
        verdicts,
        ..Verification::default()
    };
    if ran.any() {
        match look_last(plan, evidence, &mut aftermath) {
            Ok(stands) => verification.stands = stands,
            Err(unknown) => verification.verdicts.checks.push(made(
                aftermath::VERIFICATION_LINE,
                unknown,
                redactor,
            )),
        }
        for (name, cause) in aftermath.failing() {
            let verdict = made(name, cause, redactor);
            progress(Progress::Ended(verdict.line()));
            verification.verdicts.checks.push(verdict);
        }
        verification.notes.extend(plan.place.rooms.note());
        if plan.place.rooms.are_in_the_tree() {
            let decide = evidence.changes.touched_that_decide();
            if !decide.is_empty() {
                let names = listed(&decide);
                verification.notes.push(format!(
                    "the checks saw ignored files that the agent changed: {names}"
                ));
            }
        }
    }
    if !marked.is_empty() {
        let names = listed(&marked);
        let note = format!("marks taken away that would have hidden files from checks: {names}");
        verification.notes.push(note);
    }
    verification.notes.extend(lacking);
    verification
}

fn cannot_look(fault: &dyn std::fmt::Display) -> Cause {
    let reason = format!("the tree cannot be looked at after the checks: {fault}");
    Cause::NotRun { reason }
}

/// Looks at the tree after the last command. What differs now from what was verified is what is reported; none where
/// nothing does.
fn look_last(
    plan: &Plan<'_>,
    evidence: &Evidence<'_>,
    aftermath: &mut Aftermath,
) -> Result<Option<Arc<Changes>>, Cause> {
    let now = tokio::task::block_in_place(|| plan.base.changes());
    let now = now.map_err(|fault| cannot_look(&fault))?;
    let later = now.since(&evidence.changes);
    aftermath.of_others(&later);
    let differs = !later.altered.is_empty();
    Ok(differs.then(|| Arc::new(now)))
}

async fn run_component(
    check: &component::Component<'_>,
    plan: &Plan<'_>,
    evidence: &Evidence<'_>,
    ran: &mut component::Ran,
    plugins: &PluginSet,
    redactor: &Redactor,
    artifacts: &Artifacts,
) -> CheckVerdict {
    let answered = component::run(
        check,
        evidence,
        &plan.place,
        ran,
        plugins,
        redactor,
        plan.digest_bytes,
    )
    .await;
    let (mut verdict, findings) = tokio::task::block_in_place(|| ran.keep(check, answered));
    if !findings.is_empty() {
        // All of them, each with its rule, severity and place: the result has room for a few words.
        let name = ran.unused(artifacts::check_name(check.name, plan.pass));
        let text = redactor.json(serde_json::json!(findings)).to_text();
        match artifacts.write(&name, &text) {
            Ok(_) => verdict.artifact = Some(name),
            Err(fault) => tracing::warn!(check = check.name, "its findings are not kept: {fault}"),
        }
        ran.found.push(sarif::Found {
            check: check.name.to_owned(),
            plugin: plugins.info(check.plugin).ok(),
            findings,
        });
    }
    verdict
}

fn signals(plan: &Plan<'_>, evidence: &Evidence<'_>) -> Vec<(&'static str, Cause)> {
    let mut failing = signals::read(&signals::Course {
        changes: &evidence.changes,
        agent: &evidence.agent,
        budget: evidence.budget.as_deref(),
        expect_changes: plan.expect_changes,
        verifies: plan.scoped_patch.is_some()
            || plan
                .checks
                .iter()
                .any(|check| check.origin() == Origin::Job),
        own_git: plan.own_git,
    });
    let paths = scripts::changed_by(plan, &evidence.changes);
    if !paths.is_empty() {
        failing.push(("check_scripts", Cause::CheckScriptChanged { paths }));
    }
    failing
}
