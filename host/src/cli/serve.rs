//! `serve`: MCP over stdin and stdout.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use super::{GlobalOptions, exit};
use crate::mcp;
use crate::redact::{KnownValues, Redactor};
use crate::settings::{SETTINGS, Sources};
use crate::telemetry::{self, Mask, Style};

/// Serves until the client is gone.
pub(super) fn run(global: &GlobalOptions) -> ExitCode {
    let served = mcp::claim().and_then(|streams| {
        let filter = std::env::var("WORKER_LOG").unwrap_or_default();
        let sources = global.sources();
        telemetry::init(&filter, Style::Text, Some(mask(&sources)));
        mcp::serve(streams, sources)
    });
    match served {
        Ok(()) => ExitCode::from(exit::OK),
        Err(fault) => {
            eprintln!("mcp-codex-worker: cannot serve: {fault}");
            ExitCode::from(exit::FAILED)
        }
    }
}

/// Takes the keys that this process was started with out of log lines. Made at the first line, which most sessions never
/// write.
fn mask(sources: &Sources) -> Mask {
    let mut known = KnownValues::new();
    for setting in SETTINGS.iter().filter(|setting| setting.secret) {
        if let Some(value) = sources.environment.get(setting.name) {
            known.add(setting.name, value);
        }
    }
    let redactor = OnceLock::new();
    Arc::new(move |line| {
        redactor
            .get_or_init(|| Redactor::new(known.clone(), Vec::new()))
            .text(line)
            .to_string()
    })
}
