//! Making a statement at the end of a job.

use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE, host};
use crate::artifacts::{self, Artifacts};
use crate::checks::{CheckSpec, CommandLine};
use crate::end_cause::EndCause;
use crate::state::State;
use crate::store::Spent;
use crate::verify::{Cause, CheckVerdict, Verdicts};
use plugins::Info;
use process::Level;
use redact::RedactedJson;
use settings::Settings;
use signing::{Envelope, SigningKey};
use workspace::{Changes, FilePath, SealedFile};

/// What a statement says of a job, as the runner knows it at its end.
pub(crate) struct Course<'a> {
    pub(crate) job_id: &'a str,
    pub(crate) state: State,
    pub(crate) cause: Option<EndCause>,
    /// The commit that it started from, and its tree.
    pub(crate) commit: Option<String>,
    pub(crate) tree: Option<String>,
    /// True if the tree held uncommitted work besides, where that is known.
    pub(crate) dirty: Option<bool>,
    /// The tree of the result, where the job had a repository of its own.
    pub(crate) result_tree: Option<String>,
    pub(crate) changes: Option<&'a Changes>,
    pub(crate) checks: &'a [CheckSpec],
    pub(crate) verdicts: Option<&'a Verdicts>,
    pub(crate) level: Option<&'a Level>,
    pub(crate) plugins: &'a [Info],
    pub(crate) models: Vec<String>,
    pub(crate) spent: Spent,
    pub(crate) times: [Option<i64>; 3],
    pub(crate) artifacts: &'a Artifacts,
    pub(crate) cache_dir: &'a Path,
}

/// The statement, not redacted yet.
pub(crate) fn compose(course: &Course<'_>) -> Value {
    let files = course.changes.map(Changes::digests).unwrap_or_default();
    let diff = course.artifacts.text(artifacts::DIFF).unwrap_or_default();
    let stat = artifacts::diff::stat(&diff);
    let sum = |of: fn(&artifacts::diff::FileStat) -> usize| stat.iter().map(of).sum::<usize>();
    let mut subject = vec![json!({
        "uri": format!("urn:mcp-codex-worker:{}:diff", course.job_id),
        "digest": { "sha256": sha256(diff.as_bytes()) },
    })];
    let (gone, here): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.sha256.is_none());
    subject.extend(here.into_iter().map(file));
    let deleted: Vec<Value> = gone.into_iter().map(named).collect();
    let checks: Vec<Value> = course
        .verdicts
        .iter()
        .flat_map(|verdicts| &verdicts.checks)
        .map(|verdict| check(verdict, course))
        .collect();
    let plugins: Vec<Value> = course
        .plugins
        .iter()
        .map(|plugin| {
            json!({
                "name": plugin.name,
                "kind": plugin.kind.word(),
                "version": plugin.version,
                "digest": { "sha256": plugin.sha256 },
            })
        })
        .collect();
    let [created, started, ended] = course.times;
    json!({
        "_type": STATEMENT_TYPE,
        "subject": subject,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "job": course.job_id,
            "state": course.state,
            "cause": course.cause,
            "created_ms": created,
            "started_ms": started,
            "ended_ms": ended,
            "start": { "commit": course.commit, "tree": course.tree, "uncommitted_work": course.dirty },
            "result": {
                "tree": course.result_tree,
                "deleted": deleted,
                "lines_added": sum(|file| file.added),
                "lines_removed": sum(|file| file.removed),
            },
            "checks": checks,
            "confinement": course.level.map(|level| level.word.as_str()),
            "host": {
                "name": "mcp-codex-worker",
                "version": env!("CARGO_PKG_VERSION"),
                "digest": { "sha256": host::digest(course.cache_dir) },
            },
            "plugins": plugins,
            "models": course.models,
            "usage": usage(&course.spent),
        },
    })
}

/// One attempt, as the statement of its job has it.
pub(crate) struct AttemptLine<'a> {
    pub(crate) number: u32,
    pub(crate) job_id: &'a str,
    pub(crate) model: &'a str,
    pub(crate) state: State,
    pub(crate) spent: Spent,
    /// The digest of the attempt's own statement.
    pub(crate) statement: Option<String>,
}

