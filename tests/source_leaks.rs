//! The promise: a source that is closed leaves no thread, file or memory behind. Alone in its program, because threads
//! and files of other tests would be counted.

#![cfg(feature = "gst")]

mod footprint;
mod support;

use footprint::Footprint;
use std::fs;
use support::{Clip, H264, PATIENCE, decode, open, refusal, temp_dir};

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
    let before = Footprint::here();
    (0..60).for_each(|_| round());
    let after = Footprint::here();
    println!("180 opens: {before:?} to {after:?}");
    assert!(after.threads <= before.threads + 1 && after.files <= before.files, "{before:?} grew to {after:?}");
    let grown_kib = after.resident_kib.saturating_sub(before.resident_kib);
    assert!(grown_kib < 8 * 1024, "180 opens took {grown_kib} KiB for good");
}
