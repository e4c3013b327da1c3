//! No path leads out of SANDBOX_ROOT: not by its letters, not by links, not by a race.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use workspace::{Root, WorkspaceError};

struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        for folder in [
            "root/project/src",
            "root/project/deep/er",
            "outside/secret",
            "rootless",
        ] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        fs::write(path.join("root/project/src/a.rs"), "a\n").unwrap();
        fs::write(path.join("outside/secret/key"), "secret\n").unwrap();
        let root = path.join("root");
        for (target, link) in [
            ("project", "to-project"),
            ("../outside", "up"),
            ("../outside/secret/key", "up-file"),
            ("/etc", "etc"),
            ("/etc/passwd", "passwd"),
            ("/proc/self/root", "proc-root"),
            ("/proc/self/cwd", "proc-cwd"),
            ("..", "parent"),
            (".", "here"),
            ("up/secret", "chain"),
            ("loop-b", "loop-a"),
            ("loop-a", "loop-b"),
            ("nowhere", "dangling"),
            ("project/deep/er/../../../../outside", "dots"),
            ("project/deep/../src", "inner-dots"),
            ("../root/project", "out-and-in"),
            ("/", "slash"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        symlink(root.join("project"), root.join("absolute-inside")).unwrap();
        symlink(path.join("rootless"), root.join("absolute-sibling")).unwrap();
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    fn root(&self) -> Root {
        Root::open(&self.path().join("root")).unwrap()
    }
}

/// Paths (relative to the root, `{}` standing for the folder around it) and what must come of them.
const HOSTILE: &[&str] = &[
    "..",
    "../",
    "../outside",
    "../outside/secret/key",
    "./../outside",
    "project/../../outside",
    "project/src/../../../outside/secret/key",
    "project/deep/er/../../../../outside",
    "up",
    "up/secret",
    "up/secret/key",
    "up/../root",
    "up-file",
    "etc",
    "etc/passwd",
    "passwd",
    "proc-root",
    "proc-root/etc/passwd",
    "proc-cwd",
    "parent",
    "parent/root/project",
    "parent/outside/secret",
    "here/../../outside",
    "chain",
    "chain/key",
    "loop-a",
    "loop-b/x",
    "dangling",
    "dots",
    "dots/secret/key",
    "out-and-in",
    "slash",
    "slash/etc/passwd",
    "absolute-sibling",
    "to-project/../../outside",
    "inner-dots/../../../outside",
    "project/src/a.rs/..",
    "project/src/a.rs/",
    "project/SRC",
    "project/src.",
    "project/src/a.rs\0",
    "\0",
    "/",
    "/etc/passwd",
    "/proc/self/root",
    "/proc/self/root/etc",
    "{}",
    "{}/outside/secret/key",
    "{}/root/../outside",
    "{}/rootless",
    "{}/root-and-more",
    "{}/root/project/../../outside",
    "//etc/passwd",
    "~/.ssh/id_rsa",
    "file:///etc/passwd",
];

#[test]
fn hostile_paths_are_refused() {
    let scene = Scene::new();
    let root = scene.root();
    assert!(HOSTILE.len() >= 40);
    for hostile in HOSTILE {
        let path = hostile.replace("{}", scene.path().to_str().unwrap());
        match root.resolve(Path::new(&path)) {
            Ok(found) => panic!("{hostile:?} resolved to {}", found.display()),
            Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        }
        assert!(
            root.read(Path::new(&path), 100).is_err(),
            "{hostile:?} was read"
        );
        assert!(root.list(&[path], 100).is_err(), "{hostile:?} was listed");
    }
    assert!(
        root.resolve(Path::new(OsStr::from_bytes(b"\xff\xfe/../..")))
            .is_err()
    );
    assert!(root.resolve(Path::new(&"a/".repeat(5000))).is_err());
}

#[test]
fn the_refusal_names_the_path_and_the_root() {
    let scene = Scene::new();
    let error = scene.root().resolve(Path::new("/etc/passwd")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "/etc/passwd is outside SANDBOX_ROOT ({}/root)",
            scene.path().display()
        )
    );
    assert!(matches!(
        scene.root().resolve(Path::new("project/none")),
        Err(WorkspaceError::Missing { .. })
    ));
}

#[test]
fn paths_that_stay_inside_resolve_to_where_they_lead() {
    let scene = Scene::new();
    let root = scene.root();
    let inside = scene.path().join("root");
    for (path, expected) in [
        ("", ""),
        (".", ""),
        ("project", "project"),
        ("project/", "project"),
        ("project//src/./a.rs", "project/src/a.rs"),
        ("project/deep/../src", "project/src"),
        ("to-project/src", "project/src"),
        ("here/here/project", "project"),
        ("inner-dots", "project/src"),
        ("absolute-inside/src/a.rs", "project/src/a.rs"),
        ("{}/root", ""),
        ("{}/root/project", "project"),
        ("{}/root/to-project", "project"),
    ] {
        let given = path.replace("{}", scene.path().to_str().unwrap());
        let found = root
            .resolve(Path::new(&given))
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(
            found,
            if expected.is_empty() {
                inside.clone()
            } else {
                inside.join(expected)
            },
            "{path}"
        );
    }
}

