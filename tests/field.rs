//! The effects of real repositories on a job: git's own rules, line ends, filters, submodules, worktrees of bare clones, shared,
//! sparse and partial clones, other people's git activity. The git program is the oracle; the host itself never runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use tempfile::TempDir;
use worker_test_support::checkout::{files, git, write};
use workspace::{
    ApplyError, ApplyHow, Base, Changes, FilePath, Isolated, IsolatedRequest, Limits,
    NotCarriedReason, Root, Unapplied, Workspace, WorkspaceError,
};

/// Repositories below a root, and jobs in them.
struct Field {
    dir: TempDir,
}

impl Field {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        Self { dir }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("root")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// A repository with these files, committed.
    fn repository(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let top = self.at(name);
        fs::create_dir_all(&top).unwrap();
        git(&top, &["init", "-q", "-b", "main"]);
        for (path, text) in files {
            write(&top.join(path), text);
        }
        commit(&top, "start");
        top
    }

    fn open(&self, top: &Path) -> Result<Workspace, WorkspaceError> {
        Workspace::open(&Root::open(&self.root()).unwrap(), &[top.to_path_buf()])
    }

    fn state(&self, job: &str) -> PathBuf {
        self.dir.path().join("state").join(job)
    }

    fn capture(&self, workspace: &Workspace, name: &str) -> Base {
        Base::capture(workspace, &self.state(name).join("base"), Limits::default()).unwrap()
    }

    fn isolate(&self, top: &Path, job: &str) -> Result<Isolated, WorkspaceError> {
        Isolated::create(&IsolatedRequest {
            source: &self.open(top)?,
            folder: &self.state(job),
            name: job,
            base: None,
            include_dirty: false,
            limits: Limits::default(),
        })
    }

    /// Makes a tree, lets `agent` work in it, and seals what came of it.
    fn job(&self, top: &Path, job: &str, agent: impl FnOnce(&Path)) -> Isolated {
        let mut isolated = self.isolate(top, job).unwrap();
        let base = self.capture(isolated.workspace(), job);
        agent(isolated.workspace().top());
        let changes = base.changes().unwrap();
        isolated.seal(&base, &changes, "What the job made").unwrap();
        isolated
    }
}

fn commit(top: &Path, message: &str) {
    git(top, &["add", "-A"]);
    git(top, &["commit", "-q", "-m", message]);
}

fn named(changes: &Changes) -> Vec<String> {
    let files = changes.files.iter();
    files.map(|file| file.path.to_string()).collect()
}

const ALL: [ApplyHow; 3] = [ApplyHow::Merge, ApplyHow::Squash, ApplyHow::Patch];

/// F2.
#[test]
fn a_pattern_with_braces_hides_what_it_hides_from_git() {
    let field = Field::new();
    let top = field.repository(
        "r",
        &[(".gitignore", "*.py{}\n[[:digit:]]x\n"), ("a", "a\n")],
    );
    let base = field.capture(&field.open(&top).unwrap(), "j");
    for path in ["docs/evil.py", "src/new.py", "1x", "b.py{}"] {
        write(&top.join(path), "x\n");
    }
    let changes = base.changes().unwrap();
    assert_eq!(named(&changes), ["docs/evil.py", "src/new.py"]);
    assert_eq!(changes.ignored, 2);
    let listed = Root::open(&field.root()).unwrap();
    let listed = listed.list(&["r".to_owned()], 100).unwrap();
    let names: Vec<_> = listed
        .files
        .iter()
        .map(|file| file.strip_prefix(&top).unwrap().display().to_string())
        .collect();
    assert_eq!(names, [".gitignore", "a", "docs/evil.py", "src/new.py"]);
}

/// F14.
#[test]
fn a_path_that_exists_is_that_path() {
    let field = Field::new();
    let top = field.repository(
        "r",
        &[
            ("app/[slug]/page.tsx", "x"),
            ("app/s/page.tsx", "y"),
            ("{a,b}.txt", "z"),
        ],
    );
    let root = Root::open(&field.root()).unwrap();
    for (asked, expected) in [
        ("r/app/[slug]/page.tsx", vec!["app/[slug]/page.tsx"]),
        ("r/app/[slug]", vec!["app/[slug]/page.tsx"]),
        ("r/app/[s]/page.tsx", vec!["app/s/page.tsx"]),
        ("r/{a,b}.txt", vec!["{a,b}.txt"]),
    ] {
        let listed = root.list(&[asked.to_owned()], 100).unwrap().files;
        let expected: Vec<_> = expected.into_iter().map(|path| top.join(path)).collect();
        assert_eq!(listed, expected, "{asked}");
    }
}

