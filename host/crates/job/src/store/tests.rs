#![allow(clippy::unwrap_used)]
use std::fs;
use std::time::SystemTime;

use rusqlite::Connection;
use serde_json::json;

use super::database::WAL_MAX;
use super::database::own_folder;
use super::schema::SCHEMA_VERSION;
use super::upkeep::STRAY_AGE;
use super::{Asker, Store, StoreError};
use crate::id::JobId;
use crate::lock::LockGuard;
use crate::state::State;
use redact::{KnownValues, RedactedJson, Redactor};

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state")).unwrap();
    (folder, store)
}

fn redacted(value: serde_json::Value) -> RedactedJson {
    Redactor::new(KnownValues::new(), Vec::new()).json(value)
}

fn result(word: &str) -> RedactedJson {
    redacted(json!({ "word": word }))
}

#[test]
fn a_job_ends_exactly_once() {
    let (_folder, store) = store();
    let id = JobId::random().unwrap();
    let _hold = store.add(&id).unwrap();
    assert!(store.advance(&id, State::Queued, State::Preparing).unwrap());
    assert!(
        !store.advance(&id, State::Queued, State::Preparing).unwrap(),
        "it stands elsewhere by now"
    );
    assert!(
        store
            .finish(&id, State::Cancelled, &result("first"))
            .unwrap()
    );
    assert!(!store.finish(&id, State::Failed, &result("second")).unwrap());
    assert!(
        !store
            .advance(&id, State::Preparing, State::Running)
            .unwrap()
    );

    let job = store.job(&id).unwrap().unwrap();
    assert_eq!(
        (job.state, job.result.unwrap()["word"].clone()),
        (State::Cancelled, json!("first"))
    );
    assert!(job.started_ms.is_some() && job.ended_ms.is_some());
}

#[test]
fn the_queue_is_in_the_order_of_the_calls() {
    let (_folder, store) = store();
    let ids: Vec<_> = (0..3).map(|_| JobId::random().unwrap()).collect();
    let _holds: Vec<_> = ids.iter().map(|id| store.add(id).unwrap()).collect();
    assert_eq!(store.queued_before(&ids[2]).unwrap(), ids[..2]);
    store
        .advance(&ids[0], State::Queued, State::Preparing)
        .unwrap();
    assert_eq!(store.queued_before(&ids[2]).unwrap(), ids[1..2]);
    assert_eq!(store.unfinished().unwrap(), ids);
}

#[test]
fn a_job_lives_as_long_as_its_lock() {
    let (_folder, store) = store();
    let id = JobId::random().unwrap();
    let hold = store.add(&id).unwrap();
    assert!(store.is_live(&id).unwrap());
    drop(hold);
    assert!(!store.is_live(&id).unwrap());
}

#[test]
fn a_job_stays_as_long_as_another_one_goes_on_in_it() {
    let (_folder, store) = store();
    let ids: Vec<_> = (0..3).map(|_| JobId::random().unwrap()).collect();
    let _holds: Vec<_> = ids.iter().map(|id| store.add(id).unwrap()).collect();
    assert!(store.live_in(&ids[1], &ids[0]).unwrap());
    assert!(store.live_in(&ids[2], &ids[0]).unwrap());
    let lodgers = store.lodgers(&ids[0]).unwrap();
    assert_eq!(
        lodgers.iter().map(|job| &job.id).collect::<Vec<_>>(),
        [&ids[1], &ids[2]]
    );
    assert_eq!(lodgers[0].home(), &ids[0]);
    for lodger in &ids[1..] {
        let refused = store.remove(&ids[0]).unwrap_err().to_string();
        assert!(refused.contains("remove that one first"), "{refused}");
        assert!(store.job_folder(&ids[0]).exists());
        store.remove(lodger).unwrap();
    }
    store.remove(&ids[0]).unwrap();
    assert!(!store.live_in(&ids[1], &ids[0]).unwrap(), "it is gone");
}

