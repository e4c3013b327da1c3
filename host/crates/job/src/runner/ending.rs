//! The end of a job: its terminal state, its artifacts, its compact result.

use std::borrow::Cow;
use std::path::{Component, Path};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::journal::Journal;
use super::running_job::{EarlyExit, Findings, Job};
use super::stop::StopCause;
use super::{apply, attempts, combine};
use crate::agent::Ending;
use crate::artifacts::{self, Artifacts};
use crate::combine::Combined;
use crate::end_cause::EndCause;
use crate::id::JobId;
use crate::report::{self, Ended};
use crate::state::State;
use crate::statement;
use crate::store::{Store, now_ms};
use crate::verify::{self, Verdicts, revise};
use process::LevelWord;
use redact::{KnownValues, Redacted, RedactedJson, Redactor};
use settings::Settings;
use workspace::{Changes, FilePath, Selection};

/// The number of attempts to record the end of a job, and the pauses between them: a minute in all.
const END_ATTEMPTS: u32 = 60;
const END_RETRY: Duration = Duration::from_secs(1);

/// The links out of the tree that a note names.
const LINKS: usize = 5;

/// The first line of a result whose checks would have passed without the job.
const UNPROVEN: &str = "nothing here shows that the task was done";

/// The end of a job that was no check: the cause, and one sentence.
type Fault = Option<(EndCause, String)>;

/// Writes the end of a job down. From then on it is over.
pub(super) async fn finish(job: Job, came_to: Result<(), EarlyExit>) {
    let question = match &came_to {
        Err(EarlyExit::NeedsInput(question)) => Some(job.resources.redactor.text(question)),
        _ => None,
    };
    let (state, fault) = judge(&job, came_to);
    let fault = blame_full_disk(&job, state, fault);
    let redactor = job.resources.redactor.clone();
    let folder = job.folder();
    let artifacts = Artifacts::in_job(&folder);
    let findings = &job.findings;

    let diff = keep_diff(findings, &redactor, &artifacts);
    let words = keep_report(findings, &redactor, &artifacts);
    keep_transcript(&job, &redactor, &artifacts);
    keep_plugins(&job, &redactor, &artifacts);
    keep_ignored(findings, &redactor, &artifacts);
    let changed_files: Vec<String> = findings
        .changes
        .iter()
        .flat_map(|changes| &changes.files)
        .map(|file| redactor.text(&file.path.to_string()).into_string())
        .collect();
    let fault = fault.map(|(cause, message)| (cause, redactor.text(&message)));
    let notes = notes(&job);
    let caps = [
        Some(job.settings.diff_max_bytes),
        job.spec
            .scoped_patch
            .as_ref()
            .and_then(|scope| scope.max_diff_bytes),
    ];
    let max_bytes = caps.into_iter().flatten().min().unwrap_or(u64::MAX);
    let stopped = findings
        .stopped
        .filter(|reason| fault.is_none() && is_worth_telling(*reason, findings))
        .map(|reason| reason.to_string());
    let id = job.journal().id().to_string();
    let delivered = deliver(&job, state, &redactor).await;
    let mut result = report::compose(&Ended {
        job_id: &id,
        status: state.as_str(),
        error: fault
            .as_ref()
            .map(|(cause, message)| (*cause, message.as_str())),
        question: question.as_deref(),
        changed_files: &changed_files,
        verdicts: findings.verdicts.as_ref(),
        diff: diff
            .as_deref()
            .filter(|_| job.spec.include_diff)
            .map(|text| report::Diff { text, max_bytes }),
        // It ends with the question.
        agent_report: words.as_deref().filter(|_| question.is_none()),
        warning: findings.unproven.then_some(UNPROVEN),
        denials: findings
            .agent
            .as_ref()
            .map_or(0, |agent| agent.denials.len()),
        passes: u32::try_from(findings.passes.len()).unwrap_or(u32::MAX),
        stopped: stopped.as_deref(),
        notes: &notes,
    });
    if let Some(reply) = result.as_object_mut() {
        reply.extend(delivered.into_iter().flatten());
        let combined = Combined::load(&folder).filter(|_| !job.spec.combines.is_empty());
        reply.extend(combined.iter().flat_map(combine::fields));
    }
    // Every part went through the redactor; once more the whole, so that none can be forgotten.
    let result = redactor.json(result);
    job.write_plugin_log();
    let cause = fault.as_ref().map(|(cause, _)| *cause);
    tracing::info!(
        passes = findings.passes.len(),
        cause = cause.map(EndCause::as_str).unwrap_or_default(),
        "ends {state}"
    );
    {
        let mut journal = job.journal();
        journal.line(&format!(
            "{state}{}",
            fault
                .map(|(_, message)| format!(": {message}"))
                .unwrap_or_default()
        ));
        journal.close();
    }
    keep_statement(&job, state, cause, &artifacts);
    // Before the end is told, so that whoever waits for it finds nothing left to do, and the disk has room for it.
    drop_working_material(&job);
    discard_deserted(&job);
    record_end(&job.journal, state, &result).await;
}

