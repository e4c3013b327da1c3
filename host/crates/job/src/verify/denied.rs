//! The paths that confinement refused a failed command: the paths in its output that are on the machine and not in its view.
//!
//! In a view a path that was not granted does not exist, so that the error reads as if a file were missing. The host knows
//! better, and says which grant would help.

use std::path::{Component, Path, PathBuf};

use process::Confinement;

/// The messages of programs about a path that they cannot open.
const MISSING: [&str; 9] = [
    "No such file",
    "no such file",
    "not found",
    "ENOENT",
    "Permission denied",
    "permission denied",
    "EACCES",
    "cannot open",
    "can't open",
];
/// The messages of programs about a path that they cannot write.
const UNWRITABLE: [&str; 2] = ["Read-only file system", "EROFS"];

/// The folders that every task has for itself.
const OWN: [&str; 3] = ["/proc", "/sys", "/dev"];

/// The last lines of an output that are looked at, and the paths in them.
const LINES: usize = 400;
const PATHS: usize = 40;
/// The paths that are named.
const NAMED: usize = 3;

/// A path that a command could not use.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refused {
    path: PathBuf,
    write: bool,
}

/// Names what confinement kept from a command with this output, with the setting that grants it; none where nothing of
/// what it missed is on the machine. `home` is the command's own HOME, `users` the user's.
pub async fn told(
    output: &str,
    confinement: &Confinement,
    home: &Path,
    users: Option<&Path>,
) -> Option<String> {
    let own: Vec<&Path> = confinement
        .write
        .iter()
        .chain(&confinement.temp)
        .map(PathBuf::as_path)
        .collect();
    let mut refused: Vec<Refused> = Vec::new();
    for mut found in paths(output) {
        // A HOME of its own hides what the user has there.
        if let (Ok(below), Some(users)) = (found.path.strip_prefix(home), users) {
            found.path = users.join(below);
        } else if own.iter().any(|own| found.path.starts_with(own)) {
            continue;
        }
        if OWN.iter().any(|own| found.path.starts_with(own)) {
            continue;
        }
        let there = match found.write {
            true => found.path.parent().is_some_and(Path::exists),
            false => found.path.symlink_metadata().is_ok(),
        };
        if there && !refused.contains(&found) {
            refused.push(found);
        }
    }
    if refused.is_empty() || confinement.mode == process::SandboxMode::Off {
        return None;
    }
    let asked: Vec<PathBuf> = refused.iter().map(|found| found.path.clone()).collect();
    let confinement = Confinement {
        layers: Vec::new(),
        ..confinement.clone()
    };
    let unseen = process::out_of_reach(&asked, &confinement).await.ok()?;
    refused.retain(|found| found.write || unseen.contains(&found.path));
    let said: Vec<String> = refused
        .iter()
        .take(NAMED)
        .map(|Refused { path, write }| {
            let (path, granted) = (path.display(), grant(path));
            match write {
                true => format!("{path} is not writable; WORKER_SANDBOX_WRITE={granted}"),
                false => format!("{path} is not readable; WORKER_SANDBOX_READ={granted}"),
            }
        })
        .collect();
    (!said.is_empty()).then(|| format!("sandbox: {}", said.join(", ")))
}

/// Returns the folder to grant for a path: a file is rarely needed alone.
fn grant(path: &Path) -> String {
    let folder = match path.is_dir() {
        true => path,
        false => path.parent().unwrap_or(path),
    };
    folder.display().to_string()
}

/// The absolute paths in lines that tell of something that could not be opened or written.
fn paths(output: &str) -> Vec<Refused> {
    let mut found: Vec<Refused> = Vec::new();
    let lines: Vec<&str> = output.lines().rev().take(LINES).collect();
    for line in lines.into_iter().rev() {
        let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
        let write = has(&UNWRITABLE);
        if !write && !has(&MISSING) {
            continue;
        }
        for path in in_line(line) {
            let path = Refused { path, write };
            if found.len() < PATHS && !found.contains(&path) {
                found.push(path);
            }
        }
    }
    found
}

fn in_line(line: &str) -> Vec<PathBuf> {
    let ends = |c: char| c.is_whitespace() || "'\"`,;()[]{}<>|=‘’“”".contains(c);
    let words = line.split(ends);
    let paths = words.filter_map(|word| {
        // `open:/path` and `/path:12:`; a URL is no path.
        let from = word.find('/')?;
        let before = word.get(..from)?;
        if word.get(from..)?.starts_with("//") || !(before.is_empty() || before.ends_with(':')) {
            return None;
        }
        let path = word.get(from..)?;
        let path = path.split(':').next()?.trim_end_matches(['.', '/']);
        let path = Path::new(path);
        let plain = path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        (plain && path.components().count() > 2).then(|| path.to_owned())
    });
    paths.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_as_programs_write_them() {
        let rows = [
            (
                "cat: /home/me/.x/lib: No such file or directory",
                "/home/me/.x/lib",
            ),
            (
                "bash: line 1: /opt/tool/bin/x: Permission denied",
                "/opt/tool/bin/x",
            ),
            (
                "Error: ENOENT: no such file or directory, open '/home/me/.npmrc'",
                "/home/me/.npmrc",
            ),
            (
                "FileNotFoundError: [Errno 2] No such file or directory: \"/srv/data/a.db\"",
                "/srv/data/a.db",
            ),
            (
                "open /var/run/docker.sock: no such file or directory",
                "/var/run/docker.sock",
            ),
            (
                "error while loading shared libraries: cannot open /home/me/lib/x.so.",
                "/home/me/lib/x.so",
            ),
            ("stat:/etc/x/y: not found", "/etc/x/y"),
        ];
        for (line, path) in rows {
            let wanted = Refused {
                path: path.into(),
                write: false,
            };
            assert_eq!(paths(line), [wanted], "{line}");
        }
        let written = "mkdir: cannot create directory ‘/opt/cache/x’: Read-only file system";
        let wanted = Refused {
            path: "/opt/cache/x".into(),
            write: true,
        };
        assert_eq!(paths(written), [wanted]);
        for line in [
            "GET https://example.org/a/b: 404 not found",
            "src/a.rs: No such file",
            "/home/me/x is fine",
            "/../../etc/x: No such file",
        ] {
            assert_eq!(paths(line), [], "{line}");
        }
    }
}
