//! One command check: a process tree of its own, its output redacted into an artifact, its end as a cause.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::place::Place;
use super::room::{Form, Room};
use super::verdict::Cause;
use crate::artifacts::{self, ArtifactError, ArtifactWriter, Artifacts};
use crate::checks::{CommandCheck, CommandLine};
use process::{self, Ending, Exit, Network, ProcessError, Stdin};
use redact::{RedactStream, Redacted, Redactor};

/// The output of a check that is redacted and written as it comes. What follows waits in memory, its end alone is
/// kept, and that is redacted when the check is over: redaction takes 20 ms a megabyte, and nobody reads the middle.
const HEAD_BYTES: u64 = artifacts::MAX_BYTES;

/// The end of a long output that is kept.
const TAIL_BYTES: usize = (artifacts::MAX_BYTES / 2) as usize;

/// The bytes before the kept end that are redacted with it, so that a secret over the cut is found, and is then left
/// out. No rule of the redactor looks further back.
const MARGIN_BYTES: usize = redact::MAX_HELD_BACK;

/// A line that is longer is written in pieces, so that a check without line ends does not fill the memory.
const LINE_BYTES: usize = 64 << 10;

/// The time limits of a command.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// The end of the job's own time.
    pub(super) deadline: Instant,
    /// Somebody wants the job ended.
    pub(super) stop: CancellationToken,
}

/// A check's place among the rooms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    /// The same in every pass, another for every check.
    pub(super) name: &'a str,
    /// The build output of its last pass is there.
    pub(super) kept: bool,
}

/// The end of a command, and its output.
#[derive(Debug)]
pub(super) struct Run {
    /// The reason why it did not pass.
    pub(super) cause: Option<Cause>,
    /// The exit, when it was started.
    pub(super) exit: Option<Exit>,
    /// The artifact with its output, when there was any.
    pub(super) artifact: Option<String>,
}

impl Run {
    fn not_run(cause: Cause) -> Self {
        Self {
            cause: Some(cause),
            exit: None,
            artifact: None,
        }
    }
}

/// Runs a check's command to its end, in a room of its own, which the caller ends. Never fails: what goes wrong is a cause.
pub(super) async fn run(
    check: &CommandCheck,
    place: &Place,
    key: &Key<'_>,
    limits: &Limits,
    redactor: &Redactor,
    artifacts: &Artifacts,
    artifact: &str,
) -> (Run, Option<Room>) {
    loop {
        let room = match place.rooms.make(&place.tree, key.name, key.kept) {
            Ok(room) => room,
            Err(error) => {
                let message = format!("no room for it in the state folder: {error}");
                return (Run::not_run(Cause::NotStarted { message }), None);
            }
        };
        match run_in(&room, check, place, limits, redactor, artifacts, artifact).await {
            Ok(run) => return (run, Some(room)),
            Err(refused) => {
                let form = room.form;
                place.rooms.end(room, &place.tree, key.name, None);
                place.rooms.refuse(form, &refused);
            }
        }
    }
}

/// What a command was to work in cannot be had in this form; nothing ran.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct FormRefused(String);

