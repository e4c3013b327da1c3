//! The runner's own log, from which secrets are taken out like from any other record.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use super::equipment;
use crate::redact::Redactor;
use crate::settings::Settings;
use crate::telemetry::{self, Style};

/// What takes secrets out of the log; the plugins' rules join once they are loaded.
#[derive(Clone, Default)]
pub(super) struct Mask(Arc<OnceLock<Redactor>>);

impl Mask {
    /// From here on the log goes through `redactor`.
    pub(super) fn set(&self, redactor: Redactor) {
        let _ = self.0.set(redactor);
    }
}

thread_local! {
    /// Whether this thread is masking a line: a redactor plugin that logs while it scans must not be asked about that.
    static MASKING: Cell<bool> = const { Cell::new(false) };
}

/// Begins the log on stderr. Until the plugins are loaded, and for what they log themselves, the values that the host
/// holds are taken out.
pub(super) fn begin_log(settings: &Settings) -> Mask {
    let mask = Mask::default();
    let held = Redactor::new(equipment::held_values(settings), Vec::new());
    let whole = mask.clone();
    let take_out = move |line: &str| {
        let outer = MASKING.replace(true);
        let redactor = if outer {
            &held
        } else {
            whole.0.get().unwrap_or(&held)
        };
        let masked = redactor.text(line).into_string();
        MASKING.set(outer);
        masked
    };
    let filter = std::env::var("WORKER_LOG").unwrap_or_default();
    telemetry::init(&filter, Style::Text, Some(Arc::new(take_out)));
    mask
}
