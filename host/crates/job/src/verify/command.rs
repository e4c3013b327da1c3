//! One command check: a process tree of its own, its output redacted into an artifact, its end as a cause.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::verdict::Cause;
use crate::artifacts::{ArtifactError, ArtifactWriter, Artifacts};
use crate::checks::{CommandCheck, CommandLine};
use process::{self, Confinement, Ending, Exit, Network, ProcessError, Stdin, Toolchains};
use redact::{RedactStream, Redacted, Redactor};
use workspace::Root;

/// A check that prints more is ended: nobody can read it, and redaction would go on for minutes.
pub(super) const FLOOD_BYTES: u64 = 64 << 20;

/// A line that is longer is written in pieces, so that a check without line ends does not fill the memory.
const LINE_BYTES: usize = 64 << 10;

/// Where commands run, and what they may touch.
#[derive(Debug, Clone)]
pub struct Place {
    /// The root that the tree lies in; check components read beneath it.
    pub root: Root,
    /// The job's working directory.
    pub work_dir: PathBuf,
    /// The top of the working tree: no `cwd` lies outside it.
    pub top: PathBuf,
    /// The checks' HOME, made when missing. Not the agent's: what it writes there (`.npmrc`, `.gitconfig`) would decide
    /// what a check runs.
    pub home: PathBuf,
    /// Whether the user's cargo packages are linked into HOME.
    pub cargo_packages: bool,
    /// The checks' folder for temporary files, made when missing.
    pub temp: PathBuf,
    /// Further variables (WORKER_CHECK_ENV); a check's own win.
    pub extra_env: Vec<(OsString, OsString)>,
    /// What they may touch. The toolchains found, HOME and the temporary folder are added here; the network follows each
    /// check's own wish.
    pub confinement: Confinement,
}

/// When a command has to be over.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// The end of the job's own time.
    pub(super) deadline: Instant,
    /// Somebody wants the job ended.
    pub(super) stop: CancellationToken,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(super) struct Run {
    /// Why it did not pass.
    pub(super) cause: Option<Cause>,
    /// Its exit, when it was started.
    pub(super) exit: Option<Exit>,
    /// The artifact with its output, when there was any.
    pub(super) artifact: Option<String>,
}

impl Place {
    /// The toolchains for commands here. HOME must be there.
    fn toolchains(&self) -> Toolchains {
        let toolchains = process::toolchains(&self.home);
        if self.cargo_packages {
            toolchains.link_packages();
        }
        toolchains
    }
}

/// Runs a check's command to its end. Never fails: what goes wrong is a cause. `toolchains` are those of the place, found
/// by the first command.
pub(super) async fn run(
    check: &CommandCheck,
    place: &Place,
    toolchains: &OnceLock<Toolchains>,
    limits: &Limits,
    redactor: &Redactor,
    artifacts: &Artifacts,
    artifact: &str,
) -> Run {
    let not_run = |cause| Run {
        cause: Some(cause),
        exit: None,
        artifact: None,
    };
    let Some(cwd) = directory(place, check.cwd.as_deref()) else {
        let cwd = check.cwd.as_ref().map_or_else(
            || place.work_dir.display().to_string(),
            |cwd| cwd.display().to_string(),
        );
        return not_run(Cause::NoDirectory { cwd });
    };
    for folder in [&place.home, &place.temp] {
        if let Err(error) = make_private(folder) {
            return not_run(Cause::NotStarted {
                message: format!("{}: {error}", folder.display()),
            });
        }
    }
    let (program, args) = command_line(&check.command);
    let toolchains = toolchains.get_or_init(|| place.toolchains());
    let mut confinement = place.confinement.clone();
    confinement.read.extend(toolchains.read.iter().cloned());
    confinement.write.push(place.home.clone());
    confinement.temp = Some(place.temp.clone());
    confinement.network = if check.network {
        Network::On
    } else {
        Network::Off
    };
    let env = environment(place, check, toolchains);
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
                (sink.read > FLOOD_BYTES).then_some(Cause::Flood { cap_bytes: FLOOD_BYTES })
            }
            read = read(&mut running.stderr, &mut err), if err_open => {
                err_open = read > 0;
                sink.push(Stream::Err, err.get(..read).unwrap_or_default());
                (sink.read > FLOOD_BYTES).then_some(Cause::Flood { cap_bytes: FLOOD_BYTES })
            }
            () = tokio::time::sleep_until(limit), if !ended && limit <= limits.deadline => {
                Some(Cause::TimedOut { after_ms: check.timeout_ms })
            }
            () = tokio::time::sleep_until(limits.deadline), if !ended && limits.deadline < limit => Some(Cause::JobTimedOut),
            () = limits.stop.cancelled(), if !ended => Some(Cause::NotRun { reason: "the job was ended".into() }),
        };
        if let Some(cause) = over.filter(|_| !ended) {
            let ending = if matches!(cause, Cause::Flood { .. }) {
                Ending::NOW
            } else {
                Ending::CHECK
            };
            let handle = handle.clone();
            tokio::spawn(async move { handle.end(ending).await });
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
    Run {
        cause: cut.or_else(|| cause_of(exit)),
        exit: Some(exit),
        artifact,
    }
}

