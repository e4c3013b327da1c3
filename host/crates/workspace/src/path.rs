//! File names as what they are: bytes.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::{Serialize, Serializer};

/// A path inside the working tree, kept as the bytes the file system has. `Display` and serde write it readable and
/// unambiguous: as it is when it is printable UTF-8, else quoted the way git quotes names (`"a\nb"`, octal escapes). The
/// tree's top, which has no name, is `.`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(Box<[u8]>);

impl FilePath {
    /// Takes a path's bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into().into_boxed_slice())
    }

    /// The bytes as the file system has them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same bytes for the standard library.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        f.write_str(&quoted(&self.0))
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<&str> for FilePath {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl PartialEq<str> for FilePath {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for FilePath {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == other.as_bytes()
    }
}

/// Returns true if a character may stand in a name as it is: no controls, no quote or backslash,
/// nothing that turns the direction of text or hides (those could make one name look like another): what Unicode calls
/// `Default_Ignorable_Code_Point`, but for the variation selectors, which emoji have.
fn plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '"' | '\\')
        && !matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The bytes as git prints a name: bare when plain, else in double quotes with C escapes (git's `quote_c_style`, except
/// that printable UTF-8 stays readable, as with `core.quotePath=false`).
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    let mut quote = false;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if plain(character) {
                out.push(character);
                continue;
            }
            quote = true;
            match character {
                '\u{7}' => out.push_str("\\a"),
                '\u{8}' => out.push_str("\\b"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\u{b}' => out.push_str("\\v"),
                '\u{c}' => out.push_str("\\f"),
                '\r' => out.push_str("\\r"),
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                other => octal(&mut out, other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            quote = true;
            octal(&mut out, chunk.invalid());
        }
    }
    if quote { format!("\"{out}\"") } else { out }
}

fn octal(out: &mut String, bytes: &[u8]) {
    use fmt::Write as _;
    for byte in bytes {
        let _ = write!(out, "\\{byte:03o}");
    }
}

/// The directory of a path, and its last name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (
            path.get(..slash).unwrap_or_default(),
            path.get(slash + 1..).unwrap_or_default(),
        ),
        None => (b"", path),
    }
}

/// `path` (relative to the tree's top) as seen from `from` (a directory relative to the top), with `..` where it lies
/// beside or above.
pub(crate) fn relative_to(path: &[u8], from: &[u8]) -> Vec<u8> {
    if from.is_empty() {
        return path.to_vec();
    }
    if path == from {
        return b".".to_vec();
    }
    let mut wanted = path.split(|byte| *byte == b'/').peekable();
    let mut have = from.split(|byte| *byte == b'/').peekable();
    while let (Some(a), Some(b)) = (wanted.peek(), have.peek()) {
        if a != b {
            break;
        }
        wanted.next();
        have.next();
    }
    let mut out = Vec::with_capacity(path.len());
    for _ in have {
        out.extend_from_slice(b"../");
    }
    for (at, component) in wanted.enumerate() {
        if at > 0 {
            out.push(b'/');
        }
        out.extend_from_slice(component);
    }
    if out.ends_with(b"/") {
        out.pop();
    }
    out
}

/// Returns true if `path` is `dir` or lies in it; both relative to the top, the empty `dir` being
/// the top itself.
pub(crate) fn is_within(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty()
        || path == dir
        || path
            .strip_prefix(dir)
            .is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// `dir/name`, or `name` where `dir` is the top.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(dir.len() + 1 + name.len());
    if !dir.is_empty() {
        out.extend_from_slice(dir);
        out.push(b'/');
    }
    out.extend_from_slice(name);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_readable_and_unambiguous() {
        for (bytes, shown) in [
            (&b"src/a.rs"[..], "src/a.rs"),
            ("grün/日本.txt".as_bytes(), "grün/日本.txt"),
            (b"with space", "with space"),
            (b"line\nbreak", "\"line\\nbreak\""),
            (b"tab\tquote\"", "\"tab\\tquote\\\"\""),
            (b"latin\xe9", "\"latin\\351\""),
            (
                "evil\u{202e}txt.exe".as_bytes(),
                "\"evil\\342\\200\\256txt.exe\"",
            ),
            (b"esc\x1b[0m", "\"esc\\033[0m\""),
            ("soft\u{ad}hyphen".as_bytes(), "\"soft\\302\\255hyphen\""),
            ("\u{2764}\u{fe0f}".as_bytes(), "\u{2764}\u{fe0f}"),
            (b"", "."),
        ] {
            assert_eq!(FilePath::new(bytes).to_string(), shown);
        }
    }

    #[test]
    fn paths_are_told_from_the_working_directory() {
        for (path, from, expected) in [
            ("src/a", "", "src/a"),
            ("pkg/src/a", "pkg", "src/a"),
            ("lib/a", "pkg", "../lib/a"),
            ("a", "pkg/deep", "../../a"),
            ("pkg", "pkg/deep", ".."),
            ("pkgs/a", "pkg", "../pkgs/a"),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&relative_to(path.as_bytes(), from.as_bytes())),
                expected
            );
        }
    }
}
