//! The plugin for Codex and Claude Code: one folder, which both read as a marketplace with one plugin in it: the MCP server, a
//! skill, and the hooks that wake a session (its form: PLANNER's facts, measured with Codex 0.171 and Claude Code 2.1.332).

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::codex_config::{SERVER, STARTUP_TIMEOUT_S, TOOL_TIMEOUT_S, WAIT_MS};
use super::program::Program;

/// The marketplace's name.
pub(in crate::cli) const MARKETPLACE: &str = "mcp-codex-worker";
/// The plugin's name.
pub(in crate::cli) const PLUGIN: &str = "codex-worker";
/// The time that a client lets the hook wait, in seconds: as long as a job lasts unless told
/// otherwise. Codex and Claude Code would take a day, and end a hook that outlasts its time without a
/// word to the model (held by tests with the real ones); one that ends before says what still
/// runs, and the next stop waits on.
pub(super) const HOOK_TIMEOUT_S: u64 = 1_800;
/// The part of it that the hook leaves for its own end, in seconds.
const HOOK_MARGIN_S: u64 = 60;
/// The client's patience at the start of a session, in seconds.
const SESSION_START_TIMEOUT_S: u64 = 10;

const SKILL: &str = include_str!("SKILL.md");

/// The plugin as clients name it.
pub(in crate::cli) fn qualified() -> String {
    format!("{PLUGIN}@{MARKETPLACE}")
}

/// The files of the folder, by their paths in it.
pub(super) fn files(program: &Program<'_>) -> Vec<(PathBuf, String)> {
    const DESCRIPTION: &str = "Delegates coding work to a cheap background worker and wakes the session with verified results";
    let version = env!("CARGO_PKG_VERSION");
    let plugin = Path::new("plugins").join(PLUGIN);
    let source = format!("./plugins/{PLUGIN}");
    let text = |value: Value| format!("{value:#}\n");
    vec![
        (
            ".agents/plugins/marketplace.json".into(),
            text(json!({
                "name": MARKETPLACE,
                "plugins": [{
                    "name": PLUGIN,
                    "source": { "source": "local", "path": source },
                    "policy": { "installation": "AVAILABLE" },
                    "category": "Developer Tools",
                }],
            })),
        ),
        (
            ".claude-plugin/marketplace.json".into(),
            text(json!({
                "name": MARKETPLACE,
                "owner": { "name": MARKETPLACE },
                "plugins": [{ "name": PLUGIN, "source": source, "description": DESCRIPTION }],
            })),
        ),
        (
            plugin.join(".codex-plugin/plugin.json"),
            text(json!({
                "name": PLUGIN, "version": version, "description": DESCRIPTION,
                "skills": "./skills/", "mcpServers": "./.mcp.json", "hooks": "./hooks/hooks.json",
            })),
        ),
        (
            plugin.join(".claude-plugin/plugin.json"),
            text(json!({ "name": PLUGIN, "version": version, "description": DESCRIPTION })),
        ),
        (plugin.join(".mcp.json"), text(server(program))),
        (plugin.join("hooks/hooks.json"), text(hooks(program))),
        (
            plugin.join("skills/delegate-coding-work/SKILL.md"),
            SKILL.to_owned(),
        ),
    ]
}

fn server(program: &Program<'_>) -> Value {
    let mut arguments: Vec<String> = strings(program);
    arguments.push("serve".to_owned());
    let mut server = json!({
        "command": program.path,
        "args": arguments,
        "startup_timeout_sec": STARTUP_TIMEOUT_S,
        "tool_timeout_sec": TOOL_TIMEOUT_S,
        "supports_parallel_tool_calls": true,
        "env": { "WAIT_DEFAULT_MS": WAIT_MS },
    });
    if !program.variables.is_empty() {
        server["env_vars"] = json!(program.variables);
    }
    json!({ "mcpServers": { SERVER: server } })
}

fn hooks(program: &Program<'_>) -> Value {
    let hook = |event: &str, timeout: u64| {
        let mut words = vec![process::shell_word(&program.path.to_string_lossy()).into_owned()];
        let arguments = strings(program);
        words.extend(
            arguments
                .iter()
                .map(|argument| process::shell_word(argument).into_owned()),
        );
        words.push(format!("hook {event}"));
        json!([{ "hooks": [{ "type": "command", "command": words.join(" "), "timeout": timeout }] }])
    };
    let wait = HOOK_TIMEOUT_S - HOOK_MARGIN_S;
    json!({
        "description": "Wakes a session once when the jobs that it started are over; waiting costs no token.",
        "hooks": {
            "Stop": hook(&format!("stop --wait {wait}"), HOOK_TIMEOUT_S),
            "SessionStart": hook("session-start", SESSION_START_TIMEOUT_S),
        },
    })
}

fn strings(program: &Program<'_>) -> Vec<String> {
    program
        .arguments
        .iter()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect()
}
