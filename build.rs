//! Tells the linker where libtorch lies, because tch passes no run path on to the programs that use it, and compiles
//! what is C++: the part of TorchScript that tch lacks, convolutions over bytes, and thin ones in brain floats.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    let libtorch = env::var("LIBTORCH").ok();
    let libtorch = libtorch.as_deref().map(Path::new);
    #[cfg(feature = "torch")]
    compile_shims(libtorch);
    let version = libtorch.and_then(version).unwrap_or("unknown".into());
    println!("cargo:rustc-env=EYELINE_LIBTORCH_VERSION={version}");
    if let Some(libtorch) = libtorch {
        // DT_RPATH rather than DT_RUNPATH: libtorch's own dependencies must be found through it too.
        println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libtorch.join("lib").display());
    }
}

/// Compiles the C++ of `src/torch`, with the settings torch-sys compiles its own C++ with.
#[cfg(feature = "torch")]
fn compile_shims(libtorch: Option<&Path>) {
    const FILES: [&str; 3] = ["src/torch/script.cpp", "src/torch/quantized.cpp", "src/torch/thin.cpp"];
    FILES.iter().for_each(|file| println!("cargo:rerun-if-changed={file}"));
    ["shim", "thin"].iter().for_each(|header| println!("cargo:rerun-if-changed=src/torch/{header}.hpp"));
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    let mut build = cc::Build::new();
    build.cpp(true).warnings(false).flag("-std=c++17").flag("-DGLOG_USE_GLOG_EXPORT");
    // Debugging symbols of libtorch's headers are fifty megabytes of no use.
    build.debug(false).opt_level(2);
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or("1".into());
    build.flag(format!("-D_GLIBCXX_USE_CXX11_ABI={abi}"));
    if let Some(libtorch) = libtorch {
        build.include(libtorch.join("include")).include(libtorch.join("include/torch/csrc/api/include"));
    }
    build.files(FILES).compile("eyeline_shims");
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
