//! The place of a job's work: the user's checkout, or a tree of the job's own; and what it holds while it works there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::attempts;
use super::running_job::{EarlyExit, Job, Start};
use crate::agent::Session;
use crate::checks::CheckSpec;
use crate::end_cause::EndCause;
use crate::id::JobId;
use crate::lock::LockGuard;
use crate::root;
use process::{Confinement, Grants, StandIn, TaskLimits};
use redact::Redactor;
use settings::{Isolation, Settings};
use workspace::{
    Base, Changes, Earlier, Isolated, IsolatedRecord, IsolatedRequest, Pinned, PortBase, Workspace,
    WorkspaceError,
};

/// The record by which a later job can go on.
const CONTINUATION: &str = "continuation.json";

/// The name of the files' states before a job in the user's own tree.
const FOR_FOLLOW_UP: &str = "follow-up";

/// The data that a later job needs to continue in a finished one's session and tree. Working material.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Continuation {
    /// Claude Code's session.
    session: String,
    /// The task that the session began with; records of earlier versions lack it, and those of a task with a secret.
    #[serde(default)]
    began_with: Option<String>,
    /// The agent's HOME, where the session lies.
    home: PathBuf,
    /// The job's directories in the user's checkout.
    pub(crate) allowed_dirs: Vec<PathBuf>,
    /// True if it works in a tree of its own, made from that checkout.
    pub(crate) isolated: bool,
    /// What its result was verified with; none where a secret is in it, and in records of earlier versions.
    #[serde(default)]
    pub(crate) checks: Option<Vec<CheckSpec>>,
}

impl Continuation {
    /// Takes the record of one job over into the folder of another.
    pub(super) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
        fs::copy(from.join(CONTINUATION), to.join(CONTINUATION)).map(drop)
    }

    /// The record in a job's folder; none when the job never came to its agent.
    pub(crate) fn load(job_folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(job_folder.join(CONTINUATION)).ok()?).ok()
    }
}

/// Device and inode.
type FolderIdentity = (u64, u64);

fn folder_identity(path: &Path) -> Option<FolderIdentity> {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::symlink_metadata(path)
        .ok()
        .filter(fs::Metadata::is_dir)?;
    Some((found.dev(), found.ino()))
}

/// The limits of each task. Without a word of the operator's, a quarter of the memory is left to others.
pub(super) fn task_limits(settings: &Settings) -> TaskLimits {
    let set = |mb: u64| (mb > 0).then_some(mb << 20);
    TaskLimits {
        memory: match settings.task_memory_mb {
            Some(mb) => set(mb),
            None => process::machine_memory().map(|all| all / 4 * 3),
        },
        disk: set(settings.task_disk_mb),
    }
}

/// The place of a job's work.
pub(super) struct Site {
    workspace: Workspace,
    isolated: Option<Isolated>,
    ports: Option<PortBase>,
    /// The snapshot of the tree as it was made, where the job before ended without recording what it had changed.
    renewed: Option<Base>,
    /// The tree was small, and was made again.
    made_again: bool,
    /// The folders that the base ignores, outside the allowed directories.
    ignored: OnceLock<Vec<(FolderIdentity, PathBuf)>>,
    /// The folder in which the job before this one, in the same tree of the user's, kept its states.
    went_before: Option<PathBuf>,
    /// The grants of the job's tasks, as they were when the job began.
    grants: Grants,
    /// The agent's HOME.
    pub(super) home: PathBuf,
    /// The agent's session.
    pub(super) session: Session,
    /// The task that the session began with, where that is known.
    pub(super) began_with: Option<String>,
    _alone: Option<LockGuard>,
}

impl Site {
    /// The place to work in.
    pub(super) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Returns true if the tree is the job's own.
    pub(super) fn is_isolated(&self) -> bool {
        self.isolated.is_some()
    }

    /// Whether the tree of the job before had become small, and was made again.
    pub(super) fn was_made_again(&self) -> bool {
        self.made_again
    }

