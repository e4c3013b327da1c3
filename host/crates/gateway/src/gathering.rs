//! The events that go to the caller in one write.

use std::time::{Duration, Instant};

/// Chunks further apart than this are a model's tokens as it makes them; each goes at once, and nobody looks for another.
const TOGETHER: Duration = Duration::from_millis(10);
/// The longest that events are kept for what has arrived with them; the first of an answer never are.
const KEPT_TIME: Duration = Duration::from_millis(5);
/// The number of times that the connection's task runs until it has handed over a chunk that lay in
/// its buffer: as counted with hyper 1.12, of whose chunks each was written for itself with one
/// turn.
const TURNS: u8 = 2;
/// The most bytes of events that are kept for it.
const KEPT_BYTES: usize = 16 * 1024;

/// Keeps events for those that have arrived with them: a gateway's small chunks come by the dozen in one packet, and a
/// write for each would cost more than all other work.
///
/// The connection hands its chunks over one by one. Whether it has another is seen after its task has had its turns.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    last_read: Option<Instant>,
    /// Since when events are kept.
    since: Option<Instant>,
    /// The turns that the connection's task has had since the last read.
    turns: u8,
}

impl Gathering {
    /// Events were read.
    pub(crate) fn read(&mut self, now: Instant) {
        let last = self.last_read.replace(now);
        if last.is_some_and(|last| now.duration_since(last) < TOGETHER) {
            self.since.get_or_insert(now);
        }
        self.turns = 0;
    }

    /// Returns true if so many bytes of events wait for more.
    pub(crate) fn keeps(&self, waiting: usize, now: Instant) -> bool {
        self.since
            .is_some_and(|since| waiting < KEPT_BYTES && now.duration_since(since) < KEPT_TIME)
    }

    /// Nothing more is there: whether the connection's task is to have a turn first.
    pub(crate) fn gives_turn(&mut self) -> bool {
        let gives = self.since.is_some() && self.turns < TURNS;
        self.turns += u8::from(gives);
        gives
    }

    /// Notes that the kept bytes are sent.
    pub(crate) fn end(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_wait_only_for_what_has_arrived_with_them_and_never_long() {
        let start = Instant::now();
        let after = |millis: u64| start + Duration::from_millis(millis);
        let mut gathering = Gathering::default();
        gathering.read(start);
        assert!(
            !gathering.keeps(1, start),
            "the first of an answer goes at once"
        );
        assert!(!gathering.gives_turn());
        gathering.read(after(0) + TOGETHER);
        assert!(
            !gathering.keeps(1, after(0) + TOGETHER) && !gathering.gives_turn(),
            "and so does one that comes by itself"
        );
        gathering.read(after(20) - TOGETHER / 10);
        gathering.end();
        gathering.read(after(20));
        assert!(gathering.keeps(1, after(20)));
        assert!(!gathering.keeps(KEPT_BYTES, after(20)));
        assert!(!gathering.keeps(1, after(20) + KEPT_TIME));
        // The connection's task gets its turns, and again after each read.
        assert_eq!(
            [(); 3].map(|()| gathering.gives_turn()),
            [true, true, false]
        );
        gathering.read(after(21));
        assert_eq!(
            [(); 3].map(|()| gathering.gives_turn()),
            [true, true, false]
        );
        // However closely they follow, they are not kept for longer than the first of them may be.
        assert!(!gathering.keeps(1, after(20) + KEPT_TIME));
        gathering.end();
        assert!(!gathering.keeps(1, after(21)) && !gathering.gives_turn());
    }
}
