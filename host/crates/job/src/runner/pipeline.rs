//! One job, step by step: its turn, the base, the agent, what it changed, whether that holds, and again where it does not.
//!
//! A step either hands on to the next one or cuts the job short ([`EarlyExit`]); what was found out until then is kept
//! ([`Findings`]), so that a job that was cut short still tells what it did.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::hangup::hung_up;
use super::journal::Journal;
use super::metering::Metering;
use super::passes::PassContext;
use super::resources::{JobResources, LOOPBACK};
use super::running_job::{EarlyExit, Findings, Job};
use super::site::Site;
use super::stop::Stop;
use super::turn::Arrived;
use super::{attempts, ending};
use crate::agent::Claude;
use crate::checks::CheckSpec;
use crate::end_cause::EndCause;
use crate::id::JobId;
use crate::lock::LockGuard;
use crate::queue::{Bell, Holdings};
use crate::spec::JobSpec;
use crate::state::State;
use crate::store::Store;
use crate::verify;
use gateway::{self, Adapter, Pool};
use redact::LogMask;
use settings::Settings;
use workspace::{Base, Interrupt};

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

    /// The books that an attempt shares with the others, for which the caps hold together.
    fn pool(&self) -> Option<Pool> {
        let attempt = self.spec.attempt.as_ref()?;
        let capped = self.caps() != gateway::Budget::default();
        let folder = self.journal().store().job_folder(&attempt.job);
        capped.then(|| Pool::new(folder.join(attempts::POOL), attempt.number.to_string()))
    }

    /// Returns the job's caps.
    pub(super) fn caps(&self) -> gateway::Budget {
        let caps = &self.spec.budget;
        gateway::Budget {
            max_tokens_total: caps.max_tokens_total,
            max_cost_usd: caps.max_cost_usd,
            max_turns: caps.max_turns,
        }
    }
}
