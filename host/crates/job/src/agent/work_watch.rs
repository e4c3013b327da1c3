//! The watch on the agent's commands while it is silent.

use std::time::Duration;

use tokio::time::Instant;

use process::Workload;

/// Looks whether the agent's commands work while nothing is heard of them: a cold build is silent for minutes.
pub(super) struct WorkWatch {
    helper: u32,
    /// None before the first look: what came before it is the start.
    seen: Option<Workload>,
    seen_at: Instant,
    every: Duration,
    /// The time of the next look.
    pub(super) next: Instant,
}

impl WorkWatch {
    /// Four looks within the time after which an agent counts as stalled, so that work that has ended is not taken for
    /// work that goes on much longer than that.
    pub(super) fn of(helper: u32, stall: Duration) -> Self {
        let every = (stall / 4).clamp(Duration::from_millis(50), Duration::from_secs(15));
        let now = Instant::now();
        Self {
            helper,
            seen: None,
            seen_at: now,
            every,
            next: now + every,
        }
    }

    /// Returns true if they worked since the last look.
    pub(super) async fn goes_on(&mut self) -> bool {
        let helper = self.helper;
        let now = tokio::task::spawn_blocking(move || Workload::of(helper))
            .await
            .unwrap_or_default();
        let elapsed = self.seen_at.elapsed();
        let worked = match self.seen.replace(now.clone()) {
            Some(before) => now.has_worked_since(&before, elapsed),
            None => false,
        };
        self.seen_at = Instant::now();
        self.next = self.seen_at + self.every;
        worked
    }
}
