//! The helper: `mcp-codex-worker __init`, one a task, between the runner and the task.
//!
//! It is started in two steps where the kernel has namespaces for us: the *outer* helper makes them, its only child, the
//! *inner* helper, is pid 1 in them. The outer one dies when the runner does, the inner one when the outer one does or
//! when the runner hangs up, and with the inner one, by the kernel's rule for a pid 1, everything in the namespace.
//! Where there are no namespaces one helper does it all, as the subreaper of the task's tree.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::grants::{self, Grant, LayerPaths};
use crate::protocol::{self, INIT_SUBCOMMAND, Order, Report, Stage, Started, Task};
use crate::sys::{
    self, Furnished, Lacking, Namespaces, OpenGrant, OpenLayer, Restrictions, StartError,
};
use crate::tree;
use crate::watch::Watch;

/// Programs that call [`init_main`].
const HELPERS: [&str; 2] = ["mcp-codex-worker", "worker-init"];

/// True if this program answers to [`INIT_SUBCOMMAND`], so that it can be its own helper.
static IS_WORKER: AtomicBool = AtomicBool::new(false);

/// A reason for which a helper cannot do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelperError {
    #[error("there is no {name} beside {}; build it first", .beside.display())]
    NoProgram { name: &'static str, beside: PathBuf },
    #[error("cannot start inside the namespaces: {0}")]
    Inner(std::io::Error),
    #[error("{}: {source}", .program.display())]
    Launch {
        program: PathBuf,
        source: std::io::Error,
    },
    #[error("a thread of it is gone")]
    Thread,
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// A start that did not succeed, as the runner is told it.
#[derive(Debug)]
struct StartFailure {
    stage: Stage,
    reason: String,
    not_found: bool,
}

impl StartFailure {
    fn new(stage: Stage, reason: impl ToString) -> Self {
        Self {
            stage,
            reason: reason.to_string(),
            not_found: false,
        }
    }
}

/// To be called first thing in `main`, with the program's arguments (its own name not counted). Runs the helper and gives
/// its exit code when this process is one; it never touches standard output then.
pub fn init_main(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    IS_WORKER.store(true, Ordering::Relaxed);
    let mut args = args.into_iter();
    if args.next()? != INIT_SUBCOMMAND {
        return None;
    }
    let words: Vec<OsString> = args.collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let Ok(control) = sys::control_socket() else {
        return Some(ExitCode::from(70));
    };
    let ended = if has("inner") {
        let namespaces = Namespaces {
            pids: has("pids"),
            network: has("network"),
            detail: words
                .iter()
                .filter_map(|word| word.to_str()?.strip_prefix("detail=").map(str::to_owned))
                .collect(),
        };
        inner(control, namespaces)
    } else {
        outer(control, has("namespaces"), has("network-off"))
    };
    Some(match ended {
        Ok(code) => ExitCode::from(code),
        Err(fault) => {
            if let Ok(control) = sys::control_socket() {
                let _ = protocol::write(
                    &control,
                    &Report::Failed {
                        stage: Stage::Helper,
                        reason: fault.to_string(),
                        not_found: false,
                    },
                );
            }
            ExitCode::from(70)
        }
    })
}

/// The program to run as the helper. In another program than ours (a test binary that uses this library) it is one of
/// those that cargo puts beside it: the worker, or this crate's own helper, whichever was built last.
pub(crate) fn program() -> Result<PathBuf, HelperError> {
    if IS_WORKER.load(Ordering::Relaxed) {
        return Ok(sys::own_program());
    }
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(2);
    let programs = folders.flat_map(|folder| {
        HELPERS.map(|name| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
    });
    programs
        .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file)))
        .max()
        .map(|(_, file)| file)
        .ok_or_else(|| HelperError::NoProgram {
            name: HELPERS[0],
            beside: own.clone(),
        })
}

