//! `redact`: the redactor of every log and reply, as a filter.

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::terminal::complain;
use super::{GlobalOptions, exit};
use plugins::{Engine, PluginSet, PluginSettings};
use redact::{KnownValues, Redacted, Redactor};
use settings::Settings;

/// The arguments of `redact`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo test 2>&1 | mcp-codex-worker redact
  mcp-codex-worker redact --known DEPLOY_KEY <build.log >build.clean.log

With --jsonl, a line is one text or one stream:
  {\"id\":1,\"text\":\"...\"}                          answers {\"id\":1,\"text\":\"...\"}
  {\"id\":2,\"text\":\"...\",\"known\":[\"value\",...]}    the same; the values are cut out in every encoding
  {\"id\":3,\"chunks_b64\":[\"...\",...]}              answers {\"id\":3,\"outs\":[...]}: what came out after each chunk
                                                 and, last, at the end")]
pub(super) struct RedactArguments {
    /// Read texts as JSON lines and answer in JSON lines
    #[arg(long)]
    jsonl: bool,
    /// Also cut out the value of this environment variable, in every common encoding; may be repeated
    #[arg(long, value_name = "VARIABLE")]
    known: Vec<String>,
}

/// Filters stdin to stdout until its end.
pub(super) fn run(global: &GlobalOptions, arguments: &RedactArguments) -> ExitCode {
    let settings = match global.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let known = match known_values(&settings, &arguments.known) {
        Ok(known) => known,
        Err(problem) => {
            complain(format_args!("mcp-codex-worker: {problem}"));
            return ExitCode::from(exit::USAGE);
        }
    };
    let engine = match Engine::shared(&settings.cache_dir) {
        Ok(engine) => engine,
        Err(problem) => {
            complain(format_args!("mcp-codex-worker: {problem}"));
            return ExitCode::from(exit::FAILED);
        }
    };
    let plugins = PluginSet::load(&engine, &PluginSettings::of(&settings, &[]));
    let redactor = Redactor::new(known, plugins.redactors());
    let filtered = if arguments.jsonl {
        filter_lines(&redactor, io::stdin().lock(), io::stdout().lock())
    } else {
        filter(&redactor, io::stdin().lock(), io::stdout().lock())
    };
    match filtered {
        Ok(()) => ExitCode::from(exit::OK),
        // Whoever reads our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(exit::OK),
        Err(error) => {
            complain(format_args!("mcp-codex-worker: {error}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

/// A variable of `--known` that has no value to cut out.
#[derive(Debug, thiserror::Error)]
#[error("--known {0}: there is no such environment variable, or it is not UTF-8")]
struct NoVariable(String);

fn known_values(settings: &Settings, variables: &[String]) -> Result<KnownValues, NoVariable> {
    let mut known = KnownValues::of(settings);
    for name in variables {
        let value = std::env::var(name).map_err(|_| NoVariable(name.clone()))?;
        known.add(name, &value);
    }
    Ok(known)
}

/// Copies bytes, as they come.
fn filter(redactor: &Redactor, mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut stream = redactor.stream();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let out = stream.push(buffer.get(..count).unwrap_or_default());
        if !out.is_empty() {
            output.write_all(out.as_bytes())?;
            output.flush()?;
        }
    }
    output.write_all(stream.finish().as_bytes())?;
    output.flush()
}

/// One line of the JSON protocol.
#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: serde_json::Value,
    text: Option<String>,
    chunks_b64: Option<Vec<String>>,
    #[serde(default)]
    known: Vec<String>,
}

#[derive(Serialize)]
struct Answer {
    id: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Redacted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outs: Option<Vec<Redacted>>,
}

/// Answers JSON lines with JSON lines.
fn filter_lines(redactor: &Redactor, input: impl BufRead, output: impl Write) -> io::Result<()> {
    let mut output = io::BufWriter::new(output);
    for (number, line) in input.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = answer(redactor, &line).map_err(|problem| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {}: {problem}", number + 1),
            )
        })?;
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

/// A line that cannot be answered; nothing of it is repeated.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("column {0}: not an object with `text` or `chunks_b64`")]
    Json(usize),
    #[error("`chunks_b64` holds something else than base64")]
    Base64(#[from] base64::DecodeError),
    #[error("needs either `text` or `chunks_b64`")]
    Neither,
}

/// Returns what one line asks for.
fn answer(redactor: &Redactor, line: &str) -> Result<Answer, LineError> {
    let request: Request =
        serde_json::from_str(line).map_err(|error| LineError::Json(error.column()))?;
    let redactor = if request.known.is_empty() {
        redactor.clone()
    } else {
        let mut known = KnownValues::new();
        for value in &request.known {
            known.add("known-value", value);
        }
        redactor.and_known(&known)
    };
    let (text, outs) = match (request.text, request.chunks_b64) {
        (Some(text), None) => (Some(redactor.text(&text)), None),
        (None, Some(chunks)) => {
            let mut stream = redactor.stream();
            let mut outs = Vec::with_capacity(chunks.len() + 1);
            for chunk in chunks {
                outs.push(stream.push(&STANDARD.decode(chunk)?));
            }
            outs.push(stream.finish());
            (None, Some(outs))
        }
        _ => return Err(LineError::Neither),
    };
    Ok(Answer {
        id: request.id,
        text,
        outs,
    })
}
