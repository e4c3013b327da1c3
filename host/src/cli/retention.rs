//! What retention will do next, in words: for `jobs` and `doctor`.

use super::terminal::age;
use job::JobId;
use job::upkeep::{Due, Reason};

/// The jobs whose unapplied work is named one by one.
const NAMED: usize = 10;

/// One line for all that goes with nothing lost, and one for each job whose work was never applied.
pub(super) fn lines(due: &[(JobId, Due)], now_ms: i64) -> Vec<String> {
    let (work, plain): (Vec<_>, Vec<_>) = due.iter().partition(|(_, due)| due.unapplied.is_some());
    let mut lines = Vec::new();
    if !plain.is_empty() {
        let of = |reason| plain.iter().filter(|(_, due)| due.reason == reason).count();
        let why = match (of(Reason::Age), of(Reason::Size)) {
            (_, 0) => "older than WORKER_KEEP_DAYS",
            (0, _) => "beyond WORKER_KEEP_MB",
            _ => "older than WORKER_KEEP_DAYS or beyond WORKER_KEEP_MB",
        };
        let goes = plain.iter().filter_map(|(_, due)| due.goes_ms()).min();
        lines.push(format!(
            "{} jobs will be deleted, the first {}: {why}",
            plain.len(),
            goes.map_or_else(String::new, |goes| when(goes - now_ms)),
        ));
    }
    for (id, due) in work.iter().take(NAMED) {
        let unapplied = due.unapplied.as_deref().unwrap_or_default();
        let goes = match due.goes_ms() {
            Some(goes) => when(goes - now_ms),
            None => "in 7 days".to_owned(),
        };
        lines.push(format!(
            "job {id} will be deleted {goes}: {unapplied}; `mcp-codex-worker jobs apply {id}` brings them into the checkout"
        ));
    }
    if work.len() > NAMED {
        lines.push(format!(
            "... and {} more with work that was never applied",
            work.len() - NAMED
        ));
    }
    lines
}

fn when(left_ms: i64) -> String {
    match left_ms {
        ..=0 => "at the next end of a job".to_owned(),
        left => format!("in {}", age(left)),
    }
}
