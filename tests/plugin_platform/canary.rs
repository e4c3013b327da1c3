//! Secrets planted wherever a job takes text from, and looked for wherever it leaves some: one that every rule knows by its
//! shape, and one that nobody could know but the host that holds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use demo::gateway::{Reply, Script, ScriptedGateway};
use demo::mcp_client::McpClient;
use serde_json::{Value, json};
use worker_test_support::worker::{PATIENCE, call, run_job};
use worker_test_support::{Repository, StandIn, Worker};

use super::guests::{guest, sha256};

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-codex-worker");
const SHAPED: &str = "ghp_Zx8Kq2Lm4Rt6Wv0Yb3Nc5Hd7Jf9Sg1Pa2eTu";
/// The value of a variable that WORKER_CHECK_ENV names. Letters that may stand in names of files and branches.
const HELD: &str = "correct-horse-battery-staple";
const KEY: &str = "gateway-key-of-the-test";
const SECRETS: [&str; 3] = [SHAPED, HELD, KEY];

/// The raw material that a job needs: SECURITY.md, "What is on disk".
const WORKING_MATERIAL: [&str; 4] = ["home", "tree", "source", "keep"];

struct Operator {
    repository: Repository,
    worker: Worker,
    component: PathBuf,
    agent: StandIn,
    _gateway: ScriptedGateway,
}

impl Operator {
    /// With a gateway that answers every request with `status` and an error that holds every secret.
    fn new(status: u16) -> Self {
        let repository = Repository::with([("src/a.txt", "one\n")]);
        repository.write(
            "config.txt",
            format!("token = \"{SHAPED}\"\nother {HELD}\n"),
        );
        repository.commit(&format!("Plant {SHAPED} and {HELD}"));
        let git = repository.git();
        let head = git.head().unwrap().peel_to_commit().unwrap();
        let branch = format!("wip/{SHAPED}/{HELD}");
        git.branch(&branch, &head, false).unwrap();
        git.set_head(&format!("refs/heads/{branch}")).unwrap();

        let gateway = ScriptedGateway::start(Script::new(move |_| {
            let said = format!("no credit for {SHAPED}, nor for {HELD}, nor for {KEY}");
            Reply::error(status, "invalid_request_error", &said)
        }))
        .unwrap();
        let agent = StandIn::that(&format!(
            "cat config.txt > src/a.txt; cp config.txt src/{SHAPED}.txt; cp config.txt src/{HELD}.txt
             git switch -qc own/{SHAPED}/{HELD} 2>&1; git -c user.name=x -c user.email=x@x commit -qam 'by {HELD}' 2>&1
             say 'found {SHAPED} in the config'; say \"key $PLANTED\"
             say \"$(curl -s -H \"authorization: Bearer $ANTHROPIC_AUTH_TOKEN\" -H 'content-type: application/json' \
               -d '{{\"model\":\"sonnet\",\"max_tokens\":9,\"messages\":[{{\"role\":\"user\",\"content\":\"{SHAPED} {HELD}\"}}]}}' \
               \"$ANTHROPIC_BASE_URL/v1/messages\" | tr -d '\"')\"
             echo '{SHAPED}' >&2; echo \"$PLANTED\" >&2; echo 'no event: {SHAPED} {HELD}'"
        ));
        let worker = Worker::new(BINARY, &repository, &gateway)
            .set("WORKER_CLAUDE_BIN", agent.path().display())
            .set("WORKER_CHECK_ENV", "PLANTED")
            .set("PLANTED", HELD)
            .set("WORKER_LOG", "mcp_codex_worker=trace");
        let kept = worker.home().join("kept");
        fs::create_dir(&kept).unwrap();
        let worker = worker
            .set("WORKER_LOG_FILE", kept.join("worker.log").display())
            .set("WORKER_METRICS_FILE", kept.join("metrics.jsonl").display());
        let component = worker.home().join("mine.wasm");
        fs::copy(guest("hostile-check"), &component).unwrap();
        Self {
            repository,
            worker,
            component,
            agent,
            _gateway: gateway,
        }
    }