    /// The tree, where it is the job's own.
    pub(super) fn isolated(&self) -> Option<&Isolated> {
        self.isolated.as_ref()
    }

    /// The same, to be written to its record.
    pub(super) fn isolated_mut(&mut self) -> Option<&mut Isolated> {
        self.isolated.as_mut()
    }

    /// What the job starts from.
    pub(super) fn start(&self) -> Start {
        let (top, commit, dirty) = match &self.isolated {
            Some(isolated) => {
                let record = isolated.record();
                let dirty = record.dirty_included && record.dirty_files > 0;
                (&*record.source, record.base_commit.clone(), Some(dirty))
            }
            None => (self.workspace.top(), self.workspace.head_commit(), None),
        };
        Start {
            tree: workspace::tree_of(top, &commit),
            commit: Some(commit).filter(|commit| !commit.is_empty()),
            dirty,
            result_tree: None,
        }
    }

    /// The first of the ports that are this job's.
    pub(super) fn port_base(&self) -> Option<u16> {
        self.ports.as_ref().map(PortBase::base)
    }

    /// Returns the files that the agent may use here, besides what it adds for itself: the allowed directories, and what the base ignores,
    /// since a build in a part of the tree writes its output at the top.
    pub(super) fn confinement_of_agent(&self, settings: &Settings, base: &Base) -> Confinement {
        let mut write = vec![self.workspace.work_dir().to_owned()];
        write.extend(self.workspace.additional_dirs().iter().cloned());
        let ignored = self.ignored.get_or_init(|| {
            let dirs = base.ignored_dirs().into_iter();
            let dirs = dirs.filter(|dir| !write.iter().any(|allowed| dir.starts_with(allowed)));
            dirs.filter_map(|dir| Some((folder_identity(&dir)?, dir)))
                .collect()
        });
        // A check may have made one of them anew: then it is not granted any more, which ends no pass.
        let same = |(was, dir): &&(FolderIdentity, PathBuf)| folder_identity(dir) == Some(*was);
        write.extend(ignored.iter().filter(same).map(|(_, dir)| dir.clone()));
        // As `.git` in the tree goes with the whole tree.
        if base.own_git().is_none() && write.iter().any(|dir| dir == self.workspace.top()) {
            write.extend(self.workspace.git_writes());
        }
        self.confinement(settings, base, write)
    }

    /// Returns the files that the checks may use here, besides what each of them adds for itself: the whole tree. What they are allowed
    /// to write and what counts as the job's change are two things.
    pub(super) fn confinement_of_checks(&self, settings: &Settings, base: &Base) -> Confinement {
        let mut write = vec![self.workspace.top().to_owned()];
        if base.own_git().is_none() {
            write.extend(self.workspace.git_writes());
        }
        self.confinement(settings, base, write)
    }

    /// The folders that git in the tree writes and that are no part of it, by the paths at which tasks find them.
    pub(super) fn git_writes(&self, base: &Base) -> Vec<PathBuf> {
        match base.own_git() {
            Some(own) => {
                let mounts = own.mounts().into_iter().filter(|mount| mount.write);
                mounts.map(|mount| mount.at).collect()
            }
            None => self.workspace.git_writes(),
        }
    }

    fn confinement(
        &self,
        settings: &Settings,
        base: &Base,
        mut write: Vec<PathBuf>,
    ) -> Confinement {
        write.extend(settings.sandbox_write.iter().cloned());
        let mut read = vec![self.workspace.top().to_owned()];
        let mut stand_ins = Vec::new();
        match base.own_git() {
            Some(own) => stand_ins.extend(own.mounts().into_iter().map(|mount| StandIn {
                at: mount.at,
                folder: mount.folder,
                write: mount.write,
            })),
            None => read.push(self.workspace.git_dir().to_owned()),
        }
        read.extend(self.workspace.object_stores());
        read.extend(self.isolated.iter().flat_map(Isolated::read_paths));
        read.extend(settings.sandbox_read.iter().cloned());
        Confinement {
            mode: settings.sandbox,
            read,
            write,
            stand_ins,
            limits: task_limits(settings),
            grants: self.grants.clone(),
            ..Confinement::off()
        }
    }

