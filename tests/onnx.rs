//! ONNX on libtorch gives what ONNX Runtime gives: every operator, whole networks with random weights, a batch like its
//! pictures, and an error for whatever is damaged.
//!
//! `golden/onnx_operators.bin` and `golden/onnx_networks.bin` were recorded by the scripts of the same names in
//! `golden/generate`, which say how they are made up.
#![cfg(feature = "torch")]

use eyeline::torch::{
    calibration::{Calibration, Observed},
    onnx::{self, BuildOptions, OnnxError, OnnxFile, OnnxNetwork},
    runtime::{Network, Placement, Precision, TorchError},
};
use std::collections::BTreeSet;
use tch::{Device, Kind, Tensor};

const OPERATORS: &[u8] = include_bytes!("golden/onnx_operators.bin");
const NETWORKS: &[u8] = include_bytes!("golden/onnx_networks.bin");

/// The models of a file, each behind its length.
fn models(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut models = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (model, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        models.push(model);
        bytes = rest;
    }
    models
}

/// What ONNX Runtime gave for output `index`: shape and values.
fn expected(file: &OnnxFile, index: usize) -> (Vec<i64>, Vec<f64>) {
    let stored = file.initializer(&format!("expected/{index}")).unwrap();
    let floats = stored.floats().map(|values| values.iter().map(|&value| f64::from(value)).collect());
    let ints = || stored.ints().map(|values| values.iter().map(|&value| value as f64).collect());
    let values = floats.or_else(ints).or_else(|| stored.bools().map(|v| v.iter().map(|&v| f64::from(v)).collect()));
    (stored.dims().to_vec(), values.unwrap())
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(&tensor.to_kind(Kind::Double).contiguous().reshape([-1])).unwrap()
}

/// Largest difference, relative to the largest value where that is above 1.
fn difference(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let scale = expected.iter().filter(|value| value.is_finite()).fold(1.0f64, |most, value| most.max(value.abs()));
    let one = |(a, b): (&f64, &f64)| if a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (a - b).abs() / scale };
    got.iter().zip(expected).map(one).fold(0.0, f64::max)
}

/// The input the networks were recorded with.
fn picture(shape: [i64; 4]) -> Tensor {
    let count = shape.iter().product::<i64>();
    let steps = Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.618_033_988_749_895;
    steps.frac().reshape(shape).to_kind(Kind::Float)
}

