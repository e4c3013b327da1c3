//! Writing a result into a checkout, and comparing what was written with what was verified.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use git2::{ObjectType, Oid, Repository};

use crate::apply_error::ApplyError;
use crate::base::Base;
use crate::contents::blob_id;
use crate::conversion::{Conversion, Effect};
use crate::error::WorkspaceError;
use crate::handles::{self, Kind, Stamp};
use crate::index_entry::{entry, stamped};
use crate::path::{self, FilePath};
use crate::put::{Folder, Placer};
use crate::record::{Sealed, SealedFile};
use crate::seal::sha256;
use crate::tree_rules::TreeRules;

/// A longer file in the checkout is not read.
const LONGEST: u64 = 1 << 30;
/// The most things in the way of one file that are named.
const MOST_IN_THE_WAY: usize = 100;

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

/// A file in a tree: mode and bytes; none where there is no file, or a folder.
pub(crate) type Side = Option<(u32, Vec<u8>)>;

/// The file at `path` of a tree.
pub(crate) fn side(
    repository: &Repository,
    tree: &git2::Tree<'_>,
    path: &FilePath,
) -> Result<Side, git2::Error> {
    match tree.get_path(path.as_path()) {
        Ok(found) if found.kind() == Some(ObjectType::Tree) => Ok(None),
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
        let id = Oid::hash_object(ObjectType::Blob, bytes);
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

    /// Returns true if no other file is in the way of the file, or the file itself is there.
    pub(crate) fn is_at(&self, here: &io::Result<Side>) -> bool {
        match here {
            Ok(None) => true,
            Ok(Some((_, bytes))) => self.file.as_ref() == Some(bytes),
            Err(_) => false,
        }
    }
}

/// One thing that was done to the checkout, with what was there before.
pub(crate) enum Done {
    /// A file was written or removed.
    File(FilePath, Side),
    /// A directory was made.
    Made(Vec<u8>),
    /// An empty directory was removed.
    Removed(Folder),
}

/// What was done to the checkout, in order.
pub(crate) type Written = Vec<Done>;

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

    /// The file at `path` in the checkout now. A directory is no file: see [`Delivery::in_the_way`].
    pub(crate) fn look(&self, path: &FilePath) -> io::Result<Side> {
        match self.placer().look(path.as_bytes(), LONGEST) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(None),
            found => found,
        }
    }

    /// What the checkout has where the steps make a file or a directory, and no step removes: the content of a directory whose
    /// place a file takes, and a file or a link whose place a directory takes.
    ///
    /// git merges over ignored files there; here they are in the way, since they are nowhere else.
    pub(crate) fn in_the_way(&self, steps: &[Step]) -> Vec<FilePath> {
        let placer = self.placer();
        let removed = |step: &&Step| step.file.is_none();
        let gone: HashSet<&[u8]> = steps
            .iter()
            .filter(removed)
            .map(|step| step.path.as_bytes())
            .collect();
        let mut found = BTreeSet::new();
        let mut known = HashSet::new();
        for step in steps.iter().filter(|step| !removed(step)) {
            let path = step.path.as_bytes();
            for dir in dirs_above(path) {
                if !known.insert(dir) {
                    continue;
                }
                match placer.stamp(dir) {
                    Ok(Some(stamp)) if stamp.kind() == Kind::Directory => {}
                    Ok(None) => {}
                    Ok(Some(_)) if gone.contains(dir) => {}
                    Ok(Some(_)) | Err(_) => {
                        found.insert(FilePath::new(dir));
                    }
                }
            }
            match placer.inside(path, MOST_IN_THE_WAY, |file| gone.contains(file)) {
                Ok(inside) => {
                    let others = inside.map_or_else(Vec::new, |inside| inside.others);
                    found.extend(others.into_iter().map(FilePath::new));
                }
                Err(_) => {
                    found.insert(step.path.clone());
                }
            }
        }
        found.into_iter().collect()
    }

    /// The stamp of the file at `path`.
    fn stamp(&self, path: &FilePath) -> Option<Stamp> {
        handles::stamp_at(&self.handle, path.as_path())
            .ok()
            .flatten()
    }

    /// Writes every step, or none: where one fails, the others are put back.
    pub(crate) fn write(&self, steps: &[Step]) -> Result<Written, ApplyError> {
        let mut written = Written::new();
        // What is gone goes first: a folder may take a file's place, and a file a folder's.
        let (gone, here): (Vec<_>, Vec<_>) = steps.iter().partition(|step| step.file.is_none());
        // A directory that is filled again keeps its permissions.
        let needed: HashSet<&[u8]> = here
            .iter()
            .flat_map(|step| dirs_above(step.path.as_bytes()))
            .collect();
        for step in gone.into_iter().chain(here) {
            if let Err(source) = self.take(step, &needed, &mut written) {
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

    fn take(&self, step: &Step, needed: &HashSet<&[u8]>, written: &mut Written) -> io::Result<()> {
        let placer = self.placer();
        let path = step.path.as_bytes();
        let before = self.look(&step.path).ok().flatten();
        if let (Some((mode, _)), Some(bytes)) = (&step.object, &step.file) {
            placer.make_parents(path, |dir| written.push(Done::Made(dir.to_vec())))?;
            placer.remove_hollow(path, |folder| written.push(Done::Removed(folder)))?;
            placer.put_as_git(path, *mode, bytes)?;
            written.push(Done::File(step.path.clone(), before));
            return Ok(());
        }
        placer.remove(path)?;
        written.push(Done::File(step.path.clone(), before));
        let pruned = placer.prune(path, |dir| needed.contains(dir));
        written.extend(pruned.into_iter().map(Done::Removed));
        Ok(())
    }

    /// Undoes what was written, as far as the file system allows.
    pub(crate) fn put_back(&self, written: Written) {
        let placer = self.placer();
        for done in written.into_iter().rev() {
            let (path, undone) = match done {
                Done::File(path, Some((mode, bytes))) => {
                    let undone = placer.put(path.as_bytes(), mode, &bytes);
                    (path, undone)
                }
                Done::File(path, None) => {
                    let undone = placer.remove(path.as_bytes());
                    (path, undone)
                }
                Done::Made(dir) => {
                    let undone = placer.remove_empty_dir(&dir);
                    (FilePath::new(dir), undone)
                }
                Done::Removed((dir, mode)) => {
                    let undone = placer.make_dir_as(&dir, mode);
                    (FilePath::new(dir), undone)
                }
            };
            if let Err(error) = undone {
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

/// The directories above a path, the outermost first.
pub(crate) fn dirs_above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.filter_map(|(at, _)| path.get(..at))
}

/// Writes the steps into the checkout's index, with the stamps of the files.
pub(crate) fn stage(
    user: &Repository,
    delivery: &Delivery,
    steps: &[Step],
    tree: &git2::Tree<'_>,
) -> Result<(), ApplyError> {
    let mut index = user.index()?;
    // As in the files: what is gone goes first.
    for step in steps.iter().filter(|step| step.object.is_none()) {
        let _ = index.remove(step.path.as_path(), 0);
    }
    for step in steps.iter().filter(|step| step.object.is_some()) {
        let known = tree.get_path(step.path.as_path())?;
        let mut entry = entry(step.path.as_bytes(), known.filemode() as u32, known.id());
        if let Some(stamp) = delivery.stamp(&step.path) {
            stamped(&mut entry, &stamp);
        }
        index.add(&entry)?;
    }
    index.write()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    fn step(path: &str, text: Option<&str>) -> Step {
        let bytes = text.map(|text| text.as_bytes().to_vec());
        Step {
            path: path.into(),
            object: bytes.clone().map(|bytes| (0o100_644, bytes)),
            file: bytes,
            conversion: Conversion::of(
                &crate::rules::AttributeSet::default(),
                gix_filter::eol::Configuration::default(),
                &BTreeMap::new(),
            ),
        }
    }

    /// All that is below a directory: permissions, and the bytes of files.
    fn all(dir: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut pending = vec![dir.to_path_buf()];
        while let Some(dir) = pending.pop() {
            for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
                let (path, metadata) = (entry.path(), entry.metadata().unwrap());
                let bytes = fs::read(&path).unwrap_or_default();
                if metadata.is_dir() {
                    pending.push(path.clone());
                }
                found.insert(path, (metadata.permissions().mode(), bytes));
            }
        }
        found
    }

    /// The last step cannot be done: no file system takes such a name.
    #[test]
    fn steps_that_cannot_all_be_done_leave_every_file_and_folder_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        for (path, mode) in [
            ("docs/deep/d.txt", 0o600),
            ("docs/c.txt", 0o644),
            ("flat", 0o755),
        ] {
            let path = top.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "the user's\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        for (folder, mode) in [("docs/empty", 0o711), ("docs/deep", 0o700), ("docs", 0o750)] {
            let _ = fs::create_dir(top.join(folder));
            fs::set_permissions(top.join(folder), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(top.join("hollow")).unwrap();
        let before = all(top);
        let delivery = Delivery {
            top: top.to_path_buf(),
            handle: handles::open_dir(top).unwrap(),
            verified: HashMap::new(),
        };
        let mut steps = vec![
            step("docs", Some("a file\n")),
            step("docs/c.txt", None),
            step("docs/deep/d.txt", None),
            step("flat", None),
            step("flat/one/two", Some("deep\n")),
            step("hollow/new", Some("new\n")),
        ];
        assert_eq!(delivery.in_the_way(&steps), [] as [FilePath; 0]);
        steps.push(step(&"z".repeat(300), Some("too long a name\n")));
        assert!(delivery.write(&steps).is_err());
        assert_eq!(all(top), before);

        steps.pop();
        let written = delivery.write(&steps).unwrap();
        assert!(top.join("docs").is_file() && top.join("flat/one/two").is_file());
        delivery.put_back(written);
        assert_eq!(all(top), before);
    }
}
