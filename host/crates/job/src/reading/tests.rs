#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::lines::Lines;
use super::*;
use crate::refusal::Refusal;
use redact::{KnownValues, Redactor};
use workspace::Root;

/// A repository in a root of its own, and beside the root what must not be reached.
struct Scene {
    folder: TempDir,
    redactor: Redactor,
}

impl Scene {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // As little as git takes for a repository: without one there are no ignore rules.
        let git = folder.path().join("root/project/.git");
        for part in ["objects", "refs"] {
            fs::create_dir_all(git.join(part)).unwrap();
        }
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(folder.path().join("outside.txt"), "needle outside\n").unwrap();
        let mut known = KnownValues::new();
        known.add("held", "first-half-of-it\nsecond-half-of-it");
        let scene = Self {
            folder,
            redactor: Redactor::new(known, Vec::new()),
        };
        for (path, content) in files {
            scene.write(path, content);
        }
        scene
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("root/project").join(path)
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read_by(&self, reading: &Reading, deadline: Instant) -> Result<Value, Refusal> {
        let root = Root::open(&self.folder.path().join("root")).unwrap();
        reading.run(&root, &self.redactor, deadline)
    }

    fn call(&self, parse: Parse, mut arguments: Value) -> Result<Value, Refusal> {
        if arguments.get("paths").is_none() {
            arguments["paths"] = json!([self.path("")]);
        }
        let Value::Object(arguments) = arguments else {
            panic!("arguments are an object");
        };
        self.read_by(
            &parse(arguments)?,
            Instant::now() + Duration::from_secs(600),
        )
    }

    fn search(&self, arguments: Value) -> Value {
        self.call(SEARCH, arguments).unwrap()
    }

    fn pack(&self, arguments: Value) -> Value {
        self.call(PACK, arguments).unwrap()
    }
}

type Parse = fn(Map<String, Value>) -> Result<Reading, Refusal>;
const SEARCH: Parse = |arguments| Ok(Reading::Search(SearchSpec::parse(arguments)?));
const PACK: Parse = |arguments| Ok(Reading::Pack(PackSpec::parse(arguments)?));

