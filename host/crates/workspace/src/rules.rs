//! git's own rules for a path: whether git ignores it, and which attributes it has.
//!
//! Lines and patterns are read and matched by gitoxide, which was written against git's tests; what is here is git's
//! order of precedence. The rules are taken when the job starts and hold to its end, whatever the agent writes into them.

use std::borrow::Cow;
use std::sync::Arc;

use bstr::{BStr, ByteSlice as _};
use gix_attributes::State;
use gix_attributes::parse::Kind;
use gix_glob::Pattern;
use gix_glob::pattern::{Case, Mode};
use gix_glob::wildmatch;

/// The patterns of one file, which apply below one directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The directory, relative to the tree's top.
    pub(crate) dir: &'a [u8],
    /// `core.ignoreCase`.
    pub(crate) case: Case,
}

impl<'a> Scope<'a> {
    /// The rules below `dir` of a repository that tells upper from lower case.
    #[cfg(test)]
    fn of(dir: &'a [u8]) -> Self {
        Self {
            dir,
            case: Case::Sensitive,
        }
    }

    fn prefix(&self) -> usize {
        match self.dir.len() {
            0 => 0,
            length => length + 1,
        }
    }
}

/// git reads a file of rules as lines of C strings: a NUL ends one, a return before its end is dropped, also in the last.
fn as_git_reads(text: &[u8]) -> Cow<'_, [u8]> {
    if text.ends_with(b"\n") && memchr::memchr(0, text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut lines = Vec::with_capacity(text.len() + 1);
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
        lines.extend_from_slice(line);
        lines.push(b'\n');
    }
    Cow::Owned(lines)
}

fn matches(pattern: &Pattern, below: &[u8], is_dir: bool, case: Case) -> bool {
    let below: &BStr = below.as_bstr();
    // git compares what precedes the first sign of a glob by itself, and has the rest of a path matched by the rest of the
    // pattern: `a**/b` then begins with `**/` (dir.c, `match_pathname`).
    let of_path = !pattern.mode.contains(Mode::NO_SUB_DIR) || pattern.mode.contains(Mode::ABSOLUTE);
    // The backslash of `\!` and `\#` is such a sign to git; gitoxide has taken it away.
    let escaped = !pattern.is_negative() && matches!(pattern.text.first(), Some(b'!' | b'#'));
    let literal = pattern.first_wildcard_pos;
    if let Some(literal) = literal.filter(|at| *at > 0 && of_path && !escaped) {
        if pattern.mode.contains(Mode::MUST_BE_DIR) && !is_dir {
            return false;
        }
        let (Some((start, rest)), Some((known, glob))) = (
            below.split_at_checked(literal),
            pattern.text.split_at_checked(literal),
        ) else {
            return false;
        };
        let (same, fold) = match case {
            Case::Fold => (
                start.eq_ignore_ascii_case(known),
                wildmatch::Mode::IGNORE_CASE,
            ),
            Case::Sensitive => (start == known, wildmatch::Mode::empty()),
        };
        return same
            && gix_glob::wildmatch(
                glob.as_bstr(),
                rest.as_bstr(),
                wildmatch::Mode::NO_MATCH_SLASH_LITERAL | fold,
            );
    }
    pattern.matches_repo_relative_path(
        below,
        below.rfind_byte(b'/').map(|slash| slash + 1),
        Some(is_dir),
        case,
        wildmatch::Mode::NO_MATCH_SLASH_LITERAL,
    )
}

/// One file of ignore rules; the files that give way to it hang below.
#[derive(Debug)]
pub(crate) struct IgnoreRules {
    weaker: Option<Arc<IgnoreRules>>,
    /// The length of the part of a path (relative to the tree's top) that precedes what the
    /// patterns are matched against.
    prefix: usize,
    case: Case,
    patterns: Vec<Pattern>,
}

impl IgnoreRules {
    /// Reads a `.gitignore`, `info/exclude` or `core.excludesFile`.
    pub(crate) fn parse(
        text: &[u8],
        scope: Scope<'_>,
        weaker: Option<Arc<Self>>,
    ) -> Option<Arc<Self>> {
        let patterns: Vec<_> = gix_ignore::parse(&as_git_reads(text), false)
            .map(|(pattern, _, _)| pattern)
            .collect();
        if patterns.is_empty() {
            return weaker;
        }
        Some(Arc::new(Self {
            weaker,
            prefix: scope.prefix(),
            case: scope.case,
            patterns,
        }))
    }

    /// Returns true if the path itself is ignored; that no directory above it is ignored is for the walk to know.
    pub(crate) fn ignores(&self, path: &[u8], is_dir: bool) -> bool {
        let mut next = Some(self);
        while let Some(rules) = next {
            let below = path.get(rules.prefix..).unwrap_or(path);
            let mut patterns = rules.patterns.iter().rev();
            if let Some(last) = patterns.find(|pattern| matches(pattern, below, is_dir, rules.case))
            {
                return !last.is_negative();
            }
            next = rules.weaker.as_deref();
        }
        false
    }
}