#[test]
fn a_store_of_the_first_schema_is_migrated_with_its_jobs() {
    let (folder, store) = store();
    let id = JobId::random().unwrap();
    let _hold = store.add(&id).unwrap();
    store
        .database
        .execute_batch("DROP TABLE attempts; DROP TABLE turns; DROP TABLE sizes; DROP TABLE askers; DROP INDEX jobs_by_home; ALTER TABLE jobs DROP COLUMN lives_in; PRAGMA user_version = 1;")
        .unwrap();
    drop(store);
    let store = Store::open(&folder.path().join("state")).unwrap();
    let job = store.job(&id).unwrap().unwrap();
    assert_eq!(job.home(), &id);
}

#[test]
fn a_store_of_the_third_schema_is_migrated_and_takes_attempts() {
    let (folder, store) = store();
    let id = JobId::random().unwrap();
    let _hold = store.add(&id).unwrap();
    store
        .database
        .execute_batch(
            "DROP TABLE attempts; DROP TABLE turns; DROP TABLE sizes; PRAGMA user_version = 3;",
        )
        .unwrap();
    drop(store);
    let store = Store::open(&folder.path().join("state")).unwrap();
    let attempt = JobId::random().unwrap();
    let _attempt = store.add_attempt(&attempt, &id, 1, "cheap").unwrap();
    assert_eq!(store.attempts(&id).unwrap().len(), 1);
    assert_eq!(store.owner(&attempt).unwrap(), id);
    let listed: Vec<_> = store
        .jobs(9)
        .unwrap()
        .into_iter()
        .map(|job| job.id)
        .collect();
    assert_eq!(
        listed,
        std::slice::from_ref(&id),
        "an attempt is not listed beside the others"
    );
    store.remove(&id).unwrap();
    assert!(
        store.job(&attempt).unwrap().is_none(),
        "it goes with its job"
    );
}

#[test]
fn a_store_of_the_second_schema_is_migrated_with_its_jobs() {
    let (folder, store) = store();
    let id = JobId::random().unwrap();
    let _hold = store.add(&id).unwrap();
    store
        .database
        .execute_batch(
            "DROP TABLE attempts; DROP TABLE turns; DROP TABLE sizes; DROP TABLE askers; PRAGMA user_version = 2;",
        )
        .unwrap();
    drop(store);
    let store = Store::open(&folder.path().join("state")).unwrap();
    let asker = Asker {
        session: Some("one".to_owned()),
        ..Asker::default()
    };
    store.record_asker(&id, &asker).unwrap();
    assert_eq!(store.untold(&asker).unwrap(), [id]);
}

#[test]
fn a_store_of_the_third_schema_is_migrated_and_its_queue_goes_on() {
    let (folder, store) = store();
    let id = JobId::random().unwrap();
    let _hold = store.add(&id).unwrap();
    store
        .database
        .execute_batch(
            "DROP TABLE attempts; DROP TABLE turns; DROP TABLE sizes; PRAGMA user_version = 3;",
        )
        .unwrap();
    drop(store);
    let store = Store::open(&folder.path().join("state")).unwrap();
    // A job of the earlier version takes its turn by itself: no dispatcher sees it.
    assert_eq!(store.waiting().unwrap(), []);
    assert_eq!(store.queued_before(&id).unwrap(), []);
    assert!(store.known_size(&id).unwrap().is_none());
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (folder, store) = store();
    store
        .database
        .pragma_update(None, "user_version", 99)
        .unwrap();
    drop(store);
    let refusal = Store::open(&folder.path().join("state"))
        .unwrap_err()
        .to_string();
    assert!(refusal.contains("newer"), "{refusal}");
    let kept = Connection::open(folder.path().join("state/jobs.db")).unwrap();
    assert_eq!(
        kept.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
            .unwrap(),
        99
    );
}

#[test]
fn what_was_reported_survives_a_power_cut_and_the_log_stays_small() {
    let (folder, store) = store();
    let pragma = |name: &str| -> String {
        store
            .database
            .query_row(
                &format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"),
                [],
                |row| row.get(0),
            )
            .unwrap()
    };
    assert_eq!(
        (pragma("journal_mode"), pragma("synchronous")),
        ("wal".into(), "2".into())
    );

    let id = JobId::random().unwrap();
    let _hold = store.add(&id).unwrap();
    let progress = redacted(json!({ "text": "x".repeat(100_000) }));
    let written = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (path, id, written) = (folder.path().join("state"), &id, &written);
        scope.spawn(move || {
            let reader = Store::open(&path).unwrap();
            while !written.load(std::sync::atomic::Ordering::Relaxed) {
                assert!(reader.job(id).unwrap().is_some());
            }
        });
        for _ in 0..200 {
            store.record_progress(id, &progress).unwrap();
        }
        written.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let log = fs::metadata(folder.path().join("state/jobs.db-wal")).unwrap();
    assert!(
        log.len() < 3 * WAL_MAX.unsigned_abs(),
        "{} bytes",
        log.len()
    );
}