/// Runs the command in a room.
///
/// # Errors
/// What it works in cannot be had in this form; nothing ran.
async fn run_in(
    room: &Room,
    check: &CommandCheck,
    place: &Place,
    limits: &Limits,
    redactor: &Redactor,
    artifacts: &Artifacts,
    artifact: &str,
) -> Result<Run, FormRefused> {
    let not_run = |cause| Ok(Run::not_run(cause));
    let Some(cwd) = directory(place, check.cwd.as_deref()) else {
        let cwd = check.cwd.as_ref().map_or_else(
            || place.tree.work_dir.display().to_string(),
            |cwd| cwd.display().to_string(),
        );
        return not_run(Cause::NoDirectory { cwd });
    };
    let (program, args) = command_line(&check.command);
    let toolchains = &room.toolchains;
    let mut confinement = place.tree.confinement.clone();
    confinement.read.extend(toolchains.read.iter().cloned());
    confinement.write.push(room.home.clone());
    confinement.temp = Some(room.temp.clone());
    confinement.layers.clone_from(&room.layers);
    confinement.stand_ins.clone_from(&room.stand_ins);
    confinement.network = if check.network {
        Network::On
    } else {
        Network::Off
    };
    let env = environment(place, room, check);
    let command = process::Command {
        program,
        args,
        cwd,
        env,
        stdin: Stdin::Null,
        confinement,
    };
    let mut running = match process::spawn(command).await {
        Ok(running) => running,
        Err(ProcessError::Layer(reason) | ProcessError::StandIn(reason))
            if room.form != Form::Tree =>
        {
            return Err(FormRefused(reason));
        }
        Err(error) => return not_run(not_started(error)),
    };
    let handle = running.handle();
    let mut sink = Sink::new(redactor, artifacts, artifact);
    let limit = Instant::now() + Duration::from_millis(check.timeout_ms);
    let mut cut: Option<Cause> = None;
    let (mut out, mut err) = (vec![0; 32 << 10], vec![0; 32 << 10]);
    let (mut out_open, mut err_open) = (true, true);
    // Reading goes on while the tree is being ended: its last words are often the ones that explain.
    while out_open || err_open {
        let ended = cut.is_some();
        let over = tokio::select! {
            read = read(&mut running.stdout, &mut out), if out_open => {
                out_open = read > 0;
                sink.push(Stream::Out, out.get(..read).unwrap_or_default());
                None
            }
            read = read(&mut running.stderr, &mut err), if err_open => {
                err_open = read > 0;
                sink.push(Stream::Err, err.get(..read).unwrap_or_default());
                None
            }
            () = tokio::time::sleep_until(limit), if !ended && limit <= limits.deadline => {
                Some(Cause::TimedOut { after_ms: check.timeout_ms })
            }
            () = tokio::time::sleep_until(limits.deadline), if !ended && limits.deadline < limit => Some(Cause::JobTimedOut),
            () = limits.stop.cancelled(), if !ended => Some(Cause::NotRun { reason: "the job was ended".into() }),
        };
        if let Some(cause) = over.filter(|_| !ended) {
            let handle = handle.clone();
            tokio::spawn(async move { handle.end(Ending::CHECK).await });
            cut = Some(cause);
        }
    }
    // A tree that closed its output may still run.
    let exit = tokio::select! {
        exit = handle.wait() => exit,
        () = tokio::time::sleep_until(limit.min(limits.deadline)), if cut.is_none() => {
            let job = limits.deadline < limit;
            cut = Some(if job { Cause::JobTimedOut } else { Cause::TimedOut { after_ms: check.timeout_ms } });
            handle.end(Ending::CHECK).await
        }
        () = limits.stop.cancelled(), if cut.is_none() => {
            cut = Some(Cause::NotRun { reason: "the job was ended".into() });
            handle.end(Ending::CHECK).await
        }
    };
    let artifact = sink.finish();
    Ok(Run {
        cause: cut.or_else(|| cause_of(exit)),
        exit: Some(exit),
        artifact,
    })
}

/// Reads what is there; a broken pipe is the end.
async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> usize {
    stream.read(buffer).await.unwrap_or(0)
}

/// The directory to run in, inside the tree also after all symbolic links.
fn directory(place: &Place, cwd: Option<&Path>) -> Option<PathBuf> {
    let wanted = cwd.map_or_else(
        || place.tree.work_dir.clone(),
        |cwd| place.tree.work_dir.join(cwd),
    );
    let real = wanted.canonicalize().ok().filter(|real| real.is_dir())?;
    let top = place.tree.top.canonicalize().ok()?;
    real.starts_with(top).then_some(real)
}

