//! `adapter`: the adapter alone, for an interactive Claude Code.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::signals::Signals;
use super::terminal::complain;
use super::{GlobalOptions, exit};
use gateway::facts::Origin;
use gateway::{Adapter, AdapterConfig, Mode, RecordSink, fresh_token};
use plugins::{Engine, PluginSet, PluginSettings};
use redact::log::{self, MetricsFile};
use redact::{KnownValues, LogMask, Redactor};
use settings::Settings;

/// The arguments of `adapter`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The gateway's key comes from ONEAPI_API_KEY (or ANTHROPIC_API_KEY), never from an argument.
USE_OPENAI_ADAPTER=0 relays to an Anthropic-compatible gateway instead of translating.")]
pub(super) struct AdapterArguments {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "N")]
    port: u16,
    /// Listen on an address that other machines can reach
    #[arg(long)]
    allow_remote: bool,
    /// The API key that callers must send; by default one is made and printed
    #[arg(long, value_name = "T")]
    token: Option<String>,
    /// The gateway, instead of ONEAPI_BASE_URL
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The gateway's model, instead of CLAUDE_MODEL; with neither, the caller's model name is passed on
    #[arg(long, value_name = "M")]
    model: Option<String>,
    /// The gateway's dialect, instead of WORKER_DIALECT
    #[arg(long, value_name = "D")]
    dialect: Option<String>,
    /// Retries of one request on one gateway, instead of WORKER_GATEWAY_RETRIES
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10))]
    retries: Option<u32>,
    /// Print the facts of the gateway and the model with their sources, and exit
    #[arg(long)]
    explain: bool,
}

