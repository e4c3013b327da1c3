//! The reply of a call.

use serde_json::{Map, Value, json};

use super::files::Files;
use redact::Redactor;

/// A reply: what was read, from where, and what was left out.
pub(super) fn reply(
    files: Files,
    redactor: &Redactor,
    (name, shown): (&str, String),
    counts: &[(&str, usize)],
) -> Value {
    let base = files.base.to_string_lossy();
    let mut fields = Map::new();
    fields.insert("base".to_owned(), redactor.text(&base).into_string().into());
    fields.insert(name.to_owned(), shown.into());
    for (name, count) in counts {
        fields.insert((*name).to_owned(), json!(count));
    }
    if let Some(left_out) = files.left_out.reply(redactor) {
        fields.insert("left_out".to_owned(), left_out);
    }
    Value::Object(fields)
}
