//! The files that a job may touch, and those that it did: path confinement beneath SANDBOX_ROOT, the snapshot before the job, the
//! exact changes after it, diffs, and trees of a job's own.
//!
//! The order of use: [`Root::open`] once, [`Workspace::open`] for a job's directories, [`Base::capture`] before the agent
//! starts, [`Base::changes`] when it is done (and before any check runs).
//!
//! The host looks at the files themselves, through directory handles, and compares them with what it saw before the job.
//! It never runs git and never asks git's index what changed: assume-unchanged bits, exclude rules, filters, commits and a
//! rewritten `.git` hide a change from `git status`, not from here.

mod apply;
mod apply_error;
mod autorun;
mod base;
mod bring;
mod changes;
mod checkout;
mod compare;
mod contents;
mod conversion;
mod delivery;
mod diff;
mod directory;
mod earlier;
mod error;
pub mod folder;
mod git_lock;
mod git_object;
mod handles;
mod identity;
mod ignored;
mod include;
mod index;
mod index_entry;
mod instructions;
mod interrupt;
mod isolated;
mod later;
pub mod layer;
mod lines;
mod listing;
mod made_up;
mod outcome;
mod own_git;
mod path;
mod ports;
mod proof;
mod put;
mod record;
mod renames;
mod renewed;
mod repository;
mod revert;
mod root;
mod rules;
mod seal;
mod set_id;
mod site;
mod small;
mod source;
mod state;
mod tamper;
mod times;
mod tree_rules;
mod unapplied;
mod walk;
mod worker;
mod workspace;

pub use apply::Applied;
pub use apply_error::ApplyError;
pub use base::Base;
pub use bring::{BringRequest, Rescued, rescue_commits};
pub use changes::{ChangeKind, ChangedFile, Changes, FileType, Reverted, Side, Submodule};
pub use contents::Limits;
pub use diff::{Diff, FileStat, Omitted, Selection};
pub use earlier::Earlier;
pub use error::WorkspaceError;
pub use git_lock::release_git_locks;
pub use identity::GitIdentity;
pub use ignored::CopyBounds;
pub use interrupt::Interrupt;
pub use isolated::{Isolated, IsolatedRequest, Pinned};
pub use later::Later;
pub use lines::{ChangedLines, LineSide};
pub use made_up::make_repository;
pub use outcome::{Hidden, Outcome};
pub use own_git::{GitMount, OwnGit};
pub use path::FilePath;
pub use ports::PortBase;
pub use proof::{commit_of, digests_of, tree_of};
pub use record::{ApplyHow, IsolatedRecord, NotCarried, NotCarriedReason, Sealed, SealedFile};
pub use root::{FileText, Listing, Root};
pub use tamper::{DotGitChange, GitChange};
pub use unapplied::Unapplied;
pub use workspace::Workspace;
