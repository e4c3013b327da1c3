//! `[repositories."PATH"]` of the config file: what the operator set for the jobs of some repositories only.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::error::Problem;
use super::origin::Origin;
use super::path::is_absolute;

/// The keys of an entry.
const KEYS: &str = "checks, plugins, lock, setup, job_setup";

/// The characters by which a path is a glob.
const GLOB: [char; 4] = ['*', '?', '[', '{'];

/// Every entry, weakest first.
#[derive(Debug, Clone, Default)]
pub struct Repositories {
    entries: Vec<RepositoryEntry>,
}

/// The operator's settings for the repositories that one path or glob names. What the tables mean is for the modules to say
/// whose concern they are.
#[derive(Debug, Clone)]
pub struct RepositoryEntry {
    /// The path or glob as it is written, to name the entry by.
    pub key: String,
    /// `checks`: further ones beside those of the whole file, in the same form.
    pub checks: Vec<toml::Table>,
    /// `plugins`: laid over those of the whole file, in the same form.
    pub plugins: toml::Table,
    /// `lock`: the digest of the repository's `plugins.lock` that the operator accepted, in hex.
    pub lock: Option<String>,
    /// `setup`: the command that makes an isolated tree ready, or a table with it; `false` takes a weaker entry's away.
    pub setup: Option<toml::Value>,
    /// `job_setup`: whether a job may bring a set-up of its own.
    pub job_setup: Option<bool>,
    names: Names,
}

/// The working trees that an entry is for.
#[derive(Debug, Clone)]
enum Names {
    /// The one whose top is this folder, by whatever name it is reached.
    Folder(PathBuf),
    /// Those whose top, resolved, the glob matches; `*` stays within one folder.
    Glob(GlobMatcher),
}

impl Repositories {
    /// Reads the table. `~/` counts from the user's home.
    pub(super) fn read(
        table: toml::Table,
        home: Option<&Path>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut entries: Vec<_> = table
            .into_iter()
            .filter_map(
                |(key, value)| match RepositoryEntry::read(&key, value, home) {
                    Ok(entry) => Some(entry),
                    Err((place, class, rule)) => {
                        let name = format!("repositories.{key:?}{place}");
                        let origin = Some(Origin::ConfigFile);
                        problems.push(Problem::new(name, origin, class, rule));
                        None
                    }
                },
            )
            .collect();
        entries.sort_by_key(RepositoryEntry::strength);
        Self { entries }
    }

    /// The entries for the working tree with this top, weakest first: a later one wins over an earlier one. Globs come
    /// before paths, and among globs the one with less before its first wildcard comes first.
    pub fn of<'a>(&'a self, top: &'a Path) -> impl Iterator<Item = &'a RepositoryEntry> {
        self.entries.iter().filter(move |entry| entry.is_for(top))
    }

    /// The entries for any of these working trees, weakest first.
    pub fn of_any<'a>(&'a self, tops: &'a [PathBuf]) -> impl Iterator<Item = &'a RepositoryEntry> {
        self.entries
            .iter()
            .filter(|entry| tops.iter().any(|top| entry.is_for(top)))
    }

    /// Every entry, weakest first.
    pub fn all(&self) -> &[RepositoryEntry] {
        &self.entries
    }
}

impl RepositoryEntry {
    /// The fault: the place within the entry, the class of the value, the rule.
    fn read(
        key: &str,
        value: toml::Value,
        home: Option<&Path>,
    ) -> Result<Self, (String, &'static str, String)> {
        let own = |class, rule: &str| (String::new(), class, rule.to_owned());
        let toml::Value::Table(table) = value else {
            return Err(own(
                "not a table",
                "must be tables written as [repositories.\"/path\"]",
            ));
        };
        let written = match (key.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(key),
        };
        if !is_absolute(&written) {
            return Err(own(
                "no absolute path",
                "must be the path of a working tree's top, or a glob of such paths; ~/ may begin it",
            ));
        }
        let names = if key.contains(GLOB) {
            let glob = written.to_str().and_then(|glob| {
                GlobBuilder::new(glob.trim_end_matches('/'))
                    .literal_separator(true)
                    .build()
                    .ok()
            });
            Names::Glob(
                glob.ok_or_else(|| own("no valid glob", "must be a path or a glob"))?
                    .compile_matcher(),
            )
        } else {
            Names::Folder(written)
        };
        let mut entry = Self {
            key: key.to_owned(),
            checks: Vec::new(),
            plugins: toml::Table::new(),
            lock: None,
            setup: None,
            job_setup: None,
            names,
        };
        for (name, value) in table {
            match (name.as_str(), value) {
                ("checks", value) => {
                    entry.checks = tables(value)
                        .ok_or_else(|| (".checks".to_owned(), NO_TABLES, CHECKS_RULE.to_owned()))?;
                }
                ("plugins", toml::Value::Table(plugins)) => entry.plugins = plugins,
                ("lock", toml::Value::String(digest)) => entry.lock = Some(digest),
                ("lock", _) => {
                    let rule = "must be the digest that `plugin accept` wrote";
                    return Err((".lock".to_owned(), "not a text", rule.to_owned()));
                }
                ("plugins", _) => {
                    let rule = "must be tables written as [repositories.\"/path\".plugins.NAME]";
                    return Err((".plugins".to_owned(), "not a table", rule.to_owned()));
                }
                ("setup", value) => entry.setup = Some(value),
                ("job_setup", toml::Value::Boolean(allowed)) => entry.job_setup = Some(allowed),
                ("job_setup", _) => {
                    let rule = "must be true or false".to_owned();
                    return Err((".job_setup".to_owned(), "not a boolean", rule));
                }
                _ => {
                    let rule = format!("there are {KEYS}");
                    return Err((format!(".{name}"), "no such key", rule));
                }
            }
        }
        Ok(entry)
    }

