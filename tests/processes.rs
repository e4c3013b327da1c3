//! Whatever a task leaves behind is gone when the task is: daemons, orphans, storms; and its output never holds the job.
//!
//! Every story is told twice: with the namespaces that the kernel has for us, and with the subreaper alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use process::{
    self, Command, Confinement, Ending, Exit, LevelWord, ProcessError, Running, SandboxMode, Stdin,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

const MODES: [SandboxMode; 2] = [SandboxMode::Auto, SandboxMode::Off];
const PATIENCE: Duration = Duration::from_secs(30);

/// A length of sleep that nobody else sleeps for: it marks the processes of one test.
fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "86399.{}{:04}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Pids of living processes whose command line holds `mark`, zombies apart.
fn alive(mark: &str) -> BTreeSet<u32> {
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(mark)
        })
        .collect()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn confinement(mode: SandboxMode) -> Confinement {
    Confinement {
        mode,
        read: Vec::new(),
        write: vec![std::env::temp_dir()],
        ..Confinement::off()
    }
}

fn shell(mode: SandboxMode, script: &str) -> Command {
    Command {
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        cwd: std::env::temp_dir(),
        env: vec![(
            "PATH".into(),
            "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into(),
        )],
        stdin: Stdin::Null,
        confinement: confinement(mode),
    }
}

async fn start(mode: SandboxMode, script: &str) -> Running {
    process::spawn(shell(mode, script)).await.unwrap()
}

/// Starts a script and waits until it has printed `ready`.
async fn start_ready(mode: SandboxMode, script: &str) -> Running {
    let mut task = start(mode, script).await;
    let mut line = String::new();
    let mut reader = BufReader::new(&mut task.stdout);
    tokio::time::timeout(PATIENCE, reader.read_line(&mut line))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(line, "ready\n");
    task
}

async fn output(task: &mut Running) -> String {
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, task.stdout.read_to_string(&mut text))
        .await
        .expect("the output ends")
        .unwrap();
    text
}

/// Ways to slip away, each leaving sleepers that carry `MARK`.
const ESCAPES: &[(&str, &str)] = &[
    ("a child", "sleep MARK &"),
    ("a session of its own", "setsid sleep MARK &"),
    (
        "a double fork",
        "(setsid sh -c 'sleep MARK & exec sleep MARK' &)",
    ),
    ("no environment", "setsid env -i /usr/bin/sleep MARK &"),
    (
        "closed descriptors",
        "setsid sh -c 'exec sleep MARK' </dev/null >/dev/null 2>&1 &",
    ),
    (
        "signals ignored",
        "setsid sh -c 'trap \"\" INT TERM HUP; sleep MARK & wait' &",
    ),
    ("stopped", "sh -c 'kill -STOP $$; sleep MARK' MARK &"),
    (
        "a nest",
        "sh -c 'setsid sh -c \"setsid sleep MARK & setsid sleep MARK & wait\" & wait' &",
    ),
];

fn all_escapes(mark: &str) -> String {
    let scripts: Vec<&str> = ESCAPES.iter().map(|(_, script)| *script).collect();
    scripts.join("\n").replace("MARK", mark)
}

/// Starts every escape and waits until all of them are up.
async fn start_escapes(mode: SandboxMode, mark: &str, then: &str) -> Running {
    let task = start_ready(mode, &format!("{}\necho ready\n{then}", all_escapes(mark))).await;
    // One sleeper each, two for the double fork and the nest; the stopped one is still a shell.
    until("all escapes are up", || {
        let sleepers = alive(mark).into_iter().filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name.trim() == "sleep")
        });
        sleepers.count() >= 9
    });
    task
}

#[tokio::test]
async fn here_the_kernel_has_all_of_it() {
    // A machine that lacks it would make the other tests prove less than they say.
    let found = process::probe().await;
    let in_ci = std::env::var_os("CI").is_some();
    assert!(found.problem.is_none(), "{found:?}");
    if in_ci || found.level.word == LevelWord::Confined {
        assert_eq!(found.level.word, LevelWord::Confined, "{found:?}");
    }
}

