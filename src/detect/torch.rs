//! Detector on libtorch: letterbox, network, head, suppression, and back to source pixels.

use super::{
    Detection, Detector, InferError,
    heads::{Wanted, darknet::Grid},
    load::{self, Loaded, torch_error},
    nms::{self, NmsSettings},
};
use crate::{
    config::{plan::DetectPlan, zoo::ModelCard},
    frame::Frame,
    preprocess::{
        letterbox::{LetterBox, LetterBoxer},
        normalize::Normalize,
    },
    torch::runtime::{Device, Inference, TorchError},
};
use tch::Tensor;

/// Most detections of one frame; a crowd that fills a 4K picture has fewer.
const MAX_DETECTIONS: usize = 1000;

/// A detector whose network runs on libtorch.
pub struct TorchDetector {
    name: String,
    loaded: Loaded,
    wanted: Wanted,
    nms: NmsSettings,
    max_batch: usize,
    boxer: LetterBoxer,
    normalize: Normalize,
    /// Output of one head for one batch, kept from batch to batch.
    values: Vec<f32>,
}

/// Opens the detector of a plan on the processor, and says which file it is.
///
/// One forward pass is made before this returns, so that a network whose output does not fit its head is refused here and
/// not at the first frame.
pub fn open(plan: &DetectPlan) -> Result<(Box<dyn Detector>, ModelCard), InferError> {
    let detector = TorchDetector::open(plan, Device::Cpu)?;
    let card = detector.loaded.card.clone();
    Ok((Box::new(detector), card))
}

impl TorchDetector {
    /// Opens the detector of a plan on a device.
    pub fn open(plan: &DetectPlan, device: Device) -> Result<Self, InferError> {
        let _inference = Inference::begin();
        let on_torch = |error| torch_error(&plan.model, error);
        let device = device.open().map_err(on_torch)?;
        let loaded = load::load(plan, device)?;
        let classes = load::wanted_classes(plan, &loaded.classes)?;
        let detector = Self {
            name: plan.model.clone(),
            wanted: Wanted { min_score: plan.min_score, classes },
            nms: NmsSettings { max_iou: plan.max_iou, max_detections: MAX_DETECTIONS },
            max_batch: plan.max_batch.max(1),
            boxer: LetterBoxer::new(loaded.input, loaded.fill),
            normalize: Normalize::new(loaded.mean, loaded.std, device).map_err(on_torch)?,
            values: Vec::new(),
            loaded,
        };
        detector.warm_up()?;
        Ok(detector)
    }

    /// Runs the network once and checks what it gives.
    fn warm_up(&self) -> Result<(), InferError> {
        let input = self.loaded.input;
        let pixels = vec![self.loaded.fill; input.width as usize * input.height as usize * 3];
        let batch = self.normalize.batch(&pixels, 1, input.height, input.width);
        let outputs = batch.and_then(|batch| self.loaded.network.forward(&batch)).map_err(|e| self.torch_error(e))?;
        self.check_shapes(&outputs, 1)
    }

    fn check_shapes(&self, outputs: &[Tensor], pictures: usize) -> Result<(), InferError> {
        let shape = |channels: usize, (rows, columns): (usize, usize)| {
            [pictures, channels, rows, columns].map(|size| size as i64).to_vec()
        };
        let heads = self.loaded.heads.iter().zip(&self.loaded.grids);
        let expected: Vec<_> = heads.map(|(head, grid)| shape(head.channels(), *grid)).collect();
        let got: Vec<_> = outputs.iter().map(Tensor::size).collect();
        if got == expected {
            return Ok(());
        }
        Err(InferError::Shape { model: self.name.clone(), got: format!("{got:?}"), expected: format!("{expected:?}") })
    }

    fn torch_error(&self, error: TorchError) -> InferError {
        torch_error(&self.name, error)
    }

    /// Draws the frames into the batch; where each lies comes back.
    fn draw(&mut self, frames: &[Frame]) -> Result<Vec<LetterBox>, InferError> {
        let drawn = frames.iter().enumerate().map(|(slot, frame)| {
            let seq = frame.meta.seq;
            self.boxer.draw(slot, frame).map_err(|problem| InferError::Frame { seq, problem })
        });
        drawn.collect()
    }

    fn forward(&mut self, pictures: usize) -> Result<Vec<Tensor>, InferError> {
        let input = self.loaded.input;
        let batch = self.normalize.batch(self.boxer.batch(pictures), pictures, input.height, input.width);
        let outputs = batch.and_then(|batch| self.loaded.network.forward(&batch)).map_err(|e| self.torch_error(e))?;
        self.check_shapes(&outputs, pictures)?;
        Ok(outputs)
    }

    /// Decodes one output of the network for all pictures, boxes in network-input pixels.
    fn decode(&mut self, index: usize, output: &Tensor, found: &mut [Vec<Detection>]) -> Result<(), InferError> {
        let (head, (rows, columns)) = (&self.loaded.heads[index], self.loaded.grids[index]);
        let per_picture = rows * columns * head.channels();
        self.values.resize(per_picture * found.len(), 0.0);
        copy_channels_innermost(output, &mut self.values).map_err(|error| torch_error(&self.name, error))?;
        for (values, found) in self.values.chunks_exact(per_picture).zip(found) {
            if let Some(grid) = Grid::new(values, rows, columns, head.channels()) {
                head.decode(grid, self.loaded.input, &self.wanted, found);
            }
        }
        Ok(())
    }

    fn detect_at_once(&mut self, frames: &[Frame]) -> Result<Vec<Vec<Detection>>, InferError> {
        let places = self.draw(frames)?;
        let outputs = self.forward(frames.len())?;
        let mut found = vec![Vec::new(); frames.len()];
        for (index, output) in outputs.iter().enumerate() {
            self.decode(index, output, &mut found)?;
        }
        for (detections, place) in found.iter_mut().zip(places) {
            nms::suppress(detections, &self.nms);
            to_source(detections, &place);
        }
        Ok(found)
    }
}

impl Detector for TorchDetector {
    fn detect(&mut self, batch: &[Frame], out: &mut Vec<Vec<Detection>>) -> Result<(), InferError> {
        out.clear();
        let _inference = Inference::begin();
        for frames in batch.chunks(self.max_batch) {
            out.extend(self.detect_at_once(frames)?);
        }
        Ok(())
    }

    fn classes(&self) -> &[String] {
        &self.loaded.classes
    }
}

/// Copies (N, channels, rows, columns) into N · rows · columns · channels floats.
fn copy_channels_innermost(output: &Tensor, values: &mut [f32]) -> Result<(), TorchError> {
    let rows = output.f_to_device(tch::Device::Cpu)?.f_permute([0, 2, 3, 1])?.f_contiguous()?;
    Ok(rows.f_copy_data(values, values.len())?)
}

/// Moves boxes from the network's input to the picture, cuts them at its edges and drops those outside.
fn to_source(detections: &mut Vec<Detection>, place: &LetterBox) {
    detections.retain_mut(|detection| {
        detection.bbox = place.bbox_source_from_model(&detection.bbox).clipped_to(place.source);
        detection.bbox.is_sound()
    });
}
