//! One command check from its runs to its verdict: retries, the report that it left, the digest of a failure, and what it
//! must fail without.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::aftermath::Aftermath;
use super::place::Place;
use super::plan::{Evidence, Plan};
use super::room::{Form, Room};
use super::verdict::{Cause, CheckVerdict, Outcome, listed, made};
use super::{command, component, denied, digest, totals};
use crate::artifacts::{self, Artifacts};
use crate::checks::{CommandCheck, CommandLine, Origin};
use crate::dependencies;
use plugins::PluginSet;
use redact::text;
use redact::{Redacted, Redactor};
use workspace::{Changes, Root};

/// One command check, and what it is run and looked at with.
pub(super) struct CommandRun<'a> {
    pub(super) check: &'a CommandCheck,
    /// The place among the rooms.
    pub(super) key: &'a str,
    pub(super) plan: &'a Plan<'a>,
    pub(super) evidence: &'a Evidence<'a>,
    pub(super) scope: Option<&'a component::Component<'a>>,
    pub(super) plugins: &'a PluginSet,
    pub(super) redactor: &'a Redactor,
    pub(super) artifacts: &'a Artifacts,
}

impl CommandRun<'_> {
    /// Returns its verdict, and for a failure what the tree lacks, and what confinement kept from the command.
    pub(super) async fn go(
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
            let report = report_of(check, &plan.place, room.as_ref(), started);
            if let Some(room) = room {
                self.look_after(&room, ran, aftermath).await;
                reach = Some((room.home.clone(), room.toolchains.read.clone()));
                let keep_for = kept.then_some(plan.base);
                tokio::task::block_in_place(|| {
                    let place = &plan.place;
                    place.rooms.end(room, &place.tree, self.key, keep_for)
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
                told_totals: false,
            },
            Some(cause) => made(&check.name, cause, redactor),
        };
        let mut lacks: Vec<String> = Vec::new();
        if let Some((home, toolchains)) = reach.filter(|_| !verdict.passed()) {
            let mut confinement = plan.place.tree.confinement.clone();
            confinement.read.extend(toolchains);
            confinement.write.push(home.clone());
            let users = std::env::var_os("HOME").map(PathBuf::from);
            lacks.extend(denied::told(&output, &confinement, &home, users.as_deref()).await);
        }
        let lacking = plan
            .bare_copy_of
            .filter(|_| !verdict.passed())
            .and_then(|source| {
                let places = [
                    plan.place.tree.work_dir.as_path(),
                    plan.place.tree.top.as_path(),
                ];
                let code = run.exit.and_then(|exit| exit.code);
                dependencies::way_out(code, &output, &plan.place.tree.top, &places, source)
            });
        lacks.extend(lacking);
        let explains = explaining(report, output.clone(), redactor);
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
        verdict.told_totals = totals::are_told(&output);
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
        let verdict = component::run(
            scope,
            &evidence,
            &self.plan.place,
            ran,
            self.plugins,
            self.redactor,
            self.plan.digest_bytes,
        )
        .await
        .verdict;
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
pub(super) fn report_of(
    check: &CommandCheck,
    place: &Place,
    room: Option<&Room>,
    started: std::time::SystemTime,
) -> Option<String> {
    // File systems keep times more coarsely than the clock.
    const COARSE: std::time::Duration = std::time::Duration::from_secs(2);
    let mut path = place.tree.work_dir.clone();
    path.extend(&check.cwd);
    path.push(check.report.as_ref()?);
    let inside = path.strip_prefix(&place.tree.top).ok()?;
    // Written by this run, it is in the layer that the run wrote into.
    let (root, path) = match room?.tree() {
        Some(upper) => (Root::open(upper).ok()?, upper.join(inside)),
        None => (place.tree.root.clone(), path),
    };
    let written = std::fs::metadata(&path).ok()?.modified().ok()?;
    if written + COARSE < started {
        return None;
    }
    let text = root.read(&path, artifacts::MAX_BYTES).ok()?;
    let text = String::from_utf8_lossy(&text.bytes).into_owned();
    Some(text).filter(|text| !text.trim().is_empty())
}

/// The text that explains how a command ended: its report, else what it printed.
pub(super) fn explaining(report: Option<String>, output: String, redactor: &Redactor) -> String {
    report
        .map(|report| redactor.text(&report).into_string())
        .unwrap_or(output)
}

/// The tool, as far as the command says it.
pub(super) fn origin(check: &CommandCheck) -> Option<String> {
    let words = match &check.command {
        CommandLine::Shell(script) => script.clone(),
        CommandLine::Argv(words) => words.join(" "),
    };
    Some(text::prefix(&words, 200).to_owned()).filter(|words| !words.is_empty())
}
