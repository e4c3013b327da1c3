//! The files below a root that paths and globs name, without what git ignores.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::WorkspaceError;
use crate::handles::{self, Kind};
use crate::path::{self, FilePath};
use crate::repository::{self, Repository, UserRules};
use crate::root::{Listing, Root};
use crate::site::Site;
use crate::walk::Listed;

impl Root {
    /// The files that `patterns` name: files, directories (all in them) and globs, each absolute below the root or relative
    /// to it; what exists is meant as it is. `.git`, what git ignores (unless named itself) and symbolic links are left out.
    /// At most `most` files.
    ///
    /// # Errors
    /// When a pattern leads outside, is no glob, or names nothing that is there.
    pub fn list(&self, patterns: &[String], most: usize) -> Result<Listing, WorkspaceError> {
        let mut found = Found {
            root: self,
            user: UserRules::load(),
            buffer: vec![MaybeUninit::uninit(); 64 << 10].into_boxed_slice(),
            files: BTreeSet::new(),
            most,
            truncated: false,
        };
        for pattern in patterns {
            // A path that exists is that path, whatever signs of globs its names hold.
            let (start, glob) = match self.locate(Path::new(pattern)) {
                Ok(_) => (PathBuf::from(pattern), None),
                Err(_) => split_glob(Path::new(pattern)),
            };
            let (handle, start) = self.locate(&start)?;
            let stamp = handles::stamp_of(&handle).map_err(|source| WorkspaceError::Io {
                action: "list",
                path: start.clone(),
                source,
            })?;
            match (stamp.kind(), glob) {
                (Kind::File, None) => {
                    found.files.insert(start);
                }
                (Kind::Directory, None) => found.below(&start, None),
                (Kind::Directory, Some(glob)) => found.below(&start, Some(&glob_set(&glob)?)),
                _ => return Err(WorkspaceError::NotADirectory { path: start }),
            }
        }
        Ok(Listing {
            files: found.files.into_iter().collect(),
            truncated: found.truncated,
        })
    }
}

struct Found<'a> {
    root: &'a Root,
    user: UserRules,
    buffer: Box<[MaybeUninit<u8>]>,
    files: BTreeSet<PathBuf>,
    most: usize,
    truncated: bool,
}

impl Found<'_> {
    /// Takes in the files below the directory `start` that the globs match, in the order of their names.
    fn below(&mut self, start: &Path, globs: Option<&GlobSet>) {
        let (base, site) = self.site(start);
        let first = start.strip_prefix(&base).unwrap_or(Path::new(""));
        let mut pending = vec![(first.as_os_str().as_bytes().to_vec(), site)];
        while let Some((dir_path, mut site)) = pending.pop() {
            let full = base.join(FilePath::new(dir_path.as_slice()).as_path());
            let Ok(dir) = self.root.open_resolved_dir(&full) else {
                continue;
            };
            let Ok(names) = Listed::read(dir.as_fd(), &mut self.buffer) else {
                continue;
            };
            if names.has(b".git")
                && site
                    .as_ref()
                    .is_none_or(|site| site.repository.place != dir_path)
                && let Ok(Some(git_dir)) = repository::git_dir_of(self.root, dir.as_fd(), &full)
            {
                let nested = Repository::read(dir_path.clone(), git_dir, &self.user);
                site = Some(Site::of(Arc::new(nested)));
            }
            if let Some(site) = &mut site {
                site.enter(dir.as_fd(), &dir_path, &names);
            }
            let mut dirs = Vec::new();
            for (place, name) in names.sorted() {
                let bytes = name.to_bytes();
                if bytes == b".git" {
                    continue;
                }
                let kind = match place.is_dir() {
                    true => Some(Kind::Directory),
                    false => handles::stamp_at(&dir, name)
                        .ok()
                        .flatten()
                        .map(|stamp| stamp.kind()),
                };
                match kind {
                    Some(Kind::Directory) => {
                        let child = match &site {
                            None => Some(None),
                            Some(site) => site.child(&dir_path, bytes).map(Some),
                        };
                        dirs.extend(child.map(|site| (path::join(&dir_path, bytes), site)));
                    }
                    Some(Kind::File) => {
                        let hidden = site
                            .as_ref()
                            .is_some_and(|site| site.ignores_file(&dir_path, bytes));
                        let file = base.join(FilePath::new(path::join(&dir_path, bytes)).as_path());
                        let below = file.strip_prefix(start).unwrap_or(&file);
                        if hidden || globs.is_some_and(|globs| !globs.is_match(below)) {
                            continue;
                        }
                        if self.files.len() >= self.most && !self.files.contains(&file) {
                            self.truncated = true;
                            return;
                        }
                        self.files.insert(file);
                    }
                    _ => {}
                }
            }
            dirs.reverse();
            pending.append(&mut dirs);
        }
    }

    /// The folder that paths are relative to, and the rules that `start` lies under: those of its repository. Without
    /// rules where there is none, and where `start` is ignored: then it was named itself.
    fn site(&mut self, start: &Path) -> (PathBuf, Option<Site>) {
        let Ok((top, git_dir)) = repository::find(self.root, start) else {
            return (start.to_path_buf(), None);
        };
        let own = Repository::read(Vec::new(), git_dir, &self.user);
        let mut site = Site::of(Arc::new(own));
        let mut dir_path = Vec::new();
        let below = start.strip_prefix(&top).unwrap_or(Path::new(""));
        for component in below.components() {
            let full = top.join(FilePath::new(dir_path.as_slice()).as_path());
            if let Ok(dir) = self.root.open_resolved_dir(&full)
                && let Ok(names) = Listed::read(dir.as_fd(), &mut self.buffer)
            {
                site.enter(dir.as_fd(), &dir_path, &names);
            }
            let name = component.as_os_str().as_bytes();
            match site.child(&dir_path, name) {
                Some(child) => site = child,
                None => return (top, None),
            }
            dir_path = path::join(&dir_path, name);
        }
        (top, Some(site))
    }
}

/// Cuts `path` before its first component with a glob's sign.
fn split_glob(path: &Path) -> (PathBuf, Option<PathBuf>) {
    let is_glob = |component: &Component<'_>| matches!(component, Component::Normal(name) if name.as_bytes().iter().any(|byte| b"*?[{".contains(byte)));
    let mut start = PathBuf::new();
    let mut components = path.components().peekable();
    while let Some(component) = components.next_if(|component| !is_glob(component)) {
        start.push(component);
    }
    let rest: PathBuf = components.collect();
    if rest.as_os_str().is_empty() {
        // As it stands: a slash at its end asks for a directory.
        return (path.to_path_buf(), None);
    }
    (start, Some(rest))
}

fn glob_set(glob: &Path) -> Result<GlobSet, WorkspaceError> {
    let refuse = |error: globset::Error| WorkspaceError::BadGlob {
        glob: glob.to_path_buf(),
        reason: error.kind().to_string(),
    };
    let text = glob.to_str().ok_or_else(|| WorkspaceError::BadGlob {
        glob: glob.to_path_buf(),
        reason: "a glob must be UTF-8".to_owned(),
    })?;
    let glob = GlobBuilder::new(text)
        .literal_separator(true)
        .build()
        .map_err(refuse)?;
    GlobSetBuilder::new().add(glob).build().map_err(refuse)
}
