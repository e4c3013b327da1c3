//! Statements: what the host proved, signed, and held against keys and checkouts.

use std::fs;
use std::path::{Path, PathBuf};

use signing::{PublicKey, SigningKey};

use super::*;

fn statement(front: &mut McpClient, id: &Value, to: &Path) -> PathBuf {
    let mut text = String::new();
    let mut cursor = json!(0);
    while !cursor.is_null() {
        let asked =
            json!({ "job_id": id, "artifact": "statement", "cursor": cursor, "max_bytes": 24000 });
        let slice = call(front, "get", asked).structured;
        text.push_str(slice["text"].as_str().unwrap_or_else(|| panic!("{slice}")));
        cursor = slice["cursor"].clone();
    }
    let path = to.join(format!("{}.json", id.as_str().unwrap()));
    fs::write(&path, text).unwrap();
    path
}

/// The exit code of `verify`, and what it says.
fn verified(worker: &Worker, file: &Path, further: &[&str]) -> (i32, String) {
    let mut arguments = vec!["verify", file.to_str().unwrap()];
    arguments.extend(further);
    let output = worker.command(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

#[test]
fn a_statement_holds_for_its_key_and_for_what_the_job_left() {
    let scratch = tempfile::tempdir().unwrap();
    let key = scratch.path().join("key.pem");
    let public: PublicKey = SigningKey::create(&key).unwrap().public();
    let repository = repository();
    let agent = StandIn::that("echo two > src/a.txt; rm notes.txt; echo new > 'src/a b.txt'");
    let worker =
        Worker::with_stand_in(BINARY, &repository, &agent).set("WORKER_SIGNING_KEY", key.display());
    let mut front = worker.serve();
    let mut asked = job(&repository);
    asked["isolation"] = "worktree".into();
    asked["checks"] = json!([{ "name": "content", "command": "grep two src/a.txt" }]);
    let result = run_job(&mut front, asked);
    let file = statement(&mut front, &result["job_id"], scratch.path());
    let top = repository.path().display().to_string();
    let top = top.as_str();
    let public = public.to_string();

    let (code, told) = verified(&worker, &file, &["--key", &public]);
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains("content: passed") && told.contains("completed"),
        "{told}"
    );
    let (code, told) = verified(&worker, &file, &["--repository", top]);
    assert_eq!(code, 1, "not applied yet: {told}");
    call(
        &mut front,
        "apply",
        json!({ "job_id": result["job_id"], "how": "patch" }),
    );
    let (code, told) = verified(&worker, &file, &["--repository", top]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("3 in "), "{told}");

    // In another place, without any of our settings: the file and the key are enough.
    let elsewhere = Worker::bare(BINARY);
    let (code, told) = verified(&elsewhere, &file, &["--key", &public]);
    assert_eq!(code, 0, "{told}");
    let (code, told) = verified(&elsewhere, &file, &[]);
    assert_eq!(code, 3, "no key to hold it against: {told}");

    let other = SigningKey::create(&scratch.path().join("other.pem")).unwrap();
    let other = other.public().to_string();
    assert_eq!(verified(&worker, &file, &["--key", &other]).0, 1);
    assert_eq!(verified(&worker, &file, &["--key", "no key"]).0, 2);

    // Whatever is changed in it is found; so is what is changed in the checkout.
    let text = fs::read_to_string(&file).unwrap();
    let mut envelope: Value = serde_json::from_str(&text).unwrap();
    let payload = envelope["payload"].as_str().unwrap().to_owned();
    let mut turned: Vec<u8> = payload.into_bytes();
    let middle = turned.len() / 2;
    turned[middle] = if turned[middle] == b'A' { b'B' } else { b'A' };
    envelope["payload"] = String::from_utf8(turned).unwrap().into();
    let lied = scratch.path().join("lied.json");
    fs::write(&lied, envelope.to_string()).unwrap();
    assert_eq!(verified(&worker, &lied, &[]).0, 1);
    let mut unsigned: Value = serde_json::from_str(&text).unwrap();
    unsigned["signatures"] = json!([]);
    fs::write(&lied, unsigned.to_string()).unwrap();
    assert_eq!(verified(&worker, &lied, &[]).0, 3);
    for garbage in ["", "{}", "[1]", "\u{0}"] {
        fs::write(&lied, garbage).unwrap();
        assert_eq!(verified(&worker, &lied, &[]).0, 2, "{garbage:?}");
    }
    assert_eq!(verified(&worker, &scratch.path().join("absent"), &[]).0, 2);
    repository.write("notes.txt", "back again\n");
    let (code, told) = verified(&worker, &file, &["--repository", top]);
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("notes.txt is there, and the job deleted it"),
        "{told}"
    );
}

