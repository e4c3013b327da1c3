//! Where the machine's toolchains live, so that a confined task with a HOME of its own can build and test.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Toolchain homes found on this machine.
#[derive(Debug, Clone, Default)]
pub struct Toolchains {
    /// Folders and files a task may read and execute.
    pub read: Vec<PathBuf>,
    /// Variables that name them, PATH among them.
    pub env: Vec<(OsString, OsString)>,
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

/// What of CARGO_HOME and GOPATH may be read; credentials lie beside it.
const CARGO_PARTS: &[&str] = &["bin", "registry", "git", "env", "config.toml", "config"];

/// Looks at this process's environment and its user's home.
pub fn toolchains() -> Toolchains {
    find(|name| std::env::var_os(name))
}

fn find(variable: impl Fn(&str) -> Option<OsString>) -> Toolchains {
    let home = variable("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute());
    let located = |name: &str, default: Option<&str>| {
        let named = variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from);
        named
            .or_else(|| Some(home.as_deref()?.join(default?)))
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
        found.env.push(("CARGO_HOME".into(), cargo.into()));
    }
    if let Some(go) = located("GOPATH", Some("go")) {
        found.read.extend(
            ["bin", "pkg"]
                .iter()
                .map(|part| go.join(part))
                .filter(|path| path.exists()),
        );
        found.env.push(("GOPATH".into(), go.into()));
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
        found.read.extend(folders);
    }
    found.read.sort();
    found.read.dedup();
    found
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
            ".cargo/registry",
            ".cargo/bin",
            ".pyenv",
            "go/pkg",
            "tools/bin",
        ] {
            std::fs::create_dir_all(home.join(path)).unwrap();
        }
        std::fs::write(home.join(".cargo/credentials.toml"), "[registry]").unwrap();
        let path = std::env::join_paths([
            home.join("tools/bin"),
            home.clone(),
            "relative".into(),
            "/".into(),
        ])
        .unwrap();
        let found = find(|name| match name {
            "HOME" => Some(home.clone().into()),
            "PATH" => Some(path.clone()),
            "JAVA_HOME" => Some(home.clone().into()),
            "RUSTUP_HOME" => Some("relative".into()),
            _ => None,
        });
        let expected = [
            ".cargo/bin",
            ".cargo/registry",
            ".pyenv",
            "go/pkg",
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
        assert_eq!(value("CARGO_HOME"), Some(home.join(".cargo")));
        assert_eq!(value("JAVA_HOME"), None);
        assert_eq!(value("RUSTUP_HOME"), None);
    }
}
