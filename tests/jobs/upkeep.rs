//! What jobs keep when they are over: little, and not for ever.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use workspace::{Isolated, Limits};

use super::*;

const FILES: usize = 600;

/// A repository with many files.
fn large_repository() -> Repository {
    let repository = repository();
    for n in 0..FILES {
        repository.write(format!("many/{}/{n}.txt", n % 30), format!("{n}\n"));
    }
    repository.commit("Many");
    repository
}

/// Inodes and bytes of blocks below a folder, files of others not counted.
fn room(folder: &Path) -> (usize, u64) {
    let (mut inodes, mut bytes) = (0, 0);
    let mut pending = vec![folder.to_path_buf()];
    while let Some(path) = pending.pop() {
        let Ok(found) = path.symlink_metadata() else {
            continue;
        };
        if found.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        if found.is_dir() || found.nlink() == 1 {
            inodes += 1;
            bytes += found.blocks() * 512;
        }
    }
    (inodes, bytes)
}

fn folder_of(worker: &Worker, result: &Value) -> std::path::PathBuf {
    let id = result["job_id"].as_str().unwrap();
    worker.state_dir().join("jobs").join(id)
}

#[test]
fn what_an_isolated_job_keeps_is_small_whatever_became_of_it() {
    let repository = large_repository();
    let agent = StandIn::that("sh -c \"$(tail -n 1 \"$PROMPT\")\"");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let asked = |work: &str, more: Value| {
        let mut asked = json!({ "prompt": work, "allowed_dirs": [repository.path()], "isolation": "worktree", "auto_revise": { "max_passes": 0 } });
        let fields = more.as_object().unwrap().clone();
        asked.as_object_mut().unwrap().extend(fields);
        asked
    };
    let change = "printf 'two\\n' > src/a.txt";
    for (asked, end) in [
        (asked(change, json!({})), "completed"),
        (
            asked("true", json!({ "expect_changes": false })),
            "completed",
        ),
        (
            asked(
                change,
                json!({ "checks": [{ "name": "never", "command": "false" }] }),
            ),
            "failed",
        ),
        (
            asked("sleep 600", json!({ "timeout_ms": 4_000 })),
            "timed_out",
        ),
        (asked(change, json!({ "apply": "patch" })), "completed"),
    ] {
        let result = run_job(&mut front, asked.clone());
        assert_eq!(result["job_status"], end, "{result}");
        let folder = folder_of(&worker, &result);
        wait_for("the tree is small", || room(&folder).0 < 200);
        let (inodes, bytes) = room(&folder);
        assert!(bytes < 1 << 20, "{asked}: {inodes} inodes, {bytes} bytes");
    }
    assert_eq!(repository.read("src/a.txt"), "two\n", "applied");
    drop(front);
    worker.assert_no_process_left();
}

#[test]
fn a_job_goes_on_in_a_tree_that_became_small_as_it_was_left() {
    let repository = large_repository();
    repository.write(".gitignore", "*.log\n");
    repository.commit("Ignore logs");
    let agent = StandIn::that("sh -c \"$(tail -n 1 \"$PROMPT\")\"");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let first = run_job(
        &mut front,
        json!({
            "prompt": "printf 'two\\n' > src/a.txt; rm many/1/1.txt; echo kept > trace.log; git add -A; git commit -qm mine",
            "allowed_dirs": [repository.path()], "isolation": "worktree",
        }),
    );
    assert_eq!(first["job_status"], "completed", "{first}");
    let folder = folder_of(&worker, &first);
    wait_for("the tree is small", || !folder.join("tree/many").exists());
    assert!(folder.join("left/trace.log").exists(), "only there");

    let second = run_job(
        &mut front,
        json!({
            "prompt": "test \"$(cat src/a.txt)\" = two && test ! -e many/1/1.txt && test -e many/2/2.txt && test \"$(cat trace.log)\" = kept && git status --short > seen.txt",
            "resume_job_id": first["job_id"],
        }),
    );
    assert_eq!(second["job_status"], "completed", "{second}");
    assert_eq!(
        second["changed_files"],
        json!(["many/1/1.txt", "seen.txt", "src/a.txt"]),
        "{second}"
    );
    wait_for("the tree is small again", || {
        !folder.join("tree/many").exists()
    });
    let applied = call(
        &mut front,
        "apply",
        json!({ "job_id": second["job_id"], "how": "patch" }),
    )
    .structured;
    assert_eq!(applied["applied"], "patch", "{applied}");
    assert_eq!(repository.read("src/a.txt"), "two\n");
    let seen = repository.read("seen.txt");
    assert!(
        seen.contains("M src/a.txt") && seen.contains("D many/1/1.txt"),
        "{seen}"
    );
}

