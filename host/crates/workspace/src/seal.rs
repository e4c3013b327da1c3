//! Keeping what an isolated job made, out of the agent's reach.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;

use sha2::Digest as _;

use git2::{Index, Oid, Repository, RepositoryInitOptions, Signature};

use crate::base::Base;
use crate::changes::Changes;
use crate::earlier::Earlier;
use crate::error::WorkspaceError;
use crate::handles::Kind;
use crate::index_entry::entry;
use crate::isolated::Isolated;
use crate::path::{self, FilePath};
use crate::record::{NotCarried, NotCarriedReason, Sealed, SealedFile};
use crate::source::{Uncommitted, signature, source_objects, uncommitted};
use crate::tamper::GitChange;
use crate::tree_rules::TreeRules;

impl Isolated {
    /// Keeps what the job made, out of the agent's reach: one commit on the base with the changes as they were taken. To be
    /// called when the job is over; [`Isolated::apply`] uses it, whatever happens in the tree later.
    ///
    /// # Errors
    /// When the result's objects cannot be written, or a changed file was too long to be kept.
    pub fn seal(
        &mut self,
        base: &Base,
        changes: &Changes,
        message: &str,
    ) -> Result<String, WorkspaceError> {
        let folder = self.folder().join("result");
        let mut options = RepositoryInitOptions::new();
        options.bare(true).external_template(false);
        drop(Repository::init_opts(&folder, &options)?);
        let failed = |source| WorkspaceError::Io {
            action: "write",
            path: folder.clone(),
            source,
        };
        let stores = [
            self.folder().join("keep/objects"),
            source_objects(&self.record().source),
        ];
        let lines: Vec<u8> = stores
            .iter()
            .filter(|store| store.is_dir())
            .flat_map(|store| {
                [
                    std::os::unix::ffi::OsStrExt::as_bytes(store.as_os_str()),
                    b"\n",
                ]
                .concat()
            })
            .collect();
        fs::create_dir_all(folder.join("objects/info"))
            .and_then(|()| fs::write(folder.join("objects/info/alternates"), lines))
            .map_err(failed)?;
        let repository = Repository::open_bare(&folder)?;
        let signature = signature(&self.record().source)?;
        let start = match &self.record().compared_with {
            Some(start) => repository.find_commit(Oid::from_str(start)?)?,
            None => self.start(base, &repository, &signature)?,
        };
        let compared = start.tree()?;
        let mut index = Index::new()?;
        index.read_tree(&compared)?;
        for file in &changes.files {
            let gone = file
                .previous_top_path
                .iter()
                .chain(file.now.is_none().then_some(&file.top_path));
            for path in gone {
                let _ = index.remove(path.as_path(), 0);
            }
        }
        let mut not_carried = not_carried(base, changes);
        let left: HashSet<FilePath> = not_carried.iter().map(|(path, _)| path.clone()).collect();
        let mut files = Vec::new();
        let mut unconvertible = Vec::new();
        let now_there = |path: &[u8]| -> Option<Vec<u8>> {
            let changed = changes
                .files
                .iter()
                .find(|file| file.top_path.as_bytes() == path);
            match changed {
                Some(file) => changes.contents.read(file.now?.id()?).ok(),
                None => committed(&repository, &compared, path),
            }
        };
        let own = base
            .repositories
            .first()
            .ok_or_else(|| WorkspaceError::Isolation {
                what: "the snapshot holds no repository".to_owned(),
            })?;
        let mut rules = TreeRules::new(own, now_there);
        for file in &changes.files {
            let path = file.top_path.as_bytes();
            let gone = file
                .previous_top_path
                .iter()
                .chain(file.now.is_none().then_some(&file.top_path));
            files.extend(
                gone.filter(|path| !left.contains(path))
                    .map(|path| SealedFile {
                        path: path.as_bytes().to_vec(),
                        sha256: None,
                        object: None,
                    }),
            );
            let Some((now, id)) = file.now.and_then(|now| Some((now, now.id()?))) else {
                continue;
            };
            if left.contains(&file.top_path) {
                continue;
            }
            let bytes = changes.contents.read(id)?;
            let made = match now.kind() {
                Kind::File => rules
                    .conversion(path)
                    .to_git(&bytes, || committed(&repository, &compared, path)),
                _ => Ok(Cow::Borrowed(bytes.as_slice())),
            };
            let Ok(made) = made else {
                unconvertible.push((file.top_path.clone(), NotCarriedReason::Unconvertible));
                continue;
            };
            let blob = repository.blob(&made)?;
            index.add(&entry(path, now.mode, blob))?;
            files.push(SealedFile {
                path: path.to_vec(),
                sha256: Some(sha256(&bytes)),
                object: Some(blob.to_string()),
            });
        }
        not_carried.extend(unconvertible);
        let result = repository.find_tree(index.write_tree_to(&repository)?)?;
        // On what the jobs before it made, so that whoever merged that merges only what came after.
        let parent = match self.record().results.last() {
            Some(earlier) => repository.find_commit(Oid::from_str(&earlier.commit)?)?,
            None => repository.find_commit(start.id())?,
        };
        let id = repository.commit(None, &signature, &signature, message, &result, &[&parent])?;
        // Keeps a gc in this folder, should anybody run one, from taking it.
        repository.reference("refs/heads/result", id, true, "result")?;
        Earlier::keep(changes, &repository)?;
        Earlier::keep_touched(base.workspace().top(), changes, &repository)?;
        let sealed = Sealed {
            job: self.job().to_owned(),
            commit: id.to_string(),
            applied: None,
            files,
            not_carried: folded(not_carried),
        };
        let tampered = changes.git.iter().any(GitChange::is_tampering);
        self.update(|record| {
            record.results.push(sealed);
            record.compared_with = Some(start.id().to_string());
            record.tampered |= tampered;
        })?;
        Ok(id.to_string())
    }

