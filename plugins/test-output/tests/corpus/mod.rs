//! The acceptance corpus: what each runner printed of one small cart, and what a reader must find in a digest of it.
//!
//! The outputs were captured from the real tools, the machine's paths made neutral. Where a tool could not be installed,
//! the fixture follows the form that its documentation and its reports show: [`Origin::Written`].

use std::path::PathBuf;

/// The source of a fixture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The tool's own output.
    Captured,
    /// Written after the tool's documented form.
    Written,
}

/// A runner's output and what must be found in its digest.
pub struct Row {
    /// The file in `tests/fixtures/test-output/runners`.
    pub file: &'static str,
    /// The source.
    pub origin: Origin,
    /// The failing tests; a linter's rules.
    pub names: &'static [&'static str],
    /// Their assertions or messages.
    pub says: &'static [&'static str],
    /// Their places.
    pub places: &'static [&'static str],
}

const fn row(
    file: &'static str,
    names: &'static [&'static str],
    says: &'static [&'static str],
    places: &'static [&'static str],
) -> Row {
    Row {
        file,
        origin: Origin::Captured,
        names,
        says,
        places,
    }
}

const fn written(row: Row) -> Row {
    Row {
        origin: Origin::Written,
        ..row
    }
}

/// The message of the second failure in most languages.
const RANGE: &str = "percent out of range: 60";

