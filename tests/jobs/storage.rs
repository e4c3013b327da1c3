//! A store on a disk that is full, read-only, or damaged, and a clock that jumps.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::*;

/// The worker in a mount namespace of its own, after `setup` was run there.
fn in_namespace(worker: &Worker, setup: &str) -> Command {
    let inner = worker.command(["serve"]);
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("-Ur");
    }
    command
        .args(["-m", "sh", "-ec", &format!("{setup}\nexec \"$@\""), "sh"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(worker.home())
        .env_clear();
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
}

/// A front whose store lies on a disk of its own, and that disk.
fn on_small_disk(worker: &Worker, size: &str) -> (McpClient, Disk) {
    let setup = format!(
        "mkdir -p -m 700 \"$WORKER_STATE_DIR\"\nmount -t tmpfs -o size={size},mode=700 tmpfs \"$WORKER_STATE_DIR\""
    );
    let front = McpClient::connect(in_namespace(worker, &setup), PATIENCE).unwrap();
    let state = worker.state_dir();
    let seen =
        PathBuf::from(format!("/proc/{}/root", front.pid())).join(state.strip_prefix("/").unwrap());
    (front, Disk(seen))
}

/// A disk as the worker sees it, looked at from outside.
struct Disk(PathBuf);

impl Disk {
    fn fill(&self) {
        let mut ballast = fs::File::create(self.0.join("ballast")).unwrap();
        for size in [64 << 10, 4 << 10, 1] {
            while ballast.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }

    fn assert_intact(&self) {
        let database = rusqlite::Connection::open(self.0.join("jobs.db")).unwrap();
        let verdict: String = database
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(verdict, "ok");
    }
}

fn refusal(front: &mut McpClient, tool: &str, arguments: Value) -> (String, String) {
    let reply = call(front, tool, arguments);
    assert!(reply.is_error, "{:?}", reply.structured);
    let error = &reply.structured["error"];
    let text = |key: &str| error[key].as_str().unwrap().to_owned();
    (text("argument"), text("rule"))
}

#[test]
fn a_full_disk_refuses_new_jobs_and_is_mended_by_room() {
    let repository = repository();
    let agent = StandIn::that("printf 'two\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let (mut front, disk) = on_small_disk(&worker, "160m");
    let first = run_job(&mut front, job(&repository));
    assert_eq!(first["job_status"], "completed", "{first}");

    disk.fill();
    for _ in 0..3 {
        let (argument, rule) = refusal(&mut front, "start", job(&repository));
        assert_eq!(argument, "store", "{rule}");
        assert!(rule.contains("full"), "{rule}");
    }
    let id = first["job_id"].as_str().unwrap();
    assert_eq!(get(&mut front, id), first, "what is there can be read");

    disk.make_room();
    repository.write("src/a.txt", "one\n");
    let second = run_job(&mut front, job(&repository));
    assert_eq!(second["job_status"], "completed", "{second}");
    disk.assert_intact();
    worker.assert_no_process_left();
}

#[test]
fn a_disk_that_fills_up_under_a_job_ends_it_once_with_that_cause() {
    let repository = repository();
    let agent = StandIn::that("touch begun; wait_for go; rm begun go; printf 'two\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let (mut front, disk) = on_small_disk(&worker, "160m");
    let mut asked = job(&repository);
    asked["auto_revise"] = json!({ "max_passes": 0 });
    asked["checks"] =
        json!([{ "name": "writes", "command": "yes | head -c 300000 > \"$TMPDIR/x\"" }]);
    let id = started(&mut front, asked);
    wait_for_file(&repository.path().join("begun"));
    disk.fill();
    repository.write("go", "");

    let result = ended(&mut front, &id);
    assert_eq!(result["job_status"], "failed", "{result}");
    assert_eq!(result["error"]["cause"], "storage", "{result}");
    assert_eq!(
        repository.read("src/a.txt"),
        "two\n",
        "the agent's work is there"
    );
    worker.assert_no_process_left();
    disk.make_room();
    assert_eq!(get(&mut front, &id), result, "it stays so");
    repository.write("src/a.txt", "one\n");
    repository.write("go", "");
    let next = run_job(&mut front, job(&repository));
    assert_eq!(next["job_status"], "completed", "{next}");
    disk.assert_intact();
}

#[test]
fn a_full_disk_is_emptied_by_gc() {
    let repository = repository();
    let agent = StandIn::that("yes work | head -c 200000 > src/big.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let (mut front, disk) = on_small_disk(&worker, "160m");
    let mut asked = job(&repository);
    asked["isolation"] = "worktree".into();
    for _ in 0..3 {
        run_job(&mut front, asked.clone());
    }
    worker.assert_no_process_left();
    disk.fill();
    let gc = worker.command(["gc", "--older-than", "0s", "--force"]);
    let output = Command::new("nsenter")
        .args(["-t", &front.pid().to_string(), "-m", "--"])
        .arg(gc.get_program())
        .args(gc.get_args())
        .env_clear()
        .envs(
            gc.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let left = fs::read_dir(disk.0.join("jobs")).unwrap().count();
    assert_eq!(left, 0, "{said}");
    disk.make_room();
    disk.assert_intact();
    let next = run_job(&mut front, job(&repository));
    assert_eq!(next["job_status"], "completed", "{next}");
}

#[test]
fn a_read_only_store_is_said_and_nothing_is_started() {
    let repository = repository();
    let agent = StandIn::that("printf 'two\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    run_job(&mut worker.serve(), job(&repository));
    let setup = "mount --bind \"$WORKER_STATE_DIR\" \"$WORKER_STATE_DIR\"
        mount -o remount,bind,ro \"$WORKER_STATE_DIR\"";
    let mut front = McpClient::connect(in_namespace(&worker, setup), PATIENCE).unwrap();
    for _ in 0..2 {
        let (argument, rule) = refusal(&mut front, "start", job(&repository));
        assert_eq!(argument, "store", "{rule}");
        assert!(
            rule.to_lowercase().contains("read-only") && rule.contains("WORKER_STATE_DIR"),
            "{rule}"
        );
    }
    worker.assert_no_process_left();
}

#[test]
fn a_damaged_store_is_said_by_every_call_and_mended_without_a_restart() {
    let repository = repository();
    let agent = StandIn::that("printf 'two\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let result = run_job(&mut worker.serve(), job(&repository));
    worker.assert_no_process_left();
    let id = json!({ "job_id": result["job_id"] });
    let path = worker.state_dir().join("jobs.db");
    // All of it in this one file: else the write-ahead log mends what follows.
    assert!(worker.command(["gc"]).status().unwrap().success());
    let whole = fs::read(&path).unwrap();

    for (what, bytes) in [
        ("noise", b"\x00\x01noise\xff".repeat(9_000)),
        ("its first page", whole[..5_000].to_vec()),
    ] {
        fs::write(&path, bytes).unwrap();
        // One that has read nothing yet: what it has in memory is sound.
        let mut front = worker.serve();
        for (tool, arguments) in [("get", id.clone()), ("start", job(&repository))] {
            let (argument, rule) = refusal(&mut front, tool, arguments);
            assert_eq!(argument, "store", "{what}: {rule}");
            assert!(
                rule.contains("damaged") && rule.contains("aside"),
                "{what}: {rule}"
            );
        }
        let listed = worker.command(["jobs"]).output().unwrap();
        assert_eq!(listed.status.code(), Some(1), "{what}");
        assert!(
            String::from_utf8_lossy(&listed.stderr).contains("damaged"),
            "{what}"
        );
        fs::write(&path, &whole).unwrap();
        assert_eq!(
            call(&mut front, "get", id.clone()).structured,
            result,
            "after {what}"
        );
    }
    // What a write-ahead log holds that SQLite did not write is passed over.
    fs::write(
        worker.state_dir().join("jobs.db-wal"),
        b"noise".repeat(9_000),
    )
    .unwrap();
    assert_eq!(call(&mut worker.serve(), "get", id).structured, result);
}

#[test]
fn a_store_that_somebody_keeps_locked_can_be_read_and_says_so() {
    let repository = repository();
    let agent = StandIn::that("printf 'two\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let result = run_job(&mut front, job(&repository));
    let id = result["job_id"].as_str().unwrap();
    let database = rusqlite::Connection::open(worker.state_dir().join("jobs.db")).unwrap();
    database.busy_timeout(PATIENCE).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(get(&mut front, id), result);
    let (argument, rule) = refusal(&mut front, "start", job(&repository));
    assert_eq!(argument, "store", "{rule}");
    assert!(rule.contains("locked"), "{rule}");
    database.execute_batch("ROLLBACK").unwrap();
    repository.write("src/a.txt", "one\n");
    let next = run_job(&mut front, job(&repository));
    assert_eq!(next["job_status"], "completed", "{next}");
}

#[test]
fn a_store_that_was_deleted_is_made_again() {
    let repository = repository();
    let agent = StandIn::that("printf 'two\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let first = run_job(&mut front, job(&repository));
    worker.assert_no_process_left();
    fs::remove_dir_all(worker.state_dir()).unwrap();
    let (argument, _) = refusal(&mut front, "get", json!({ "job_id": first["job_id"] }));
    assert_eq!(argument, "job_id");
    repository.write("src/a.txt", "one\n");
    let next = run_job(&mut front, job(&repository));
    assert_eq!(next["job_status"], "completed", "{next}");
}

#[test]
fn a_clock_that_was_set_back_hurts_nobody() {
    let repository = repository();
    let agent = StandIn::that("touch begun; wait_for go; rm begun go; printf 'two\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let id = started(&mut front, job(&repository));
    wait_for_file(&repository.path().join("begun"));
    // As if the job had begun tomorrow, and then yesterday.
    let database = rusqlite::Connection::open(worker.state_dir().join("jobs.db")).unwrap();
    let shift = |by: i64| {
        let sql = "UPDATE jobs SET created_ms = created_ms + ?1, started_ms = started_ms + ?1, ended_ms = ended_ms + ?1";
        database.busy_timeout(PATIENCE).unwrap();
        database.execute(sql, [by]).unwrap();
    };
    const DAY: i64 = 86_400_000;
    shift(DAY);
    assert_eq!(get(&mut front, &id)["elapsed_s"], 0);
    shift(-2 * DAY);
    let running = get(&mut front, &id);
    assert_eq!(
        running["job_status"], "running",
        "its deadline is no time of day: {running}"
    );
    repository.write("go", "");
    assert_eq!(ended(&mut front, &id)["job_status"], "completed");
    shift(4 * DAY);
    for (arguments, words) in [
        (&["gc", "--older-than", "1s"][..], "0 jobs deleted"),
        (&["jobs", "ls"][..], "completed"),
        (&["stats"][..], "1 completed"),
    ] {
        let done = worker.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(
            done.status.success() && said.contains(words),
            "{arguments:?}: {done:?}"
        );
    }
}
