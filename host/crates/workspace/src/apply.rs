//! Bringing what an isolated job made into the user's checkout, or saying why not; nothing is ever half done.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use git2::{Odb, Oid, Repository};
use serde::Serialize;

use crate::apply_error::ApplyError;
use crate::base::Base;
use crate::contents::{self, Limits};
use crate::delivery::{Delivery, SealedResult, Step, differing, dirs_above, is_here, side, stage};
use crate::isolated::Isolated;
use crate::path::{self, FilePath};
use crate::record::{ApplyHow, NotCarried, Sealed};
use crate::repository::Repository as OwnRepository;
use crate::seal::changed_paths;
use crate::source::{Uncommitted, open_source, short, signature, uncommitted};
use crate::tamper::unwritable;
use crate::tree_rules::TreeRules;
use crate::workspace::Workspace;

/// The outcome of `apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The way.
    pub how: ApplyHow,
    /// The changed files, relative to the checkout's top.
    pub files: Vec<FilePath>,
    /// Those of them whose bytes are not the verified ones, because git's rules for the path convert them (line ends,
    /// `ident`, encodings).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub converted: Vec<FilePath>,
    /// Those that the checkout's own commits changed as well: both were merged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<FilePath>,
    /// The changes that no `apply` brings along; they are in the job's tree only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_carried: Vec<NotCarried>,
    /// The branch that was made (`merge`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit that the checkout is at now (`merge`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Isolated {
    /// Brings the sealed result into the checkout that the tree was made from.
    ///
    /// `merge` and `squash` merge with whatever was committed there meanwhile, and refuse when both sides changed the same;
    /// `patch` refuses when a file that it would change is not as the job found it. Uncommitted work in the way is never
    /// overwritten. Whatever is refused is refused before anything is written.
    ///
    /// # Errors
    /// The reason, with the files.
    pub fn apply(&self, how: ApplyHow) -> Result<Applied, ApplyError> {
        let record = self.record();
        let own = record
            .results
            .iter()
            .position(|sealed| sealed.job == self.job());
        let (Some(own), Some(start)) = (own, &record.compared_with) else {
            return Err(ApplyError::NoResult(
                "the job is not over, or ended without one".to_owned(),
            ));
        };
        let sealed = Repository::open_bare(self.folder().join("result"))
            .map_err(|error| ApplyError::NoResult(error.message().to_owned()))?;
        let mut commits = vec![Oid::from_str(start)?];
        for sealed in record.results.iter().take(own) {
            commits.push(Oid::from_str(&sealed.commit)?);
        }
        let result = match record.results.get(own) {
            Some(sealed) => Oid::from_str(&sealed.commit)?,
            None => return Err(ApplyError::NoResult("it is gone".to_owned())),
        };
        let user = open_source(&record.source)?;
        busy(&user)?;
        let sealed = SealedResult {
            repository: sealed,
            earlier: commits,
            commit: result,
            record: record
                .results
                .get(own)
                .ok_or_else(|| ApplyError::NoResult("it is gone".to_owned()))?,
        };
        match how {
            ApplyHow::Patch => self.patch(&sealed),
            ApplyHow::Merge | ApplyHow::Squash => self.merge(how, &sealed, &user),
        }
    }

    /// Merges the sealed result into another isolated tree, as a commit there, in the same way as into the checkout.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_into(&self, tree: &Isolated) -> Result<Applied, ApplyError> {
        self.with_source(tree).apply(ApplyHow::Merge)
    }

    /// The checkout as it is now.
    fn snapshot(&self) -> Result<Base, ApplyError> {
        let record = self.record();
        let workspace =
            Workspace::open(&record.open_root()?, std::slice::from_ref(&record.source))?;
        let storage = self.folder().join("source/apply");
        Ok(Base::capture(&workspace, &storage, Limits::default())?)
    }

    fn patch(&self, sealed: &SealedResult<'_>) -> Result<Applied, ApplyError> {
        let after = sealed.repository.find_commit(sealed.commit)?.tree()?;
        let mut before = Vec::new();
        let mut files = BTreeSet::new();
        for commit in &sealed.earlier {
            before.push(sealed.repository.find_commit(*commit)?.tree()?);
            files.extend(changed_paths(&sealed.repository, *commit, sealed.commit)?);
        }
        if files.is_empty() {
            return Err(nothing(sealed.record));
        }
        let snapshot = self.snapshot()?;
        let main = main_repository(&snapshot)?;
        let delivery = Delivery::new(&self.record().source, sealed)?;
        let mut differ = Vec::new();
        let mut steps = Vec::new();
        let mut rules = TreeRules::of_tree(main, &sealed.repository, &after);
        for path in &files {
            let new = side(&sealed.repository, &after, path)?;
            let here = delivery.look(path);
            // As the first job found it, or as one of the jobs before this one left it, which was applied then.
            let mut old = None;
            for tree in before.iter().rev() {
                let known = side(&sealed.repository, tree, path)?;
                if is_here(&snapshot, path, &known, &here) {
                    old = Some(known);
                    break;
                }
            }
            match old {
                None => differ.push(path.clone()),
                Some(old) if old == new => {}
                Some(_) => steps.push(Step::new(path, new, &mut rules)?),
            }
        }
        let _ = fs::remove_dir_all(self.folder().join("source/apply"));
        if !differ.is_empty() {
            return Err(ApplyError::Moved(differ));
        }
        if steps.is_empty() {
            return Err(nothing(sealed.record));
        }
        in_the_way(&delivery, &steps)?;
        let written = delivery.write(&steps)?;
        let converted = delivery.compare(&steps, &[], written)?.0;
        Ok(Applied {
            how: ApplyHow::Patch,
            files: steps.into_iter().map(|step| step.path).collect(),
            converted,
            merged: Vec::new(),
            not_carried: sealed.record.not_carried.clone(),
            branch: None,
            commit: None,
        })
    }

    fn merge(
        &self,
        how: ApplyHow,
        sealed: &SealedResult<'_>,
        user: &Repository,
    ) -> Result<Applied, ApplyError> {
        let record = self.record();
        let result = sealed.commit;
        wait_for_lock(user)?;
        let head = user.head()?.peel_to_commit()?;
        let before = brought_already(&sealed.repository, user, &head, &sealed.earlier)?;
        let files = changed_paths(&sealed.repository, before, result)?;
        if files.is_empty() {
            return Err(nothing(sealed.record));
        }
        let snapshot = self.snapshot()?;
        let main = main_repository(&snapshot)?;
        if let Some((form, way)) = unwritable(main.git_dir.handle.as_fd()) {
            return Err(ApplyError::IndexForm { form, way });
        }
        let dirty = self.dirty(&snapshot, user, &head.tree()?, &files)?;
        let _ = fs::remove_dir_all(self.folder().join("source/apply"));
        if !dirty.is_empty() {
            return Err(ApplyError::Dirty(dirty));
        }
        let name = format!("worker/{}", self.job());
        let branch = format!("refs/heads/{name}");
        if how == ApplyHow::Merge
            && let Ok(taken) = user.refname_to_id(&branch)
            && taken != result
        {
            return Err(ApplyError::BranchTaken(name));
        }
        // Objects alone are no change that anybody sees; what is refused below leaves them to the next gc.
        copy_objects(&sealed.repository, &user.odb()?)?;
        let (ancestor, theirs) = (user.find_commit(before)?, user.find_commit(result)?);
        let mut merged =
            user.merge_trees(&ancestor.tree()?, &head.tree()?, &theirs.tree()?, None)?;
        if let Some(files) = conflicts(&merged)? {
            return Err(ApplyError::Conflicts {
                head: short(&head.id().to_string()).to_owned(),
                files,
            });
        }
        let tree = user.find_tree(merged.write_tree_to(user)?)?;
        let here = head.tree()?;
        let delivery = Delivery::new(&record.source, sealed)?;
        let mut steps = Vec::new();
        let mut filtered = Vec::new();
        let mut untracked = Vec::new();
        let mut rules = TreeRules::of_tree(main, user, &tree);
        for path in differing(user, &here, &tree)? {
            let new = side(user, &tree, &path)?;
            let step = Step::new(&path, new, &mut rules)?;
            if step.is_filtered() {
                filtered.push(path.clone());
            }
            let known = side(user, &here, &path)?;
            if known.is_none() && !step.is_at(&delivery.look(&path)) {
                untracked.push(path.clone());
            }
            steps.push(step);
        }
        if !filtered.is_empty() {
            return Err(ApplyError::Filtered(filtered));
        }
        if !untracked.is_empty() {
            return Err(ApplyError::Dirty(untracked));
        }
        in_the_way(&delivery, &steps)?;
        let verified = theirs.tree()?;
        let mut both = Vec::new();
        for step in &steps {
            if side(user, &verified, &step.path)? != side(user, &tree, &step.path)? {
                both.push(step.path.clone());
            }
        }
        let commit = match how {
            ApplyHow::Merge if ancestor.id() == head.id() => Some(theirs.id()),
            ApplyHow::Merge => {
                let signature = signature(&record.source)?;
                let message = format!("Merge branch '{name}'");
                Some(user.commit(
                    None,
                    &signature,
                    &signature,
                    &message,
                    &tree,
                    &[&head, &theirs],
                )?)
            }
            ApplyHow::Squash | ApplyHow::Patch => None,
        };
        let written = delivery.write(&steps)?;
        let (converted, written) = delivery.compare(&steps, &both, written)?;
        if let Err(error) = stage(user, &delivery, &steps, &tree) {
            delivery.put_back(written);
            return Err(error);
        }
        if let Some(commit) = commit {
            user.reference(&branch, result, true, "worker: apply")?;
            let log = format!("worker: merge {name}");
            match user.find_reference("HEAD")?.symbolic_target() {
                Ok(Some(name)) => user.reference_matching(name, commit, true, head.id(), &log)?,
                _ => user.reference_matching("HEAD", commit, true, head.id(), &log)?,
            };
        }
        let branch = (how == ApplyHow::Merge).then_some(name);
        Ok(Applied {
            how,
            files,
            converted,
            merged: both,
            not_carried: sealed.record.not_carried.clone(),
            branch,
            commit: commit.map(|commit| commit.to_string()),
        })
    }

    /// The checkout's uncommitted work that a merge must not run over: whatever is changed or staged in a tracked file, and
    /// untracked files where the result has one.
    fn dirty(
        &self,
        snapshot: &Base,
        user: &Repository,
        head: &git2::Tree<'_>,
        files: &[FilePath],
    ) -> Result<Vec<FilePath>, ApplyError> {
        let mut found = BTreeSet::new();
        for Uncommitted { path, .. } in uncommitted(snapshot, user, head)? {
            let tracked = head
                .get_path(FilePath::new(path.as_slice()).as_path())
                .is_ok();
            let in_the_way = files.iter().any(|file| {
                path::is_within(file.as_bytes(), &path) || path::is_within(&path, file.as_bytes())
            });
            if tracked || in_the_way {
                found.insert(FilePath::new(path));
            }
        }
        if let Some(main) = snapshot.repositories.first() {
            for (path, oid, mode) in main.index.staged() {
                let known = head.get_path(FilePath::new(path).as_path()).ok();
                let same = known.is_some_and(|known| {
                    known.id().as_bytes() == oid && known.filemode() as u32 == mode
                });
                if !same {
                    found.insert(FilePath::new(path));
                }
            }
        }
        Ok(found.into_iter().collect())
    }
}

