//! The one form in which a tool call is answered.

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Value, json};

/// A successful reply. The text repeats the structure for clients that read only text.
pub(super) fn answered(value: Value) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(value.to_string())]);
    result.structured_content = Some(value);
    result
}

/// A failed call: short, in the same place as every other reply, and naming what to change.
pub(super) fn refused(argument: &str, rule: &str) -> CallToolResult {
    let value = json!({ "error": { "argument": argument, "rule": rule } });
    let mut result = CallToolResult::error(vec![ContentBlock::text(value.to_string())]);
    result.structured_content = Some(value);
    result
}
