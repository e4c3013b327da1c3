//! How this program was installed. Each package has a receipt, `install.json`, beside the program or in
//! `../share/mcp-codex-worker` (written by host/packaging/dist.py); cargo and a checkout leave traces of their own.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use semver::Version;
use serde::Deserialize;

/// The largest receipt that is read.
const RECEIPT: u64 = 64 << 10;

/// The place of a program, and what put it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) by: By,
    pub(super) program: PathBuf,
}

/// The ways in which the program is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    Npm,
    Installer,
    Archive,
    Wheel,
    Homebrew,
    Image,
    Cargo,
    Source,
    #[serde(other)]
    Unknown,
}

impl By {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            By::Npm => "npm",
            By::Installer => "installer",
            By::Archive => "archive",
            By::Wheel => "wheel",
            By::Homebrew => "homebrew",
            By::Image => "image",
            By::Cargo => "cargo",
            By::Source => "source",
            By::Unknown => "unknown",
        }
    }
}

#[derive(Deserialize)]
struct Receipt {
    installed_by: By,
}

impl Installed {
    /// The installation of the running program.
    pub(super) fn of_this_program() -> Self {
        let program = std::env::current_exe().unwrap_or_default();
        Self {
            by: by(&program),
            program,
        }
    }

    /// The words that lead to a version.
    pub(super) fn how_to_get(&self, version: &Version) -> String {
        let path = self.program.to_string_lossy();
        match self.by {
            By::Npm if path.contains("/_npx/") => format!("npx mcp-codex-worker@{version}"),
            By::Npm if path.contains("/lib/node_modules/") => {
                format!("npm install --global mcp-codex-worker@{version}")
            }
            By::Npm => {
                format!("npm install mcp-codex-worker@{version}, in the project that has it")
            }
            By::Installer => format!("run the install.sh of release {version}"),
            By::Archive => format!("unpack the archive of release {version} in its place"),
            By::Wheel if path.contains("/pipx/") => "pipx upgrade mcp-codex-worker".to_owned(),
            By::Wheel if path.contains("/uv/tools/") => {
                "uv tool upgrade mcp-codex-worker".to_owned()
            }
            By::Wheel => format!("pip install mcp-codex-worker=={version}, in its environment"),
            By::Homebrew => "brew upgrade mcp-codex-worker".to_owned(),
            By::Image => format!("take the image of release {version}"),
            By::Cargo => {
                format!("in a checkout of release {version}: cargo install --path host --locked")
            }
            By::Source => format!("in the checkout: git checkout v{version}, then build it again"),
            By::Unknown => format!("replace this program with that of release {version}"),
        }
    }
}

impl fmt::Display for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            By::Installer => "its installer",
            By::Archive => "unpacking an archive",
            By::Wheel => "a Python wheel",
            By::Homebrew => "Homebrew",
            By::Image => "an OCI image",
            By::Source => "building it in a checkout",
            By::Unknown => "no way that is known",
            by => by.as_str(),
        };
        write!(f, "{by}: {}", self.program.display())
    }
}

fn by(program: &Path) -> By {
    let Some(folder) = program.parent() else {
        return By::Unknown;
    };
    let prefix = folder.parent().unwrap_or(folder);
    let receipts = [
        folder.join("install.json"),
        prefix.join("share/mcp-codex-worker/install.json"),
    ];
    if let Some(by) = receipts.iter().find_map(|path| receipt(path)) {
        return by;
    }
    let has_cargos_list = fs::read_to_string(prefix.join(".crates.toml"))
        .is_ok_and(|list| list.contains("\"mcp-codex-worker "));
    if has_cargos_list {
        return By::Cargo;
    }
    // cargo's mark of a target folder: TARGET/PROFILE/ or TARGET/TRIPLE/PROFILE/.
    let in_target = program
        .ancestors()
        .take(5)
        .any(|folder| folder.join(".rustc_info.json").is_file());
    match in_target {
        true => By::Source,
        false => By::Unknown,
    }
}

fn receipt(path: &Path) -> Option<By> {
    let known = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= RECEIPT);
    let text = known.then(|| fs::read(path).ok()).flatten()?;
    let receipt: Receipt = serde_json::from_slice(&text).ok()?;
    Some(receipt.installed_by)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &str)], program: &str) -> By {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        by(&folder.path().join(program))
    }

    #[test]
    fn what_installed_a_program_is_told_by_its_traces() {
        const NPM: &str = r#"{"installed_by": "npm"}"#;
        let crates = "[v1]\n\"mcp-codex-worker 0.1.0 (path+file:///x)\" = [\"mcp-codex-worker\"]\n";
        let cases: [(&[(&str, &str)], &str, By); 9] = [
            (&[("x/bin/install.json", NPM)], "x/bin/worker", By::Npm),
            (
                &[(
                    "share/mcp-codex-worker/install.json",
                    r#"{"installed_by": "installer", "more": 1}"#,
                )],
                "bin/worker",
                By::Installer,
            ),
            (&[(".crates.toml", crates)], "bin/worker", By::Cargo),
            (
                &[(".crates.toml", "[v1]\n\"ripgrep 1.0.0 (...)\" = [\"rg\"]\n")],
                "bin/worker",
                By::Unknown,
            ),
            (
                &[("target/.rustc_info.json", "{}")],
                "target/release/worker",
                By::Source,
            ),
            (
                &[("target/.rustc_info.json", "{}")],
                "target/x86_64-unknown-linux-musl/dist/worker",
                By::Source,
            ),
            (&[("bin/install.json", "{")], "bin/worker", By::Unknown),
            (
                &[("bin/install.json", r#"{"installed_by": "carrier pigeon"}"#)],
                "bin/worker",
                By::Unknown,
            ),
            (&[], "bin/worker", By::Unknown),
        ];
        for (files, program, expected) in cases {
            assert_eq!(with(files, program), expected, "{files:?}");
        }
    }

    #[test]
    fn the_way_to_a_version_is_that_of_the_installation() {
        let version = Version::new(0, 2, 0);
        let cases = [
            (
                By::Npm,
                "/usr/lib/node_modules/mcp-codex-worker/x",
                "npm install --global mcp-codex-worker@0.2.0",
            ),
            (
                By::Npm,
                "/home/x/.npm/_npx/1a/node_modules/y",
                "npx mcp-codex-worker@0.2.0",
            ),
            (
                By::Wheel,
                "/home/x/.local/share/uv/tools/mcp-codex-worker/bin/w",
                "uv tool upgrade mcp-codex-worker",
            ),
            (
                By::Wheel,
                "/srv/venv/bin/w",
                "pip install mcp-codex-worker==0.2.0, in its environment",
            ),
            (
                By::Homebrew,
                "/opt/homebrew/Cellar/w",
                "brew upgrade mcp-codex-worker",
            ),
        ];
        for (by, program, expected) in cases {
            let installed = Installed {
                by,
                program: program.into(),
            };
            assert_eq!(installed.how_to_get(&version), expected);
        }
    }
}