fn outer(control: UnixStream, want_namespaces: bool, network_off: bool) -> Result<u8, HelperError> {
    sys::new_session();
    sys::close_stray_descriptors();
    sys::prefer_to_end();
    let namespaces = sys::enter_namespaces(want_namespaces, network_off);
    if !namespaces.pids && !namespaces.network {
        return inner(control, namespaces);
    }
    if namespaces.pids {
        sys::die_with_parent();
    }
    let mut command = Command::new(sys::own_program());
    command.arg(INIT_SUBCOMMAND).arg("inner").env_clear();
    command
        .args(namespaces.pids.then_some("pids"))
        .args(namespaces.network.then_some("network"));
    command.args(
        namespaces
            .detail
            .iter()
            .map(|detail| format!("detail={detail}")),
    );
    let mut child = command.spawn().map_err(HelperError::Inner)?;
    drop(control);
    let status = child.wait()?;
    Ok(status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(70))
}

enum Event {
    Order(Order),
    /// The runner hung up, or is gone.
    Lost,
    /// The main process ended.
    Ended {
        code: Option<i32>,
        signal: Option<i32>,
    },
}

fn inner(control: UnixStream, namespaces: Namespaces) -> Result<u8, HelperError> {
    if namespaces.pids {
        sys::die_with_parent();
    } else {
        sys::become_subreaper();
    }
    let (mut task, input) = match receive_task(&control) {
        Ok(received) => received,
        // The runner is gone before it said what to do: nothing runs, nobody listens.
        Err(_) => return Ok(70),
    };
    let mut started = Started {
        own_pids: namespaces.pids,
        view: false,
        landlock: None,
        detail: namespaces.detail.clone(),
    };
    if task.network_off {
        let reason = if namespaces.network {
            sys::raise_loopback()
                .err()
                .map(|error| format!("its loopback does not come up: {error}"))
        } else {
            Some(namespaces.detail.join("; "))
        };
        if let Some(reason) = reason {
            return refuse(&control, StartFailure::new(Stage::Network, reason));
        }
        started.detail.push("network off".into());
    }
    let grants = match open_grants(&task.grants, &mut started.detail) {
        Ok(grants) => grants,
        Err(failure) => return refuse(&control, failure),
    };
    started.detail.extend(task.notes.iter().cloned());
    let mut furnished = Furnished::default();
    if namespaces.pids {
        started.detail.insert(0, "own PID namespace".into());
        furnished = sys::furnish(
            &grants,
            task.temp.as_deref().map(Path::new),
            !task.network_off,
            task.confine && !task.landlock_only,
            &mut started.detail,
        )?;
        started.view = furnished.view;
        if furnished.view {
            name_temp_by_its_short_path(&mut task);
        }
    } else if task.confine {
        started
            .detail
            .push("no view without a mount namespace".into());
    }

    if !started.view && grants.iter().any(|grant| grant.layer.is_some()) {
        let reason = started.detail.join("; ");
        return refuse(&control, StartFailure::new(Stage::Layer, reason));
    }
    if !started.view && grants.iter().any(|grant| grant.stands_in) {
        let reason = started.detail.join("; ");
        return refuse(&control, StartFailure::new(Stage::StandIn, reason));
    }

    let written = grants.iter().filter(|grant| grant.write);
    let written = written.map(|grant| grant.path.clone()).collect();
    let watch = Watch::new(task.limits, written, namespaces.pids);
    let (events, inbox) = mpsc::channel();
    let begun = begin(task, grants, furnished, started, input, events.clone())?;
    let (main, started) = match begun {
        Ok(begun) => begun,
        Err(failure) => return refuse(&control, failure),
    };
    let own_pids = namespaces.pids;
    let ended = oversee(&control, started, main, watch, &events, &inbox);
    if !own_pids {
        tree::end_below(std::process::id());
    } else {
        // Everything ends with this process; ending it first makes the report below true already.
        for pid in sys::processes()
            .into_keys()
            .filter(|pid| *pid != std::process::id())
        {
            sys::ProcessHandle::open(pid).kill();
        }
    }
    if let Some((code, signal)) = ended? {
        let _ = protocol::write(&control, &Report::Exited { code, signal });
    }
    Ok(0)
}

