//! Runs a detector on a picture and prints what it finds, for `models/compare_torchscript.py` to hold against PyTorch.
//!
//!     cargo run --release --example detections -- MODEL PIXELS WIDTH HEIGHT MIN_SCORE
//!
//! PIXELS holds rows of red, green, blue, a byte each. A line for each detection: class, left, top, right, bottom, score.

use eyeline::{
    config::plan::DetectPlan,
    detect::{Detector, torch::TorchDetector},
    frame::{Frame, ImageSize},
    torch::runtime::Device,
};
use std::{env, error::Error, fs};

/// More than a network lists.
const MAX_DETECTIONS: usize = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [model, pixels, width, height, min_score] = args.as_slice() else {
        return Err("expected MODEL PIXELS WIDTH HEIGHT MIN_SCORE".into());
    };
    let size = ImageSize { width: width.parse()?, height: height.parse()? };
    let data = fs::read(pixels)?;
    if data.len() != size.width as usize * size.height as usize * 3 {
        return Err(format!("{pixels}: {} bytes, expected {size} pixels of three", data.len()).into());
    }
    let plan = DetectPlan {
        model: model.clone(),
        min_score: min_score.parse()?,
        max_detections: MAX_DETECTIONS,
        max_batch: 1,
        ..DetectPlan::default()
    };
    let mut detector = TorchDetector::open(&plan, Device::Cpu)?;
    let mut found = Vec::new();
    detector.detect(&[frame(size, data)], &mut found)?;
    for detection in found.iter().flatten() {
        let (b, class) = (&detection.bbox, detection.class.0);
        println!("{class} {} {} {} {} {}", b.left, b.top, b.right, b.bottom, detection.score);
    }
    Ok(())
}

fn frame(size: ImageSize, data: Vec<u8>) -> Frame {
    Frame::alone(size, data, size.width as usize * 3)
}
