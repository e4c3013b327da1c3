//! Secrets that the host holds itself: found in every common encoding, before any scanner.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use settings::Settings;

use crate::invisible::{Squeezed, is_left_out};
use crate::shown;

/// Values that must never be put out, whatever they look like: gateway keys, job tokens, passed-on variables.
#[derive(Clone, Default)]
pub struct KnownValues {
    values: Vec<(String, String)>,
}

impl KnownValues {
    /// The shortest value that is searched for. A shorter one would tear ordinary text apart and is guessed anyway.
    pub const MIN_LENGTH: usize = 4;

    /// Values that environments hold without being secrets.
    const HARMLESS: [&str; 16] = [
        "true",
        "false",
        "null",
        "none",
        "test",
        "debug",
        "info",
        "warn",
        "error",
        "production",
        "development",
        "staging",
        "localhost",
        "default",
        "release",
        "utf-8",
    ];

    /// No values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every secret of the settings, by its label.
    pub fn of(settings: &Settings) -> Self {
        let mut known = Self::new();
        for (label, value) in settings.secrets() {
            known.add(label, value.expose());
        }
        known
    }

    /// Adds a value; `[redacted:LABEL]` will stand in its place. Values shorter than [`Self::MIN_LENGTH`] and words like
    /// `true` or `production` are left out.
    pub fn add(&mut self, label: &str, value: &str) {
        let value = value.trim_matches(|c: char| c.is_ascii_whitespace());
        if value.len() >= Self::MIN_LENGTH
            && !Self::HARMLESS.contains(&value.to_ascii_lowercase().as_str())
        {
            self.values.push((label.to_owned(), value.to_owned()));
        }
    }

    /// Adds all values of another set.
    pub fn extend(&mut self, other: &Self) {
        self.values.extend(other.values.iter().cloned());
    }

    /// Returns true if there is nothing to search for.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl std::fmt::Debug for KnownValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.values.iter().map(|(label, _)| label))
            .finish()
    }
}

/// The compiled set.
pub(super) struct KnownPatterns {
    values: KnownValues,
    search: Option<AhoCorasick>,
    labels: Vec<String>,
    /// All patterns, sorted, to tell whether a text ends with the beginning of one.
    sorted: Vec<Vec<u8>>,
    longest: usize,
}

/// The most bytes that are undecided because of control characters between the bytes of a value.
const MOST_UNDECIDED: usize = 48 * 1024;

/// An encoding longer than this is not searched for as a whole; the lines of the value are.
const LONGEST_PATTERN: usize = 16 * 1024;

impl KnownPatterns {
    pub(super) fn compile(known: &KnownValues) -> Self {
        let mut patterns: Vec<(Vec<u8>, String)> = Vec::new();
        for (label, value) in &known.values {
            let label = super::label::clean_label(label);
            let mut add = |pattern: Vec<u8>| {
                if pattern.len() >= KnownValues::MIN_LENGTH && pattern.len() <= LONGEST_PATTERN {
                    patterns.push((pattern, label.clone()));
                }
            };
            for pattern in encodings(value) {
                add(pattern);
            }
            if value.contains('\n') {
                // A line of a longer value is telling from eight characters on; shorter ones are braces and the like.
                for line in value.lines().map(str::trim) {
                    if line.len() >= 8 && !line.starts_with("-----") {
                        encodings(line).into_iter().for_each(&mut add);
                    }
                }
            }
        }
        patterns.sort();
        patterns.dedup_by(|a, b| a.0 == b.0);
        let search = if patterns.is_empty() {
            None
        } else {
            // The automaton that is built in a tenth of the time and of the memory of the fastest one: each adapter, runner and
            // task of a job makes one.
            AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .match_kind(MatchKind::Standard)
                .build(patterns.iter().map(|(pattern, _)| pattern))
                .ok()
        };
        let longest = patterns
            .iter()
            .map(|(pattern, _)| pattern.len())
            .max()
            .unwrap_or(0);
        let (sorted, labels) = patterns.into_iter().unzip();
        Self {
            values: known.clone(),
            search,
            labels,
            sorted,
            longest,
        }
    }

    /// The values that were compiled.
    pub(super) fn values(&self) -> &KnownValues {
        &self.values
    }

