//! The pinned real clients and SDKs, installed once for all tests of a target folder.

use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use demo::install::{CLAUDE_CODE, Client, Kind, Progress};

/// The newest Claude Code that the gateway stories were tried with. What it asks of a gateway is in
/// `tests/fixtures/claude-code`.
const NEWEST_CLAUDE_CODE: Client = Client {
    title: "Claude Code 2.1.332",
    name: "claude-code-newest",
    manifest: include_str!("../../clients/claude-code-newest/package.json"),
    lockfile: include_str!("../../clients/claude-code-newest/package-lock.json"),
    program: &["@anthropic-ai", "claude-code-*", "claude"],
    kind: Kind::Program,
    size: 260_000_000,
};

/// The Codex that the tests run. Only tests need it, so it is not part of the product.
const CODEX: Client = Client {
    title: "Codex 0.169.0",
    name: "codex",
    manifest: include_str!("../../clients/codex/package.json"),
    lockfile: include_str!("../../clients/codex/package-lock.json"),
    program: &["@openai", "codex-*", "vendor", "*", "bin", "codex"],
    kind: Kind::Program,
    size: 422_000_000,
};

/// Anthropic's SDK for JavaScript.
const ANTHROPIC_SDK: Client = Client {
    title: "Anthropic's SDK for JavaScript 1.12.0",
    name: "anthropic-sdk",
    manifest: include_str!("../../clients/anthropic-sdk/package.json"),
    lockfile: include_str!("../../clients/anthropic-sdk/package-lock.json"),
    program: &["@anthropic-ai", "sdk", "package.json"],
    kind: Kind::Library,
    size: 33_000_000,
};

/// Anthropic's SDK for Python, what its own tests need, and llmock; every package is pinned by its hashes.
const ANTHROPIC_PYTHON: &str = include_str!("../../clients/anthropic-python/requirements.txt");

/// The pinned Claude Code.
pub fn claude_code() -> PathBuf {
    install(&CLAUDE_CODE)
}

/// The newest Claude Code.
pub fn newest_claude_code() -> PathBuf {
    install(&NEWEST_CLAUDE_CODE)
}

/// The pinned Codex.
pub fn codex() -> PathBuf {
    install(&CODEX)
}

/// The manifest of Anthropic's SDK for JavaScript: what scripts load the SDK from.
pub fn anthropic_sdk() -> PathBuf {
    install(&ANTHROPIC_SDK)
}

/// The version of the SDK whose source has the tests.
const ANTHROPIC_PYTHON_SOURCE: &str = "anthropic==2.12.0";

/// The source of Anthropic's SDK for Python, with its own tests.
pub fn anthropic_python_source() -> PathBuf {
    let python = anthropic_python();
    let home = python.ancestors().nth(2).expect("a venv").join("source");
    let source = home.join(ANTHROPIC_PYTHON_SOURCE.replace("==", "-"));
    let lock = fs::File::create(home.with_extension("lock")).expect("a lock file");
    lock.lock().expect("a lock");
    if source.exists() {
        return source;
    }
    let staging = home.with_extension("partial");
    let _ = fs::remove_dir_all(&staging);
    fs::create_dir_all(&staging).expect("a folder");
    // The same line as the venv's, so that the source has its hashes, too.
    let requirement = entry_of(ANTHROPIC_PYTHON_SOURCE);
    fs::write(staging.join("source.txt"), requirement).expect("a requirements file");
    run(Command::new(&python)
        .current_dir(&staging)
        .args(["-m", "pip", "download", "--quiet", "--require-hashes"])
        .args(["--no-deps", "--no-binary", ":all:", "--no-build-isolation"])
        .args([
            "--disable-pip-version-check",
            "--no-input",
            "-r",
            "source.txt",
        ]));
    let archive = format!("{}.tar.gz", ANTHROPIC_PYTHON_SOURCE.replace("==", "-"));
    run(Command::new(&python)
        .current_dir(&staging)
        .args(["-m", "tarfile", "-e", &archive, "."]));
    let _ = fs::remove_dir_all(&home);
    fs::rename(&staging, &home).expect("a whole source");
    source
}

/// The lines of one requirement, hashes included.
fn entry_of(requirement: &str) -> String {
    let mut lines = ANTHROPIC_PYTHON.lines();
    let mut lines = lines
        .by_ref()
        .skip_while(|line| !line.starts_with(requirement));
    let mut entry = String::new();
    for line in lines.by_ref() {
        entry.push_str(line);
        entry.push('\n');
        if !line.ends_with('\\') {
            break;
        }
    }
    entry
}

/// A Python that has Anthropic's SDK: a venv, made once for each version of the requirements.
pub fn anthropic_python() -> PathBuf {
    let mut hasher = std::hash::DefaultHasher::new();
    ANTHROPIC_PYTHON.hash(&mut hasher);
    let clients = shared_cache().join("clients");
    let home = clients.join(format!("anthropic-python-{:016x}", hasher.finish()));
    let python = |home: &Path| home.join(VENV_PYTHON);
    fs::create_dir_all(&clients).expect("a cache folder");
    let lock = fs::File::create(home.with_extension("lock")).expect("a lock file");
    lock.lock().expect("a lock");
    if python(&home).exists() {
        return python(&home);
    }
    // Straight to stderr, like npm's installations.
    eprintln!("installing Anthropic's SDK for Python for the tests (once) ...");
    let staging = home.with_extension("partial");
    let _ = fs::remove_dir_all(&staging);
    run(Command::new("python3").args(["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]));
    run(Command::new("python3").args(["-m", "venv"]).arg(&staging));
    let requirements = staging.join("requirements.txt");
    fs::write(&requirements, ANTHROPIC_PYTHON).expect("a requirements file");
    run(Command::new(python(&staging))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--no-deps",
        ])
        .args([
            "--only-binary",
            ":all:",
            "--disable-pip-version-check",
            "--no-input",
        ])
        .arg("-r")
        .arg(&requirements));
    // A folder appears under its final name only when it is whole. A venv's Python finds its packages by where it lies.
    fs::rename(&staging, &home).expect("a whole venv");
    python(&home)
}

#[cfg(windows)]
const VENV_PYTHON: &str = "Scripts/python.exe";
#[cfg(not(windows))]
const VENV_PYTHON: &str = "bin/python";

/// Runs a step of the venv's making, and panics with what to do where it fails.
fn run(step: &mut Command) {
    const NEEDS: &str = "The tests drive the adapter with Anthropic's SDK for Python and need Python 3.10 or newer with \
                         venv, as python3 (Debian, Ubuntu: apt-get install python3 python3-venv), and a way to PyPI";
    match step.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "{NEEDS}. {step:?} ended with {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("{NEEDS}. {step:?} could not be started: {error}"),
    }
}

/// A cache folder that all tests of this target folder share, whatever their HOME: clients and compiled plugins.
pub fn shared_cache() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    // Cargo marks every target folder with this file.
    let target = test
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join("test-cache")
}

fn install(client: &Client) -> PathBuf {
    let mut told = false;
    let mut progress = |progress: Progress| {
        // Straight to stderr, past the test harness: an installation takes a while, and silence looks like a hang.
        if let (false, Progress::Installing { .. } | Progress::Waiting) = (told, progress) {
            eprintln!("installing {} for the tests (once) ...", client.title);
            told = true;
        }
    };
    client
        .install(&shared_cache(), &mut progress)
        .unwrap_or_else(|error| panic!("{error}"))
}
