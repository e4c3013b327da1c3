//! The installed Claude Code, and the options that it understands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::outcome::AgentError;
use process::{self, Command, Confinement, Stdin};
use settings::Settings;

/// Options without which no job can be run safely: see `invocation`.
const NEEDED: &[&str] = &[
    "--print",
    "--output-format",
    "--verbose",
    "--permission-mode",
    "--session-id",
    "--resume",
    "--setting-sources",
    "--strict-mcp-config",
];

/// The time that one question to the binary may take; the first start reads 250 MB from disk.
const PROBE_LIMIT: Duration = Duration::from_secs(60);

/// A Claude Code binary that was asked for its version and its options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claude {
    /// The name under which it is run: a launcher of many programs (mise, volta) goes by it.
    program: PathBuf,
    /// The file, links resolved.
    path: PathBuf,
    version: String,
    options: BTreeSet<String>,
}

/// The findings of a probe, good for exactly this file.
#[derive(Debug, Serialize, Deserialize)]
struct Probe {
    program: PathBuf,
    path: PathBuf,
    size: u64,
    modified_ns: u64,
    version: String,
    options: BTreeSet<String>,
}

impl Claude {
    /// Finds Claude Code (WORKER_CLAUDE_BIN, else `claude` on PATH) and asks it for version and options. The answer is kept
    /// in the cache folder until the file changes.
    ///
    /// # Errors
    /// There is none, or it does not understand what a job needs.
    pub async fn locate(settings: &Settings) -> Result<Self, AgentError> {
        let named = find(
            settings.claude_bin.as_deref(),
            settings.sandbox_root.as_deref(),
        )?;
        Self::probe(&named, &settings.cache_dir).await
    }

    /// Like [`locate`](Self::locate), for a binary that is known.
    ///
    /// # Errors
    /// It does not understand what a job needs.
    pub async fn probe(binary: &Path, cache_dir: &Path) -> Result<Self, AgentError> {
        let unusable = |reason: String| AgentError::Unusable {
            path: binary.display().to_string(),
            reason,
        };
        let path = binary
            .canonicalize()
            .map_err(|error| unusable(error.to_string()))?;
        let found = std::fs::metadata(&path).map_err(|error| unusable(error.to_string()))?;
        let modified_ns = found
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|since| u64::try_from(since.as_nanos()).ok())
            .unwrap_or_default();
        let size = found.len();
        let cache = cache_dir.join("claude-probe.json");
        let known = std::fs::read(&cache)
            .ok()
            .and_then(|text| serde_json::from_slice::<Vec<Probe>>(&text).ok());
        let mut known = known.unwrap_or_default();
        let program = std::path::absolute(binary).map_err(|error| unusable(error.to_string()))?;
        let same = |probe: &&Probe| {
            probe.program == program
                && probe.path == path
                && probe.size == size
                && probe.modified_ns == modified_ns
        };
        if let Some(probe) = known.iter().find(same) {
            let (version, options) = (probe.version.clone(), probe.options.clone());
            return Self {
                program,
                path,
                version,
                options,
            }
            .checked();
        }
        let version = ask(&program, "--version", cache_dir)
            .await
            .map_err(|error| unusable(error.to_string()))?;
        let version = version
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned();
        if !version.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(unusable(format!("`--version` gives {version:?}")));
        }
        let help = ask(&program, "--help", cache_dir)
            .await
            .map_err(|error| unusable(error.to_string()))?;
        let claude = Self {
            program: program.clone(),
            path: path.clone(),
            version: version.clone(),
            options: options(&help),
        }
        .checked()?;
        known.retain(|probe| probe.program != program && probe.path.is_file());
        known.push(Probe {
            program,
            path,
            size,
            modified_ns,
            version,
            options: claude.options.clone(),
        });
        keep(&cache, &known);
        Ok(claude)
    }

    fn checked(self) -> Result<Self, AgentError> {
        let missing: Vec<&str> = NEEDED
            .iter()
            .copied()
            .filter(|option| !self.understands(option))
            .collect();
        if missing.is_empty() {
            return Ok(self);
        }
        Err(AgentError::Unusable {
            path: self.path.display().to_string(),
            reason: format!(
                "version {} does not know {}; update it",
                self.version,
                missing.join(", ")
            ),
        })
    }

    /// The name to run it by: the one that was found, which may be a link.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The binary, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version, `2.1.197` for example.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns true if its help names this option.
    pub fn understands(&self, option: &str) -> bool {
        self.options.contains(option)
    }

    /// The paths that a confined process must be able to read to run it: the name, and its folder
    /// or its whole npm package. A folder that holds the user's home is never among them.
    pub(crate) fn read_paths(&self) -> Vec<PathBuf> {
        let scope = self
            .path
            .ancestors()
            .find(|folder| folder.ends_with("node_modules/@anthropic-ai"));
        // The folder of a program that lies in the user's home itself would be the home.
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let holds_home =
            |folder: &Path| home.as_deref().is_some_and(|home| home.starts_with(folder));
        let folder = scope.or_else(|| self.path.parent().filter(|folder| !holds_home(folder)));
        vec![
            self.program.clone(),
            folder
                .filter(|folder| *folder != Path::new("/"))
                .unwrap_or(&self.path)
                .to_owned(),
        ]
    }
}

