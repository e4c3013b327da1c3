//! Plugins for the tests, built once a run from `tests/fixtures/plugins`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use mcp_codex_worker::plugins::kit::build::encode;
use mcp_codex_worker::plugins::{Engine, PluginSet, PluginSettings};
use sha2::{Digest, Sha256};

/// The repository.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Where guests and their compiled code are kept between runs.
pub(crate) fn folder() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("plugin-tests")
}

/// A guest of `tests/fixtures/plugins`, as a component.
pub(crate) fn guest(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let components = BUILT.get_or_init(|| {
        let status = Command::new("cargo")
            .current_dir(workspace().join("tests/fixtures/plugins"))
            .args([
                "build",
                "--quiet",
                "--locked",
                "--release",
                "--target",
                "wasm32-unknown-unknown",
                "--target-dir",
            ])
            .arg(folder())
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .status()
            .unwrap();
        assert!(status.success(), "the guests do not build");
        let components = folder().join(format!("components-{}", std::process::id()));
        std::fs::create_dir_all(&components).unwrap();
        for entry in std::fs::read_dir(folder().join("wasm32-unknown-unknown/release")).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "wasm")
            {
                let name = path
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .replace('_', "-");
                let component = encode(&std::fs::read(&path).unwrap()).unwrap();
                std::fs::write(components.join(format!("{name}.wasm")), component).unwrap();
            }
        }
        components
    });
    components.join(format!("{name}.wasm"))
}

pub(crate) fn engine() -> Arc<Engine> {
    Engine::shared(&folder().join("cache")).unwrap()
}

pub(crate) fn sha256(path: &Path) -> String {
    Sha256::digest(std::fs::read(path).unwrap())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The plugins that this `[plugins]` table gives.
pub(crate) fn set(table: &str) -> PluginSet {
    let table = table.parse().unwrap();
    PluginSet::load(
        &engine(),
        &PluginSettings::from_table(&table, Path::new("/nowhere")),
    )
}

/// A set with one guest under a name, with further lines in its entry.
pub(crate) fn set_with(name: &str, guest_name: &str, more: &str) -> PluginSet {
    let path = guest(guest_name);
    set(&format!(
        "[{name}]\npath = {path:?}\nsha256 = \"{}\"\n{more}",
        sha256(&path)
    ))
}
