//! Builds the bundled plugins, every crate in the workspace's `plugins/` but the SDK, to components and lists them for
//! `bundled`. They are built by a cargo of their own, in a target folder that all profiles share, so that
//! neither a change of the host nor another profile builds them again.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use sha2::{Digest, Sha256};
use wit_component::{ComponentEncoder, DecodedWasm};

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "plugin";

/// Prefixes of cargo's variables that are the user's wish and not a part of the outer build.
const KEPT: [&str; 8] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_INCREMENTAL",
    "CARGO_MAKEFLAGS",
    "CARGO_NET_",
    "CARGO_REGISTR",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
];

/// Variables that cargo sets for a build script, or that bend a compiler, and whose names do not begin with `CARGO_`.
const DROPPED: [&str; 14] = [
    "DEBUG",
    "HOST",
    "NUM_JOBS",
    "OPT_LEVEL",
    "OUT_DIR",
    "PROFILE",
    "RUSTC_LINKER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "TARGET",
    "TARGET_DIR",
];

fn main() {
    if let Err(error) = build() {
        // `cargo::error` shows the text without the script's own backtrace.
        for line in error.to_string().lines() {
            println!("cargo::error={line}");
        }
        std::process::exit(1);
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let own = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    // `host/crates/plugins`, below the workspace.
    let workspace = own
        .ancestors()
        .nth(3)
        .ok_or("the plugins crate is not in a workspace")?;
    let out = PathBuf::from(variable("OUT_DIR")?);
    for watched in ["plugins", "wit", "Cargo.lock", "Cargo.toml"] {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(watched).display()
        );
    }
    println!("cargo::rerun-if-env-changed=WORKER_PREBUILT_PLUGINS");

    let components =
        match env::var_os("WORKER_PREBUILT_PLUGINS").filter(|folder| !folder.is_empty()) {
            Some(folder) => prebuilt(Path::new(&folder))?,
            None => built(workspace, &target_folder(&out)?)?,
        };
    write_if_changed(&out.join("bundled.rs"), list(&components, &out)?.as_bytes())
}

/// The components that a packager made beforehand.
fn prebuilt(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut components = BTreeMap::new();
    let entries = fs::read_dir(folder)
        .map_err(|error| format!("WORKER_PREBUILT_PLUGINS={}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if let (Some("wasm"), Some(name)) =
            (path.extension().and_then(|e| e.to_str()), path.file_stem())
        {
            components.insert(name.to_string_lossy().replace('_', "-"), fs::read(&path)?);
        }
    }
    if components.is_empty() {
        return Err(format!(
            "WORKER_PREBUILT_PLUGINS={}: no NAME.wasm in it",
            folder.display()
        )
        .into());
    }
    Ok(components)
}

/// Builds the plugins of the workspace.
fn built(
    workspace: &Path,
    target_folder: &Path,
) -> Result<BTreeMap<String, Vec<u8>>, Box<dyn Error>> {
    have_target()?;
    let names = plugin_crates(&workspace.join("plugins"))?;
    let mut cargo = Command::new(variable("CARGO")?);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let cargos = text.starts_with("CARGO") && !KEPT.iter().any(|kept| text.starts_with(kept));
        if cargos || text.starts_with("DEP_") || DROPPED.contains(&&*text) {
            cargo.env_remove(&name);
        }
    }
    // Set and not just removed: so it also wins over flags in a config file of the user. The mapping keeps the folder
    // names of this machine out of the components.
    if let Some(home) = env::var_os("CARGO_HOME").map(PathBuf::from) {
        let flags = format!("--remap-path-prefix={}=cargo", home.display());
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
    }
    let folder = target_folder.join("plugins");
    cargo.current_dir(workspace).args([
        "build",
        "--locked",
        "--quiet",
        "--lib",
        "--profile",
        PROFILE,
        "--target",
        TARGET,
    ]);
    cargo.arg("--target-dir").arg(&folder);
    for name in &names {
        cargo.args(["--package", name]);
    }
    let output = cargo
        .output()
        .map_err(|error| format!("cannot run cargo for the bundled plugins: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the bundled plugins do not build:\n{said}").into());
    }
    let modules = folder.join(TARGET).join(PROFILE);
    let mut components = BTreeMap::new();
    for name in names {
        let module = modules.join(format!("{}.wasm", name.replace('-', "_")));
        let core = fs::read(&module).map_err(|error| format!("{}: {error}", module.display()))?;
        let component = ComponentEncoder::default()
            .validate(true)
            .module(&core)
            .and_then(|mut encoder| encoder.encode())
            .map_err(|error| format!("the plugin {name} is no component: {error:#}"))?;
        components.insert(name, component);
    }
    Ok(components)
}

