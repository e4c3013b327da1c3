//! The grammar of refusals: a few kinds of sentences, in English and Chinese, about what was sent.
//!
//! A refusal can name anything, and lie. So a lesson is only learned about what is in the request that was refused, and
//! only what says the same to the model is changed: nothing here takes tools, messages or images away.

use serde_json::{Map, Value, json};

use super::Lesson;
use crate::facts::{
    EFFORTS, Facts, ReasoningTurns, SchemaSubset, StructuredOutput, SystemRole, TokenField,
};

/// A refusal, and the request that was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    /// The gateway's words.
    pub(crate) message: &'a str,
    /// The parameter that its error names in a field of its own.
    pub(crate) param: Option<&'a str>,
    /// The body that was sent.
    pub(crate) sent: &'a Value,
    /// The facts that it was made with.
    pub(crate) facts: &'a Facts,
}

/// Words of a refusal as such.
const REFUSES: [&str; 45] = [
    "unavailable",
    "unknown",
    "unrecognized",
    "unrecognised",
    "unsupported",
    "not support",
    "n't support",
    "not allowed",
    "not permitted",
    "not accept",
    "not available",
    "not recognized",
    "not valid",
    "not a valid",
    "not implemented",
    "no such",
    "extra inputs",
    "extra fields",
    "extra_forbidden",
    "additional properties",
    "unexpected",
    "invalid",
    "forbidden",
    "deprecated",
    "cannot be used",
    "can't be used",
    "cannot be specified",
    "cannot be set",
    "must not",
    "should not",
    "incompatible",
    "does not exist",
    "cannot find field",
    "unable to",
    "illegal",
    "disallowed",
    "不支持",
    "未知",
    "无效",
    "不合法",
    "非法",
    "不允许",
    "无法识别",
    "不存在",
    "错误",
];
/// Words of something that should have been there.
const WANTS: [&str; 18] = [
    "missing",
    "passed back",
    "pass back",
    "passed in",
    "must be provided",
    "must be included",
    "must include",
    "must contain",
    "must be sent back",
    "is required",
    "required",
    "field required",
    "expected",
    "回传",
    "缺少",
    "缺失",
    "必须",
    "不能为空",
];
/// Words of a limit.
const LIMITS: [&str; 16] = [
    "at most",
    "too large",
    "too high",
    "range",
    "less than",
    "maximum",
    "exceed",
    "between",
    "<=",
    "must be",
    "limit",
    "up to",
    "greater than",
    "范围",
    "不能超过",
    "最大",
];
/// Members of a request that are too common a word to be taken for a name without quotes.
const COMMON: [&str; 4] = ["user", "stop", "stream", "thinking"];
/// Members that no lesson may touch.
const ESSENTIAL: [&str; 5] = [
    "model",
    "messages",
    "tools",
    "max_tokens",
    "max_completion_tokens",
];
/// A reply's limit that nearly every gateway takes, for a refusal that names none.
const MODEST_OUTPUT: u64 = 8_192;

/// The beginning of what is said of a limit that the refusal does not name.
pub(super) const GUESS: &str = "a reply has a limit that is not named, and is asked to be modest";

/// Reads a refusal; `None` where it teaches nothing.
pub(crate) fn read(refusal: Refusal<'_>) -> Option<Lesson> {
    let text = Text::of(refusal);
    let reader = Reader {
        text: &text,
        refusal,
    };
    reader.lesson().filter(|lesson| lesson.layer().is_ok())
}

/// A refusal's words, in lower case.
struct Text(String);

