//! ONNX files.

use super::{Loaded, Model, USUAL_PX, names, reading::Built, torch_error};
use crate::{
    config::plan::DetectPlan,
    detect::InferError,
    frame::ImageSize,
    torch::{
        onnx::{BuildOptions, OnnxError, OnnxFile, OnnxNetwork},
        runtime::Placement,
    },
};

/// Builds the network of an ONNX file and chooses its head.
pub(super) fn load(plan: &DetectPlan, model: &Model, place: Placement) -> Result<Loaded, InferError> {
    let path = model.file.path.display();
    let fail = |problem: String| InferError::Model { model: plan.model.clone(), problem: format!("{path}: {problem}") };
    let fail_plainly = |problem: String| InferError::Model { model: plan.model.clone(), problem };
    let on_onnx = |error: OnnxError| match error {
        OnnxError::Torch(error) => torch_error(&plan.model, error),
        error => fail(error.to_string()),
    };
    let file = OnnxFile::parse(&model.file.bytes).map_err(on_onnx)?;
    let mut decisions = Vec::new();
    let size = input_size(plan, model, &file, &mut decisions);
    let calibration = model.calibration(place).map_err(fail_plainly)?;
    let options = BuildOptions { place, size, usual_batch: 1, calibration: calibration.as_ref() };
    let network = OnnxNetwork::build(&file, &options).map_err(on_onnx)?;
    if network.input_channels() != 3 {
        let channels = network.input_channels();
        return Err(fail(format!("an input of {channels} channels, expected red, green, blue")));
    }
    let input = network.input_size();
    let written = file.metadata().get("names").and_then(|text| names::from_dictionary(text));
    Built { network: Box::new(network), input, written, decisions }.read(plan, model, place.device)
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
