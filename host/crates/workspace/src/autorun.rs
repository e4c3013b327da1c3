//! Ignored files that git, a shell or an editor acts on by itself: no diff shows them, and they run as the user.

use crate::base::Base;
use crate::changes::Changes;
use crate::path::{self, FilePath};

/// Folders of editors, of tools that a shell calls at each prompt, and of hooks.
const FOLDERS: [&[u8]; 11] = [
    b".vscode",
    b".idea",
    b".zed",
    b".fleet",
    b".vs",
    b".devcontainer",
    b".direnv",
    b".husky",
    b".githooks",
    b".git-hooks",
    b".hooks",
];

/// Files that a shell reads where it is, or that the user sources by habit.
const FILES: [&[u8]; 8] = [
    b".envrc",
    b".autoenv",
    b".autoenv.zsh",
    b"mise.toml",
    b".mise.toml",
    b".mise.local.toml",
    b"mise.local.toml",
    b".exrc",
];

/// Parts of a git directory that decide what git runs.
const OF_GIT: [&[u8]; 6] = [
    b"config",
    b"config.worktree",
    b"hooks",
    b"commondir",
    b"gitdir",
    b"modules",
];

impl Base {
    /// Returns the touched ignored files that other programs run or obey without being asked, relative to the working
    /// directory.
    pub fn autorun(&self, changes: &Changes) -> Vec<FilePath> {
        let hooks: Vec<Vec<u8>> = self
            .repositories
            .iter()
            .filter_map(|repository| {
                let hooks = repository.hooks_path.as_deref()?;
                Some(path::join(&repository.place, hooks))
            })
            .collect();
        let runs = |path: &&FilePath| {
            let path = path.as_bytes();
            is_run(path) || hooks.iter().any(|hooks| path::is_within(path, hooks))
        };
        let shown =
            |path: &FilePath| FilePath::new(path::relative_to(path.as_bytes(), changes.prefix()));
        changes.touched.iter().filter(runs).map(shown).collect()
    }
}

fn is_run(path: &[u8]) -> bool {
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let Some((name, folders)) = parts.split_last() else {
        return false;
    };
    if folders.iter().any(|folder| FOLDERS.contains(folder)) || FILES.contains(name) {
        return true;
    }
    // An environment's `bin/activate`, `activate.fish`, `Scripts/Activate.ps1`.
    let activates = name.to_ascii_lowercase().starts_with(b"activate");
    if activates && matches!(folders.last(), Some(&b"bin" | &b"Scripts")) {
        return true;
    }
    if *name == b".git" {
        return true;
    }
    let git = folders.iter().rposition(|folder| *folder == b".git");
    let inside = git.and_then(|at| parts.get(at + 1));
    inside.is_some_and(|part| OF_GIT.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_by_itself_is_told_from_what_is_built() {
        for (path, runs) in [
            (".vscode/tasks.json", true),
            ("web/.idea/workspace.xml", true),
            (".envrc", true),
            ("deep/er/.envrc", true),
            (".husky/_/pre-commit", true),
            (".venv/bin/activate", true),
            (".venv/bin/activate.fish", true),
            ("env/Scripts/Activate.ps1", true),
            (".venv/bin/python", false),
            ("target/activate.o", false),
            ("node_modules/x/.git/config", true),
            ("node_modules/x/.git/hooks/post-checkout", true),
            ("vendor/x/.git", true),
            ("node_modules/x/.git/objects/aa/bb", false),
            ("target/debug/x", false),
            (".env", false),
            ("vscode/tasks.json", false),
        ] {
            assert_eq!(is_run(path.as_bytes()), runs, "{path}");
        }
    }
}
