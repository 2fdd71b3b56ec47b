//! What our runner of graphs costs over TorchScript's.
//!
//! Each network is built of libtorch's own operations alone, traced while it runs, saved, and frozen as `torch::script`
//! does with a user's file. Both then do the same operations on the same picture; what differs is who calls them. Several
//! outputs are joined to one, as tch traces no more; that is timed in all. Beside
//! them, in turns too, stands the network as eyeline runs it, whose convolutions oneDNN computes together with what
//! follows them. With torch in $EYELINE_BENCH_PYTHON the same file is also timed in Python, frozen and after
//! `optimize_for_inference`.

use super::networks::{Entry, entries, median, picture};
use eyeline::torch::{
    layers,
    runtime::{Inference, Placement, Precision, SharedNetwork},
    script::ScriptNetwork,
};
use std::{env, fs, path::Path, process::Command, time::Instant};
use tch::{CModule, Device, Tensor};

const RUNS: usize = 100;

/// Largest relative difference between the network and its trace.
const TOLERANCE: f64 = 1e-4;

pub fn print(threads: usize) {
    let _inference = Inference::begin();
    let place = Placement { device: Device::Cpu, precision: Precision::Fp32 };
    println!(
        "{threads} threads, fp32, ms a picture one after the other, in turns; times: median of the ratios of each turn"
    );
    println!(
        "{:<28} {:>12} {:>12} {:>12} {:>14} {:>14} {:>18}",
        "", "TorchScript", "our runner", "as it runs", "runner, times", "as is, times", "Python: frozen/opt"
    );
    let plain = layers::of_plain_operations(|| entries(place));
    for (plain, whole) in plain.iter().zip(entries(place)) {
        let folder = tempfile::tempdir().expect("a folder for the trace");
        let path = folder.path().join("traced.pt");
        let script = match script(plain, &path) {
            Ok(script) => script,
            Err(reason) => {
                println!("{:<28} {reason}", plain.name);
                continue;
            }
        };
        let turns = in_turns(&[&script, &plain.network, &whole.network], &picture(plain.shape));
        let times: Vec<f64> = (0..3).map(|which| median(turns.iter().map(|turn| turn[which]).collect())).collect();
        let ratio = |which: usize| median(turns.iter().map(|turn| turn[which] / turn[0]).collect());
        let python = in_python(&path, plain, threads).unwrap_or("-".into());
        println!(
            "{:<28} {:>12.2} {:>12.2} {:>12.2} {:>14.3} {:>14.3} {python:>18}",
            plain.name,
            times[0],
            times[1],
            times[2],
            ratio(1),
            ratio(2)
        );
    }
}

/// The network as a frozen TorchScript, whose file is left at `path`. Errors: why it is not the same network.
fn script(entry: &Entry, path: &Path) -> Result<SharedNetwork, String> {
    let picture = picture(entry.shape);
    let mut traced = |inputs: &[Tensor]| vec![joined(&entry.network, &inputs[0])];
    let first_line = |text: String| text.lines().find(|line| !line.is_empty()).unwrap_or_default().to_owned();
    let told = |error: tch::TchError| first_line(error.to_string());
    CModule::create_by_tracing("Network", "forward", &[picture.shallow_clone()], &mut traced)
        .and_then(|module| module.save(path))
        .map_err(told)?;
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let [_, channels, height, width] = entry.shape;
    let script =
        ScriptNetwork::load(&bytes, Device::Cpu, [channels, height, width]).map_err(|error| error.to_string())?;
    if !script.is_frozen() {
        return Err("the trace cannot be frozen".into());
    }
    let script = SharedNetwork::new(Box::new(script));
    let (ours, theirs) = (joined(&entry.network, &picture), joined(&script, &picture));
    let scale = ours.abs().max().double_value(&[]);
    if ours.size() != theirs.size() || !ours.allclose(&theirs, TOLERANCE, TOLERANCE * scale, false) {
        return Err("the trace gives something else".into());
    }
    Ok(script)
}

/// Everything the network gives, as one tensor.
fn joined(network: &SharedNetwork, picture: &Tensor) -> Tensor {
    let mut outputs = network.forward(picture).expect("it ran when it was built");
    if outputs.len() == 1 {
        return outputs.remove(0);
    }
    let flat: Vec<_> = outputs.iter().map(|output| output.reshape([-1])).collect();
    Tensor::cat(&flat, 0)
}

/// Milliseconds of each network in each turn; each is the first as often as the others.
fn in_turns(networks: &[&SharedNetwork; 3], picture: &Tensor) -> Vec<[f64; 3]> {
    let turn = |number: usize| {
        let mut times = [0.0; 3];
        for which in (0..3).map(|place| (place + number) % 3) {
            let begun = Instant::now();
            drop(joined(networks[which], picture));
            times[which] = begun.elapsed().as_secs_f64() * 1e3;
        }
        times
    };
    (0..RUNS).map(turn).collect()
}

/// Milliseconds in Python's torch: frozen / optimized for inference.
fn in_python(path: &Path, entry: &Entry, threads: usize) -> Option<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/time_torchscript.py");
    let shape = entry.shape.map(|size| size.to_string()).join(",");
    let python = env::var_os("EYELINE_BENCH_PYTHON")?;
    let output = Command::new(python).arg(script).arg(path).args([shape, threads.to_string()]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
