//! `eyeline models inspect FILE`: what is in a model, how it will be run, and why.

use crate::{
    config::{
        plan::DetectPlan,
        zoo::{Task, Zoo},
    },
    detect::torch::TorchDetector,
    embed::torch::TorchEmbedder,
    torch::{
        model_file::ModelFile,
        onnx::{OnnxFile, ValueInfo},
        runtime::{Device, Precision},
        script::is_torchscript,
    },
};
use anyhow::{anyhow, bail};
use clap::Args;
use std::{
    io::{Write, stdout},
    path::Path,
    process::ExitCode,
};

/// Show what is in a model, how it will be run, and why
///
/// Exit code: 0 it can be run, 1 it cannot, with the reason.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  eyeline models inspect best.onnx
  eyeline models inspect yolov3-tiny --input-px 416")]
pub struct InspectArgs {
    /// A model file, or a name from `eyeline models list`
    #[arg(value_name = "FILE|NAME")]
    model: String,
    /// Side of the detector's input, pixels
    #[arg(long, value_name = "PX")]
    input_px: Option<u32>,
    /// Take it for a detector or an embedder; by default whichever fits
    #[arg(long, value_enum)]
    task: Option<As>,
}

/// What a model is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum As {
    /// Boxes from frames.
    Detect,
    /// Embeddings from crops.
    Embed,
}

/// Prints what is found.
pub fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let mut out = stdout().lock();
    let zoo = Zoo::builtin().find(&args.model);
    let path = Path::new(&args.model);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("onnx") if zoo.is_none() => describe_onnx(path, &mut out)?,
        Some("pt" | "pth" | "ts" | "torchscript") if zoo.is_none() => describe_script(path, &mut out)?,
        _ => {}
    }
    let task = args.task.or(zoo.map(|entry| match entry.task {
        Task::Detect => As::Detect,
        Task::Embed => As::Embed,
    }));
    let detector = match task {
        Some(As::Embed) => None,
        _ => Some(inspect_detector(args, &mut out)),
    };
    match (detector, task) {
        (Some(Ok(())), _) => Ok(ExitCode::SUCCESS),
        (Some(Err(error)), Some(As::Detect)) => Err(error),
        (detector, _) => match (inspect_embedder(args, &mut out), detector) {
            (Ok(()), _) => Ok(ExitCode::SUCCESS),
            (Err(error), None) => Err(error),
            (Err(embedder), Some(Err(error))) => bail!("as a detector: {error}\n  as an embedder: {embedder}"),
            (Err(error), Some(Ok(()))) => Err(error),
        },
    }
}

fn describe_onnx(path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let file = ModelFile::read(path).map_err(|problem| anyhow!(problem))?;
    let onnx = OnnxFile::parse_at(&file.bytes, path).map_err(|error| anyhow!("{}: {error}", path.display()))?;
    writeln!(out, "{}: ONNX, opset {}, from {:?}", path.display(), onnx.opset(), onnx.producer())?;
    writeln!(out, "  sha256    {}", file.sha256)?;
    for (what, values) in [("input", onnx.inputs()), ("output", onnx.outputs())] {
        for value in values {
            writeln!(out, "  {what:<9} {}", value_text(value))?;
        }
    }
    for (key, value) in onnx.metadata() {
        let short: String = value.chars().take(80).collect();
        writeln!(out, "  metadata  {key}: {short}{}", if short.len() < value.len() { " …" } else { "" })?;
    }
    let operators: Vec<String> = onnx.operators().iter().map(|(name, count)| format!("{name} {count}")).collect();
    writeln!(out, "  operators {}", operators.join(", "))?;
    Ok(())
}

/// What is in a program shows when it is run.
fn describe_script(path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let file = ModelFile::read(path).map_err(|problem| anyhow!(problem))?;
    let what = if is_torchscript(&file.bytes) { "TorchScript" } else { "weights of PyTorch without their network" };
    writeln!(out, "{}: {what}, {} bytes", path.display(), file.bytes.len())?;
    writeln!(out, "  sha256    {}", file.sha256)?;
    Ok(())
}

fn value_text(value: &ValueInfo) -> String {
    let sizes: Vec<_> = value.dims.iter().map(|size| size.map_or("?".into(), |size| size.to_string())).collect();
    format!("{} ({}) {:?}", value.name, sizes.join(", "), value.kind)
}

fn inspect_detector(args: &InspectArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let plan = DetectPlan { model: args.model.clone(), input_px: args.input_px, max_batch: 1, ..DetectPlan::default() };
    let detector = TorchDetector::open(&plan, Device::Cpu)?;
    let about = detector.about();
    writeln!(out, "runs as a detector ({})", about.card.name)?;
    writeln!(out, "  input     {}", about.input)?;
    writeln!(out, "  head      {}: {}", about.family, about.expected)?;
    let shown = about.classes.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if about.classes.len() > 8 { ", …" } else { "" };
    writeln!(out, "  classes   {}: {shown}{more}", about.classes.len())?;
    for decision in about.decisions {
        writeln!(out, "  why       {decision}")?;
    }
    Ok(())
}

fn inspect_embedder(args: &InspectArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let embedder = TorchEmbedder::open(&args.model, 1, Device::Cpu, Precision::Fp32)?;
    writeln!(out, "runs as an embedder ({})", embedder.card().name)?;
    writeln!(out, "  input     {}", embedder.input())?;
    writeln!(out, "  output    {} values, scaled to length 1", crate::embed::Embedder::dim(&embedder))?;
    Ok(())
}
