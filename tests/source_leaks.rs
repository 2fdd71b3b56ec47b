//! The promise: a source that is closed leaves no thread, file or memory behind. Alone in its program, because threads
//! and files of other tests would be counted.

#![cfg(feature = "gst")]

mod support;

use std::{fs, path::Path};
use support::{Clip, H264, PATIENCE, decode, open, refusal, temp_dir};

/// Threads of this process, and its open files.
fn threads_and_files() -> (usize, usize) {
    let count = |folder: &str| fs::read_dir(Path::new("/proc/self").join(folder)).expect("Linux").count();
    (count("task"), count("fd"))
}

/// Resident memory of this process, KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("resident size");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn opening_leaves_nothing_behind() {
    let folder = temp_dir();
    let sound = Clip::SMALL.record(folder.path(), "clip.mp4", &format!("{H264} ! mp4mux"));
    let broken = folder.path().join("broken.mp4");
    fs::write(&broken, "no video at all").expect("writes");
    let round = || {
        // Read to the end, dropped in the middle, and refused.
        assert_eq!(decode(&sound).frames.len(), 40);
        let mut source = open(&sound);
        let _frame = source.pull(PATIENCE).expect("first frame");
        refusal(&broken);
    };
    // GStreamer keeps a pool of threads: it is as large as it gets after some rounds.
    (0..15).for_each(|_| round());
    let (before, memory_before) = (threads_and_files(), resident_kib());
    (0..60).for_each(|_| round());
    let (after, memory_after) = (threads_and_files(), resident_kib());
    assert!(after.0 <= before.0 + 1 && after.1 <= before.1, "(threads, files) grew from {before:?} to {after:?}");
    let grown = memory_after.saturating_sub(memory_before);
    println!("180 opens: {memory_before} KiB to {memory_after} KiB");
    assert!(grown < 8 * 1024, "180 opens took {grown} KiB for good");
}
