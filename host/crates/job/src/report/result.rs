//! The result itself, within its budgets.

use crate::end_cause::EndCause;
use serde_json::{Map, Value, json};

use crate::artifacts::{self, diff};
use crate::id::JobId;
use crate::state::State;
use crate::verify::{Cause, CheckVerdict, Verdicts};
use redact::{Redacted, RedactedJson, text};

/// The evidence of a passing job, diff apart.
pub const PASSING_BYTES: usize = 600;
/// All failure digests of a reply together.
pub const FAILURE_TOKENS: usize = 2_000;
/// The most bytes of an inline diff: about a thousand tokens. The parts left out of a longer one are
/// counted, and the artifact has them.
pub const INLINE_DIFF_MAX: usize = 3_600;
/// Nothing is ever longer than this.
pub const REPLY_TOKENS: usize = 8_000;
/// The most bytes of the agent's question.
const QUESTION_BYTES: usize = 600;
/// The agent's own words.
pub const AGENT_REPORT_BYTES: usize = 300;
/// The default slice of an artifact: what fits into a reply with room for its frame and for the escapes of JSON.
pub const SLICE_BYTES: usize = 16_000;

/// The result of a job that ended before there was evidence, or whose runner is gone.
pub(crate) fn without_evidence(
    id: &JobId,
    state: State,
    cause: EndCause,
    message: Redacted,
) -> RedactedJson {
    RedactedJson::object([
        ("job_id", id.redacted().into()),
        ("job_status", state.as_str().into()),
        ("changed_files", RedactedJson::list([])),
        ("checks", RedactedJson::list([])),
        ("diff", "".into()),
        (
            "error",
            RedactedJson::object([
                ("cause", cause.as_str().into()),
                ("message", message.into()),
            ]),
        ),
    ])
}

/// A job that has ended, as the runner knows it. Every text in it is redacted already.
#[derive(Debug, Clone, Default)]
pub struct Ended<'a> {
    /// The job.
    pub job_id: &'a str,
    /// The terminal state, as in `completed`.
    pub status: &'a str,
    /// The cause of its end, when that was no check: a stable name and one sentence.
    pub error: Option<(EndCause, &'a str)>,
    /// The agent's question, when it needs a decision.
    pub question: Option<&'a str>,
    /// The first thing to tell the reader.
    pub warning: Option<&'a str>,
    /// Paths relative to the working directory, escaped.
    pub changed_files: &'a [String],
    /// The verdicts of the checks; `None` when the job never came that far.
    pub verdicts: Option<&'a Verdicts>,
    /// The diff, when it was asked for.
    pub diff: Option<Diff<'a>>,
    /// The agent's own last words.
    pub agent_report: Option<&'a str>,
    /// Permissions that the agent asked for and was refused.
    pub denials: usize,
    /// Passes of the agent.
    pub passes: u32,
    /// The reason why no further pass was made, when the job failed after revising.
    pub stopped: Option<&'a str>,
    /// Anything else that the reader must know, a short sentence each: `unconfined`, a profile that fell back, the base.
    pub notes: &'a [String],
}

/// A diff that may go into a reply.
#[derive(Debug, Clone, Copy)]
pub struct Diff<'a> {
    /// The whole of it, as it is kept as an artifact.
    pub text: &'a str,
    /// DIFF_MAX_BYTES or `max_diff_bytes`, whichever is smaller.
    pub max_bytes: u64,
}

/// The compact result. A passing job costs at most [`PASSING_BYTES`] and its diff; nothing costs more than
/// [`REPLY_TOKENS`].
pub fn compose(ended: &Ended<'_>) -> Value {
    let passing = ended.error.is_none()
        && ended.question.is_none()
        && ended.verdicts.is_none_or(Verdicts::passed);
    // The lists of a failing job may be longer: they are what has to be looked at.
    let mut lists = if passing { 300 } else { 1_600 };
    let mut failures = text::bytes_of(FAILURE_TOKENS);
    loop {
        let reply = compose_within(ended, passing, lists, failures);
        let bytes = size(&reply);
        let diff = reply.get("diff").map_or(0, size);
        let fits = if passing {
            bytes - diff <= PASSING_BYTES
        } else {
            text::tokens(bytes) <= REPLY_TOKENS
        };
        if fits || lists < 80 {
            return reply;
        }
        // Escapes and many small parts can take more than was set aside.
        lists = lists * 3 / 4;
        failures = failures * 3 / 4;
    }
}

