//! The grammar of refusals: a few kinds of sentences, in English and Chinese, about what was sent.
//!
//! A refusal can name anything, and lie. So a lesson is only learned about what is in the request that was refused, and
//! only what says the same to the model is changed: nothing here takes messages or images away. Tools beyond a number that
//! the gateway names are left out, and the caller is told which.

mod text;
mod tools;

use serde_json::{Map, Value, json};

use text::{LIMITS, Text, WANTS};

use super::Lesson;
use crate::facts::{EFFORTS, Facts, ReasoningTurns, StructuredOutput, SystemRole, TokenField};

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

/// One reading of a refusal.
struct Reader<'a> {
    text: &'a Text,
    refusal: Refusal<'a>,
}

impl<'a> Reader<'a> {
    /// The first kind of sentence that fits.
    fn lesson(&self) -> Option<Lesson> {
        self.must_stream()
            .or_else(|| self.token_field())
            .or_else(|| self.output_cap())
            .or_else(|| self.effort_beside_tools())
            .or_else(|| self.tool_choice())
            .or_else(|| self.reasoning_back())
            .or_else(|| self.effort_words())
            .or_else(|| self.thinking_switch())
            .or_else(|| self.sampling())
            .or_else(|| self.roles())
            .or_else(|| self.order())
            .or_else(|| self.ids())
            .or_else(|| self.name_length())
            .or_else(|| self.tool_count())
            .or_else(|| self.description_length())
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
            && !self.text.says(LIMITS)
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

    /// A longer reply has to be streamed: Fireworks.
    fn must_stream(&self) -> Option<Lesson> {
        let asked = ["max_tokens", "max_completion_tokens"]
            .iter()
            .find_map(|field| self.sent(field)?.as_u64())?;
        let demanded = self.text.says(&[
            "must have stream",
            "stream=true",
            "stream must be true",
            "requires stream",
            "require stream",
            "only with stream",
            "必须使用流式",
            "需使用流式",
        ]);
        if !demanded || self.sent("stream") == Some(&json!(true)) {
            return None;
        }
        let numbers = self.text.numbers().into_iter();
        let most = numbers
            .filter(|number| (16..asked).contains(number))
            .max()?;
        Some(Lesson {
            words: format!("without a stream a reply has at most {most} tokens"),
            facts: section_of_whens(
                json!([{ "streamed": false, "limits": { "max-output": most } }]),
            ),
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
        if !named || !(self.text.says(LIMITS) || self.text.refuses()) {
            return None;
        }
        let named_limit = self
            .text
            .numbers()
            .into_iter()
            .filter(|number| (16..asked).contains(number) && *number != 400)
            .max();
        let named_limit = named_limit.map(|limit| {
            let excluded = [format!("{limit} (exclusive)"), format!("{limit})")];
            let excluded = excluded.iter().any(|words| self.text.contains(words))
                && self.text.says(&["exclusive", "[1, ", "[0, "]);
            limit - u64::from(excluded)
        });
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
        if gave_back && self.text.refuses() && !self.text.says(WANTS) {
            return Some(Lesson {
                words: format!("earlier {field} is not taken back"),
                facts: section(
                    "thinking",
                    json!({ "history-turns": "never", "history-required": false }),
                ),
            });
        }
        if !self.text.says(WANTS)
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
            "reasoningeffort",
            "effort",
            "thinking level",
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
        if words.is_empty() && self.text.names(sent) {
            // Only this word is refused.
            let others = self.facts().thinking.efforts.iter();
            let others: Vec<&String> = others.filter(|word| *word != sent).collect();
            let told = format!("the effort {sent} is not taken");
            return Some(lesson(told, "thinking", "efforts", json!(others)));
        }
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
            return Some(Lesson {
                words: "without a stream the model must be told not to think".to_owned(),
                facts: section_of_whens(
                    json!([{ "streamed": false, "thinking": { "mode": "never", "off": { "enable_thinking": false } } }]),
                ),
            });
        }
        self.text
            .says(&[
                "only supports thinking",
                "only support thinking",
                "cannot be false",
                "can not be false",
                "仅支持思考",
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

    fn sampling(&self) -> Option<Lesson> {
        for (member, fact) in [("temperature", "temperature"), ("top_p", "top-p")] {
            let Some(sent) = self.sent(member).and_then(Value::as_f64) else {
                continue;
            };
            if !self.text.names(member)
                || !(self.text.refuses() || self.text.says(LIMITS) || self.text.says(&["only"]))
            {
                continue;
            }
            let most = self
                .text
                .decimals()
                .filter(|number| *number > 0.0 && *number < sent)
                .fold(None, |most: Option<f64>, number| {
                    Some(most.map_or(number, |most| most.max(number)))
                });
            return Some(match most.filter(|_| self.text.says(LIMITS)) {
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
                || self.text.contains(&format!("{role} role"))
                || self.text.contains(&format!("{role} message"))
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

    /// Fields with a fact of their own.
    fn fields(&self) -> Option<Lesson> {
        if !(self.text.refuses()
            || self.text.says(LIMITS)
            || self.text.says(&["must be", "only", "too many"]))
        {
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
        let told = self.text.says(&[
            "not support stream",
            "n't support stream",
            "streaming is not",
            "streaming not",
            "streaming with tool",
            "stream must be false",
            "不支持流式",
        ]);
        if (named("stream") || told) && self.sent("stream") == Some(&json!(true)) {
            return Some(lesson(
                "the gateway does not stream".to_owned(),
                "streaming",
                "supported",
                json!(false),
            ));
        }
        None
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

/// Facts of some requests.
fn section_of_whens(whens: Value) -> Map<String, Value> {
    section("when", whens)
}

fn section(name: &str, facts: Value) -> Map<String, Value> {
    let mut whole = Map::new();
    whole.insert(name.to_owned(), facts);
    whole
}

#[cfg(test)]
mod tests;
