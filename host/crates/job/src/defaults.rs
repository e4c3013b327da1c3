//! The checks that the operator wants: `[[checks]]` of the host's configuration for every job, and those of
//! `[repositories."PATH"]` for the jobs in one repository. Never from the repository under work.

use std::path::{Component, Path, PathBuf};

use serde_json::Map;

use super::arguments::Arguments;
use super::check_arguments::{self, CHECK_KEYS, CHECKS_MAX, SAME_NAME};
use super::refusal::Refusal;
use super::spec::JobSpec;
use crate::checks::{CheckSpec, Origin};
use settings::Settings;

/// The keys of a check of the configuration besides those of a job's check.
const OWN_KEYS: [&str; 2] = ["required", "enabled"];

/// One check of the configuration.
struct Configured {
    name: String,
    /// None takes the check of that name away, where a weaker entry set one.
    check: Option<CheckSpec>,
}

/// Adds the operator's checks for the working tree at `top` to those of a job with the working directory `work_dir`. What
/// is required is always among them; what is not, where the job brings no list of its own.
///
/// # Errors
/// A check of the configuration breaks a rule, or one of the job has the name of a required one.
pub(super) fn add(
    spec: &mut JobSpec,
    settings: &Settings,
    top: &Path,
    work_dir: &Path,
) -> Result<(), Refusal> {
    let mut all = configured(settings, top)?;
    all.retain(|check| check.origin() == Origin::Required || spec.takes_defaults);
    for check in &mut all {
        if let CheckSpec::Command(command) = check {
            command.cwd = Some(from_work_dir(top, work_dir, command.cwd.as_deref()));
        }
    }
    let taken = spec
        .checks
        .iter()
        .position(|own| all.iter().any(|check| check.name() == own.name()));
    if let Some(at) = taken {
        return Err(Refusal::new(
            format!("checks[{at}].name"),
            "is the name of a check that the operator requires, which runs anyway; leave it out, or give yours another name",
        ));
    }
    spec.checks.extend(all);
    Ok(())
}

/// Every rule that the configured checks break, those of every repository too.
pub(crate) fn problems(settings: &Settings) -> Vec<Refusal> {
    let (file, repositories) = lists(settings, None);
    std::iter::once(file)
        .chain(repositories)
        .filter_map(|(place, tables)| read(&place, tables).err())
        .collect()
}

/// The checks for one working tree: of the whole file, then of each entry that names the tree, the strongest last. A later
/// one of the same name takes an earlier one's place.
fn configured(settings: &Settings, top: &Path) -> Result<Vec<CheckSpec>, Refusal> {
    let (file, repositories) = lists(settings, Some(top));
    let mut all: Vec<Configured> = Vec::new();
    for (place, tables) in std::iter::once(file).chain(repositories) {
        for check in read(&place, tables)? {
            match all.iter_mut().find(|known| known.name == check.name) {
                Some(known) => *known = check,
                None => all.push(check),
            }
        }
    }
    Ok(all.into_iter().filter_map(|check| check.check).collect())
}

/// The place where a list of checks stands, and the list.
type List<'a> = (String, &'a [toml::Table]);

fn lists<'a>(
    settings: &'a Settings,
    top: Option<&'a Path>,
) -> (List<'a>, impl Iterator<Item = List<'a>>) {
    let file = settings.sources.config_path().display().to_string();
    let entries = settings.repositories.all().iter();
    let entries = entries.filter(move |entry| top.is_none_or(|top| entry.is_for(top)));
    let of_file = (format!("{file}: "), settings.checks.as_slice());
    let of_entries = entries.map(move |entry| {
        (
            format!("{file}: repositories.{:?}.", entry.key),
            entry.checks.as_slice(),
        )
    });
    (of_file, of_entries)
}

