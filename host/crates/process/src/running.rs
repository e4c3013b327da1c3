//! The runner's side of a task: start, wait, end.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc as async_mpsc, oneshot, watch};

use crate::command::{Command, Network, Stdin};
use crate::ending::{Ending, Exit};
use crate::error::ProcessError;
use crate::grants::{TaskGrants, Wanted};
use crate::level::{Level, LevelWord};
use crate::output::Output;
use crate::protocol::{self, INIT_SUBCOMMAND, MARK_VARIABLE, Order, Report, Stage, Started, Task};
use crate::tree::{self, ProcessIdentity};
use crate::{
    helper::{self, HelperError},
    sys,
};
use settings::SandboxMode;

/// The time that the helper may take to get a program running. Generous: the machine may be swapping.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A task under supervision. Dropping it ends the task at once, with everything it started.
#[derive(Debug)]
pub struct Running {
    /// The standard output.
    pub stdout: Output,
    /// The standard error.
    pub stderr: Output,
    handle: Handle,
}

/// The part of a [`Running`] that waits and ends; clones can be used while others read the output. The task ends when the
/// last of them is gone.
#[derive(Debug, Clone)]
pub struct Handle {
    pid: u32,
    identity: Option<ProcessIdentity>,
    level: Level,
    exit: watch::Receiver<Option<Exit>>,
    orders: async_mpsc::UnboundedSender<Order>,
    helper: Arc<Helper>,
}

/// The helper, for as long as somebody holds the task.
#[derive(Debug)]
struct Helper {
    process: sys::ProcessHandle,
    control: UnixStream,
}

impl Drop for Helper {
    /// Hangs up, also when no runtime is left to do it: the helper then ends everything.
    fn drop(&mut self) {
        let _ = self.control.shutdown(std::net::Shutdown::Both);
    }
}

impl Running {
    /// The helper's pid: the root of everything the task is.
    pub fn pid(&self) -> u32 {
        self.handle.pid
    }

    /// The helper's identity, to be recorded for whoever has to clean up after the runner; see
    /// [`end_recorded`](crate::end_recorded).
    pub fn identity(&self) -> Option<&ProcessIdentity> {
        self.handle.identity.as_ref()
    }

    /// Returns the confinement it runs with.
    pub fn level(&self) -> &Level {
        &self.handle.level
    }

    /// Waits until the main process has ended and nothing else of the task is left.
    pub async fn wait(&self) -> Exit {
        self.handle.wait().await
    }

    /// Ends the task in steps and waits until nothing of it is left. Calling it again can only make it faster.
    pub async fn end(&self, ending: Ending) -> Exit {
        self.handle.end(ending).await
    }

    /// Returns the handle that waits and ends, apart from the output.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Handle {
    /// Returns the confinement it runs with.
    pub fn level(&self) -> &Level {
        &self.level
    }

