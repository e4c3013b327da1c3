//! The redactor: a pass over a text, and what it tells the host.

use std::collections::BTreeMap;

use worker_plugin::{Fault, Hit, Prefilter, Redactor, ScanNeeds, Verdicts, Window};

use crate::anchors::{self, Anchor, Own, Target};
use crate::class::base64;
use crate::custom::{Custom, Settings};
use crate::encoded::Decoded;
use crate::marks::{MARK, Marks};
use crate::memory::Memory;
use crate::rule::{BEHIND, Found, Out};
use crate::text::Text;

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
                .push(String::from_utf8_lossy(anchor.literal).to_ascii_lowercase());
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

impl Secrets {
    /// The secrets in `bytes` whose anchors start at or after `decided`, and the place up to which
    /// that is final.
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
        let mut decoded = Decoded::default();
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
            let len = anchor.literal.len();
            match anchor.target {
                Target::Plain(judge) => judge.judge(&text, at, len, &mut out),
                Target::Encoded => decoded.judge(&text, at, len, &mut out),
                Target::Custom(index) => {
                    if let Some(custom) = self.custom.get(index) {
                        custom.judge(&text, at, len, &mut out);
                    }
                }
            }
            // A rule that runs into the end of the text may point behind it.
            for found in &mut out.found[before..] {
                found.end = found.end.min(bytes.len());
                found.start = found.start.min(found.end);
            }
            // The mark of an earlier pass is no part of a secret: a second pass changes nothing.
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
            // Never between an anchor and the beginning of its hits. The end of a hit does not
            // matter: what begins in decided text is final.
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

/// The place from which on more text may still change the verdict: a line without its end, and
/// lines of base64 that may turn out to be a key when its footer comes.
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
            run = if base64(b) { run + 1 } else { 0 };
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