#[tokio::test]
async fn a_task_that_ends_takes_everything_with_it() {
    let folder = tempfile::tempdir().unwrap();
    for mode in MODES {
        let mark = mark();
        let enough = folder.path().join(mode.as_str());
        let script = format!(
            "until [ -e {} ]; do sleep 0.01; done; exit 7",
            enough.display()
        );
        let task = start_escapes(mode, &mark, &script).await;
        std::fs::write(enough, "").unwrap();
        assert_eq!(
            task.wait().await,
            Exit {
                code: Some(7),
                signal: None
            },
            "{mode}"
        );
        assert_eq!(alive(&mark), BTreeSet::new(), "{mode}");
    }
}

#[tokio::test]
async fn ending_a_task_ends_everything_gently_or_at_once() {
    for mode in MODES {
        for ending in [
            Ending::NOW,
            Ending {
                interrupt: Duration::from_millis(50),
                terminate: Duration::from_millis(50),
            },
            Ending {
                interrupt: Duration::ZERO,
                terminate: Duration::from_millis(50),
            },
        ] {
            let mark = mark();
            let task =
                start_escapes(mode, &mark, "trap '' INT TERM; while :; do sleep 1; done").await;
            let exit = task.end(ending).await;
            assert_eq!(
                exit,
                Exit {
                    code: None,
                    signal: Some(9)
                },
                "{mode} {ending:?}"
            );
            assert_eq!(alive(&mark), BTreeSet::new(), "{mode} {ending:?}");
        }
    }
}

#[tokio::test]
async fn a_polite_task_gets_its_chance_on_sigint_and_on_sigterm() {
    for mode in MODES {
        for (signal, code) in [("INT", 41), ("TERM", 42)] {
            let ignored = if signal == "INT" { "TERM" } else { "INT" };
            let script = format!(
                "trap '' {ignored}; trap 'echo cleaned; exit {code}' {signal}; echo ready; while :; do sleep 0.05; done"
            );
            let mut task = start_ready(mode, &script).await;
            let graces = if signal == "INT" {
                (PATIENCE, PATIENCE)
            } else {
                (Duration::from_millis(20), PATIENCE)
            };
            let exit = task
                .end(Ending {
                    interrupt: graces.0,
                    terminate: graces.1,
                })
                .await;
            assert_eq!(
                exit,
                Exit {
                    code: Some(code),
                    signal: None
                },
                "{mode} {signal}"
            );
            assert_eq!(output(&mut task).await, "cleaned\n", "{mode} {signal}");
        }
    }
}

#[tokio::test]
async fn asking_twice_is_asking_for_haste() {
    for mode in MODES {
        let task = start_ready(
            mode,
            "trap '' INT TERM; echo ready; while :; do sleep 1; done",
        )
        .await;
        let handle = task.handle();
        let patient = tokio::spawn(async move {
            handle
                .end(Ending {
                    interrupt: PATIENCE * 100,
                    terminate: PATIENCE,
                })
                .await
        });
        tokio::task::yield_now().await;
        let hurried = tokio::time::timeout(PATIENCE, task.end(Ending::NOW))
            .await
            .expect("at once");
        // The supervisor did it, and had not to be killed itself.
        assert_eq!(
            hurried,
            Exit {
                code: None,
                signal: Some(9)
            },
            "{mode}"
        );
        assert_eq!(hurried, patient.await.unwrap());
    }
}

#[tokio::test]
async fn a_forgotten_task_does_not_live_on() {
    for mode in MODES {
        let mark = mark();
        drop(start_escapes(mode, &mark, "sleep 1000").await);
        until("everything is gone", || alive(&mark).is_empty());
    }
}