fn compose_within(ended: &Ended<'_>, passing: bool, lists: usize, failures: usize) -> Value {
    let mut reply = Map::new();
    if let Some(warning) = ended.warning {
        reply.insert("warning".into(), one_line(warning, 120).into());
    }
    reply.insert("job_id".into(), ended.job_id.into());
    reply.insert("job_status".into(), ended.status.into());
    if let Some(question) = ended.question {
        reply.insert(
            "question".into(),
            text::one_line(&text::printable(question), QUESTION_BYTES).into(),
        );
    }
    if let Some((cause, message)) = ended.error {
        reply.insert(
            "error".into(),
            json!({ "cause": cause, "message": one_line(message, 400) }),
        );
    }
    reply.insert(
        "changed_files".into(),
        list(ended.changed_files.iter().map(String::as_str), lists),
    );
    let lines = ended
        .verdicts
        .map(|verdicts| check_lines(verdicts, passing, ended.error))
        .unwrap_or_default();
    reply.insert(
        "checks".into(),
        list(lines.iter().map(String::as_str), lists),
    );
    let diff = ended.diff.map(inline_diff).unwrap_or_default();
    reply.insert("diff".into(), diff.clone().into());
    if let Some(failures) = ended
        .verdicts
        .and_then(|verdicts| failure_digests(verdicts, failures))
    {
        reply.insert("failures".into(), failures);
    }
    if ended.denials > 0 && !told(ended, |cause| matches!(cause, Cause::Denied { .. })) {
        reply.insert("denials".into(), ended.denials.into());
    }
    if ended.passes > 1 {
        reply.insert("passes".into(), ended.passes.into());
    }
    if let Some(stopped) = ended.stopped.filter(|_| !passing) {
        reply.insert("revise_stopped".into(), one_line(stopped, 120).into());
    }
    if !ended.notes.is_empty() {
        reply.insert(
            "notes".into(),
            list(ended.notes.iter().map(String::as_str), lists),
        );
    }
    if let Some(words) = ended.agent_report {
        let mut room = AGENT_REPORT_BYTES;
        if passing {
            let frame = r#","agent_report":"""#.len();
            let spent = size(&Value::Object(reply.clone())) - size(&Value::String(diff)) + 2;
            room = room.min(PASSING_BYTES.saturating_sub(spent + frame));
        }
        if let Some(report) = unverified(words, room) {
            reply.insert("agent_report".into(), report.into());
        }
    }
    Value::Object(reply)
}

/// One line of host's words, in which what a terminal would obey is written out.
fn one_line(words: &str, max: usize) -> String {
    text::escaped_line(&text::one_line(words, max)).into_owned()
}

/// Returns true if a failing check says already what this cause says.
fn told(ended: &Ended<'_>, same: impl Fn(&Cause) -> bool) -> bool {
    let mut failing = ended.verdicts.into_iter().flat_map(Verdicts::failing);
    failing.any(|check| check.cause.as_ref().is_some_and(&same))
}

/// Passing lines stay bare; where something fails, the failing lines come first, so that no cap hides them.
fn check_lines(verdicts: &Verdicts, passing: bool, error: Option<(EndCause, &str)>) -> Vec<String> {
    // What ended the agent is what ended the job, and stands there in full.
    let is_the_error = |check: &CheckVerdict| matches!((&check.cause, error), (Some(Cause::Agent { cause, .. }), Some((told, _))) if *cause == told);
    let line = |check: &CheckVerdict| {
        let line = if is_the_error(check) {
            check.bare_line()
        } else {
            check.line()
        };
        text::one_line(&line, if passing { 120 } else { 400 })
    };
    if passing {
        verdicts.checks.iter().map(line).collect()
    } else {
        verdicts
            .failing()
            .chain(verdicts.checks.iter().filter(|check| check.passed()))
            .map(line)
            .collect()
    }
}