/// Keeps the names of the ignored files that the job touched: they are neither in the diff nor in `changed_files`.
fn keep_ignored(findings: &Findings, redactor: &Redactor, artifacts: &Artifacts) {
    let Some(changes) = findings
        .changes
        .as_ref()
        .filter(|changes| changes.ignored > 0)
    else {
        return;
    };
    let names = changes.ignored_files.iter().map(ToString::to_string);
    let mut text: Vec<String> = names.collect();
    let more = changes.ignored.saturating_sub(text.len() as u64);
    if more > 0 {
        text.push(format!("[... {more} more ...]"));
    }
    keep(
        artifacts,
        artifacts::IGNORED,
        &redactor.text(&(text.join("\n") + "\n")),
    );
}

/// Brings a completed result into the checkout where the job was to do so.
async fn deliver(job: &Job, state: State, redactor: &Redactor) -> Option<Map<String, Value>> {
    let how = job.spec.apply.filter(|_| state == State::Completed)?;
    let id = job.journal().id().clone();
    apply::deliver_at_end(job.settings.state_dir.clone(), id, how, redactor.clone()).await
}

/// Links that the job made or changed and that lead out of the tree, each with its target.
fn links_out(changes: &Changes) -> Vec<String> {
    let outside = |path: &Path, target: &Path| {
        let mut depth = path.components().count().saturating_sub(1);
        target.components().any(|part| match part {
            Component::ParentDir => match depth.checked_sub(1) {
                Some(above) => {
                    depth = above;
                    false
                }
                None => true,
            },
            Component::Normal(_) => {
                depth += 1;
                false
            }
            Component::CurDir => false,
            Component::RootDir | Component::Prefix(_) => true,
        })
    };
    let links = changes.files.iter().filter(|file| file.symlink);
    let links = links.filter_map(|file| {
        let target = changes.link_target(file)?;
        let shown = FilePath::new(target.as_os_str().as_encoded_bytes());
        outside(file.place(), &target).then(|| format!("{} -> {shown}", file.path))
    });
    links.collect()
}

/// Keeps which plugins had a part in the job: checks, redactors, summarizers and the dialect, each with its version and the
/// digest of its component.
fn keep_plugins(job: &Job, redactor: &Redactor, artifacts: &Artifacts) {
    let used = job.resources.plugins.used();
    let used = used.iter().map(|plugin| {
        json!({
            "name": plugin.name,
            "kind": plugin.kind.word(),
            "version": plugin.version,
            "sha256": plugin.sha256,
        })
    });
    let text = redactor.json(used.collect()).to_text();
    keep(artifacts, artifacts::PLUGINS, &text);
}

/// Keeps the signed statement of what was proved.
fn keep_statement(job: &Job, state: State, cause: Option<EndCause>, artifacts: &Artifacts) {
    let findings = &job.findings;
    let plugins = job.resources.plugins.used();
    let (id, row, spent) = {
        let journal = job.journal();
        let (store, id) = (journal.store(), journal.id().clone());
        let spent = store.spent(&id).unwrap_or_default();
        (id.clone(), store.job(&id).ok().flatten(), spent)
    };
    let start = &findings.start;
    let statement = statement::compose(&statement::Course {
        job_id: id.as_str(),
        state,
        cause,
        commit: start.commit.clone(),
        tree: start.tree.clone(),
        dirty: start.dirty,
        result_tree: start.result_tree.clone(),
        changes: findings.changes.as_deref(),
        checks: &job.spec.checks,
        verdicts: findings.verdicts.as_ref(),
        level: findings.level.as_ref(),
        plugins: &plugins,
        models: findings.models.clone(),
        spent,
        times: [
            row.as_ref().map(|row| row.created_ms),
            row.as_ref().and_then(|row| row.started_ms),
            Some(now_ms()),
        ],
        artifacts,
        cache_dir: &job.settings.cache_dir,
    });
    let signed = statement::sign(&job.resources.redactor.json(statement), &job.settings);
    if let Err(fault) = artifacts.write_encoded(artifacts::STATEMENT, &signed) {
        tracing::error!(%fault, "the statement was not kept");
    }
}

/// An attempt whose job is gone has nobody who would go on with its tree.
fn discard_deserted(job: &Job) {
    let Some(attempt) = &job.spec.attempt else {
        return;
    };
    if job
        .journal()
        .store()
        .is_live(&attempt.job)
        .is_ok_and(|live| !live)
    {
        attempts::discard_tree(&job.folder());
    }
}

