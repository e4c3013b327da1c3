//! The one form in which a tool call is answered.

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Value, json};

use super::caller::{Caller, ResultForm};

/// A successful reply. The text repeats the structure for clients that read only text.
///
/// A diff inside JSON costs the model an eighth more than the diff alone: where the structure would hide the texts, a reply
/// with a diff is two texts, the result and the diff.
pub(super) fn answered(mut value: Value, caller: &Caller) -> CallToolResult {
    if caller.result_form() == ResultForm::StructureFirst
        && let Some(reply) = value.as_object_mut()
        && let Some(Value::String(diff)) = reply.get("diff")
        && !diff.is_empty()
    {
        let diff = diff.clone();
        reply.remove("diff");
        return CallToolResult::success(vec![
            ContentBlock::text(value.to_string()),
            ContentBlock::text(diff),
        ]);
    }
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
