//! A team's plugins: published, pinned in the repository, accepted by each operator, updated and taken back.

use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use worker_test_support::registry::Shelf;
use worker_test_support::worker::run_job;
use worker_test_support::{Registry, Repository, StandIn, Worker};

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
    let listed: Value = serde_json::from_str(&listed).unwrap();
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
        let index: Value = serde_json::from_str(&index).unwrap();
        let digest = index["manifests"][0]["digest"].as_str().unwrap();
        layout.join("blobs/sha256").join(&digest["sha256:".len()..])
    };
    let read =
        |file: &Path| -> Value { serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap() };
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

#[test]
fn a_registry_that_wants_a_login_gets_that_of_docker() {
    let repository = repository();
    let registry = Registry::start(Shelf {
        // team:s3cret
        login: Some("dGVhbTpzM2NyZXQ="),
        ..Shelf::default()
    });
    let host = &registry.host;
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
        let config = json!({ "auths": { host: { "auth": auth } } });
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

/// What `wkg` 0.16 holds an image to before it takes it (crate oci-wasm 0.6.0, client.rs and config.rs).
fn has_the_form_of_wkg(layout: &Path, component: &Path) {
    let read =
        |file: &Path| -> Value { serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap() };
    let blob = |digest: &Value| {
        let digest = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        layout.join("blobs/sha256").join(digest)
    };
    let index = read(&layout.join("index.json"));
    let manifest = read(&blob(&index["manifests"][0]["digest"]));
    assert_eq!(
        manifest["mediaType"],
        "application/vnd.oci.image.manifest.v1+json"
    );
    let config = &manifest["config"];
    assert_eq!(config["mediaType"], "application/vnd.wasm.config.v0+json");
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1, "{manifest}");
    let layer = format!("sha256:{}", sha256(component));
    assert_eq!(layers[0]["mediaType"], "application/wasm");
    assert_eq!(layers[0]["digest"], json!(layer));
    let config = read(&blob(&config["digest"]));
    for (key, expected) in [
        ("created", json!("1970-01-01T00:00:00Z")),
        ("architecture", json!("wasm")),
        ("os", json!("wasip2")),
        ("layerDigests", json!([layer])),
    ] {
        assert_eq!(config[key], expected, "{config}");
    }
    for names in ["exports", "imports"] {
        let names = config["component"][names].as_array().unwrap();
        assert!(names.iter().all(Value::is_string), "{config}");
    }
}

#[test]
fn a_plugin_is_published_to_a_registry_and_a_layout_and_added_from_both_by_digest() {
    let repository = repository();
    let registry = Registry::start(Shelf::default());
    let host = &registry.host;
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
    has_the_form_of_wkg(&folder.path().join("layout"), &component);
    Member::new(&repository).ok(&["add", &layout]);
    let blob = folder
        .path()
        .join("layout/blobs/sha256")
        .join(sha256(&component));
    std::fs::write(blob, b"another").unwrap();
    let said = Member::new(&repository).refused(&["add", &layout]);
    assert!(said.contains("was expected; nothing is added"), "{said}");

    // A registry that gives other bytes than it names, and one that is not there.
    let blobs = registry.shelf.blobs.lock().unwrap().clone();
    let liar = Registry::start(Shelf {
        blobs: Mutex::new(blobs),
        lies: true,
        login: None,
    });
    let said = Member::new(&repository).refused(&["add", &reference.replace(host, &liar.host)]);
    assert!(said.contains("was expected; nothing is added"), "{said}");
    let said = Member::new(&repository).refused(&["add", &reference.replace(host, "127.0.0.1:9")]);
    assert!(said.contains("cannot be reached"), "{said}");
}

/// A folder with a plugin: the component of tests in a version of its own, and a manifest with these lines.
fn plugin_folder(number: u8, more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(guest("hostile-check")).unwrap();
    bytes.extend([0, 2, 1, number]);
    std::fs::write(folder.path().join("check.wasm"), bytes).unwrap();
    let manifest = format!(
        "id = 'hostile-check'\nversion = '0.1.0'\nkind = 'check'\napi = '1.0'\ncomponent = 'check.wasm'\n{more}"
    );
    std::fs::write(folder.path().join("plugin.toml"), manifest).unwrap();
    folder
}

/// The reference that `publish` printed.
fn reference(said: &str) -> String {
    let mut words = said.split_whitespace();
    let found = words.find(|word| word.starts_with("oci://") && word.contains("@sha256:"));
    found
        .unwrap_or_else(|| panic!("no reference: {said}"))
        .to_owned()
}