    /// The base as the first agent found it: the commit, with the uncommitted work that was laid over it.
    fn start<'r>(
        &self,
        base: &Base,
        repository: &'r Repository,
        signature: &Signature<'_>,
    ) -> Result<git2::Commit<'r>, WorkspaceError> {
        let commit = repository.find_commit(Oid::from_str(&self.record().base_commit)?)?;
        let work = if self.record().dirty_included {
            uncommitted(base, repository, &commit.tree()?)?
        } else {
            Vec::new()
        };
        if work.is_empty() {
            return Ok(commit);
        }
        let mut index = Index::new()?;
        index.read_tree(&commit.tree()?)?;
        for Uncommitted { path, .. } in work.iter().filter(|work| work.now.is_none()) {
            let _ = index.remove(FilePath::new(path.as_slice()).as_path(), 0);
        }
        for Uncommitted { path, now } in &work {
            if let Some((mode, Some(id))) = now {
                let blob = repository.blob(&base.contents.read(*id)?)?;
                index.add(&entry(path, *mode, blob))?;
            }
        }
        let tree = repository.find_tree(index.write_tree_to(repository)?)?;
        let text = "Uncommitted work at the start of the job";
        let id = repository.commit(None, signature, signature, text, &tree, &[&commit])?;
        Ok(repository.find_commit(id)?)
    }
}

/// The bytes of a file in a commit's tree.
fn committed(repository: &Repository, tree: &git2::Tree<'_>, path: &[u8]) -> Option<Vec<u8>> {
    let entry = tree.get_path(FilePath::new(path).as_path()).ok()?;
    let blob = repository.find_blob(entry.id()).ok()?;
    Some(blob.content().to_vec())
}

