//! `serve`: MCP over stdin and stdout.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::terminal::complain;
use super::{GlobalOptions, exit};
use crate::mcp;
use redact::log::{self, Mask};
use redact::{KnownValues, Redactor};
use settings::{SETTINGS, Sources};

/// Serves until the client is gone.
pub(super) fn run(global: &GlobalOptions) -> ExitCode {
    let served = mcp::claim().and_then(|streams| {
        let filter = std::env::var("WORKER_LOG").unwrap_or_default();
        let sources = global.sources();
        let log = log::init(&filter, Arc::new(Keys::of(&sources)));
        mcp::serve(streams, sources, log)
    });
    match served {
        Ok(()) => ExitCode::from(exit::OK),
        Err(fault) => {
            complain(format_args!("mcp-codex-worker: cannot serve: {fault}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

/// Takes the keys that this process was started with out of log lines.
struct Keys {
    known: KnownValues,
    /// Made at the first line, which most sessions never write.
    redactor: OnceLock<Redactor>,
}

impl Keys {
    fn of(sources: &Sources) -> Self {
        let mut known = KnownValues::new();
        for setting in SETTINGS.iter().filter(|setting| setting.secret) {
            if let Some(value) = sources.environment.get(setting.name) {
                known.add(setting.name, value);
            }
        }
        Self {
            known,
            redactor: OnceLock::new(),
        }
    }

    fn redactor(&self) -> &Redactor {
        self.redactor
            .get_or_init(|| Redactor::new(self.known.clone(), Vec::new()))
    }
}

impl Mask for Keys {
    fn line(&self, line: &str) -> String {
        self.redactor().text(line).into_string()
    }

    fn json(&self, value: Value) -> Value {
        self.redactor().json(value).into_value()
    }
}
