//! `doctor --network`: real requests through the adapter to the configured gateways. It says what
//! they take, and what the questions cost.

mod asked;
mod basics;
mod depth;
mod preset;
mod requests;

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::Finding;
use crate::cli::progress::Progress;
use crate::reason::Reason;
use gateway::{AdapterConfig, Mode, RecordSink};
use plugins::{Engine, PluginSet, PluginSettings};
use redact::{KnownValues, Redactor};
use settings::Settings;

use asked::Gateway;

/// The options beside the questions themselves.
#[derive(Debug)]
pub(super) struct Options {
    /// The config file that gets the answers.
    pub(super) save_to: Option<PathBuf>,
    /// No progress on standard error.
    pub(super) quiet: bool,
}

/// Asks the gateway, and the second one where there is one.
pub(super) fn probe(settings: &Settings, options: &Options) -> Vec<Finding> {
    let redactor = Redactor::new(KnownValues::of(settings), Vec::new());
    let mut progress = Progress::stderr(options.quiet);
    let mut findings = match requests(settings, &redactor, options, &mut progress) {
        Ok(findings) => findings,
        Err(reason) => vec![Finding::fail(
            "network",
            reason.0,
            "`mcp-codex-worker setup` asks for gateway, key and model",
        )],
    };
    progress.clear();
    // Whatever a gateway says goes through here, so that no key is ever printed.
    for finding in &mut findings {
        finding.detail = redactor.text(&finding.detail).to_string();
        finding.remedy = finding
            .remedy
            .take()
            .map(|remedy| redactor.text(&remedy).to_string());
    }
    findings
}

fn requests(
    settings: &Settings,
    redactor: &Redactor,
    options: &Options,
    progress: &mut Progress,
) -> Result<Vec<Finding>, Reason> {
    settings.gateway()?;
    let model = settings
        .model
        .clone()
        .ok_or("CLAUDE_MODEL is not set: there is no model to ask")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let plugins = PluginSet::load(
        &Engine::shared(&settings.cache_dir)?,
        &PluginSettings::of(settings, &[]),
    );
    let config = AdapterConfig::from_settings(
        settings,
        |named, base_url| plugins.choose_dialect(named, base_url),
        redactor.clone(),
        "doctor",
        RecordSink::none(),
    )?;
    let origin = |names: &[&str]| {
        let set = names
            .iter()
            .find_map(|name| Some((*name, settings.origins.get(*name)?)));
        match set {
            Some((name, origin)) => format!("{name} (set by {origin})"),
            None => names.first().copied().unwrap_or_default().to_owned(),
        }
    };
    let mut gateways = vec![(
        Gateway {
            prefix: "",
            model: model.clone(),
            url: origin(&["ONEAPI_BASE_URL", "ANTHROPIC_BASE_URL"]),
            key: origin(&["ONEAPI_API_KEY", "ANTHROPIC_API_KEY"]),
            model_setting: origin(&["CLAUDE_MODEL", "ANTHROPIC_MODEL"]),
        },
        AdapterConfig {
            fallback: None,
            ..config.clone()
        },
    )];
    if let Some((upstream, models)) = config.fallback.clone() {
        gateways.push((
            Gateway {
                prefix: "fallback ",
                model: models.first().cloned().unwrap_or(model),
                url: origin(&["FALLBACK_BASE_URL"]),
                key: origin(&["FALLBACK_API_KEY"]),
                model_setting: origin(&["FALLBACK_MODELS"]),
            },
            AdapterConfig {
                primary: upstream,
                fallback: None,
                ..config
            },
        ));
    }
    let mut findings = Vec::new();
    for (gateway, config) in gateways {
        let mode = config.mode;
        let base_url = config.primary.base_url.clone();
        let found = runtime.block_on(gateway.probe(config, progress));
        findings.extend(found.findings);
        let (Some(file), Some(facts), Mode::Translate) = (&options.save_to, found.facts, mode)
        else {
            continue;
        };
        let saved = Saved {
            named: settings.dialect.as_deref(),
            base_url: &base_url,
            url: &found.url,
            model: &gateway.model,
            facts: &facts,
        };
        findings.push(saved.write(&plugins, file, gateway.what("saved")));
    }
    Ok(findings)
}

/// The entry to save for a gateway and a model.
struct Saved<'a> {
    /// WORKER_DIALECT.
    named: Option<&'a str>,
    base_url: &'a str,
    /// The URL that requests go to.
    url: &'a str,
    model: &'a str,
    facts: &'a Map<String, Value>,
}
