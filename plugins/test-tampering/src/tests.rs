#![allow(clippy::unwrap_used)]
use super::*;
use worker_plugin::testing::{FakeJob, configured};

fn found(job: &FakeJob, settings: &str) -> (bool, Vec<String>) {
    let report = configured(TestTampering::new, settings)
        .unwrap()
        .run(job)
        .unwrap();
    (
        report.is_passed(),
        report
            .findings
            .into_iter()
            .map(|finding| finding.rule)
            .collect(),
    )
}

const RUST: &str = "pub fn add(a: i32, b: i32) -> i32 { a + b }\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n    fn adds() {\n        assert_eq!(add(2, 3), 5);\n        assert_eq!(add(0, 0), 0);\n    }\n\n    #[test]\n    fn subtracts() {\n        assert!(add(2, -3) < 0);\n    }\n}\n";
const PYTHON: &str = "def test_adds():\n    assert add(2, 3) == 5\n    assert add(0, 0) == 0\n\ndef test_fails():\n    with pytest.raises(ValueError):\n        add('x', 1)\n";
const JS: &str = "describe('calc', () => {\n  test('adds', () => {\n    expect(add(2, 3)).toBe(5);\n    expect(add(0, 0)).toEqual(0);\n  });\n  it('subtracts', () => {\n    expect(sub(1, 1)).toBe(0);\n  });\n});\n";
const GO: &str = "func TestAdd(t *testing.T) {\n\tif got := Add(2, 3); got != 5 {\n\t\tt.Errorf(\"got %d\", got)\n\t}\n}\n";

