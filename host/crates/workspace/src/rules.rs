//! What the repository's own rules say about a path: whether git ignores it, and whether git rewrites its bytes between
//! object and file. Both are taken when the job starts and hold to its end, whatever the agent writes into them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// One file of ignore rules; the files that give way to it hang below.
#[derive(Debug)]
pub(crate) struct IgnoreRules {
    weaker: Option<Arc<IgnoreRules>>,
    /// How much of a path (relative to the tree's top) precedes what the patterns are matched against.
    prefix: usize,
    patterns: Gitignore,
}

impl IgnoreRules {
    /// Reads a `.gitignore`, `info/exclude` or `core.excludesFile` that applies below `dir`; lines that are no UTF-8 are
    /// left out, which makes more be looked at, never less.
    pub(crate) fn parse(text: &[u8], dir: &[u8], weaker: Option<Arc<Self>>) -> Option<Arc<Self>> {
        let mut builder = GitignoreBuilder::new("");
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        for line in text.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Ok(line) = std::str::from_utf8(line) {
                // A line that is no glob matches nothing, as in git.
                let _ = builder.add_line(None, line);
            }
        }
        match builder.build() {
            Ok(patterns) if !patterns.is_empty() => Some(Arc::new(Self {
                weaker,
                prefix: prefix_of(dir),
                patterns,
            })),
            _ => weaker,
        }
    }

    /// Whether the path itself is ignored; that no directory above it is ignored is for the walk to know.
    pub(crate) fn ignores(&self, path: &[u8], is_dir: bool) -> bool {
        let mut rules = self;
        loop {
            let below = path.get(rules.prefix..).unwrap_or(path);
            match rules
                .patterns
                .matched(Path::new(OsStr::from_bytes(below)), is_dir)
            {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => match &rules.weaker {
                    Some(weaker) => rules = weaker,
                    None => return false,
                },
            }
        }
    }
}

/// How a file's bytes in the tree may differ from those of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Conversion {
    /// Not at all.
    None,
    /// Line ends only: then a size that is the object's own proves that nothing was converted.
    LineEnds,
    /// In ways that only reading shows (filters, `ident`, encodings).
    Anything,
}

/// One file of attributes, kept only as far as it may convert bytes. Errs on the side of reading: a line counts even where a
/// later one takes it back.
#[derive(Debug)]
pub(crate) struct Attributes {
    others: Option<Arc<Attributes>>,
    prefix: usize,
    line_ends: Gitignore,
    anything: Gitignore,
    /// Macros (`[attr]name ...`) that convert.
    macros: Vec<(String, Conversion)>,
}

impl Attributes {
    /// Reads a `.gitattributes`, `info/attributes` or `core.attributesFile` that applies below `dir`.
    pub(crate) fn parse(text: &[u8], dir: &[u8], others: Option<Arc<Self>>) -> Option<Arc<Self>> {
        let mut line_ends = GitignoreBuilder::new("");
        let mut anything = GitignoreBuilder::new("");
        let mut macros: Vec<(String, Conversion)> = others
            .as_ref()
            .map(|others| others.macros.clone())
            .unwrap_or_default();
        let mut found = false;
        for line in String::from_utf8_lossy(text).lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (pattern, attributes) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let effect = attributes
                .split_whitespace()
                .map(|one| conversion_of(one, &macros))
                .max();
            let effect = effect.unwrap_or(Conversion::None);
            if let Some(name) = pattern.strip_prefix("[attr]") {
                macros.push((name.to_owned(), effect));
                found = true;
                continue;
            }
            // A quoted pattern holds spaces; rather than to unquote it, take it for everything.
            let pattern = if pattern.starts_with('"') || pattern.contains('\u{fffd}') {
                "*"
            } else {
                pattern
            };
            let set = match effect {
                Conversion::None => continue,
                Conversion::LineEnds => &mut line_ends,
                Conversion::Anything => &mut anything,
            };
            found = true;
            let _ = set.add_line(None, pattern);
        }
        if !found {
            return others;
        }
        let (Ok(line_ends), Ok(anything)) = (line_ends.build(), anything.build()) else {
            return others;
        };
        Some(Arc::new(Self {
            others,
            prefix: prefix_of(dir),
            line_ends,
            anything,
            macros,
        }))
    }

    /// The most that may happen to the file at `path` (relative to the tree's top).
    pub(crate) fn conversion(&self, path: &[u8]) -> Conversion {
        let mut most = Conversion::None;
        let mut next = Some(self);
        while let Some(attributes) = next {
            let below = Path::new(OsStr::from_bytes(
                path.get(attributes.prefix..).unwrap_or(path),
            ));
            if attributes.anything.matched(below, false).is_ignore() {
                return Conversion::Anything;
            }
            if attributes.line_ends.matched(below, false).is_ignore() {
                most = Conversion::LineEnds;
            }
            next = attributes.others.as_deref();
        }
        most
    }
}

fn conversion_of(attribute: &str, macros: &[(String, Conversion)]) -> Conversion {
    let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
    match name {
        "text" | "crlf" | "eol" => Conversion::LineEnds,
        "filter" | "ident" | "working-tree-encoding" => Conversion::Anything,
        _ if value.is_empty() => macros
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, effect)| *effect)
            .max()
            .unwrap_or(Conversion::None),
        _ => Conversion::None,
    }
}

fn prefix_of(dir: &[u8]) -> usize {
    if dir.is_empty() { 0 } else { dir.len() + 1 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ignore_rules_of_deeper_directories_win() {
        let top = IgnoreRules::parse(b"*.log\ntarget/\n/only-top\n", b"", None);
        let deep = IgnoreRules::parse(b"!keep.log\n", b"sub", top.clone()).unwrap();
        let top = top.unwrap();
        for (rules, path, is_dir, expected) in [
            (&top, "a.log", false, true),
            (&top, "sub/a.log", false, true),
            (&top, "target", true, true),
            (&top, "target", false, false),
            (&top, "only-top", false, true),
            (&top, "sub/only-top", false, false),
            (&deep, "sub/keep.log", false, false),
            (&deep, "sub/other.log", false, true),
        ] {
            assert_eq!(rules.ignores(path.as_bytes(), is_dir), expected, "{path}");
        }
    }

    #[test]
    fn attributes_err_on_the_side_of_reading() {
        let text = b"* text=auto\n*.png -text\n*.psd filter=lfs diff=lfs -text\n[attr]odd ident\nodd.* odd\n\"a b\" filter=x\n";
        let rules = Attributes::parse(text, b"", None).unwrap();
        assert_eq!(
            rules.conversion(b"src/a.rs"),
            Conversion::Anything,
            "a quoted pattern counts for everything"
        );
        let rules = Attributes::parse(&text[..text.len() - 15], b"", None).unwrap();
        assert_eq!(rules.conversion(b"src/a.rs"), Conversion::LineEnds);
        assert_eq!(rules.conversion(b"x/big.psd"), Conversion::Anything);
        assert_eq!(rules.conversion(b"odd.c"), Conversion::Anything);
        assert!(Attributes::parse(b"*.rs diff=rust\n", b"", None).is_none());
    }
}
