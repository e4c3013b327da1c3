//! Names and ids of tools between two sides that allow different ones, and what travels inside them.
//!
//! Claude Code returns exactly two things of an answer unchanged: the id of a tool use and the `signature` of a thinking
//! block. What a gateway wants back with its calls or its reasoning (Gemini's thought signatures, OpenRouter's
//! `reasoning_details`) is carried in them.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::facts::ToolId;

/// Between a tool use's own id and what it carries.
const CARRIER: &str = "__x_";
/// In front of a signature that carries something.
const SIGNATURE: &str = "w1.";
/// The signature of a thinking block that carries nothing; the type demands one.
pub(crate) const PLAIN_SIGNATURE: &str = "w0";

/// Tool names as the gateway sees them, and back.
#[derive(Debug, Default)]
pub(crate) struct ToolNames {
    /// Only names that had to change: the gateway's to the caller's.
    back: HashMap<String, String>,
}

impl ToolNames {
    /// The gateway's name for a tool: itself where it fits, else a shortened one that is the same each time.
    pub(crate) fn outward(&mut self, name: &str, limit: usize) -> String {
        if name.len() <= limit && !name.is_empty() && name.bytes().all(is_name_byte) {
            return name.to_owned();
        }
        let digest = hex::encode(Sha256::digest(name.as_bytes()));
        let suffix = digest.get(..8).unwrap_or_default();
        let mut short: String = name
            .chars()
            .map(|c| {
                if c.is_ascii() && is_name_byte(c as u8) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        short.truncate(limit.saturating_sub(suffix.len() + 1));
        short.push('_');
        short.push_str(suffix);
        self.back.insert(short.clone(), name.to_owned());
        short
    }

    /// The caller's name for a tool that the gateway calls.
    pub(crate) fn inward<'n>(&'n self, name: &'n str) -> &'n str {
        self.back.get(name).map_or(name, String::as_str)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// The id of a call as the gateway takes it.
pub(crate) fn outward_id(id: &str, rule: ToolId) -> String {
    let fits = match rule {
        ToolId::Any => true,
        ToolId::AtMost(limit) => id.len() <= limit as usize,
        ToolId::Alphanumeric(length) => {
            id.len() == length as usize && id.bytes().all(|b| b.is_ascii_alphanumeric())
        }
    };
    if fits {
        return id.to_owned();
    }
    let digest = Sha256::digest(id.as_bytes());
    match rule {
        ToolId::Alphanumeric(length) => {
            const ALPHABET: &[u8; 62] =
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
            digest
                .iter()
                .cycle()
                .take(length as usize)
                .map(|byte| {
                    ALPHABET
                        .get(usize::from(*byte) % ALPHABET.len())
                        .map_or('0', |c| char::from(*c))
                })
                .collect()
        }
        ToolId::AtMost(limit) => {
            let mut short = format!("call_{}", hex::encode(digest));
            short.truncate((limit as usize).max(9));
            short
        }
        ToolId::Any => id.to_owned(),
    }
}

/// A caller's tool-use id taken apart: the gateway's own id, and the JSON object it carries.
pub(crate) fn open_id(id: &str) -> (&str, Option<String>) {
    match id.split_once(CARRIER) {
        Some((own, carried)) => match decode(carried) {
            Some(object) => (own, Some(object)),
            None => (id, None),
        },
        None => (id, None),
    }
}

/// A tool-use id that carries a JSON object.
pub(crate) fn close_id(own: &str, object: &str) -> String {
    format!("{own}{CARRIER}{}", URL_SAFE_NO_PAD.encode(object))
}

/// The JSON object that a thinking block's signature carries.
pub(crate) fn open_signature(signature: &str) -> Option<String> {
    decode(signature.strip_prefix(SIGNATURE)?)
}

/// A signature that carries a JSON object, or none.
pub(crate) fn close_signature(object: Option<&str>) -> Cow<'static, str> {
    match object {
        Some(object) => Cow::Owned(format!("{SIGNATURE}{}", URL_SAFE_NO_PAD.encode(object))),
        None => Cow::Borrowed(PLAIN_SIGNATURE),
    }
}

fn decode(carried: &str) -> Option<String> {
    let object = String::from_utf8(URL_SAFE_NO_PAD.decode(carried).ok()?).ok()?;
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&object)
        .is_ok()
        .then_some(object)
}

/// A fresh id with this prefix, as in `toolu_`.
pub(crate) fn fresh_id(prefix: &str) -> String {
    let mut bytes = [0u8; 12];
    if getrandom::fill(&mut bytes).is_err() {
        use std::sync::atomic::{AtomicU64, Ordering};
        static COUNT: AtomicU64 = AtomicU64::new(0);
        bytes = [0; 12];
        if let Some(head) = bytes.first_chunk_mut::<8>() {
            *head = COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        }
    }
    format!("{prefix}{}", hex::encode(bytes))
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
    use proptest::prelude::*;

    #[test]
    fn names_that_fit_stay_and_others_come_back() {
        let mut names = ToolNames::default();
        assert_eq!(names.outward("Bash", 64), "Bash");
        let long = format!("mcp__server__{}", "x".repeat(80));
        let almost = format!("{long}y");
        let (a, b, c) = (
            names.outward(&long, 64),
            names.outward(&almost, 64),
            names.outward("weird.name/x", 64),
        );
        assert!(a.len() <= 64 && b.len() <= 64 && a != b);
        assert_eq!(
            (names.inward(&a), names.inward(&b), names.inward(&c)),
            (long.as_str(), almost.as_str(), "weird.name/x")
        );
        assert_eq!(names.inward("Bash"), "Bash");
        assert_eq!(
            ToolNames::default().outward(&long, 64),
            a,
            "the same name each time"
        );
    }

    #[test]
    fn ids_follow_the_gateway_rule() {
        assert_eq!(outward_id("call_1", ToolId::Any), "call_1");
        assert_eq!(
            outward_id("abcDEF123", ToolId::Alphanumeric(9)),
            "abcDEF123"
        );
        let mistral = outward_id("toolu_0123", ToolId::Alphanumeric(9));
        assert!(mistral.len() == 9 && mistral.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_eq!(outward_id(&"x".repeat(80), ToolId::AtMost(40)).len(), 40);
    }

    proptest! {
        #[test]
        fn what_an_id_carries_comes_back(own in "[A-Za-z0-9]{1,20}", value in any::<String>()) {
            let object = serde_json::json!({ "extra_content": value }).to_string();
            let id = close_id(&own, &object);
            prop_assert!(id.bytes().all(is_name_byte));
            prop_assert_eq!(open_id(&id), (own.as_str(), Some(object.clone())));
            prop_assert_eq!(open_signature(&close_signature(Some(&object))), Some(object));
        }

        #[test]
        fn a_strange_id_is_only_an_id(id in any::<String>()) {
            prop_assume!(!id.contains(CARRIER));
            prop_assert_eq!(open_id(&id), (id.as_str(), None));
        }
    }
}