/// Every runner.
pub const ROWS: &[Row] = &[
    row(
        "rspec.txt",
        &[
            "Cart#total multiplies by the count",
            "Cart#discount takes 60 percent off",
        ],
        &["expected: 6", "got: 2", RANGE],
        &["spec/cart_spec.rb:8", "lib/cart.rb:5"],
    ),
    row(
        "rspec-doc.txt",
        &[
            "Cart#total multiplies by the count",
            "Cart#discount takes 60 percent off",
        ],
        &["expected: 6", "got: 2", RANGE],
        &["spec/cart_spec.rb:8"],
    ),
    row(
        "minitest.txt",
        &["CartTest#test_total", "CartTest#test_discount_of_sixty"],
        &["Expected: 6", "Actual: 2", RANGE],
        &["cart_test.rb:9", "lib/cart.rb:5"],
    ),
    row(
        "test-unit.txt",
        &["test_total(CartTest)", "test_discount_of_sixty(CartTest)"],
        &["<6> expected but was", RANGE],
        &["cart_test.rb:9", "cart_test.rb:12"],
    ),
    row(
        "phpunit.txt",
        &[
            "CartTest::testTotal",
            "CartTest::testDiscountOfSixty",
            "testCounts with data set \"five\"",
        ],
        &["2 is identical to 6", RANGE, "5 is less than 3"],
        &["CartTest.php:10", "Cart.php:8"],
    ),
    row(
        "phpunit-testdox.txt",
        &["Total", "Discount of sixty"],
        &["2 is identical to 6", RANGE],
        &["CartTest.php:10", "Cart.php:8"],
    ),
    row(
        "exunit.txt",
        &[
            "multiplies by the count (CartTest)",
            "discount takes 60 percent off",
        ],
        &["assert Cart.total(cart) == 6", "left:  2", RANGE],
        &["test/cart_test.exs:9", "lib/cart.ex:6"],
    ),
    row(
        "exunit-trace.txt",
        &[
            "1) test multiplies by the count (CartTest)",
            "discount takes 60 percent off",
        ],
        &["assert Cart.total(cart) == 6", "left:  2", RANGE],
        &["test/cart_test.exs:9", "lib/cart.ex:6"],
    ),
    row(
        "eunit.txt",
        &["cart_tests: total_test", "cart_tests: discount_test"],
        &["assertEqual", "percent_out_of_range,60"],
        &["cart_tests.erl, line 6", "cart_tests.erl, line 8"],
    ),
    row(
        "maven.txt",
        &["multipliesByTheCount", "takesSixtyPercentOff"],
        &["three pens expected:<6> but was:<2>", RANGE],
        &["CartTest.java:15", "CartTest.java:20"],
    ),
    written(row(
        "surefire3.txt",
        &["multipliesByTheCount", "takesSixtyPercentOff"],
        &["expected: <6> but was: <2>", RANGE],
        &["CartTest.java:15", "Cart.java:11"],
    )),
    row(
        "gradle.txt",
        &[
            "CartTest > multipliesByTheCount",
            "CartTest > takesSixtyPercentOff",
        ],
        &["three pens expected:<6> but was:<2>", RANGE],
        &["CartTest.java:15", "Cart.java:11"],
    ),
    row(
        "gradle-short.txt",
        &[
            "CartTest > multipliesByTheCount",
            "CartTest > takesSixtyPercentOff",
        ],
        &["AssertionError", "IllegalArgumentException"],
        &["CartTest.java:15", "CartTest.java:20"],
    ),
    row(
        "junit5-console.txt",
        &["multipliesByTheCount()", "takesSixtyPercentOff()"],
        &["expected: <6> but was: <2>", RANGE],
        &["CartTest.java:15", "Cart.java:11"],
    ),
    written(row(
        "scalatest-sbt.txt",
        &[
            "CartSpec",
            "should multiply by the count",
            "should take 60 percent off",
        ],
        &["2 did not equal 6", RANGE],
        &["CartSpec.scala:12", "Cart.scala:11"],
    )),
    written(row(
        "scalatest.txt",
        &[
            "CartSpec",
            "should multiply by the count",
            "should take 60 percent off",
        ],
        &["2 did not equal 6", RANGE],
        &["CartSpec.scala:12", "Cart.scala:11"],
    )),
    written(row(
        "munit.txt",
        &[
            "CartSuite.multiplies by the count",
            "CartSuite.takes 60 percent off",
        ],
        &["values are not the same", RANGE],
        &["CartSuite.scala:12", "Cart.scala:11"],
    )),
    written(row(
        "dotnet.txt",
        &[
            "CartTests.MultipliesByTheCount",
            "CartTests.TakesSixtyPercentOff",
        ],
        &["Expected: 6", "Actual:   2", RANGE],
        &["CartTests.cs:line 14", "Cart.cs:line 11"],
    )),
    written(row(
        "xctest.txt",
        &[
            "CartTests.testMultipliesByTheCount",
            "CartTests.testTakesSixtyPercentOff",
        ],
        &["(\"2\") is not equal to (\"6\")", "percentOutOfRange(60)"],
        &["CartTests.swift:12", "CartTests.swift:16"],
    )),
    written(row(
        "swift-testing.txt",
        &["multipliesByTheCount()", "takesSixtyPercentOff()"],
        &[
            "Expectation failed: (cart.total → 2) == 6",
            "percentOutOfRange(60)",
        ],
        &["CartTests.swift:12", "CartTests.swift:15"],
    )),
    written(row(
        "bazel.txt",
        &["//shop:total_test", "//shop:discount_test"],
        &["total() == 6, got 2", RANGE],
        &["total_test.sh:3", "discount_test.sh:3"],
    )),
    row(
        "gtest.txt",
        &[
            "Cart.MultipliesByTheCount",
            "Cart.TakesSixtyPercentOff",
            "All/Sizes.AreSmall/1",
        ],
        &[
            "Expected equality of these values",
            "Which is: 2",
            RANGE,
            "actual: 5 vs 3",
        ],
        &["cart_test.cc:7", "cart_test.cc:13"],
    ),
    row(
        "ctest.txt",
        &[
            "Cart.MultipliesByTheCount",
            "Cart.TakesSixtyPercentOff",
            "plain_asserts",
        ],
        &["Which is: 2", RANGE, "total() == 6' failed"],
        &["cart_test.cc:7", "plain.cc:3"],
    ),
    row(
        "ctest-quiet.txt",
        &["Cart.MultipliesByTheCount", "plain_asserts"],
        &["5 tests failed out of 7"],
        &["LastTest.log"],
    ),
    row(
        "catch2.txt",
        &["multiplies by the count", "takes 60 percent off"],
        &["2 == 6", RANGE],
        &["catch_test.cc:7", "catch_test.cc:11"],
    ),
    row(
        "playwright.txt",
        &[
            "Cart › multiplies by the count",
            "Cart › takes 60 percent off",
        ],
        &["Expected: 6", "Received: 2", RANGE],
        &["cart.spec.mjs:7:28", "cart.mjs:6"],
    ),
    row(
        "playwright-list.txt",
        &[
            "Cart › multiplies by the count",
            "Cart › takes 60 percent off",
        ],
        &["Expected: 6", "Received: 2", RANGE],
        &["cart.spec.mjs:7:28", "cart.mjs:6"],
    ),
    row(
        "bun.txt",
        &[
            "Cart > multiplies by the count",
            "Cart > takes 60 percent off",
        ],
        &["Expected: 6", "Received: 2", RANGE],
        &["cart.test.mjs:7:28", "cart.mjs:6:78"],
    ),
    row(
        "deno.txt",
        &["multiplies by the count", "takes 60 percent off"],
        &["2 !== 6", RANGE],
        &["cart_test.ts:6:10", "cart.mjs:6:29"],
    ),
    row(
        "deno-dot.txt",
        &["multiplies by the count", "takes 60 percent off"],
        &["2 !== 6", RANGE],
        &["cart_test.ts:6:10", "cart.mjs:6:29"],
    ),
    row(
        "ava.txt",
        &["multiplies by the count", "takes 60 percent off"],
        &["- 2", "+ 6", RANGE],
        &["cart.test.mjs:6", "cart.mjs:6:29"],
    ),
    row(
        "ava-tap.txt",
        &["multiplies by the count", "takes 60 percent off"],
        &["+ 6", RANGE],
        &["cart.mjs:6:29"],
    ),
    row(
        "jasmine.txt",
        &["Cart multiplies by the count", "Cart takes 60 percent off"],
        &["Expected 2 to be 6", RANGE],
        &["cart.spec.mjs:6:28", "cart.mjs:6:29"],
    ),
    row(
        "mocha.txt",
        &["multiplies by the count", "takes 60 percent off"],
        &["2 !== 6", RANGE],
        &["cart.test.mjs:7:12", "cart.mjs:6:29"],
    ),
    row(
        "jest.txt",
        &[
            "Cart › multiplies by the count",
            "Cart › takes 60 percent off",
        ],
        &["Expected: 6", "Received: 2", RANGE],
        &["cart.test.js:6:28", "cart.cjs:6:29"],
    ),
    row(
        "vitest.txt",
        &[
            "Cart > multiplies by the count",
            "Cart > takes 60 percent off",
        ],
        &["expected 2 to be 6", RANGE],
        &["cart.spec.mjs:7:28", "cart.mjs:6"],
    ),
    row(
        "node-test.txt",
        &["multiplies by the count", "takes 60 percent off"],
        &["2 !== 6", RANGE],
        &["cart.test.mjs:6", "cart.test.mjs:10"],
    ),
    row(
        "tape.txt",
        &["multiplies by the count", "takes 50 percent off"],
        &["expected: 6", "actual:   2"],
        &["cart.mjs:6:5", "cart.mjs:10:5"],
    ),
    row(
        "prove.txt",
        &["multiplies by the count", "keeps the items"],
        &["got: '2'", "expected: '6'", "Structures begin differing"],
        &["t/cart.t line 4", "t/cart.t line 5"],
    ),
    row(
        "prove-v.txt",
        &["multiplies by the count", "keeps the items"],
        &["got: '2'", "expected: '6'", "Structures begin differing"],
        &["t/cart.t line 4", "t/cart.t line 5"],
    ),
    row(
        "tap-perl.txt",
        &["multiplies by the count", "keeps the items"],
        &["got: '2'", "expected: '6'", "Structures begin differing"],
        &["t/cart.t line 4", "t/cart.t line 5"],
    ),
    row(
        "tap-py.txt",
        &["test_total", "test_discount_of_sixty"],
        &["2 != 6", RANGE],
        &["test_cart.py\", line 13", "test_cart.py\", line 16"],
    ),
    row(
        "bats.txt",
        &["multiplies by the count", "takes 60 percent off"],
        &[
            "[ \"$output\" -eq 6 ]' failed",
            "[ \"$status\" -eq 0 ]' failed",
        ],
        &["cart.bats, line 7", "cart.bats, line 11"],
    ),
    row(
        "bats-pretty.txt",
        &["multiplies by the count", "takes 60 percent off"],
        &[
            "[ \"$output\" -eq 6 ]' failed",
            "[ \"$status\" -eq 0 ]' failed",
        ],
        &["cart.bats, line 7", "cart.bats, line 11"],
    ),
    row(
        "hspec.txt",
        &[
            "Cart multiplies by the count",
            "Cart.discount takes 60 percent off",
        ],
        &["expected: 6", "but got: 2", RANGE],
        &["Spec.hs:9:27", "Spec.hs:11:34"],
    ),
    row(
        "busted.txt",
        &["Cart multiplies by the count", "Cart takes 60 percent off"],
        &["Expected objects to be equal", RANGE],
        &["spec/cart_spec.lua:4", "spec/cart_spec.lua:6"],
    ),
    row(
        "behave.txt",
        &["multiplies by the count", "takes 60 percent off"],
        &["expected 6, got 2", RANGE],
        &["features/cart.feature:7", "features/steps/cart.py:17"],
    ),
    row(
        "behave-progress.txt",
        &["multiplies by the count", "takes 60 percent off"],
        &["1 scenario passed, 1 failed, 1 error"],
        &["features/cart.feature:7", "features/cart.feature:11"],
    ),
    written(row(
        "cucumber-js.txt",
        &["multiplies by the count", "takes 60 percent off"],
        &["2 !== 6", RANGE],
        &["features/cart.feature:7", "cart.mjs:6:29"],
    )),
    row(
        "robot.txt",
        &["Multiplies By The Count", "Takes Sixty Percent Off"],
        &["2 != 6", RANGE],
        &["Robot.Cart", "3 tests, 1 passed, 2 failed"],
    ),
    row(
        "pytest.txt",
        &["test_total", "test_discount[60]"],
        &["assert 2 == 6", RANGE],
        &["test_plain.py:16", "cart.py:14"],
    ),
    row(
        "pytest-xdist.txt",
        &["test_total", "test_discount[60]"],
        &["assert 2 == 6", RANGE],
        &["test_plain.py:16", "cart.py:14"],
    ),
    row(
        "unittest.txt",
        &["test_total", "test_discount_of_sixty"],
        &["2 != 6", RANGE],
        &["test_cart.py\", line 13", "test_cart.py\", line 16"],
    ),
    row(
        "unittest-v.txt",
        &["test_total", "test_discount_of_sixty"],
        &["2 != 6", RANGE],
        &["test_cart.py\", line 13", "test_cart.py\", line 16"],
    ),
    row(
        "nose2.txt",
        &["test_total", "test_discount_of_sixty"],
        &["2 != 6", RANGE],
        &["test_cart.py\", line 13", "test_cart.py\", line 16"],
    ),
    row(
        "cargo-test.txt",
        &["tests::total", "tests::discount"],
        &["left: 2", "right: 6", RANGE],
        &["src/lib.rs:17:9", "src/lib.rs:21:49"],
    ),
    row(
        "nextest.txt",
        &["tests::total", "tests::discount"],
        &["left: 2", "right: 6", RANGE],
        &["src/lib.rs:17:9", "src/lib.rs:21:49"],
    ),
    row(
        "go-test.txt",
        &["TestTotal", "TestDiscount/g"],
        &["Total() = 2; want 6", RANGE],
        &["cart_test.go:12", "cart_test.go:19"],
    ),
    row(
        "go-test-v.txt",
        &["TestTotal", "TestDiscount/g"],
        &["Total() = 2; want 6", RANGE],
        &["cart_test.go:12", "cart_test.go:19"],
    ),
    row(
        "ruff.txt",
        &["F401", "F821"],
        &[
            "`os` imported but unused",
            "Undefined name `undefined_name`",
        ],
        &["bad.py:1:8", "bad.py:9:12"],
    ),
    row(
        "ruff-concise.txt",
        &["F401", "F821"],
        &[
            "`os` imported but unused",
            "Undefined name `undefined_name`",
        ],
        &["bad.py:1:8", "bad.py:9:12"],
    ),
    row(
        "pylint.txt",
        &["E0602", "undefined-variable"],
        &["Undefined variable 'undefined_name'", "Unused import os"],
        &["bad.py:9:11", "bad.py:1:0"],
    ),
    row(
        "flake8.txt",
        &["F821", "E711"],
        &["undefined name 'undefined_name'", "comparison to None"],
        &["bad.py:9:12", "bad.py:13:16"],
    ),
    row(
        "mypy.txt",
        &["[operator]", "[return-value]"],
        &[
            "Unsupported operand types",
            "Incompatible return value type",
        ],
        &["bad.py:8", "bad.py:15"],
    ),
    row(
        "pyright.txt",
        &["reportOperatorIssue", "reportReturnType"],
        &[
            "Operator \"+\" not supported",
            "\"undefined_name\" is not defined",
        ],
        &["bad.py:8:18", "bad.py:15:12"],
    ),
    row(
        "tsc.txt",
        &["TS2322", "TS2304"],
        &[
            "Type 'string' is not assignable",
            "Cannot find name 'missing'",
        ],
        &["src/cart.ts(5,3)", "src/cart.ts(8,1)"],
    ),
    row(
        "eslint.txt",
        &["no-debugger", "no-undef"],
        &[
            "Unexpected 'debugger' statement",
            "'undefinedThing' is not defined",
        ],
        &["src/bad.js", "2:3", "4:29"],
    ),
    row(
        "biome.txt",
        &["lint/suspicious/noDebugger"],
        &["unexpected use of the debugger statement"],
        &["src/bad.js:2:3"],
    ),
    // Reports for machines.
    row(
        "junit-phpunit.xml",
        &["CartTest testTotal", "testDiscountOfSixty"],
        &["2 is identical to 6", RANGE],
        &["CartTest.php:10", "Cart.php:8"],
    ),
    row(
        "junit-bun.xml",
        &["Cart multiplies by the count", "Cart takes 60 percent off"],
        &["Expected: 6", RANGE],
        &["cart.test.mjs:7:28", "cart.mjs:6:78"],
    ),
    row(
        "junit-deno.xml",
        &["multiplies by the count", "takes 60 percent off"],
        &["2 !== 6", RANGE],
        &["cart_test.ts:6:10", "cart.mjs:6:29"],
    ),
    row(
        "junit-node.xml",
        &["multiplies by the count", "takes 60 percent off"],
        &["2 !== 6", RANGE],
        &["cart.test.mjs:7:12", "cart.mjs:6:29"],
    ),
    row(
        "junit-playwright.xml",
        &["multiplies by the count", "takes 60 percent off"],
        &["Expected: 6", RANGE],
        &["cart.spec.mjs:7:28", "cart.mjs:6"],
    ),
    row(
        "junit-vitest.xml",
        &["multiplies by the count", "takes 60 percent off"],
        &["expected 2 to be 6", RANGE],
        &["cart.spec.mjs:7:28", "cart.mjs:6"],
    ),
    row(
        "junit-pytest.xml",
        &["test_total", "test_discount[60]"],
        &["assert 2 == 6", RANGE],
        &["test_plain.py:16", "cart.py:14"],
    ),
    row(
        "junit-gtest.xml",
        &["Cart MultipliesByTheCount", "Cart TakesSixtyPercentOff"],
        &["Which is: 2", RANGE],
        &["cart_test.cc:7", "cart_test.cc:9"],
    ),
    row(
        "junit-ctest.xml",
        &["Cart.MultipliesByTheCount", "plain_asserts"],
        &["Which is: 2", RANGE, "total() == 6' failed"],
        &["cart_test.cc:7", "plain.cc:3"],
    ),
    row(
        "junit-catch2.xml",
        &["multiplies by the count", "takes 60 percent off"],
        &["2 == 6", RANGE],
        &["catch_test.cc:7", "catch_test.cc:11"],
    ),
    row(
        "junit-maven.xml",
        &["CartTest multipliesByTheCount", "takesSixtyPercentOff"],
        &["three pens expected:<6> but was:<2>", RANGE],
        &["CartTest.java:15", "CartTest.java:20"],
    ),
    row(
        "junit-gradle.xml",
        &["CartTest multipliesByTheCount", "takesSixtyPercentOff"],
        &["three pens expected:<6> but was:<2>", RANGE],
        &["CartTest.java:15", "Cart.java:11"],
    ),
    row(
        "junit-behave.xml",
        &["multiplies by the count", "takes 60 percent off"],
        &["expected 6, got 2", RANGE],
        &["features/cart.feature:9", "features/steps/cart.py"],
    ),
    row(
        "junit-ruff.xml",
        &["F401", "F821"],
        &[
            "`os` imported but unused",
            "Undefined name `undefined_name`",
        ],
        &["bad.py:1", "bad.py:9"],
    ),
    row(
        "jest.json",
        &["Cart multiplies by the count", "Cart takes 60 percent off"],
        &["Expected: 6", RANGE],
        &["cart.test.js:6:28", "cart.cjs:6:29"],
    ),
    row(
        "vitest.json",
        &["Cart multiplies by the count", "Cart takes 60 percent off"],
        &["expected 2 to be 6", RANGE],
        &["cart.spec.mjs:7:28", "cart.mjs:6"],
    ),
    row(
        "mocha.json",
        &["Cart multiplies by the count", "takes 60 percent off"],
        &["2 !== 6", RANGE],
        &["cart.test.mjs:7:12", "cart.mjs:6:29"],
    ),
    row(
        "playwright.json",
        &["Cart › multiplies by the count", "takes 60 percent off"],
        &["Expected: 6", RANGE],
        &["cart.spec.mjs:7", "cart.mjs:6"],
    ),
    row(
        "pytest.json",
        &["test_plain.py::test_total", "test_discount[60]"],
        &["assert 2 == 6", RANGE],
        &["test_plain.py:16", "cart.py:14"],
    ),
    row(
        "eslint.json",
        &["no-debugger", "no-undef"],
        &[
            "Unexpected 'debugger' statement",
            "'undefinedThing' is not defined",
        ],
        &["src/bad.js:2", "src/bad.js:4"],
    ),
    row(
        "go-test.json",
        &["TestTotal", "TestDiscount/g"],
        &["Total() = 2; want 6", RANGE],
        &["cart_test.go:12", "cart_test.go:19"],
    ),
];

