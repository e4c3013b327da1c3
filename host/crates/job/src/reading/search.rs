//! `search`: lines that match, as ripgrep finds them.

use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkMatch};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::arguments::{max_bytes_of, paths_of};
use super::files::{Files, text_of};
use super::lines::{Judged, Lines, merged};
use super::reply::reply;
use crate::arguments::Arguments;
use crate::refusal::Refusal;
use redact::Redactor;
use redact::text;
use workspace::Root;

/// The longest pattern, in bytes.
const PATTERN_MAX: usize = 1_000;
/// The most that a compiled pattern takes, in bytes: enough for every word of a language, too
/// little to hurt.
const COMPILED_MAX: usize = 4 << 20;
/// The most lines of context on each side.
const CONTEXT_MAX: u64 = 20;
/// The most files of one search.
const FILES_MAX: usize = 100_000;
/// The most bytes of one file; larger ones are named.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// The most matching lines of one file that are counted.
const LINES_MAX: usize = 5_000;
/// The most matching lines that a reply begins to show.
const SHOWN_MAX: usize = 400;
/// So many matches of each file are shown, however many files there are.
const SHOWN_LEAST: usize = 3;

/// A checked call of `search`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchSpec {
    pattern: String,
    literal: bool,
    pub(super) paths: Vec<String>,
    context: usize,
    max_bytes: usize,
}

impl SearchSpec {
    /// The arguments of `search`, checked. The pattern is compiled where it is used.
    pub(crate) fn parse(arguments: Map<String, Value>) -> Result<Self, Refusal> {
        let known = ["pattern", "literal", "paths", "context", "max_bytes"];
        let mut arguments = Arguments::new(arguments, &known)?;
        let pattern = arguments.string("pattern")?.unwrap_or_default();
        if pattern.is_empty() || pattern.len() > PATTERN_MAX {
            return Err(arguments.refuse("pattern", format!("must be 1 to {PATTERN_MAX} bytes")));
        }
        let context = arguments.number("context", 0, CONTEXT_MAX)?.unwrap_or(0);
        Ok(Self {
            pattern,
            literal: arguments.boolean("literal")?.unwrap_or(false),
            paths: paths_of(&mut arguments)?,
            context: usize::try_from(context).unwrap_or(0),
            max_bytes: max_bytes_of(&mut arguments)?,
        })
    }

    pub(super) fn run(
        &self,
        root: &Root,
        redactor: &Redactor,
        deadline: Instant,
    ) -> Result<Value, Refusal> {
        let pattern = Pattern::compile(&self.pattern, self.literal)?;
        let mut files = Files::list(root, &self.paths, FILES_MAX)?;
        let all = std::mem::take(&mut files.found);
        let mut hits: Vec<(&Path, usize)> = Vec::new();
        for (done, file) in all.iter().enumerate() {
            if Instant::now() >= deadline {
                files.left_out.out_of_time(done, all.len());
                break;
            }
            let Some(text) = files.read(root, file, FILE_BYTES_MAX) else {
                continue;
            };
            let count = pattern.lines(&text, deadline)?.len();
            if count > 0 {
                hits.push((file, count));
            }
        }
        let matches = hits.iter().map(|(_, count)| count).sum::<usize>();
        // A file with hundreds of matches must not hide all others.
        let quota = match matches {
            0..=SHOWN_MAX => LINES_MAX,
            _ => (SHOWN_MAX / hits.len()).max(SHOWN_LEAST),
        };

        let mut shown = String::new();
        let mut hidden = Vec::new();
        for (file, count) in &hits {
            let name = redactor.text(&files.name(file)).into_string();
            let room = self.max_bytes.saturating_sub(shown.len());
            let mut told = 0;
            // Read again: only now is it known how much of it there is room for. It may have changed, which is no fault.
            if let Ok(read) = root.read(file, FILE_BYTES_MAX)
                && let Some(bytes) = text_of(read.bytes)
            {
                let lines = Lines::of(&bytes);
                let found = pattern.lines(&bytes, deadline)?;
                let page = Page {
                    lines: &lines,
                    pattern: &pattern,
                    found: found.get(..quota).unwrap_or(&found),
                    context: self.context,
                };
                let (text, lines_told) = page.show(redactor, &name, room);
                shown.push_str(&text);
                told = lines_told;
            }
            if told < *count {
                hidden.push(format!("{name} ({})", count - told));
            }
        }
        files
            .left_out
            .say_of("matches not shown, narrow pattern or paths", &hidden);
        let counts = [
            ("matches", matches),
            ("in_files", hits.len()),
            ("files", all.len()),
        ];
        Ok(reply(
            files,
            redactor,
            ("found", shown.trim_end().to_owned()),
            &counts,
        ))
    }
}

/// A pattern, compiled.
struct Pattern {
    matcher: RegexMatcher,
    searcher: Searcher,
    /// The same pattern, to tell where in a line it matches.
    inside: regex::bytes::Regex,
}

