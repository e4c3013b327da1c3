//! Making an isolated tree ready: the set-up command, or what it made for an earlier tree with the same lock files.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::Digest as _;

use super::running_job::{EarlyExit, Job};
use super::site::Site;
use crate::artifacts::Artifacts;
use crate::checks::CommandLine;
use crate::end_cause::EndCause;
use crate::lock::LockGuard;
use crate::setup::SetupSpec;
use crate::verify::{self, Verdicts};
use workspace::{Base, Interrupt, Isolated, Outcome};

/// The folder of kept outcomes, in the cache.
const KEPT: &str = "setup";
/// The most outcomes that are kept, of all repositories; the one unused for longest goes first.
const MOST_KEPT: usize = 20;
/// The longest that an outcome is kept unused.
const LONGEST_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The most bytes of one outcome.
const MOST_BYTES: u64 = 4 << 30;
/// The file of an outcome that is touched with each use.
const USED: &str = "used";

/// The names of a set-up's files in a note.
const NAMED_FILES: usize = 5;

/// A place for what a set-up made, by all that decides what that is.
struct Entry {
    folder: PathBuf,
    lock: PathBuf,
}

impl Job {
    /// Makes a new tree ready, where the job has a set-up.
    pub(super) async fn set_up(&mut self, site: &mut Site) -> Result<(), EarlyExit> {
        let Some(setup) = self.spec.setup.clone() else {
            return Ok(());
        };
        let Some(isolated) = site.isolated() else {
            return Ok(());
        };
        if setup.only_made_again && !site.was_made_again() {
            return Ok(());
        }
        let entry = self.entry_of(&setup, isolated, &isolated.record().source);
        // The second of two jobs with the same lock files takes what the first one makes.
        let _alone = match &entry {
            Some(entry) => Some(self.alone_in(entry).await?),
            None => None,
        };
        if let Some(entry) = &entry
            && let Some(files) = lay(isolated, entry, &self.halt)
        {
            self.journal().line(&format!(
                "set-up: {files} files as made for an earlier tree with the same lock files"
            ));
            return Ok(());
        }
        let words = words_of(&setup.command.command);
        self.journal().line(&format!("set-up: {words}"));
        self.journal().progress("last", "setup");
        let storage = self.folder().join("setup");
        let (workspace, place) = (site.workspace().clone(), storage.clone());
        let limits = self.limits();
        let base = self
            .blocking(move || Base::capture(&workspace, &place, limits))
            .await?
            .map_err(|fault| EarlyExit::tree(&fault))?;
        let Some(isolated) = site.isolated() else {
            return Ok(());
        };
        let hidden = tokio::task::block_in_place(|| isolated.hidden(&self.halt));
        // What it writes is to stay.
        let rooms = verify::Rooms::in_the_tree(self.folder().join("checks/setup"));
        let home = rooms.setup_home();
        let place = verify::Place {
            rooms: Arc::new(rooms),
            ..self.check_place(site, &base)
        };
        let failed = verify::run_setup(
            &setup.command,
            &place,
            self.deadline.unwrap_or_else(tokio::time::Instant::now),
            self.stop.token(),
            self.digest_bytes(),
            &self.resources.plugins,
            &self.resources.redactor,
            &Artifacts::in_job(&self.folder()),
        )
        .await;
        if self.stop.cause().is_some() {
            return Err(EarlyExit::Stopped);
        }
        if let Some(verdict) = failed {
            let line = verdict.line();
            let said = verdict.digest.as_ref().and_then(|digest| {
                let mut lines = digest.lines().rev().map(str::trim);
                lines.find(|line| !line.is_empty()).map(str::to_owned)
            });
            let said = said.map(|said| format!("; it said: {said}"));
            self.findings.verdicts = Some(Verdicts {
                checks: vec![verdict],
            });
            let message = format!(
                "{line}: `{words}` could not make the tree ready, so the agent was not started{}",
                said.unwrap_or_default()
            );
            return Err(EarlyExit::Fault(EndCause::Setup, message));
        }
        let changes = tokio::task::block_in_place(|| base.changes())
            .map_err(|fault| EarlyExit::tree(&fault))?;
        let changed: Vec<String> = changes
            .files
            .iter()
            .map(|file| file.path.to_string())
            .collect();
        if !changed.is_empty() {
            let more = changed.len().saturating_sub(NAMED_FILES);
            let named: Vec<&str> = changed
                .iter()
                .take(NAMED_FILES)
                .map(String::as_str)
                .collect();
            let more = match more {
                0 => String::new(),
                more => format!(", +{more} more"),
            };
            self.findings.notes.push(format!(
                "setup changed {}{more}, which is no part of the result",
                named.join(", ")
            ));
        }
        if let Some(isolated) = site.isolated_mut() {
            isolated
                .record_setup(changed.len() as u64)
                .map_err(|fault| EarlyExit::tree(&fault))?;
        }
        if let (Some(entry), Some(isolated)) = (&entry, site.isolated()) {
            let kept = match (changed.is_empty(), hidden) {
                (false, _) => Ok(Outcome::NotKept(
                    "it changed files that are not ignored".to_owned(),
                )),
                (true, Err(fault)) => Err(fault.into()),
                (true, Ok(hidden)) => tokio::task::block_in_place(|| {
                    keep(isolated, &hidden, entry, &home, &self.halt)
                }),
            };
            self.journal().line(&match kept {
                Ok(Outcome::Kept { files, bytes }) => {
                    format!(
                        "set-up: {files} files ({} MB) kept for the next tree",
                        bytes >> 20
                    )
                }
                Ok(Outcome::NotKept(why)) => {
                    format!("set-up: runs again for the next tree, since {why}")
                }
                Err(fault) => format!("set-up: runs again for the next tree: {fault}"),
            });
        }
        drop(changes);
        drop(base);
        if let Err(fault) = workspace::folder::remove(&storage) {
            tracing::warn!(%fault, "the record of the set-up is left over");
        }
        Ok(())
    }

