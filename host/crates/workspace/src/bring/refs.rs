//! The refs that a job brings: their names, and the files of the user's git directory that say so.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::{Oid, RepositoryState};

use super::carrier::{BRANCHES, Carrier, TAGS, Wish, shortened};
use super::objects::New;
use super::refused::{Refused, named, shown};
use crate::git_lock::Locked;
use crate::handles::{self, Bytes};
use crate::path::{self, FilePath};
use crate::source::signature;
use crate::tamper;

/// The bits of an entry that tell the sides of a conflict.
const STAGES: u16 = 0x3000;

impl Carrier<'_> {
    /// Brings a ref under its own name. Returns what else is to be said.
    pub(super) fn under_its_name(&mut self, wish: &Wish, new: &New) -> Result<String, Refused> {
        let name = std::str::from_utf8(&wish.name).map_err(|_| Refused::Name)?;
        if !git2::Reference::is_valid_name(name) {
            return Err(Refused::Name);
        }
        let seen = self.seen.ok_or(Refused::NotVerified)?;
        if wish.from.is_none() && self.misleads(&wish.name) {
            return Err(Refused::Misleading);
        }
        if wish.name.starts_with(TAGS) {
            if wish.from.is_some() {
                return Err(Refused::Rewritten);
            }
            if !self.is_known(new.peeled)? {
                return Err(Refused::NotTheResult);
            }
            self.set_ref(name, None, wish.to)?;
            return Ok(String::new());
        }
        if !wish.checked_out {
            return Err(match self.detached {
                true => Refused::Detached,
                false => Refused::NotCheckedOut,
            });
        }
        if let Some(from) = wish.from
            && !self.objects.graph_descendant_of(wish.to, from)?
        {
            return Err(Refused::Rewritten);
        }
        self.judge_content(wish, new, seen)?;
        let git = &self.repository.git_dir;
        let head = tamper::GitState::read(git.handle.as_fd(), git.common_handle.as_fd());
        if let Some(place) = self.checked_out_elsewhere(&wish.name) {
            return Err(Refused::Elsewhere(place));
        }
        let here = head.branch() == Some(wish.name.as_slice());
        // The checkout follows the job to a branch that it made or chose, unless its user went elsewhere meanwhile.
        let switches = !here
            && head.branch() == self.own.begun.branch()
            && head.head_commit() == self.own.begun.head_commit();
        if !here && !switches {
            self.set_ref(name, wish.from, wish.to)?;
            return Ok("; the checkout is on another branch".to_owned());
        }
        if let Some(what) = busy(&self.user) {
            return Err(Refused::Busy(what));
        }
        if let Some((form, _)) = tamper::unwritable(git.handle.as_fd()) {
            return Err(Refused::IndexForm(form));
        }
        let was = head.head_commit().ok_or(Refused::Moved)?;
        let (index, kept) = self.index_after(was, wish.to)?;
        let reference = self.lock_ref(name, wish.from, wish.to)?;
        let head_text = format!("ref: {name}\n");
        let switched = match switches {
            true => Some(self.lock(&git.path.join("HEAD"), head_text.as_bytes())?),
            false => None,
        };
        let staged = match index {
            Some(index) => Some(self.lock_index(index)?),
            None => None,
        };
        // The index first: killed in between, the checkout has staged what the branch will hold.
        if let Some(staged) = staged {
            staged.replace()?;
        }
        if let Some(reference) = reference {
            reference.replace()?;
        }
        self.log(name, wish.from, wish.to);
        if let Some(switched) = switched {
            switched.replace()?;
        }
        self.log("HEAD", Some(was), wish.to);
        let mut further = String::new();
        if switches {
            further.push_str("; the checkout is on it");
        }
        if !kept.is_empty() {
            further.push_str(&format!("; still staged as you had it: {}", named(&kept)));
        }
        Ok(further)
    }

    /// Returns true if git takes a new name for an option, for an object's id, or for another ref, or another ref for it.
    fn misleads(&self, name: &[u8]) -> bool {
        let short = shortened(name);
        let id = short.len() >= 4 && short.iter().all(u8::is_ascii_hexdigit);
        // Nor one that looks like another.
        let odd = path::quoted(short).as_bytes() != short;
        if odd || short.starts_with(b"-") || short.ends_with(b"HEAD") || short == b"stash" || id {
            return true;
        }
        let git = &self.repository.git_dir;
        let refs = tamper::GitState::read(git.handle.as_fd(), git.common_handle.as_fd()).all_refs();
        let mut spaces = [b"refs/".as_slice(), TAGS, BRANCHES, b"refs/remotes/"].into_iter();
        spaces.any(|space| {
            let other = [space, short].concat();
            let head = [other.as_slice(), b"/HEAD"].concat();
            (other != name && refs.contains_key(&other)) || refs.contains_key(&head)
        })
    }

    /// The working tree other than this one that a branch is checked out in.
    fn checked_out_elsewhere(&self, name: &[u8]) -> Option<PathBuf> {
        let git = &self.repository.git_dir;
        let mut folders = vec![git.common.clone()];
        let linked = fs::read_dir(git.common.join("worktrees"));
        folders.extend(linked.into_iter().flatten().flatten().map(|it| it.path()));
        folders
            .into_iter()
            .filter(|folder| *folder != git.path)
            .find_map(|folder| {
                let handle = handles::open_dir(&folder).ok()?;
                let Ok(Bytes::Whole(head, _)) = handles::read_at(&handle, "HEAD", 64 << 10) else {
                    return None;
                };
                let on = head.strip_prefix(b"ref:").map(<[u8]>::trim_ascii);
                if on != Some(name) {
                    return None;
                }
                match handles::read_at(&handle, "gitdir", 64 << 10) {
                    Ok(Bytes::Whole(link, _)) => {
                        let link = PathBuf::from(std::ffi::OsStr::from_bytes(link.trim_ascii()));
                        link.parent().map(Path::to_path_buf)
                    }
                    // A bare repository has a HEAD and no files.
                    _ => (!self.user.is_bare()).then(|| folder.parent().map(Path::to_path_buf))?,
                }
            })
    }

    /// The user's index when the checkout is at another commit: what was as committed follows, what was staged stays. Returns
    /// the index, where it changes, and the files that stay.
    fn index_after(&self, from: Oid, to: Oid) -> Result<(Option<Vec<u8>>, Vec<FilePath>), Refused> {
        let tree = |id: Oid| self.user.find_commit(id).and_then(|commit| commit.tree());
        let (before, after) = (tree(from)?, tree(to)?);
        self.walked.begin_paths();
        let differing = self.differing(Some(before.id()), after.id())?;
        if differing.is_empty() {
            return Ok((None, Vec::new()));
        }
        let git = &self.repository.git_dir;
        let (found, written) = match handles::read_at(&git.handle, "index", 2 << 30) {
            Ok(Bytes::Whole(bytes, stamp)) => (bytes, stamp.mtime),
            _ => (Vec::new(), 0),
        };
        // libgit2 reads and writes files only.
        let draft = tempfile::NamedTempFile::new_in(self.folder)?;
        fs::write(draft.path(), &found)?;
        let mut index = git2::Index::open(draft.path())?;
        smudge(&mut index, written)?;
        let mut kept = Vec::new();
        for path in differing {
            let shown = FilePath::new(path.as_slice());
            let known = |tree: &git2::Tree<'_>| {
                let entry = tree.get_path(shown.as_path()).ok()?;
                Some((entry.id(), entry.filemode() as u32))
            };
            let staged = index.get_path(shown.as_path(), 0);
            let here = staged.as_ref().map(|entry| (entry.id, entry.mode));
            if here == known(&after) {
                continue;
            }
            if here != known(&before) {
                kept.push(shown);
                continue;
            }
            match known(&after) {
                None => index.remove(shown.as_path(), 0)?,
                Some((id, mode)) => {
                    let mut entry = crate::index_entry::entry(&path, mode, id);
                    entry.mode = mode;
                    index.add(&entry)?;
                }
            }
        }
        index.write()?;
        Ok((Some(fs::read(draft.path())?), kept))
    }

    fn lock(&mut self, target: &Path, content: &[u8]) -> Result<Locked, Refused> {
        self.locks
            .take(target, content)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Refused::Locked(target.to_path_buf()),
                _ => Refused::System(error),
            })
    }

    fn lock_index(&mut self, index: Vec<u8>) -> Result<Locked, Refused> {
        let path = self.repository.git_dir.path.join("index");
        self.lock(&path, &index)
    }

    /// Takes the lock of a ref that is at `from`, so that it will be at `to`; none where it is there already.
    fn lock_ref(
        &mut self,
        name: &str,
        from: Option<Oid>,
        to: Oid,
    ) -> Result<Option<Locked>, Refused> {
        let common = self.repository.git_dir.common.clone();
        let target = common.join(name);
        if let Some(folder) = target.parent() {
            // Another ref has the name of a folder on the way.
            self.locks
                .make_folders(&common, folder)
                .map_err(|_| Refused::Taken)?;
        }
        let locked = self.lock(&target, format!("{to}\n").as_bytes())?;
        let git = &self.repository.git_dir;
        let now = tamper::GitState::read(git.handle.as_fd(), git.common_handle.as_fd());
        let refs = now.all_refs();
        let found = refs.get(name.as_bytes());
        let below = format!("{name}/");
        if target.is_dir() || refs.keys().any(|known| known.starts_with(below.as_bytes())) {
            return Err(Refused::Taken);
        }
        match (found.map(|value| tamper::parse_oid(value)), from) {
            (Some(Some(found)), _) if found == to => Ok(None),
            (None, None) => Ok(Some(locked)),
            (Some(Some(found)), Some(from)) if found == from => Ok(Some(locked)),
            (Some(_), None) => Err(Refused::Taken),
            _ => Err(Refused::Moved),
        }
    }

    fn set_ref(&mut self, name: &str, from: Option<Oid>, to: Oid) -> Result<(), Refused> {
        if let Some(locked) = self.lock_ref(name, from, to)? {
            locked.replace()?;
            if name.as_bytes().starts_with(BRANCHES) {
                self.log(name, from, to);
            }
        }
        Ok(())
    }

    /// Brings a ref of which nothing was verified, under a name of the job's.
    pub(super) fn keep(&mut self, wish: &Wish) -> Result<String, Refused> {
        self.look_at(wish)?;
        self.aside(wish)
    }

    /// Keeps a branch under a name of the job's.
    pub(super) fn aside(&mut self, wish: &Wish) -> Result<String, Refused> {
        let job = self.job;
        let name = String::from_utf8_lossy(shortened(&wish.name)).into_owned();
        let kept = format!("worker/{job}/{name}");
        let full = match wish.name.starts_with(TAGS) {
            true => format!("refs/tags/{kept}"),
            false => format!("refs/heads/{kept}"),
        };
        if !git2::Reference::is_valid_name(&full) {
            return Err(Refused::Name);
        }
        self.set_ref(&full, None, wish.to)?;
        Ok(kept)
    }

    /// Adds a line to the log of a ref, where the repository keeps logs.
    fn log(&self, name: &str, from: Option<Oid>, to: Oid) {
        let git = &self.repository.git_dir;
        let logs = match name {
            "HEAD" => git.path.join("logs"),
            _ => git.common.join("logs"),
        };
        let Ok(signature) = signature(&self.top) else {
            return;
        };
        if !logs.is_dir() {
            return;
        }
        let when = signature.when();
        let (sign, offset) = (when.sign(), when.offset_minutes().unsigned_abs());
        let zero = "0".repeat(40);
        let line = format!(
            "{} {to} {} <{}> {} {sign}{:02}{:02}\tworker: job {}\n",
            from.map_or(zero, |from| from.to_string()),
            String::from_utf8_lossy(signature.name_bytes()),
            String::from_utf8_lossy(signature.email_bytes()),
            when.seconds(),
            offset / 60,
            offset % 60,
            self.job,
        );
        let target = logs.join(name);
        let write = || -> io::Result<()> {
            if let Some(folder) = target.parent() {
                self.locks.make_folders(&logs, folder)?;
            }
            let mut options = fs::OpenOptions::new();
            let mut file = options.append(true).create(true).open(&target)?;
            file.write_all(line.as_bytes())?;
            self.locks.give(&target);
            Ok(())
        };
        if let Err(fault) = write() {
            tracing::debug!(%fault, "a line of the log of {} is missing", shown(name.as_bytes()));
        }
    }
}

