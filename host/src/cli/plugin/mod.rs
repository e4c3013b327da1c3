//! `mcp-codex-worker plugin ...`: write, test, look at, install and remove plugins.

/// Prints a line to standard output. A reader that has seen enough (`| head`) ends the command without a word.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::cli::plugin::print_line(format_args!($($words)*))
    };
}

mod add;
mod fetch;
mod inspect;
mod install;
mod list;
mod make;
mod publish;
mod registry;
mod team;
pub(super) mod transfer;
mod versions;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};

use super::terminal::complain;
use super::{GlobalOptions, exit};
use plugins::{Engine, Kind, PluginSettings};
use settings::Settings;
use signing::{KeyError, PublicKey};

/// `plugin` and its subcommands.
#[derive(Debug, Args)]
pub(super) struct PluginArguments {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Make a new plugin's folder: source, manifest, a case, and everything it needs to build anywhere
    New {
        /// The kind
        kind: KindArgument,
        /// The name: small letters, digits, dashes
        name: String,
        /// The language (all but rust: checks only)
        #[arg(long, default_value = "rust")]
        lang: LanguageArgument,
        /// The folder to make; NAME in the current one by default
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
    /// Build the plugin in a folder to a component, and pin it in plugin.toml
    Build {
        /// Folder with a plugin.toml
        #[arg(default_value = ".", value_name = "FOLDER")]
        dir: PathBuf,
    },
    /// Run a plugin's cases (cases/*/case.json) in the real engine
    Test {
        /// Folder with a plugin.toml
        #[arg(default_value = ".", value_name = "FOLDER")]
        dir: PathBuf,
    },
    /// Show what a plugin is, what it wants and what it may do, before installing it
    Inspect {
        /// A component, a folder with a plugin.toml, or the name of an installed plugin
        plugin: String,
        /// As a job in this repository would get it, by [repositories] of the config file
        #[arg(long, value_name = "FOLDER")]
        repository: Option<PathBuf>,
    },
    /// Show the bundled and the installed plugins
    List {
        /// Show them as a job in this repository gets them, by [repositories] of the config file
        #[arg(long, value_name = "FOLDER")]
        repository: Option<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Install a plugin: copy its component to the config folder and write the entry, with its sha256
    Add {
        /// A component, a folder with a plugin.toml, a URL, oci://HOST/NAME@sha256:HEX, or oci-layout:FOLDER
        path: String,
        /// Refuse a component with another digest; a URL needs it
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
        /// The name in the configuration; the plugin's own by default
        #[arg(long)]
        name: Option<String>,
        /// Grant it what it wants: "clock", "files:GLOB"; may be repeated
        #[arg(long = "grant", value_name = "GRANT")]
        grants: Vec<String>,
        /// A check that runs only where a job asks for it, and not for every job
        #[arg(long)]
        on_request: bool,
        /// Replace another plugin of this name
        #[arg(long)]
        replace: bool,
        /// Refuse a component that this key did not sign: ed25519:BASE64, or a file with a public key
        #[arg(long, value_name = "KEY", value_parser = public_key)]
        signer: Option<PublicKey>,
    },
    /// Try a check on trees that are odd but can be: links, modes, renames, bytes that are no text, 20 MB
    Fuzz {
        /// The plugin's folder
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Write a case of what a plugin saw in a finished job, redacted, that `plugin test` plays again
    Case {
        /// The job's id, the beginning of one, or `last`
        job: String,
        /// The plugin's folder
        #[arg(long, default_value = ".", value_name = "FOLDER")]
        dir: PathBuf,
        /// The check of the job, where the plugin ran as more than one
        #[arg(long)]
        check: Option<String>,
        /// The case's name; the job's id by default
        #[arg(long)]
        name: Option<String>,
    },
    /// Pin a plugin for everybody who works in a repository: in its plugins.lock
    Lock {
        /// A path in the repository, a URL, oci://HOST/NAME@sha256:HEX, or oci-layout:FOLDER
        source: String,
        /// A folder of the repository
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        repository: PathBuf,
        /// Refuse a component with another digest; a URL needs it
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
        /// What it asks for: "clock", "files:GLOB"; may be repeated
        #[arg(long = "grant", value_name = "GRANT")]
        grants: Vec<String>,
        /// Sign the lock with this private key (openssl genpkey -algorithm ed25519)
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Use the plugins that a repository asks for in its plugins.lock, for jobs in it
    Accept {
        /// A folder of the repository
        #[arg(default_value = ".")]
        repository: PathBuf,
        /// Let them do what they ask for; may be repeated
        #[arg(long = "grant", value_name = "GRANT")]
        grants: Vec<String>,
        /// Refuse plugins that this key signed neither one by one nor with the lock: ed25519:BASE64, or a file
        #[arg(long, value_name = "KEY", value_parser = public_key)]
        signer: Option<PublicKey>,
        /// Replace another version of them that is in use beyond this repository
        #[arg(long)]
        replace: bool,
    },
    /// Replace an installed plugin by another version, and show what that changes
    Update {
        /// Its name
        name: String,
        /// The source of the version; by default the one it came from
        source: Option<String>,
        /// Refuse a component with another digest; a URL needs it
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
        /// Let it do what the new version wants; may be repeated
        #[arg(long = "grant", value_name = "GRANT")]
        grants: Vec<String>,
        /// The key that signs it from now on: ed25519:BASE64, or a file; the one of before by default
        #[arg(long, value_name = "KEY", value_parser = public_key)]
        signer: Option<PublicKey>,
    },
    /// Take the version back that was installed before
    Rollback {
        /// Its name
        name: String,
    },
    /// Put a plugin into an OCI registry, or into an OCI layout on disk
    Publish {
        /// oci://HOST/NAME[:TAG] or oci-layout:FOLDER
        to: String,
        /// A component, or a folder with a plugin.toml
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Sign it with this private key (openssl genpkey -algorithm ed25519)
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Remove an installed plugin
    Remove {
        /// Its name
        name: String,
    },
    /// Use a plugin again
    Enable {
        /// Its name
        name: String,
    },
    /// Stop using a plugin, and keep its entry
    Disable {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArgument {
    Check,
    Summarizer,
    Redactor,
    Dialect,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LanguageArgument {
    Rust,
    #[value(alias = "js")]
    Javascript,
    Python,
    Go,
    C,
}

impl From<KindArgument> for Kind {
    fn from(kind: KindArgument) -> Self {
        match kind {
            KindArgument::Check => Kind::Check,
            KindArgument::Summarizer => Kind::Summarizer,
            KindArgument::Redactor => Kind::Redactor,
            KindArgument::Dialect => Kind::Dialect,
        }
    }
}

/// Reads a public key: its text, or the name of its file.
fn public_key(word: &str) -> Result<PublicKey, KeyError> {
    match word.starts_with("ed25519:") {
        true => word.parse(),
        false => PublicKey::read(Path::new(word)),
    }
}

/// The reason why a subcommand failed: a text for people.
type Failure = Box<dyn std::error::Error>;

pub(super) fn run(global: &GlobalOptions, arguments: &PluginArguments) -> ExitCode {
    let result = match &arguments.command {
        PluginCommand::New {
            kind,
            name,
            lang,
            dir,
        } => make::new((*kind).into(), name, *lang, dir.as_deref()),
        command => {
            let settings = match global.settings() {
                Ok(settings) => settings,
                Err(code) => return code,
            };
            match command {
                PluginCommand::Build { dir } => make::build(&settings, dir),
                PluginCommand::Test { dir } => make::test(&settings, dir),
                PluginCommand::Inspect { plugin, repository } => {
                    inspect::run(&settings, plugin, repository.as_deref())
                }
                PluginCommand::List { repository, json } => {
                    list::run(&settings, repository.as_deref(), *json)
                }
                PluginCommand::Add {
                    path,
                    sha256,
                    name,
                    grants,
                    on_request,
                    replace,
                    signer,
                } => add::run(
                    &settings,
                    &add::Wish {
                        path,
                        sha256: sha256.as_deref(),
                        name: name.as_deref(),
                        grants,
                        every_job: !on_request,
                        replace: *replace,
                        signer: *signer,
                    },
                ),
                PluginCommand::Fuzz { dir } => make::fuzz(&settings, dir),
                PluginCommand::Case {
                    job,
                    dir,
                    check,
                    name,
                } => make::case(&settings, job, dir, check.as_deref(), name.as_deref()),
                PluginCommand::Lock {
                    source,
                    repository,
                    sha256,
                    grants,
                    key,
                } => team::lock(
                    &settings,
                    source,
                    repository,
                    sha256.as_deref(),
                    grants,
                    key.as_deref(),
                ),
                PluginCommand::Accept {
                    repository,
                    grants,
                    signer,
                    replace,
                } => team::accept(&settings, repository, grants, *signer, *replace),
                PluginCommand::Update {
                    name,
                    source,
                    sha256,
                    grants,
                    signer,
                } => versions::update(
                    &settings,
                    name,
                    source.as_deref(),
                    sha256.as_deref(),
                    grants,
                    *signer,
                ),
                PluginCommand::Rollback { name } => versions::rollback(&settings, name),
                PluginCommand::Publish { to, dir, key } => {
                    publish::publish(&settings, dir, to, key.as_deref())
                }
                PluginCommand::Remove { name } => add::remove(&settings, name),
                PluginCommand::Enable { name } => add::enable(&settings, name, true),
                PluginCommand::Disable { name } => add::enable(&settings, name, false),
                PluginCommand::New { .. } => Ok(true),
            }
        }
    };
    match result {
        Ok(true) => ExitCode::from(exit::OK),
        Ok(false) => ExitCode::from(exit::FAILED),
        Err(error) => {
            complain(format_args!("mcp-codex-worker: {error}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

fn print_line(line: std::fmt::Arguments<'_>) {
    let printed = writeln!(std::io::stdout(), "{line}");
    match printed {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            std::process::exit(exit::OK.into())
        }
        Err(error) => {
            tracing::error!("standard output: {error}");
            std::process::exit(exit::FAILED.into())
        }
    }
}

fn engine(settings: &Settings) -> Result<Arc<Engine>, Failure> {
    Ok(Engine::shared(&settings.cache_dir)?)
}

/// Returns the settings that hold everywhere, or for a job in this folder.
fn plugin_settings(settings: &Settings, repository: Option<&Path>) -> PluginSettings {
    let top = |path: &Path| {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let top = path.ancestors().find(|place| place.join(".git").exists());
        top.unwrap_or(&path).to_owned()
    };
    let tops: Vec<PathBuf> = repository.map(top).into_iter().collect();
    PluginSettings::of(settings, &tops)
}

/// The config file that the settings came from, or would come from.
fn config_file(settings: &Settings) -> PathBuf {
    settings.sources.config_path()
}

/// `12.1 MB`, `130 KB`.
fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        bytes => format!("{:.0} KB", (bytes as f64 / 1e3).max(1.0)),
    }
}

/// A folder as given, for messages that are copied into a shell.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