/// Joins as many items as fit, and the number of the others. Each is one line, whatever it was composed of: a name, a
/// link's target or a branch cannot make a second one.
fn list<'a>(items: impl ExactSizeIterator<Item = &'a str>, max_bytes: usize) -> Value {
    const MORE: usize = 16;
    let total = items.len();
    let mut shown = Vec::new();
    let mut spent = 0;
    for item in items {
        let item = Value::from(text::escaped_line(item));
        spent += size(&item) + 1;
        let last = shown.len() + 1 == total;
        if spent + if last { 0 } else { MORE } > max_bytes && !shown.is_empty() {
            shown.push(format!("+{} more", total - shown.len()).into());
            break;
        }
        shown.push(item);
    }
    Value::Array(shown)
}

/// The diff for a reviewer, up to its budget; what does not fit is counted, with the artifact that
/// has all of it.
pub fn inline_diff(diff: Diff<'_>) -> String {
    let cap = usize::try_from(diff.max_bytes)
        .unwrap_or(usize::MAX)
        .min(INLINE_DIFF_MAX);
    diff::review(diff.text, artifacts::DIFF, cap)
}

/// The digests that explain failures. Digests were cut to a check's own budget when they were made;
/// here they share the reply's.
fn failure_digests(verdicts: &Verdicts, max_bytes: usize) -> Option<Value> {
    let failing: Vec<_> = verdicts
        .failing()
        .filter_map(|check| {
            let digest = check.digest.as_deref()?.trim_end();
            (!digest.is_empty()).then_some((check, digest))
        })
        .collect();
    let mut entries = Map::new();
    let mut left = max_bytes;
    let mut waiting = failing.len();
    // The shortest first: what they leave over, the longer ones may use.
    let mut order: Vec<usize> = (0..failing.len()).collect();
    order.sort_by_key(|at| failing.get(*at).map_or(0, |(_, digest)| digest.len()));
    let mut shares = vec![0; failing.len()];
    for at in order {
        let wanted = failing.get(at).map_or(0, |(_, digest)| digest.len());
        let share = wanted.min(left / waiting.max(1));
        if let Some(slot) = shares.get_mut(at) {
            *slot = share;
        }
        left -= share;
        waiting -= 1;
    }
    for ((check, digest), share) in failing.iter().zip(shares) {
        let mut shown = text::head_tail(digest, share);
        if let Some(artifact) = &check.artifact {
            shown = format!("{}\n[all of it: artifact `{artifact}`]", shown.trim_end());
        }
        entries.insert(check.name.clone(), shown.into());
    }
    (!entries.is_empty()).then_some(Value::Object(entries))
}

/// The agent's words, marked as what they are. Nothing rather than a useless stump.
fn unverified(words: &str, room: usize) -> Option<String> {
    const MARK: &str = "(unverified) ";
    const LEAST: usize = 40;
    let words = text::printable(words);
    let mut max = room.checked_sub(MARK.len())?;
    loop {
        let line = text::one_line(&words, max);
        if line.is_empty() || max < LEAST.min(words.trim().len()) {
            return None;
        }
        let report = format!("{MARK}{line}");
        // Quotes and backslashes take two bytes in JSON.
        let over = (size(&Value::from(report.as_str())) - 2).saturating_sub(room);
        if over == 0 {
            return Some(report);
        }
        max = max.checked_sub(over.max(1))?;
    }
}

/// Bytes of the JSON as it is sent.
fn size(value: &Value) -> usize {
    value.to_string().len()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
