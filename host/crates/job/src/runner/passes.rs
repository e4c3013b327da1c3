//! The passes of the agent, and what is made of each until the verdict stands.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::before::BeforeRuns;
use super::log;
use super::metering::Metering;
use super::running_job::{EarlyExit, Job};
use super::site::Site;
use crate::agent::{self, AgentOutcome, AgentRun, Claude, Ending, Session};
use crate::end_cause::EndCause;
use crate::state::State;
use crate::verify::{self, revise};
use gateway::Adapter;
use workspace::{Base, GitIdentity};

/// The context of the agent's passes, the same for all of them.
#[derive(Clone, Copy)]
pub(super) struct PassContext<'a> {
    pub(super) claude: &'a Claude,
    pub(super) site: &'a Site,
    pub(super) adapter: &'a Adapter,
    pub(super) metering: &'a Metering,
    /// True if the kernel holds the job to its files.
    pub(super) files_confined: bool,
}

/// Settings for git, by its environment, that let it work in a repository of another user. Agent and checks have a HOME of
/// their own, without what the user may have said there, and whatever git would run of the repository they could run as well.
fn git_trusts(top: &Path) -> [(OsString, OsString); 3] {
    [
        ("GIT_CONFIG_COUNT".into(), "1".into()),
        ("GIT_CONFIG_KEY_0".into(), "safe.directory".into()),
        ("GIT_CONFIG_VALUE_0".into(), top.as_os_str().to_owned()),
    ]
}

/// The number of questions that the agent of one task may ask before it has to go on with what it has.
const QUESTIONS_MAX: usize = 3;

impl Job {
    /// Passes of the agent until the verdict stands.
    pub(super) async fn passes(
        &mut self,
        around: &PassContext<'_>,
        base: &Base,
        before: &mut Option<BeforeRuns>,
    ) -> Result<(), EarlyExit> {
        let PassContext {
            site,
            adapter,
            metering,
            ..
        } = *around;
        let mut session = site.session.clone();
        site.record_continuation(
            &self.folder(),
            session.id(),
            &self.spec.checks,
            &self.resources.redactor,
        );
        let mut prompt = self.spec.prompt.clone();
        let mut model = self.resources.model(&self.spec);
        loop {
            let number = u32::try_from(self.findings.passes.len() + 1).unwrap_or(u32::MAX);
            let state = if number == 1 {
                State::Running
            } else {
                State::Revising
            };
            self.advance(state)?;
            self.journal().progress("pass", number);
            if !self.findings.models.contains(&model) {
                self.findings.models.push(model.clone());
            }
            let spent_before = adapter.usage();
            let run = self.agent_run(around, base, session.clone(), prompt).await;
            let outcome = self.run_agent(run).await;
            self.write_plugin_log();
            self.take_changes(base).await?;
            let outcome = outcome?;
            self.tell_denied(around, base, &outcome).await;
            let ending = outcome.ending.clone();
            session = Session::Resume(outcome.session.clone());
            self.findings.level = Some(outcome.level.clone());
            self.findings.agent = Some(outcome);
            match &ending {
                Ending::Cancelled | Ending::TimedOut { .. } => return Err(EarlyExit::Stopped),
                Ending::Stalled { last_step } => return Err(EarlyExit::Stalled(last_step.clone())),
                Ending::Success | Ending::MaxTurns | Ending::Failed { .. } => {}
            }
            if self.stop.cause().is_some() {
                return Err(EarlyExit::Stopped);
            }
            if let (Ending::Success, Some(question)) = (&ending, self.question()) {
                return Err(EarlyExit::NeedsInput(question));
            }

            self.advance(State::Verifying)?;
            let verify::Verification {
                mut verdicts,
                stands,
                notes,
            } = self.verify(site, base, number, metering).await;
            if let Some(stands) = stands {
                self.findings.changes = Some(stands);
            }
            for note in notes {
                // The pass before may have said it.
                if !self.findings.notes.contains(&note) {
                    self.findings.notes.push(note);
                }
            }
            let top = site.workspace().top();
            self.compare_with_before(&mut verdicts, before, top).await;
            if self.stop.cause().is_some() {
                self.findings.verdicts = Some(verdicts);
                return Err(EarlyExit::Stopped);
            }
            self.record_pass(
                number,
                &model,
                adapter.usage().since(&spent_before),
                &verdicts,
            );
            let policy = revise::Policy {
                max_passes: self.spec.max_passes(),
                // The next model is the next attempt's.
                can_escalate: self.settings.escalate_model.is_some() && self.spec.attempt.is_none(),
                time_left_ms: self.time_left_ms(),
                // Also where the last answer took what was left: the next pass could not ask anything.
                budget_spent: self.caps().spent(&adapter.usage(), true).is_some(),
            };
            match revise::decide(&policy, &self.findings.passes) {
                revise::Decision::Stop(reason) => {
                    self.findings.stopped = Some(reason);
                    self.put_back(base)?;
                    return Ok(());
                }
                revise::Decision::Revise {
                    prompt: evidence,
                    escalate,
                } => {
                    self.journal()
                        .line("the checks' evidence goes back to the agent");
                    prompt = evidence;
                    if let (true, Some(stronger)) = (escalate, &self.settings.escalate_model) {
                        adapter.set_model(Some(stronger.clone()));
                        model.clone_from(stronger);
                        self.journal()
                            .line(&format!("from here on with the model {stronger}"));
                    }
                }
            }
        }
    }

