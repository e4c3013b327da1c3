//! `plugin test`: a plugin in the real engine against cases in files, `cases/NAME/case.json`. What a case says depends on
//! the kind; `plugins/README.md` has the whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use check_input::{Entry, JobView, MadeUpError};
use gateway::wire::{Reply, Sse};
use plugins::check::{Command, Outcome as Verdict, Report};
use plugins::manifest::Manifest;
use plugins::summarizer::{Content, Request};
use plugins::{Cost, Engine, Kind, PluginError, PluginSet};
use redact::{KnownValues, Redactor, ScannerSource};

/// The file of a case in its folder.
pub(crate) const FILE: &str = "case.json";

/// The result of one case.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The case's folder.
    pub name: String,
    /// The differences from what is expected, one line each; empty when it passed.
    pub wrong: Vec<String>,
    /// The cost of its calls.
    pub cost: Cost,
    /// The plugin's log lines, as a job's log would have them.
    pub log: Vec<String>,
}

/// The reason why the cases could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    /// The plugin cannot be used.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A case cannot be used.
    #[error("{file}: {fault}")]
    Case {
        /// The case, or a file beside it.
        file: String,
        /// The fault.
        fault: CaseFault,
    },
}

/// The fault of a case.
#[derive(Debug, thiserror::Error)]
pub enum CaseFault {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// It is no JSON, or has a key too many or too few.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A content that is given as base64 is none.
    #[error("base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// A content is given twice, or not at all.
    #[error("give one of {0}")]
    Content(&'static str),
    /// A file beside the case cannot be read.
    #[error("{0}: {1}")]
    Beside(String, std::io::Error),
    /// The trees cannot be made.
    #[error(transparent)]
    Trees(#[from] MadeUpError),
}

impl CasesError {
    fn of(folder: &Path, fault: impl Into<CaseFault>) -> Self {
        CasesError::Case {
            file: folder.join(FILE).display().to_string(),
            fault: fault.into(),
        }
    }
}

/// A case of a check.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckCase {
    #[serde(default)]
    settings: Value,
    #[serde(default)]
    task: String,
    /// Changed files with what they were before and after; absent: not there.
    #[serde(default)]
    changed: BTreeMap<String, BeforeAfter>,
    /// Other files of the tree.
    #[serde(default)]
    tree: BTreeMap<String, Kept>,
    #[serde(default)]
    commands: Vec<CommandCase>,
    #[serde(default)]
    agent_message: String,
    /// The parts of a job that the case lacks, for people.
    #[serde(default)]
    #[expect(dead_code, reason = "read by people alone")]
    left_out: Vec<String>,
    expect: CheckExpectation,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BeforeAfter {
    before: Option<Kept>,
    after: Option<Kept>,
}

/// The entry at a path: a text, or more about it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Kept {
    Text(String),
    Detailed(Detailed),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Detailed {
    text: Option<String>,
    /// Bytes that are no text.
    base64: Option<String>,
    /// A file beside the case.
    file: Option<String>,
    /// The target of a symbolic link.
    symlink: Option<String>,
    #[serde(default)]
    executable: bool,
    /// The content so many times one after the other: long files in short cases.
    repeat: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandCase {
    name: String,
    #[serde(default)]
    argv: Vec<String>,
    exit_code: Option<i32>,
    #[serde(default)]
    timed_out: bool,
    /// The output, standard output and standard error as one stream.
    #[serde(default)]
    output: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckExpectation {
    passed: Option<bool>,
    /// A part of the reason why it is not applicable.
    not_applicable: Option<String>,
    summary: Option<String>,
    /// Each of these must be among the findings: only the fields that are given count. An empty list: no finding.
    findings: Option<Vec<Map<String, Value>>>,
    /// A part of the refusal.
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SummarizerCase {
    /// The text, or a file beside the case.
    text: Option<String>,
    file: Option<String>,
    #[serde(default = "test_output")]
    content: String,
    origin: Option<String>,
    exit_code: Option<i32>,
    #[serde(default = "two_kilobytes")]
    max_bytes: usize,
    expect: TextExpectation,
}

fn test_output() -> String {
    "test-output".to_owned()
}

fn two_kilobytes() -> usize {
    2000
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextExpectation {
    text: Option<String>,
    #[serde(default)]
    contains: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RedactorCase {
    text: Option<String>,
    file: Option<String>,
    expect: RedactorExpectation,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RedactorExpectation {
    redacted: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DialectCase {
    #[serde(default)]
    model: String,
    /// A canonical request to be rewritten.
    request: Option<Value>,
    /// An Anthropic request: what the agent sends. It becomes canonical by the facts, as in a job.
    anthropic: Option<Value>,
    /// A whole reply to be made canonical, or an error to be judged.
    reply: Option<ReplyCase>,
    /// Data of streamed events, one network read each.
    #[serde(default)]
    events: Vec<Vec<String>>,
    expect: DialectExpectation,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyCase {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DialectExpectation {
    recognizes: Option<String>,
    path: Option<String>,
    /// Field for field, what the request becomes.
    request: Option<Value>,
    /// The result for the reply.
    response: Option<Value>,
    /// Canonical chunks of the stream.
    chunks: Option<Vec<Value>>,
    failure: Option<String>,
    retry: Option<bool>,
    error: Option<String>,
}

/// Runs every case of a plugin, ordered by name. Components of more than `largest` bytes are refused.
///
/// # Errors
/// When the plugin does not load or a case cannot be read.
pub fn run(
    engine: &Arc<Engine>,
    manifest: &Manifest,
    largest: u64,
) -> Result<Vec<Outcome>, CasesError> {
    let set = PluginSet::of_manifest(engine, manifest, largest)?;
    let mut folders = std::fs::read_dir(manifest.folder.join("cases"))
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_dir())
                .collect::<Vec<_>>()
        })
        .unwrap_or_default();
    folders.sort();
    let mut outcomes = Vec::new();
    for folder in folders {
        let before = set.cost(&manifest.id);
        let wrong = match manifest.kind {
            Kind::Check => check(&set, manifest, &folder)?,
            Kind::Summarizer => summarizer(&set, manifest, &folder)?,
            Kind::Redactor => redactor(&set, manifest, &folder)?,
            Kind::Dialect => dialect(&set, manifest, &folder)?,
        };
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        outcomes.push(Outcome {
            name,
            wrong,
            log: set.take_log(str::to_owned),
            cost: set.cost(&manifest.id).since(&before),
        });
    }
    Ok(outcomes)
}

fn read<T: serde::de::DeserializeOwned>(folder: &Path) -> Result<T, CasesError> {
    let text = std::fs::read_to_string(folder.join(FILE));
    let text = text.map_err(|error| CasesError::of(folder, error))?;
    serde_json::from_str(&text).map_err(|error| CasesError::of(folder, error))
}

/// The text of a case, in it or in a file beside it.
fn text_of(
    folder: &Path,
    text: Option<String>,
    file: Option<String>,
) -> Result<String, CasesError> {
    match (text, file) {
        (Some(text), None) => Ok(text),
        (None, Some(name)) => {
            let path: PathBuf = folder.join(name);
            std::fs::read_to_string(&path).map_err(|error| CasesError::Case {
                file: path.display().to_string(),
                fault: error.into(),
            })
        }
        _ => Err(CasesError::of(folder, CaseFault::Content("text, file"))),
    }
}

/// A failure that was expected, or not.
fn failure(error: &PluginError, expected: Option<&str>) -> Vec<String> {
    match expected {
        Some(expected) if error.to_string().contains(expected) => Vec::new(),
        Some(expected) => vec![format!("expected an error with {expected:?}, got: {error}")],
        None => vec![error.to_string()],
    }
}

fn differ(what: &str, expected: &Value, got: &Value) -> Option<String> {
    (expected != got).then(|| format!("{what}: expected {expected}, got {got}"))
}

fn check(set: &PluginSet, manifest: &Manifest, folder: &Path) -> Result<Vec<String>, CasesError> {
    let case: CheckCase = read(folder)?;
    let settings = case.settings.clone();
    let plugin = set.check(&manifest.id)?;
    let job = made_up(&case, folder)?;
    let expect = case.expect;
    let report = match plugin.run(Arc::new(job), &settings) {
        Ok(report) => report,
        Err(error) => return Ok(failure(&error, expect.error.as_deref())),
    };
    let got = shown(&report);
    let mut wrong = Vec::new();
    if let Some(error) = &expect.error {
        wrong.push(format!("expected an error with {error:?}, got {got}"));
    }
    wrong.extend(
        expect
            .passed
            .and_then(|passed| differ("passed", &json!(passed), &got["passed"])),
    );
    wrong.extend(
        expect
            .summary
            .and_then(|summary| differ("summary", &json!(summary), &got["summary"])),
    );
    match (&expect.not_applicable, &report.outcome) {
        (Some(reason), Verdict::NotApplicable(got)) if got.contains(reason) => {}
        (Some(reason), _) => wrong.push(format!("expected not applicable ({reason}), got {got}")),
        (None, _) => {}
    }
    if let Some(expected) = expect.findings {
        let findings = got["findings"].as_array().cloned().unwrap_or_default();
        let fits = |finding: &Value, expected: &Map<String, Value>| {
            expected.iter().all(|(key, value)| &finding[key] == value)
        };
        for expected in &expected {
            if !findings.iter().any(|finding| fits(finding, expected)) {
                wrong.push(format!(
                    "no finding with {}",
                    Value::Object(expected.clone())
                ));
            }
        }
        for finding in findings
            .iter()
            .filter(|finding| !expected.iter().any(|expected| fits(finding, expected)))
        {
            wrong.push(format!("not expected: {finding}"));
        }
    }
    Ok(wrong)
}

fn summarizer(
    set: &PluginSet,
    manifest: &Manifest,
    folder: &Path,
) -> Result<Vec<String>, CasesError> {
    let case: SummarizerCase = read(folder)?;
    let text = text_of(folder, case.text, case.file)?;
    let content = match case.content.as_str() {
        "log" => Content::Log,
        "diff" => Content::Diff,
        "test-output" => Content::TestOutput,
        "command-output" => Content::CommandOutput,
        _ => Content::Other,
    };
    let request = Request {
        content,
        text: &text,
        origin: case.origin.as_deref(),
        exit_code: case.exit_code,
        max_bytes: case.max_bytes,
    };
    let summary = match set.summarizer(&manifest.id)?.summarize(&request) {
        Ok(summary) => summary,
        Err(error) => return Ok(failure(&error, case.expect.error.as_deref())),
    };
    let mut wrong = Vec::new();
    if let Some(error) = &case.expect.error {
        wrong.push(format!("expected an error with {error:?}, got a summary"));
    }
    wrong.extend(
        case.expect
            .text
            .and_then(|text| differ("text", &json!(text), &json!(summary.text))),
    );
    for part in case
        .expect
        .contains
        .iter()
        .filter(|part| !summary.text.contains(*part))
    {
        wrong.push(format!("{part:?} is not in {:?}", summary.text));
    }
    for part in case
        .expect
        .lacks
        .iter()
        .filter(|part| summary.text.contains(*part))
    {
        wrong.push(format!("{part:?} is in {:?}", summary.text));
    }
    for kept in summary
        .kept
        .iter()
        .filter(|kept| !summary.text.contains(&text[(*kept).clone()]))
    {
        wrong.push(format!(
            "the bytes {}..{} count as kept and are not in the summary",
            kept.start, kept.end
        ));
    }
    Ok(wrong)
}

/// Redacts in one piece and in many small ones; both must give what is expected.
fn redactor(
    set: &PluginSet,
    manifest: &Manifest,
    folder: &Path,
) -> Result<Vec<String>, CasesError> {
    let case: RedactorCase = read(folder)?;
    let text = text_of(folder, case.text, case.file)?;
    let scanner: Arc<dyn ScannerSource> = set.redactor(&manifest.id)?;
    let redactor = Redactor::new(KnownValues::new(), vec![scanner]);
    let mut wrong = Vec::new();
    for size in [usize::MAX, 1, 7, 64] {
        let mut stream = redactor.stream();
        let mut redacted = String::new();
        for piece in text.as_bytes().chunks(size) {
            redacted.push_str(&stream.push(piece));
        }
        redacted.push_str(&stream.finish());
        if redacted != case.expect.redacted {
            let how = if size == usize::MAX {
                "in one piece".to_owned()
            } else {
                format!("in pieces of {size}")
            };
            wrong.push(format!(
                "{how}: expected {:?}, got {redacted:?}",
                case.expect.redacted
            ));
        }
    }
    Ok(wrong)
}

fn dialect(set: &PluginSet, manifest: &Manifest, folder: &Path) -> Result<Vec<String>, CasesError> {
    let case: DialectCase = read(folder)?;
    let plugin = set.dialect(&manifest.id)?;
    let expect = &case.expect;
    let mut wrong = Vec::new();
    if let Some(pattern) = &expect.recognizes
        && !plugin.patterns().contains(pattern)
    {
        wrong.push(format!(
            "recognizes: {pattern:?} is not among {:?}",
            plugin.patterns()
        ));
    }
    let facts = plugin.facts(&case.model)?;
    wrong.extend(
        expect
            .path
            .as_ref()
            .and_then(|path| differ("path", &json!(path), &json!(facts.endpoint.path))),
    );
    let as_json = |bytes: &[u8]| {
        serde_json::from_slice(bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
    };
    let canonical = match (&case.anthropic, &case.request) {
        (Some(request), _) => {
            let body = request.to_string();
            match gateway::canonical_request(body.as_bytes(), &facts, &case.model) {
                Ok(canonical) => Some(canonical),
                Err(why) => {
                    wrong.push(format!("anthropic: {why}"));
                    None
                }
            }
        }
        (None, Some(request)) => Some(request.to_string().into_bytes()),
        (None, None) => None,
    };
    if let Some(canonical) = canonical {
        // A dialect is not asked where its facts say that it need not be.
        let sent = match facts.canonical_request {
            true => Ok(canonical),
            false => plugin
                .request(&canonical, &case.model)
                .map(|outbound| outbound.body),
        };
        match sent {
            Ok(body) => wrong.extend(
                expect
                    .request
                    .as_ref()
                    .and_then(|expected| differ("request", expected, &as_json(&body))),
            ),
            Err(error) => wrong.extend(failure(&error, expect.error.as_deref())),
        }
    }
    if let Some(reply) = &case.reply {
        let body = reply
            .body
            .as_str()
            .map_or_else(|| reply.body.to_string(), str::to_owned);
        let headers = reply.headers.clone().into_iter().collect::<Vec<_>>();
        let reply = Reply {
            status: reply.status,
            headers: &headers,
            body: body.as_bytes(),
        };
        if let Some(expected) = &expect.response {
            match plugin.response(reply, &case.model) {
                Ok(response) => wrong.extend(differ("response", expected, &as_json(&response))),
                Err(error) => wrong.extend(failure(&error, expect.error.as_deref())),
            }
        }
        if expect.failure.is_some() || expect.retry.is_some() {
            match plugin.classify(reply) {
                Ok(verdict) => {
                    let failure = kebab(&format!("{:?}", verdict.failure));
                    wrong.extend(
                        expect.failure.as_ref().and_then(|expected| {
                            differ("failure", &json!(expected), &json!(failure))
                        }),
                    );
                    wrong.extend(expect.retry.and_then(|expected| {
                        differ("retry", &json!(expected), &json!(verdict.retry))
                    }));
                }
                Err(error) => wrong.extend(failure(&error, expect.error.as_deref())),
            }
        }
    }
    if let Some(expected) = &expect.chunks {
        let stream = || {
            let mut translation = plugin.translation(&case.model)?;
            let mut chunks = Vec::new();
            for read in &case.events {
                let events = read
                    .iter()
                    .map(|data| Sse {
                        event: None,
                        data: data.clone(),
                    })
                    .collect::<Vec<_>>();
                chunks.extend(translation.push(&events)?);
            }
            chunks.extend(translation.finish(true)?);
            Ok(chunks)
        };
        match stream() {
            Ok(chunks) => {
                let chunks = chunks
                    .iter()
                    .map(|chunk| as_json(chunk.as_bytes()))
                    .collect::<Vec<_>>();
                wrong.extend(differ("chunks", &json!(expected), &json!(chunks)));
            }
            Err(error) => wrong.extend(failure(&error, expect.error.as_deref())),
        }
    }
    Ok(wrong)
}

/// `RateLimited` as `rate-limited`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.extend(letter.to_lowercase());
    }
    kebab
}

/// A report as cases speak of it.
fn shown(report: &Report) -> Value {
    let mut shown = json!({
        "passed": report.is_passed(),
        "summary": report.summary,
        "findings": report.findings,
    });
    if let Verdict::NotApplicable(reason) = &report.outcome {
        shown["not_applicable"] = json!(reason);
    }
    shown
}

/// The job of a check's case.
#[cfg(test)]
pub(crate) fn job_of(folder: &Path) -> Result<JobView, CasesError> {
    made_up(&read(folder)?, folder)
}

/// The job of a case: real trees, compared by the same code as a job's.
fn made_up(case: &CheckCase, folder: &Path) -> Result<JobView, CasesError> {
    let entry =
        |content: &Kept| entry(content, folder).map_err(|fault| CasesError::of(folder, fault));
    let (mut tree, mut before, mut after) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (path, content) in &case.tree {
        tree.insert(real_path(path), entry(content)?);
    }
    for (path, file) in &case.changed {
        if let Some(content) = &file.before {
            before.insert(real_path(path), entry(content)?);
        }
        if let Some(content) = &file.after {
            after.insert(real_path(path), entry(content)?);
        }
    }
    let job = JobView::made_up(&tree, &before, &after);
    let job = job.map_err(|error| CasesError::of(folder, error))?;
    let mut job = job.of(&case.task, &case.agent_message);
    for command in &case.commands {
        let ran = Command {
            name: command.name.clone(),
            argv: command.argv.clone(),
            exit_code: command.exit_code,
            timed_out: command.timed_out,
            wall_ms: 1000,
            output_size: command.output.len() as u64,
        };
        job.ran(ran, command.output.clone());
    }
    Ok(job)
}

/// Returns the tree entry that a case describes for a path.
fn entry(content: &Kept, folder: &Path) -> Result<Entry, CaseFault> {
    let detailed = match content {
        Kept::Text(text) => {
            return Ok(Entry::File {
                bytes: text.clone().into_bytes(),
                executable: false,
            });
        }
        Kept::Detailed(detailed) => detailed,
    };
    if let Some(target) = &detailed.symlink {
        return Ok(Entry::Symlink(target.into()));
    }
    let bytes = match (&detailed.text, &detailed.base64, &detailed.file) {
        (Some(text), None, None) => text.clone().into_bytes(),
        (None, Some(base64), None) => {
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, base64)?
        }
        (None, None, Some(file)) => {
            let read = std::fs::read(folder.join(file));
            read.map_err(|error| CaseFault::Beside(file.clone(), error))?
        }
        _ => return Err(CaseFault::Content("text, base64, file, symlink")),
    };
    Ok(Entry::File {
        bytes: bytes.repeat(detailed.repeat.unwrap_or(1) as usize),
        executable: detailed.executable,
    })
}

/// A path as a check sees it, back as it is in a tree.
fn real_path(shown: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = shown.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                tail
            }
            (b'\\', [b'x', high, low, tail @ ..])
                if digit(*high).is_some() && digit(*low).is_some() =>
            {
                bytes.push(digit(*high).unwrap_or(0) << 4 | digit(*low).unwrap_or(0));
                tail
            }
            (byte, tail) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    path_of(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}
