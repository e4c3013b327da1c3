//! Where tests begin and end, language by language, by their lines alone.

use worker_plugin::matches;

use crate::assertions;

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    /// Its name, or its title.
    pub(crate) name: String,
    /// Where it begins, from 1.
    pub(crate) line: usize,
    /// Lines that assert something.
    pub(crate) assertions: usize,
    /// How exactly they do, added up.
    pub(crate) strength: usize,
    /// The asserting lines without blanks: whether they changed.
    pub(crate) expected: Vec<String>,
    /// It does not run.
    pub(crate) skipped: bool,
    /// It returns before its first assertion.
    pub(crate) returns_early: bool,
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

    pub(crate) fn is_comment(self, line: &str) -> bool {
        let line = line.trim_start();
        match self {
            Self::Python | Self::Ruby => line.starts_with('#'),
            Self::Go => line.starts_with("//") && !line.starts_with("//go:build"),
            _ => line.starts_with("//") || line.starts_with("/*") || line.starts_with("* "),
        }
    }

    /// What takes whole groups of tests out.
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

    /// An annotation, or a line in the test, that keeps it from running.
    fn skips(self, line: &str) -> bool {
        let words: &[&str] = match self {
            Self::Rust => &["#[ignore"],
            Self::Python => &[
                "@pytest.mark.skip",
                "@unittest.skip",
                "@skip",
                "@pytest.mark.xfail",
                "pytest.skip(",
                "self.skipTest(",
                "raise unittest.SkipTest",
            ],
            Self::JavaScript => &[
                "test.skip(",
                "it.skip(",
                "xit(",
                "xtest(",
                "test.todo(",
                "it.todo(",
                "test.fixme(",
                "test.fails(",
                "it.fails(",
                "this.skip(",
                "t.skip(",
                "skip: true",
                "test.failing(",
            ],
            Self::Go => &["t.Skip(", "t.SkipNow(", "t.Skipf("],
            Self::Jvm => &["@Disabled", "@Ignore", "[Ignore", "Skip ="],
            Self::Ruby => &["xit ", "skip ", "pending "],
            Self::Other => &[],
        };
        words.iter().any(|word| line.contains(word))
    }
}

/// Files whose tests are compared. Rust has tests everywhere.
pub(crate) fn is_test_path(path: &str) -> bool {
    const TESTS: &[&str] = &[
        "test/",
        "tests/",
        "__tests__/",
        "spec/",
        "specs/",
        "testing/",
        "e2e/",
        "*.test.*",
        "*.spec.*",
        "test_*.py",
        "*_test.*",
        "*Test.java",
        "*Tests.java",
        "*Test.kt",
        "*Tests.cs",
        "*_spec.rb",
        "*.rs",
    ];
    TESTS.iter().any(|glob| matches(glob, path))
}

/// All tests of a file.
pub(crate) fn tests(path: &str, text: &str) -> Vec<Test> {
    let language = Language::of(path);
    let mut tests: Vec<Test> = Vec::new();
    let (mut marked, mut skipped, mut asserted) = (false, false, false);
    for (number, line) in text.lines().enumerate() {
        let code = line.trim();
        if code.is_empty() || language.is_comment(line) {
            continue;
        }
        if let Some(name) = language.begins(code, marked) {
            tests.push(Test {
                name,
                line: number + 1,
                assertions: 0,
                strength: 0,
                expected: Vec::new(),
                skipped: skipped || language.skips(code),
                returns_early: false,
            });
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
        let is_annotation =
            code.starts_with("#[") || code.starts_with('@') || code.starts_with('[');
        if is_annotation {
            marked |= language.marks(code);
            skipped |= language.skips(code);
            asserted |= code.starts_with("#[should_panic");
            // `#[test] fn a() { assert!(x) }`
            if let Some(rest) = code.split_once("] ").map(|(_, rest)| rest)
                && language == Language::Rust
                && let Some(name) = language.begins(rest.trim_start_matches(|c| c != 'f'), marked)
            {
                tests.push(Test {
                    name,
                    line: number + 1,
                    assertions: 0,
                    strength: 0,
                    expected: Vec::new(),
                    skipped,
                    returns_early: false,
                });
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
        if assertions::asserts(code) {
            count(&mut tests, code);
        } else if let Some(test) = tests.last_mut() {
            test.skipped |= language.skips(code) && test.assertions == 0;
            let returns = matches!(
                code.trim_end_matches(';'),
                "return" | "return Ok(())" | "return None" | "return null" | "return True" | "pass"
            );
            test.returns_early |= returns && test.assertions == 0 && code != "pass";
        }
    }
    tests
}

fn count(tests: &mut [Test], code: &str) {
    let Some(test) = tests.last_mut() else { return };
    test.assertions += 1;
    test.strength += assertions::strength(code);
    test.expected
        .push(code.chars().filter(|c| !c.is_whitespace()).collect());
}

/// What follows a keyword that is at the beginning or after modifiers.
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