#[test]
fn the_trees_of_an_earlier_version_become_small_at_the_next_gc() {
    let repository = large_repository();
    let agent = StandIn::that("printf 'two\\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut asked = job(&repository);
    asked["isolation"] = "worktree".into();
    let result = run_job(&mut worker.serve(), asked);
    worker.assert_no_process_left();
    // As an earlier version left it: whole, and measured by nobody.
    let folder = folder_of(&worker, &result);
    Isolated::make_whole(&folder, &Limits::default()).unwrap();
    let record = fs::read_to_string(folder.join("isolated.json")).unwrap();
    let record = record.replace("\"small\":false,", "");
    assert!(!record.contains("small"), "{record}");
    fs::write(folder.join("isolated.json"), record).unwrap();
    assert!(room(&folder).0 > FILES);

    let gc = worker.command(["gc"]).output().unwrap();
    let told = String::from_utf8_lossy(&gc.stdout);
    assert!(told.contains("1 trees made small"), "{told}");
    assert!(room(&folder).0 < 200);
    let doctor = worker.command(["doctor"]).output().unwrap();
    let told = String::from_utf8_lossy(&doctor.stdout);
    assert!(told.contains("kept jobs"), "{told}");
}

#[test]
fn retention_says_what_it_will_delete_and_keeps_work_that_nobody_read_about() {
    let repository = repository();
    // Each job alone takes more than all may.
    let agent = StandIn::that(
        "printf 'two\\n' > src/a.txt; head -c 3000000 /dev/urandom > \"$HOME/large\"",
    );
    let worker = Worker::with_stand_in(BINARY, &repository, &agent).set("WORKER_KEEP_MB", 1);
    let mut front = worker.serve();
    let mut isolated = job(&repository);
    isolated["isolation"] = "worktree".into();
    let work = run_job(&mut front, isolated);
    let work = work["job_id"].as_str().unwrap().to_owned();
    let plain = run_job(&mut front, job(&repository));
    let plain = plain["job_id"].as_str().unwrap().to_owned();
    let record = worker.state_dir().join("retention.json");
    let look = |front: &mut McpClient| {
        wait_for("the last runner is gone", || worker.runners().is_empty());
        // The last look was long ago.
        if let Ok(text) = fs::read_to_string(&record) {
            let mut was: Value = serde_json::from_str(&text).unwrap();
            was["looked_ms"] = 0.into();
            for due in was["due"].as_object_mut().unwrap().values_mut() {
                due["since_ms"] = 0.into();
                if due["told_ms"].is_number() {
                    due["told_ms"] = 0.into();
                }
            }
            fs::write(&record, was.to_string()).unwrap();
        }
        run_job(front, job(&repository));
        wait_for("retention looked", || {
            let text = fs::read_to_string(&record).unwrap_or_default();
            let was: Value = serde_json::from_str(&text).unwrap_or_default();
            was["looked_ms"].as_i64().unwrap_or(0) > 0
        });
    };
    wait_for("retention looked", || record.exists());
    look(&mut front);
    let known = |id: &str| worker.state_dir().join("jobs").join(id).exists();
    assert!(known(&work) && known(&plain), "said, not done");
    look(&mut front);
    assert!(!known(&plain), "it was announced, and a day is over");
    assert!(known(&work), "nobody has read that its work goes");

    let listed = worker.command(["jobs"]).output().unwrap();
    let told = String::from_utf8_lossy(&listed.stdout);
    assert!(
        told.contains(&format!("job {work} will be deleted in 7 days")),
        "{told}"
    );
    look(&mut front);
    assert!(!known(&work), "it was read a week ago");
}
