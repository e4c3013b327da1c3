//! A full context, in any gateway's words, and the two sentences with which Claude Code recovers from it.
//!
//! Claude Code compacts its history on `prompt is too long: ...`, and lowers `max_tokens` on ``input length and `max_tokens`
//! exceed context limit: 6614 + 32000 > 32768`` (measured with 2.1). So it matters which summand is too large. Gateways word
//! this in dozens of ways and two languages. One rule tells it: something is said of context, tokens or length, and it
//! exceeds something; numbers get their roles by the words around them.

use std::sync::LazyLock;

use regex::Regex;

/// The beginning of the sentence about a reply that does not fit beside its prompt.
pub(crate) const REPLY_TOO_LONG: &str = "input length and `max_tokens` exceed context limit";

/// Less room than this beside the prompt is none: Claude Code wants a thousand tokens as a buffer.
const ROOM: u64 = 1_000;

/// The request whose context is full, as far as the adapter knows it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    /// The reply's limit that was asked for.
    pub(crate) output: Option<u64>,
    /// A guess of the prompt's tokens.
    pub(crate) input: u64,
}

/// The numbers of a refusal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) input: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) limit: Option<u64>,
    /// Prompt and reply together.
    total: Option<u64>,
    /// The largest number, whatever it counts.
    largest: Option<u64>,
    /// The prompt was counted only as far as was needed to refuse it.
    at_least: bool,
}

/// Words between a number and the word that says what it counts.
const FILLER: &str = concat!(
    r#"(?:[\s'"`:=(\[,<]|(?-u:\b)(?:is|are|of|only|the|this|model|model's|models|length|size|window|limit|tokens?|count|"#,
    r"number|allowed|for|context|maximum|max|be|at|most|supported|supports?|equal|or|to|than|input|prompt|sequence|about|",
    r"available|limited|_)(?-u:\b)|为|是|最大|长度|限制|上限|模型|上下文|：|（)*?",
);
const NUMBER: &str = "([0-9]{2,})";

/// `#` is a number, `~` the filler in front of one.
const LIMIT: [&str; 8] = [
    r"\[\s*[0-9]+\s*,\s*#\s*\]",
    r"n_ctx\s*\(?=?\s*#",
    r"(?:max_seq_len|max_model_len|max_position_embeddings)\s*[(=:]*\s*#",
    r"(?:maximum|max|available) (?:context|prompt|input|sequence|model|allowed|number|token|message)~#",
    r"(?:context|sequence) (?:length|window|size|limit)~#",
    r"limit~#",
    r"(?:<=|less than(?: or equal to)?|at most|(?:not|cannot|can't) exceed|longer than|greater than|larger than|exceeds?|exceeded|more than|>|不能超过|不得超过|超过|超出|大于|小于|上限|限制|最大)~#",
    r"#\s*(?:tokens?\s*)?(?:maximum|limit(?-u:\b)|max(?-u:\b))",
];
const OUTPUT: [&str; 4] = [
    r"#\s*(?:tokens?\s*)?(?:in|for|from|of) (?:the |your )?(?:completion|output|response|reply|generation)",
    r"#\s*(?:requested )?(?:output|completion|new|generated|generation)\s*tokens",
    r"#\s*`?max_(?:new_|completion_|output_)?tokens",
    r#"max_(?:new_|completion_|output_)?tokens['"`]*\s*(?:is too large|=|:|\(|of)\s*[:=(]?\s*#"#,
];
const INPUT: [&str; 6] = [
    r"#\s*(?:tokens?\s*)?(?:in|from|of|for) (?:the |your )?(?:input )?(?:messages|prompt|inputs?|text)(?-u:\b)",
    r"#\s*(?:input|prompt|`?inputs`?)\s*tokens?",
    r"#\s*`inputs` tokens",
    r"n_keep\s*\(?\s*#",
    r"keep the first #",
    r"current length is #",
];
/// The same, for numbers that no other role has taken.
const INPUT_LOOSE: [&str; 3] = [
    r#"(?:prompt|inputs?|messages|request|prompt_tokens|input_tokens|输入|提示词)['"`]*\s*(?:token count|tokens?|length|长度|has|have|contains?|resulted in|is too long|of|is|are|at least|about|为|[(:=\s])*?#"#,
    r"received #",
    r"given:? #",
];
const TOTAL: [&str; 6] = [
    r"requested a total of #",
    r"requested (?:about )?:?\s*#",
    r"total of (?:at least )?#",
    r"tokens \(#\) exceed",
    r"当前[^0-9]{0,12}#",
    r"实际[^0-9]{0,12}#",
];

