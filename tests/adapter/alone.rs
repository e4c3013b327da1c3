//! `mcp-codex-worker adapter`: the program, its words, its log, and the way through a proxy.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use worker_test_support::clients;

use super::double::{
    Double, Got, KEY, Play, TOKEN, answer_to, ask, client, delta, good, http, open_stream,
};
use super::message::assemble;

/// The program with nothing in its environment but a home and these variables.
fn program(home: &TempDir, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-codex-worker"));
    command
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("WORKER_CACHE_DIR", clients::shared_cache())
        .env("ONEAPI_API_KEY", KEY)
        .envs(environment.iter().copied())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .arg("adapter");
    command
}

/// A running adapter.
struct Alone {
    child: Child,
    home: TempDir,
    /// The output before it served.
    said: Vec<String>,
    url: String,
}

impl Alone {
    fn start(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(home.path().join("log")).unwrap();
        let mut child = program(&home, environment)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        // The last line that it prints is a comment, or the only one, or the token.
        for line in lines {
            said.push(line.unwrap());
            let last = said.last().unwrap();
            if last.starts_with('#')
                || (last.starts_with("listening") || last.contains("TOKEN"))
                    && has_model(environment, arguments)
            {
                break;
            }
        }
        let log = std::fs::read_to_string(home.path().join("log")).unwrap();
        let url = said
            .iter()
            .find_map(|line| Some(line.get(line.find("http://")?..)?.to_owned()))
            .unwrap_or_else(|| panic!("no address: {said:?} {log}"));
        Self {
            child,
            home,
            said,
            url,
        }
    }

    async fn asked(&self, token: &str, fields: Value) -> Got {
        let request = client()
            .post(format!("{}/v1/messages", self.url))
            .header("x-api-key", token)
            .body(ask(fields).to_string());
        answer_to(request).await
    }

    /// Ends it as a service manager would; gives all that it wrote: to stderr, and into its home, where its log file is.
    fn ends(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        written(self.home.path())
    }
}

/// The text of every file below a folder.
fn written(folder: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            text.push_str(&written(&entry.path()));
        } else {
            text.push_str(&String::from_utf8_lossy(
                &std::fs::read(entry.path()).unwrap(),
            ));
        }
    }
    text
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn has_model(environment: &[(&str, &str)], arguments: &[&str]) -> bool {
    arguments.contains(&"--model") || environment.iter().any(|(name, _)| *name == "CLAUDE_MODEL")
}

