//! `eyeline models quantize MODEL --video FILE...`: learns from a video which ranges a detector's values have, so that it can
//! compute in bytes (`precision: int8`).

use crate::{
    config::plan::DetectPlan,
    detect::torch::TorchDetector,
    frame::StreamId,
    source::{OpenSource, Pull, gst::FileOpener},
    torch::{
        calibration::{Calibration, Observed},
        runtime::{self, Device, Precision, TorchError},
    },
};
use anyhow::{Context, anyhow, ensure};
use clap::Args;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tch::{Kind, Tensor};

/// Learn from your video what a detector needs to compute in bytes (precision int8)
///
/// Runs the detector in 32-bit floats on frames spread evenly over the files and keeps the ranges of its values in
/// NAME.int8.yml beside the model, where `--precision int8` looks for them. Take video of the cameras it will see. For ONNX
/// and Darknet detectors; `eyeline eval --task detection` measures what int8 costs where you have truth.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  eyeline models quantize yolox-nano --video gate.mp4
  eyeline models quantize best.onnx --video day.mp4 night.mp4 --frames 200
  eyeline process gate.mp4 --detector yolox-nano --precision int8")]
pub struct QuantizeArgs {
    /// A detector's file, or a name from `eyeline models list`
    #[arg(value_name = "FILE|NAME")]
    model: String,
    /// Video to learn from
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    video: Vec<PathBuf>,
    /// Frames to look at, of each file
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    frames: u32,
    /// Side of the detector's input, pixels
    #[arg(long, value_name = "PX")]
    input_px: Option<u32>,
    /// Where the ranges go [default: NAME.int8.yml beside the model]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// No frame takes longer, even over a network file system.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Learns and writes.
pub fn run(args: &QuantizeArgs) -> anyhow::Result<ExitCode> {
    // Between layers values are counted, while libtorch's other threads would burn their cores.
    runtime::set_threads(1);
    let plan = DetectPlan { model: args.model.clone(), input_px: args.input_px, max_batch: 1, ..DetectPlan::default() };
    let mut detector = TorchDetector::open_in(&plan, Device::Cpu, Precision::Fp32)?;
    let (mut observed, mut frames) = (Observed::default(), 0);
    for path in &args.video {
        let pictures = pictures(path, args.frames as usize, &mut detector)?;
        ensure!(!pictures.is_empty(), "{}: no frame can be read of it", path.display());
        frames += pictures.len();
        for picture in pictures {
            detector.observe(&picture, &mut |name, values| add(&mut observed, name, values))?;
        }
    }
    let about = detector.about();
    let calibration = Calibration {
        eyeline: env!("CARGO_PKG_VERSION").into(),
        sha256: about.card.sha256.clone(),
        input: format!("{}x{}", about.input.width, about.input.height),
        frames,
        ranges: observed.ranges(),
    };
    let beside = Calibration::beside(&about.card.file);
    let out = args.out.as_ref().unwrap_or(&beside);
    fs::write(out, calibration.to_yaml()?).with_context(|| format!("{}: cannot be written", out.display()))?;
    // The network is built as it will be, so that what does not fit is said now.
    if *out == beside {
        TorchDetector::open_in(&plan, Device::Cpu, Precision::Int8)?;
    }
    println!("{}: ranges of {} values, from {frames} frames", out.display(), calibration.ranges.len());
    Ok(ExitCode::SUCCESS)
}

/// At most `wanted` frames, spread evenly over the file, as the network is fed them.
fn pictures(path: &Path, wanted: usize, detector: &mut TorchDetector) -> anyhow::Result<Vec<Vec<u8>>> {
    let name = path.display();
    let mut source = FileOpener::new(path.to_owned(), StreamId(0)).open(0, 0).map_err(|e| anyhow!("{name}: {e}"))?;
    let (mut kept, mut every, mut number) = (Vec::new(), 1, 0);
    loop {
        match source.pull(LONGEST_WAIT).map_err(|error| anyhow!("{name}: {error}"))? {
            Pull::Frame(frame) => {
                if number % every == 0 {
                    kept.push(detector.draw(&frame)?);
                }
                number += 1;
                if kept.len() == 2 * wanted {
                    // The file is longer than thought: every other one is enough.
                    let mut index = 0;
                    kept.retain(|_| {
                        index += 1;
                        index % 2 == 1
                    });
                    every *= 2;
                }
            }
            Pull::End { damage } => {
                if let Some(damage) = damage {
                    tracing::warn!(file = %name, %damage, "the file is damaged; what could be read is used");
                }
                return Ok(evenly(kept, wanted));
            }
            Pull::Pending => anyhow::bail!("{name}: no frame for {} s", LONGEST_WAIT.as_secs()),
        }
    }
}

/// At most `wanted` of a list, spread evenly.
fn evenly<T>(list: Vec<T>, wanted: usize) -> Vec<T> {
    let (length, wanted) = (list.len(), wanted.max(1));
    if length <= wanted {
        return list;
    }
    let chosen = |index: usize| (index * wanted) / length != ((index + 1) * wanted) / length;
    list.into_iter().enumerate().filter(|(index, _)| chosen(*index)).map(|(_, item)| item).collect()
}

/// Counts the values of a tensor.
fn add(observed: &mut Observed, name: &str, values: &Tensor) -> Result<(), TorchError> {
    let values = values.f_to_kind(Kind::Float)?.f_reshape([-1])?;
    observed.add(name, &Vec::<f32>::try_from(&values)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_from_the_whole_file() {
        assert_eq!(evenly((0..7).collect(), 7), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(evenly((0..7).collect(), 2), [3, 6]);
        assert_eq!(evenly((0..127).collect::<Vec<_>>(), 64).len(), 64);
        assert!(evenly(Vec::<u8>::new(), 3).is_empty());
    }
}