struct Patterns {
    /// Something is said of the context, or of tokens or lengths.
    subject: Option<Regex>,
    /// It exceeds something.
    excess: Option<Regex>,
    /// It is something else after all: a rate, a name's length, an amount of money.
    other: Option<Regex>,
    /// The reply's own limit is named.
    reply: Option<Regex>,
    /// The prompt is named.
    prompt: Option<Regex>,
    limit: Vec<Regex>,
    output: Vec<Regex>,
    input: Vec<Regex>,
    input_loose: Vec<Regex>,
    total: Vec<Regex>,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let one = |pattern: &str| Regex::new(pattern).ok();
    let roles = |patterns: &[&str]| {
        patterns
            .iter()
            .filter_map(|pattern| one(&pattern.replace('~', FILLER).replace('#', NUMBER)))
            .collect()
    };
    Patterns {
        subject: one(concat!(
            r"context|tokens?(?-u:\b)|seq_len|max_model_len|n_ctx|(?:prompt|input|sequence|messages?)\W{0,3}(?:length|size)|",
            r"length of (?:the |your )?(?:prompt|input|messages|conversation)|",
            r"(?:prompt|input|conversation|messages)(?: \w+){0,3} (?:too |longer|exceed)|上下文|(?:输入|提示词|prompt|请求|内容|消息).{0,12}(?:长度|token|长)|token.{0,4}(?:数|量|长度)|超长",
        )),
        excess: one(concat!(
            r"exceed|too (?:long|large|big|many|much)|longer than|greater than|larger than|more than|bigger than|over the|overflow|",
            r"less than|(?:must|should) be (?:<|at most|within|in|under|\[)|cannot be (?:more|greater|larger)|not enough|",
            r"reduce the length|reached|beyond|surpass|n_keep \([0-9]+\) >=|[0-9]\s*>\s*[0-9]|limit(?:ed)? (?:of|is|to) [0-9]|but the (?:context|limit|max)|",
            r"maximum [a-z ]{0,30}length is|超过|超出|超长|过长|超限|大于|太长|溢出|达到.{0,6}上限",
        )),
        other: one(concat!(
            r"rate.?limit|per (?:minute|day|hour|second)|(?-u:\b)[tr]p[md](?-u:\b)|quota|频率|速率|限流|每分钟|characters|字符|string too long|",
            r"maximum length [0-9]+, but got|array too long|(?:tools?|function)[\[.a-z0-9_\]]*name|description.{0,20}(?:exceed|too long)|billing|",
            r"number of (?:tools|images|messages|stop)|too many (?:tools|images|requests|messages)|context deadline|concurren",
        )),
        reply: one(concat!(
            r"max_(?:new_|completion_|output_)?tokens|maxoutputtokens|max tokens|maximum tokens you requested|(?:output|completion) tokens|",
            r"最大输出|输出长度|输出token",
        )),
        prompt: one(
            r"prompt|input|message|context (?:length|size|limit)|request has|输入|上下文|提示词",
        ),
        limit: roles(&LIMIT),
        output: roles(&OUTPUT),
        input: roles(&INPUT),
        input_loose: roles(&INPUT_LOOSE),
        total: roles(&TOTAL),
    }
});

fn says(pattern: &Option<Regex>, text: &str) -> bool {
    pattern
        .as_ref()
        .is_some_and(|pattern| pattern.is_match(text))
}

/// Reads a refusal; `Some` if it means that the context is full. `coded`: the gateway's code says so already.
pub(crate) fn read(message: &str, coded: bool) -> Option<Counts> {
    let text = without_separators(&message.to_lowercase());
    let patterns = &*PATTERNS;
    let worded = says(&patterns.subject, &text)
        && says(&patterns.excess, &text)
        && !says(&patterns.other, &text)
        // The reply's own limit is a lesson and no full context.
        && (!says(&patterns.reply, &text) || says(&patterns.prompt, &text))
        && !text.contains("maximum value for `max_tokens`");
    (coded || worded).then(|| counts(&text))
}

fn counts(text: &str) -> Counts {
    let patterns = &*PATTERNS;
    let mut taken: Vec<usize> = Vec::new();
    let mut first = |patterns: &[Regex]| {
        let number = patterns.iter().find_map(|pattern| {
            pattern
                .captures_iter(text)
                .filter_map(|captures| captures.get(1))
                .find(|number| !taken.contains(&number.start()))
        })?;
        taken.push(number.start());
        number.as_str().parse::<u64>().ok()
    };
    let output = first(&patterns.output);
    let input = first(&patterns.input);
    let limit = first(&patterns.limit);
    let input = input.or_else(|| first(&patterns.input_loose));
    let total = first(&patterns.total);
    let largest = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| digits.len() > 2)
        .filter_map(|digits| digits.parse().ok())
        .max();
    Counts {
        input,
        output,
        limit,
        total,
        largest,
        at_least: text.contains("at least"),
    }
}