/// One file of attributes; the files that give way to it hang below.
#[derive(Debug)]
pub(crate) struct Attributes {
    weaker: Option<Arc<Attributes>>,
    prefix: usize,
    case: Case,
    lines: Vec<(Pattern, Vec<Assignment>)>,
    macros: Vec<(String, Vec<Assignment>)>,
}

/// `text=auto` in a line of attributes.
#[derive(Debug, Clone)]
struct Assignment {
    name: String,
    state: AttributeState,
}

/// The state that a line gives to an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttributeState {
    /// `name`
    Set,
    /// `-name`
    Unset,
    /// `name=value`
    Value(Vec<u8>),
    /// `!name`, or no line names it.
    Unspecified,
}

/// The macro that every git knows.
const BINARY: (&str, [&str; 3]) = ("binary", ["diff", "merge", "text"]);

impl Attributes {
    /// Reads a `.gitattributes`, `info/attributes` or `core.attributesFile`. Only files that apply to a whole repository
    /// may define macros (`macros`).
    pub(crate) fn parse(
        text: &[u8],
        scope: Scope<'_>,
        macros: bool,
        weaker: Option<Arc<Self>>,
    ) -> Option<Arc<Self>> {
        let mut lines = Vec::new();
        let mut known = Vec::new();
        let text = as_git_reads(text);
        // git passes over a line that it cannot read, and over a whole line for one attribute.
        for (kind, assignments, _) in gix_attributes::parse(&text).flatten() {
            let assignments: Result<Vec<_>, _> = assignments
                .map(|assignment| {
                    assignment.map(|assignment| Assignment {
                        name: assignment.name.as_str().to_owned(),
                        state: match assignment.state.to_owned() {
                            State::Set => AttributeState::Set,
                            State::Unset => AttributeState::Unset,
                            State::Value(value) => {
                                AttributeState::Value(value.as_ref().as_bstr().to_vec())
                            }
                            State::Unspecified => AttributeState::Unspecified,
                        },
                    })
                })
                .collect();
            let Ok(assignments) = assignments else {
                continue;
            };
            match kind {
                // No file has the attributes of a folder.
                Kind::Pattern(pattern) if pattern.mode.contains(Mode::MUST_BE_DIR) => {}
                Kind::Pattern(pattern) => lines.push((pattern, assignments)),
                Kind::Macro(name) if macros => known.push((name.as_str().to_owned(), assignments)),
                Kind::Macro(_) => {}
            }
        }
        if lines.is_empty() && known.is_empty() {
            return weaker;
        }
        Some(Arc::new(Self {
            weaker,
            prefix: scope.prefix(),
            case: scope.case,
            lines,
            macros: known,
        }))
    }
}

/// All files of attributes that apply to a directory: `info/attributes` is stronger than those in the tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct AttributeStack {
    pub(crate) info: Option<Arc<Attributes>>,
    pub(crate) tree: Option<Arc<Attributes>>,
}

impl AttributeStack {
    fn files(&self) -> impl Iterator<Item = &Attributes> {
        std::iter::successors(self.info.as_deref(), |file| file.weaker.as_deref()).chain(
            std::iter::successors(self.tree.as_deref(), |file| file.weaker.as_deref()),
        )
    }

    /// Returns true if no line of any file can say anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.info.is_none() && self.tree.is_none()
    }

    /// The attributes of the file at `path` (relative to the tree's top) that a line names.
    pub(crate) fn of(&self, path: &[u8]) -> AttributeSet<'_> {
        let mut found = AttributeSet(Vec::new());
        for file in self.files() {
            let below = path.get(file.prefix..).unwrap_or(path);
            for (pattern, assignments) in file.lines.iter().rev() {
                if matches(pattern, below, false, file.case) {
                    self.fill(assignments, &mut found);
                }
            }
        }
        found
    }

    /// Takes the assignments of a line, the last one first; what is determined stays (git's `fill_one`).
    fn fill<'a>(&'a self, assignments: &'a [Assignment], found: &mut AttributeSet<'a>) {
        for Assignment { name, state } in assignments.iter().rev() {
            if !found.determine(name, state) {
                continue;
            }
            if *state != AttributeState::Set {
                continue;
            }
            let mut macros = self.files().flat_map(|file| file.macros.iter().rev());
            if let Some((_, assignments)) = macros.find(|(known, _)| known == name) {
                self.fill(assignments, found);
            } else if name == BINARY.0 {
                for name in BINARY.1 {
                    found.determine(name, &AttributeState::Unset);
                }
            }
        }
    }
}

