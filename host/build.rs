//! Tells the program the target that it is built for; cargo gives it to build scripts only.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(target) = std::env::var("TARGET") {
        println!("cargo::rustc-env=WORKER_TARGET={target}");
    }
}