/// Not a test: the runner that the next test kills.
#[tokio::test]
#[ignore = "run by other tests, as a process of its own"]
async fn a_runner_to_be_killed() {
    let Some(mark) = std::env::var("RUNNER_MARK").ok() else {
        return;
    };
    let mode: SandboxMode = std::env::var("RUNNER_MODE").unwrap().parse().unwrap();
    process::adopt_strays();
    let task = start_escapes(mode, &mark, "sleep 1000").await;
    let identity = serde_json::to_string(task.identity().unwrap()).unwrap();
    std::fs::write(std::env::var("RUNNER_READY").unwrap(), identity).unwrap();
    task.wait().await;
}

fn start_runner(
    mode: SandboxMode,
    mark: &str,
    folder: &Path,
) -> (std::process::Child, process::ProcessIdentity) {
    let ready = folder.join(format!("ready-{mode}"));
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "processes::a_runner_to_be_killed"]);
    command
        .env("RUNNER_MARK", mark)
        .env("RUNNER_MODE", mode.as_str())
        .env("RUNNER_READY", &ready);
    let runner = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut recorded = None;
    until("the runner's task is up", || {
        recorded = std::fs::read_to_string(&ready)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        recorded.is_some()
    });
    (runner, recorded.unwrap())
}

#[test]
fn kill_9_of_the_runner_ends_its_task() {
    let folder = tempfile::tempdir().unwrap();
    for mode in MODES {
        let mark = mark();
        let (mut runner, _) = start_runner(mode, &mark, folder.path());
        runner.kill().unwrap();
        runner.wait().unwrap();
        until("everything is gone", || alive(&mark).is_empty());
    }
}

/// Not a test: the next one runs it as a process of its own, since a sweep ends everything below the process.
#[tokio::test]
#[ignore = "run by another test, as a process of its own"]
async fn a_runner_whose_helpers_are_killed() {
    process::adopt_strays();
    for mode in MODES {
        let mark = mark();
        let mut task = start_escapes(mode, &mark, "sleep 1000").await;
        let helper = rustix::process::Pid::from_raw(i32::try_from(task.pid()).unwrap()).unwrap();
        rustix::process::kill_process(helper, rustix::process::Signal::KILL).unwrap();
        assert_eq!(
            task.wait().await,
            Exit {
                code: None,
                signal: None
            },
            "{mode}"
        );
        output(&mut task).await;
        process::sweep();
        assert_eq!(alive(&mark), BTreeSet::new(), "{mode}");
    }
}

#[test]
fn kill_9_of_the_helper_is_told_and_a_sweep_gets_the_rest() {
    let runner = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "processes::a_runner_whose_helpers_are_killed",
        ])
        .output()
        .unwrap();
    assert!(
        runner.status.success(),
        "{}",
        String::from_utf8_lossy(&runner.stdout)
    );
}

#[test]
fn whoever_comes_after_a_runner_ends_what_it_recorded_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    for mode in MODES {
        let mark = mark();
        let (mut runner, recorded) = start_runner(mode, &mark, folder.path());
        // The pid was used again meanwhile, or the machine was started again: not the same process.
        for other in [
            process::ProcessIdentity {
                start_time: recorded.start_time + 1,
                ..recorded.clone()
            },
            process::ProcessIdentity {
                boot_id: "00000000-0000-0000-0000-000000000000".into(),
                ..recorded.clone()
            },
            process::ProcessIdentity {
                pid: 4_000_000,
                ..recorded.clone()
            },
        ] {
            assert!(!process::end_recorded(&other));
        }
        assert!(alive(&mark).len() >= 9, "{mode}");
        assert!(process::end_recorded(&recorded));
        until("everything is gone", || alive(&mark).is_empty());
        assert!(!process::end_recorded(&recorded));
        runner.kill().unwrap();
        runner.wait().unwrap();
    }
}

#[tokio::test]
async fn exit_is_not_eof() {
    for mode in MODES {
        let mark = mark();
        let mut task = start(
            mode,
            &format!("setsid sleep {mark} & echo first; echo second >&2; exit 0"),
        )
        .await;
        assert_eq!(
            task.wait().await,
            Exit {
                code: Some(0),
                signal: None
            }
        );
        assert_eq!(output(&mut task).await, "first\n");
        let mut errors = String::new();
        task.stderr.read_to_string(&mut errors).await.unwrap();
        assert_eq!(errors, "second\n");
    }
}

