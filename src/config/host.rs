//! The machine that a configuration is checked on: its files, CPUs and environment variables.

use super::{check::Host, secret::MAX_SECRET_BYTES};
use crate::source::inputs::expand;
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    thread::available_parallelism,
};

/// This machine, seen from the working directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisMachine;

impl Host for ThisMachine {
    fn videos(&self, input: &str) -> Result<Vec<PathBuf>, String> {
        let inputs = expand(&[input.to_owned()]);
        match inputs.faults.into_iter().next() {
            Some(fault) => Err(fault.to_string()),
            None => Ok(inputs.found.into_iter().map(|input| input.path).collect()),
        }
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn secret_file(&self, path: &Path) -> Result<(), String> {
        let mut content = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut content));
        match read {
            Err(error) => Err(format!("{}: {error}", path.display())),
            Ok(0) => Err(format!("{}: is empty", path.display())),
            Ok(length) if length as u64 > MAX_SECRET_BYTES => {
                Err(format!("{}: more than {MAX_SECRET_BYTES} bytes", path.display()))
            }
            Ok(_) => Ok(()),
        }
    }

    fn cpus(&self) -> usize {
        available_parallelism().map_or(1, usize::from)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}
