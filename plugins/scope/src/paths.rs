//! The meaning of a scope's `paths`: directories, files and globs, matched on the bytes of a name.
//! Nothing is folded: neither case nor Unicode forms, since the file system does not fold them
//! either.

use std::fmt;

/// All scopes of a job; a path must lie in one of them.
pub(crate) struct Scopes(Vec<Scope>);

struct Scope {
    /// The path as it was written, without `.` and doubled slashes: `app/[id]` names the directory of that very name too.
    literal: Vec<u8>,
    /// Only directories are meant (a slash at the end).
    directory: bool,
    /// The alternatives as globs; empty when it holds no glob's sign.
    globs: Vec<Glob>,
}

struct Glob {
    parts: Vec<Vec<Token>>,
    /// The last part names one file or directory: then everything in that directory counts too.
    names_last: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Byte(u8),
    /// `?`: one character.
    One,
    /// `*`: any number of bytes within one part.
    Any,
    /// `**` as a whole part: any number of parts.
    Parts,
    /// `[a-z]`, `[!a-z]`.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// The rule that an entry of `paths` breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Empty,
    Absolute,
    Outside,
    Alternatives,
    OpenBrace,
    OpenBracket,
    Backslash,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::Absolute => "must be relative to the working directory",
            Self::Outside => "leads out of the working directory",
            Self::Alternatives => "has too many alternatives in braces",
            Self::OpenBrace => "an opened { is not closed",
            Self::OpenBracket => "an opened [ is not closed",
            Self::Backslash => "ends in a backslash",
        })
    }
}

const MOST_ALTERNATIVES: usize = 1024;

impl Scopes {
    /// Reads the settings; a fault names the entry and the rule.
    pub(crate) fn parse(paths: &[String]) -> Result<Self, (usize, Rule)> {
        let scopes = paths
            .iter()
            .enumerate()
            .map(|(at, path)| Scope::parse(path).map_err(|rule| (at, rule)));
        Ok(Self(scopes.collect::<Result<_, _>>()?))
    }

    /// Returns true if a changed path, as the host writes it, lies in one of the scopes.
    pub(crate) fn contain(&self, path: &str) -> bool {
        let path = unescape(path);
        if path.split(|byte| *byte == b'/').any(|part| part == b"..") {
            return false;
        }
        self.0.iter().any(|scope| scope.contains(&path))
    }
}

impl Scope {
    fn parse(text: &str) -> Result<Self, Rule> {
        if text.is_empty() {
            return Err(Rule::Empty);
        }
        if text.starts_with('/') {
            return Err(Rule::Absolute);
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in text.split('/').filter(|part| !matches!(*part, "" | ".")) {
            if part != ".." {
                parts.push(part);
            } else if parts.pop().is_none() {
                return Err(Rule::Outside);
            }
        }
        let literal = parts.join("/");
        let mut globs = Vec::new();
        if literal.contains(['*', '?', '[', '{', '\\']) {
            for alternative in alternatives(&literal)? {
                globs.push(Glob::parse(&alternative)?);
            }
        }
        Ok(Self {
            literal: literal.into_bytes(),
            directory: text.ends_with('/'),
            globs,
        })
    }

    fn contains(&self, path: &[u8]) -> bool {
        if self.literal.is_empty() {
            return true;
        }
        let below = path.strip_prefix(self.literal.as_slice());
        let named = below.is_some_and(|rest| {
            rest.first() == Some(&b'/') || (rest.is_empty() && !self.directory)
        });
        named
            || self
                .globs
                .iter()
                .any(|glob| glob.matches(path, self.directory))
    }
}

/// Writes out `{a,b}`, nested ones too.
fn alternatives(text: &str) -> Result<Vec<String>, Rule> {
    let mut done = Vec::new();
    let mut open = vec![text.to_owned()];
    while let Some(text) = open.pop() {
        if done.len() + open.len() > MOST_ALTERNATIVES {
            return Err(Rule::Alternatives);
        }
        let Some((before, choices, after)) = first_braces(&text)? else {
            done.push(text);
            continue;
        };
        open.extend(
            choices
                .iter()
                .map(|choice| format!("{before}{choice}{after}")),
        );
    }
    Ok(done)
}

type Braces<'a> = (&'a str, Vec<&'a str>, &'a str);

