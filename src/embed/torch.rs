//! Embedder on libtorch: crops, network, one vector a crop.

use super::{
    Embedder, Embedding,
    crop::{CropArea, Cropper},
};
use crate::{
    config::{
        plan::EmbedPlan,
        zoo::{self, InputSpec, Located, ModelCard, ModelFormat, Task, Zoo, ZooEntry},
    },
    detect::InferError,
    frame::Frame,
    geometry::BBox,
    preprocess::normalize::Normalize,
    torch::{
        mobilenet_v2::{self, BuildError, MobileNetV2},
        model_file::ModelFile,
        runtime::{self, Device, Inference, Network, TorchError},
        state_dict::StateDict,
    },
};
use tch::Tensor;

/// An embedder whose network runs on libtorch.
pub struct TorchEmbedder {
    name: String,
    input: InputSpec,
    network: Box<dyn Network>,
    cropper: Cropper,
    normalize: Normalize,
    max_batch: usize,
    card: ModelCard,
}

/// Opens the embedder of a plan where networks run, and says which file it is. One forward pass is made before this returns.
pub fn open(plan: &EmbedPlan) -> Result<(Box<dyn Embedder>, ModelCard), InferError> {
    let embedder = TorchEmbedder::open(plan, runtime::device())?;
    let card = embedder.card.clone();
    Ok((Box::new(embedder), card))
}

/// Crops of an ordinary street scene in one frame; the layout of the weights is chosen for a batch of this size.
const USUAL_CROPS: i64 = 8;

impl TorchEmbedder {
    /// Opens the embedder of a plan on a device.
    pub fn open(plan: &EmbedPlan, device: Device) -> Result<Self, InferError> {
        let _inference = Inference::begin();
        let fail = |problem: String| InferError::Model { model: plan.model.clone(), problem };
        let on_torch = |error| torch_error(&plan.model, error);
        let device = device.open().map_err(on_torch)?;
        let (file, entry) = read(&plan.model).map_err(fail)?;
        let input = entry.input.clone();
        let weights =
            StateDict::read(&file.bytes).map_err(|error| fail(format!("{}: {error}", file.path.display())))?;
        let shape = [USUAL_CROPS, 3, i64::from(input.height), i64::from(input.width)];
        let network = MobileNetV2::new(&weights, device, shape).map_err(|error| match error {
            BuildError::Torch(error) => on_torch(error),
            error => fail(format!("{}: {error}", file.path.display())),
        })?;
        let embedder = Self {
            name: plan.model.clone(),
            network: Box::new(network),
            cropper: Cropper::new(input.size()),
            normalize: Normalize::new(input.mean, input.std, device).map_err(on_torch)?,
            max_batch: plan.max_batch.max(1),
            card: ModelCard { name: entry.name.clone(), file: file.path, sha256: file.sha256 },
            input,
        };
        let grey = vec![128; input_bytes(&embedder.input)];
        embedder.forward(&grey, 1)?;
        Ok(embedder)
    }

    /// Embeddings of the crops in `pixels`, `DIM` values each.
    fn forward(&self, pixels: &[u8], count: usize) -> Result<Vec<f32>, InferError> {
        let run = || -> Result<(Vec<i64>, Vec<f32>), TorchError> {
            let batch = self.normalize.batch(pixels, count, self.input.height, self.input.width)?;
            let outputs = self.network.forward(&batch)?;
            let output = outputs.first().ok_or_else(|| TorchError("the network gives no output".into()))?;
            Ok((output.size(), on_host(output)?))
        };
        let (shape, values) = run().map_err(|error| torch_error(&self.name, error))?;
        let expected = [count as i64, mobilenet_v2::DIM as i64];
        if shape == expected {
            return Ok(values);
        }
        let (got, expected) = (format!("{shape:?}"), format!("{expected:?}"));
        Err(InferError::Shape { model: self.name.clone(), got, expected })
    }

    fn embed_at_once(
        &mut self,
        crops: &[(usize, &Frame, CropArea)],
        out: &mut [Option<Embedding>],
    ) -> Result<(), InferError> {
        for (slot, (_, frame, area)) in crops.iter().enumerate() {
            let seq = frame.meta.seq;
            self.cropper.draw(slot, frame, *area).map_err(|problem| InferError::Frame { seq, problem })?;
        }
        let values = self.forward(self.cropper.batch(crops.len()), crops.len())?;
        for ((index, ..), values) in crops.iter().zip(values.chunks_exact(mobilenet_v2::DIM)) {
            out[*index] = unit(values);
        }
        Ok(())
    }
}

impl Embedder for TorchEmbedder {
    fn dim(&self) -> usize {
        mobilenet_v2::DIM
    }

    fn embed(&mut self, crops: &[(&Frame, BBox)], out: &mut Vec<Option<Embedding>>) -> Result<(), InferError> {
        out.clear();
        out.resize(crops.len(), None);
        let _inference = Inference::begin();
        let areas = crops.iter().enumerate();
        let areas = areas.filter_map(|(index, (frame, bbox))| {
            CropArea::inside(bbox, frame.meta.size).map(|area| (index, *frame, area))
        });
        let areas: Vec<_> = areas.collect();
        for crops in areas.chunks(self.max_batch) {
            self.embed_at_once(crops, out)?;
        }
        Ok(())
    }
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

fn torch_error(model: &str, error: TorchError) -> InferError {
    InferError::Torch { model: model.to_owned(), message: error.0 }
}

fn input_bytes(input: &InputSpec) -> usize {
    input.width as usize * input.height as usize * 3
}

fn on_host(output: &Tensor) -> Result<Vec<f32>, TorchError> {
    let flat = output.f_to_device(tch::Device::Cpu)?.f_contiguous()?;
    let mut values = vec![0.0; flat.numel()];
    flat.f_copy_data(&mut values, flat.numel())?;
    Ok(values)
}

/// The values scaled to L2 norm 1; none where that cannot be (a crop of nothing the network knows, a value not finite).
fn unit(values: &[f32]) -> Option<Embedding> {
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    (norm.is_finite() && norm > 0.0).then(|| Embedding(values.iter().map(|value| value / norm).collect()))
}