/// The folders in `plugins/` that hold a plugin; a folder's name is the plugin's and the crate's.
fn plugin_crates(plugins: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(plugins)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name != "sdk" && path.join("Cargo.toml").is_file() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Makes sure that the compiler can build WebAssembly; rustup's own way of adding a toolchain's targets is switched off
/// on some machines.
fn have_target() -> Result<(), Box<dyn Error>> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let installed = || {
        let output = Command::new(&rustc)
            .args(["--print", "target-libdir", "--target", TARGET])
            .output();
        output
            .is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
    };
    if installed() {
        return Ok(());
    }
    let added = Command::new("rustup")
        .args(["target", "add", TARGET])
        .output();
    if installed() {
        return Ok(());
    }
    let toolchain = env::var("RUSTUP_TOOLCHAIN")
        .map(|name| format!(" --toolchain {name}"))
        .unwrap_or_default();
    let why = match added {
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("rustup: {error}"),
    };
    Err(format!(
        "the bundled plugins need Rust's target {TARGET}, and it could not be added ({why}).\n\
         Run this command, then build again:\n    rustup target add {TARGET}{toolchain}\n\
         or give ready components by WORKER_PREBUILT_PLUGINS=FOLDER."
    )
    .into())
}

/// Cargo's target folder, above this package's OUT_DIR (`TARGET/[TRIPLE/]PROFILE/build/PACKAGE/out`).
fn target_folder(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let marked = out
        .ancestors()
        .find(|folder| folder.join(".rustc_info.json").is_file());
    let folder = marked
        .or_else(|| out.ancestors().nth(4))
        .ok_or("OUT_DIR lies in no target folder")?;
    Ok(folder.to_path_buf())
}

/// Rust source that lists the components, each written beside it.
fn list(components: &BTreeMap<String, Vec<u8>>, out: &Path) -> Result<String, Box<dyn Error>> {
    let mut source = String::from("&[\n");
    for (name, component) in components {
        let kind =
            kind_of(component).map_err(|error| format!("the bundled plugin {name}: {error:#}"))?;
        let path = out.join(format!("{name}.deflate"));
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(component)?;
        write_if_changed(&path, &encoder.finish()?)?;
        let size = component.len();
        let digest = Sha256::digest(component)
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        writeln!(
            source,
            "    Bundled {{ name: {name:?}, kind: Kind::{kind}, sha256: {digest:?}, size: {size}, compressed: include_bytes!({path:?}) }},"
        )?;
    }
    source.push_str("]\n");
    Ok(source)
}

/// The variant of the host's `Kind`, by what the component exports.
fn kind_of(component: &[u8]) -> Result<&'static str, Box<dyn Error>> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        return Err("a WIT package and no component".into());
    };
    let exports = resolve.worlds[world]
        .exports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect::<Vec<_>>();
    for (interface, kind) in [
        ("check", "Check"),
        ("summarizer", "Summarizer"),
        ("redactor", "Redactor"),
        ("dialect", "Dialect"),
    ] {
        if exports
            .iter()
            .any(|export| export.starts_with(&format!("mcp-codex-worker:{interface}/{interface}@")))
        {
            return Ok(kind);
        }
    }
    Err(format!("exports no plugin interface, only {}", exports.join(", ")).into())
}

/// Leaves the file's time alone when nothing changed, so that the host is not compiled again.
fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn variable(name: &str) -> Result<OsString, Box<dyn Error>> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}").into())
}
