//! The reasons why a ref is not brought, and the words of notes.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::Oid;

use super::objects::{LONGEST_PATH, MOST_BYTES, MOST_COMMITS, MOST_OBJECTS, MOST_PATHS};
use crate::error::WorkspaceError;
use crate::git_object::Fault;
use crate::path::{self, FilePath};

/// The longest note of one repository; bytes.
const LONGEST_NOTE: usize = 2_000;
/// The longest name of a ref or a file in a note; bytes.
const LONGEST_SHOWN: usize = 200;
/// The names of files in a reason.
const NAMED: usize = 3;

/// The reason why a branch does not come under its own name, or not at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
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

pub(super) fn named(paths: &[FilePath]) -> String {
    let first = paths.iter().take(NAMED);
    let first: Vec<String> = first.map(|path| shown(path.as_bytes())).collect();
    let more = paths.len().saturating_sub(NAMED);
    match more {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

pub(super) fn shown_path(path: &Path) -> String {
    path::quoted(path.as_os_str().as_bytes())
}

/// A name as a note has it: readable, and not longer than a line or two.
pub(super) fn shown(name: &[u8]) -> String {
    match name.get(..LONGEST_SHOWN) {
        Some(begin) if name.len() > LONGEST_SHOWN => format!("{}...", path::quoted(begin)),
        _ => path::quoted(name),
    }
}

/// As many of the sentences as a note has room for, and the number of the others.
pub(super) fn joined(lines: &[String]) -> String {
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