    /// Every job must pass a plugin that does this with the secrets.
    fn plugin(&self, act: &str) {
        let folder = self.worker.home().join(".config/mcp-codex-worker");
        fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "[plugins]\nchecks = ['mine']\n[plugins.mine]\nkind = 'check'\npath = {:?}\nsha256 = '{}'\n\
             config = {{ do = '{act}', text = 'here is {SHAPED} and {HELD} and {KEY}' }}\n",
            self.component,
            sha256(&self.component)
        );
        fs::write(folder.join("config.toml"), text).unwrap();
    }

    /// A front whose every byte, out and err, is kept beside the logs.
    fn front(&self, name: &str) -> McpClient {
        let kept = self.worker.home().join("kept");
        let plain = self.worker.command(["serve"]);
        let mut command = Command::new("sh");
        command
            .args(["-c", r#""$0" serve 2>>"$1.err" | tee "$1.out""#])
            .args([Path::new(BINARY), &kept.join(name)])
            .current_dir(self.worker.home())
            .env_clear();
        for (variable, value) in plain.get_envs() {
            command.env(variable, value.unwrap());
        }
        McpClient::connect(command, PATIENCE).unwrap()
    }

    fn job(&self) -> Value {
        json!({
            "prompt": format!("Use {SHAPED} and {HELD}."),
            "allowed_dirs": [self.repository.path()],
            "include_diff": true,
            "auto_revise": { "max_passes": 1 },
            "checks": [
                { "name": "shows", "command": format!("cat config.txt; echo $PLANTED; git branch; ls src; echo 'error: {SHAPED}' >&2; exit 1") },
            ],
        })
    }
}

/// Asks everything that there is to ask about a job, as a planner and as a person.
fn ask_everything(operator: &Operator, front: &mut McpClient, id: &Value) {
    let mut artifacts = vec![
        json!("diff"),
        json!("transcript"),
        json!("check-shows"),
        json!("agent-report"),
    ];
    let reply = call(front, "get", json!({ "job_id": id, "include_diff": true })).structured;
    let named = reply["artifacts"].as_array().cloned().unwrap_or_default();
    artifacts.extend(
        named
            .into_iter()
            .map(|artifact| artifact.get("name").unwrap_or(&artifact).clone()),
    );
    for artifact in artifacts {
        call(
            front,
            "get",
            json!({ "job_id": id, "artifact": artifact, "max_bytes": 24_000 }),
        );
    }
    call(front, "tail", json!({ "job_id": id, "max_bytes": 24_000 }));
    let id = id.as_str().unwrap();
    for (number, arguments) in [
        &["jobs", "ls"][..],
        &["jobs", "ls", "--json"],
        &["jobs", "show", id],
        &["jobs", "show", id, "--json"],
        &["jobs", "tail", id],
        &["stats"],
        &["stats", "--json", "--by", "repo"],
        &["doctor"],
        &["plugin", "list"],
    ]
    .into_iter()
    .enumerate()
    {
        let done = operator.worker.command(arguments).output().unwrap();
        let kept = operator.worker.home().join(format!("kept/{number}-{id}"));
        fs::write(&kept, [&done.stdout[..], &done.stderr].concat()).unwrap();
    }
}

/// Looks through everything that was kept, and gives how many files that were.
fn assert_clean(operator: &Operator) -> usize {
    let state = files(&operator.worker.state_dir());
    assert!(
        state.iter().any(|file| file.ends_with("jobs.db")),
        "{state:?}"
    );
    assert!(
        state.iter().any(|file| file.ends_with("runner.log")),
        "{state:?}"
    );
    let kept = files(&operator.worker.home().join("kept"));
    for file in state.iter().chain(&kept) {
        let bytes = fs::read(file).unwrap();
        for secret in SECRETS {
            let at = bytes
                .windows(secret.len())
                .position(|window| window == secret.as_bytes());
            if let Some(at) = at {
                let around = &bytes[at.saturating_sub(200)..(at + 100).min(bytes.len())];
                panic!(
                    "{secret} in {}: {}",
                    file.display(),
                    String::from_utf8_lossy(around)
                );
            }
            assert!(
                !file.to_string_lossy().contains(secret),
                "{}",
                file.display()
            );
        }
    }
    state.len() + kept.len()
}

/// Every file below a folder but working material.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            let working = WORKING_MATERIAL
                .iter()
                .any(|name| entry.file_name() == *name);
            match (path.is_dir(), working) {
                (true, true) => Vec::new(),
                (true, false) => files(&path),
                (false, _) => vec![path],
            }
        })
        .collect()
}

