//! ONNX files: how one is fed and read comes from the zoo, a `.model.yml`, what its exporter wrote, or its shapes.

use super::{Loaded, Model, beside, names, torch_error};
use crate::{
    config::{plan::DetectPlan, zoo::InputSpec},
    detect::{
        InferError,
        heads::ssd::{Prior, priors_from_csv},
        match_head::{self, Facts},
        outputs::Outputs,
    },
    frame::ImageSize,
    torch::{
        onnx::{BuildOptions, OnnxError, OnnxFile, OnnxNetwork},
        runtime::{Network, SharedNetwork, TorchError},
    },
};
use std::fs;
use tch::{Device, Kind, Tensor};

/// Side of an input that nobody gives a size: what most detectors are trained at.
const USUAL_PX: u32 = 640;

/// Builds the network of an ONNX file, runs it once on a grey picture and chooses the head.
pub(super) fn load(plan: &DetectPlan, model: &Model, device: Device) -> Result<Loaded, InferError> {
    let path = model.file.path.display();
    let fail = |problem: String| InferError::Model { model: plan.model.clone(), problem };
    let on_onnx = |error: OnnxError| match error {
        OnnxError::Torch(error) => torch_error(&plan.model, error),
        error => fail(format!("{path}: {error}")),
    };
    let file = OnnxFile::parse(&model.file.bytes).map_err(on_onnx)?;
    let mut decisions = Vec::new();
    let size = input_size(plan, model, &file, &mut decisions);
    let options = BuildOptions { place: device.into(), size, usual_batch: 1 };
    let network = OnnxNetwork::build(&file, &options).map_err(on_onnx)?;
    let input = network.input_size();
    let probe = probe(&network, device).map_err(|error| torch_error(&plan.model, error))?;
    let written = file.metadata().get("names").and_then(|text| names::from_dictionary(text));
    let known = names::known(model, written);
    let priors = priors(model).map_err(fail)?;
    let facts = Facts {
        outputs: &probe.picture(0),
        input,
        spec: model.head_spec(),
        classes: known.as_ref().map(|known| known.names.len()),
        priors: priors.as_deref(),
    };
    let choice = match_head::choose(&facts).map_err(|problem| fail(format!("{path}: {problem}")))?;
    let classes = names::fitting(known, choice.head.classes()).map_err(|problem| fail(format!("{path}: {problem}")))?;
    decisions.push(format!("head {}, {}: {}", choice.head.family(), by_whom(model, "its outputs"), choice.reason));
    decisions.push(format!("{} classes, named by {}", classes.names.len(), classes.whence));
    let spec = fed(model, choice.head.family(), input, &mut decisions);
    Ok(Loaded {
        network: SharedNetwork::new(Box::new(network)),
        head: choice.head,
        outputs: choice.outputs,
        input: spec,
        classes: classes.names,
        card: model.card(&plan.model),
        decisions,
    })
}

/// The size to build for; `None` takes the file's.
fn input_size(plan: &DetectPlan, model: &Model, file: &OnnxFile, decisions: &mut Vec<String>) -> Option<ImageSize> {
    let square = |px| ImageSize { width: px, height: px };
    if let Some(px) = plan.input_px {
        return Some(square(px));
    }
    let is_free = file.inputs().first().is_none_or(|input| input.dims.iter().skip(1).any(Option::is_none));
    if !is_free {
        return None;
    }
    if let Some(given) = model.input_spec() {
        return Some(given.size());
    }
    let written = file.metadata().get("imgsz").and_then(|text| names::numbers(text));
    let (size, whence) = match written.as_deref() {
        Some(&[height, width]) => (ImageSize { width, height }, "as its exporter wrote (imgsz)"),
        _ => (square(USUAL_PX), "because it leaves its size free; detect.input_px sets another"),
    };
    decisions.push(format!("input {size}, {whence}"));
    Some(size)
}

/// What the network gives for a grey picture.
fn probe(network: &OnnxNetwork, device: Device) -> Result<Outputs, TorchError> {
    let size = network.input_size();
    let shape = [1, network.input_channels(), i64::from(size.height), i64::from(size.width)];
    if shape[1] != 3 {
        return Err(TorchError(format!("an input of {} channels, expected red, green, blue", shape[1])));
    }
    let grey = Tensor::f_full(shape, 0.5, (Kind::Float, device))?;
    let tensors = network.forward(&grey)?;
    let all: Vec<usize> = (0..tensors.len()).collect();
    Outputs::of(&tensors, &all, 1)
}

/// Prior boxes beside the model.
fn priors(model: &Model) -> Result<Option<Vec<Prior>>, String> {
    let path = beside(&model.file.path, "anchors.csv");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    priors_from_csv(&text).map(Some).map_err(|problem| format!("{}: {problem}", path.display()))
}

fn by_whom(model: &Model, otherwise: &str) -> String {
    match model.head_spec() {
        Some(_) => format!("as {} says", model.authority()),
        None => format!("by {otherwise}"),
    }
}

/// How the network is fed: as somebody says, else as its family usually is.
fn fed(model: &Model, family: &str, size: ImageSize, decisions: &mut Vec<String>) -> InputSpec {
    if let Some(given) = model.input_spec() {
        decisions.push(format!("fed as {} says", model.authority()));
        return given.with_size(size);
    }
    let usual = match_head::usual_input(family, size);
    decisions.push(format!("fed as {family} usually is: {usual}; a .model.yml beside it says otherwise"));
    usual
}
