//! The message in a frame, or the answer to a frame that holds none; the same over every transport.

use rmcp::RoleServer;
use rmcp::service::RxJsonRpcMessage;
use serde_json::{Value, json};

use super::frame::{self, Rejection};
use super::reply::refused;

/// The message in a frame, or the answer to a frame that holds none.
pub(super) fn message(frame: &[u8]) -> Result<RxJsonRpcMessage<RoleServer>, Value> {
    let value = frame::parse(frame).map_err(reply_to)?;
    let id = value
        .get("id")
        .filter(|id| id.is_string() || id.is_number())
        .cloned();
    let tool_call = value
        .get("method")
        .is_some_and(|method| method == "tools/call");
    serde_json::from_value(value).map_err(|_| {
        reply_to(Rejection {
            id,
            tool_call,
            malformed: false,
            rule: "must be a JSON-RPC 2.0 message of MCP".to_owned(),
        })
    })
}

/// A tool call is answered in the form of every failed call, everything else as JSON-RPC says.
pub(super) fn reply_to(rejection: Rejection) -> Value {
    let Rejection {
        id,
        tool_call,
        malformed,
        rule,
    } = rejection;
    match id {
        Some(id) if tool_call => {
            let mut result = refused("request", &rule);
            // Of the newest protocol only, where its absence means the same.
            result.result_type = None;
            json!({ "jsonrpc": "2.0", "id": id, "result": result })
        }
        id => {
            let (code, name) = if malformed {
                (-32700, "Parse error")
            } else {
                (-32600, "Invalid request")
            };
            let message = format!("{name}: the message {rule}");
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
        }
    }
}
