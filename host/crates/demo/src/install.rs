//! Installs a real client from npm into the tool's own cache: once for each lockfile, for the demo and the tests alike.
//!
//! `npm ci --ignore-scripts` from an embedded lockfile: nothing that a package brought along runs, and every byte is
//! pinned by its hash. The native program in the platform's package is used directly, so Node.js is needed only here.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// A client that npm can install.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The name for people.
    pub title: &'static str,
    /// The first part of its folder in the cache.
    pub name: &'static str,
    /// The `package.json`.
    pub manifest: &'static str,
    /// The `package-lock.json`, without addresses, so that npm asks the registry it is configured for.
    pub lockfile: &'static str,
    /// The place where what is wanted lies below `node_modules`; a `*` at the end of a part stands
    /// for the platform.
    pub program: &'static [&'static str],
    /// The kind of package.
    pub kind: Kind,
    /// Bytes on disk, roughly: what progress is measured against.
    pub size: u64,
}

/// The part of a package that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A native program, which is tried after it was installed.
    Program,
    /// A file of a library, for a script that loads it.
    Library,
}

/// The Claude Code that the demo and the tests run.
pub const CLAUDE_CODE: Client = Client {
    title: "Claude Code 2.1.197",
    name: "claude-code",
    manifest: include_str!("../../../../tests/clients/claude-code/package.json"),
    lockfile: include_str!("../../../../tests/clients/claude-code/package-lock.json"),
    program: &["@anthropic-ai", "claude-code-*", "claude"],
    kind: Kind::Program,
    size: 246_000_000,
};

/// The progress of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Another process is installing the same client.
    Waiting,
    /// npm is at work.
    Installing {
        /// Bytes on disk so far.
        bytes: u64,
        /// Bytes expected, roughly.
        of: u64,
        /// Time since npm was started.
        elapsed: Duration,
    },
    /// It is in the cache.
    Installed {
        /// Bytes on disk.
        bytes: u64,
        /// Time since npm was started.
        elapsed: Duration,
    },
}

