//! Findings on Codex: if it knows this server, and waits long enough for it.

use std::path::{Path, PathBuf};

use super::super::setup::client::{MARKETPLACE, PLUGIN, SERVER, qualified};
use super::Finding;
use super::modes::exposure;
use settings::{Settings, setting};

/// Codex's own time-out of a tool call, in seconds, when its config says nothing (CLIENTS.md 2.3).
const TOOL_TIMEOUT_DEFAULT_S: f64 = 300.0;

const WHAT: &str = "Codex";

/// Looks at `$CODEX_HOME/config.toml`, else `~/.codex/config.toml`.
pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    let folder = settings
        .sources
        .environment
        .get("CODEX_HOME")
        .map(std::path::PathBuf::from)
        .or_else(|| settings.home.as_ref().map(|home| home.join(".codex")));
    let Some(path) = folder.map(|folder| folder.join("config.toml")) else {
        return vec![Finding::warn(WHAT, "no home directory", "set HOME")];
    };
    let remedy = "mcp-codex-worker setup";
    let Ok(text) = std::fs::read_to_string(&path) else {
        return vec![Finding::warn(
            WHAT,
            format!("no config at {}", path.display()),
            remedy,
        )];
    };
    let Ok(config) = text.parse::<toml::Table>() else {
        return vec![Finding::fail(
            WHAT,
            format!("{} is no valid TOML", path.display()),
            "correct it: Codex cannot read it either",
        )];
    };
    let installed = plugin(&path, &config);
    let servers = servers(&config);
    let mut findings = vec![match servers.as_slice() {
        [] if let Some(plugin) = &installed => match &plugin.server {
            Some(server) => judge(SERVER, server, settings.wait_default_ms),
            None => Finding::fail(
                WHAT,
                format!("the plugin {} is installed without its server", qualified()),
                remedy,
            ),
        },
        [] => Finding::warn(
            WHAT,
            format!("{} names no mcp-codex-worker", path.display()),
            remedy,
        ),
        [(name, server)] => judge(name, server, settings.wait_default_ms),
        several => Finding::warn(
            WHAT,
            format!(
                "{} names this server {} times",
                path.display(),
                several.len()
            ),
            "keep one of them: the planner pays for each one's tools",
        ),
    }];
    findings.extend(installed.iter().flat_map(|plugin| plugin.judge(&config)));
    findings.extend(
        servers
            .iter()
            .flat_map(|(_, server)| keys(server))
            .map(|key| kept_key(&path, &key)),
    );
    findings
}

/// Our plugin, as Codex has copied it.
struct Plugin {
    folder: PathBuf,
    server: Option<toml::Table>,
}

/// The plugin, where it is installed and not switched off.
fn plugin(config_path: &Path, config: &toml::Table) -> Option<Plugin> {
    let switch = config.get("plugins")?.get(qualified())?.get("enabled");
    if switch.and_then(toml::Value::as_bool) == Some(false) {
        return None;
    }
    let versions = config_path
        .parent()?
        .join("plugins/cache")
        .join(MARKETPLACE)
        .join(PLUGIN);
    // Codex keeps the version that it last took.
    let folder = std::fs::read_dir(versions)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .max_by_key(|path| path.metadata().and_then(|about| about.modified()).ok())?;
    let text = std::fs::read_to_string(folder.join(".mcp.json")).ok();
    let server = text.and_then(|text| {
        let servers: serde_json::Value = serde_json::from_str(&text).ok()?;
        serde_json::from_value(servers.get("mcpServers")?.get(SERVER)?.clone()).ok()
    });
    Some(Plugin { folder, server })
}

impl Plugin {
    fn judge(&self, config: &toml::Table) -> Vec<Finding> {
        let skill = self
            .folder
            .join("skills/delegate-coding-work/SKILL.md")
            .is_file();
        vec![
            if skill {
                Finding::ok("Codex skill", "delegate-coding-work is in the plugin")
            } else {
                Finding::fail(
                    "Codex skill",
                    format!("{} has no skill", self.folder.display()),
                    "mcp-codex-worker setup",
                )
            },
            if is_trusted(config) {
                Finding::ok(
                    "Codex hook",
                    "trusted: a session is woken when its jobs are over",
                )
            } else {
                Finding::warn(
                    "Codex hook",
                    "not trusted yet, so that Codex runs it for nobody",
                    "start Codex, /hooks, trust the Stop hook of codex-worker",
                )
            },
        ]
    }
}

/// Returns true if the user has trusted our Stop hook: Codex notes it below `hooks.state`, by the
/// plugin's or the file's name, the event and two numbers (read off codex-cli 0.171). Which text
/// was trusted is Codex's own to compare.
fn is_trusted(config: &toml::Table) -> bool {
    let state = config
        .get("hooks")
        .and_then(|hooks| hooks.get("state"))
        .and_then(toml::Value::as_table);
    state.into_iter().flatten().any(|(name, state)| {
        name.contains(PLUGIN)
            && name.contains(":stop:")
            && state.get("trusted_hash").is_some()
            && state.get("enabled").and_then(toml::Value::as_bool) != Some(false)
    })
}

/// The secret settings that stand in the server's table with their values.
fn keys(server: &toml::Table) -> Vec<String> {
    server
        .get("env")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flat_map(|env| env.keys())
        .filter(|name| setting(name).is_some_and(|setting| setting.secret))
        .cloned()
        .collect()
}