impl Text {
    fn of(refusal: Refusal<'_>) -> Self {
        let mut text = refusal.message.to_lowercase();
        if let Some(param) = refusal.param {
            text.push_str(" param:'");
            text.push_str(&param.to_lowercase());
            text.push('\'');
        }
        Self(text)
    }

    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.0.contains(word))
    }

    fn refuses(&self) -> bool {
        self.says(&REFUSES)
    }

    /// Returns true if a name stands in the text as a word of its own.
    fn names(&self, name: &str) -> bool {
        self.places(name).next().is_some()
    }

    /// The same, but quoted, in a path, or behind a word for a parameter.
    fn quotes(&self, name: &str) -> bool {
        self.places(name).any(|at| {
            let before = self.0.get(..at).unwrap_or_default();
            let behind = self.0.get(at + name.len()..).unwrap_or_default();
            let quote = |c: char| "'\"`“”‘’「」[]().:>".contains(c);
            before.trim_end().ends_with(quote)
                && (behind.is_empty()
                    || behind
                        .trim_start()
                        .starts_with(|c: char| quote(c) || c == ','))
                || [
                    "parameter",
                    "argument",
                    "field",
                    "supplied:",
                    "参数",
                    "字段",
                    "property",
                    "key",
                ]
                .iter()
                .any(|word| {
                    before
                        .trim_end_matches([' ', ':', '：', 's'])
                        .ends_with(word)
                        || behind.trim_start().starts_with(word)
                })
        })
    }

    fn places<'t>(&'t self, name: &'t str) -> impl Iterator<Item = usize> + 't {
        let part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        self.0
            .match_indices(name)
            .map(|(at, _)| at)
            .filter(move |at| {
                !part(
                    self.0
                        .get(..*at)
                        .and_then(|before| before.chars().next_back()),
                ) && !part(
                    self.0
                        .get(at + name.len()..)
                        .and_then(|behind| behind.chars().next()),
                )
            })
    }

    /// The whole numbers in the text.
    fn numbers(&self) -> Vec<u64> {
        let plain: String = {
            let chars: Vec<char> = self.0.chars().collect();
            let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
            (0..chars.len())
                .filter(|at| {
                    let separates = chars.get(*at) == Some(&',')
                        && *at > 0
                        && digit(at - 1)
                        && (1..=3).all(|step| digit(at + step))
                        && !digit(at + 4);
                    !separates
                })
                .filter_map(|at| chars.get(at))
                .collect()
        };
        plain
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect()
    }
}

/// One reading of a refusal.
struct Reader<'a> {
    text: &'a Text,
    refusal: Refusal<'a>,
}

impl<'a> Reader<'a> {
    /// The first kind of sentence that fits.
    fn lesson(&self) -> Option<Lesson> {
        self.token_field()
            .or_else(|| self.output_cap())
            .or_else(|| self.effort_beside_tools())
            .or_else(|| self.reasoning_back())
            .or_else(|| self.effort_words())
            .or_else(|| self.thinking_switch())
            .or_else(|| self.tool_choice())
            .or_else(|| self.sampling())
            .or_else(|| self.roles())
            .or_else(|| self.order())
            .or_else(|| self.ids())
            .or_else(|| self.name_length())
            .or_else(|| self.content())
            .or_else(|| self.fields())
            .or_else(|| self.schema())
            .or_else(|| self.members())
    }

