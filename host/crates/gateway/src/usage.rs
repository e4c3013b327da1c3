//! Token counts, from any gateway's `usage` to the API's.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::facts::UsageFields;
use settings::Price;

/// Tokens of one or more requests. `input`, `cache_read` and `cache_write` are disjoint: their sum is the whole prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tokens {
    /// Prompt tokens that came from no cache.
    pub input: u64,
    /// Tokens of the replies, reasoning included.
    pub output: u64,
    /// Prompt tokens read from the gateway's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the gateway's cache.
    pub cache_write: u64,
    /// Tokens of reasoning, already counted in `output`.
    pub reasoning: u64,
}

impl Tokens {
    /// Prompt and replies together.
    pub fn total(&self) -> u64 {
        [self.input, self.output, self.cache_read, self.cache_write]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Adds another request's tokens.
    pub fn add(&mut self, other: &Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
    }

    /// The cost of these tokens in US dollars at a price.
    pub fn cost(&self, price: Price) -> f64 {
        price.cost(
            self.input.saturating_add(self.cache_write),
            self.cache_read,
            self.output,
        )
    }
}

/// One reply's `usage`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Reported {
    pub(crate) tokens: Tokens,
    /// US dollars, where the gateway says so.
    pub(crate) cost: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OpenAi {
    prompt_tokens: Option<f64>,
    completion_tokens: Option<f64>,
    total_tokens: Option<f64>,
    /// Kimi.
    cached_tokens: Option<f64>,
    /// DeepSeek.
    prompt_cache_hit_tokens: Option<f64>,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
    /// Gateways that proxy Anthropic.
    input_tokens: Option<f64>,
    output_tokens: Option<f64>,
    cache_read_input_tokens: Option<f64>,
    cache_creation_input_tokens: Option<f64>,
    cost: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<f64>,
    cache_write_tokens: Option<f64>,
    reasoning_tokens: Option<f64>,
}

/// Reads a `usage` object in chat-completions form; `None` for null, another type, or one without any count.
pub(crate) fn read(raw: &str, fields: &UsageFields) -> Option<Reported> {
    let usage: OpenAi = match serde_json::from_str(raw) {
        Ok(usage) => usage,
        Err(_) => lenient(raw)?,
    };
    let tree: Option<Value> = match fields {
        UsageFields {
            cached,
            cache_written,
            reasoning,
            cost,
        } if cached.is_empty()
            && cache_written.is_empty()
            && reasoning.is_empty()
            && cost.is_empty() =>
        {
            None
        }
        _ => serde_json::from_str(raw).ok(),
    };
    let pointed = |pointers: &[String]| {
        let tree = tree.as_ref()?;
        pointers
            .iter()
            .find_map(|pointer| tree.pointer(pointer)?.as_f64())
    };
    let details = usage.prompt_tokens_details.as_ref();
    let cached = pointed(&fields.cached)
        .or(details.and_then(|d| d.cached_tokens))
        .or(usage.prompt_cache_hit_tokens)
        .or(usage.cached_tokens)
        .or(usage
            .cache_read_input_tokens
            .filter(|_| usage.prompt_tokens.is_some()));
    let written = pointed(&fields.cache_written).or(details.and_then(|d| d.cache_write_tokens));
    let reasoning = pointed(&fields.reasoning).or(usage
        .completion_tokens_details
        .as_ref()
        .and_then(|d| d.reasoning_tokens));
    let output = usage.completion_tokens.or(usage.output_tokens);
    // xAI counts reasoning beside the reply: the total tells.
    let output = match (usage.prompt_tokens, output, reasoning, usage.total_tokens) {
        (Some(prompt), Some(output), Some(reasoning), Some(total))
            if reasoning > 0.0 && (prompt + output + reasoning - total).abs() < 0.5 =>
        {
            Some(output + reasoning)
        }
        _ => output,
    };
    let prompt = match usage.prompt_tokens {
        Some(prompt) => Some(prompt),
        None => match (usage.input_tokens, usage.total_tokens) {
            (Some(input), _) => Some(
                input
                    + usage.cache_read_input_tokens.unwrap_or(0.0)
                    + usage.cache_creation_input_tokens.unwrap_or(0.0),
            ),
            (None, Some(total)) => Some(total - output.unwrap_or(0.0)),
            (None, None) => None,
        },
    };
    let cached = match usage.prompt_tokens {
        None => usage.cache_read_input_tokens.or(cached),
        Some(_) => cached,
    };
    if prompt.is_none() && output.is_none() {
        return None;
    }
    let (prompt, cached, written) = (count(prompt), count(cached), count(written));
    let cache_read = cached.min(prompt);
    let cache_write = written.min(prompt - cache_read);
    Some(Reported {
        tokens: Tokens {
            input: prompt - cache_read - cache_write,
            output: count(output),
            cache_read,
            cache_write,
            reasoning: count(reasoning),
        },
        cost: pointed(&fields.cost)
            .or(usage.cost)
            .filter(|cost| cost.is_finite() && *cost >= 0.0),
    })
}

fn count(number: Option<f64>) -> u64 {
    // `as` saturates: negative and absurd numbers become the nearest count.
    number.unwrap_or(0.0).min(1e15) as u64
}

/// Keeps the counts of a `usage` in which something else has an unexpected type.
fn lenient(raw: &str) -> Option<OpenAi> {
    let tree: Value = serde_json::from_str(raw).ok()?;
    let number = |pointer: &str| {
        let value = tree.pointer(pointer)?;
        value.as_f64().or_else(|| value.as_str()?.parse().ok())
    };
    Some(OpenAi {
        prompt_tokens: number("/prompt_tokens"),
        completion_tokens: number("/completion_tokens"),
        total_tokens: number("/total_tokens"),
        cached_tokens: number("/prompt_tokens_details/cached_tokens").or(number("/cached_tokens")),
        prompt_cache_hit_tokens: number("/prompt_cache_hit_tokens"),
        input_tokens: number("/input_tokens"),
        output_tokens: number("/output_tokens"),
        ..OpenAi::default()
    })
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]
    use super::*;