/// The latest of the commits in a row whose changes are in the checkout's HEAD already: by its history, or because every
/// file that they changed is there as they left it. The first one is what the first job started with.
fn brought_already(
    sealed: &Repository,
    user: &Repository,
    head: &git2::Commit<'_>,
    row: &[Oid],
) -> Result<Oid, ApplyError> {
    let Some((start, later)) = row.split_first() else {
        return Ok(head.id());
    };
    let here = head.tree()?;
    for commit in later.iter().rev() {
        let merged = head.id() == *commit
            || (user.odb()?.exists(*commit) && user.graph_descendant_of(head.id(), *commit)?);
        if merged {
            return Ok(*commit);
        }
        let left = sealed.find_commit(*commit)?.tree()?;
        let known = |tree: &git2::Tree<'_>, path: &FilePath| {
            let entry = tree.get_path(path.as_path()).ok();
            entry.map(|entry| (entry.id(), entry.filemode()))
        };
        let files = changed_paths(sealed, *start, *commit)?;
        let same = files
            .iter()
            .all(|path| known(&here, path) == known(&left, path));
        if same && !files.is_empty() {
            return Ok(*commit);
        }
    }
    Ok(*start)
}

/// The files that a merge left in conflict; none where it left nothing in conflict.
///
/// libgit2 sees that one side put a file where the other one has a folder only when the two are neighbours in order. What it
/// does not see would become a tree that holds a name twice.
fn conflicts(merged: &git2::Index) -> Result<Option<Vec<FilePath>>, git2::Error> {
    let mut found = BTreeSet::new();
    if merged.has_conflicts() {
        for conflict in merged.conflicts()?.flatten() {
            let mut sides = [conflict.our, conflict.their, conflict.ancestor]
                .into_iter()
                .flatten();
            found.extend(sides.next().map(|entry| FilePath::new(entry.path)));
        }
        return Ok(Some(found.into_iter().collect()));
    }
    let files: HashSet<Vec<u8>> = merged.iter().map(|entry| entry.path).collect();
    let dirs = files.iter().flat_map(|path| dirs_above(path));
    found.extend(dirs.filter(|dir| files.contains(*dir)).map(FilePath::new));
    Ok((!found.is_empty()).then(|| found.into_iter().collect()))
}

