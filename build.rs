//! Tells the linker where libtorch lies: tch passes no run path on to the programs that use it.

use std::{env, path::Path};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    if let Ok(libtorch) = env::var("LIBTORCH") {
        // DT_RPATH rather than DT_RUNPATH: libtorch's own dependencies must be found through it too.
        println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", Path::new(&libtorch).join("lib").display());
    }
}
