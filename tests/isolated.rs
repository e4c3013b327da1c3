//! A job may have a tree and a git directory of its own; the user's repository is only read until `apply`, and `apply`
//! either does all of it or says why not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use worker_test_support::Checkout;
use worker_test_support::checkout::{files, git, write};
use workspace::{
    Applied, ApplyError, ApplyHow, Base, Isolated, IsolatedRequest, Limits, PortBase, Root,
    Selection, Workspace, WorkspaceError,
};

/// A checkout, and jobs with trees of their own made from it.
struct Scene {
    checkout: Checkout,
}

impl Deref for Scene {
    type Target = Checkout;

    fn deref(&self) -> &Checkout {
        &self.checkout
    }
}

impl Scene {
    fn new() -> Self {
        let lines: String = (0..40).map(|line| format!("line {line}\n")).collect();
        let checkout = Checkout::with([
            ("src/a.txt", lines.as_str()),
            ("src/b.txt", "b\n"),
            ("docs/c.txt", "c\n"),
            (".gitignore", "node_modules/\n.env\n*.log\n"),
        ]);
        Self { checkout }
    }

    fn state(&self, job: &str) -> PathBuf {
        self.folder().join("state").join(job)
    }

    fn workspace(&self, dirs: &[&str]) -> Workspace {
        let dirs: Vec<_> = dirs.iter().map(|dir| self.top().join(dir)).collect();
        Workspace::open(&Root::open(&self.root()).unwrap(), &dirs).unwrap()
    }

    fn isolate(
        &self,
        job: &str,
        base: Option<&str>,
        include_dirty: bool,
    ) -> Result<Isolated, WorkspaceError> {
        let source = self.workspace(&["."]);
        Isolated::create(&IsolatedRequest {
            source: &source,
            folder: &self.state(job),
            name: job,
            base,
            include_dirty,
            limits: Limits::default(),
        })
    }

    /// Makes a tree, lets `agent` work in it, and seals what came of it.
    fn job(&self, job: &str, include_dirty: bool, agent: impl FnOnce(&Path)) -> Isolated {
        let mut isolated = self.isolate(job, None, include_dirty).unwrap();
        let base = Base::capture(
            isolated.workspace(),
            &self.state(job).join("base"),
            Limits::default(),
        )
        .unwrap();
        agent(isolated.workspace().top());
        let changes = base.changes().unwrap();
        isolated.seal(&base, &changes, "What the job made").unwrap();
        isolated
    }
}

