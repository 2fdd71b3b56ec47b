//! Embedder on libtorch: crops, network, one vector a crop.

use super::{
    Crop, Embedder, Embedding,
    by_class::ByClass,
    crop::{CropArea, Cropper},
    load::{self, Loaded},
};
use crate::{
    config::{
        plan::EmbedPlan,
        zoo::{self, InputSpec, ModelCard},
    },
    detect::{ClassId, InferError},
    frame::Frame,
    preprocess::normalize::Normalize,
    torch::runtime::{self, Device, Inference, Placement, Precision, TorchError},
};
use tch::{Kind, Tensor};

/// An embedder whose network runs on libtorch.
pub struct TorchEmbedder {
    name: String,
    loaded: Loaded,
    cropper: Cropper,
    normalize: Normalize,
    max_batch: usize,
    dim: usize,
}

/// Opens the embedders of a plan where networks run, and says which files they are. `classes`: the detector's.
///
/// One forward pass is made through each before this returns.
pub fn open(plan: &EmbedPlan, classes: &[String]) -> Result<(Box<dyn Embedder>, Vec<ModelCard>), InferError> {
    let mut models: Vec<&str> = vec![&plan.model];
    let mut of_class = Vec::new();
    for (class, model) in &plan.by_class {
        let index = model.as_deref().map(|model| {
            models.iter().position(|known| *known == model).unwrap_or_else(|| {
                models.push(model);
                models.len() - 1
            })
        });
        of_class.push((class_number(plan, classes, class)?, index));
    }
    let mut embedders: Vec<Box<dyn Embedder>> = Vec::new();
    let mut cards = Vec::new();
    for model in models {
        let embedder = TorchEmbedder::open(model, plan.max_batch, runtime::device(), runtime::precision())?;
        cards.push(embedder.loaded.card.clone());
        embedders.push(Box::new(embedder));
    }
    if of_class.is_empty() {
        return Ok((embedders.remove(0), cards));
    }
    let by_class = ByClass::new(embedders, of_class).expect("an embedder was opened for each class");
    Ok((Box::new(by_class), cards))
}

fn class_number(plan: &EmbedPlan, classes: &[String], wanted: &str) -> Result<ClassId, InferError> {
    let found = classes.iter().position(|class| class == wanted).map(|index| ClassId(index as u16));
    found.ok_or_else(|| {
        let hint = zoo::nearest(wanted, classes.iter().map(String::as_str));
        let hint = hint.map_or(String::new(), |near| format!("; did you mean {near:?}?"));
        let problem = format!("is to embed {wanted:?}, which the detector does not know{hint}");
        InferError::Model { model: plan.model.clone(), problem }
    })
}

impl TorchEmbedder {
    /// Opens an embedder by name or file on a device. TorchScript stays in 32 bits whatever the precision;
    /// int8 is for detectors, so that embedders are run in the floats the processor is fast in.
    pub fn open(model: &str, max_batch: usize, device: Device, precision: Precision) -> Result<Self, InferError> {
        let _inference = Inference::begin();
        let on_torch = |error| load::torch_error(model, error);
        let device = device.open().map_err(on_torch)?;
        let precision = if precision == Precision::Int8 { Precision::of_processor() } else { precision };
        let loaded = load::load(model, Placement { device, precision })?;
        let mut embedder = Self {
            name: model.to_owned(),
            cropper: Cropper::new(loaded.input.size()),
            normalize: Normalize::new(&loaded.input, device).map_err(on_torch)?,
            max_batch: max_batch.max(1),
            dim: 0,
            loaded,
        };
        embedder.dim = embedder.measured_dim()?;
        Ok(embedder)
    }

    /// The file.
    pub fn card(&self) -> &ModelCard {
        &self.loaded.card
    }

    /// How the network is fed.
    pub fn input(&self) -> &InputSpec {
        &self.loaded.input
    }

    /// Length of an embedding, by a pass over two grey crops.
    fn measured_dim(&self) -> Result<usize, InferError> {
        let input = &self.loaded.input;
        let grey = vec![128; 2 * input.width as usize * input.height as usize * 3];
        let (shape, _) = self.forward(&grey, 2)?;
        match *shape {
            [2, dim, ref rest @ ..] if dim > 0 && rest.iter().all(|size| *size == 1) => Ok(dim as usize),
            _ => Err(self.misfit(&shape, "(2, D) for two crops")),
        }
    }

    /// Shape and values of the network's first output for the crops in `pixels`.
    fn forward(&self, pixels: &[u8], count: usize) -> Result<(Vec<i64>, Vec<f32>), InferError> {
        let run = || -> Result<(Vec<i64>, Vec<f32>), TorchError> {
            let batch = self.normalize.batch(pixels, count, self.loaded.input.height, self.loaded.input.width)?;
            let outputs = self.loaded.network.forward(&batch)?;
            let output = outputs.first().ok_or_else(|| TorchError("the network gives no output".into()))?;
            Ok((output.size(), on_host(output)?))
        };
        run().map_err(|error| load::torch_error(&self.name, error))
    }

    fn misfit(&self, got: &[i64], expected: &str) -> InferError {
        InferError::Shape { model: self.name.clone(), got: format!("{got:?}"), expected: expected.to_owned() }
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
        let (shape, values) = self.forward(self.cropper.batch(crops.len()), crops.len())?;
        if values.len() != crops.len() * self.dim {
            return Err(self.misfit(&shape, &format!("({}, {})", crops.len(), self.dim)));
        }
        for ((index, ..), values) in crops.iter().zip(values.chunks_exact(self.dim)) {
            out[*index] = unit(values);
        }
        Ok(())
    }
}

impl Embedder for TorchEmbedder {
    fn dim(&self) -> usize {
        self.dim
    }

    fn embed(&mut self, crops: &[Crop<'_>], out: &mut Vec<Option<Embedding>>) -> Result<(), InferError> {
        out.clear();
        out.resize(crops.len(), None);
        let _inference = Inference::begin();
        let areas = crops.iter().enumerate();
        let areas = areas.filter_map(|(index, crop)| {
            CropArea::inside(&crop.bbox, crop.frame.meta.size).map(|area| (index, crop.frame, area))
        });
        let areas: Vec<_> = areas.collect();
        for crops in areas.chunks(self.max_batch) {
            self.embed_at_once(crops, out)?;
        }
        Ok(())
    }
}

fn on_host(output: &Tensor) -> Result<Vec<f32>, TorchError> {
    let flat = output.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut values = vec![0.0; flat.numel()];
    flat.f_copy_data(&mut values, flat.numel())?;
    Ok(values)
}

/// The values scaled to L2 norm 1; none where that cannot be (a crop of nothing the network knows, a value not finite).
fn unit(values: &[f32]) -> Option<Embedding> {
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    (norm.is_finite() && norm > 0.0).then(|| Embedding(values.iter().map(|value| value / norm).collect()))
}
