//! Pictures and clips of what happened, with real pixels: they show what they say, and nobody who must not be seen.
#![cfg(feature = "line")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "../cameras/mod.rs"]
mod cameras;
mod clips;
#[path = "../support/mod.rs"]
mod support;

use eyeline::{
    frame::{Frame, ImageSize},
    geometry::BBox,
};
use serde_json::Value;
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use support::{decode, sample_video, temp_dir};

/// Most that JPEG at our quality changes a pixel's channel by, on average over an area.
const JPEG_LOSS: f64 = 8.0;

/// `frames` frames of the sample video as H.264 in MP4, a key picture every ten.
fn people(folder: &Path, frames: u32) -> PathBuf {
    let encode = "x264enc speed-preset=veryfast threads=1 key-int-max=10 bframes=0 ! h264parse ! mp4mux";
    recorded(folder, frames, "people.mp4", encode)
}

/// The same as `encode` makes it, in gst-launch's notation, in a file of this name.
fn recorded(folder: &Path, frames: u32, name: &str, encode: &str) -> PathBuf {
    let path = folder.join(name);
    support::launch(&format!(
        "filesrc location=\"{}\" ! avidemux ! avdec_msmpeg4 ! identity eos-after={} ! videoconvert \
         ! {encode} ! filesink location=\"{}\"",
        sample_video().display(),
        frames + 1,
        path.display()
    ));
    path
}

/// A pipeline over `video` with the lines of `more`.
fn pipeline(folder: &Path, video: &Path, stream: &str, more: &str) -> PathBuf {
    let file = folder.join("run.yml");
    let text = format!(
        "version: 1\nstreams:\n  - {{ name: gate, file: \"{}\"{stream} }}\n\
         detect: {{ classes: [person], input_px: 416, min_score: 0.25 }}\nembed: none\n\
         output: {{ dir: \"{}\", video: false }}\n{more}",
        video.display(),
        folder.join("out").display()
    );
    fs::write(&file, text).unwrap();
    file
}

fn eyeline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyeline"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).env_remove("EYELINE_LOG");
    command
}

