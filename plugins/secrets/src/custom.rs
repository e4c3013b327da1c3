//! The operator's own rules: prefixes with a character class and a length, not regular expressions,
//! so that none can be slow.

use serde::Deserialize;
use worker_plugin::Fault;

use crate::rule::Out;
use crate::text::Text;

/// The operator's settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Further kinds of tokens.
    pub rules: Vec<CustomRule>,
    /// Values that are no secrets, exactly as they stand: published test keys and the like.
    pub allow: Vec<String>,
}

/// A kind of token by its prefix.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomRule {
    /// The label in the mark, in `a-z0-9-`.
    pub label: String,
    /// The prefix of the token; at least three characters.
    pub prefix: String,
    /// The characters that follow it: characters and ranges, as in `A-Za-z0-9_`.
    #[serde(default = "word_characters")]
    pub characters: String,
    /// The fewest characters after the prefix.
    #[serde(default = "least")]
    pub min: usize,
    /// The most characters after the prefix.
    #[serde(default = "most")]
    pub max: usize,
}

fn word_characters() -> String {
    "A-Za-z0-9_-".to_owned()
}

fn least() -> usize {
    8
}

fn most() -> usize {
    1024
}

/// A checked rule.
pub(crate) struct Custom {
    label: String,
    pub(crate) prefix: Vec<u8>,
    class: [bool; 256],
    min: usize,
    max: usize,
}

impl Custom {
    pub(crate) fn new(rule: CustomRule) -> Result<Self, Fault> {
        let refuse = |why: &str| Err(Fault::BadSettings(format!("rules, {}: {why}", rule.label)));
        if rule.prefix.len() < 3 || rule.prefix.len() > 256 {
            return refuse("prefix must have 3 to 256 characters");
        }
        if rule.label.is_empty()
            || rule
                .label
                .bytes()
                .any(|b| !(b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        {
            return refuse("label must consist of a-z, 0-9 and -");
        }
        if rule.min > rule.max || rule.max > 4096 {
            return refuse("min and max must be in order and at most 4096");
        }
        let mut class = [false; 256];
        let characters = rule.characters.as_bytes();
        let mut i = 0;
        while i < characters.len() {
            if i + 2 < characters.len() && characters[i + 1] == b'-' {
                if characters[i] > characters[i + 2] {
                    return refuse("characters has a range that is out of order");
                }
                class[usize::from(characters[i])..=usize::from(characters[i + 2])].fill(true);
                i += 3;
            } else {
                class[usize::from(characters[i])] = true;
                i += 1;
            }
        }
        Ok(Self {
            prefix: rule.prefix.into_bytes(),
            label: rule.label,
            class,
            min: rule.min,
            max: rule.max,
        })
    }

    pub(crate) fn judge(&self, text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
        if text.slice(at, at + len) != self.prefix {
            return;
        }
        let from = at + len;
        let mut end = from;
        while end - from < self.max && self.class[usize::from(text.at(end))] {
            end += 1;
        }
        if end - from >= self.min {
            out.hit(at, end, self.label.clone());
        }
    }
}
