#![allow(clippy::unwrap_used)]
use super::*;
use worker_plugin::testing::{FakeJob, configured};

fn found(job: &FakeJob, settings: &str) -> (bool, Vec<String>) {
    let report = configured(TestTampering::new, settings)
        .unwrap()
        .run(job)
        .unwrap();
    (
        report.passed,
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
        ("ignored", "src/lib.rs", RUST, RUST.replacen("#[test]\n", "#[test]\n    #[ignore]\n", 1), false, &["test-skipped"]),
        ("emptied", "src/lib.rs", RUST, RUST.replace("assert!(add(2, -3) < 0);", "let _ = add(2, -3);"), false, &["test-emptied"]),
        ("commented out", "src/lib.rs", RUST, RUST.replace("assert!(add(2, -3) < 0);", "// assert!(add(2, -3) < 0);"), false, &["test-emptied"]),
        ("one assertion fewer", "src/lib.rs", RUST, RUST.replace("        assert_eq!(add(0, 0), 0);\n", ""), false, &["test-weakened"]),
        ("always true", "src/lib.rs", RUST, RUST.replace("assert_eq!(add(2, 3), 5);", "assert!(true);"), false, &["always-true", "test-changed"]),
        ("early return", "src/lib.rs", RUST, RUST.replace("        assert_eq!(add(2, 3), 5);", "        return;\n        assert_eq!(add(2, 3), 5);"), false, &["test-emptied"]),
        ("switched off by cfg", "src/lib.rs", RUST, RUST.replace("#[cfg(test)]", "#[cfg(any())]"), false, &["tests-switched-off"]),
        ("expects something else", "src/lib.rs", RUST, RUST.replace("add(2, 3), 5", "add(2, 3), 6"), true, &["test-changed"]),
        ("a test more", "src/lib.rs", RUST, RUST.replace("    #[test]\n    fn adds", "    #[test]\n    fn more() {\n        assert!(add(1, 1) == 2);\n    }\n\n    #[test]\n    fn adds"), true, &[]),
        ("renamed", "src/lib.rs", RUST, RUST.replace("fn adds", "fn adds_two"), true, &["test-replaced"]),
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
        // The diff that the host would give: the lines that are only on one side.
        let mut diff = format!("--- a/{path}\n+++ b/{path}\n@@ -1,1 +1,1 @@\n");
        let old: Vec<_> = before.lines().collect();
        let new: Vec<_> = after.lines().collect();
        old.iter()
            .filter(|line| !new.contains(line))
            .for_each(|line| diff.push_str(&format!("-{line}\n")));
        new.iter()
            .filter(|line| !old.contains(line))
            .for_each(|line| diff.push_str(&format!("+{line}\n")));
        let mut job = FakeJob::default().modified(path, before, &after);
        job.diffs.insert(path.to_owned(), diff);
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
    assert_eq!(
        found(&renamed, "{}"),
        (true, vec!["test-replaced".to_owned()])
    );
    assert!(!found(&renamed, r#"{"strict": true}"#).0);
}
