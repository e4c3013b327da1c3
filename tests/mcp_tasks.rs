//! Tasks of MCP: a `start` that waits is a task where the client can be answered by one, and the task is the job.

use std::time::{Duration, Instant};

use demo::mcp_client::{McpClient, McpClientError};
use serde_json::{Value, json};
use worker_test_support::worker::{PATIENCE, call};
use worker_test_support::{Repository, StandIn, Worker, wait_for, wait_for_file};

use crate::mcp_http::{HttpServer, read};

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-codex-worker");

/// What a request of 2026-07-28 says of its client.
fn meta(capabilities: Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "c", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    })
}

fn with_tasks() -> Value {
    json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } })
}

/// A client that can be answered by tasks.
trait Asks {
    /// The answer to one request, as it came: with `result` or `error`.
    fn ask(&mut self, method: &str, params: Value) -> Value;

    fn start(&mut self, arguments: Value) -> Value {
        self.ask(
            "tools/call",
            json!({ "name": "start", "arguments": arguments }),
        )["result"]
            .take()
    }

    /// The task, once it is over.
    fn ended(&mut self, id: &Value) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let task = self.ask("tasks/get", json!({ "taskId": id }))["result"].take();
            assert_eq!(&task["taskId"], id, "{task}");
            if task["status"] != "working" {
                return task;
            }
            assert!(task.get("result").is_none(), "{task}");
            assert!(Instant::now() < deadline, "it does not end: {task}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

struct OverStdio(McpClient);

impl Asks for OverStdio {
    fn ask(&mut self, method: &str, mut params: Value) -> Value {
        params["_meta"] = meta(with_tasks());
        match self.0.request(method, params, PATIENCE) {
            Ok(result) => json!({ "result": result }),
            Err(McpClientError::Refused { error, .. }) => json!({ "error": error }),
            Err(fault) => panic!("{method}: {fault}"),
        }
    }
}

struct OverHttp {
    server: HttpServer,
    runtime: tokio::runtime::Runtime,
}

impl Asks for OverHttp {
    fn ask(&mut self, method: &str, mut params: Value) -> Value {
        params["_meta"] = meta(with_tasks());
        let name = params.get("name").or_else(|| params.get("taskId"));
        let name = name.and_then(Value::as_str).unwrap_or_default().to_owned();
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self
            .server
            .post(&message)
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method)
            .header("mcp-name", name);
        let reply = self.runtime.block_on(read(request));
        assert!(
            reply.answer.get("result").is_some() || reply.answer.get("error").is_some(),
            "{method}: {} {}",
            reply.status,
            reply.text
        );
        reply.answer
    }
}

/// A server over stdio and one over HTTP, each begun when it is asked for.
fn ways(worker: &Worker) -> [(&'static str, Box<dyn Fn() -> Box<dyn Asks> + '_>); 2] {
    let stdio = || Box::new(OverStdio(worker.serve())) as Box<dyn Asks>;
    let http = || {
        Box::new(OverHttp {
            runtime: tokio::runtime::Runtime::new().unwrap(),
            server: HttpServer::start(worker, &[]),
        }) as Box<dyn Asks>
    };
    [("stdio", Box::new(stdio)), ("http", Box::new(http))]
}

#[test]
fn a_task_is_its_job_and_outlives_the_server_that_began_it() {
    let repository = Repository::with([("src/a.txt", "one\n")]);
    repository.commit("Begin");
    let agent = StandIn::that("touch begun; wait_for go; rm begun go; printf 'two\\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    for (way, server) in ways(&worker) {
        let mut first = server();
        let started = first.start(json!({
            "prompt": "Change a line.", "allowed_dirs": [repository.path()], "wait_ms": 600_000,
            "checks": ["grep -q two src/a.txt"], "include_diff": true,
        }));
        assert_eq!(started["resultType"], "task", "{way}: {started}");
        assert_eq!(started["status"], "working", "{way}: {started}");
        assert!(started["createdAt"].is_string() && started["lastUpdatedAt"].is_string());
        assert!(started["pollIntervalMs"].is_u64(), "{way}: {started}");
        let id = &started["taskId"];
        wait_for_file(&repository.path().join("begun"));
        let working = first.ask("tasks/get", json!({ "taskId": id }))["result"].take();
        assert_eq!(working["status"], "working", "{way}: {working}");
        assert_eq!(working["resultType"], "complete", "{way}: {working}");
        let line = working["statusMessage"].as_str().unwrap_or_default();
        assert!(line.contains(id.as_str().unwrap()), "{way}: {working}");

        drop(first);
        std::fs::write(repository.path().join("go"), "").unwrap();
        let mut second = server();
        let task = second.ended(id);
        assert_eq!(task["status"], "completed", "{way}: {task}");
        let read = call(&mut worker.serve(), "get", json!({ "job_id": id }));
        assert_eq!(
            task["result"]["structuredContent"], read.structured,
            "{way}"
        );
        assert_eq!(read.structured["job_status"], "completed", "{way}");
        assert!(read.structured["diff"].is_string(), "{way}: {task}");
        repository.write("src/a.txt", "one\n");
    }
    worker.assert_no_process_left();
}

#[test]
fn to_cancel_a_task_is_to_stop_its_job() {
    let repository = Repository::with([("src/a.txt", "one\n")]);
    repository.commit("Begin");
    let agent = StandIn::that("touch begun; wait_for never");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    for (way, server) in ways(&worker) {
        let mut client = server();
        let job = json!({ "prompt": "p", "allowed_dirs": [repository.path()], "wait_ms": 600_000 });
        let id = client.start(job)["taskId"].take();
        let begun = repository.path().join("begun");
        wait_for_file(&begun);
        let done = json!({ "result": { "resultType": "complete" } });
        let stop = |client: &mut Box<dyn Asks>| {
            let answer = client.ask("tasks/cancel", json!({ "taskId": id }));
            assert_eq!(answer["result"], done["result"], "{way}: {answer}");
        };
        stop(&mut client);
        let task = client.ended(&id);
        assert_eq!(task["status"], "cancelled", "{way}: {task}");
        assert!(task.get("result").is_none(), "{way}: {task}");
        wait_for("the end of the runner", || worker.runners().is_empty());
        let read = call(&mut worker.serve(), "get", json!({ "job_id": id }));
        assert_eq!(read.structured["job_status"], "cancelled", "{way}");
        // What is over is not stopped again, and nothing waits for a response.
        stop(&mut client);
        let told = json!({ "taskId": id, "inputResponses": {} });
        let told = client.ask("tasks/update", told);
        assert_eq!(told["result"], done["result"], "{way}: {told}");
        for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
            for unknown in ["0".repeat(26), "../x".to_owned()] {
                let params = json!({ "taskId": unknown, "inputResponses": {} });
                let answer = client.ask(method, params);
                assert_eq!(answer["error"]["code"], -32602, "{way} {method}: {answer}");
            }
        }
        for params in [json!({}), json!({ "taskId": 7 })] {
            let answer = client.ask("tasks/get", params);
            assert_eq!(answer["error"]["code"], -32602, "{way}: {answer}");
        }
        std::fs::remove_file(begun).unwrap();
    }
    worker.assert_no_process_left();
}

