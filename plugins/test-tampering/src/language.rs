//! The beginnings and ends of tests, language by language, by their lines alone.

use crate::{assertions, conventions};

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    /// The name, or its title.
    pub(crate) name: String,
    /// The first line, from 1.
    pub(crate) line: usize,
    /// Lines that assert something.
    pub(crate) assertions: usize,
    /// Their exactness, added up.
    pub(crate) strength: usize,
    /// The asserting lines without blanks: whether they changed.
    pub(crate) expected: Vec<String>,
    /// It does not run.
    pub(crate) skipped: bool,
    /// It returns before its first assertion.
    pub(crate) returns_early: bool,
}

impl Test {
    fn named(name: String, line: usize, skipped: bool) -> Self {
        Self {
            name,
            line,
            assertions: 0,
            strength: 0,
            expected: Vec::new(),
            skipped,
            returns_early: false,
        }
    }

    fn count(&mut self, code: &str) {
        self.assertions += 1;
        self.strength += assertions::strength(code);
        self.expected
            .push(code.chars().filter(|c| !c.is_whitespace()).collect());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    Python,
    JavaScript,
    Go,
    Jvm,
    Ruby,
    Other,
}

impl Language {
    pub(crate) fn of(path: &str) -> Self {
        match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
            "rs" => Self::Rust,
            "py" => Self::Python,
            "js" | "jsx" | "ts" | "tsx" | "mjs" | "cjs" | "mts" | "cts" | "vue" | "svelte" => {
                Self::JavaScript
            }
            "go" => Self::Go,
            "java" | "kt" | "scala" | "groovy" | "cs" => Self::Jvm,
            "rb" => Self::Ruby,
            _ => Self::Other,
        }
    }

    /// The word that takes whole groups of tests out.
    pub(crate) fn switches_off(self, line: &str) -> Option<&'static str> {
        let line = line.trim();
        let words: &[&'static str] = match self {
            Self::Rust => &[
                "#[cfg(any())]",
                "#![cfg(any())]",
                "#[cfg(never)]",
                "#[cfg(FALSE)]",
            ],
            Self::Python => &[
                "pytestmark = pytest.mark.skip",
                "__test__ = False",
                "allow_module_level=True",
                "collect_ignore",
            ],
            Self::JavaScript => &[
                "describe.skip(",
                "xdescribe(",
                "suite.skip(",
                "describe.only(",
                "test.only(",
                "it.only(",
                "fdescribe(",
                "fit(",
            ],
            Self::Go => &["//go:build ignore", "// +build ignore", "//go:build never"],
            Self::Ruby => &["xdescribe ", "xcontext "],
            Self::Jvm | Self::Other => &[],
        };
        words
            .iter()
            .copied()
            .find(|word| match word.strip_suffix('(') {
                // `fit(` is no end of `benefit(`.
                Some(_) => line.starts_with(word),
                None => line.contains(word),
            })
    }

    /// The name of a test that begins here. `marked`: an annotation before said that a test follows.
    fn begins(self, line: &str, marked: bool) -> Option<String> {
        match self {
            Self::Rust => after(line, "fn ").filter(|_| marked).map(name),
            Self::Python => after(line, "def ")
                .map(name)
                .filter(|name| name.starts_with("test")),
            Self::Go => line
                .strip_prefix("func ")
                .map(name)
                .filter(|name| name.starts_with("Test") || name.starts_with("Fuzz")),
            Self::JavaScript => ["test", "it", "xit", "xtest", "specify"]
                .iter()
                .find_map(|call| title(line, call)),
            Self::Ruby => ["it", "test", "specify", "xit"]
                .iter()
                .find_map(|call| line.strip_prefix(call)?.strip_prefix(' '))
                .and_then(literal)
                .or_else(|| {
                    after(line, "def ")
                        .map(name)
                        .filter(|name| name.starts_with("test_"))
                }),
            Self::Jvm => {
                let is_method = line.contains('(')
                    && !line.starts_with('@')
                    && !line.starts_with('[')
                    && !line.starts_with("return");
                let before_bracket = line.split('(').next().unwrap_or_default();
                before_bracket
                    .split_whitespace()
                    .next_back()
                    .filter(|_| marked && is_method)
                    .map(str::to_owned)
            }
            Self::Other => None,
        }
    }

    fn marks(self, line: &str) -> bool {
        match self {
            Self::Rust => {
                let inner = line.strip_prefix("#[").unwrap_or_default();
                let path = inner.split(['(', ']', ' ']).next().unwrap_or_default();
                let last = path.rsplit("::").next().unwrap_or(path);
                matches!(
                    last,
                    "test"
                        | "rstest"
                        | "test_case"
                        | "wasm_bindgen_test"
                        | "quickcheck"
                        | "case"
                        | "proptest"
                        | "test_log"
                )
            }
            Self::Jvm => [
                "@Test",
                "@ParameterizedTest",
                "@RepeatedTest",
                "[Fact",
                "[Test",
                "[Theory",
            ]
            .iter()
            .any(|mark| line.starts_with(mark)),
            _ => false,
        }
    }
}

