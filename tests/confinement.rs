//! The reach of a confined task, and the proof that real projects still build and test in there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use process::{
    self, Command, Confinement, Exit, Grants, Layer, LevelWord, Network, ProcessError, SandboxMode,
    StandIn, Stdin, TaskLimits,
};
use tokio::io::AsyncReadExt;

/// A job's folders.
struct Job {
    folder: tempfile::TempDir,
    level: LevelWord,
    grants: Grants,
    landlock_only: bool,
}

impl Job {
    fn new() -> Self {
        // Beside the test binary, for want of a better place that is writable and not temporary.
        let test = std::env::current_exe().unwrap();
        Self::below(test.parent().unwrap())
    }

    fn below(place: &Path) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("confined-")
            .tempdir_in(place)
            .unwrap();
        for name in ["tree", "home", "temp", "other"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("other/file"), "of another").unwrap();
        Self {
            folder,
            level: LevelWord::Confined,
            grants: Grants::default(),
            landlock_only: false,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn command(&self, script: &str) -> Command {
        let toolchains = process::toolchains(&self.path("home"));
        toolchains.link_packages();
        let mut env = toolchains.env;
        env.push(("HOME".into(), self.path("home").into()));
        env.push(("TMPDIR".into(), self.path("temp").into()));
        env.push(("OTHER".into(), self.path("other").into()));
        Command {
            program: "bash".into(),
            args: vec!["-c".into(), script.into()],
            cwd: self.path("tree"),
            env,
            stdin: Stdin::Null,
            confinement: Confinement {
                mode: SandboxMode::Auto,
                read: toolchains.read,
                write: vec![self.path("tree"), self.path("home")],
                temp: Some(self.path("temp")),
                grants: self.grants.clone(),
                ..Confinement::off()
            },
        }
    }

    /// The same job on a machine that refuses mount namespaces.
    fn without_view(mut self) -> Self {
        self.level = LevelWord::Partial;
        self.landlock_only = true;
        self
    }

    async fn run(&self, mut command: Command) -> (Exit, String) {
        command.confinement.landlock_only = self.landlock_only;
        let mut task = process::spawn(command).await.unwrap();
        assert_eq!(task.level().word, self.level, "{:?}", task.level());
        let (mut out, mut err) = (String::new(), String::new());
        let (stdout, stderr) = (&mut task.stdout, &mut task.stderr);
        tokio::try_join!(
            stdout.read_to_string(&mut out),
            stderr.read_to_string(&mut err)
        )
        .unwrap();
        (task.wait().await, out + &err)
    }

    async fn shell(&self, script: &str) -> (Exit, String) {
        self.run(self.command(script)).await
    }

    async fn passes(&self, script: &str) -> String {
        let (exit, output) = self.shell(script).await;
        assert!(exit.success(), "{script}: {exit}\n{output}");
        output
    }
}

/// Runs `script`, and tells which of its lines (each a command of its own) did not succeed.
async fn refused(job: &Job, lines: &[&str]) -> Vec<usize> {
    let mut refused = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        if !job.shell(line).await.0.success() {
            refused.push(number);
        }
    }
    refused
}

#[tokio::test]
async fn twelve_writes_that_are_none_of_its_business_are_refused() {
    writes_are_held(&Job::new()).await;
}

/// There the job has a /tmp of its own, in which its folders stand where they stood.
#[tokio::test]
async fn a_job_below_tmp_is_confined_as_any_other() {
    for place in ["/tmp", "/var/tmp"] {
        let job = Job::below(Path::new(place));
        writes_are_held(&job).await;
        let neighbour = tempfile::NamedTempFile::new_in(place).unwrap();
        let seen = job
            .passes(&format!(
                "pwd; ls ..; ls -d {} 2>&1 || true",
                neighbour.path().display()
            ))
            .await;
        let tree = job.path("tree").display().to_string();
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!(
            lines[..4],
            [tree.as_str(), "home", "temp", "tree"],
            "{seen}"
        );
        assert!(lines[4].contains("No such file"), "{seen}");
    }
}