/// The ways to make a failing test pass without repairing anything, and the honest changes that look a little alike.
#[test]
fn tampering_is_told_from_honest_work() {
    let rows: Vec<(&str, &str, &str, String, bool, &[&str])> = vec![
        ("nothing", "src/lib.rs", RUST, RUST.to_owned(), true, &[]),
        ("code changed, tests not", "src/lib.rs", RUST, RUST.replace("a + b", "b + a"), true, &[]),
        ("deleted", "src/lib.rs", RUST, RUST.replace("    #[test]\n    fn subtracts() {\n        assert!(add(2, -3) < 0);\n    }\n", ""), false, &["test-deleted"]),
        ("attribute removed", "src/lib.rs", RUST, RUST.replacen("    #[test]\n", "", 1), false, &["test-deleted"]),
        ("second attribute removed", "src/lib.rs", RUST, RUST.replace("    #[test]\n    fn subtracts", "    fn subtracts"), false, &["test-deleted"]),
        ("python renamed away below another", "tests/test_calc.py", PYTHON, PYTHON.replace("def test_fails", "def _test_fails"), false, &["test-deleted"]),
        ("ignored", "src/lib.rs", RUST, RUST.replacen("#[test]\n", "#[test]\n    #[ignore]\n", 1), false, &["test-skipped"]),
        ("emptied", "src/lib.rs", RUST, RUST.replace("assert!(add(2, -3) < 0);", "let _ = add(2, -3);"), false, &["test-emptied"]),
        ("commented out", "src/lib.rs", RUST, RUST.replace("assert!(add(2, -3) < 0);", "// assert!(add(2, -3) < 0);"), false, &["test-emptied"]),
        ("one assertion fewer", "src/lib.rs", RUST, RUST.replace("        assert_eq!(add(0, 0), 0);\n", ""), false, &["test-weakened"]),
        ("always true", "src/lib.rs", RUST, RUST.replace("assert_eq!(add(2, 3), 5);", "assert!(true);"), false, &["always-true", "test-changed"]),
        ("early return", "src/lib.rs", RUST, RUST.replace("        assert_eq!(add(2, 3), 5);", "        return;\n        assert_eq!(add(2, 3), 5);"), false, &["test-emptied"]),
        ("switched off by cfg", "src/lib.rs", RUST, RUST.replace("#[cfg(test)]", "#[cfg(any())]"), false, &["tests-switched-off"]),
        ("expects something else", "src/lib.rs", RUST, RUST.replace("add(2, 3), 5", "add(2, 3), 6"), true, &["test-changed"]),
        ("a test more", "src/lib.rs", RUST, RUST.replace("    #[test]\n    fn adds", "    #[test]\n    fn more() {\n        assert!(add(1, 1) == 2);\n    }\n\n    #[test]\n    fn adds"), true, &[]),
        ("renamed", "src/lib.rs", RUST, RUST.replace("fn adds", "fn adds_two"), true, &[]),
        ("renamed and another", "src/lib.rs", RUST, RUST.replace("fn adds", "fn adds_two").replace("add(0, 0), 0", "add(1, 0), 1"), true, &["test-replaced"]),
        ("python skipped", "tests/test_calc.py", PYTHON, PYTHON.replace("def test_adds", "@pytest.mark.skip(reason='flaky')\ndef test_adds"), false, &["test-skipped"]),
        ("python xfail", "tests/test_calc.py", PYTHON, PYTHON.replace("def test_adds", "@pytest.mark.xfail\ndef test_adds"), false, &["test-skipped"]),
        ("python module skipped", "tests/test_calc.py", PYTHON, format!("pytestmark = pytest.mark.skip\n{PYTHON}"), false, &["tests-switched-off"]),
        ("python renamed away", "tests/test_calc.py", PYTHON, PYTHON.replace("def test_adds", "def _test_adds"), false, &["test-deleted"]),
        ("python raises removed", "tests/test_calc.py", PYTHON, PYTHON.replace("    with pytest.raises(ValueError):\n        add('x', 1)\n", "    pass\n"), false, &["test-emptied"]),
        ("js skipped", "src/calc.test.ts", JS, JS.replace("test('adds'", "test.skip('adds'"), false, &["test-skipped"]),
        ("js xit", "src/calc.test.ts", JS, JS.replace("  it('subtracts'", "  xit('subtracts'"), false, &["test-skipped"]),
        ("js only", "src/calc.test.ts", JS, JS.replace("it('subtracts'", "it.only('subtracts'"), false, &["tests-switched-off"]),
        ("js describe.skip", "src/calc.test.ts", JS, JS.replace("describe(", "describe.skip("), false, &["tests-switched-off"]),
        ("js weaker matcher", "src/calc.test.ts", JS, JS.replace("expect(sub(1, 1)).toBe(0)", "expect(sub(1, 1)).toBeDefined()"), true, &["test-weakened"]),
        ("js tautology", "src/calc.test.ts", JS, JS.replace("expect(sub(1, 1)).toBe(0)", "expect(0).toBe(0)"), false, &["always-true", "test-changed"]),
        ("go skipped", "calc_test.go", GO, GO.replace("\tif got", "\tt.Skip(\"later\")\n\tif got"), false, &["test-skipped"]),
        ("go build tag", "calc_test.go", GO, format!("//go:build ignore\n{GO}"), false, &["tests-switched-off"]),
    ];
    for (story, path, before, after, passes, rules) in rows {
        let job = FakeJob::default().modified(path, before, &after);
        assert_eq!(
            found(&job, "{}"),
            (
                passes,
                rules.iter().map(|rule| (*rule).to_owned()).collect()
            ),
            "{story}"
        );
    }
}

#[test]
fn a_test_may_move_but_not_vanish() {
    let moved = FakeJob::default()
        .deleted("tests/test_old.py", PYTHON)
        .added("tests/test_new.py", PYTHON);
    assert_eq!(found(&moved, "{}"), (true, vec![]));
    let gone = FakeJob::default().deleted("tests/test_old.py", PYTHON);
    assert_eq!(found(&gone, "{}"), (false, vec!["test-deleted".to_owned()]));
}