/// Reads what is there; a broken pipe is the end.
async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> usize {
    stream.read(buffer).await.unwrap_or(0)
}

/// The directory to run in, inside the tree also after all symbolic links.
fn directory(place: &Place, cwd: Option<&Path>) -> Option<PathBuf> {
    let wanted = cwd.map_or_else(|| place.work_dir.clone(), |cwd| place.work_dir.join(cwd));
    let real = wanted.canonicalize().ok().filter(|real| real.is_dir())?;
    let top = place.top.canonicalize().ok()?;
    real.starts_with(top).then_some(real)
}

fn command_line(line: &CommandLine) -> (OsString, Vec<OsString>) {
    match line {
        CommandLine::Shell(script) => ("/bin/sh".into(), vec!["-c".into(), script.into()]),
        CommandLine::Argv(words) => {
            let mut words = words.iter().map(OsString::from);
            (words.next().unwrap_or_default(), words.collect())
        }
    }
}

/// Tools behave as in CI: no watch mode, no colours, no prompts, no new snapshots.
fn environment(
    place: &Place,
    check: &CommandCheck,
    toolchains: &Toolchains,
) -> Vec<(OsString, OsString)> {
    const LIKE_CI: &[(&str, &str)] = &[
        ("CI", "true"),
        ("NO_COLOR", "1"),
        ("FORCE_COLOR", "0"),
        ("CARGO_TERM_COLOR", "never"),
        ("TERM", "dumb"),
        ("LANG", "C.UTF-8"),
        ("SHELL", "/bin/sh"),
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
    env.extend(toolchains.env.iter().cloned());
    env.insert("HOME".into(), place.home.clone().into());
    env.insert("TMPDIR".into(), place.temp.clone().into());
    env.extend(place.extra_env.iter().cloned());
    env.extend(
        check
            .env
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    env.into_iter().collect()
}

fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
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

#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

/// Both streams, redacted each for itself and put together line by line into one artifact.
struct Sink<'a> {
    out: Side,
    err: Side,
    artifacts: &'a Artifacts,
    name: &'a str,
    writer: Option<ArtifactWriter>,
    read: u64,
}

struct Side {
    redaction: Option<RedactStream>,
    line: Redacted,
}

impl<'a> Sink<'a> {
    fn new(redactor: &Redactor, artifacts: &'a Artifacts, name: &'a str) -> Self {
        let side = || Side {
            redaction: Some(redactor.stream()),
            line: Redacted::default(),
        };
        Self {
            out: side(),
            err: side(),
            artifacts,
            name,
            writer: None,
            read: 0,
        }
    }

    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        // What comes after the flood was called is thrown away: it is being ended.
        let room =
            usize::try_from((FLOOD_BYTES + 1).saturating_sub(self.read)).unwrap_or(usize::MAX);
        self.read += bytes.len() as u64;
        let bytes = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        let side = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        let Some(redaction) = &mut side.redaction else {
            return;
        };
        if bytes.is_empty() {
            return;
        }
        let text = redaction.push(bytes);
        side.line.push(&text);
        if let Some(lines) = side.whole_lines() {
            self.write(&lines);
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

    fn finish(mut self) -> Option<String> {
        for stream in [Stream::Out, Stream::Err] {
            let side = match stream {
                Stream::Out => &mut self.out,
                Stream::Err => &mut self.err,
            };
            let mut rest = std::mem::take(&mut side.line);
            if let Some(redaction) = side.redaction.take() {
                rest.push(&redaction.finish());
            }
            if rest.is_empty() {
                continue;
            }
            if !rest.ends_with('\n') {
                rest.push_static("\n");
            }
            self.write(&rest);
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
