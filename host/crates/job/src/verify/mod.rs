//! Evidence to verdicts: what the host found out for itself, never what the agent said.
//!
//! [`run`] reads the signals of the job's own course, holds the change against the scope, runs the commands and the check
//! components one after the other in the given order, and gives each a verdict with a cause of its own. What follows from
//! the verdicts is [`revise`]'s to decide.

mod aftermath;
mod before;
mod command;
mod component;
mod denied;
mod digest;
pub mod revise;
mod room;
mod sarif;
mod scripts;
mod setup;
mod signals;
mod test_files;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

pub use before::{Before, BeforeOutcome, changed_tests, compare, try_before};
pub use command::Place;
pub use denied::told as denied;
pub use room::Rooms;
pub use setup::run_setup;
pub use signals::AgentEvidence;
pub use verdict::{Cause, CheckVerdict, Outcome, Verdicts};

use crate::artifacts::{self, Artifacts};
use crate::checks::{CheckSpec, CommandCheck, CommandLine, Origin, ScopedPatch};
use crate::dependencies;
use aftermath::Aftermath;
use plugins::PluginSet;
use redact::text;
use redact::{Redacted, Redactor};
use room::{Form, Room};
use workspace::{Base, Changes, Root};

/// The check component that holds the change against `scoped_patch`, and the name of its line in the result.
const SCOPE: (&str, &str) = ("scope", SCOPE_LINE);

/// The name of the scope's line in the result.
pub const SCOPE_LINE: &str = "scoped_patch";

/// What is to be verified, and where.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// The checks, in the order in which they run and are shown.
    pub checks: &'a [CheckSpec],
    /// The part of the tree that the change must stay in.
    pub scoped_patch: Option<&'a ScopedPatch>,
    /// `Some(true)`: no change is a failure; `Some(false)`: a job that only reads; `None`: no change is a failure only where
    /// the job itself brought checks or a scope.
    pub expect_changes: Option<bool>,
    /// Whether the job has a git directory of its own, in the place of the user's or with a tree of its own.
    pub own_git: bool,
    /// The checkout that the job's own tree was made from, where nothing made that tree ready: it may lack dependencies.
    pub bare_copy_of: Option<&'a Path>,
    /// The pass of the agent that is verified, counted from 1: later ones keep their own artifacts.
    pub pass: u32,
    /// What the tree is held against once more after the last command.
    pub base: &'a Base,
    /// Where commands run.
    pub place: Place,
    /// The end of the job's own time.
    pub deadline: tokio::time::Instant,
    /// Cancelled when the job is to end.
    pub stop: CancellationToken,
    /// The bytes of one check's digest (CHECK_OUTPUT_RESPONSE_MAX).
    pub digest_bytes: usize,
}

/// What the verdicts are made from.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// The job, for check components.
    pub job_id: &'a str,
    /// What was asked for.
    pub task: &'a str,
    /// What differs from the base, taken before anything here runs.
    pub changes: Arc<Changes>,
    /// How the agent's pass ended.
    pub agent: AgentEvidence,
    /// The agent's last words, which check components may read: a claim.
    pub agent_message: &'a str,
    /// The cap of the job that was reached, in a sentence.
    pub budget: Option<String>,
}

/// Something to show while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A check begins.
    Started(String),
    /// A check ended; its line in the result.
    Ended(String),
}

/// What came of a verification.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    /// What became of each check.
    pub verdicts: Verdicts,
    /// What differs from the base now, where the checks changed what counts: this, and not what was found before they
    /// ran, is what the tree holds.
    pub stands: Option<Arc<Changes>>,
    /// What else the reader must know, a short sentence each.
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