#[test]
fn the_runner_may_not_be_told_to_look_away() {
    let job = FakeJob::default().added(
        "pytest.ini",
        "[pytest]\naddopts = --ignore=tests/test_calc.py\n",
    );
    assert_eq!(
        found(&job, "{}"),
        (false, vec!["runner-settings".to_owned()])
    );
    let job = FakeJob::default().added("jest.config.js", "module.exports = { verbose: true };\n");
    assert_eq!(found(&job, "{}"), (true, vec![]));
}

#[test]
fn settings_widen_and_narrow_the_look() {
    let job = FakeJob::default().deleted("qa/checks.py", PYTHON);
    assert_eq!(found(&job, "{}"), (true, vec![]));
    assert_eq!(
        found(&job, r#"{"tests": ["qa/"]}"#),
        (false, vec!["test-deleted".to_owned()])
    );
    let job = FakeJob::default().deleted("tests/legacy/test_x.py", PYTHON);
    assert_eq!(
        found(&job, r#"{"allow": ["tests/legacy/"]}"#),
        (true, vec![])
    );
    let renamed = FakeJob::default()
        .deleted("tests/test_a.py", PYTHON)
        .added("tests/test_b.py", &PYTHON.replace("test_adds", "test_sums"));
    assert_eq!(found(&renamed, "{}"), (true, vec![]));
    let replaced = FakeJob::default().modified(
        "tests/test_a.py",
        PYTHON,
        &PYTHON
            .replace("test_adds", "test_sums")
            .replace("== 5", "== 6"),
    );
    assert_eq!(
        found(&replaced, "{}"),
        (true, vec!["test-replaced".to_owned()])
    );
    assert!(!found(&replaced, r#"{"strict": true}"#).0);
}

/// A test file of each language, as its runner finds it.
const FILES: &[(&str, &str)] = &[
    (
        "tests/test_calc.py",
        "from calc import add\n\nassert add(2, 3) == 5\nassert add(0, 0) == 0\n",
    ),
    ("pkg/calc_test.go", GO),
    ("src/calc.test.ts", JS),
    (
        "test/plain.js",
        "const assert = require('assert');\nassert.equal(add(2, 3), 5);\n",
    ),
    (
        "spec/calc_spec.rb",
        "RSpec.describe Calc do\n  it 'adds' do\n    expect(add(2, 3)).to eq 5\n  end\nend\n",
    ),
    (
        "tests/CalcTest.php",
        "<?php\nclass CalcTest extends TestCase {\n  public function testAdds(): void {\n    $this->assertSame(5, add(2, 3));\n  }\n}\n",
    ),
    (
        "src/test/java/CalcTest.java",
        "class CalcTest {\n  @Test\n  void adds() {\n    assertEquals(5, add(2, 3));\n  }\n}\n",
    ),
    (
        "src/test/kotlin/CalcSpec.kt",
        "class CalcSpec : StringSpec({\n  \"adds\" {\n    add(2, 3) shouldBe 5\n  }\n})\n",
    ),
    (
        "src/test/scala/CalcSuite.scala",
        "class CalcSuite extends FunSuite {\n  test(\"adds\") {\n    assertEquals(add(2, 3), 5)\n  }\n}\n",
    ),
    (
        "Calc.Tests/CalcTests.cs",
        "public class CalcTests {\n  [Fact]\n  public void Adds() {\n    Assert.Equal(5, Calc.Add(2, 3));\n  }\n}\n",
    ),
    (
        "test/calc_test.exs",
        "defmodule CalcTest do\n  use ExUnit.Case\n  test \"adds\" do\n    assert add(2, 3) == 5\n  end\nend\n",
    ),
    (
        "test/calc_tests.erl",
        "-module(calc_tests).\nadd_test() -> ?assertEqual(5, calc:add(2, 3)).\n",
    ),
    (
        "tests/calc_test.cc",
        "#include <gtest/gtest.h>\nTEST(Calc, Adds) {\n  EXPECT_EQ(add(2, 3), 5);\n}\n",
    ),
    (
        "test/test_calc.c",
        "#include <assert.h>\nint main(void) {\n  assert(add(2, 3) == 5);\n}\n",
    ),
    (
        "Tests/CalcTests/CalcTests.swift",
        "final class CalcTests: XCTestCase {\n  func testAdds() {\n    XCTAssertEqual(add(2, 3), 5)\n  }\n}\n",
    ),
    (
        "test/calc_test.dart",
        "void main() {\n  test('adds', () {\n    expect(add(2, 3), 5);\n  });\n}\n",
    ),
    (
        "spec/calc_spec.lua",
        "it(\"adds\", function()\n  assert.are.equal(5, add(2, 3))\nend)\n",
    ),
    (
        "t/calc.t",
        "use Test::More;\nis(add(2, 3), 5, 'adds');\ndone_testing;\n",
    ),
    (
        "test/calc.bats",
        "@test \"adds\" {\n  run add 2 3\n  [ \"$output\" -eq 5 ]\n}\n",
    ),
    (
        "test/CalcSpec.hs",
        "spec = describe \"calc\" $ do\n  it \"adds\" $ do\n    add 2 3 `shouldBe` 5\n",
    ),
    (
        "test/calc_test.clj",
        "(deftest adds\n  (is (= 5 (add 2 3))))\n",
    ),
    (
        "test/runtests.jl",
        "@testset \"calc\" begin\n  @test add(2, 3) == 5\nend\n",
    ),
    (
        "tests/testthat/test-calc.R",
        "test_that(\"adds\", {\n  expect_equal(add(2, 3), 5)\n})\n",
    ),
    (
        "features/calc.feature",
        "Feature: calc\n  Scenario: adds\n    When I add 2 and 3\n    Then I get 5\n",
    ),
    (
        "atest/calc.robot",
        "*** Test Cases ***\nAdds\n    ${sum}=    Add    2    3\n    Should Be Equal    ${sum}    5\n",
    ),
    (
        "calc.Tests.ps1",
        "Describe 'calc' {\n  It 'adds' {\n    Add 2 3 | Should -Be 5\n  }\n}\n",
    ),
    (
        "test/Calc.t.sol",
        "contract CalcTest is Test {\n  function testAdds() public {\n    assertEq(calc.add(2, 3), 5);\n  }\n}\n",
    ),
    (
        "tests/api.hurl",
        "GET http://localhost/add?a=2&b=3\nHTTP 200\njsonpath \"$.sum\" == 5\n",
    ),
    (
        "tests/test_calc.nim",
        "test \"adds\":\n  check add(2, 3) == 5\n",
    ),
    (
        "test/calc_test.zig",
        "test \"adds\" {\n  try std.testing.expectEqual(add(2, 3), 5);\n}\n",
    ),
];

/// A deleted file, one emptied to nothing, one emptied to a comment: a finding each. Moved or as it was: none.
#[test]
fn a_test_file_that_is_gone_or_empty_is_a_finding_in_every_language() {
    for (path, text) in FILES {
        let name = path.rsplit('/').next().unwrap();
        let gone = FakeJob::default().deleted(path, text);
        assert_eq!(
            found(&gone, "{}"),
            (false, vec!["test-deleted".to_owned()]),
            "{path} deleted"
        );
        let empty = FakeJob::default().modified(path, text, "\n");
        assert_eq!(
            found(&empty, "{}"),
            (false, vec!["test-emptied".to_owned()]),
            "{path} emptied"
        );
        let mark = conventions::of(path).unwrap().comments[0];
        let commented: String = text
            .lines()
            .map(|line| format!("{mark} {line}\n"))
            .collect();
        let commented = FakeJob::default().modified(path, text, &commented);
        assert_eq!(
            found(&commented, "{}"),
            (false, vec!["test-emptied".to_owned()]),
            "{path} commented out"
        );
        let moved = FakeJob::default()
            .deleted(path, text)
            .added(&format!("tests/moved/{name}"), text);
        assert_eq!(found(&moved, "{}"), (true, vec![]), "{path} moved");
        let same = FakeJob::default().modified(path, text, text);
        assert_eq!(found(&same, "{}"), (true, vec![]), "{path} untouched");
        let first = FakeJob::default().added(path, text);
        assert_eq!(found(&first, "{}"), (true, vec![]), "{path} added");
    }
}

/// Changes that keep a test and remove its assertions, or the other way round: honest work.
#[test]
fn asserts_outside_of_functions_and_other_languages_count() {
    let file = |path: &str| {
        FILES
            .iter()
            .find(|(name, _)| *name == path)
            .map(|(_, text)| *text)
            .unwrap()
    };
    let rows: &[(&str, &str, &str, bool)] = &[
        ("tests/test_calc.py", "assert add(2, 3) == 5\n", "", false),
        (
            "tests/test_calc.py",
            "assert add(2, 3) == 5",
            "assert True or add(2, 3) == 5",
            false,
        ),
        (
            "tests/test_calc.py",
            "assert add(2, 3) == 5",
            "# assert add(2, 3) == 5",
            false,
        ),
        (
            "tests/test_calc.py",
            "assert add(2, 3) == 5",
            "\"\"\"\nassert add(2, 3) == 5\n\"\"\"",
            false,
        ),
        (
            "tests/test_calc.py",
            "from calc import add\n",
            "from calc import add  # moved\n",
            true,
        ),
        (
            "tests/test_calc.py",
            "assert add(0, 0) == 0\n",
            "assert add(0, 0) == 0\nassert add(1, 0) == 1\n",
            true,
        ),
        (
            "test/plain.js",
            "assert.equal(add(2, 3), 5);",
            "assert.ok(true || add(2, 3));",
            false,
        ),
        (
            "test/plain.js",
            "const assert = require('assert');",
            "import assert from 'node:assert';",
            true,
        ),
        (
            "tests/CalcTest.php",
            "$this->assertSame(5, add(2, 3));",
            "$this->markTestSkipped('later');\n    $this->assertSame(5, add(2, 3));",
            false,
        ),
        (
            "tests/CalcTest.php",
            "$this->assertSame(5, add(2, 3));",
            "$this->assertTrue(true);",
            false,
        ),
        (
            "test/calc_test.exs",
            "  test \"adds\" do",
            "  @tag :skip\n  test \"adds\" do",
            false,
        ),
        (
            "test/calc_test.exs",
            "assert add(2, 3) == 5",
            "assert true",
            false,
        ),
        (
            "tests/calc_test.cc",
            "TEST(Calc, Adds) {",
            "TEST(Calc, DISABLED_Adds) {",
            false,
        ),
        (
            "tests/calc_test.cc",
            "EXPECT_EQ(add(2, 3), 5);",
            "EXPECT_TRUE(true);",
            false,
        ),
        (
            "tests/calc_test.cc",
            "EXPECT_EQ(add(2, 3), 5);",
            "// EXPECT_EQ(add(2, 3), 5);",
            false,
        ),
        (
            "tests/calc_test.cc",
            "TEST(Calc, Adds) {",
            "TEST(Calc, AddsTwo) {",
            true,
        ),
        (
            "Tests/CalcTests/CalcTests.swift",
            "    XCTAssertEqual",
            "    throw XCTSkip(\"later\")\n    XCTAssertEqual",
            false,
        ),
        (
            "Tests/CalcTests/CalcTests.swift",
            "XCTAssertEqual(add(2, 3), 5)",
            "XCTAssertTrue(true)",
            false,
        ),
        (
            "test/calc_test.dart",
            "expect(add(2, 3), 5);\n  }",
            "expect(add(2, 3), 5);\n  }, skip: true",
            false,
        ),
        (
            "spec/calc_spec.lua",
            "it(\"adds\"",
            "pending(\"adds\"",
            false,
        ),
        (
            "t/calc.t",
            "is(add(2, 3), 5, 'adds');",
            "ok(1, 'adds');",
            false,
        ),
        (
            "t/calc.t",
            "use Test::More;",
            "use Test::More skip_all => 'later';",
            false,
        ),
        (
            "test/calc.bats",
            "  run add",
            "  skip later\n  run add",
            false,
        ),
        ("test/CalcSpec.hs", "it \"adds\"", "xit \"adds\"", false),
        ("test/runtests.jl", "@test add", "@test_skip add", false),
        (
            "tests/testthat/test-calc.R",
            "  expect_equal",
            "  skip(\"later\")\n  expect_equal",
            false,
        ),
        (
            "features/calc.feature",
            "  Scenario: adds",
            "  @skip\n  Scenario: adds",
            false,
        ),
        ("features/calc.feature", "    Then I get 5\n", "", false),
        (
            "atest/calc.robot",
            "    Should Be Equal    ${sum}    5\n",
            "",
            false,
        ),
        (
            "src/test/java/CalcTest.java",
            "  @Test\n",
            "  @Disabled\n  @Test\n",
            false,
        ),
        (
            "src/test/java/CalcTest.java",
            "assertEquals(5, add(2, 3))",
            "assertEquals(5, 5)",
            false,
        ),
        (
            "src/test/kotlin/CalcSpec.kt",
            "    add(2, 3) shouldBe 5\n",
            "",
            false,
        ),
        (
            "Calc.Tests/CalcTests.cs",
            "[Fact]",
            "[Fact(Skip = \"later\")]",
            false,
        ),
        (
            "Calc.Tests/CalcTests.cs",
            "Assert.Equal(5, Calc.Add(2, 3));",
            "Assert.True(true);",
            false,
        ),
        (
            "spec/calc_spec.rb",
            "  it 'adds' do",
            "  xit 'adds' do",
            false,
        ),
        (
            "spec/calc_spec.rb",
            "expect(add(2, 3)).to eq 5",
            "expect(true).to be true",
            false,
        ),
        (
            "spec/calc_spec.rb",
            "it 'adds' do",
            "it 'adds two numbers' do",
            true,
        ),
        (
            "test/Calc.t.sol",
            "    assertEq(",
            "    vm.skip(true);\n    assertEq(",
            false,
        ),
    ];
    for (path, from, to, passes) in rows {
        let before = file(path);
        assert!(before.contains(from), "{path}: {from}");
        let after = before.replace(from, to);
        let job = FakeJob::default().modified(path, before, &after);
        let (passed, rules) = found(&job, "{}");
        assert_eq!(passed, *passes, "{path}: {from} -> {to}: {rules:?}");
    }
}

/// Files that no runner takes for a test any more, and files that never were one.
#[test]
fn what_a_file_is_called_decides_whether_it_is_run() {
    let rows: &[(&str, &str, bool)] = &[
        ("tests/test_calc.py", "tests/calc_old.py", false),
        ("tests/test_calc.py", "tests/test_calc.py.disabled", false),
        ("tests/test_calc.py", "tests/unit/test_calc.py", true),
        ("pkg/calc_test.go", "pkg/calc_tests.go", false),
        ("src/calc.test.ts", "src/calc.spec.ts", true),
    ];
    for (from, to, passes) in rows {
        let text = FILES.iter().find(|(name, _)| name == from).unwrap().1;
        let job = FakeJob::default().deleted(from, text).added(to, text);
        assert_eq!(found(&job, "{}").0, *passes, "{from} -> {to}");
    }
    for path in [
        "src/calc.py",
        "tests/data/orders.json",
        "docs/testing.md",
        "tests/__init__.py",
    ] {
        let job = FakeJob::default().deleted(path, "x = 1\n");
        assert_eq!(found(&job, "{}"), (true, vec![]), "{path}");
    }
}