    async fn alone_in(&self, entry: &Entry) -> Result<LockGuard, EarlyExit> {
        let failed = |fault: io::Error| EarlyExit::fault(EndCause::Host)(&fault);
        private::make_folder(&self.settings.cache_dir.join(KEPT)).map_err(failed)?;
        if let Some(guard) = LockGuard::try_take(&entry.lock).map_err(failed)? {
            return Ok(guard.removed_at_the_end(&entry.lock));
        }
        self.journal()
            .line("set-up: another job makes it for the same lock files: waiting for it");
        self.journal().progress("waiting_for", "a set-up");
        let path = entry.lock.clone();
        let waited = tokio::task::spawn_blocking(move || {
            LockGuard::wait(&path).map(|guard| guard.removed_at_the_end(&path))
        });
        self.unless_stopped(waited)
            .await?
            .map_err(|fault| EarlyExit::fault(EndCause::Host)(&fault))?
            .map_err(failed)
    }

    /// The place of the outcome; none where no lock file is named, or none of those named is there.
    fn entry_of(&self, setup: &SetupSpec, isolated: &Isolated, source: &Path) -> Option<Entry> {
        let top = isolated.workspace().top();
        let mut known = false;
        let mut hasher = sha2::Sha256::new();
        let mut part = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        // What a set-up runs is the repository's: another one's outcome is never taken.
        part(source.as_os_str().as_encoded_bytes());
        part(&serde_json::to_vec(&setup.command).unwrap_or_default());
        part(std::env::consts::ARCH.as_bytes());
        part(
            &std::env::var_os("PATH")
                .unwrap_or_default()
                .into_encoded_bytes(),
        );
        let mut variables: Vec<(OsString, OsString)> = self.resources.check_env();
        variables.sort();
        for (name, value) in variables {
            part(name.as_encoded_bytes());
            part(value.as_encoded_bytes());
        }
        for path in &setup.lock_files {
            part(path.as_os_str().as_encoded_bytes());
            match isolated
                .workspace()
                .root()
                .read(&top.join(path), MOST_BYTES)
            {
                Ok(text) => {
                    known = true;
                    part(&text.bytes);
                }
                Err(_) => part(b""),
            }
        }
        let key: [u8; 32] = hasher.finalize().into();
        let key = hex::encode(key);
        let folder = self.settings.cache_dir.join(KEPT);
        known.then(|| Entry {
            lock: folder.join(format!("{key}.lock")),
            folder: folder.join(key),
        })
    }

