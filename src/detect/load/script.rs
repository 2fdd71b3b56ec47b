//! TorchScript files. Such a file says nothing about its input, so somebody has to, or it is taken to be of the usual size.

use super::{Loaded, Model, USUAL_PX, reading::Built, torch_error};
use crate::{config::plan::DetectPlan, detect::InferError, frame::ImageSize, torch::script::ScriptNetwork};
use tch::Device;

/// Loads a TorchScript file and chooses its head.
pub(super) fn load(plan: &DetectPlan, model: &Model, device: Device) -> Result<Loaded, InferError> {
    let square = |px| ImageSize { width: px, height: px };
    let mut decisions = Vec::new();
    let input = plan.input_px.map(square).or(model.input_spec().map(|spec| spec.size())).unwrap_or_else(|| {
        let size = square(USUAL_PX);
        decisions.push(format!("input {size}, because TorchScript names no size; detect.input_px sets another"));
        size
    });
    let shape = [3, i64::from(input.height), i64::from(input.width)];
    let network = ScriptNetwork::load(&model.file.bytes, device, shape);
    let network = network.map_err(|error| torch_error(&plan.model, error))?;
    let frozen = if network.is_frozen() { "frozen" } else { "as it was saved, because it cannot be frozen" };
    decisions.push(format!("TorchScript, run {frozen}, in fp32"));
    if network.is_detection_list() {
        decisions.push("it takes a list of pictures and gets one at a time".into());
    }
    Built { network: Box::new(network), input, written: None, decisions }.read(plan, model, device)
}
