//! One job, step by step: its turn, the base, the agent, what it changed, whether that holds, and again where it does not.
//!
//! A step either hands on to the next one or cuts the job short ([`EarlyExit`]); what was found out until then is kept
//! ([`Findings`]), so that a job that was cut short still tells what it did.

use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::before::BeforeRuns;
use super::hangup::hung_up;
use super::journal::Journal;
use super::metering::Metering;
use super::resources::{JobResources, LOOPBACK};
use super::running_job::{EarlyExit, Findings, Job};
use super::site::Site;
use super::stop::{Stop, StopCause};
use super::{attempts, ending, log};
use crate::agent::{self, AgentOutcome, AgentRun, Claude, Ending, Session};
use crate::artifacts::Artifacts;
use crate::checks::{CheckSpec, OnViolation};
use crate::end_cause::EndCause;
use crate::id::JobId;
use crate::lock::LockGuard;
use crate::queue::{self, Bell, Holdings, Place, Turn};
use crate::root;
use crate::spec::JobSpec;
use crate::state::State;
use crate::store::{Store, StoreError, now_ms};
use crate::verify::{self, Verdicts, revise};
use gateway::{self, Adapter, Pool};
use process::ProcessError;
use redact::LogMask;
use settings::{Isolation, SandboxMode, Settings};
use workspace::{
    Base, BringRequest, ChangedFile, FilePath, GitIdentity, Interrupt, Isolated, OwnGit, Workspace,
    WorkspaceError,
};

/// The context of the agent's passes, the same for all of them.
#[derive(Clone, Copy)]
struct PassContext<'a> {
    claude: &'a Claude,
    site: &'a Site,
    adapter: &'a Adapter,
    metering: &'a Metering,
    /// True if the kernel holds the job to its files.
    files_confined: bool,
}

/// How a job left this process.
pub(super) enum Left {
    /// It has ended.
    Over,
    /// It must wait for its turn.
    Waits {
        /// Rings when there is something to do.
        bell: Bell,
        /// When it has waited long enough, in milliseconds since the epoch.
        until_ms: i64,
    },
}

/// Runs a job from its place in the queue to its terminal state, or until `stop` says so, or until its front is gone, where
/// it is tied to one; or until it finds that it must wait for its turn.
pub(super) async fn run(
    settings: Settings,
    id: JobId,
    spec: JobSpec,
    store: Store,
    front: Option<UnixStream>,
    stop: Stop,
    mask: &LogMask,
) -> Left {
    let settings = Arc::new(settings);
    match Store::open(&settings.state_dir) {
        Ok(store) => stop.listen_for_requests(store, id.clone()),
        Err(fault) => tracing::error!(%fault, "this job cannot be cancelled"),
    }
    if let Some(front) = front {
        stop.with(hung_up(front));
    }
    let for_resources = Arc::clone(&settings);
    let dirs = spec.allowed_dirs.clone();
    let loaded =
        tokio::task::spawn_blocking(move || JobResources::load(for_resources, &dirs)).await;
    let resources = match loaded {
        Ok(Ok(resources)) => resources,
        Ok(Err(fault)) => {
            ending::without_resources(&store, &id, &settings, &fault);
            return Left::Over;
        }
        Err(fault) => {
            ending::without_resources(&store, &id, &settings, &fault);
            return Left::Over;
        }
    };
    mask.set(resources.redactor.clone());
    let rooms = verify::Rooms::below(store.job_folder(&id).join("checks"));
    let journal = Journal::begin(store, id, resources.redactor.clone(), State::Queued);
    let mut job = Job {
        settings,
        spec,
        resources,
        journal: Arc::new(Mutex::new(journal)),
        stop,
        rooms: Arc::new(rooms),
        findings: Findings::default(),
        tree: None,
        deadline: None,
        threads: TaskTracker::new(),
        halt: Interrupt::default(),
    };
    let (ended, halt) = (job.stop.token().clone(), job.halt.clone());
    tokio::spawn(async move {
        ended.cancelled().await;
        halt.set();
    });
    let came_to = match job.turn().await {
        Ok(Arrived::Has(Holdings { slot, tree })) => {
            job.tree = tree;
            job.work(slot).await
        }
        Ok(Arrived::Waits { bell, until_ms }) => return Left::Waits { bell, until_ms },
        Err(exit) => Err(exit),
    };
    job.tree = None;
    job.quiet().await;
    // Nothing of the job may be left when its end is told.
    let swept = tokio::task::spawn_blocking(process::sweep)
        .await
        .unwrap_or_default();
    if swept > 0 {
        job.journal()
            .line(&format!("ended {swept} processes that were left over"));
    }
    ending::finish(job, came_to).await;
    Left::Over
}