#[tokio::test]
async fn a_folder_below_tmp_that_may_be_read_cannot_be_written() {
    let job = Job::below(Path::new("/tmp"));
    job.write("tools/bin/tool", "#!/bin/sh\necho works\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(job.path("tools/bin/tool"), mode).unwrap();
    // By a link as well: both names lead there.
    std::os::unix::fs::symlink(job.path("tools"), job.path("link")).unwrap();
    for name in ["tools", "link"] {
        let folder = job.path(name);
        let mut command = job.command(&format!(
            "{0}/bin/tool && ! echo x > {0}/new && ! echo x >> {0}/bin/tool && ! rm {0}/bin/tool",
            folder.display()
        ));
        command.confinement.read.push(folder);
        let (exit, output) = job.run(command).await;
        assert!(
            exit.success() && output.starts_with("works\n"),
            "{name}: {exit} {output}"
        );
    }
    assert_eq!(std::fs::read_dir(job.path("tools")).unwrap().count(), 1);
    // A link that a task left in its /tmp does not lead what the next one is given elsewhere.
    let first = job.folder.path().file_name().unwrap();
    let place = job.path("temp").join(first);
    let _ = std::fs::remove_dir(&place);
    std::os::unix::fs::symlink("/var/lib", &place).unwrap();
    job.passes("echo x > $HOME/x && ! test -e /var/lib/home")
        .await;
    assert!(place.symlink_metadata().unwrap().is_dir());
}

async fn writes_are_held(job: &Job) {
    let user_home = std::env::var("HOME").unwrap();
    let outside = [
        "echo x > $OTHER/new".to_owned(),
        "echo x >> $OTHER/file".to_owned(),
        "rm $OTHER/file".to_owned(),
        "mv $OTHER/file file".to_owned(),
        "ln $OTHER/file link".to_owned(),
        "ln -s $OTHER/file soft && echo x >> soft".to_owned(),
        "mkdir $OTHER/folder".to_owned(),
        "truncate -s 0 $OTHER/file".to_owned(),
        "mkfifo $OTHER/pipe".to_owned(),
        format!("echo x > {user_home}/.confinement-test"),
        "echo x > /etc/confinement-test".to_owned(),
        "echo x > /proc/sys/kernel/core_pattern".to_owned(),
        "echo x > ../new".to_owned(),
        "cd $OTHER && git init .".to_owned(),
    ];
    let lines: Vec<&str> = outside.iter().map(String::as_str).collect();
    let all: Vec<usize> = (0..lines.len()).collect();
    assert_eq!(refused(job, &lines).await, all);
    assert_eq!(
        std::fs::read_to_string(job.path("other/file")).unwrap(),
        "of another"
    );
    assert_eq!(std::fs::read_dir(job.path("other")).unwrap().count(), 1);
    assert!(!Path::new(&user_home).join(".confinement-test").exists());

    let inside = [
        "echo x > new && mkdir -p a/b && mv new a/b/ && rm -r a",
        "echo x > $HOME/new && ln -s new $HOME/soft && mkfifo $HOME/pipe",
        "echo x > $(mktemp) && echo x > /dev/null && echo x > /dev/stderr",
        "echo x > /tmp/own && echo x > /var/tmp/own && echo x > /dev/shm/own",
    ];
    assert_eq!(refused(job, &inside).await, [0; 0]);
    assert!(job.path("temp/own").exists(), "its /tmp is its own");
    assert!(!Path::new("/tmp/own").exists() && !Path::new("/dev/shm/own").exists());
}

#[tokio::test]
async fn what_others_keep_cannot_be_read() {
    let job = Job::new();
    let mut command = job.command("cat $SECRET");
    let user = std::env::var("HOME").unwrap();
    let secret = job.path("other/file");
    for path in [
        secret.to_str().unwrap(),
        "/etc/shadow",
        &format!("{user}/.bashrc"),
        "/proc/kcore",
        "/dev/vda",
        "/dev/sda",
    ] {
        command.env.push(("SECRET".into(), path.into()));
        let (exit, output) = job.run(command.clone()).await;
        assert!(!exit.success(), "{path}: {output}");
    }
    assert!(!job.shell("ls $OTHER").await.0.success());
    // The other way round the runner's own secrets: its environment, its memory, its arguments.
    let own = std::process::id();
    assert!(
        !job.shell(&format!("cat /proc/{own}/environ"))
            .await
            .0
            .success()
    );
    let output = job
        .passes(
            "cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c CARGO_MANIFEST_DIR || true",
        )
        .await;
    assert_eq!(output.trim(), "0");
    // Nor can it signal what is not its own.
    assert!(!job.shell(&format!("kill -0 {own}")).await.0.success());
}

#[tokio::test]
async fn root_inside_is_less_than_root() {
    let job = Job::new();
    for line in [
        "mount -t tmpfs none $HOME",
        "mknod node b 1 1",
        "chroot / unshare -m true",
        "swapoff -a && hostname x",
    ] {
        assert!(!job.shell(line).await.0.success(), "{line}");
    }
    let output = job
        .passes("grep -E 'NoNewPrivs|CapEff' /proc/self/status")
        .await;
    assert!(output.contains("NoNewPrivs:\t1"), "{output}");
}

#[tokio::test]
async fn the_network_can_be_taken_away_but_not_the_loopback() {
    let job = Job::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    assert!(job.shell(&connect).await.0.success());
    let mut command = job.command(&connect);
    command.confinement.network = Network::Off;
    assert!(!job.run(command.clone()).await.0.success());
    let own_server = "import socket, threading
server = socket.create_server(('127.0.0.1', 0))
threading.Thread(target=lambda: server.accept()[0].sendall(b'hello')).start()
print(socket.create_connection(server.getsockname()).recv(5).decode())
try:
    socket.create_connection(('192.0.2.1', 80), timeout=5)
except OSError as error:
    print(error.errno)";
    job.write("tree/own.py", own_server);
    command.args = vec![
        "-c".into(),
        "python3 own.py; ls /sys/class/net 2>/dev/null; grep -c : /proc/net/dev".into(),
    ];
    let (_, output) = job.run(command.clone()).await;
    // ENETUNREACH at once, and one interface only.
    assert_eq!(output.lines().collect::<Vec<_>>(), ["hello", "101", "1"]);

    // Without any other confinement it is gone just the same.
    command.confinement.mode = SandboxMode::Off;
    command.args = vec!["-c".into(), connect.into()];
    let task = process::spawn(command).await.unwrap();
    assert_eq!(task.level().word, LevelWord::Unconfined);
    assert!(!task.wait().await.success());
}

#[tokio::test]
async fn required_is_a_refusal_only_where_something_is_missing() {
    let job = Job::new();
    let mut command = job.command("true");
    command.confinement.mode = SandboxMode::Required;
    let found = process::probe().await;
    match process::spawn(command).await {
        Ok(task) => assert_eq!(task.level().word, LevelWord::Confined),
        Err(ProcessError::Confinement(reason)) => {
            assert!(
                found.level.word != LevelWord::Confined && !reason.is_empty(),
                "{reason}"
            );
            assert!(
                std::env::var_os("CI").is_none(),
                "CI must have it: {reason}"
            );
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_cargo_project_with_a_dependency_builds_and_tests() {
    let job = Job::new();
    job.write("tree/Cargo.toml", "[package]\nname = \"confined\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\ncfg-if = \"1\"\n[workspace]\n");
    job.write("tree/src/lib.rs", "cfg_if::cfg_if! { if #[cfg(unix)] { pub fn two() -> u32 { 2 } } }\n#[test]\nfn is_two() { assert_eq!(two(), 2); }\n");
    // The package comes from what this machine has downloaded already: the network is not asked.
    let output = job.passes("cargo test --offline 2>&1").await;
    assert!(output.contains("1 passed"), "{output}");
    // Nothing of the user's packages can be changed through the links.
    let output = job.passes("for link in $CARGO_HOME/registry/*/*/cfg-if-1*; do { echo x > $link/x; } 2>/dev/null || { echo x >> $link; } 2>/dev/null || echo held; done").await;
    assert!(
        !output.is_empty() && output.lines().all(|line| line == "held"),
        "{output}"
    );
}

#[tokio::test]
async fn an_npm_project_installs_and_tests() {
    let job = Job::new();
    job.write("tree/package.json", r#"{"name":"confined","version":"1.0.0","scripts":{"test":"node --test"},"dependencies":{"two":"file:./two"}}"#);
    job.write(
        "tree/two/package.json",
        r#"{"name":"two","version":"1.0.0","main":"index.js"}"#,
    );
    job.write("tree/two/index.js", "module.exports = 2;");
    job.write("tree/two.test.js", "const test = require('node:test'); test('two', () => require('node:assert').equal(require('two'), 2));");
    let output = job
        .passes("npm install --offline --no-audit --no-fund 2>&1 && npm test 2>&1")
        .await;
    assert!(output.contains("pass 1"), "{output}");
}

#[tokio::test]
async fn a_pytest_project_tests() {
    let job = Job::new();
    job.write("tree/two.py", "def two():\n    return 2\n");
    job.write(
        "tree/test_two.py",
        "import multiprocessing, tempfile, pathlib, unittest
from two import two

class Two(unittest.TestCase):
    def test_two(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, 'x').write_text('x')
        with multiprocessing.Pool(2) as pool:
            self.assertEqual(sum(pool.map(abs, [-1, 1])), two())
",
    );
    // pytest where the machine has it or can fetch it; the same file is a unittest everywhere.
    let script = "python3 -m pytest --version >/dev/null 2>&1 || { python3 -m venv .venv && . .venv/bin/activate && pip install -q pytest; } >/dev/null 2>&1
        if python3 -m pytest --version >/dev/null 2>&1; then python3 -m pytest -q 2>&1 && echo by pytest; else python3 -m unittest 2>&1 && echo by unittest; fi";
    let output = job.passes(script).await;
    assert!(
        output.contains("1 passed") || output.contains("by unittest"),
        "{output}"
    );
}

#[tokio::test]
async fn git_works_but_nothing_is_left_that_it_would_run_later() {
    for job in [Job::new(), Job::below(Path::new("/tmp"))] {
        git_is_held(&job).await;
    }
}

async fn git_is_held(job: &Job) {
    job.passes("git init -q . && mkdir -p .git/hooks && echo a > a")
        .await;
    let identity = "-c user.name=x -c user.email=x@x";
    let output = job
        .passes(&format!("git add a && git {identity} commit -qm a && git status --short && git log --oneline | wc -l"))
        .await;
    assert_eq!(output.trim(), "1");
    let lines = [
        "git config core.fsmonitor ./evil",
        "echo x >> .git/config",
        "echo x > .git/hooks/post-checkout",
        "rm -r .git/hooks",
        "mv .git/config .git/old",
        "mv .git moved",
    ];
    assert_eq!(refused(job, &lines).await, [0, 1, 2, 3, 4, 5]);
    std::fs::rename(job.path("tree/.git"), job.path("other/git")).unwrap();
    job.write("tree/.git", "gitdir: ../other/git\n");
    assert_eq!(
        refused(job, &["echo x > .git", "rm .git", "mv .git moved"]).await,
        [0, 1, 2]
    );
}

/// A task that takes more of the machine than it may is ended by name; one that stays below is not, whatever it shares,
/// reserves or deletes again.
#[tokio::test]
async fn a_task_that_takes_more_than_it_may_is_ended_and_told_so() {
    let job = Job::new();
    let limits = TaskLimits {
        memory: Some(300 << 20),
        disk: Some(200 << 20),
    };
    let rows = [
        (
            "python3 -c 'import time; x = [bytearray(8 << 20) for n in range(60)]; time.sleep(60)'",
            Some("WORKER_TASK_MEMORY_MB"),
        ),
        (
            "for n in 1 2 3 4 5; do python3 -c 'import time; x = bytearray(b\"x\") * (90 << 20); time.sleep(60)' & done; wait",
            Some("WORKER_TASK_MEMORY_MB"),
        ),
        (
            "head -c 400M /dev/urandom > big; sleep 60",
            Some("WORKER_TASK_DISK_MB"),
        ),
        (
            "for n in $(seq 60); do head -c 8M /dev/urandom > $TMPDIR/$n; done; sleep 60",
            Some("WORKER_TASK_DISK_MB"),
        ),
        // Six forks that share 150 MB, and as much that is only reserved.
        (
            "python3 -c 'import os, time, mmap\nx = bytearray(b\"x\") * (150 << 20)\nm = mmap.mmap(-1, 4 << 30)\nfor n in range(6):\n  if not os.fork():\n    time.sleep(2); os._exit(0)\ntime.sleep(2)'",
            None,
        ),
        (
            "for n in $(seq 8); do head -c 90M /dev/zero > part; sleep 0.2; done",
            None,
        ),
        ("truncate -s 40G sparse; sleep 1", None),
    ];
    for (script, wanted) in rows {
        let mut command = job.command(script);
        command.confinement.limits = limits;
        let (exit, output) = job.run(command).await;
        match wanted {
            Some(setting) => {
                assert!(!exit.success(), "{script}: {output}");
                assert!(
                    output.contains("mcp-codex-worker: ended, since") && output.contains(setting),
                    "{script}: {output}"
                );
            }
            None => assert!(exit.success(), "{script}: {exit}\n{output}"),
        }
        for name in ["big", "part", "sparse"] {
            let _ = std::fs::remove_file(job.path("tree").join(name));
        }
        std::fs::remove_dir_all(job.path("temp")).unwrap();
        std::fs::create_dir(job.path("temp")).unwrap();
        job.grants.release(&job.path("temp"));
    }
}

/// A folder in the place of another is all that a task finds there, and the other one stays as it is.
#[tokio::test]
async fn a_folder_stands_in_for_another() {
    let job = Job::new();
    for name in [
        "tree/.git/objects",
        "own/objects",
        "own/base/objects",
        "upper",
        "work",
    ] {
        std::fs::create_dir_all(job.path(name)).unwrap();
    }
    job.write("tree/.git/config", "users");
    job.write("tree/.git/objects/one", "users");
    job.write("own/config", "own");
    let script = "test $(cat .git/config) = own && test $(cat .git/base/objects/one) = users && echo new > .git/config \
        && mkdir -p .git/hooks && echo x > .git/hooks/post-checkout && ! echo x > .git/base/objects/one && ! rm -rf .git/base \
        && ! mv .git moved && test ! -e .git/objects/one";
    let mut command = job.command(script);
    command.confinement.stand_ins = vec![
        StandIn {
            at: job.path("tree/.git"),
            folder: job.path("own"),
            write: true,
        },
        StandIn {
            at: job.path("tree/.git/base/objects"),
            folder: job.path("tree/.git/objects"),
            write: false,
        },
    ];
    let stand_ins = command.confinement.stand_ins.clone();
    let (exit, output) = job.run(command).await;
    assert!(exit.success(), "{output}");
    let read = |name: &str| std::fs::read_to_string(job.path(name)).unwrap();
    assert_eq!(read("tree/.git/config"), "users");
    assert_eq!(read("own/config"), "new\n");
    assert!(!job.path("tree/.git/hooks").exists());

    // With a layer over it, what it was stays too.
    let mut command =
        job.command("echo layered > .git/config && git status >/dev/null 2>&1; cat .git/config");
    command.confinement.stand_ins = stand_ins.clone();
    command.confinement.layers = vec![Layer {
        folder: job.path("tree/.git"),
        upper: job.path("upper"),
        work: job.path("work"),
        cover: None,
    }];
    let mut task = match process::spawn(command).await {
        Ok(task) => task,
        // This file system takes no layers.
        Err(ProcessError::Layer(_)) => return,
        Err(error) => panic!("{error}"),
    };
    let mut output = String::new();
    task.stdout.read_to_string(&mut output).await.unwrap();
    assert_eq!(output, "layered\n");
    assert_eq!(read("own/config"), "new\n");

    // Nowhere else is it tried.
    let mut command = job.command("true");
    command.confinement.stand_ins = stand_ins;
    command.confinement.landlock_only = true;
    let refused = process::spawn(command).await;
    assert!(
        matches!(refused, Err(ProcessError::StandIn(_))),
        "{refused:?}"
    );
}

/// Ways out of a task that open no file are closed.
#[tokio::test]
async fn what_is_not_granted_does_not_exist() {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let job = Job::new();
    let name = format!("confinement-test-{}", std::process::id());
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap());
    let _socket = UnixListener::bind(job.path("other/socket")).unwrap();
    let user_home = std::env::var("HOME").unwrap();
    let connect = |address: &str| {
        format!("python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect({address})'")
    };
    let gone = [
        format!("ls -d {}", job.path("other").display()),
        format!("stat {user_home}/.profile"),
        "ls /run/* 2>&1 | grep -v 'No such' | grep .".to_owned(),
        "ls /var/run/ | grep .".to_owned(),
        "ls -d /root/.ssh /var/spool /var/log /srv /boot /mnt".to_owned(),
        // Terminals of others, keys typed there, their echo.
        "ls /dev/pts | grep -v ptmx | grep .".to_owned(),
        "ls /dev | grep -E '^(vd|sd|mem|kmsg|console|tty[0-9])'".to_owned(),
        connect(&format!("\"\\0{name}\"")),
        connect(&format!("\"{}\"", job.path("other/socket").display())),
        // Attributes: Landlock does not guard them.
        "chmod 0777 /etc".to_owned(),
        "chmod 0666 /usr/bin/env".to_owned(),
        "chmod 0666 /dev/null".to_owned(),
        "touch -d yesterday /usr/bin/env".to_owned(),
        "chown 1 $HOME".to_owned(),
        "mkdir /new".to_owned(),
        "mount --bind /usr /tmp".to_owned(),
        "umount /etc/shadow".to_owned(),
        "unshare -Urm umount /proc".to_owned(),
        "cat /etc/shadow /etc/sudoers /etc/ssh/*".to_owned(),
        "nsenter --target 1 --mount true".to_owned(),
        "ls -d /proc/1/root/boot /proc/1/cwd/boot".to_owned(),
    ];
    let lines: Vec<&str> = gone.iter().map(String::as_str).collect();
    let all: Vec<usize> = (0..lines.len()).collect();
    assert_eq!(refused(&job, &lines).await, all, "{lines:#?}");

    let there = [
        "test $TMPDIR = /tmp && test -w /tmp && test -w /var/tmp && test -w /dev/shm",
        "python3 -c 'import pty, os; m, s = pty.openpty(); os.write(s, b\"x\"); os.read(m, 1)'",
        "python3 -c 'import multiprocessing as m; m.Manager().dict()[1] = 2'",
        "test $(df --output=size -BM /dev/shm | tail -1 | tr -dc 0-9) -le 1024",
        "echo x > /dev/null && head -c 1 /dev/urandom | wc -c && : < /dev/zero && : < /dev/tty || :",
        "getent passwd root && getent hosts localhost && date && locale",
        "ls -l /etc/resolv.conf /etc/ssl/certs >/dev/null && test -r /etc/passwd",
        "echo one | tee /dev/stderr | cat - <(echo two) > /dev/fd/1",
    ];
    assert_eq!(refused(&job, &there).await, [0; 0]);
}

/// A session's keys are not the task's.
#[tokio::test]
async fn a_task_has_a_keyring_of_its_own() {
    let job = Job::new();
    // keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, create)
    let script = "python3 -c 'import ctypes, platform; print(ctypes.CDLL(None).syscall({\"x86_64\": 250, \"aarch64\": 219}[platform.machine()], 0, -3, 1))'";
    let outside = std::process::Command::new("bash")
        .args(["-c", script])
        .output()
        .unwrap();
    let outside = String::from_utf8(outside.stdout).unwrap();
    let inside = job.passes(script).await;
    // Without keys in the kernel there are none to be kept from.
    assert!(inside.trim() == "-1" || inside != outside, "{inside}");
}

/// A grant is what it was when the job began, whatever a task puts in its place.
#[tokio::test]
async fn a_link_in_place_of_a_grant_leads_nowhere() {
    for job in [
        Job::new(),
        Job::below(Path::new("/tmp")),
        Job::new().without_view(),
    ] {
        std::fs::create_dir_all(job.path("tree/src/gen")).unwrap();
        std::fs::create_dir_all(job.path("tree/bin")).unwrap();
        let with_grants = |script: &str| {
            let mut command = job.command(script);
            command.confinement.write.push(job.path("tree/src/gen"));
            command.confinement.read.push(job.path("tree/bin"));
            command.confinement.read.push(job.path("tree/later"));
            command
        };
        let other = job.path("other").display().to_string();
        let swap = format!(
            "rmdir src/gen bin && ln -s {other} src/gen && ln -s {other} bin && ln -s {other} later"
        );
        let (exit, output) = job.run(with_grants(&swap)).await;
        assert!(exit.success(), "{output}");
        for line in [
            "echo x > src/gen/new",
            "cat src/gen/file",
            "cat bin/file",
            "cat later/file",
        ] {
            assert!(!job.run(with_grants(line)).await.0.success(), "{line}");
        }
        assert_eq!(std::fs::read_dir(job.path("other")).unwrap().count(), 1);
        // Nor when a later job sees the link first.
        let next = Job {
            grants: Grants::beside(vec![job.path("tree")]),
            folder: job.folder,
            ..job
        };
        let mut command = next.command("cat bin/file");
        command.confinement.write = vec![next.path("home")];
        command
            .confinement
            .read
            .extend([next.path("tree"), next.path("tree/bin")]);
        let (exit, output) = next.run(command).await;
        assert!(!exit.success(), "{output}");
    }
}

#[tokio::test]
async fn a_tree_that_was_replaced_runs_no_task() {
    for job in [Job::new(), Job::new().without_view()] {
        job.passes("true").await;
        std::fs::rename(job.path("tree"), job.path("moved")).unwrap();
        std::os::unix::fs::symlink(job.path("other"), job.path("tree")).unwrap();
        let refused = process::spawn(job.command("true")).await;
        assert!(
            matches!(refused, Err(ProcessError::Grant(_))),
            "{refused:?}"
        );
    }
}

/// The first wall where mount namespaces are refused holds what it held before.
/// What a task writes into a layer stays there, whatever it does to the folder beneath.
#[tokio::test]
async fn a_layer_takes_what_is_written_and_hides_what_is_covered() {
    for name in ["plain", "with:colon,comma\\and space"] {
        let job = Job::new();
        let tree = job.path("tree").join(name);
        job.write(&format!("tree/{name}/src/a.txt"), "one");
        job.write(&format!("tree/{name}/hidden"), "secret");
        job.write(&format!("tree/{name}/node_modules/x/i.js"), "x");
        let [upper, work, cover] = ["upper", "work", "cover"].map(|part| {
            let part = job.path(&format!("layer {part}:,"));
            std::fs::create_dir(&part).unwrap();
            part
        });
        rustix::fs::mknodat(
            rustix::fs::CWD,
            cover.join("hidden"),
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::empty(),
            0,
        )
        .unwrap();
        let layer = Layer {
            folder: tree.clone(),
            upper: upper.clone(),
            work,
            cover: Some(cover),
        };
        let mut command = job.command(
            "set -e; test ! -e hidden; echo two > src/a.txt; mv node_modules moved; chmod 700 src; \
             mkdir new; ln src/a.txt new/b.txt; touch -d 2001-01-01 new/b.txt; echo -n made > hidden; cat src/a.txt",
        );
        command.cwd = tree.clone();
        // The layer is over a part of what may be written.
        command.confinement.write.push(tree.clone());
        command.confinement.layers = vec![layer.clone()];
        let (exit, output) = job.run(command.clone()).await;
        assert!(exit.success(), "{name}: {output}");
        assert_eq!(
            std::fs::read_to_string(tree.join("src/a.txt")).unwrap(),
            "one"
        );
        assert_eq!(
            std::fs::read_to_string(tree.join("hidden")).unwrap(),
            "secret"
        );
        assert!(tree.join("node_modules/x/i.js").exists() && !tree.join("new").exists());
        assert_eq!(
            std::fs::read_to_string(upper.join("hidden")).unwrap(),
            "made"
        );

        // Without a view there is none, and nothing runs.
        command.confinement.landlock_only = true;
        let refused = process::spawn(command.clone()).await.unwrap_err();
        assert!(matches!(refused, ProcessError::Layer(_)), "{refused}");
        command.confinement.landlock_only = false;
        command.confinement.mode = SandboxMode::Off;
        let refused = process::spawn(command.clone()).await.unwrap_err();
        assert!(matches!(refused, ProcessError::Layer(_)), "{refused}");
        // Nor where the file system of the layer takes none.
        command.confinement.mode = SandboxMode::Auto;
        command.confinement.layers[0].upper = "/proc/self/task".into();
        let refused = process::spawn(command).await.unwrap_err();
        assert!(matches!(refused, ProcessError::Layer(_)), "{refused}");
    }
}

#[tokio::test]
async fn landlock_alone_is_partial_and_holds_files() {
    let job = Job::new().without_view();
    job.write("home/own", "");
    let lines = [
        "echo x > $OTHER/new",
        "cat $OTHER/file",
        "ls $OTHER",
        "mv $OTHER/file file",
        "cat /etc/shadow",
        "echo x > /etc/confinement-test",
        "echo x > /proc/sys/kernel/core_pattern",
    ];
    let all: Vec<usize> = (0..lines.len()).collect();
    assert_eq!(refused(&job, &lines).await, all);
    assert_eq!(
        refused(&job, &["echo x > new && rm new && cat $HOME/own"]).await,
        [0; 0]
    );
    let mut command = job.command("true");
    command.confinement.mode = SandboxMode::Required;
    command.confinement.landlock_only = true;
    match process::spawn(command).await {
        Err(ProcessError::Confinement(reason)) => assert!(reason.contains("no view"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

/// Root and everybody else reach the same by different ways: the namespaces of others need one for users first.
#[test]
fn an_ordinary_user_is_confined_as_well() {
    if !rustix::process::geteuid().is_root() {
        // Then every test here is this test.
        return;
    }
    // Not below /tmp, which a confined job has of its own, and where everybody can get to.
    let folder = tempfile::Builder::new()
        .prefix("confined-")
        .tempdir_in("/var/lib")
        .unwrap();
    let test = std::env::current_exe().unwrap();
    let worker = Path::new(env!("CARGO_BIN_EXE_worker-init"));
    std::fs::copy(&test, folder.path().join("test")).unwrap();
    std::fs::copy(worker, folder.path().join(worker.file_name().unwrap())).unwrap();
    std::fs::create_dir(folder.path().join("home")).unwrap();
    let nobody = 65534;
    for path in [folder.path().to_owned(), folder.path().join("home")] {
        std::os::unix::fs::chown(path, Some(nobody), Some(nobody)).unwrap();
    }
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(folder.path().join("test"))
        .args([
            "--test-threads=2",
            "twelve_writes",
            "what_others",
            "root_inside",
            "the_network",
            "git_works",
            "a_job_below_tmp",
            "a_folder_below_tmp",
            "what_is_not_granted",
            "a_task_has_a_keyring",
            "a_link_in_place",
            "a_tree_that_was",
            "landlock_alone",
            "a_layer_takes",
            "a_folder_stands_in",
            "a_task_that_takes",
        ])
        .env_clear()
        .env("HOME", folder.path().join("home"))
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("15 passed"),
        "{text}"
    );
}