/// The reason why a client could not be installed; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// npm could not be started.
    #[error(
        "{client} is installed with npm, and npm could not be started ({source}). Install Node.js 18 or newer with npm"
    )]
    NoNpm {
        /// The client.
        client: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// The registry could not be reached.
    #[error(
        "npm could not reach its registry to install {client}: {message}. Check the network and npm's settings \
         (`npm ping` tells), then try again"
    )]
    NoNetwork {
        /// The client.
        client: &'static str,
        /// npm's own words.
        message: String,
    },
    /// npm failed otherwise.
    #[error("`npm ci` for {client} failed ({status}): {message}")]
    Npm {
        /// The client.
        client: &'static str,
        /// npm's exit status.
        status: std::process::ExitStatus,
        /// npm's own words.
        message: String,
    },
    /// The package has no program for this machine.
    #[error("{client} was installed, but it has no program that runs on this machine ({os} {arch}): {message}", os = std::env::consts::OS, arch = std::env::consts::ARCH)]
    NoProgram {
        /// The client.
        client: &'static str,
        /// The program that was missing, or its message.
        message: String,
    },
    /// The cache could not be written.
    #[error("the cache folder {} cannot be used: {source}. WORKER_CACHE_DIR names another one", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl Client {
    /// Gives the program's path, after installing it into `<cache_dir>/clients` if it is not there yet.
    ///
    /// Safe in any number of processes at once: one installs, the others wait for it. A folder appears under its final
    /// name only when it is whole.
    ///
    /// # Errors
    /// See [`InstallError`]; nothing is left in the cache then.
    pub fn install(
        &self,
        cache_dir: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf, InstallError> {
        let home = cache_dir.join("clients");
        let folder = format!("{}-{}", self.name, self.lockfile_hash());
        let installed = home.join(&folder);
        if let Some(program) = self.program_in(&installed) {
            return Ok(program);
        }
        fs::create_dir_all(&home).map_err(cache_error(&home))?;
        let _lock = self.lock(&home.join(format!("{folder}.lock")), progress)?;
        if let Some(program) = self.program_in(&installed) {
            return Ok(program);
        }
        let staging = Staging::create(home.join(format!("{folder}.partial")))?;
        for (name, content) in [
            ("package.json", self.manifest),
            ("package-lock.json", self.lockfile),
        ] {
            let path = staging.0.join(name);
            fs::write(&path, content).map_err(cache_error(&path))?;
        }
        let started = Instant::now();
        self.run_npm(&staging.0, started, progress)?;
        let program = self
            .program_in(&staging.0)
            .ok_or_else(|| InstallError::NoProgram {
                client: self.title,
                message: format!("no {} in its packages", self.program.join("/")),
            })?;
        if self.kind == Kind::Program {
            self.try_program(&program)?;
        }
        // Only a folder without the program can be in the way.
        let _ = fs::remove_dir_all(&installed);
        fs::rename(&staging.0, &installed).map_err(cache_error(&installed))?;
        progress(Progress::Installed {
            bytes: size_of(&installed),
            elapsed: started.elapsed(),
        });
        self.program_in(&installed)
            .ok_or_else(|| cache_error(&installed)(io::ErrorKind::NotFound.into()))
    }

    fn lockfile_hash(&self) -> String {
        Sha256::digest(self.lockfile)
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn lock(&self, path: &Path, progress: &mut dyn FnMut(Progress)) -> Result<File, InstallError> {
        let lock = File::create(path).map_err(cache_error(path))?;
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => progress(Progress::Waiting),
            Err(TryLockError::Error(source)) => return Err(cache_error(path)(source)),
        }
        lock.lock().map_err(cache_error(path))?;
        Ok(lock)
    }

    fn run_npm(
        &self,
        folder: &Path,
        started: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), InstallError> {
        let log = folder.join("npm.output");
        let mut output = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&log)
            .map_err(cache_error(&log))?;
        let share = |output: &File| {
            output
                .try_clone()
                .map(Stdio::from)
                .map_err(cache_error(&log))
        };
        let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
            .args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--no-update-notifier",
                "--loglevel=error",
            ])
            // The defaults keep a machine without a network waiting for over a minute.
            .args([
                "--fetch-retry-mintimeout=1000",
                "--fetch-retry-maxtimeout=5000",
            ])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(share(&output)?)
            .stderr(share(&output)?)
            .spawn()
            .map_err(|source| InstallError::NoNpm {
                client: self.title,
                source,
            })?;
        let status = loop {
            match npm.try_wait().map_err(cache_error(folder))? {
                Some(status) => break status,
                None => {
                    progress(Progress::Installing {
                        bytes: size_of(folder),
                        of: self.size,
                        elapsed: started.elapsed(),
                    });
                    // npm says that it is done by ending; progress needs no more than a look now and then.
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        };
        if status.success() {
            return Ok(());
        }
        let mut message = String::new();
        let _ = output
            .rewind()
            .and_then(|()| output.read_to_string(&mut message));
        let message = essence_of(&message);
        const UNREACHABLE: &[&str] = &[
            "ENOTFOUND",
            "EAI_AGAIN",
            "ECONNREFUSED",
            "ETIMEDOUT",
            "ECONNRESET",
            "ENETUNREACH",
            "ENOTCACHED",
        ];
        if UNREACHABLE.iter().any(|code| message.contains(code)) {
            return Err(InstallError::NoNetwork {
                client: self.title,
                message,
            });
        }
        Err(InstallError::Npm {
            client: self.title,
            status,
            message,
        })
    }

    /// Runs the program once: a package for another libc would install and then not start.
    fn try_program(&self, program: &Path) -> Result<(), InstallError> {
        let no_program = |message: String| InstallError::NoProgram {
            client: self.title,
            message,
        };
        let output = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| no_program(format!("{}: {error}", program.display())))?;
        if output.status.success() {
            return Ok(());
        }
        Err(no_program(format!(
            "`--version` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }

    /// The program or library file below a folder that npm filled.
    fn program_in(&self, folder: &Path) -> Option<PathBuf> {
        let mut found = vec![folder.join("node_modules")];
        for part in self.program {
            found = match part.strip_suffix('*') {
                Some(prefix) => found
                    .iter()
                    .flat_map(|folder| entries_with(folder, prefix))
                    .collect(),
                None => found.iter().map(|folder| folder.join(part)).collect(),
            };
        }
        found
            .into_iter()
            .map(|program| {
                if cfg!(windows) && self.kind == Kind::Program {
                    program.with_extension("exe")
                } else {
                    program
                }
            })
            .find(|program| program.is_file())
    }
}

/// A folder that goes away unless it is renamed.
struct Staging(PathBuf);

impl Staging {
    /// The caller holds the lock, so what lies there is from an installation that was cut off.
    fn create(path: PathBuf) -> Result<Self, InstallError> {
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).map_err(cache_error(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn cache_error(path: &Path) -> impl Fn(io::Error) -> InstallError + '_ {
    |source| InstallError::Cache {
        path: path.to_owned(),
        source,
    }
}

fn entries_with(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| starts_with(&entry.file_name(), prefix))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

fn starts_with(name: &OsStr, prefix: &str) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(prefix))
}

/// Bytes in the files below a folder; unreadable ones count nothing.
fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// npm's error lines without its decoration and without the pointers to its log.
fn essence_of(output: &str) -> String {
    let lines = output
        .lines()
        .filter_map(|line| {
            line.strip_prefix("npm error ")
                .or_else(|| line.strip_prefix("npm ERR! "))
        })
        .map(str::trim)
        .filter(|line| {
            !line.is_empty() && !line.contains("complete log") && !line.ends_with("-debug-0.log")
        });
    let essence: String = lines.collect::<Vec<_>>().join("; ");
    let essence = if essence.is_empty() {
        output.trim()
    } else {
        &essence
    };
    const LONGEST: usize = 600;
    essence.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn the_native_program_is_found_in_the_package_of_the_platform() {
        let cache = tempfile::tempdir().unwrap();
        assert_eq!(CLAUDE_CODE.program_in(cache.path()), None);
        let package = cache
            .path()
            .join("node_modules/@anthropic-ai/claude-code-linux-x64");
        fs::create_dir_all(cache.path().join("node_modules/@anthropic-ai/claude-code")).unwrap();
        fs::create_dir_all(&package).unwrap();
        let program = package.join(if cfg!(windows) {
            "claude.exe"
        } else {
            "claude"
        });
        fs::write(&program, "").unwrap();
        assert_eq!(CLAUDE_CODE.program_in(cache.path()), Some(program));
    }

    #[test]
    fn the_lockfile_pins_the_version_it_is_named_after_and_no_registry() {
        let lockfile: serde_json::Value = serde_json::from_str(CLAUDE_CODE.lockfile).unwrap();
        let packages = lockfile["packages"].as_object().unwrap();
        let version = packages["node_modules/@anthropic-ai/claude-code"]["version"]
            .as_str()
            .unwrap();
        assert!(CLAUDE_CODE.title.ends_with(version));
        for (path, package) in packages.iter().filter(|(path, _)| !path.is_empty()) {
            assert!(
                package["integrity"].is_string(),
                "{path} is not pinned by its hash"
            );
            assert!(package.get("resolved").is_none(), "{path} names a registry");
        }
    }

    #[test]
    fn what_npm_said_is_told_without_its_decoration() {
        let output = "npm error code ENOTFOUND\nnpm error request failed\nnpm error\nnpm error A complete log of this run \
                      can be found in: /home/x/.npm/_logs/2026-debug-0.log\n";
        assert_eq!(essence_of(output), "code ENOTFOUND; request failed");
        assert_eq!(essence_of("Segmentation fault\n"), "Segmentation fault");
    }
}