/// What a look at the queue came to.
enum Arrived {
    Has(Holdings),
    Waits { bell: Bell, until_ms: i64 },
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

/// The job's own git directories, in its folder.
pub(crate) const OWN_GIT: &str = "git";

/// The field of progress that says what a job waits for.
const WAITING_FOR: &str = "waiting_for";

/// The result of a job that waited for its turn for so long says so.
const WORTH_TELLING_MS: i64 = 1_000;

/// The number of questions that the agent of one task may ask before it has to go on with what it has.
const QUESTIONS_MAX: usize = 3;

impl Job {
    /// The steps, in order. `Ok` is a verdict.
    async fn work(&mut self, _slot: LockGuard) -> Result<(), EarlyExit> {
        // While the agent works there is time to compile them.
        let asked = self.spec.checks.iter().filter_map(|check| match check {
            CheckSpec::Plugin(check) => Some(&check.plugin),
            CheckSpec::Command(_) => None,
        });
        let standing = self.resources.plugins.standing_checks();
        let checks = asked.chain(standing).cloned().collect();
        self.resources.plugins.make_ready(checks);
        let limit = Duration::from_millis(self.spec.timeout_ms);
        self.deadline = Some(Instant::now() + limit);
        self.stop.after(limit);

        if !self.spec.combines.is_empty() {
            return self.combine().await;
        }
        let claude = self.find_claude().await?;
        let mut site = self.find_site().await?;
        self.findings.start = site.start();
        self.set_up(&mut site).await?;
        let base = match site.take_base() {
            Some(base) => base,
            None => self.capture_base(&site).await?,
        };
        let (base, files_confined) = self.confine(&site, base).await?;
        let metering = Metering::begin(&self.settings, &self.journal, &self.stop);
        let adapter = self.start_adapter(&metering).await?;
        let around = PassContext {
            claude: &claude,
            site: &site,
            adapter: &adapter,
            metering: &metering,
            files_confined,
        };
        let mut before = self.begin_before(&site, &base).await;
        let came_to = self.passes(&around, &base, &mut before).await;
        if let Some(before) = before {
            before.end().await;
        }
        let sealed = self.seal(&mut site, &base);
        // Also where the job fails here: what it committed is kept.
        self.bring_commits(&base, came_to.is_ok() && sealed.is_ok());
        adapter.shutdown().await;
        sealed.and(came_to)
    }

    /// Keeps what the job made, for `apply` and for a job that goes on from it.
    pub(super) fn seal(&mut self, site: &mut Site, base: &Base) -> Result<(), EarlyExit> {
        let Some(changes) = &self.findings.changes else {
            return Ok(());
        };
        self.findings.autorun = base.autorun(changes);
        let sealed = tokio::task::block_in_place(|| {
            site.seal(base, changes, &subject(&self.spec.prompt), &self.folder())
        });
        self.findings.notes.extend(sealed?);
        self.findings.start.result_tree = site.isolated().and_then(Isolated::result_tree);
        Ok(())
    }

    fn record_spec(&mut self) {
        let spec = &self.spec;
        let checks: Vec<&str> = spec.checks.iter().map(|check| check.name()).collect();
        let prompt: String = spec.prompt.chars().take(400).collect();
        let summary = json!({
            "prompt": prompt,
            "allowed_dirs": spec.allowed_dirs,
            "model": self.resources.model(spec),
            "permission_mode": spec.permission_mode,
            "scope": spec.scoped_patch.as_ref().map(|scope| &scope.paths),
            "checks": checks,
            "timeout_ms": spec.timeout_ms,
            "isolation": spec.isolation,
            "setup": spec.setup.as_ref().map(|setup| &setup.command.command),
            "plugins": self.operators_plugins(),
        });
        let mut journal = self.journal();
        for listed in self.resources.plugins.list() {
            if listed.enabled && !listed.grants.is_empty() {
                let grants = listed.grants.join(", ");
                journal.line(&format!("plugin {} was granted {grants}", listed.name));
            }
        }
        let summary = journal.redactor().json(summary);
        journal.record("what was asked", |store, id| {
            store.record_spec(id, &summary)
        });
    }

