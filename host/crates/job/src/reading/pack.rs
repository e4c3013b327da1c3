//! `read_pack`: what stands around symbols and keywords, definitions first, instead of whole files.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::arguments::{max_bytes_of, paths_of};
use super::definition::{self, Judge, Rank};
use super::files::Files;
use super::lines::{LINE_MAX, Lines, merged};
use super::reply::reply;
use crate::arguments::Arguments;
use crate::refusal::Refusal;
use redact::Redactor;
use redact::text;
use workspace::Root;

/// The most symbols of one call.
const SYMBOLS_MAX: usize = 32;
/// The longest symbol, in bytes.
const SYMBOL_MAX: usize = 200;
/// The most files of one call.
const FILES_MAX: usize = 20_000;
/// The most bytes of one file; larger ones are named.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// The most mentions of one symbol in one file that are looked at, and in all files.
const MENTIONS_OF_FILE: usize = 200;
const MENTIONS_MAX: usize = 20_000;
/// Lines around a mention.
const AROUND: usize = 2;
/// Lines between two slices that are shown too, rather than a gap.
const GAP: usize = 1;
/// Bytes of a line's number and of a slice's heading, about.
const LINE_COST: usize = 6;
const HEADING_COST: usize = 60;

/// A checked call of `read_pack`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackSpec {
    pub(super) paths: Vec<String>,
    symbols: Vec<String>,
    max_bytes: usize,
}

impl PackSpec {
    /// The arguments of `read_pack`, checked.
    pub(crate) fn parse(arguments: Map<String, Value>) -> Result<Self, Refusal> {
        let mut arguments = Arguments::new(arguments, &["paths", "symbols", "max_bytes"])?;
        let symbols = arguments
            .strings("symbols", SYMBOLS_MAX)?
            .unwrap_or_default();
        if symbols.is_empty() {
            return Err(arguments.refuse("symbols", "must name at least one symbol or keyword"));
        }
        for (index, symbol) in symbols.iter().enumerate() {
            if symbol.len() > SYMBOL_MAX || symbol.contains('\n') || symbol.trim().is_empty() {
                let rule = format!("must be one line of at most {SYMBOL_MAX} bytes");
                return Err(arguments.refuse(&format!("symbols[{index}]"), rule));
            }
        }
        Ok(Self {
            paths: paths_of(&mut arguments)?,
            symbols,
            max_bytes: max_bytes_of(&mut arguments)?,
        })
    }

    pub(super) fn run(
        &self,
        root: &Root,
        redactor: &Redactor,
        deadline: Instant,
    ) -> Result<Value, Refusal> {
        let mut files = Files::list(root, &self.paths, FILES_MAX)?;
        let all = std::mem::take(&mut files.found);
        let finder = Finder::of(&self.symbols)?;
        let mut slices = Vec::new();
        for (index, file) in all.iter().enumerate() {
            if Instant::now() >= deadline {
                files.left_out.out_of_time(index, all.len());
                break;
            }
            if slices.len() >= MENTIONS_MAX {
                files.left_out.say(format!(
                    "{index} of {} files read: the symbols are mentioned too often",
                    all.len()
                ));
                break;
            }
            if let Some(bytes) = files.read(root, file, FILE_BYTES_MAX) {
                finder.find(index, &Lines::of(&bytes), &mut slices);
            }
        }
        let slices = self.keep_best(&mut files, slices);
        let chosen = Chosen::of(slices, self.symbols.len(), self.max_bytes);
        let shown = chosen.show(root, redactor, &mut files, &all, &self.symbols);
        let in_files = chosen.files.len();
        Ok(reply(
            files,
            redactor,
            ("pack", shown),
            &[("from_files", in_files), ("files", all.len())],
        ))
    }

    /// Of each symbol the mentions that are as exact as there are; says which are not.
    fn keep_best(&self, files: &mut Files, slices: Vec<Slice>) -> Vec<Slice> {
        let mut best: HashMap<usize, Exactness> = HashMap::new();
        for slice in &slices {
            let best = best.entry(slice.symbol).or_insert(slice.exactness);
            *best = (*best).min(slice.exactness);
        }
        let named = |wanted: Option<Exactness>| -> Vec<String> {
            let symbols = self.symbols.iter().enumerate();
            symbols
                .filter(|(index, _)| best.get(index).copied() == wanted)
                .map(|(_, symbol)| symbol.clone())
                .collect()
        };
        files.left_out.say_of("found nowhere", &named(None));
        files.left_out.say_of(
            "found only as a part of words",
            &named(Some(Exactness::Part)),
        );
        files.left_out.say_of(
            "found only in other letters' case",
            &named(Some(Exactness::AnyCase)),
        );
        slices
            .into_iter()
            .filter(|slice| best.get(&slice.symbol) == Some(&slice.exactness))
            .collect()
    }
}

/// The degree to which a mention fits its symbol, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exactness {
    Word,
    Part,
    AnyCase,
}

/// Lines that are worth showing.
#[derive(Debug, Clone)]
struct Slice {
    rank: Rank,
    exactness: Exactness,
    symbol: usize,
    file: usize,
    lines: Range<usize>,
    /// The cost of showing it, in bytes.
    bytes: usize,
    /// True if the definition goes on beyond it.
    cut: bool,
}

