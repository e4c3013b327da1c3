//! The operator's entries: pins, grants, replacing and adding, and what stands in the way of strangers' code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use check_input::{Entry, JobView};
use gateway::wire::Sse;
use plugins::check::{Finding, Report, Severity};
use plugins::summarizer::{Content, Request};
use plugins::{Kind, PLUGIN_MAX_BYTES, PluginSet, PluginSettings, Stage};
use redact::{ScannerSource, Window};
use serde_json::json;
use settings::{Settings, Sources};

use super::guests::{engine, guest, set, set_with, sha256, workspace};
use super::job::Job;

fn run(set: &PluginSet, name: &str) -> Report {
    set.check(name)
        .unwrap()
        .run(Arc::new(Job), &json!({}))
        .unwrap()
}

#[test]
fn every_bundled_plugin_loads_pure() {
    let set = set("");
    let names = set
        .list()
        .into_iter()
        .map(|listed| listed.name)
        .collect::<Vec<_>>();
    for name in ["declared", "scope", "secrets", "test-output"] {
        assert!(names.iter().any(|listed| listed == name), "{names:?}");
    }
    for name in names {
        let info = set.info(&name).unwrap();
        assert_eq!(info.own_name, name);
        let foreign = info
            .imports
            .iter()
            .find(|import| !import.starts_with("mcp-codex-worker:"));
        assert_eq!(foreign, None, "{name} imports no WASI");
        let granted = info
            .imports
            .iter()
            .find(|import| import.contains("/files@"));
        assert_eq!(granted, None, "{name} wants no grant");
    }
}

#[test]
fn scope_passes_what_lies_inside_and_fails_what_does_not() {
    let set = set("");
    let scope = set.check("scope").unwrap();
    assert!(
        scope
            .run(Arc::new(Job), &json!({"paths": ["src"]}))
            .unwrap()
            .is_passed()
    );
    let report = scope
        .run(Arc::new(Job), &json!({"paths": ["tests"]}))
        .unwrap();
    assert!(!report.is_passed());
    assert_eq!(report.findings[0].path(), Some("src/a.rs"));
    let error = scope.run(Arc::new(Job), &json!({"paths": []})).unwrap_err();
    assert_eq!(error.stage, Stage::Settings);
    assert!(error.to_string().contains("paths"), "{error}");
}

#[test]
fn an_entry_replaces_a_preset_without_a_rebuild() {
    assert_eq!(
        set("")
            .dialect("openai")
            .unwrap()
            .facts("m")
            .unwrap()
            .endpoint
            .path,
        "/chat/completions"
    );
    let mine = set_with("openai", "hostile-dialect", "");
    let dialect = mine.dialect("openai").unwrap();
    assert_eq!(dialect.facts("m").unwrap().endpoint.path, "/m/chat");
    assert_eq!(dialect.request(b"abc", "m").unwrap().body, b"cba");
    assert!(
        dialect
            .request(b"refuse", "m")
            .unwrap_err()
            .to_string()
            .contains("no such request")
    );
    let (chosen, pattern) = mine.dialect_for("https://gateway.invalid/v9/x").unwrap();
    assert_eq!(
        (chosen.name(), pattern.as_deref()),
        ("openai", Some("gateway.invalid/v9"))
    );
    assert_eq!(
        mine.dialect_for("https://elsewhere.invalid").unwrap().1,
        None
    );
}

