//! One call, many jobs: the same task for each of some items.

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// The most items of one call.
pub(super) const ITEMS_MAX: usize = 100;
/// The longest item, in bytes.
const ITEM_MAX: usize = 2_000;
/// The mark for the item in the task.
const PLACE: &str = "{item}";

/// The arguments of one job, with the item that they are for.
pub(super) struct Each {
    pub(super) item: String,
    pub(super) arguments: Map<String, Value>,
}

/// Takes `each` out of the arguments of `start`, and makes the arguments of every job: `{item}` is put into the prompt, into scopes
/// and into checks. Nothing where the call has no `each`.
///
/// The jobs are isolated, since they run side by side. In a shell line the item is one word, whatever is in it.
///
/// # Errors
/// `each` is no list of items, or the prompt names no `{item}`.
pub(super) fn expand(arguments: &mut Map<String, Value>) -> Result<Option<Vec<Each>>, Refusal> {
    let items = match arguments.remove("each") {
        None | Some(Value::Null) => return Ok(None),
        Some(items) => items,
    };
    let rule = || {
        Refusal::new(
            "each",
            format!("must be a list of 1 to {ITEMS_MAX} strings of at most {ITEM_MAX} bytes"),
        )
    };
    let Value::Array(items) = items else {
        return Err(rule());
    };
    if items.is_empty() || items.len() > ITEMS_MAX {
        return Err(rule());
    }
    if arguments
        .get("resume_job_id")
        .is_some_and(|id| !id.is_null())
    {
        return Err(Refusal::new(
            "resume_job_id",
            "goes on in one job; leave each out",
        ));
    }
    match arguments.get("isolation") {
        None | Some(Value::Null) => {
            arguments.insert("isolation".to_owned(), "worktree".into());
        }
        Some(Value::String(isolation)) if isolation == "worktree" => {}
        Some(_) => {
            return Err(Refusal::new(
                "isolation",
                "must be worktree with each: the jobs run side by side",
            ));
        }
    }
    let names_item =
        |value: Option<&Value>| value.is_some_and(|value| value.to_string().contains(PLACE));
    if !names_item(arguments.get("prompt")) {
        return Err(Refusal::new(
            "prompt",
            "must say {item} where each item goes",
        ));
    }
    items
        .into_iter()
        .map(|item| match item {
            Value::String(item)
                if !item.trim().is_empty() && item.len() <= ITEM_MAX && !item.contains('\0') =>
            {
                Ok(Each {
                    arguments: of(arguments, &item),
                    item,
                })
            }
            _ => Err(rule()),
        })
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

fn of(arguments: &Map<String, Value>, item: &str) -> Map<String, Value> {
    let mut arguments = arguments.clone();
    for (key, value) in &mut arguments {
        match key.as_str() {
            "prompt" | "scoped_patch" => put(value, item),
            "checks" => {
                for check in value.as_array_mut().into_iter().flatten() {
                    let Some(check) = check.as_object_mut() else {
                        continue;
                    };
                    for (key, value) in check {
                        match (key.as_str(), &mut *value) {
                            // A shell reads it.
                            ("command", Value::String(line)) => {
                                *line = line.replace(PLACE, &process::shell_word(item));
                            }
                            // Names are lines.
                            ("name", Value::String(name)) => {
                                *name = redact::text::one_line(&name.replace(PLACE, item), 100);
                            }
                            _ => put(value, item),
                        }
                    }
                }
            }
            _ => {}
        }
    }
    arguments
}

/// Puts the item into every string of a value.
fn put(value: &mut Value, item: &str) {
    match value {
        Value::String(text) => *text = text.replace(PLACE, item),
        Value::Array(values) => values.iter_mut().for_each(|value| put(value, item)),
        Value::Object(fields) => fields.values_mut().for_each(|value| put(value, item)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn expanded(arguments: Value) -> Result<Option<Vec<Each>>, Refusal> {
        expand(arguments.as_object().cloned().as_mut().unwrap())
    }

    #[test]
    fn each_item_is_put_where_the_task_names_it() {
        let jobs = expanded(json!({
            "prompt": "Migrate {item}.", "each": ["src/a.js", "it's\n$(here)"],
            "scoped_patch": { "paths": ["{item}"] },
            "checks": [
                { "name": "test {item}", "command": "npm test -- {item}", "env": { "FILE": "{item}" } },
                { "name": "list", "command": ["ls", "{item}"] },
            ],
        }))
        .unwrap()
        .unwrap();
        let [plain, odd] = &jobs[..] else {
            unreachable!()
        };
        assert_eq!(
            Value::Object(plain.arguments.clone()),
            json!({
                "prompt": "Migrate src/a.js.", "isolation": "worktree",
                "scoped_patch": { "paths": ["src/a.js"] },
                "checks": [
                    { "name": "test src/a.js", "command": "npm test -- src/a.js", "env": { "FILE": "src/a.js" } },
                    { "name": "list", "command": ["ls", "src/a.js"] },
                ],
            })
        );
        // One word of the line, whatever is in it.
        assert_eq!(
            odd.arguments["checks"][0]["command"],
            "npm test -- 'it'\\''s\n$(here)'"
        );
        assert_eq!(odd.arguments["checks"][0]["name"], "test it's $(here)");
        assert_eq!(odd.arguments["checks"][1]["command"][1], "it's\n$(here)");
    }

    #[test]
    fn what_cannot_be_done_for_each_is_refused_by_name() {
        let many = vec!["x"; ITEMS_MAX + 1];
        for (arguments, argument) in [
            (json!({ "prompt": "{item}", "each": [] }), "each"),
            (json!({ "prompt": "{item}", "each": many }), "each"),
            (json!({ "prompt": "{item}", "each": "a" }), "each"),
            (json!({ "prompt": "{item}", "each": ["a", 3] }), "each"),
            (json!({ "prompt": "{item}", "each": ["a", " "] }), "each"),
            (
                json!({ "prompt": "{item}", "each": ["x".repeat(ITEM_MAX + 1)] }),
                "each",
            ),
            (json!({ "prompt": "no place", "each": ["a"] }), "prompt"),
            (
                json!({ "prompt": "{item}", "each": ["a"], "isolation": "none" }),
                "isolation",
            ),
            (
                json!({ "prompt": "{item}", "each": ["a"], "resume_job_id": "x" }),
                "resume_job_id",
            ),
        ] {
            let refused = expanded(arguments.clone()).map(drop).unwrap_err();
            assert_eq!(refused.argument, argument, "{arguments}");
        }
        assert!(expanded(json!({ "prompt": "p" })).unwrap().is_none());
        assert!(
            expanded(json!({ "prompt": "p", "each": null }))
                .unwrap()
                .is_none()
        );
    }
}
