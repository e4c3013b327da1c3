//! Builds git repositories without asking the user's git for anything.

use std::fs;
use std::path::{Path, PathBuf};

use git2::{IndexAddOption, RepositoryInitOptions, Signature};
use tempfile::TempDir;

/// A repository on branch `main` in a temporary folder of its own, which is what SANDBOX_ROOT should be.
pub struct Repository {
    root: TempDir,
    top: PathBuf,
}

impl Repository {
    /// An unborn repository at `<root>/project`.
    pub fn unborn() -> Self {
        let root = tempfile::Builder::new()
            .prefix("worker-repo-")
            .tempdir()
            .expect("a temporary folder");
        // The system's temporary folder may be a symlink, and results name resolved paths.
        let top = fs::canonicalize(root.path())
            .expect("the temporary folder")
            .join("project");
        git2::Repository::init_opts(
            &top,
            RepositoryInitOptions::new()
                .initial_head("main")
                .no_reinit(true),
        )
        .expect("git init");
        Self { root, top }
    }

    /// A repository with these files committed.
    pub fn with<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let repository = Self::unborn();
        for (path, content) in files {
            repository.write(path, content);
        }
        repository.commit("start");
        repository
    }

    /// A clone of it, in a temporary folder of its own.
    pub fn cloned(&self) -> Self {
        let root = tempfile::Builder::new()
            .prefix("worker-clone-")
            .tempdir()
            .expect("a temporary folder");
        let top = fs::canonicalize(root.path())
            .expect("the temporary folder")
            .join("project");
        let from = self.top.to_str().expect("a path that is text");
        git2::Repository::clone(from, &top).expect("git clone");
        Self { root, top }
    }

    /// Takes what its origin has, as `git pull` does where nothing was committed here.
    pub fn pull(&self) {
        let git = self.git();
        let mut origin = git.find_remote("origin").expect("the origin");
        origin
            .fetch(&["main"], None, None)
            .expect("fetch from the origin");
        let newest = git
            .find_reference("FETCH_HEAD")
            .and_then(|fetched| fetched.peel(git2::ObjectType::Commit))
            .expect("what was fetched");
        git.reset(&newest, git2::ResetType::Hard, None)
            .expect("take what was fetched");
    }

    /// The temporary folder around the repository.
    pub fn root(&self) -> PathBuf {
        fs::canonicalize(self.root.path()).expect("the temporary folder")
    }

    /// The top of the working tree.
    pub fn path(&self) -> &Path {
        &self.top
    }

    /// Writes a file of the working tree, folders included.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.top.join(path);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("create the folder");
        fs::write(&path, content)
            .unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
    }

    /// Reads a file of the working tree.
    pub fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.top.join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
    }

    /// Deletes a file of the working tree.
    pub fn delete(&self, path: impl AsRef<Path>) {
        fs::remove_file(self.top.join(path)).expect("delete");
    }

    /// Makes a file of the working tree executable.
    #[cfg(unix)]
    pub fn make_executable(&self, path: impl AsRef<Path>) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.top.join(path), fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    /// Stages everything that is not ignored, as `git add -A`.
    pub fn stage(&self) {
        // An index whose repository is dropped takes itself for a bare one's.
        let git = self.git();
        let mut index = git.index().expect("the index");
        index
            .add_all(["*"], IndexAddOption::DEFAULT, None)
            .expect("stage");
        index.update_all(["*"], None).expect("stage deletions");
        index.write().expect("write the index");
    }

    /// Commits the whole working tree, and gives the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.stage();
        let git = self.git();
        let tree = git
            .index()
            .and_then(|mut index| index.write_tree())
            .expect("write the tree");
        let tree = git.find_tree(tree).expect("the tree");
        let someone = Signature::now("Someone", "someone@example.org").expect("a signature");
        let parent = git.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<_> = parent.iter().collect();
        git.commit(Some("HEAD"), &someone, &someone, message, &tree, &parents)
            .expect("commit")
            .to_string()
    }

    /// The commit that HEAD names.
    pub fn head(&self) -> String {
        self.git()
            .head()
            .and_then(|head| head.peel_to_commit())
            .expect("HEAD")
            .id()
            .to_string()
    }

    /// The paths that differ from HEAD, untracked ones included, in order.
    pub fn dirty(&self) -> Vec<String> {
        let mut options = git2::StatusOptions::new();
        options.include_untracked(true).recurse_untracked_dirs(true);
        let git = self.git();
        let statuses = git.statuses(Some(&mut options)).expect("status");
        let mut paths: Vec<String> = statuses
            .iter()
            .map(|entry| String::from_utf8_lossy(entry.path_bytes()).into_owned())
            .collect();
        paths.sort();
        paths
    }

    /// The repository itself, for what has no method here.
    pub fn git(&self) -> git2::Repository {
        git2::Repository::open(&self.top).expect("open the repository")
    }
}