/// The whole way of a team of two, over a registry: wants and default settings travel with the component.
#[test]
fn a_team_shares_a_check_over_a_registry_and_an_update_that_asks_for_more_waits_for_the_operator() {
    let origin = Repository::with([("src/a.txt", "one\n")]);
    let top = text(origin.path()).to_owned();
    let registry = Registry::start(Shelf::default());
    let author = Member::new(&origin);
    let first = plugin_folder(1, "[config]\ndo = 'pass with an error'\n");
    let to = format!("oci://{}/team/check:1", registry.host);
    let one = reference(&author.ok(&["publish", &to, text(first.path())]));
    author.ok(&["lock", &one, "--repository", &top]);
    origin.commit("Pin a check");

    let clone = origin.cloned();
    let other = Member::new(&clone);
    let top_of_clone = text(clone.path()).to_owned();
    let mut front = other.worker.serve();
    let job = json!({ "prompt": "Change a line.", "allowed_dirs": [top_of_clone], "auto_revise": { "max_passes": 0 } });
    let result = run_job(&mut front, job.clone());
    assert_eq!(result["job_status"], "completed", "{result}");
    let accepted = other.ok(&["accept", &top_of_clone]);
    assert!(accepted.contains(&format!("from {one}: new")), "{accepted}");
    let result = run_job(&mut front, job.clone());
    assert_eq!(result["job_status"], "failed", "{result}");
    assert!(
        result.to_string().contains("it is not"),
        "the finding: {result}"
    );

    // The next version is content with the job, and wants the time.
    let second = plugin_folder(2, "wants = ['clock']\n[config]\ndo = 'pass'\n");
    let to = format!("oci://{}/team/check:2", registry.host);
    let two = reference(&author.ok(&["publish", &to, text(second.path())]));
    let said = author.refused(&["lock", &two, "--repository", &top]);
    assert!(said.contains("wants clock"), "{said}");
    author.ok(&["lock", &two, "--repository", &top, "--grant", "clock"]);
    origin.commit("Pin the next version");
    clone.pull();
    let result = run_job(&mut front, job.clone());
    assert_eq!(result["job_status"], "failed", "{result}");
    assert!(
        result.to_string().contains("changed since it was accepted"),
        "{result}"
    );
    let said = other.refused(&["accept", &top_of_clone]);
    assert!(
        said.contains("ask for clock") && said.contains("--grant 'clock'"),
        "{said}"
    );
    let result = run_job(&mut front, job.clone());
    assert_eq!(
        result["job_status"], "failed",
        "nothing was accepted: {result}"
    );
    let said = other.ok(&["accept", &top_of_clone, "--grant", "clock"]);
    assert!(said.contains("may also clock"), "{said}");
    let result = run_job(&mut front, job);
    assert_eq!(result["job_status"], "completed", "{result}");
    assert!(!result.to_string().contains("plugins.lock"), "{result}");
}

/// Neither the settings that one repository wants, nor its version, are those of what every job must pass.
#[test]
fn a_lock_takes_nothing_from_the_checks_of_other_repositories() {
    let repository = repository();
    let top = text(repository.path()).to_owned();
    let component = repository.path().join("tools/check.wasm");
    let member = Member::new(&repository);
    // Every job must pass it, and it finds an error in each.
    member.ok(&["add", text(&component)]);
    let config = member
        .worker
        .home()
        .join(".config/mcp-codex-worker/config.toml");
    let strict = "\n[plugins.hostile-check.config]\ndo = \"pass with an error\"\n";
    let configured = || std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, configured() + strict).unwrap();

    member.ok(&["lock", text(&component), "--repository", &top]);
    let lock = repository.path().join("plugins.lock");
    let words = std::fs::read_to_string(&lock).unwrap();
    let lax = format!("{words}[plugin.config]\ndo = \"pass\"\ncount = 3\n");
    std::fs::write(&lock, lax).unwrap();
    repository.commit("Ask for less");
    member.ok(&["accept", &top]);
    let required = || {
        let listed: Value = serde_json::from_str(&member.ok(&["list", "--json"])).unwrap();
        let plugins = listed["plugins"].as_array().unwrap().clone();
        let own = plugins
            .into_iter()
            .find(|plugin| plugin["name"] == "hostile-check");
        own.unwrap()["required"].clone()
    };
    assert_eq!(required(), true, "{}", configured());
    let inspected = |more: &[&str]| member.ok(&[&["inspect", "hostile-check"], more].concat());
    assert!(!inspected(&[]).contains("count = 3"), "{}", inspected(&[]));
    let there = inspected(&["--repository", &top]);
    assert!(
        there.contains("count = 3") && there.contains("defaults"),
        "{there}"
    );
    let job = json!({ "prompt": "Change a line.", "allowed_dirs": [top], "auto_revise": { "max_passes": 0 } });
    let result = run_job(&mut member.worker.serve(), job);
    assert_eq!(
        result["job_status"], "failed",
        "the operator's settings: {result}"
    );

    // Another version is none that the others asked for.
    next_version(&guest("hostile-check"), &component);
    member.ok(&["lock", text(&component), "--repository", &top]);
    let said = member.refused(&["accept", &top]);
    assert!(
        said.contains("in use for every job") && said.contains("--replace"),
        "{said}"
    );
    member.ok(&["accept", &top, "--replace"]);
    assert!(configured().contains(&sha256(&component)));
    assert_eq!(required(), true);
}

#[test]
fn a_layout_is_pinned_by_its_place_in_the_repository() {
    let origin = Repository::with([("src/a.txt", "one\n")]);
    let author = Member::new(&origin);
    let plugin = plugin_folder(3, "[config]\ndo = 'pass with an error'\n");
    let layout = format!("oci-layout:{}", text(&origin.path().join("tools/layout")));
    author.ok(&["publish", &layout, text(plugin.path())]);
    author.ok(&["lock", &layout, "--repository", text(origin.path())]);
    assert!(
        origin
            .read("plugins.lock")
            .contains("\"oci-layout:tools/layout\"")
    );
    let outside = format!("oci-layout:{}", text(&plugin.path().join("layout")));
    author.ok(&["publish", &outside, text(plugin.path())]);
    let said = author.refused(&["lock", &outside, "--repository", text(origin.path())]);
    assert!(said.contains("is not in"), "{said}");
    origin.commit("Pin a check");
    let clone = origin.cloned();
    let other = Member::new(&clone);
    other.ok(&["accept", text(clone.path())]);
    let job = json!({ "prompt": "Change a line.", "allowed_dirs": [clone.path()], "auto_revise": { "max_passes": 0 } });
    let result = run_job(&mut other.worker.serve(), job);
    assert_eq!(result["job_status"], "failed", "{result}");
    // Found again from anywhere.
    assert!(
        other
            .ok(&["update", "hostile-check"])
            .contains("is the newest")
    );
}
