//! Redactor `secrets`: recognises what nobody told the host about: tokens of well-known issuers, private keys in any
//! wrapping, credentials in URLs, headers, command lines and connection strings, and values whose names say that they are
//! secrets, in env files, JSON, YAML, TOML, XML, SQL and code.
//!
//! One pass over the text finds *anchors* (literals such as `ghp_`, `://` or `token`); each has a rule, a small parser that
//! looks at the text around. A rule's verdict is a function of a bounded neighbourhood of its anchor, so it is the same
//! for any cut of the text, and with and without the host's prefilter.

#![allow(
    clippy::nonminimal_bool,
    reason = "conditions are written as the notations define them"
)]

mod anchors;
mod assign;
mod cli;
mod custom;
mod encoded;
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod headers;
mod keys;
mod lists;
mod memory;
mod names;
mod query;
mod text;
mod tokens;
mod url;
mod value;

use std::borrow::Cow;
use std::collections::BTreeMap;

use worker_plugin::{ScanNeeds, Fault, Hit, Prefilter, Redactor, Verdicts, Window};

use anchors::{Anchor, BEHIND, Own};
use custom::Custom;
pub use custom::{CustomRule, Settings};
use memory::Memory;
use text::Text;

/// The redactor.
pub struct Secrets {
    custom: Vec<Custom>,
    /// The anchors of the operator's own rules, if there are any.
    own: Option<Own>,
    allowed: Vec<String>,
}

/// The furthest that any rule looks ahead, with a margin for a hit at its end.
const LOOKAHEAD: usize = 47 * 1024;
/// The furthest that any rule looks back.
const LOOKBEHIND: usize = 6 * 1024 + 512;

impl Redactor for Secrets {
    type Settings = Settings;
    const SUMMARY: &'static str =
        "tokens, keys, passwords and credentials of every well-known kind";
    const SCHEMA: Option<&'static str> = Some(include_str!("settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, Fault> {
        let custom = settings
            .rules
            .into_iter()
            .map(Custom::new)
            .collect::<Result<Vec<_>, _>>()?;
        let own = (!custom.is_empty()).then(|| Own::new(&custom));
        Ok(Self {
            custom,
            own,
            allowed: settings.allow,
        })
    }

    fn needs(&self) -> ScanNeeds {
        let mut groups: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
        let own = self.own.iter().flat_map(Own::all);
        for anchor in anchors::builtin().iter().copied().chain(own) {
            let margins = (anchor.reach.back.max(BEHIND), anchor.reach.ahead);
            groups
                .entry(margins)
                .or_default()
                .push(String::from_utf8_lossy(anchor.literal).into_owned());
        }
        ScanNeeds {
            lookahead: LOOKAHEAD as u32 + 1024,
            context: LOOKBEHIND as u32,
            prefilters: groups
                .into_iter()
                .map(|((before, after), literals)| Prefilter {
                    literals,
                    ignore_case: true,
                    before: before as u32,
                    after: after as u32,
                })
                .collect(),
        }
    }

    fn scan(&mut self, window: &Window) -> Result<Verdicts, Fault> {
        let (found, settled) = self.find(&window.bytes, window.decided as usize, window.last);
        let hits = found
            .into_iter()
            .map(|found| Hit::new(found.start, found.end, found.label))
            .collect();
        Ok(Verdicts {
            hits,
            settled: settled as u32,
        })
    }
}

worker_plugin::redactor!(Secrets);

/// A secret found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// What it is.
    pub label: Cow<'static, str>,
}

/// What the rules put their hits into.
#[derive(Default)]
pub(crate) struct Out {
    found: Vec<Found>,
}