#[test]
fn an_operator_teaches_a_gateway_in_a_few_lines() {
    let set = set(r#"
        [declared.config.gateways.acme]
        recognizes = ["llm.acme.example"]
        like = "vllm"
        endpoint.auth = { header = "x-acme-key" }
        limits.max-output = 16384
        [declared.config.models.acme-coder]
        matches = ["acme-coder*"]
        thinking.efforts = ["low", "high"]
        "#);
    assert_eq!(set.problems(), []);
    let (dialect, pattern) = set.dialect_for("https://llm.acme.example/v1").unwrap();
    assert_eq!(
        (dialect.title().as_str(), pattern.as_deref()),
        ("gateway preset acme", Some("llm.acme.example"))
    );
    assert_eq!(dialect.info().name, "declared");
    assert_eq!(
        dialect.family("vendor/acme-coder-2:free"),
        Some("acme-coder")
    );
    let facts = dialect.facts("acme-coder-2").unwrap();
    assert_eq!(facts.limits.max_output, Some(16_384));
    assert_eq!(facts.thinking.efforts, ["low", "high"]);
    assert!(facts.sampling.top_k, "as vllm");
    // The family holds on another gateway too.
    let elsewhere = set.dialect("openai").unwrap();
    assert_eq!(
        elsewhere
            .facts("acme-coder-2")
            .unwrap()
            .thinking
            .efforts
            .len(),
        2
    );
    assert!(set.dialect_names().contains(&"acme".to_owned()));
    assert_eq!(set.dialect("acme").unwrap().name(), "acme");
}

#[test]
fn a_preset_that_cannot_be_is_refused_by_name() {
    for (entries, words) in [
        (
            "[declared.config.gateways.acme]\nlimits.max-ouput = 5",
            "gateways.acme.limits.max-ouput: no such fact; did you mean limits.max-output?; correct plugins.declared.config in ",
        ),
        (
            "[declared.config.gateway.acme]\nlimits.max-output = 5",
            "gateway: no such setting; there are gateways, models",
        ),
        (
            "[declared.config.gateways.deepseek]\nmessages.images = \"all\"",
            "gateways.deepseek.messages.images: unknown variant `all`",
        ),
        (
            "[azure.config]\napi-version = \"2024-10-21\"",
            "azure is a preset of the plugin declared: write what differs in [plugins.declared.config.gateways.azure]",
        ),
        (
            "[azure]\nenabled = false",
            "azure is a preset of the plugin declared",
        ),
    ] {
        let set = set(entries);
        let problems = set.problems();
        let problems = problems.iter().map(ToString::to_string);
        let problems = problems.collect::<Vec<_>>().join("\n");
        assert!(problems.contains(words), "{entries}: {problems}");
        let url = "https://me.openai.azure.com";
        assert!(
            set.dialect_for(url).is_err(),
            "{entries}: it is not passed over"
        );
    }
    let error = set("").dialect("vlm").err().unwrap().to_string();
    assert!(
        error.contains("there are: ") && error.contains("vllm"),
        "{error}"
    );
}

#[test]
fn what_tightens_can_only_be_added_to() {
    let replaced = set_with("scope", "hostile-check", "");
    let error = replaced.check("scope").err().unwrap();
    assert!(
        error.to_string().contains("can only be added to"),
        "{error}"
    );
    let replaced = set_with("secrets", "hostile-redactor", "");
    let secrets = replaced
        .redactors()
        .into_iter()
        .find(|redactor| redactor.name() == "secrets")
        .unwrap();
    assert!(
        secrets.start().is_err(),
        "text is withheld, not shown unredacted"
    );
    let off = set("[secrets]\nenabled = false\n[scope]\nenabled = false");
    let problems = off.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0]
            .to_string()
            .contains("config.toml: [plugins.scope] enabled: it guards every job")
    );
    assert!(
        off.redactors()
            .iter()
            .any(|redactor| redactor.name() == "secrets" && redactor.start().is_ok())
    );
    off.check("scope").unwrap();
}

#[test]
fn another_kind_cannot_take_a_bundled_name() {
    let error = set_with("declared", "hostile-check", "")
        .dialect("openai")
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("is a check, not a dialect"),
        "{error}"
    );
}

#[test]
fn only_the_pinned_bytes_are_run() {
    let path = guest("hostile-check");
    let other = "0".repeat(64);
    let error = set(&format!("[mine]\npath = {path:?}\nsha256 = \"{other}\""))
        .check("mine")
        .err()
        .unwrap();
    assert_eq!(error.stage, Stage::Digest);
    assert!(
        error.to_string().contains(&sha256(&path)) && error.to_string().contains(&other),
        "{error}"
    );
    let error = set(&format!("[mine]\npath = {path:?}"))
        .check("mine")
        .err()
        .unwrap();
    assert!(error.to_string().contains("is not pinned"), "{error}");
}