    /// Returns the agent's question, if it ended with one; an agent that asked a few times already is held to what it has.
    fn question(&self) -> Option<String> {
        let words = self.findings.agent.as_ref()?.last_message.as_deref()?;
        let question = agent::question(words)?;
        let journal = self.journal();
        let store = journal.store();
        let home = store.job(journal.id()).ok()??.home().clone();
        let others = store.lodgers(&home).unwrap_or_default();
        let asked = store.job(&home).ok().flatten().into_iter().chain(others);
        let asked = asked.filter(|job| job.state == State::NeedsInput).count();
        (asked < QUESTIONS_MAX).then(|| question.to_owned())
    }

    /// Says what confinement kept from the agent's commands, with the setting that grants it.
    async fn tell_denied(&mut self, around: &PassContext<'_>, base: &Base, outcome: &AgentOutcome) {
        if outcome.failures.is_empty() {
            return;
        }
        let site = around.site;
        let mut confinement = site.confinement_of_agent(&self.settings, base);
        let toolchains = process::toolchains(&site.home);
        confinement.read.extend(toolchains.read);
        confinement.read.extend(around.claude.read_paths());
        confinement.write.push(site.home.clone());
        confinement.temp = Some(self.folder().join("tmp"));
        let users = std::env::var_os("HOME").map(PathBuf::from);
        let told = verify::denied(
            &outcome.failures,
            &confinement,
            &site.home,
            users.as_deref(),
        )
        .await;
        if let Some(told) = told.map(|told| format!("a command of the agent's: {told}"))
            && !self.findings.notes.contains(&told)
        {
            self.findings.notes.push(told);
        }
    }

    async fn agent_run(
        &self,
        around: &PassContext<'_>,
        base: &Base,
        session: Session,
        prompt: String,
    ) -> AgentRun {
        let PassContext {
            claude,
            site,
            adapter,
            metering,
            files_confined,
        } = *around;
        let workspace = base.workspace();
        AgentRun {
            claude: claude.clone(),
            profile: self.settings.agent_profile,
            prompt,
            began_with: site.began_with.clone(),
            instructions: self.instructions(base),
            work_dir: workspace.work_dir().to_owned(),
            additional_dirs: workspace.additional_dirs().to_vec(),
            home: site.home.clone(),
            cargo_packages: self.uses_cargo(base),
            git_identity: GitIdentity::of(workspace),
            temp: self.folder().join("tmp"),
            session,
            adapter_url: adapter.url(),
            adapter_token: self.resources.token.clone(),
            model_name: self.settings.claude_code_model.clone(),
            permission_mode: self.spec.permission_mode,
            allowed_tools: agent::allowed_tools(
                self.settings.allowed_tools.as_deref(),
                files_confined,
                &self.spec.checks,
            ),
            allow_bypass: self.settings.allow_bypass,
            // The adapter holds the job to its cap, over all passes.
            max_turns: None,
            max_output: adapter.reply_limit(),
            confinement: site.confinement_of_agent(&self.settings, base),
            extra_env: self.extra_env(site),
            stall: Duration::from_millis(self.settings.stall_ms),
            deadline: self.deadline,
            activity: metering.activity(),
            issued: adapter.issued(),
            cancel: self.stop.token().clone(),
            raw_log: Some(self.folder().join("events.jsonl")),
        }
    }

    /// Further variables of agent and checks: WORKER_CHECK_ENV, and the ports that are this job's.
    pub(super) fn extra_env(&self, site: &Site) -> Vec<(OsString, OsString)> {
        let mut variables = self.resources.check_env();
        if let Some(port) = site.port_base() {
            variables.push(("WORKER_PORT_BASE".into(), port.to_string().into()));
        }
        if site.workspace().belongs_to_another() {
            variables.extend(git_trusts(site.workspace().top()));
        }
        variables
    }

    /// AGENTS.md and CLAUDE.md of the base; the file's name stands before each.
    fn instructions(&self, base: &Base) -> Option<String> {
        let texts: Vec<String> = base
            .instructions()
            .iter()
            .map(|(path, text)| format!("{path}:\n{}\n", text.trim_end()))
            .collect();
        (!texts.is_empty()).then(|| texts.join("\n"))
    }

    async fn run_agent(&mut self, run: AgentRun) -> Result<AgentOutcome, EarlyExit> {
        let journal = Arc::clone(&self.journal);
        let mut watch = log::AgentLog::new(journal);
        let outcome = agent::run(run, |event| watch.tell(&event)).await;
        outcome.map_err(|fault| EarlyExit::fault(EndCause::AgentStart)(&fault))
    }

    fn time_left_ms(&self) -> u64 {
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        left.map_or(u64::MAX, |left| {
            u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
        })
    }
}