fn edit(tree: &Path, path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(tree.join(path)).unwrap();
    assert!(text.contains(from));
    fs::write(tree.join(path), text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_tree_is_made_from_head_and_the_repository_is_not_touched() {
    let scene = Scene::new();
    let clean = files(&scene.top(), false);
    scene.write("src/b.txt", "the user's uncommitted work\n");
    scene.write("untracked.txt", "the user's\n");
    scene.git(&["status"]);
    let before = files(&scene.top(), true);
    let isolated = scene.isolate("job1", None, false).unwrap();
    let tree = isolated.workspace().top().to_path_buf();
    assert_eq!(files(&tree, false), clean, "uncommitted work is not in it");
    assert_eq!(
        isolated.record().base_commit,
        scene.git(&["rev-parse", "HEAD"])
    );
    assert_eq!(git(&tree, &["status", "--porcelain"]), "");
    assert_eq!(
        git(&tree, &["rev-parse", "--abbrev-ref", "HEAD"]),
        "worker/job1"
    );
    assert_eq!(git(&tree, &["log", "--format=%s"]), "start");
    assert!(
        fs::read_to_string(tree.join(".git/config"))
            .unwrap()
            .contains("Anna"),
        "commits there carry the user's name"
    );
    // The agent commits, branches and collects garbage in its own repository.
    write(&tree.join("src/b.txt"), "agent\n");
    git(&tree, &["commit", "-q", "-a", "-m", "agent"]);
    git(&tree, &["gc", "-q", "--prune=now"]);
    assert_eq!(
        files(&scene.top(), true),
        before,
        "byte for byte, .git included"
    );
    Isolated::remove(&scene.state("job1")).unwrap();
    assert_eq!(files(&scene.top(), true), before);
    assert!(!scene.state("job1").join("tree").exists());
    Isolated::remove(&scene.state("job1")).unwrap();
}

#[test]
fn the_working_directory_keeps_its_place() {
    let scene = Scene::new();
    let source = scene.workspace(&["src", "docs"]);
    let request = IsolatedRequest {
        source: &source,
        folder: &scene.state("job"),
        name: "job",
        base: None,
        include_dirty: false,
        limits: Limits::default(),
    };
    let isolated = Isolated::create(&request).unwrap();
    let tree = scene.state("job").join("tree");
    assert_eq!(isolated.workspace().work_dir(), tree.join("src"));
    assert_eq!(isolated.workspace().additional_dirs(), [tree.join("docs")]);
    let again = Isolated::open(&scene.state("job"), "job").unwrap();
    assert_eq!(
        (again.workspace().work_dir(), again.record()),
        (isolated.workspace().work_dir(), isolated.record())
    );
    assert_eq!(Isolated::list(&scene.state("")).len(), 1);
}

#[test]
fn a_linked_worktree_can_be_the_source() {
    let scene = Scene::new();
    scene.git(&["worktree", "add", "-q", "-b", "side", "../side"]);
    let root = Root::open(&scene.root()).unwrap();
    let source = Workspace::open(&root, &[scene.root().join("side")]).unwrap();
    let request = IsolatedRequest {
        source: &source,
        folder: &scene.state("job"),
        name: "job",
        base: None,
        include_dirty: false,
        limits: Limits::default(),
    };
    let mut isolated = Isolated::create(&request).unwrap();
    assert!(
        isolated.read_paths().iter().all(|path| path.is_dir()),
        "{:?}",
        isolated.read_paths()
    );
    let base = Base::capture(
        isolated.workspace(),
        &scene.state("job").join("base"),
        Limits::default(),
    )
    .unwrap();
    write(&isolated.workspace().top().join("src/b.txt"), "agent\n");
    isolated
        .seal(&base, &base.changes().unwrap(), "What the job made")
        .unwrap();
    isolated.apply(ApplyHow::Merge).unwrap();
    assert_eq!(
        fs::read(scene.root().join("side/src/b.txt")).unwrap(),
        b"agent\n"
    );
    assert_eq!(
        git(&scene.root().join("side"), &["status", "--porcelain"]),
        ""
    );
    assert_eq!(scene.git(&["status", "--porcelain"]), "");
}

#[test]
fn uncommitted_work_comes_along_when_asked_for() {
    let scene = Scene::new();
    scene.write("src/b.txt", "edited\n");
    scene.write("staged.txt", "staged\n");
    scene.git(&["add", "staged.txt"]);
    scene.write("untracked/deep.txt", "untracked\n");
    scene.write("x.log", "ignored\n");
    fs::remove_file(scene.top().join("docs/c.txt")).unwrap();
    let mut expected = files(&scene.top(), false);
    expected.remove(Path::new("x.log"));
    let isolated = scene.isolate("job", None, true).unwrap();
    assert_eq!(files(isolated.workspace().top(), false), expected);
    assert_eq!(
        (
            isolated.record().dirty_included,
            isolated.record().dirty_files
        ),
        (true, 4)
    );
}

#[test]
fn bases_are_named_and_wrong_ones_refused() {
    let scene = Scene::new();
    scene.git(&["tag", "v1"]);
    scene.write("later.txt", "later\n");
    scene.commit("later");
    let isolated = scene.isolate("old", Some("v1"), false).unwrap();
    assert!(!isolated.workspace().top().join("later.txt").exists());
    assert_eq!(isolated.record().base_name, "v1");
    for (base, dirty, part) in [
        (Some("nowhere"), false, "base \"nowhere\" names no commit"),
        (Some("--help"), false, "names no commit"),
        (Some("HEAD:src"), false, "names no commit"),
        (Some("v1"), true, "include_dirty needs the base to be HEAD"),
    ] {
        let error = scene
            .isolate("refused", base, dirty)
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    }
    scene.git(&["checkout", "-q", "--orphan", "void"]);
    scene.git(&["rm", "-rfq", "."]);
    scene.git(&["commit", "-q", "--allow-empty", "-m", "void"]);
    let error = scene.isolate("void", None, false).unwrap_err().to_string();
    assert!(error.contains("came out empty"), "{error}");
}

#[test]
fn ignored_files_that_a_build_needs_are_copied() {
    let scene = Scene::new();
    scene.write(".worktreeinclude", ".env\nnode_modules/\nsrc/b.txt\n");
    scene.write(".env", "KEY=1\n");
    scene.write("other.log", "not named\n");
    scene.write("node_modules/m/index.js", "x\n");
    symlink("m/index.js", scene.top().join("node_modules/entry")).unwrap();
    scene.write("src/b.txt", "uncommitted, but not ignored\n");
    let isolated = scene.isolate("job", None, false).unwrap();
    let tree = files(isolated.workspace().top(), false);
    assert_eq!(tree[Path::new(".env")].1, b"KEY=1\n");
    assert_eq!(tree[Path::new("node_modules/m/index.js")].1, b"x\n");
    assert_eq!(tree[Path::new("node_modules/entry")].1, b"m/index.js");
    assert_eq!(
        tree[Path::new("src/b.txt")].1,
        b"b\n",
        "only ignored files are copied"
    );
    assert!(!tree.contains_key(Path::new("other.log")));
    assert_eq!(isolated.record().included_files, 3);
}

#[test]
fn submodules_are_there_as_the_user_has_them() {
    let scene = Scene::new();
    let library = scene.root().join("library");
    fs::create_dir(&library).unwrap();
    git(&library, &["init", "-q", "-b", "main"]);
    write(&library.join("lib.c"), "int x;\n");
    git(&library, &["add", "-A"]);
    git(&library, &["commit", "-q", "-m", "x"]);
    scene.git(&["submodule", "add", "-q", "../library", "sub"]);
    scene.git(&["submodule", "add", "-q", "../library", "absent"]);
    scene.commit("submodules");
    scene.git(&["submodule", "deinit", "-q", "-f", "absent"]);
    let isolated = scene.isolate("job", None, false).unwrap();
    let tree = isolated.workspace().top();
    assert_eq!(fs::read(tree.join("sub/lib.c")).unwrap(), b"int x;\n");
    assert_eq!(git(tree, &["status", "--porcelain"]), "");
    assert_eq!(
        isolated.record().notes,
        ["the submodule absent is not checked out, so it is empty here"]
    );
}

#[test]
fn the_base_outlives_a_gc_in_the_users_repository() {
    let scene = Scene::new();
    scene.git(&["checkout", "-q", "-b", "short-lived"]);
    scene.write("only-here.txt", "only here\n");
    scene.commit("only here");
    let packed = scene.isolate("loose", None, false).unwrap();
    scene.git(&["gc", "-q"]);
    let loose = scene.isolate("packed", None, false).unwrap();
    scene.git(&["checkout", "-q", "main"]);
    scene.git(&["branch", "-q", "-D", "short-lived"]);
    scene.git(&["reflog", "expire", "--expire=now", "--all"]);
    scene.git(&["gc", "-q", "--prune=now"]);
    for isolated in [packed, loose] {
        let tree = isolated.workspace().top();
        git(tree, &["fsck", "--full"]);
        assert_eq!(git(tree, &["show", "HEAD:only-here.txt"]), "only here");
    }
}

const MANY: usize = 16;

/// Not a test of its own: the other process of the next one.
#[test]
fn helper_makes_sixteen_trees() {
    let Some(folder) = std::env::var_os("WORKER_TEST_SCENE") else {
        return;
    };
    make_many(Path::new(&folder), "second");
}

fn make_many(folder: &Path, prefix: &str) {
    let root = Root::open(&folder.join("root")).unwrap();
    std::thread::scope(|scope| {
        for number in 0..MANY {
            let root = root.clone();
            scope.spawn(move || {
                let source = Workspace::open(&root, &[folder.join("root/project")]).unwrap();
                let name = format!("{prefix}{number}");
                Isolated::create(&IsolatedRequest {
                    source: &source,
                    folder: &folder.join("state").join(&name),
                    name: &name,
                    base: None,
                    include_dirty: false,
                    limits: Limits::default(),
                })
                .unwrap();
            });
        }
    });
}

#[test]
fn thirty_two_trees_are_made_at_once_from_two_processes() {
    let scene = Scene::new();
    let before = files(&scene.top(), true);
    let folder = scene.folder();
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "isolated::helper_makes_sixteen_trees"])
        .env("WORKER_TEST_SCENE", &folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    make_many(&folder, "first");
    assert!(other.wait().unwrap().success());
    let trees = Isolated::list(&folder.join("state"));
    assert_eq!(trees.len(), 2 * MANY);
    let expected = files(&scene.top(), false);
    for (tree, _) in &trees {
        assert_eq!(files(&tree.join("tree"), false), expected);
    }
    assert_eq!(files(&scene.top(), true), before);
}

/// Not a test of its own: the process that the next one kills.
#[test]
fn helper_renews_a_tree() {
    let Some(folder) = std::env::var_os("WORKER_TEST_TREE") else {
        return;
    };
    let folder = Path::new(&folder);
    Isolated::renew(folder, "later", &folder.join("killed"), Limits::default()).unwrap();
}

#[test]
fn a_tree_that_was_being_renewed_when_its_host_was_killed_keeps_every_file() {
    let scene = Scene::new();
    let tree = scene.isolate("job", None, false).unwrap();
    let top = tree.workspace().top().to_owned();
    // What the job before did, until it was interrupted.
    edit(&top, "src/a.txt", "line 7\n", "line seven\n");
    fs::remove_file(top.join("docs/c.txt")).unwrap();
    for file in 0..200 {
        write(&top.join(format!("made/{}/{file}.txt", file % 9)), "made\n");
    }
    symlink("made/1", top.join("own-link")).unwrap();
    git(&top, &["checkout", "-q", "-b", "its-own"]);
    let left = files(&top, false);

    let folder = scene.state("job");
    let renewing = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "isolated::helper_renews_a_tree"])
            .env("WORKER_TEST_TREE", &folder)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let began = std::time::Instant::now();
    assert!(renewing().wait().unwrap().success());
    let mut whole = began.elapsed();
    let mut killed = 0;
    for round in 0..400 {
        if killed == 40 {
            break;
        }
        let mut child = renewing();
        std::thread::sleep(whole * (round % 20) / 20);
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            // The machine is faster than it was.
            whole = whole * 9 / 10;
        } else {
            killed += 1;
        }
        // One after the other, as a job that goes on and is killed as well; now and then one that comes to its end.
        if round % 3 != 2 {
            continue;
        }
        let storage = folder.join(format!("base-{round}"));
        let (renewed, base) =
            Isolated::renew(&folder, "later", &storage, Limits::default()).unwrap();
        assert_eq!(files(&top, false), left, "round {round}");
        assert!(!folder.join("aside").exists(), "round {round}");
        let changes = base.changes().unwrap();
        assert_eq!(changes.files.len(), 203, "round {round}");
        assert_eq!(
            git(
                renewed.workspace().top(),
                &["rev-parse", "--abbrev-ref", "HEAD"]
            ),
            renewed.record().branch
        );
    }
    assert_eq!(killed, 40);
}