fn read(place: &str, tables: &[toml::Table]) -> Result<Vec<Configured>, Refusal> {
    let list = serde_json::to_value(tables).map_err(|error| Refusal::new(place, error))?;
    let values = Map::from_iter([("checks".to_owned(), list)]);
    let mut list = Arguments::at(place.to_owned(), values, &["checks"])?;
    let known = [CHECK_KEYS, &OWN_KEYS].concat();
    let mut checks: Vec<Configured> = Vec::new();
    for mut check in list.objects("checks", &known, CHECKS_MAX)? {
        let required = check.boolean("required")?.unwrap_or(true);
        let enabled = check.boolean("enabled")?.unwrap_or(true);
        let configured = if enabled {
            let mut spec = check_arguments::check(&mut check)?;
            spec.set_origin(match required {
                true => Origin::Required,
                false => Origin::Default,
            });
            Configured {
                name: spec.name().to_owned(),
                check: Some(spec),
            }
        } else {
            let named = [check.word("name", 100)?, check.word("plugin", 100)?];
            let name = named.into_iter().flatten().next();
            let rule = "must be given: which check it is that does not apply here";
            Configured {
                name: name.ok_or_else(|| check.refuse("name", rule))?,
                check: None,
            }
        };
        if checks.iter().any(|known| known.name == configured.name) {
            return Err(check.refuse("name", SAME_NAME));
        }
        checks.push(configured);
    }
    Ok(checks)
}

/// A directory relative to the tree's top, as a path from the working directory.
pub(super) fn from_work_dir(top: &Path, work_dir: &Path, cwd: Option<&Path>) -> PathBuf {
    let depth = work_dir
        .strip_prefix(top)
        .map_or(0, |below| below.components().count());
    let mut path: PathBuf = std::iter::repeat_n(Component::ParentDir, depth).collect();
    path.push(cwd.unwrap_or(Path::new(".")));
    path
}

