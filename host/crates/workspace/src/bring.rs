//! What a job did in its own git directory, brought into the user's: commits and branches, after the host looked at them.
//!
//! Objects are only added. A branch comes under its own name where it was verified, goes on from where the job found it,
//! and is still there in the user's repository; the checkout's index then follows it. A tag does where it names the verified
//! commit, or what the user's own refs hold. Otherwise it is kept as `worker/JOB/NAME`, with the reason. Nothing else comes:
//! no configuration, no hook, no stash, no log.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Odb, Oid, RepositoryState};

use crate::base::Base;
use crate::changes::Changes;
use crate::contents;
use crate::error::WorkspaceError;
use crate::git_lock::{Locked, Locks};
use crate::git_object::{self, Fault};
use crate::handles::{self, Bytes, Kind};
use crate::interrupt::Interrupt;
use crate::own_git::{OwnGit, OwnRepository};
use crate::path::{self, FilePath};
use crate::repository::Repository;
use crate::source::{open_source, short, signature};
use crate::state::FileState;
use crate::tamper;
use crate::tree_rules::TreeRules;

/// The most commits of one branch that are looked at.
const MOST_COMMITS: usize = 1_000;
/// The most objects that one branch may bring.
const MOST_OBJECTS: usize = 100_000;
/// The most bytes that they may have.
const MOST_BYTES: u64 = 512 << 20;
/// The longest object that is no file.
const LONGEST_OBJECT: usize = 32 << 20;
/// The most objects that are named and not yet looked at, at one time.
const MOST_PENDING: usize = 2_000_000;
/// The most entries of trees that are looked at for one repository: a handful of trees that name each other has any number.
const MOST_ENTRIES: u64 = 20_000_000;
/// The most paths that the commits of one ref may touch, one after the other, and the most bytes of these.
const MOST_PATHS: usize = 500_000;
const MOST_PATH_BYTES: usize = 64 << 20;
/// The longest path: no system has a longer one.
const LONGEST_PATH: usize = 4096;
/// The most refs of one repository that are brought.
const MOST_REFS: usize = 64;
/// The longest note of one repository; bytes.
const LONGEST_NOTE: usize = 2_000;
/// The most things left behind that a note names.
const MOST_LEFT: usize = 8;
/// The longest name of a ref or a file in a note; bytes.
const LONGEST_SHOWN: usize = 200;
/// The bits of an entry that tell the sides of a conflict.
const STAGES: u16 = 0x3000;
/// The names of files in a reason.
const NAMED: usize = 3;

const BRANCHES: &[u8] = b"refs/heads/";
const TAGS: &[u8] = b"refs/tags/";

/// A job that is over, whose commits are to be brought.
#[derive(Debug)]
pub struct BringRequest<'a> {
    /// The tree as the job found it.
    pub base: &'a Base,
    /// The differences now, as they were verified.
    pub changes: &'a Changes,
    /// The job's name.
    pub job: &'a str,
    /// The job's folder.
    pub folder: &'a Path,
    /// True if every check passed.
    pub verified: bool,
}