/// The SHA-256 of a file's bytes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest: [u8; 32] = sha2::Sha256::digest(bytes).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Folders that tools fill and make again.
const REBUILT: &[&[u8]] = &[
    b"target",
    b"node_modules",
    b"__pycache__",
    b".venv",
    b"venv",
    b".pytest_cache",
    b".mypy_cache",
    b".ruff_cache",
    b".tox",
    b".gradle",
    b".next",
    b".turbo",
    b".cache",
    b"coverage",
];

/// Returns true if the file is in a folder that tools fill and make again.
pub(crate) fn is_rebuilt(path: &[u8]) -> bool {
    let (dirs, _) = path::split(path);
    dirs.split(|byte| *byte == b'/')
        .any(|part| REBUILT.contains(&part))
}

/// The changes that no commit of this repository can hold, each with its reason.
fn not_carried(base: &Base, changes: &Changes) -> Vec<(FilePath, NotCarriedReason)> {
    let submodules = base.submodules();
    let is_submodule = |place: &FilePath| submodules.contains(place.as_bytes());
    let mut found = Vec::new();
    for file in &changes.files {
        let reason = match (&file.submodule, &file.nested_repository, &file.now) {
            (Some(_), _, _) => NotCarriedReason::Submodule,
            (None, Some(place), _) if is_submodule(place) => NotCarriedReason::Submodule,
            (None, Some(_), _) => NotCarriedReason::OtherRepository,
            (None, None, Some(now)) if now.kind() == Kind::Special => NotCarriedReason::Special,
            (None, None, Some(now)) if now.id().is_none() => NotCarriedReason::TooLong,
            _ => continue,
        };
        found.push((file.top_path.clone(), reason));
    }
    for path in &changes.ignored_top_paths {
        let reason = match is_rebuilt(path.as_bytes()) {
            true => NotCarriedReason::Rebuilt,
            false => NotCarriedReason::Ignored,
        };
        found.push((path.clone(), reason));
    }
    found
}

/// One line for the many files of one directory.
fn folded(all: Vec<(FilePath, NotCarriedReason)>) -> Vec<NotCarried> {
    const MOST: usize = 4;
    let mut by_place: BTreeMap<(Vec<u8>, u8), (NotCarriedReason, Vec<FilePath>)> = BTreeMap::new();
    for (path, reason) in all {
        let place = match reason {
            NotCarriedReason::Rebuilt => {
                let mut parts = path.as_bytes().split(|byte| *byte == b'/');
                let mut place = Vec::new();
                for part in parts.by_ref() {
                    place = path::join(&place, part);
                    if REBUILT.contains(&part) {
                        break;
                    }
                }
                place
            }
            _ => path::split(path.as_bytes()).0.to_vec(),
        };
        let group = by_place.entry((place, reason as u8));
        group.or_insert_with(|| (reason, Vec::new())).1.push(path);
    }
    let mut folded = Vec::new();
    for ((place, _), (reason, paths)) in by_place {
        if paths.len() > MOST || reason == NotCarriedReason::Rebuilt {
            folded.push(NotCarried {
                path: FilePath::new(path::join(&place, b"")).to_string(),
                files: paths.len() as u64,
                reason,
            });
            continue;
        }
        folded.extend(paths.into_iter().map(|path| NotCarried {
            path: path.to_string(),
            files: 1,
            reason,
        }));
    }
    folded
}

pub(crate) fn changed_paths(
    repository: &Repository,
    before: Oid,
    after: Oid,
) -> Result<Vec<FilePath>, git2::Error> {
    let (before, after) = (
        repository.find_commit(before)?.tree()?,
        repository.find_commit(after)?.tree()?,
    );
    let diff = repository.diff_tree_to_tree(Some(&before), Some(&after), None)?;
    let mut files = BTreeSet::new();
    for delta in diff.deltas() {
        for side in [delta.old_file(), delta.new_file()] {
            files.extend(side.path_bytes().map(FilePath::new));
        }
    }
    Ok(files.into_iter().collect())
}
