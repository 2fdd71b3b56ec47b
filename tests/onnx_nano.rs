//! YOLOv5n, YOLOv8n and YOLO11n at their full width give what ONNX Runtime gives, and their heads are known by their outputs.
//!
//! `golden/onnx_nano.bin` was recorded by `golden/generate/onnx_nano.py`, which says how it is made up. It holds no weights:
//! they are made here as they were there, and lie in a file beside each model.
#![cfg(all(feature = "torch", feature = "opencv"))]

use eyeline::{
    config::plan::DetectPlan,
    detect::torch::TorchDetector,
    frame::ImageSize,
    torch::{
        onnx::{BuildOptions, OnnxFile, OnnxNetwork},
        runtime::{self, Network},
    },
};
use std::{fs, path::PathBuf};
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

const NANO: &[u8] = include_bytes!("golden/onnx_nano.bin");

/// Every so many-th value was kept.
const STEP: usize = 97;

/// Side of the input, pixels, and its cells of 8, 16 and 32 pixels.
const SIDE: u32 = 320;
const CELLS: i64 = 40 * 40 + 20 * 20 + 10 * 10;

/// Largest difference, relative to the value, or to the least that counts: a pixel of a box, a hundredth of a score.
const TOLERANCE: f64 = 1e-3;
const LEAST_PX: f64 = 1.0;
const LEAST_SCORE: f64 = 0.01;

/// What is known of a network without running it.
struct Known {
    name: &'static str,
    /// Weights and biases, batch normalization folded, as published; YOLOv8 and 11 count 16 more, which are constants here.
    weights: usize,
    family: &'static str,
    output: [i64; 3],
}

const KNOWN: [Known; 3] = [
    Known { name: "yolov5n", weights: 1_867_405, family: "yolov5", output: [1, 3 * CELLS, 85] },
    Known { name: "yolov8n", weights: 3_151_904 - 16, family: "yolov8", output: [1, 84, CELLS] },
    Known { name: "yolo11n", weights: 2_616_248 - 16, family: "yolov8", output: [1, 84, CELLS] },
];

/// The blocks of a file, each behind its length.
fn blocks(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut blocks = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (block, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        blocks.push(block);
        bytes = rest;
    }
    blocks
}

/// The `index`-th of numbers that look random, from -1 up to 1 (Steele et al. 2014, splitmix64).
fn drawn(index: u64) -> f32 {
    let mut z = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 40) as f32 / (1u32 << 23) as f32 - 1.0
}

/// The weights of a recipe: for each tensor how many values, and the largest.
fn weights(recipe: &[u8]) -> Vec<f32> {
    let mut weights = Vec::new();
    for row in recipe.chunks_exact(8) {
        let count = u32::from_le_bytes(row[..4].try_into().unwrap());
        let most = f32::from_le_bytes(row[4..].try_into().unwrap());
        let first = weights.len() as u64;
        weights.extend((first..first + u64::from(count)).map(|index| drawn(index) * most));
    }
    weights
}

/// A model with its weights beside it, in a folder that is gone after the test.
fn laid_out(model: &[u8], weights: &[f32]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    fs::write(&path, model).unwrap();
    let bytes: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    fs::write(folder.path().join("weights.bin"), bytes).unwrap();
    (folder, path)
}

/// The input it was recorded with.
fn picture() -> Tensor {
    let side = i64::from(SIDE);
    let steps = Tensor::arange(3 * side * side, (Kind::Double, Device::Cpu)) * 0.618_033_988_749_895;
    steps.frac().reshape([1, 3, side, side]).to_kind(Kind::Float)
}

/// Whether a value of the output is a number of a box, and none of a score.
fn is_of_box(output: [i64; 3], index: usize) -> bool {
    let [_, rows, columns] = output.map(|size| size as usize);
    let number = if columns == 85 { index % columns } else { index / columns % rows };
    number < 4
}

#[test]
fn nano_networks_of_full_width_give_what_onnx_runtime_gives() {
    let blocks = blocks(NANO);
    assert_eq!(blocks.len(), 2 * KNOWN.len());
    for (known, parts) in KNOWN.iter().zip(blocks.chunks_exact(2)) {
        let weights = weights(parts[1]);
        assert_eq!(weights.len(), known.weights, "{}", known.name);
        let (_folder, path) = laid_out(parts[0], &weights);
        let file = OnnxFile::parse_at(parts[0], &path).unwrap();
        assert_eq!(file.producer(), known.name);
        let network = OnnxNetwork::build(&file, &BuildOptions::default()).unwrap();
        let output = &network.forward(&picture()).unwrap()[0];
        assert_eq!(output.size(), known.output, "{}", known.name);
        let got = Vec::<f32>::try_from(&output.contiguous().reshape([-1])).unwrap();
        let expected = file.initializer("expected/0").unwrap().floats().unwrap();
        assert_eq!(expected.len(), got.len().div_ceil(STEP));
        let mut most = 0f64;
        for (index, (got, expected)) in got.iter().step_by(STEP).zip(&expected).enumerate() {
            let (got, expected) = (f64::from(*got), f64::from(*expected));
            let least = if is_of_box(known.output, index * STEP) { LEAST_PX } else { LEAST_SCORE };
            let off = (got - expected).abs() / expected.abs().max(least);
            assert!(off <= TOLERANCE, "{} value {}: {got}, expected {expected}", known.name, index * STEP);
            most = most.max(off);
        }
        println!("{}: {} values within {most:.1e}", known.name, expected.len());
    }
}

#[test]
fn the_heads_of_nano_networks_are_known_by_their_outputs() {
    for (known, parts) in KNOWN.iter().zip(blocks(NANO).chunks_exact(2)) {
        let (_folder, path) = laid_out(parts[0], &weights(parts[1]));
        let model = path.to_str().unwrap().to_owned();
        let plan = DetectPlan { model, max_batch: 1, ..DetectPlan::default() };
        let detector = TorchDetector::open(&plan, runtime::Device::Cpu).unwrap();
        let about = detector.about();
        assert_eq!((about.family, about.classes.len()), (known.family, 80), "{}", known.name);
        assert_eq!(about.input.size(), ImageSize { width: SIDE, height: SIDE }, "{}", known.name);
    }
}
