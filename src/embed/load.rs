//! From what a plan calls an embedder to a network and what it is fed.

use crate::{
    config::zoo::{self, InputSpec, Located, ModelCard, ModelFormat, Task, Zoo, ZooEntry},
    detect::InferError,
    torch::{
        mobilenet_v2::{BuildError, MobileNetV2},
        model_file::ModelFile,
        runtime::{Network, TorchError},
        state_dict::StateDict,
    },
};
use tch::Device;

/// An embedder's network with what it is fed.
pub(super) struct Loaded {
    pub network: Box<dyn Network>,
    pub input: InputSpec,
    pub card: ModelCard,
}

/// Crops of an ordinary street scene in one frame; the layout of the weights is chosen for a batch of this size.
const USUAL_CROPS: i64 = 8;

/// Reads the files that `model` names and builds the network on `device`.
pub(super) fn load(model: &str, device: Device) -> Result<Loaded, InferError> {
    let fail = |problem: String| InferError::Model { model: model.to_owned(), problem };
    let (file, entry) = read(model).map_err(fail)?;
    let name = file.path.display();
    let weights = StateDict::read(&file.bytes).map_err(|error| fail(format!("{name}: {error}")))?;
    let shape = [USUAL_CROPS, 3, i64::from(entry.input.height), i64::from(entry.input.width)];
    let network = MobileNetV2::new(&weights, device, shape).map_err(|error| match error {
        BuildError::Torch(error) => torch_error(model, error),
        error => fail(format!("{name}: {error}")),
    })?;
    let card = ModelCard { name: entry.name.clone(), file: file.path, sha256: file.sha256 };
    Ok(Loaded { network: Box::new(network), input: entry.input, card })
}

/// The file of an embedder and the entry that says how to feed it. A file of one's own is taken for MobileNetV2 weights.
fn read(model: &str) -> Result<(ModelFile, &'static ZooEntry), String> {
    let zoo = Zoo::builtin();
    match zoo.locate(model, Task::Embed)? {
        Located::Entry(entry) => {
            let known = entry.files.first().ok_or("models/zoo.yml lists no file for it")?;
            Ok((ModelFile::read_known(&zoo::models_dir(), known)?, entry))
        }
        Located::File(path) => {
            let like = zoo.entries().iter().find(|entry| entry.format == ModelFormat::MobilenetV2);
            Ok((ModelFile::read(&path)?, like.ok_or("models/zoo.yml has no entry of its kind")?))
        }
    }
}

/// libtorch's refusal, with the model it concerns.
pub(super) fn torch_error(model: &str, error: TorchError) -> InferError {
    InferError::Torch { model: model.to_owned(), message: error.0 }
}
