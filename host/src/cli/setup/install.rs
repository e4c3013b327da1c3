//! Installing the plugin by the client's own commands, so that it shows, updates and removes it like any other.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::arguments::SetupArguments;
use super::client_config::{agreed, codex_config_path, codex_table, say};
use super::codex_config;
use super::error::SetupError;
use super::package::{self, MARKETPLACE};
use super::program::Program;
use settings::{EditedFile, Sources};

/// A client that installs plugins from a folder.
struct Host {
    /// The client's program.
    program: PathBuf,
    /// The word that installs a plugin, behind `plugin`.
    add: &'static str,
    /// The word that removes one.
    remove: &'static str,
}

/// Codex: the plugin, or the table where there is no Codex that knows plugins, or a config file was named.
pub(super) fn codex(
    sources: &Sources,
    arguments: &SetupArguments,
    program: &Program<'_>,
) -> Result<(), SetupError> {
    if arguments.client_config.is_some() {
        return codex_table(sources, arguments, program);
    }
    let host = on_path(sources, "codex").map(|program| Host {
        program,
        add: "add",
        remove: "remove",
    });
    match host.filter(Host::knows_plugins) {
        Some(host) if arguments.undo => {
            host.uninstall(sources, arguments)?;
            codex_table(sources, arguments, program)
        }
        Some(host) => {
            host.install(sources, arguments, program)?;
            if has_table(sources, arguments)? {
                say(
                    "Codex keeps to the table mcp_servers.codex_async_worker in its config.toml, which goes before the plugin's server",
                );
            }
            if !arguments.print {
                say(
                    "Codex runs hooks that you have trusted: start it once and say so in /hooks; until then nobody is woken",
                );
            }
            Ok(())
        }
        None => codex_table(sources, arguments, program),
    }
}

/// Claude Code: the plugin, or the command that adds the server where there is no Claude Code on PATH.
pub(super) fn claude_code(
    sources: &Sources,
    arguments: &SetupArguments,
    program: &Program<'_>,
) -> Result<(), SetupError> {
    let host = on_path(sources, "claude").map(|program| Host {
        program,
        add: "install",
        remove: "uninstall",
    });
    match host.filter(Host::knows_plugins) {
        Some(host) if arguments.undo => host.uninstall(sources, arguments),
        Some(host) => host.install(sources, arguments, program),
        None => {
            let name = codex_config::SERVER;
            say(&if arguments.undo {
                format!("claude mcp remove {name}")
            } else {
                format!("claude mcp add {name} -- {} serve", program.path.display())
            });
            Ok(())
        }
    }
}

impl Host {
    fn knows_plugins(&self) -> bool {
        Command::new(&self.program)
            .args(["plugin", "--help"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn install(
        &self,
        sources: &Sources,
        arguments: &SetupArguments,
        program: &Program<'_>,
    ) -> Result<(), SetupError> {
        let folder = folder(sources);
        let files = package::files(program);
        let commands = [
            vec![
                "marketplace".into(),
                "add".into(),
                folder.display().to_string(),
            ],
            vec![self.add.into(), package::qualified()],
        ];
        let mut shown = String::new();
        for (path, text) in &files {
            if path.ends_with(".mcp.json") || path.ends_with("hooks.json") {
                shown.push_str(&format!("# {}\n{text}", folder.join(path).display()));
            } else {
                shown.push_str(&format!("# {}\n", folder.join(path).display()));
            }
        }
        for command in &commands {
            shown.push_str(&format!("{}\n", self.line(command)));
        }
        if arguments.print {
            say(shown.trim_end());
            return Ok(());
        }
        if !agreed(&folder, &shown, arguments)? {
            return Ok(());
        }
        for (path, text) in &files {
            let path = folder.join(path);
            EditedFile::open(&path)
                .and_then(|file| file.write_private(text))
                .map_err(SetupError::file(&path))?;
        }
        say(&format!("wrote {}", folder.display()));
        for command in &commands {
            self.run(command)?;
        }
        Ok(())
    }

    fn uninstall(&self, sources: &Sources, arguments: &SetupArguments) -> Result<(), SetupError> {
        let folder = folder(sources);
        let commands = [
            vec![self.remove.into(), package::qualified()],
            vec!["marketplace".into(), "remove".into(), MARKETPLACE.into()],
        ];
        let shown: Vec<String> = commands.iter().map(|command| self.line(command)).collect();
        if !agreed(&folder, &format!("{}\n", shown.join("\n")), arguments)? {
            return Ok(());
        }
        for command in &commands {
            // One that was never installed is as good as removed.
            if let Err(reason) = self.run(command) {
                say(&format!("{reason}"));
            }
        }
        Ok(())
    }

    fn line(&self, command: &[String]) -> String {
        format!("{} plugin {}", self.program.display(), command.join(" "))
    }

    fn run(&self, command: &[String]) -> Result<(), SetupError> {
        let failed = |reason: String| SetupError::Client {
            command: self.line(command),
            reason,
        };
        let output = Command::new(&self.program)
            .arg("plugin")
            .args(command)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            say(&format!("ran {}", self.line(command)));
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let first = said.lines().map(str::trim).find(|line| !line.is_empty());
        Err(failed(
            first.unwrap_or("it failed without a word").to_owned(),
        ))
    }
}

/// Returns true if an earlier setup, or the user, wrote our table.
fn has_table(sources: &Sources, arguments: &SetupArguments) -> Result<bool, SetupError> {
    let path = codex_config_path(sources, arguments)?;
    let file = EditedFile::open(&path).map_err(SetupError::file(&path))?;
    let text = file.text();
    Ok(codex_config::without(text).is_ok_and(|without| without != text))
}

/// The folder of the plugin's files: clients read them there, or copy them.
fn folder(sources: &Sources) -> PathBuf {
    let config = sources.config_path();
    config
        .parent()
        .unwrap_or(Path::new("."))
        .join("client-plugin")
}

/// A program on the PATH of whoever runs `setup`.
fn on_path(sources: &Sources, name: &str) -> Option<PathBuf> {
    let path = sources.environment.get("PATH")?;
    let file = if cfg!(windows) {
        format!("{name}.exe")
    } else {
        name.to_owned()
    };
    std::env::split_paths(path)
        .map(|folder| folder.join(&file))
        .find(|program| program.is_file())
}
