//! The toolchains of the machine, so that a confined task with a HOME of its own can build and
//! test.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::installations::installations;

/// Toolchain homes found on this machine.
#[derive(Debug, Clone, Default)]
pub struct Toolchains {
    /// Folders and files a task may read and execute.
    pub read: Vec<PathBuf>,
    /// Variables that name them, PATH among them.
    pub env: Vec<(OsString, OsString)>,
    cargo: Option<CargoHomes>,
}

/// The user's CARGO_HOME, and the task's.
#[derive(Debug, Clone)]
struct CargoHomes {
    user: PathBuf,
    own: PathBuf,
}

/// A toolchain home: the variable that names it, and where it is when the variable is not set.
struct Home {
    variable: &'static str,
    default: Option<&'static str>,
}

const HOMES: &[Home] = &[
    Home {
        variable: "RUSTUP_HOME",
        default: Some(".rustup"),
    },
    Home {
        variable: "NVM_DIR",
        default: Some(".nvm"),
    },
    Home {
        variable: "FNM_DIR",
        default: Some(".local/share/fnm"),
    },
    Home {
        variable: "VOLTA_HOME",
        default: Some(".volta"),
    },
    Home {
        variable: "PNPM_HOME",
        default: Some(".local/share/pnpm"),
    },
    Home {
        variable: "BUN_INSTALL",
        default: Some(".bun"),
    },
    Home {
        variable: "DENO_INSTALL",
        default: Some(".deno"),
    },
    Home {
        variable: "PYENV_ROOT",
        default: Some(".pyenv"),
    },
    Home {
        variable: "CONDA_PREFIX",
        default: None,
    },
    Home {
        variable: "VIRTUAL_ENV",
        default: None,
    },
    Home {
        variable: "UV_PYTHON_INSTALL_DIR",
        default: Some(".local/share/uv/python"),
    },
    Home {
        variable: "GOROOT",
        default: None,
    },
    Home {
        variable: "JAVA_HOME",
        default: None,
    },
    Home {
        variable: "SDKMAN_DIR",
        default: Some(".sdkman"),
    },
    Home {
        variable: "RBENV_ROOT",
        default: Some(".rbenv"),
    },
    Home {
        variable: "ASDF_DATA_DIR",
        default: Some(".asdf"),
    },
    Home {
        variable: "MISE_DATA_DIR",
        default: Some(".local/share/mise"),
    },
    Home {
        variable: "GHCUP_INSTALL_BASE_PREFIX",
        default: None,
    },
    Home {
        variable: "ANDROID_HOME",
        default: None,
    },
    Home {
        variable: "DOTNET_ROOT",
        default: Some(".dotnet"),
    },
];

/// The parts of CARGO_HOME that may be read; credentials lie beside it.
const CARGO_PARTS: &[&str] = &["bin", "registry", "git", "env", "config.toml", "config"];

/// Looks at this process's environment and its user's home, and gives a task whose HOME is `home` caches of its own.
///
/// Package caches of the user are shared for reading only: sources that a job could change there would be compiled by
/// the user later, unconfined. So cargo gets a CARGO_HOME in the job's HOME whose packages are links into the user's, and
/// go a GOPATH there with the user's module cache as its first proxy; what is missing is downloaded into these. The links
/// are thousands of files and their index tens of megabytes: they are made by [`Toolchains::link_packages`], where somebody
/// uses cargo.
pub fn toolchains(home: &Path) -> Toolchains {
    find(|name| std::env::var_os(name), home)
}

/// The toolchain's home as it stands in a folder of PATH, as in `/opt/x/.pyenv/shims`.
fn on_path(path: &OsStr, default: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .find_map(|folder| {
            folder
                .ancestors()
                .find(|home| home.ends_with(default))
                .map(Path::to_owned)
        })
}

fn find(variable: impl Fn(&str) -> Option<OsString>, job_home: &Path) -> Toolchains {
    let home = variable("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute());
    let located = |name: &str, default: Option<&str>| {
        let named = variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from);
        named
            .or_else(|| Some(home.as_deref()?.join(default?)).filter(|path| path.is_dir()))
            // Another user's HOME may be where the programs on PATH were installed.
            .or_else(|| on_path(&variable("PATH")?, default?))
            .filter(|path| {
                path.is_absolute() && path.is_dir() && !holds_a_home(path, home.as_deref())
            })
    };
    let mut found = Toolchains::default();
    for Home {
        variable: name,
        default,
    } in HOMES
    {
        if let Some(path) = located(name, *default) {
            found.env.push(((*name).into(), path.clone().into()));
            found.read.push(path);
        }
    }
    if let Some(cargo) = located("CARGO_HOME", Some(".cargo")) {
        found.read.extend(
            CARGO_PARTS
                .iter()
                .map(|part| cargo.join(part))
                .filter(|path| path.exists()),
        );
        let own = job_home.join(".cargo");
        // Where the registry's mirror is named, for one.
        let _ = link_below(&cargo, &own, CARGO_SETTINGS);
        found.env.push(("CARGO_HOME".into(), own.clone().into()));
        found.cargo = Some(CargoHomes { user: cargo, own });
    }
    if let Some(modules) = located("GOPATH", Some("go"))
        .map(|go| go.join("pkg/mod"))
        .filter(|path| path.is_dir())
    {
        let behind =
            variable("GOPROXY").unwrap_or_else(|| "https://proxy.golang.org,direct".into());
        let mut proxy = OsString::from("file://");
        proxy.push(modules.join("cache/download"));
        proxy.push(",");
        proxy.push(behind);
        found.env.push(("GOPROXY".into(), proxy));
        found
            .env
            .push(("GOPATH".into(), job_home.join("go").into()));
        // Or nobody could delete the job's HOME again.
        found.env.push(("GOFLAGS".into(), "-modcacherw".into()));
        found.read.push(modules);
    }
    if let Some(path) = variable("PATH") {
        let folders: Vec<PathBuf> = std::env::split_paths(&path)
            .filter(|folder| {
                folder.is_absolute() && folder.is_dir() && !holds_a_home(folder, home.as_deref())
            })
            .collect();
        if let Ok(joined) = std::env::join_paths(&folders) {
            found.env.push(("PATH".into(), joined));
        }
        for folder in folders {
            found.read.extend(installations(&folder, home.as_deref()));
        }
    }
    found.read.sort();
    found.read.dedup();
    found
}

