//! Refusals about tools: their number, names and ids, their schemas, and the choice among them.

use serde_json::{Value, json};

use super::text::{LIMITS, WANTS};
use super::{Lesson, Reader, lesson};
use crate::facts::SchemaSubset;

impl Reader<'_> {
    pub(super) fn tool_choice(&self) -> Option<Lesson> {
        let sent = self.sent("tool_choice")?;
        if !self
            .text
            .says(&["tool_choice", "tool choice", "toolchoice"])
            || !(self.text.refuses()
                || self
                    .text
                    .says(&["must be", "supported", "expected", "only"]))
        {
            return None;
        }
        let forces = sent.is_object() || (sent != "auto" && sent != "none");
        if forces
            && self.facts().tools.forced_while_thinking
            && self.text.says(&["thinking", "reasoning", "思考"])
        {
            return Some(lesson(
                "tool_choice forces no tool while the model thinks".to_owned(),
                "tools",
                "forced-while-thinking",
                json!(false),
            ));
        }
        let (words, value) = match sent {
            Value::Object(_) => ("tool_choice names no function", "no-named"),
            Value::String(word) if word != "auto" && word != "none" => {
                ("tool_choice forces no tool", "auto-only")
            }
            _ => ("tool_choice is not taken", "none"),
        };
        Some(lesson(words.to_owned(), "tools", "choice", json!(value)))
    }

    pub(super) fn ids(&self) -> Option<Lesson> {
        let of_call = self.text.says(&["tool_call", "tool call", "call_id"])
            && self.text.names("id")
            || self.text.names("tool_call_id");
        if !of_call || !self.text.says(&["length", "long", "characters"]) {
            return None;
        }
        let most = self
            .text
            .numbers()
            .into_iter()
            .filter(|number| (8..=64).contains(number))
            .min()?;
        let exactly = self.text.says(&["a-z", "alphanumeric", "with a length of"]);
        let value = if exactly {
            json!({ "alphanumeric": most })
        } else {
            json!({ "at-most": most })
        };
        Some(lesson(
            format!("ids of calls have {most} characters"),
            "tools",
            "id",
            value,
        ))
    }

    pub(super) fn name_length(&self) -> Option<Lesson> {
        if !(self.has_tools()
            && self.text.names("name")
            && self.text.says(&["long", "length", "characters", "exceed"])
            && self.text.says(&["function", "tool"]))
        {
            return None;
        }
        let limit = u64::from(self.facts().tools.name_limit);
        let most = self
            .text
            .numbers()
            .into_iter()
            .filter(|number| (16..limit).contains(number))
            .min()?;
        Some(lesson(
            format!("names of tools have at most {most} characters"),
            "tools",
            "name-limit",
            json!(most),
        ))
    }

    /// Keywords and forms of the tools' schemas.
    pub(super) fn schema(&self) -> Option<Lesson> {
        let about = self.text.says(&[
            "schema",
            "function",
            "tools",
            "parameters",
            "declaration",
            "items",
            "properties",
            "grammar",
            "gbnf",
            "regex",
            "pattern",
            "工具",
        ]);
        if !about
            || !self.has_tools()
            || !(self.text.refuses()
                || self.text.says(WANTS)
                || self
                    .text
                    .says(&["should be", "must be", "failed", "error", "only"]))
        {
            return None;
        }
        let rule = &self.facts().tools;
        let mut keywords = Vec::new();
        if let Some(tools) = self.sent("tools").and_then(Value::as_array) {
            for tool in tools {
                gather_keywords(&tool["function"]["parameters"], &mut keywords);
            }
        }
        if rule.references
            && self.text.says(&["$ref", "$defs", "definitions"])
            && keywords.iter().any(|word| word == "$ref")
        {
            return Some(lesson(
                "schemas have no references".to_owned(),
                "tools",
                "references",
                json!(false),
            ));
        }
        // What a schema cannot be without is no keyword to be left out.
        let refused: Vec<String> = keywords
            .into_iter()
            .filter(|word| {
                ![
                    "type",
                    "properties",
                    "items",
                    "required",
                    "description",
                    "enum",
                ]
                .contains(&word.as_str())
            })
            .filter(|word| {
                let plain = word.to_lowercase();
                self.text.quotes(&plain) || (plain.len() > 7 && self.text.names(&plain))
            })
            .collect();
        if !refused.is_empty() && (self.text.refuses() || self.text.says(&["only"])) {
            let told = format!("schemas have no {}", refused.join(", "));
            let mut all = rule.refused_keywords.clone();
            all.extend(refused);
            return Some(lesson(told, "tools", "refused-keywords", json!(all)));
        }
        if !self.text.says(&[
            "schema",
            "function_declaration",
            "grammar",
            "gbnf",
            "items",
            "properties",
            "parameters",
        ]) {
            return None;
        }
        let guess = if self.text.says(&["moonshot"]) {
            SchemaSubset::Moonshot
        } else if self.text.says(&[
            "function_declaration",
            "generatecontentrequest",
            "googleapis",
        ]) {
            SchemaSubset::Gemini
        } else if self.text.says(&["grammar", "gbnf"]) {
            SchemaSubset::LlamaCpp
        } else {
            SchemaSubset::Minimal
        };
        let subset = match rule.schema {
            SchemaSubset::Minimal => return None,
            known if known == guess => SchemaSubset::Minimal,
            _ => guess,
        };
        let word = serde_json::to_value(subset).ok()?;
        Some(lesson(
            format!(
                "schemas are of the subset {}",
                word.as_str().unwrap_or_default()
            ),
            "tools",
            "schema",
            word,
        ))
    }

    /// The most tools of one request.
    pub(super) fn tool_count(&self) -> Option<Lesson> {
        let count = self.sent("tools")?.as_array()?.len() as u64;
        let about = self.text.says(&[
            "'tools'",
            "tools is too long",
            "too many tools",
            "number of tools",
            "number of functions",
            "too many functions",
            "tools: array too long",
            "tool count",
            "tools array",
            "max tools",
            "maximum tools",
            "tools exceeds",
            "tools exceed",
            "functions are supported",
            "function declarations",
            "functions exceeds",
            "工具数量",
            "函数数量",
            "tools 数量",
            "tools数量",
            "个函数",
            "个工具",
        ]);
        if !about
            || !(self.text.says(LIMITS)
                || self.text.refuses()
                || self.text.says(&["too many", "too long"]))
        {
            return None;
        }
        // Both the limit and the count may be named: the limit is the largest number below the count.
        let numbers = self.text.numbers();
        let most = numbers
            .into_iter()
            .filter(|number| (1..count).contains(number))
            .max()?;
        Some(lesson(
            format!("a request has at most {most} tools"),
            "tools",
            "max",
            json!(most),
        ))
    }

    /// The longest description of a tool.
    pub(super) fn description_length(&self) -> Option<Lesson> {
        if !(self.has_tools()
            && self.text.names("description")
            && self
                .text
                .says(&["long", "length", "characters", "exceed", "长度", "字符"]))
        {
            return None;
        }
        let tools = self.sent("tools").and_then(Value::as_array);
        let longest = tools
            .into_iter()
            .flatten()
            .filter_map(|tool| tool["function"]["description"].as_str())
            .map(|text| text.chars().count() as u64)
            .max()?;
        let most = self
            .text
            .numbers()
            .into_iter()
            .filter(|number| (64..longest).contains(number))
            .max()?;
        Some(lesson(
            format!("descriptions of tools have at most {most} characters"),
            "tools",
            "description-limit",
            json!(most),
        ))
    }
}

/// The keywords of a schema and of all in it; the names of properties are none.
fn gather_keywords(schema: &Value, into: &mut Vec<String>) {
    match schema {
        Value::Array(list) => list.iter().for_each(|inner| gather_keywords(inner, into)),
        Value::Object(members) => {
            for (keyword, value) in members {
                if !into.contains(keyword) {
                    into.push(keyword.clone());
                }
                match (keyword.as_str(), value) {
                    (
                        "properties" | "patternProperties" | "$defs" | "definitions",
                        Value::Object(named),
                    ) => {
                        named
                            .values()
                            .for_each(|inner| gather_keywords(inner, into));
                    }
                    ("enum" | "const" | "default" | "examples" | "required", _) => {}
                    (_, value) => gather_keywords(value, into),
                }
            }
        }
        _ => {}
    }
}
