//! `search` and `read_pack` in their runner.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::hangup::hung_up;
use super::resources::JobResources;
use crate::launch::Outcome;
use crate::reading::{self, Reading};
use crate::refusal::Refusal;
use redact::LogMask;
use settings::Settings;
use workspace::Root;

/// Reads, and answers over the front's socket. When the front hangs up, this ends.
pub(super) async fn answer(
    settings: Settings,
    reading: Reading,
    channel: UnixStream,
    mask: &LogMask,
) {
    let Ok(watched) = channel.try_clone() else {
        return;
    };
    let slow = reading.slow_argument();
    let mask = mask.clone();
    // A thread of its own: a pattern that is lost in one file is not interrupted, but ends with the process.
    let read = tokio::task::spawn_blocking(move || read(Arc::new(settings), &reading, &mask));
    let answered = tokio::select! {
        () = hung_up(watched) => return,
        answered = tokio::time::timeout(reading::HARD_LIMIT, read) => answered,
    };
    let outcome = match answered {
        Ok(Ok(Ok(reply))) => Outcome::Answer(reply),
        Ok(Ok(Err(refusal))) => Outcome::Refused(refusal),
        Ok(Err(fault)) => Outcome::Refused(Refusal::internal(fault)),
        Err(_) => {
            let limit = reading::HARD_LIMIT.as_secs();
            let rule = format!("took more than {limit} s; make it simpler, or name fewer paths");
            Outcome::Refused(Refusal::new(slow, rule))
        }
    };
    super::answer::send(&channel, &outcome);
}

fn read(settings: Arc<Settings>, reading: &Reading, mask: &LogMask) -> Result<Value, Refusal> {
    let path = settings.sandbox_root.as_deref();
    let path = path.ok_or_else(|| Refusal::new("SANDBOX_ROOT", "is not set"))?;
    let root = Root::open(path).map_err(|fault| Refusal::new("SANDBOX_ROOT", fault))?;
    let resources = JobResources::to_read(settings, &root, reading.paths());
    let resources = resources.map_err(Refusal::internal)?;
    mask.set(resources.redactor.clone());
    let deadline = Instant::now() + reading::SOFT_LIMIT;
    reading.run(&root, &resources.redactor, deadline)
}