fn in_the_way(delivery: &Delivery, steps: &[Step]) -> Result<(), ApplyError> {
    let found = delivery.in_the_way(steps);
    match found.is_empty() {
        true => Ok(()),
        false => Err(ApplyError::InTheWay(found)),
    }
}

fn nothing(sealed: &Sealed) -> ApplyError {
    let mut why = "it changes nothing that is not there already".to_owned();
    if !sealed.not_carried.is_empty() {
        let left: Vec<_> = sealed.not_carried.iter().map(ToString::to_string).collect();
        why.push_str(&format!(
            "; what it changed cannot be carried and is in its tree only: {}",
            left.join(", ")
        ));
    }
    ApplyError::NoResult(why)
}

fn main_repository(snapshot: &Base) -> Result<&OwnRepository, ApplyError> {
    snapshot
        .repositories
        .first()
        .map(|repository| &**repository)
        .ok_or_else(|| ApplyError::NoResult("the checkout's repository is gone".to_owned()))
}

/// Copies the objects that the result has of its own: loose ones, or a pack once its tree has become small.
fn copy_objects(result: &Repository, into: &Odb<'_>) -> Result<(), ApplyError> {
    let folder = result.path().join("objects");
    let own = match folder.to_str() {
        Some(_) => contents::open(&[folder])?,
        // A path that libgit2 cannot be given: with the user's own objects, which are there already.
        None => result.odb()?,
    };
    let mut ids = Vec::new();
    own.foreach(|id| {
        ids.push(*id);
        true
    })?;
    for id in ids {
        if !into.exists(id) {
            let object = own.read(id)?;
            into.write(object.kind(), object.data())?;
        }
    }
    Ok(())
}

fn busy(user: &Repository) -> Result<(), ApplyError> {
    match crate::bring::busy(user) {
        None => Ok(()),
        Some(what) => Err(ApplyError::Busy(what)),
    }
}

/// Another git's lock is waited for, never taken away.
fn wait_for_lock(user: &Repository) -> Result<(), ApplyError> {
    let lock = user.path().join("index.lock");
    let deadline = Instant::now() + Duration::from_secs(5);
    while lock.exists() {
        if Instant::now() >= deadline {
            return Err(ApplyError::Locked(lock));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