#[test]
fn a_running_job_keeps_what_it_started_with_and_the_next_refuses_changed_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.wasm");
    std::fs::copy(guest("hostile-check"), &path).unwrap();
    let table = format!("[mine]\npath = {path:?}\nsha256 = \"{}\"", sha256(&path));
    let running = set(&table);
    assert!(run(&running, "mine").is_passed());
    std::fs::copy(guest("clock-check"), &path).unwrap();
    assert!(run(&running, "mine").is_passed());
    assert_eq!(
        set(&table).check("mine").err().unwrap().stage,
        Stage::Digest
    );
}

#[test]
fn an_import_without_its_grant_is_refused_with_the_sentence_that_grants_it() {
    let error = set_with("late", "clock-check", "")
        .check("late")
        .err()
        .unwrap();
    assert_eq!(error.stage, Stage::Link);
    let text = error.to_string();
    assert!(
        text.contains("imports wasi:clocks/wall-clock@0.2.0, which needs the grant \"clock\""),
        "{text}"
    );
    assert!(
        text.contains("add it to grants in [plugins.late]"),
        "{text}"
    );
    let granted = set_with("late", "clock-check", "grants = [\"clock\"]");
    assert!(run(&granted, "late").summary.parse::<u64>().unwrap() > 1_600_000_000_000);
}

#[test]
fn files_are_readable_within_the_granted_globs_only() {
    let error = set_with("reader", "files-check", "grants = [\"clock\"]")
        .check("reader")
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("needs the grant \"files:GLOB\""),
        "{error}"
    );
    let report = run(
        &set_with("reader", "files-check", "grants = [\"files:docs/**\"]"),
        "reader",
    );
    assert_eq!(report.summary, "docs/a.md", "others are not even listed");
    let outcomes = report
        .findings
        .iter()
        .map(|finding| finding.message.as_str())
        .collect::<Vec<_>>();
    assert_eq!(
        outcomes,
        [
            "text of docs/a.md",
            "not granted",
            "not granted",
            "not granted",
            "not granted"
        ]
    );
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.severity == Severity::Note)
    );
}

#[test]
fn in_a_job_files_are_those_of_its_tree_and_nothing_beyond() {
    let repository = worker_test_support::Repository::with([
        ("web/src/b.rs", "fn b() {}\n"),
        ("web/docs/a.md", "the rules\n"),
        ("web/docs/deep/c.md", "more rules\n"),
        ("web/.gitignore", "docs/ignored.md\n"),
        ("web/docs/ignored.md", "not listed\n"),
        ("docs/beside.md", "another folder's\n"),
    ]);
    let root = repository.root();
    std::fs::write(root.join("outside.md"), "secret of another\n").unwrap();
    for (link, target) in [
        ("web/docs/out.md", "../../../outside.md"),
        ("web/docs/etc.md", "/etc/passwd"),
        ("web/docs/inside.md", "../src/b.rs"),
        ("web/docs/up", ".."),
    ] {
        std::os::unix::fs::symlink(target, repository.path().join(link)).unwrap();
    }
    repository.commit("links");
    let agent = worker_test_support::StandIn::that("echo '// changed' >> src/b.rs");
    let worker = worker_test_support::Worker::with_stand_in(
        env!("CARGO_BIN_EXE_mcp-codex-worker"),
        &repository,
        &agent,
    );
    let component = guest("files-check");
    let folder = worker.home().join(".config/mcp-codex-worker");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("config.toml"),
        format!(
            "[plugins.reader]\nkind = \"check\"\npath = {:?}\nsha256 = \"{}\"\ngrants = [\"files:docs/**\"]\n",
            component.to_str().unwrap(),
            super::guests::sha256(&component),
        ),
    )
    .unwrap();
    let read = [
        ("docs/a.md", "the rules"),
        ("docs/deep/c.md", "more rules"),
        ("src/b.rs", "not granted"),
        ("docs/../src/b.rs", "not granted"),
        ("docs/out.md", "ReadError::NotFound"),
        ("docs/etc.md", "ReadError::NotFound"),
        ("docs/inside.md", "ReadError::NotFound"),
        ("docs/up/src/b.rs", "ReadError::NotFound"),
        ("docs", "not granted"),
        ("docs/deep", "ReadError::NotFound"),
    ];
    let paths: Vec<_> = read.iter().map(|(path, _)| path).collect();
    let mut front = worker.serve();
    let asked = serde_json::json!({
        "prompt": "Change it.",
        "allowed_dirs": [repository.path().join("web")],
        "auto_revise": { "max_passes": 0 },
        "checks": [{ "plugin": "reader", "settings": { "read": paths, "tell": true } }],
    });
    let result = worker_test_support::worker::run_job(&mut front, asked);
    assert_eq!(
        result["checks"],
        serde_json::json!(["reader: failed (docs/a.md docs/deep/c.md)"]),
        "{result}"
    );
    let told = result["failures"]["reader"].as_str().unwrap();
    for (path, outcome) in read {
        assert!(
            told.contains(&format!("{path}: {outcome}")),
            "{path}: {outcome} in {told}"
        );
    }
    assert!(!told.contains("secret of another"), "{told}");
}