/// The statement of a job with attempts: that of the chosen one, about this job, with what all of them came to.
pub(crate) fn of_attempts(
    chosen: Option<Value>,
    job_id: &str,
    state: State,
    cause: Option<EndCause>,
    attempts: &[AttemptLine<'_>],
) -> Value {
    let mut statement = chosen.unwrap_or_else(|| {
        json!({
            "_type": STATEMENT_TYPE,
            "subject": [{
                "uri": format!("urn:mcp-codex-worker:{job_id}:diff"),
                "digest": { "sha256": sha256(b"") },
            }],
            "predicateType": PREDICATE_TYPE,
            "predicate": {},
        })
    });
    let spent = attempts
        .iter()
        .fold(Spent::default(), |sum, attempt| sum.and(attempt.spent));
    let rows: Vec<Value> = attempts
        .iter()
        .map(|attempt| {
            json!({
                "number": attempt.number,
                "job": attempt.job_id,
                "model": attempt.model,
                "state": attempt.state,
                "usage": usage(&attempt.spent),
                "statement": { "sha256": attempt.statement },
            })
        })
        .collect();
    if let Some(predicate) = statement
        .get_mut("predicate")
        .and_then(Value::as_object_mut)
    {
        predicate.extend([
            ("job".to_owned(), job_id.into()),
            ("state".to_owned(), json!(state)),
            ("cause".to_owned(), json!(cause)),
            ("usage".to_owned(), usage(&spent)),
            ("attempts".to_owned(), rows.into()),
        ]);
    }
    statement
}

/// The envelope as text, signed where there is a key.
pub(crate) fn sign(statement: &RedactedJson, settings: &Settings) -> Vec<u8> {
    let payload = statement.to_text();
    let payload = payload.as_str().as_bytes();
    let key = settings
        .signing_key
        .exists()
        .then(|| SigningKey::read(&settings.signing_key));
    let envelope = match key {
        Some(Ok(key)) => Envelope::sign(&key, PAYLOAD_TYPE, payload),
        missing => {
            if let Some(Err(fault)) = missing {
                tracing::warn!(%fault, "the statement is not signed");
            }
            Envelope::unsigned(PAYLOAD_TYPE, payload)
        }
    };
    line(&envelope)
}

/// The envelope of a statement that holds nothing but the host's own words, which nobody signs.
pub(crate) fn unsigned(statement: &Value) -> Vec<u8> {
    line(&Envelope::unsigned(
        PAYLOAD_TYPE,
        statement.to_string().as_bytes(),
    ))
}

fn line(envelope: &Envelope) -> Vec<u8> {
    let mut text = serde_json::to_vec(envelope).unwrap_or_default();
    text.push(b'\n');
    text
}

fn usage(spent: &Spent) -> Value {
    json!({ "requests": spent.requests, "tokens": spent.tokens, "cost_usd": spent.cost_usd })
}

fn file(file: &SealedFile) -> Value {
    let mut described = named(file);
    if let Some(fields) = described.as_object_mut() {
        let mut digests = Map::new();
        for (algorithm, digest) in [("sha256", &file.sha256), ("gitBlob", &file.object)] {
            if let Some(digest) = digest {
                digests.insert(algorithm.to_owned(), digest.as_str().into());
            }
        }
        fields.insert("digest".to_owned(), digests.into());
    }
    described
}

/// A file by its name; one that no text can hold by its bytes too.
fn named(file: &SealedFile) -> Value {
    match std::str::from_utf8(&file.path) {
        Ok(name) => json!({ "name": name }),
        Err(_) => json!({
            "name": FilePath::new(file.path.as_slice()).to_string(),
            "annotations": { "path_hex": hex::encode(&file.path) },
        }),
    }
}

fn check(verdict: &CheckVerdict, course: &Course<'_>) -> Value {
    let asked = course
        .checks
        .iter()
        .find(|spec| spec.name() == verdict.name);
    let command = match asked {
        Some(CheckSpec::Command(check)) => Some(match &check.command {
            CommandLine::Shell(line) => json!(line),
            CommandLine::Argv(words) => json!(words),
        }),
        _ => None,
    };
    let plugin = match asked {
        Some(CheckSpec::Plugin(check)) => Some(check.plugin.as_str()),
        _ => None,
    };
    let exit_code = match (&verdict.cause, &command) {
        (None, Some(_)) => Some(0),
        (Some(Cause::ExitCode { code }), _) => Some(*code),
        _ => None,
    };
    let output = verdict.artifact.as_ref();
    let output = output.and_then(|name| std::fs::read(course.artifacts.path(name)).ok());
    json!({
        "name": verdict.name,
        "outcome": verdict.outcome,
        "summary": verdict.summary.as_str(),
        "command": command,
        "plugin": plugin,
        "exit_code": exit_code,
        "findings": verdict.found_in.len(),
        "output": { "artifact": verdict.artifact, "sha256": output.map(|bytes| sha256(&bytes)) },
    })
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