/// Files whose tests are compared. Rust has tests everywhere.
pub(crate) fn is_test_path(path: &str) -> bool {
    path.ends_with(".rs")
        || conventions::is_named_as_test(path)
        || conventions::is_in_test_folder(path)
}

/// The lines of a file that are code: neither blank nor a comment, each with its number from 1.
pub(crate) fn code_lines<'a>(path: &str, text: &'a str) -> Vec<(usize, &'a str)> {
    let marks = conventions::of(path).map_or(&["#", "//"][..], |convention| convention.comments);
    let mut inside: Option<&str> = None;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.trim();
        if let Some(end) = inside {
            if code.contains(end) {
                inside = None;
            }
            continue;
        }
        if code.is_empty() {
            continue;
        }
        if let Some((begin, end)) = block_comment(path, code) {
            let rest = code.get(begin.len()..).unwrap_or_default();
            if !rest.contains(end) {
                inside = Some(end);
                continue;
            }
            // `/* x */ code` is code; a comment alone on its line is none.
            if rest.trim_end().ends_with(end) {
                continue;
            }
        }
        if is_comment(marks, code) {
            continue;
        }
        found.push((number + 1, line));
    }
    found
}

/// True for a line that is nothing but a comment, looked at alone.
pub(crate) fn is_comment_line(path: &str, line: &str) -> bool {
    let marks = conventions::of(path).map_or(&["#", "//"][..], |convention| convention.comments);
    is_comment(marks, line.trim())
}

fn is_comment(marks: &[&str], code: &str) -> bool {
    marks
        .iter()
        .any(|mark| code.starts_with(mark) || code == mark.trim_end())
        && !code.starts_with("#[")
        && !code.starts_with("#!")
        && !code.starts_with("//go:build")
        && !code.starts_with("// +build")
}

/// The signs that open a comment of several lines here, and what ends it.
fn block_comment(path: &str, code: &str) -> Option<(&'static str, &'static str)> {
    let extension = path.rsplit('.').next().unwrap_or_default();
    let pairs: &[(&str, &str)] = match extension {
        "py" => &[("\"\"\"", "\"\"\""), ("'''", "'''")],
        "rb" => &[("=begin", "=end")],
        "pl" | "pm" | "t" => &[("=pod", "=cut"), ("=begin", "=cut"), ("=for", "=cut")],
        "hs" => &[("{-", "-}")],
        "ml" | "mli" => &[("(*", "*)")],
        "lua" => &[("--[[", "]]")],
        "jl" => &[("#=", "=#")],
        "ps1" => &[("<#", "#>")],
        "c" | "cc" | "cpp" | "cxx" | "h" | "hpp" => &[("/*", "*/"), ("#if 0", "#endif")],
        "sh" | "bash" | "bats" | "ex" | "exs" | "erl" | "r" | "R" | "robot" | "feature" | "nim" => {
            &[]
        }
        _ => &[("/*", "*/")],
    };
    pairs
        .iter()
        .copied()
        .find(|(begin, _)| code.starts_with(begin))
}