#[test]
fn a_merge_brings_branch_and_files() {
    let scene = Scene::new();
    let isolated = scene.job("job", false, |tree| {
        edit(tree, "src/a.txt", "line 3\n", "line three\n");
        write(&tree.join("new.txt"), "new\n");
        fs::remove_file(tree.join("docs/c.txt")).unwrap();
    });
    let applied = isolated.apply(ApplyHow::Merge).unwrap();
    let names: Vec<_> = applied.files.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["docs/c.txt", "new.txt", "src/a.txt"]);
    assert_eq!(
        files(&scene.top(), false),
        files(isolated.workspace().top(), false)
    );
    assert_eq!(scene.git(&["status", "--porcelain"]), "");
    assert_eq!(
        scene.git(&["log", "--format=%s %an", "-1"]),
        "What the job made Anna"
    );
    assert_eq!(
        applied.commit.as_deref(),
        Some(scene.git(&["rev-parse", "HEAD"]).as_str())
    );
    assert_eq!(
        scene.git(&["rev-parse", "worker/job"]),
        scene.git(&["rev-parse", "HEAD"])
    );
    scene.git(&["fsck", "--full"]);
}

#[test]
fn a_squash_is_staged_and_a_patch_is_not() {
    for (how, status) in [
        (ApplyHow::Squash, "M  src/b.txt\nA  x.txt"),
        (ApplyHow::Patch, " M src/b.txt\n?? x.txt"),
    ] {
        let scene = Scene::new();
        let head = scene.git(&["rev-parse", "HEAD"]);
        let isolated = scene.job("job", false, |tree| {
            write(&tree.join("src/b.txt"), "agent\n");
            write(&tree.join("x.txt"), "x\n");
        });
        let applied = isolated.apply(how).unwrap();
        assert_eq!((applied.branch, applied.commit), (None, None));
        assert_eq!(scene.git(&["status", "--porcelain"]), status);
        assert_eq!(scene.git(&["rev-parse", "HEAD"]), head);
    }
}

/// A case of a checkout that is not as the job found it.
struct Refusal {
    name: &'static str,
    user: fn(&Scene),
    how: &'static [ApplyHow],
    /// A part of the refusal; `None`: it applies all the same.
    refused: Option<&'static str>,
}

const BOTH: &[ApplyHow] = &[ApplyHow::Merge, ApplyHow::Squash];
const ALL: &[ApplyHow] = &[ApplyHow::Merge, ApplyHow::Squash, ApplyHow::Patch];

/// The job edits line 3 of src/a.txt and adds new.txt.
const REFUSALS: &[Refusal] = &[
    Refusal {
        name: "the user committed elsewhere",
        user: |scene| {
            scene.write("docs/c.txt", "user\n");
            scene.commit("user");
        },
        how: ALL,
        refused: None,
    },
    Refusal {
        name: "the user committed in the same file, far away",
        user: |scene| {
            edit(&scene.top(), "src/a.txt", "line 30\n", "line thirty\n");
            scene.commit("user");
        },
        how: BOTH,
        refused: None,
    },
    Refusal {
        name: "the user committed in the same lines",
        user: |scene| {
            edit(&scene.top(), "src/a.txt", "line 3\n", "line drei\n");
            scene.commit("user");
        },
        how: BOTH,
        refused: Some("both sides changed src/a.txt"),
    },
    Refusal {
        name: "the user committed in the same file, and a patch is wanted",
        user: |scene| {
            edit(&scene.top(), "src/a.txt", "line 30\n", "line thirty\n");
            scene.commit("user");
        },
        how: &[ApplyHow::Patch],
        refused: Some("src/a.txt differ from what the job started with"),
    },
    Refusal {
        name: "the user committed the same new file with other content",
        user: |scene| {
            scene.write("new.txt", "user\n");
            scene.commit("user");
        },
        how: BOTH,
        refused: Some("both sides changed new.txt"),
    },
    Refusal {
        name: "uncommitted work in the same file",
        user: |scene| edit(&scene.top(), "src/a.txt", "line 3\n", "line drei\n"),
        how: ALL,
        refused: Some("src/a.txt"),
    },
    Refusal {
        name: "uncommitted work elsewhere",
        user: |scene| scene.write("docs/c.txt", "user\n"),
        how: BOTH,
        refused: Some("uncommitted work in the way: docs/c.txt"),
    },
    Refusal {
        name: "uncommitted work elsewhere does not hinder a patch",
        user: |scene| scene.write("docs/c.txt", "user\n"),
        how: &[ApplyHow::Patch],
        refused: None,
    },
    Refusal {
        name: "something staged",
        user: |scene| {
            scene.write("docs/c.txt", "user\n");
            scene.git(&["add", "docs/c.txt"]);
            scene.write("docs/c.txt", "c\n");
        },
        how: BOTH,
        refused: Some("docs/c.txt"),
    },
    Refusal {
        name: "an edit hidden by assume-unchanged",
        user: |scene| {
            scene.git(&["update-index", "--assume-unchanged", "src/a.txt"]);
            edit(&scene.top(), "src/a.txt", "line 3\n", "line drei\n");
        },
        how: ALL,
        refused: Some("src/a.txt"),
    },
    Refusal {
        name: "an untracked file where the job made one",
        user: |scene| scene.write("new.txt", "user\n"),
        how: ALL,
        refused: Some("new.txt"),
    },
    Refusal {
        name: "an untracked file elsewhere",
        user: |scene| scene.write("notes.txt", "user\n"),
        how: ALL,
        refused: None,
    },
    Refusal {
        name: "the branch's name is taken",
        user: |scene| {
            scene.git(&["branch", "worker/job"]);
        },
        how: &[ApplyHow::Merge],
        refused: Some("the branch worker/job exists already"),
    },
    Refusal {
        name: "a merge is under way",
        user: |scene| {
            scene.write(
                ".git/MERGE_HEAD",
                &(scene.git(&["rev-parse", "HEAD"]) + "\n"),
            )
        },
        how: ALL,
        refused: Some("in the middle of a merge"),
    },
    Refusal {
        name: "a detached HEAD",
        user: |scene| {
            scene.git(&["checkout", "-q", "--detach"]);
        },
        how: ALL,
        refused: None,
    },
];

#[test]
fn a_checkout_that_moved_takes_it_whole_or_stays_as_it_is() {
    for case in REFUSALS {
        for how in case.how {
            let scene = Scene::new();
            let isolated = scene.job("job", false, |tree| {
                edit(tree, "src/a.txt", "line 3\n", "line three\n");
                write(&tree.join("new.txt"), "new\n");
            });
            (case.user)(&scene);
            let before = files(&scene.top(), false);
            let refs = scene.git(&["for-each-ref"]);
            let (index, tree) = (
                fs::read(scene.top().join(".git/index")).unwrap(),
                files(isolated.workspace().top(), false),
            );
            match (isolated.apply(*how), case.refused) {
                (Err(error), Some(part)) => {
                    assert!(
                        error.to_string().contains(part),
                        "{} ({how:?}): {error}",
                        case.name
                    );
                    assert_eq!(
                        files(&scene.top(), false),
                        before,
                        "{} ({how:?})",
                        case.name
                    );
                    assert_eq!(
                        scene.git(&["for-each-ref"]),
                        refs,
                        "{} ({how:?})",
                        case.name
                    );
                    assert_eq!(
                        fs::read(scene.top().join(".git/index")).unwrap(),
                        index,
                        "{} ({how:?})",
                        case.name
                    );
                }
                (Ok(Applied { .. }), None) => {
                    let mut expected = before;
                    let text =
                        String::from_utf8(expected[Path::new("src/a.txt")].1.clone()).unwrap();
                    let text = text.replacen("line 3\n", "line three\n", 1);
                    expected.insert("src/a.txt".into(), (1, text.into_bytes()));
                    expected.insert("new.txt".into(), (1, b"new\n".to_vec()));
                    assert_eq!(
                        files(&scene.top(), false),
                        expected,
                        "{} ({how:?})",
                        case.name
                    );
                }
                (Ok(_), Some(_)) => panic!("{} ({how:?}) should be refused", case.name),
                (Err(error), None) => panic!("{} ({how:?}): {error}", case.name),
            }
            assert_eq!(
                files(isolated.workspace().top(), false),
                tree,
                "the job's side is kept: {}",
                case.name
            );
        }
    }
}

