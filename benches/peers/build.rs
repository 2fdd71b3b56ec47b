//! similari asks for Python's symbols, which in a program of our own nobody brings: link Python's library.

use std::process::Command;

fn main() {
    let ask = "import sysconfig as s; print(s.get_config_var('LIBDIR'), 'python' + s.get_config_var('LDVERSION'))";
    let answer = Command::new("python3").args(["-c", ask]).output().expect("python3 runs, similari needs it");
    let answer = String::from_utf8_lossy(&answer.stdout);
    let (folder, library) = answer.trim().split_once(' ').expect("python3 names its library");
    println!("cargo:rustc-link-search=native={folder}");
    println!("cargo:rustc-link-lib=dylib={library}");
}
