//! One pass from its start to its end: the process, its events, its watches.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::events::{AgentEvent, Interpreter, ResultEvent};
use super::outcome::{AgentError, AgentOutcome, Ending};

use super::raw_log::RawLog;
use super::request::AgentRun;
use super::work_watch::WorkWatch;
use super::{invocation, judgement};
use crate::private_home;
use process::{self, Command, Exit, Lines, Running, Stdin};
use settings::PermissionMode;

/// A line of stream-json can hold a whole file (`tool_use_result.originalFile`); beyond this it is read over.
const LINE_LIMIT: usize = 64 << 20;
/// The most bytes of standard error's end that are kept for a message.
const STDERR_TAIL: usize = 4 << 10;
/// The time that Claude Code may take to exit once it has closed its output.
const EXIT_LIMIT: Duration = Duration::from_secs(15);

/// Runs one pass to its end and tells what happens meanwhile. When this returns nothing of the agent is left running.
///
/// # Errors
/// The pass could not begin. Whatever happens after that is an [`Ending`].
pub async fn run(
    run: AgentRun,
    mut tell: impl FnMut(AgentEvent),
) -> Result<AgentOutcome, AgentError> {
    if run.permission_mode == PermissionMode::BypassPermissions && !run.allow_bypass {
        return Err(AgentError::BypassForbidden);
    }
    let setup = |folder: &std::path::Path, error: std::io::Error| {
        AgentError::Setup(format!("{}: {error}", folder.display()))
    };
    private_home::make_home(&run.home, &run.git_identity)
        .map_err(|error| setup(&run.home, error))?;
    private::make_folder(&run.temp).map_err(|error| setup(&run.temp, error))?;
    let mut raw_log = RawLog::open(run.raw_log.as_deref()).await?;
    let (args, mut notes) = invocation::arguments(&run);
    notes.extend(run.allowed_tools.note.clone());
    let toolchains = process::toolchains(&run.home);
    if run.cargo_packages {
        toolchains.link_packages();
    }
    let mut confinement = run.confinement.clone();
    confinement.read.extend(run.claude.read_paths());
    confinement.read.extend(toolchains.read.iter().cloned());
    confinement.write.push(run.home.clone());
    confinement.temp = Some(run.temp.clone());
    let task = process::spawn(Command {
        program: run.claude.program().into(),
        args,
        cwd: run.work_dir.clone(),
        env: invocation::environment(&run, &toolchains),
        stdin: Stdin::Bytes(invocation::input(&run).into_bytes()),
        confinement,
    })
    .await?;
    run.activity.touch();

    let handle = task.handle();
    let mut work = WorkWatch::of(task.pid(), run.stall);
    let Running { stdout, stderr, .. } = task;
    let stderr = tokio::spawn(tail(stderr));
    let mut lines = Lines::new(stdout, LINE_LIMIT);
    let mut interpreter = Interpreter::new(&run.work_dir, run.issued.clone());
    let mut watch = Watch {
        stop: None,
        last_step: "starting".into(),
    };
    let mut closed: Option<Instant> = None;
    let exit = loop {
        let stalled_at = run.activity.last() + run.stall;
        let overdue_at = closed.map(|closed| closed + EXIT_LIMIT);
        tokio::select! {
            line = lines.next(), if closed.is_none() => {
                run.activity.touch();
                match line {
                    Ok(Some(line)) => {
                        raw_log.append(&line).await;
                        for event in interpreter.read(&line) {
                            // What it says once it is told to end is not what it was at.
                            if let Some(step) = event.step()
                                && watch.stop.is_none()
                            {
                                watch.last_step = step;
                            }
                            tell(event);
                        }
                    }
                    Ok(None) | Err(_) => closed = Some(Instant::now()),
                }
            }
            exit = handle.wait(), if closed.is_some() => break exit,
            () = run.cancel.cancelled(), if watch.stop.is_none() => watch.end(&handle, Stop::Cancelled),
            () = at(run.deadline), if watch.stop.is_none() => watch.end(&handle, Stop::TimedOut),
            () = tokio::time::sleep_until(stalled_at), if watch.stop.is_none() && closed.is_none() => {
                // The adapter may have seen life in the meantime.
                if run.activity.last() + run.stall <= Instant::now() {
                    watch.end(&handle, Stop::Stalled);
                }
            }
            () = tokio::time::sleep_until(work.next), if watch.stop.is_none() && closed.is_none() => {
                if work.goes_on().await {
                    run.activity.touch();
                }
            }
            () = at(overdue_at), if watch.stop.is_none() => watch.end(&handle, Stop::Lingering),
        }
    };
    let level = handle.level().clone();
    let stderr = stderr.await.unwrap_or_default();
    let result = interpreter.result();
    let ending = judge(watch, exit, result, &stderr);
    Ok(AgentOutcome {
        ending,
        turns: result
            .map_or(0, |result| result.num_turns)
            .max(interpreter.turns()),
        last_message: result
            .and_then(ResultEvent::text)
            .or_else(|| interpreter.last_text()),
        denials: result
            .map(|result| result.denials(&run.work_dir))
            .unwrap_or_default(),
        failures: interpreter.failures().to_owned(),
        exit,
        level,
        session: run.session.id().to_owned(),
        notes,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Cancelled,
    TimedOut,
    Stalled,
    /// It closed its output and stays: what it said still counts.
    Lingering,
}

struct Watch {
    stop: Option<Stop>,
    last_step: String,
}

impl Watch {
    /// Ends the agent while its output is still read: on SIGINT it writes a result event.
    fn end(&mut self, task: &process::Handle, stop: Stop) {
        self.stop = Some(stop);
        let handle = task.clone();
        tokio::spawn(async move { handle.end(process::Ending::AGENT).await });
    }
}

fn judge(watch: Watch, exit: Exit, result: Option<&ResultEvent>, stderr: &str) -> Ending {
    match watch.stop {
        Some(Stop::Cancelled) => Ending::Cancelled,
        Some(Stop::TimedOut) => Ending::TimedOut {
            last_step: watch.last_step,
        },
        Some(Stop::Stalled) => Ending::Stalled {
            last_step: watch.last_step,
        },
        Some(Stop::Lingering) if result.is_some() => judgement::ending(
            Exit {
                code: Some(0),
                signal: None,
            },
            result,
            stderr,
        ),
        Some(Stop::Lingering) | None => judgement::ending(exit, result, stderr),
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn tail(mut output: process::Output) -> String {
    let mut kept = Vec::new();
    let mut chunk = vec![0; 16 << 10];
    while let Ok(read) = output.read(&mut chunk).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if kept.len() > STDERR_TAIL {
            kept.drain(..kept.len() - STDERR_TAIL);
        }
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}
