//! Lists what `plugin new` copies into a new plugin: the SDK, the WIT and the lock entries of the packages they need.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    if let Err(error) = list() {
        println!("cargo::error={error}");
        std::process::exit(1);
    }
}

fn list() -> Result<(), Box<dyn Error>> {
    let own = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    // `host/crates/plugin-kit`, below the workspace.
    let workspace = own
        .ancestors()
        .nth(3)
        .ok_or("the plugin kit is not in a workspace")?;
    let out = PathBuf::from(variable("OUT_DIR")?);
    for watched in ["plugins/sdk", "wit", "Cargo.lock"] {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(watched).display()
        );
    }
    vendored(workspace, &out)?;
    locked(workspace, &out)
}

/// The SDK and the WIT for authors elsewhere: `plugin new` writes them into a new plugin's folder.
fn vendored(workspace: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    for folder in ["wit", "plugins/sdk"] {
        files_below(&workspace.join(folder), &mut files)?;
    }
    files.sort();
    let mut source = String::from("&[\n");
    for file in files {
        let name = file
            .strip_prefix(workspace)?
            .to_string_lossy()
            .replace('\\', "/");
        writeln!(source, "    ({name:?}, include_str!({file:?})),")?;
    }
    source.push_str("]\n");
    write_if_changed(&out.join("vendored.rs"), source.as_bytes())
}

/// The packages that the SDK needs, each as the workspace's own lock file has it: what is built with the SDK elsewhere is
/// built of the same versions, which whoever built the host has at hand without a network.
fn locked(workspace: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let lock = fs::read_to_string(workspace.join("Cargo.lock")).unwrap_or_default();
    let lock = lock.replace("\r\n", "\n");
    let packages: Vec<Package<'_>> = lock.split("\n\n").filter_map(Package::read).collect();
    let mut wanted = vec!["worker-plugin"];
    let mut needed = BTreeMap::new();
    while let Some(entry) = wanted.pop() {
        if let Some(package) = packages.iter().find(|package| package.is(entry))
            && needed
                .insert((package.name, package.version), package.text)
                .is_none()
        {
            wanted.extend(package.dependencies());
        }
    }
    let mut list = String::from("&[\n");
    for ((name, _), text) in &needed {
        let mut text = (*text).to_owned();
        for (other, version) in needed.keys() {
            // Cargo names the version only where there are two.
            if needed.keys().filter(|(name, _)| name == other).count() == 1 {
                text = text.replace(&format!("\"{other} {version}\""), &format!("\"{other}\""));
            }
        }
        writeln!(list, "    ({name:?}, {text:?}),")?;
    }
    list.push_str("]\n");
    write_if_changed(&out.join("locked.rs"), list.as_bytes())
}

/// An entry of a lock file.
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    /// All of it but its heading.
    text: &'a str,
}

impl<'a> Package<'a> {
    fn read(block: &'a str) -> Option<Self> {
        let text = block.trim().strip_prefix("[[package]]\n")?;
        let mut values = text.split('"').skip(1).step_by(2);
        Some(Self {
            name: values.next()?,
            version: values.next()?,
            text,
        })
    }

    /// Returns true if a list of dependencies means it by `name`, or by `name version` where there
    /// are two of that name.
    fn is(&self, entry: &str) -> bool {
        let mut words = entry.split(' ');
        words.next() == Some(self.name)
            && words.next().is_none_or(|version| version == self.version)
    }

    fn dependencies(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let list = self.text.split_once("dependencies = [");
        list.into_iter()
            .flat_map(|(_, list)| list.split('"').skip(1).step_by(2))
    }
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files_below(&path, files)?;
        } else if path.extension().is_some_and(|extension| {
            ["rs", "toml", "wit", "json"]
                .iter()
                .any(|known| extension == *known)
        }) {
            files.push(path);
        }
    }
    Ok(())
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