#[test]
fn a_store_that_was_moved_aside_is_not_taken_for_the_one_at_its_path() {
    let (folder, store) = store();
    assert!(store.is_current());
    fs::rename(folder.path().join("state"), folder.path().join("aside")).unwrap();
    assert!(!store.is_current());
    let other = Store::open(&folder.path().join("state")).unwrap();
    assert!(other.is_current() && !store.is_current());
}

/// A change of this makes a new version of it, with a migration from this one.
#[test]
fn the_schema_is_as_it_was_released_in_version_4() {
    assert_eq!(SCHEMA_VERSION, 4);
    let (_folder, store) = store();
    let mut statement = store
        .database
        .prepare("SELECT name || ': ' || group_concat(column, ' ') FROM (SELECT m.name, c.name || ' ' || c.type AS column FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid) GROUP BY name ORDER BY name")
        .unwrap();
    let tables: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    insta::assert_snapshot!(tables.join("\n"), @r"
    askers: job TEXT session TEXT process TEXT workspace TEXT told_ms INTEGER
    attempts: job TEXT of TEXT number INTEGER model TEXT
    calls: number INTEGER job TEXT tool TEXT at_ms INTEGER argument_bytes INTEGER reply_bytes INTEGER
    jobs: ticket INTEGER id TEXT state TEXT created_ms INTEGER started_ms INTEGER ended_ms INTEGER cancel_requested INTEGER runner TEXT spec TEXT progress TEXT result TEXT lives_in TEXT
    passes: job TEXT pass INTEGER record TEXT
    processes: job TEXT identity TEXT
    requests: number INTEGER job TEXT at_ms INTEGER record TEXT
    sizes: job TEXT bytes INTEGER inodes INTEGER
    turns: job TEXT front TEXT repository TEXT tree TEXT slots INTEGER granted_ms INTEGER
    ");
}

#[test]
fn what_lies_in_its_place_is_refused_and_left_as_it_is() {
    let database = |sql: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        fs::read(path).unwrap()
    };
    let foreign = database("CREATE TABLE songs (name TEXT)");
    let foreign_versioned = database("CREATE TABLE songs (name TEXT); PRAGMA user_version = 1");
    for (what, bytes, words) in [
        ("text", b"hello".repeat(2_000), "damaged"),
        (
            "noise",
            (0..=255u8).cycle().take(50_000).collect(),
            "damaged",
        ),
        ("another's", foreign, "something else"),
        (
            "another's with a version",
            foreign_versioned,
            "something else",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        drop(Store::open(&state).unwrap());
        fs::write(state.join("jobs.db"), &bytes).unwrap();
        for _ in 0..2 {
            let refusal = Store::open(&state).unwrap_err().to_string();
            assert!(refusal.contains(words), "{what}: {refusal}");
        }
        assert!(
            fs::read(state.join("jobs.db")).unwrap() == bytes,
            "{what} was written to"
        );
    }
}

#[test]
fn every_cut_of_the_database_is_refused_or_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let whole = {
        let store = Store::open(&folder.path().join("whole")).unwrap();
        for _ in 0..50 {
            let id = JobId::random().unwrap();
            let _hold = store.add(&id).unwrap();
        }
        store.compact().unwrap();
        fs::read(folder.path().join("whole/jobs.db")).unwrap()
    };
    for cut in (0..whole.len()).step_by(1_000) {
        let state = folder.path().join(cut.to_string());
        drop(Store::open(&state).unwrap());
        fs::write(state.join("jobs.db"), &whole[..cut]).unwrap();
        match Store::open(&state).and_then(|store| store.jobs(99)) {
            // Nothing at all is a new store; a page that holds no job may be missed later.
            Ok(jobs) if cut > 0 => assert_eq!(jobs.len(), 50, "{cut} of {}", whole.len()),
            Ok(jobs) => assert!(jobs.is_empty()),
            Err(fault) => assert!(matches!(fault, StoreError::Damaged(_)), "{cut}: {fault}"),
        }
    }
}

