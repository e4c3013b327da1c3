//! The way of one repository's refs into the user's.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use git2::{Odb, Oid};

use super::objects::Walked;
use super::refused::{Refused, joined, shown};
use super::request::{BringRequest, Verified};
use crate::git_lock::Locks;
use crate::interrupt::Interrupt;
use crate::own_git::{OwnGit, OwnRepository};
use crate::path::FilePath;
use crate::repository::Repository;
use crate::source::{open_source, short};
use crate::tamper;

/// The most refs of one repository that are brought.
pub(super) const MOST_REFS: usize = 64;
/// The most things left behind that a note names.
const MOST_LEFT: usize = 8;

pub(super) const BRANCHES: &[u8] = b"refs/heads/";
pub(super) const TAGS: &[u8] = b"refs/tags/";

/// A ref that the job made or moved.
pub(super) struct Wish {
    /// The full name.
    pub(super) name: Vec<u8>,
    pub(super) from: Option<Oid>,
    pub(super) to: Oid,
    /// HEAD is on it.
    pub(super) checked_out: bool,
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
                match Carrier::of(request, own, repository) {
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
pub(super) fn wishes(
    own: &OwnRepository,
    now: &tamper::GitState,
    removed: &mut Vec<String>,
) -> Vec<Wish> {
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
pub(super) struct Carrier<'a> {
    /// The job's name.
    pub(super) job: &'a str,
    /// The job's folder.
    pub(super) folder: &'a Path,
    /// None where nothing was verified: then all is kept aside.
    pub(super) seen: Option<Verified<'a>>,
    pub(super) own: &'a OwnRepository,
    pub(super) repository: &'a Repository,
    /// The job's objects, and the user's.
    pub(super) objects: git2::Repository,
    pub(super) user: git2::Repository,
    pub(super) top: PathBuf,
    pub(super) locks: Locks,
    pub(super) detached: bool,
    /// What was looked at so far.
    pub(super) walked: Walked<'a>,
    /// The commits whose paths were counted.
    pub(super) looked_at: RefCell<HashSet<Oid>>,
    /// The commit that came under its own name.
    pub(super) verified: Option<Oid>,
}

impl<'a> Carrier<'a> {
    fn of(
        request: &BringRequest<'a>,
        own: &'a OwnRepository,
        repository: &'a Repository,
    ) -> Result<Self, Refused> {
        let base = request.base;
        let seen = request.verified;
        let seen = seen.map(|changes| Verified { base, changes });
        let top = base.workspace.top();
        let interrupt = &base.contents.limits().interrupt;
        let job = (request.job, request.folder);
        let carrier = Self::new(job, top, own, repository, interrupt)?;
        Ok(Self { seen, ..carrier })
    }

    /// The way out of a job, by its name and its folder, into the repository of the tree at `top`. Nothing was verified.
    pub(super) fn new(
        (job, folder): (&'a str, &'a Path),
        top: &Path,
        own: &'a OwnRepository,
        repository: &'a Repository,
        interrupt: &'a Interrupt,
    ) -> Result<Self, Refused> {
        let place = FilePath::new(own.place.as_slice());
        let top = top.join(place.as_path());
        let odb = Odb::new()?;
        let stores = repository.git_dir.object_stores().iter().cloned();
        let folders = std::iter::once(own.objects(interrupt)?).chain(stores);
        for folder in folders.filter_map(|folder| folder.to_str().map(str::to_owned)) {
            odb.add_disk_alternate(&folder)?;
        }
        // Opened as the user's: a shallow clone says there where its history ends.
        let objects = open_source(&top)?;
        objects.set_odb(&odb)?;
        Ok(Self {
            job,
            folder,
            seen: None,
            own,
            repository,
            objects,
            user: open_source(&top)?,
            locks: Locks::new(folder, &repository.git_dir.common),
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
}

pub(super) fn shortened(name: &[u8]) -> &[u8] {
    let spaces = [BRANCHES, TAGS];
    let mut short = spaces.iter().filter_map(|space| name.strip_prefix(*space));
    short.next().unwrap_or(name)
}