/// All tests of a file.
pub(crate) fn tests(path: &str, text: &str) -> Vec<Test> {
    let language = Language::of(path);
    let convention = conventions::of(path);
    // Where tests are not read, the check looks for these words among the added lines.
    let skips = |code: &str| language != Language::Other && skips(path, code);
    let mut tests: Vec<Test> = Vec::new();
    // What a file asserts outside of all tests: plain asserts, or a language whose tests are not read.
    let mut outside = Test::named(file_name(path), 1, false);
    // A function that is no test asserts nothing for one: a test whose mark was taken off is such a function.
    let (mut in_helper, mut test_indent) = (false, 0);
    let (mut marked, mut skipped, mut asserted) = (false, false, false);
    for (number, line) in code_lines(path, text) {
        let code = line.trim();
        if let Some(name) = begins(language, convention, code, marked) {
            (in_helper, test_indent) = (false, line.len() - line.trim_start().len());
            tests.push(Test::named(name, number, skipped || skips(code)));
            (marked, skipped) = (false, false);
            if asserted {
                // `#[should_panic]` stands before the test and asserts something about it.
                count(&mut tests, "should_panic");
            }
            asserted = false;
            // A short test is all on one line.
            let body = code
                .split_once('{')
                .or_else(|| code.split_once("=>"))
                .map_or("", |(_, body)| body);
            if assertions::asserts(body) {
                count(&mut tests, body);
            }
            continue;
        }
        let is_annotation = match language {
            Language::Rust => code.starts_with("#["),
            Language::Jvm => code.starts_with(['@', '[']),
            Language::Python | Language::JavaScript => code.starts_with('@'),
            Language::Go | Language::Ruby | Language::Other => code.starts_with("#["),
        };
        if is_annotation {
            marked |= language.marks(code);
            skipped |= skips(code);
            asserted |= code.starts_with("#[should_panic");
            // `#[test] fn a() { assert!(x) }`
            if let Some(rest) = code.split_once("] ").map(|(_, rest)| rest)
                && language == Language::Rust
                && let Some(name) = language.begins(rest.trim_start_matches(|c| c != 'f'), marked)
            {
                tests.push(Test::named(name, number, skipped));
                (in_helper, test_indent) = (false, line.len() - line.trim_start().len());
                (marked, skipped, asserted) = (false, false, false);
                if assertions::asserts(rest) {
                    count(&mut tests, rest);
                }
            }
            continue;
        }
        if !code.starts_with("pub ") && !code.starts_with("async ") && !code.starts_with("const ") {
            (marked, skipped, asserted) = (marked && language == Language::Jvm, false, false);
        }
        let indent = line.len() - line.trim_start().len();
        if is_helper(code) && tests.last().is_none_or(|_| indent <= test_indent) {
            in_helper = true;
            continue;
        }
        let at_margin = indent == 0 && !code.starts_with(['}', ')', ']']) && code != "end";
        in_helper &= !at_margin;
        if in_helper {
            continue;
        }
        let at_margin = at_margin && language == Language::Python;
        let asserts = assertions::asserts_in(path, code);
        if asserts && (tests.is_empty() || at_margin) {
            if language != Language::Rust && !assertions::defines(code) {
                outside.count(code);
            }
        } else if asserts {
            count(&mut tests, code);
        } else if tests.is_empty() {
            outside.skipped |= skips(code) && language != Language::Rust;
        } else if let Some(test) = tests.last_mut() {
            test.skipped |= skips(code) && test.assertions == 0;
            let returns = matches!(
                code.trim_end_matches(';'),
                "return" | "return Ok(())" | "return None" | "return null" | "return True" | "pass"
            );
            test.returns_early |= returns && test.assertions == 0 && code != "pass";
        }
    }
    if outside.assertions > 0 {
        tests.push(outside);
    }
    tests
}

