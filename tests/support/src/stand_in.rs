//! An agent in Claude Code's place: a shell script with its command line and its events, for stories about jobs that need
//! no model.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A script that plays Claude Code.
pub struct StandIn {
    folder: TempDir,
}

impl StandIn {
    /// `work` is what it does between its first event and its result: a shell script in the job's working directory.
    /// `say TEXT` writes an event; `$PROMPT` names a file with what it was asked; `wait_for FILE` waits until there is one.
    pub fn that(work: &str) -> Self {
        Self::ending(
            work,
            r#"{"type":"result","subtype":"success","is_error":false,"num_turns":2,"result":"All done.","session_id":"s","usage":{"input_tokens":1,"output_tokens":1},"permission_denials":[],"terminal_reason":"completed"}"#,
            0,
        )
    }

    /// An agent that asks its model once and does what the answer says: a shell script, as [`StandIn::orders`] writes it. So each
    /// model of a scripted gateway can have skills of its own.
    pub fn that_obeys() -> Self {
        Self::that(
            r#"printf '{"model":"sonnet","max_tokens":100,"messages":[{"role":"user","content":"%s"}]}' \
  "$(base64 < "$PROMPT" | tr -d '\n')" > "$HOME/body.json"
curl -sS -H "authorization: Bearer $ANTHROPIC_AUTH_TOKEN" -H 'content-type: application/json' \
  --data-binary "@$HOME/body.json" "$ANTHROPIC_BASE_URL/v1/messages" > "$HOME/answer.json"
grep -o 'RUN:[A-Za-z0-9+/=]*' "$HOME/answer.json" | head -n 1 | cut -c5- | base64 -d > "$HOME/orders.sh"
. "$HOME/orders.sh""#,
        )
    }

    /// What a model says to an agent that obeys.
    pub fn orders(script: &str) -> String {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(script);
        format!("RUN:{encoded}")
    }

    /// The task as an agent that obeys has sent it.
    pub fn task_of(message: &str) -> String {
        use base64::Engine as _;
        let decoded = base64::engine::general_purpose::STANDARD.decode(message.trim());
        String::from_utf8_lossy(&decoded.unwrap_or_default()).into_owned()
    }

    /// The same with another last event and exit code; an empty event is none.
    pub fn ending(work: &str, result: &str, exit: i32) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("stand-in-")
            .tempdir()
            .expect("a temporary folder");
        let script = format!(
            r#"#!/bin/sh
case "$*" in
  *--version*) echo "2.1.197 (Claude Code)"; exit 0 ;;
  *--help*) printf '%s\n' --bare --print --output-format --verbose --setting-sources --strict-mcp-config --model \
    --session-id --resume --permission-mode --allowedTools --tools --add-dir --max-turns --mcp-config; exit 0 ;;
esac
PROMPT="$HOME/prompt.txt"
cat > "$PROMPT"
say() {{ printf '{{"type":"assistant","message":{{"id":"m","role":"assistant","model":"m","content":[{{"type":"text","text":"%s"}}],"usage":{{}}}},"session_id":"s"}}\n' "$1"; }}
wait_for() {{ while [ ! -e "$1" ]; do sleep 0.02; done; }}
printf '{{"type":"system","subtype":"init","cwd":"%s","session_id":"s","tools":["Bash","Edit","Read"],"model":"sonnet","permissionMode":"acceptEdits"}}\n' "$PWD"
{work}
printf '%s\n' '{result}'
exit {exit}
"#
        );
        let path = folder.path().join("claude");
        fs::write(&path, script).expect("a script");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .expect("an executable script");
        }
        Self { folder }
    }

    /// The script, for WORKER_CLAUDE_BIN.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("claude")
    }

    /// The folder, readable from within a job.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
