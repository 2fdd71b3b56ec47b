//! `eyeline process` looking back, and following a camera that moves: real decoding, real inference, real files.
#![cfg(feature = "line")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod common;
mod support;

use common::{frame_of, vtest_frames};
use eyeline::{
    frame::{Frame, ImageSize},
    sink::picture_video::PictureVideo,
    source::SourceInfo,
    time::MediaTime,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use support::{decode, temp_dir};

const FPS: f64 = 10.0;

/// The sample video from frame 150 on, seen through a window that moves: `place` gives its left edge in each frame.
fn through_a_window(path: &Path, frames: usize, size: ImageSize, place: impl Fn(usize) -> usize) {
    let info = SourceInfo { size, fps: Some(FPS), frames: None, codec: None };
    let mut video = PictureVideo::create(path, &info).unwrap();
    let numbers: Vec<usize> = (150..150 + frames).collect();
    for (number, frame) in vtest_frames(&numbers).into_iter().enumerate() {
        let frame = window(&frame, size, place(number), number);
        video.write(&frame, |_, _| Ok(())).unwrap();
    }
    video.finish().unwrap();
}

fn window(frame: &Frame, size: ImageSize, left: usize, number: usize) -> Frame {
    let plane = frame.pixels.plane(0);
    let (columns, rows) = (size.width as usize, size.height as usize);
    let row = |y: usize| &plane.data[(y + 60) * plane.stride + left * 3..][..columns * 3];
    let mut cut = frame_of(size.width, size.height, (0..rows).flat_map(row).copied().collect());
    cut.meta.pts = MediaTime::from_secs_f64(number as f64 / FPS);
    cut.meta.seq = number as u64;
    cut
}

/// Processes a video of people and gives the folder of its results.
fn process(video: &Path, out: PathBuf, more: &[&str]) -> PathBuf {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyeline"));
    command.arg("process").arg(video).arg("--out").arg(&out).args(more).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["--classes", "person", "--input-px", "320", "--threads", "2", "--embedder", "none"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out.join(video.file_stem().unwrap())
}

/// Frame and identity of each row.
fn rows(path: &Path) -> Vec<(u64, u64)> {
    let text = fs::read_to_string(path).unwrap();
    let field = |row: &str, index: usize| row.split(',').nth(index).unwrap().parse().unwrap();
    text.lines().map(|row| (field(row, 0), field(row, 1))).collect()
}

fn ids(path: &Path) -> BTreeSet<u64> {
    rows(path).into_iter().map(|(_, id)| id).collect()
}

#[test]
fn refined_tracks_replace_the_online_ones_and_events_stay_as_told() {
    let folder = temp_dir();
    let video = folder.path().join("people.mp4");
    through_a_window(&video, 40, ImageSize { width: 640, height: 480 }, |_| 64);
    let plain = process(&video, folder.path().join("plain"), &[]);
    let refined = process(&video, folder.path().join("refined"), &["--refine"]);

    let read = |path: PathBuf| fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(read(plain.join("tracks.txt")), read(refined.join("tracks.online.txt")));
    assert_eq!(read(plain.join("events.jsonl")), read(refined.join("events.jsonl")));
    let (online, after) = (rows(&refined.join("tracks.online.txt")), rows(&refined.join("tracks.txt")));
    assert!(!after.is_empty() && after != online);
    assert!(after.is_sorted(), "by frame, then identity");
    assert!(after.iter().all(|(frame, _)| (1..=40).contains(frame)));
    assert!(ids(&refined.join("tracks.txt")).is_subset(&ids(&refined.join("tracks.online.txt"))));

    let (first, second) = (decode(&plain.join("annotated.mp4")), decode(&refined.join("annotated.mp4")));
    assert_eq!((first.frames.len(), second.frames.len()), (40, 40));
    let differ = |(a, b): (&Frame, &Frame)| a.pixels.plane(0).data != b.pixels.plane(0).data;
    assert!(first.frames.iter().zip(&second.frames).any(differ), "the refined tracks are drawn");
    let left = fs::read_dir(&refined).unwrap().map(|entry| entry.unwrap().file_name());
    let expected = ["annotated.mp4", "events.jsonl", "summary.json", "tracks.online.txt", "tracks.txt"];
    assert_eq!(left.collect::<BTreeSet<_>>(), expected.map(Into::into).into());
    assert!(!plain.join("tracks.online.txt").exists());
}

#[test]
fn identities_stay_when_the_camera_swings() {
    let folder = temp_dir();
    let video = folder.path().join("swing.mp4");
    let size = ImageSize { width: 560, height: 420 };
    // After a second of calm, to and fro by up to 45 pixels a frame, more than a person is wide.
    let swing = |number: usize| (100.0 + 90.0 * (number.saturating_sub(10) as f64 * 0.5).sin()) as usize;
    through_a_window(&video, 60, size, swing);
    let of = |mode: &str| {
        let out = process(&video, folder.path().join(mode), &["--no-video", "--camera-motion", mode]);
        let rows = rows(&out.join("tracks.txt"));
        // Longer lives and fewer identities are the same people, followed.
        let ids: BTreeSet<u64> = rows.iter().map(|row| row.1).collect();
        (rows.len() as f64 / ids.len().max(1) as f64, ids.len())
    };
    let (off, auto, on) = (of("off"), of("auto"), of("on"));
    println!("boxes an identity, identities: off {off:?}, auto {auto:?}, on {on:?}");
    assert!(on.0 >= 1.5 * off.0 && auto.0 >= 1.3 * off.0, "off {off:?}, auto {auto:?}, on {on:?}");
}