#[test]
fn folders_that_no_job_came_to_are_found_and_no_others() {
    let (_folder, store) = store();
    let old = SystemTime::now() - 2 * STRAY_AGE;
    let age = |id: &JobId| {
        let folder = fs::File::open(store.job_folder(id)).unwrap();
        folder.set_modified(old).unwrap();
    };
    let ids: Vec<_> = (0..4).map(|_| JobId::random().unwrap()).collect();
    let _job = store.add(&ids[0]).unwrap();
    for id in &ids[1..] {
        own_folder(&store.job_folder(id)).unwrap();
    }
    let _beginning = LockGuard::take(&store.lock_path(&ids[1])).unwrap();
    fs::create_dir(store.folder.join("jobs/not-ours")).unwrap();
    for id in &ids[..3] {
        age(id);
    }
    let now = SystemTime::now();
    assert_eq!(store.strays(now).unwrap(), [store.job_folder(&ids[2])]);
    assert!(store.strays(old - STRAY_AGE).unwrap().is_empty());
}

#[test]
fn history_that_belongs_to_no_job_is_forgotten_by_age() {
    let (_folder, store) = store();
    let id = JobId::random().unwrap();
    let _hold = store.add(&id).unwrap();
    let gone = JobId::random().unwrap();
    for job in [Some(&id), Some(&gone), None] {
        store.record_call(job, "search", 1, 1).unwrap();
        store.record_request(job, &result("x")).unwrap();
    }
    store.forget_history(0).unwrap();
    assert_eq!(store.calls_since(0).unwrap().len(), 3);
    store.forget_history(i64::MAX).unwrap();
    assert_eq!(store.calls_since(0).unwrap().len(), 1);
    assert_eq!(
        store.requests_since::<serde_json::Value>(0).unwrap().len(),
        1
    );
    store.compact().unwrap();
}

#[cfg(unix)]
#[test]
fn a_store_that_others_can_enter_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, store) = store();
    drop(store);
    let path = folder.path().join("state");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(
        Store::open(&path),
        Err(StoreError::Exposed { mode: 0o755, .. })
    ));
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_store() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, store) = store();
    let id = JobId::random().unwrap();
    let _hold = store.add(&id).unwrap();
    for path in [
        "state",
        "state/jobs",
        "state/jobs.db",
        &format!("state/jobs/{id}"),
        &format!("state/jobs/{id}/lock"),
    ] {
        let mode = fs::metadata(folder.path().join(path))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{path}");
    }
}

#[test]
fn no_question_about_one_job_looks_at_every_job() {
    let (_folder, store) = store();
    for (question, index) in [
        ("SELECT 1 FROM jobs WHERE lives_in = 'a'", "jobs_by_home"),
        (
            "SELECT id FROM jobs WHERE id >= 'a' AND id < 'b' ORDER BY id LIMIT 2",
            "autoindex",
        ),
        ("DELETE FROM requests WHERE job = 'a'", "requests_by_job"),
        ("DELETE FROM calls WHERE job = 'a'", "calls_by_job"),
    ] {
        let plan: String = store
            .database
            .query_row(&format!("EXPLAIN QUERY PLAN {question}"), [], |row| {
                row.get(3)
            })
            .unwrap();
        assert!(plan.contains(index), "{question}: {plan}");
    }
}

#[test]
fn a_job_is_found_by_the_beginning_of_its_id() {
    let (_folder, store) = store();
    let mut ids: Vec<JobId> = (0..40).map(|_| JobId::random().unwrap()).collect();
    for id in &ids {
        store.add(id).unwrap();
    }
    ids.sort_by_key(ToString::to_string);
    for start in ["", "0", "a", "f", "ff", "g", "%", "_", "*"] {
        let wanted: Vec<&JobId> = ids
            .iter()
            .filter(|id| id.as_str().starts_with(start))
            .collect();
        let found = store.ids_beginning_with(start, usize::MAX).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{start:?}");
    }
    assert!(store.knows(&ids[0]).unwrap());
    assert!(!store.knows(&JobId::random().unwrap()).unwrap());
}
