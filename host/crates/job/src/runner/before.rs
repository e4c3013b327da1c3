//! The command checks on the base, while the agent works: in a tree of their own that is thrown away.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::running_job::Job;
use super::site::{Site, task_limits};
use crate::artifacts::Artifacts;
use crate::checks::{CheckSpec, CommandCheck};
use crate::dependencies;
use crate::verify::{self, Before, BeforeOutcome, Place};
use process::{Confinement, StandIn};
use workspace::{
    Base, ChangeKind, Changes, CopyBounds, GitIdentity, Isolated, IsolatedRequest, WorkspaceError,
};

/// The least time that a job waits for commands on its base once its own checks are done.
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// The runs on the base of one job.
pub(super) struct BeforeRuns {
    runs: Arc<Runs>,
    running: Option<JoinHandle<()>>,
}

/// An outcome that was found before, for the same base and the same check.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    key: String,
    outcome: BeforeOutcome,
}

impl Job {
    /// Begins the runs on the base; the tree for them is made before this returns, so that it holds nothing of the
    /// agent's. None where there is nothing to compare with: no command check, a job that only reads or that goes on in
    /// another one's tree, a base that cannot be made again.
    pub(super) async fn begin_before(&mut self, site: &Site, base: &Base) -> Option<BeforeRuns> {
        let checks: Vec<CommandCheck> = self
            .spec
            .checks
            .iter()
            .filter_map(|check| match check {
                CheckSpec::Command(check) => Some(check.clone()),
                CheckSpec::Plugin(_) => None,
            })
            .collect();
        let wanted =
            self.settings.check_before || checks.iter().any(|check| check.fails_without_change);
        if !wanted
            || checks.is_empty()
            || self.spec.expect_changes == Some(false)
            || self.spec.resume_job_id.is_some()
        {
            return None;
        }
        let folder = self.folder().join("before");
        let (source, made_in) = (site.workspace().clone(), folder.clone());
        let limits = self.limits();
        let made = self
            .blocking(move || {
                private::make_folder(&made_in)
                    .map_err(|error| error.to_string())
                    .and_then(|()| {
                        Isolated::create(&IsolatedRequest {
                            source: &source,
                            folder: &made_in,
                            name: "before",
                            base: None,
                            include_dirty: true,
                            limits,
                        })
                        .map_err(|error| error.to_string())
                    })
            })
            .await
            .ok()?;
        let tree = match made {
            Ok(tree) => tree,
            Err(fault) => {
                tracing::info!(%fault, "the checks have no before");
                discard(&folder);
                return None;
            }
        };
        // A tree made from commits has no ignored files and no dependencies. Where the base has some that cannot be brought, a
        // failure in the tree may be their absence, and shows nothing. A check that is to fail there gets all of them: it finds
        // the tree in the place of the job's, since virtual environments and caches of builds hold the paths that they were
        // made at.
        let ready = tokio::task::block_in_place(|| self.set_up_like(site, &tree));
        let proves = checks.iter().any(|check| check.fails_without_change);
        let in_its_place = self.before_in_its_place(site, &tree, &folder, base);
        let in_its_place = match proves {
            true => can_be_had(in_its_place).await,
            false => None,
        };
        let is_dependency = |name: &str| dependencies::FOLDERS.contains(&name);
        let top = tree.workspace().top().to_owned();
        let with_all = in_its_place.is_some();
        let copied = tokio::task::block_in_place(|| match with_all {
            true => base.copy_ignored(&top, &|_| false, CopyBounds::MANY),
            false => base.copy_ignored(&top, &is_dependency, CopyBounds::FEW),
        });
        let copied = copied.unwrap_or_else(|fault| {
            tracing::info!(%fault, "the ignored files are not at hand on the base");
            None
        });
        let lacks_dependencies = || {
            let mut dirs = base.ignored_dirs().into_iter();
            dirs.any(|dir| {
                let name = dir.file_name().and_then(|name| name.to_str());
                name.is_some_and(is_dependency)
            })
        };
        let complete = ready || copied.is_some() && (with_all || !lacks_dependencies());
        let place = in_its_place.unwrap_or_else(|| self.before_place(site, &tree, &folder, base));
        let runs = Runs {
            trial: verify::Trial {
                place,
                deadline: self.deadline.unwrap_or_else(Instant::now),
                stop: self.stop.token().child_token(),
                digest_bytes: self.digest_bytes(),
                plugins: self.resources.plugins.clone(),
                redactor: self.resources.redactor.clone(),
                artifacts: Artifacts::in_job(&folder),
            },
            // What the outcome hangs on has a name only where all of it is in the commit.
            cache: cache_of(&self.settings.cache_dir, &tree).filter(|_| copied == Some(0)),
            complete,
            found: Mutex::default(),
            tree: top,
            folder,
        };
        let runs = Arc::new(runs);
        let running = tokio::spawn(Arc::clone(&runs).go(checks));
        Some(BeforeRuns {
            runs,
            running: Some(running),
        })
    }

