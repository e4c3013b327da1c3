//! `gc`: forgets old jobs, by age and by the room they take. A job that is not over is never touched.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::terminal::{Terminal, age};
use super::{GlobalOptions, exit};
use crate::job::{JobId, JobRow, Store, StoreError, settle_all};

/// What `gc` takes.
#[derive(Debug, Args)]
pub(super) struct GcArguments {
    /// Forget jobs that ended longer ago than this, as in 12h, 30d, 4w
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = milliseconds)]
    older_than: i64,
    /// Then forget the oldest until all together take at most this, as in 500M, 2G
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_size: Option<u64>,
    /// Only say what would be forgotten
    #[arg(long)]
    dry_run: bool,
}

/// Does it; 0 also when there was nothing to do.
pub(super) fn run(global: &GlobalOptions, arguments: &GcArguments) -> ExitCode {
    let settings = match global.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match collect(&settings.state_dir, arguments) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            eprintln!("mcp-codex-worker: {error}");
            ExitCode::from(exit::FAILED)
        }
    }
}

fn collect(state_dir: &Path, arguments: &GcArguments) -> Result<(), StoreError> {
    let mut terminal = Terminal::stdout();
    let store = Store::open(state_dir)?;
    // A job whose runner is gone has ended, and may be old.
    settle_all(&store)?;
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
    let over: Vec<(JobRow, u64)> = store
        .jobs(usize::MAX)?
        .into_iter()
        .filter(|job| job.state.is_terminal())
        .map(|job| {
            let size = size_of(&store.job_folder(&job.id));
            (job, size)
        })
        .collect();
    let ended = |job: &JobRow| job.ended_ms.unwrap_or(job.created_ms);
    // Newest first, as the store lists them: what does not fit any more is older than what does.
    let mut kept = 0u64;
    let mut full = false;
    let mut freed = 0u64;
    let mut count = 0usize;
    // Those in whose folder a job works that stays.
    let mut lived_in: BTreeSet<JobId> = store
        .jobs(usize::MAX)?
        .into_iter()
        .filter(|job| !job.state.is_terminal())
        .filter_map(|job| job.lives_in)
        .collect();
    for (job, size) in &over {
        let old = now_ms - ended(job) > arguments.older_than;
        full |= arguments
            .max_size
            .is_some_and(|most| kept.saturating_add(*size) > most);
        if (!old && !full) || lived_in.contains(&job.id) {
            kept = kept.saturating_add(*size);
            lived_in.extend(job.lives_in.clone());
            continue;
        }
        if !arguments.dry_run {
            store.remove(&job.id)?;
        }
        count += 1;
        freed = freed.saturating_add(*size);
        terminal.line(format!(
            "{}  {}  {:>8} ago  {:>10}",
            job.id,
            terminal.state(job.state),
            age(now_ms - ended(job)),
            shown(*size)
        ));
    }
    let verb = if arguments.dry_run {
        "would be forgotten"
    } else {
        "forgotten"
    };
    terminal.line(format!(
        "{count} jobs {verb}, {}; {} stay, {}",
        shown(freed),
        over.len() - count,
        shown(kept)
    ));
    Ok(())
}

/// What a folder's files take, links not followed.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn shown(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// A length of time such as `90m`, in milliseconds.
pub(super) fn milliseconds(text: &str) -> Result<i64, String> {
    let units = [
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("w", 604_800_000),
    ];
    amount(text, &units).ok_or_else(|| "must be a number and one of s, m, h, d, w".to_owned())
}

fn bytes(text: &str) -> Result<u64, String> {
    let units = [("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];
    amount(text, &units)
        .and_then(|bytes| u64::try_from(bytes).ok())
        .ok_or_else(|| "must be a number and one of K, M, G".to_owned())
}

fn amount(text: &str, units: &[(&str, i64)]) -> Option<i64> {
    units.iter().find_map(|(unit, size)| {
        let number: i64 = text.trim().strip_suffix(unit)?.parse().ok()?;
        (number >= 0).then(|| number.checked_mul(*size)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_have_units() {
        assert_eq!(milliseconds("90m"), Ok(5_400_000));
        assert_eq!(milliseconds("0d"), Ok(0));
        assert_eq!(bytes("2G"), Ok(2_000_000_000));
        for wrong in ["", "30", "d", "-1d", "1.5h", "9223372036854775807w"] {
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
    }
}