fn first_braces(text: &str) -> Result<Option<Braces<'_>>, Rule> {
    let (mut depth, mut start, mut cut) = (0usize, 0, 0);
    let mut choices = Vec::new();
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match character {
            '\\' => escaped = true,
            '{' => {
                depth += 1;
                if depth == 1 {
                    (start, cut) = (at, at + 1);
                }
            }
            ',' if depth == 1 => {
                choices.push(text.get(cut..at).unwrap_or_default());
                cut = at + 1;
            }
            '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    choices.push(text.get(cut..at).unwrap_or_default());
                    let before = text.get(..start).unwrap_or_default();
                    return Ok(Some((
                        before,
                        choices,
                        text.get(at + 1..).unwrap_or_default(),
                    )));
                }
            }
            _ => {}
        }
    }
    if depth > 0 {
        Err(Rule::OpenBrace)
    } else {
        Ok(None)
    }
}

impl Glob {
    fn parse(text: &str) -> Result<Self, Rule> {
        let parts = text.split('/').map(tokens).collect::<Result<Vec<_>, _>>()?;
        let names_last = parts
            .last()
            .is_some_and(|part| part.iter().all(|token| matches!(token, Token::Byte(_))));
        Ok(Self { parts, names_last })
    }

    /// A whole path matches; a part of it (its first directories) only where the glob ends in a plain name or a slash.
    fn matches(&self, path: &[u8], directory: bool) -> bool {
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        // Which numbers of leading parts are matched by the tokens so far.
        let mut row = vec![false; parts.len() + 1];
        if let Some(first) = row.first_mut() {
            *first = true;
        }
        for (place, want) in self.parts.iter().enumerate() {
            let mut next = vec![false; parts.len() + 1];
            if want.as_slice() == [Token::Parts] {
                // At the end it stands for one part at least: `src/**` is what lies in src, not src itself.
                let last = place + 1 == self.parts.len();
                let mut reached = false;
                for (slot, was) in next.iter_mut().zip(&row) {
                    *slot = reached || (*was && !last);
                    reached |= was;
                }
            } else {
                for ((slot, was), part) in next.iter_mut().skip(1).zip(&row).zip(&parts) {
                    *slot = *was && part_matches(want, part);
                }
            }
            row = next;
        }
        let whole = row.pop().unwrap_or(false);
        let leading = row.iter().skip(1).any(|matched| *matched);
        (whole && !directory) || (leading && (directory || self.names_last))
    }
}

fn tokens(part: &str) -> Result<Vec<Token>, Rule> {
    if part == "**" {
        return Ok(vec![Token::Parts]);
    }
    let mut tokens = Vec::new();
    let literal = |character: char, into: &mut Vec<Token>| {
        into.extend(character.encode_utf8(&mut [0; 4]).bytes().map(Token::Byte));
    };
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' => {
                if tokens.last() != Some(&Token::Any) {
                    tokens.push(Token::Any);
                }
            }
            '?' => tokens.push(Token::One),
            '[' => tokens.push(class(&mut characters)?),
            '\\' => literal(characters.next().ok_or(Rule::Backslash)?, &mut tokens),
            other => literal(other, &mut tokens),
        }
    }
    Ok(tokens)
}

fn class(characters: &mut std::str::Chars<'_>) -> Result<Token, Rule> {
    let mut negated = false;
    let mut listed: Vec<char> = Vec::new();
    let mut first = true;
    loop {
        match characters.next().ok_or(Rule::OpenBracket)? {
            '!' | '^' if first && !negated => {
                negated = true;
                continue;
            }
            ']' if !first => break,
            '\\' => listed.push(characters.next().ok_or(Rule::OpenBracket)?),
            other => listed.push(other),
        }
        first = false;
    }
    let mut ranges = Vec::new();
    let mut rest = listed.as_slice();
    while let Some((low, after)) = rest.split_first() {
        match after {
            ['-', high, others @ ..] => {
                ranges.push((*low, *high));
                rest = others;
            }
            others => {
                ranges.push((*low, *low));
                rest = others;
            }
        }
    }
    Ok(Token::Class { negated, ranges })
}