    /// The operator's plugins that this job may meet: which component, and what it may do.
    fn operators_plugins(&self) -> Vec<serde_json::Value> {
        let listed = self.resources.plugins.list().into_iter();
        let own = listed.filter(|listed| listed.enabled && !listed.bundled);
        own.map(|listed| {
            json!({ "name": listed.name, "sha256": listed.sha256, "grants": listed.grants })
        })
        .collect()
    }

    /// Takes the job's turn, or finds that it must wait.
    async fn turn(&mut self) -> Result<Arrived, EarlyExit> {
        let failed = |fault: StoreError| EarlyExit::fault(EndCause::Store)(&fault);
        let row = {
            let journal = self.journal();
            journal.store().job(journal.id()).map_err(failed)?
        };
        let Some(row) = row else {
            self.stop.now(StopCause::Cancelled);
            return Err(EarlyExit::Stopped);
        };
        let waited_ms = now_ms().saturating_sub(row.created_ms).max(0);
        // What it has waited for until now, where it has.
        let before = row.progress.as_ref().and_then(|progress| {
            let words = progress.get(WAITING_FOR)?.as_str()?;
            Some(words.to_owned())
        });
        match &before {
            None => self.record_spec(),
            Some(what) if waited_ms >= WORTH_TELLING_MS => {
                let note = format!("waited {} s for {what}", waited_ms / 1_000);
                self.findings.notes.push(note);
            }
            Some(_) => {}
        }
        self.settle_place().await?;
        let until_ms = i64::try_from(self.settings.queue_ms).unwrap_or(i64::MAX);
        let until_ms = row.created_ms.saturating_add(until_ms);
        // A store of its own: waiting must not hold the journal.
        let (state_dir, id) = (self.settings.state_dir.clone(), row.id.clone());
        let turn = self
            .blocking(move || queue::take(&Store::open(&state_dir)?, &id))
            .await?
            .map_err(failed)?;
        match turn {
            Turn::Has(holdings) => {
                self.journal().entered(State::Preparing);
                Ok(Arrived::Has(holdings))
            }
            Turn::Waits(bell) => {
                let what = queue::waiting_for(self.journal().store(), &row).map_err(failed)?;
                if now_ms() >= until_ms {
                    return Err(EarlyExit::NoTurn(what));
                }
                let mut journal = self.journal();
                if before.as_ref() != Some(&what) {
                    journal.line(&format!("waiting for {what}"));
                }
                journal.progress(WAITING_FOR, what);
                journal.flush();
                drop(journal);
                Ok(Arrived::Waits { bell, until_ms })
            }
            Turn::Gone => {
                self.stop.now(StopCause::Cancelled);
                Err(EarlyExit::Stopped)
            }
        }
    }

    /// Sees to it that the queue knows which tree the job must have alone: the checkout may have been replaced since the
    /// job came.
    async fn settle_place(&mut self) -> Result<(), EarlyExit> {
        let failed = |fault: StoreError| EarlyExit::fault(EndCause::Store)(&fault);
        let place = {
            let journal = self.journal();
            journal.store().place(journal.id()).map_err(failed)?
        };
        if place.is_some() && self.spec.isolation == Isolation::Worktree {
            return Ok(());
        }
        let Some(root) = root::open(&self.settings) else {
            return Ok(());
        };
        let dirs = self.spec.allowed_dirs.clone();
        let opened = self
            .blocking(move || Workspace::open(&root?, &dirs))
            .await?;
        let repository = opened.map_err(|fault| EarlyExit::tree(&fault))?.lock_name();
        let journal = self.journal();
        let (store, id) = (journal.store(), journal.id());
        match place {
            // One that a runner started, and no front: it shares with what that one starts.
            None => {
                let row = store.job(id).map_err(failed)?;
                let home = row.and_then(|row| row.lives_in);
                let place = Place::of(&self.spec, &repository, home.as_ref(), &self.settings, true);
                store.enter_queue(id, &place).map_err(failed)
            }
            Some(place) if place.tree.as_ref() != Some(&repository) => {
                store.move_place(id, &repository).map_err(failed)
            }
            Some(_) => Ok(()),
        }
    }

    async fn find_claude(&mut self) -> Result<Claude, EarlyExit> {
        let settings = Arc::clone(&self.settings);
        let located = self
            .unless_stopped(async move { Claude::locate(&settings).await })
            .await?;
        located.map_err(|fault| EarlyExit::fault(EndCause::AgentMissing)(&fault))
    }