#[test]
fn every_operator_gives_what_onnx_runtime_gives() {
    let (mut covered, mut faults) = (BTreeSet::new(), Vec::new());
    for model in models(OPERATORS) {
        let file = OnnxFile::parse(model).unwrap();
        let operator = (*file.operators().keys().next().unwrap()).to_owned();
        let outputs = match onnx::evaluate(&file) {
            Ok(outputs) => outputs,
            Err(error) => {
                faults.push(format!("{operator} (opset {}): {error}", file.opset()));
                continue;
            }
        };
        for (index, output) in outputs.iter().enumerate() {
            let (shape, wanted) = expected(&file, index);
            let context = format!("{operator} (opset {}) output {index}", file.opset());
            if output.size() != shape {
                faults.push(format!("{context}: shape {:?}, expected {shape:?}", output.size()));
            } else if difference(&values(output), &wanted) > 1e-5 {
                faults.push(format!("{context}: {:?}, expected {wanted:?}", values(output)));
            }
        }
        covered.insert(operator);
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    let missing: Vec<_> = onnx::operator_names().filter(|name| !covered.contains(*name)).collect();
    assert!(missing.is_empty(), "operators without a recorded case: {missing:?}");
}

#[test]
fn networks_give_what_onnx_runtime_gives_and_a_batch_what_its_pictures_give() {
    for model in models(NETWORKS) {
        let file = OnnxFile::parse(model).unwrap();
        let network = OnnxNetwork::build(&file, &BuildOptions::default()).unwrap();
        let input = picture([1, 3, 64, 64]);
        let other = input.flip([1, 3]);
        let alone = network.forward(&input).unwrap();
        let together = network.forward(&Tensor::cat(&[&other, &input, &other], 0)).unwrap();
        for (index, (alone, together)) in alone.iter().zip(&together).enumerate() {
            let (shape, wanted) = expected(&file, index);
            let context = format!("{} output {index}", file.producer());
            assert_eq!(alone.size(), shape, "{context}");
            let off = difference(&values(alone), &wanted);
            assert!(off < 1e-4, "{context}: {off}");
            let off = difference(&values(&together.narrow(0, 1, 1)), &wanted);
            assert!(off < 1e-4, "{context} in a batch: {off}");
        }
    }
}

#[test]
fn brain_floats_stay_near_and_come_out_as_floats() {
    let place = Placement { device: Device::Cpu, precision: Precision::Bf16 };
    for model in models(NETWORKS) {
        let file = OnnxFile::parse(model).unwrap();
        let network = OnnxNetwork::build(&file, &BuildOptions { place, ..BuildOptions::default() }).unwrap();
        for (index, output) in network.forward(&picture([1, 3, 64, 64])).unwrap().iter().enumerate() {
            assert_eq!(output.kind(), Kind::Float);
            let (got, (_, wanted)) = (values(output), expected(&file, index));
            let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
            let off = squares(&mut got.iter().zip(&wanted).map(|(a, b)| a - b)) / squares(&mut wanted.iter().copied());
            assert!(off.sqrt() < 0.1, "{} output {index}: {}", file.producer(), off.sqrt());
        }
    }
}

#[test]
fn bytes_stay_near_once_they_are_calibrated() {
    let mut quantized = 0;
    for model in models(NETWORKS) {
        let file = OnnxFile::parse(model).unwrap();
        let picture = picture([1, 3, 64, 64]);
        let mut observed = Observed::default();
        let mut see = |name: &str, values: &Tensor| {
            observed.add(name, &Vec::<f32>::try_from(values.reshape([-1])).unwrap());
            Ok(())
        };
        let wide = OnnxNetwork::build(&file, &BuildOptions::default()).unwrap();
        let shown = wide.observe(&picture, &mut see).unwrap();
        assert_eq!(shown.len(), wide.outputs().len());
        let calibration = Calibration {
            eyeline: String::new(),
            sha256: String::new(),
            input: String::new(),
            frames: 1,
            ranges: observed.ranges(),
        };
        let place = Placement { device: Device::Cpu, precision: Precision::Int8 };
        let without = OnnxNetwork::build(&file, &BuildOptions { place, ..BuildOptions::default() }).err().unwrap();
        assert_eq!(without.to_string(), "precision int8 needs a calibration");
        let options = BuildOptions { place, calibration: Some(&calibration), ..BuildOptions::default() };
        let network = OnnxNetwork::build(&file, &options).unwrap();
        quantized += usize::from(network.steps() != wide.steps());
        for (index, output) in network.forward(&picture).unwrap().iter().enumerate() {
            assert_eq!(output.kind(), Kind::Float);
            let (got, (_, wanted)) = (values(output), expected(&file, index));
            let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
            let off = squares(&mut got.iter().zip(&wanted).map(|(a, b)| a - b)) / squares(&mut wanted.iter().copied());
            println!("{} output {index}: {:.4}", file.producer(), off.sqrt());
            assert!(off.sqrt() < 0.2, "{} output {index}: {}", file.producer(), off.sqrt());
        }
        let together = network.forward(&Tensor::cat(&[&picture.flip([1, 2, 3]), &picture], 0)).unwrap();
        assert_eq!(together[0].size()[1..], wide.forward(&picture).unwrap()[0].size()[1..]);
    }
    assert!(quantized > 0);
}

#[test]
fn what_cannot_be_run_is_named_all_at_once() {
    // A sound network with two operators renamed and one attribute spoiled, each to a word of the same length.
    let mut model = models(NETWORKS)[3].to_vec();
    for (from, to) in [(&b"PRelu"[..], &b"QRelu"[..]), (b"Softplus", b"Softquux"), (b"ceil_mode", b"ceil_wode")] {
        let found: Vec<_> = (0..model.len()).filter(|&at| model[at..].starts_with(from)).collect();
        found.iter().for_each(|&at| model[at..at + to.len()].copy_from_slice(to));
    }
    let error = OnnxNetwork::build(&OnnxFile::parse(&model).unwrap(), &BuildOptions::default()).err().unwrap();
    let OnnxError::Unsupported(nodes) = &error else { panic!("{error}") };
    assert_eq!(nodes.len(), 3, "{error}");
    let text = error.to_string();
    assert!(text.starts_with("3 of its nodes cannot be run: QRelu \"/mobile/QRelu_"), "{text}");
    assert!(text.contains(": not supported; Softquux \"/mobile/Softquux_"), "{text}");
    assert!(text.ends_with(": attributes ceil_wode are not known"), "{text}");
}

#[test]
fn a_picture_of_another_size_is_refused() {
    let network = OnnxNetwork::build(&OnnxFile::parse(models(NETWORKS)[0]).unwrap(), &BuildOptions::default()).unwrap();
    let error = network.forward(&picture([1, 3, 32, 64])).unwrap_err();
    assert_eq!(error, TorchError("a batch [1, 3, 32, 64], expected (N, then [3, 64, 64])".into()));
}

/// Numbers that look random and are the same every time (Marsaglia 2003, xorshift).
struct Scramble(u64);

impl Scramble {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// A damaged copy: bits flipped, cut short, or a stretch of it overwritten or moved.
fn damaged(model: &[u8], scramble: &mut Scramble) -> Vec<u8> {
    let mut bytes = model.to_vec();
    let at = scramble.below(bytes.len());
    match scramble.below(5) {
        0 => bytes.truncate(at),
        1 => (0..1 + scramble.below(8)).for_each(|_| {
            let at = scramble.below(model.len());
            bytes[at] ^= 1 << scramble.below(8);
        }),
        2 => bytes[at] = scramble.below(256) as u8,
        3 => {
            // Small numbers are sizes, axes and field lengths.
            let end = (at + 1 + scramble.below(6)).min(bytes.len());
            bytes[at..end].iter_mut().for_each(|byte| *byte = scramble.below(9) as u8);
        }
        _ => {
            let from = scramble.below(model.len());
            let length = scramble.below(64).min(model.len() - at.max(from));
            bytes[at..at + length].copy_from_slice(&model[from..from + length]);
        }
    }
    bytes
}

/// Most memory the process ever held, bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn a_thousand_damaged_models_are_refused_or_run() {
    let mut scramble = Scramble(0x9e37_79b9_7f4a_7c15);
    // The graph is what damage reaches; of the weights alone nothing much depends.
    let whole: Vec<_> = models(OPERATORS).into_iter().chain(models(NETWORKS)).collect();
    let (mut refused, mut run) = (0, 0);
    for index in 0..1000 {
        let model = if index % 4 == 0 { models(NETWORKS)[3] } else { whole[scramble.below(whole.len())] };
        match attempt(&damaged(model, &mut scramble)) {
            Ok(()) => run += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 200 && run > 50, "{refused} refused, {run} run");
    assert!(peak_memory() < 4 << 30, "{} MiB", peak_memory() >> 20);
}

fn attempt(bytes: &[u8]) -> Result<(), OnnxError> {
    let file = OnnxFile::parse(bytes)?;
    if file.inputs().is_empty() {
        return onnx::evaluate(&file).map(|_| ());
    }
    let network = OnnxNetwork::build(&file, &BuildOptions::default())?;
    let size = network.input_size();
    let input = picture([1, network.input_channels(), i64::from(size.height), i64::from(size.width)]);
    network.forward(&input).map(|_| ()).map_err(OnnxError::from)
}

/// Suppresses in its graph and asks for the picture's size; made by `golden/generate/onnx_counted.py`.
const COUNTED: &[u8] = include_bytes!("golden/onnx_counted.onnx");

#[test]
fn a_network_that_suppresses_gives_lists_as_long_as_what_it_found() {
    let file = OnnxFile::parse(COUNTED).unwrap();
    let network = OnnxNetwork::build(&file, &BuildOptions::default()).unwrap();
    assert_eq!(network.max_batch(), 1);
    let first = picture([1, 3, 64, 64]);
    let mut lengths = Vec::new();
    for (index, picture) in [first.shallow_clone(), first.flip([1, 2])].iter().enumerate() {
        for (output, got) in network.forward(picture).unwrap().iter().enumerate() {
            let stored = file.initializer(&format!("expected/{index}/{output}")).unwrap();
            let ints = || stored.ints().map(|list| list.iter().map(|&value| value as f64).collect::<Vec<_>>());
            let wanted = stored.floats().map(|list| list.iter().map(|&value| f64::from(value)).collect()).or_else(ints);
            assert_eq!(got.size(), [&[1], stored.dims()].concat(), "picture {index}, output {output}");
            assert!(difference(&values(got), &wanted.unwrap()) < 1e-5, "picture {index}, output {output}");
            lengths.push(got.size()[1]);
        }
    }
    assert!(lengths[0] > 0 && lengths[0] != lengths[3], "{lengths:?}");
}