/// Goes back to the last star only: at most the part's length times the pattern's.
fn part_matches(tokens: &[Token], part: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < part.len() {
        let taken = match tokens.get(token) {
            Some(Token::Any | Token::Parts) => {
                star = Some((token, at));
                token += 1;
                continue;
            }
            Some(Token::Byte(byte)) => (part.get(at) == Some(byte)).then_some(1),
            Some(Token::One) => Some(character_at(part, at).1),
            Some(Token::Class { negated, ranges }) => {
                let (character, length) = character_at(part, at);
                let listed = character.is_some_and(|character| {
                    ranges
                        .iter()
                        .any(|(low, high)| (low..=high).contains(&&character))
                });
                (listed != *negated).then_some(length)
            }
            None => None,
        };
        match (taken, star) {
            (Some(length), _) => {
                token += 1;
                at += length;
            }
            (None, Some((after, from))) => {
                star = Some((after, from + 1));
                token = after + 1;
                at = from + 1;
            }
            (None, None) => return false,
        }
    }
    tokens
        .iter()
        .skip(token)
        .all(|rest| matches!(rest, Token::Any | Token::Parts))
}

/// The character at a place and its length; a byte that is no UTF-8 counts as one.
fn character_at(part: &[u8], at: usize) -> (Option<char>, usize) {
    let rest = part.get(at..part.len().min(at + 4)).unwrap_or_default();
    let chunk = rest.utf8_chunks().next();
    match chunk.and_then(|chunk| chunk.valid().chars().next()) {
        Some(character) => (Some(character), character.len_utf8()),
        None => (None, 1),
    }
}

/// The bytes of a path that the host wrote as text: `\xNN` is a byte that is no UTF-8, `\\` a backslash.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        match after {
            [b'\\', others @ ..] => {
                out.push(b'\\');
                rest = others;
            }
            [b'x', high, low, others @ ..] => {
                let digits = [*high, *low];
                let value = std::str::from_utf8(&digits)
                    .ok()
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok());
                out.push(value.unwrap_or(b'\\'));
                if value.is_some() {
                    rest = others;
                }
            }
            _ => out.push(b'\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_lie_in_a_scope_or_not() {
        for (scope, path, inside) in [
            ("src", "src/a.rs", true),
            ("src", "src", true),
            ("src", "src/deep/er/a.rs", true),
            ("src", "srcs/a.rs", false),
            ("src", "Src/a.rs", false),
            ("src", "lib/src/a.rs", false),
            ("src", "../src/a.rs", false),
            ("src/", "src/a.rs", true),
            ("src/", "src", false),
            ("./src", "src/a.rs", true),
            ("src//./deep", "src/deep/a.rs", true),
            ("src/x/..", "src/a.rs", true),
            (".", "anything/at/all", true),
            (".", "../beside", false),
            ("src/a.rs", "src/a.rs", true),
            ("src/a.rs", "src/a.rs.bak", false),
            ("src/a.rs", "src/a", false),
            ("*.rs", "a.rs", true),
            ("*.rs", "deep/a.rs", false),
            ("**/*.rs", "a.rs", true),
            ("**/*.rs", "deep/er/a.rs", true),
            ("**/*.rs", "deep/a.rs/x.txt", false),
            ("src/*", "src/a.rs", true),
            ("src/*", "src/deep/a.rs", false),
            ("src/**", "src/deep/a.rs", true),
            ("src/**", "src", false),
            ("packages/*/src", "packages/web/src/a.ts", true),
            ("packages/*/src", "packages/web/test/a.ts", false),
            ("packages/*/", "packages/web/a.ts", true),
            ("packages/*/", "packages/a.ts", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b/c", true),
            ("test?.py", "test1.py", true),
            ("test?.py", "test10.py", false),
            ("gr?n", "grün", true),
            ("grün", "gru\u{308}n", false),
            ("[a-c].rs", "b.rs", true),
            ("[!a-c].rs", "b.rs", false),
            ("[]x].rs", "].rs", true),
            ("src/*.{ts,tsx}", "src/a.tsx", true),
            ("src/*.{ts,tsx}", "src/a.js", false),
            ("{src,{lib,bin}/x}/a", "bin/x/a", true),
            ("app/[id]", "app/[id]/page.tsx", true),
            ("app/[id]", "app/i", true),
            ("app/{x}/page.tsx", "app/{x}/page.tsx", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("*", "latin\\xE9", true),
            ("latin?", "latin\\xE9", true),
            ("back\\\\slash", "back\\\\slash", true),
            (
                "*a*a*a*a*a*a*a*a*a*a*b",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                false,
            ),
        ] {
            let scopes = Scopes::parse(&[scope.to_owned()]).unwrap();
            assert_eq!(scopes.contain(path), inside, "{path} in {scope}");
        }
    }
}
