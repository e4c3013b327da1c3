//! The place where a directory lies: in which repository, and under which ignore rules and
//! attributes.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use crate::conversion::{Conversion, Effect};
use crate::handles::{self, Bytes};
use crate::index::IndexEntry;
use crate::path;
use crate::repository::Repository;
use crate::rules::{AttributeSet, AttributeStack, Attributes, IgnoreRules, Scope};
use crate::walk::Listed;

/// The place where a directory stands: in which repository, and under which rules.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) repository: Arc<Repository>,
    ignore: Option<Arc<IgnoreRules>>,
    attributes: AttributeStack,
    /// The entries of the repository's index that lie below.
    pub(crate) tracked: Range<usize>,
    /// A directory above is ignored: then only what is tracked counts.
    ignored: bool,
}

impl Site {
    pub(crate) fn of(repository: Arc<Repository>) -> Self {
        let (ignore, attributes) = (repository.ignore.clone(), repository.attributes.clone());
        let tracked = repository.index.all();
        Self {
            repository,
            ignore,
            attributes,
            tracked,
            ignored: false,
        }
    }

    /// Takes in the rules that stand in the directory itself.
    pub(crate) fn enter(&mut self, dir: BorrowedFd<'_>, path: &[u8], names: &Listed) {
        const LONGEST: u64 = 4 << 20;
        let scope = Scope {
            dir: path,
            case: self.repository.case,
        };
        if !self.ignored
            && names.has(b".gitignore")
            && let Ok(Bytes::Whole(text, _)) = handles::read_at(dir, ".gitignore", LONGEST)
        {
            self.ignore = IgnoreRules::parse(&text, scope, self.ignore.take());
        }
        if names.has(b".gitattributes")
            && let Ok(Bytes::Whole(text, _)) = handles::read_at(dir, ".gitattributes", LONGEST)
        {
            let macros = path == self.repository.place;
            self.attributes.tree =
                Attributes::parse(&text, scope, macros, self.attributes.tree.take());
        }
    }

    /// The entry of the index for the file `name` in the directory `dir`.
    pub(crate) fn tracked(&self, dir: &[u8], name: &[u8]) -> Option<&IndexEntry> {
        let below = self.repository.below(dir);
        let prefix = if below.is_empty() { 0 } else { below.len() + 1 };
        self.repository
            .index
            .find(name, prefix, self.tracked.clone())
    }

    /// The same for names asked in order, for which the entry is mostly the next one.
    pub(crate) fn tracked_next(
        &self,
        dir: &[u8],
        name: &[u8],
        cursor: &mut usize,
    ) -> Option<&IndexEntry> {
        let index = &self.repository.index;
        let below = self.repository.below(dir);
        let prefix = if below.is_empty() { 0 } else { below.len() + 1 };
        if let Some(entry) = index.at(*cursor).filter(|_| self.tracked.contains(cursor))
            && index.path(entry).get(prefix..) == Some(name)
        {
            *cursor += 1;
            return Some(entry);
        }
        let at = index.position(name, prefix, self.tracked.clone())?;
        *cursor = at + 1;
        index.at(at)
    }

    /// The conversions that git makes of the bytes of the file at `path`.
    pub(crate) fn conversion(&self, path: &[u8]) -> Conversion {
        self.repository.conversion(&self.attributes.of(path))
    }

    /// The most that git may do to the bytes of the file `name` in `dir`.
    pub(crate) fn effect(&self, dir: &[u8], name: &[u8]) -> Effect {
        if self.attributes.is_empty() {
            return self
                .repository
                .conversion(&AttributeSet::default())
                .effect();
        }
        self.conversion(&path::join(dir, name)).effect()
    }

    pub(crate) fn ignores(&self, path: &[u8], is_dir: bool) -> bool {
        self.ignored
            || self
                .ignore
                .as_ref()
                .is_some_and(|rules| rules.ignores(path, is_dir))
    }

    /// Returns true if the base's rules ignore the file `name` in `dir`, and nobody tracks it.
    pub(crate) fn ignores_file(&self, dir: &[u8], name: &[u8]) -> bool {
        self.tracked(dir, name).is_none() && self.ignores(&path::join(dir, name), false)
    }

    /// The subdirectory `name` of `dir`; `None` when it is ignored with all that is in it.
    pub(crate) fn child(&self, dir: &[u8], name: &[u8]) -> Option<Self> {
        let full = path::join(dir, name);
        let tracked = self
            .repository
            .index
            .below(self.repository.below(&full), self.tracked.clone());
        // A submodule is tracked by a single entry of the directory's own name.
        let ignored = self.ignores(&full, true) && self.tracked(dir, name).is_none();
        if ignored && tracked.is_empty() {
            return None;
        }
        Some(Self {
            repository: Arc::clone(&self.repository),
            ignore: self.ignore.clone(),
            attributes: self.attributes.clone(),
            tracked,
            ignored,
        })
    }
}