/// The shell of a command: planners write bash (`set -o pipefail`, `[[`), which dash refuses. Only from the system's
/// folders, which a confined command can always read, and which no job can write.
fn shell() -> &'static str {
    const BASH: [&str; 5] = [
        "/bin/bash",
        "/usr/bin/bash",
        "/usr/local/bin/bash",
        "/opt/homebrew/bin/bash",
        "/run/current-system/sw/bin/bash",
    ];
    let mut there = BASH.into_iter().filter(|path| Path::new(path).is_file());
    there.next().unwrap_or("/bin/sh")
}

fn command_line(line: &CommandLine) -> (OsString, Vec<OsString>) {
    match line {
        CommandLine::Shell(script) => (shell().into(), vec!["-c".into(), script.into()]),
        CommandLine::Argv(words) => {
            let mut words = words.iter().map(OsString::from);
            (words.next().unwrap_or_default(), words.collect())
        }
    }
}

/// Tools behave as in CI: no watch mode, no colours, no prompts, no new snapshots.
fn environment(place: &Place, room: &Room, check: &CommandCheck) -> Vec<(OsString, OsString)> {
    const LIKE_CI: &[(&str, &str)] = &[
        ("CI", "true"),
        ("NO_COLOR", "1"),
        ("FORCE_COLOR", "0"),
        ("CARGO_TERM_COLOR", "never"),
        ("TERM", "dumb"),
        ("LANG", "C.UTF-8"),
        ("PAGER", "cat"),
        ("GIT_PAGER", "cat"),
        ("GIT_TERMINAL_PROMPT", "0"),
    ];
    let mut env: BTreeMap<OsString, OsString> = BTreeMap::new();
    env.extend(
        LIKE_CI
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into())),
    );
    env.extend(
        ["TZ", "USER", "LOGNAME"]
            .into_iter()
            .filter_map(|name| Some((name.into(), std::env::var_os(name)?))),
    );
    env.extend(room.toolchains.env.iter().cloned());
    env.insert("SHELL".into(), shell().into());
    env.insert("HOME".into(), room.home.clone().into());
    env.insert("TMPDIR".into(), room.temp.clone().into());
    env.extend(place.extra_env.iter().cloned());
    env.extend(
        check
            .env
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    env.into_iter().collect()
}

fn not_started(error: ProcessError) -> Cause {
    match error {
        ProcessError::Exec {
            program,
            not_found: true,
            ..
        } => Cause::NotFound { program },
        ProcessError::Exec {
            program,
            not_found: false,
            ..
        } => Cause::NotExecutable { program },
        other => Cause::NotStarted {
            message: other.to_string(),
        },
    }
}