    pub(super) async fn capture_base(&mut self, site: &Site) -> Result<Base, EarlyExit> {
        let (workspace, earlier) = (site.workspace().clone(), site.earlier());
        let isolated = site.is_isolated();
        self.journal().line("recording the tree as it is");
        let storage = self.folder().join("base");
        let limits = self.limits();
        let captured = self
            .blocking(move || {
                let base = Base::capture(&workspace, &storage, limits)?;
                match earlier {
                    Some(earlier) if isolated => base.before(&earlier),
                    Some(earlier) => base.before_in_users_tree(&earlier),
                    None => Ok(base),
                }
            })
            .await?;
        let base = captured.map_err(|fault| EarlyExit::tree(&fault))?;
        if let Some((folder, files, bytes)) = base.untracked_bulk() {
            let note = format!(
                "{folder} has {files} files ({} MB) that git neither tracks nor ignores: each job reads and copies them first; a line in .gitignore spares that",
                bytes >> 20
            );
            self.findings.notes.push(note);
        }
        let special = base.special_files();
        if let Some(first) = special.first() {
            let more = match special.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let note = format!(
                "the tree has what is no plain file ({first}{more}): a FIFO, a socket or a device is watched by its stamp and read by nothing here"
            );
            self.findings.notes.push(note);
        }
        if base.unread() > 0 {
            let note = format!(
                "{} large files are watched by their stamps only",
                base.unread()
            );
            self.findings.notes.push(note);
        }
        Ok(base)
    }