/// The amount that the application logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// Nothing.
    Clean,
    /// Five lines among the runner's.
    Mild,
    /// Hundreds of lines, with stack traces, before, among and after them.
    Heavy,
}

/// All of them.
pub const NOISES: [Noise; 3] = [Noise::Clean, Noise::Mild, Noise::Heavy];

impl Row {
    /// The output as it was captured.
    pub fn text(&self) -> String {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures/test-output/runners");
        match std::fs::read_to_string(folder.join(self.file)) {
            Ok(text) => text,
            Err(error) => panic!("{}: {error}", self.file),
        }
    }

    /// A report is a file: no application logs into it.
    pub fn is_report(&self) -> bool {
        self.file.ends_with(".xml") || self.file.ends_with(".json")
    }

    /// The output with what the application logged meanwhile; `seed` says where.
    pub fn with(&self, noise: Noise, seed: usize) -> String {
        let text = self.text();
        match noise {
            Noise::Clean => text,
            Noise::Mild => scattered(&text, 5, seed),
            Noise::Heavy => {
                let mut out = String::new();
                for n in 0..150 {
                    out.push_str(&logged(n, seed));
                }
                out.push_str(&scattered(&text, 60, seed));
                if !out.ends_with('\n') {
                    out.push('\n');
                }
                for n in 150..300 {
                    out.push_str(&logged(n, seed));
                }
                out
            }
        }
    }
}