/// Tells of the start and governs the task to its end. On an error it still runs, and is to be ended as well: a machine
/// that is out of processes must not get one more that nobody watches.
fn oversee(
    control: &UnixStream,
    started: Started,
    main: u32,
    watch: Watch,
    events: &Sender<Event>,
    inbox: &Receiver<Event>,
) -> Result<Option<(Option<i32>, Option<i32>)>, HelperError> {
    let own_pids = started.own_pids;
    protocol::write(control, &Report::Started(started))?;
    let orders = control.try_clone()?;
    let (listener, counter, ending) = (events.clone(), events.clone(), events.clone());
    start_thread("orders", move || listen(&orders, &listener))?;
    start_thread("reaper", move || {
        while let Some((pid, code, signal)) = sys::wait_any() {
            if pid == main {
                let _ = ending.send(Event::Ended { code, signal });
            }
        }
    })?;
    start_thread("watch", move || watch_appetite(watch, &counter))?;
    Ok(govern(inbox, main, own_pids))
}

/// Ends a task that takes more of the machine than it may, and says so where it writes its errors.
fn watch_appetite(mut watch: Watch, events: &Sender<Event>) {
    let reason = watch.wait();
    let _ = writeln!(std::io::stderr(), "mcp-codex-worker: ended, since {reason}");
    let _ = events.send(Event::Order(Order::End {
        interrupt_ms: 0,
        terminate_ms: 0,
    }));
}

/// Opens the grants of a task, each where it is and what it was.
fn open_grants(grants: &[Grant], detail: &mut Vec<String>) -> Result<Vec<OpenGrant>, StartFailure> {
    let mut open = Vec::new();
    for grant in grants {
        let path = PathBuf::from(&grant.path);
        let source = grant.source.as_ref().map_or(&grant.path, |source| source);
        let file = grants::open_real(Path::new(source))
            .and_then(|file| Ok((grants::identity(&file)?, file)));
        match file {
            Ok((identity, file)) if identity == grant.identity => open.push(OpenGrant {
                links: grant
                    .links
                    .iter()
                    .map(|(at, to)| (at.into(), to.into()))
                    .collect(),
                path,
                file,
                folder: identity.folder,
                write: grant.write,
                stands_in: grant.source.is_some(),
                layer: grant.layer.as_ref().map(open_layer).transpose()?,
            }),
            other => {
                let why = other.err().map_or_else(
                    || "it was replaced since the job began".to_owned(),
                    |error| error.to_string(),
                );
                let reason = format!("{}: {why}", path.display());
                if grant.write || grant.source.is_some() {
                    return Err(StartFailure::new(Stage::Grant, reason));
                }
                detail.push(format!("not granted: {reason}"));
            }
        }
    }
    Ok(open)
}

fn open_layer(layer: &LayerPaths) -> Result<OpenLayer, StartFailure> {
    let open = |path: &OsString| {
        let path = Path::new(path);
        grants::open_real(path).map_err(|error| {
            StartFailure::new(Stage::Layer, format!("{}: {error}", path.display()))
        })
    };
    Ok(OpenLayer {
        upper: open(&layer.upper)?,
        work: open(&layer.work)?,
        cover: layer.cover.as_ref().map(open).transpose()?,
    })
}

fn refuse(control: &UnixStream, failure: StartFailure) -> Result<u8, HelperError> {
    let StartFailure {
        stage,
        reason,
        not_found,
    } = failure;
    protocol::write(
        control,
        &Report::Failed {
            stage,
            reason,
            not_found,
        },
    )?;
    Ok(70)
}

fn start_thread(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .map(drop)
}