/// The order in which checks run: the operator's commands first. What stands in the result is the given order.
fn order(checks: &[CheckSpec]) -> Vec<usize> {
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

/// A few of many paths, for a line of a result.
pub fn listed(paths: &[workspace::FilePath]) -> String {
    let names: Vec<String> = paths.iter().map(ToString::to_string).collect();
    verdict::listed(&names)
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

/// Says in a check's line that it is the operator's.
fn wanted_by(origin: Origin, mut verdict: CheckVerdict, redactor: &Redactor) -> CheckVerdict {
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
fn standing<'a>(checks: &[CheckSpec], wanted: &'a [String]) -> Vec<&'a str> {
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
fn tell_apart(verdict: &mut CheckVerdict, check: &CheckSpec, standing: &[&str]) {
    let name = verdict.name.as_str();
    if standing.contains(&name) || aftermath::HOST_LINES.contains(&name) {
        verdict.name = told_apart(check);
    }
}

/// The name of a check whose own one is taken.
fn told_apart(check: &CheckSpec) -> String {
    let whose = match check.origin() {
        Origin::Job => "the job's",
        Origin::Default => "default",
        Origin::Required => "required",
    };
    format!("{} ({whose})", check.name())
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
    let (mut verdict, findings) = component::run(
        check,
        evidence,
        &plan.place,
        ran,
        plugins,
        redactor,
        plan.digest_bytes,
    )
    .await;
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
    let paths = changed_scripts(plan, &evidence.changes);
    if !paths.is_empty() {
        failing.push(("check_scripts", Cause::CheckScriptChanged { paths }));
    }
    failing
}

/// Scripts are text of a sane size; what is longer is not looked into.
const SCRIPT_BYTES: u64 = 256 << 10;

fn changed_scripts(plan: &Plan<'_>, changes: &Changes) -> Vec<String> {
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
        read_bounded(&plan.place.work_dir.join(path)).map(text)
    };
    scripts::changed(
        plan.checks,
        plan.scoped_patch,
        &scripts::Tree {
            changed: &changed,
            before: &before,
            now: &now,
        },
    )
}

/// A file that did not change is what it was before the job. Not through a FIFO, which would never end.
fn read_bounded(path: &PathBuf) -> Option<Vec<u8>> {
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

/// A verdict that needed no run.
fn made(name: &str, cause: Cause, redactor: &Redactor) -> CheckVerdict {
    CheckVerdict {
        name: name.to_owned(),
        outcome: cause.outcome(),
        summary: redactor.text(&text::one_line(&text::printable(&cause.to_string()), 300)),
        cause: Some(cause),
        digest: None,
        artifact: None,
        duration_ms: 0,
        found_in: Vec::new(),
    }
}

/// One command check, and what it is run and looked at with.
struct CommandRun<'a> {
    check: &'a CommandCheck,
    /// Its place among the rooms.
    key: &'a str,
    plan: &'a Plan<'a>,
    evidence: &'a Evidence<'a>,
    scope: Option<&'a component::Component<'a>>,
    plugins: &'a PluginSet,
    redactor: &'a Redactor,
    artifacts: &'a Artifacts,
}

impl CommandRun<'_> {
    /// Returns its verdict, and for a failure what the tree lacks, and what confinement kept from the command.
    async fn go(
        &self,
        ran: &mut component::Ran,
        aftermath: &mut Aftermath,
    ) -> (CheckVerdict, Vec<String>) {
        let Self {
            check,
            plan,
            evidence,
            plugins,
            redactor,
            artifacts,
            ..
        } = *self;
        let began = Instant::now();
        let name = artifacts::check_name(&check.name, plan.pass);
        let name = ran.unused(name);
        let limits = command::Limits {
            deadline: plan.deadline,
            stop: plan.stop.clone(),
        };
        // What an earlier pass left decides nothing for the operator's checks, not even how fast they are.
        let kept = check.origin == Origin::Job;
        let key = command::Key {
            name: self.key,
            kept,
        };
        let mut tries = Tries::default();
        let mut reach = None;
        let (run, report) = loop {
            let started = std::time::SystemTime::now();
            let (run, room) = command::run(
                check,
                &plan.place,
                &key,
                &limits,
                redactor,
                artifacts,
                &name,
            )
            .await;
            tries.add(run.cause.as_ref());
            let report = report_of(check, plan, room.as_ref(), started);
            if let Some(room) = room {
                self.look_after(&room, ran, aftermath).await;
                reach = Some((room.home.clone(), room.toolchains.read.clone()));
                let keep_for = kept.then_some(plan.base);
                tokio::task::block_in_place(|| {
                    let place = &plan.place;
                    place.rooms.end(room, place, self.key, keep_for)
                });
            }
            let again = run.cause.as_ref().is_some_and(Cause::is_worth_a_retry)
                && tries.runs <= check.retries
                && !plan.stop.is_cancelled()
                && tokio::time::Instant::now() + began.elapsed() < plan.deadline;
            if !again {
                break (run, report);
            }
        };
        let wall_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let output = run
            .artifact
            .as_ref()
            .and_then(|name| artifacts.text(name))
            .unwrap_or_default();
        let mut verdict = match run.cause {
            None if tries.failed > 0 => {
                let Tries { runs, failed } = tries;
                made(&check.name, Cause::Flaky { runs, failed }, redactor)
            }
            None => CheckVerdict {
                name: check.name.clone(),
                outcome: Outcome::Passed,
                summary: Redacted::default(),
                cause: None,
                digest: None,
                artifact: None,
                duration_ms: 0,
                found_in: Vec::new(),
            },
            Some(cause) => made(&check.name, cause, redactor),
        };
        let mut lacks: Vec<String> = Vec::new();
        if let Some((home, toolchains)) = reach.filter(|_| !verdict.passed()) {
            let mut confinement = plan.place.confinement.clone();
            confinement.read.extend(toolchains);
            confinement.write.push(home.clone());
            let users = std::env::var_os("HOME").map(PathBuf::from);
            lacks.extend(denied::told(&output, &confinement, &home, users.as_deref()).await);
        }
        let lacking = plan
            .bare_copy_of
            .filter(|_| !verdict.passed())
            .and_then(|source| {
                let places = [plan.place.work_dir.as_path(), plan.place.top.as_path()];
                let code = run.exit.and_then(|exit| exit.code);
                dependencies::way_out(code, &output, &plan.place.top, &places, source)
            });
        lacks.extend(lacking);
        let explains = report
            .map(|report| redactor.text(&report).into_string())
            .unwrap_or_else(|| output.clone());
        if !verdict.passed() && !explains.trim().is_empty() {
            let origin = digest::Origin {
                command: origin(check),
                exit_code: run.exit.and_then(|exit| exit.code),
            };
            let digest =
                digest::digest(&explains, &origin, plan.digest_bytes, plugins, redactor).await;
            verdict.digest = Some(digest).filter(|digest| !digest.is_empty());
        }
        if !verdict.passed() && !plan.place.rooms.are_in_the_tree() {
            // What CI would not have either: the likely reason where a dependency is missing.
            let hidden = evidence.changes.touched_that_decide();
            if !hidden.is_empty() {
                let note = format!(
                    "hidden from it, since the agent changed ignored files: {}",
                    listed(&hidden)
                );
                verdict.summary = match verdict.summary.trim() {
                    "" => redactor.text(&note),
                    summary => redactor.text(&format!("{summary}; {note}")),
                };
            }
        }
        verdict.artifact = run.artifact;
        verdict.duration_ms = wall_ms;
        ran.add(
            check,
            run.exit,
            verdict.outcome == Outcome::TimedOut,
            wall_ms,
            output,
        );
        (verdict, lacks)
    }

    /// Looks at what the command wrote. What it wrote into the tree itself is put back, so that it neither prepares the next
    /// check nor is part of the result.
    async fn look_after(&self, room: &Room, ran: &component::Ran, aftermath: &mut Aftermath) {
        let Self { plan, evidence, .. } = *self;
        let taken = &evidence.changes;
        match (room.form, room.tree()) {
            (Form::Layer, Some(upper)) => return aftermath.of_layer(taken, upper),
            (Form::Copy, Some(copy)) => return aftermath.of_copy(taken, copy),
            _ => {}
        }
        let now = match tokio::task::block_in_place(|| plan.base.changes()) {
            Ok(now) => Arc::new(now),
            // The last look fails for the same reason, and says so.
            Err(_) => return,
        };
        let later = now.since(taken);
        if later.is_empty() {
            return;
        }
        let outside = self.out_of_scope(&now, ran).await;
        aftermath.of_tree(&later, plan.own_git, |path| match &outside {
            Some(outside) => outside.iter().any(|outside| outside == path),
            // Nobody can say where the file lies.
            None => true,
        });
        let back = tokio::task::block_in_place(|| plan.base.put_back(taken, &now));
        match back {
            Ok(back) => aftermath.left(back.failed.iter().map(|(path, _)| path.to_string())),
            Err(fault) => aftermath.left([fault.to_string()]),
        }
    }

    /// Returns the files of a look that are out of the scope; none where that cannot be found out.
    async fn out_of_scope(&self, now: &Arc<Changes>, ran: &component::Ran) -> Option<Vec<String>> {
        let Some(scope) = self.scope else {
            return Some(Vec::new());
        };
        let evidence = Evidence {
            changes: Arc::clone(now),
            ..self.evidence.clone()
        };
        let (verdict, _) = component::run(
            scope,
            &evidence,
            &self.plan.place,
            ran,
            self.plugins,
            self.redactor,
            self.plan.digest_bytes,
        )
        .await;
        (verdict.outcome != Outcome::Errored).then_some(verdict.found_in)
    }
}