    /// Calls `hit` with start, end and label of each occurrence, overlapping ones included, also of those that a terminal or
    /// a reader of JSON would show; answers how many bytes of `text` are decided: all, unless it ends with the beginning of
    /// a value.
    pub(super) fn find_shown(
        &self,
        text: &[u8],
        last: bool,
        mut hit: impl FnMut(usize, usize, &str),
    ) -> usize {
        let mut decided = self.find(text, last, &mut hit);
        if self.search.is_none() {
            return decided;
        }
        let readings = shown::readings(text, last);
        for reading in &readings {
            let end = reading.bytes.len();
            // The next character may overstrike the last one.
            let mut at_end = end;
            let open = self.find_exactly(&reading.bytes, last, |start, to, label| {
                match last || to < end {
                    true => hit(reading.begin(start), reading.end(to), label),
                    false => at_end = at_end.min(start),
                }
            });
            let open = open
                .min(at_end)
                .min(self.open_before_last(&reading.bytes, last));
            decided = decided.min(bounded(reading.begin(open), text));
        }
        for reading in &readings {
            decided = reading.before_whole(decided);
        }
        decided
    }

    /// The same of what stands there but for control characters in between.
    pub(super) fn find(
        &self,
        text: &[u8],
        last: bool,
        mut hit: impl FnMut(usize, usize, &str),
    ) -> usize {
        let decided = self.find_exactly(text, last, &mut hit);
        let decided = decided.min(self.open_before_last(text, last));
        let Some(squeezed) = self.search.as_ref().and_then(|_| Squeezed::of(text)) else {
            return decided;
        };
        let open = self.find_exactly(&squeezed.bytes, last, |start, end, label| {
            let before_end = squeezed.place(end.saturating_sub(1));
            hit(squeezed.place(start), before_end + 1, label);
        });
        let open = open.min(self.open_before_last(&squeezed.bytes, last));
        decided.min(bounded(squeezed.place(open), text))
    }

    /// The first place from which the text begins a pattern, should a backspace follow its last character; its end where
    /// there is none.
    fn open_before_last(&self, text: &[u8], last: bool) -> usize {
        let before = shown::without_last(text).filter(|_| !last && self.search.is_some());
        let open = before.and_then(|before| {
            let open = self.open_end(before);
            (open < before.len()).then_some(open)
        });
        open.unwrap_or(text.len())
    }

    /// The same for what stands there byte for byte.
    pub(super) fn find_exactly(
        &self,
        text: &[u8],
        last: bool,
        mut hit: impl FnMut(usize, usize, &str),
    ) -> usize {
        let Some(search) = &self.search else {
            return text.len();
        };
        if let Ok(found) = search.try_find_overlapping_iter(text) {
            for occurrence in found {
                let label = self
                    .labels
                    .get(occurrence.pattern().as_usize())
                    .map_or("known-value", String::as_str);
                hit(occurrence.start(), occurrence.end(), label);
            }
        }
        if last {
            text.len()
        } else {
            self.open_end(text)
        }
    }

    /// The first place from which the rest of `text` begins a pattern without completing it.
    fn open_end(&self, text: &[u8]) -> usize {
        let from = text.len().saturating_sub(self.longest.saturating_sub(1));
        (from..text.len())
            .find(|&at| {
                let rest = &text[at..];
                let next = self
                    .sorted
                    .partition_point(|pattern| pattern.as_slice() <= rest);
                self.sorted
                    .get(next)
                    .is_some_and(|pattern| pattern.starts_with(rest))
            })
            .unwrap_or(text.len())
    }
}

/// A place up to which a text is decided: a long value with much between its bytes is not waited for without end.
fn bounded(decided: usize, text: &[u8]) -> usize {
    decided.max(text.len().saturating_sub(MOST_UNDECIDED))
}

/// The forms in which a value turns up.
fn encodings(value: &str) -> Vec<Vec<u8>> {
    let mut forms: Vec<String> = vec![value.to_owned()];
    // What is searched has lost such characters, so that none can hide a value.
    if value.contains(is_left_out) {
        forms.push(value.replace(is_left_out, ""));
    }
    let json = json_forms(value);
    // A string inside a string: stream-json holds tool output that holds JSON.
    forms.extend(json.iter().flat_map(|once| json_forms(once)));
    forms.extend(json);
    let url = url_forms(value);
    forms.extend(url.iter().map(|once| once.replace('%', "%25")));
    forms.extend(url);
    forms.extend(html_forms(value));
    forms.push(value.replace('\'', "'\\''"));
    if value.contains('\n') {
        forms.push(value.replace('\n', "\r\n"));
        forms.push(value.replace('\n', " "));
    }
    let mut patterns: Vec<Vec<u8>> = forms.into_iter().map(String::into_bytes).collect();
    for bytes in [
        value.as_bytes().to_vec(),
        value.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    ] {
        for alignment in 0..3 {
            patterns.extend(base64_core(&bytes, alignment));
        }
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        patterns.push(hex.to_ascii_uppercase().into_bytes());
        patterns.push(hex.into_bytes());
        patterns.push(bytes);
    }
    patterns.sort();
    patterns.dedup();
    patterns
}