/// The text with `32,768` as `32768`.
fn without_separators(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let separates = |at: usize| {
        at > 0 && digit(at - 1) && (1..=3).all(|step| digit(at + step)) && !digit(at + 4)
    };
    text.char_indices()
        .filter(|(at, c)| !(matches!(c, ',' | '_') && separates(*at)))
        .map(|(_, c)| c)
        .collect()
}

impl Counts {
    /// Counts that a gateway gives as fields of its own.
    pub(crate) fn known(input: u64, limit: u64) -> Self {
        Self {
            input: Some(input),
            limit: Some(limit),
            ..Self::default()
        }
    }

    /// The sentence from which Claude Code knows what to do.
    pub(crate) fn sentence(&self, message: &str, asked: Asked) -> String {
        if message.starts_with(REPLY_TOO_LONG)
            || message.starts_with("prompt is too long: ") && self.input.is_some()
        {
            return message.to_owned();
        }
        let Some(limit) = self.limit else {
            return too_long(message, None);
        };
        let output = self.output.or(asked.output);
        let mut input = self.input.or_else(|| {
            let total = self.total.filter(|total| *total > limit);
            match (total, output) {
                (Some(total), Some(output)) if total > output => Some(total - output),
                (Some(total), _) => Some(total),
                (None, _) => {
                    // A number of tokens and no word: the prompt's, or those of prompt and reply.
                    let largest = self.largest.filter(|largest| *largest > limit)?;
                    let without_reply = output.and_then(|output| largest.checked_sub(output));
                    without_reply
                        .filter(|rest| rest.abs_diff(asked.input) < largest.abs_diff(asked.input))
                        .or(Some(largest))
                }
            }
        });
        if self.at_least && output.is_some() {
            input = input.map(|input| input.max(asked.input));
        }
        let Some(input) = input else {
            return too_long(message, None);
        };
        let together = output.map_or(input, |output| input.saturating_add(output));
        match output {
            Some(output) if input.saturating_add(ROOM) < limit && together > limit => {
                format!(
                    "{REPLY_TOO_LONG}: {input} + {output} > {limit}, decrease input length or `max_tokens` and try again"
                )
            }
            _ if input > limit => {
                let total = self.total.filter(|total| *total > limit);
                too_long(message, Some((total.unwrap_or(input), limit)))
            }
            _ => too_long(message, Some((together, limit))),
        }
    }
}