    /// Notes where a later job can go on. A task with a secret in it is not written down: the session is then believed to
    /// know it.
    pub(super) fn record_continuation(
        &self,
        folder: &Path,
        session: &str,
        checks: &[CheckSpec],
        redactor: &Redactor,
    ) {
        let allowed_dirs = match &self.isolated {
            Some(isolated) => isolated.record().source_dirs(),
            None => {
                let further = self.workspace.additional_dirs().iter().cloned();
                std::iter::once(self.workspace.work_dir().to_owned())
                    .chain(further)
                    .collect()
            }
        };
        let record = Continuation {
            session: session.to_owned(),
            began_with: self
                .began_with
                .clone()
                .filter(|task| redactor.text(task).as_str() == task),
            home: self.home.clone(),
            allowed_dirs,
            isolated: self.is_isolated(),
            checks: serde_json::to_string(checks)
                .is_ok_and(|text| redactor.text(&text).as_str() == text)
                .then(|| checks.to_vec()),
        };
        let text = serde_json::to_vec(&record).unwrap_or_default();
        if let Err(fault) = fs::write(folder.join(CONTINUATION), text) {
            tracing::warn!(%fault, "no later job can go on in this one");
        }
    }

    /// The snapshot to hold the job against, where it was taken already.
    pub(super) fn take_base(&mut self) -> Option<Base> {
        self.renewed.take()
    }

    /// Returns the changes of jobs that worked in this tree before; they count as changed since the base.
    pub(super) fn earlier(&self) -> Option<Earlier> {
        match &self.isolated {
            Some(isolated) => isolated.earlier(),
            None => self.went_before.as_deref().and_then(Earlier::find),
        }
    }

    /// Keeps the result of an isolated job for `apply`, and of any other, in its `folder`, what one that goes on from it is
    /// held against. Returns a note for what it cannot hold.
    pub(super) fn seal(
        &mut self,
        base: &Base,
        changes: &Changes,
        message: &str,
        folder: &Path,
    ) -> Result<Option<String>, EarlyExit> {
        let Some(isolated) = &mut self.isolated else {
            let folder = folder.join(FOR_FOLLOW_UP);
            return Earlier::keep_for_follow_up(base.workspace().top(), changes, &folder)
                .map(|()| None)
                .map_err(|fault| EarlyExit::fault(EndCause::Workspace)(&fault));
        };
        isolated
            .seal(base, changes, message)
            .map_err(|fault| EarlyExit::tree(&fault))?;
        let sealed = isolated.record().results.last();
        let left = sealed.map(|sealed| &sealed.not_carried);
        let left: Vec<_> = left
            .into_iter()
            .flatten()
            .filter(|left| left.is_work())
            .map(ToString::to_string)
            .collect();
        Ok((!left.is_empty()).then(|| format!("not_carried by apply: {}", left.join(", "))))
    }
}

impl Job {
    /// Finds or makes the place to work in.
    pub(super) async fn find_site(&mut self) -> Result<Site, EarlyExit> {
        let Some(root) = root::open(&self.settings) else {
            return Err(EarlyExit::Fault(
                EndCause::Settings,
                "SANDBOX_ROOT is not set".to_owned(),
            ));
        };
        let dirs = self.spec.allowed_dirs.clone();
        let opened = self
            .blocking(move || Workspace::open(&root?, &dirs))
            .await?;
        let workspace = opened.map_err(|fault| EarlyExit::tree(&fault))?;
        match self.spec.isolation {
            Isolation::Worktree if self.spec.resume_job_id.is_some() => self.continued_site().await,
            Isolation::Worktree => self.isolated_site(workspace).await,
            Isolation::None => self.shared_site(workspace).await,
        }
    }

