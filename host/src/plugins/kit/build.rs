//! From a plugin's source to its component, pinned in its manifest.

use std::path::{Path, PathBuf};
use std::process::Command;

use wit_component::ComponentEncoder;

use super::super::engine::digest;
use super::super::manifest::{self, Manifest};

/// Rust's target for components without WASI.
const TARGET: &str = "wasm32-unknown-unknown";

/// What JavaScript plugins are built with.
const COMPONENTIZE_JS: &str = "@bytecodealliance/componentize-js";

/// What a build made.
#[derive(Debug, Clone)]
pub struct Built {
    /// The manifest, with the new digest.
    pub manifest: Manifest,
    /// Where the component lies.
    pub component: PathBuf,
    /// Its digest, in hex.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The manifest is missing or wrong.
    #[error("{0}")]
    Manifest(String),
    /// A tool is missing; the text says how to get it.
    #[error("{0}")]
    Tool(String),
    /// A tool failed, and printed why.
    #[error("{program} failed; its output is above")]
    Failed {
        /// The program.
        program: String,
    },
    /// What came out is no component.
    #[error("{file}: {what}")]
    Component {
        /// The core module.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// The file system is in the way.
    #[error("{file}: {error}")]
    File {
        /// Which file.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Builds the plugin in a folder. Tools print to stderr.
///
/// # Errors
/// What is missing or wrong, with the command that helps where there is one.
pub fn build(folder: &Path) -> Result<Built, BuildError> {
    let manifest = Manifest::read(folder).map_err(BuildError::Manifest)?;
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
        "js" => javascript(
            folder,
            &source.unwrap_or_else(|| "plugin.js".to_owned()),
            &manifest,
        )?,
        "python" => python(
            folder,
            &source.unwrap_or_else(|| "plugin.py".to_owned()),
            &manifest,
        )?,
        other => {
            let rule = format!("build.language: {other:?} is none of rust, js, python");
            return Err(BuildError::Manifest(format!(
                "{}: {rule}",
                folder.join(manifest::FILE).display()
            )));
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
    cargo.stderr(std::process::Stdio::inherit());
    let output = cargo
        .output()
        .map_err(|error| BuildError::Tool(format!("cargo: {error}; https://rustup.rs has it")))?;
    if !output.status.success() {
        return Err(BuildError::Failed {
            program: "cargo build".to_owned(),
        });
    }
    let manifest_path = std::fs::canonicalize(folder.join("Cargo.toml"));
    let manifest_path =
        manifest_path.map_err(|error| file_error(&folder.join("Cargo.toml"), error))?;
    let messages = String::from_utf8_lossy(&output.stdout);
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
            file: folder.join("Cargo.toml").display().to_string(),
            what,
        });
    };
    let core = std::fs::read(&module).map_err(|error| file_error(&module, error))?;
    encode(&core).map_err(|what| BuildError::Component {
        file: module.display().to_string(),
        what,
    })
}

/// A component of a core module that wit-bindgen described.
///
/// # Errors
/// What is wrong with the module.
pub fn encode(core: &[u8]) -> Result<Vec<u8>, String> {
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(core)
        .and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| format!("no component can be made of it: {error:#}"))
}

/// Makes sure that the compiler can build WebAssembly.
fn have_target(folder: &Path) -> Result<(), BuildError> {
    let installed = || {
        let output = Command::new("rustc")
            .current_dir(folder)
            .args(["--print", "target-libdir", "--target", TARGET])
            .output();
        output
            .is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
    };
    if installed() {
        return Ok(());
    }
    let _ = Command::new("rustup")
        .current_dir(folder)
        .args(["target", "add", TARGET])
        .stdout(std::process::Stdio::null())
        .status();
    if installed() {
        return Ok(());
    }
    Err(BuildError::Tool(format!(
        "Rust cannot build for {TARGET}; run: rustup target add {TARGET}"
    )))
}

/// The interface beside a plugin that has none of its own: one in this repository.
fn have_wit(folder: &Path) -> Result<(), BuildError> {
    let vendor = folder.join("vendor");
    if vendor.join("wit").is_dir() {
        return Ok(());
    }
    for (path, text) in super::VENDORED
        .iter()
        .filter(|(path, _)| path.starts_with("wit/"))
    {
        let file = vendor.join(path);
        let written =
            std::fs::create_dir_all(vendor.join("wit")).and_then(|()| std::fs::write(&file, text));
        written.map_err(|error| file_error(&file, error))?;
    }
    Ok(())
}

/// componentize-js from the plugin's own node_modules, with every part of WASI left out.
fn javascript(folder: &Path, source: &str, manifest: &Manifest) -> Result<(), BuildError> {
    if !folder.join("node_modules").join(COMPONENTIZE_JS).is_dir() {
        let install = format!("npm install --ignore-scripts --save-dev {COMPONENTIZE_JS}@0.23");
        return Err(BuildError::Tool(format!(
            "{COMPONENTIZE_JS} is not installed; run in {}: {install}",
            folder.display()
        )));
    }
    let script = format!(
        "import {{ componentize }} from '{COMPONENTIZE_JS}'; import {{ writeFile }} from 'node:fs/promises'; \
         const [sourcePath, witPath, worldName, out] = process.argv.slice(-4); \
         const made = await componentize({{ sourcePath, witPath, worldName, \
         disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'] }}); \
         await writeFile(out, made.component);"
    );
    have_wit(folder)?;
    let mut node = Command::new("node");
    node.current_dir(folder)
        .args(["--input-type=module", "--eval", &script, "--"]);
    node.args([source, "vendor/wit", &world(manifest), &manifest.component]);
    node.stdout(std::process::Stdio::null());
    run(node, "node (componentize-js)", "https://nodejs.org has it")
}

/// componentize-py from PATH.
fn python(folder: &Path, source: &str, manifest: &Manifest) -> Result<(), BuildError> {
    have_wit(folder)?;
    let mut tool = Command::new("componentize-py");
    tool.current_dir(folder)
        .args(["-d", "vendor/wit", "-w", &world(manifest), "componentize"]);
    tool.args([source.trim_end_matches(".py"), "-o", &manifest.component])
        .stdout(std::process::Stdio::null());
    run(
        tool,
        "componentize-py",
        "run: pip install componentize-py==0.25.1",
    )
}

/// The world that gives what the manifest wants. Other languages than Rust import their whole world.
fn world(manifest: &Manifest) -> String {
    format!("worker:plugin/{}-plugin", manifest.kind)
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
    let mut document: toml_edit::DocumentMut = text
        .parse()
        .map_err(|error| BuildError::Manifest(format!("{}: {error}", file.display())))?;
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