#[test]
fn every_job_that_is_over_has_one_and_says_what_was_proved() {
    let scratch = tempfile::tempdir().unwrap();
    let key = scratch.path().join("key.pem");
    SigningKey::create(&key).unwrap();
    let repository = repository();
    let agent = StandIn::that("echo three > src/a.txt");
    let worker =
        Worker::with_stand_in(BINARY, &repository, &agent).set("WORKER_SIGNING_KEY", key.display());
    let mut front = worker.serve();
    let mut asked = job(&repository);
    asked["auto_revise"] = json!({ "max_passes": 0 });
    asked["checks"] = json!([{ "name": "content", "command": "echo said; exit 7" }]);
    let result = run_job(&mut front, asked);
    let file = statement(&mut front, &result["job_id"], scratch.path());
    let (code, told) = verified(&worker, &file, &[]);
    assert_eq!(
        code, 0,
        "what it says is true, and it says that the job failed: {told}"
    );
    assert!(
        told.contains("failed") && told.contains("exit code 7"),
        "{told}"
    );

    let payload = payload(&file);
    let predicate = &payload["predicate"];
    let check = &predicate["checks"][0];
    assert_eq!(
        (&check["exit_code"], &check["command"]),
        (&json!(7), &json!("echo said; exit 7"))
    );
    assert_eq!(check["output"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        predicate["start"]["commit"],
        repository.head(),
        "{predicate}"
    );
    assert_eq!(
        predicate["host"]["digest"]["sha256"]
            .as_str()
            .unwrap()
            .len(),
        64
    );
    assert_eq!(payload["subject"][1]["name"], "src/a.txt", "{payload}");
    // No part of the key is in what was kept.
    let secret = fs::read_to_string(&key).unwrap();
    let secret = secret.lines().nth(1).unwrap().to_owned();
    assert!(!fs::read_to_string(&file).unwrap().contains(&secret));
}

fn payload(file: &Path) -> Value {
    use base64::Engine as _;
    let envelope: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let payload = base64::engine::general_purpose::STANDARD
        .decode(envelope["payload"].as_str().unwrap())
        .unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[test]
fn a_killed_jobs_statement_says_so_and_nobody_signed_it() {
    let scratch = tempfile::tempdir().unwrap();
    let repository = repository();
    let agent = StandIn::that("sleep 600");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let id = started(&mut front, job(&repository));
    wait_for("the job to run", || {
        get(&mut front, &id)["job_status"] == "running"
    });
    for runner in worker.runners() {
        worker_test_support::worker::kill(runner);
    }
    let result = ended(&mut front, &id);
    assert_eq!(result["job_status"], "interrupted", "{result}");
    let file = statement(&mut front, &result["job_id"], scratch.path());
    let (code, told) = verified(&worker, &file, &[]);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("interrupted"), "{told}");
}

#[test]
fn setup_makes_the_key_once_for_its_owner_alone() {
    let worker = Worker::bare(BINARY);
    let root = tempfile::tempdir().unwrap();
    let client = root.path().join("mcp.json");
    let set_up = || {
        let output = worker
            .command([
                "setup",
                "--yes",
                "--client",
                "vscode",
                "--client-config",
                client.to_str().unwrap(),
                "--root",
                root.path().to_str().unwrap(),
                "--gateway",
                "http://127.0.0.1:9/v1",
                "--model",
                "scripted",
            ])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let told = set_up();
    let keys: Vec<PathBuf> = walk(worker.home(), "signing-key.pem");
    let [key] = keys.as_slice() else {
        panic!("{keys:?}")
    };
    assert_eq!(private::exposed(key).unwrap(), None);
    let public = PublicKey::read(&key.with_extension("pub")).unwrap();
    assert!(told.contains(&public.to_string()), "{told}");
    let before = fs::read(key).unwrap();
    assert!(!set_up().contains("signing-key.pem"), "once");
    assert_eq!(fs::read(key).unwrap(), before);
}

fn walk(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(walk(&entry.path(), name)),
            false if entry.file_name() == name => found.push(entry.path()),
            false => {}
        }
    }
    found
}