/// What else a checkout shows: its folders with their permissions, its refs and its index.
fn surroundings(top: &Path) -> (BTreeMap<PathBuf, u32>, String, Vec<u8>) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut folders = BTreeMap::new();
    let mut pending = vec![top.to_path_buf()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() && entry.file_name() != ".git" {
                let mode = entry.metadata().unwrap().permissions().mode();
                folders.insert(entry.path(), mode);
                pending.push(entry.path());
            }
        }
    }
    let index = fs::read(top.join(".git/index")).unwrap();
    (folders, git(top, &["for-each-ref"]), index)
}

/// Runs git where it may refuse.
fn try_git(top: &Path, arguments: &[&str]) -> bool {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=A", "-c", "user.email=a@example.org"]);
    command.args(arguments).current_dir(top);
    command.env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.output().unwrap().status.success()
}

/// Brings what is committed in `tree` into `top` by git alone.
fn brought_by_git(top: &Path, tree: &Path, how: ApplyHow) -> bool {
    if how == ApplyHow::Patch {
        let patch = top.join("../patch");
        let text = Command::new("git")
            .args(["diff", "--binary", "--full-index", "HEAD~1", "HEAD"])
            .current_dir(tree)
            .output()
            .unwrap();
        fs::write(&patch, text.stdout).unwrap();
        return try_git(top, &["apply", patch.to_str().unwrap()]);
    }
    git(top, &["fetch", "-q", tree.to_str().unwrap(), "HEAD"]);
    let way = match how {
        ApplyHow::Squash => "--squash",
        _ => "--no-edit",
    };
    try_git(top, &["merge", "-q", way, "FETCH_HEAD"])
}

/// A change of the kind of a path. `src/a.txt`, `src/b.txt`, `docs/c.txt`, `docs/deep/d.txt` and `link` are there.
const TURNED: &[(&str, fn(&Path))] = &[
    ("a file takes a folder's place", |tree| {
        fs::remove_dir_all(tree.join("docs")).unwrap();
        write(&tree.join("docs"), "a file\n");
    }),
    ("a link takes a folder's place", |tree| {
        fs::remove_dir_all(tree.join("docs")).unwrap();
        symlink("src", tree.join("docs")).unwrap();
    }),
    ("a folder takes a file's place", |tree| {
        fs::remove_file(tree.join("src/b.txt")).unwrap();
        write(&tree.join("src/b.txt/one"), "one\n");
        write(&tree.join("src/b.txt/two/three"), "three\n");
    }),
    ("a folder takes a link's place", |tree| {
        fs::remove_file(tree.join("link")).unwrap();
        write(&tree.join("link/a.txt"), "no link\n");
    }),
    ("the file of a folder becomes the folder", |tree| {
        fs::rename(tree.join("docs/c.txt"), tree.join("c")).unwrap();
        fs::remove_dir_all(tree.join("docs")).unwrap();
        fs::rename(tree.join("c"), tree.join("docs")).unwrap();
    }),
    ("a file moves into a folder of its name", |tree| {
        fs::rename(tree.join("src/a.txt"), tree.join("a")).unwrap();
        fs::create_dir(tree.join("src/a.txt")).unwrap();
        fs::rename(tree.join("a"), tree.join("src/a.txt/a.txt")).unwrap();
    }),
    ("both at once, and a folder deep inside", |tree| {
        fs::remove_dir_all(tree.join("docs/deep")).unwrap();
        write(&tree.join("docs/deep"), "shallow\n");
        fs::remove_dir_all(tree.join("src")).unwrap();
        write(&tree.join("src"), "no folder\n");
        fs::remove_file(tree.join("link")).unwrap();
        write(&tree.join("link/src/a.txt"), "elsewhere\n");
    }),
];

fn deeper() -> Scene {
    let scene = Scene::new();
    scene.write("docs/deep/d.txt", "d\n");
    scene.commit("deeper");
    scene
}

/// A copy of a checkout, for git to work in.
fn copy_of(scene: &Scene) -> PathBuf {
    let copy = scene.root().join("copy");
    let mut cp = Command::new("cp");
    cp.arg("-a").arg(scene.top()).arg(&copy);
    assert!(cp.status().unwrap().success());
    copy
}

fn commit_in(tree: &Path) {
    git(tree, &["add", "-A"]);
    git(tree, &["commit", "-q", "-m", "What the job made"]);
}

#[test]
fn a_file_takes_a_folders_place_and_a_folder_a_files_as_git_brings_it() {
    for (name, agent) in TURNED {
        for how in ALL {
            let story = format!("{name} ({how:?})");
            let scene = deeper();
            let isolated = scene.job("job", false, agent);
            let copy = copy_of(&scene);
            isolated
                .apply(*how)
                .unwrap_or_else(|error| panic!("{story}: {error}"));
            let tree = isolated.workspace().top();
            assert_eq!(files(&scene.top(), false), files(tree, false), "{story}");
            commit_in(tree);
            assert!(brought_by_git(&copy, tree, *how), "{story}");
            let said = |top: &Path| {
                let status = git(top, &["status", "--porcelain"]);
                let head = git(top, &["rev-parse", "HEAD^{tree}"]);
                (status, head, git(top, &["write-tree"]))
            };
            assert_eq!(said(&scene.top()), said(&copy), "{story}");
            let folders = |top: &Path| {
                let (folders, _, _) = surroundings(top);
                let below = |path: &PathBuf| path.strip_prefix(top).unwrap().to_path_buf();
                folders.keys().map(below).collect::<Vec<_>>()
            };
            assert_eq!(folders(&scene.top()), folders(&copy), "{story}");
            scene.git(&["fsck", "--full", "--strict"]);
        }
    }
}

/// A job that turns back what the job before it did, applied to a checkout that has either.
#[test]
fn a_later_job_turns_a_file_into_a_folder_again() {
    for applied_before in [false, true] {
        for how in ALL {
            let scene = deeper();
            let isolated = scene.job("job", false, TURNED[0].1);
            if applied_before {
                isolated.apply(*how).unwrap();
                if *how != ApplyHow::Merge {
                    scene.commit("the first job's");
                }
            }
            drop(isolated);
            let mut later = Isolated::open(&scene.state("job"), "later").unwrap();
            let storage = scene.state("job").join("base-later");
            let base = Base::capture(later.workspace(), &storage, Limits::default()).unwrap();
            let base = base.before(&later.earlier().unwrap()).unwrap();
            let tree = later.workspace().top().to_path_buf();
            fs::remove_file(tree.join("docs")).unwrap();
            write(&tree.join("docs/c.txt"), "c once more\n");
            let changes = base.changes().unwrap();
            later.seal(&base, &changes, "Later").unwrap();
            later
                .apply(*how)
                .unwrap_or_else(|error| panic!("{applied_before} {how:?}: {error}"));
            assert_eq!(
                files(&scene.top(), false),
                files(&tree, false),
                "{applied_before} {how:?}"
            );
        }
    }
}

/// Something of the user's where the job changes the kind of a path: docs becomes a file, src/b.txt and fresh a folder.
struct Obstacle {
    name: &'static str,
    user: fn(&Scene),
    how: &'static [ApplyHow],
    /// A part of the refusal; `None`: it applies all the same.
    refused: Option<&'static str>,
    /// git decides likewise.
    as_git: bool,
}