/// A component with one name in it exchanged for another of the same length.
pub(crate) fn renamed(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut bytes = component.to_vec();
    let mut found = false;
    while let Some(at) = bytes
        .windows(from.len())
        .position(|part| part == from.as_bytes())
    {
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        found = true;
    }
    assert!(found, "{from} is not in it");
    bytes
}

#[test]
fn what_is_no_plugin_is_refused_with_name_file_reason_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let component = std::fs::read(guest("hostile-check")).unwrap();
    let core = super::guests::folder().join("wasm32-unknown-unknown/release/hostile_check.wasm");
    let cases: [(&str, Vec<u8>, Stage, &str); 10] = [
        (
            "core",
            std::fs::read(core).unwrap(),
            Stage::Compile,
            "is a core WebAssembly module and no component",
        ),
        (
            "text",
            b"hello".to_vec(),
            Stage::Compile,
            "is no WebAssembly",
        ),
        ("empty", Vec::new(), Stage::Compile, "is an empty file"),
        (
            "native",
            b"\x7fELF and so on".to_vec(),
            Stage::Compile,
            "is native code",
        ),
        (
            "cut",
            component[..component.len() / 2].to_vec(),
            Stage::Compile,
            "is no valid component",
        ),
        (
            "nothing",
            b"\0asm\x0d\0\x01\0".to_vec(),
            Stage::Link,
            "is no plugin: it exports nothing, and none of check, summarizer, redactor, dialect",
        ),
        (
            "elsewhere",
            renamed(
                &component,
                "mcp-codex-worker:check/check@",
                "xcp-codex-worker:check/check@",
            ),
            Stage::Link,
            "is no plugin: it exports ",
        ),
        (
            "greedy",
            renamed(
                &component,
                "mcp-codex-worker:types/settings@",
                "xcp-codex-worker:types/settings@",
            ),
            Stage::Link,
            "imports xcp-codex-worker:types/settings@1.0.0, which this host gives to no check",
        ),
        (
            "later",
            renamed(
                &component,
                "mcp-codex-worker:check/check@1.0.0",
                "mcp-codex-worker:check/check@2.0.0",
            ),
            Stage::Link,
            "was made for mcp-codex-worker:check 2.0.0, and this host has 1.0.0; update mcp-codex-worker",
        ),
        (
            "broken",
            std::fs::read(guest("broken-describe")).unwrap(),
            Stage::Trap,
            "broke down in describe: no words for it",
        ),
    ];
    for (name, bytes, stage, says) in cases {
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, bytes).unwrap();
        // The others can be used all the same.
        let set = set(&format!(
            "[{name}]\npath = {path:?}\nsha256 = \"{}\"",
            sha256(&path)
        ));
        let error = set.check(name).err().unwrap();
        assert_eq!(error.stage, stage, "{error}");
        let text = error.to_string();
        let file = path.display().to_string();
        assert!(
            text.contains(&format!("{name}: {file} "))
                || text.contains(&format!("{name} 0.1.0: {file} ")),
            "{text}"
        );
        assert!(text.contains(says) && text.contains("; "), "{text}");
        set.check("scope").unwrap();
    }
}

