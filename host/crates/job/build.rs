//! Builds the small program that a job becomes while it waits (`sleeper/main.rs`): std only, so the compiler alone is enough.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const SOURCE: &str = "sleeper/main.rs";

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-changed=build.rs");
    let var = |name: &str| env::var_os(name).unwrap_or_default();
    let sleeper = PathBuf::from(var("OUT_DIR")).join("sleeper");
    if var("CARGO_CFG_TARGET_OS") != "linux" {
        // There, a job that waits stays the program that it is.
        return match std::fs::write(&sleeper, []) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => failed(&fault.to_string()),
        };
    }
    let mut compiler = Command::new(var("RUSTC"));
    compiler.args([
        "--edition",
        "2024",
        "--crate-name",
        "sleeper",
        "--crate-type",
        "bin",
    ]);
    compiler.args([
        "-C",
        "opt-level=s",
        "-C",
        "panic=abort",
        "-C",
        "strip=symbols",
    ]);
    compiler.arg("--target").arg(var("TARGET"));
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = std::ffi::OsString::from("linker=");
        option.push(linker);
        compiler.arg("-C").arg(option);
    }
    compiler.arg("-o").arg(&sleeper).arg(SOURCE);
    match compiler.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => failed(&format!("the compiler ended with {status}")),
        Err(fault) => failed(&fault.to_string()),
    }
}

fn failed(fault: &str) -> ExitCode {
    println!("cargo:error={SOURCE} cannot be built: {fault}");
    ExitCode::FAILURE
}