fn drop_working_material(job: &Job) {
    let journal = job.journal();
    journal.store().drop_working_material(journal.id());
}

/// Records the end, again and again where the disk is full: somebody may make room.
pub(super) async fn record_end(journal: &Mutex<Journal>, state: State, result: &RedactedJson) {
    for attempt in 1.. {
        let ended = {
            let journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
            journal.store().finish(journal.id(), state, result)
        };
        let Err(fault) = ended else {
            return;
        };
        tracing::error!(%fault, attempt, "the job's end could not be recorded");
        if attempt > END_ATTEMPTS {
            return;
        }
        tokio::time::sleep(END_RETRY).await;
    }
}

/// The end of a job that could not even begin.
pub(super) fn without_resources(
    store: &Store,
    id: &JobId,
    settings: &Settings,
    fault: &dyn std::fmt::Display,
) {
    let redactor = Redactor::new(KnownValues::of(settings), Vec::new());
    let message = redactor.text(&fault.to_string());
    let result = report::without_evidence(id, State::Failed, EndCause::Host, message);
    let statement =
        statement::of_attempts(None, id.as_str(), State::Failed, Some(EndCause::Host), &[]);
    let signed = statement::sign(&redactor.json(statement), settings);
    let artifacts = Artifacts::in_job(&store.job_folder(id));
    if let Err(fault) = artifacts.write_encoded(artifacts::STATEMENT, &signed) {
        tracing::error!(%fault, "the statement was not kept");
    }
    if let Err(fault) = store.finish(id, State::Failed, &result) {
        tracing::error!(%fault, "the job's end could not be recorded");
    }
}

/// Whatever failed on a full disk, failed because of it.
fn blame_full_disk(job: &Job, state: State, fault: Fault) -> Fault {
    if state != State::Failed || !job.journal().store().is_full() {
        return fault;
    }
    let first = fault.map_or_else(String::new, |(_, message)| format!("; first: {message}"));
    let message = format!(
        "the disk of the state folder is full; `mcp-codex-worker gc` makes room, or WORKER_STATE_DIR names another place{first}"
    );
    Some((EndCause::Storage, message))
}

fn judge(job: &Job, came_to: Result<(), EarlyExit>) -> (State, Fault) {
    let fault = |cause: EndCause, message: String| Some((cause, message));
    match came_to {
        Ok(()) if job.findings.verdicts.as_ref().is_some_and(Verdicts::passed) => {
            (State::Completed, None)
        }
        Ok(()) => (State::Failed, agent_fault(&job.findings)),
        Err(EarlyExit::Stalled(step)) => {
            let silent = job.settings.stall_ms / 1_000;
            (
                State::TimedOut,
                fault(
                    EndCause::Stalled,
                    format!("no sign of life for {silent} s (WORKER_STALL_MS); last step: {step}"),
                ),
            )
        }
        Err(EarlyExit::NoTurn(what)) => (
            State::TimedOut,
            fault(
                EndCause::QueueTimeout,
                format!(
                    "it waited {} s for its turn (WORKER_QUEUE_MS), at the end for {what}; it did not begin",
                    job.settings.queue_ms / 1_000
                ),
            ),
        ),
        // The question is the result; nothing failed.
        Err(EarlyExit::NeedsInput(_)) => (State::NeedsInput, None),
        Err(EarlyExit::Fault(cause, message)) => (State::Failed, fault(cause, message)),
        Err(EarlyExit::Stopped) => match job.stop.cause() {
            Some(StopCause::TimedOut) => {
                let step = match job.findings.agent.as_ref().map(|agent| &agent.ending) {
                    Some(Ending::TimedOut { last_step }) => format!("; last step: {last_step}"),
                    _ => String::new(),
                };
                (
                    State::TimedOut,
                    fault(
                        EndCause::JobTimeout,
                        format!(
                            "the job's {} s are over (timeout_ms){step}",
                            job.spec.timeout_ms.div_ceil(1_000)
                        ),
                    ),
                )
            }
            Some(StopCause::Gateway(cause, message)) => {
                (State::Failed, fault(*cause, message.clone()))
            }
            Some(StopCause::Deserted) => (
                State::Cancelled,
                fault(
                    EndCause::RunGone,
                    match job.spec.attempt {
                        Some(_) => "the job that this is an attempt of is over".to_owned(),
                        None => "the `run` that waited for this job was killed".to_owned(),
                    },
                ),
            ),
            Some(StopCause::Cancelled) | None => (State::Cancelled, None),
        },
    }
}