    /// Like [`Running::wait`].
    pub async fn wait(&self) -> Exit {
        let mut exit = self.exit.clone();
        let ended = exit
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|exit| *exit);
        ended.unwrap_or(Exit {
            code: None,
            signal: None,
        })
    }

    /// Like [`Running::end`].
    pub async fn end(&self, ending: Ending) -> Exit {
        let _ = self.orders.send(Order::End {
            interrupt_ms: millis(ending.interrupt),
            terminate_ms: millis(ending.terminate),
        });
        // The helper does it all by itself; should it be stopped or starved, its own end ends the task.
        let patience = ending.interrupt + ending.terminate + Duration::from_secs(10);
        match tokio::time::timeout(patience, self.wait()).await {
            Ok(exit) => exit,
            Err(_) => {
                self.helper.process.kill();
                self.wait().await
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Starts a task. When this returns, the program runs (its `exec` succeeded) under the level told by [`Running::level`].
///
/// # Errors
/// A program that cannot be executed, a confinement that is required and cannot be had; nothing runs then.
pub async fn spawn(command: Command) -> Result<Running, ProcessError> {
    let failed = |error: std::io::Error| ProcessError::Helper(error.to_string());
    let mark = new_mark().map_err(failed)?;
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let namespaces = command.confinement.mode != SandboxMode::Off;
    let network_off = command.confinement.network == Network::Off;
    let started = launch(Launch {
        namespaces,
        network_off,
        control: theirs.into(),
    })
    .await?;
    let mut child = started.child;
    let pid = child.id();
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();

    // From here on an early return closes `ours`, which ends the helper and with it all the rest.
    let (gone, helper_gone) = oneshot::channel();
    std::thread::Builder::new()
        .name(format!("wait-{pid}"))
        .spawn(move || {
            let _ = gone.send(child.wait());
        })
        .map_err(failed)?;

    let (program, task, input) = task_for(command, &mark)?;
    ours.set_nonblocking(true).map_err(failed)?;
    let hang_up = ours.try_clone().map_err(failed)?;
    let mut control = tokio::net::UnixStream::from_std(ours).map_err(failed)?;
    let first = async {
        control.write_all(&protocol::encode(&task)?).await?;
        control.write_all(&input).await?;
        receive(&mut control).await
    };
    let report = match tokio::time::timeout(START_LIMIT, first).await {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => {
            return Err(ProcessError::Helper(format!(
                "it went away during the start ({error})"
            )));
        }
        Err(_) => {
            return Err(ProcessError::Helper(format!(
                "no answer within {} s",
                START_LIMIT.as_secs()
            )));
        }
    };
    let level = match report {
        Report::Started(started) => level_of(started),
        Report::Failed {
            stage,
            reason,
            not_found,
        } => {
            return Err(match stage {
                Stage::Helper => ProcessError::Helper(reason),
                Stage::Grant => ProcessError::Replaced(reason),
                Stage::Layer => ProcessError::Layer(reason),
                Stage::StandIn => ProcessError::StandIn(reason),
                Stage::Confinement => ProcessError::Confinement(reason),
                Stage::Network => ProcessError::Network(reason),
                Stage::Exec => ProcessError::Exec {
                    program,
                    reason,
                    not_found,
                },
            });
        }
        Report::Exited { .. } => {
            return Err(ProcessError::Helper("it ended before it began".into()));
        }
    };

    let (over_sender, over) = watch::channel(false);
    let (exit_sender, exit) = watch::channel(None);
    let (orders, inbox) = async_mpsc::unbounded_channel();
    let own_pids = level.own_pids;
    tokio::spawn(async move {
        let exit = supervise(control, inbox, helper_gone).await;
        if !own_pids && exit == KILLED_WITH_HELPER {
            // The helper could not end its tree: what is marked as this task's is ended from here.
            let _ = tokio::task::spawn_blocking(move || tree::end_marked(&mark)).await;
        }
        let _ = exit_sender.send(Some(exit));
        let _ = over_sender.send(true);
    });
    let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
        return Err(ProcessError::Helper("its output is not connected".into()));
    };
    Ok(Running {
        stdout: Output::new(
            tokio::process::ChildStdout::from_std(stdout).map_err(failed)?,
            over.clone(),
        ),
        stderr: Output::new(
            tokio::process::ChildStderr::from_std(stderr).map_err(failed)?,
            over,
        ),
        handle: Handle {
            pid,
            identity: tree::identity(pid),
            level,
            exit,
            orders,
            helper: Arc::new(Helper {
                process: started.handle,
                control: hang_up,
            }),
        },
    })
}

const KILLED_WITH_HELPER: Exit = Exit {
    code: None,
    signal: None,
};

/// Passes orders on until the helper is gone, and gives what it said about the end.
async fn supervise(
    control: tokio::net::UnixStream,
    mut inbox: async_mpsc::UnboundedReceiver<Order>,
    helper_gone: oneshot::Receiver<std::io::Result<std::process::ExitStatus>>,
) -> Exit {
    let (mut reports, mut commands) = control.into_split();
    let deliver = async move {
        while let Some(order) = inbox.recv().await {
            if let Ok(frame) = protocol::encode(&order) {
                // A helper that no longer reads is about to be gone.
                let _ = commands.write_all(&frame).await;
            }
        }
        std::future::pending::<()>().await;
    };
    let listen = async move {
        let mut exit = KILLED_WITH_HELPER;
        while let Ok(report) = receive(&mut reports).await {
            if let Report::Exited { code, signal } = report {
                exit = Exit { code, signal };
            }
        }
        exit
    };
    let whole = async {
        let exit = listen.await;
        let _ = helper_gone.await;
        exit
    };
    tokio::select! {
        exit = whole => exit,
        () = deliver => KILLED_WITH_HELPER,
    }
}

async fn receive(mut from: impl AsyncReadExt + Unpin) -> std::io::Result<Report> {
    let mut header = [0; 4];
    from.read_exact(&mut header).await?;
    let mut body = vec![0; protocol::length(header)?];
    from.read_exact(&mut body).await?;
    protocol::decode(&body)
}

fn task_for(command: Command, mark: &str) -> Result<(String, Task, Vec<u8>), ProcessError> {
    let Command {
        program,
        args,
        cwd,
        mut env,
        stdin,
        confinement,
    } = command;
    env.push((MARK_VARIABLE.into(), mark.into()));
    let (length, input) = match stdin {
        Stdin::Null => (None, Vec::new()),
        Stdin::Bytes(bytes) => (Some(bytes.len() as u64), bytes),
    };
    let name = program.to_string_lossy().into_owned();
    let granted = if confinement.mode == SandboxMode::Off {
        if !confinement.layers.is_empty() {
            return Err(ProcessError::Layer("the sandbox is off".into()));
        }
        if !confinement.stand_ins.is_empty() {
            return Err(ProcessError::StandIn("the sandbox is off".into()));
        }
        TaskGrants::default()
    } else {
        let mut write = confinement.write;
        write.extend(confinement.temp.clone());
        confinement.grants.task(&Wanted {
            read: &confinement.read,
            write: &write,
            stand_ins: &confinement.stand_ins,
            layers: &confinement.layers,
        })?
    };
    let task = Task {
        program,
        args,
        cwd: cwd.into(),
        env,
        stdin: length,
        confine: confinement.mode != SandboxMode::Off,
        required: confinement.mode == SandboxMode::Required,
        grants: granted.grants,
        notes: granted.notes,
        temp: confinement.temp.map(Into::into),
        landlock_only: confinement.landlock_only,
        network_off: confinement.network == Network::Off,
        limits: confinement.limits,
    };
    Ok((name, task, input))
}

fn level_of(started: Started) -> Level {
    let landlock = started.landlock.is_some();
    let word = match (started.view, started.own_pids, landlock) {
        (true, true, true) => LevelWord::Confined,
        (false, false, false) => LevelWord::Unconfined,
        _ => LevelWord::Partial,
    };
    Level {
        word,
        detail: started.detail,
        files_confined: started.view || landlock,
        view: started.view,
        own_pids: started.own_pids,
    }
}

fn new_mark() -> std::io::Result<String> {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

struct Launch {
    namespaces: bool,
    network_off: bool,
    control: OwnedFd,
}

struct Launched {
    child: Child,
    handle: sys::ProcessHandle,
}

type Request = (Launch, oneshot::Sender<Result<Launched, HelperError>>);

/// Starts helpers from one thread that lives as long as the runner: a parent-death signal follows the *thread* that
/// forked, and a worker of the async runtime may end at any time.
async fn launch(launch: Launch) -> Result<Launched, ProcessError> {
    static LAUNCHER: OnceLock<std::io::Result<mpsc::Sender<Request>>> = OnceLock::new();
    let launcher = LAUNCHER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        std::thread::Builder::new()
            .name("launcher".into())
            .spawn(move || {
                for (launch, answer) in requests {
                    let _ = answer.send(start_helper(launch));
                }
            })
            .map(|_| sender)
    });
    let (answer, launched) = oneshot::channel();
    let sender = launcher
        .as_ref()
        .map_err(|error| ProcessError::Helper(error.to_string()))?;
    sender
        .send((launch, answer))
        .map_err(|_| ProcessError::Helper("the launcher thread is gone".into()))?;
    launched
        .await
        .map_err(|_| ProcessError::Helper("the launcher thread is gone".into()))?
        .map_err(|fault| ProcessError::Helper(fault.to_string()))
}

fn start_helper(launch: Launch) -> Result<Launched, HelperError> {
    let program = helper::program()?;
    let mut command = std::process::Command::new(&program);
    command
        .arg(INIT_SUBCOMMAND)
        .arg(if launch.namespaces {
            "namespaces"
        } else {
            "plain"
        })
        .arg(if launch.network_off {
            "network-off"
        } else {
            "network-on"
        })
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(launch.control))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command
        .spawn()
        .map_err(|source| HelperError::Launch { program, source })?;
    let handle = sys::ProcessHandle::open(child.id());
    Ok(Launched { child, handle })
}
