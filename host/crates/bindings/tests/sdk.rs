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

/// The modules of `bindings`: the imports once, and the exports in a module each, so that a plugin exports its kind and
/// nothing else. The worlds are halves of those in `wit/`: macros that one crate exports need names of their own, so the
/// interface `plugin` can be bound only once.
const EXPORTS: [&str; 5] = ["plugin", "check", "summarizer", "redactor", "dialect"];

/// The interfaces whose types the exports share with the imports.
const SHARED: [&str; 2] = ["types", "job"];

/// The workspace, above `host/crates/bindings`.
fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn file(module: &str) -> PathBuf {
    let folder = workspace().join("plugins/sdk/src/bindings");
    folder.join(format!("{module}.rs"))
}

/// The package in `wit/`, and behind it an export of one interface as a world of its own.
fn generate(export: Option<&str>) -> String {
    let mut resolve = Resolve::default();
    let (mut package, _) = resolve.push_path(workspace().join("wit")).unwrap();
    let version = resolve.packages[package].name.version.clone().unwrap();
    let mut options = Opts {
        format: true,
        pub_export_macro: true,
        ..Opts::default()
    };
    let world = match export {
        None => {
            options.generate_all = true;
            "host".to_owned()
        }
        Some(interface) => {
            let world = format!("{interface}-export");
            let source = format!(
                "package worker:sdk; world {world} {{ export worker:plugin/{interface}@{version}; }}"
            );
            package = resolve.push_str("export.wit", &source).unwrap();
            options.with = SHARED
                .iter()
                .filter(|shared| **shared == "types" || interface == "check")
                .map(|shared| {
                    let path = format!("crate::bindings::imports::worker::plugin::{shared}");
                    (
                        format!("worker:plugin/{shared}@{version}"),
                        WithOption::Path(path),
                    )
                })
                .collect();
            world
        }
    };
    let world = resolve.select_world(&[package], Some(&world)).unwrap();
    let mut files = Files::default();
    options
        .build()
        .generate(&mut resolve, world, &mut files)
        .unwrap();
    let (_, text) = files.iter().next().unwrap();
    String::from_utf8(text.to_vec()).unwrap()
}

fn all() -> impl Iterator<Item = (PathBuf, String)> {
    let exports = EXPORTS.into_iter().map(|export| (export, Some(export)));
    std::iter::once(("imports", None))
        .chain(exports)
        .map(|(module, export)| (file(module), generate(export)))
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