fn run(file: &Path) -> Output {
    let output = eyeline(&["run", "--quiet", file.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn events(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("out/gate/events.jsonl")).unwrap_or_default();
    // The last line may be being written.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

/// 8-bit RGB without padding.
struct Picture {
    size: ImageSize,
    rgb: Vec<u8>,
}

impl Picture {
    fn of(frame: &Frame) -> Self {
        let (size, plane) = (frame.meta.size, frame.pixels.plane(0));
        let rows = (0..size.height as usize).flat_map(|y| plane.row(y, size.width as usize * 3).to_vec());
        Self { size, rgb: rows.collect() }
    }

    fn read(path: &Path) -> Self {
        let decoded = decode(path);
        Self::of(&decoded.frames[0])
    }

    fn pixel(&self, x: u32, y: u32) -> [f64; 3] {
        let at = (y as usize * self.size.width as usize + x as usize) * 3;
        [0, 1, 2].map(|channel| f64::from(self.rgb[at + channel]))
    }

    /// Mean difference of a channel over the pixels of this picture that `is` names, shifted by `by` in `other`.
    fn difference(&self, other: &Self, by: (u32, u32), is: impl Fn(u32, u32) -> bool) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for (y, x) in (0..self.size.height).flat_map(|y| (0..self.size.width).map(move |x| (y, x))) {
            if is(x, y) && x + by.0 < other.size.width && y + by.1 < other.size.height {
                let (here, there) = (self.pixel(x, y), other.pixel(x + by.0, y + by.1));
                sum += here.iter().zip(there).map(|(a, b)| (a - b).abs()).sum::<f64>();
                count += 3.0;
            }
        }
        assert!(count > 0.0, "no pixel to compare");
        sum / count
    }
}

/// Boxes by frame (from 0) and track, as tracks.txt has them.
fn boxes(folder: &Path) -> HashMap<(u64, u64), BBox> {
    let text = fs::read_to_string(folder.join("out/gate/tracks.txt")).unwrap();
    let row = |line: &str| {
        let fields: Vec<f32> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let bbox = BBox::from_tlwh(fields[2], fields[3], fields[4], fields[5]);
        ((fields[0] as u64 - 1, fields[1] as u64), bbox)
    };
    text.lines().map(row).collect()
}

#[test]
fn the_best_picture_of_a_track_shows_it_and_an_event_its_frame() {
    let folder = temp_dir();
    let video = people(folder.path(), 40);
    run(&pipeline(folder.path(), &video, "", "media: { snapshots: true, frames: [track.started] }\n"));
    let (events, boxes) = (events(folder.path()), boxes(folder.path()));
    let frames: Vec<Picture> = decode(&video).frames.iter().map(Picture::of).collect();

    let ended = of_type(&events, "track.ended");
    assert!(ended.len() > 2, "people are tracked");
    for event in &ended {
        let file = event["snapshot"].as_str().unwrap_or_else(|| panic!("no picture: {event}"));
        let picture = Picture::read(&folder.path().join("out").join(file));
        let track = event["track"].as_u64().unwrap();
        // The part of some frame around the track's box.
        let of_track = boxes.iter().filter(|((_, id), _)| *id == track);
        let differences = of_track.filter_map(|((frame, _), bbox)| {
            let left = (bbox.left - 0.1 * bbox.width()).max(0.0) as u32;
            let top = (bbox.top - 0.1 * bbox.height()).max(0.0) as u32;
            let width = picture.size.width as f32 / (1.2 * bbox.width());
            (0.7..1.3).contains(&width).then(|| picture.difference(&frames[*frame as usize], (left, top), |_, _| true))
        });
        let least = differences.fold(f64::INFINITY, f64::min);
        assert!(least < JPEG_LOSS, "{file} is no picture of track {track}: {least}");
    }
    for event in of_type(&events, "track.started") {
        let file = event["files"]["frame"].as_str().unwrap_or_else(|| panic!("no frame: {event}"));
        let picture = Picture::read(&folder.path().join("out").join(file));
        let frame = &frames[event["frame"].as_u64().unwrap() as usize];
        assert!(picture.difference(frame, (0, 0), |_, _| true) < JPEG_LOSS);
    }
}

#[test]
fn heads_are_nobodys_where_privacy_is_asked_for() {
    let folder = temp_dir();
    let video = people(folder.path(), 20);
    let media = "media: { frames: [stream.ended, track.started], privacy: { blur: heads } }\n";
    run(&pipeline(folder.path(), &video, "", media));
    let (events, boxes) = (events(folder.path()), boxes(folder.path()));
    let frames: Vec<Picture> = decode(&video).frames.iter().map(Picture::of).collect();
    let started = of_type(&events, "track.started");
    assert!(started.len() > 2);
    for event in started {
        let picture = Picture::read(&folder.path().join("out").join(event["files"]["frame"].as_str().unwrap()));
        let number = event["frame"].as_u64().unwrap();
        let original = &frames[number as usize];
        let seen: Vec<&BBox> = boxes.iter().filter(|((frame, _), _)| *frame == number).map(|(_, bbox)| bbox).collect();
        let within = |bbox: &BBox, x: u32, y: u32| {
            let (x, y) = (x as f32 + 0.5, y as f32 + 0.5);
            x > bbox.left && x < bbox.right && y > bbox.top && y < bbox.bottom
        };
        for bbox in &seen {
            let head = BBox { bottom: bbox.top + 0.2 * bbox.height(), ..**bbox };
            assert!(is_blocks(&picture, &head), "a head can be made out in frame {number}");
        }
        // Far from everybody the detector may have seen, tracked or not, nothing is changed.
        let legs = |x: u32, y: u32| {
            seen.iter().any(|bbox| within(&BBox { top: bbox.top + 0.7 * bbox.height(), ..**bbox }, x, y))
        };
        assert!(picture.difference(original, (0, 0), legs) < 2.0 * JPEG_LOSS);
    }
}

/// Whether an area consists of a few even blocks: neighbours rarely differ.
fn is_blocks(picture: &Picture, area: &BBox) -> bool {
    let inside = area.clipped_to(picture.size);
    let (mut even, mut count) = (0.0, 0.0);
    for y in inside.top as u32..(inside.bottom as u32).min(picture.size.height) {
        for x in inside.left as u32..(inside.right as u32).min(picture.size.width).saturating_sub(1) {
            let (here, next) = (picture.pixel(x, y), picture.pixel(x + 1, y));
            let differ = here.iter().zip(next).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            even += f64::from(differ < 12.0);
            count += 1.0;
        }
    }
    count < 20.0 || even / count > 0.7
}

/// Not a test: the cameras' own processes.
#[test]
fn camera_process() {
    cameras::be_a_camera();
}
