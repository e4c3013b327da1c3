//! Keeping what an isolated job made, out of the agent's reach.

use std::collections::BTreeSet;
use std::fs;

use git2::{Index, IndexEntry, IndexTime, Oid, Repository, RepositoryInitOptions, Signature};

use crate::base::Base;
use crate::changes::Changes;
use crate::earlier::Earlier;
use crate::error::WorkspaceError;
use crate::handles::Kind;
use crate::isolated::Isolated;
use crate::path::FilePath;
use crate::record::Sealed;
use crate::source::{Uncommitted, signature, source_objects, uncommitted};
use crate::tamper::GitChange;

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
            for path in file
                .previous_top_path
                .iter()
                .chain(file.now.is_none().then_some(&file.top_path))
            {
                let _ = index.remove(path.as_path(), 0);
            }
        }
        for file in &changes.files {
            let Some(now) = &file.now else { continue };
            // What lies in a nested repository is that one's to commit.
            if file.nested_repository.is_some() || now.kind() == Kind::Special {
                continue;
            }
            let id = now.id().ok_or_else(|| WorkspaceError::NotKept {
                path: file.path.clone(),
                why: "it is too long to be part of a result",
            })?;
            let bytes = as_committed(
                &repository,
                &compared,
                file.top_path.as_bytes(),
                changes.contents.read(id)?,
            );
            let blob = repository.blob(&bytes)?;
            index.add(&entry(file.top_path.as_bytes(), now.mode, blob))?;
        }
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
        let sealed = Sealed {
            job: self.job().to_owned(),
            commit: id.to_string(),
            applied: None,
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

pub(crate) fn entry(path: &[u8], mode: u32, id: Oid) -> IndexEntry {
    let mode = match mode & 0o170_000 {
        0o120_000 => 0o120_000,
        _ if mode & 0o100 != 0 => 0o100_755,
        _ => 0o100_644,
    };
    IndexEntry {
        ctime: IndexTime::new(0, 0),
        mtime: IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.to_vec(),
    }
}

/// Line ends as the repository keeps them, where it keeps them other than the checkout does.
fn as_committed(
    repository: &Repository,
    before: &git2::Tree<'_>,
    path: &[u8],
    bytes: Vec<u8>,
) -> Vec<u8> {
    let known = before
        .get_path(FilePath::new(path).as_path())
        .ok()
        .and_then(|entry| repository.find_blob(entry.id()).ok());
    match known {
        Some(known)
            if !known.is_binary() && !known.content().windows(2).any(|pair| pair == b"\r\n") =>
        {
            without_carriage_returns(&bytes)
        }
        _ => bytes,
    }
}

pub(crate) fn without_carriage_returns(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().peekable();
    while let Some(byte) = rest.next() {
        if !(*byte == b'\r' && rest.peek() == Some(&&b'\n')) {
            out.push(*byte);
        }
    }
    out
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