#[test]
fn several_results_come_into_the_checkout_by_one_task() {
    let repository = Repository::with([("src/a.txt", "one\n"), ("src/b.txt", "one\n")]);
    repository.commit("Begin");
    let agent = StandIn::that("echo two > src/$(grep -o '[ab].txt' \"$PROMPT\" | head -n 1)");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut client = OverStdio(worker.serve());
    let ids = ["a.txt", "b.txt"].map(|file| {
        let task = client.start(json!({
            "prompt": format!("Change {file}."), "allowed_dirs": [repository.path()], "wait_ms": 1,
            "checks": [format!("grep -q two src/{file}")], "isolation": "worktree",
        }));
        let ended = client.ended(&task["taskId"]);
        assert_eq!(ended["status"], "completed", "{ended}");
        // A task is not over when the wait would have been.
        let result = &ended["result"]["structuredContent"];
        assert_eq!(result["job_status"], "completed", "{ended}");
        task["taskId"].clone()
    });
    let arguments = json!({ "job_ids": ids, "how": "squash" });
    let call = json!({ "name": "apply", "arguments": arguments });
    let task = client.ask("tools/call", call)["result"].take();
    assert_eq!(task["resultType"], "task", "{task}");
    let ended = client.ended(&task["taskId"]);
    let result = &ended["result"]["structuredContent"];
    assert_eq!(result["combined"], json!(ids), "{ended}");
    for file in ["src/a.txt", "src/b.txt"] {
        assert_eq!(repository.read(file), "two\n", "{file}");
    }
    worker.assert_no_process_left();
}

#[test]
fn only_a_call_that_waits_is_a_task_and_only_for_a_client_that_knows_tasks() {
    let repository = Repository::with([("src/a.txt", "one\n")]);
    repository.commit("Begin");
    let agent = StandIn::that("printf 'two\\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let job = |wait_ms: u64| {
        json!({
            "prompt": "p", "allowed_dirs": [repository.path()], "wait_ms": wait_ms,
            "checks": ["grep -q three src/a.txt"], "auto_revise": { "max_passes": 0 },
        })
    };
    let mut client = OverStdio(worker.serve());
    // It does not wait: the planner goes on with the id.
    let id = client.start(job(0))["structuredContent"]["job_id"].take();
    assert!(id.is_string());
    // The store's jobs are tasks, however they were begun. One that failed its checks has a result as every other.
    let task = client.ended(&id);
    assert_eq!(task["status"], "completed", "{task}");
    let result = &task["result"]["structuredContent"];
    assert_eq!(result["job_status"], "failed", "{task}");
    // A call that is refused begins nothing.
    let refused = client.start(json!({ "prompt": "", "wait_ms": 600_000 }));
    assert_eq!(refused["isError"], true, "{refused}");

    // A client that did not say that it knows tasks gets the result, and no task.
    let answer = call(&mut client.0, "start", job(600_000));
    assert_eq!(answer.structured["job_status"], "failed", "{answer:?}");
    let params = json!({ "taskId": id, "_meta": meta(json!({})) });
    match client.0.request("tasks/get", params, PATIENCE) {
        Err(McpClientError::Refused { error, .. }) => {
            assert_eq!(error["code"], -32021, "{error}");
            let needed = &error["data"]["requiredCapabilities"];
            assert_eq!(needed, &with_tasks(), "{error}");
        }
        other => panic!("{other:?}"),
    }

    // Where jobs are no tools, they are no tasks.
    let reading = worker.set("WORKER_TOOLSETS", "analyze,reading");
    let answer = OverStdio(reading.serve()).ask("tasks/get", json!({ "taskId": id }));
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
}
