//! Waiting for what must come: with a limit that only a hang reaches.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::worker::PATIENCE;

/// Waits until `holds`; fails with `what` where that does not come.
#[track_caller]
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a file is there.
#[track_caller]
pub fn wait_for_file(path: &Path) {
    wait_for(&format!("{}", path.display()), || path.exists());
}