#[tokio::test]
async fn a_flood_waits_for_its_reader_and_arrives_whole() {
    const FLOOD: u64 = 64 << 20;
    for mode in MODES {
        let mut task = start(mode, &format!("head -c {FLOOD} /dev/zero")).await;
        let mut chunk = vec![0; 64 << 10];
        let mut seen = 0;
        loop {
            match task.stdout.read(&mut chunk).await.unwrap() {
                0 => break,
                read => seen += read as u64,
            }
        }
        assert_eq!((seen, task.wait().await.code), (FLOOD, Some(0)), "{mode}");

        // Nobody reads: the writer stands still, and can still be ended.
        let mut task = start(mode, "yes").await;
        task.stdout.read_exact(&mut chunk).await.unwrap();
        assert_eq!(task.end(Ending::NOW).await.signal, Some(9), "{mode}");
    }
}

#[tokio::test]
async fn a_fork_storm_is_ended_while_it_rages() {
    for mode in MODES {
        let mark = mark();
        // Each forker forks on while others are being killed.
        let forker = format!("while :; do setsid sleep {mark} & done");
        let script = format!("for n in 1 2 3; do setsid sh -c '{forker}' & done; echo ready; wait");
        let task = start_ready(mode, &script).await;
        until("the storm rages", || alive(&mark).len() > 300);
        task.end(Ending::NOW).await;
        assert_eq!(alive(&mark), BTreeSet::new(), "{mode}");
    }
}

#[tokio::test]
async fn a_task_with_too_many_processes_is_ended_and_says_so() {
    for mode in MODES {
        let mark = mark();
        let script = format!("echo ready; while :; do setsid sleep {mark} & done");
        let mut task = start_ready(mode, &script).await;
        // Nobody ends it from outside.
        let exit = tokio::time::timeout(Duration::from_secs(300), task.wait())
            .await
            .expect("the storm ends by itself");
        assert_eq!(exit.signal, Some(9), "{mode}");
        assert_eq!(alive(&mark), BTreeSet::new(), "{mode}");
        let mut said = String::new();
        task.stderr.read_to_string(&mut said).await.unwrap();
        assert!(
            said.contains("processes at once; 1000 are allowed"),
            "{mode}: {said}"
        );
    }
}

#[tokio::test]
async fn orphans_are_reaped_while_the_task_runs() {
    for mode in MODES {
        let script = "i=0; while [ $i -lt 300 ]; do (setsid true &); i=$((i+1)); done; echo ready; exec sleep 1000";
        let task = start_ready(mode, script).await;
        until("no zombie is left", || zombies_below(task.pid()) == 0);
        assert_eq!(task.end(Ending::NOW).await.signal, Some(9), "{mode}");
    }
}

fn zombies_below(root: u32) -> usize {
    let stat = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let rest = text
            .rsplit(')')
            .next()?
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        Some((rest.first()?.clone(), rest.get(1)?.parse::<u32>().ok()?))
    };
    let pids: Vec<u32> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    let below = |mut pid: u32| {
        while let Some((_, parent)) = stat(pid) {
            if parent == root {
                return true;
            }
            pid = parent;
        }
        false
    };
    pids.iter()
        .filter(|pid| stat(**pid).is_some_and(|(state, _)| state == "Z") && below(**pid))
        .count()
}

#[test]
fn a_task_outlives_the_thread_that_started_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    for mode in MODES {
        let (goes_on, task) = std::thread::scope(|scope| {
            let starter = scope.spawn(|| {
                let folder = tempfile::tempdir().unwrap();
                let flag = folder.path().join("go");
                let script = format!(
                    "echo ready; until [ -e {} ]; do sleep 0.02; done; echo alive",
                    flag.display()
                );
                ((folder, flag), runtime.block_on(start_ready(mode, &script)))
            });
            starter.join().unwrap()
        });
        std::fs::write(&goes_on.1, "").unwrap();
        let mut task = task;
        assert_eq!(runtime.block_on(output(&mut task)), "alive\n", "{mode}");
    }
}

