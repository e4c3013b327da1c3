//! `plugins/sdk/src/bindings/*.rs` is what wit-bindgen makes of `wit/`, checked in: a plugin then builds without wit-bindgen's macro,
//! whose parser and encoder of WIT are the largest part of a plugin's build. After a change of `wit/`, write them anew:
//!
//! ```text
//! cargo test -p mcp-codex-worker-bindings -- --ignored
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};

use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator as _};
use wit_bindgen_rust::{Opts, WithOption};

/// The packages of `wit/v1`, in the order in which they need each other.
const PACKAGES: [&str; 5] = ["types", "check", "summarizer", "redactor", "dialect"];

/// The time, as WASI has it; a component that imports it fits every 0.2.
const CLOCKS: &str = "package wasi:clocks@0.2.0;
interface wall-clock {
  record datetime { seconds: u64, nanoseconds: u32 }
  now: func() -> datetime;
  resolution: func() -> datetime;
}";

/// Everything that a host of this version gives, granted or not.
const IMPORTS: &str = "package worker:sdk;
world imports {
  import mcp-codex-worker:types/log@1.0.0;
  import mcp-codex-worker:types/settings@1.0.0;
  import mcp-codex-worker:check/job@1.0.0;
  import mcp-codex-worker:check/findings@1.0.0;
  import mcp-codex-worker:check/files@1.0.0;
  import mcp-codex-worker:summarizer/input@1.0.0;
  import mcp-codex-worker:types/types@1.0.0;
  import wasi:clocks/wall-clock@0.2.0;
}";

/// The exports, in a module each, so that a plugin exports its kind and nothing else. The worlds are halves of those in
/// `wit/`: macros that one crate exports need names of their own, so the interface `plugin` can be bound only once.
const EXPORTS: [(&str, &str); 5] = [
    ("plugin", "types/plugin"),
    ("check", "check/check"),
    ("summarizer", "summarizer/summarizer"),
    ("redactor", "redactor/redactor"),
    ("dialect", "dialect/dialect"),
];

/// The workspace, above `host/crates/bindings`.
fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn file(module: &str) -> PathBuf {
    let folder = workspace().join("plugins/sdk/src/bindings");
    folder.join(format!("{module}.rs"))
}

fn resolve() -> Resolve {
    let mut resolve = Resolve::default();
    for package in PACKAGES {
        let folder = workspace().join("wit/v1").join(package);
        resolve.push_path(folder).unwrap();
    }
    resolve
}

/// The imports, or an export of one interface as a world of its own.
fn generate(export: Option<(&str, &str)>) -> String {
    let mut resolve = resolve();
    let mut options = Opts {
        format: true,
        pub_export_macro: true,
        ..Opts::default()
    };
    let package = match export {
        None => {
            options.generate_all = true;
            resolve.push_str("clocks.wit", CLOCKS).unwrap();
            resolve.push_str("imports.wit", IMPORTS).unwrap()
        }
        Some((module, interface)) => {
            let source = format!(
                "package worker:sdk; world {module}-export {{ export mcp-codex-worker:{interface}@1.0.0; }}"
            );
            let path = "crate::bindings::imports::mcp_codex_worker::types::types".to_owned();
            options.with = vec![(
                "mcp-codex-worker:types/types@1.0.0".to_owned(),
                WithOption::Path(path),
            )];
            resolve.push_str("export.wit", &source).unwrap()
        }
    };
    let world = resolve.select_world(&[package], None).unwrap();
    let mut files = Files::default();
    options
        .build()
        .generate(&mut resolve, world, &mut files)
        .unwrap();
    let (_, text) = files.iter().next().unwrap();
    String::from_utf8(text.to_vec()).unwrap()
}

/// The bindings of a kind for C: header and source, as `plugin new --lang c` copies them.
fn for_c(kind: &str) -> Vec<(PathBuf, String)> {
    let mut resolve = resolve();
    let package = resolve
        .packages
        .iter()
        .find(|(_, package)| package.name.name == kind)
        .map(|(id, _)| id)
        .unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut files = Files::default();
    let mut generator = wit_bindgen_c::Opts {
        // The component's type is put into the module by `plugin build`.
        no_object_file: true,
        ..wit_bindgen_c::Opts::default()
    }
    .build();
    generator.generate(&mut resolve, world, &mut files).unwrap();
    let folder = workspace().join("host/crates/plugin-kit/src/templates/c");
    files
        .iter()
        .filter(|(name, _)| name.ends_with(".c") || name.ends_with(".h"))
        .map(|(name, text)| (folder.join(name), String::from_utf8(text.to_vec()).unwrap()))
        .collect()
}

/// The bindings of a check for Go, as `plugin new --lang go` copies them: in one module with the plugin and the part of Go's
/// library of components that they use, so that nothing is downloaded.
fn for_go() -> Vec<(PathBuf, String)> {
    const PLACE: &str = "worker.local/plugin/bindings";
    let mut resolve = resolve();
    let package = resolve
        .packages
        .iter()
        .find(|(_, package)| package.name.name == "check")
        .map(|(id, _)| id)
        .unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut files = Files::default();
    let mut generator = wit_bindgen_go::Opts {
        // gofmt is not everywhere.
        format: wit_bindgen_go::Format::False,
        quiet: true,
        ..wit_bindgen_go::Opts::default()
    }
    .build();
    generator.generate(&mut resolve, world, &mut files).unwrap();
    let folder = workspace().join("host/crates/plugin-kit/src/templates/go/bindings");
    files
        .iter()
        .filter(|(name, _)| *name != "go.mod")
        .map(|(name, text)| {
            let text = String::from_utf8(text.to_vec()).unwrap();
            let text = text
                .replace("\"wit_component/", &format!("\"{PLACE}/"))
                .replace(
                    "\"go.bytecodealliance.org/pkg/wit/",
                    &format!("\"{PLACE}/wit/"),
                );
            (folder.join(name), text)
        })
        .collect()
}

fn all() -> impl Iterator<Item = (PathBuf, String)> {
    let exports = EXPORTS.into_iter().map(|export| (export.0, Some(export)));
    std::iter::once(("imports", None))
        .chain(exports)
        .map(|(module, export)| (file(module), generate(export)))
        .chain(
            ["check", "summarizer", "redactor", "dialect"]
                .into_iter()
                .flat_map(for_c),
        )
        .chain(for_go())
}

#[test]
fn the_bindings_are_those_of_the_wit() {
    for (file, expected) in all() {
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            found.replace("\r\n", "\n") == expected,
            "{} is not what wit/ gives: run `cargo test -p mcp-codex-worker-bindings -- --ignored`",
            shown(&file)
        );
    }
}

#[test]
#[ignore = "writes src/bindings"]
fn write_the_bindings() {
    for (file, text) in all() {
        std::fs::write(&file, text).unwrap();
        println!("wrote {}", shown(&file));
    }
}

fn shown(file: &Path) -> String {
    file.strip_prefix(workspace())
        .unwrap_or(file)
        .display()
        .to_string()
}
