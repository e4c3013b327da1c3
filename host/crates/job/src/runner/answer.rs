//! The answer of a runner that its front waits for.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use crate::launch::Outcome;

/// Answers the front. One that is gone by now does not matter.
pub(super) fn send(mut channel: &UnixStream, outcome: &Outcome) {
    let text = serde_json::to_vec(outcome).unwrap_or_default();
    if let Err(fault) = channel.write_all(&text) {
        tracing::debug!(%fault, "the front is gone");
    }
}