    fn facts(&self) -> &'a Facts {
        self.refusal.facts
    }

    fn sent(&self, member: &str) -> Option<&'a Value> {
        self.refusal
            .sent
            .get(member)
            .filter(|value| !value.is_null())
    }

    fn has_tools(&self) -> bool {
        self.sent("tools").is_some()
    }

    fn messages(&self) -> impl Iterator<Item = &'a Value> {
        self.sent("messages")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }

    /// `max_completion_tokens` in place of `max_tokens`, or the other way round.
    fn token_field(&self) -> Option<Lesson> {
        let (own, other, field) = match self.facts().limits.token_field {
            TokenField::MaxTokens => (
                "max_tokens",
                "max_completion_tokens",
                "max-completion-tokens",
            ),
            TokenField::MaxCompletionTokens => {
                ("max_completion_tokens", "max_tokens", "max-tokens")
            }
        };
        self.sent(own)?;
        let instead = self.text.names(other)
            && self
                .text
                .says(&["instead", "use ", "请使用", "改用", "替代"]);
        let unknown = self.text.refuses()
            && !self.text.says(&LIMITS)
            && !self.text.says(&["invalid max_tokens", "value"])
            && self.text.names(own);
        (self.text.names(own) && (instead || unknown)).then(|| {
            lesson(
                format!("the reply's limit is {other}"),
                "limits",
                "token-field",
                json!(field),
            )
        })
    }

    /// The most tokens of one reply.
    fn output_cap(&self) -> Option<Lesson> {
        let named = self.text.says(&[
            "max_tokens",
            "max_completion_tokens",
            "max_output_tokens",
            "max_new_tokens",
            "maxoutputtokens",
            "max tokens",
            "maximum tokens",
            "output tokens",
            "completion tokens",
            "最大输出",
            "输出长度",
        ]);
        let asked = ["max_tokens", "max_completion_tokens"]
            .iter()
            .find_map(|field| self.sent(field)?.as_u64())?;
        if !named || !(self.text.says(&LIMITS) || self.text.refuses()) {
            return None;
        }
        let named_limit = self
            .text
            .numbers()
            .into_iter()
            .filter(|number| (16..asked).contains(number) && *number != 400)
            .max();
        let (words, limit) = match named_limit {
            Some(limit) => (format!("a reply has at most {limit} tokens"), limit),
            None if asked > MODEST_OUTPUT && self.text.refuses() => {
                (format!("{GUESS}, {MODEST_OUTPUT} tokens"), MODEST_OUTPUT)
            }
            None => return None,
        };
        Some(lesson(words, "limits", "max-output", json!(limit)))
    }

    /// Effort and tools do not go together.
    fn effort_beside_tools(&self) -> Option<Lesson> {
        let effort = self.text.says(&[
            "reasoning_effort",
            "reasoning effort",
            "reasoning.effort",
            "推理强度",
        ]);
        let tools = self.text.says(&[
            "function tool",
            "tools",
            "tool call",
            "function call",
            "functions",
            "工具",
        ]);
        let apart = self.text.refuses() || self.text.says(&["together", "with tools", "同时"]);
        if !(effort && tools && apart && self.has_tools()) {
            return None;
        }
        let value = match self.facts().thinking.beside_tools {
            crate::facts::BesideTools::Free => "no-effort",
            crate::facts::BesideTools::NoEffort => "off",
            crate::facts::BesideTools::Off => return None,
        };
        Some(lesson(
            "an effort does not go with tools".to_owned(),
            "thinking",
            "beside-tools",
            json!(value),
        ))
    }

    /// Earlier reasoning has to be given back, or must not be.
    fn reasoning_back(&self) -> Option<Lesson> {
        let field = [
            "reasoning_content",
            "reasoning_details",
            "reasoning_text",
            "reasoning",
        ]
        .into_iter()
        .find(|field| self.text.names(field))
        .or_else(|| {
            self.text
                .says(&["thinking mode", "思考模式", "思维链"])
                .then_some("reasoning_content")
        })?;
        let rule = &self.facts().thinking;
        let gave_back = self.messages().any(|message| message.get(field).is_some());
        if gave_back && self.text.refuses() && !self.text.says(&WANTS) {
            return Some(Lesson {
                words: format!("earlier {field} is not taken back"),
                facts: section(
                    "thinking",
                    json!({ "history-turns": "never", "history-required": false }),
                ),
            });
        }
        if !self.text.says(&WANTS)
            || !self
                .messages()
                .any(|message| message["role"] == "assistant")
        {
            return None;
        }
        let whole = rule.history_required
            && rule.history_blank == " "
            && rule.history_turns == ReasoningTurns::All;
        if whole && rule.history_field.as_deref() == Some(field) {
            return None;
        }
        Some(Lesson {
            words: format!("{field} of earlier answers has to be given back"),
            facts: section(
                "thinking",
                json!({
                    "history-field": field,
                    "history-turns": "all",
                    "history-required": true,
                    // Some take an empty text for a missing one.
                    "history-blank": " ",
                }),
            ),
        })
    }

    /// The words that there are for an effort.
    fn effort_words(&self) -> Option<Lesson> {
        let sent = self
            .sent("reasoning_effort")
            .or_else(|| self.sent("reasoning")?.get("effort"))?
            .as_str()?;
        if !self.text.says(&[
            "reasoning_effort",
            "reasoning.effort",
            "reasoning effort",
            "effort",
            "推理强度",
        ]) && !self.text.quotes(sent)
        {
            return None;
        }
        if !(self.text.refuses()
            || self
                .text
                .says(&["must be", "should be", "one of", "expected"]))
        {
            return None;
        }
        let words: Vec<&str> = EFFORTS
            .into_iter()
            .filter(|word| *word != sent && self.text.names(word))
            .collect();
        let told = match words.as_slice() {
            [] => "an effort is not taken".to_owned(),
            words => format!("efforts are {}", words.join(", ")),
        };
        Some(lesson(told, "thinking", "efforts", json!(words)))
    }

    /// `enable_thinking` and its like, with a value that is demanded.
    fn thinking_switch(&self) -> Option<Lesson> {
        if !self
            .text
            .says(&["enable_thinking", "thinking mode", "thinking is"])
        {
            return None;
        }
        if self.text.says(&[
            "non-stream",
            "non stream",
            "not stream",
            "only support stream",
            "only supports stream",
            "非流式",
        ]) && self.text.says(&["enable_thinking"])
        {
            let mut facts = Map::new();
            facts.insert("when".to_owned(), json!([{ "streamed": false, "thinking": { "mode": "never", "off": { "enable_thinking": false } } }]));
            return Some(Lesson {
                words: "without a stream the model must be told not to think".to_owned(),
                facts,
            });
        }
        self.text
            .says(&[
                "restricted to true",
                "must be true",
                "must be set to true",
                "only support true",
                "必须为true",
            ])
            .then(|| {
                lesson(
                    "the model always thinks".to_owned(),
                    "thinking",
                    "mode",
                    json!("always"),
                )
            })
    }

    fn tool_choice(&self) -> Option<Lesson> {
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
        let (words, value) = match sent {
            Value::Object(_) => ("tool_choice names no function", "no-named"),
            Value::String(word) if word != "auto" && word != "none" => {
                ("tool_choice forces no tool", "auto-only")
            }
            _ => ("tool_choice is not taken", "none"),
        };
        Some(lesson(words.to_owned(), "tools", "choice", json!(value)))
    }

    fn sampling(&self) -> Option<Lesson> {
        for (member, fact) in [("temperature", "temperature"), ("top_p", "top-p")] {
            let Some(sent) = self.sent(member).and_then(Value::as_f64) else {
                continue;
            };
            if !self.text.names(member)
                || !(self.text.refuses() || self.text.says(&LIMITS) || self.text.says(&["only"]))
            {
                continue;
            }
            let most = self
                .text
                .0
                .split(|c: char| !(c.is_ascii_digit() || c == '.'))
                .filter_map(|number| number.trim_end_matches('.').parse::<f64>().ok())
                .filter(|number| *number > 0.0 && *number < sent)
                .fold(None, |most: Option<f64>, number| {
                    Some(most.map_or(number, |most| most.max(number)))
                });
            return Some(match most.filter(|_| self.text.says(&LIMITS)) {
                Some(most) => lesson(
                    format!("{member} is at most {most}"),
                    "sampling",
                    fact,
                    json!({ "at-most": most }),
                ),
                None => lesson(
                    format!("{member} is not taken"),
                    "sampling",
                    fact,
                    json!("drop"),
                ),
            });
        }
        if self.sent("top_k").is_some() && self.text.names("top_k") && self.text.refuses() {
            return Some(lesson(
                "top_k is not taken".to_owned(),
                "sampling",
                "top-k",
                json!(false),
            ));
        }
        None
    }

    fn roles(&self) -> Option<Lesson> {
        let named = |role: &str| {
            self.text.quotes(role)
                || self.text.0.contains(&format!("{role} role"))
                || self.text.0.contains(&format!("{role} message"))
        };
        let refuses = self.text.refuses()
            || self
                .text
                .says(&["input should be", "must be", "expected", "one of"]);
        if !refuses
            || !self
                .text
                .says(&["role", "system message", "developer message", "角色"])
        {
            return None;
        }
        let value = match self.facts().messages.system_role {
            SystemRole::Developer if named("developer") => "system",
            SystemRole::System if named("system") => "user",
            _ => return None,
        };
        Some(lesson(
            format!("the system prompt has the role {value}"),
            "messages",
            "system-role",
            json!(value),
        ))
    }

    /// A user message right behind a tool's result.
    fn order(&self) -> Option<Lesson> {
        let after =
            self.text.says(&["after", "order", "follow", "之后"]) && self.text.says(&["role"]);
        (self.facts().messages.user_after_tool
            && after
            && self.text.names("user")
            && self.text.names("tool")
            && self.messages().any(|message| message["role"] == "tool"))
        .then(|| {
            lesson(
                "no user message follows a tool's result".to_owned(),
                "messages",
                "user-after-tool",
                json!(false),
            )
        })
    }

    fn content(&self) -> Option<Lesson> {
        if !(self.text.names("content") || self.text.says(&["messages"])) {
            return None;
        }
        let rule = &self.facts().messages;
        let lists = || {
            self.messages()
                .filter_map(|message| message["content"].as_array())
                .flatten()
        };
        let only_strings = self.text.says(&["string"])
            && self.text.says(&[
                "must be",
                "should be",
                "expected",
                "valid string",
                "invalid type",
                "not a string",
                "got",
                "必须",
            ]);
        if only_strings
            && rule.content_parts
            && lists().next().is_some()
            && lists().all(|part| part["type"] == "text")
        {
            return Some(lesson(
                "content is a string".to_owned(),
                "messages",
                "content-parts",
                json!(false),
            ));
        }
        let null = self.messages().any(|message| {
            message["role"] == "assistant"
                && message["content"].is_null()
                && message.get("content").is_some()
        });
        if null
            && (only_strings
                || self
                    .text
                    .says(&["null", "none", "empty", "required", "missing", "不能为空"]))
        {
            return Some(lesson(
                "content is never null".to_owned(),
                "messages",
                "empty-content",
                json!("empty-string"),
            ));
        }
        if rule.cache_control && self.text.names("cache_control") && self.text.refuses() {
            return Some(lesson(
                "cache_control is not taken".to_owned(),
                "messages",
                "cache-control",
                json!(false),
            ));
        }
        None
    }

    fn ids(&self) -> Option<Lesson> {
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

    fn name_length(&self) -> Option<Lesson> {
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

    /// Fields with a fact of their own.
    fn fields(&self) -> Option<Lesson> {
        if !(self.text.refuses() || self.text.says(&["must be", "only"])) {
            return None;
        }
        let named = |member: &str| self.sent(member).is_some() && self.is_named(member);
        if named("stream_options")
            || (self.sent("stream_options").is_some() && self.text.names("include_usage"))
        {
            return Some(lesson(
                "stream_options is not taken".to_owned(),
                "streaming",
                "usage-option",
                json!(false),
            ));
        }
        if named("parallel_tool_calls")
            || (self.sent("parallel_tool_calls").is_some()
                && self.text.says(&["parallel tool call"]))
        {
            return Some(lesson(
                "parallel_tool_calls is not taken".to_owned(),
                "tools",
                "parallel-field",
                json!(false),
            ));
        }
        if named("user") {
            return Some(lesson(
                "user is not taken".to_owned(),
                "messages",
                "user",
                json!(false),
            ));
        }
        if named("stop")
            || (self.sent("stop").is_some() && self.text.says(&["stop sequence", "'stop'"]))
        {
            let count = self
                .sent("stop")
                .and_then(Value::as_array)
                .map_or(1, Vec::len) as u64;
            let most = self
                .text
                .numbers()
                .into_iter()
                .filter(|number| *number < count)
                .max()
                .unwrap_or(0);
            return Some(lesson(
                format!("at most {most} stop sequences are taken"),
                "sampling",
                "stop-limit",
                json!(most),
            ));
        }
        if self.sent("response_format").is_some()
            && self.text.says(&[
                "response_format",
                "json_schema",
                "json_object",
                "response format",
                "structured output",
            ])
        {
            let value = match self.facts().structured_output {
                StructuredOutput::JsonSchema => "json-object",
                StructuredOutput::JsonObject => "none",
                StructuredOutput::None => return None,
            };
            let mut facts = Map::new();
            facts.insert("structured-output".to_owned(), value.into());
            return Some(Lesson {
                words: format!("response_format is {value}"),
                facts,
            });
        }
        if named("stream") && self.sent("stream") == Some(&json!(true)) {
            return Some(lesson(
                "the gateway does not stream".to_owned(),
                "streaming",
                "supported",
                json!(false),
            ));
        }
        None
    }

    /// Keywords and forms of the tools' schemas.
    fn schema(&self) -> Option<Lesson> {
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
                || self.text.says(&WANTS)
                || self.text.says(&["should be", "must be", "failed", "error"]))
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
        if !refused.is_empty() && self.text.refuses() {
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

    /// Any other member that the facts have put into the request.
    fn members(&self) -> Option<Lesson> {
        if !self.text.refuses() {
            return None;
        }
        let sent = self.refusal.sent.as_object()?;
        let member = sent
            .keys()
            .filter(|member| !ESSENTIAL.contains(&member.as_str()))
            .find(|member| self.is_named(member))?;
        let rule = &self.facts().thinking;
        let mut changed = Map::new();
        for (fact, members) in [
            ("on", &rule.on),
            ("off", &rule.off),
            ("effort-body", &rule.effort_body),
        ] {
            if members.contains_key(member) {
                let mut rest = members.clone();
                rest.shift_remove(member);
                changed.insert(fact.to_owned(), Value::Object(rest));
            }
        }
        let mut facts = Map::new();
        if !changed.is_empty() {
            facts.insert("thinking".to_owned(), Value::Object(changed));
        }
        if self.facts().extra_body.contains_key(member) {
            let mut rest = self.facts().extra_body.clone();
            rest.shift_remove(member);
            facts.insert("extra-body".to_owned(), Value::Object(rest));
        }
        (!facts.is_empty()).then(|| Lesson {
            words: format!("{member} is not taken"),
            facts,
        })
    }

    /// Returns true if the refusal speaks of a member of the request.
    fn is_named(&self, member: &str) -> bool {
        if COMMON.contains(&member) {
            self.text.quotes(member)
        } else {
            self.text.names(member)
        }
    }
}

fn lesson(words: String, section_name: &str, fact: &str, value: Value) -> Lesson {
    let mut facts = Map::new();
    facts.insert(fact.to_owned(), value);
    Lesson {
        words,
        facts: section(section_name, Value::Object(facts)),
    }
}

fn section(name: &str, facts: Value) -> Map<String, Value> {
    let mut whole = Map::new();
    whole.insert(name.to_owned(), facts);
    whole
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// A request with everything in it that a refusal can be about.
    fn sent() -> Value {
        json!({
            "model": "m", "max_tokens": 32000, "temperature": 1.5, "top_p": 0.9, "stop": ["a", "b"], "stream": true, "user": "u",
            "stream_options": { "include_usage": true }, "parallel_tool_calls": false, "tool_choice": { "type": "function", "function": { "name": "f" } },
            "reasoning_effort": "minimal", "enable_thinking": true, "response_format": { "type": "json_schema" },
            "messages": [
                { "role": "system", "content": "s" },
                { "role": "user", "content": [{ "type": "text", "text": "t" }] },
                { "role": "assistant", "content": null, "tool_calls": [] },
                { "role": "tool", "tool_call_id": "x", "content": "r" },
                { "role": "user", "content": "t" },
            ],
            "tools": [{ "type": "function", "function": { "name": "f", "parameters": {
                "type": "object", "additionalProperties": false, "properties": { "a": { "$ref": "#/$defs/A" }, "b": { "type": "string", "format": "uri" } }, "$defs": { "A": { "exclusiveMinimum": 0 } } } } }],
        })
    }

    fn facts() -> Facts {
        let mut facts = Facts::default();
        facts.thinking.on = Map::from_iter([("enable_thinking".to_owned(), json!(true))]);
        facts.thinking.efforts = EFFORTS.map(str::to_owned).to_vec();
        facts
    }

    fn learned(message: &str, param: Option<&str>) -> Option<Value> {
        let (sent, facts) = (sent(), facts());
        read(Refusal {
            message,
            param,
            sent: &sent,
            facts: &facts,
        })
        .map(|lesson| Value::Object(lesson.facts))
    }

    #[test]
    fn refusals_teach_facts() {
        let cap = |most: u64| json!({ "limits": { "max-output": most } });
        let efforts = |words: &[&str]| json!({ "thinking": { "efforts": words } });
        let back = |field: &str| json!({ "thinking": { "history-field": field, "history-turns": "all", "history-required": true, "history-blank": " " } });
        for (message, want) in [
            // The reply's limit.
            (
                "max_tokens is too large: 32000. This model supports at most 16384 completion tokens, whereas you provided 32000.",
                cap(16384),
            ),
            (
                "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
                cap(8192),
            ),
            (
                "<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]",
                cap(8192),
            ),
            (
                "`max_tokens` must be less than or equal to `16384`, the maximum value for `max_tokens` is less than the `context_window` for this model",
                cap(16384),
            ),
            (
                "max_tokens (current value: 32000) must be between 0 and 4096",
                cap(4096),
            ),
            (
                "max_tokens: 32000 > 8,192, which is the maximum allowed number of output tokens",
                cap(8192),
            ),
            (
                "The maximum tokens you requested exceeds the model limit of 8192.",
                cap(8192),
            ),
            ("max_tokens 参数取值范围为 [1, 8192]", cap(8192)),
            ("max_tokens不能超过4096", cap(4096)),
            ("Invalid max_tokens param", cap(8192)),
            // Its name.
            (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                json!({ "limits": { "token-field": "max-completion-tokens" } }),
            ),
            (
                "不支持参数 max_tokens，请使用 max_completion_tokens",
                json!({ "limits": { "token-field": "max-completion-tokens" } }),
            ),
            // Effort.
            (
                "Unsupported value: 'minimal' is not supported with the 'gpt-5.1' model. Supported values are: 'none', 'low', 'medium', and 'high'.",
                efforts(&["none", "low", "medium", "high"]),
            ),
            ("reasoning_effort must be one of high", efforts(&["high"])),
            (
                "Unrecognized request argument supplied: reasoning_effort",
                efforts(&[]),
            ),
            (
                "Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use /v1/responses instead.",
                json!({ "thinking": { "beside-tools": "no-effort" } }),
            ),
            // Reasoning to be passed back.
            (
                "The `reasoning_content` in the thinking mode must be passed back to the API.",
                back("reasoning_content"),
            ),
            (
                "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
                back("reasoning_content"),
            ),
            (
                "Missing `reasoning_content` field in the assistant message at message index 2.",
                back("reasoning_content"),
            ),
            (
                "思考模式下必须回传 reasoning_content",
                back("reasoning_content"),
            ),
            // Fields.
            (
                "Unrecognized request argument supplied: stream_options",
                json!({ "streaming": { "usage-option": false } }),
            ),
            (
                "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options', 'include_usage'), 'msg': 'Extra inputs are not permitted', 'input': True}]",
                json!({ "streaming": { "usage-option": false } }),
            ),
            (
                "body -> parallel_tool_calls\n  Extra inputs are not permitted (type=extra_forbidden)",
                json!({ "tools": { "parallel-field": false } }),
            ),
            (
                "property 'parallel_tool_calls' is unsupported",
                json!({ "tools": { "parallel-field": false } }),
            ),
            (
                "json: unknown field \"parallel_tool_calls\"",
                json!({ "tools": { "parallel-field": false } }),
            ),
            (
                "参数 parallel_tool_calls 不支持",
                json!({ "tools": { "parallel-field": false } }),
            ),
            ("未知参数: user", json!({ "messages": { "user": false } })),
            (
                "Unknown parameter: 'enable_thinking'.",
                json!({ "thinking": { "on": {} } }),
            ),
            (
                "Argument not supported on this model: stop",
                json!({ "sampling": { "stop-limit": 0 } }),
            ),
            // Sampling.
            (
                "Unsupported value: 'temperature' does not support 1.5 with this model. Only the default (1) value is supported.",
                json!({ "sampling": { "temperature": "drop" } }),
            ),
            (
                "temperature must be less than or equal to 1",
                json!({ "sampling": { "temperature": { "at-most": 1.0 } } }),
            ),
            (
                "`temperature` and `top_p` cannot both be specified: top_p is not allowed",
                json!({ "sampling": { "temperature": "drop" } }),
            ),
            (
                "Unsupported parameter: 'top_p' is not supported with this model.",
                json!({ "sampling": { "top-p": "drop" } }),
            ),
            // tool_choice.
            (
                "Invalid tool_choice type: 'object'. Supported string values: none, auto, required",
                json!({ "tools": { "choice": "no-named" } }),
            ),
            (
                "tool_choice 'specified' is incompatible with thinking enabled",
                json!({ "tools": { "choice": "no-named" } }),
            ),
            // Roles and order.
            (
                "System role not supported",
                json!({ "messages": { "system-role": "user" } }),
            ),
            (
                "Unexpected role 'user' after role 'tool'",
                json!({ "messages": { "user-after-tool": false } }),
            ),
            // Content.
            (
                "messages.1.content: Input should be a valid string",
                json!({ "messages": { "content-parts": false } }),
            ),
            (
                "invalid type: sequence, expected a string at messages[1].content",
                json!({ "messages": { "content-parts": false } }),
            ),
            // Schemas.
            (
                "Invalid JSON payload received. Unknown name \"additionalProperties\" at 'tools[0].function_declarations[0].parameters': Cannot find field.",
                json!({ "tools": { "refused-keywords": ["additionalProperties"] } }),
            ),
            (
                "schema keyword 'exclusiveMinimum' is not supported in tools",
                json!({ "tools": { "refused-keywords": ["exclusiveMinimum"] } }),
            ),
            (
                "tools.0.function.parameters: $ref is not supported",
                json!({ "tools": { "references": false } }),
            ),
            (
                "Invalid schema for function 'f': In context=('properties', 'a'), array schema missing items.",
                json!({ "tools": { "schema": "minimal" } }),
            ),
            (
                "tools.function.parameters is not a valid moonshot flavored json schema, details: <At path 'root': when using anyOf, type should be defined>",
                json!({ "tools": { "schema": "moonshot" } }),
            ),
            (
                "* GenerateContentRequest.tools[0].function_declarations[16].parameters.properties[a].items: missing field.",
                json!({ "tools": { "schema": "gemini" } }),
            ),
            (
                "failed to parse grammar",
                json!({ "tools": { "schema": "llama-cpp" } }),
            ),
            // Ids, names, the answer's form.
            (
                "Tool call id was x but must be a-z, A-Z, 0-9, with a length of 9.",
                json!({ "tools": { "id": { "alphanumeric": 9 } } }),
            ),
            (
                "Invalid 'messages[2].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got a string with length 56 instead.",
                json!({ "tools": { "id": { "at-most": 40 } } }),
            ),
            (
                "This response_format type is unavailable now",
                json!({ "structured-output": "json-object" }),
            ),
            (
                "parameter.enable_thinking must be set to false for non-streaming calls",
                json!({ "when": [{ "streamed": false, "thinking": { "mode": "never", "off": { "enable_thinking": false } } }] }),
            ),
        ] {
            assert_eq!(learned(message, None), Some(want), "{message}");
        }
        assert_eq!(
            learned("Unsupported parameter", Some("stream_options")),
            Some(json!({ "streaming": { "usage-option": false } }))
        );
    }

    #[test]
    fn what_names_nothing_of_the_request_teaches_nothing() {
        for message in [
            "Bad request",
            "",
            "Unrecognized request argument supplied: frequency_penalty",
            "Unknown parameter: 'model'",
            "messages is not supported",
            "tools are not supported",
            "The user stopped the stream",
            "The model `m` does not exist",
            "Provider returned error",
            "参数错误",
        ] {
            assert_eq!(learned(message, None), None, "{message}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_refusal_is_too_strange(message in "\\PC{0,80}", param in proptest::option::of("[a-z_.]{0,20}")) {
            learned(&message, param.as_deref());
        }
    }
}