const OBSTACLES: &[Obstacle] = &[
    Obstacle {
        name: "an untracked file in the folder",
        user: |scene| scene.write("docs/notes.txt", "the user's\n"),
        how: BOTH,
        refused: Some("uncommitted work in the way: docs/notes.txt"),
        as_git: true,
    },
    Obstacle {
        name: "an untracked file in the folder, and a patch",
        user: |scene| scene.write("docs/notes.txt", "the user's\n"),
        how: &[ApplyHow::Patch],
        refused: Some("the checkout has docs/notes.txt in the place of"),
        as_git: true,
    },
    Obstacle {
        // git deletes it: what is ignored is expendable to a merge.
        name: "an ignored file in the folder",
        user: |scene| scene.write("docs/deep/trace.log", "the user's\n"),
        how: ALL,
        refused: Some("the checkout has docs/deep/trace.log in the place of"),
        as_git: false,
    },
    Obstacle {
        name: "a repository in the folder",
        user: |scene| {
            git(&scene.top(), &["init", "-q", "docs/own"]);
            scene.write("docs/own/x.log", "the user's\n");
        },
        how: ALL,
        refused: Some("docs/own"),
        as_git: false,
    },
    Obstacle {
        name: "an empty folder in the folder",
        user: |scene| fs::create_dir_all(scene.path("docs/empty/too")).unwrap(),
        how: BOTH,
        refused: None,
        as_git: true,
    },
    Obstacle {
        // git apply deletes the tracked files and then fails.
        name: "an empty folder in the folder, and a patch",
        user: |scene| fs::create_dir_all(scene.path("docs/empty/too")).unwrap(),
        how: &[ApplyHow::Patch],
        refused: None,
        as_git: false,
    },
    Obstacle {
        name: "a commit with another file in the folder",
        user: |scene| {
            scene.write("docs/zoo.txt", "the user's\n");
            scene.commit("user");
        },
        how: BOTH,
        refused: Some("both sides changed docs"),
        as_git: true,
    },
    Obstacle {
        name: "a commit with another file in the folder, and a patch",
        user: |scene| {
            scene.write("docs/zoo.txt", "the user's\n");
            scene.commit("user");
        },
        how: &[ApplyHow::Patch],
        refused: Some("the checkout has docs/zoo.txt in the place of"),
        as_git: true,
    },
    Obstacle {
        name: "a commit that changed a file in the folder",
        user: |scene| {
            scene.write("docs/c.txt", "the user's\n");
            scene.commit("user");
        },
        how: ALL,
        refused: Some("docs"),
        as_git: true,
    },
    Obstacle {
        name: "a commit that changed the file that becomes a folder",
        user: |scene| {
            scene.write("src/b.txt", "the user's\n");
            scene.commit("user");
        },
        how: ALL,
        refused: Some("src/b.txt"),
        as_git: true,
    },
    Obstacle {
        name: "an edit in the folder",
        user: |scene| scene.write("docs/c.txt", "the user's\n"),
        how: ALL,
        refused: Some("docs/c.txt"),
        as_git: true,
    },
    Obstacle {
        name: "an untracked file where a folder comes",
        user: |scene| scene.write("fresh", "the user's\n"),
        how: ALL,
        refused: Some("fresh"),
        as_git: true,
    },
    Obstacle {
        name: "an ignored file where a folder comes",
        user: |scene| {
            scene.write(".git/info/exclude", "/fresh\n");
            scene.write("fresh", "the user's\n");
        },
        how: ALL,
        refused: Some("the checkout has fresh in the place of"),
        as_git: false,
    },
    Obstacle {
        name: "a link out of the checkout where a folder comes",
        user: |scene| {
            fs::create_dir(scene.root().join("elsewhere")).unwrap();
            symlink("../elsewhere", scene.path("fresh")).unwrap();
        },
        how: ALL,
        refused: Some("fresh"),
        as_git: true,
    },
    Obstacle {
        name: "permissions of the folders",
        user: |scene| {
            use std::os::unix::fs::PermissionsExt as _;
            for folder in ["docs", "docs/deep", "src"] {
                let mode = fs::Permissions::from_mode(0o750);
                fs::set_permissions(scene.path(folder), mode).unwrap();
            }
        },
        how: ALL,
        refused: None,
        as_git: true,
    },
];

#[test]
fn what_the_user_has_in_the_place_of_a_file_or_a_folder_stays() {
    for case in OBSTACLES {
        for how in case.how {
            let story = format!("{} ({how:?})", case.name);
            let scene = deeper();
            let isolated = scene.job("job", false, |tree| {
                TURNED[0].1(tree);
                TURNED[2].1(tree);
                write(&tree.join("fresh/new.txt"), "new\n");
                edit(tree, "src/a.txt", "line 3\n", "line three\n");
            });
            (case.user)(&scene);
            let copy = copy_of(&scene);
            let before = (files(&scene.root(), false), surroundings(&scene.top()));
            let applied = isolated.apply(*how);
            match (&applied, case.refused) {
                (Err(error), Some(part)) => {
                    assert!(error.to_string().contains(part), "{story}: {error}");
                    let after = (files(&scene.root(), false), surroundings(&scene.top()));
                    assert!(after == before, "{story}: something has changed");
                }
                (Ok(_), None) => {
                    assert!(scene.path("docs").is_file(), "{story}");
                    assert!(scene.path("src/b.txt/two/three").is_file(), "{story}");
                }
                _ => panic!("{story}: {applied:?}"),
            }
            if case.as_git {
                let tree = isolated.workspace().top();
                commit_in(tree);
                let by_git = brought_by_git(&copy, tree, *how);
                assert_eq!(by_git, applied.is_ok(), "{story}");
            }
        }
    }
}

#[test]
fn anothers_lock_is_waited_for_and_never_taken() {
    let scene = Scene::new();
    let lock = scene.top().join(".git/index.lock");
    let isolated = scene.job("job", false, |tree| {
        write(&tree.join("src/b.txt"), "agent\n")
    });
    fs::write(&lock, "").unwrap();
    let before = files(&scene.top(), true);
    let error = isolated.apply(ApplyHow::Merge).unwrap_err();
    assert!(matches!(error, ApplyError::Locked(_)), "{error}");
    assert_eq!(files(&scene.top(), true), before);
    std::thread::scope(|scope| {
        scope.spawn(|| fs::remove_file(&lock).unwrap());
        isolated.apply(ApplyHow::Merge).unwrap();
    });
}

#[test]
fn eight_jobs_in_one_repository_apply_one_after_the_other() {
    let scene = Scene::new();
    let jobs: Vec<_> = (0..8)
        .map(|number| {
            scene.job(&format!("job{number}"), false, |tree| {
                edit(
                    tree,
                    "src/a.txt",
                    &format!("line {}\n", number * 5),
                    &format!("job {number}\n"),
                );
                write(&tree.join(format!("made-by-{number}.txt")), "x\n");
            })
        })
        .collect();
    for job in &jobs {
        job.apply(ApplyHow::Merge).unwrap();
    }
    let text = fs::read_to_string(scene.top().join("src/a.txt")).unwrap();
    assert_eq!(text.matches("job ").count(), 8);
    assert_eq!(scene.git(&["status", "--porcelain"]), "");
    scene.git(&["fsck", "--full"]);
}

#[test]
fn uncommitted_work_that_went_along_is_not_part_of_the_patch() {
    let scene = Scene::new();
    scene.write("src/b.txt", "the user's\n");
    scene.write("untracked.txt", "the user's\n");
    let isolated = scene.job("job", true, |tree| {
        edit(
            tree,
            "src/b.txt",
            "the user's\n",
            "the user's\nand the agent's\n",
        );
        write(&tree.join("new.txt"), "new\n");
    });
    let applied = isolated.apply(ApplyHow::Patch).unwrap();
    let names: Vec<_> = applied.files.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["new.txt", "src/b.txt"]);
    assert_eq!(
        fs::read(scene.top().join("src/b.txt")).unwrap(),
        b"the user's\nand the agent's\n"
    );
    assert_eq!(
        fs::read(scene.top().join("untracked.txt")).unwrap(),
        b"the user's\n"
    );
}

#[test]
fn what_counts_is_what_the_host_saw() {
    let scene = Scene::new();
    let isolated = scene.job("job", false, |tree| {
        write(&tree.join("src/b.txt"), "agent\n");
        git(tree, &["update-index", "--assume-unchanged", "src/b.txt"]);
        fs::remove_dir_all(tree.join(".git")).unwrap();
        write(&tree.join(".git"), "gitdir: /etc\n");
    });
    // After the job: neither a check's doing nor a late edit gets in.
    write(&isolated.workspace().top().join("src/b.txt"), "later\n");
    isolated.apply(ApplyHow::Merge).unwrap();
    assert_eq!(fs::read(scene.top().join("src/b.txt")).unwrap(), b"agent\n");
    assert_eq!(scene.git(&["status", "--porcelain"]), "");
}