/// An entry as young as its index proves nothing of its file, which may have changed within the same tick. A new index is
/// younger than all of them: as git does, such an entry is given a size that no file has, so that the file is read.
fn smudge(index: &mut git2::Index, written: i64) -> Result<(), git2::Error> {
    let seconds = written.div_euclid(1_000_000_000);
    let racy: Vec<git2::IndexEntry> = index
        .iter()
        .filter(|entry| entry.flags & STAGES == 0 && entry.file_size != 0)
        .filter(|entry| i64::from(entry.mtime.seconds()) >= seconds)
        .collect();
    for mut entry in racy {
        entry.file_size = 0;
        index.add(&entry)?;
    }
    Ok(())
}

/// Returns the operation that git is in the middle of.
pub(crate) fn busy(user: &git2::Repository) -> Option<&'static str> {
    Some(match user.state() {
        RepositoryState::Clean => return None,
        RepositoryState::Merge => "merge",
        RepositoryState::Revert | RepositoryState::RevertSequence => "revert",
        RepositoryState::CherryPick | RepositoryState::CherryPickSequence => "cherry-pick",
        RepositoryState::Bisect => "bisect",
        RepositoryState::ApplyMailbox | RepositoryState::ApplyMailboxOrRebase => "git am",
        _ => "rebase",
    })
}
