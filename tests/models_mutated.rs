//! A thousand damaged model files through the whole way of loading, and through a frame where they load: an error or boxes,
//! no panic, no hang, memory bounded.
#![cfg(all(feature = "torch", feature = "opencv"))]

mod inference;

use eyeline::{
    config::plan::DetectPlan,
    detect::{self, InferError},
};
use inference::noise_frame;
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// Damaged files of each kind.
const ROUNDS: usize = 500;
/// One file may take this long; a hang takes for ever.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the whole program may ever hold, bytes.
const MOST_BYTES: u64 = 3 << 30;

/// Protocol Buffers as far as a small ONNX file needs them.
mod proto {
    fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    pub fn number(field: u64, value: i64) -> Vec<u8> {
        [varint(field << 3), varint(value as u64)].concat()
    }

    pub fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
        [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
    }

    pub fn text(field: u64, value: &str) -> Vec<u8> {
        bytes(field, value.as_bytes())
    }

    /// A tensor of 32-bit floats (1) or 64-bit integers (7).
    pub fn tensor(name: &str, dims: &[i64], kind: i64, raw: &[u8]) -> Vec<u8> {
        let dims: Vec<u8> = dims.iter().flat_map(|&dim| number(1, dim)).collect();
        bytes(5, &[dims, number(2, kind), text(8, name), bytes(9, raw)].concat())
    }

    pub fn value(field: u64, name: &str, dims: &[i64]) -> Vec<u8> {
        let dims: Vec<u8> = dims.iter().flat_map(|&dim| bytes(1, &number(1, dim))).collect();
        let kind = bytes(1, &[number(1, 1), bytes(2, &dims)].concat());
        bytes(field, &[text(1, name), bytes(2, &kind)].concat())
    }

    pub fn ints(name: &str, values: &[i64]) -> Vec<u8> {
        let values: Vec<u8> = values.iter().flat_map(|&value| number(8, value)).collect();
        bytes(5, &[text(1, name), values, number(20, 7)].concat())
    }

    pub fn int(name: &str, value: i64) -> Vec<u8> {
        bytes(5, &[text(1, name), number(3, value), number(20, 2)].concat())
    }

    pub fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
        let inputs: Vec<u8> = inputs.iter().flat_map(|input| text(1, input)).collect();
        bytes(1, &[inputs, text(2, output), text(3, output), text(4, operator), attributes.concat()].concat())
    }
}

/// A detector with the head of YOLOX, two classes, 64x64 pixels: one pixel of each cell decides.
fn onnx() -> Vec<u8> {
    use proto::*;
    let mut graph = Vec::new();
    for stride in [8i64, 16, 32] {
        let name = |what: &str| format!("{what}{stride}");
        let attributes = [ints("strides", &[stride; 2]), ints("kernel_shape", &[1, 1])];
        graph.extend(node("Conv", &["images", &name("w"), &name("b")], &name("conv"), &attributes));
        graph.extend(node("Sigmoid", &[&name("conv")], &name("share"), &[]));
        graph.extend(node("Reshape", &[&name("share"), "shape"], &name("flat"), &[]));
        let weights: Vec<u8> = (0..21).flat_map(|i| (i as f32 / 10.0 - 1.0).to_le_bytes()).collect();
        graph.extend(tensor(&name("w"), &[7, 3, 1, 1], 1, &weights));
        graph.extend(tensor(&name("b"), &[7], 1, &weights[..28]));
    }
    graph.extend(tensor("shape", &[3], 7, &[0i64, 7, -1].map(i64::to_le_bytes).concat()));
    graph.extend(node("Concat", &["flat8", "flat16", "flat32"], "all", &[int("axis", 2)]));
    graph.extend(node("Transpose", &["all"], "output", &[ints("perm", &[0, 2, 1])]));
    graph.extend(text(2, "g"));
    graph.extend(value(11, "images", &[1, 3, 64, 64]));
    graph.extend(value(12, "output", &[1, 84, 7]));
    let names = [text(1, "names"), text(2, "{0: 'cat', 1: 'dog'}")].concat();
    [number(1, 8), bytes(7, &graph), bytes(8, &[text(1, ""), number(2, 13)].concat()), bytes(14, &names)].concat()
}