/// Finds all symbols in one pass.
struct Finder<'a> {
    symbols: &'a [String],
    /// The symbol that each needle is for: as it was given, and for `Foo::bar` also `bar`.
    needles: Vec<(usize, String)>,
    automaton: AhoCorasick,
    judges: Vec<Option<Judge>>,
}

impl<'a> Finder<'a> {
    fn of(symbols: &'a [String]) -> Result<Self, Refusal> {
        let mut needles = Vec::new();
        for (index, symbol) in symbols.iter().enumerate() {
            needles.push((index, symbol.trim().to_owned()));
            let last = definition::last_segment(symbol.trim());
            if last != symbol.trim() {
                needles.push((index, last.to_owned()));
            }
        }
        let automaton = AhoCorasickBuilder::new()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .build(needles.iter().map(|(_, needle)| needle))
            .map_err(|fault| Refusal::new("symbols", fault))?;
        Ok(Self {
            symbols,
            needles,
            automaton,
            judges: symbols
                .iter()
                .map(|symbol| Judge::of(symbol.trim()))
                .collect(),
        })
    }

    fn find(&self, file: usize, lines: &Lines<'_>, slices: &mut Vec<Slice>) {
        // The best mention of each symbol on each line.
        let mut mentions: BTreeMap<(usize, usize), (Rank, Exactness)> = BTreeMap::new();
        let mut counts = vec![0usize; self.symbols.len()];
        for found in self.automaton.find_overlapping_iter(lines.bytes) {
            let Some((symbol, needle)) = self.needles.get(found.pattern().as_usize()) else {
                continue;
            };
            let count = &mut counts[*symbol];
            if *count >= MENTIONS_OF_FILE {
                continue;
            }
            let exactness = exactness(lines.bytes, found.range(), needle);
            let line = lines.at(found.start());
            let bytes = lines.bytes(line);
            let judge = self.judges.get(*symbol).and_then(Option::as_ref);
            let rank = judge.map_or(Rank::Use, |judge| judge.rank(bytes));
            // The last part of a qualified name is a mention only where it is defined, next to its owner.
            if needle != self.symbols[*symbol].trim()
                && (rank > Rank::Binding || !mentions_owner(lines.bytes, &self.symbols[*symbol]))
            {
                continue;
            }
            *count += 1;
            let best = mentions.entry((line, *symbol)).or_insert((rank, exactness));
            *best = (*best).min((rank, exactness));
        }
        for ((line, symbol), (rank, exactness)) in mentions {
            let (range, cut) = match rank {
                Rank::Definition | Rank::Binding => definition::extent(lines, line),
                Rank::Use => {
                    let from = line.saturating_sub(AROUND);
                    (from..(line + AROUND + 1).min(lines.count()), false)
                }
                Rank::Import => (line..line + 1, false),
            };
            let text: usize = range
                .clone()
                .map(|line| lines.range(line).len().min(LINE_MAX) + LINE_COST)
                .sum();
            slices.push(Slice {
                rank,
                exactness,
                symbol,
                file,
                lines: range,
                bytes: text + HEADING_COST,
                cut,
            });
        }
    }
}

fn exactness(text: &[u8], range: Range<usize>, needle: &str) -> Exactness {
    let word = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80)
    };
    if text.get(range.clone()) != Some(needle.as_bytes()) {
        return Exactness::AnyCase;
    }
    let edges = |at: Option<&u8>, beyond: Option<&u8>| word(at) && word(beyond);
    let before = range.start.checked_sub(1).and_then(|at| text.get(at));
    let last = range.end.checked_sub(1).and_then(|at| text.get(at));
    if edges(text.get(range.start), before) || edges(last, text.get(range.end)) {
        Exactness::Part
    } else {
        Exactness::Word
    }
}

/// Returns true if the text speaks of `Foo` at all, for `Foo::bar`.
fn mentions_owner(text: &[u8], symbol: &str) -> bool {
    let last = definition::last_segment(symbol);
    let owner = symbol.trim().strip_suffix(last).unwrap_or_default();
    let owner = definition::last_segment(owner.trim_end_matches(['.', ':', '#', '/']));
    owner.is_empty() || memchr::memmem::find(text, owner.as_bytes()).is_some()
}

/// The slices that fit.
struct Chosen {
    /// By file: its slices, and when the best of them was chosen.
    files: BTreeMap<usize, Vec<(usize, Slice)>>,
    /// The slices that do not fit.
    left: Vec<Slice>,
    max_bytes: usize,
}