/// A component of the right names and other types: whose fault it is depends on its version.
#[test]
fn types_that_differ_are_told_with_the_interface_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let component = std::fs::read(guest("hostile-check")).unwrap();
    let other = renamed(&component, "previous-path", "previous-poth");
    let newer = renamed(
        &other,
        "mcp-codex-worker:check/job@1.0.0",
        "mcp-codex-worker:check/job@1.7.0",
    );
    let described = renamed(&component, "settings-schema", "settings-scheme");
    for (bytes, says, remedy) in [
        (
            other,
            "imports mcp-codex-worker:check/job of version 1.0.0, and the published interface of that version is another",
            "build it again",
        ),
        (
            newer,
            "imports mcp-codex-worker:check/job of version 1.7.0, and this host has mcp-codex-worker:check 1.0.0",
            "update mcp-codex-worker",
        ),
        (
            described,
            "exports mcp-codex-worker:types/plugin and mcp-codex-worker:check/check of version 1.0.0, and the published interfaces of that version are others",
            "build it again",
        ),
    ] {
        let path = folder.path().join("other.wasm");
        std::fs::write(&path, bytes).unwrap();
        let set = set(&format!(
            "[mine]\npath = {path:?}\nsha256 = \"{}\"",
            sha256(&path)
        ));
        let error = set.check("mine").err().unwrap();
        assert_eq!(error.stage, Stage::Link, "{error}");
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(remedy), "{text}");
        assert!(!text.contains("report it to its author"), "{text}");
    }
}

#[test]
fn a_broken_manifest_is_refused_with_file_key_and_rule() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("p.wasm");
    std::fs::copy(guest("hostile-check"), &component).unwrap();
    let manifest = folder.path().join("plugin.toml");
    let whole = "id = 'hostile-check'\nversion = '0.1.0'\nkind = 'check'\napi = '1.0'\ncomponent = 'p.wasm'\n";
    let inspect = |text: &str| {
        std::fs::write(&manifest, text).unwrap();
        PluginSet::inspect_file(&engine(), folder.path(), PLUGIN_MAX_BYTES)
    };
    inspect(whole).unwrap();
    for (text, says) in [
        ("id = ".to_owned(), "line 1"),
        (
            whole.replace("kind = 'check'\n", ""),
            "missing field `kind`",
        ),
        (
            whole.replace("'check'", "'linter'"),
            "kind \"linter\" is none of check, summarizer, redactor, dialect",
        ),
        (
            whole.replace("'hostile-check'", "'My Plugin'"),
            "id: has small letters",
        ),
        (
            whole.replace("'hostile-check'", "'another'"),
            "says that it is hostile-check 0.1.0, and plugin.toml says another 0.1.0",
        ),
        (
            whole.replace("'0.1.0'", "'0.2.0'"),
            "says that it is hostile-check 0.1.0, and plugin.toml says hostile-check 0.2.0",
        ),
        (
            whole.replace("'1.0'", "'1.00'"),
            "api: this host has 1.0, not \"1.00\"",
        ),
        (
            whole.replace("'p.wasm'", "'../p.wasm'"),
            "component: must be the name of a file beside this one",
        ),
        (
            format!("{whole}wants = ['network']\n"),
            "wants: there is no grant \"network\"",
        ),
        (
            format!("{whole}permissions = []\n"),
            "unknown field `permissions`",
        ),
        (
            whole.replace("'check'", "'dialect'"),
            "is a check, not a dialect; write kind = \"check\"",
        ),
        (
            format!("{whole}[config]\ndoo = 1\n"),
            "doo is no such setting; there are: do, count, text; correct config.doo in ",
        ),
        (
            format!("{whole}sha256 = '{}'\n", "0".repeat(64)),
            "and plugin.toml says 000",
        ),
    ] {
        let error = inspect(&text)
            .map(|seen| seen.info)
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{text}\n{error}");
        assert!(
            error.contains(&folder.path().display().to_string()),
            "{error}"
        );
    }
}

#[test]
fn a_component_that_is_too_large_is_not_compiled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.wasm");
    let mut bytes = std::fs::read(guest("hostile-check")).unwrap();
    bytes.resize((32 << 20) + 1, 0);
    std::fs::write(&path, bytes).unwrap();
    let error = set(&format!(
        "[large]\npath = {path:?}\nsha256 = \"{}\"",
        sha256(&path)
    ))
    .check("large")
    .err()
    .unwrap();
    let text = error.to_string();
    assert!(
        text.contains("is larger than the 32 MiB that are taken")
            && text.contains("WORKER_PLUGIN_MAX_BYTES"),
        "{text}"
    );
}