    async fn shared_site(&mut self, workspace: Workspace) -> Result<Site, EarlyExit> {
        let alone = self.tree_alone()?;
        let (home, session, began_with) = match self.continued() {
            Some(earlier) => (
                earlier.home,
                Session::Resume(earlier.session),
                earlier.began_with,
            ),
            None => {
                let home = self.folder().join("home");
                (home, fresh_session()?, Some(self.spec.prompt.clone()))
            }
        };
        Ok(Site {
            workspace,
            isolated: None,
            went_before: self.went_before(),
            ports: None,
            renewed: None,
            made_again: false,
            ignored: OnceLock::new(),
            grants: self.grants(),
            home,
            session,
            began_with,
            _alone: Some(alone),
        })
    }

    fn grants(&self) -> Grants {
        Grants::beside(self.settings.sandbox_root.iter().cloned().collect())
    }

    fn went_before(&self) -> Option<PathBuf> {
        let earlier = self.spec.resume_job_id.as_ref()?;
        Some(
            self.journal()
                .store()
                .job_folder(earlier)
                .join(FOR_FOLLOW_UP),
        )
    }

    fn continued(&self) -> Option<Continuation> {
        let earlier = self.spec.resume_job_id.as_ref()?;
        Continuation::load(&self.journal().store().job_folder(earlier))
    }

    /// The tree, the home and the session of an earlier job.
    async fn continued_site(&mut self) -> Result<Site, EarlyExit> {
        let gone = || EarlyExit::Fault(EndCause::Workspace, "the earlier job is gone".to_owned());
        let (Some(from), Some(earlier)) = (self.spec.resume_job_id.clone(), self.continued())
        else {
            return Err(gone());
        };
        let folder = {
            let journal = self.journal();
            let row = journal.store().job(journal.id());
            let row = row.map_err(|fault| EarlyExit::fault(EndCause::Store)(&fault))?;
            let home: JobId = row.and_then(|row| row.lives_in).ok_or_else(gone)?;
            journal.store().job_folder(&home)
        };
        self.journal()
            .line(&format!("going on in the tree of job {from}"));
        let name = self.journal().id().to_string();
        let ports_folder = self.settings.state_dir.join("ports");
        let failed = |fault: WorkspaceError| EarlyExit::tree(&fault);
        let mut alone = self.tree_alone()?;
        let (whole, limits) = (folder.clone(), self.limits());
        let made = self
            .blocking(move || Isolated::make_whole(&whole, &limits))
            .await?
            .map_err(failed)?;
        if made {
            self.journal().line("the tree was made again");
        }
        // Only now: whoever had the tree until now may have left something there.
        let record = IsolatedRecord::load(&folder).map_err(failed)?;
        let last = record.results.last();
        let sealed = last.is_some_and(|last| last.job == from.as_str());
        if !sealed && self.went_on_since(&from)? {
            return Err(EarlyExit::Fault(
                EndCause::Workspace,
                format!("another job went on in the tree of job {from} meanwhile"),
            ));
        }
        let (isolated, renewed) = if sealed {
            (Isolated::open(&folder, &name).map_err(failed)?, None)
        } else {
            self.journal().line(&format!(
                "job {from} recorded no changes: looking at its tree as it was made"
            ));
            let storage = self.folder().join("base");
            let limits = self.limits();
            // The thread has the hold as long as it moves files, also when this job is stopped meanwhile.
            let (hold, again) = self
                .blocking(move || {
                    let again = Isolated::renew(&folder, &name, &storage, limits);
                    (alone, again)
                })
                .await?;
            alone = hold;
            let (again, base) = again.map_err(failed)?;
            (again, Some(base))
        };
        let ports = self
            .blocking(move || PortBase::reserve(&ports_folder))
            .await?
            .map_err(|fault| EarlyExit::tree(&fault))?;
        self.findings.notes.push(format!(
            "continues in the tree of job {from}; changes count from {}",
            base_of(&isolated)
        ));
        Ok(Site {
            workspace: isolated.workspace().clone(),
            isolated: Some(isolated),
            went_before: None,
            ports: Some(ports),
            renewed,
            made_again: made,
            ignored: OnceLock::new(),
            grants: self.grants(),
            home: earlier.home,
            session: Session::Resume(earlier.session),
            began_with: earlier.began_with,
            _alone: Some(alone),
        })
    }

