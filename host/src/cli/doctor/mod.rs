//! `doctor`: everything that can be wrong, one line each with its remedy.

mod codex;
mod lessons;
mod modes;
mod network;
mod path;
mod probes;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::terminal::{Terminal, Tone};
use super::{GlobalOptions, exit};
use settings::{SETTINGS, Settings};

/// The arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Exit code: 0 ok, 3 a warning, 1 a failure.")]
pub(super) struct DoctorArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Ask the configured gateways too, with about twelve short requests each: models, an answer, a tool call and its
    /// result, streaming, reasoning, the longest reply and prompt, schemas of tools, efforts
    #[arg(long)]
    network: bool,
    /// Write what that found into the config file, as facts of the gateway
    #[arg(long, requires = "network")]
    save: bool,
    /// List what gateways have taught by refusing, and look at nothing else
    #[arg(long, conflicts_with_all = ["network", "fix", "settings"])]
    lessons: bool,
    /// Forget what a gateway has taught: its URL, or `all`
    #[arg(long, value_name = "GATEWAY", conflicts_with_all = ["network", "fix", "settings", "lessons"])]
    forget: Option<String>,
    /// Fix what is safe to fix: permissions of this program's own files
    #[arg(long)]
    fix: bool,
    /// Print every setting with its value and where it came from
    #[arg(long)]
    settings: bool,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    verdict: Verdict,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn ok(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            verdict: Verdict::Ok,
            detail: detail.into(),
            remedy: None,
        }
    }

    fn warn(what: impl Into<String>, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            verdict: Verdict::Warn,
            detail: detail.into(),
            remedy: Some(remedy.into()),
        }
    }

    fn fail(what: impl Into<String>, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::warn(what, detail, remedy)
        }
    }
}

/// Looks at everything; the exit code says the worst.
pub(super) fn run(global: &GlobalOptions, arguments: &DoctorArguments) -> ExitCode {
    let sources = global.sources();
    let mut findings = Vec::new();
    if arguments.fix {
        findings.extend(probes::mend(&sources));
    }
    findings.extend(probes::settings_files(&sources));
    match Settings::load(&sources) {
        Ok(settings) => {
            if arguments.settings {
                return show_settings(&settings, arguments.json);
            }
            if arguments.lessons {
                return lessons::show(&settings, arguments.json);
            }
            if let Some(gateway) = &arguments.forget {
                return lessons::forget(&settings, gateway);
            }
            findings.extend(probes::all(&settings, arguments.json));
            findings.extend(lessons::look(&settings));
            if arguments.network {
                let options = network::Options {
                    save_to: arguments.save.then(|| sources.config_path()),
                    quiet: arguments.json,
                };
                findings.extend(network::probe(&settings, &options));
            }
        }
        Err(error) => findings.extend(error.problems.iter().map(|problem| {
            Finding::fail(
                problem.name.clone(),
                format!("is {}", problem.class),
                problem.rule.clone(),
            )
        })),
    }
    let worst = findings
        .iter()
        .map(|finding| finding.verdict)
        .max()
        .unwrap_or(Verdict::Ok);
    report(&findings, arguments.json);
    ExitCode::from(match worst {
        Verdict::Ok => exit::OK,
        Verdict::Warn => exit::UNDECIDED,
        Verdict::Fail => exit::FAILED,
    })
}

fn report(findings: &[Finding], json: bool) {
    let mut terminal = Terminal::stdout();
    if json {
        terminal.line(serde_json::to_string_pretty(findings).unwrap_or_default());
        return;
    }
    let width = findings
        .iter()
        .map(|finding| finding.what.chars().count())
        .max()
        .unwrap_or_default();
    for finding in findings {
        let (mark, tone) = match finding.verdict {
            Verdict::Ok => ("ok  ", Tone::Good),
            Verdict::Warn => ("warn", Tone::Doubtful),
            Verdict::Fail => ("fail", Tone::Bad),
        };
        let mark = terminal.paint(mark, tone);
        terminal.line(format!(
            "{mark}  {:<width$}  {}",
            finding.what, finding.detail
        ));
        if let Some(remedy) = &finding.remedy {
            terminal.line(format!("      {:<width$}  -> {remedy}", ""));
        }
    }
}

/// Every setting and where it comes from; values of secrets are never shown, nor is anything that may hold one.
fn show_settings(settings: &Settings, json: bool) -> ExitCode {
    let mut terminal = Terminal::stdout();
    let rows = SETTINGS.iter().map(|setting| {
        let origin = settings.origins.get(setting.name);
        (setting, origin.map_or("-".to_owned(), ToString::to_string))
    });
    if json {
        let rows: Vec<_> = rows
            .map(|(setting, origin)| {
                serde_json::json!({
                    "name": setting.name,
                    "default": setting.default,
                    "set_by": origin,
                    "secret": setting.secret,
                    "doc": setting.doc,
                })
            })
            .collect();
        terminal.line(serde_json::to_string_pretty(&rows).unwrap_or_default());
    } else {
        for (setting, origin) in rows {
            terminal.line(format!(
                "{:<26} set by {:<12} default {}",
                setting.name,
                origin,
                setting.default.unwrap_or("-")
            ));
            terminal.line(terminal.paint(&format!("    {}", setting.doc), Tone::Quiet));
        }
    }
    ExitCode::from(exit::OK)
}
