//! Installations: what the programs in a folder need beside them, by rule and not by product.

use std::path::{Path, PathBuf};

/// Folders of an installation that hold programs and their parts. A tool's own folder in HOME may
/// hold credentials beside them (`~/.docker`, `~/.fly`, `~/.pulumi`).
const PARTS: &[&str] = &["bin", "sbin", "lib", "lib64", "libexec", "include", "share"];
/// The parts of `~/.local` that are programs; keyrings and histories lie in `share`.
const LOCAL_PARTS: &[&str] = &["bin", "lib", "lib64", "libexec"];
/// The most links in one folder that are followed.
const LINK_LIMIT: usize = 2_000;

/// Returns what may be read for the programs in `folder`: their installation, and those that links
/// in it lead to. Nothing of it is the user's home or holds it.
pub(crate) fn installations(folder: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let mut found = of_folder(folder, home);
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let links = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
        .take(LINK_LIMIT);
    for link in links {
        let Ok(program) = link.path().canonicalize() else {
            continue;
        };
        if !found.iter().any(|granted| program.starts_with(granted)) {
            found.extend(of_program(&program, home));
        }
    }
    found.retain(|path| !home.is_some_and(|home| home.starts_with(path)) && path != Path::new("/"));
    found
}

fn of_program(program: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let Some(folder) = program.parent() else {
        return Vec::new();
    };
    if is_of_programs(folder) {
        return of_folder(folder, home);
    }
    // A script of an npm package needs its package, and the packages beside it.
    let packages = program
        .ancestors()
        .filter(|folder| folder.ends_with("node_modules"))
        .last();
    vec![packages.unwrap_or(program).to_owned()]
}

fn is_of_programs(folder: &Path) -> bool {
    folder
        .file_name()
        .is_some_and(|name| name == "bin" || name == "sbin")
}

/// Returns what belongs to the programs in one folder.
fn of_folder(folder: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let prefix = folder.parent().filter(|_| is_of_programs(folder));
    // System folders may be read anyway.
    let Some(prefix) = prefix.filter(|prefix| !prefix.starts_with("/usr")) else {
        return found;
    };
    if home.is_some_and(|home| home.starts_with(prefix)) {
        return found;
    }
    if prefix.join("pyvenv.cfg").is_file() || prefix.join("conda-meta").is_dir() {
        found.push(prefix.to_owned());
        found.extend(base_of(prefix, home));
        return found;
    }
    let hidden = prefix
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    if !hidden || prefix.parent() != home {
        found.push(prefix.to_owned());
        return found;
    }
    let parts = if prefix.ends_with(".local") {
        LOCAL_PARTS
    } else {
        PARTS
    };
    found.extend(
        parts
            .iter()
            .map(|part| prefix.join(part))
            .filter(|part| part.is_dir()),
    );
    found
}

/// Returns the installation that the `pyvenv.cfg` of a virtual environment names.
fn base_of(environment: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(environment.join("pyvenv.cfg")).unwrap_or_default();
    let named = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "home").then(|| PathBuf::from(value.trim()))
    });
    let Some(folder) = named.filter(|folder| folder.is_absolute() && is_of_programs(folder)) else {
        return Vec::new();
    };
    // A job can write such a file: what it names has to be what it says.
    let Ok(real) = folder.join("python3").canonicalize() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for folder in [Some(folder.as_path()), real.parent()]
        .into_iter()
        .flatten()
    {
        let prefix = folder.parent().filter(|prefix| !prefix.starts_with("/usr"));
        let Some(prefix) = prefix.filter(|_| is_of_programs(folder)) else {
            continue;
        };
        if home.is_some_and(|home| home.starts_with(prefix)) {
            continue;
        }
        let parts = LOCAL_PARTS
            .iter()
            .chain(&["include"])
            .map(|part| prefix.join(part));
        found.extend(parts.filter(|part| part.is_dir()));
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_a_folder_of_path_needs_is_found_by_rule_and_credentials_stay_out() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap().join("home");
        let write = |path: &str, text: &str| {
            let path = home.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for file in [
            "miniconda3/bin/python3",
            "miniconda3/conda-meta/history",
            ".tool/bin/tool",
            ".tool/lib/part",
            ".tool/credentials.json",
            ".local/bin/own",
            ".local/lib/python3.12/site-packages/x.py",
            ".local/share/keyrings/login.keyring",
            ".local/share/uv/python/cpython-3.12/bin/python3",
            ".local/share/uv/python/cpython-3.12/lib/python3.12/os.py",
            ".local/share/uv/tools/ruff/bin/ruff",
            ".npm-global/lib/node_modules/pkg/cli.js",
            "sdk/bin/sdk",
            "bin/script",
            "src/tool/cli.js",
        ] {
            write(file, "");
        }
        let python = home.join(".local/share/uv/python/cpython-3.12/bin");
        let environment = format!("home = {}\nversion = 3.12\n", python.display());
        write(".local/share/uv/tools/ruff/pyvenv.cfg", &environment);
        write("venv/pyvenv.cfg", &environment);
        write("venv/bin/activate", "");
        write(
            "forged/pyvenv.cfg",
            &format!("home = {}/.tool/bin\n", home.display()),
        );
        write("forged/bin/x", "");
        symlink(
            "../share/uv/tools/ruff/bin/ruff",
            home.join(".local/bin/ruff"),
        )
        .unwrap();
        symlink(home.join("src/tool/cli.js"), home.join("bin/linked")).unwrap();
        symlink(
            home.join(".npm-global/lib/node_modules/pkg/cli.js"),
            home.join("bin/pkg"),
        )
        .unwrap();
        let rows: [(&str, &[&str], &[&str]); 7] = [
            ("miniconda3/bin", &["miniconda3"], &[]),
            (".tool/bin", &[".tool/lib"], &[".tool/credentials.json"]),
            (
                ".local/bin",
                &[
                    ".local/lib",
                    ".local/share/uv/tools/ruff/pyvenv.cfg",
                    ".local/share/uv/python/cpython-3.12/lib/python3.12/os.py",
                ],
                &[".local/share/keyrings"],
            ),
            (
                "venv/bin",
                &["venv/pyvenv.cfg", ".local/share/uv/python/cpython-3.12/bin"],
                &[],
            ),
            ("sdk/bin", &["sdk"], &[]),
            (
                "bin",
                &["src/tool/cli.js", ".npm-global/lib/node_modules/pkg"],
                &["src/tool", "src", "sdk"],
            ),
            (
                "forged/bin",
                &["forged"],
                &[".tool/bin/tool", ".tool/credentials.json"],
            ),
        ];
        for (path, needed, kept) in rows {
            let found = installations(&home.join(path), Some(&home));
            let granted = |part: &str| {
                let part = home.join(part);
                found.iter().any(|granted| part.starts_with(granted))
            };
            assert!(needed.iter().all(|part| granted(part)), "{path}: {found:?}");
            assert!(!kept.iter().any(|part| granted(part)), "{path}: {found:?}");
        }
    }
}
