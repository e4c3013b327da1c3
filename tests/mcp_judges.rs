//! Judges of MCP from outside: the conformance suite over HTTP, the Inspector's command line and mcp-fuzzer over stdio.

mod fixture;

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use demo::loopback::Loopback;
use serde_json::{Value, json};
use worker_test_support::{Repository, StandIn, Worker, clients};

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-codex-worker");
/// The revisions that the suite has a list of requirements for.
const REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];

/// Something in front of a server that adds its token: the suite has no way to send one.
#[derive(Clone)]
struct Bearer {
    client: reqwest::Client,
    /// The server's URL and its token, once it is there.
    server: Arc<OnceLock<(String, String)>>,
}

impl Bearer {
    fn new() -> Self {
        gateway::install_tls();
        Self {
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            server: Arc::default(),
        }
    }
}

async fn forward(State(bearer): State<Bearer>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut headers = parts.headers;
    headers.remove("content-length");
    let (url, token) = bearer.server.get().unwrap();
    let answer = bearer
        .client
        .request(parts.method, url)
        .headers(headers)
        .bearer_auth(token)
        .body(body)
        .send()
        .await
        .unwrap();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    response.headers_mut().remove("transfer-encoding");
    *response.body_mut() = Body::from_stream(answer.bytes_stream());
    response
}

/// A server over HTTP; ended when this is dropped.
struct Served {
    process: Child,
    url: String,
    token: String,
}

impl Served {
    fn by(worker: &Worker, arguments: &[&str]) -> Self {
        let mut process = worker
            .command([&["serve", "--http", "127.0.0.1:0"], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        let stdout = process.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut url).unwrap();
        let token = std::fs::read_to_string(worker.state_dir().join("http-tokens")).unwrap();
        Self {
            process,
            url: url.trim().to_owned(),
            token: token.trim().to_owned(),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What the product is known to fail, each with its reason.
fn expected_failures(revision: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!(
        "../tests/clients/mcp-judges/expected-failures-{revision}.yml"
    ))
}

/// Has the conformance suite judge what is behind this URL.
fn judge(judges: &clients::McpJudges, url: &str, arguments: &[&str]) -> Output {
    let results = tempfile::tempdir().unwrap();
    judges
        .conformance()
        .args(["server", "--url"])
        .arg(format!("{url}/mcp"))
        .args(arguments)
        .arg("-o")
        .arg(results.path())
        .current_dir(results.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Prints the end of what the suite said, and fails if it found anything.
#[track_caller]
fn assert_passed(what: &str, output: &Output) {
    let said = text(output);
    let summary: Vec<&str> = said.lines().rev().take(12).collect();
    eprintln!(
        "{what}:\n{}",
        summary.into_iter().rev().collect::<Vec<_>>().join("\n")
    );
    assert!(output.status.success(), "{what}: {said}");
}

/// Something open before a server that wants a token.
fn opened(bearer: &Bearer) -> (Loopback, String) {
    let router = Router::new().fallback(forward).with_state(bearer.clone());
    let open = Loopback::serve(router).unwrap();
    let url = format!("http://{}", open.address());
    (open, url)
}

/// The suite asks most of its questions by tools, resources and prompts that its own example server has. Whatever is left must pass.
#[test]
fn the_conformance_suite_finds_nothing_but_what_is_explained() {
    let judges = clients::mcp_judges();
    let worker = Worker::bare(BINARY);
    let bearer = Bearer::new();
    let (_open, url) = opened(&bearer);
    let server = Served::by(&worker, &["--origin", &url]);
    bearer
        .server
        .set((server.url.clone(), server.token.clone()))
        .unwrap();
    for revision in REVISIONS {
        let list = expected_failures(revision);
        let reasons = std::fs::read_to_string(&list).unwrap();
        for line in reasons.lines().filter(|line| line.starts_with("  - ")) {
            assert!(line.contains(" # "), "no reason: {line}");
        }
        let list = list.display().to_string();
        let arguments = ["--requirements", revision, "--expected-failures", &list];
        assert_passed(revision, &judge(&judges, &url, &arguments));
    }
}

/// With the tools, prompts and resources that the suite asks for, nothing is left that it could not see.
#[test]
fn the_conformance_suite_finds_nothing_in_our_http_and_our_tasks() {
    let judges = clients::mcp_judges();
    let bearer = Bearer::new();
    let (_open, url) = opened(&bearer);
    let server = fixture::FixtureServer::begin(&url);
    bearer
        .server
        .set((server.url.clone(), server.token.clone()))
        .unwrap();
    for revision in REVISIONS {
        let arguments = ["--requirements", revision];
        assert_passed(revision, &judge(&judges, &url, &arguments));
    }
    // Extensions are not scored: each of the scenarios is asked for by its name.
    let listed = judges
        .conformance()
        .args(["list", "--server"])
        .output()
        .unwrap();
    let listed = text(&listed);
    let names = listed.split_whitespace();
    let scenarios: Vec<&str> = names.filter(|name| name.starts_with("tasks-")).collect();
    assert_eq!(scenarios.len(), 10, "{listed}");
    for scenario in scenarios {
        let arguments = ["--scenario", scenario];
        assert_passed(scenario, &judge(&judges, &url, &arguments));
    }
}

#[test]
fn the_inspectors_command_line_lists_and_calls_the_tools() {
    let judges = clients::mcp_judges();
    let worker = Worker::bare(BINARY);
    let ask = |more: &[&str]| {
        let output = judges
            .inspector()
            .args([BINARY, "serve"])
            .args(more)
            .env_clear()
            .env("HOME", worker.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let answer: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
        answer
    };
    let listed = ask(&["--method", "tools/list"]);
    assert_eq!(listed["tools"].as_array().unwrap().len(), 8, "{listed}");
    let call = ["--method", "tools/call", "--tool-name", "get", "--tool-arg"];
    let help = ask(&[&call[..], &["help=start"]].concat());
    let arguments = &help["structuredContent"]["arguments"];
    assert!(arguments["auto_revise"].is_string(), "{help}");
    let refused = ask(&[&call[..], &["job_id=none"]].concat());
    assert_eq!(refused["isError"], true, "{refused}");
}

#[test]
fn a_fuzzer_of_tools_and_protocol_ends_no_server_and_starts_no_job() {
    let repository = Repository::with([("src/a.txt", "one\n")]);
    repository.commit("Begin");
    let agent = StandIn::that("true");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let reports = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(clients::mcp_fuzzer_python())
        .args(["-m", "mcp_fuzzer", "--protocol", "stdio", "--mode", "all"])
        .args(["--phase", "both", "--runs", "20", "--runs-per-type", "5"])
        .args([
            "--seed",
            "19",
            "--no-network",
            "--fail-if-no-tools",
            "--no-corpus",
        ])
        .args(["--timeout", "30", "--endpoint", &format!("{BINARY} serve")])
        .arg("--fs-root")
        .arg(reports.path().join("files"))
        .arg("--output-dir")
        .arg(reports.path())
        .current_dir(reports.path())
        .env_clear()
        .envs(
            worker
                .command(["serve"])
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = text(&output);
    eprintln!("{said}");
    assert!(output.status.success(), "{said}");
    // It asked for much, and nothing of it was a job that could be done.
    let mut front = worker.serve();
    let listed = front.request(
        "tools/list",
        json!({}),
        worker_test_support::worker::PATIENCE,
    );
    assert_eq!(listed.unwrap()["tools"].as_array().unwrap().len(), 8);
    worker.assert_no_process_left();
}
