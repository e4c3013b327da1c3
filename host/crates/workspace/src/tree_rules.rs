//! The rules of a whole tree, by the files of rules that are in that tree itself.

use std::collections::HashMap;
use std::sync::Arc;

use crate::conversion::Conversion;
use crate::path;
use crate::repository::Repository;
use crate::rules::{AttributeStack, Attributes, IgnoreRules, Scope};

/// Answers for any path of a tree whose files `read` gives, with what a repository says about all trees.
pub(crate) struct TreeRules<'a> {
    repository: &'a Repository,
    read: Box<dyn Fn(&[u8]) -> Option<Vec<u8>> + 'a>,
    known: HashMap<Vec<u8>, AttributeStack>,
}

impl<'a> TreeRules<'a> {
    /// `read` gives the bytes of a file of attributes, by its path from the tree's top.
    pub(crate) fn new(
        repository: &'a Repository,
        read: impl Fn(&[u8]) -> Option<Vec<u8>> + 'a,
    ) -> Self {
        Self {
            repository,
            read: Box::new(read),
            known: HashMap::new(),
        }
    }

    /// The rules of a commit's tree.
    pub(crate) fn of_tree(
        repository: &'a Repository,
        objects: &'a git2::Repository,
        tree: &'a git2::Tree<'a>,
    ) -> Self {
        Self::new(repository, move |path| {
            let entry = tree.get_path(path::FilePath::new(path).as_path()).ok()?;
            // git follows no link to a file of attributes.
            let plain = entry.filemode() & 0o170_000 == 0o100_000;
            let blob = plain.then(|| objects.find_blob(entry.id()).ok())??;
            Some(blob.content().to_vec())
        })
    }

    /// The conversions that git makes of the bytes of the file at `path`.
    pub(crate) fn conversion(&mut self, path: &[u8]) -> Conversion {
        let (dir, _) = path::split(path);
        let stack = self.stack(dir);
        self.repository.conversion(&stack.of(path))
    }

    fn stack(&mut self, dir: &[u8]) -> AttributeStack {
        // The directories above that are not known yet, the deepest first.
        let mut pending = Vec::new();
        let mut here = dir;
        let mut stack = loop {
            if let Some(known) = self.known.get(here) {
                break known.clone();
            }
            pending.push(here);
            if here.is_empty() {
                break self.repository.attributes.clone();
            }
            here = path::split(here).0;
        };
        for dir in pending.into_iter().rev() {
            if let Some(text) = (self.read)(&path::join(dir, b".gitattributes")) {
                let scope = Scope {
                    dir,
                    case: self.repository.case,
                };
                stack.tree = Attributes::parse(&text, scope, dir.is_empty(), stack.tree.take());
            }
            self.known.insert(dir.to_vec(), stack.clone());
        }
        stack
    }
}

/// The ignore rules of a whole tree whose `.gitignore` files `read` gives.
pub(crate) struct IgnoreTree<'a> {
    repository: &'a Repository,
    read: Box<dyn Fn(&[u8]) -> Option<Vec<u8>> + 'a>,
    /// The rules in a directory; none where it is ignored with all that is in it.
    known: HashMap<Vec<u8>, Option<Option<Arc<IgnoreRules>>>>,
}

impl<'a> IgnoreTree<'a> {
    /// `read` gives the bytes of a `.gitignore`, by its path from the tree's top.
    pub(crate) fn new(
        repository: &'a Repository,
        read: impl Fn(&[u8]) -> Option<Vec<u8>> + 'a,
    ) -> Self {
        Self {
            repository,
            read: Box::new(read),
            known: HashMap::new(),
        }
    }

    /// Returns true if the rules ignore the file at `path`, or a directory above it.
    pub(crate) fn ignores(&mut self, path: &[u8]) -> bool {
        let (dir, _) = path::split(path);
        match self.inside(dir) {
            None => true,
            Some(rules) => rules.is_some_and(|rules| rules.ignores(path, false)),
        }
    }

    fn inside(&mut self, dir: &[u8]) -> Option<Option<Arc<IgnoreRules>>> {
        let mut pending = Vec::new();
        let mut here = dir;
        let mut rules = loop {
            if let Some(known) = self.known.get(here) {
                break known.clone();
            }
            pending.push(here);
            if here.is_empty() {
                break Some(self.repository.ignore.clone());
            }
            here = path::split(here).0;
        };
        for dir in pending.into_iter().rev() {
            let above = rules.take();
            rules = above.and_then(|above| {
                let hidden =
                    !dir.is_empty() && above.as_ref().is_some_and(|rules| rules.ignores(dir, true));
                if hidden {
                    return None;
                }
                let scope = Scope {
                    dir,
                    case: self.repository.case,
                };
                Some(match (self.read)(&path::join(dir, b".gitignore")) {
                    Some(text) => IgnoreRules::parse(&text, scope, above),
                    None => above,
                })
            });
            self.known.insert(dir.to_vec(), rules.clone());
        }
        rules
    }
}