#[tokio::test]
async fn without_a_token_it_makes_one_and_prints_what_to_export() {
    let double = Double::always(good()).await;
    let environment = [
        ("ONEAPI_BASE_URL", double.url.as_str()),
        ("CLAUDE_MODEL", "m"),
    ];
    let adapters = [
        Alone::start(&environment, &[]),
        Alone::start(&environment, &[]),
    ];
    let mut tokens = Vec::new();
    for adapter in &adapters {
        let [url, token] = &adapter.said[..] else {
            panic!("{:?}", adapter.said)
        };
        assert_eq!(*url, format!("export ANTHROPIC_BASE_URL={}", adapter.url));
        let token = token.strip_prefix("export ANTHROPIC_AUTH_TOKEN=").unwrap();
        assert!(token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
        tokens.push(token.to_owned());
    }
    // Each token opens its own adapter and no other.
    for (own, other) in [(0, 1), (1, 0)] {
        let adapter = &adapters[own];
        assert_eq!(
            adapter
                .asked(&tokens[own], json!({ "stream": true }))
                .await
                .status,
            200
        );
        assert_eq!(
            adapter
                .asked(&tokens[other], json!({ "stream": true }))
                .await
                .status,
            401
        );
    }
    assert_eq!(double.received().len(), 2);
}

#[tokio::test]
async fn a_gateway_named_by_hand_needs_only_its_key() {
    let double = Double::always(good()).await;
    let arguments = ["--base-url", &double.url, "--token", TOKEN];
    let adapter = Alone::start(&[], &arguments);
    assert_eq!(
        adapter.asked(TOKEN, json!({ "stream": true })).await.status,
        200
    );
    let key = double.only().header("authorization").unwrap();
    assert_eq!(key, format!("Bearer {KEY}"));
}

#[tokio::test]
async fn with_a_token_it_prints_no_secret() {
    let double = Double::always(good()).await;
    let arguments = [
        "--base-url",
        &double.url,
        "--token",
        TOKEN,
        "--dialect",
        "one-api",
    ];
    let environment = [("ONEAPI_BASE_URL", "https://elsewhere.invalid/v1")];
    let adapter = Alone::start(&environment, &arguments);
    let [address, hint] = &adapter.said[..] else {
        panic!("{:?}", adapter.said)
    };
    assert_eq!(*address, format!("listening on {}", adapter.url));
    assert!(
        hint.starts_with("# No CLAUDE_MODEL") && !hint.contains(TOKEN),
        "{hint}"
    );
    // Without a model of its own the caller's goes through.
    assert_eq!(
        adapter.asked(TOKEN, json!({ "stream": true })).await.status,
        200
    );
    assert_eq!(double.only().body["model"], "claude-sonnet-5");
    let log = adapter.ends();
    assert!(!log.contains(TOKEN) && !log.contains(KEY), "{log}");
    assert!(
        log.contains("one-api") && log.contains("WORKER_DIALECT names it"),
        "{log}"
    );
}

#[tokio::test]
async fn what_a_gateway_says_gives_away_no_secret_and_forges_no_line_of_the_log() {
    // Known only by its shape, which is for the redactor plugin to see.
    const SHAPED: &str = "ghp_Zx8Kq2Lm4Rt6Wv0Yb3Nc5Hd7Jf9Sg1Pa2eTu";
    let words =
        format!("luckless {KEY} and {SHAPED} \u{1b}]0;pwned\u{7}\u{202e}\nFORGED line\r\u{9b}31m");
    let double = Double::start(move |number, _| {
        let error = json!({ "error": { "message": words } });
        Play::Pieces(vec![match number {
            0 => http(500, &[], &error.to_string()),
            1 => http(200, &[], &error.to_string()),
            _ => open_stream(&[delta(json!({ "content": "a" })), error]),
        }])
    })
    .await;
    let environment = [
        ("ONEAPI_BASE_URL", double.url.as_str()),
        ("CLAUDE_MODEL", "m"),
        ("WORKER_LOG", "debug"),
    ];
    let adapter = Alone::start(&environment, &["--token", TOKEN, "--retries", "0"]);
    let mut told = Vec::new();
    for streams in [false, false, true] {
        told.push(
            adapter
                .asked(TOKEN, json!({ "stream": streams }))
                .await
                .text,
        );
    }
    assert_eq!(assemble(&told[2]).content[0]["text"], "a");
    let log = adapter.ends();
    told.push(log.clone());
    for text in &told {
        assert!(text.contains("luckless"), "{text}");
        for secret in [KEY, SHAPED, TOKEN] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert!(log.matches("luckless").count() >= 3, "{log}");
    for obeyed in ['\u{1b}', '\u{7}', '\r', '\u{9b}', '\u{202e}'] {
        assert!(!log.contains(obeyed), "{obeyed:?} in {log:?}");
    }
    assert!(!log.lines().any(|line| line.starts_with("FORGED")), "{log}");
}

#[test]
fn what_cannot_work_is_refused_at_the_start_with_the_reason() {
    let home = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let good = ("ONEAPI_BASE_URL", "http://127.0.0.1:9/v1");
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], i32, &'a [&'a str]);
    let rows: &[Row<'_>] = &[
        (
            &[good],
            &["--dialect", "klingon"],
            2,
            &["klingon", "deepseek", "openrouter"],
        ),
        (&[good], &["--dialect", ""], 2, &["dialect"]),
        (
            &[good],
            &["--base-url", "ftp://h"],
            2,
            &["ftp://h", "http:// or https://"],
        ),
        (
            &[good],
            &["--base-url", "https://user:Tr0ub4dor@h/v1"],
            2,
            &["password", "https://h"],
        ),
        (&[good], &["--base-url", "http://a b"], 2, &["space"]),
        (
            &[good],
            &["--base-url", "http://h/\r\nX: y"],
            2,
            &["control character"],
        ),
        (&[good], &["--base-url", ""], 2, &["URL"]),
        (&[good], &["--token", ""], 2, &["--token must not be empty"]),
        (
            &[good],
            &["--host", "0.0.0.0"],
            2,
            &["other machines", "--allow-remote"],
        ),
        (
            &[good],
            &["--host", "::"],
            2,
            &["other machines", "--allow-remote"],
        ),
        (&[good], &["--host", "localhost"], 2, &["--host"]),
        (&[good], &["--port", "70000"], 2, &["--port"]),
        (
            &[good],
            &["--port", &port],
            1,
            &["cannot listen on 127.0.0.1"],
        ),
        (&[good], &["--retries", "11"], 2, &["--retries"]),
        (&[good], &["--retries=-1"], 2, &["--retries", "-1"]),
        (&[good], &["--key", "k"], 2, &["--key"]),
        (
            &[good, ("WORKER_GATEWAY_RETRIES", "many")],
            &[],
            2,
            &["WORKER_GATEWAY_RETRIES"],
        ),
        (
            &[good, ("WORKER_GATEWAY_IDLE_MS", "0")],
            &[],
            2,
            &["WORKER_GATEWAY_IDLE_MS"],
        ),
        (
            &[good, ("WORKER_METRICS_FILE", "/nowhere/at/all.jsonl")],
            &[],
            2,
            &["WORKER_METRICS_FILE", "/nowhere/at/all.jsonl"],
        ),
        (
            &[
                good,
                ("FALLBACK_BASE_URL", "ftp://h"),
                ("FALLBACK_API_KEY", "k"),
            ],
            &[],
            2,
            &["FALLBACK_BASE_URL"],
        ),
        (&[], &[], 2, &["ONEAPI_BASE_URL"]),
        (
            &[("ONEAPI_API_KEY", "")],
            &["--base-url", "http://127.0.0.1:9"],
            2,
            &["--base-url needs a key"],
        ),
    ];
    for (environment, arguments, code, words) in rows {
        let output = program(&home, environment)
            .args(*arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let name = format!("{environment:?} {arguments:?}");
        assert_eq!(output.status.code(), Some(*code), "{name}: {said}");
        assert!(output.stdout.is_empty(), "{name}");
        for word in *words {
            assert!(said.contains(word), "{name}: no {word:?} in {said}");
        }
        assert!(
            !said.contains("Tr0ub4dor") && !said.contains(KEY),
            "{name}: {said}"
        );
    }
}