    async fn start_adapter(&self, metering: &Metering) -> Result<Adapter, EarlyExit> {
        let config = self.resources.adapter("job", metering.sink());
        let mut config =
            config.map_err(|refusal| EarlyExit::fault(EndCause::Settings)(&refusal))?;
        config.models.main = Some(self.resources.model(&self.spec));
        config.job = Some(self.journal().id().to_string());
        config.budget = self.caps();
        config.pool = self.pool();
        let adapter = Adapter::bind(LOOPBACK, config)
            .await
            .map_err(|fault| EarlyExit::fault(EndCause::Adapter)(&fault))?;
        metering.follow(adapter.events());
        Ok(adapter)
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

    /// The books that an attempt shares with the others, for which the caps hold together.
    fn pool(&self) -> Option<Pool> {
        let attempt = self.spec.attempt.as_ref()?;
        let capped = self.caps() != gateway::Budget::default();
        let folder = self.journal().store().job_folder(&attempt.job);
        capped.then(|| Pool::new(folder.join(attempts::POOL), attempt.number.to_string()))
    }

    /// Returns the job's caps.
    fn caps(&self) -> gateway::Budget {
        let caps = &self.spec.budget;
        gateway::Budget {
            max_tokens_total: caps.max_tokens_total,
            max_cost_usd: caps.max_cost_usd,
            max_turns: caps.max_turns,
        }
    }

    /// Passes of the agent until the verdict stands.
    async fn passes(
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

    /// Says in the lines of the checks what they said before the agent began.
    async fn compare_with_before(
        &mut self,
        verdicts: &mut Verdicts,
        before: &mut Option<BeforeRuns>,
        top: &Path,
    ) {
        let Some(changes) = self.findings.changes.clone() else {
            return;
        };
        let mut found = verify::Before::new();
        if let Some(before) = before {
            let took = verdicts.checks.iter().map(|check| check.duration_ms).sum();
            found = before.within(Duration::from_millis(took)).await;
            before
                .with_tests(&self.spec.checks, &changes, &mut found)
                .await;
        }
        self.findings.unproven = verify::compare(
            verdicts,
            &self.spec.checks,
            &found,
            &changes,
            top,
            &self.resources.redactor,
        );
    }

    /// Gives the job git directories of its own, and finds out whether the kernel holds the agent to its files: on that
    /// depends which commands it may run. Both by trying, with what the agent will be given.
    async fn confine(&mut self, site: &Site, base: Base) -> Result<(Base, bool), EarlyExit> {
        if self.settings.sandbox == SandboxMode::Off {
            return Ok((base, false));
        }
        let mut base = base;
        let mut refused = None;
        if !site.is_isolated() {
            let folder = self.folder().join(OWN_GIT);
            let (taken, made) = self
                .blocking(move || {
                    let made = OwnGit::create(&base, &folder);
                    (base, made)
                })
                .await?;
            base = match made {
                Ok(own) => taken.with_own_git(Arc::new(own)),
                Err(WorkspaceError::Stopped) => return Err(EarlyExit::Stopped),
                Err(fault) => {
                    refused = Some(fault.to_string());
                    taken
                }
            };
        }
        let mut level = process::probe_with(site.confinement_of_agent(&self.settings, &base)).await;
        if let Err(ProcessError::StandIn(reason)) = level {
            base = base.without_own_git();
            refused = Some(reason);
            level = process::probe_with(site.confinement_of_agent(&self.settings, &base)).await;
        }
        if let Some(reason) = refused {
            let note = format!("the agent works in the user's git directory: {reason}");
            self.journal().line(&note);
            self.findings.notes.push(note);
        }
        Ok((base, level.is_ok_and(|level| level.files_confined)))
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

    /// Brings what the job committed in git directories of its own into the user's, after a look at it.
    fn bring_commits(&mut self, base: &Base, over: bool) {
        let Some(own) = base.own_git() else {
            return;
        };
        let id = self.journal().id().to_string();
        let verdicts = self.findings.verdicts.as_ref();
        let verified = over && verdicts.is_some_and(Verdicts::passed);
        let changes = self.findings.changes.clone().filter(|_| verified);
        let request = BringRequest {
            base,
            verified: changes.as_deref(),
            job: &id,
            folder: &self.folder(),
        };
        let told = tokio::task::block_in_place(|| own.bring(&request));
        for line in &told {
            self.journal().line(line);
        }
        self.findings.notes.extend(told);
        self.findings.git_brought = true;
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
    fn extra_env(&self, site: &Site) -> Vec<(OsString, OsString)> {
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

    /// Changes are taken before any check runs: what checks write is never the agent's.
    pub(super) async fn take_changes(&mut self, base: &Base) -> Result<(), EarlyExit> {
        // Also after a cancel: what the job did so far is part of its evidence.
        let changes = tokio::task::block_in_place(|| base.changes());
        if matches!(changes, Err(WorkspaceError::Stopped)) {
            let note = "the tree is too large to be looked at once more before the end".to_owned();
            self.findings.notes.push(note);
        }
        let changes = changes.map_err(|fault| EarlyExit::tree(&fault))?;
        let set_ids = tokio::task::block_in_place(|| base.remove_set_ids(&changes));
        if !set_ids.is_empty() {
            let names: Vec<String> = set_ids.iter().map(ToString::to_string).collect();
            let names = verify::listed(&names);
            let note = format!("set-user-ID and set-group-ID bits taken away: {names}");
            self.findings.notes.push(note);
        }
        self.findings.changes = Some(Arc::new(changes));
        Ok(())
    }

    /// Returns true if somebody may want cargo's packages: there is a project of cargo's, or the agent began one.
    pub(super) fn uses_cargo(&self, base: &Base) -> bool {
        const MANIFEST: &str = "Cargo.toml";
        let changes = self.findings.changes.iter();
        let mut changed = changes.flat_map(|changes| &changes.files);
        base.has_file_named(MANIFEST)
            || changed.any(|file| file.top_path.as_path().ends_with(MANIFEST))
    }

    /// The place that commands of the host's run in: checks, and the set-up.
    pub(super) fn check_place(&self, site: &Site, base: &Base) -> verify::Place {
        let workspace = site.workspace();
        verify::Place {
            tree: verify::Tree {
                root: workspace.root().clone(),
                work_dir: workspace.work_dir().to_owned(),
                top: workspace.top().to_owned(),
                is_own: site.is_isolated(),
                git_writes: site.git_writes(base),
                cargo_packages: self.uses_cargo(base),
                git_identity: GitIdentity::of(workspace),
                confinement: site.confinement_of_checks(&self.settings, base),
            },
            rooms: Arc::clone(&self.rooms),
            extra_env: self.extra_env(site),
        }
    }

    /// The bytes of one check's digest.
    pub(super) fn digest_bytes(&self) -> usize {
        usize::try_from(self.settings.check_output_response_max).unwrap_or(usize::MAX)
    }

    pub(super) async fn verify(
        &self,
        site: &Site,
        base: &Base,
        pass: u32,
        metering: &Metering,
    ) -> verify::Verification {
        let Some(changes) = &self.findings.changes else {
            return verify::Verification::default();
        };
        let agent = self.findings.agent.as_ref();
        let plan = verify::Plan {
            checks: &self.spec.checks,
            scoped_patch: self.spec.scoped_patch.as_ref(),
            expect_changes: self.spec.expect_changes,
            own_git: site.is_isolated() || base.own_git().is_some(),
            bare_copy_of: site
                .isolated()
                .filter(|_| self.spec.setup.is_none())
                .map(|isolated| isolated.record().source.as_path()),
            pass,
            base,
            place: self.check_place(site, base),
            deadline: self.deadline.unwrap_or_else(Instant::now),
            stop: self.stop.token().clone(),
            digest_bytes: self.digest_bytes(),
        };
        let id = self.journal().id().to_string();
        let evidence = verify::Evidence {
            job_id: &id,
            task: &self.spec.prompt,
            changes: Arc::clone(changes),
            agent: agent.map(agent_evidence).unwrap_or_default(),
            agent_message: agent
                .and_then(|agent| agent.last_message.as_deref())
                .unwrap_or_default(),
            budget: metering.budget_spent().map(str::to_owned),
        };
        let artifacts = Artifacts::in_job(&self.folder());
        let tell = |progress| match progress {
            verify::Progress::Started(check) => {
                self.journal().progress("last", format!("check {check}"))
            }
            verify::Progress::Ended(line) => {
                self.write_plugin_log();
                self.journal().line(&line);
            }
        };
        verify::run(
            &plan,
            &evidence,
            &self.resources.plugins,
            &self.resources.redactor,
            &artifacts,
            tell,
        )
        .await
    }

    /// Puts the files back that were changed outside the scope, where the job asked for it.
    fn put_back(&mut self, base: &Base) -> Result<(), EarlyExit> {
        let wanted = self
            .spec
            .scoped_patch
            .as_ref()
            .is_some_and(|scope| scope.on_violation == OnViolation::Revert);
        let (Some(changes), Some(verdicts), true) =
            (&self.findings.changes, &self.findings.verdicts, wanted)
        else {
            return Ok(());
        };
        let outside: Vec<&String> = verdicts
            .failing()
            .filter(|verdict| verdict.name == verify::SCOPE_LINE)
            .flat_map(|verdict| &verdict.found_in)
            .collect();
        let files: Vec<&ChangedFile> = changes
            .files
            .iter()
            .filter(|file| {
                file.paths()
                    .any(|path| outside.iter().any(|outside| *path == outside.as_str()))
            })
            .collect();
        if files.is_empty() {
            return Ok(());
        }
        let reverted = tokio::task::block_in_place(|| base.revert(files))
            .map_err(|fault| EarlyExit::fault(EndCause::Workspace)(&fault))?;
        let names = |files: &[FilePath]| {
            files
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        if !reverted.files.is_empty() {
            self.findings
                .notes
                .push(format!("put back: {}", names(&reverted.files)));
        }
        for (file, why) in &reverted.failed {
            self.findings
                .notes
                .push(format!("not put back: {file} ({why})"));
        }
        Ok(())
    }

    pub(super) fn record_pass(
        &mut self,
        number: u32,
        model: &str,
        spent: gateway::Usage,
        verdicts: &Verdicts,
    ) {
        let digest = self
            .findings
            .changes
            .as_ref()
            .map(|changes| changes.digest())
            .unwrap_or_default();
        let agent = self.findings.agent.as_ref();
        let record = json!({
            "pass": number,
            "model": model,
            "turns": agent.map(|agent| agent.turns),
            "usage": spent,
            "checks": verdicts.lines(),
            "diff_digest": digest,
        });
        self.journal().pass(number, record);
        self.findings.passes.push(revise::Pass {
            diff_digest: digest,
            verdicts: verdicts.clone(),
        });
        self.findings.verdicts = Some(verdicts.clone());
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

/// Returns how the agent's pass ended, for the checks: as the host saw it, not as the agent reports it.
fn agent_evidence(agent: &AgentOutcome) -> verify::AgentEvidence {
    let fault = match &agent.ending {
        Ending::Failed { cause, message } => Some((*cause, message.clone())),
        Ending::MaxTurns => Some((
            EndCause::MaxTurns,
            format!("the turn limit was reached after {} turns", agent.turns),
        )),
        _ => None,
    };
    verify::AgentEvidence {
        fault,
        denials: agent
            .denials
            .iter()
            .map(|denial| format!("{} {}", denial.tool, denial.target))
            .collect(),
    }
}

/// The message of the commit that keeps an isolated job's result.
fn subject(prompt: &str) -> String {
    redact::text::one_line(prompt, 72)
}