impl Out {
    pub(crate) fn hit(&mut self, start: usize, end: usize, label: impl Into<Cow<'static, str>>) {
        if start < end {
            self.found.push(Found {
                start,
                end,
                label: label.into(),
            });
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// First byte and the one after the last of each hit.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (usize, usize)> {
        self.found.iter().map(|found| (found.start, found.end))
    }
}

impl Secrets {
    /// The secrets in `bytes` whose anchors start at or after `decided`, and up to where that is final.
    pub fn find(&self, bytes: &[u8], decided: usize, last: bool) -> (Vec<Found>, usize) {
        let mut out = Out::default();
        let mut settled = if last {
            bytes.len()
        } else {
            open_tail(bytes, decided)
        };
        // Anchors with hits, and where the last of those begins.
        let mut causes: Vec<(usize, usize)> = Vec::new();
        let memory = Memory::default();
        let marks = Marks::of(bytes);
        let mut judge = |at: usize, anchor: &Anchor<'_>| {
            if marks.around(bytes, at) {
                return;
            }
            let text = Text::around(
                bytes,
                at,
                BEHIND.max(anchor.reach.back),
                anchor.reach.ahead,
                last,
                &memory,
            );
            let before = out.len();
            anchor.judge(&text, at, &self.custom, &mut out);
            // A rule that runs into the end of the text may point behind it.
            for found in &mut out.found[before..] {
                found.end = found.end.min(bytes.len());
                found.start = found.start.min(found.end);
            }
            // What an earlier pass left behind is no part of a secret: a second pass changes nothing.
            if marks.any() {
                let mut kept = before;
                for i in before..out.found.len() {
                    let found = &out.found[i];
                    let slice = &bytes[found.start..found.end];
                    if !marks.around(bytes, found.start)
                        && !slice.windows(MARK.len()).any(|part| part == MARK)
                    {
                        out.found.swap(kept, i);
                        kept += 1;
                    }
                }
                out.found.truncate(kept);
            }
            if text.was_cut() {
                out.found.truncate(before);
                // A hit may start before its anchor, on the same line.
                settled = settled.min(if anchor.reach.back == 0 {
                    at
                } else {
                    text.line_start(at)
                        .max(at.saturating_sub(anchor.reach.back))
                });
            } else if let Some(start) = out.found[before..].iter().map(|found| found.start).max() {
                causes.push((at, start));
            }
        };
        anchors::find(bytes, decided, &mut judge);
        if let Some(own) = &self.own {
            own.find(bytes, decided, &mut judge);
        }
        if !last {
            // Never between an anchor and the beginning of its hits. Where a hit ends does not matter: what begins in
            // decided text is final.
            causes.sort_unstable();
            for &(at, start) in causes.iter().rev() {
                if at < settled && start >= settled {
                    settled = at;
                }
            }
            settled = settled
                .max(bytes.len().saturating_sub(LOOKAHEAD + 1024))
                .max(decided);
        }
        out.found.retain(|found| found.start < found.end);
        if !self.allowed.is_empty() {
            let allowed = |found: &Found| {
                self.allowed
                    .iter()
                    .any(|value| value.as_bytes() == &bytes[found.start..found.end])
            };
            out.found.retain(|found| !allowed(found));
        }
        (out.found, settled)
    }
}

/// How a mark begins.
const MARK: &[u8] = b"[redacted:";

/// The marks that an earlier pass left behind; most texts have none.
struct Marks(bool);

impl Marks {
    fn of(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|&b| b == MARK[0]) {
            rest = &rest[at..];
            if rest.starts_with(MARK) {
                return Self(true);
            }
            rest = &rest[1..];
        }
        Self(false)
    }

    fn any(&self) -> bool {
        self.0
    }

    /// Whether `at` lies in a mark.
    fn around(&self, bytes: &[u8], at: usize) -> bool {
        if !self.0 {
            return false;
        }
        let label = bytes[..at]
            .iter()
            .rev()
            .take(48)
            .take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || **b == b'-')
            .count();
        bytes[..at - label].ends_with(MARK)
    }
}

/// From where on more text may still change what is found: a line without its end, and lines of base64 that may turn
/// out to be a key when its footer comes.
fn open_tail(bytes: &[u8], decided: usize) -> usize {
    let floor = bytes.len().saturating_sub(LOOKBEHIND).max(decided);
    let mut start = bytes.len();
    while start > floor && bytes[start - 1] != b'\n' {
        start -= 1;
    }
    // The last line of a key is short.
    let mut candidate = start;
    let mut short = 0;
    while candidate > floor {
        let line_end = candidate - 1;
        let mut line = line_end;
        while line > floor && bytes[line - 1] != b'\n' {
            line -= 1;
        }
        let mut run = 0;
        let mut longest = 0;
        for &b in &bytes[line..line_end] {
            run = if text::base64(b) { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        candidate = line;
        // A key without its header is looked for across empty lines, too.
        let empty = bytes[line..line_end]
            .iter()
            .all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'"' | b'\'' | b',' | b'+'));
        if longest >= 40 {
            start = line;
        } else if empty {
            continue;
        } else if short == 0 && longest > 0 && (line_end - line) <= longest + 24 {
            short += 1;
        } else {
            break;
        }
    }
    start
}

#[cfg(test)]
mod tests;
