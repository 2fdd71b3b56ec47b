//! Each network beside ONNX Runtime.

use super::networks::{Entry, entries, entries_in_bytes, median, picture};
use eyeline::torch::{
    onnx::{BuildOptions, OnnxFile, OnnxNetwork},
    runtime::{Inference, Placement, Precision, has_brain_floats, limit_this_thread},
};
use std::{env, fs, process::Command, thread, time::Instant};
use tch::Device;

const RUNS: usize = 40;
const ROUNDS: usize = 3;

/// Milliseconds each picture takes with all threads, one after the other.
fn alone(entry: &Entry) -> f64 {
    let picture = picture(entry.shape);
    let time = |_| {
        let begun = Instant::now();
        entry.network.forward(&picture).expect("it ran when it was built");
        begun.elapsed().as_secs_f64() * 1e3
    };
    median((0..RUNS).map(time).collect())
}

/// Milliseconds a picture where each thread runs pictures of its own, as the line does with batches.
fn side_by_side(entry: &Entry, threads: usize) -> f64 {
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let _inference = Inference::begin();
                limit_this_thread(1);
                let picture = picture(entry.shape);
                (0..RUNS).for_each(|_| drop(entry.network.forward(&picture).expect("it ran when it was built")));
            });
        }
    });
    begun.elapsed().as_secs_f64() * 1e3 / (RUNS * threads) as f64
}

/// The same two figures of ONNX Runtime.
fn onnx_runtime(entry: &Entry, threads: usize) -> Option<[f64; 2]> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/time_onnxruntime.py");
    let python = env::var_os("EYELINE_BENCH_PYTHON")?;
    let output = Command::new(python).args([script, &entry.told, &threads.to_string()]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

/// The least of several rounds, in which the contestants take turns: other work on the machine slows one round down, not
/// one contestant.
fn least(rounds: &[Option<[f64; 2]>]) -> Option<[f64; 2]> {
    let known = rounds.iter().flatten().copied();
    known.reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1])])
}

pub fn print(threads: usize) {
    let _inference = Inference::begin();
    let place = |precision| Placement { device: Device::Cpu, precision };
    let narrow = if has_brain_floats() { entries(place(Precision::Bf16)) } else { Vec::new() };
    println!(
        "{threads} threads, ms a picture: one after the other / side by side; speed against ONNX Runtime likewise"
    );
    println!("{:<28} {:>15} {:>15} {:>15} {:>15} {:>13}", "", "fp32", "bf16", "int8", "ONNX Runtime", "auto, times");
    let bytes = entries_in_bytes();
    for entry in entries(place(Precision::Fp32)) {
        let narrow = narrow.iter().find(|other| other.name == entry.name);
        let time = |entry: &Entry| [alone(entry), side_by_side(entry, threads)];
        let bytes = bytes.iter().find(|other| other.name == entry.name);
        let round = |_| [Some(time(&entry)), narrow.map(time), bytes.map(time), onnx_runtime(&entry, threads)];
        let rounds: Vec<_> = (0..ROUNDS).map(round).collect();
        let [wide, narrow, bytes, peer] =
            [0, 1, 2, 3].map(|which| least(&rounds.iter().map(|round| round[which]).collect::<Vec<_>>()));
        let shown = |times: Option<[f64; 2]>| times.map_or("-".into(), |[a, b]| format!("{a:.2} / {b:.2}"));
        let ratio = narrow.or(wide).zip(peer).map(|(ours, theirs)| [theirs[0] / ours[0], theirs[1] / ours[1]]);
        let [wide, narrow, bytes, peer, ratio] = [wide, narrow, bytes, peer, ratio].map(shown);
        println!("{:<28} {wide:>15} {narrow:>15} {bytes:>15} {peer:>15} {ratio:>13}", entry.name);
        if env::var_os("EYELINE_BENCH_STEPS").is_some_and(|wanted| entry.name.starts_with(&*wanted.to_string_lossy())) {
            steps(&entry.told, place(Precision::Bf16));
        }
    }
}

/// What each step of a network takes.
fn steps(path: &str, place: Placement) {
    let Some(model) = fs::read(path).ok().and_then(|bytes| OnnxFile::parse(&bytes).ok()) else { return };
    let network = OnnxNetwork::build(&model, &BuildOptions { place, ..BuildOptions::default() }).expect("it was built");
    let size = network.input_size();
    let picture = picture([1, network.input_channels(), i64::from(size.height), i64::from(size.width)]);
    let times = network.times(&picture, RUNS).expect("it ran before");
    println!("{:.2} ms in {} steps", times.iter().map(|(_, time)| time).sum::<f64>(), times.len());
    times.iter().for_each(|(step, time)| println!("  {time:8.3} {step}"));
}
