//! Detector on libtorch: letterbox, network, head, suppression, and back to source pixels.

use super::{
    Detection, Detector, InferError,
    heads::{Wanted, darknet::Grid},
    load::{self, Loaded, torch_error},
    nms::{self, NmsSettings},
    workers::Workers,
};
use crate::{
    config::{plan::DetectPlan, zoo::ModelCard},
    frame::Frame,
    preprocess::{
        letterbox::{LetterBox, LetterBoxer},
        normalize::Normalize,
    },
    torch::runtime::{self, Device, Inference, TorchError},
};
use std::{slice, sync::Arc};
use tch::Tensor;

/// Most detections of one frame; a crowd that fills a 4K picture has fewer.
const MAX_DETECTIONS: usize = 1000;

/// A detector whose network runs on libtorch.
///
/// On a processor the pictures of a batch run side by side, one worker each with its share of the threads: layers of one
/// picture need not wait for one another's threads, nor for the cores that decoding and drawing take in between. A
/// picture that comes alone gets all threads.
pub struct TorchDetector {
    model: Arc<Model>,
    /// For what runs on the calling thread.
    pass: Pass,
    max_batch: usize,
    workers: Option<Workers>,
}

/// What every worker reads.
struct Model {
    name: String,
    loaded: Loaded,
    wanted: Wanted,
    nms: NmsSettings,
    device: tch::Device,
}

/// What a thread keeps from batch to batch.
struct Pass {
    boxer: LetterBoxer,
    normalize: Normalize,
    /// Output of one head for one batch.
    values: Vec<f32>,
}

/// Opens the detector of a plan where networks run, and says which file it is.
///
/// One forward pass is made before this returns, so that a network whose output does not fit its head is refused here and
/// not at the first frame.
pub fn open(plan: &DetectPlan) -> Result<(Box<dyn Detector>, ModelCard), InferError> {
    let detector = TorchDetector::open(plan, runtime::device())?;
    let card = detector.model.loaded.card.clone();
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
        let model = Arc::new(Model {
            name: plan.model.clone(),
            wanted: Wanted { min_score: plan.min_score, classes },
            nms: NmsSettings { max_iou: plan.max_iou, max_detections: MAX_DETECTIONS },
            loaded,
            device,
        });
        let pass = Pass::new(&model)?;
        model.warm_up(&pass)?;
        let max_batch = plan.max_batch.max(1);
        let workers = Workers::start(max_batch, device, || {
            let (model, mut pass) = (Arc::clone(&model), Pass::new(&model)?);
            Ok(move |frame: &Frame| model.detect(&mut pass, slice::from_ref(frame)).map(|mut found| found.remove(0)))
        })?;
        Ok(Self { model, pass, max_batch, workers })
    }
}

impl Detector for TorchDetector {
    fn detect(&mut self, batch: &[Frame], out: &mut Vec<Vec<Detection>>) -> Result<(), InferError> {
        out.clear();
        let _inference = Inference::begin();
        for frames in batch.chunks(self.max_batch) {
            match &self.workers {
                Some(workers) if frames.len() > 1 => out.append(&mut workers.map(frames)?),
                _ => out.append(&mut self.model.detect(&mut self.pass, frames)?),
            }
        }
        Ok(())
    }

    fn classes(&self) -> &[String] {
        &self.model.loaded.classes
    }
}

impl Pass {
    fn new(model: &Model) -> Result<Self, InferError> {
        let Loaded { input, fill, mean, std, .. } = model.loaded;
        let normalize = Normalize::new(mean, std, model.device).map_err(|error| torch_error(&model.name, error))?;
        Ok(Self { boxer: LetterBoxer::new(input, fill), normalize, values: Vec::new() })
    }
}

impl Model {
    /// Runs the network once and checks what it gives.
    fn warm_up(&self, pass: &Pass) -> Result<(), InferError> {
        let input = self.loaded.input;
        let pixels = vec![self.loaded.fill; input.width as usize * input.height as usize * 3];
        self.forward(&pass.normalize, &pixels, 1).map(|_| ())
    }

    fn detect(&self, pass: &mut Pass, frames: &[Frame]) -> Result<Vec<Vec<Detection>>, InferError> {
        let places = draw(&mut pass.boxer, frames)?;
        let outputs = self.forward(&pass.normalize, pass.boxer.batch(frames.len()), frames.len())?;
        let mut found = vec![Vec::new(); frames.len()];
        for (index, output) in outputs.iter().enumerate() {
            self.decode(index, output, &mut pass.values, &mut found)?;
        }
        for (detections, place) in found.iter_mut().zip(places) {
            nms::suppress(detections, &self.nms);
            to_source(detections, &place);
        }
        Ok(found)
    }

    /// Outputs of the network for pictures of its input's size, their shapes checked.
    fn forward(&self, normalize: &Normalize, pixels: &[u8], pictures: usize) -> Result<Vec<Tensor>, InferError> {
        let input = self.loaded.input;
        let batch = normalize.batch(pixels, pictures, input.height, input.width);
        let outputs = batch
            .and_then(|batch| self.loaded.network.forward(&batch))
            .map_err(|error| torch_error(&self.name, error))?;
        self.check_shapes(&outputs, pictures)?;
        Ok(outputs)
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

    /// Decodes one output of the network for all pictures, boxes in network-input pixels.
    fn decode(
        &self,
        index: usize,
        output: &Tensor,
        values: &mut Vec<f32>,
        found: &mut [Vec<Detection>],
    ) -> Result<(), InferError> {
        let (head, (rows, columns)) = (&self.loaded.heads[index], self.loaded.grids[index]);
        let per_picture = rows * columns * head.channels();
        values.resize(per_picture * found.len(), 0.0);
        copy_channels_innermost(output, values).map_err(|error| torch_error(&self.name, error))?;
        for (values, found) in values.chunks_exact(per_picture).zip(found) {
            if let Some(grid) = Grid::new(values, rows, columns, head.channels()) {
                head.decode(grid, self.loaded.input, &self.wanted, found);
            }
        }
        Ok(())
    }
}

/// Draws the frames into the batch; where each lies comes back.
fn draw(boxer: &mut LetterBoxer, frames: &[Frame]) -> Result<Vec<LetterBox>, InferError> {
    let drawn = frames.iter().enumerate().map(|(slot, frame)| {
        let seq = frame.meta.seq;
        boxer.draw(slot, frame).map_err(|problem| InferError::Frame { seq, problem })
    });
    drawn.collect()
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
