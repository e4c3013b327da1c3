//! `plugin new`, `plugin build`, `plugin test`.
#![allow(clippy::print_stdout)]

use std::path::Path;

use super::{Failure, LanguageArgument, shown, size};
use plugin_kit::template::{self, Language};
use plugin_kit::{build as builder, cases};
use plugins::manifest::Manifest;
use plugins::{Engine, Kind};
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
        LanguageArgument::Js => Language::JavaScript,
    };
    template::create(folder, kind, name, language)?;
    println!(
        "made {}: a {kind} that works as it is. Next:",
        shown(folder)
    );
    println!("    cd {}", shown(folder));
    match language {
        Language::Rust => {}
        Language::JavaScript => println!("    npm install --ignore-scripts"),
        Language::Python => {
            println!("    python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1")
        }
    }
    println!("    mcp-codex-worker plugin build");
    println!("    mcp-codex-worker plugin test");
    println!("    mcp-codex-worker plugin add .");
    Ok(true)
}

pub(super) fn build(dir: &Path) -> Result<bool, Failure> {
    let built = builder::build(dir)?;
    let manifest = &built.manifest;
    println!(
        "{} {} ({}): {}, {}",
        manifest.id,
        manifest.version,
        manifest.kind,
        shown(&built.component),
        size(built.size)
    );
    println!(
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
        println!("{} has no cases; make cases/NAME/case.json", manifest.id);
        return Ok(false);
    }
    for outcome in &outcomes {
        let cost = outcome.cost;
        println!(
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
            println!("    {line}");
        }
        for line in outcome.log.iter().flat_map(|text| text.lines()) {
            println!("    log: {line}");
        }
    }
    let failed = outcomes
        .iter()
        .filter(|outcome| !outcome.wrong.is_empty())
        .count();
    println!(
        "{} of {} cases passed",
        outcomes.len() - failed,
        outcomes.len()
    );
    Ok(failed == 0)
}