/// Finds Claude Code: as it was named, else on PATH, but never where a job could have put it.
fn find(named: Option<&Path>, root: Option<&Path>) -> Result<PathBuf, AgentError> {
    if let Some(path) = named {
        return if path.is_file() {
            Ok(path.to_owned())
        } else {
            Err(AgentError::NotFound(format!(
                "WORKER_CLAUDE_BIN is {}, which is no file",
                path.display()
            )))
        };
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let name = format!("claude{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&folders)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&name))
        .filter(|file| file.is_file())
        .find(|file| {
            let real = file.canonicalize();
            let places = [Some(file.clone()), real.ok()];
            !places
                .iter()
                .flatten()
                .any(|place| root.is_some_and(|root| jobs_write(place, root)))
        })
        .ok_or_else(|| {
            AgentError::NotFound(
                "there is no `claude` on PATH, repositories below SANDBOX_ROOT apart".into(),
            )
        })
}

/// Returns true if a job could be given `path` to write: it lies in a repository below SANDBOX_ROOT.
fn jobs_write(path: &Path, root: &Path) -> bool {
    path.ancestors()
        .skip(1)
        .take_while(|folder| folder.starts_with(root))
        .any(|folder| folder.join(".git").symlink_metadata().is_ok())
}

/// The long options of a help text.
fn options(help: &str) -> BTreeSet<String> {
    help.lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'))
        .flat_map(|line| line.split([' ', ',', '=']))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(str::to_owned)
        .collect()
}

/// The reason why a binary gave no answer.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("{}: {source}", path.display())]
    Home {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Process(#[from] process::ProcessError),
    #[error("`{option}` ends with {exit}")]
    Failed { option: String, exit: process::Exit },
    #[error("no answer to `{option}` within {} s", PROBE_LIMIT.as_secs())]
    Silent { option: String },
}

/// Runs the binary with one option, with nothing of the user's: it writes files into its HOME even then.
async fn ask(binary: &Path, option: &str, cache_dir: &Path) -> Result<String, ProbeError> {
    let home = cache_dir.join("claude-probe-home");
    std::fs::create_dir_all(&home).map_err(|source| ProbeError::Home {
        path: home.clone(),
        source,
    })?;
    let toolchains = process::toolchains(&home);
    let mut env = toolchains.env;
    env.extend([
        ("HOME".into(), home.clone().into()),
        ("DISABLE_TELEMETRY".into(), "1".into()),
        ("DISABLE_AUTOUPDATER".into(), "1".into()),
        (
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC".into(),
            "1".into(),
        ),
    ]);
    let task = process::spawn(Command {
        program: binary.into(),
        args: vec![option.into()],
        cwd: home,
        env,
        stdin: Stdin::Null,
        confinement: Confinement::off(),
    })
    .await?;
    let handle = task.handle();
    let mut text = Vec::new();
    let reading = async {
        // A megabyte of help is no help.
        let _ = task.stdout.take(1 << 20).read_to_end(&mut text).await;
        handle.wait().await
    };
    match tokio::time::timeout(PROBE_LIMIT, reading).await {
        Ok(exit) if exit.success() => Ok(String::from_utf8_lossy(&text).into_owned()),
        Ok(exit) => Err(ProbeError::Failed {
            option: option.to_owned(),
            exit,
        }),
        Err(_) => Err(ProbeError::Silent {
            option: option.to_owned(),
        }),
    }
}

/// Written aside and moved into place: several runners may probe at once. A cache that cannot be kept costs a second.
fn keep(cache: &Path, probes: &[Probe]) {
    let aside = cache.with_extension(format!("{}.tmp", std::process::id()));
    let written = serde_json::to_vec(probes)
        .map_err(std::io::Error::from)
        .and_then(|text| std::fs::write(&aside, text));
    if written
        .and_then(|()| std::fs::rename(&aside, cache))
        .is_err()
    {
        let _ = std::fs::remove_file(&aside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_in_a_repository_below_the_root_is_never_the_hosts() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        std::fs::create_dir_all(root.path().join("repo/.git"))?;
        for (path, expected) in [
            ("repo/node_modules/.bin/claude", true),
            ("repo/claude", true),
            ("tools/bin/claude", false),
            ("claude", false),
        ] {
            assert_eq!(
                jobs_write(&root.path().join(path), root.path()),
                expected,
                "{path}"
            );
        }
        assert!(!jobs_write(Path::new("/usr/bin/claude"), root.path()));
        Ok(())
    }

    #[test]
    fn options_are_read_out_of_the_help_and_not_out_of_its_prose() {
        let help = "Usage: claude [options]\n\n  -p, --print            Print (see --bare for less)\n  --allowedTools, --allowed-tools <tools...>\n                         with --output-format=stream-json\n      --bare                Minimal\n";
        let found: Vec<String> = options(help).into_iter().collect();
        assert_eq!(
            found,
            ["--allowed-tools", "--allowedTools", "--bare", "--print"]
        );
    }
}