/// Serves until a signal.
pub(super) fn run(global: &GlobalOptions, arguments: &AdapterArguments) -> ExitCode {
    let mut settings = match global.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    if !arguments.host.is_loopback() && !arguments.allow_remote {
        return wrong(&format!(
            "{} can be reached from other machines: say --allow-remote if that is meant",
            arguments.host
        ));
    }
    if arguments.token.as_deref().is_some_and(str::is_empty) {
        return wrong("--token must not be empty");
    }
    if let Some(base_url) = &arguments.base_url
        && let Err(why) = settings.use_gateway(base_url)
    {
        return wrong(&format!("--base-url needs a key for that gateway: {why}"));
    }
    settings.model = arguments.model.clone().or(settings.model);
    settings.dialect = arguments.dialect.clone().or(settings.dialect);
    settings.gateway_retries = arguments.retries.unwrap_or(settings.gateway_retries);
    match serve(&settings, arguments) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(Failure::Usage(message)) => wrong(&message),
        Err(Failure::Work(message)) => {
            complain(format_args!("mcp-codex-worker: {message}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

fn wrong(message: &str) -> ExitCode {
    complain(format_args!("mcp-codex-worker: {message}"));
    ExitCode::from(exit::USAGE)
}

enum Failure {
    /// The command line or the settings.
    Usage(String),
    /// Everything else.
    Work(String),
}

fn serve(settings: &Settings, arguments: &AdapterArguments) -> Result<(), Failure> {
    let (config, mask) = config(settings, arguments)?;
    if arguments.explain {
        return explain(&config);
    }
    // One thread serves hundreds of streams, and a wake-up on another core costs more than the work it brings.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Work(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let mut signals = Signals::listen()
            .map_err(|error| Failure::Work(format!("cannot listen for signals: {error}")))?;
        let token = config.token.clone();
        let through = config.models.main.is_none();
        let redactor = config.redactor.clone();
        let adapter = Adapter::bind(SocketAddr::new(arguments.host, arguments.port), config)
            .await
            .map_err(|error| Failure::Work(error.to_string()))?;
        // Only now: what was logged so far is our own, and a redactor takes its time to begin.
        mask.set(redactor);
        announce(
            &adapter,
            token.as_deref().filter(|_| arguments.token.is_none()),
            through,
        )
        .map_err(|error| Failure::Work(format!("cannot write to stdout: {error}")))?;
        signals.next().await;
        adapter.shutdown().await;
        Ok(())
    })
}

/// Prints where requests go, and every fact that somebody states with its source.
fn explain(config: &AdapterConfig) -> Result<(), Failure> {
    if config.mode == Mode::Relay {
        let message = "--explain: USE_OPENAI_ADAPTER=0 relays Anthropic messages as they are";
        return Err(Failure::Usage(message.to_owned()));
    }
    let model = config.models.main.as_deref().unwrap_or_default();
    let known = config
        .explain(model)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let stated = known.facts.explain().iter();
    let stated = stated.filter(|fact| fact.origin != Origin::Default);
    let rows = stated
        .map(|fact| {
            (
                fact.fact.as_str(),
                fact.value.to_string(),
                fact.origin.to_string(),
            )
        })
        .collect::<Vec<_>>();
    let width = |of: fn(&(&str, String, String)) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (first, second) = (width(|row| row.0.len()), width(|row| row.1.len()).min(48));
    let mut text = format!("{} for {model:?}\n", known.url);
    for (fact, value, origin) in &rows {
        text.push_str(&format!("{fact:<first$}  {value:<second$}  {origin}\n"));
    }
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::Work(format!("cannot write to stdout: {error}")))
}

/// The adapter's configuration, and the mask of the log that has begun.
fn config(
    settings: &Settings,
    arguments: &AdapterArguments,
) -> Result<(AdapterConfig, LogMask), Failure> {
    let token = match &arguments.token {
        Some(token) => token.clone(),
        None => fresh_token()
            .map_err(|error| Failure::Work(format!("no randomness for a token: {error}")))?,
    };
    let mut known = KnownValues::of(settings);
    known.add("adapter-token", &token);
    let mask = begin_log(settings, &known);
    let engine =
        Engine::shared(&settings.cache_dir).map_err(|error| Failure::Work(error.to_string()))?;
    let plugins = PluginSet::load(&engine, &PluginSettings::of(settings, &[]));
    let redactor = Redactor::new(known, plugins.redactors());
    let records = match &settings.metrics_file {
        None => RecordSink::none(),
        Some(path) => {
            let file = MetricsFile::open(path).map_err(|error| {
                Failure::Usage(format!("WORKER_METRICS_FILE {}: {error}", path.display()))
            })?;
            RecordSink::new(move |record| {
                if let Err(error) = file.append(record) {
                    tracing::warn!("cannot write WORKER_METRICS_FILE: {error}");
                }
            })
        }
    };
    let config = AdapterConfig::from_settings(
        settings,
        |named, base_url| plugins.choose_dialect(named, base_url),
        redactor,
        "adapter",
        records,
    )
    .map_err(|error| Failure::Usage(error.to_string()))?;
    if config.mode == Mode::Relay && settings.dialect.is_some() {
        tracing::warn!("a dialect has no effect on a relay (USE_OPENAI_ADAPTER=0)");
    }
    let config = AdapterConfig {
        token: Some(token),
        ..config
    };
    Ok((config, mask))
}

/// Begins the log on stderr and in WORKER_LOG_FILE, out of which the values held are taken until the plugins' rules join them.
fn begin_log(settings: &Settings, known: &KnownValues) -> LogMask {
    let mask = LogMask::new(Redactor::new(known.clone(), Vec::new()));
    let filter = std::env::var("WORKER_LOG").unwrap_or_else(|_| "info".to_owned());
    let log = log::init(&filter, Arc::new(mask.clone()));
    if let Some(path) = &settings.log_file {
        log.write_to(path, settings.log_format);
    }
    mask
}

/// Says where it listens, and what to export when the token is not the caller's own.
fn announce(adapter: &Adapter, token: Option<&str>, through: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match token {
        None => writeln!(out, "listening on {}", adapter.url())?,
        Some(token) => {
            writeln!(out, "export ANTHROPIC_BASE_URL={}", adapter.url())?;
            writeln!(out, "export ANTHROPIC_AUTH_TOKEN={token}")?;
        }
    }
    if through {
        writeln!(
            out,
            "# No CLAUDE_MODEL and no --model: start Claude Code with --model and a name that the gateway knows."
        )?;
    }
    out.flush()
}