fn kept_key(path: &Path, key: &str) -> Finding {
    let place =
        "keep it in mcp-codex-worker's own .env instead (setup writes it), which only you can read";
    match exposure(path) {
        Some(mode) => Finding::fail(
            WHAT,
            format!(
                "{} holds {key} and can be read by other users (mode {mode:o})",
                path.display()
            ),
            place,
        ),
        None => Finding::warn(
            WHAT,
            format!(
                "{} holds {key}: Codex and whatever it starts can read it there",
                path.display()
            ),
            place,
        ),
    }
}

/// The servers that run this program, with their names.
fn servers(config: &toml::Table) -> Vec<(&String, &toml::Table)> {
    let ours = |server: &toml::Table| {
        let command = server.get("command").and_then(toml::Value::as_str);
        let arguments = server.get("args").and_then(toml::Value::as_array);
        command
            .into_iter()
            .chain(
                arguments
                    .into_iter()
                    .flatten()
                    .filter_map(toml::Value::as_str),
            )
            .any(|word| word.contains("mcp-codex-worker"))
    };
    config
        .get("mcp_servers")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flatten()
        .filter_map(|(name, server)| Some((name, server.as_table()?)))
        .filter(|(_, server)| ours(server))
        .collect()
}

fn judge(name: &str, server: &toml::Table, wait_default_ms: u64) -> Finding {
    if server.get("enabled").and_then(toml::Value::as_bool) == Some(false) {
        return Finding::warn(
            WHAT,
            format!("[mcp_servers.{name}] is switched off"),
            "remove `enabled = false`",
        );
    }
    if let Some(command) = server.get("command").and_then(toml::Value::as_str)
        && Path::new(command).is_absolute()
        && !Path::new(command).is_file()
    {
        return Finding::fail(
            WHAT,
            format!("[mcp_servers.{name}] starts {command}, which is not there"),
            "mcp-codex-worker setup writes the path of this program",
        );
    }
    // What Codex gives the server wins over what this doctor sees.
    let wait_ms = server
        .get("env")
        .and_then(|env| env.get("WAIT_DEFAULT_MS"))
        .and_then(toml::Value::as_str)
        .and_then(|text| text.parse::<u64>().ok())
        .unwrap_or(wait_default_ms);
    let timeout_s = server
        .get("tool_timeout_sec")
        .and_then(|value| {
            value
                .as_float()
                .or_else(|| value.as_integer().map(|whole| whole as f64))
        })
        .unwrap_or(TOOL_TIMEOUT_DEFAULT_S);
    let wait_s = wait_ms as f64 / 1_000.0;
    if wait_s >= timeout_s {
        return Finding::fail(
            WHAT,
            format!(
                "[mcp_servers.{name}] gives a call up after {timeout_s} s, but a wait lasts {wait_s} s"
            ),
            format!(
                "set tool_timeout_sec = {} there, or lower WAIT_DEFAULT_MS",
                (wait_s * 2.0).ceil().max(600.0)
            ),
        );
    }
    if server
        .get("supports_parallel_tool_calls")
        .and_then(toml::Value::as_bool)
        != Some(true)
    {
        return Finding::warn(
            WHAT,
            format!(
                "[mcp_servers.{name}] makes calls one after another: a wait holds up everything"
            ),
            "set supports_parallel_tool_calls = true there",
        );
    }
    Finding::ok(
        WHAT,
        format!("[mcp_servers.{name}], tool_timeout_sec {timeout_s}, waits {wait_s} s"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::super::Verdict;
    use super::*;

    #[test]
    fn the_example_is_judged_well_and_its_mistakes_are_found() {
        let example = include_str!("../../../../examples/codex-mcp.example.toml");
        let rows = [
            ("", "", Verdict::Ok),
            (
                "tool_timeout_sec = 3600",
                "tool_timeout_sec = 60.5",
                Verdict::Fail,
            ),
            ("tool_timeout_sec = 3600", "", Verdict::Fail),
            ("WAIT_DEFAULT_MS = \"1800000\"", "", Verdict::Ok),
            ("supports_parallel_tool_calls = true", "", Verdict::Warn),
            ("startup_timeout_sec = 30", "enabled = false", Verdict::Warn),
            (
                "command = \"mcp-codex-worker\"",
                "command = \"/gone/mcp-codex-worker\"",
                Verdict::Fail,
            ),
        ];
        for (from, to, verdict) in rows {
            let config: toml::Table = example.replace(from, to).parse().unwrap();
            let servers = servers(&config);
            let (name, server) = servers.first().unwrap();
            let finding = judge(name, server, 240_000);
            assert_eq!(finding.verdict, verdict, "{from} -> {to}: {finding:?}");
        }
    }

    #[test]
    fn a_key_in_codexs_own_config_is_found() {
        let config: toml::Table = "[mcp_servers.w]\ncommand = \"mcp-codex-worker\"\n\
            env = { ONEAPI_API_KEY = \"k\", CLAUDE_MODEL = \"m\" }\n"
            .parse()
            .unwrap();
        let (_, server) = *servers(&config).first().unwrap();
        assert_eq!(keys(server), ["ONEAPI_API_KEY"]);
    }
}