/// The reason why a branch does not come under its own name, or not at all.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the job did not complete")]
    NotVerified,
    #[error("it was not checked out when the checks ran")]
    NotCheckedOut,
    #[error("HEAD was on no branch")]
    Detached,
    #[error("it does not go on from where the job found it")]
    Rewritten,
    #[error("it names what was not verified")]
    NotTheResult,
    #[error("it holds {} otherwise than the checks saw it", named(.0))]
    Differs(Vec<FilePath>),
    #[error("a commit touches {}, which the result does not hold", named(.0))]
    Touches(Vec<FilePath>),
    #[error("a {0} is in progress in the checkout")]
    Busy(&'static str),
    #[error("the checkout has {0}")]
    IndexForm(&'static str),
    #[error("it is checked out in {}", shown_path(.0))]
    Elsewhere(PathBuf),
    #[error("it moved in the repository meanwhile")]
    Moved,
    #[error("the repository has another of this name")]
    Taken,
    #[error("its name is none that git takes")]
    Name,
    #[error("git would take its name for something else")]
    Misleading,
    #[error("{} is locked by another git", shown_path(.0))]
    Locked(PathBuf),
    #[error("more than {MOST_COMMITS} commits, {MOST_OBJECTS} objects, {MOST_PATHS} paths or {} MB", MOST_BYTES >> 20)]
    TooMuch,
    #[error("it holds a path of more than {LONGEST_PATH} bytes")]
    LongPath,
    #[error("{0} is no object that git takes: {1}")]
    Malformed(Oid, Fault),
    // What libgit2 says may hold a name.
    #[error("{}", path::quoted(.0.message().as_bytes()))]
    Git(#[from] git2::Error),
    #[error("{0}")]
    Workspace(#[from] WorkspaceError),
    #[error("{0}")]
    System(#[from] io::Error),
}

fn named(paths: &[FilePath]) -> String {
    let first = paths.iter().take(NAMED);
    let first: Vec<String> = first.map(|path| shown(path.as_bytes())).collect();
    let more = paths.len().saturating_sub(NAMED);
    match more {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn shown_path(path: &Path) -> String {
    path::quoted(path.as_os_str().as_bytes())
}

/// A name as a note has it: readable, and not longer than a line or two.
fn shown(name: &[u8]) -> String {
    match name.get(..LONGEST_SHOWN) {
        Some(begin) if name.len() > LONGEST_SHOWN => format!("{}...", path::quoted(begin)),
        _ => path::quoted(name),
    }
}

/// As many of the sentences as a note has room for, and the number of the others.
fn joined(lines: &[String]) -> String {
    let mut note = String::new();
    for (number, line) in lines.iter().enumerate() {
        if number > 0 && note.len() + line.len() > LONGEST_NOTE {
            note.push_str(&format!("; and {} more", lines.len() - number));
            break;
        }
        if number > 0 {
            note.push_str("; ");
        }
        note.push_str(line);
    }
    note
}

/// A ref that the job made or moved.
struct Wish {
    /// The full name.
    name: Vec<u8>,
    from: Option<Oid>,
    to: Oid,
    /// HEAD is on it.
    checked_out: bool,
}

impl OwnGit {
    /// Brings what the job committed into the user's repositories. Returns what came and what did not, a sentence for each
    /// repository; nothing where the job did nothing in git.
    pub fn bring(&self, request: &BringRequest<'_>) -> Vec<String> {
        let mut told = Vec::new();
        for own in &self.repositories {
            let repository = request
                .base
                .repositories
                .iter()
                .find(|repository| repository.place == own.place);
            let Some(repository) = repository else {
                continue;
            };
            let now = own.state();
            let mut removed = Vec::new();
            let mut wishes = wishes(own, &now, &mut removed);
            let further = wishes.len().saturating_sub(MOST_REFS);
            wishes.truncate(MOST_REFS);
            let mut lines = Vec::new();
            if !wishes.is_empty() {
                match Carrier::new(request, own, repository) {
                    Ok(mut carrier) => {
                        lines.extend(wishes.iter().map(|wish| carrier.bring(wish)));
                        carrier.locks.forget();
                    }
                    Err(fault) => lines.push(format!("nothing is taken over: {fault}")),
                }
            }
            // The note may be too short for all refs, but not for what follows here.
            let others = lines.split_off(lines.len().min(1));
            removed.extend(own.left_behind(&now));
            if !removed.is_empty() {
                let (first, more) = removed.split_at(removed.len().min(MOST_LEFT));
                let more = match more.len() {
                    0 => String::new(),
                    count => format!(" and {count} more"),
                };
                lines.push(format!("not taken over: {}{more}", first.join(", ")));
            }
            if further > 0 {
                lines.push(format!(
                    "{further} more refs are not taken over: a job brings {MOST_REFS}"
                ));
            }
            lines.extend(others);
            let place = match own.place.as_slice() {
                b"" => String::new(),
                place => format!(" in {}", FilePath::new(place)),
            };
            if !lines.is_empty() {
                told.push(format!("git{place}: {}", joined(&lines)));
            }
        }
        told
    }
}

/// The refs that the job made or moved; those that it deleted go to `removed`.
fn wishes(own: &OwnRepository, now: &tamper::GitState, removed: &mut Vec<String>) -> Vec<Wish> {
    let (before, after) = (own.begun.all_refs(), now.all_refs());
    let mut wishes = Vec::new();
    for (name, value) in &after {
        if !(name.starts_with(BRANCHES) || name.starts_with(TAGS))
            || before.get(name) == Some(value)
        {
            continue;
        }
        let from = before.get(name).and_then(|value| tamper::parse_oid(value));
        let Some(to) = tamper::parse_oid(value) else {
            continue;
        };
        wishes.push(Wish {
            name: name.clone(),
            from,
            to,
            checked_out: now.branch() == Some(name.as_slice()),
        });
    }
    // Tags name what a branch brings.
    wishes.sort_by_key(|wish| (!wish.checked_out, wish.name.starts_with(TAGS)));
    for name in before.keys().filter(|name| {
        (name.starts_with(BRANCHES) || name.starts_with(TAGS)) && !after.contains_key(*name)
    }) {
        removed.push(format!("{} was deleted", shown(name)));
    }
    if now.branch().is_none()
        && let Some(to) = now.head_commit()
        && own.begun.head_commit() != Some(to)
        && !after
            .values()
            .any(|value| tamper::parse_oid(value) == Some(to))
    {
        wishes.push(Wish {
            name: [BRANCHES, b"detached"].concat(),
            from: None,
            to,
            checked_out: false,
        });
    }
    wishes
}

/// The way of one repository's refs into the user's.
struct Carrier<'a> {
    request: &'a BringRequest<'a>,
    own: &'a OwnRepository,
    repository: &'a Repository,
    /// The job's objects, and the user's.
    objects: git2::Repository,
    user: git2::Repository,
    top: PathBuf,
    locks: Locks,
    detached: bool,
    /// What was looked at so far.
    walked: Walked<'a>,
    /// The commits whose paths were counted.
    looked_at: RefCell<HashSet<Oid>>,
    /// The commit that came under its own name.
    verified: Option<Oid>,
}

/// The bounds of a look at refs.
struct Walked<'a> {
    interrupt: &'a Interrupt,
    /// Of all refs of one repository, which bounds the time.
    entries: Cell<u64>,
    /// Of one ref, which bounds the memory.
    paths: Cell<usize>,
    path_bytes: Cell<usize>,
}

impl Walked<'_> {
    /// Counts a tree's entries.
    fn entries(&self, count: usize) -> Result<(), Refused> {
        self.interrupt.check_late()?;
        let entries = self.entries.get() + count as u64;
        self.entries.set(entries);
        match entries > MOST_ENTRIES {
            true => Err(Refused::TooMuch),
            false => Ok(()),
        }
    }

    /// Counts paths anew.
    fn begin_paths(&self) {
        self.paths.set(0);
        self.path_bytes.set(0);
    }

    /// Counts a path.
    fn path(&self, path: &[u8]) -> Result<(), Refused> {
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

impl<'a> Carrier<'a> {
    fn new(
        request: &'a BringRequest<'a>,
        own: &'a OwnRepository,
        repository: &'a Repository,
    ) -> Result<Self, Refused> {
        let place = FilePath::new(own.place.as_slice());
        let top = request.base.workspace.top().join(place.as_path());
        let odb = Odb::new()?;
        let stores = repository.git_dir.object_stores().iter().cloned();
        let interrupt = &request.base.contents.limits().interrupt;
        let folders = std::iter::once(own.objects(interrupt)?).chain(stores);
        for folder in folders.filter_map(|folder| folder.to_str().map(str::to_owned)) {
            odb.add_disk_alternate(&folder)?;
        }
        // Opened as the user's: a shallow clone says there where its history ends.
        let objects = open_source(&top)?;
        objects.set_odb(&odb)?;
        Ok(Self {
            request,
            own,
            repository,
            objects,
            user: open_source(&top)?,
            locks: Locks::new(request.folder, &repository.git_dir.common),
            detached: own.state().branch().is_none(),
            walked: Walked {
                interrupt,
                entries: Cell::new(0),
                paths: Cell::new(0),
                path_bytes: Cell::new(0),
            },
            looked_at: RefCell::default(),
            verified: None,
            top,
        })
    }

    /// Brings one ref, and says in a sentence what became of it.
    fn bring(&mut self, wish: &Wish) -> String {
        let is_tag = wish.name.starts_with(TAGS);
        let short_name = shown(shortened(&wish.name));
        let new = match self.look_at(wish) {
            Ok(new) => new,
            Err(refused) => {
                return format!("{short_name} is not taken over: {refused}");
            }
        };
        let commits = match new.commits.len() {
            1 => "1 commit".to_owned(),
            count => format!("{count} commits"),
        };
        let newest = short(&wish.to.to_string()).to_owned();
        let refused = match self.under_its_name(wish, &new) {
            Ok(further) => {
                if !is_tag {
                    self.verified = Some(wish.to);
                }
                let what = match (is_tag, wish.from) {
                    (true, _) => format!("tag {short_name} ({newest})"),
                    (false, None) if new.commits.is_empty() => {
                        format!("new branch {short_name} ({newest})")
                    }
                    (false, None) => format!("new branch {short_name}, {commits} ({newest})"),
                    (false, Some(_)) => format!("{commits} on {short_name} ({newest})"),
                };
                return format!("{what}{further}");
            }
            Err(refused) => refused,
        };
        let what = match is_tag {
            true => format!("tag {short_name}"),
            false if new.commits.is_empty() => short_name.clone(),
            false => format!("{commits} of {short_name}"),
        };
        match self.aside(wish) {
            Ok(kept) => {
                let kept = shown(kept.as_bytes());
                format!("{what} kept as {kept} ({newest}): {refused}")
            }
            Err(fault) => {
                format!("{short_name} is not taken over: {refused}; {fault}")
            }
        }
    }

    /// Looks at what a ref brings, and adds its objects to the user's. What is refused later leaves them to the next gc.
    fn look_at(&self, wish: &Wish) -> Result<New, Refused> {
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
    fn is_known(&self, peeled: Oid) -> Result<bool, Refused> {
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
    fn differing(&self, before: Option<Oid>, after: Oid) -> Result<BTreeSet<Vec<u8>>, Refused> {
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

    /// Brings a ref under its own name. Returns what else is to be said.
    fn under_its_name(&mut self, wish: &Wish, new: &New) -> Result<String, Refused> {
        let name = std::str::from_utf8(&wish.name).map_err(|_| Refused::Name)?;
        if !git2::Reference::is_valid_name(name) {
            return Err(Refused::Name);
        }
        if !self.request.verified {
            return Err(Refused::NotVerified);
        }
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
        self.judge_content(wish, new)?;
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

    /// Holds a branch against what the checks saw: each file that it changes is there as the tree has it, and no commit on
    /// the way touches another one.
    fn judge_content(&self, wish: &Wish, new: &New) -> Result<(), Refused> {
        let base = self.request.base;
        let before = match self.own.begun.head_commit() {
            Some(head) => Some(self.objects.find_commit(head)?.tree_id()),
            None => None,
        };
        let after = self.objects.find_commit(wish.to)?.tree()?;
        let files = &self.request.changes.files;
        let moved = files
            .iter()
            .filter_map(|file| file.previous_top_path.as_ref());
        let mut changed: HashMap<&[u8], Option<FileState>> =
            moved.map(|previous| (previous.as_bytes(), None)).collect();
        // What came to the place of a file that moved away is there.
        changed.extend(
            files
                .iter()
                .map(|file| (file.top_path.as_bytes(), file.now)),
        );
        let now = |path: &[u8]| -> Option<FileState> {
            let full = path::join(&self.own.place, path);
            match changed.get(full.as_slice()) {
                Some(now) => *now,
                None => base.state_of(&full),
            }
        };
        let bytes = |state: FileState| base.contents.read(state.id()?).ok();
        let mut rules = TreeRules::new(self.repository, |path: &[u8]| bytes(now(path)?));
        self.walked.begin_paths();
        let differing = self.differing(before, after.id())?;
        let mut otherwise = Vec::new();
        for path in &differing {
            self.walked.interrupt.check_late()?;
            let shown = FilePath::new(path.as_slice());
            let entry = after.get_path(shown.as_path()).ok();
            let same = match (&entry, now(path)) {
                (None, None) => true,
                (Some(entry), None) if entry.kind() == Some(ObjectType::Commit) => {
                    self.request.changes.files.iter().any(|file| {
                        let to = file.submodule.as_ref().and_then(|it| it.to.as_deref());
                        file.top_path.as_bytes() == path::join(&self.own.place, path)
                            && to == Some(entry.id().to_string().as_str())
                    })
                }
                (Some(entry), Some(state)) => {
                    let mode = entry.filemode() as u32;
                    let modes = mode == state.git_mode()
                        || (!self.repository.file_mode && state.kind() == Kind::File);
                    modes && self.is_made_of(entry.id(), path, state, &mut rules)
                }
                _ => false,
            };
            if !same {
                otherwise.push(shown);
            }
        }
        if !otherwise.is_empty() {
            return Err(Refused::Differs(otherwise));
        }
        let further = new.touched.difference(&differing);
        let further: Vec<FilePath> = further.map(|path| FilePath::new(path.as_slice())).collect();
        if !further.is_empty() {
            return Err(Refused::Touches(further));
        }
        Ok(())
    }

    /// Returns true if git makes this object of the file.
    fn is_made_of(
        &self,
        object: Oid,
        path: &[u8],
        state: FileState,
        rules: &mut TreeRules<'_>,
    ) -> bool {
        let Some(id) = state.id() else {
            return false;
        };
        if id == object {
            return true;
        }
        let Ok(bytes) = self.request.base.contents.read(id) else {
            return false;
        };
        let committed = || {
            let blob = self.objects.find_blob(object).ok()?;
            Some(blob.content().to_vec())
        };
        let made = rules.conversion(path).to_git(&bytes, committed);
        made.is_ok_and(|made| contents::blob_id(&made).ok() == Some(object))
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
        let draft = tempfile::NamedTempFile::new_in(self.request.folder)?;
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

    /// Keeps a branch under a name of the job's.
    fn aside(&mut self, wish: &Wish) -> Result<String, Refused> {
        let job = self.request.job;
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
            self.request.job,
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

/// What a ref brings.
struct New {
    /// The object that a tag is about in the end, or the branch's commit.
    peeled: Oid,
    commits: Vec<Oid>,
    /// The paths that the commits of the branch that is checked out touch.
    touched: BTreeSet<Vec<u8>>,
}

fn shortened(name: &[u8]) -> &[u8] {
    let spaces = [BRANCHES, TAGS];
    let mut short = spaces.iter().filter_map(|space| name.strip_prefix(*space));
    short.next().unwrap_or(name)
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
