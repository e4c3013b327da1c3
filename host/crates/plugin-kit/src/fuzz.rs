//! `plugin fuzz`: a check on trees that are odd but can be. It may pass, fail or refuse each of them; what it may not do is
//! break down, take too long, or answer what breaks its interface's rules.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use check_input::{Entry, JobView, MadeUpError};
use plugins::manifest::Manifest;
use plugins::{Engine, Kind, PluginError, PluginSet, Stage};

/// The result of one tree.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The tree.
    pub name: &'static str,
    /// The check's outcome, in a few words; the error, if it failed to run.
    pub outcome: Result<String, PluginError>,
    /// The time it took.
    pub time: Duration,
}

/// The reason why nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum FuzzError {
    /// Only checks look at trees.
    #[error(
        "{0} is a {1}: only a check is tried on odd trees; `plugin test` tries a redactor in many cuts"
    )]
    Kind(String, Kind),
    /// The plugin cannot be used.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A tree cannot be made here.
    #[error("{0}: {1}")]
    Tree(&'static str, MadeUpError),
}

type Files = BTreeMap<PathBuf, Entry>;

/// A tree before and after.
struct Odd {
    name: &'static str,
    before: Files,
    after: Files,
}

fn file(bytes: impl Into<Vec<u8>>) -> Entry {
    Entry::File {
        bytes: bytes.into(),
        executable: false,
    }
}

fn files<const N: usize>(files: [(&str, Entry); N]) -> Files {
    let files = files.into_iter();
    files.map(|(path, entry)| (path.into(), entry)).collect()
}

/// The corpus.
fn corpus() -> Vec<Odd> {
    let odd = |name, before, after| Odd {
        name,
        before,
        after,
    };
    let many = (0..3000).map(|number| {
        let path = format!("src/{}/{number}.rs", number % 40);
        (path.into(), file(format!("fn f{number}() {{}}\n")))
    });
    let body = "the same line again\n".repeat(200);
    let mut trees = vec![
        odd("nothing changed", Files::new(), Files::new()),
        odd(
            "an empty file, and one that becomes empty",
            files([("gone-empty.txt", file("text\n"))]),
            files([("empty.rs", file("")), ("gone-empty.txt", file(""))]),
        ),
        odd(
            "no newline at the end, and other ends of lines",
            files([("a.rs", file("one\ntwo")), ("b.rs", file("one\ntwo\n"))]),
            files([
                ("a.rs", file("one\ntwo\nthree")),
                ("b.rs", file("one\r\ntwo\r\n")),
            ]),
        ),
        odd(
            "a rename with a change, and one without",
            files([
                ("old.rs", file(body.as_str())),
                ("same.rs", file(format!("{body}x\n"))),
            ]),
            files([
                ("new.rs", file(format!("{body}one more\n"))),
                ("moved/same.rs", file(format!("{body}x\n"))),
            ]),
        ),
        odd(
            "a deleted file",
            files([("src/gone.rs", file("fn gone() {}\n"))]),
            Files::new(),
        ),
        odd(
            "bytes that are no text",
            files([("image.png", file(vec![0x89, b'P', b'N', b'G', 0, 1, 2]))]),
            files([
                ("image.png", file(vec![0x89, b'P', b'N', b'G', 0, 3])),
                (
                    "latin.txt",
                    file(vec![b'a', 0xe9, b'\n', 0xff, 0xfe, b'\n']),
                ),
                ("nul.rs", file(vec![b'a', 0, b'b', b'\n'])),
            ]),
        ),
        odd(
            "names that are rarely tried",
            Files::new(),
            files([
                ("with space.rs", file("x\n")),
                ("q\"uote'.rs", file("x\n")),
                ("back\\slash.rs", file("x\n")),
                ("-dash", file("x\n")),
                ("ünïcödé/日本.rs", file("x\n")),
                ("a/b/c/d/e/f/g/h/i/j/k/l/m/n/deep.rs", file("x\n")),
                ("Makefile", file("all:\n\ttrue\n")),
                (".hidden", file("x\n")),
            ]),
        ),
        odd("3,000 files", Files::new(), many.collect()),
        odd(
            "one line of 2 MB",
            Files::new(),
            files([("bundle.min.js", file("x".repeat(2 << 20)))]),
        ),
        odd(
            "20 MB of lines",
            Files::new(),
            files([(
                "data.sql",
                file("insert into t values (1, 'a');\n".repeat(680_000)),
            )]),
        ),
        odd(
            "every line replaced",
            files([("a.txt", file("before\n".repeat(5000)))]),
            files([("a.txt", file("after\n".repeat(5000)))]),
        ),
    ];
    if cfg!(unix) {
        let executable = |text: &str| Entry::File {
            bytes: text.into(),
            executable: true,
        };
        trees.push(odd(
            "modes",
            files([
                ("run.sh", file("#!/bin/sh\n")),
                ("plain.txt", executable("x\n")),
            ]),
            files([
                ("run.sh", executable("#!/bin/sh\n")),
                ("plain.txt", file("x\n")),
                ("new.sh", executable("#!/bin/sh\n")),
            ]),
        ));
        trees.push(odd(
            "links",
            files([
                ("was-file.rs", file("fn a() {}\n")),
                ("was-link", Entry::Symlink("a".into())),
            ]),
            files([
                ("was-file.rs", Entry::Symlink("../../outside".into())),
                ("was-link", file("now a file\n")),
                ("loop", Entry::Symlink("loop".into())),
                ("nowhere", Entry::Symlink("/does/not/exist".into())),
            ]),
        ));
    }
    trees
}