/// The attributes of one path.
#[derive(Debug, Clone, Default)]
pub(crate) struct AttributeSet<'a>(Vec<(&'a str, &'a AttributeState)>);

impl<'a> AttributeSet<'a> {
    /// Returns false if the attribute was determined before.
    fn determine(&mut self, name: &'a str, state: &'a AttributeState) -> bool {
        let known = self.0.iter().any(|(known, _)| *known == name);
        if !known {
            self.0.push((name, state));
        }
        !known
    }

    /// The state of one attribute.
    pub(crate) fn state(&self, name: &str) -> &'a AttributeState {
        let mut all = self.0.iter();
        all.find(|(known, _)| *known == name)
            .map_or(&AttributeState::Unspecified, |(_, state)| *state)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    use std::fs;
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    #[test]
    fn ignore_rules_of_deeper_directories_win() {
        let top = IgnoreRules::parse(b"*.log\ntarget/\n/only-top\n", Scope::of(b""), None);
        let deep = IgnoreRules::parse(b"!keep.log\n", Scope::of(b"sub"), top.clone()).unwrap();
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

    /// Runs git with its own configuration only.
    fn git(dir: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("git")
            .current_dir(dir)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("XDG_CONFIG_HOME", dir.join("none"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output.stdout
    }

    fn nul_separated(paths: &[String]) -> Vec<u8> {
        let mut input = Vec::new();
        for path in paths {
            input.extend_from_slice(path.as_bytes());
            input.push(0);
        }
        input
    }

    /// The number of repositories a property makes: WORKER_PROPTEST_CASES for longer runs.
    fn cases() -> ProptestConfig {
        let cases = std::env::var("WORKER_PROPTEST_CASES").ok();
        ProptestConfig {
            cases: cases.and_then(|text| text.parse().ok()).unwrap_or(48),
            failure_persistence: None,
            ..ProptestConfig::default()
        }
    }

    fn pattern() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            "[ab*?]{1,3}",
            Just("**".to_owned()),
            Just("*.py{}".to_owned()),
            Just("{a,b}".to_owned()),
            Just("[a-b]".to_owned()),
            Just("[!a]*".to_owned()),
            Just("[^b]".to_owned()),
            Just("[[:alpha:]]*".to_owned()),
            Just("[[:digit:]]".to_owned()),
            Just("[a".to_owned()),
            Just("\\*a".to_owned()),
            Just("\\a".to_owned()),
            Just("a\\".to_owned()),
            Just("x.py".to_owned()),
            Just("B".to_owned()),
            Just("a b".to_owned()),
        ];
        let path = proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
        (
            prop_oneof![4 => Just(""), 1 => Just("!"), 1 => Just("\\!"), 1 => Just("#"), 1 => Just("\\#")],
            prop_oneof![3 => Just(""), 1 => Just("/"), 1 => Just("**/")],
            path,
            prop_oneof![4 => Just(""), 1 => Just("/"), 1 => Just("/**"), 1 => Just("  "), 1 => Just("\\ "), 1 => Just("\r")],
        )
            .prop_map(|(sign, start, path, end)| format!("{sign}{start}{path}{end}"))
    }

    fn candidates() -> Vec<String> {
        let names = [
            "a", "b", "ab", "B", "x.py", "y.py{}", "{a,b}", "1", "*a", "#a", "!a", "a b", "[a",
            "a ",
        ];
        let mut all: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        for dir in ["a", "b", "ab"] {
            for name in names {
                all.push(format!("{dir}/{name}"));
                all.push(format!("{dir}/b/{name}"));
            }
        }
        all
    }

    /// Answers as a walk does: a path below an ignored directory is ignored.
    fn ignored(top: &Option<Arc<IgnoreRules>>, sub: &Option<Arc<IgnoreRules>>, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at);
        ends.map(|at| (at, true))
            .chain([(path.len(), false)])
            .any(|(end, is_dir)| {
                let part = &path[..end];
                let rules = if part.starts_with("a/") { sub } else { top };
                rules
                    .as_ref()
                    .is_some_and(|rules| rules.ignores(part.as_bytes(), is_dir))
            })
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn what_is_ignored_is_what_git_ignores(
            top in proptest::collection::vec(pattern(), 0..6),
            sub in proptest::collection::vec(pattern(), 0..3),
            newline in any::<bool>(),
            fold in any::<bool>(),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let dir = folder.path();
            git(dir, &["init", "-q", "."], b"");
            git(dir, &["config", "core.ignorecase", if fold { "true" } else { "false" }], b"");
            fs::remove_file(dir.join(".git/info/exclude")).ok();
            let text = |lines: &[String]| lines.join("\n") + if newline { "\n" } else { "" };
            let (top, sub) = (text(&top), text(&sub));
            fs::create_dir(dir.join("a")).unwrap();
            fs::write(dir.join(".gitignore"), &top).unwrap();
            fs::write(dir.join("a/.gitignore"), &sub).unwrap();
            let all = candidates();
            let answer = git(dir, &["check-ignore", "-z", "--no-index", "--stdin"], &nul_separated(&all));
            let said: Vec<String> = answer
                .split(|byte| *byte == 0)
                .filter(|path| !path.is_empty())
                .map(|path| String::from_utf8_lossy(path).into_owned())
                .collect();
            let case = if fold { Case::Fold } else { Case::Sensitive };
            let top_rules = IgnoreRules::parse(top.as_bytes(), Scope { dir: b"", case }, None);
            let sub_rules = IgnoreRules::parse(sub.as_bytes(), Scope { dir: b"a", case }, top_rules.clone());
            for path in &all {
                // git takes `a` itself for the directory that it is there.
                if path == "a" { continue }
                prop_assert_eq!(
                    ignored(&top_rules, &sub_rules, path),
                    said.contains(path),
                    "{:?} by {:?} and {:?}", path, top, sub
                );
            }
        }

        #[test]
        fn attributes_are_what_git_says(
            top in proptest::collection::vec((pattern(), assignments()), 0..5),
            sub in proptest::collection::vec((pattern(), assignments()), 0..3),
            info in proptest::collection::vec((pattern(), assignments()), 0..2),
            defined in proptest::collection::vec(("[mn]", assignments()), 0..3),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let dir = folder.path();
            git(dir, &["init", "-q", "."], b"");
            git(dir, &["config", "core.ignorecase", "false"], b"");
            let text = |lines: &[(String, String)]| lines.iter().map(|(pattern, set)| format!("{pattern} {set}\n")).collect::<String>();
            let macros: String = defined.iter().map(|(name, set)| format!("[attr]{name} {set}\n")).collect();
            let (top, sub, info) = (macros.clone() + &text(&top), macros + &text(&sub), text(&info));
            fs::create_dir(dir.join("a")).unwrap();
            fs::create_dir_all(dir.join(".git/info")).unwrap();
            fs::write(dir.join(".gitattributes"), &top).unwrap();
            fs::write(dir.join("a/.gitattributes"), &sub).unwrap();
            fs::write(dir.join(".git/info/attributes"), &info).unwrap();
            let names = ["text", "eol", "ident", "filter", "working-tree-encoding", "diff", "m"];
            let all = candidates();
            let mut arguments = vec!["check-attr", "-z", "--stdin"];
            arguments.extend(names);
            let answer = git(dir, &arguments, &nul_separated(&all));
            let fields: Vec<_> = answer.split(|byte| *byte == 0).collect();
            let mut said = std::collections::HashMap::new();
            for triple in fields.chunks_exact(3) {
                said.insert((triple[0].to_vec(), triple[1].to_vec()), triple[2].to_vec());
            }
            let tree = Attributes::parse(top.as_bytes(), Scope::of(b""), true, None);
            let below = Attributes::parse(sub.as_bytes(), Scope::of(b"a"), false, tree.clone());
            let info_rules = Attributes::parse(info.as_bytes(), Scope::of(b""), true, None);
            for path in &all {
                let tree = if path.starts_with("a/") { below.clone() } else { tree.clone() };
                let stack = AttributeStack { info: info_rules.clone(), tree };
                let found = stack.of(path.as_bytes());
                for name in names {
                    let ours = match found.state(name) {
                        AttributeState::Set => b"set".to_vec(),
                        AttributeState::Unset => b"unset".to_vec(),
                        AttributeState::Value(value) => value.clone(),
                        AttributeState::Unspecified => b"unspecified".to_vec(),
                    };
                    let git = said.get(&(path.clone().into_bytes(), name.as_bytes().to_vec()));
                    prop_assert_eq!(
                        Some(&ours), git,
                        "{} of {:?} by {:?}, {:?}, {:?}", name, path, top, sub, info
                    );
                }
            }
        }
    }

    fn assignments() -> impl Strategy<Value = String> {
        let one = prop_oneof![
            Just("text"),
            Just("-text"),
            Just("!text"),
            Just("text=auto"),
            Just("eol=crlf"),
            Just("eol=lf"),
            Just("ident"),
            Just("-ident"),
            Just("filter=lfs"),
            Just("-filter"),
            Just("working-tree-encoding=UTF-16"),
            Just("binary"),
            Just("-binary"),
            Just("!binary"),
            Just("m"),
            Just("n"),
            Just("-m"),
            Just("diff=x"),
        ];
        proptest::collection::vec(one, 1..4).prop_map(|all| all.join(" "))
    }
}
