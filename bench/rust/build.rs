//! Tells the program which compiler built it.

use std::{env, process::Command};

fn main() {
    let rustc = env::var("RUSTC").expect("cargo names the compiler");
    let output = Command::new(rustc)
        .arg("--version")
        .output()
        .expect("the compiler answers");
    let version = String::from_utf8_lossy(&output.stdout);
    println!(
        "cargo::rustc-env=RUSTC_VERSION={}",
        version.split(" (").next().unwrap_or_default().trim()
    );
}