fn receive_task(control: &UnixStream) -> std::io::Result<(Task, Option<Vec<u8>>)> {
    let task: Task = protocol::read(control)?;
    let Some(length) = task.stdin else {
        return Ok((task, None));
    };
    let mut input = Vec::new();
    control.take(length).read_to_end(&mut input)?;
    if input.len() as u64 != length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok((task, Some(input)))
}

/// Gives the task's own folder for temporary files the path at which it is mounted in every variable that names it. The
/// folder's path in the job store leaves no room for the 108 bytes of a Unix socket's address: Python's
/// multiprocessing, for one, makes its socket 33 bytes below TMPDIR.
fn name_temp_by_its_short_path(task: &mut Task) {
    for (_, value) in &mut task.env {
        if task.temp.as_ref() == Some(value) {
            *value = "/tmp".into();
        }
    }
}

type Begun = Result<(u32, Started), StartFailure>;

/// Starts the main process from a thread that carries its restrictions and lives as long as the helper: this process
/// itself stays unrestricted, or it could neither signal nor reap.
fn begin(
    task: Task,
    grants: Vec<OpenGrant>,
    furnished: Furnished,
    mut started: Started,
    input: Option<Vec<u8>>,
    alive: Sender<Event>,
) -> Result<Begun, HelperError> {
    let (answer, begun) = mpsc::channel();
    start_thread("starter", move || {
        let main = begin_here(task, &grants, furnished, &mut started, input);
        let _ = answer.send(main.map(|pid| (pid, started)));
        // The parent-death signal of the main process hangs on this thread.
        let _alive = alive;
        loop {
            std::thread::park();
        }
    })?;
    begun.recv().map_err(|_| HelperError::Thread)
}

fn begin_here(
    mut task: Task,
    grants: &[OpenGrant],
    furnished: Furnished,
    started: &mut Started,
    input: Option<Vec<u8>>,
) -> Result<u32, StartFailure> {
    if furnished.view
        && let Some(temp) = &task.temp
    {
        // The same folder by its short name: a socket's path has room for 107 bytes.
        for (_, value) in task.env.iter_mut().filter(|(_, value)| value == temp) {
            *value = "/tmp".into();
        }
    }
    let path = task
        .env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map(|(_, path)| path);
    let Some(program) = sys::find_program(&task.program, path, Path::new(&task.cwd)) else {
        return Err(StartFailure {
            not_found: true,
            ..StartFailure::new(Stage::Exec, "there is no such program in its PATH")
        });
    };
    let mut command = Command::new(program);
    std::os::unix::process::CommandExt::arg0(&mut command, &task.program);
    command
        .args(&task.args)
        .env_clear()
        .envs(task.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&task.cwd);
    let feed = match input {
        None => {
            command.stdin(Stdio::null());
            None
        }
        Some(input) => {
            let (reader, writer) =
                std::io::pipe().map_err(|error| StartFailure::new(Stage::Helper, error))?;
            command.stdin(reader);
            Some((writer, input))
        }
    };
    let restrictions = Restrictions {
        confine: task.confine,
        grants,
        furnished,
        die_with_parent: !started.own_pids,
    };
    let own_pids = started.own_pids;
    let required = task.required;
    let mut detail = std::mem::take(&mut started.detail);
    let allow = |landlock: Option<u8>| match (own_pids, furnished.view, landlock) {
        _ if !required => Ok(()),
        (true, true, Some(_)) => Ok(()),
        (_, _, None) => Err(Lacking::Landlock),
        (false, ..) => Err(Lacking::PidNamespace),
        (_, false, _) => Err(Lacking::View),
    };
    let outcome = sys::start_restricted(&mut command, &restrictions, &mut detail, allow);
    started.detail = detail;
    // The reading end must not stay open here, or a program that ends early would leave the feeder waiting.
    drop(command);
    match outcome {
        Ok((pid, landlock)) => {
            started.landlock = landlock;
            if let Some((mut writer, input)) = feed {
                // A program that does not read all of it breaks the pipe; that is its right.
                let _ = start_thread("input", move || {
                    drop(std::io::Write::write_all(&mut writer, &input))
                });
            }
            Ok(pid)
        }
        Err(StartError::Refused(reason)) => {
            let reason = format!("{reason} ({})", started.detail.join("; "));
            Err(StartFailure::new(Stage::Confinement, reason))
        }
        Err(StartError::Exec(error)) => Err(StartFailure {
            not_found: error.kind() == std::io::ErrorKind::NotFound,
            ..StartFailure::new(Stage::Exec, error)
        }),
    }
}

