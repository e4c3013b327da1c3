//! The sign of life of an answer under way: an agent shows none of its own for as long as one block takes.

use std::time::{Duration, Instant};

/// The shortest time between two signs of one answer.
const EVERY: Duration = Duration::from_secs(1);

/// Growth of an answer, told at most once a second.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    seen: usize,
    last: Option<Instant>,
}

impl Pulse {
    /// Returns true if a sign is due, with so much of the answer there.
    pub(crate) fn beats(&mut self, output: usize, now: Instant) -> bool {
        let grew = output > std::mem::replace(&mut self.seen, output);
        let due = self
            .last
            .is_none_or(|last| now.duration_since(last) >= EVERY);
        if grew && due {
            self.last = Some(now);
        }
        grew && due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_grows_shows_life_once_a_second() {
        let (mut pulse, start) = (Pulse::default(), Instant::now());
        let beats: Vec<bool> = [
            (0, 0),
            (5, 100),
            (9, 200),
            (9, 1_200),
            (12, 1_300),
            (13, 1_900),
        ]
        .map(|(output, millis)| pulse.beats(output, start + Duration::from_millis(millis)))
        .into();
        assert_eq!(beats, [false, true, false, false, true, false]);
    }
}
