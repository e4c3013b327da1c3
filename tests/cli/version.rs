//! What the program says of itself.

use std::path::Path;
use std::process::Command;

use super::User;

#[test]
fn the_version_names_the_commit_and_the_target() {
    let output = User::new().run(&["--version"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let (version, rest) = said
        .trim()
        .strip_prefix("mcp-codex-worker ")
        .and_then(|said| said.split_once(" ("))
        .unwrap_or_else(|| panic!("{said}"));
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let (commit, target) = rest.strip_suffix(')').unwrap().split_once(", ").unwrap();
    assert!(
        target.starts_with(std::env::consts::ARCH) && target.contains(std::env::consts::OS),
        "{target}"
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    if std::env::var_os("WORKER_COMMIT").is_some() || !root.join(".git").exists() {
        // A packager's word, or sources without git.
        return;
    }
    let head = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(root)
        .output()
        .unwrap();
    assert_eq!(commit, String::from_utf8(head.stdout).unwrap().trim());
}

#[test]
fn it_does_not_update_itself() {
    let user = User::new();
    let output = user.run(&["update"]);
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("update --check"), "{complaint}");
    // Nobody listens there: what it is and how it came here is said all the same.
    let output = user.run(&["update", "--check", "--url", "http://127.0.0.1:1/latest"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("installed by building it in a checkout: "),
        "{said}"
    );
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("WORKER_UPDATE_URL"), "{complaint}");
}