    /// The place of the runs: as that of the checks, in the other tree, and with nothing else to write.
    fn before_place(&self, site: &Site, tree: &Isolated, folder: &Path, base: &Base) -> Place {
        let workspace = tree.workspace();
        let mut read = vec![
            workspace.top().to_owned(),
            workspace.git_dir().to_owned(),
            site.workspace().git_dir().to_owned(),
        ];
        read.extend(tree.read_paths());
        read.extend(self.settings.sandbox_read.iter().cloned());
        read.extend(self.settings.sandbox_write.iter().cloned());
        Place {
            tree: verify::Tree {
                root: workspace.root().clone(),
                work_dir: workspace.work_dir().to_owned(),
                top: workspace.top().to_owned(),
                is_own: true,
                git_writes: Vec::new(),
                cargo_packages: self.uses_cargo(base),
                git_identity: GitIdentity::of(site.workspace()),
                confinement: Confinement {
                    mode: self.settings.sandbox,
                    read,
                    write: vec![workspace.top().to_owned()],
                    limits: task_limits(&self.settings),
                    ..Confinement::off()
                },
            },
            rooms: Arc::new(verify::Rooms::below(folder.join("checks"))),
            extra_env: self.resources.check_env(),
        }
    }

    /// The same, with the tree in the place of the job's.
    fn before_in_its_place(
        &self,
        site: &Site,
        tree: &Isolated,
        folder: &Path,
        base: &Base,
    ) -> Place {
        let mut place = self.before_place(site, tree, folder, base);
        let workspace = site.workspace();
        place.tree.root = workspace.root().clone();
        place.tree.work_dir = workspace.work_dir().to_owned();
        place.tree.top = workspace.top().to_owned();
        place.tree.confinement.write = vec![workspace.top().to_owned()];
        place.tree.confinement.stand_ins = vec![StandIn {
            at: workspace.top().to_owned(),
            folder: tree.workspace().top().to_owned(),
            write: true,
        }];
        place
    }
}

/// The place where its view can be had.
async fn can_be_had(place: Place) -> Option<Place> {
    let level = process::probe_with(place.tree.confinement.clone()).await;
    level.is_ok().then_some(place)
}

impl BeforeRuns {
    /// Returns the outcomes so far, and those that arrive within about the time that the job's own checks took.
    pub(super) async fn within(&mut self, grace: Duration) -> Before {
        if let Some(running) = &mut self.running
            && tokio::time::timeout(grace.max(LEAST_GRACE), running)
                .await
                .is_ok()
        {
            self.running = None;
        }
        self.runs
            .found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Adds what the checks that must fail without the change say of the base with the change's test files laid over it.
    /// Where no test file changed, the base itself has said it.
    pub(super) async fn with_tests(
        &mut self,
        checks: &[CheckSpec],
        changes: &Changes,
        found: &mut Before,
    ) {
        let proving = checks.iter().filter_map(|check| match check {
            CheckSpec::Command(check) if check.fails_without_change => Some(check),
            _ => None,
        });
        let proving: Vec<&CommandCheck> = proving.collect();
        if proving.is_empty() || verify::changed_tests(changes).next().is_none() {
            return;
        }
        // The tree is for one run at a time.
        if let Some(running) = self.running.take() {
            let _ = running.await;
        }
        let laid = tokio::task::block_in_place(|| self.runs.lay_tests_over(changes));
        for check in proving {
            found.remove(&check.name);
            match &laid {
                Ok(()) => {
                    let outcome = self.runs.trial.run(check).await;
                    let outcome = outcome.filter(|outcome| self.runs.shows(outcome));
                    found.extend(outcome.map(|outcome| (check.name.clone(), outcome)));
                }
                Err(fault) => {
                    tracing::warn!(%fault, "the tests cannot be laid over the base");
                }
            }
        }
    }

    /// Ends what still runs and removes the tree.
    pub(super) async fn end(mut self) {
        self.runs.trial.stop.cancel();
        if let Some(running) = self.running.take() {
            let _ = running.await;
        }
        let folder = self.runs.folder.clone();
        let _ = tokio::task::spawn_blocking(move || discard(&folder)).await;
    }
}

struct Runs {
    trial: verify::Trial,
    cache: Option<(PathBuf, String)>,
    /// The tree has all that the base had.
    complete: bool,
    found: Mutex<Before>,
    /// The tree, where the host finds it.
    tree: PathBuf,
    folder: PathBuf,
}

impl Runs {
    async fn go(self: Arc<Self>, checks: Vec<CommandCheck>) {
        for check in checks {
            if self.trial.stop.is_cancelled() {
                return;
            }
            let known = self.known(&check);
            let is_new = known.is_none();
            let outcome = match known {
                Some(outcome) => Some(outcome),
                None => self.trial.run(&check).await,
            };
            let Some(outcome) = outcome.filter(|outcome| self.shows(outcome)) else {
                continue;
            };
            if is_new {
                self.keep(&check, &outcome);
            }
            self.found
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(check.name.clone(), outcome);
        }
    }

