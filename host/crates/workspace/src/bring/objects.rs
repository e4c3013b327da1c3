//! The objects that a job's refs bring: looked at within bounds, and added to the user's.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use git2::{ObjectType, Oid};

use super::carrier::{BRANCHES, Carrier, Wish, shortened};
use super::refused::Refused;
use crate::git_object::{self, Fault};
use crate::interrupt::Interrupt;
use crate::path;
use crate::tamper;

/// The most commits of one branch that are looked at.
pub(super) const MOST_COMMITS: usize = 1_000;
/// The most objects that one branch may bring.
pub(super) const MOST_OBJECTS: usize = 100_000;
/// The most bytes that they may have.
pub(super) const MOST_BYTES: u64 = 512 << 20;
/// The longest object that is no file.
const LONGEST_OBJECT: usize = 32 << 20;
/// The most objects that are named and not yet looked at, at one time.
const MOST_PENDING: usize = 2_000_000;
/// The most entries of trees that are looked at for one repository: a handful of trees that name each other has any number.
const MOST_ENTRIES: u64 = 20_000_000;
/// The most paths that the commits of one ref may touch, one after the other, and the most bytes of these.
pub(super) const MOST_PATHS: usize = 500_000;
const MOST_PATH_BYTES: usize = 64 << 20;
/// The longest path: no system has a longer one.
pub(super) const LONGEST_PATH: usize = 4096;

/// The bounds of a look at refs.
pub(super) struct Walked<'a> {
    pub(super) interrupt: &'a Interrupt,
    /// Of all refs of one repository, which bounds the time.
    pub(super) entries: Cell<u64>,
    /// Of one ref, which bounds the memory.
    pub(super) paths: Cell<usize>,
    pub(super) path_bytes: Cell<usize>,
}

impl Walked<'_> {
    /// Counts a tree's entries.
    pub(super) fn entries(&self, count: usize) -> Result<(), Refused> {
        self.interrupt.check_late()?;
        let entries = self.entries.get() + count as u64;
        self.entries.set(entries);
        match entries > MOST_ENTRIES {
            true => Err(Refused::TooMuch),
            false => Ok(()),
        }
    }

    /// Counts paths anew.
    pub(super) fn begin_paths(&self) {
        self.paths.set(0);
        self.path_bytes.set(0);
    }

    /// Counts a path.
    pub(super) fn path(&self, path: &[u8]) -> Result<(), Refused> {
        let (paths, bytes) = (self.paths.get() + 1, self.path_bytes.get() + path.len());
        self.paths.set(paths);
        self.path_bytes.set(bytes);
        match paths > MOST_PATHS || bytes > MOST_PATH_BYTES {
            true => Err(Refused::TooMuch),
            false if path.len() > LONGEST_PATH => Err(Refused::LongPath),
            false => Ok(()),
        }
    }
}