    /// Lays what the job's set-up made over another tree of the same base. Returns true if it did.
    pub(super) fn set_up_like(&self, site: &Site, tree: &Isolated) -> bool {
        let (Some(setup), Some(isolated)) = (&self.spec.setup, site.isolated()) else {
            return false;
        };
        let entry = self.entry_of(setup, tree, &isolated.record().source);
        entry.is_some_and(|entry| lay(tree, &entry, &self.halt).is_some())
    }
}

fn words_of(command: &CommandLine) -> String {
    let words = match command {
        CommandLine::Shell(line) => line.clone(),
        CommandLine::Argv(words) => words.join(" "),
    };
    redact::text::one_line(&words, 100)
}

fn lay(isolated: &Isolated, entry: &Entry, stop: &Interrupt) -> Option<u64> {
    match tokio::task::block_in_place(|| isolated.lay_outcome(&entry.folder, stop)) {
        Ok(files) => {
            if files.is_some() {
                touch(entry);
            }
            files
        }
        Err(fault) => {
            tracing::warn!(%fault, "what a set-up made cannot be used");
            None
        }
    }
}

fn touch(entry: &Entry) {
    if let Err(fault) = fs::write(entry.folder.join(USED), []) {
        tracing::debug!(%fault, "the use of a set-up's outcome is not noted");
    }
}

/// The reason why an outcome is not kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error(transparent)]
    Tree(#[from] workspace::WorkspaceError),
}

fn keep(
    isolated: &Isolated,
    hidden: &workspace::Hidden,
    entry: &Entry,
    home: &Path,
    stop: &Interrupt,
) -> Result<Outcome, KeepError> {
    let draft = entry.folder.with_extension("draft");
    workspace::folder::remove(&draft)?;
    private::make_folder(&draft)?;
    let kept = isolated.keep_outcome(hidden, &draft, home, MOST_BYTES, stop);
    match kept {
        Ok(Outcome::Kept { files, bytes }) => {
            workspace::folder::remove(&entry.folder)?;
            fs::rename(&draft, &entry.folder)?;
            touch(entry);
            if let Some(all) = entry.folder.parent() {
                drop_oldest(all, &entry.folder);
            }
            Ok(Outcome::Kept { files, bytes })
        }
        other => {
            workspace::folder::remove(&draft)?;
            Ok(other?)
        }
    }
}

/// Removes the outcomes that were not used for long, and the oldest of too many. One that a job has locked stays.
fn drop_oldest(all: &Path, own: &Path) {
    let now = SystemTime::now();
    let used = |folder: &Path| fs::metadata(folder.join(USED)).and_then(|used| used.modified());
    let mut kept: Vec<(SystemTime, PathBuf)> = fs::read_dir(all)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_none() && path != own)
        .map(|path| (used(&path).unwrap_or(SystemTime::UNIX_EPOCH), path))
        .collect();
    kept.sort();
    let too_many = (kept.len() + 1).saturating_sub(MOST_KEPT);
    for (at, (used, folder)) in kept.into_iter().enumerate() {
        let old = now
            .duration_since(used)
            .is_ok_and(|unused| unused > LONGEST_KEPT);
        if at >= too_many && !old {
            continue;
        }
        let lock = folder.with_extension("lock");
        if let Ok(Some(guard)) = LockGuard::try_take(&lock) {
            let _guard = guard.removed_at_the_end(&lock);
            if let Err(fault) = workspace::folder::remove(&folder) {
                tracing::warn!(%fault, "an old outcome of a set-up is left over");
            }
        }
    }
}
