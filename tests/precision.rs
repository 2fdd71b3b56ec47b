//! int8: what `eyeline models quantize` learns, and how many people are found with it; how many in half floats.
#![cfg(all(feature = "torch", feature = "opencv", feature = "gst"))]

mod inference;

use eyeline::{
    config::{plan::DetectPlan, zoo},
    detect::{Detector, torch::TorchDetector},
    frame::Frame,
    torch::{
        calibration::Calibration,
        runtime::{Device, Precision},
    },
};
use inference::{
    people::{ap50, eval_data, scored, truth},
    vtest_frames,
};
use std::{fs, path::Path, process::Command};

fn video() -> String {
    zoo::home_dir().join("video/vtest.avi").to_string_lossy().into_owned()
}

fn eyeline(args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_eyeline")).args(args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Person AP@0.5 on frames of the sample video.
fn score(model: &Path, input_px: Option<u32>, precision: Precision, frames: &[(usize, Frame)]) -> f64 {
    let model = model.to_string_lossy().into_owned();
    let plan = DetectPlan { model, input_px, min_score: 0.01, max_iou: 0.45, max_batch: 1, ..DetectPlan::default() };
    let mut detector = TorchDetector::open_in(&plan, Device::Cpu, precision).unwrap();
    let (mut truth, mut found) = (truth(), Vec::new());
    let mut results = Vec::new();
    for (number, frame) in frames {
        detector.detect(std::slice::from_ref(frame), &mut found).unwrap();
        results.push(scored(truth.remove(number).unwrap_or_default(), &found[0]));
    }
    ap50(&results)
}

/// Every `step`th frame with its number.
fn every(step: usize) -> Vec<(usize, Frame)> {
    let numbers: Vec<usize> = (0..795).step_by(step).collect();
    numbers.iter().copied().zip(vtest_frames(&numbers)).collect()
}

#[test]
fn int8_without_a_calibration_names_the_command_that_makes_one() {
    let error = TorchDetector::open_in(&inference::detect_plan(416), Device::Cpu, Precision::Int8).err();
    let error = error.expect("nobody calibrated the default detector").to_string();
    let command = "yolov3-tiny.weights --video FILE`";
    assert!(error.contains("precision int8 needs ") && error.contains(command), "{error}");
}

#[test]
fn a_darknet_detector_finds_in_int8_what_it_finds_in_floats() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["yolov3-tiny.cfg", "yolov3-tiny.weights"] {
        fs::copy(zoo::models_dir().join(file), dir.path().join(file)).unwrap();
    }
    let model = dir.path().join("yolov3-tiny.weights");
    let name = model.to_str().unwrap();
    let (sound, text) =
        eyeline(&["models", "quantize", name, "--video", &video(), "--frames", "4", "--input-px", "416"]);
    assert!(sound, "{text}");
    assert!(text.contains("yolov3-tiny.int8.yml: ranges of 13 values, from 4 frames"), "{text}");
    let frames = vtest_frames(&[100, 400]);
    let found = |precision| {
        let plan = DetectPlan { model: name.into(), min_score: 0.5, ..inference::detect_plan(416) };
        let mut out = Vec::new();
        TorchDetector::open_in(&plan, Device::Cpu, precision).unwrap().detect(&frames, &mut out).unwrap();
        out.into_iter().flatten().collect::<Vec<_>>()
    };
    let (bytes, floats) = (found(Precision::Int8), found(Precision::Fp32));
    let again = |d: &&eyeline::detect::Detection| {
        bytes.iter().any(|b| b.class == d.class && eyeline::geometry::iou(&b.bbox, &d.bbox) > 0.7)
    };
    let same = floats.iter().filter(again).count();
    assert!(floats.len() >= 6 && same * 10 >= floats.len() * 8, "{same} of {} found again", floats.len());
    let other = fs::read_to_string(Calibration::beside(&model)).unwrap().replace("sha256: ", "sha256: f");
    fs::write(Calibration::beside(&model), other).unwrap();
    let plan = DetectPlan { model: name.into(), ..inference::detect_plan(416) };
    let error = TorchDetector::open_in(&plan, Device::Cpu, Precision::Int8).err().unwrap().to_string();
    assert!(error.contains("was made for another file"), "{error}");
}

mod eval_data {
    use super::*;

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn yolox_nano_in_int8_finds_the_people_of_pets() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("yolox_nano.onnx");
        fs::copy(eval_data().join("weights/yolox_nano.onnx"), &model).unwrap();
        let (sound, text) =
            eyeline(&["models", "quantize", model.to_str().unwrap(), "--video", &video(), "--frames", "12"]);
        assert!(sound, "{text}");
        let frames = every(10);
        let [floats, bytes] =
            [Precision::Fp32, Precision::Int8].map(|precision| score(&model, None, precision, &frames));
        println!("AP@0.5: {floats:.4} in fp32, {bytes:.4} in int8");
        assert!(floats >= 0.885 && bytes >= floats - 0.02, "AP@0.5: {floats:.4} in fp32, {bytes:.4} in int8");
    }

    /// A processor computes slowly what a GPU would find: sums in other order, the same rounding of what is stored.
    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn half_floats_find_the_people_of_pets() {
        let frames = every(100);
        for (model, input_px) in [
            (eval_data().join("weights/yolox_nano.onnx"), None),
            (zoo::models_dir().join("yolov3-tiny.weights"), Some(416)),
        ] {
            let [floats, halves] =
                [Precision::Fp32, Precision::Fp16].map(|precision| score(&model, input_px, precision, &frames));
            let told = format!("{}: AP@0.5 {floats:.4} in fp32, {halves:.4} in fp16", model.display());
            println!("{told}");
            assert!((floats - halves).abs() <= 0.005, "{told}");
        }
    }
}