impl Pattern {
    fn compile(pattern: &str, literal: bool) -> Result<Self, Refusal> {
        let refuse = |fault: &dyn std::fmt::Display| {
            let reason = text::one_line(&fault.to_string(), 300);
            let hint = if literal {
                ""
            } else {
                "; literal: true takes it as plain text"
            };
            Refusal::new("pattern", format!("is no pattern: {reason}{hint}"))
        };
        if pattern.contains('\n') {
            return Err(refuse(
                &"lines are searched one by one, so it must hold no line break",
            ));
        }
        let matcher = RegexMatcherBuilder::new()
            .fixed_strings(literal)
            .line_terminator(Some(b'\n'))
            .multi_line(true)
            .size_limit(COMPILED_MAX)
            .dfa_size_limit(COMPILED_MAX)
            .build(pattern)
            .map_err(|fault| refuse(&fault))?;
        let inside = if literal {
            regex::escape(pattern)
        } else {
            pattern.to_owned()
        };
        let inside = regex::bytes::RegexBuilder::new(&inside)
            .multi_line(true)
            .size_limit(COMPILED_MAX)
            .dfa_size_limit(COMPILED_MAX)
            .build()
            .map_err(|fault| refuse(&fault))?;
        let searcher = SearcherBuilder::new()
            .line_number(true)
            .bom_sniffing(false)
            .binary_detection(BinaryDetection::none())
            .build();
        Ok(Self {
            matcher,
            searcher,
            inside,
        })
    }

    /// The numbers (from 0) of the lines that match, at most [`LINES_MAX`]; fewer when the time is over.
    fn lines(&self, text: &[u8], deadline: Instant) -> Result<Vec<usize>, Refusal> {
        let mut found = Found {
            lines: Vec::new(),
            deadline,
        };
        self.searcher
            .clone()
            .search_slice(&self.matcher, text, &mut found)
            .map_err(|fault| Refusal::internal(format!("the search failed: {fault}")))?;
        Ok(found.lines)
    }
}

struct Found {
    lines: Vec<usize>,
    deadline: Instant,
}

impl Sink for Found {
    type Error = std::io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> Result<bool, Self::Error> {
        let line = found.line_number().unwrap_or(1).saturating_sub(1);
        self.lines.push(usize::try_from(line).unwrap_or(usize::MAX));
        // The first lines of a file whose time came are told.
        let on_time = !self.lines.len().is_multiple_of(64) || Instant::now() < self.deadline;
        Ok(self.lines.len() < LINES_MAX && on_time)
    }
}

/// The matches of one file, as they are shown.
struct Page<'a> {
    lines: &'a Lines<'a>,
    pattern: &'a Pattern,
    found: &'a [usize],
    context: usize,
}

impl Page<'_> {
    /// The file's name and its lines, `12:` before one that matches and `13-` before context, in at most `room` bytes; and
    /// how many matches that are.
    fn show(&self, redactor: &Redactor, name: &str, room: usize) -> (String, usize) {
        let around = |line: &usize| {
            let from = line.saturating_sub(self.context);
            from..(line + self.context + 1).min(self.lines.count())
        };
        let blocks = merged(self.found.iter().map(around).collect(), 0);
        let judged = self.lines.judge(redactor, &blocks);
        let mut out = format!("{name}\n");
        let head = out.len();
        let mut told = 0;
        'blocks: for block in blocks {
            let fence = if self.context > 0 && out.len() > head {
                "--\n"
            } else {
                ""
            };
            let mut text = fence.to_owned();
            let mut in_block = 0;
            for line in block {
                let matches = self.found.binary_search(&line).is_ok();
                let focus = match self.visible_match(line, &judged) {
                    Some(focus) if matches => focus,
                    // What matches is a secret: that it does is nobody's business.
                    None if matches && self.context == 0 => continue,
                    _ => usize::MAX,
                };
                let is_match = focus != usize::MAX;
                let sign = if is_match { ':' } else { '-' };
                let words = judged.line(self.lines, line, if is_match { focus } else { 0 });
                let entry = format!("{}{sign}{words}\n", line + 1);
                if out.len() + text.len() + entry.len() + 1 > room {
                    if in_block > 0 {
                        out.push_str(&text);
                        told += in_block;
                    }
                    break 'blocks;
                }
                text.push_str(&entry);
                in_block += usize::from(is_match);
            }
            if in_block > 0 {
                out.push_str(&text);
                told += in_block;
            }
        }
        if told == 0 {
            return (String::new(), 0);
        }
        out.push('\n');
        (out, told)
    }

    /// The start of the first match in the line that no secret touches.
    fn visible_match(&self, line: usize, judged: &Judged<'_>) -> Option<usize> {
        let start = self.lines.range(line).start;
        let absolute = |range: Range<usize>| start + range.start..start + range.end;
        self.pattern
            .inside
            .find_iter(self.lines.bytes(line))
            .take(100)
            .find(|found| !judged.hides(absolute(found.range())))
            .map(|found| found.start())
    }
}
