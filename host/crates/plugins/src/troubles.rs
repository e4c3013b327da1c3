//! The breakdowns of a plugin, counted over processes: a job is a process, and what breaks down in each of them would never
//! be put aside otherwise. A file per component, named after its digest, has the time of each breakdown as a line.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// So many breakdowns within that time put a plugin out of use.
const QUARANTINE: (usize, Duration) = (5, Duration::from_secs(600));

/// A file of more bytes than this is written anew, with the last breakdowns alone.
const LONG: usize = 4096;

/// The breakdowns of one component.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    file: Option<PathBuf>,
    /// The last ones, in milliseconds since 1970.
    times: Vec<u64>,
}

impl Troubles {
    /// Reads what other processes counted.
    pub(super) fn of(folder: &Path, sha256: &str) -> Self {
        let file = folder.join(sha256);
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let times: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
        let mut troubles = Troubles {
            file: Some(file),
            times,
        };
        troubles.forget();
        if text.len() > LONG {
            troubles.rewrite();
        }
        troubles
    }

    /// Counts one more.
    pub(super) fn add(&mut self) {
        let now = now();
        self.times.push(now);
        if let Some(file) = &self.file {
            let folder = file.parent().map_or(Ok(()), private::make_folder);
            let written = folder
                .and_then(|()| private::file().append(true).create(true).open(file))
                .and_then(|mut file| file.write_all(format!("{now}\n").as_bytes()));
            if let Err(error) = written {
                tracing::debug!(file = %file.display(), "a breakdown is counted in this process alone: {error}");
            }
        }
        self.forget();
    }

    /// Returns how often it broke down, and for how long it is not started, where that was too often.
    pub(super) fn too_many(&mut self) -> Option<(usize, Duration)> {
        self.forget();
        let (most, within) = QUARANTINE;
        let first = self.times.len().checked_sub(most)?;
        let since = now().saturating_sub(*self.times.get(first)?);
        Some((
            self.times.len(),
            within.saturating_sub(Duration::from_millis(since)),
        ))
    }

    fn forget(&mut self) {
        let now = now();
        let within = QUARANTINE.1.as_millis();
        // A time to come is one of a clock that was set back.
        self.times
            .retain(|time| *time <= now && u128::from(now - time) < within);
    }

    fn rewrite(&self) {
        let text: String = self.times.iter().map(|time| format!("{time}\n")).collect();
        if let Some(file) = &self.file {
            let _ = std::fs::write(file, text);
        }
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn breakdowns_count_over_processes_and_are_forgotten_after_their_time() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("plugins");
        for _ in 0..4 {
            // A process each.
            let mut troubles = Troubles::of(&place, "a");
            assert_eq!(troubles.too_many(), None);
            troubles.add();
        }
        assert_eq!(Troubles::of(&place, "a").too_many(), None);
        Troubles::of(&place, "a").add();
        let (times, rest) = Troubles::of(&place, "a").too_many().unwrap();
        assert!(times == 5 && rest <= QUARANTINE.1 && rest > Duration::from_secs(500));
        assert_eq!(
            Troubles::of(&place, "b").too_many(),
            None,
            "another component"
        );
        let long_ago = "1000\n".repeat(2000);
        std::fs::write(place.join("c"), format!("{long_ago}no number\n")).unwrap();
        assert_eq!(Troubles::of(&place, "c").too_many(), None);
        assert_eq!(std::fs::read_to_string(place.join("c")).unwrap(), "");
        let ahead = format!("{}\n", now() + 3_600_000).repeat(9);
        std::fs::write(place.join("d"), ahead).unwrap();
        assert_eq!(Troubles::of(&place, "d").too_many(), None);
    }

    #[test]
    fn without_a_folder_they_count_in_this_process() {
        let mut troubles = Troubles::default();
        for _ in 0..5 {
            assert_eq!(troubles.too_many(), None);
            troubles.add();
        }
        assert!(troubles.too_many().is_some());
    }
}
