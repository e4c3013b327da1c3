//! The definition of a term, and its end: told from keywords and indentation, which holds for most
//! languages well enough to read in, and needs no parser for any of them.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use super::lines::Lines;

/// The most lines of one definition that are shown.
pub(super) const DEFINITION_MAX: usize = 80;
/// The most lines of comments and attributes above one.
const PREAMBLE_MAX: usize = 12;

/// The relation of a line to a term in it, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Rank {
    /// `fn term(`, `class Term`, `impl Term`.
    Definition,
    /// `term = ...`, `"term": ...`, a heading.
    Binding,
    /// Any other mention.
    Use,
    /// `use`, `import`, `#include`.
    Import,
}

/// Tells definitions of one term from its uses.
pub(super) struct Judge {
    definition: Regex,
    binding: Regex,
}

/// Words that introduce a definition's name, in the languages people delegate work in.
const KEYWORDS: &str = "fn|func|fun|function|def|defp|defmodule|defmacro|class|struct|enum|union|trait|interface|type|typedef|impl|mod|module|namespace|package|const|constexpr|static|let|var|val|macro_rules!|macro|object|record|protocol|extension|actor|sub|procedure|proc|define|table|view";

impl Judge {
    pub(super) fn of(term: &str) -> Option<Self> {
        let name = regex::escape(last_segment(term)).replace(' ', r"\x20");
        // Before the keyword only modifiers and attributes; between keyword and name generics, a receiver, a path.
        let introduced = format!(
            r#"^\s* (?: [\w@\#\[\]()<>,:&'"\x20-]*? \b )? (?: {KEYWORDS} ) (?: \s+ | \s* [(<] )
               (?: \([^)]*\)\s* | <[^>]*>\s* )? (?: [\w:<>,&'*\x20]+ \s+ for \s+ )? (?: [\w:.*&\x20]*? [.:*&\x20] )? {name} (?: \W | $ )"#
        );
        // A function without a keyword: a method with its body, or a line of C that begins with a type.
        let with_body = format!(
            r"^\s* (?: [\w:<>,*&\[\]~?]+ [\s*&]+ )* {name} \s* (?: <[^>]*> \s* )? \( (?: [^()] | \([^()]*\) )* \) [^;={{}}()]* \{{ \s* $"
        );
        let of_c =
            format!(r"^ [A-Za-z_] [\w:<>,*&\x20]* [\x20*&] {name} \s* \( [^;{{}}]* \) \s* $");
        let definition = format!("(?x) {introduced} | {with_body} | {of_c}");
        let bound = format!(
            r#"^\s* (?: [\w.@\#\[\]-]+ \s+ ){{0,3}} ["'`]? (?: [\w.]+[.] )? {name} ["'`]? \s* (?: :[^:=]*=[^=>] | :=[^=] | =[^=>] | =$ )"#
        );
        let key = format!(r#"^\s* -? \s* ["']? {name} ["']? \s* : (?: \s | $ )"#);
        let heading =
            format!(r"^\s* \[+ [^\]]* \b {name} \b | ^ \#{{1,6}} \s .* {name} | ^ {name} \s* :");
        let binding = format!("(?x) {bound} | {key} | {heading}");
        let build = |pattern: &str| {
            RegexBuilder::new(pattern)
                .size_limit(2 << 20)
                .unicode(true)
                .build()
                .ok()
        };
        Some(Self {
            definition: build(&definition)?,
            binding: build(&binding)?,
        })
    }

    pub(super) fn rank(&self, line: &[u8]) -> Rank {
        let text = line.trim_ascii_start();
        let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word.as_bytes()));
        if begins(&[
            "use ", "pub use ", "import ", "from ", "#include", "require", "using ", "export {",
        ]) {
            Rank::Import
        } else if begins(&[
            "//", "/*", "* ", "--", ";;", "return ", "await ", "yield ", "raise ", "throw ",
            "new ", "if ", "if(", "while", "for ", "else", "switch", "match ", "assert",
        ]) || (begins(&["# "]) && line.starts_with(b" "))
        {
            Rank::Use
        } else if self.definition.is_match(line) && !line.trim_ascii_end().ends_with(b";") {
            Rank::Definition
        } else if self.definition.is_match(line) || self.binding.is_match(line) {
            Rank::Binding
        } else {
            Rank::Use
        }
    }
}

