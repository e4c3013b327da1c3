//! Lets a dead gateway rest, so that it does not cost each request of each job its time-out.
//!
//! The count of failures is shared by all adapters of a store, in one small file a gateway: sixteen jobs
//! that meet the same outage need three failures together, not three each, and one of them tries the
//! gateway again after the rest.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Failures in a row after which a gateway that has a fallback is left alone.
const FAILURES: u64 = 3;

/// For how long it is left alone; then one request tries it again. A failure that is older counts no more.
const REST_MS: u64 = 30_000;

/// The least time between two looks whether a gateway that works had failures elsewhere.
const LOOK_MS: u64 = 1_000;

/// What is known of a gateway. Times are milliseconds since the epoch: several processes write them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    failures: u64,
    last_failure: u64,
    /// It rests until then; 0: it does not rest.
    until: u64,
}

impl State {
    const BYTES: usize = 24;

    fn parse(bytes: [u8; Self::BYTES]) -> Self {
        let mut numbers = bytes.chunks_exact(8).map(|chunk| {
            let mut number = [0; 8];
            number.copy_from_slice(chunk);
            u64::from_le_bytes(number)
        });
        let mut next = || numbers.next().unwrap_or_default();
        Self {
            failures: next(),
            last_failure: next(),
            until: next(),
        }
    }

    fn bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let numbers = [self.failures, self.last_failure, self.until];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Returns true if the rest goes on. One that a clock set back has made longer is over.
    fn rests(self, now: u64) -> bool {
        now < self.until && self.until <= now + REST_MS
    }
}

/// The circuit breaker of one gateway.
#[derive(Debug)]
pub(crate) struct Circuit {
    /// Where other adapters see it; none for one that is alone.
    file: Option<PathBuf>,
    /// What this adapter knows, where the file cannot be had.
    own: Mutex<State>,
    /// When it looked last after a request that went well.
    looked: AtomicU64,
}

impl Circuit {
    /// The circuit of the gateway at `base`, shared through the folder.
    pub(crate) fn new(base: &str, folder: Option<&Path>) -> Self {
        use sha2::Digest as _;
        let name = hex::encode(sha2::Sha256::digest(base.as_bytes()));
        let file = folder.and_then(|folder| {
            private::make_folder(folder).ok()?;
            Some(folder.join(name.get(..32).unwrap_or(&name)))
        });
        Self {
            file,
            own: Mutex::default(),
            looked: AtomicU64::new(0),
        }
    }

    /// Returns true if the gateway has failed so often that it is left alone for now. The first who asks after the rest is
    /// told no, and tries it; the others go on leaving it alone until that one is back.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open_at(now())
    }

    /// Returns true if the gateway is left alone now; nobody tries it because of this question.
    pub(crate) fn rests(&self) -> bool {
        self.look().rests(now())
    }

    /// Keeps count of failures in a row.
    pub(crate) fn note(&self, works: bool) {
        self.note_at(works, now());
    }

    fn is_open_at(&self, now: u64) -> bool {
        let state = self.look();
        if state.until == 0 {
            return false;
        }
        if state.rests(now) {
            return true;
        }
        let mut tries = false;
        self.change(&mut |state| {
            if state.until != 0 && !state.rests(now) {
                state.until = now + REST_MS;
                tries = true;
            }
        });
        !tries
    }

    fn note_at(&self, works: bool, now: u64) {
        if works {
            // The way of nearly every request: nothing is read.
            let looked = self.looked.load(Ordering::Relaxed);
            let recent = (looked..looked.saturating_add(LOOK_MS)).contains(&now);
            if recent && *self.own() == State::default() {
                return;
            }
            self.looked.store(now, Ordering::Relaxed);
            if self.look() != State::default() {
                self.change(&mut |state| *state = State::default());
            }
            return;
        }
        self.change(&mut |state| {
            let recent = now.saturating_sub(state.last_failure) <= REST_MS;
            state.failures = if recent { state.failures + 1 } else { 1 };
            state.last_failure = now;
            if state.failures >= FAILURES {
                state.until = now + REST_MS;
            }
        });
    }

    fn look(&self) -> State {
        let read = self.file.as_ref().and_then(|path| match File::open(path) {
            Ok(mut file) => read(&mut file).ok(),
            // Nothing has failed yet; without the folder, nobody could have written that.
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                path.parent().is_some_and(Path::exists).then(State::default)
            }
            Err(_) => None,
        });
        read.unwrap_or_else(|| *self.own())
    }

    fn change(&self, change: &mut dyn FnMut(&mut State)) {
        let mut own = self.own();
        match self.file.as_ref().map(|path| changed(path, change)) {
            Some(Ok(state)) => *own = state,
            // A full disk, for example: then each adapter counts for itself.
            Some(Err(fault)) => {
                tracing::debug!(%fault, "the circuit is not shared");
                change(&mut own);
            }
            None => change(&mut own),
        }
    }

    fn own(&self) -> std::sync::MutexGuard<'_, State> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes the state in the file, one process at a time.