#[tokio::test]
async fn arguments_environment_and_input_arrive_as_they_are() {
    use std::os::unix::ffi::OsStringExt;
    let odd = std::ffi::OsString::from_vec(b"a\xff\n'b \"".to_vec());
    for mode in MODES {
        let mut command = shell(
            mode,
            "printf '%s|' \"$@\" \"$GIVEN\" \"${HOME-none}\"; wc -c",
        );
        command.args.extend(["sh".into(), odd.clone(), "-x".into()]);
        command.env.push(("GIVEN".into(), odd.clone()));
        command.stdin = Stdin::Bytes(vec![b'x'; 3 << 20]);
        let mut task = process::spawn(command).await.unwrap();
        let mut seen = Vec::new();
        task.stdout.read_to_end(&mut seen).await.unwrap();
        let mut expected = b"a\xff\n'b \"|-x|a\xff\n'b \"|none|".to_vec();
        expected.extend_from_slice(b"3145728\n");
        assert_eq!(seen, expected, "{mode}");

        // Input that nobody reads holds nobody up.
        let mut command = shell(mode, "exit 3");
        command.stdin = Stdin::Bytes(vec![b'x'; 3 << 20]);
        assert_eq!(
            process::spawn(command).await.unwrap().wait().await.code,
            Some(3),
            "{mode}"
        );

        let mut task = start(mode, "env; ls /proc/self/fd | wc -l").await;
        let seen = output(&mut task).await;
        let names: BTreeSet<&str> = seen
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0))
            .collect();
        let expected = BTreeSet::from(["PATH", "PWD", "WORKER_PROCESS_MARK"]);
        assert!(
            names.is_superset(&expected) && names.len() <= 5,
            "{mode}: {seen}"
        );
        // Three standard ones, and the one that `ls` reads the folder with.
        assert_eq!(
            seen.lines().last().unwrap().trim(),
            "4",
            "{mode}: no descriptor leaks"
        );
    }
}

#[tokio::test]
async fn a_program_that_cannot_run_is_an_error_and_not_an_exit() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.txt");
    std::fs::write(&plain, "no program").unwrap();
    for mode in MODES {
        let mut missing = shell(mode, "");
        missing.program = "no-such-program".into();
        let mut text = shell(mode, "");
        text.program = plain.clone().into();
        let mut nowhere = shell(mode, "true");
        nowhere.cwd = folder.path().join("nowhere");
        for (command, is_missing) in [(missing, true), (text, false), (nowhere, true)] {
            let program = command.program.clone();
            match process::spawn(command).await {
                Err(ProcessError::Exec { not_found, .. }) => {
                    assert_eq!(not_found, is_missing, "{program:?} {mode}")
                }
                other => panic!("{program:?} {mode}: {other:?}"),
            }
        }
        assert_eq!(
            start(mode, "kill -SEGV $$").await.wait().await,
            Exit {
                code: None,
                signal: Some(11)
            },
            "{mode}"
        );
    }
}

#[tokio::test]
async fn a_confined_task_sees_no_process_but_its_own() {
    let task_of_another = start_ready(SandboxMode::Off, "echo ready; exec sleep 1000").await;
    let mut task = start(
        SandboxMode::Auto,
        "echo $$; ls /proc | grep -c '^[0-9]'; cat /proc/1/cmdline | tr '\\0' ' '",
    )
    .await;
    if !task.level().own_pids {
        assert!(std::env::var_os("CI").is_none(), "{:?}", task.level());
        return;
    }
    let seen = output(&mut task).await;
    let numbers: Vec<u32> = seen
        .lines()
        .take(2)
        .map(|line| line.trim().parse().unwrap())
        .collect();
    assert!(numbers[0] < 20 && numbers[1] < 10, "{seen}");
    assert!(!seen.contains("sleep"), "{seen}");
    task_of_another.end(Ending::NOW).await;
}