/// `bar` of `Foo::bar` and `foo.bar`.
pub(super) fn last_segment(term: &str) -> &str {
    let last = term.rsplit(['.', ':', '#', '/']).next().unwrap_or(term);
    if last.is_empty() { term } else { last }
}

/// The lines of the definition that begins in `line`: the comments and attributes above it, and what is indented below it.
/// Says whether it is longer than is shown.
pub(super) fn extent(lines: &Lines<'_>, line: usize) -> (Range<usize>, bool) {
    let own = indent(lines.bytes(line)).unwrap_or(0);
    let mut from = line;
    while from > 0 && line - from < PREAMBLE_MAX && is_preamble(lines.bytes(from - 1), own) {
        from -= 1;
    }
    let mut to = line + 1;
    let mut open = opens(lines.bytes(line));
    let mut last_text = line;
    while to < lines.count() {
        let bytes = lines.bytes(to);
        let Some(indent) = indent(bytes) else {
            to += 1;
            continue;
        };
        if indent <= own {
            let text = bytes.trim_ascii();
            let closes = text.first().is_some_and(|byte| b"})]".contains(byte))
                || [&b"end"[..], b"fi", b"done", b"esac"].contains(&text);
            if closes && (open || last_text > line) {
                last_text = to;
                to += 1;
                if opens(bytes) || next_text(lines, to).is_some_and(goes_on) {
                    continue;
                }
                break;
            }
            if goes_on(text) && (open || last_text > line || text.starts_with(b"{")) {
                open = true;
                last_text = to;
                to += 1;
                continue;
            }
            break;
        }
        if !open && last_text == line && lines.bytes(line).trim_ascii_end().ends_with(b";") {
            break;
        }
        last_text = to;
        to += 1;
        if to - from > DEFINITION_MAX {
            return (from..from + DEFINITION_MAX, true);
        }
    }
    (from..last_text + 1, false)
}

/// Returns true if a line that is indented no deeper than the definition still belongs to it.
fn goes_on(text: &[u8]) -> bool {
    [
        &b"{"[..],
        b"where",
        b"else",
        b"elif",
        b"except",
        b"finally",
        b"catch",
    ]
    .iter()
    .any(|word| text.starts_with(word))
}

/// The first text at or after a line.
fn next_text<'a>(lines: &Lines<'a>, from: usize) -> Option<&'a [u8]> {
    let texts = (from..lines.count()).map(|line| lines.bytes(line).trim_ascii());
    texts.take(2).find(|text| !text.is_empty())
}

/// Columns of white space before the text; `None` for a blank line.
fn indent(line: &[u8]) -> Option<usize> {
    let blank = line.iter().take_while(|byte| byte.is_ascii_whitespace());
    let (count, columns) = blank.fold((0, 0), |(count, columns), byte| {
        (count + 1, columns + if *byte == b'\t' { 4 } else { 1 })
    });
    (count < line.len()).then_some(columns)
}

fn opens(line: &[u8]) -> bool {
    let text = line.trim_ascii_end();
    text.last().is_some_and(|byte| b"{([:,=|>".contains(byte))
}

fn is_preamble(line: &[u8], own: usize) -> bool {
    let text = line.trim_ascii();
    indent(line).is_some_and(|indent| indent >= own && indent <= own + 1)
        && [
            &b"//"[..],
            b"/*",
            b"*",
            b"#",
            b"@",
            b"--",
            b";;",
            b"\"\"\"",
            b"template",
            b"[",
        ]
        .iter()
        .any(|sign| text.starts_with(sign))
}