/// 1 kB that would be 2^40 instances. Which other forms are refused: `plugins/complexity.rs`.
#[test]
fn a_bomb_for_the_compiler_is_not_compiled() {
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
    let section = |id: u8, content: &[u8]| [&[id, content.len() as u8], content].concat();
    let mut bytes = [EMPTY, &section(4, EMPTY)].concat();
    for before in 0..40 {
        let twice = [
            EMPTY,
            &section(6, &[1, 4, 2, 1, before]),
            &section(5, &[2, 0, 0, 0, 0, 0, 0]),
        ];
        bytes.extend(section(4, &twice.concat()));
    }
    bytes.extend(section(5, &[1, 0, 40, 0]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.wasm");
    std::fs::write(&path, &bytes).unwrap();
    let digest = sha256(&path);
    let bombed = set(&format!("[bomb]\npath = {path:?}\nsha256 = \"{digest}\""));
    let text = bombed.check("bomb").err().unwrap().to_string();
    assert!(
        text.contains("would take too long to compile: it has 2199023255552 instances")
            && text.contains("2000 are compiled"),
        "{text}"
    );
}

#[test]
fn settings_are_checked_before_the_plugin_runs() {
    let set = set_with("hostile", "hostile-check", "config = { count = 3 }");
    let check = set.check("hostile").unwrap();
    for (settings, says) in [
        (
            json!({"doo": "x"}),
            "doo is no such setting; there are: do, count, text",
        ),
        (json!({"count": -1}), "count must be at least 0"),
        (json!({"do": "refuse settings"}), "do: not this"),
        (json!("text"), "settings must be an object"),
    ] {
        let error = check.run(Arc::new(Job), &settings).unwrap_err();
        assert_eq!(error.stage, Stage::Settings, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// Plugins as a config file of this text gives them, for a job in the working tree with this top.
fn configured(text: &str, top: &str) -> PluginSet {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    let sources = Sources {
        config_dir: folder.path().to_owned(),
        home: Some(folder.path().to_owned()),
        ..Sources::default()
    };
    let settings = Settings::load(&sources).unwrap();
    PluginSet::load(
        &engine(),
        &PluginSettings::of(&settings, &[PathBuf::from(top)]),
    )
}

#[test]
fn a_repository_has_its_own_settings_and_its_own_switches() {
    let path = guest("hostile-check");
    let text = format!(
        "[plugins]\nchecks = ['mine', 'scope']\n\
         [plugins.mine]\nkind = 'check'\npath = {path:?}\nsha256 = '{}'\nconfig = {{ do = 'pass with an error' }}\n\
         [repositories.'/work/*'.plugins.mine]\nconfig = {{ do = 'nothing' }}\n\
         [repositories.'/work/off'.plugins.mine]\nenabled = false\n\
         [repositories.'/work/wrong'.plugins.mine]\nconfig = {{ count = 'many' }}\n\
         [repositories.'/work/lax'.plugins.scope]\nenabled = false\n",
        sha256(&path)
    );
    assert!(!run(&configured(&text, "/elsewhere"), "mine").is_passed());
    assert!(run(&configured(&text, "/work/a"), "mine").is_passed());

    let off = configured(&text, "/work/off");
    assert_eq!(off.standing_checks(), ["scope"]);
    assert_eq!(off.problems(), [], "to switch a check off is no mistake");
    assert!(off.check("mine").is_err());

    // Before any job runs, and with the file and the key that decide.
    let error = configured(&text, "/work/wrong")
        .check("mine")
        .err()
        .unwrap();
    assert_eq!(error.stage, Stage::Settings);
    let text_of_error = error.to_string();
    assert!(
        text_of_error.contains("count must be integer, not string; correct repositories.\"/work/wrong\".plugins.mine.config.count in /")
            && text_of_error.ends_with("/config.toml"),
        "{text_of_error}"
    );

    let lax = configured(&text, "/work/lax");
    assert_eq!(lax.standing_checks(), ["mine", "scope"], "scope stays");
    assert_eq!(lax.problems().len(), 1);
}

#[test]
fn a_redactor_that_the_operator_switched_off_withholds_nothing() {
    let path = guest("hostile-redactor");
    let on = format!(
        "redact = ['fish']\n[fish]\nkind = 'redactor'\npath = {path:?}\nsha256 = '{}'\n",
        sha256(&path)
    );
    let fishes = |set: &PluginSet| {
        set.redactors()
            .iter()
            .any(|redactor| redactor.name() == "fish")
    };
    assert!(fishes(&set(&on)));
    assert!(!fishes(&set(&format!("{on}enabled = false\n"))));
}

#[test]
fn a_broken_entry_does_not_stop_the_others() {
    let set = set(
        "[mine]\ngrants = [\"network\"]\n[openai]\n[odd]\nkind = \"dialect\"\npath = \"gone.wasm\"",
    );
    let problems = set
        .problems()
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("there is no grant \"network\"")),
        "{problems:?}"
    );
    set.dialect("openai").unwrap();
    assert!(set.dialect_for("https://api.openai.com/v1").is_ok());
    let error = set.check("not-there").err().unwrap();
    assert!(
        error
            .to_string()
            .contains("there is none of that name; there are: ")
            && error.to_string().contains("scope"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn compiled_code_of_others_is_not_taken() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use plugins::Engine;

    let cache = tempfile::tempdir().unwrap();
    let load = || {
        // A measuring engine is new each time, so nothing is kept in memory.
        let path = guest("hostile-check");
        let table = format!("[mine]\npath = {path:?}\nsha256 = \"{}\"", sha256(&path))
            .parse()
            .unwrap();
        let engine = Engine::measuring(cache.path()).unwrap();
        let set = PluginSet::load(
            &engine,
            &PluginSettings::from_table(&table, Path::new("/nowhere")),
        );
        run(&set, "mine")
    };
    load();
    let folder = cache.path().join("plugins");
    let compiled = || {
        let entries = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "cwasm")
            })
            .collect::<Vec<_>>()
    };
    let [file] = &compiled()[..] else {
        panic!("one compiled component, not {:?}", compiled())
    };
    assert_eq!(std::fs::metadata(file).unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    let inode = std::fs::metadata(file).unwrap().ino();
    load();
    assert_eq!(
        std::fs::metadata(file).unwrap().ino(),
        inode,
        "the second load takes it from the cache"
    );

    // A file that others may write, a link, and rubbish: each time it is compiled anew and nothing of it runs.
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666)).unwrap();
    load();
    assert_ne!(std::fs::metadata(file).unwrap().ino(), inode);
    assert_eq!(std::fs::metadata(file).unwrap().mode() & 0o777, 0o600);
    let elsewhere = cache.path().join("forged");
    std::fs::write(&elsewhere, b"\x7fELF forged").unwrap();
    std::fs::remove_file(file).unwrap();
    std::os::unix::fs::symlink(&elsewhere, file).unwrap();
    load();
    assert!(std::fs::symlink_metadata(file).unwrap().is_file());
    std::fs::write(file, b"\x7fELF forged").unwrap();
    load();
    assert!(std::fs::metadata(file).unwrap().len() > 1000);
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    load();
    assert_eq!(std::fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
}

/// A component of every kind in three languages, each built once by the tools of its time and never again. What is published
/// lasts: these load and answer as long as there is a version 1.
#[test]
fn components_of_the_first_version_work_for_ever() {
    let fixtures = workspace().join("tests/fixtures/contract-1.0");
    let digests = std::fs::read_to_string(fixtures.join("sha256.txt")).unwrap();
    let digests: Vec<_> = digests
        .lines()
        .filter_map(|line| line.split_once("  "))
        .collect();
    assert_eq!(digests.len(), 13);
    for (digest, name) in digests {
        assert_eq!(
            sha256(&fixtures.join(name)),
            digest,
            "{name} is not what was built once"
        );
    }
    for language in ["rust", "javascript", "c"] {
        let folder = workspace()
            .join("tests/fixtures/contract-1.0")
            .join(language);
        let entry = |kind: Kind| {
            let path = folder.join(format!("{kind}.wasm"));
            format!(
                "[{language}-{kind}]\npath = {path:?}\nsha256 = \"{}\"\n",
                sha256(&path)
            )
        };
        let set = set(&Kind::ALL.map(entry).concat());
        let name = |kind: Kind| format!("{language}-{kind}");
        for kind in Kind::ALL {
            let info = set.info(&name(kind)).unwrap();
            assert_eq!((info.kind, info.api.as_str()), (kind, "1.0.0"));
        }
        let check = set.check(&name(Kind::Check)).unwrap();
        for (text, passes) in [("fine\n", true), ("one\nFIXME\n", false)] {
            let report = check.run(Arc::new(added(text)), &json!({})).unwrap();
            assert_eq!(report.is_passed(), passes, "{language}");
            let places: Vec<_> = report.findings.iter().map(Finding::line).collect();
            assert_eq!(places, [Some(2)][usize::from(passes)..], "{language}");
        }
        let request = Request {
            content: Content::Other,
            text: "many words",
            origin: None,
            exit_code: None,
            max_bytes: 4,
        };
        let summarizer = set.summarizer(&name(Kind::Summarizer)).unwrap();
        assert_eq!(summarizer.summarize(&request).unwrap().text, "many");
        let redactor = set.redactor(&name(Kind::Redactor)).unwrap();
        let window = Window {
            bytes: b"a swordfish",
            decided: 0,
            last: true,
        };
        let found = redactor.start().unwrap().scan(window).unwrap();
        assert_eq!(found.hits[0].label, "fish");
        let dialect = set.dialect(&name(Kind::Dialect)).unwrap();
        assert_eq!(dialect.patterns(), ["gateway.invalid"]);
        assert_eq!(dialect.facts("m").unwrap().endpoint.path, "/m/chat");
        assert_eq!(dialect.request(b"{}", "m").unwrap().body, b"{}");
        let mut stream = dialect.translation("m").unwrap();
        let event = Sse {
            event: None,
            data: "a".to_owned(),
        };
        assert_eq!(stream.push(&[event]).unwrap(), ["m:a"], "{language}");
        assert_eq!(stream.finish(true).unwrap(), ["complete: true"]);
    }
}

/// The default of current toolchains: a runtime that calls built-in functions of the asynchronous ABI.
#[test]
fn a_component_with_the_asynchronous_abi_works_like_any_other() {
    let path = workspace().join("tests/fixtures/contract-1.0/asynchronous/check.wasm");
    let set = set(&format!(
        "[js]\npath = {path:?}\nsha256 = \"{}\"\n",
        sha256(&path)
    ));
    let check = set.check("js").unwrap();
    for (text, passes) in [("fine\n", true), ("one\nFIXME\n", false)] {
        let report = check.run(Arc::new(added(text)), &json!({})).unwrap();
        assert_eq!(report.is_passed(), passes);
        let places: Vec<_> = report.findings.iter().map(Finding::line).collect();
        assert_eq!(places, [Some(2)][usize::from(passes)..]);
    }
}

/// It loads with no more than any other: what it imports beyond the contract and WASI 0.2 is named.
#[test]
fn an_asynchronous_component_gets_no_more_than_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = workspace().join("tests/fixtures/contract-1.0/asynchronous/check.wasm");
    let whole = std::fs::read(fixture).unwrap();
    for (from, to, says) in [
        (
            "wasi:cli/environment@0.2.12",
            "wasi:cli/environment@0.3.12",
            "imports wasi:cli/environment@0.3.12, and this host has WASI 0.2; build it for WASI 0.2",
        ),
        (
            "wasi:random/insecure-seed@0.2.12",
            "wusi:random/insecure-seed@0.2.12",
            "imports wusi:random/insecure-seed@0.2.12, which this host gives to no check",
        ),
    ] {
        let path = folder.path().join("changed.wasm");
        std::fs::write(&path, renamed(&whole, from, to)).unwrap();
        let set = set(&format!(
            "[js]\npath = {path:?}\nsha256 = \"{}\"\n",
            sha256(&path)
        ));
        let error = set.check("js").err().unwrap();
        assert_eq!(error.stage, Stage::Link, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// A job that added a file.
fn added(text: &str) -> JobView {
    let file = Entry::File {
        bytes: text.into(),
        executable: false,
    };
    let after = BTreeMap::from([("src/a.txt".into(), file)]);
    JobView::made_up(&BTreeMap::new(), &BTreeMap::new(), &after).unwrap()
}