#[test]
fn executables_links_and_line_ends_arrive_as_they_are() {
    let scene = Scene::new();
    scene.write(".gitattributes", "*.win text eol=crlf\n");
    scene.write("a.win", "one\r\ntwo\r\n");
    scene.commit("line ends");
    for how in ALL {
        let job = format!("{how:?}.txt").to_lowercase();
        let isolated = scene.job(&job, false, |tree| {
            assert_eq!(fs::read(tree.join("a.win")).unwrap(), b"one\r\ntwo\r\n");
            write(&tree.join("a.win"), "one\r\n2\r\n");
            write(&tree.join("tool.sh"), "#!/bin/sh\n");
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(tree.join("tool.sh"), fs::Permissions::from_mode(0o755)).unwrap();
            fs::remove_file(tree.join("link")).unwrap();
            symlink("docs/c.txt", tree.join("link")).unwrap();
        });
        isolated.apply(*how).unwrap();
        assert_eq!(
            fs::read(scene.top().join("a.win")).unwrap(),
            b"one\r\n2\r\n",
            "{how:?}"
        );
        assert_eq!(
            fs::read_link(scene.top().join("link")).unwrap(),
            Path::new("docs/c.txt"),
            "{how:?}"
        );
        scene.git(&["add", "-A"]);
        assert!(
            scene
                .git(&["ls-files", "-s", "tool.sh"])
                .starts_with("100755"),
            "{how:?}"
        );
        assert_eq!(scene.git(&["show", ":a.win"]), "one\n2", "{how:?}");
        scene.git(&["reset", "-q", "--hard", "HEAD"]);
        if *how == ApplyHow::Merge {
            scene.git(&["reset", "-q", "--hard", "HEAD~1"]);
        }
    }
}

#[test]
fn a_tree_without_a_result_applies_nothing() {
    let scene = Scene::new();
    let isolated = scene.isolate("running", None, false).unwrap();
    assert!(matches!(
        isolated.apply(ApplyHow::Merge),
        Err(ApplyError::NoResult(_))
    ));
    let isolated = scene.job("idle", false, |_| {});
    let error = isolated.apply(ApplyHow::Merge).unwrap_err().to_string();
    assert_eq!(
        error,
        "the job's tree holds no result to apply: it changes nothing that is not there already"
    );
}

#[test]
fn port_bases_are_a_jobs_own() {
    let folder = tempfile::tempdir().unwrap();
    let first = PortBase::reserve(folder.path()).unwrap();
    let second = PortBase::reserve(folder.path()).unwrap();
    assert!(first.base().abs_diff(second.base()) >= PortBase::PORTS);
    let base = first.base();
    drop(first);
    assert_eq!(PortBase::reserve(folder.path()).unwrap().base(), base);
}

/// Everything that git would run when it works in a repository: the host works there and nothing of it runs.
#[test]
fn nothing_that_a_repository_brings_along_is_run() {
    let scene = Scene::new();
    let pwn = scene.folder().join("PWN");
    let evil = scene.folder().join("evil.sh");
    write(
        &evil,
        format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\ncat\n", pwn.display()),
    );
    executable(&evil);
    let hooks = scene.path(".evil-hooks");
    for hook in [
        "pre-commit",
        "prepare-commit-msg",
        "commit-msg",
        "post-commit",
        "pre-merge-commit",
        "post-merge",
        "post-checkout",
        "post-index-change",
        "pre-applypatch",
        "reference-transaction",
        "fsmonitor-watchman",
        "sendemail-validate",
    ] {
        for folder in [hooks.clone(), scene.path(".git/hooks")] {
            write(&folder.join(hook), fs::read(&evil).unwrap());
            executable(&folder.join(hook));
        }
    }
    scene.write(".gitattributes", "* filter=x diff=x merge=x ident\n");
    scene.git(&["add", "-A"]);
    scene.git(&[
        "-c",
        "core.hooksPath=/dev/null",
        "commit",
        "-q",
        "-m",
        "attributes",
    ]);
    let program = evil.to_str().unwrap();
    let mut config = fs::read_to_string(scene.path(".git/config")).unwrap();
    config.push_str(&format!(
        "[core]\n\tfsmonitor = {program}\n\thooksPath = {}\n\tsshCommand = {program}\n\teditor = {program}\n\tpager = {program}\n\taskPass = {program}\n\tgitProxy = {program}\n\talternateRefsCommand = {program}\n\
         [filter \"x\"]\n\tclean = {program}\n\tsmudge = {program}\n\tprocess = {program}\n\
         [diff]\n\texternal = {program}\n[diff \"x\"]\n\ttextconv = {program}\n\tcommand = {program}\n\
         [merge \"x\"]\n\tdriver = {program} %A\n[sequence]\n\teditor = {program}\n[gpg]\n\tprogram = {program}\n[commit]\n\tgpgSign = true\n\
         [credential]\n\thelper = !{program}\n[alias]\n\tstatus = !{program}\n\tdiff = !{program}\n[uploadpack]\n\tpackObjectsHook = {program}\n\
         [interactive]\n\tdiffFilter = {program}\n[trailer \"x\"]\n\tcommand = {program}\n[include]\n\tpath = {}\n",
        hooks.display(),
        scene.folder().join("more.config").display(),
    ));
    write(
        &scene.folder().join("more.config"),
        format!("[core]\n\tfsmonitor = {program}\n"),
    );
    scene.write(".git/config", config);
    let _ = fs::remove_file(&pwn);

    let workspace = scene.workspace(&["."]);
    let base = Base::capture(&workspace, &scene.folder().join("base"), Limits::default()).unwrap();
    scene.write("src/b.txt", "by the agent\n");
    let changes = base.changes().unwrap();
    assert!(
        changes
            .diff(Selection::All, 10_000)
            .text()
            .contains("+by the agent")
    );
    base.revert(&changes.files).unwrap();
    for (job, how, line) in [
        ("merged", ApplyHow::Merge, 7),
        ("squashed", ApplyHow::Squash, 17),
        ("patched", ApplyHow::Patch, 27),
    ] {
        let isolated = scene.job(job, how == ApplyHow::Patch, |tree| {
            write(&tree.join(format!("{job}.txt")), "x\n");
            edit(
                tree,
                "src/a.txt",
                &format!("line {line}\n"),
                &format!("line of {job}\n"),
            );
        });
        let applied = isolated.apply(how);
        assert!(
            applied.is_ok() || how != ApplyHow::Merge,
            "{how:?}: {applied:?}"
        );
        Isolated::remove(&scene.state(job)).unwrap();
    }
    assert!(!pwn.exists(), "{}", fs::read_to_string(&pwn).unwrap());
    // The trap does work.
    let _ = Command::new("git")
        .args(["status"])
        .current_dir(scene.top())
        .output();
    assert!(pwn.exists(), "plain git runs it");
}