const CFG: &str = "[net]\nwidth=64\nheight=64\nchannels=3\n[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=2\n\
    pad=1\nactivation=leaky\n[maxpool]\nsize=2\nstride=2\n[convolutional]\nfilters=14\nsize=1\nstride=1\npad=1\n\
    activation=linear\n[yolo]\nmask=0,1\nanchors=10,14, 23,27\nclasses=2\nnum=2\n";

/// Header of a weights file, then as many floats as `CFG` needs.
fn darknet_weights() -> Vec<u8> {
    let floats = 4 * 4 + 4 * 27 + 14 + 14 * 4;
    let header = [0u32, 2, 0, 0, 0].map(u32::to_le_bytes).concat();
    header.into_iter().chain((0..floats).flat_map(|i| (0.1 + i as f32 / 400.0).to_le_bytes())).collect()
}

/// Damages of all kinds, the same on every run.
struct Damage(u64);

impl Damage {
    fn draw(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }

    fn of(&mut self, sound: &[u8]) -> Vec<u8> {
        let mut bytes = sound.to_vec();
        for _ in 0..=self.draw(3) {
            let at = self.draw(bytes.len());
            match self.draw(6) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..(at + self.draw(20)).min(bytes.len()))),
                2 => bytes.splice(at..at, [0xff; 9]).for_each(drop),
                3 if !bytes.is_empty() => bytes[at] = self.draw(256) as u8,
                4 if !bytes.is_empty() => {
                    let part = bytes[at..(at + 30).min(bytes.len())].to_vec();
                    bytes.splice(at..at, part).for_each(drop);
                }
                _ if !bytes.is_empty() => bytes[at] ^= 1 << self.draw(8),
                _ => {}
            }
        }
        bytes
    }
}

/// Loads a model and runs it on a frame if it loads.
fn tried(path: &Path) -> Result<usize, InferError> {
    let model = path.to_str().unwrap().to_owned();
    let plan = DetectPlan { model, min_score: 0.0, max_batch: 1, ..DetectPlan::default() };
    let (mut detector, _) = detect::torch::open(&plan)?;
    let mut out = Vec::new();
    detector.detect(&[noise_frame(90, 70)], &mut out)?;
    let boxes = &out[0];
    assert!(boxes.iter().all(|d| d.bbox.is_sound() && (0.0..=1.0).contains(&d.score)), "{boxes:?}");
    Ok(boxes.len())
}

/// The most memory this program has held so far, bytes.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Damages a file `ROUNDS` times and tries what comes of it.
fn survive(path: &Path, damaged: &Path, sound: &[u8], seed: u64) {
    let boxes = tried(path).unwrap();
    assert!(boxes > 0, "the sound model finds something in noise");
    let mut damage = Damage(seed);
    let mut refused = 0;
    for round in 0..ROUNDS {
        fs::write(damaged, damage.of(sound)).unwrap();
        let began = Instant::now();
        if let Err(error) = tried(path) {
            refused += 1;
            let message = error.to_string();
            assert!(message.starts_with("model ") && message.len() < 4000, "{message}");
        }
        let took = began.elapsed();
        assert!(took < PATIENCE, "round {round} took {took:?}");
    }
    println!("{refused} of {ROUNDS} were refused, at most {} MB held", peak_bytes() >> 20);
    assert!(refused > ROUNDS / 4, "only {refused} of {ROUNDS} were refused: were they damaged at all?");
    assert!(peak_bytes() < MOST_BYTES, "{} MB", peak_bytes() >> 20);
}

#[test]
fn damaged_onnx_files_end_in_an_error_or_in_boxes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.onnx");
    fs::write(&path, onnx()).unwrap();
    survive(&path, &path, &onnx(), 1);
}

#[test]
fn damaged_darknet_files_end_in_an_error_or_in_boxes() {
    let dir = tempfile::tempdir().unwrap();
    let (cfg, weights) = (dir.path().join("m.cfg"), dir.path().join("m.weights"));
    fs::write(&cfg, CFG).unwrap();
    fs::write(&weights, darknet_weights()).unwrap();
    survive(&weights, &cfg, CFG.as_bytes(), 2);
    fs::write(&cfg, CFG).unwrap();
    for cut in [0, 3, 11, 20, 21, 200, darknet_weights().len() - 1] {
        fs::write(&weights, &darknet_weights()[..cut]).unwrap();
        assert!(tried(&weights).is_err(), "{cut} bytes");
    }
}
