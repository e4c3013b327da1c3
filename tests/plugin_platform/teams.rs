//! A team's plugins: published, pinned in the repository, accepted by each operator, updated and taken back.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use worker_test_support::worker::run_job;
use worker_test_support::{Repository, StandIn, Worker};

use super::guests::{guest, sha256};

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-codex-worker");

/// One operator of the team.
struct Member {
    worker: Worker,
    _agent: StandIn,
}

impl Member {
    fn new(repository: &Repository) -> Self {
        let agent = StandIn::that("printf 'two\\n' > src/a.txt");
        Member {
            worker: Worker::with_stand_in(BINARY, repository, &agent),
            _agent: agent,
        }
    }

    fn plugin(&self, arguments: &[&str]) -> (bool, String) {
        let all = ["plugin"].iter().chain(arguments);
        let output = self.worker.command(all).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let (done, said) = self.plugin(arguments);
        assert!(done, "plugin {arguments:?}\n{said}");
        said
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let (done, said) = self.plugin(arguments);
        assert!(!done, "plugin {arguments:?}\n{said}");
        said
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A repository with a component in it.
fn repository() -> Repository {
    let repository = Repository::with([("src/a.txt", "one\n"), ("src/b.rs", "b\n")]);
    let tools = repository.path().join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    std::fs::copy(guest("hostile-check"), tools.join("check.wasm")).unwrap();
    repository.commit("Begin");
    repository
}

#[test]
fn what_one_pins_fails_the_jobs_of_another_once_it_is_accepted_and_a_change_is_told() {
    let repository = repository();
    let top = text(repository.path()).to_owned();
    let component = repository.path().join("tools/check.wasm");
    let one = Member::new(&repository);
    let pinned = one.ok(&["lock", text(&component), "--repository", &top]);
    assert!(pinned.contains("commit it"), "{pinned}");
    let lock = repository.path().join("plugins.lock");
    let words = std::fs::read_to_string(&lock).unwrap();
    assert!(
        words.contains("source = \"tools/check.wasm\"") && words.contains(&sha256(&component)),
        "{words}"
    );
    // What the team wants of it: the reviewers see it with the code.
    let words = format!("{words}[plugin.config]\ndo = \"pass with an error\"\n");
    std::fs::write(&lock, words).unwrap();
    repository.commit("Pin a check");

    let other = Member::new(&repository);
    let mut front = other.worker.serve();
    let job = json!({ "prompt": "Change a line.", "allowed_dirs": [top] });
    let result = run_job(&mut front, job.clone());
    assert_eq!(result["job_status"], "completed", "{result}");
    assert!(result.to_string().contains("not accepted here"), "{result}");

    let accepted = other.ok(&["accept", &top]);
    assert!(
        accepted.contains("hostile-check 0.1.0 (check) from tools/check.wasm: new"),
        "{accepted}"
    );
    let result = run_job(&mut front, job.clone());
    assert_eq!(result["job_status"], "failed", "{result}");
    assert!(result.to_string().contains("hostile-check"), "{result}");
    assert!(!result.to_string().contains("plugins.lock"), "{result}");

    // What is in the repository afterwards is a wish again, and what was accepted stays.
    let changed = std::fs::read_to_string(&lock)
        .unwrap()
        .replace("pass with an error", "");
    std::fs::write(&lock, changed).unwrap();
    repository.commit("Ask for less");
    let result = run_job(&mut front, job);
    assert_eq!(result["job_status"], "failed", "{result}");
    assert!(
        result.to_string().contains("changed since it was accepted"),
        "{result}"
    );
}

#[test]
fn a_lock_that_names_what_is_not_there_or_another_digest_is_refused_by_name() {
    let repository = repository();
    let top = text(repository.path()).to_owned();
    let component = repository.path().join("tools/check.wasm");
    let member = Member::new(&repository);
    assert!(
        member
            .refused(&["accept", &top])
            .contains("plugins.lock is not there")
    );
    member.ok(&["lock", text(&component), "--repository", &top]);
    let lock = repository.path().join("plugins.lock");
    let whole = std::fs::read_to_string(&lock).unwrap();
    for (words, says) in [
        (
            whole.replace("tools/check.wasm", "tools/gone.wasm"),
            "tools/gone.wasm",
        ),
        (
            whole.replace(&sha256(&component), &"0".repeat(64)),
            "and plugins.lock says 000",
        ),
        (
            whole.replace("hostile-check", "another"),
            "the component says check hostile-check 0.1.0",
        ),
        (
            whole.replace("0.1.0", "9.9.9"),
            "plugins.lock says check hostile-check 9.9.9",
        ),
        (
            whole.replace("tools/check.wasm", "http://127.0.0.1:9/check.wasm"),
            "cannot be reached",
        ),
        ("version = 1\nplugin = 1\n".to_owned(), "plugins.lock: "),
    ] {
        std::fs::write(&lock, words).unwrap();
        let said = member.refused(&["accept", &top]);
        assert!(said.contains(says), "{said}");
    }
    let config = member
        .worker
        .home()
        .join(".config/mcp-codex-worker/config.toml");
    assert!(!config.exists(), "nothing was accepted");
}

#[test]
fn an_update_shows_what_changes_and_a_new_grant_is_refused_until_it_is_given() {
    let repository = repository();
    let member = Member::new(&repository);
    member.ok(&["add", text(&guest("hostile-check"))]);
    let first = sha256(&guest("hostile-check"));
    let config = member
        .worker
        .home()
        .join(".config/mcp-codex-worker/config.toml");
    let configured = || std::fs::read_to_string(&config).unwrap();
    assert!(configured().contains(&first));

    // The next version: other bytes, and a wish.
    let next = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(guest("hostile-check")).unwrap();
    bytes.extend([0, 2, 1, b'a']);
    std::fs::write(next.path().join("next.wasm"), bytes).unwrap();
    let second = sha256(&next.path().join("next.wasm"));
    let manifest = "id = 'hostile-check'\nversion = '0.1.0'\nkind = 'check'\napi = '1.0'\ncomponent = 'next.wasm'\nwants = ['clock']\n";
    std::fs::write(next.path().join("plugin.toml"), manifest).unwrap();
    let source = text(next.path());
    let said = member.refused(&["update", "hostile-check", source]);
    assert!(
        said.contains(&format!("sha256 {first} -> {second}"))
            && said.contains("+ wants clock")
            && said.contains("--grant 'clock'"),
        "{said}"
    );
    assert!(configured().contains(&first) && !configured().contains("clock"));
    member.ok(&["update", "hostile-check", source, "--grant", "clock"]);
    assert!(configured().contains(&second) && configured().contains("clock"));
    let again = member.ok(&["update", "hostile-check"]);
    assert!(again.contains("is the newest"), "{again}");

    member.ok(&["rollback", "hostile-check"]);
    assert!(
        configured().contains(&first) && !configured().contains("clock"),
        "{}",
        configured()
    );
    // And forward again.
    member.ok(&["rollback", "hostile-check"]);
    assert!(configured().contains(&second) && configured().contains("clock"));
    let listed = member.ok(&["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let plugins = listed["plugins"].as_array().unwrap();
    let own = plugins
        .iter()
        .find(|plugin| plugin["name"] == "hostile-check")
        .unwrap();
    assert_eq!(
        (own["sha256"].as_str(), &own["required"]),
        (Some(second.as_str()), &json!(true))
    );
    for nothing in [&["rollback", "scope"][..], &["update", "scope"]] {
        member.refused(nothing);
    }
}

/// Writes a component's next version: other bytes, the same plugin.
fn next_version(component: &Path, to: &Path) {
    let mut bytes = std::fs::read(component).unwrap();
    bytes.extend([0, 2, 1, b'a']);
    std::fs::write(to, bytes).unwrap();
}

/// A key of the publisher, as `openssl genpkey -algorithm ed25519` writes it.
fn key(folder: &Path, name: &str) -> (std::path::PathBuf, String) {
    let file = folder.join(name);
    let key = signing::SigningKey::create(&file).unwrap();
    (file, key.public().to_string())
}

#[test]
fn a_plugin_that_was_signed_is_updated_by_its_publisher_alone() {
    let repository = repository();
    let folder = tempfile::tempdir().unwrap();
    let (first, first_public) = key(folder.path(), "first.pem");
    let (second, second_public) = key(folder.path(), "second.pem");
    let component = guest("hostile-check");
    let next = folder.path().join("next.wasm");
    next_version(&component, &next);
    let layout = |name: &str| format!("oci-layout:{}", text(&folder.path().join(name)));
    let (one, by_first, by_second, unsigned) = (layout("1"), layout("2"), layout("3"), layout("4"));
    let author = Member::new(&repository);
    let said = author.ok(&["publish", &one, text(&component), "--key", text(&first)]);
    assert!(
        said.contains(&format!("signed by {first_public}")),
        "{said}"
    );
    author.ok(&["publish", &by_first, text(&next), "--key", text(&first)]);
    author.ok(&["publish", &by_second, text(&next), "--key", text(&second)]);
    author.ok(&["publish", &unsigned, text(&next)]);

    let member = Member::new(&repository);
    let said = member.refused(&["add", &one, "--signer", &second_public]);
    assert!(
        said.contains(&first_public) && said.contains("nothing is added"),
        "{said}"
    );
    assert!(!member.ok(&["list"]).contains("hostile-check"));
    let said = member.ok(&["add", &one, "--signer", &first_public]);
    assert!(
        said.contains(&format!("signed by {first_public}")),
        "{said}"
    );
    let said = member.refused(&["update", "hostile-check", &unsigned]);
    assert!(
        said.contains("is not signed") && said.contains("nothing is changed"),
        "{said}"
    );
    let said = member.refused(&["update", "hostile-check", &by_second]);
    assert!(
        said.contains(&second_public) && said.contains("--signer"),
        "{said}"
    );
    let listed = || member.ok(&["list", "--json"]);
    assert!(listed().contains(&sha256(&component)));
    member.ok(&["update", "hostile-check", &by_first]);
    assert!(listed().contains(&sha256(&next)));
    member.ok(&["rollback", "hostile-check"]);
    // The publisher changed, and the operator says so: by the file of its public key.
    let public = folder.path().join("second.pub");
    std::fs::write(&public, format!("{second_public}\n")).unwrap();
    member.ok(&[
        "update",
        "hostile-check",
        &by_second,
        "--signer",
        text(&public),
    ]);
    let config = member
        .worker
        .home()
        .join(".config/mcp-codex-worker/config.toml");
    let configured = std::fs::read_to_string(config).unwrap();
    assert!(
        configured.contains(&second_public) && !configured.contains(&first_public),
        "{configured}"
    );

    // A signature that was moved to other bytes.
    let moved = folder.path().join("4");
    let manifest_of = |layout: &Path| {
        let index = std::fs::read_to_string(layout.join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_str(&index).unwrap();
        let digest = index["manifests"][0]["digest"].as_str().unwrap();
        layout.join("blobs/sha256").join(&digest["sha256:".len()..])
    };
    let read = |file: &Path| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    };
    let signed = read(&manifest_of(&folder.path().join("1")));
    let mut forged = read(&manifest_of(&moved));
    forged["annotations"] = signed["annotations"].clone();
    let forged = forged.to_string();
    let id = hex::encode(Sha256::digest(&forged));
    std::fs::write(moved.join("blobs/sha256").join(&id), &forged).unwrap();
    let mut index = read(&moved.join("index.json"));
    index["manifests"][0]["digest"] = json!(format!("sha256:{id}"));
    std::fs::write(moved.join("index.json"), index.to_string()).unwrap();
    let said = Member::new(&repository).refused(&["add", &unsigned]);
    assert!(
        said.contains("its signature is about hostile-check"),
        "{said}"
    );
}

#[test]
fn a_lock_that_the_teams_key_signed_is_taken_and_a_change_of_it_is_not() {
    let repository = repository();
    let top = text(repository.path()).to_owned();
    let folder = tempfile::tempdir().unwrap();
    let (file, public) = key(folder.path(), "team.pem");
    let (_, another) = key(folder.path(), "another.pem");
    let component = repository.path().join("tools/check.wasm");
    let one = Member::new(&repository);
    let pin = ["lock", text(&component), "--repository", &top];
    let said = one.ok(&[&pin[..], &["--key", text(&file)]].concat());
    assert!(said.contains("plugins.lock.sig"), "{said}");
    repository.commit("Pin a check");

    let other = Member::new(&repository);
    let said = other.refused(&["accept", &top, "--signer", &another]);
    assert!(
        said.contains("is not signed") && said.contains("nothing is accepted"),
        "{said}"
    );
    let said = other.ok(&["accept", &top, "--signer", &public]);
    assert!(said.contains(&format!("signed by {public}")), "{said}");

    // Somebody else writes into the lock: the signature is not for that.
    let lock = repository.path().join("plugins.lock");
    let whole = std::fs::read_to_string(&lock).unwrap();
    std::fs::write(&lock, format!("{whole}[plugin.config]\ndo = \"pass\"\n")).unwrap();
    let said = other.refused(&["accept", &top, "--signer", &public]);
    assert!(
        said.contains("its signature is about plugins.lock"),
        "{said}"
    );
    // Pinned again without the key: it is unsigned, and says so.
    let said = one.ok(&pin);
    assert!(said.contains("not signed any more"), "{said}");
    assert!(
        other
            .refused(&["accept", &top, "--signer", &public])
            .contains("is not signed")
    );
}

#[test]
fn another_plugin_takes_a_required_name_only_where_the_operator_says_so() {
    let repository = repository();
    let member = Member::new(&repository);
    member.ok(&["add", text(&guest("hostile-check"))]);
    let other = guest("hostile-summarizer");
    let add = ["add", text(&other), "--name", "hostile-check"];
    let said = member.refused(&add);
    assert!(
        said.contains("is the name of a check that every job must pass")
            && said.contains("--replace"),
        "{said}"
    );
    assert!(
        member
            .ok(&["list", "--json"])
            .contains(&sha256(&guest("hostile-check")))
    );
    member.ok(&[&add[..], &["--replace"]].concat());
    let config = member
        .worker
        .home()
        .join(".config/mcp-codex-worker/config.toml");
    assert_eq!(
        private::exposed(&config).unwrap(),
        None,
        "its owner's alone"
    );
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_command_without_a_word() {
    let repository = repository();
    let member = Member::new(&repository);
    let mut command = member.worker.command(["plugin", "list"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// A registry, as far as pushing and pulling need one.
#[derive(Default)]
struct Shelf {
    blobs: Mutex<HashMap<String, Vec<u8>>>,
    /// Answers other bytes than were asked for.
    lies: bool,
    /// Gives a token for this login alone (`user:secret` in base64), and nothing without a token.
    login: Option<&'static str>,
}

async fn registry(
    State(shelf): State<Arc<Shelf>>,
    method: Method,
    UrlPath(path): UrlPath<String>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(login) = shelf.login {
        let given = headers
            .get("authorization")
            .map(|given| given.to_str().unwrap());
        if path == "token" {
            return match given == Some(format!("Basic {login}").as_str()) {
                true => axum::Json(json!({ "token": "good" })).into_response(),
                false => StatusCode::UNAUTHORIZED.into_response(),
            };
        }
        if given != Some("Bearer good") {
            let host = headers.get("host").unwrap().to_str().unwrap();
            let challenge = format!("Bearer realm=\"http://{host}/v2/token\",service=\"test\"");
            let headers = [("www-authenticate", challenge)];
            return (StatusCode::UNAUTHORIZED, headers).into_response();
        }
    }
    let digest = |bytes: &[u8]| {
        let hex: String = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("sha256:{hex}")
    };
    let last = path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut blobs = shelf.blobs.lock().unwrap();
    match method {
        Method::POST => {
            let mut headers = HeaderMap::new();
            headers.insert("location", format!("/v2/{path}upload").parse().unwrap());
            (StatusCode::ACCEPTED, headers).into_response()
        }
        Method::PUT => {
            let id = digest(&body);
            let query = uri.query().unwrap_or_default();
            assert!(path.contains("/manifests/") || query.contains(&id), "{uri}");
            blobs.insert(id, body.to_vec());
            blobs.insert(last, body.to_vec());
            StatusCode::CREATED.into_response()
        }
        _ => match blobs.get(&last) {
            Some(bytes) if shelf.lies && path.contains("/blobs/") => {
                let mut bytes = bytes.clone();
                bytes.push(0);
                bytes.into_response()
            }
            Some(bytes) => bytes.clone().into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
    }
}

/// Serves a registry for as long as the runtime lives; its address.
fn serve(runtime: &tokio::runtime::Runtime, shelf: Shelf) -> (Arc<Shelf>, String) {
    let shelf = Arc::new(shelf);
    let app = axum::Router::new()
        .route("/v2/{*path}", axum::routing::any(registry))
        .with_state(Arc::clone(&shelf));
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap().to_string();
    runtime.spawn(async move { axum::serve(listener, app).await });
    (shelf, address)
}

#[test]
fn a_registry_that_wants_a_login_gets_that_of_docker() {
    let repository = repository();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shelf = Shelf {
        // team:s3cret
        login: Some("dGVhbTpzM2NyZXQ="),
        ..Shelf::default()
    };
    let (_shelf, host) = serve(&runtime, shelf);
    let component = guest("hostile-check");
    let to = format!("oci://{host}/team/check:1");
    let stranger = Member::new(&repository).refused(&["publish", &to, text(&component)]);
    assert!(
        stranger.contains(&format!("docker login {host}")),
        "{stranger}"
    );

    let author = Member::new(&repository);
    let docker = author.worker.home().join(".docker");
    std::fs::create_dir_all(&docker).unwrap();
    let login = |auth: &str| {
        let config = json!({ "auths": { &host: { "auth": auth } } });
        std::fs::write(docker.join("config.json"), config.to_string()).unwrap();
    };
    login("dGVhbTp3cm9uZw==");
    let said = author.refused(&["publish", &to, text(&component)]);
    assert!(said.contains("wants another login"), "{said}");
    login("dGVhbTpzM2NyZXQ=");
    let said = author.ok(&["publish", &to, text(&component)]);
    let reference = said
        .split_whitespace()
        .find(|word| word.starts_with("oci://"))
        .unwrap();
    author.ok(&["add", reference]);
    assert!(author.ok(&["list"]).contains("hostile-check"));
}

#[test]
fn a_registry_that_hangs_is_given_up_by_name() {
    let repository = repository();
    // It takes the connection, and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let member = Member::new(&repository);
    let digest = "0".repeat(64);
    let reference = format!("oci://{address}/team/check@sha256:{digest}");
    let said = member.refused(&["add", &reference]);
    assert!(
        said.contains(&address.to_string()) && said.contains("gave no answer in time"),
        "{said}"
    );
    assert!(!member.ok(&["list"]).contains("team"));
}

#[test]
fn a_plugin_is_published_to_a_registry_and_a_layout_and_added_from_both_by_digest() {
    let repository = repository();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (shelf, host) = serve(&runtime, Shelf::default());
    let component = guest("hostile-check");
    let author = Member::new(&repository);
    let said = author.ok(&[
        "publish",
        &format!("oci://{host}/team/check:1"),
        text(&component),
    ]);
    let reference = said
        .split_whitespace()
        .find(|word| word.starts_with("oci://"))
        .unwrap();
    assert!(reference.contains("@sha256:"), "{said}");
    let other = Member::new(&repository);
    let by_tag = format!("oci://{host}/team/check:1");
    assert!(other.refused(&["add", &by_tag]).contains("has no digest"));
    other.ok(&["add", reference]);
    assert!(other.ok(&["list"]).contains("hostile-check"));
    let wrong = format!("oci://{host}/team/check@sha256:{}", "0".repeat(64));
    assert!(other.refused(&["add", &wrong]).contains("answers 404"));

    let folder = tempfile::tempdir().unwrap();
    let layout = format!("oci-layout:{}", text(&folder.path().join("layout")));
    author.ok(&["publish", &layout, text(&component)]);
    Member::new(&repository).ok(&["add", &layout]);
    let blob = folder
        .path()
        .join("layout/blobs/sha256")
        .join(sha256(&component));
    std::fs::write(blob, b"another").unwrap();
    let said = Member::new(&repository).refused(&["add", &layout]);
    assert!(said.contains("was expected; nothing is added"), "{said}");

    // A registry that gives other bytes than it names, and one that is not there.
    let blobs = shelf.blobs.lock().unwrap().clone();
    let lying = Shelf {
        blobs: Mutex::new(blobs),
        lies: true,
        login: None,
    };
    let (_, liar) = serve(&runtime, lying);
    let said = Member::new(&repository).refused(&["add", &reference.replace(&host, &liar)]);
    assert!(said.contains("was expected; nothing is added"), "{said}");
    let said = Member::new(&repository).refused(&["add", &reference.replace(&host, "127.0.0.1:9")]);
    assert!(said.contains("cannot be reached"), "{said}");
}