#[test]
fn a_search_answers_with_lines_by_file_and_says_what_it_looked_at() {
    let scene = Scene::with(&[
        (
            "src/a.rs",
            b"fn one() {}\n\nfn two() {\n    one();\n}\n// end\n",
        ),
        ("src/b.rs", b"one(1);\r\n"),
        ("target/c.rs", b"one(2);\n"),
        (".gitignore", b"target\n"),
    ]);
    let mut reply = scene.search(json!({ "pattern": r"one\(", "context": 1 }));
    assert_eq!(
        reply["base"].take(),
        json!(scene.path("").canonicalize().unwrap())
    );
    insta::assert_snapshot!(reply["found"].as_str().unwrap(), @r"
    src/a.rs
    1:fn one() {}
    2-
    3-fn two() {
    4:    one();
    5-}

    src/b.rs
    1:one(1);
    ");
    assert_eq!(
        (&reply["matches"], &reply["in_files"], &reply["files"]),
        (&json!(3), &json!(2), &json!(3)),
        "{reply}"
    );
    assert!(reply.get("left_out").is_none(), "{reply}");

    let nothing = scene.search(json!({ "pattern": "three" }));
    assert_eq!(
        (&nothing["found"], &nothing["matches"]),
        (&json!(""), &json!(0))
    );
}

#[test]
fn blocks_that_lie_apart_are_told_apart_only_where_there_is_context() {
    let text: String = (1..=9).map(|n| format!("line {n}\n")).collect();
    let scene = Scene::with(&[("a.txt", text.as_bytes())]);
    let found = |context: u32| {
        let reply = scene.search(json!({ "pattern": "[28]$", "context": context }));
        reply["found"].as_str().unwrap().to_owned()
    };
    assert_eq!(found(0), "a.txt\n2:line 2\n8:line 8");
    assert_eq!(
        found(1),
        "a.txt\n1-line 1\n2:line 2\n3-line 3\n--\n7-line 7\n8:line 8\n9-line 9"
    );
}

#[test]
fn a_literal_is_taken_as_it_stands() {
    let scene = Scene::with(&[("a.txt", b"a.c\nabc\n(unclosed\n")]);
    let found = |arguments| {
        scene.search(arguments)["found"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        found(json!({ "pattern": "a.c", "literal": true })),
        "a.txt\n1:a.c"
    );
    assert_eq!(found(json!({ "pattern": "a.c" })), "a.txt\n1:a.c\n2:abc");
    assert_eq!(
        found(json!({ "pattern": "(un", "literal": true })),
        "a.txt\n3:(unclosed"
    );
    assert_eq!(found(json!({ "pattern": "(?i)ABC" })), "a.txt\n2:abc");
}

#[test]
fn wrong_patterns_and_paths_are_refused_by_name() {
    let scene = Scene::with(&[("a.txt", b"x\n")]);
    let outside = scene.folder.path().join("outside.txt");
    for (arguments, argument, words) in [
        (json!({ "pattern": "(" }), "pattern", "unclosed group"),
        (
            json!({ "pattern": "(.{0,1000}){1000}" }),
            "pattern",
            "size limit",
        ),
        (json!({ "pattern": "(?<=a)b" }), "pattern", "look-around"),
        (json!({ "pattern": "a\nb" }), "pattern", "line break"),
        (json!({ "pattern": "" }), "pattern", "1 to 1000 bytes"),
        (
            json!({ "pattern": "x".repeat(1_001) }),
            "pattern",
            "1 to 1000 bytes",
        ),
        (
            json!({ "pattern": "x", "context": 21 }),
            "context",
            "0 to 20",
        ),
        (
            json!({ "pattern": "x", "max_bytes": 24_001 }),
            "max_bytes",
            "24000",
        ),
        (
            json!({ "pattern": "x", "paths": [] }),
            "paths",
            "at least one",
        ),
        (
            json!({ "pattern": "x", "paths": [outside] }),
            "paths[0]",
            "outside SANDBOX_ROOT",
        ),
        (
            json!({ "pattern": "x", "paths": ["project", "../outside.txt"] }),
            "paths[1]",
            "outside SANDBOX_ROOT",
        ),
        (
            json!({ "pattern": "x", "paths": ["project/*.none"] }),
            "paths[0]",
            "matches no file",
        ),
        (
            json!({ "pattern": "x", "path": "/" }),
            "path",
            "unknown argument",
        ),
    ] {
        let refusal = scene.call(SEARCH, arguments.clone()).unwrap_err();
        assert_eq!(refusal.argument, argument, "{arguments}: {refusal}");
        assert!(refusal.rule.contains(words), "{arguments}: {refusal}");
        assert!(refusal.rule.len() < 500, "{refusal}");
    }
    for (arguments, argument) in [
        (json!({ "symbols": [] }), "symbols"),
        (json!({ "symbols": ["x", " "] }), "symbols[1]"),
        (json!({ "symbols": ["x\ny"] }), "symbols[0]"),
        (json!({ "symbols": vec!["x"; 33] }), "symbols"),
    ] {
        let refusal = scene.call(PACK, arguments.clone()).unwrap_err();
        assert_eq!(refusal.argument, argument, "{arguments}: {refusal}");
    }
}

#[test]
fn no_pattern_takes_for_ever() {
    let line = "a".repeat(200_000);
    let scene = Scene::with(&[("a.txt", format!("{line}\n{line}b\n").as_bytes())]);
    for pattern in [
        "(a|a)*$",
        "(a*)*c",
        "(a+)+$",
        "(x+x+)+y",
        "(.*)(.*)(.*)(.*)(.*)[^b]$",
    ] {
        let reply = scene.search(json!({ "pattern": pattern }));
        assert!(
            reply["found"].as_str().unwrap().len() < 1_500,
            "{pattern}: {reply}"
        );
    }
}

#[cfg(unix)]
#[test]
fn links_lead_nowhere() {
    let scene = Scene::with(&[("a.txt", b"needle inside\n")]);
    let outside = scene.folder.path().join("outside.txt");
    std::os::unix::fs::symlink(&outside, scene.path("link.txt")).unwrap();
    std::os::unix::fs::symlink(scene.folder.path(), scene.path("folder")).unwrap();
    std::os::unix::fs::symlink("/", scene.path("slash")).unwrap();
    let found = scene.search(json!({ "pattern": "needle" }));
    assert_eq!(found["found"], "a.txt\n1:needle inside");
    for named in [
        "link.txt",
        "folder/outside.txt",
        "slash/etc/passwd",
        "folder",
    ] {
        for (parse, arguments) in [
            (
                SEARCH,
                json!({ "pattern": ".", "paths": [scene.path(named)] }),
            ),
            (
                PACK,
                json!({ "symbols": ["needle"], "paths": [scene.path(named)] }),
            ),
        ] {
            let refusal = scene.call(parse, arguments).unwrap_err();
            assert!(refusal.rule.contains("outside"), "{named}: {refusal}");
        }
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_text_is_left_out_and_said() {
    use std::os::unix::ffi::OsStrExt as _;

    let scene = Scene::with(&[
        ("latin1.txt", b"needle caf\xe9\n"),
        ("binary", b"needle\0\n"),
        ("utf16.txt", b"\xff\xfen\0e\0e\0d\0l\0e\0 \0\xe9\0\n\0"),
        ("escape.txt", b"needle \x1b[31mred\x1b[0m\n"),
        ("empty", b""),
        ("no-end", b"x\nneedle"),
        (
            "huge.txt",
            &[b"needle ".as_slice(), &vec![b'x'; 9 << 20]].concat(),
        ),
    ]);
    let strange = scene
        .path("")
        .join(std::ffi::OsStr::from_bytes(b"caf\xe9.txt"));
    fs::write(strange, "needle\n").unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        scene.path("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let reply = scene.search(json!({ "pattern": "needle" }));
    insta::assert_snapshot!(reply["found"].as_str().unwrap(), @r"
    caf�.txt
    1:needle

    escape.txt
    1:needle red

    latin1.txt
    1:needle caf�

    no-end
    2:needle

    utf16.txt
    1:needle é
    ");
    assert_eq!(
        reply["left_out"],
        json!(["1 binary files", "too large: huge.txt"])
    );
    let pack = scene.pack(json!({ "symbols": ["needle"] }));
    assert!(
        pack["pack"]
            .as_str()
            .unwrap()
            .contains("1 needle caf\u{fffd}"),
        "{pack}"
    );
    assert_eq!(
        pack["left_out"],
        json!(["1 binary files", "too large: huge.txt"])
    );
}

#[test]
fn a_long_line_is_shown_around_its_match() {
    let text = format!("{}é needle é{}\n", "é".repeat(5_000), "é".repeat(5_000));
    let scene = Scene::with(&[("min.js", text.as_bytes())]);
    let reply = scene.search(json!({ "pattern": "needle" }));
    let found = reply["found"].as_str().unwrap();
    assert!(found.len() < 400 && found.contains("é needle é"), "{found}");
    assert!(
        found.contains("1:...é") && found.ends_with("..."),
        "{found}"
    );
    assert!(!found.contains('\u{fffd}'), "{found}");
}

#[test]
fn a_reply_keeps_its_budget_and_says_what_it_does_not_show() {
    let many: String = (0..2_000).map(|n| format!("needle {n}\n")).collect();
    let scene = Scene::with(&[("a.txt", many.as_bytes())]);
    for n in 0..40 {
        scene.write(&format!("b/{n:02}.txt"), b"one needle\n");
    }
    for max_bytes in [200, 1_000, 7_000] {
        let reply = scene.search(json!({ "pattern": "needle", "max_bytes": max_bytes }));
        let found = reply["found"].as_str().unwrap();
        assert!(found.len() <= max_bytes, "{} of {max_bytes}", found.len());
        assert_eq!(
            (&reply["matches"], &reply["in_files"]),
            (&json!(2_040), &json!(41))
        );
        let left_out = reply["left_out"][0].as_str().unwrap();
        assert!(
            left_out.starts_with("matches not shown, narrow pattern or paths: a.txt ("),
            "{left_out}"
        );
        let shown = found.lines().filter(|line| line.contains(":")).count();
        assert!(shown > 0, "{found}");
    }
    let whole = scene.search(json!({ "pattern": "needle", "max_bytes": 7_000 }));
    assert!(
        whole["found"]
            .as_str()
            .unwrap()
            .contains("b/39.txt\n1:one needle"),
        "the one file with many does not hide the others: {whole}"
    );
}

#[test]
fn a_search_out_of_time_answers_what_it_found_until_then() {
    let scene = Scene::with(&[("a.txt", b"needle\n"), ("b.txt", b"needle\n")]);
    for (parse, arguments) in [
        (
            SEARCH,
            json!({ "pattern": "needle", "paths": [scene.path("")] }),
        ),
        (
            PACK,
            json!({ "symbols": ["needle"], "paths": [scene.path("")] }),
        ),
    ] {
        let Value::Object(arguments) = arguments else {
            panic!("arguments are an object");
        };
        let reply = scene
            .read_by(&parse(arguments).unwrap(), Instant::now())
            .unwrap();
        let said = reply["left_out"].to_string();
        assert!(
            said.contains("stopped after 10 s, 0 of 2 files read"),
            "{reply}"
        );
    }
}

#[test]
fn a_secret_over_several_lines_is_hidden_in_each_and_cannot_be_found() {
    let scene = Scene::with(&[(
        "config",
        b"key = first-half-of-it\nsecond-half-of-it # the key\nnext\n",
    )]);
    let found = |arguments| {
        scene.search(arguments)["found"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        found(json!({ "pattern": "key" })),
        "config\n1:key = [redacted:held]\n2:[redacted:held] # the key"
    );
    assert_eq!(found(json!({ "pattern": "second-half" })), "");
    assert_eq!(
        found(json!({ "pattern": "next", "context": 1 })),
        "config\n2-[redacted:held] # the key\n3:next"
    );
    let pack = scene.pack(json!({ "symbols": ["key"] }));
    let pack = pack["pack"].as_str().unwrap();
    assert!(
        !pack.contains("half-of-it") && pack.contains("2 [redacted:held] # the key"),
        "{pack}"
    );
}

const RUST: &[u8] = b"use crate::store::Store;

/// Adds a job.
///
/// Twice is an error.
#[must_use]
pub fn launch(
    store: &Store,
    id: u32,
) -> bool {
    if store.has(id) {
        return false;
    }

    store.add(id)
}

pub fn other() {
    launch(&store, 1);
}
";

const PYTHON: &[u8] = b"LIMIT = 10

class Store:
    \"\"\"Keeps jobs.\"\"\"

    def add(self, job):
        if job in self.jobs:
            raise ValueError(job)
        self.jobs.append(job)

    def has(self, job):
        return job in self.jobs


def main():
    Store().add(LIMIT)
";

#[test]
fn a_pack_begins_with_definitions_and_merges_what_touches() {
    let scene = Scene::with(&[("src/a.rs", RUST), ("lib/store.py", PYTHON)]);
    let reply = scene.pack(json!({ "symbols": ["launch", "Store.add", "LIMIT"] }));
    insta::assert_snapshot!(reply["pack"].as_str().unwrap(), @r"
    src/a.rs:3-20 defines launch
    3 /// Adds a job.
    4 ///
    5 /// Twice is an error.
    6 #[must_use]
    7 pub fn launch(
    8     store: &Store,
    9     id: u32,
    10 ) -> bool {
    11     if store.has(id) {
    12         return false;
    13     }
    14 
    15     store.add(id)
    16 }
    17 
    18 pub fn other() {
    19     launch(&store, 1);
    20 }

    lib/store.py:6-9 defines Store.add
    6     def add(self, job):
    7         if job in self.jobs:
    8             raise ValueError(job)
    9         self.jobs.append(job)

    lib/store.py:1-1
    1 LIMIT = 10

    lib/store.py:14-16
    14 
    15 def main():
    16     Store().add(LIMIT)
    ");
    assert!(reply.get("left_out").is_none(), "{reply}");
    assert_eq!(
        (&reply["from_files"], &reply["files"]),
        (&json!(2), &json!(2))
    );
}

#[test]
fn definitions_are_told_from_uses_in_many_languages() {
    let rows: &[(Rank, &str, &[&str])] = &[
        (
            Rank::Definition,
            "run",
            &[
                "pub(crate) async fn run(",
                "def run(self):",
                "    async def run(self):",
                "export default function run() {",
                "export const run = async () => {",
                "  private async run(job: Job): Promise<void> {",
                "  run(job) {",
                "static int run(struct job *job)",
                "int run(struct job *job) {",
                "fun run(job: Job): Int {",
            ],
        ),
        (
            Rank::Definition,
            "Lines",
            &["impl<'a> Iterator for Lines<'a> {", "struct Lines<'a> {"],
        ),
        (
            Rank::Definition,
            "vocabulary",
            &["macro_rules! vocabulary {"],
        ),
        (
            Rank::Definition,
            "Runner",
            &[
                "class Runner(Base):",
                "type Runner struct {",
                "interface Runner extends Base {",
                "module Runner",
            ],
        ),
        (
            Rank::Definition,
            "Run",
            &["func (r *Runner) Run(ctx context.Context) error {"],
        ),
        (
            Rank::Definition,
            "main",
            &["public static void main(String[] args) {"],
        ),
        (Rank::Definition, "RUN", &["#define RUN 1"]),
        (Rank::Definition, "jobs", &["create table jobs ("]),
        (Rank::Use, "jobs", &["CREATE TABLE jobs ("]),
        (
            Rank::Use,
            "run",
            &[
                "    run(job);",
                "    if run(job) {",
                "    let x = run(job);",
                "    if x == run {",
                "    return run(job)",
                "describe('x', () => run(job))",
                "// fn run() is gone",
            ],
        ),
        (Rank::Use, "it", &["it('runs', async () => {"]),
        (Rank::Binding, "RUN", &["RUN = 1"]),
        (
            Rank::Binding,
            "run",
            &[
                "self.run = run",
                "  run: npm test",
                "\"run\": \"npm test\",",
                "## How to run",
                "run: build",
            ],
        ),
        (Rank::Binding, "release", &["[profile.release]"]),
        (
            Rank::Import,
            "run",
            &[
                "use crate::run;",
                "from jobs import run",
                "import { run } from './run'",
            ],
        ),
    ];
    for (expected, term, lines) in rows {
        let judge = definition::Judge::of(term).expect("the rules compile");
        for line in *lines {
            assert_eq!(judge.rank(line.as_bytes()), *expected, "{term} in {line}");
        }
    }
}

use super::definition::Rank;

#[test]
fn a_definition_reaches_as_far_as_it_is_indented() {
    let rows: &[(&str, &str, std::ops::Range<usize>)] = &[
        ("fn a() {\n    b\n}\nfn c() {}\n", "one block", 0..3),
        ("fn a() {}\nfn c() {}\n", "one line", 0..1),
        ("const A: u8 = 1;\n\nfn c() {}\n", "a constant", 0..1),
        (
            "def a():\n    b\n\n    c\n\nd()\n",
            "Python with a gap",
            0..4,
        ),
        (
            "int a(void)\n{\n\tb();\n}\nint c;\n",
            "a brace on its own line",
            0..4,
        ),
        (
            "fn a<T>(\n    t: T,\n) -> T\nwhere\n    T: Copy,\n{\n    t\n}\nx\n",
            "where",
            0..8,
        ),
        ("def a\n  b\nend\nc\n", "end", 0..3),
        (
            "class A:\n    x = 1\n\nclass B:\n    pass\n",
            "a class",
            0..2,
        ),
        ("type A = B;\n    stray\n", "a single statement", 0..1),
    ];
    for (text, what, expected) in rows {
        let lines = Lines::of(text.as_bytes());
        assert_eq!(
            definition::extent(&lines, 0),
            (expected.clone(), false),
            "{what}"
        );
    }
    let long = format!("fn a() {{\n{}}}\n", "    b();\n".repeat(500));
    let lines = Lines::of(long.as_bytes());
    assert_eq!(
        definition::extent(&lines, 0),
        (0..definition::DEFINITION_MAX, true)
    );
}

#[test]
fn a_pack_keeps_its_budget_and_names_what_is_left() {
    let mut text = String::from("fn target() {\n    work();\n}\n");
    for n in 0..300 {
        text.push_str(&format!(
            "fn user_{n}() {{\n    let a = {n};\n    target();\n    done();\n}}\n\n"
        ));
    }
    let scene = Scene::with(&[("src/a.rs", text.as_bytes()), ("src/b.rs", text.as_bytes())]);
    for max_bytes in [300, 1_000, 7_000] {
        let reply = scene.pack(json!({ "symbols": ["target"], "max_bytes": max_bytes }));
        let pack = reply["pack"].as_str().unwrap();
        assert!(pack.len() <= max_bytes, "{} of {max_bytes}", pack.len());
        assert!(
            pack.starts_with("src/a.rs:1-") && pack.contains(" defines target\n1 fn target() {\n"),
            "{pack}"
        );
        let left_out = reply["left_out"].to_string();
        assert!(left_out.contains("further uses: src/a.rs:"), "{left_out}");
    }
}

#[test]
fn a_symbol_that_is_nowhere_is_said_and_others_are_found_less_exactly() {
    let scene = Scene::with(&[("a.txt", b"the Runner runs\n")]);
    let reply = scene.pack(json!({ "symbols": ["runner", "run", "walk"] }));
    assert_eq!(
        reply["left_out"],
        json!([
            "found nowhere: walk",
            "found only as a part of words: run",
            "found only in other letters' case: runner",
        ])
    );
    assert_eq!(reply["pack"], "a.txt:1-1\n1 the Runner runs");
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_within_the_budget(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2_000),
        max_bytes in 200usize..2_000,
        context in 0usize..4,
    ) {
        let scene = Scene::with(&[("a", &bytes), ("b.txt", b"needle\n")]);
        let reply = scene.search(json!({ "pattern": "[a-f]|needle", "context": context, "max_bytes": max_bytes }));
        proptest::prop_assert!(reply["found"].as_str().unwrap().len() <= max_bytes);
        let reply = scene.pack(json!({ "symbols": ["a", "needle"], "max_bytes": max_bytes }));
        proptest::prop_assert!(reply["pack"].as_str().unwrap().len() <= max_bytes);
    }

    #[test]
    fn lines_cover_a_text_without_gaps(text in "[ab\n]{0,60}") {
        let lines = Lines::of(text.as_bytes());
        let rebuilt: Vec<&[u8]> = (0..lines.count()).map(|line| lines.bytes(line)).collect();
        let expected: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
        proptest::prop_assert_eq!(rebuilt, expected);
    }
}
