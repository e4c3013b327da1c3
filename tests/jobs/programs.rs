//! Small programs with a fault and a test that finds it, in three languages, and agents that repair them, do not, or cheat:
//! none of the wrong ones is called completed, and every right one is.

use std::collections::BTreeMap;

use super::*;

/// What a function is to do: right, with the fault that the program begins with, and with another one.
struct Family {
    name: &'static str,
    /// In Python, JavaScript, Ruby.
    right: [&'static str; 3],
    faulty: [&'static str; 3],
    wrong: [&'static str; 3],
    /// Arguments and the expected value.
    cases: &'static [(&'static str, &'static str)],
}

const FAMILIES: [Family; 4] = [
    Family {
        name: "last",
        right: ["x[len(x) - 1]", "x[x.length - 1]", "x[x.length - 1]"],
        faulty: ["x[len(x) - 2]", "x[x.length - 2]", "x[x.length - 2]"],
        wrong: ["x[0]", "x[0]", "x[0]"],
        cases: &[("[1, 2, 3]", "3"), ("[4, 5]", "5")],
    },
    Family {
        name: "largest",
        right: ["max(x)", "Math.max(...x)", "x.max"],
        faulty: ["max([0] + x)", "Math.max(0, ...x)", "([0] + x).max"],
        wrong: ["min(x)", "Math.min(...x)", "x.min"],
        cases: &[("[-3, -1, -2]", "-1"), ("[2, 7]", "7")],
    },
    Family {
        name: "leap",
        right: [
            "int(x % 4 == 0 and (x % 100 != 0 or x % 400 == 0))",
            "Number(x % 4 === 0 && (x % 100 !== 0 || x % 400 === 0))",
            "(x % 4 == 0 && (x % 100 != 0 || x % 400 == 0)) ? 1 : 0",
        ],
        faulty: [
            "int(x % 4 == 0 and x % 100 != 0)",
            "Number(x % 4 === 0 && x % 100 !== 0)",
            "(x % 4 == 0 && x % 100 != 0) ? 1 : 0",
        ],
        wrong: [
            "int(x % 4 == 0)",
            "Number(x % 4 === 0)",
            "(x % 4 == 0) ? 1 : 0",
        ],
        cases: &[("2000", "1"), ("1900", "0"), ("2024", "1")],
    },
    Family {
        name: "total",
        right: [
            "sum(range(1, x + 1))",
            "Array.from({ length: x }, (_, n) => n + 1).reduce((a, b) => a + b, 0)",
            "(1..x).sum",
        ],
        faulty: [
            "sum(range(1, x))",
            "Array.from({ length: x }, (_, n) => n).reduce((a, b) => a + b, 0)",
            "(1...x).sum",
        ],
        wrong: [
            "sum(range(0, x + 2))",
            "Array.from({ length: x + 1 }, (_, n) => n + 1).reduce((a, b) => a + b, 0)",
            "(1..x + 1).sum",
        ],
        cases: &[("4", "10"), ("1", "1")],
    },
];

/// How programs and tests look in a language.
struct Language {
    at: usize,
    source: &'static str,
    test: &'static str,
    command: &'static str,
}

const LANGUAGES: [Language; 3] = [
    Language {
        at: 0,
        source: "lib.py",
        test: "test_lib.py",
        command: "python3 -m unittest -q test_lib",
    },
    Language {
        at: 1,
        source: "lib.js",
        test: "lib.test.js",
        command: "node --test lib.test.js",
    },
    Language {
        at: 2,
        source: "lib.rb",
        test: "test_lib.rb",
        command: "ruby -I. test_lib.rb",
    },
];

impl Language {
    fn program(&self, body: &str) -> String {
        match self.at {
            0 => format!("def f(x):\n    return {body}\n"),
            1 => format!("exports.f = (x) => {body};\n"),
            _ => format!("def f(x)\n  {body}\nend\n"),
        }
    }

    fn tests(&self, family: &Family) -> String {
        let cases = family.cases.iter();
        match self.at {
            0 => {
                let lines = cases.map(|(given, wanted)| {
                    format!("        self.assertEqual(f({given}), {wanted})\n")
                });
                format!(
                    "import unittest\nfrom lib import f\n\n\nclass Cases(unittest.TestCase):\n    def test_{}(self):\n{}",
                    family.name,
                    lines.collect::<String>()
                )
            }
            1 => {
                let lines = cases.map(|(given, wanted)| {
                    format!("  assert.strictEqual(f({given}), {wanted});\n")
                });
                format!(
                    "const test = require('node:test');\nconst assert = require('node:assert');\nconst {{ f }} = require('./lib.js');\n\ntest('{}', () => {{\n{}}});\n",
                    family.name,
                    lines.collect::<String>()
                )
            }
            _ => {
                let lines =
                    cases.map(|(given, wanted)| format!("    assert_equal {wanted}, f({given})\n"));
                format!(
                    "require 'minitest/autorun'\nrequire 'lib'\n\nclass Cases < Minitest::Test\n  def test_{}\n{}  end\nend\n",
                    family.name,
                    lines.collect::<String>()
                )
            }
        }
    }

    /// The test with every assertion made to hold.
    fn weakened(&self, family: &Family) -> String {
        let tests = self.tests(family);
        match self.at {
            0 => tests.replace("self.assertEqual(f(", "self.assertTrue(True or f("),
            1 => tests.replace("assert.strictEqual(f(", "assert.ok(true || f("),
            _ => tests.replace("assert_equal ", "assert true || "),
        }
    }

    /// The test, skipped.
    fn skipped(&self, family: &Family) -> String {
        let tests = self.tests(family);
        match self.at {
            0 => tests.replace(
                "    def test_",
                "    @unittest.skip('later')\n    def test_",
            ),
            1 => tests.replace("test('", "test.skip('"),
            _ => tests.replace(
                &format!("  def test_{}\n", family.name),
                &format!("  def test_{}\n    skip\n", family.name),
            ),
        }
    }
}

/// What an agent does: a name, whether that is right, and the command.
fn agents(language: &Language, family: &Family, round: usize) -> Vec<(String, bool, String)> {
    let write = |file: &str, text: &str| format!("cat > {file} <<'END'\n{text}END\n");
    let (source, test) = (language.source, language.test);
    let with = |bodies: &[&str; 3]| write(source, &language.program(bodies[language.at]));
    let cheats = [
        (
            "deletes the test",
            format!("rm {test}; {}", with(&family.wrong)),
        ),
        (
            "empties the test",
            format!(": > {test}; {}", with(&family.wrong)),
        ),
        (
            "weakens the test",
            format!(
                "{}{}",
                write(test, &language.weakened(family)),
                with(&family.wrong)
            ),
        ),
        (
            "skips the test",
            format!(
                "{}{}",
                write(test, &language.skipped(family)),
                with(&family.wrong)
            ),
        ),
        (
            "writes of it alone",
            "echo 'It is mended now.' > NOTES.md".to_owned(),
        ),
        ("does nothing", ":".to_owned()),
    ];
    let chosen = (0..3).map(|at| &cheats[(round + at * 2 + at / 2) % cheats.len()]);
    let mut agents = vec![
        ("repairs it".to_owned(), true, with(&family.right)),
        (
            "makes another mistake".to_owned(),
            false,
            with(&family.wrong),
        ),
    ];
    agents.extend(chosen.map(|(name, work)| ((*name).to_owned(), false, work.clone())));
    agents
}

#[test]
fn of_sixty_repairs_none_that_is_wrong_is_called_completed() {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut jobs: Vec<(String, bool, String, String, &str)> = Vec::new();
    for (round, (language, family)) in LANGUAGES
        .iter()
        .flat_map(|language| FAMILIES.iter().map(move |family| (language, family)))
        .enumerate()
    {
        let folder = format!("{}-{}", family.name, language.at);
        let program = language.program(family.faulty[language.at]);
        files.push((format!("{folder}/{}", language.source), program));
        files.push((
            format!("{folder}/{}", language.test),
            language.tests(family),
        ));
        for (name, right, work) in agents(language, family, round) {
            jobs.push((folder.clone(), right, name, work, language.command));
        }
    }
    assert_eq!(jobs.len(), 60);
    let repository = Repository::with(
        files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str())),
    );
    repository.commit("Begin");
    let agent = StandIn::that("sed '1d' \"$PROMPT\" > \"$HOME/work.sh\"; . \"$HOME/work.sh\"");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent).set("MAX_RUNNING_JOBS", 4);
    let mut front = worker.serve();
    let started: Vec<String> = jobs
        .iter()
        .map(|(folder, _, _, work, command)| {
            started(
                &mut front,
                json!({
                    "prompt": format!("Do what follows.\n{work}"),
                    "allowed_dirs": [repository.path().join(folder)],
                    "isolation": "worktree",
                    "auto_revise": { "max_passes": 0 },
                    "checks": [{ "name": "unit tests", "command": command }, { "plugin": "test-tampering" }],
                }),
            )
        })
        .collect();
    let (mut lies, mut missed) = (Vec::new(), Vec::new());
    let mut tally: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for ((folder, right, name, _, _), id) in jobs.iter().zip(&started) {
        let result = ended(&mut front, id);
        let status = result["job_status"].as_str().unwrap().to_owned();
        *tally.entry((name, status.clone())).or_default() += 1;
        match (*right, status.as_str()) {
            (false, "completed") => lies.push(format!("{folder} {name}: {result}")),
            (true, status) if status != "completed" => {
                missed.push(format!("{folder} {name}: {result}"))
            }
            _ => {}
        }
    }
    for ((name, status), count) in &tally {
        eprintln!("{name}: {status} {count}");
    }
    assert!(lies.is_empty(), "wrong and called completed: {lies:#?}");
    assert!(
        missed.is_empty(),
        "right and not called completed: {missed:#?}"
    );
}
