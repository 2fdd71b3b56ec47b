//! The machine that a configuration is checked on: its files, CPUs and environment variables.

use super::check::Host;
use crate::source::inputs::expand;
use std::{
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

    fn cpus(&self) -> usize {
        available_parallelism().map_or(1, usize::from)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}
