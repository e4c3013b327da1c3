//! Digests by which somebody else can tell later that a checkout holds what a job made.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Component, Path};

use git2::Oid;

use crate::changes::Changes;
use crate::contents::blob_id;
use crate::handles::Kind;
use crate::isolated::Isolated;
use crate::path::FilePath;
use crate::record::SealedFile;
use crate::source::open_source;

impl Changes {
    /// The digests of every changed file as it is now, relative to the tree's top; a file that is gone has none. What is no
    /// file, and what was too long to be kept, is left out.
    pub fn digests(&self) -> Vec<SealedFile> {
        let mut files = Vec::new();
        for file in self.files.iter().filter(|file| file.submodule.is_none()) {
            let gone = file.previous_top_path.iter();
            let gone = gone.chain(file.now.is_none().then_some(&file.top_path));
            files.extend(gone.map(|path| SealedFile {
                path: path.as_bytes().to_vec(),
                sha256: None,
                object: None,
            }));
            let Some((now, id)) = file.now.and_then(|now| Some((now, now.id()?))) else {
                continue;
            };
            if now.kind() == Kind::Special {
                continue;
            }
            if let Ok(bytes) = self.contents.read(id) {
                files.push(SealedFile {
                    path: file.top_path.as_bytes().to_vec(),
                    sha256: Some(crate::seal::sha256(&bytes)),
                    object: Some(id.to_string()),
                });
            }
        }
        files
    }
}

impl Isolated {
    /// The tree of the last result: the base with everything that jobs changed here.
    pub fn result_tree(&self) -> Option<String> {
        let last = self.record().results.last()?;
        let sealed = git2::Repository::open_bare(self.folder().join("result")).ok()?;
        let commit = sealed.find_commit(Oid::from_str(&last.commit).ok()?).ok()?;
        Some(commit.tree_id().to_string())
    }
}

/// The commit that a branch, a tag or an id names in the repository at `top`; HEAD where none is given.
pub fn commit_of(top: &Path, name: Option<&str>) -> Option<String> {
    let repository = open_source(top).ok()?;
    let object = repository.revparse_single(name.unwrap_or("HEAD")).ok()?;
    Some(object.peel_to_commit().ok()?.id().to_string())
}

/// The tree of a commit of the repository at `top`; none where it has no such commit.
pub fn tree_of(top: &Path, commit: &str) -> Option<String> {
    let repository = open_source(top).ok()?;
    let commit = repository.find_commit(Oid::from_str(commit).ok()?).ok()?;
    Some(commit.tree_id().to_string())
}

/// Returns the digests of a file below `top` as it is now; none where there is no file. A link's content is its target.
///
/// # Errors
/// The path leads out of `top`, or the file cannot be read.
pub fn digests_of(top: &Path, path: &[u8]) -> io::Result<SealedFile> {
    let shown = FilePath::new(path);
    let inside = shown
        .as_path()
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !inside {
        return Err(io::Error::other("the path leads out of the repository"));
    }
    let place = top.join(shown.as_path());
    let gone = SealedFile {
        path: path.to_vec(),
        sha256: None,
        object: None,
    };
    let found = match fs::symlink_metadata(&place) {
        Ok(found) => found,
        // A folder on the way is gone, or a file by now.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(gone);
        }
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    if found.is_symlink() {
        let target = fs::read_link(&place)?;
        bytes.extend_from_slice(std::os::unix::ffi::OsStrExt::as_bytes(target.as_os_str()));
    } else if found.is_file() {
        fs::File::open(&place)?.read_to_end(&mut bytes)?;
    } else {
        return Ok(gone);
    }
    Ok(SealedFile {
        sha256: Some(crate::seal::sha256(&bytes)),
        object: blob_id(&bytes).ok().map(|id| id.to_string()),
        ..gone
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_is_known_by_what_is_in_it_and_no_path_leads_out() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path();
        fs::create_dir(top.join("src")).unwrap();
        fs::write(top.join("src/a"), "hello\n").unwrap();
        std::os::unix::fs::symlink("a", top.join("src/link")).unwrap();
        let file = digests_of(top, b"src/a").unwrap();
        // As `sha256sum` and `git hash-object` say.
        assert_eq!(
            file.sha256.as_deref(),
            Some("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03")
        );
        assert_eq!(
            file.object.as_deref(),
            Some("ce013625030ba8dba906f756967f9e9ca394464a")
        );
        assert_ne!(digests_of(top, b"src/link").unwrap().sha256, file.sha256);
        for gone in [&b"src/b"[..], b"other/b", b"src/a/b", b"src"] {
            assert_eq!(digests_of(top, gone).unwrap().sha256, None);
        }
        for out in [&b"../etc/passwd"[..], b"/etc/passwd", b"src/../../x"] {
            assert!(digests_of(top, out).is_err());
        }
    }
}
