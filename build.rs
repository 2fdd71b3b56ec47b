//! Tells the linker where libtorch lies: tch passes no run path on to the programs that use it.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    let Ok(libtorch) = env::var("LIBTORCH") else {
        println!("cargo:rustc-env=EYELINE_LIBTORCH_VERSION=unknown");
        return;
    };
    let libtorch = Path::new(&libtorch);
    println!("cargo:rustc-env=EYELINE_LIBTORCH_VERSION={}", version(libtorch).unwrap_or("unknown".into()));
    // DT_RPATH rather than DT_RUNPATH: libtorch's own dependencies must be found through it too.
    println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libtorch.join("lib").display());
}

/// libtorch's version as its headers tell it.
fn version(libtorch: &Path) -> Option<String> {
    let header = fs::read_to_string(libtorch.join("include/torch/headeronly/version.h")).ok()?;
    let part = |name: &str| {
        let line = header.lines().find(|line| line.starts_with("#define") && line.split(' ').nth(1) == Some(name))?;
        line.split_whitespace().nth(2).map(str::to_owned)
    };
    Some([part("TORCH_VERSION_MAJOR")?, part("TORCH_VERSION_MINOR")?, part("TORCH_VERSION_PATCH")?].join("."))
}
