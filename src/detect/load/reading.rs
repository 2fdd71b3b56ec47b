//! How a network whose file does not say so is fed and read: from the zoo, a `.model.yml`, what its exporter wrote, or the
//! shapes of its outputs for a grey picture.

use super::{Loaded, Model, beside, names, torch_error};
use crate::{
    config::{plan::DetectPlan, zoo::InputSpec},
    detect::{
        InferError,
        heads::ssd::{Prior, priors_from_csv},
        match_head::{self, Choice, Facts},
        outputs::Outputs,
    },
    frame::ImageSize,
    torch::runtime::{Network, SharedNetwork, TorchError},
};
use std::fs;
use tch::{Device, Kind, Tensor};

/// A network that was built, before anybody knows its head.
pub(super) struct Built {
    pub network: Box<dyn Network>,
    pub input: ImageSize,
    /// Names of its classes, where the file holds them.
    pub written: Option<Vec<String>>,
    pub decisions: Vec<String>,
}

impl Built {
    /// Runs the network once on a grey picture and chooses the head.
    pub fn read(self, plan: &DetectPlan, model: &Model, device: Device) -> Result<Loaded, InferError> {
        let path = model.file.path.display();
        let fail = |problem: String| InferError::Model { model: plan.model.clone(), problem };
        let Self { network, input, written, mut decisions } = self;
        let probe = probe(&*network, input, device).map_err(|error| torch_error(&plan.model, error))?;
        let known = names::known(model, written);
        let priors = priors(model).map_err(fail)?;
        let facts = Facts {
            outputs: &probe.picture(0),
            input,
            spec: model.head_spec(),
            classes: known.as_ref().map(|known| known.names.len()),
            varies: network.max_batch() == 1,
            priors: priors.as_deref(),
        };
        let in_file = |problem: String| fail(format!("{path}: {problem}"));
        let choice = match_head::choose(&facts).map_err(in_file)?;
        let classes = names::fitting(known, choice.head.classes()).map_err(in_file)?;
        decisions.push(format!("head {}, {}: {}", choice.head.family(), by_whom(model, "its outputs"), choice.reason));
        decisions.push(format!("{} classes, named by {}", classes.names.len(), classes.whence));
        let spec = fed(model, &choice, input, &mut decisions);
        Ok(Loaded {
            network: SharedNetwork::new(network),
            head: choice.head,
            outputs: choice.outputs,
            input: spec,
            classes: classes.names,
            card: model.card(&plan.model),
            decisions,
        })
    }
}

/// What the network gives for a grey picture.
fn probe(network: &dyn Network, size: ImageSize, device: Device) -> Result<Outputs, TorchError> {
    let shape = [1, 3, i64::from(size.height), i64::from(size.width)];
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

/// How the network is fed: as somebody says, else as networks with its head usually are.
fn fed(model: &Model, choice: &Choice, size: ImageSize, decisions: &mut Vec<String>) -> InputSpec {
    if let Some(given) = model.input_spec() {
        decisions.push(format!("fed as {} says", model.authority()));
        return given.with_size(size);
    }
    let family = choice.head.family();
    let usual = match_head::usual_input(family, size);
    let usual = InputSpec { fit: choice.fit.unwrap_or(usual.fit), ..usual };
    decisions.push(format!("fed as {family} usually is: {usual}; a .model.yml beside it says otherwise"));
    usual
}
