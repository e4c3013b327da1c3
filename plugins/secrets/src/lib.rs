//! Redactor `secrets`: finds secrets of every well-known kind.

use serde::Deserialize;
use worker_plugin::{Appetite, Fault, Hit, Prefilter, Redactor, Verdicts, Window};

/// The operator's settings.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {}

/// The redactor.
pub struct Secrets;

/// The longest token that a rule takes.
const LOOKAHEAD: usize = 128;

impl Redactor for Secrets {
    type Settings = Settings;
    const SUMMARY: &'static str = "tokens, keys and passwords of every well-known kind";

    fn new(_: Settings) -> Result<Self, Fault> {
        Ok(Secrets)
    }

    fn appetite(&self) -> Appetite {
        Appetite {
            lookahead: LOOKAHEAD as u32,
            context: 0,
            prefilters: vec![Prefilter {
                literals: vec!["ghp_".to_owned()],
                ignore_case: false,
                before: 0,
                after: LOOKAHEAD as u32,
            }],
        }
    }

    fn scan(&mut self, window: &Window) -> Result<Verdicts, Fault> {
        let bytes = &window.bytes;
        let settled = if window.last {
            bytes.len()
        } else {
            bytes.len().saturating_sub(LOOKAHEAD)
        };
        let settled = settled.max(window.decided as usize);
        let mut hits = Vec::new();
        for start in window.decided as usize..settled {
            let Some(word) = bytes[start..].strip_prefix(b"ghp_") else {
                continue;
            };
            if word
                .iter()
                .take_while(|byte| byte.is_ascii_alphanumeric())
                .count()
                == 36
            {
                hits.push(Hit::new(start, start + 40, "github-token"));
            }
        }
        Ok(Verdicts {
            hits,
            settled: settled as u32,
        })
    }
}

worker_plugin::redactor!(Secrets);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use worker_plugin::testing::{configured, redact_in_pieces};

    #[test]
    fn any_chunking_gives_the_same_ranges() {
        let text = format!("x ghp_{} y ghp_short", "a1B2".repeat(9)).into_bytes();
        let mut secrets = configured(Secrets::new, "{}").unwrap();
        let whole = redact_in_pieces(&mut secrets, [&text[..]]);
        assert_eq!(whole.len(), 1);
        assert_eq!(redact_in_pieces(&mut secrets, text.chunks(1)).len(), 1);
    }
}
