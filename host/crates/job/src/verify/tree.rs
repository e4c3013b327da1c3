//! The tree that commands of the host's work in.

use std::path::{Path, PathBuf};

use process::{Confinement, Toolchains};
use workspace::{GitIdentity, Root};

/// The tree, and what a command may use in it.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The root that the tree lies in; check components read beneath it.
    pub root: Root,
    /// The job's working directory.
    pub work_dir: PathBuf,
    /// The top of the working tree: no `cwd` lies outside it.
    pub top: PathBuf,
    /// True if the tree is the job's own, with its git directory.
    pub is_own: bool,
    /// Folders that git in the tree writes and that are no part of it: the job's own git directories, by the paths at which
    /// they are found, or those of a linked worktree.
    pub git_writes: Vec<PathBuf>,
    /// True if the user's cargo packages are linked into HOME.
    pub cargo_packages: bool,
    /// The name under which git commits there.
    pub git_identity: GitIdentity,
    /// The files that they may use. The toolchains found and each check's room are added to them; the network follows each
    /// check's own wish.
    pub confinement: Confinement,
}

impl Tree {
    /// Returns true if commands find another folder in the tree's place.
    pub(super) fn is_a_stand_in(&self) -> bool {
        let mut places = self.confinement.stand_ins.iter();
        places.any(|stand_in| stand_in.at == self.top)
    }

    /// The toolchains for commands with this HOME. It must be there.
    pub(super) fn toolchains(&self, home: &Path) -> Toolchains {
        let toolchains = process::toolchains(home);
        if self.cargo_packages {
            toolchains.link_packages();
        }
        toolchains
    }
}
