//! Writing a result into a checkout, and comparing what was written with what was verified.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use git2::{Oid, Repository};

use crate::apply_error::ApplyError;
use crate::base::Base;
use crate::contents::blob_id;
use crate::conversion::{Conversion, Effect};
use crate::error::WorkspaceError;
use crate::handles::{self, Stamp};
use crate::index_entry::{entry, stamped};
use crate::path::{self, FilePath};
use crate::put::Placer;
use crate::record::{Sealed, SealedFile};
use crate::seal::sha256;
use crate::tree_rules::TreeRules;

/// A longer file in the checkout is not read.
const LONGEST: u64 = 1 << 30;

/// The result that is applied.
pub(crate) struct SealedResult<'a> {
    /// The bare repository that holds it.
    pub(crate) repository: Repository,
    /// The base of the first job, then the results of the jobs before this one.
    pub(crate) earlier: Vec<Oid>,
    /// The commit.
    pub(crate) commit: Oid,
    /// The record of the seal.
    pub(crate) record: &'a Sealed,
}

/// A file in a tree: mode and bytes; none where there is no file.
pub(crate) type Side = Option<(u32, Vec<u8>)>;

/// The file at `path` of a tree.
pub(crate) fn side(
    repository: &Repository,
    tree: &git2::Tree<'_>,
    path: &FilePath,
) -> Result<Side, git2::Error> {
    match tree.get_path(path.as_path()) {
        Ok(found) => Ok(Some((
            found.filemode() as u32,
            repository.find_blob(found.id())?.content().to_vec(),
        ))),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The paths that differ between two trees.
pub(crate) fn differing(
    repository: &Repository,
    before: &git2::Tree<'_>,
    after: &git2::Tree<'_>,
) -> Result<Vec<FilePath>, git2::Error> {
    let diff = repository.diff_tree_to_tree(Some(before), Some(after), None)?;
    let mut files = BTreeSet::new();
    for delta in diff.deltas() {
        for side in [delta.old_file(), delta.new_file()] {
            files.extend(side.path_bytes().map(FilePath::new));
        }
    }
    Ok(files.into_iter().collect())
}

fn is_link(mode: u32) -> bool {
    mode & 0o170_000 == 0o120_000
}

/// Returns true if the checkout holds the committed file: byte for byte, by git's conversions, or by the index where only
/// an external filter could tell.
pub(crate) fn is_here(
    snapshot: &Base,
    path: &FilePath,
    committed: &Side,
    here: &io::Result<Side>,
) -> bool {
    let (Some((mode, bytes)), Ok(Some((now_mode, now)))) = (committed, here) else {
        return matches!((committed, here), (None, Ok(None)));
    };
    if is_link(*mode) != is_link(*now_mode) {
        return false;
    }
    if bytes == now || is_link(*mode) {
        return bytes == now;
    }
    let Some(site) = snapshot.site_of(path.as_bytes()) else {
        return false;
    };
    let conversion = site.conversion(path.as_bytes());
    if conversion.filter().is_some() {
        let (dir, name) = path::split(path.as_bytes());
        let index = &site.repository.index;
        let id = Oid::hash_object(git2::ObjectType::Blob, bytes);
        let stamp = handles::stamp_at(snapshot.workspace.handle(), path.as_path());
        return match (site.tracked(dir, name), id, stamp) {
            (Some(known), Ok(id), Ok(Some(stamp))) => {
                known.oid == id.as_bytes() && index.says_unchanged(known, &stamp)
            }
            _ => false,
        };
    }
    conversion
        .to_git(now, || Some(bytes.clone()))
        .is_ok_and(|made| *made == **bytes)
}

/// One file to write, or to remove.
pub(crate) struct Step {
    pub(crate) path: FilePath,
    /// The committed side.
    object: Side,
    /// The bytes that git makes of it in the checkout.
    file: Option<Vec<u8>>,
    conversion: Conversion,
}

impl Step {
    pub(crate) fn new(
        path: &FilePath,
        object: Side,
        rules: &mut TreeRules<'_>,
    ) -> Result<Self, ApplyError> {
        let conversion = rules.conversion(path.as_bytes());
        let file = match &object {
            None => None,
            Some((mode, bytes)) if is_link(*mode) => Some(bytes.clone()),
            Some((_, bytes)) => {
                let made = conversion.to_worktree(bytes);
                let made = made.map_err(|_| ApplyError::Undelivered(vec![path.clone()]))?;
                Some(made.into_owned())
            }
        };
        Ok(Self {
            path: path.clone(),
            object,
            file,
            conversion,
        })
    }

    /// Returns true if git would refuse to commit these bytes, because a required filter did not make them.
    pub(crate) fn is_filtered(&self) -> bool {
        const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
        self.conversion.filter_is_required()
            && self
                .object
                .as_ref()
                .is_some_and(|(mode, bytes)| !is_link(*mode) && !bytes.starts_with(POINTER))
    }

    /// Returns true if git's rules may change the bytes between object and file.
    fn converts(&self) -> bool {
        let plain = self
            .object
            .as_ref()
            .is_some_and(|(mode, _)| !is_link(*mode));
        plain && self.conversion.effect() != Effect::None
    }

    fn object_id(&self) -> Option<String> {
        let (_, bytes) = self.object.as_ref()?;
        Some(blob_id(bytes).ok()?.to_string())
    }

    /// Returns true if nothing is in the way of the file, or the file itself is there.
    pub(crate) fn is_at(&self, here: &io::Result<Side>) -> bool {
        match here {
            Ok(None) => true,
            Ok(Some((_, bytes))) => self.file.as_ref() == Some(bytes),
            Err(_) => false,
        }
    }
}

/// The content of the checkout before it was written to.
pub(crate) type Written = Vec<(FilePath, Side)>;

/// A checkout that a result is written into.
pub(crate) struct Delivery {
    top: PathBuf,
    handle: OwnedFd,
    /// The verified files, by path.
    verified: HashMap<Vec<u8>, SealedFile>,
}

impl Delivery {
    pub(crate) fn new(
        top: &std::path::Path,
        sealed: &SealedResult<'_>,
    ) -> Result<Self, ApplyError> {
        let handle = handles::open_dir(top).map_err(|source| WorkspaceError::Io {
            action: "open",
            path: top.to_path_buf(),
            source,
        })?;
        let files = sealed.record.files.iter();
        Ok(Self {
            top: top.to_path_buf(),
            handle,
            verified: files
                .map(|file| (file.path.clone(), file.clone()))
                .collect(),
        })
    }

    fn placer(&self) -> Placer<'_> {
        Placer::new(self.handle.as_fd())
    }

    /// The content of `path` in the checkout now.
    pub(crate) fn look(&self, path: &FilePath) -> io::Result<Side> {
        self.placer().look(path.as_bytes(), LONGEST)
    }

    /// The stamp of the file at `path`.
    fn stamp(&self, path: &FilePath) -> Option<Stamp> {
        handles::stamp_at(&self.handle, path.as_path())
            .ok()
            .flatten()
    }

    /// Writes every step, or none: where one fails, the others are put back.
    pub(crate) fn write(&self, steps: &[Step]) -> Result<Written, ApplyError> {
        let placer = self.placer();
        let mut written = Written::new();
        // What is gone goes first: a folder may take a file's place.
        let (gone, here): (Vec<_>, Vec<_>) = steps.iter().partition(|step| step.file.is_none());
        for step in gone.into_iter().chain(here) {
            let path = step.path.as_bytes();
            let before = self.look(&step.path).ok().flatten();
            let done = match (&step.object, &step.file) {
                (Some((mode, _)), Some(bytes)) => placer.put_as_git(path, *mode, bytes),
                _ => placer.remove(path).map(|()| placer.prune(path, |_| false)),
            };
            written.push((step.path.clone(), before));
            if let Err(source) = done {
                self.put_back(written);
                return Err(ApplyError::Workspace(WorkspaceError::Io {
                    action: "write",
                    path: self.top.join(step.path.as_path()),
                    source,
                }));
            }
        }
        Ok(written)
    }

    /// Undoes what was written, as far as the file system allows.
    pub(crate) fn put_back(&self, written: Written) {
        let placer = self.placer();
        for (path, before) in written.into_iter().rev() {
            let done = match before {
                Some((mode, bytes)) => placer.put(path.as_bytes(), mode, &bytes),
                None => placer
                    .remove(path.as_bytes())
                    .map(|()| placer.prune(path.as_bytes(), |_| false)),
            };
            if let Err(error) = done {
                tracing::warn!("{path} could not be put back: {error}");
            }
        }
    }

    /// Reads what was written and compares it with what was verified: the same bytes, or what git's rules make of them.
    /// Files of `merged` hold commits of the checkout as well, and are compared with the merge. Returns the converted ones.
    pub(crate) fn compare(
        &self,
        steps: &[Step],
        merged: &[FilePath],
        written: Written,
    ) -> Result<(Vec<FilePath>, Written), ApplyError> {
        let mut converted = Vec::new();
        let mut wrong = Vec::new();
        for step in steps {
            let here = self.look(&step.path).ok().flatten();
            let bytes = here.as_ref().map(|(_, bytes)| bytes);
            let verified = self.verified.get(step.path.as_bytes());
            if bytes != step.file.as_ref() {
                wrong.push(step.path.clone());
                continue;
            }
            // A job of an earlier version recorded no digests.
            let Some(verified) = verified.filter(|_| !merged.contains(&step.path)) else {
                continue;
            };
            let same = match (&verified.sha256, bytes) {
                (None, None) => true,
                (Some(verified), Some(bytes)) => *verified == sha256(bytes),
                _ => false,
            };
            if same {
                continue;
            }
            // Written is what git makes of the object, and the object is what git made of the verified bytes.
            let object = step.object_id();
            let by_rules = step.converts() && object.is_some() && object == verified.object;
            match by_rules {
                true => converted.push(step.path.clone()),
                false => wrong.push(step.path.clone()),
            }
        }
        if wrong.is_empty() {
            return Ok((converted, written));
        }
        self.put_back(written);
        Err(ApplyError::Undelivered(wrong))
    }
}

/// Writes the steps into the checkout's index, with the stamps of the files.
pub(crate) fn stage(
    user: &Repository,
    delivery: &Delivery,
    steps: &[Step],
    tree: &git2::Tree<'_>,
) -> Result<(), ApplyError> {
    let mut index = user.index()?;
    for step in steps {
        let Ok(known) = tree.get_path(step.path.as_path()) else {
            let _ = index.remove(step.path.as_path(), 0);
            continue;
        };
        let mut entry = entry(step.path.as_bytes(), known.filemode() as u32, known.id());
        if let Some(stamp) = delivery.stamp(&step.path) {
            stamped(&mut entry, &stamp);
        }
        // A file takes the place of a folder, or the other way round.
        index.add(&entry)?;
    }
    index.write()?;
    Ok(())
}
