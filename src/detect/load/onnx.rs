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
    let file = OnnxFile::parse_at(&model.file.bytes, &model.file.path).map_err(on_onnx)?;
    let mut decisions = Vec::new();
    let size = input_size(plan, model, &file, &mut decisions);
    let otherwise = size.zip(file.fixed_size()).filter(|(size, fixed)| size != fixed);
    let calibration = model.calibration(place).map_err(fail_plainly)?;
    let options = BuildOptions { place, size, usual_batch: 1, calibration: calibration.as_ref() };
    let network = OnnxNetwork::build(&file, &options).map_err(|error| match (&error, otherwise) {
        (OnnxError::Node { .. } | OnnxError::Torch(_), Some((size, fixed))) => fail(format!(
            "exported for {fixed}, cannot be run at {size}: leave out detect.input_px or export it anew ({error})"
        )),
        _ => on_onnx(error),
    })?;
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
    let fixed = file.fixed_size();
    if let Some(size) = plan.input_px.map(square) {
        if let Some(fixed) = fixed.filter(|fixed| *fixed != size) {
            let doubt = "boxes are right only if its graph does not count on that size";
            tracing::warn!(model = plan.model, "detect.input_px asks for {size}, exported for {fixed}: {doubt}");
        }
        return Some(size);
    }
    let given = model.input_spec().map(|given| given.size());
    if let Some(fixed) = fixed {
        if let Some(given) = given.filter(|given| *given != fixed) {
            let authority = model.authority();
            tracing::warn!(model = plan.model, "{authority} says {given}, exported for {fixed}: it is fed {fixed}");
        }
        return None;
    }
    if given.is_some() {
        return given;
    }
    let written = file.metadata().get("imgsz").and_then(|text| names::numbers(text));
    let (size, whence) = match written.as_deref() {
        Some(&[height, width]) => (ImageSize { width, height }, "as its exporter wrote (imgsz)"),
        _ => (square(USUAL_PX), "because it leaves its size free; detect.input_px sets another"),
    };
    decisions.push(format!("input {size}, {whence}"));
    Some(size)
}