/// The runs of one check on one tree.
#[derive(Debug, Default)]
struct Tries {
    runs: u32,
    failed: u32,
}

impl Tries {
    fn add(&mut self, cause: Option<&Cause>) {
        self.runs += 1;
        self.failed += u32::from(cause.is_some());
    }
}

/// The report that a command left, where this run wrote it. Nothing outside the tree is read.
fn report_of(
    check: &CommandCheck,
    plan: &Plan<'_>,
    room: Option<&Room>,
    started: std::time::SystemTime,
) -> Option<String> {
    // File systems keep times more coarsely than the clock.
    const COARSE: std::time::Duration = std::time::Duration::from_secs(2);
    let place = &plan.place;
    let mut path = place.work_dir.clone();
    path.extend(&check.cwd);
    path.push(check.report.as_ref()?);
    let inside = path.strip_prefix(&place.top).ok()?;
    // Written by this run, it is in the layer that the run wrote into.
    let (root, path) = match room?.tree() {
        Some(upper) => (Root::open(upper).ok()?, upper.join(inside)),
        None => (place.root.clone(), path),
    };
    let written = std::fs::metadata(&path).ok()?.modified().ok()?;
    if written + COARSE < started {
        return None;
    }
    let text = root.read(&path, artifacts::MAX_BYTES).ok()?;
    let text = String::from_utf8_lossy(&text.bytes).into_owned();
    Some(text).filter(|text| !text.trim().is_empty())
}

/// The tool, as far as the command says it.
fn origin(check: &CommandCheck) -> Option<String> {
    let words = match &check.command {
        CommandLine::Shell(script) => script.clone(),
        CommandLine::Argv(words) => words.join(" "),
    };
    Some(text::prefix(&words, 200).to_owned()).filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::checks::PluginCheck;

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
