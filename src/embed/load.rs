//! From what a plan calls an embedder to a network and what it is fed.

use crate::{
    config::zoo::{self, Fit, InputSpec, Located, ModelCard, ModelFormat, ModelNotes, Task, Zoo, ZooEntry},
    detect::InferError,
    frame::ImageSize,
    torch::{
        mobilenet_v2::{BuildError, MobileNetV2},
        model_file::ModelFile,
        onnx::{BuildOptions, OnnxError, OnnxFile, OnnxNetwork},
        runtime::{Network, Placement, TorchError},
        script::{ScriptNetwork, is_torchscript},
        state_dict::StateDict,
    },
};
use std::path::Path;

/// An embedder's network with what it is fed.
pub(super) struct Loaded {
    pub network: Box<dyn Network>,
    pub input: InputSpec,
    pub card: ModelCard,
}

/// A model's file with what is known about it.
struct Model {
    format: ModelFormat,
    file: ModelFile,
    entry: Option<&'static ZooEntry>,
    notes: ModelNotes,
}

/// Crops of an ordinary street scene in one frame; the layout of the weights is chosen for a batch of this size.
const USUAL_CROPS: i64 = 8;

/// What networks for people are trained on, where a file leaves its size free. Source: torchreid's default.
const PERSON: ImageSize = ImageSize { width: 128, height: 256 };

/// Reads the files that `model` names and builds the network where it runs.
pub(super) fn load(model: &str, place: Placement) -> Result<Loaded, InferError> {
    let fail = |problem: String| InferError::Model { model: model.to_owned(), problem };
    let found = Model::read(model).map_err(fail)?;
    let (network, input) = match found.format {
        ModelFormat::Onnx => onnx(model, &found, place)?,
        ModelFormat::Torchscript => script(model, &found, place)?,
        _ => mobilenet(model, &found, place)?,
    };
    let name = found.entry.map_or_else(|| found.file.path.display().to_string(), |entry| entry.name.clone());
    let card = ModelCard { name, file: found.file.path, sha256: found.file.sha256 };
    Ok(Loaded { network, input, card })
}

impl Model {
    fn read(model: &str) -> Result<Self, String> {
        let zoo = Zoo::builtin();
        match zoo.locate(model, Task::Embed)? {
            Located::Entry(entry) => {
                let known = entry.files.first().ok_or("models/zoo.yml lists no file for it")?;
                let file = ModelFile::read_known(&zoo::models_dir(), known)?;
                Ok(Self { format: entry.format, file, entry: Some(entry), notes: ModelNotes::default() })
            }
            Located::File(path) => {
                let file = ModelFile::read(&path)?;
                // A state dict of one's own is taken for MobileNetV2's.
                let format = match path.extension().and_then(|extension| extension.to_str()) {
                    Some("onnx") => ModelFormat::Onnx,
                    _ if is_torchscript(&file.bytes) => ModelFormat::Torchscript,
                    _ => ModelFormat::MobilenetV2,
                };
                let entry = zoo.find_by_sha256(&file.sha256).filter(|entry| entry.task == Task::Embed);
                let alike = || zoo.entries().iter().find(|entry| entry.format == format);
                let entry = if format == ModelFormat::MobilenetV2 { entry.or_else(alike) } else { entry };
                Ok(Self { format, notes: notes(&path, format)?, file, entry })
            }
        }
    }

    fn input(&self) -> Option<InputSpec> {
        self.notes.input.or(self.entry.map(|entry| entry.input))
    }
}

fn notes(path: &Path, format: ModelFormat) -> Result<ModelNotes, String> {
    if format == ModelFormat::MobilenetV2 { Ok(ModelNotes::default()) } else { ModelNotes::beside(path) }
}

fn onnx(model: &str, found: &Model, place: Placement) -> Result<(Box<dyn Network>, InputSpec), InferError> {
    let path = found.file.path.display();
    let on_onnx = |error: OnnxError| match error {
        OnnxError::Torch(error) => torch_error(model, error),
        error => InferError::Model { model: model.to_owned(), problem: format!("{path}: {error}") },
    };
    let file = OnnxFile::parse_at(&found.file.bytes, &found.file.path).map_err(on_onnx)?;
    let given = found.input().map(|input| input.size());
    let size = match file.fixed_size() {
        Some(fixed) => {
            if let Some(given) = given.filter(|given| *given != fixed) {
                tracing::warn!(model, "an input of {given} is asked for, exported for {fixed}: it is fed {fixed}");
            }
            None
        }
        None => Some(given.unwrap_or(PERSON)),
    };
    let options = BuildOptions { place, size, usual_batch: USUAL_CROPS, calibration: None };
    let network = OnnxNetwork::build(&file, &options).map_err(on_onnx)?;
    let input = fed(model, found, network.input_size());
    Ok((Box::new(network), input))
}

fn script(model: &str, found: &Model, place: Placement) -> Result<(Box<dyn Network>, InputSpec), InferError> {
    let input = fed(model, found, found.input().map_or(PERSON, |input| input.size()));
    let shape = [3, i64::from(input.height), i64::from(input.width)];
    let network =
        ScriptNetwork::load(&found.file.bytes, place.device, shape).map_err(|error| torch_error(model, error))?;
    Ok((Box::new(network), input))
}

/// As the zoo or a `.model.yml` says, else as embedders usually are.
fn fed(model: &str, found: &Model, size: ImageSize) -> InputSpec {
    found.input().map(|input| input.with_size(size)).unwrap_or_else(|| {
        let usual = InputSpec { fit: Fit::Stretch, mean: IMAGENET_MEAN, std: IMAGENET_STD, ..InputSpec::plain(size) };
        tracing::info!(model, "fed as embedders usually are: {usual}; a .model.yml beside it says otherwise");
        usual
    })
}

/// Mean of ImageNet's red, green and blue. Source: torchvision's transforms.
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
/// Their standard deviation.
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

fn mobilenet(model: &str, found: &Model, place: Placement) -> Result<(Box<dyn Network>, InputSpec), InferError> {
    let name = found.file.path.display();
    let fail = |problem: String| InferError::Model { model: model.to_owned(), problem };
    let input = found.input().ok_or_else(|| fail("models/zoo.yml has no entry of its kind".into()))?;
    let weights = StateDict::read(&found.file.bytes).map_err(|error| fail(format!("{name}: {error}")))?;
    let shape = [USUAL_CROPS, 3, i64::from(input.height), i64::from(input.width)];
    let network = MobileNetV2::new(&weights, place, shape).map_err(|error| match error {
        BuildError::Torch(error) => torch_error(model, error),
        error => fail(format!("{name}: {error}")),
    })?;
    Ok((Box::new(network), input))
}

/// libtorch's refusal, with the model it concerns.
pub(super) fn torch_error(model: &str, error: TorchError) -> InferError {
    InferError::Torch { model: model.to_owned(), message: error.0 }
}