#[test]
fn what_is_secret_comes_out_nowhere() {
    let operator = Operator::new(400);
    let mut ids = Vec::new();
    for (act, isolation) in [
        ("tell the text", "none"),
        ("panic with the text", "worktree"),
        ("refuse with the text", "worktree"),
    ] {
        operator.plugin(act);
        let mut front = operator.front(&act.replace(' ', "-"));
        let mut job = operator.job();
        job["isolation"] = json!(isolation);
        let result = run_job(&mut front, job);
        assert_eq!(result["job_status"], "failed", "{result}");
        // What was planted came this far, under its mark.
        let said = result.to_string();
        assert!(
            said.contains("here is [redacted:github-token]"),
            "{act}: {said}"
        );
        assert!(
            said.contains("[redacted:PLANTED]") || said.contains("[redacted:planted]"),
            "{act}: {said}"
        );
        ask_everything(&operator, &mut front, &result["job_id"]);
        let paths = json!([operator.repository.path()]);
        let reply = call(
            &mut front,
            "search",
            json!({ "pattern": "token|other", "paths": paths }),
        );
        assert!(
            reply.structured.to_string().contains("config.txt"),
            "{:?}",
            reply.structured
        );
        call(
            &mut front,
            "search",
            json!({ "symbols": ["token", "other"], "paths": paths }),
        );
        ids.push(result["job_id"].clone());
        let git = operator.repository.git();
        git.reset(
            &git.revparse_single(&format!("wip/{SHAPED}/{HELD}"))
                .unwrap(),
            git2::ResetType::Hard,
            None,
        )
        .unwrap();
        git.set_head(&format!("refs/heads/wip/{SHAPED}/{HELD}"))
            .unwrap();
    }
    // A tree of its own that is applied and gone on in.
    let mut front = operator.front("after");
    call(
        &mut front,
        "apply",
        json!({ "job_id": ids[1], "how": "patch" }),
    );
    let follow_up = json!({ "resume_job_id": ids[2], "prompt": format!("Once more {SHAPED} {HELD}."), "auto_revise": { "max_passes": 0 } });
    let result = run_job(&mut front, follow_up);
    ask_everything(&operator, &mut front, &result["job_id"]);
    drop(front);
    let seen = assert_clean(&operator);
    assert!(seen > 40, "only {seen} files were looked at");

    // The gateway's error went through the adapter, and its record is there.
    let kept = operator.worker.home().join("kept");
    let metrics = fs::read_to_string(kept.join("metrics.jsonl")).unwrap();
    assert!(metrics.contains("400"), "{metrics}");
    let log = fs::read_to_string(kept.join("worker.log")).unwrap();
    assert!(log.contains("[redacted"), "{log}");
    drop(operator.agent);
}

#[test]
fn an_error_that_ends_a_job_tells_no_secret() {
    for status in [401, 402, 500] {
        let operator = Operator::new(status);
        operator.plugin("nothing");
        let mut front = operator.front("front");
        let result = run_job(&mut front, operator.job());
        assert_eq!(result["job_status"], "failed", "{result}");
        let paths = json!([operator.repository.path().join("config.txt")]);
        call(
            &mut front,
            "analyze",
            json!({ "question": format!("What is {SHAPED}?"), "paths": paths }),
        );
        ask_everything(&operator, &mut front, &result["job_id"]);
        drop(front);
        assert_clean(&operator);
    }
}