#[tokio::test]
async fn other_machines_reach_it_only_where_that_was_said_and_then_with_the_token() {
    let double = Double::always(good()).await;
    let environment = [
        ("ONEAPI_BASE_URL", double.url.as_str()),
        ("CLAUDE_MODEL", "m"),
    ];
    let arguments = ["--host", "0.0.0.0", "--allow-remote", "--token", TOKEN];
    let mut adapter = Alone::start(&environment, &arguments);
    adapter.url = adapter.url.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(
        adapter.asked(TOKEN, json!({ "stream": true })).await.status,
        200
    );
    assert_eq!(
        adapter.asked("x", json!({ "stream": true })).await.status,
        401
    );
}

#[tokio::test]
async fn a_key_that_no_header_can_carry_is_sent_nowhere() {
    let double = Double::always(good()).await;
    let home = tempfile::tempdir().unwrap();
    let environment = [
        ("ONEAPI_BASE_URL", double.url.as_str()),
        ("ONEAPI_API_KEY", "sk-12345678\r\nx-injected: 1"),
        ("CLAUDE_MODEL", "m"),
    ];
    let output = program(&home, &environment)
        .args(["--token", TOKEN])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("ONEAPI_API_KEY") && !said.contains("sk-12345678"),
        "{said}"
    );
}

#[tokio::test]
async fn each_request_leaves_a_line_in_the_metrics_file() {
    let double = Double::always(good()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics.jsonl");
    let environment = [
        ("ONEAPI_BASE_URL", double.url.as_str()),
        ("CLAUDE_MODEL", "m"),
        ("WORKER_METRICS_FILE", file.to_str().unwrap()),
    ];
    let adapter = Alone::start(&environment, &["--token", TOKEN]);
    for _ in 0..2 {
        adapter.asked(TOKEN, json!({ "stream": true })).await;
    }
    adapter.ends();
    let lines = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[1]["route"], &lines[1]["dialect"]),
        (&json!("adapter"), &json!("openai"))
    );
}

/// A proxy's double, and an adapter for a gateway that only the proxy can reach.
async fn through_proxy(
    answer: Vec<u8>,
    variables: &[&str],
    gateway: &str,
    no_proxy: &str,
) -> (Double, Got) {
    let proxy = Double::always(answer).await;
    let address = proxy.url.trim_end_matches("/v1").to_owned();
    let mut environment = vec![
        ("ONEAPI_BASE_URL", gateway),
        ("CLAUDE_MODEL", "m"),
        ("NO_PROXY", no_proxy),
    ];
    environment.extend(variables.iter().map(|name| (*name, address.as_str())));
    let adapter = Alone::start(&environment, &["--token", TOKEN, "--retries", "0"]);
    let got = adapter.asked(TOKEN, json!({ "stream": true })).await;
    (proxy, got)
}