/// The depth at which entries are packages: folders above it are made, entries at it are linked.
const CARGO_PACKAGES: &[(&str, usize)] = &[
    ("registry/cache", 2),
    ("registry/src", 2),
    ("git/db", 1),
    ("git/checkouts", 1),
];

const CARGO_SETTINGS: &[(&str, usize)] = &[("config.toml", 0), ("config", 0)];

impl Toolchains {
    /// Fills the task's CARGO_HOME: its folders are its own and its packages links to the user's, so that cargo can add to
    /// it, and change nothing of the user's. What is there already is left; what the user's has gained since is added.
    pub fn link_packages(&self) {
        let Some(CargoHomes { user, own }) = &self.cargo else {
            return;
        };
        // Without the links cargo downloads again what the user has: slower, not wrong.
        let _ = link_below(user, own, CARGO_PACKAGES);
        // Cargo renews the index in place: it is copied, file by file.
        let _ = copy_below(&user.join("registry/index"), &own.join("registry/index"));
    }
}

fn link_below(from: &Path, to: &Path, parts: &[(&str, usize)]) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for (part, depth) in parts {
        link_at(&from.join(part), &to.join(part), *depth)?;
    }
    Ok(())
}

fn link_at(from: &Path, to: &Path, depth: usize) -> std::io::Result<()> {
    if depth == 0 {
        if from.exists() && to.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(from, to)?;
        }
        return Ok(());
    }
    let Ok(entries) = std::fs::read_dir(from) else {
        return Ok(());
    };
    std::fs::create_dir_all(to)?;
    for entry in entries.filter_map(Result::ok) {
        link_at(&entry.path(), &to.join(entry.file_name()), depth - 1)?;
    }
    Ok(())
}

fn copy_below(from: &Path, to: &Path) -> std::io::Result<()> {
    let Ok(entries) = std::fs::read_dir(from) else {
        return Ok(());
    };
    std::fs::create_dir_all(to)?;
    for entry in entries.filter_map(Result::ok) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            // A whole git repository as an index (of old, and of some private registries) is not worth its copy.
            if entry.file_name() != ".git" {
                copy_below(&from, &to)?;
            }
        } else if to.symlink_metadata().is_err() {
            std::fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// A toolchain's folder never is the user's home or lies above it, whatever a variable says: that would open the home.
fn holds_a_home(path: &Path, home: Option<&Path>) -> bool {
    path == Path::new("/") || home.is_some_and(|home| home.starts_with(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_variable_cannot_open_the_home_and_credentials_stay_out() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        for path in [
            ".cargo/registry/cache/crates",
            ".cargo/bin",
            ".pyenv",
            "go/pkg/mod",
            "tools/bin",
        ] {
            std::fs::create_dir_all(home.join(path)).unwrap();
        }
        std::fs::write(home.join(".cargo/credentials.toml"), "[registry]").unwrap();
        std::fs::write(
            home.join(".cargo/registry/cache/crates/a-1.0.0.crate"),
            "package",
        )
        .unwrap();
        let job = folder.path().join("job");
        let path = std::env::join_paths([
            home.join("tools/bin"),
            home.clone(),
            "relative".into(),
            "/".into(),
        ])
        .unwrap();
        let found = find(
            |name| match name {
                "HOME" => Some(home.clone().into()),
                "PATH" => Some(path.clone()),
                "JAVA_HOME" => Some(home.clone().into()),
                "RUSTUP_HOME" => Some("relative".into()),
                _ => None,
            },
            &job,
        );
        let expected = [
            ".cargo/bin",
            ".cargo/registry",
            ".pyenv",
            "go/pkg/mod",
            "tools",
            "tools/bin",
        ]
        .map(|path| home.join(path));
        assert_eq!(found.read, expected);
        let value = |name: &str| {
            found
                .env
                .iter()
                .find(|(found, _)| found == name)
                .map(|(_, value)| PathBuf::from(value))
        };
        assert_eq!(value("PATH"), Some(home.join("tools/bin")));
        assert_eq!(value("CARGO_HOME"), Some(job.join(".cargo")));
        let package = job.join(".cargo/registry/cache/crates/a-1.0.0.crate");
        assert!(!package.exists(), "made where cargo is used");
        found.link_packages();
        assert!(package.is_symlink() && std::fs::read(&package).unwrap() == b"package");
        assert!(!job.join(".cargo/credentials.toml").exists());
        assert_eq!(value("JAVA_HOME"), None);
        assert_eq!(value("RUSTUP_HOME"), None);
    }
}
