//! The logs of processes, and their places.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn every_process_logs_into_one_file_with_its_job_and_step() {
    let [one, other] = [repository(), repository()];
    let agent = StandIn::that("printf 'two\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &one, &agent)
        // Both lie in the folder for temporary files.
        .set("SANDBOX_ROOT", one.root().parent().unwrap().display())
        .set("WORKER_LOG_FORMAT", "json")
        .set("WORKER_STAL_MS", 1);
    let mut front = worker.serve();
    let ids = [
        started(&mut front, job(&one)),
        started(&mut front, job(&other)),
    ];
    for id in &ids {
        assert_eq!(ended(&mut front, id)["job_status"], "completed");
    }
    worker.assert_no_process_left();

    let path = worker.state_dir().join("logs/worker.log");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    let mut steps: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in &lines {
        assert!(
            line["timestamp"].is_string() && line["pid"].is_u64(),
            "{line}"
        );
        let Some(id) = line["job"].as_str() else {
            continue;
        };
        match line["message"].as_str().unwrap() {
            "begins" => steps
                .entry(id)
                .or_default()
                .push(line["step"].as_str().unwrap()),
            "ends completed" => steps.entry(id).or_default().push("end"),
            _ => {}
        }
    }
    for id in &ids {
        let steps = &steps[id.as_str()];
        assert_eq!(
            steps[..],
            ["preparing", "running", "verifying", "end"],
            "{text}"
        );
    }
    let warning = lines
        .iter()
        .find(|line| line["message"].as_str().unwrap().contains("WORKER_STAL_MS"))
        .unwrap_or_else(|| panic!("the front logs too: {text}"));
    assert_eq!(
        (&warning["pid"], &warning["level"]),
        (&json!(front.pid()), &json!("WARN"))
    );
}

#[test]
fn a_log_that_cannot_be_written_costs_the_log_alone() {
    let repository = repository();
    let agent = StandIn::that("printf 'two\n' > src/a.txt");
    for path in ["/proc/none/worker.log", "/dev/full"] {
        let worker =
            Worker::with_stand_in(BINARY, &repository, &agent).set("WORKER_LOG_FILE", path);
        repository.write("src/a.txt", "one\n");
        let result = run_job(&mut worker.serve(), job(&repository));
        assert_eq!(result["job_status"], "completed", "{path}: {result}");
        let id = result["job_id"].as_str().unwrap();
        let said = worker.state_dir().join("jobs").join(id).join("runner.log");
        let said = std::fs::read_to_string(said).unwrap();
        assert_eq!(
            said.contains("WORKER_LOG_FILE cannot be written"),
            path.starts_with("/proc"),
            "{said}"
        );
        assert!(!worker.state_dir().join("logs").exists());
    }
    let worker = Worker::with_stand_in(BINARY, &repository, &agent).set("WORKER_LOG_FILE", "off");
    run_job(&mut worker.serve(), job(&repository));
    assert!(!worker.state_dir().join("logs").exists());
}