#[tokio::test]
async fn a_proxy_from_the_environment_is_used() {
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let (proxy, got) =
            through_proxy(good(), &[variable], "http://gateway.invalid/v1", "").await;
        assert_eq!(got.status, 200, "{variable}: {}", got.text);
        assert_eq!(assemble(&got.text).content[0]["text"], "hello");
        let seen = proxy.only();
        assert_eq!(
            seen.path, "http://gateway.invalid/v1/chat/completions",
            "{variable}"
        );
        assert_eq!(seen.header("host").as_deref(), Some("gateway.invalid"));
        assert_eq!(seen.body["model"], "m");
    }
}

#[tokio::test]
async fn a_gateway_behind_tls_gets_a_tunnel_and_the_proxy_no_key() {
    let (proxy, got) = through_proxy(
        http(407, &[], "who are you"),
        &["HTTPS_PROXY"],
        "https://gateway.invalid/v1",
        "",
    )
    .await;
    assert_eq!((got.status, got.error().0.as_str()), (502, "api_error"));
    let seen = proxy.only();
    assert!(
        seen.head.starts_with("CONNECT gateway.invalid:443 "),
        "{}",
        seen.head
    );
    assert!(
        !seen.head.contains(KEY) && !seen.head.contains(TOKEN),
        "{}",
        seen.head
    );
}

#[tokio::test]
async fn a_proxy_is_not_asked_for_what_it_is_not_for() {
    // A name that NO_PROXY excepts, and the other scheme's variable.
    for (variable, no_proxy) in [
        ("HTTP_PROXY", "gateway.invalid"),
        ("HTTP_PROXY", ".invalid"),
        ("HTTPS_PROXY", ""),
    ] {
        let (proxy, got) =
            through_proxy(good(), &[variable], "http://gateway.invalid/v1", no_proxy).await;
        assert_eq!(got.status, 502, "{variable} {no_proxy}: {}", got.text);
        assert!(
            got.error().1.contains("gateway.invalid cannot be reached"),
            "{}",
            got.text
        );
        assert!(proxy.received().is_empty(), "{variable} {no_proxy}");
    }
    // A gateway on this machine, whatever it is called.
    for host in ["127.0.0.1", "localhost"] {
        let gateway = Double::always(good()).await;
        let url = gateway.url.replace("127.0.0.1", host);
        let variables = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
        let (proxy, got) = through_proxy(good(), &variables, &url, "").await;
        assert_eq!(got.status, 200, "{host}: {}", got.text);
        assert_eq!(gateway.received().len(), 1, "{host}");
        assert!(proxy.received().is_empty(), "{host}");
    }
}

/// Two programs on one cache meet the same gateway at the same time: each learns, and every lesson is kept once.
#[tokio::test(flavor = "multi_thread")]
async fn two_programs_learn_at_once_and_each_lesson_is_listed_once() {
    let cache = tempfile::tempdir().unwrap();
    let double = Double::start(|_, request| {
        let body = &request.body;
        let words = match () {
            () if body.get("stream_options").is_some() => "Unknown field: stream_options",
            () if body["max_tokens"].as_u64() > Some(50) => "max_tokens must be at most 50",
            () => return Play::Pieces(vec![good()]),
        };
        let error = json!({ "error": { "message": words } });
        Play::Pieces(vec![http(400, &[], &error.to_string())])
    })
    .await;
    let folder = cache.path().display().to_string();
    let environment = [
        ("ONEAPI_BASE_URL", double.url.as_str()),
        ("CLAUDE_MODEL", "m"),
        ("WORKER_CACHE_DIR", folder.as_str()),
    ];
    let start = || Alone::start(&environment, &["--token", TOKEN]);
    let (one, other) = (start(), start());
    for _ in 0..3 {
        let fields = || json!({ "stream": true });
        let (first, second) =
            tokio::join!(one.asked(TOKEN, fields()), other.asked(TOKEN, fields()));
        assert_eq!(
            (first.status, second.status),
            (200, 200),
            "{first:?} {second:?}"
        );
    }
    // Each of them at most twice more than it answered; afterwards nobody is refused.
    assert!(double.received().len() <= 6 + 4);
    let third = start();
    let before = double.received().len();
    assert_eq!(
        third.asked(TOKEN, json!({ "stream": true })).await.status,
        200
    );
    assert_eq!(double.received().len(), before + 1);
    let listed = Command::new(env!("CARGO_BIN_EXE_mcp-codex-worker"))
        .env_clear()
        .env("HOME", third.home.path())
        .env("WORKER_CACHE_DIR", cache.path())
        .args(["doctor", "--lessons", "--json"])
        .output()
        .unwrap();
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let mut words: Vec<&str> = listed
        .iter()
        .map(|row| row["lesson"].as_str().unwrap())
        .collect();
    words.sort_unstable();
    assert_eq!(
        words,
        [
            "a reply has at most 50 tokens",
            "stream_options is not taken"
        ]
    );
}
