//! The programs on PATH that would not run in a job, and what to grant for them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Finding;
use process::{Confinement, Grants};
use settings::{SandboxMode, Settings};

const WHAT: &str = "PATH";

/// Folders of the system, which every task can read.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/opt", "/snap", "/nix"];
/// The most programs that are asked about.
const MOST: usize = 5_000;
/// The most programs of one folder that are named.
const NAMED: usize = 4;

/// A program on PATH.
#[derive(Debug, Clone)]
struct Program {
    folder: PathBuf,
    path: PathBuf,
    /// The place where its links lead.
    real: PathBuf,
    interpreter: Option<PathBuf>,
}

/// Asks from within a confined task.
pub(super) async fn look(settings: &Settings) -> Vec<Finding> {
    if settings.sandbox == SandboxMode::Off {
        return Vec::new();
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    let programs = programs(std::env::split_paths(&search));
    if programs.is_empty() {
        return vec![Finding::ok(
            WHAT,
            "every program lies in a folder of the system",
        )];
    }
    let Ok(home) = tempfile::tempdir() else {
        return Vec::new();
    };
    let mut read = process::toolchains(home.path()).read;
    read.extend(settings.sandbox_read.iter().cloned());
    read.extend(settings.sandbox_write.iter().cloned());
    let confinement = Confinement {
        mode: settings.sandbox,
        read,
        temp: Some(home.path().to_owned()),
        grants: Grants::beside(settings.sandbox_root.iter().cloned().collect()),
        ..Confinement::off()
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for program in &programs {
        paths.push(program.path.clone());
        paths.extend(program.interpreter.iter().cloned());
    }
    match process::out_of_reach(&paths, &confinement).await {
        Ok(unreadable) => findings(settings, &programs, &unreadable),
        Err(fault) => vec![Finding::warn(
            WHAT,
            format!("cannot be looked at from within a job: {fault}"),
            "see the finding about the sandbox",
        )],
    }
}

fn programs(folders: impl Iterator<Item = PathBuf>) -> Vec<Program> {
    let mut found = Vec::new();
    let mut names = HashSet::new();
    for folder in folders {
        let is_system = SYSTEM.iter().any(|system| folder.starts_with(system));
        if !folder.is_absolute() {
            continue;
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            // The first of a name is the one that runs.
            if !names.insert(entry.file_name()) || is_system {
                continue;
            }
            let path = entry.path();
            let runs = std::fs::metadata(&path)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
            let Some(real) = path.canonicalize().ok().filter(|_| runs) else {
                continue;
            };
            found.push(Program {
                folder: folder.clone(),
                interpreter: process::interpreter(&real),
                path,
                real,
            });
            if found.len() == MOST {
                return found;
            }
        }
    }
    found
}

fn findings(
    settings: &Settings,
    programs: &[Program],
    unreadable: &HashSet<PathBuf>,
) -> Vec<Finding> {
    // By folder and by what is out of reach there.
    let mut kinds: BTreeMap<(&Path, String), (Vec<String>, BTreeSet<PathBuf>)> = BTreeMap::new();
    for program in programs {
        let (why, needs) = if unreadable.contains(&program.path) {
            let needs = grant_for(&program.real, settings);
            let why = match program.real.starts_with(&program.folder) {
                true => "cannot be read there".to_owned(),
                false => format!("lead to {}", shown_folder(&program.real)),
            };
            (why, needs)
        } else if let Some(interpreter) = program
            .interpreter
            .as_ref()
            .filter(|interpreter| unreadable.contains(*interpreter))
        {
            let real = interpreter.canonicalize();
            let real = real.unwrap_or_else(|_| interpreter.clone());
            let why = format!("are run by {}", interpreter.display());
            (why, grant_for(&real, settings))
        } else {
            continue;
        };
        let entry = kinds.entry((&program.folder, why)).or_default();
        let name = program.path.file_name().unwrap_or_default();
        entry.0.push(name.to_string_lossy().into_owned());
        entry.1.extend(needs);
    }
    if kinds.is_empty() {
        let count = programs.len();
        return vec![Finding::ok(
            WHAT,
            format!("all {count} programs outside the system's folders can be run in a job"),
        )];
    }
    let mut read: Vec<PathBuf> = settings.sandbox_read.clone();
    for (_, needs) in kinds.values() {
        read.extend(needs.iter().cloned());
    }
    read.dedup();
    let line = std::env::join_paths(&read).unwrap_or_default();
    let line = format!("WORKER_SANDBOX_READ={}", line.to_string_lossy());
    kinds
        .into_iter()
        .map(|((folder, why), (names, needs))| {
            let more = names.len().saturating_sub(NAMED);
            let shown = names.get(..NAMED.min(names.len())).unwrap_or_default();
            let more = match more {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let detail = format!(
                "{}: {}{more} would not run in a job: they {why}",
                folder.display(),
                shown.join(", ")
            );
            let remedy = match needs.is_empty() {
                true => "no job may be granted a HOME or SANDBOX_ROOT: install them elsewhere"
                    .to_owned(),
                false => format!("if jobs need them: {line}"),
            };
            Finding::warn(WHAT, detail, remedy)
        })
        .collect()
}

/// Returns the folder or file to grant so that a program can be read: its installation's folder, or the file alone where that is the home, holds
/// it, or is what jobs write.
fn grant_for(real: &Path, settings: &Settings) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let root = settings
        .sandbox_root
        .as_ref()
        .and_then(|root| root.canonicalize().ok());
    if root.is_some_and(|root| real.starts_with(root)) {
        return None;
    }
    let too_wide = |folder: &Path| {
        folder.parent().is_none() || home.as_ref().is_some_and(|home| home.starts_with(folder))
    };
    let folder = real.parent()?;
    let installation = match folder.file_name() {
        Some(name) if name == "bin" || name == "sbin" => folder.parent()?,
        _ => folder,
    };
    let fits = [installation, folder, real];
    fits.into_iter()
        .find(|path| !too_wide(path))
        .map(Path::to_owned)
}

fn shown_folder(real: &Path) -> String {
    real.parent().unwrap_or(real).display().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_grant_is_the_installation_and_never_the_home() {
        let settings = Settings::load(&settings::Sources::from_environment(
            [("HOME".to_owned(), "/home/me".to_owned())].into(),
        ))
        .unwrap();
        let home = PathBuf::from(std::env::var_os("HOME").unwrap());
        for (real, grant) in [
            (home.join("tools/x/bin/x"), home.join("tools/x")),
            (home.join("tools/x/x.py"), home.join("tools/x")),
            (home.join("bin/x"), home.join("bin")),
            (home.join("x"), home.join("x")),
        ] {
            assert_eq!(
                grant_for(&real, &settings),
                Some(grant),
                "{}",
                real.display()
            );
        }
    }
}
