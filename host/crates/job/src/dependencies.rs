//! Folders of dependencies: what a build needs and no commit holds, so that an isolated tree lacks it.

use std::path::Path;

/// Every such folder by its last name.
pub(crate) const FOLDERS: [&str; 8] = [
    "node_modules",
    ".venv",
    "venv",
    "vendor",
    "deps",
    ".tox",
    "bower_components",
    "Pods",
];

/// A file that says which dependencies there are, the folder that they are in, and the command that fills it. The more
/// particular file comes first.
const MADE_BY: [(&str, &str, &str); 14] = [
    (
        "pnpm-lock.yaml",
        "node_modules",
        "pnpm install --frozen-lockfile",
    ),
    (
        "yarn.lock",
        "node_modules",
        "yarn install --frozen-lockfile",
    ),
    ("bun.lock", "node_modules", "bun install --frozen-lockfile"),
    ("bun.lockb", "node_modules", "bun install --frozen-lockfile"),
    ("package-lock.json", "node_modules", "npm ci"),
    ("npm-shrinkwrap.json", "node_modules", "npm ci"),
    ("package.json", "node_modules", "npm install"),
    ("uv.lock", ".venv", "uv sync --frozen"),
    (
        "poetry.lock",
        ".venv",
        "POETRY_VIRTUALENVS_IN_PROJECT=1 poetry install",
    ),
    (
        "requirements.txt",
        ".venv",
        "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
    ),
    ("composer.lock", "vendor", "composer install"),
    (
        "Gemfile.lock",
        "vendor",
        "bundle install --path vendor/bundle",
    ),
    ("mix.lock", "deps", "mix deps.get"),
    ("Podfile.lock", "Pods", "pod install"),
];

/// The messages of a command that misses something that is not installed.
const SAYS_MISSING: [&str; 12] = [
    "not found",
    "Cannot find module",
    "Cannot find package",
    "MODULE_NOT_FOUND",
    "No module named",
    "Could not find gem",
    "autoload.php",
    "node_modules",
    "No such file or directory",
    "Unchecked dependencies",
    "Could not resolve",
    "the Podfile.lock",
];

/// Returns the hint for a failed check of an isolated job: the folder that its tree lacks, and the ways to have it. None
/// where the failure does not look like one of a missing dependency, or nothing is missing. `places` are the directories
/// to look in, below `top`; `source` is the checkout that the tree was made from.
pub(crate) fn way_out(
    code: Option<i32>,
    output: &str,
    top: &Path,
    places: &[&Path],
    source: &Path,
) -> Option<String> {
    let is_missing = code == Some(127) || SAYS_MISSING.iter().any(|says| output.contains(says));
    if !is_missing {
        return None;
    }
    let (place, folder, command) = places.iter().find_map(|place| {
        let lacks = |(manifest, folder, _): &&(&str, &str, &str)| {
            place.join(manifest).is_file() && !place.join(folder).exists()
        };
        let (_, folder, command) = MADE_BY.iter().find(lacks)?;
        Some((place, folder, command))
    })?;
    let below = place.strip_prefix(top).unwrap_or(Path::new(""));
    let folder = below.join(folder);
    let cwd = match below.as_os_str().is_empty() {
        true => format!("setup = {command:?}"),
        false => format!("setup = {{ command = {command:?}, cwd = {below:?} }}"),
    };
    let copies = match source.join(&folder).is_dir() {
        true => format!(
            ", or a line {}/ in .worktreeinclude copies the checkout's",
            folder.display()
        ),
        false => String::new(),
    };
    Some(format!(
        "{} is not in this isolated tree: {cwd} in [repositories.{source:?}] of config.toml makes it{copies}",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_folder_that_a_failure_is_about_is_named_with_the_ways_to_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, source) = (folder.path().join("tree"), folder.path().join("source"));
        for path in ["tree/api", "source/node_modules", "tree/vendor"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        for path in [
            "package.json",
            "package-lock.json",
            "composer.lock",
            "api/uv.lock",
        ] {
            std::fs::write(tree.join(path), "").unwrap();
        }
        let ask = |code, output, places: &[&Path]| way_out(code, output, &tree, places, &source);
        let api = tree.join("api");
        let said = ask(Some(127), "sh: 1: mocha: not found", &[&tree]).unwrap();
        assert!(
            said.starts_with(
                "node_modules is not in this isolated tree: setup = \"npm ci\" in [repositories."
            ) && said
                .ends_with("or a line node_modules/ in .worktreeinclude copies the checkout's"),
            "{said}"
        );
        let said = ask(
            Some(1),
            "ModuleNotFoundError: No module named 'x'",
            &[&api, &tree],
        )
        .unwrap();
        assert!(
            said.contains("api/.venv")
                && said.contains("cwd = \"api\"")
                && !said.contains("copies"),
            "{said}"
        );
        assert_eq!(ask(Some(1), "assertion failed: 1 == 2", &[&tree]), None);
        std::fs::create_dir(tree.join("node_modules")).unwrap();
        assert_eq!(ask(Some(127), "x: not found", &[&tree]), None);
    }
}