    /// Returns true if another job than this one came to its agent in the tree after job `from` did.
    fn went_on_since(&self, from: &JobId) -> Result<bool, EarlyExit> {
        let journal = self.journal();
        let store = journal.store();
        let look = || {
            let Some(earlier) = store.job(from)? else {
                return Ok(true);
            };
            let lodgers = store.lodgers(earlier.home())?;
            Ok::<_, crate::store::StoreError>(lodgers.iter().any(|later| {
                later.ticket > earlier.ticket
                    && later.id != *journal.id()
                    && Continuation::load(&store.job_folder(&later.id)).is_some()
            }))
        };
        look().map_err(|fault| EarlyExit::fault(EndCause::Store)(&fault))
    }

    async fn isolated_site(&mut self, source: Workspace) -> Result<Site, EarlyExit> {
        self.journal().line("making a tree of the job's own");
        let folder = self.folder();
        let attempt = self.spec.attempt.clone();
        // What an attempt makes is the job's, should it be the one that counts.
        let name = match &attempt {
            Some(attempt) => attempt.job.to_string(),
            None => self.journal().id().to_string(),
        };
        let base = self.spec.base.clone();
        let include_dirty = self.spec.include_dirty;
        let ports_folder = self.settings.state_dir.join("ports");
        let home = folder.join("home");
        let limits = self.limits();
        let made = self.blocking(move || {
            let request = IsolatedRequest {
                source: &source,
                folder: &folder,
                name: &name,
                base: base.as_deref(),
                include_dirty,
                limits,
            };
            let copy = attempt.as_ref().and_then(|attempt| attempt.copy.as_deref());
            let copy = copy.map(attempts::open_copy).transpose()?;
            let pinned = attempt.as_ref().map(|attempt| Pinned {
                commit: &attempt.commit,
                copy: copy.as_ref(),
            });
            Ok::<_, workspace::WorkspaceError>((
                Isolated::create_at(&request, pinned.as_ref())?,
                PortBase::reserve(&ports_folder)?,
            ))
        });
        let (isolated, ports) = made.await?.map_err(|fault| EarlyExit::tree(&fault))?;
        let record = isolated.record();
        let mut base = format!("isolated; {}", base_of(&isolated));
        if record.dirty_included {
            base.push_str(&format!(" with {} uncommitted files", record.dirty_files));
        } else if record.dirty_files > 0 {
            base.push_str(", without the checkout's uncommitted work");
        }
        let notes = std::iter::once(base).chain(record.notes.iter().cloned());
        self.findings.notes.extend(notes);
        Ok(Site {
            workspace: isolated.workspace().clone(),
            isolated: Some(isolated),
            went_before: None,
            ports: Some(ports),
            renewed: None,
            made_again: false,
            ignored: OnceLock::new(),
            grants: self.grants(),
            home,
            session: fresh_session()?,
            began_with: Some(self.spec.prompt.clone()),
            _alone: None,
        })
    }

    /// The hold on the tree that the job was given with its turn. Two jobs in one tree would be blamed for each other's
    /// changes.
    fn tree_alone(&mut self) -> Result<LockGuard, EarlyExit> {
        self.tree.take().ok_or_else(|| {
            let missing = "the job has no hold on its tree".to_owned();
            EarlyExit::Fault(EndCause::Host, missing)
        })
    }
}

fn base_of(isolated: &Isolated) -> String {
    let record = isolated.record();
    let short: String = record.base_commit.chars().take(10).collect();
    format!("base {} ({short})", record.base_name)
}

fn fresh_session() -> Result<Session, EarlyExit> {
    Session::fresh().map_err(|fault| EarlyExit::fault(EndCause::Agent)(&fault))
}