/// K9: the search is not stopped by it.
#[test]
fn a_pipe_named_gitignore_stops_nothing() {
    let field = Field::new();
    let top = field.repository("r", &[("a", "a\n")]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        top.join(".gitignore"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let root = Root::open(&field.root()).unwrap();
    assert_eq!(
        root.list(&["r".to_owned()], 10).unwrap().files,
        [top.join("a")]
    );
}

fn fifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
}

/// K9: git itself would wait for such a file for ever.
#[test]
fn a_pipe_where_git_reads_is_refused_by_name_and_elsewhere_it_is_told() {
    for (path, at_start) in [
        (".gitignore", true),
        (".gitattributes", true),
        (".git/info/exclude", true),
        ("deep/.gitignore", false),
    ] {
        let field = Field::new();
        let top = field.repository("r", &[("a", "a\n"), ("deep/b", "b\n")]);
        let _ = fs::remove_file(top.join(path));
        fifo(&top.join(path));
        let opened = field.open(&top);
        assert_eq!(opened.is_err(), at_start, "{path}");
        let refused = match opened {
            Err(refused) => refused,
            Ok(workspace) => {
                let storage = field.state("j").join("base");
                Base::capture(&workspace, &storage, Limits::default()).unwrap_err()
            }
        };
        let refused = refused.to_string();
        assert!(
            refused.contains(path) && refused.contains("FIFO"),
            "{refused}"
        );
    }
    let field = Field::new();
    let top = field.repository("r", &[("a", "a\n"), (".gitignore", "ignored\n")]);
    fifo(&top.join("pipe"));
    fifo(&top.join("ignored"));
    let base = field.capture(&field.open(&top).unwrap(), "j");
    let special: Vec<_> = base
        .special_files()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(special, ["ignored", "pipe"]);
    assert!(base.changes().unwrap().is_empty());
}

/// E8: what makes each job slow is named.
#[test]
fn many_files_that_git_neither_tracks_nor_ignores_are_named_by_their_folder() {
    let field = Field::new();
    let top = field.repository("r", &[("a", "a\n"), (".gitignore", "hidden/\n")]);
    for name in ["made/deep/1", "made/2", "hidden/1", "hidden/2"] {
        write(
            &top.join(name),
            vec![name.len() as u8 + name.as_bytes()[name.len() - 1]; 33 << 20],
        );
    }
    let bulk = |name: &str| {
        let base = field.capture(&field.open(&top).unwrap(), name);
        let found = base.untracked_bulk();
        found.map(|(folder, files, bytes)| (folder.to_string(), files, bytes >> 20))
    };
    assert_eq!(bulk("j"), Some(("made".to_owned(), 2, 66)));
    write(&top.join(".gitignore"), "hidden/\nmade/\n");
    assert_eq!(bulk("k"), None);
}

/// K9: a thread cannot be stopped from outside.
#[test]
fn a_walk_ends_when_it_is_told_to_and_the_last_look_gets_a_while() {
    let field = Field::new();
    let top = field.repository("r", &[("a", "a\n"), ("deep/b", "b\n")]);
    let workspace = field.open(&top).unwrap();
    let limits = Limits::default();
    let base = Base::capture(&workspace, &field.state("j").join("base"), limits.clone()).unwrap();
    write(&top.join("a"), "b\n");
    limits.interrupt.set();
    let again = Base::capture(&workspace, &field.state("k").join("base"), limits.clone());
    assert!(matches!(again, Err(WorkspaceError::Stopped)));
    let made = Isolated::create(&IsolatedRequest {
        source: &workspace,
        folder: &field.state("i"),
        name: "i",
        base: None,
        include_dirty: false,
        limits,
    });
    assert!(matches!(made, Err(WorkspaceError::Stopped)), "{made:?}");
    assert_eq!(named(&base.changes().unwrap()), ["a"], "it is evidence");
}

/// F18: most of the entries of a split index are in another file.
#[test]
fn a_split_index_is_read() {
    let field = Field::new();
    let library = field.repository("library", &[("l.txt", "1\n")]);
    let top = field.repository("r", &[("a", "a\n"), ("b", "b\n"), ("c", "c\n")]);
    let url = library.to_str().unwrap();
    git(&top, &["submodule", "add", "-q", url, "lib"]);
    commit(&top, "submodule");
    git(&top, &["update-index", "--split-index"]);
    write(&top.join("b"), "changed\n");
    git(&top, &["add", "b"]);
    git(&top, &["rm", "-q", "--cached", "c"]);
    let workspace = field.open(&top).unwrap();
    let stores = workspace.object_stores();
    assert!(
        stores
            .iter()
            .any(|store| store.ends_with("modules/lib/objects")),
        "the submodule is known by the index alone: {stores:?}"
    );
    let base = field.capture(&workspace, "j");
    assert!(base.changes().unwrap().git.is_empty());
    git(&top, &["add", "c"]);
    let changes = base.changes().unwrap();
    assert!(
        changes
            .git
            .iter()
            .any(|change| matches!(change, workspace::GitChange::Index { .. })),
        "what is staged is seen: {:?}",
        changes.git
    );
}

/// F1 and D12: each row is a file, its attributes and what the agent makes of it.
#[test]
fn what_is_applied_is_what_was_verified() {
    let utf16 = |text: &str| {
        let mut bytes = vec![0xff, 0xfe];
        bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        bytes
    };
    let rows: Vec<(&str, &str, Vec<u8>, Vec<u8>)> = vec![
        ("lf to crlf", "", b"a\nb\n".to_vec(), b"a\r\nb\r\n".to_vec()),
        ("crlf to lf", "", b"a\r\nb\r\n".to_vec(), b"a\nb\n".to_vec()),
        ("mixed", "", b"a\nb\r\n".to_vec(), b"a\r\nb\n".to_vec()),
        ("binary", "", b"a\0\r\n".to_vec(), b"b\0\r\n\n".to_vec()),
        (
            "eol=crlf",
            "* text eol=crlf",
            b"a\r\n".to_vec(),
            b"b\r\nc\r\n".to_vec(),
        ),
        (
            "auto",
            "* text=auto",
            b"a\n".to_vec(),
            b"b\r\nc\r\n".to_vec(),
        ),
        (
            "ident",
            "* ident",
            b"$Id$\n".to_vec(),
            b"x $Id$\n$Id$ y\n".to_vec(),
        ),
        (
            "utf-16",
            "f* working-tree-encoding=UTF-16 text",
            utf16("a\n"),
            utf16("grün 😀\nb\n"),
        ),
    ];
    for (name, attributes, before, after) in rows {
        for how in ALL {
            let field = Field::new();
            let top = field.repository("r", &[(".gitattributes", attributes), ("other", "o\n")]);
            write(&top.join("f.txt"), &before);
            commit(&top, "file");
            // As git itself has it there.
            fs::remove_file(top.join("f.txt")).unwrap();
            git(&top, &["checkout", "-q", "--", "f.txt"]);
            let mut oracle = String::new();
            let isolated = field.job(&top, "j", |tree| {
                assert_eq!(
                    fs::read(tree.join("f.txt")).unwrap(),
                    fs::read(top.join("f.txt")).unwrap(),
                    "{name}: a tree is checked out as git does it"
                );
                assert_eq!(git(tree, &["status", "--porcelain"]), "", "{name}");
                write(&tree.join("f.txt"), &after);
                oracle = git(tree, &["hash-object", "--path", "f.txt", "f.txt"]);
            });
            let applied = isolated
                .apply(how)
                .unwrap_or_else(|error| panic!("{name} {how:?}: {error}"));
            if how == ApplyHow::Patch {
                git(&top, &["add", "f.txt"]);
            }
            assert_eq!(
                git(&top, &["rev-parse", ":f.txt"]),
                oracle,
                "{name} {how:?}"
            );
            let delivered = fs::read(top.join("f.txt")).unwrap();
            if delivered != after {
                assert_eq!(applied.converted.len(), 1, "{name} {how:?}");
                assert!(!attributes.is_empty(), "{name} {how:?}");
            }
            fs::remove_file(top.join("f.txt")).unwrap();
            git(&top, &["checkout", "-q", "--", "f.txt"]);
            assert_eq!(
                fs::read(top.join("f.txt")).unwrap(),
                delivered,
                "{name} {how:?}: as git writes it"
            );
            if how != ApplyHow::Merge {
                continue;
            }
            assert_eq!(git(&top, &["status", "--porcelain"]), "", "{name}");
        }
    }
}

/// The number of repositories that a property makes: WORKER_PROPTEST_CASES for longer runs.
fn bounded(cases: u32) -> ProptestConfig {
    let longer = std::env::var("WORKER_PROPTEST_CASES").ok();
    ProptestConfig {
        cases: longer.and_then(|text| text.parse().ok()).unwrap_or(cases),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(bounded(24))]

    /// D12 with git as oracle: the object of the result is the one git makes, the delivered file the one git writes.
    #[test]
    fn any_content_arrives_as_git_would_bring_it(
        attributes in proptest::sample::select(vec![
            "", "* text", "* text=auto", "* -text", "* eol=crlf", "* text=auto eol=crlf", "* eol=lf",
            "* ident", "* text=auto ident", "* crlf", "* crlf=input",
        ]),
        autocrlf in proptest::sample::select(vec!["false", "true", "input"]),
        before in content(),
        after in content(),
        how in proptest::sample::select(ALL.to_vec()),
    ) {
        let field = Field::new();
        let top = field.repository("r", &[(".gitattributes", attributes), ("other", "o\n")]);
        git(&top, &["config", "core.autocrlf", autocrlf]);
        git(&top, &["config", "core.safecrlf", "false"]);
        write(&top.join("f"), &before);
        commit(&top, "file");
        fs::remove_file(top.join("f")).unwrap();
        git(&top, &["checkout", "-q", "--", "f"]);
        // What does not survive its own conversion is uncommitted work to git itself.
        if !git(&top, &["status", "--porcelain"]).is_empty() {
            return Ok(());
        }
        let mut oracle = String::new();
        let isolated = field.job(&top, "j", |tree| {
            write(&tree.join("f"), &after);
            git(tree, &["add", "f"]);
            oracle = git(tree, &["rev-parse", ":f"]);
        });
        let was = git(&top, &["rev-parse", ":f"]);
        match isolated.apply(how) {
            Err(ApplyError::NoResult(_)) => prop_assert_eq!(&was, &oracle),
            Err(error) => prop_assert!(false, "{}", error),
            Ok(_) => {
                let delivered = fs::read(top.join("f")).unwrap();
                if how != ApplyHow::Patch {
                    prop_assert_eq!(git(&top, &["rev-parse", ":f"]), oracle);
                    fs::remove_file(top.join("f")).unwrap();
                    git(&top, &["checkout", "-q", "--", "f"]);
                    prop_assert_eq!(fs::read(top.join("f")).unwrap(), delivered);
                }
            }
        }
    }
}

/// A thing that somebody does to a working tree.
#[derive(Debug, Clone)]
enum Step {
    Write(&'static str, Vec<u8>),
    Remove(&'static str),
    Execute(&'static str),
    Link(&'static str, &'static str),
    /// A file, also in the place of a folder.
    Flatten(&'static str, Vec<u8>),
    /// A folder with a file, in the place of a file.
    Deepen(&'static str, Vec<u8>),
}

impl Step {
    fn path(&self) -> &'static str {
        match self {
            Self::Write(path, _)
            | Self::Remove(path)
            | Self::Execute(path)
            | Self::Link(path, _)
            | Self::Flatten(path, _)
            | Self::Deepen(path, _) => path,
        }
    }

    /// The same with bytes that git can convert: what is kept in another encoding must be in it.
    fn under(self, attributes: &str) -> Self {
        let utf16 = |bytes: Vec<u8>| {
            let text = bytes.into_iter().flat_map(|byte| [byte, 0]);
            [0xff, 0xfe].into_iter().chain(text).collect()
        };
        match self {
            Self::Write("g", bytes) if attributes.contains("UTF-16") => {
                Self::Write("g", utf16(bytes))
            }
            Self::Flatten("g", bytes) if attributes.contains("UTF-16") => {
                Self::Flatten("g", utf16(bytes))
            }
            step => step,
        }
    }

    fn take(&self, top: &Path) {
        let path = top.join(self.path());
        let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        match self {
            Self::Flatten(place, bytes) => {
                if path.is_dir() && !path.is_symlink() {
                    fs::remove_dir_all(&path).unwrap();
                }
                Self::Write(place, bytes.clone()).take(top);
            }
            // What is a folder by now, or lies below a file, stays.
            _ if path.is_dir() && !path.is_symlink() => {}
            Self::Write(_, bytes) => {
                let _ = fs::remove_file(&path);
                if fs::create_dir_all(path.parent().unwrap()).is_ok() {
                    let _ = fs::write(&path, bytes);
                }
            }
            Self::Remove(_) => {
                let _ = fs::remove_file(&path);
            }
            Self::Deepen(_, bytes) => {
                let _ = fs::remove_file(&path);
                if fs::create_dir_all(&path).is_ok() {
                    fs::write(path.join("inner"), bytes).unwrap();
                }
            }
            Self::Execute(_) if is_file => {
                let mode = fs::metadata(&path).unwrap().permissions().mode();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode ^ 0o111)).unwrap();
            }
            Self::Execute(_) => {}
            Self::Link(_, target) => {
                let _ = fs::remove_file(&path);
                if fs::create_dir_all(path.parent().unwrap()).is_ok() {
                    let _ = symlink(target, &path);
                }
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let path = proptest::sample::select(vec![
        "f",
        "g",
        "dir/h",
        "dir/i",
        "dir/deep/j",
        "new",
        "other/new",
        "x.log",
        "dir",
        "k.up",
        "sp ace",
        "u\u{308}",
    ]);
    let target = proptest::sample::select(vec!["f", "dir", "nowhere", "../f"]);
    (path, target, content(), 0..6).prop_map(|(path, target, bytes, kind)| match kind {
        0 => Step::Remove(path),
        1 => Step::Execute(path),
        2 => Step::Link(path, target),
        3 => Step::Flatten(path, bytes),
        4 => Step::Deepen(path, bytes),
        _ => Step::Write(path, bytes),
    })
}

fn attributes() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "",
        "* text",
        "* text=auto",
        "* -text",
        "* eol=crlf",
        "* text=auto eol=crlf",
        "* eol=lf",
        "* ident",
        "* text=auto ident",
        "g working-tree-encoding=UTF-16 text",
        "f -text\n* text=auto",
    ])
}

/// A repository with some files, a filter that stands in for git-lfs, and rules; none where git itself finds its fresh
/// checkout changed, which it does with bytes that do not survive their own conversion.
fn settled(
    field: &Field,
    attributes: &str,
    autocrlf: &str,
    contents: &[Vec<u8>],
) -> Option<PathBuf> {
    let top = field.repository("r", &[(".gitignore", "*.log\n"), ("keep", "o\n")]);
    for (name, value) in [
        ("core.autocrlf", autocrlf),
        ("core.safecrlf", "false"),
        ("filter.case.clean", "tr A-Z a-z"),
        ("filter.case.smudge", "tr a-z A-Z"),
    ] {
        git(&top, &["config", name, value]);
    }
    write(
        &top.join(".gitattributes"),
        format!("{attributes}\n*.up filter=case -text -ident\n"),
    );
    for (path, bytes) in ["f", "g", "dir/h", "dir/i", "dir/deep/j"]
        .into_iter()
        .zip(contents)
    {
        // What is kept in another encoding must be in it.
        let bytes = match path == "g" && attributes.contains("UTF-16") {
            true => [0xff, 0xfe, b'a', 0, b'\n', 0].to_vec(),
            false => bytes.clone(),
        };
        write(&top.join(path), bytes);
    }
    write(&top.join("k.up"), "TEXT\n");
    commit(&top, "files");
    git(&top, &["rm", "-r", "-q", "--cached", "."]);
    git(&top, &["reset", "-q", "--hard"]);
    git(&top, &["status", "--porcelain"])
        .is_empty()
        .then_some(top)
}

/// Runs git with an index of its own, which begins as that of the checkout.
fn git_aside(field: &Field, top: &Path, lines: &[&[&str]]) -> String {
    let index = field.state("aside-index");
    let own = top.join(git(top, &["rev-parse", "--git-path", "index"]));
    fs::create_dir_all(index.parent().unwrap()).unwrap();
    fs::copy(own, &index).unwrap();
    let mut said = String::new();
    for args in lines {
        let ran = Command::new("git")
            .args(*args)
            .current_dir(top)
            .env("GIT_INDEX_FILE", &index)
            .output()
            .unwrap();
        assert!(
            ran.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        said = String::from_utf8(ran.stdout).unwrap();
    }
    said
}

/// What a commit of everything would change: status and path. `git status` itself calls a file changed by its size alone,
/// also where its conversions make the same object of it.
fn status(field: &Field, top: &Path) -> Vec<(String, String)> {
    let names = [
        "diff",
        "--cached",
        "--no-renames",
        "--name-status",
        "-z",
        "HEAD",
    ];
    let said = git_aside(field, top, &[&["add", "-A"], &names]);
    let mut words = said.split('\0').map(str::to_owned);
    let mut found = Vec::new();
    while let (Some(status), Some(path)) = (words.next(), words.next()) {
        found.push((status, path));
    }
    found.sort();
    found
}

/// Returns true if git, given the files that it writes for what is staged, would stage the same: some bytes do not survive
/// their own conversion (`\r\r\n` under `eol=lf`).
fn survives(field: &Field, top: &Path) -> bool {
    let staged = git(top, &["write-tree"]);
    let folder = field.state("written");
    let prefix = format!("--prefix={}/", folder.display());
    let work_tree = format!("--work-tree={}", folder.display());
    let again = git_aside(
        field,
        top,
        &[
            &["checkout-index", "-f", "-a", &prefix],
            &["read-tree", "--empty"],
            &[&work_tree, "add", "-A"],
            &["write-tree"],
        ],
    );
    again.trim() == staged.trim()
}

proptest! {
    #![proptest_config(bounded(10))]

    /// The uncommitted work of a checkout, whatever git's rules make of it, is what git calls so: laid over a fresh tree it
    /// gives the same status.
    #[test]
    fn uncommitted_work_is_what_git_status_says(
        attributes in attributes(),
        autocrlf in proptest::sample::select(vec!["false", "true", "input"]),
        contents in proptest::collection::vec(content(), 5),
        steps in proptest::collection::vec(step(), 0..8),
    ) {
        let field = Field::new();
        let Some(top) = settled(&field, attributes, autocrlf, &contents) else { return Ok(()) };
        let base = field.capture(&field.open(&top).unwrap(), "plain");
        let steps: Vec<_> = steps.into_iter().map(|step| step.under(attributes)).collect();
        for step in &steps {
            step.take(&top);
        }
        let said = status(&field, &top);
        // Whatever git says is changed is seen; what only its conversions hide may be seen as well.
        let changes = base.changes().unwrap();
        let seen: Vec<String> = changes.files.iter().flat_map(|file| file.paths().map(|path| path.to_string())).collect();
        for (_, path) in &said {
            let shown = path.replace("u\u{308}", &FilePath::new("u\u{308}".as_bytes()).to_string());
            prop_assert!(seen.contains(&shown), "{} is not among {:?}", shown, seen);
        }
        let isolated = Isolated::create(&IsolatedRequest {
            source: &field.open(&top).unwrap(),
            folder: &field.state("j"),
            name: "j",
            base: None,
            include_dirty: true,
            limits: Limits::default(),
        }).unwrap();
        prop_assert_eq!(isolated.record().dirty_files, said.len() as u64, "{:?}", &said);
        prop_assert_eq!(status(&field, isolated.workspace().top()), said);
    }

    /// D12 for whole trees: modes, links, deletions, renames and files under every rule arrive as git makes them of what the
    /// checks saw, and nothing else moves.
    #[test]
    fn any_change_of_a_tree_arrives_as_git_would_bring_it(
        attributes in attributes(),
        autocrlf in proptest::sample::select(vec!["false", "true", "input"]),
        contents in proptest::collection::vec(content(), 5),
        steps in proptest::collection::vec(step(), 1..8),
        how in proptest::sample::select(ALL.to_vec()),
    ) {
        let field = Field::new();
        let Some(top) = settled(&field, attributes, autocrlf, &contents) else { return Ok(()) };
        let steps = steps.into_iter().filter(|step| step.path() != "k.up");
        let steps: Vec<_> = steps.map(|step| step.under(attributes)).collect();
        let mut oracle = String::new();
        let mut settled = false;
        let isolated = field.job(&top, "j", |tree| {
            for step in &steps {
                step.take(tree);
            }
            // The filter is not the job's to run: what it keeps stays as it was committed.
            let _ = Command::new("git").args(["add", "-A"]).current_dir(tree).output();
            oracle = git(tree, &["write-tree"]);
            settled = survives(&field, tree);
        });
        prop_assume!(settled);
        let filtered = fs::read(top.join("k.up")).unwrap();
        match isolated.apply(how) {
            Err(ApplyError::NoResult(_)) => {
                let tree = git(&top, &["rev-parse", "HEAD^{tree}"]);
                prop_assert_eq!(tree, oracle);
            }
            Err(error) => prop_assert!(false, "{}", error),
            Ok(applied) => {
                if how == ApplyHow::Patch {
                    git(&top, &["add", "-A"]);
                }
                prop_assert_eq!(git(&top, &["write-tree"]), oracle.clone(), "{:?}", applied);
                prop_assert_eq!(fs::read(top.join("k.up")).unwrap(), filtered);
                // The files are those that git writes for that tree.
                let left = git(&top, &["diff", "--name-only"]);
                prop_assert_eq!(left, "");
                let delivered = files(&top, false);
                git(&top, &["read-tree", "--empty"]);
                git(&top, &["read-tree", &oracle]);
                git(&top, &["checkout-index", "-f", "-a"]);
                prop_assert_eq!(files(&top, false), delivered);
            }
        }
    }
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let part = proptest::sample::select(vec![
        &b"a"[..],
        b"\n",
        b"\r\n",
        b"\r",
        b"$Id$",
        b"$Id: x $",
        b"$Id: a b $",
        b"\0",
        b"\xc3\xa9",
        b" ",
    ]);
    proptest::collection::vec(part, 1..12).prop_map(|parts| parts.concat())
}

/// F3.
#[test]
fn what_a_result_cannot_carry_is_named_and_counts_as_work() {
    let field = Field::new();
    let library = field.repository("library", &[("l.txt", "1\n")]);
    let top = field.repository("r", &[("a", "a\n"), (".gitignore", "*.log\ntarget/\n")]);
    git(
        &top,
        &[
            "submodule",
            "add",
            "-q",
            library.to_str().unwrap(),
            "vendor/lib",
        ],
    );
    commit(&top, "submodule");
    let mut isolated = field.job(&top, "j", |tree| {
        write(&tree.join("vendor/lib/l.txt"), "edited\n");
        write(&tree.join("a"), "b\n");
        write(&tree.join("notes.log"), "kept only here\n");
        write(&tree.join("target/x.o"), "");
    });
    let applied = isolated.apply(ApplyHow::Merge).unwrap();
    let left: Vec<_> = applied
        .not_carried
        .iter()
        .map(|left| (left.path.as_str(), left.reason))
        .collect();
    assert!(
        left.contains(&("vendor/lib/l.txt", NotCarriedReason::Submodule)),
        "{left:?}"
    );
    assert!(
        left.contains(&("notes.log", NotCarriedReason::Ignored)),
        "{left:?}"
    );
    assert!(
        left.iter().any(
            |(path, reason)| path.starts_with("target") && *reason == NotCarriedReason::Rebuilt
        )
    );
    isolated.record_applied(ApplyHow::Merge).unwrap();
    let unapplied = Unapplied::of(&field.state("j"), "j").expect("it is only there");
    assert!(
        unapplied.to_string().contains("vendor/lib/l.txt"),
        "{unapplied}"
    );

    let only = field.job(&top, "only", |tree| {
        write(&tree.join("vendor/lib/l.txt"), "edited\n")
    });
    let refused = only.apply(ApplyHow::Merge).unwrap_err().to_string();
    assert!(refused.contains("vendor/lib/l.txt"), "{refused}");
    assert!(Unapplied::of(&field.state("only"), "only").is_some());
    let built = field.job(&top, "built", |tree| write(&tree.join("target/x.o"), ""));
    drop(built);
    assert!(Unapplied::of(&field.state("built"), "built").is_none());
}

/// F17.
#[test]
fn files_that_stop_being_ignored_are_part_of_the_result() {
    let field = Field::new();
    let top = field.repository("r", &[(".gitignore", "gen/\n*.tmp\n"), ("a", "a\n")]);
    let isolated = field.job(&top, "j", |tree| {
        write(&tree.join(".gitignore"), "*.tmp\n");
        write(&tree.join("gen/client.ts"), "export {}\n");
        write(&tree.join("gen/x.tmp"), "x\n");
    });
    let applied = isolated.apply(ApplyHow::Merge).unwrap();
    let files: Vec<_> = applied.files.iter().map(ToString::to_string).collect();
    assert_eq!(files, [".gitignore", "gen/client.ts"]);
    assert!(top.join("gen/client.ts").exists());

    // The user's own ignored file is not overwritten.
    git(&top, &["reset", "-q", "--hard", "HEAD~1"]);
    write(&top.join("gen/client.ts"), "the user's\n");
    git(&top, &["branch", "-q", "-D", "worker/j"]);
    assert!(matches!(
        isolated.apply(ApplyHow::Merge),
        Err(ApplyError::Dirty(_))
    ));
    assert_eq!(
        fs::read_to_string(top.join("gen/client.ts")).unwrap(),
        "the user's\n"
    );
}

/// F8.
#[test]
fn files_that_a_filter_converts_are_clean_by_gits_word() {
    let field = Field::new();
    let top = field.repository("r", &[("a", "a\n")]);
    git(&top, &["config", "filter.case.clean", "tr A-Z a-z"]);
    git(&top, &["config", "filter.case.smudge", "tr a-z A-Z"]);
    git(&top, &["config", "filter.case.required", "true"]);
    write(&top.join(".gitattributes"), "*.up filter=case\n");
    write(&top.join("f.up"), "TEXT\n");
    commit(&top, "filtered");
    fs::remove_file(top.join("f.up")).unwrap();
    git(&top, &["checkout", "-q", "--", "f.up"]);
    assert_eq!(fs::read_to_string(top.join("f.up")).unwrap(), "TEXT\n");
    for how in ALL {
        let job = format!("{how:?}").to_lowercase();
        let isolated = field.job(&top, &job, |tree| {
            write(&tree.join("a"), format!("{job}\n"));
        });
        isolated.apply(how).unwrap();
        assert_eq!(fs::read_to_string(top.join("f.up")).unwrap(), "TEXT\n");
        git(&top, &["reset", "-q", "--hard", "HEAD"]);
    }
    let changed = field.job(&top, "changed", |tree| write(&tree.join("f.up"), "Other\n"));
    let refused = changed.apply(ApplyHow::Merge).unwrap_err();
    assert!(matches!(refused, ApplyError::Filtered(_)), "{refused}");
    changed.apply(ApplyHow::Patch).unwrap();
    assert_eq!(fs::read_to_string(top.join("f.up")).unwrap(), "Other\n");
    write(&top.join("f.up"), "THE USER'S\n");
    let refused = changed.apply(ApplyHow::Patch).unwrap_err();
    assert!(matches!(refused, ApplyError::Moved(_)), "{refused}");
}

/// F5.
#[test]
fn a_worktree_of_a_bare_clone_is_worked_in() {
    let field = Field::new();
    let up = field.repository("up", &[("a", "a\n")]);
    git(
        &field.root(),
        &["clone", "-q", "--bare", up.to_str().unwrap(), "proj.git"],
    );
    git(
        &field.at("proj.git"),
        &["worktree", "add", "-q", "../repo", "main"],
    );
    let top = field.at("repo");
    let base = field.capture(&field.open(&top).unwrap(), "plain");
    write(&top.join("a"), "b\n");
    assert_eq!(named(&base.changes().unwrap()), ["a"]);
    git(&top, &["checkout", "-q", "--", "a"]);
    let isolated = field.job(&top, "j", |tree| write(&tree.join("a"), "c\n"));
    isolated.apply(ApplyHow::Merge).unwrap();
    assert_eq!(fs::read_to_string(top.join("a")).unwrap(), "c\n");
    assert_eq!(git(&top, &["status", "--porcelain"]), "");
    assert!(matches!(
        field.open(&field.at("proj.git")),
        Err(WorkspaceError::Bare { .. })
    ));
}

/// F4.
#[test]
fn objects_that_alternates_name_are_at_hand() {
    let field = Field::new();
    let inner = field.repository("inner", &[("i", "i\n")]);
    let library = field.repository("library", &[("l", "l\n")]);
    git(
        &library,
        &["submodule", "add", "-q", inner.to_str().unwrap(), "inner"],
    );
    commit(&library, "nested");
    let up = field.repository("up", &[("a", "a\n")]);
    git(
        &up,
        &["submodule", "add", "-q", library.to_str().unwrap(), "lib"],
    );
    commit(&up, "submodule");
    for (name, option) in [("shared", "--shared"), ("second", "--shared")] {
        let from = if name == "second" { "shared" } else { "up" };
        git(
            &field.root(),
            &[
                "clone",
                "-q",
                option,
                "--recurse-submodules",
                field.at(from).to_str().unwrap(),
                name,
            ],
        );
    }
    git(
        &field.root(),
        &[
            "clone",
            "-q",
            "--reference",
            "up",
            up.to_str().unwrap(),
            "referenced",
        ],
    );
    for name in ["up", "shared", "second", "referenced"] {
        let top = field.at(name);
        git(
            &top,
            &["submodule", "update", "-q", "--init", "--recursive"],
        );
        let isolated = field.isolate(&top, name).unwrap();
        let tree = isolated.workspace().top();
        assert_eq!(git(tree, &["status", "--porcelain"]), "", "{name}");
        assert_eq!(
            fs::read_to_string(tree.join("lib/inner/i")).unwrap(),
            "i\n",
            "{name}"
        );
        // Everything that git in there follows is granted.
        let granted = isolated.read_paths();
        for place in ["", "lib", "lib/inner"] {
            let text = fs::read_to_string(tree.join(place).join(".git/objects/info/alternates"));
            for store in text.unwrap().lines() {
                let store = Path::new(store).canonicalize().unwrap();
                assert!(
                    granted
                        .iter()
                        .any(|path| store.starts_with(path.canonicalize().unwrap())),
                    "{name} {place}: {}",
                    store.display()
                );
            }
        }
        let plain = field.open(&top).unwrap().object_stores();
        if name == "second" {
            assert!(
                plain.iter().any(|store| store.starts_with(field.at("up"))),
                "{plain:?}"
            );
        }
    }
}

/// F9.
#[test]
fn a_tree_knows_tags_branches_and_remotes() {
    let field = Field::new();
    let up = field.repository("up", &[("a", "a\n")]);
    git(&up, &["tag", "-a", "v1.2", "-m", "x"]);
    git(&field.root(), &["clone", "-q", up.to_str().unwrap(), "r"]);
    let top = field.at("r");
    git(&top, &["branch", "-q", "topic"]);
    git(&top, &["branch", "-q", "worker"]);
    write(&top.join("a"), "b\n");
    commit(&top, "mine");
    let isolated = field.isolate(&top, "j").unwrap();
    let tree = isolated.workspace().top();
    assert!(git(tree, &["describe", "--tags"]).starts_with("v1.2-1-g"));
    assert_eq!(
        git(tree, &["diff", "--name-only", "origin/main...HEAD"]),
        "a"
    );
    assert_eq!(
        git(tree, &["rev-parse", "topic"]),
        git(&top, &["rev-parse", "topic"])
    );
    assert_eq!(git(tree, &["remote"]), "origin");
    git(tree, &["fsck"]);
    assert!(
        !fs::read_to_string(tree.join(".git/config"))
            .unwrap()
            .contains("url")
    );
}

/// F18.
#[test]
fn an_index_that_cannot_be_written_is_named() {
    let field = Field::new();
    let top = field.repository("r", &[("in/a", "a\n"), ("out/b", "b\n")]);
    git(
        &top,
        &["sparse-checkout", "init", "--cone", "--sparse-index"],
    );
    git(&top, &["sparse-checkout", "set", "in"]);
    assert!(!top.join("out").exists());
    let isolated = field.job(&top, "j", |tree| {
        assert!(!tree.join("out").exists(), "the same part of the tree");
        assert_eq!(git(tree, &["status", "--porcelain"]), "");
        write(&tree.join("in/a"), "changed\n");
    });
    let refused = isolated.apply(ApplyHow::Merge).unwrap_err().to_string();
    assert!(
        refused.contains("sparse index") && refused.contains("patch"),
        "{refused}"
    );
    isolated.apply(ApplyHow::Patch).unwrap();
    assert_eq!(git(&top, &["diff", "--name-only"]), "in/a");
    git(&top, &["checkout", "-q", "--", "in/a"]);
    git(&top, &["sparse-checkout", "reapply", "--no-sparse-index"]);
    isolated.apply(ApplyHow::Merge).unwrap();
    assert_eq!(git(&top, &["status", "--porcelain"]), "");
    assert_eq!(git(&top, &["show", "HEAD:out/b"]), "b");

    let split = field.repository("split", &[("a", "a\n")]);
    git(&split, &["update-index", "--split-index"]);
    let isolated = field.job(&split, "split", |tree| write(&tree.join("a"), "b\n"));
    let refused = isolated.apply(ApplyHow::Squash).unwrap_err().to_string();
    assert!(refused.contains("--no-split-index"), "{refused}");
    isolated.apply(ApplyHow::Patch).unwrap();
    git(&split, &["checkout", "-q", "--", "a"]);
    git(&split, &["update-index", "--no-split-index"]);
    isolated.apply(ApplyHow::Squash).unwrap();
    assert_eq!(git(&split, &["status", "--porcelain"]), "M  a");
}

/// F19.
#[test]
fn a_partial_clone_gives_its_cone_or_is_refused_by_name() {
    let field = Field::new();
    let up = field.repository("up", &[("in/a", "a\n"), ("out/b", "b\n"), ("top", "t\n")]);
    git(&up, &["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", up.display());
    git(
        &field.root(),
        &["clone", "-q", "--filter=blob:none", "--sparse", &url, "r"],
    );
    let top = field.at("r");
    git(&top, &["sparse-checkout", "set", "in"]);
    let isolated = field.job(&top, "j", |tree| {
        assert!(!tree.join("out").exists());
        write(&tree.join("in/a"), "changed\n");
    });
    isolated.apply(ApplyHow::Merge).unwrap();
    assert_eq!(fs::read_to_string(top.join("in/a")).unwrap(), "changed\n");

    git(
        &field.root(),
        &[
            "clone",
            "-q",
            "--filter=blob:none",
            "--no-checkout",
            &url,
            "none",
        ],
    );
    let refused = field
        .isolate(&field.at("none"), "none")
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("partial") && refused.contains("--refetch"),
        "{refused}"
    );
}

/// F20.
#[test]
fn new_files_have_the_modes_that_git_gives() {
    for umask in ["077", "002", "022"] {
        for how in ["patch", "merge"] {
            let field = Field::new();
            let top = field.repository("r", &[("a", "a\n"), ("old.sh", "x\n")]);
            field.job(&top, "j", |tree| {
                write(&tree.join("new.txt"), "n\n");
                write(&tree.join("new.sh"), "n\n");
                fs::set_permissions(tree.join("new.sh"), fs::Permissions::from_mode(0o755))
                    .unwrap();
            });
            let status = Command::new("sh")
                .args([
                    "-c",
                    &format!("umask {umask}; exec \"$0\" --exact field::helper_applies"),
                ])
                .arg(std::env::current_exe().unwrap())
                .env("WORKER_TEST_STATE", field.state("j"))
                .env("WORKER_TEST_HOW", how)
                .output()
                .unwrap();
            assert!(
                status.status.success(),
                "{}",
                String::from_utf8_lossy(&status.stdout)
            );
            let mask = u32::from_str_radix(umask, 8).unwrap();
            for (name, mode) in [("new.txt", 0o666), ("new.sh", 0o777)] {
                let found = fs::metadata(top.join(name)).unwrap().mode() & 0o777;
                assert_eq!(found, mode & !mask, "{name} {umask} {how}");
            }
        }
    }
}

/// Not a test of its own: the process of the one before that has another umask.
#[test]
fn helper_applies() {
    let Some(state) = std::env::var_os("WORKER_TEST_STATE") else {
        return;
    };
    let how = match std::env::var("WORKER_TEST_HOW").as_deref() {
        Ok("patch") => ApplyHow::Patch,
        _ => ApplyHow::Merge,
    };
    Isolated::open(Path::new(&state), "j")
        .unwrap()
        .apply(how)
        .unwrap();
}

/// F7 and D14.
#[test]
fn what_others_do_in_git_is_not_the_jobs() {
    let field = Field::new();
    let up = field.repository("up", &[("a", "a\n")]);
    git(&field.root(), &["clone", "-q", up.to_str().unwrap(), "r"]);
    let top = field.at("r");
    git(&top, &["worktree", "add", "-q", "-b", "other", "../other"]);
    let base = field.capture(&field.open(&top).unwrap(), "j");
    write(&up.join("a"), "new\n");
    commit(&up, "upstream");
    git(&up, &["tag", "v1"]);
    git(&up, &["branch", "fresh"]);
    git(&top, &["fetch", "-q", "--tags"]);
    write(&field.at("other/a"), "mine\n");
    commit(&field.at("other"), "in another worktree");
    git(
        &top,
        &["config", "branch.main.vscode-merge-base", "origin/main"],
    );
    git(&top, &["config", "branch.topic.remote", "origin"]);
    for change in base.changes().unwrap().git {
        assert!(change.is_others(), "{change}");
    }
    git(&top, &["config", "core.hooksPath", "/tmp/x"]);
    assert!(
        base.changes()
            .unwrap()
            .git
            .iter()
            .any(workspace::GitChange::is_tampering)
    );
    git(&top, &["config", "--unset", "core.hooksPath"]);
    git(
        &top,
        &[
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "on the job's own branch",
        ],
    );
    assert!(
        base.changes()
            .unwrap()
            .git
            .iter()
            .any(|change| !change.is_others())
    );
}

/// K7.
#[test]
fn neither_notes_nor_a_git_file_lead_elsewhere() {
    let field = Field::new();
    let secret = field.repository("secret", &[(".env", "KEY=1\n")]);
    let top = field.repository("r", &[("a", "a\n"), ("sub/CLAUDE.md", "note\n")]);
    symlink(secret.join(".env"), top.join("AGENTS.md")).unwrap();
    symlink("sub/CLAUDE.md", top.join("CLAUDE.md")).unwrap();
    let base = field.capture(&field.open(&top).unwrap(), "j");
    assert!(base.instructions().is_empty());

    let thief = field.at("thief");
    fs::create_dir(&thief).unwrap();
    write(&thief.join(".git"), "gitdir: ../secret/.git\n");
    let refused = field.open(&thief).unwrap_err().to_string();
    assert!(refused.contains("another working tree"), "{refused}");
    git(&secret, &["worktree", "add", "-q", "-b", "side", "../side"]);
    field.open(&field.at("side")).unwrap();
    write(
        &thief.join(".git"),
        "gitdir: ../secret/.git/worktrees/side\n",
    );
    assert!(field.open(&thief).is_err());
    fs::remove_file(thief.join(".git")).unwrap();
    symlink("../secret/.git", thief.join(".git")).unwrap();
    assert!(field.open(&thief).is_err());
}
