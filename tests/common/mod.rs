//! What the tests of inference share: plans of the default models and frames to run them on.
#![allow(dead_code, reason = "each test uses a part of it")]

use eyeline::{
    config::plan::{DetectPlan, EmbedPlan},
    detect::nms::{Overlapped, Scope},
    embed::worth::WorthSettings,
    frame::{Frame, ImageSize, StreamId},
    preprocess::tiles::TileGrid,
};
use std::time::Duration;

/// The default detector on squares of `input_px`, with the thresholds of the golden files.
pub fn detect_plan(input_px: u32) -> DetectPlan {
    DetectPlan {
        model: "yolov3-tiny".into(),
        input_px: Some(input_px),
        classes: Vec::new(),
        min_score: 0.25,
        min_score_by_class: Vec::new(),
        max_iou: 0.45,
        suppress: Scope::WithinClass,
        overlapped: Overlapped::Goes,
        max_detections: 1000,
        max_batch: 4,
        tiles: TileGrid { columns: 1, rows: 1, overlap: 0.2 },
        also: Vec::new(),
    }
}

/// The default embedder.
pub fn embed_plan() -> EmbedPlan {
    let worth = WorthSettings { min_score: 0.5, settled_after: 1, interval: Duration::ZERO };
    EmbedPlan { model: "mobilenet-v2".into(), by_class: Vec::new(), worth, max_batch: 32 }
}

/// A frame whose pixels are its own: `width * height * 3` bytes.
pub fn frame_of(width: u32, height: u32, data: Vec<u8>) -> Frame {
    Frame::alone(ImageSize { width, height }, data, width as usize * 3)
}

/// A frame of noise, the same on every run.
pub fn noise_frame(width: u32, height: u32) -> Frame {
    let bytes = width as usize * height as usize * 3;
    frame_of(width, height, (0..bytes).map(|i| ((i * 2_654_435_761) >> 13) as u8).collect())
}

/// Frames of the sample video by number, from 0 and rising, decoded as the program decodes them.
#[cfg(feature = "gst")]
pub fn vtest_frames(numbers: &[usize]) -> Vec<Frame> {
    use eyeline::{
        config::zoo,
        source::{OpenSource, Pull, gst::FileOpener},
    };
    let path = zoo::home_dir().join("video/vtest.avi");
    let mut source = FileOpener::new(path, StreamId(0)).open(0, 0).expect("`make setup` installs the sample video");
    let mut frames = Vec::new();
    let mut next = 0;
    while frames.len() < numbers.len() {
        match source.pull(Duration::from_secs(10)).expect("the sample video is sound") {
            Pull::Frame(frame) => {
                if next == numbers[frames.len()] {
                    frames.push(frame);
                }
                next += 1;
            }
            other => panic!("{other:?} after {next} frames"),
        }
    }
    frames
}