#[test]
fn a_root_that_is_a_link_is_resolved_once() {
    let scene = Scene::new();
    let link = scene.path().join("link-to-root");
    symlink("root", &link).unwrap();
    let root = Root::open(&link).unwrap();
    assert_eq!(root.path(), scene.path().join("root"));
    assert!(
        root.resolve(&link.join("project")).is_ok(),
        "the operator's own spelling of the root is one of its names"
    );
    fs::remove_file(&link).unwrap();
    symlink("outside", &link).unwrap();
    assert_eq!(
        root.resolve(Path::new("project")).unwrap(),
        scene.path().join("root/project")
    );
    assert!(root.resolve(Path::new("secret")).is_err());
}

#[test]
fn a_root_that_is_missing_or_a_file_is_refused_by_name() {
    let scene = Scene::new();
    for path in ["nowhere", "root/project/src/a.rs"] {
        let error = Root::open(&scene.path().join(path))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("SANDBOX_ROOT ") && error.contains(path),
            "{error}"
        );
    }
}

#[test]
fn a_link_swapped_in_while_resolving_never_leads_out() {
    let scene = Scene::new();
    let root = scene.root();
    let inside = scene.path().join("root");
    let stop = AtomicBool::new(false);
    let (real, swap, parked) = (
        inside.join("swap"),
        inside.join("swap-link"),
        inside.join("swap-parked"),
    );
    fs::create_dir_all(real.join("secret")).unwrap();
    fs::write(real.join("secret/key"), "harmless\n").unwrap();
    symlink("../outside", &swap).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // The folder goes away and the link takes its name, and back.
                let _ = fs::rename(&real, &parked);
                let _ = fs::rename(&swap, &real);
                let _ = fs::rename(&real, &swap);
                let _ = fs::rename(&parked, &real);
            }
        });
        let mut read = 0;
        for _ in 0..10_000 {
            if let Ok(found) = root.resolve(Path::new("swap/secret/key")) {
                assert!(found.starts_with(&inside), "{}", found.display());
            }
            if let Ok(text) = root.read(Path::new("swap/secret/key"), 100) {
                assert_eq!(text.bytes, b"harmless\n", "a file outside was read");
                read += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(
            read > 0,
            "the race must also be won by the honest side now and then"
        );
    });
}

#[test]
fn reading_is_bounded_and_only_of_plain_files() {
    let scene = Scene::new();
    let root = scene.root();
    fs::write(scene.path().join("root/long"), vec![b'x'; 5000]).unwrap();
    let text = root.read(Path::new("long"), 100).unwrap();
    assert_eq!((text.bytes.len(), text.size), (100, 5000));
    assert!(matches!(
        root.read(Path::new("project"), 100),
        Err(WorkspaceError::NotAFile { .. })
    ));
    let pipe = scene.path().join("root/pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    assert!(
        matches!(
            root.read(Path::new("pipe"), 100),
            Err(WorkspaceError::NotAFile { .. })
        ),
        "a FIFO must not block"
    );
}

#[test]
fn globs_list_files_below_the_root_only() {
    let scene = Scene::new();
    let root = scene.root();
    let inside = scene.path().join("root");
    for file in [
        "project/src/b.rs",
        "project/src/c.txt",
        "project/deep/er/d.rs",
        "project/.git/config",
        "project/.git/HEAD",
        "project/.git/objects/info/x",
        "project/.git/refs/heads/x",
        "project/x.log",
    ] {
        fs::create_dir_all(inside.join(file).parent().unwrap()).unwrap();
        fs::write(inside.join(file), "x\n").unwrap();
    }
    fs::write(inside.join("project/.gitignore"), "*.log\n").unwrap();
    let listed = |patterns: &[&str], most: usize| {
        let patterns: Vec<String> = patterns
            .iter()
            .map(|pattern| (*pattern).to_owned())
            .collect();
        let listing = root.list(&patterns, most).unwrap();
        let names: Vec<String> = listing
            .files
            .iter()
            .map(|file| file.strip_prefix(&inside).unwrap().display().to_string())
            .collect();
        (names.join(" "), listing.truncated)
    };
    assert_eq!(
        listed(&["project/src/*.rs"], 10).0,
        "project/src/a.rs project/src/b.rs"
    );
    assert_eq!(
        listed(&["project/**/*.rs"], 10).0,
        "project/deep/er/d.rs project/src/a.rs project/src/b.rs"
    );
    assert_eq!(
        listed(&["project/src/{b,c}.*"], 10).0,
        "project/src/b.rs project/src/c.txt"
    );
    assert_eq!(
        listed(&["project/x.log"], 10).0,
        "project/x.log",
        "a file named by itself is meant"
    );
    assert_eq!(
        listed(&["project"], 10).0,
        "project/.gitignore project/deep/er/d.rs project/src/a.rs project/src/b.rs project/src/c.txt"
    );
    assert_eq!(
        listed(&["project"], 2),
        ("project/.gitignore project/deep/er/d.rs".to_owned(), true)
    );
    assert_eq!(listed(&["*/secret/*"], 10).0, "", "a glob follows no link");
    for (pattern, part) in [
        ("../**", "is outside SANDBOX_ROOT"),
        ("up/*", "is outside"),
        ("project/[", "is not a glob"),
        ("none/*", "does not exist"),
    ] {
        let error = root
            .list(&[pattern.to_owned()], 10)
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{pattern}: {error}");
    }
}
