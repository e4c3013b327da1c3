//! The set-up that the operator gives to the isolated trees of a repository: `setup` of `[repositories."PATH"]`.

use std::path::Path;

use crate::defaults;
use crate::refusal::Refusal;
use crate::setup::{self, SetupSpec};
use crate::spec::JobSpec;
use settings::{Isolation, RepositoryEntry, Settings};

/// Gives a job the set-up of its tree, at `top`: its own where the operator allows that, else the operator's.
///
/// # Errors
/// The operator allows no set-up by jobs here, or the configured one breaks a rule.
pub(crate) fn settle(
    spec: &mut JobSpec,
    settings: &Settings,
    top: &Path,
    work_dir: &Path,
) -> Result<(), Refusal> {
    let entries = || settings.repositories.of(top);
    if spec.setup.is_some() {
        let allowed = entries().filter_map(|entry| entry.job_setup).last();
        if allowed != Some(true) {
            let rule = format!(
                "is the operator's to say here; job_setup = true in [repositories.{top:?}] of {} lets jobs bring one",
                settings.sources.config_path().display()
            );
            return Err(Refusal::new("setup", rule));
        }
        return Ok(());
    }
    if spec.isolation != Isolation::Worktree || spec.resume_job_id.is_some() {
        return Ok(());
    }
    let strongest = entries().filter(|entry| entry.setup.is_some()).last();
    let configured = strongest.map(|entry| configured(settings, entry));
    spec.setup = configured.transpose()?.flatten();
    if let Some(setup) = &mut spec.setup {
        let cwd = setup.command.cwd.as_deref();
        setup.command.cwd = Some(defaults::from_work_dir(top, work_dir, cwd));
    }
    Ok(())
}

/// Every rule that the configured checks and set-ups break: for `doctor`.
pub fn problems(settings: &Settings) -> Vec<Refusal> {
    let entries = settings.repositories.all().iter();
    let setups = entries.filter_map(|entry| configured(settings, entry).err());
    let mut problems = defaults::problems(settings);
    problems.extend(setups);
    problems
}

fn configured(settings: &Settings, entry: &RepositoryEntry) -> Result<Option<SetupSpec>, Refusal> {
    let file = settings.sources.config_path();
    let place = format!("{}: repositories.{:?}.setup", file.display(), entry.key);
    match &entry.setup {
        None | Some(toml::Value::Boolean(false)) => Ok(None),
        Some(value) => {
            let value = serde_json::to_value(value).map_err(|error| Refusal::new(&place, error))?;
            setup::read(&place, value).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::PathBuf;

    use serde_json::{Value, json};

    use super::*;
    use settings::Sources;

    fn settled(config: &str, arguments: Value) -> Result<Option<SetupSpec>, Refusal> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let settings = Settings::load(&Sources {
            config: Some(folder.path().join("config.toml")),
            ..Sources::from_environment([("HOME".to_owned(), "/home/me".to_owned())].into())
        })
        .unwrap();
        let mut all =
            json!({ "prompt": "x", "allowed_dirs": ["/srv/app/web"], "isolation": "worktree" });
        for (name, value) in arguments.as_object().unwrap() {
            all[name] = value.clone();
        }
        let (mut spec, _) = crate::spec::parse_start(all.as_object().unwrap().clone(), &settings)?;
        settle(
            &mut spec,
            &settings,
            Path::new("/srv/app"),
            Path::new("/srv/app/web"),
        )?;
        Ok(spec.setup)
    }

    const TEAM: &str = r#"
        [repositories."/srv/*"]
        setup = "make deps"
        job_setup = true
        [repositories."/srv/app"]
        setup = { command = ["npm", "ci"], lock_files = ["package-lock.json"], cwd = "api", timeout_ms = 5000 }
        [repositories."/srv/none"]
        setup = false
    "#;

    #[test]
    fn the_strongest_entry_counts_and_runs_from_the_trees_top() {
        let setup = settled(TEAM, json!({})).unwrap().unwrap();
        assert_eq!(setup.command.cwd, Some(PathBuf::from("../api")));
        assert_eq!(setup.command.timeout_ms, 5000);
        assert_eq!(setup.lock_files, [PathBuf::from("package-lock.json")]);
        let none = settled("", json!({})).unwrap();
        assert!(none.is_none());
        let plain = settled(TEAM, json!({ "isolation": "none" })).unwrap();
        assert!(plain.is_none(), "a checkout is set up by its user");
    }

    #[test]
    fn a_job_brings_its_own_only_where_the_operator_allows_it() {
        let own = json!({ "setup": "pnpm install" });
        let setup = settled(TEAM, own.clone()).unwrap().unwrap();
        assert_eq!(
            setup.command.cwd, None,
            "as a check's: the working directory"
        );
        let refused = settled("", own.clone()).unwrap_err();
        assert_eq!(refused.argument, "setup");
        assert!(refused.rule.contains("job_setup = true"), "{refused}");
        let closed = format!("{TEAM}\n[repositories.\"/srv/ap?\"]\njob_setup = false\n");
        settled(&closed, own).unwrap_err();
        let plain = json!({ "setup": "npm ci", "isolation": "none" });
        let refused = settled(TEAM, plain).unwrap_err();
        assert!(refused.rule.contains("worktree"), "{refused}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (setup, says) in [
            (json!(1), "must be a shell command"),
            (json!({ "lock_files": ["a"] }), "must be a shell command"),
            (
                json!({ "command": "x", "lock_files": ["/etc/x"] }),
                "lock_files",
            ),
            (
                json!({ "command": "x", "lock_files": ["../x"] }),
                "lock_files",
            ),
            (
                json!({ "command": "x", "locks": [] }),
                "there are: command, lock_files",
            ),
            (
                json!({ "command": "x", "retries": 1 }),
                "there are: command, lock_files",
            ),
        ] {
            let refused = settled(TEAM, json!({ "setup": setup })).unwrap_err();
            assert!(refused.to_string().contains(says), "{setup}: {refused}");
        }
    }
}