/// The message that makes Claude Code compact; the counts are the prompt's tokens and the limit.
pub(crate) fn too_long(message: &str, counts: Option<(u64, u64)>) -> String {
    match counts.filter(|(tokens, limit)| tokens > limit) {
        Some((tokens, limit)) => {
            format!("prompt is too long: {tokens} tokens > {limit} maximum ({message})")
        }
        None => format!(
            "prompt is too long: {}",
            message.trim_start_matches("prompt is too long: ")
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    const ASKED: Asked = Asked {
        output: Some(32_000),
        input: 9_000,
    };

    #[test]
    fn the_summand_that_is_too_large_is_named() {
        let both = |input: u64, output: u64, limit: u64| {
            format!(
                "input length and `max_tokens` exceed context limit: {input} + {output} > {limit},"
            )
        };
        let prompt = |tokens: u64, limit: u64| {
            format!("prompt is too long: {tokens} tokens > {limit} maximum")
        };
        for (message, want) in [
            // vLLM, old to new.
            ("This model's maximum context length is 32768 tokens. However, your request has 6614 input tokens. Please reduce the length of the input messages. None", both(6614, 32000, 32768)),
            ("'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is 32768 tokens and your request has 6614 input tokens (32000 > 32768 - 6614).", both(6614, 32000, 32768)),
            ("This model's maximum context length is 32768 tokens. However, you requested 32000 output tokens and your prompt contains at least 769 input tokens, for a total of at least 32769 tokens.", both(9000, 32000, 32768)),
            ("The decoder prompt (length 40000) is longer than the maximum model length of 32768. Make sure that", prompt(40000, 32768)),
            ("Input prompt (35247 tokens) is too long and exceeds limit of 1000", prompt(35247, 1000)),
            // OpenAI, DeepSeek, OpenRouter.
            ("This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.", prompt(5000, 4096)),
            ("This model's maximum context length is 65536 tokens. However, you requested 70000 tokens (6000 in the messages, 64000 in the completion).", both(6000, 64000, 65536)),
            ("This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens (8000 of text input, 32000 in the output).", both(8000, 32000, 32768)),
            // TGI.
            ("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 2500 `inputs` tokens and 2000 `max_new_tokens`", both(2500, 2000, 4096)),
            ("Input validation error: `inputs` must have less than 4095 tokens. Given: 5000", prompt(5000, 4095)),
            // SGLang.
            ("The input (9000 tokens) is longer than the model's context length (8192 tokens).", prompt(9000, 8192)),
            ("Requested token count exceeds the model's maximum context length of 32768 tokens. You requested a total of 40000 tokens: 8000 tokens from the input messages and 32000 tokens for the completion.", both(8000, 32000, 32768)),
            // llama.cpp, LM Studio.
            ("request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it", prompt(5000, 4096)),
            ("Trying to keep the first 10136 tokens when context the overflows. However, the model is loaded with context length of only 7866 tokens, which is not enough.", prompt(10136, 7866)),
            ("Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)", prompt(15028, 7424)),
            ("The number of tokens to keep from the initial prompt is greater than the context length.", "prompt is too long: The number".to_owned()),
            ("Context size has been exceeded.", "prompt is too long: Context size".to_owned()),
            // SiliconFlow, xAI, Ark, Kimi, Gemini, Mistral, Cohere, Copilot, Cerebras, Fireworks, Cloudflare.
            ("length of prompt_tokens (140000) must be less than max_seq_len (131072).", prompt(140000, 131072)),
            ("This model's maximum prompt length is 131072 but the request contains 537812 tokens.", prompt(537812, 131072)),
            ("Input length 140000 exceeds the maximum length 131072. Request id: 02", prompt(140000, 131072)),
            ("Total tokens of image and text exceed max message tokens. Request id: 02", "prompt is too long: Total tokens".to_owned()),
            ("Invalid request: Your request exceeded model token limit: 131072 (requested: 140000)", both(108_000, 32_000, 131_072)),
            ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", prompt(1200000, 1048576)),
            ("Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length", prompt(40000, 32768)),
            ("too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.", prompt(5000, 4081)),
            ("prompt token count of 140000 exceeds the limit of 128000", prompt(140000, 128000)),
            ("Please reduce the length of the messages or completion. Current length is 70000 while limit is 65536", prompt(70000, 65536)),
            ("The prompt is too long: 140000, model maximum context length: 131071", prompt(140000, 131071)),
            ("The estimated number of input and maximum output tokens (40000) exceeded this model context window limit (32768)", both(8000, 32000, 32768)),
            ("Your input exceeds the context window of this model. Please adjust your input and try again.", "prompt is too long: Your input".to_owned()),
            ("Input is too long for requested model.", "prompt is too long: Input is".to_owned()),
            ("prompt too long; exceeded max context length by 500 tokens", "prompt is too long: prompt too".to_owned()),
            ("Range of input length should be [1, 98304]", "prompt is too long: Range of".to_owned()),
            // A number without a word: prompt and reply together is nearer to what was sent.
            ("Requested 41000 tokens, but the context window is 32768", both(9000, 32000, 32768)),
            ("The total number of tokens 140000 is greater than the maximum 100000", prompt(108000, 100000)),
            ("This model's maximum context length is 32,768 tokens. However, your request has 40,000 input tokens.", prompt(40000, 32768)),
            // Chinese.
            ("输入长度 140000 超过模型最大上下文长度 131072", prompt(140000, 131072)),
            ("请求的 tokens 数 140000 超过了模型上下文限制 100000", prompt(108000, 100000)),
            ("Prompt 超长", "prompt is too long: Prompt".to_owned()),
            ("输入内容过长，请缩短后重试", "prompt is too long: 输入".to_owned()),
            // What is said already stays.
            ("prompt is too long: 210000 tokens > 200000 maximum", "prompt is too long: 210000 tokens > 200000 maximum".to_owned()),
            ("input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease", "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease".to_owned()),
        ] {
            let counts = read(message, false).unwrap_or_else(|| panic!("not told: {message}"));
            let said = counts.sentence(message, ASKED);
            assert!(said.starts_with(&want), "{message}\n{said}\n{counts:?}");
        }
    }

    #[test]
    fn other_limits_are_no_full_context() {
        for message in [
            "tools[0].name: exceeds the limit of 64 characters",
            "max_tokens is too large: 32000. This model supports at most 16384 completion tokens, whereas you provided 32000.",
            "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
            "Range of max_tokens should be [1, 8192]",
            "`max_tokens` must be less than or equal to `32768`, the maximum value for `max_tokens` is less than the `context_window` for this model",
            "max_tokens: 128000 > 64000, which is the maximum allowed number of output tokens for claude",
            "The maximum tokens you requested exceeds the model limit of 8192. Try again with a maximum tokens value that is lower than 8192.",
            "Rate limit reached for model on tokens per minute (TPM): Limit 6000, Used 5000, Requested 2000.",
            "You exceeded your current quota, please check your plan and billing details",
            "Invalid 'messages[3].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got a string with length 56 instead.",
            "Invalid 'tools': array too long. Expected an array with maximum length 128, but got an array with length 150 instead.",
            "context deadline exceeded",
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "请求频率超过限制",
            "Invalid value for temperature: 2.5 is greater than 2",
            "bad",
        ] {
            assert_eq!(read(message, false), None, "{message}");
        }
    }
}