/// Returns true if the reader would not know otherwise why no further pass was made.
fn is_worth_telling(reason: revise::Reason, findings: &Findings) -> bool {
    let told = |same: fn(&verify::Cause) -> bool| {
        let mut failing = findings.verdicts.iter().flat_map(Verdicts::failing);
        failing.any(|check| check.cause.as_ref().is_some_and(same))
    };
    match reason {
        revise::Reason::Budget => !told(|cause| matches!(cause, verify::Cause::Budget { .. })),
        revise::Reason::Time => !told(|cause| matches!(cause, verify::Cause::JobTimedOut)),
        // After a single pass it is plain from the job itself.
        _ => findings.passes.len() > 1,
    }
}

/// A failed agent is the cause before any check that failed because of it.
fn agent_fault(findings: &Findings) -> Fault {
    match findings.agent.as_ref().map(|agent| &agent.ending) {
        Some(Ending::Failed { cause, message }) => Some((*cause, message.clone())),
        _ => None,
    }
}

fn keep_diff(findings: &Findings, redactor: &Redactor, artifacts: &Artifacts) -> Option<Redacted> {
    let changes = findings
        .changes
        .as_ref()
        .filter(|changes| !changes.is_empty())?;
    let diff = changes.diff(Selection::All, artifacts::MAX_BYTES);
    let mut text = redactor.bytes(&diff.bytes);
    text.push(&redactor.text(&diff.note()));
    let text = text.with_directions_shown();
    keep(artifacts, artifacts::DIFF, &text);
    Some(text)
}

fn keep_report(
    findings: &Findings,
    redactor: &Redactor,
    artifacts: &Artifacts,
) -> Option<Redacted> {
    let words = redactor.text(findings.agent.as_ref()?.last_message.as_deref()?);
    if words.len() > report::AGENT_REPORT_BYTES {
        keep(artifacts, artifacts::AGENT_REPORT, &words);
    }
    Some(words)
}

/// The agent's events, redacted as a stream: they can be many megabytes.
fn keep_transcript(job: &Job, redactor: &Redactor, artifacts: &Artifacts) {
    let events = job.folder().join("events.jsonl");
    if let Err(fault) = copy_redacted(&events, redactor, artifacts) {
        tracing::warn!(%fault, "the transcript was not kept");
    }
    // Working material: raw, and not needed any more.
    let _ = std::fs::remove_file(events);
}

fn copy_redacted(
    from: &Path,
    redactor: &Redactor,
    artifacts: &Artifacts,
) -> Result<(), Cow<'static, str>> {
    use std::io::Read as _;
    let failed = |fault: &dyn std::fmt::Display| Cow::Owned(fault.to_string());
    let mut file = match std::fs::File::open(from) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&error)),
    };
    let mut writer = artifacts
        .create(artifacts::TRANSCRIPT)
        .map_err(|fault| failed(&fault))?;
    let mut stream = redactor.stream();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut chunk).map_err(|fault| failed(&fault))?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        writer
            .push(&stream.push(bytes))
            .map_err(|fault| failed(&fault))?;
    }
    writer
        .push(&stream.finish())
        .map_err(|fault| failed(&fault))?;
    writer.finish().map_err(|fault| failed(&fault))?;
    Ok(())
}

fn keep(artifacts: &Artifacts, name: &str, text: &Redacted) {
    if let Err(fault) = artifacts.write(name, text) {
        tracing::error!(%fault, name, "an artifact was not kept");
    }
}

/// Returns the other notes for the reader, a short sentence each.
fn notes(job: &Job) -> Vec<String> {
    let mut notes = job.findings.notes.clone();
    notes.extend(job.resources.lock_notes.iter().cloned());
    if let Some(agent) = &job.findings.agent {
        notes.extend(agent.notes.iter().cloned());
    }
    if let Some(level) = &job.findings.level
        && level.word != LevelWord::Confined
    {
        notes.push(format!("ran {}; doctor says why", level.word.as_str()));
    }
    if let Some(changes) = &job.findings.changes {
        if changes.ignored > 0 {
            notes.push(format!("{} ignored files changed too", changes.ignored));
        }
        let links = links_out(changes);
        if !links.is_empty() {
            let more = links.len().saturating_sub(LINKS);
            let more = if more > 0 {
                format!(", +{more} more")
            } else {
                String::new()
            };
            let first: Vec<String> = links.into_iter().take(LINKS).collect();
            notes.push(format!(
                "links that lead out of the tree: {}{more}",
                first.join(", ")
            ));
        }
        let autorun = &job.findings.autorun;
        if !autorun.is_empty() {
            let names = verify::listed(autorun);
            notes.push(format!(
                "look at these before git, a shell or an editor runs them: {names}"
            ));
        }
        notes.extend(
            changes
                .git
                .iter()
                .filter(|change| !change.is_tampering())
                .filter(|change| !(job.findings.git_brought && change.is_of_commits()))
                .map(ToString::to_string),
        );
    }
    notes
}
