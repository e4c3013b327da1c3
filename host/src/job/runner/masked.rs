//! The runner's own log.

use std::sync::Arc;

use super::equipment;
use crate::redact::{LogMask, Redactor};
use crate::settings::Settings;
use crate::telemetry::{self, Style};

/// Begins the log on stderr. The plugins' rules join the mask once they are loaded.
pub(super) fn begin_log(settings: &Settings) -> LogMask {
    let mask = LogMask::new(Redactor::new(equipment::held_values(settings), Vec::new()));
    let filter = std::env::var("WORKER_LOG").unwrap_or_default();
    let lines = mask.clone();
    telemetry::init(
        &filter,
        Style::Text,
        Some(Arc::new(move |line| lines.line(line))),
    );
    mask
}
