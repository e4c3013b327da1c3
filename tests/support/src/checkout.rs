//! A checkout that the real git works in, for what only it can do: trickery with its index, merges, linked worktrees.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A repository on branch `main` at `<folder>/root/project`; `root` is what SANDBOX_ROOT should be, and beside it lies
/// what must not be reached.
pub struct Checkout {
    dir: TempDir,
}

impl Checkout {
    /// A repository with these files and a symlink `link` to the first of them, committed.
    pub fn with<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let checkout = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(checkout.top()).unwrap();
        checkout.git(&["init", "-q", "-b", "main"]);
        checkout.git(&["config", "user.name", "Anna"]);
        checkout.git(&["config", "user.email", "anna@example.org"]);
        let mut first = None;
        for (path, text) in files {
            checkout.write(path, text);
            first = first.or(Some(path));
        }
        symlink(first.expect("a file"), checkout.path("link")).unwrap();
        checkout.commit("start");
        checkout
    }

    /// The folder around everything.
    pub fn folder(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    /// SANDBOX_ROOT.
    pub fn root(&self) -> PathBuf {
        self.folder().join("root")
    }

    /// The top of the working tree.
    pub fn top(&self) -> PathBuf {
        self.root().join("project")
    }

    /// A path in the working tree.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.top().join(path)
    }

    /// Writes a file of the working tree, folders included.
    pub fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        write(&self.path(path), bytes);
    }

    /// Runs git at the top; gives what it printed.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.top(), arguments)
    }

    /// Commits the whole working tree.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }
}

/// Writes a file, folders included.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Runs git in `dir` without the user's and the system's configuration; gives what it printed, without the last line end.
pub fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.org",
            "-c",
            "protocol.file.allow=always",
        ])
        .args(arguments)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git is installed");
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

/// The kind of a file: 0 for a link, 1 for a file, more for what may be executed; and its bytes, or
/// where the link points.
pub type File = (u32, Vec<u8>);

/// Every file and link below `dir`, by its path from there; what lies in `.git` only when asked for.
pub fn files(dir: &Path, with_git: bool) -> BTreeMap<PathBuf, File> {
    fn collect(dir: &Path, top: &Path, with_git: bool, into: &mut BTreeMap<PathBuf, File>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.strip_prefix(top).unwrap().to_path_buf();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                if with_git || entry.file_name() != ".git" {
                    collect(&path, top, with_git, into);
                }
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap().into_os_string().into_vec();
                into.insert(name, (0, target));
            } else if kind.is_file() {
                let mode = entry.metadata().unwrap().permissions().mode() & 0o111;
                into.insert(name, (mode + 1, fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(dir, dir, with_git, &mut found);
    found
}