impl Carrier<'_> {
    /// Looks at what a ref brings, and adds its objects to the user's. What is refused later leaves them to the next gc.
    pub(super) fn look_at(&self, wish: &Wish) -> Result<New, Refused> {
        self.walked.begin_paths();
        let objects = self.gather(wish)?;
        let odb = self.objects.odb()?;
        let mut new = New {
            commits: Vec::new(),
            touched: BTreeSet::new(),
            peeled: wish.to,
        };
        // A tag may be about a tag.
        let kind = loop {
            self.walked.interrupt.check_late()?;
            match odb.read_header(new.peeled)?.1 {
                ObjectType::Tag => new.peeled = self.objects.find_tag(new.peeled)?.target_id(),
                kind => break kind,
            }
        };
        match kind {
            ObjectType::Commit => self.look_at_commits(wish, &mut new)?,
            // Nothing of it is kept, but it is counted.
            ObjectType::Tree if !objects.is_empty() => {
                self.differing(None, new.peeled)?;
            }
            _ => {}
        }
        let users = self.user.odb()?;
        for id in objects {
            self.walked.interrupt.check_late()?;
            let object = odb.read(id)?;
            if users.write(object.kind(), object.data())? != id {
                return Err(Refused::Malformed(id, Fault::Content));
            }
            let text = id.to_string();
            let (fan, rest) = text.split_at(2);
            let folder = self.repository.git_dir.objects().join(fan);
            self.locks.give(&folder);
            self.locks.give(&folder.join(rest));
        }
        Ok(new)
    }

    /// Judges the objects that the user's repository lacks. Returns them in the order in which they are to be written: whoever
    /// finds one there finds all that it names.
    fn gather(&self, wish: &Wish) -> Result<Vec<Oid>, Refused> {
        enum Step {
            Enter(Oid, Option<ObjectType>),
            Leave(Oid),
        }
        let (users, own) = (self.user.odb()?, self.objects.odb()?);
        let mut order = Vec::new();
        let mut kinds: HashMap<Oid, ObjectType> = HashMap::new();
        let (mut made, mut history) = (0, 0);
        let mut bytes = 0;
        let wanted = wish
            .name
            .starts_with(BRANCHES)
            .then_some(ObjectType::Commit);
        let mut pending = vec![Step::Enter(wish.to, wanted)];
        while let Some(step) = pending.pop() {
            let (id, wanted) = match step {
                Step::Enter(id, wanted) => (id, wanted),
                Step::Leave(id) => {
                    order.push(id);
                    continue;
                }
            };
            let fits = |kind| match wanted.is_none_or(|wanted| wanted == kind) {
                true => Ok(()),
                false => Err(Refused::Malformed(id, Fault::Kind)),
            };
            if let Some(kind) = kinds.get(&id) {
                fits(*kind)?;
                continue;
            }
            // The user's own first: the job may have one of this id that says something else.
            let is_users = users.exists(id);
            let (length, kind) = match is_users {
                true => users.read_header(id)?,
                false => own.read_header(id)?,
            };
            fits(kind)?;
            kinds.insert(id, kind);
            if is_users {
                continue;
            }
            bytes += length as u64;
            made += 1;
            history += usize::from(matches!(kind, ObjectType::Commit | ObjectType::Tag));
            let long = kind != ObjectType::Blob && length > LONGEST_OBJECT;
            if history > MOST_COMMITS || made > MOST_OBJECTS || bytes > MOST_BYTES || long {
                return Err(Refused::TooMuch);
            }
            pending.push(Step::Leave(id));
            if kind == ObjectType::Blob {
                continue;
            }
            let object = own.read(id)?;
            let named = git_object::named_by(kind, object.data())
                .map_err(|fault| Refused::Malformed(id, fault))?;
            self.walked.entries(named.len())?;
            let steps = named
                .into_iter()
                .map(|(id, kind)| Step::Enter(id, Some(kind)));
            pending.extend(steps);
            if pending.len() > MOST_PENDING {
                return Err(Refused::TooMuch);
            }
        }
        Ok(order)
    }

    /// Lists the commits of a branch that are not in what the job began with, and the paths that they touch.
    fn look_at_commits(&self, wish: &Wish, new: &mut New) -> Result<(), Refused> {
        let mut walk = self.objects.revwalk()?;
        walk.push(new.peeled)?;
        for commit in self.commits_of(self.own.begun.all_refs().values()) {
            walk.hide(commit)?;
        }
        if let Some(head) = self.own.begun.head_commit() {
            walk.hide(head)?;
        }
        for id in walk {
            let id = id?;
            if new.commits.len() >= MOST_COMMITS {
                return Err(Refused::TooMuch);
            }
            new.commits.push(id);
            // Of a branch that stays aside the paths are counted, once.
            if wish.checked_out || !self.looked_at.borrow().contains(&id) {
                let touched = self.touched(&self.objects.find_commit(id)?)?;
                self.looked_at.borrow_mut().insert(id);
                if wish.checked_out {
                    new.touched.extend(touched);
                }
            }
        }
        Ok(())
    }

    /// The commits that values of refs lead to.
    fn commits_of<'v>(&self, values: impl Iterator<Item = &'v Vec<u8>>) -> Vec<Oid> {
        let commit = |value: &Vec<u8>| {
            let object = self.objects.find_object(tamper::parse_oid(value)?, None);
            Some(object.ok()?.peel_to_commit().ok()?.id())
        };
        values.filter_map(commit).collect()
    }

    /// Returns true if a tag is about the verified commit, or about what refs of the user's held when the job began. What
    /// earlier jobs left as `worker/JOB/NAME` was not verified.
    pub(super) fn is_known(&self, peeled: Oid) -> Result<bool, Refused> {
        if self.verified == Some(peeled) {
            return Ok(true);
        }
        let mut refs = self.own.begun.all_refs();
        refs.retain(|name, _| !shortened(name).starts_with(b"worker/"));
        if refs
            .values()
            .any(|value| tamper::parse_oid(value) == Some(peeled))
        {
            return Ok(true);
        }
        if self.objects.odb()?.read_header(peeled)?.1 != ObjectType::Commit {
            return Ok(false);
        }
        let mut walk = self.objects.revwalk()?;
        walk.push(peeled)?;
        for commit in self.commits_of(refs.values()) {
            walk.hide(commit)?;
        }
        if let Some(head) = self.own.begun.head_commit() {
            walk.hide(head)?;
        }
        Ok(walk.next().is_none())
    }

    /// The paths that a commit changes, those of a merge that it has from none of its parents.
    fn touched(&self, commit: &git2::Commit<'_>) -> Result<BTreeSet<Vec<u8>>, Refused> {
        let mut touched: Option<BTreeSet<Vec<u8>>> = None;
        let parents: Vec<_> = match commit.parent_count() {
            0 => vec![None],
            _ => commit
                .parent_ids()
                .map(|parent| Ok(Some(self.objects.find_commit(parent)?.tree_id())))
                .collect::<Result<_, git2::Error>>()?,
        };
        for parent in parents {
            let found = self.differing(parent, commit.tree_id())?;
            touched = Some(match touched {
                None => found,
                Some(known) => known.intersection(&found).cloned().collect(),
            });
        }
        Ok(touched.unwrap_or_default())
    }

    /// The paths at which two trees differ. Counted, and not libgit2's: that goes through all that they name, which may be
    /// more than any machine holds.
    pub(super) fn differing(
        &self,
        before: Option<Oid>,
        after: Oid,
    ) -> Result<BTreeSet<Vec<u8>>, Refused> {
        let odb = self.objects.odb()?;
        let read = |id: Option<Oid>| -> Result<BTreeMap<Vec<u8>, (u32, Oid)>, Refused> {
            let Some(id) = id else {
                return Ok(BTreeMap::new());
            };
            let object = odb.read(id)?;
            let mut found = BTreeMap::new();
            for entry in git_object::entries(object.data()) {
                let entry = entry.map_err(|fault| Refused::Malformed(id, fault))?;
                found.insert(entry.name.to_vec(), (entry.mode, entry.id));
            }
            self.walked.entries(found.len() + 1)?;
            Ok(found)
        };
        let mut paths = BTreeSet::new();
        let mut pending = vec![(Vec::new(), before, Some(after))];
        while let Some((dir, before, after)) = pending.pop() {
            if before == after {
                continue;
            }
            let (before, after) = (read(before)?, read(after)?);
            let gone = before.keys().filter(|name| !after.contains_key(*name));
            for name in after.keys().chain(gone) {
                let sides = [before.get(name), after.get(name)];
                let [old, new] = sides;
                if old == new {
                    continue;
                }
                let path = path::join(&dir, name);
                self.walked.path(&path)?;
                let [was, is] = sides.map(|side| {
                    let tree = side.filter(|(mode, _)| *mode == git_object::TREE);
                    tree.map(|(_, id)| *id)
                });
                let is_file = |side: Option<&(u32, Oid)>| {
                    side.is_some_and(|(mode, _)| *mode != git_object::TREE)
                };
                if was.is_some() || is.is_some() {
                    pending.push((path.clone(), was, is));
                }
                if sides.into_iter().any(is_file) {
                    paths.insert(path);
                }
            }
        }
        Ok(paths)
    }
}

/// What a ref brings.
pub(super) struct New {
    /// The object that a tag is about in the end, or the branch's commit.
    pub(super) peeled: Oid,
    pub(super) commits: Vec<Oid>,
    /// The paths that the commits of the branch that is checked out touch.
    pub(super) touched: BTreeSet<Vec<u8>>,
}