impl Chosen {
    /// Definitions first, then what binds, uses and imports; of each kind in turn for each symbol, so that a frequent one
    /// does not take all the room.
    fn of(slices: Vec<Slice>, symbols: usize, max_bytes: usize) -> Self {
        let mut queues: BTreeMap<(Rank, usize), std::collections::VecDeque<Slice>> =
            BTreeMap::new();
        for slice in slices {
            let queue = queues.entry((slice.rank, slice.symbol)).or_default();
            queue.push_back(slice);
        }
        let mut chosen = Self {
            files: BTreeMap::new(),
            left: Vec::new(),
            max_bytes,
        };
        let mut room = max_bytes;
        let mut order = 0;
        for rank in [Rank::Definition, Rank::Binding, Rank::Use, Rank::Import] {
            loop {
                let mut any = false;
                for symbol in 0..symbols {
                    let Some(slice) = queues
                        .get_mut(&(rank, symbol))
                        .and_then(std::collections::VecDeque::pop_front)
                    else {
                        continue;
                    };
                    any = true;
                    chosen.take(slice, &mut room, &mut order);
                }
                if !any {
                    break;
                }
            }
        }
        chosen
    }

    fn take(&mut self, mut slice: Slice, room: &mut usize, order: &mut usize) {
        let known = self.files.get(&slice.file);
        let covers = |(_, other): &(usize, Slice)| {
            other.lines.start <= slice.lines.start && slice.lines.end <= other.lines.end
        };
        if known.is_some_and(|slices| slices.iter().any(covers)) {
            return;
        }
        if slice.bytes > *room {
            // A definition's beginning is worth more than other things' whole.
            let lines = slice.lines.len();
            let fitting = lines * *room / slice.bytes.max(1);
            if slice.rank != Rank::Definition || fitting < 6 {
                self.left.push(slice);
                return;
            }
            slice.lines.end = slice.lines.start + fitting;
            slice.bytes = *room;
            slice.cut = true;
        }
        *room -= slice.bytes;
        *order += 1;
        self.files
            .entry(slice.file)
            .or_default()
            .push((*order, slice));
    }

    fn show(
        &self,
        root: &Root,
        redactor: &Redactor,
        files: &mut Files,
        all: &[PathBuf],
        symbols: &[String],
    ) -> String {
        let mut pieces: Vec<(usize, String)> = Vec::new();
        for (file, slices) in &self.files {
            let Some(path) = all.get(*file) else {
                continue;
            };
            let name = redactor.text(&files.name(path)).into_string();
            let Some(bytes) = files.read(root, path, FILE_BYTES_MAX) else {
                continue;
            };
            let lines = Lines::of(&bytes);
            let ranges = slices.iter().map(|(_, slice)| {
                slice.lines.start.min(lines.count())..slice.lines.end.min(lines.count())
            });
            let ranges = merged(ranges.collect(), GAP);
            let judged = lines.judge(redactor, &ranges);
            for range in ranges.into_iter().filter(|range| !range.is_empty()) {
                let within = slices.iter().filter(|(_, slice)| {
                    range.start <= slice.lines.start && slice.lines.start < range.end
                });
                let order = within.clone().map(|(order, _)| *order).min();
                let mut defines: Vec<&str> = within
                    .clone()
                    .filter(|(_, slice)| slice.rank == Rank::Definition)
                    .filter_map(|(_, slice)| symbols.get(slice.symbol).map(String::as_str))
                    .collect();
                defines.dedup();
                let mut piece = format!("{name}:{}-{}", range.start + 1, range.end);
                if !defines.is_empty() {
                    let defines = redactor.text(&defines.join(", ")).into_string();
                    piece.push_str(&format!(" defines {defines}"));
                }
                if within.clone().any(|(_, slice)| slice.cut) {
                    piece.push_str(" (continues)");
                }
                piece.push('\n');
                for line in range {
                    let words = judged.line(&lines, line, 0);
                    piece.push_str(&format!("{} {words}\n", line + 1));
                }
                pieces.push((order.unwrap_or(usize::MAX), piece));
            }
        }
        pieces.sort_by_key(|(order, _)| *order);
        self.tell_left(files, redactor, all);
        let pieces: Vec<String> = pieces.into_iter().map(|(_, piece)| piece).collect();
        let whole = pieces.join("\n");
        // The room was reckoned slice by slice; merging them may have added a line or two.
        let shown = text::prefix(&whole, self.max_bytes);
        let end = match shown.len() < whole.len() {
            true => shown.rfind('\n').unwrap_or(0),
            false => shown.len(),
        };
        shown.get(..end).unwrap_or_default().trim_end().to_owned()
    }

    fn tell_left(&self, files: &mut Files, redactor: &Redactor, all: &[PathBuf]) {
        for (rank, what) in [
            (Rank::Definition, "further definitions"),
            (Rank::Binding, "further assignments"),
            (Rank::Use, "further uses"),
            (Rank::Import, "further imports"),
        ] {
            let mut counts: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
            for slice in self.left.iter().filter(|slice| slice.rank == rank) {
                let (count, line) = counts.entry(slice.file).or_insert((0, slice.lines.start));
                *count += 1;
                *line = (*line).min(slice.lines.start);
            }
            let names: Vec<String> = counts
                .iter()
                .filter_map(|(file, (count, line))| {
                    let name = redactor.text(&files.name(all.get(*file)?)).into_string();
                    Some(match count {
                        1 => format!("{name}:{}", line + 1),
                        count => format!("{name}:{} ({count})", line + 1),
                    })
                })
                .collect();
            files.left_out.say_of(what, &names);
        }
    }
}
