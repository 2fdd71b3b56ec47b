//! `eyeline eval --overlay`: a video with truth, results and the switch between them.
#![cfg(feature = "line")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod evaluation;
mod support;

use evaluation::eval;
use eyeline::frame::Frame;
use std::{fmt::Write, fs, path::Path};
use support::{Clip, H264, decode, temp_dir};

/// Number of pixels near a colour.
fn count(frame: &Frame, [red, green, blue]: [u8; 3]) -> usize {
    let plane = frame.pixels.plane(0);
    let (width, height) = (frame.meta.size.width as usize, frame.meta.size.height as usize);
    let near = |pixel: &&[u8]| {
        let off = [(pixel[0], red), (pixel[1], green), (pixel[2], blue)];
        off.into_iter().all(|(a, b)| a.abs_diff(b) < 60)
    };
    (0..height).map(|y| plane.row(y, width * 3).chunks_exact(3).filter(near).count()).sum()
}

/// A person who stands from frame 1 to 40, called 7 and from frame 21 on 9, and missed in frames 31 to 35.
fn files(folder: &Path) {
    let (mut truth, mut results) = (String::new(), String::new());
    for frame in 1..=40 {
        writeln!(truth, "{frame},1,60,40,40,60,1,-1,-1,-1").unwrap();
        if !(31..=35).contains(&frame) {
            let id = if frame <= 20 { 7 } else { 9 };
            writeln!(results, "{frame},{id},61,41,40,60,0.9,-1,-1,-1").unwrap();
        }
    }
    fs::write(folder.join("gt.txt"), truth).unwrap();
    fs::write(folder.join("results.txt"), results).unwrap();
}

#[test]
fn truth_results_and_switches_are_drawn_on_every_frame() {
    let folder = temp_dir();
    let folder = folder.path();
    let video = Clip::SMALL.record(folder, "clip.mp4", &format!("{H264} ! mp4mux"));
    files(folder);
    let path = |name: &str| folder.join(name).display().to_string();
    let args = ["--truth", &path("gt.txt"), "--results", &path("results.txt")];
    let overlay = ["--overlay", &video.display().to_string(), "--out", &path("drawn.mp4")];
    let output = eval(args.iter().chain(&overlay).map(|arg| (*arg).to_owned()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("HOTA"), "the table is printed too");

    let drawn = decode(&folder.join("drawn.mp4")).frames;
    assert_eq!(drawn.len(), 40);
    let yellow: Vec<usize> = drawn.iter().map(|frame| count(frame, [255, 220, 0])).collect();
    let red: Vec<usize> = drawn.iter().map(|frame| count(frame, [255, 64, 64])).collect();
    assert!(yellow[20] > yellow[19] + 100, "the switch stands out: {yellow:?}");
    assert!(red[32] > red[29] + 30, "so does the miss: {red:?}");
}

#[test]
fn one_sequence_one_result_set_and_both_names_are_needed() {
    let folder = temp_dir();
    let folder = folder.path();
    files(folder);
    fs::copy(folder.join("results.txt"), folder.join("other.txt")).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    let cases: [(&[&str], &str); 3] = [
        (&["--overlay", "clip.mp4"], "--out"),
        (&["--overlay", "clip.mp4", "--out", "x.mp4", "--results", "OTHER"], "one result set"),
        (&["--overlay", "missing.mp4", "--out", "x.mp4"], "missing.mp4"),
    ];
    for (more, expected) in cases {
        let args = ["--truth", &path("gt.txt"), "--results", &path("results.txt")].map(str::to_owned);
        let more = more.iter().map(|arg| if *arg == "OTHER" { path("other.txt") } else { (*arg).to_owned() });
        let output = eval(args.into_iter().chain(more));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && stderr.contains(expected), "{expected}: {stderr}");
    }
}