    /// Returns true if it is for the working tree with this top.
    pub fn is_for(&self, top: &Path) -> bool {
        match &self.names {
            Names::Folder(folder) => {
                folder == top
                    || std::fs::canonicalize(folder).is_ok_and(|folder| {
                        folder == top || std::fs::canonicalize(top).is_ok_and(|top| folder == top)
                    })
            }
            Names::Glob(glob) => glob.is_match(top),
        }
    }

    fn strength(&self) -> (bool, usize) {
        match &self.names {
            Names::Glob(_) => (false, self.key.find(GLOB).unwrap_or_default()),
            Names::Folder(_) => (true, 0),
        }
    }
}

/// The fault of a value that should be a list of tables.
pub(super) const NO_TABLES: &str = "not a list of tables";
/// The rule for `checks`.
pub(super) const CHECKS_RULE: &str = "must be tables written as [[checks]], one a check";

/// A list of tables; `None` when it is anything else.
pub(super) fn tables(value: toml::Value) -> Option<Vec<toml::Table>> {
    let toml::Value::Array(items) = value else {
        return None;
    };
    let table = |item| match item {
        toml::Value::Table(table) => Some(table),
        _ => None,
    };
    items.into_iter().map(table).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> (Repositories, Vec<String>) {
        let mut problems = Vec::new();
        let home = Some(Path::new("/home/me"));
        let read = Repositories::read(text.parse().unwrap(), home, &mut problems);
        (read, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_tree_gets_every_entry_that_names_it_the_most_particular_one_last() {
        let (repositories, problems) = read(
            r#"
            ["/srv/team/app".plugins.leftovers]
            enabled = false
            ["/srv/**"]
            ["/srv/team/*"]
            checks = [{ name = "lint", command = "make lint" }]
            ["~/app"]
            ["/other"]
            "#,
        );
        assert_eq!(problems, [""; 0]);
        let of = |top| -> Vec<&str> {
            repositories
                .of(Path::new(top))
                .map(|entry| entry.key.as_str())
                .collect()
        };
        assert_eq!(
            of("/srv/team/app"),
            ["/srv/**", "/srv/team/*", "/srv/team/app"]
        );
        assert_eq!(of("/srv/team/app/nested"), ["/srv/**"]);
        assert_eq!(of("/home/me/app"), ["~/app"]);
        assert_eq!(of("/srv2"), [""; 0]);
        let team = repositories.of(Path::new("/srv/team/x")).last().unwrap();
        assert_eq!(team.checks[0]["name"].as_str(), Some("lint"));
    }

    #[cfg(unix)]
    #[test]
    fn a_tree_is_the_same_by_whatever_name_it_is_reached() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let (repositories, _) = read(&format!("[{:?}]", link.to_str().unwrap()));
        assert_eq!(repositories.of(&real).count(), 1);
        assert_eq!(repositories.of(folder.path()).count(), 0);
    }

    #[test]
    fn what_is_wrong_is_named_by_key_and_rule() {
        for (text, says) in [
            ("app = 1", "repositories.\"app\""),
            ("[app]", "is no absolute path"),
            ("[\"/srv/[a\"]", "is no valid glob"),
            (
                "[\"/srv\"]\nchecks = 1",
                "repositories.\"/srv\".checks (config file) is not a list",
            ),
            (
                "[\"/srv\"]\nplugins = 1",
                "repositories.\"/srv\".plugins (config file) is not a table",
            ),
            (
                "[\"/srv\"]\ncheck = 1",
                "repositories.\"/srv\".check (config file) is no such key: there are checks, plugins, lock, setup, job_setup",
            ),
            (
                "[\"/srv\"]\njob_setup = 1",
                "repositories.\"/srv\".job_setup (config file) is not a boolean",
            ),
        ] {
            let (_, problems) = read(text);
            assert!(
                problems.iter().any(|problem| problem.contains(says)),
                "{text}: {problems:?}"
            );
        }
    }
}
