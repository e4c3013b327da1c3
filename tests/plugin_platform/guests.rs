//! Plugins for the tests, built once a run from `tests/fixtures/plugins`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Once, OnceLock};
use std::time::{Duration, SystemTime};

use plugin_kit::build::encode;
use plugins::{Engine, PluginSet, PluginSettings, unused_compiled};
use sha2::{Digest, Sha256};

/// A guest that no run has used for so long is thrown away: reading a file is noted once a day.
const UNUSED: Duration = Duration::from_secs(2 * 24 * 3600);

/// The repository.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The place where guests and their compiled code are kept between runs.
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
        keep(components())
    });
    components.join(format!("{name}.wasm"))
}

/// The components, by file name.
fn components() -> BTreeMap<String, Vec<u8>> {
    let built = std::fs::read_dir(folder().join("wasm32-unknown-unknown/release")).unwrap();
    let modules = built.map(|entry| entry.unwrap().path()).filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "wasm")
    });
    let component = |path: PathBuf| {
        let name = path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .replace('_', "-");
        (name, encode(&std::fs::read(&path).unwrap()).unwrap())
    };
    modules.map(component).collect()
}

/// One folder for the same components, whoever built them: several runs may be at it at once. What was built before goes
/// when nobody can be using it any more.
fn keep(components: BTreeMap<String, Vec<u8>>) -> PathBuf {
    let all = folder().join("components");
    std::fs::create_dir_all(&all).unwrap();
    let mut digest = Sha256::new();
    let aside = tempfile::tempdir_in(&all).unwrap();
    for (name, component) in &components {
        digest.update(component);
        std::fs::write(aside.path().join(name), component).unwrap();
    }
    let place = all.join(hex::encode(digest.finalize()));
    // There already, where another run was first.
    let _ = std::fs::rename(aside.path(), &place);
    assert!(place.is_dir(), "{}", place.display());
    std::fs::File::open(&place)
        .and_then(|place| place.set_modified(SystemTime::now()))
        .unwrap();
    for entry in std::fs::read_dir(&all).unwrap().flatten() {
        let modified = entry.metadata().and_then(|entry| entry.modified());
        let age = modified.ok().and_then(|modified| modified.elapsed().ok());
        if age.is_some_and(|age| age > UNUSED) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    place
}

pub(crate) fn engine() -> Arc<Engine> {
    static CLEARED: Once = Once::new();
    let cache = folder().join("cache");
    CLEARED.call_once(|| {
        for compiled in unused_compiled(&cache, SystemTime::now() - UNUSED) {
            let _ = std::fs::remove_file(compiled);
        }
    });
    Engine::shared(&cache).unwrap()
}

pub(crate) fn sha256(path: &Path) -> String {
    hex::encode(Sha256::digest(std::fs::read(path).unwrap()))
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
