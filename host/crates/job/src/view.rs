//! A job as seen from outside: its status while it runs, its result afterwards, its log, its
//! artifacts.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::store::{JobRow, Store, now_ms};
use crate::artifacts::{self, ArtifactError, Artifacts};
use crate::report;

/// The most bytes of one slice: with the frame of the reply below 8k tokens.
pub(super) const SLICE_MAX: u64 = 24_000;

/// The bytes of one slice when the caller does not say.
pub(super) const SLICE_DEFAULT: u64 = 4_000;

/// The most bytes of a reply about several jobs.
const MANY_MAX: usize = 24_000;

/// The job's log, in its folder.
pub(super) const LOG: &str = "log.txt";

/// The result of a job that is over, else where it stands. `diff_max_bytes` asks for the diff.
pub(super) fn job(store: &Store, job: &JobRow, diff_max_bytes: Option<u64>) -> Value {
    match &job.result {
        Some(result) => finished(store, job, result.clone(), diff_max_bytes),
        None => unfinished(job),
    }
}

fn finished(store: &Store, job: &JobRow, mut result: Value, diff_max_bytes: Option<u64>) -> Value {
    let Some(max_bytes) = diff_max_bytes else {
        return result;
    };
    let whole = store.evidence_folder(job).ok().and_then(|folder| {
        std::fs::read_to_string(Artifacts::in_job(&folder).path(artifacts::DIFF)).ok()
    });
    if let (Some(reply), Some(text)) = (result.as_object_mut(), whole) {
        reply.insert(
            "diff".to_owned(),
            report::inline_diff(report::Diff {
                text: &text,
                max_bytes,
            })
            .into(),
        );
    }
    result
}

fn unfinished(job: &JobRow) -> Value {
    let mut reply = Map::new();
    reply.insert("job_id".to_owned(), job.id.as_str().into());
    reply.insert("job_status".to_owned(), job.state.as_str().into());
    if let Some(Value::Object(progress)) = &job.progress {
        reply.extend(progress.clone());
    }
    let since = job.started_ms.unwrap_or(job.created_ms);
    reply.insert(
        "elapsed_s".to_owned(),
        (now_ms().saturating_sub(since).max(0) / 1_000).into(),
    );
    if job.cancel_requested {
        reply.insert("cancelling".to_owned(), true.into());
    }
    Value::Object(reply)
}

/// A reply about several jobs that keeps within its budget: later ones are cut down to their status.
pub(super) fn fit_many(jobs: Vec<Value>) -> Value {
    let mut left = MANY_MAX;
    let jobs: Vec<Value> = jobs
        .into_iter()
        .map(|job| {
            let size = job.to_string().len();
            if size <= left {
                left -= size;
                return job;
            }
            json!({ "job_id": job["job_id"], "job_status": job["job_status"], "more": "get has its result" })
        })
        .collect();
    json!({ "jobs": jobs })
}

/// A slice of the log from `cursor`, or its newest part.
pub(super) fn log(
    store: &Store,
    job: &JobRow,
    cursor: Option<u64>,
    max_bytes: u64,
) -> Result<Value, Refusal> {
    let (text, next) = read_lines(store, job, cursor, max_bytes)
        .map_err(|fault| Refusal::internal(format!("the job's log cannot be read: {fault}")))?;
    Ok(json!({ "job_id": job.id, "job_status": job.state, "log": text, "cursor": next }))
}

fn read_lines(
    store: &Store,
    job: &JobRow,
    cursor: Option<u64>,
    max_bytes: u64,
) -> io::Result<(String, u64)> {
    let mut file = match File::open(store.job_folder(&job.id).join(LOG)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((String::new(), 0)),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let from = cursor
        .unwrap_or_else(|| size.saturating_sub(max_bytes))
        .min(size);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(max_bytes).read_to_end(&mut bytes)?;
    // Whole lines only: from the first line break when the start was not the caller's choice, up to the last one.
    let skipped = if cursor.is_none() && from > 0 {
        line_end(&bytes).unwrap_or(0)
    } else {
        0
    };
    let read_to_end = from + bytes.len() as u64 == size;
    let end = if read_to_end && job.state.is_terminal() {
        bytes.len()
    } else {
        bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(if read_to_end { skipped } else { bytes.len() }, |at| at + 1)
    };
    let lines = bytes.get(skipped..end).unwrap_or_default();
    Ok((
        String::from_utf8_lossy(lines).into_owned(),
        from + end as u64,
    ))
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .map(|at| at + 1)
}

/// What the name of an artifact of one attempt begins with.
const ATTEMPT: &str = "attempt-";

/// The artifacts that a name means, and the name among them: `attempt-2/diff` is that of the second attempt.
fn place_of<'n>(store: &Store, job: &JobRow, name: &'n str) -> Result<(PathBuf, &'n str), Refusal> {
    let of_attempt = name
        .strip_prefix(ATTEMPT)
        .and_then(|rest| rest.split_once('/'))
        .and_then(|(number, name)| Some((number.parse::<u32>().ok()?, name)));
    if let Some((number, name)) = of_attempt {
        let attempts = store.attempts(&job.id)?;
        if let Some(attempt) = attempts.iter().find(|attempt| attempt.number == number) {
            return Ok((store.job_folder(&attempt.job.id), name));
        }
    }
    // What the host says of the whole is in the job's own folder.
    if name == artifacts::STATEMENT {
        return Ok((store.job_folder(&job.id), name));
    }
    Ok((store.evidence_folder(job)?, name))
}

/// A slice of one artifact, with the cursor to go on from.
pub(super) fn artifact(
    store: &Store,
    job: &JobRow,
    name: &str,
    cursor: u64,
    max_bytes: u64,
) -> Result<Value, Refusal> {
    let (folder, inner) = place_of(store, job, name)?;
    let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    let read = match inner {
        // An attempt's log is read as its other artifacts are.
        "log" if inner != name => artifacts::read_file(&folder.join(LOG), inner, cursor, max_bytes),
        inner => Artifacts::in_job(&folder).read(inner, cursor, max_bytes),
    };
    let slice = read.map_err(|fault| match fault {
        ArtifactError::Unknown { .. } => Refusal::new("artifact", fault),
        fault => Refusal::internal(fault),
    })?;
    Ok(
        json!({ "job_id": job.id, "artifact": name, "text": slice.text, "size": slice.size, "cursor": slice.cursor }),
    )
}