/// The text with so many logged lines between its own.
fn scattered(text: &str, count: usize, seed: usize) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut out = String::new();
    for (at, line) in lines.iter().enumerate() {
        for n in (0..count).filter(|n| spread(*n, seed, lines.len()) == at) {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            // Among the runner's lines a logged line is whole; traces come with heavy noise alone.
            out.push_str(&if count > 5 { logged(n, seed) } else { short(n) });
        }
        out.push_str(line);
    }
    out
}

/// The place of the logged line `n` among so many lines.
fn spread(n: usize, seed: usize, lines: usize) -> usize {
    (n.wrapping_mul(2_654_435_761)
        .wrapping_add(seed.wrapping_mul(40_503))
        >> 3)
        % lines.max(1)
}

fn short(n: usize) -> String {
    match n % 5 {
        0 => format!("ERROR payment {n} failed\n"),
        1 => format!(
            "2026-01-01T10:00:{:02}.123Z ERROR [pay] payment {n} failed: connection refused\n",
            n % 60
        ),
        2 => format!("[10:00:{:02}] WARN retrying payment {n}\n", n % 60),
        3 => format!(
            "{{\"level\":\"error\",\"time\":\"2026-01-01T10:00:00Z\",\"msg\":\"payment {n} failed\"}}\n"
        ),
        _ => format!("INFO payment {n} accepted\n"),
    }
}

fn logged(n: usize, seed: usize) -> String {
    match (n + seed) % 9 {
        0..=3 => format!("ERROR payment {n} failed\n"),
        4 => format!(
            "2026-01-01 10:00:{:02},123 ERROR app.pay: payment {n} failed\n",
            n % 60
        ),
        5 => format!(
            "2026-01-01 10:00:{:02},456 ERROR app.pay: cannot charge\nTraceback (most recent call last):\n  File \"/srv/app/pay.py\", line 41, in charge\n    gateway.post(order)\nConnectionError: gateway {n} refused\n",
            n % 60
        ),
        6 => format!(
            "ERROR [worker-{n}] com.acme.Pay - charge failed\njava.lang.IllegalStateException: payment {n} is gone\n\tat com.acme.Pay.charge(Pay.java:77)\n\tat com.acme.Worker.run(Worker.java:19)\n"
        ),
        7 => short(n),
        _ => format!(
            "[2026-01-01T10:00:{:02}.000Z] error: payment {n} failed\nError: gateway {n} refused\n    at charge (/srv/app/pay.js:41:9)\n    at process.run (/srv/app/worker.js:19:3)\n",
            n % 60
        ),
    }
}