/// A folder of the host, seen from within a container: everything belongs to another user. Plain
/// git refuses to work there, since it would run what the configuration says; the host runs nothing
/// of it, and works.
#[cfg(target_os = "linux")]
#[test]
fn a_repository_that_belongs_to_somebody_else_is_worked_in_and_runs_nothing() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else can give files away.
        return;
    }
    let scene = Scene::new();
    let pwn = scene.folder().join("PWN");
    let evil = scene.folder().join("evil.sh");
    write(
        &evil,
        format!("#!/bin/sh\ntouch '{}'\ncat\n", pwn.display()),
    );
    executable(&evil);
    let program = evil.to_str().unwrap();
    scene.write(".gitattributes", "*.txt filter=x\n");
    scene.commit("attributes");
    scene.git(&["config", "core.fsmonitor", program]);
    scene.git(&["config", "filter.x.clean", program]);
    scene.git(&["config", "filter.x.smudge", program]);
    let _ = fs::remove_file(&pwn);
    give_away(&scene.top());

    let workspace = scene.workspace(&["."]);
    let base = Base::capture(&workspace, &scene.folder().join("base"), Limits::default()).unwrap();
    scene.write("src/b.txt", "by the agent\n");
    let changes = base.changes().unwrap();
    assert_eq!(changes.files.len(), 1);
    base.revert(&changes.files).unwrap();
    for how in [ApplyHow::Merge, ApplyHow::Squash, ApplyHow::Patch] {
        let job = format!("{how:?}.txt").to_lowercase();
        let line = format!("made by {job}\n");
        let isolated = scene.job(&job, false, |tree| {
            write(&tree.join("src").join(&job), &line)
        });
        isolated.apply(how).unwrap();
        assert_eq!(read(&scene, &format!("src/{job}")), line);
    }
    assert!(!pwn.exists());
}

fn read(scene: &Scene, path: &str) -> String {
    fs::read_to_string(scene.path(path)).unwrap()
}

#[cfg(target_os = "linux")]
fn give_away(path: &Path) {
    std::os::unix::fs::lchown(path, Some(65534), Some(65534)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give_away(&entry.unwrap().path());
        }
    }
}

/// Pointers stay pointers, whatever the configuration calls git-lfs, and the job is told.
#[test]
fn files_kept_by_git_lfs_are_pointers_and_its_filter_is_not_run() {
    let scene = Scene::new();
    let pwn = scene.folder().join("PWN");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    scene.write("art/big.psd", pointer);
    scene.write(
        ".gitattributes",
        "*.psd filter=lfs diff=lfs merge=lfs -text\n",
    );
    scene.commit("lfs");
    // As `git lfs install --local` writes it, but for the program.
    for key in ["clean", "smudge", "process"] {
        let program = format!("touch '{}'; git-lfs {key} -- %f", pwn.display());
        scene.git(&["config", &format!("filter.lfs.{key}"), &program]);
    }
    scene.git(&["config", "filter.lfs.required", "true"]);
    // The user has the content; a filter would turn it into the pointer.
    scene.write("art/big.psd", "the content itself");

    let workspace = scene.workspace(&["."]);
    let base = Base::capture(&workspace, &scene.folder().join("base"), Limits::default()).unwrap();
    assert!(
        base.changes().unwrap().is_empty(),
        "the content is how the user has it"
    );
    scene.write("art/big.psd", "other content");
    let changes = base.changes().unwrap();
    assert_eq!(
        changes.read_before(b"art/big.psd", 0, 100).unwrap(),
        b"the content itself"
    );
    base.revert(&changes.files).unwrap();

    let isolated = scene.job("lfs", false, |tree| {
        assert_eq!(
            fs::read_to_string(tree.join("art/big.psd")).unwrap(),
            pointer
        );
        write(&tree.join("src/b.txt"), "changed\n");
    });
    let notes = isolated.record().notes.join("; ");
    assert!(
        notes.contains("files kept by git-lfs are pointers here"),
        "{notes}"
    );
    isolated.apply(ApplyHow::Patch).unwrap();
    assert_eq!(read(&scene, "src/b.txt"), "changed\n");
    assert_eq!(read(&scene, "art/big.psd"), "the content itself");
    assert!(!pwn.exists());
}

/// Permissions set and set back, a backup's attribute, another name: git runs the filter, sees the same and says nothing.
/// The filter is not ours to run, and the file was not written to.
#[test]
fn a_filtered_file_that_was_only_touched_is_not_uncommitted_work() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let scene = Scene::new();
    scene.write(".gitattributes", "*.psd filter=lfs -text\n");
    scene.git(&["config", "filter.lfs.clean", "tr A-Z a-z"]);
    scene.git(&["config", "filter.lfs.smudge", "tr a-z A-Z"]);
    scene.write("big.psd", "THE CONTENT");
    scene.commit("filtered");
    let file = scene.path("big.psd");
    let before = fs::metadata(&file).unwrap();
    let mode = before.permissions().mode();
    let touch = || {
        for mode in [mode ^ 0o022, mode] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        let now = fs::metadata(&file).unwrap();
        (now.ctime(), now.ctime_nsec()) != (before.ctime(), before.ctime_nsec())
    };
    // The clock of a file system is coarser than two calls are apart.
    while !touch() {}
    assert_eq!(scene.git(&["status", "--porcelain"]), "");

    let isolated = scene.job("touched", true, |tree| {
        write(&tree.join("big.psd"), "changed by the job");
    });
    assert_eq!(isolated.record().dirty_files, 0);
    // Nor is it in the way of a result that changes it.
    isolated.apply(ApplyHow::Patch).unwrap();
    assert_eq!(read(&scene, "big.psd"), "changed by the job");
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A process that is killed between any two steps of making or removing a tree leaves something of it.
#[test]
fn what_is_left_of_a_tree_half_made_or_half_removed_is_removed() {
    let scene = Scene::new();
    scene.git(&["worktree", "add", "-q", "-b", "mine", "../mine"]);
    let parts = ["tree", "keep", "result", "source", "isolated.json"];
    for gone in 0..parts.len() {
        let job = format!("job{gone}");
        let isolated = scene.job(&job, false, |tree| write(&tree.join("x.txt"), "x\n"));
        let tree = isolated.workspace().top().to_path_buf();
        drop(isolated);
        for part in &parts[..=gone] {
            let path = scene.state(&job).join(part);
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
        if tree.exists() {
            // What an agent leaves: a folder that cannot be entered, a rewritten `.git`.
            use std::os::unix::fs::PermissionsExt as _;
            fs::create_dir(tree.join("closed")).unwrap();
            write(&tree.join("closed/x"), "x");
            fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
            fs::remove_dir_all(tree.join(".git")).unwrap();
            write(&tree.join(".git"), "gitdir: /etc\n");
        }
        Isolated::remove(&scene.state(&job)).unwrap();
        for part in parts {
            assert!(!scene.state(&job).join(part).exists(), "{gone}: {part}");
        }
    }
    assert_eq!(
        scene.git(&["worktree", "list"]).lines().count(),
        2,
        "the user's own worktrees stay"
    );
    scene.git(&["fsck", "--full"]);
}

/// The inodes of a folder, links to files of others not counted.
fn inodes(folder: &Path) -> usize {
    use std::os::unix::fs::MetadataExt as _;
    let mut count = 0;
    let mut pending = vec![folder.to_path_buf()];
    while let Some(path) = pending.pop() {
        let found = path.symlink_metadata().unwrap();
        if found.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            pending.extend(entries.map(|entry| entry.unwrap().path()));
            count += 1;
        } else {
            count += usize::from(found.nlink() == 1);
        }
    }
    count
}

fn whole(scene: &Scene, job: &str) -> bool {
    Isolated::make_whole(&scene.state(job), &Limits::default()).unwrap()
}

fn small(scene: &Scene, job: &str) -> bool {
    Isolated::shrink(&scene.state(job), &workspace::Interrupt::default()).unwrap()
}

