//! `doctor --lessons` and `--forget`: what gateways have taught by refusing.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Finding, Terminal, Tone, exit};
use gateway::{lessons, rfc3339};
use settings::Settings;

fn folder(settings: &Settings) -> PathBuf {
    lessons::folder(&settings.cache_dir)
}

/// A line of the general look; nothing where no gateway has taught anything.
pub(super) fn look(settings: &Settings) -> Option<Finding> {
    match lessons::list(&folder(settings)) {
        Ok(kept) if kept.is_empty() => None,
        Ok(kept) => Some(Finding::ok(
            "lessons",
            format!(
                "{} learned from refusals of gateways (`doctor --lessons` lists them)",
                kept.len()
            ),
        )),
        Err(error) => Some(Finding::warn(
            "lessons",
            error.to_string(),
            "delete the folder: what gateways refuse is learned again",
        )),
    }
}

/// Lists the lessons, by gateway and model.
pub(super) fn show(settings: &Settings, json: bool) -> ExitCode {
    let kept = match lessons::list(&folder(settings)) {
        Ok(kept) => kept,
        Err(error) => return failed(&error.to_string()),
    };
    let mut terminal = Terminal::stdout();
    if json {
        let rows: Vec<_> = kept
            .iter()
            .map(|lesson| {
                serde_json::json!({
                    "gateway": lesson.gateway,
                    "model": lesson.model,
                    "lesson": lesson.words,
                    "learned": rfc3339(lesson.learned),
                })
            })
            .collect();
        terminal.line(serde_json::to_string_pretty(&rows).unwrap_or_default());
        return ExitCode::from(exit::OK);
    }
    if kept.is_empty() {
        terminal.line("No gateway has taught anything.");
    }
    let mut about = None;
    for lesson in &kept {
        let place = (lesson.gateway.as_str(), lesson.model.as_str());
        if about != Some(place) {
            about = Some(place);
            terminal.line(format!("{} at {}", lesson.model, lesson.gateway));
        }
        let learned = rfc3339(lesson.learned);
        let day = learned.split('T').next().unwrap_or_default();
        let day = terminal.paint(day, Tone::Quiet);
        terminal.line(format!("  {day}  {}", lesson.words));
    }
    ExitCode::from(exit::OK)
}

/// Forgets the lessons about a gateway, or all.
pub(super) fn forget(settings: &Settings, gateway: &str) -> ExitCode {
    let only = (gateway != "all").then_some(gateway);
    match lessons::forget(&folder(settings), only, None) {
        Ok(count) => {
            Terminal::stdout().line(format!("{count} forgotten"));
            ExitCode::from(exit::OK)
        }
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(message: &str) -> ExitCode {
    eprintln!("mcp-codex-worker: {message}");
    ExitCode::from(exit::FAILED)
}