/// The part that is constant of the base64 of a text in which the value stands at an offset of
/// `alignment` (mod 3).
fn base64_core(bytes: &[u8], alignment: usize) -> [Vec<u8>; 2] {
    let mut shifted = vec![0; alignment];
    shifted.extend_from_slice(bytes);
    // The first characters mix in what stands before, the last one what comes after.
    let skip = [0, 2, 3][alignment];
    let whole = shifted.len() / 3 * 4 + [0, 1, 2][shifted.len() % 3];
    [
        STANDARD_NO_PAD.encode(&shifted),
        URL_SAFE_NO_PAD.encode(&shifted),
    ]
    .map(|text| {
        text.as_bytes()
            .get(skip..whole)
            .unwrap_or_default()
            .to_vec()
    })
}

/// The forms that JSON writers give it: the plain one, one that escapes slashes, one that escapes
/// markup, one that is pure ASCII.
fn json_forms(value: &str) -> Vec<String> {
    let escape = |slashes: bool, markup: bool, ascii: bool, upper: bool| {
        let mut out = String::with_capacity(value.len() + 8);
        for c in value.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '/' if slashes => out.push_str("\\/"),
                '<' | '>' | '&' | '\'' | '+' if markup => push_unicode_escape(&mut out, c, upper),
                c if (c as u32) < 0x20 => push_unicode_escape(&mut out, c, upper),
                c if ascii && !c.is_ascii() => push_unicode_escape(&mut out, c, upper),
                c => out.push(c),
            }
        }
        out
    };
    let mut forms = vec![
        escape(false, false, false, false),
        escape(true, false, false, false),
        escape(false, true, false, false),
        escape(false, true, false, true),
        escape(false, false, true, false),
        escape(true, false, true, false),
        escape(false, false, true, true),
    ];
    // Go and Rust debug output leave the apostrophe alone but escape markup without it.
    forms.push(
        value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('&', "\\u0026")
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('\n', "\\n"),
    );
    forms.sort();
    forms.dedup();
    forms
}

fn push_unicode_escape(out: &mut String, c: char, upper: bool) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.push_str(&if upper {
            format!("\\u{unit:04X}")
        } else {
            format!("\\u{unit:04x}")
        });
    }
}

/// Percent-encoded as browsers, Python, and HTML forms do it, with digits in either case.
fn url_forms(value: &str) -> Vec<String> {
    let escape = |keep: &str, plus: bool, upper: bool| {
        let mut out = String::with_capacity(value.len() + 8);
        for &byte in value.as_bytes() {
            if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) {
                out.push(char::from(byte));
            } else if plus && byte == b' ' {
                out.push('+');
            } else if upper {
                out.push_str(&format!("%{byte:02X}"));
            } else {
                out.push_str(&format!("%{byte:02x}"));
            }
        }
        out
    };
    let mut forms = Vec::new();
    for upper in [true, false] {
        for plus in [true, false] {
            // encodeURIComponent, encodeURI, urllib.parse.quote, form encoding, RFC 3986 unreserved, nothing but letters.
            for keep in [
                "-_.!~*'()",
                "-_.!~*'();/?:@&=+$,#",
                "-_.~/",
                "-_.*",
                "-_.~",
                "",
            ] {
                forms.push(escape(keep, plus, upper));
            }
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

fn html_forms(value: &str) -> Vec<String> {
    let styles: [[&str; 5]; 5] = [
        ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"],
        ["&amp;", "&lt;", "&gt;", "&#34;", "&#39;"],
        ["&amp;", "&lt;", "&gt;", "&quot;", "&#x27;"],
        ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;"],
        ["&amp;", "&lt;", "&gt;", "\"", "'"],
    ];
    styles
        .iter()
        .map(|[amp, lt, gt, quote, apostrophe]| {
            value
                .chars()
                .map(|c| match c {
                    '&' => (*amp).to_owned(),
                    '<' => (*lt).to_owned(),
                    '>' => (*gt).to_owned(),
                    '"' => (*quote).to_owned(),
                    '\'' => (*apostrophe).to_owned(),
                    c => c.to_string(),
                })
                .collect()
        })
        .collect()
}