fn changed(path: &Path, change: &mut dyn FnMut(&mut State)) -> io::Result<State> {
    let mut options = private::file();
    let options = options.create(true).truncate(false).read(true).write(true);
    let mut file = options.open(path)?;
    file.lock()?;
    let mut state = read(&mut file)?;
    change(&mut state);
    file.rewind()?;
    file.write_all(&state.bytes())?;
    Ok(state)
}

/// The state in a file; one that is empty or of another length says nothing.
fn read(file: &mut File) -> io::Result<State> {
    let mut bytes = Vec::new();
    file.take(State::BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes
        .try_into()
        .map_or_else(|_| State::default(), State::parse))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const URL: &str = "http://gateway.example/v1";

    #[test]
    fn a_gateway_that_keeps_failing_rests_until_it_works_again() {
        let circuit = Circuit::new(URL, None);
        for _ in 1..FAILURES {
            circuit.note(false);
            assert!(!circuit.is_open());
        }
        circuit.note(false);
        assert!(circuit.is_open());
        circuit.note(true);
        assert!(!circuit.is_open());
    }

    #[test]
    fn failures_of_all_jobs_count_and_one_of_them_tries_again() {
        let folder = tempfile::tempdir().unwrap();
        let jobs: Vec<Circuit> = (0..16)
            .map(|_| Circuit::new(URL, Some(folder.path())))
            .collect();
        let start = now();
        for job in &jobs[..3] {
            assert!(!job.is_open_at(start));
            job.note_at(false, start);
        }
        assert!(jobs.iter().all(|job| job.is_open_at(start + REST_MS - 1)));
        let after = start + REST_MS;
        let trying = jobs.iter().filter(|job| !job.is_open_at(after)).count();
        assert_eq!(trying, 1, "one probe at a time");
        // It failed: another rest. It works: all go there again.
        jobs[5].note_at(false, after);
        assert!(jobs.iter().all(|job| job.is_open_at(after + 1)));
        jobs[7].note_at(true, after + 2);
        assert!(jobs.iter().all(|job| !job.is_open_at(after + 3)));
        let other = Circuit::new("http://other.example", Some(folder.path()));
        assert!(!other.is_open_at(start));
    }

    #[test]
    fn failures_that_lie_far_apart_are_no_outage() {
        let circuit = Circuit::new(URL, None);
        let start = now();
        for n in 0..10 {
            circuit.note_at(false, start + n * (REST_MS + 1));
            assert!(!circuit.is_open_at(start + n * (REST_MS + 1)));
        }
    }

    #[test]
    fn a_file_or_a_clock_that_is_wrong_makes_no_rest_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let circuit = Circuit::new(URL, Some(folder.path()));
        let start = now();
        for _ in 0..3 {
            circuit.note_at(false, start + 1_000_000);
        }
        assert!(!circuit.is_open_at(start), "the clock was set back");
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap();
        std::fs::write(file.unwrap().path(), "nonsense").unwrap();
        assert!(!circuit.is_open_at(start));
        circuit.note_at(false, start);
        assert!(!circuit.is_open_at(start));
        // The folder is gone: it counts by itself.
        drop(folder);
        for _ in 0..3 {
            circuit.note_at(false, start);
        }
        assert!(circuit.is_open_at(start));
    }
}