/// Tries a check, with its manifest's settings, on every tree of the corpus.
///
/// # Errors
/// When the plugin is no check or does not load, or when a tree cannot be made.
pub fn run(
    engine: &Arc<Engine>,
    manifest: &Manifest,
    largest: u64,
) -> Result<Vec<Tried>, FuzzError> {
    if manifest.kind != Kind::Check {
        return Err(FuzzError::Kind(manifest.id.clone(), manifest.kind));
    }
    let mut tried = Vec::new();
    for tree in corpus() {
        // A set for each: what breaks down again and again is put aside in one.
        let set = PluginSet::of_manifest(engine, manifest, largest)?;
        let check = set.check(&manifest.id)?;
        let job = JobView::made_up(&Files::new(), &tree.before, &tree.after)
            .map_err(|error| FuzzError::Tree(tree.name, error))?;
        let before = set.cost(&manifest.id);
        let outcome = match check.run(Arc::new(job), &Value::Null) {
            Ok(report) => Ok(match report.is_passed() {
                true => "passed".to_owned(),
                false => format!(
                    "failed, {} findings",
                    report.findings.len() as u64 + report.more
                ),
            }),
            // A refusal is an answer; everything else is a fault of the check.
            Err(error) if error.stage == Stage::Fault => Ok(format!("refused: {}", error.what)),
            Err(error) => Err(error),
        };
        tried.push(Tried {
            name: tree.name,
            outcome,
            time: set.cost(&manifest.id).since(&before).time,
        });
    }
    Ok(tried)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use check_input::{Record, Recorder, Run};
    use plugins::check::{ChangedFile, Moment, Outcome, Report, Snapshot};

    /// The changed files as a check sees them, without those that a record has stand-ins of.
    fn seen(job: &dyn Snapshot, without: &[String]) -> Vec<(ChangedFile, Vec<Vec<u8>>)> {
        let files = job.changed().into_iter();
        let files = files.filter(|file| {
            let binary = [&file.before, &file.after];
            let binary = binary.into_iter().flatten().any(|state| state.binary);
            !binary && !without.iter().any(|lacks| lacks.starts_with(&file.path))
        });
        files
            .map(|file| {
                let lines = [Moment::Before, Moment::After].map(|moment| {
                    let page = job.changed_lines(&file.path, moment, 0, 1 << 20).unwrap();
                    page.lines.into_iter().flat_map(|line| line.text).collect()
                });
                (file, lines.to_vec())
            })
            .collect()
    }

    #[test]
    fn a_case_that_is_made_of_a_job_is_that_job_again() {
        let mut compared = 0;
        for tree in corpus() {
            let job = JobView::made_up(&Files::new(), &tree.before, &tree.after).unwrap();
            let recorder = Recorder::new(Arc::new(job));
            let mut record = Record::default();
            let answer = Ok(Report {
                outcome: Outcome::Passed,
                summary: String::new(),
                findings: Vec::new(),
                more: 0,
                suppressed: 0,
            });
            record.add(
                &Run {
                    name: "check",
                    plugin: "check",
                    settings: Value::Null,
                    answer: &answer,
                },
                &recorder,
            );
            let record = record.into_json().unwrap().to_string();
            assert!(record.len() < 4 << 20, "{}: {}", tree.name, record.len());
            let folder = tempfile::tempdir().unwrap();
            let case = crate::case::write(folder.path(), "a", &record, "check", None).unwrap();
            let again = crate::cases::job_of(case.file.parent().unwrap()).unwrap();
            let before = seen(&recorder, &case.left_out);
            assert_eq!(before, seen(&again, &case.left_out), "{}", tree.name);
            compared += before.len();
        }
        assert!(compared > 3000, "{compared}");
    }
}
