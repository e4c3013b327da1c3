//! `gc`: deletes what is not needed any more: old jobs, by age and by size, and what killed processes
//! left behind. A job that is not over is never touched.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::terminal::{Terminal, age, complain};
use super::{GlobalOptions, exit};
use job::upkeep::{Size, Sizes, UpkeepError, make_small};
use job::{JobId, JobRow, Store, settle_all};
use redact::log;
use settings::Settings;
use workspace::Unapplied;
use workspace::folder;

/// The arguments of `gc`.
#[derive(Debug, Args)]
pub(super) struct GcArguments {
    /// Delete jobs that ended longer ago than this, as in 12h, 30d, 4w
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = milliseconds)]
    older_than: i64,
    /// Then delete the oldest until all together take at most this, as in 500M, 2G
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_size: Option<u64>,
    /// Also delete isolated jobs whose changes were never applied
    #[arg(long)]
    force: bool,
    /// Only print what would be deleted
    #[arg(long)]
    dry_run: bool,
}

/// Does it; 0 also when there was nothing to do.
pub(super) fn run(global: &GlobalOptions, arguments: &GcArguments) -> ExitCode {
    let settings = match global.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match collect(&settings, arguments) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            complain(format_args!("mcp-codex-worker: {error}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

fn collect(settings: &Settings, arguments: &GcArguments) -> Result<(), UpkeepError> {
    let mut terminal = Terminal::stdout();
    if !arguments.dry_run {
        Store::give_room(&settings.state_dir);
    }
    let store = Store::open(&settings.state_dir)?;
    store.hasten()?;
    // A job whose runner is gone has ended, and may be old.
    settle_all(&store)?;
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
    let verb = if arguments.dry_run {
        "would be deleted"
    } else {
        "deleted"
    };
    forget_jobs(&store, arguments, now_ms, verb, &mut terminal)?;

    let before_ms = now_ms.saturating_sub(arguments.older_than);
    let before = u64::try_from(before_ms).unwrap_or(0);
    let before = UNIX_EPOCH + Duration::from_millis(before);
    let logs = settings.log_file.iter();
    let logs = logs.flat_map(|log| log::moved_aside(log));
    for (what, paths) in [
        ("folders of jobs that never began", store.strays(before)?),
        (
            "unused compiled plugins",
            plugins::unused_compiled(&settings.cache_dir, before),
        ),
        (
            "logs moved aside",
            logs.filter(|file| is_older(file, before)).collect(),
        ),
    ] {
        if paths.is_empty() {
            continue;
        }
        let size = paths.iter().flat_map(|path| Size::of(path)).sum();
        for path in paths.iter().filter(|_| !arguments.dry_run) {
            remove(path);
        }
        terminal.line(format!("{} {what} {verb}, {}", paths.len(), shown(size)));
    }
    if !arguments.dry_run {
        store.forget_history(before_ms)?;
        store.compact()?;
    }
    Ok(())
}

fn forget_jobs(
    store: &Store,
    arguments: &GcArguments,
    now_ms: i64,
    verb: &str,
    terminal: &mut Terminal,
) -> Result<(), UpkeepError> {
    let jobs = store.outlines()?;
    // Those in whose folder a job works that stays.
    let mut lived_in: BTreeSet<JobId> = jobs
        .iter()
        .filter(|job| !job.state.is_terminal())
        .filter_map(|job| store.owner_of_home(job).transpose())
        .collect::<Result<_, _>>()?;
    let mut over: Vec<(JobRow, Size)> = Vec::new();
    let mut smaller = Trees::default();
    let mut sizes = Sizes::of(store);
    for job in jobs {
        if !job.state.is_terminal() {
            continue;
        }
        if !arguments.dry_run && !lived_in.contains(&job.id) {
            // Its runner did so, unless it was killed, or was of an earlier version.
            store.drop_working_material(&job.id);
            smaller.make(store, &job)?;
        }
        let size = sizes.get(&job)?;
        over.push((job, size));
    }
    sizes.note()?;
    smaller.tell(terminal);
    // The clock may have been set back since: then a job ended just now.
    let ended_ago = |job: &JobRow| (now_ms - job.ended_ms.unwrap_or(job.created_ms)).max(0);
    // Newest first, as the store lists them: what does not fit any more is older than what does.
    let mut kept = Size::default();
    let mut full = false;
    let mut freed = Size::default();
    let mut count = 0usize;
    for (job, size) in &over {
        let old = ended_ago(job) > arguments.older_than;
        full |= arguments
            .max_size
            .is_some_and(|most| kept.bytes.saturating_add(size.bytes) > most);
        if (!old && !full) || lived_in.contains(&job.id) {
            kept += *size;
            lived_in.extend(store.owner_of_home(job)?);
            continue;
        }
        let row = format!(
            "{}  {}  {:>8} ago  {:>10}",
            job.id,
            terminal.state(job.state),
            age(ended_ago(job)),
            shown(*size)
        );
        let folder = store.job_folder(job.home());
        let unapplied = Unapplied::of(&folder, job.id.as_str()).filter(|_| !arguments.force);
        if let Some(unapplied) = unapplied {
            terminal.line(format!("{row}  stays: {unapplied}; --force deletes it"));
            kept += *size;
            lived_in.extend(store.owner_of_home(job)?);
            continue;
        }
        if !arguments.dry_run {
            store.remove(&job.id)?;
        }
        count += 1;
        freed += *size;
        terminal.line(row);
    }
    terminal.line(format!(
        "{count} jobs {verb}, {}; {} stay, {}",
        shown(freed),
        over.len() - count,
        shown(kept)
    ));
    Ok(())
}

fn is_older(path: &Path, than: SystemTime) -> bool {
    let metadata = std::fs::symlink_metadata(path);
    metadata
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|modified| modified < than)
}

/// Removes a file; one that cannot be removed now is tried again next time.
fn remove(path: &Path) {
    let removed = match path.is_dir() {
        true => folder::remove(path),
        false => std::fs::remove_file(path),
    };
    match removed {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => {
            complain(format_args!(
                "mcp-codex-worker: {} stays: {fault}",
                path.display()
            ));
        }
        _ => {}
    }
}

/// Trees that became small.
#[derive(Default)]
struct Trees {
    count: usize,
    freed: u64,
    stay: usize,
}

impl Trees {
    /// Makes the tree of a job small; one that cannot be made small now is told, and stays.
    fn make(&mut self, store: &Store, job: &JobRow) -> Result<(), UpkeepError> {
        let tree = store.job_folder(&job.id).join("tree");
        // A small one has no files at its top but those that it needs.
        if job.lives_in.is_some() || !tree.is_dir() || tree.join(".git/worker-small").exists() {
            return Ok(());
        }
        let before = store.size_of(job)?;
        match make_small(store, job) {
            Ok(true) => {
                self.count += 1;
                let after = store.size_of(job)?;
                self.freed += before.bytes.saturating_sub(after.bytes);
            }
            Ok(false) => self.stay += 1,
            Err(fault) => {
                self.stay += 1;
                complain(format_args!(
                    "mcp-codex-worker: the tree of job {} stays whole: {fault}",
                    job.id
                ));
            }
        }
        Ok(())
    }

    fn tell(&self, terminal: &mut Terminal) {
        if self.count > 0 {
            let freed = bytes_in_words(self.freed);
            terminal.line(format!("{} trees made small, {freed}", self.count));
        }
        if self.stay > 0 {
            terminal.line(format!(
                "{} trees stay whole: they hold what no result has, or a job works there",
                self.stay
            ));
        }
    }
}

/// A size as people read it.
pub(super) fn shown(size: Size) -> String {
    bytes_in_words(size.bytes)
}

fn bytes_in_words(bytes: u64) -> String {
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
