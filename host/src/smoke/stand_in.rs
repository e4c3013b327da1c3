//! This program in Claude Code's place: its command line, its events, and as much of its work as a smoke test needs. It
//! asks the job's adapter with the job's token and does the edits that the model wants.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use serde_json::{Value, json};

use crate::reason::{Reason, fail};
use gateway::{Caller, Said, ToolCall};

/// The file name under which this program plays the agent.
pub(super) const NAME: &str = "mcp-codex-worker-stand-in";

/// The most turns; the script ends long before.
const TURNS_MAX: usize = 10;

/// The options that a job needs an agent to know.
const HELP: &str = "\
  -p, --print
  --output-format <format>
  --verbose
  --bare
  --setting-sources <sources>
  --strict-mcp-config
  --model <model>
  --session-id <id>
  --resume <id>
  --permission-mode <mode>
  --allowedTools <tools>
  --tools <tools>
  --add-dir <directory>
  --max-turns <turns>
";

/// Plays the agent when this program was started under that name.
pub(crate) fn main() -> Option<ExitCode> {
    let mut arguments = env::args_os();
    let name = arguments.next()?;
    if Path::new(&name).file_name()? != NAME {
        return None;
    }
    let mut out = io::stdout();
    let mut said = |text: &str| {
        let _ = writeln!(out, "{text}");
        ExitCode::SUCCESS
    };
    for argument in arguments {
        match argument.to_str() {
            Some("--version") => return Some(said("0.0.0 (stand-in)")),
            Some("--help") => return Some(said(HELP)),
            _ => {}
        }
    }
    let outcome = work(&mut |event| {
        said(&event.to_string());
    });
    let event = match &outcome {
        Ok(done) => json!({
            "type": "result", "subtype": "success", "is_error": false, "num_turns": done.turns, "result": done.words,
            "session_id": "stand-in", "permission_denials": [], "terminal_reason": "completed",
            "usage": {"input_tokens": done.input_tokens, "output_tokens": done.output_tokens},
        }),
        Err(error) => json!({
            "type": "result", "subtype": "success", "is_error": true, "num_turns": 1, "result": error.0,
            "session_id": "stand-in", "permission_denials": [],
        }),
    };
    said(&event.to_string());
    Some(match outcome {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

#[derive(Default)]
struct Done {
    turns: usize,
    words: String,
    input_tokens: u64,
    output_tokens: u64,
}

fn work(tell: &mut dyn FnMut(Value)) -> Result<Done, Reason> {
    let variable = |name: &str| env::var(name).map_err(|_| format!("{name} is not set"));
    let caller = Caller::new(
        &variable("ANTHROPIC_BASE_URL")?,
        &variable("ANTHROPIC_AUTH_TOKEN")?,
    )?;
    let mut prompt = String::new();
    io::stdin().read_to_string(&mut prompt)?;
    let here = env::current_dir()?;
    tell(json!({
        "type": "system", "subtype": "init", "cwd": here, "session_id": "stand-in", "tools": ["Edit"],
        "model": "stand-in", "permissionMode": "acceptEdits",
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut conversation = vec![json!({"role": "user", "content": prompt})];
    let mut done = Done::default();
    while done.turns < TURNS_MAX {
        let said = runtime.block_on(caller.ask(&request(&conversation), true))?;
        done.turns += 1;
        done.input_tokens += said.input_tokens;
        done.output_tokens += said.output_tokens;
        for block in blocks(&said) {
            tell(json!({
                "type": "assistant", "session_id": "stand-in",
                "message": {"id": format!("m{}", done.turns), "role": "assistant", "model": "stand-in",
                    "content": [block], "usage": {}},
            }));
        }
        conversation.push(said.as_message());
        if said.calls.is_empty() {
            done.words = said.text;
            return Ok(done);
        }
        let results: Vec<Value> = said.calls.iter().map(result_of).collect();
        for result in &results {
            tell(json!({
                "type": "user", "session_id": "stand-in", "message": {"role": "user", "content": [result]},
            }));
        }
        conversation.push(json!({"role": "user", "content": results}));
    }
    fail!("the model wanted more than {TURNS_MAX} turns")
}

/// The request for the next turn of a conversation, with the one tool there is.
pub(super) fn request(conversation: &[Value]) -> Value {
    let text = json!({"type": "string"});
    json!({
        "model": "sonnet",
        "max_tokens": 1_000,
        "messages": conversation,
        "tools": [{
            "name": "Edit",
            "description": "Replaces a text in a file.",
            "input_schema": {
                "type": "object",
                "properties": {"file_path": text, "old_string": text, "new_string": text},
                "required": ["file_path", "old_string", "new_string"],
            },
        }],
    })
}

fn blocks(said: &Said) -> Vec<Value> {
    said.as_message()["content"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn result_of(call: &ToolCall) -> Value {
    let outcome = edit(call);
    json!({
        "type": "tool_result", "tool_use_id": call.id, "is_error": outcome.is_err(),
        "content": outcome.map_or_else(|reason| reason.0, |()| "done".to_owned()),
    })
}

fn edit(call: &ToolCall) -> Result<(), Reason> {
    let input = |key: &str| call.input[key].as_str().unwrap_or_default();
    if call.name != "Edit" {
        fail!("there is no tool {}", call.name);
    }
    let path = Path::new(input("file_path"));
    let before = fs::read_to_string(path)?;
    let after = before.replacen(input("old_string"), input("new_string"), 1);
    if after == before {
        fail!("the text to replace is not there");
    }
    Ok(fs::write(path, after)?)
}
