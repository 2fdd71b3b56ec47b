//! What a process takes: memory, threads, open files.

#![allow(dead_code, reason = "each program uses its part of this")]

use std::{fs, path::PathBuf};

/// What a process takes.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    pub resident_kib: u64,
    pub threads: usize,
    pub files: usize,
}

impl Footprint {
    /// That of this process.
    pub fn here() -> Self {
        Self::of("self").expect("Linux")
    }

    /// That of a process by its id; `None` when it is gone.
    pub fn of(process: &str) -> Option<Self> {
        let folder = PathBuf::from("/proc").join(process);
        let count = |list: &str| fs::read_dir(folder.join(list)).map(Iterator::count).ok();
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let resident_kib = line.split_whitespace().next()?.parse().ok()?;
        Some(Self { resident_kib, threads: count("task")?, files: count("fd")? })
    }

    pub fn resident_mib(&self) -> f64 {
        self.resident_kib as f64 / 1024.0
    }
}