fn listen(mut control: &UnixStream, events: &Sender<Event>) {
    while let Ok(order) = protocol::read(&mut control) {
        if events.send(Event::Order(order)).is_err() {
            return;
        }
    }
    let _ = events.send(Event::Lost);
}

/// Waits for the end of the main process and carries out orders to end it. Gives its exit, or `None` when it is to be
/// killed together with all the rest.
fn govern(
    inbox: &Receiver<Event>,
    main: u32,
    own_pids: bool,
) -> Option<(Option<i32>, Option<i32>)> {
    /// The steps that are still to come, with their times.
    #[derive(Clone, Copy)]
    struct Plan {
        terminate_at: Option<Instant>,
        kill_at: Instant,
    }
    let mut plan: Option<Plan> = None;
    loop {
        let next = plan.map(|plan| plan.terminate_at.unwrap_or(plan.kill_at));
        let event = match next {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match event {
            Ok(Event::Ended { code, signal }) => return Some((code, signal)),
            Ok(Event::Lost) | Err(RecvTimeoutError::Disconnected) => return None,
            Ok(Event::Order(Order::End {
                interrupt_ms,
                terminate_ms,
            })) => {
                let now = Instant::now();
                let (interrupt, terminate) = (
                    Duration::from_millis(interrupt_ms),
                    Duration::from_millis(terminate_ms),
                );
                let later = |span| now.checked_add(span).unwrap_or(now);
                let mut wanted = Plan {
                    terminate_at: (!terminate.is_zero()).then(|| later(interrupt)),
                    kill_at: later(interrupt.saturating_add(terminate)),
                };
                match plan {
                    None if !interrupt.is_zero() => sys::interrupt_group(main),
                    None => {}
                    Some(before) => {
                        wanted.kill_at = wanted.kill_at.min(before.kill_at);
                        // A step that would come after the end is left out.
                        let sooner = before
                            .terminate_at
                            .map(|at| wanted.terminate_at.map_or(at, |wanted| wanted.min(at)));
                        wanted.terminate_at = sooner.filter(|at| *at < wanted.kill_at);
                    }
                }
                plan = Some(wanted);
            }
            Err(RecvTimeoutError::Timeout) => match plan {
                Some(Plan {
                    terminate_at: Some(_),
                    kill_at,
                }) => {
                    terminate_all(main, own_pids);
                    plan = Some(Plan {
                        terminate_at: None,
                        kill_at,
                    });
                }
                _ => return kill_and_wait(inbox, main),
            },
        }
    }
}

/// The main process is killed apart from the rest, so that its end is reported as what it was.
fn kill_and_wait(inbox: &Receiver<Event>, main: u32) -> Option<(Option<i32>, Option<i32>)> {
    sys::ProcessHandle::open(main).kill();
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Event::Ended { code, signal }) => return Some((code, signal)),
            Ok(Event::Order(_)) => {}
            Ok(Event::Lost) | Err(_) => return None,
        }
    }
}

fn terminate_all(main: u32, own_pids: bool) {
    sys::terminate_group(main);
    let processes = sys::processes();
    let own = std::process::id();
    let all = if own_pids {
        processes
            .keys()
            .copied()
            .filter(|pid| *pid != own)
            .collect()
    } else {
        tree::descendants(&processes, own)
    };
    for pid in all {
        sys::ProcessHandle::open(pid).terminate();
    }
}