fn cause_of(exit: Exit) -> Option<Cause> {
    match (exit.code, exit.signal) {
        (Some(0), _) => None,
        (Some(code), _) => Some(Cause::ExitCode { code }),
        (None, Some(signal)) => Some(Cause::Signal { signal }),
        (None, None) => Some(Cause::NotStarted {
            message: exit.to_string(),
        }),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// Both streams, redacted each for itself and put together line by line into one artifact.
struct Sink<'a> {
    out: Side,
    err: Side,
    redactor: &'a Redactor,
    artifacts: &'a Artifacts,
    name: &'a str,
    writer: Option<ArtifactWriter>,
    read: u64,
    tail: Tail,
}

struct Side {
    redaction: RedactStream,
    line: Redacted,
}

impl Side {
    fn new(redactor: &Redactor) -> Self {
        Self {
            redaction: redactor.stream(),
            line: Redacted::default(),
        }
    }
}

impl<'a> Sink<'a> {
    fn new(redactor: &'a Redactor, artifacts: &'a Artifacts, name: &'a str) -> Self {
        Self {
            out: Side::new(redactor),
            err: Side::new(redactor),
            redactor,
            artifacts,
            name,
            writer: None,
            read: 0,
            tail: Tail::default(),
        }
    }

    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let room = usize::try_from(HEAD_BYTES.saturating_sub(self.read)).unwrap_or(usize::MAX);
        self.read += bytes.len() as u64;
        let (head, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.write_lines(stream, head);
        self.tail.push(stream, rest);
    }

    fn write_lines(&mut self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let side = self.side(stream);
        let text = side.redaction.push(bytes);
        side.line.push(&text);
        if let Some(lines) = side.whole_lines() {
            self.write(&lines);
        }
    }

    fn side(&mut self, stream: Stream) -> &mut Side {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    fn write(&mut self, text: &Redacted) {
        let written = match &mut self.writer {
            Some(writer) => writer.push(text),
            None => self.artifacts.create(self.name).and_then(|mut writer| {
                writer.push(text)?;
                self.writer = Some(writer);
                Ok(())
            }),
        };
        self.note(written);
    }

    /// The verdict does not hang on the artifact; whoever runs the host has to know.
    fn note(&self, written: Result<(), ArtifactError>) {
        if let Err(error) = written {
            tracing::warn!(%error, "the output of a check could not be kept");
        }
    }

    /// Redacts the kept end. Nothing was left out where all of the output came through before.
    fn write_tail(&mut self) {
        let tail = std::mem::take(&mut self.tail);
        if tail.left_out == 0 {
            for (stream, bytes) in &tail.pieces {
                self.write_lines(*stream, bytes);
            }
            return;
        }
        // What the streams still hold back is decided by bytes that are gone: it goes with them.
        for side in [&mut self.out, &mut self.err] {
            *side = Side::new(self.redactor);
        }
        let mut margin = tail.kept.saturating_sub(TAIL_BYTES);
        if let Some(writer) = &mut self.writer {
            writer.leave_out(tail.left_out + margin as u64);
        }
        for (stream, bytes) in &tail.pieces {
            let (before, kept) = bytes
                .split_at_checked(margin)
                .unwrap_or((bytes.as_slice(), &[]));
            margin -= before.len();
            let _ = self.side(*stream).redaction.push(before);
            self.write_lines(*stream, kept);
        }
    }

    fn finish(mut self) -> Option<String> {
        self.write_tail();
        for stream in [Stream::Out, Stream::Err] {
            let ended = Side::new(self.redactor);
            let Side {
                redaction,
                mut line,
            } = std::mem::replace(self.side(stream), ended);
            line.push(&redaction.finish());
            if line.is_empty() {
                continue;
            }
            if !line.ends_with('\n') {
                line.push_static("\n");
            }
            self.write(&line);
        }
        let kept = self.writer.take()?.finish();
        let name = kept.as_ref().ok().map(|artifact| artifact.name.clone());
        self.note(kept.map(|_| ()));
        name
    }
}

impl Side {
    /// Takes out what ends with a line end, or a piece of a line that is too long.
    fn whole_lines(&mut self) -> Option<Redacted> {
        let end = match self.line.rfind('\n') {
            Some(at) => at + 1,
            None if self.line.len() > LINE_BYTES => self.line.len(),
            None => return None,
        };
        let lines = self.line.head(end);
        self.line = self.line.tail(self.line.len() - end);
        Some(lines)
    }
}

/// The last bytes of both streams in the order in which they came, raw, in memory that does not grow.
#[derive(Debug, Default)]
struct Tail {
    pieces: VecDeque<(Stream, Vec<u8>)>,
    kept: usize,
    left_out: u64,
}

impl Tail {
    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.kept += bytes.len();
        match self.pieces.back_mut() {
            // Small writes do not become as many pieces.
            Some((last, piece)) if *last == stream && piece.len() < LINE_BYTES => {
                piece.extend_from_slice(bytes);
            }
            _ => self.pieces.push_back((stream, bytes.to_vec())),
        }
        while let Some((_, first)) = self.pieces.front()
            && self.kept - first.len() >= TAIL_BYTES + MARGIN_BYTES
        {
            self.kept -= first.len();
            self.left_out += first.len() as u64;
            self.pieces.pop_front();
        }
    }
}
