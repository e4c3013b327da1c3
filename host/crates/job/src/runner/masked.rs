//! The runner's own log.

use std::sync::Arc;

use redact::log;
use redact::{KnownValues, LogMask, Redactor};
use settings::Settings;

/// Begins the log on stderr and in WORKER_LOG_FILE. The plugins' rules join the mask once they are loaded.
pub(super) fn begin_log(settings: &Settings) -> LogMask {
    let mask = LogMask::new(Redactor::new(KnownValues::of(settings), Vec::new()));
    let filter = std::env::var("WORKER_LOG").unwrap_or_default();
    let log = log::init(&filter, Arc::new(mask.clone()));
    if let Some(path) = &settings.log_file {
        log.write_to(path, settings.log_format);
    }
    mask
}
