//! The commit that a program is built of, as a literal of its source.
//!
//! A macro and no build script: cargo compiles everything of a package again when its build script ran, the library and
//! each test program too. With a macro only the file that calls it depends on git's files, so a commit compiles the few
//! lines of `main.rs` again and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro::TokenStream;

/// The commit as a string literal: of the checkout that has the calling package in a folder of its root, else what
/// `git archive` wrote into `host/packaging/archived-commit`; empty where neither is known.
#[proc_macro]
pub fn commit(_: TokenStream) -> TokenStream {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let found = package
        .as_deref()
        .and_then(Path::parent)
        .map(find)
        .unwrap_or_default();
    expansion(&found).parse().unwrap_or_default()
}

/// A commit, and the files that say that it is another one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// The full hash; empty when it is not known.
    commit: String,
    files: Vec<PathBuf>,
}

/// The compiler notes each included file, so that cargo looks at it; the contents do not reach the program.
fn expansion(found: &Found) -> String {
    let watched: String = found
        .files
        .iter()
        .filter_map(|file| file.to_str())
        .map(|file| format!("const _: &[u8] = include_bytes!({file:?});"))
        .collect();
    format!("{{ {watched} {:?} }}", found.commit)
}

/// Looks into the root's own `.git` only: a package that was unpacked inside another repository is not of its commit.
fn find(root: &Path) -> Found {
    if root.join(".git").exists() {
        return in_checkout(root).unwrap_or_default();
    }
    let archived = root.join("host/packaging/archived-commit");
    match fs::read_to_string(&archived) {
        Ok(text) => Found {
            commit: hash(&text).unwrap_or_default(),
            files: vec![archived],
        },
        Err(_) => Found::default(),
    }
}

/// Reads git's files, since there need not be a git program.
fn in_checkout(root: &Path) -> Option<Found> {
    let dot_git = root.join(".git");
    let own = match fs::read_to_string(&dot_git) {
        // A linked worktree, or a submodule.
        Ok(text) => root.join(text.trim().strip_prefix("gitdir:")?.trim()),
        Err(_) => dot_git,
    };
    let common = match fs::read_to_string(own.join("commondir")) {
        Ok(text) => own.join(text.trim()),
        Err(_) => own.clone(),
    };
    let mut files = vec![own.join("HEAD")];
    // A branch that was packed gets a file of its own at the next commit: the log of HEAD grows in any case.
    files.extend([own.join("logs/HEAD"), common.join("packed-refs")]);
    let head = fs::read_to_string(own.join("HEAD")).ok()?;
    let commit = match head.trim().strip_prefix("ref:") {
        None => hash(&head),
        Some(name) => {
            let name = name.trim();
            let loose = common.join(name);
            let alone = fs::read_to_string(&loose).ok().and_then(|text| hash(&text));
            files.push(loose);
            alone.or_else(|| packed(&common.join("packed-refs"), name))
        }
    };
    files.retain(|file| file.is_file());
    Some(Found {
        commit: commit.unwrap_or_default(),
        files,
    })
}

fn packed(file: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text
        .lines()
        .find(|line| line.split(' ').nth(1) == Some(name))?;
    hash(line.split(' ').next()?)
}

/// A whole hash, of SHA-1 or SHA-256, and nothing else.
fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    let whole = [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use super::*;

    fn git(folder: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(["-c", "init.defaultBranch=main", "-c", "gc.auto=0"])
            .args(arguments)
            .current_dir(folder)
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(folder: &Path) -> String {
        git(
            folder,
            &["commit", "--quiet", "--allow-empty", "-m", "more"],
        );
        git(folder, &["rev-parse", "HEAD"])
    }

    fn repository(folder: &Path) -> PathBuf {
        let root = folder.join("ä b");
        fs::create_dir_all(&root).unwrap();
        git(&root, &["init", "--quiet"]);
        root
    }

    /// The files with their contents: what cargo sees of them.
    fn seen(found: &Found) -> Vec<(PathBuf, Vec<u8>)> {
        found
            .files
            .iter()
            .map(|file| (file.clone(), fs::read(file).unwrap()))
            .collect()
    }

    #[test]
    fn the_commit_of_a_checkout_is_what_git_says() {
        let folder = tempfile::tempdir().unwrap();
        let root = repository(folder.path());
        assert_eq!(find(&root).commit, "", "a branch without a commit");
        let first = commit(&root);
        assert_eq!(find(&root).commit, first);
        git(&root, &["pack-refs", "--all"]);
        assert_eq!(find(&root).commit, first, "a packed branch");
        git(&root, &["checkout", "--quiet", "--detach"]);
        assert_eq!(find(&root).commit, first, "a detached HEAD");
        let linked = folder.path().join("linked");
        let path = linked.to_str().unwrap();
        git(&root, &["worktree", "add", "--quiet", "-b", "side/b", path]);
        let second = commit(&linked);
        assert_eq!(find(&linked).commit, second, "a linked worktree");
        assert_eq!(find(&root).commit, first);
    }

    #[test]
    fn each_new_commit_shows_in_the_files_that_cargo_watches() {
        let folder = tempfile::tempdir().unwrap();
        let root = repository(folder.path());
        commit(&root);
        for packed in [false, true] {
            if packed {
                git(&root, &["pack-refs", "--all"]);
            }
            let before = seen(&find(&root));
            let next = commit(&root);
            let after = before
                .iter()
                .map(|(file, _)| (file.clone(), fs::read(file).unwrap_or_default()))
                .collect::<Vec<_>>();
            assert_ne!(before, after, "packed: {packed}");
            assert_eq!(find(&root).commit, next);
        }
    }

    #[test]
    fn a_package_without_git_is_of_no_other_repositorys_commit() {
        let folder = tempfile::tempdir().unwrap();
        let root = repository(folder.path());
        commit(&root);
        let package = root.join("vendor/worker");
        fs::create_dir_all(package.join("host/packaging")).unwrap();
        assert_eq!(find(&package), Found::default());
        let archived = package.join("host/packaging/archived-commit");
        fs::write(&archived, "$Format:%H$\n").unwrap();
        assert_eq!(
            find(&package).commit,
            "",
            "what git archive did not fill in"
        );
        let hash = "0123456789abcdef0123456789abcdef01234567";
        fs::write(&archived, format!("{hash}\n")).unwrap();
        assert_eq!(find(&package).commit, hash);
    }

    #[test]
    fn the_expansion_is_an_expression_that_includes_the_files() {
        let found = Found {
            commit: "abc".to_owned(),
            files: vec![PathBuf::from("/a \"b\"/HEAD")],
        };
        assert_eq!(
            expansion(&found),
            r#"{ const _: &[u8] = include_bytes!("/a \"b\"/HEAD"); "abc" }"#
        );
        assert_eq!(expansion(&Found::default()), "{  \"\" }");
    }
}