/// A checkout with much of what makes trees difficult, and a job that did all kinds of things in its own.
fn busy_job() -> Scene {
    let scene = Scene::new();
    for n in 0..400 {
        scene.write(format!("many/{}/{n}.txt", n % 20), format!("{n}\n"));
    }
    scene.write(".gitattributes", "*.crlf text eol=crlf\n*.bin -text\n");
    scene.write("lines.crlf", "one\ntwo\n");
    scene.write("run.sh", "#!/bin/sh\n");
    fs::set_permissions(
        scene.top().join("run.sh"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    symlink("src/a.txt", scene.top().join("points")).unwrap();
    scene.write(".worktreeinclude", ".env\n");
    scene.git(&["add", "-A"]);
    scene.git(&["commit", "-q", "-m", "More"]);
    scene.write(".env", "SECRET=1\n");
    scene.job("job", false, |tree| {
        edit(tree, "src/a.txt", "line 3", "LINE 3");
        write(&tree.join("more.crlf"), "x\r\ny\r\n");
        write(&tree.join("many/3/3.txt"), "changed\n");
        fs::remove_file(tree.join("many/4/4.txt")).unwrap();
        fs::remove_dir_all(tree.join("docs")).unwrap();
        write(&tree.join("docs"), "a file where a folder was\n");
        fs::remove_file(tree.join("many/9/9.txt")).unwrap();
        write(
            &tree.join("many/9/9.txt/deep"),
            "a folder where a file was\n",
        );
        fs::remove_file(tree.join("points")).unwrap();
        symlink("run.sh", tree.join("points")).unwrap();
        write(&tree.join("tool"), "#!/bin/sh\n");
        fs::set_permissions(
            tree.join("tool"),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        // What no result carries.
        write(&tree.join("debug.log"), "ignored, and only here\n");
        write(&tree.join("many/7/deep.log"), "this too\n");
        write(
            &tree.join("node_modules/a/index.js"),
            "made again by tools\n",
        );
        git(tree, &["init", "-q", "vendored"]);
        write(&tree.join("vendored/file.txt"), "of another repository\n");
        git(tree, &["commit", "-q", "-a", "-m", "the agent's own"]);
    });
    scene
}

/// When each file of a tree was last written; what git and tools make is not among them.
fn written(tree: &Path) -> BTreeMap<PathBuf, std::time::SystemTime> {
    let mut found = files(tree, false);
    found.retain(|path, _| !path.starts_with("node_modules"));
    let time = |path: &PathBuf| {
        let metadata = tree.join(path).symlink_metadata().unwrap();
        metadata.modified().unwrap()
    };
    found
        .keys()
        .map(|path| (path.clone(), time(path)))
        .collect()
}

#[test]
fn a_tree_that_became_small_is_whole_again_with_every_file() {
    let scene = busy_job();
    let tree = scene.state("job").join("tree");
    let mut before = files(&tree, false);
    before.retain(|path, _| !path.starts_with("node_modules"));
    let written = written(&tree);
    let unapplied = workspace::Unapplied::of(&scene.state("job"), "job").unwrap();
    assert!(inodes(&scene.state("job")) > 400);

    assert!(small(&scene, "job"));
    let left = inodes(&scene.state("job"));
    assert!(left < 200, "{left} inodes");
    let still = workspace::Unapplied::of(&scene.state("job"), "job").unwrap();
    assert_eq!(
        (still.files, &still.not_carried),
        (unapplied.files, &unapplied.not_carried)
    );
    assert!(small(&scene, "job"), "once more changes nothing");
    assert_eq!(inodes(&scene.state("job")), left);

    assert!(whole(&scene, "job"));
    assert_eq!(files(&tree, false), before);
    // Claude Code refuses to edit a file that is younger than its look at it.
    for (path, time) in self::written(&tree) {
        assert!(
            time <= written[&path],
            "{} is younger than it was",
            path.display()
        );
    }
    for exact in [
        "src/a.txt",
        "tool",
        "points",
        "debug.log",
        "many/7/deep.log",
    ] {
        let exact = Path::new(exact);
        assert_eq!(
            self::written(&tree)[exact],
            written[exact],
            "{}",
            exact.display()
        );
    }
    assert!(!scene.state("job").join("left").exists());
    assert_eq!(
        git(&tree, &["rev-parse", "HEAD"]),
        scene.git(&["rev-parse", "HEAD"])
    );
    assert!(!whole(&scene, "job"), "it is whole");

    // A job that goes on there counts from the first base, and its result is applied from a small tree.
    let mut isolated = Isolated::open(&scene.state("job"), "next").unwrap();
    let base = Base::capture(
        isolated.workspace(),
        &scene.state("job").join("base"),
        Limits::default(),
    )
    .unwrap();
    let base = base.before(&isolated.earlier().unwrap()).unwrap();
    write(&tree.join("src/b.txt"), "next\n");
    let changes = base.changes().unwrap();
    let named: Vec<String> = changes
        .files
        .iter()
        .map(|file| file.path.to_string())
        .collect();
    assert!(named.contains(&"src/b.txt".to_owned()) && named.contains(&"src/a.txt".to_owned()));
    assert!(
        !named.iter().any(|name| name.starts_with("many/5")),
        "{named:?}"
    );
    isolated.seal(&base, &changes, "Next").unwrap();
    drop((isolated, base, changes));
    assert!(small(&scene, "job"));
    let applied = Isolated::open(&scene.state("job"), "next")
        .unwrap()
        .apply(ApplyHow::Patch)
        .unwrap();
    assert!(applied.files.iter().any(|file| *file == "many/3/3.txt"));
    assert_eq!(
        fs::read_to_string(scene.top().join("src/b.txt")).unwrap(),
        "next\n"
    );
    assert!(
        fs::read_to_string(scene.top().join("src/a.txt"))
            .unwrap()
            .contains("LINE 3")
    );
}

#[test]
fn a_tree_is_whole_again_whenever_its_host_was_killed_while_it_became_small_or_whole() {
    let scene = busy_job();
    let folder = scene.state("job");
    let tree = folder.join("tree");
    let mut before = files(&tree, false);
    before.retain(|path, _| !path.starts_with("node_modules"));
    let same = |what: &str| {
        let mut now = files(&tree, false);
        now.retain(|path, _| !path.starts_with("node_modules"));
        assert_eq!(now, before, "{what}");
    };
    // While files were taken out of it.
    fs::create_dir_all(folder.join("left/many/7")).unwrap();
    fs::rename(
        tree.join("many/7/deep.log"),
        folder.join("left/many/7/deep.log"),
    )
    .unwrap();
    whole(&scene, "job");
    same("a file had been taken out");
    fs::create_dir_all(folder.join("left")).unwrap();
    fs::rename(tree.join("debug.log"), folder.join("left/debug.log")).unwrap();
    assert!(small(&scene, "job"));
    whole(&scene, "job");
    same("made small at the second attempt");
    // While it was emptied, and while it was filled again.
    assert!(small(&scene, "job"));
    fs::remove_dir_all(tree.join(".git")).unwrap();
    assert!(small(&scene, "job"));
    write(&tree.join("src/b.txt"), "half made\n");
    whole(&scene, "job");
    same("emptied twice");
    // While what had been left was deleted.
    assert!(small(&scene, "job"));
    let left = folder.join("left-before");
    git(&folder, &["init", "-q", "unused"]);
    std::process::Command::new("cp")
        .arg("-a")
        .arg(folder.join("left"))
        .arg(&left)
        .status()
        .unwrap();
    whole(&scene, "job");
    fs::rename(&left, folder.join("left")).unwrap();
    whole(&scene, "job");
    same("left over");
    assert!(!folder.join("left").exists());
}

#[test]
fn what_a_small_tree_needs_outlives_a_gc_in_the_users_repository() {
    let scene = busy_job();
    assert!(small(&scene, "job"));
    // The base is nowhere else any more.
    scene.git(&["checkout", "-q", "--orphan", "other"]);
    scene.git(&["commit", "-q", "-m", "Begin anew"]);
    scene.git(&["branch", "-D", "main"]);
    scene.git(&["reflog", "expire", "--expire=now", "--all"]);
    scene.git(&["gc", "-q", "--prune=now"]);
    assert!(whole(&scene, "job"));
    let tree = scene.state("job").join("tree");
    assert!(
        fs::read_to_string(tree.join("src/a.txt"))
            .unwrap()
            .contains("LINE 3")
    );
    git(&tree, &["fsck", "--connectivity-only"]);
}

#[test]
fn a_tree_without_a_result_stays_whole() {
    let scene = Scene::new();
    let isolated = scene.isolate("job", None, false).unwrap();
    write(
        &isolated.workspace().top().join("work.txt"),
        "of a job that was killed\n",
    );
    drop(isolated);
    assert!(!small(&scene, "job"));
    assert!(scene.state("job").join("tree/work.txt").exists());
}
