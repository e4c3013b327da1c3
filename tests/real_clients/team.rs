//! A team of two, with the real Claude Code: one publishes a check, the other's job fails by it.

use worker_test_support::registry::Shelf;
use worker_test_support::{Registry, StandIn};

use super::*;

/// A worker's `plugin` command; what it said.
fn plugin(worker: &Worker, arguments: &[&str]) -> Result<String, String> {
    let all = ["plugin"].iter().chain(arguments);
    let output = worker.command(all).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    match output.status.success() {
        true => Ok(said),
        false => Err(said),
    }
}

/// A folder with the check of the first version, made another version by its last bytes, with these wants.
fn version(number: u8, wants: &str) -> tempfile::TempDir {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fixtures/contract-1.0/rust/check.wasm");
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(fixture).unwrap();
    bytes.extend([0, 2, 1, number]);
    std::fs::write(folder.path().join("check.wasm"), bytes).unwrap();
    let manifest = format!(
        "id = 'fixture'\nversion = '1.0.0'\nkind = 'check'\napi = '1.0'\ncomponent = 'check.wasm'\nwants = [{wants}]\n"
    );
    std::fs::write(folder.path().join("plugin.toml"), manifest).unwrap();
    folder
}

#[test]
fn a_check_that_one_publishes_fails_the_job_of_another_and_asks_for_no_more_than_was_accepted() {
    let origin = broken_sum();
    origin.commit("Begin");
    let top = origin.path().to_str().unwrap();
    let registry = Registry::start(Shelf::default());
    let author = Worker::with_stand_in(BINARY, &origin, &StandIn::that("true"));
    let pin = |number: u8, wants: &str, more: &[&str]| {
        let folder = version(number, wants);
        let to = format!("oci://{}/team/check:{number}", registry.host);
        let path = folder.path().to_str().unwrap();
        let said = plugin(&author, &["publish", &to, path]).unwrap();
        let mut words = said.split_whitespace();
        let reference = words.find(|word| word.contains("@sha256:")).unwrap();
        let lock = ["lock", reference, "--repository", top];
        plugin(&author, &[&lock[..], more].concat()).unwrap();
        origin.commit("Pin the check");
    };
    pin(1, "", &[]);

    let clone = origin.cloned();
    let edit = |text: &'static str| {
        vec![
            Turn::call("Read", json!({"file_path": "{cwd}/src/a.js"})),
            Turn::call(
                "Edit",
                json!({"file_path": "{cwd}/src/a.js", "old_string": "a - b", "new_string": text}),
            ),
            Turn::say("It adds now."),
        ]
    };
    let gateway =
        ScriptedGateway::start(Script::turns(edit("a + b /* FIXME: strings */"))).unwrap();
    let other = Worker::new(BINARY, &clone, &gateway);
    let there = clone.path().to_str().unwrap();
    let said = plugin(&other, &["accept", there]).unwrap();
    assert!(said.contains("fixture 1.0.0 (check) from oci://"), "{said}");
    let mut job = example_job(clone.path());
    job["auto_revise"] = json!({ "max_passes": 0 });
    let result = run_job(&mut other.serve(), job);
    assert_eq!(result["job_status"], "failed", "{result}");
    assert!(
        result["failures"].to_string().contains("src/a.js:1"),
        "the place that the check found: {result}"
    );
    let unit = result["checks"].to_string();
    assert!(
        unit.contains("unit tests: passed"),
        "by the check alone: {result}"
    );

    pin(2, "'clock'", &["--grant", "clock"]);
    clone.pull();
    let refused = plugin(&other, &["accept", there]).unwrap_err();
    assert!(refused.contains("ask for clock"), "{refused}");
    let listed = |worker: &Worker| {
        let said = plugin(worker, &["list", "--json", "--repository", there]).unwrap();
        let listed: Value = serde_json::from_str(&said).unwrap();
        let mut plugins = listed["plugins"].as_array().unwrap().clone().into_iter();
        plugins.find(|plugin| plugin["name"] == "fixture").unwrap()
    };
    assert_eq!(listed(&other)["grants"], json!([]));
    plugin(&other, &["accept", there, "--grant", "clock"]).unwrap();
    assert_eq!(listed(&other)["grants"], json!(["clock"]));
    other.assert_no_process_left();
}