/// Tries whether the plugins that the checks name, and those that the operator requires, are there and take their settings.
/// Opens them.
///
/// # Errors
/// The first one that cannot be used, by its place in the job's own list, or as the operator's.
pub(super) fn try_plugins(
    checks: &[CheckSpec],
    plugins: &plugins::PluginSet,
) -> Result<(), Refusal> {
    for (at, check) in checks.iter().enumerate() {
        let CheckSpec::Plugin(check) = check else {
            continue;
        };
        let refuse = |key: &str, error: plugins::PluginError| {
            let argument = match check.origin {
                Origin::Job => format!("checks[{at}].{key}"),
                Origin::Default | Origin::Required => {
                    format!("the operator's check {:?}: {key}", check.name)
                }
            };
            Refusal::new(argument, error)
        };
        let plugin = plugins
            .check(&check.plugin)
            .map_err(|error| refuse("plugin", error))?;
        plugin
            .accepts(&check.settings)
            .map_err(|error| refuse("settings", error))?;
    }
    for name in plugins.standing_checks() {
        let accepted = plugins
            .check(name)
            .and_then(|plugin| plugin.accepts(&serde_json::Value::Null));
        accepted.map_err(|error| Refusal::new(format!("the operator's check {name:?}"), error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;
    use settings::Sources;

    fn settings(config: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let sources = Sources {
            config: Some(folder.path().join("config.toml")),
            ..Sources::from_environment([("HOME".to_owned(), "/home/me".to_owned())].into())
        };
        Settings::load(&sources).unwrap()
    }

    fn job(settings: &Settings, arguments: Value) -> JobSpec {
        let mut all = json!({ "prompt": "x", "allowed_dirs": ["/srv/app/web"] });
        for (name, value) in arguments.as_object().unwrap() {
            all[name] = value.clone();
        }
        let Value::Object(all) = all else {
            unreachable!()
        };
        crate::spec::parse_start(all, settings).unwrap().0
    }

    fn checks(config: &str, arguments: Value) -> Result<Vec<String>, Refusal> {
        let settings = settings(config);
        let mut spec = job(&settings, arguments);
        add(
            &mut spec,
            &settings,
            Path::new("/srv/app"),
            Path::new("/srv/app/web"),
        )?;
        let line = |check: &CheckSpec| match check {
            CheckSpec::Command(command) => format!(
                "{} {:?} in {}",
                command.name,
                command.origin,
                command.cwd.as_deref().unwrap_or(Path::new(".")).display()
            ),
            CheckSpec::Plugin(plugin) => format!("{} {:?}", plugin.name, plugin.origin),
        };
        Ok(spec.checks.iter().map(line).collect())
    }

    const TEAM: &str = r#"
        [[checks]]
        plugin = "secrets-in-diff"
        [[checks]]
        name = "format"
        command = "make format-check"
        required = false

        [[repositories."/srv/*".checks]]
        name = "lint"
        command = ["make", "lint"]
        cwd = "tools"
        [[repositories."/srv/app".checks]]
        name = "format"
        command = "npm run format"
        required = false
        [[repositories."/other".checks]]
        name = "never here"
        command = "false"
        "#;

    #[test]
    fn every_job_gets_what_is_required_and_the_defaults_where_it_brings_no_list() {
        assert_eq!(
            checks(TEAM, json!({})).unwrap(),
            [
                "secrets-in-diff Required",
                "format Default in ../.",
                "lint Required in ../tools",
            ]
        );
        for list in [json!([]), json!([{ "name": "own", "command": "make" }])] {
            let own = list.as_array().unwrap().len();
            let all = checks(TEAM, json!({ "checks": list })).unwrap();
            assert_eq!(
                all[own..],
                ["secrets-in-diff Required", "lint Required in ../tools"],
                "{all:?}"
            );
        }
    }

    #[test]
    fn a_job_can_neither_drop_nor_replace_a_required_one() {
        let refusal = checks(
            TEAM,
            json!({ "checks": [{ "name": "own", "command": "make" }, { "name": "lint", "command": "true" }] }),
        )
        .unwrap_err();
        assert_eq!(refusal.argument, "checks[1].name");
        assert!(refusal.rule.contains("the operator requires"), "{refusal}");
    }

    #[test]
    fn a_repository_can_be_spared_what_all_others_must_pass() {
        let config = format!(
            "{TEAM}\n[[repositories.\"/srv/app\".checks]]\nname = \"lint\"\nenabled = false\n"
        );
        assert_eq!(
            checks(&config, json!({})).unwrap(),
            ["secrets-in-diff Required", "format Default in ../."]
        );
    }

    #[test]
    fn what_is_wrong_is_named_by_file_key_and_rule() {
        for (config, key, rule) in [
            (
                "[[checks]]\ncommand = 'x'",
                "checks[0].name",
                "must be given",
            ),
            (
                "[[checks]]\nname = 'a'",
                "checks[0].command",
                "either command or plugin",
            ),
            (
                "[[checks]]\nname = 'a'\ncommand = 'x'\ntimeout = 5",
                "checks[0].timeout",
                "there are: name, command",
            ),
            (
                "[[checks]]\nname = 'a'\ncommand = 'x'\nrequired = 'yes'",
                "checks[0].required",
                "must be true or false",
            ),
            (
                "[[checks]]\nname = 'a'\ncommand = 'x'\n[[checks]]\nname = 'a'\ncommand = 'y'",
                "checks[1].name",
                "two checks have this name",
            ),
            (
                "[[repositories.'/srv/app'.checks]]\nname = 'a'\ncommand = 'x'\ntimeout_ms = 0",
                "repositories.\"/srv/app\".checks[0].timeout_ms",
                "whole number",
            ),
            (
                "[[repositories.'/srv/app'.checks]]\nenabled = false",
                "repositories.\"/srv/app\".checks[0].name",
                "must be given",
            ),
        ] {
            let settings = settings(config);
            let refusal = checks(config, json!({})).unwrap_err();
            let file = "config.toml: ";
            assert!(
                refusal.argument.ends_with(&format!("{file}{key}")),
                "{config}: {refusal}"
            );
            assert!(refusal.rule.contains(rule), "{config}: {refusal}");
            assert_eq!(problems(&settings).len(), 1);
        }
        let elsewhere = settings("[[repositories.'/other'.checks]]\nname = 'a'");
        assert_eq!(problems(&elsewhere).len(), 1, "found before a job is there");
    }
}