    fn tokens(
        input: u64,
        output: u64,
        cache_read: u64,
        cache_write: u64,
        reasoning: u64,
    ) -> Tokens {
        Tokens {
            input,
            output,
            cache_read,
            cache_write,
            reasoning,
        }
    }

    #[test]
    fn cached_tokens_are_taken_out_of_the_input() {
        for (raw, want) in [
            (
                r#"{"prompt_tokens":10,"completion_tokens":2}"#,
                tokens(10, 2, 0, 0, 0),
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":1}}"#,
                tokens(6, 2, 4, 0, 1),
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":2,"prompt_cache_hit_tokens":4,"prompt_cache_miss_tokens":6}"#,
                tokens(6, 2, 4, 0, 0),
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":2,"cached_tokens":3}"#,
                tokens(7, 2, 3, 0, 0),
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":5}}"#,
                tokens(1, 2, 4, 5, 0),
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":2,"prompt_tokens_details":null}"#,
                tokens(10, 2, 0, 0, 0),
            ),
            (
                r#"{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":9}}"#,
                tokens(0, 2, 3, 0, 0),
            ),
            (
                r#"{"input_tokens":3,"output_tokens":2,"cache_read_input_tokens":5}"#,
                tokens(3, 2, 5, 0, 0),
            ),
            (
                r#"{"prompt_tokens":"10","completion_tokens":"2"}"#,
                tokens(10, 2, 0, 0, 0),
            ),
            (
                r#"{"prompt_tokens":-1,"completion_tokens":2.0}"#,
                tokens(0, 2, 0, 0, 0),
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":2,"total_tokens":42,"completion_tokens_details":{"reasoning_tokens":30}}"#,
                tokens(10, 32, 0, 0, 30),
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":32,"total_tokens":42,"completion_tokens_details":{"reasoning_tokens":30}}"#,
                tokens(10, 32, 0, 0, 30),
            ),
            (
                r#"{"total_tokens":12,"completion_tokens":2}"#,
                tokens(10, 2, 0, 0, 0),
            ),
        ] {
            assert_eq!(
                read(raw, &UsageFields::default()).map(|r| r.tokens),
                Some(want),
                "{raw}"
            );
        }
        for nothing in ["null", "{}", "3", "[]", r#"{"prompt_tokens":null}"#] {
            assert_eq!(read(nothing, &UsageFields::default()), None, "{nothing}");
        }
    }

    #[test]
    fn a_dialect_can_say_where_counts_stand() {
        let fields = UsageFields {
            cached: vec!["/a/b".into()],
            cost: vec!["/usd".into()],
            ..UsageFields::default()
        };
        let reported = read(
            r#"{"prompt_tokens":10,"completion_tokens":2,"a":{"b":4},"usd":0.25}"#,
            &fields,
        )
        .unwrap();
        assert_eq!(
            (reported.tokens, reported.cost),
            (tokens(6, 2, 4, 0, 0), Some(0.25))
        );
    }
}