/// True for a line that begins a function or a method.
fn is_helper(code: &str) -> bool {
    const KEYWORDS: &[&str] = &[
        "fn ",
        "pub fn ",
        "pub(crate) fn ",
        "async fn ",
        "pub async fn ",
        "const fn ",
        "unsafe fn ",
        "def ",
        "async def ",
        "defp ",
        "func ",
        "function ",
        "async function ",
        "export function ",
        "export async function ",
        "local function ",
        "sub ",
        "fun ",
        "private ",
        "protected ",
        "public ",
        "internal ",
        "override ",
    ];
    const CONTROL: &[&str] = &[
        "if",
        "for",
        "while",
        "switch",
        "else",
        "return",
        "try",
        "catch",
        "do",
        "await",
        "new",
        "throw",
        "assert",
        "with",
        "foreach",
        "case",
        "when",
        "unless",
        "until",
        "match",
        "loop",
        "synchronized",
        "using",
        "lock",
        "guard",
        "given",
    ];
    // A class opens no function.
    let is_type = [
        " class ",
        " interface ",
        " enum ",
        " record ",
        " object ",
        " struct ",
    ]
    .iter()
    .any(|word| format!(" {code}").contains(word));
    if is_type {
        return false;
    }
    if KEYWORDS.iter().any(|keyword| code.starts_with(keyword)) {
        return code.contains('(') || code.starts_with("def ") || code.starts_with("sub ");
    }
    // `void adds() {`: a type and a name in front of the bracket.
    let Some((head, _)) = code.split_once('(').filter(|_| code.ends_with('{')) else {
        return false;
    };
    let words: Vec<&str> = head.split_whitespace().collect();
    let plain = head
        .chars()
        .all(|c| c.is_alphanumeric() || c.is_whitespace() || "_<>[]*&:?,".contains(c));
    words.len() >= 2 && plain && !words.first().is_some_and(|first| CONTROL.contains(first))
}

/// True for a line with a word that takes a test out.
pub(crate) fn skips(path: &str, code: &str) -> bool {
    let code = code.trim();
    conventions::of(path).is_some_and(|convention| {
        convention.skips.iter().any(|word| {
            // A word that is a statement in itself stands at the beginning: `skip later`.
            if word.ends_with(' ') && !word.contains('=') {
                // Or alone: the reason is optional.
                code.starts_with(word) || code == word.trim_end()
            } else {
                code.contains(word)
            }
        })
    })
}

/// The name under which a file's plain asserts are compared.
fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

/// The name of a test that begins here: by the language's own reading, or by the words of its convention.
fn begins(
    language: Language,
    convention: Option<&conventions::Convention>,
    code: &str,
    marked: bool,
) -> Option<String> {
    if language != Language::Other && language != Language::Jvm {
        return language.begins(code, marked);
    }
    if let Some(name) = language.begins(code, marked) {
        return Some(name);
    }
    // Kotest's, ScalaTest's and Spock's titles stand where Java has a method.
    let titled = |begin: &&&str| language == Language::Other || begin.ends_with('"');
    let begin = convention?
        .begins
        .iter()
        .filter(titled)
        .find(|begin| code.starts_with(**begin))?;
    let rest = code.get(begin.len()..)?;
    let named = match begin.chars().next_back() {
        // Its title follows in quotes, or as the macro's arguments.
        Some(quote @ ('"' | '\'')) => rest.split(quote).next(),
        Some('(') => rest.split(')').next(),
        Some(' ' | ':') => rest.trim_end_matches(['{', ' ']).split(" do").next(),
        _ => rest.split(['(', ' ', '{', '=']).next(),
    };
    named
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

fn count(tests: &mut [Test], code: &str) {
    if let Some(test) = tests.last_mut() {
        test.count(code);
    }
}

/// The text that follows a keyword that is at the beginning or after modifiers.
fn after<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    let at = line.find(keyword)?;
    let modifiers = line.get(..at)?.split_whitespace().all(|word| {
        [
            "pub",
            "async",
            "const",
            "unsafe",
            "static",
            "private",
            "pub(crate)",
            "public",
        ]
        .contains(&word)
    });
    line.get(at + keyword.len()..).filter(|_| modifiers)
}

fn name(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// `test("adds two", ...)`, `it.each(...)("adds %s", ...)`: the title.
fn title(line: &str, call: &str) -> Option<String> {
    let rest = line
        .strip_prefix("await ")
        .unwrap_or(line)
        .strip_prefix(call)?;
    let bracket = rest.find('(')?;
    let modifiers = rest.get(..bracket)?;
    if !(modifiers.is_empty() || modifiers.starts_with('.')) {
        return None;
    }
    literal(rest.get(bracket + 1..)?).or_else(|| {
        Some(format!(
            "{call} {}",
            rest.chars().take(40).collect::<String>()
        ))
    })
}

fn literal(text: &str) -> Option<String> {
    let start = text.find(['"', '\'', '`'])?;
    let quote = text.get(start..)?.chars().next()?;
    text.get(start + 1..)?
        .split(quote)
        .next()
        .map(str::to_owned)
}
