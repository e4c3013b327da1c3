//! The files that hold tests, language by language, and what of a language the check has to know where it does not read whole
//! tests: comments, the words that begin a test and that skip one.

use worker_plugin::{matches, matches_any};

/// A language, or a family that writes tests in one way.
#[derive(Debug)]
pub(crate) struct Convention {
    /// Endings of its files.
    pub(crate) extensions: &'static [&'static str],
    /// Names that its runners take for tests.
    pub(crate) names: &'static [&'static str],
    /// Beginnings of a comment.
    pub(crate) comments: &'static [&'static str],
    /// Beginnings of a line that opens a test: the title or name follows.
    pub(crate) begins: &'static [&'static str],
    /// Words that take a test out.
    pub(crate) skips: &'static [&'static str],
}

const C_LIKE: &[&str] = &["//", "/*", "* ", "*/"];
const HASH: &[&str] = &["#"];

/// Folders whose source files are tests, whatever they are called.
pub(crate) const FOLDERS: &[&str] = &[
    "test/",
    "tests/",
    "__tests__/",
    "spec/",
    "specs/",
    "testing/",
    "e2e/",
    "Tests/",
    "integration_test/",
    "integration-tests/",
    "cypress/",
    "features/",
    "t/",
];

/// Every language. Rust's tests are wherever its code is.
pub(crate) const CONVENTIONS: &[Convention] = &[
    Convention {
        extensions: &["rs"],
        names: &["*_test.rs", "*_tests.rs", "test_*.rs", "tests.rs"],
        comments: C_LIKE,
        begins: &[],
        skips: &["#[ignore"],
    },
    Convention {
        extensions: &["py", "pyi"],
        names: &["test_*.py", "*_test.py", "tests.py", "test.py"],
        comments: HASH,
        begins: &["def test"],
        skips: &[
            "@pytest.mark.skip",
            "@unittest.skip",
            "@skip",
            "@pytest.mark.xfail",
            "pytest.skip(",
            "self.skipTest(",
            "raise unittest.SkipTest",
            "raise SkipTest",
            "@unittest.expectedFailure",
            "pytest.xfail(",
            "@expectedFailure",
        ],
    },
    Convention {
        extensions: &[
            "js", "jsx", "ts", "tsx", "mjs", "cjs", "mts", "cts", "vue", "svelte",
        ],
        names: &[
            "*.test.*",
            "*.spec.*",
            "*_test.ts",
            "*_test.js",
            "*.cy.*",
            "*.e2e.*",
            "*-test.js",
            "*-test.ts",
            "test.js",
            "test.ts",
            "test.mjs",
            "*.e2e-spec.ts",
        ],
        comments: C_LIKE,
        begins: &["test(", "it("],
        skips: &[
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
            "it.failing(",
            "test.skipIf(true",
            "ignore: true",
            "Deno.test.ignore(",
            "test.skip.",
            "xspecify(",
        ],
    },
    Convention {
        extensions: &["go"],
        names: &["*_test.go"],
        comments: &["//"],
        begins: &["func Test"],
        skips: &[
            "t.Skip(",
            "t.SkipNow(",
            "t.Skipf(",
            "PIt(",
            "XIt(",
            "PDescribe(",
            "XDescribe(",
        ],
    },
    Convention {
        extensions: &["java", "kt", "kts", "groovy"],
        names: &[
            "*Test.java",
            "*Tests.java",
            "Test*.java",
            "*IT.java",
            "*TestCase.java",
            "*Test.kt",
            "*Tests.kt",
            "*Spec.kt",
            "*Spec.groovy",
            "*Test.groovy",
        ],
        comments: C_LIKE,
        begins: &["@Test", "test(\"", "should(\"", "def \""],
        skips: &[
            "@Disabled",
            "@Ignore",
            "@PendingFeature",
            "@EnabledIf(\"false\")",
            "assumeTrue(false",
            "xtest(",
            ".config(enabled = false",
        ],
    },
    Convention {
        extensions: &["scala", "sc"],
        names: &["*Test.scala", "*Spec.scala", "*Suite.scala", "*Tests.scala"],
        comments: C_LIKE,
        begins: &["test(\"", "it should \"", "it(\"", "property(\""],
        skips: &[
            "ignore(",
            "ignore should",
            "pending",
            "assume(false",
            ".ignore",
            "@Ignore",
            "cancel(",
        ],
    },
    Convention {
        extensions: &["cs", "fs", "vb"],
        names: &[
            "*Test.cs",
            "*Tests.cs",
            "*Spec.cs",
            "*Specs.cs",
            "*Tests.fs",
            "*Test.fs",
            "*Tests.vb",
            "*Test.vb",
        ],
        comments: &["//", "/*", "* ", "'"],
        begins: &["[Fact", "[Test", "[Theory"],
        skips: &[
            "[Ignore",
            "Skip =",
            "Skip=",
            "[Explicit",
            "Assert.Inconclusive(",
            "Assert.Ignore(",
            "Skip.If(true",
            "ptest",
            "ptestCase",
        ],
    },
    Convention {
        extensions: &["rb"],
        names: &["*_spec.rb", "*_test.rb", "test_*.rb"],
        comments: HASH,
        begins: &["it ", "test ", "def test_", "specify "],
        skips: &[
            "xit ",
            "skip ",
            "skip(",
            "pending ",
            "xspecify ",
            "xexample ",
            ", skip: true",
            ", :skip",
        ],
    },
    Convention {
        extensions: &["php", "phpt"],
        names: &[
            "*Test.php",
            "*Cest.php",
            "*Spec.php",
            "*_test.php",
            "*.phpt",
        ],
        comments: &["//", "#", "/*", "* "],
        begins: &[
            "public function test",
            "function test",
            "#[Test]",
            "test('",
            "it('",
        ],
        skips: &[
            "markTestSkipped(",
            "markTestIncomplete(",
            "->skip(",
            "->todo(",
            "#[Group('skip')]",
            "#[Ignore",
            "@requires PHP 99",
        ],
    },
    Convention {
        extensions: &["ex", "exs"],
        names: &["*_test.exs"],
        comments: HASH,
        begins: &["test \"", "property \""],
        skips: &[
            "@tag :skip",
            "@moduletag :skip",
            "@describetag :skip",
            "@tag skip:",
            "@moduletag skip:",
        ],
    },
    Convention {
        extensions: &["erl"],
        names: &["*_SUITE.erl", "*_tests.erl", "*_test.erl"],
        comments: &["%"],
        begins: &[],
        skips: &["{skip,"],
    },
    Convention {
        extensions: &["c", "cc", "cpp", "cxx", "h", "hpp", "m", "mm"],
        names: &[
            "*_test.c",
            "*_test.cc",
            "*_test.cpp",
            "*_test.cxx",
            "test_*.c",
            "test_*.cc",
            "test_*.cpp",
            "*Test.cpp",
            "*Tests.cpp",
            "*_unittest.cc",
            "*_unittest.cpp",
            "*.t.cpp",
            "*Tests.m",
        ],
        comments: C_LIKE,
        begins: &[
            "TEST(",
            "TEST_F(",
            "TEST_P(",
            "TYPED_TEST(",
            "TEST_CASE(",
            "SCENARIO(",
            "BOOST_AUTO_TEST_CASE(",
            "START_TEST(",
            "Test(",
        ],
        skips: &[
            "GTEST_SKIP(",
            "DISABLED_",
            "[!mayfail]",
            "[!shouldfail]",
            "TEST_IGNORE(",
            "XCTSkip(",
            "doctest::skip(",
            "SKIP(",
        ],
    },
    Convention {
        extensions: &["swift"],
        names: &["*Tests.swift", "*Test.swift", "*Spec.swift"],
        comments: C_LIKE,
        begins: &["func test", "@Test"],
        skips: &[
            "XCTSkip",
            ".disabled(",
            ".disabled)",
            "withKnownIssue",
            "xit(",
            "xdescribe(",
        ],
    },
    Convention {
        extensions: &["dart"],
        names: &["*_test.dart"],
        comments: C_LIKE,
        begins: &["test('", "test(\"", "testWidgets('", "testWidgets(\""],
        skips: &["skip: true", "skip: '", "skip: \"", "@Skip("],
    },
    Convention {
        extensions: &["lua"],
        names: &["*_spec.lua", "*_test.lua", "test_*.lua"],
        comments: &["--"],
        begins: &["it(\"", "it('", "function test"],
        skips: &["pending(", "skip(", "lu.skip"],
    },
    Convention {
        extensions: &["pl", "pm", "t", "raku", "rakutest"],
        names: &["*.t", "*.rakutest"],
        comments: HASH,
        begins: &["subtest "],
        skips: &["skip_all", "todo_skip", "SKIP:", "local $TODO", "plan skip"],
    },
    Convention {
        extensions: &["sh", "bash", "bats", "zsh"],
        names: &["*.bats", "test_*.sh", "*_test.sh", "*.test.sh", "*_spec.sh"],
        comments: HASH,
        begins: &["@test ", "It '", "It \""],
        skips: &["skip ", "xIt ", "Skip ", "startSkipping", "exit 77"],
    },
    Convention {
        extensions: &["hs", "lhs"],
        names: &["*Spec.hs", "*Test.hs", "*Tests.hs", "Spec.hs"],
        comments: &["--", "{-"],
        begins: &["it \"", "testCase \"", "prop \"", "testProperty \""],
        skips: &[
            "xit ",
            "pending",
            "xdescribe ",
            "expectFail",
            "ignoreTest",
            "pendingWith",
        ],
    },
    Convention {
        extensions: &["clj", "cljs", "cljc"],
        names: &["*_test.clj", "*_test.cljs", "*_test.cljc"],
        comments: &[";", "#_"],
        begins: &["(deftest "],
        skips: &["^:skip", "^:kaocha/skip", "^:kaocha/pending", "^:broken"],
    },
    Convention {
        extensions: &["ml", "mli", "res"],
        names: &["test_*.ml", "*_test.ml", "*_test.res"],
        comments: &["(*", "//"],
        begins: &["let%test", "let test_"],
        skips: &["skip ()", "[@tags \"disabled\"]"],
    },
    Convention {
        extensions: &["jl"],
        names: &["runtests.jl", "test_*.jl", "*_test.jl", "*_tests.jl"],
        comments: HASH,
        begins: &["@testset "],
        skips: &["@test_skip", "@test_broken"],
    },
    Convention {
        extensions: &["r", "R"],
        names: &["test-*.R", "test-*.r", "test_*.R"],
        comments: HASH,
        begins: &["test_that("],
        skips: &["skip(", "skip_if(TRUE"],
    },
    Convention {
        extensions: &["nim"],
        names: &["test_*.nim", "t_*.nim", "*_test.nim"],
        comments: HASH,
        begins: &["test \""],
        skips: &["skip()", "disabled: true"],
    },
    Convention {
        extensions: &["zig"],
        names: &["*_test.zig", "test_*.zig"],
        comments: &["//"],
        begins: &["test \""],
        skips: &["error.SkipZigTest"],
    },
    Convention {
        extensions: &["cr"],
        names: &["*_spec.cr"],
        comments: HASH,
        begins: &["it \""],
        skips: &["pending \"", "pending!"],
    },
    Convention {
        extensions: &["d"],
        names: &["*_test.d"],
        comments: C_LIKE,
        begins: &["unittest"],
        skips: &["version(none)"],
    },
    Convention {
        extensions: &["f90", "pf", "F90"],
        names: &["test_*.f90", "*_test.f90", "*.pf"],
        comments: &["!"],
        begins: &["@test"],
        skips: &["@disable"],
    },
    Convention {
        extensions: &["ps1"],
        names: &["*.Tests.ps1"],
        comments: HASH,
        begins: &["It '", "It \""],
        skips: &["-Skip", "-Pending", "Set-ItResult"],
    },
    Convention {
        extensions: &["sql"],
        names: &["*_test.sql", "test_*.sql"],
        comments: &["--"],
        begins: &[],
        skips: &["skip("],
    },
    Convention {
        extensions: &["feature"],
        names: &["*.feature"],
        comments: HASH,
        begins: &["Scenario:", "Scenario Outline:", "Example:"],
        skips: &["@skip", "@wip", "@ignore", "@pending"],
    },
    Convention {
        extensions: &["robot"],
        names: &["*.robot"],
        comments: HASH,
        begins: &[],
        skips: &["robot:skip", "robot:exclude", "Skip    ", "Pass Execution"],
    },
    Convention {
        extensions: &["sol"],
        names: &["*.t.sol"],
        comments: C_LIKE,
        begins: &["function test"],
        skips: &["vm.skip(true"],
    },
    Convention {
        extensions: &["tcl", "test"],
        names: &["*.test"],
        comments: HASH,
        begins: &["test "],
        skips: &["-constraints knownBug", "-constraints never"],
    },
    Convention {
        extensions: &["vim", "vader"],
        names: &["*.vader"],
        comments: &["\"", "#"],
        begins: &["Execute"],
        skips: &["Ignore"],
    },
    Convention {
        extensions: &["gd"],
        names: &["test_*.gd"],
        comments: HASH,
        begins: &["func test_"],
        skips: &["pending("],
    },
    Convention {
        extensions: &["hurl"],
        names: &["*.hurl"],
        comments: HASH,
        begins: &[],
        skips: &["skip: true"],
    },
];

/// The convention of a file's language.
pub(crate) fn of(path: &str) -> Option<&'static Convention> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let (_, extension) = name.rsplit_once('.')?;
    CONVENTIONS
        .iter()
        .find(|convention| convention.extensions.contains(&extension))
}

/// True for a file that a runner takes for a test by its name.
pub(crate) fn is_named_as_test(path: &str) -> bool {
    of(path).is_some_and(|convention| matches_any(convention.names, path))
}

/// True for a source file in a folder of tests.
pub(crate) fn is_in_test_folder(path: &str) -> bool {
    of(path).is_some() && FOLDERS.iter().any(|folder| matches(folder, path))
}