    /// Returns true if the outcome is the base's and not that of a tree without its dependencies.
    fn shows(&self, outcome: &BeforeOutcome) -> bool {
        matches!(outcome, BeforeOutcome::Passed { .. }) || self.complete
    }

    /// Writes the change's test files into the tree, and takes away those that are gone.
    fn lay_tests_over(&self, changes: &Changes) -> Result<(), WorkspaceError> {
        let top = &self.tree;
        for file in verify::changed_tests(changes) {
            let failed = |source| WorkspaceError::Io {
                action: "write",
                path: top.join(file.top_path.as_path()),
                source,
            };
            let path = top.join(file.top_path.as_path());
            let folder = path.parent().unwrap_or(top);
            fs::create_dir_all(folder).map_err(failed)?;
            // Never through a link that a command left in the tree.
            if !folder.canonicalize().map_err(failed)?.starts_with(top) {
                return Err(failed(std::io::ErrorKind::InvalidInput.into()));
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed(error));
                }
                _ => {}
            }
            if file.kind != ChangeKind::Deleted {
                let text = changes.read(file.path.as_bytes(), 0, u64::MAX)?;
                fs::write(&path, text).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn entry(&self, check: &CommandCheck) -> Option<(PathBuf, String)> {
        let (folder, base) = self.cache.as_ref()?;
        let told = serde_json::to_string(&(
            base,
            &check.command,
            &check.cwd,
            &check.env,
            check.network,
            &self.trial.place.extra_env,
        ))
        .ok()?;
        let mut hasher = DefaultHasher::new();
        told.hash(&mut hasher);
        // Values of variables may be secrets: only their digest is written down.
        let key = format!("{base} {:016x} {}", hasher.finish(), told.len());
        Some((folder.join(format!("{base}-{:016x}", hasher.finish())), key))
    }

    fn known(&self, check: &CommandCheck) -> Option<BeforeOutcome> {
        let (path, key) = self.entry(check)?;
        let known: Known = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (known.key == key).then_some(known.outcome)
    }

    /// A cache that cannot be kept costs a run.
    fn keep(&self, check: &CommandCheck, outcome: &BeforeOutcome) {
        let Some((path, key)) = self.entry(check) else {
            return;
        };
        let outcome = outcome.clone();
        let kept = Known { key, outcome };
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, serde_json::to_vec(&kept).unwrap_or_default()));
        if let Err(fault) = written {
            tracing::debug!(%fault, "a check's before is not kept");
        }
    }
}

/// Returns the folder of the outcomes for this base, and the base's name. Uncommitted work has no name: its outcomes are not kept.
fn cache_of(cache_dir: &Path, tree: &Isolated) -> Option<(PathBuf, String)> {
    let record = tree.record();
    (record.dirty_files == 0 && record.included_files == 0)
        .then(|| (cache_dir.join("before"), record.base_commit.clone()))
}

fn discard(folder: &Path) {
    if let Err(fault) = workspace::folder::remove(folder) {
        tracing::warn!(%fault, "the tree of the checks' before is left over");
    }
}
