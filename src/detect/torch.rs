//! Detector on libtorch: letterbox, network, head, suppression, and back to source pixels.

use super::{
    ClassId, Detection, Detector, InferError,
    heads::{Duplicates, Wanted},
    load::{self, Loaded, torch_error},
    nms::{self, NmsSettings, Overlapped},
    outputs::Outputs,
    workers::Workers,
};
use crate::{
    config::{
        plan::DetectPlan,
        zoo::{InputSpec, ModelCard},
    },
    frame::Frame,
    preprocess::{
        letterbox::{LetterBox, LetterBoxer},
        normalize::Normalize,
    },
    torch::runtime::{self, Device, Inference, Placement, Precision, See},
};
use std::{slice, sync::Arc};

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
    /// Classes that need another score than `wanted.min_score`, which is the least of all.
    min_scores: Vec<(ClassId, f32)>,
    nms: NmsSettings,
    device: tch::Device,
}

/// What a thread keeps from batch to batch.
struct Pass {
    boxer: LetterBoxer,
    normalize: Normalize,
}

/// What was found in a model and how it is run.
pub struct About<'a> {
    /// The file.
    pub card: &'a ModelCard,
    /// How it is fed.
    pub input: &'a InputSpec,
    /// Family of its head.
    pub family: &'static str,
    /// Outputs the head reads.
    pub expected: String,
    /// Names of its classes.
    pub classes: &'a [String],
    /// What was decided and why.
    pub decisions: &'a [String],
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
    /// Opens the detector of a plan on a device, in the precision that was set for all networks.
    pub fn open(plan: &DetectPlan, device: Device) -> Result<Self, InferError> {
        Self::open_in(plan, device, runtime::precision())
    }

    /// Opens the detector of a plan on a device in a precision.
    pub fn open_in(plan: &DetectPlan, device: Device, precision: Precision) -> Result<Self, InferError> {
        let _inference = Inference::begin();
        let on_torch = |error| torch_error(&plan.model, error);
        let device = device.open().map_err(on_torch)?;
        let loaded = load::load(plan, Placement { device, precision })?;
        let model = Arc::new(Model::new(plan, loaded, device)?);
        let pass = Pass::new(&model)?;
        model.warm_up(&pass)?;
        let max_batch = plan.max_batch.max(1);
        let workers = Workers::start(max_batch, device, || {
            let (model, mut pass) = (Arc::clone(&model), Pass::new(&model)?);
            Ok(move |frame: &Frame| model.detect(&mut pass, slice::from_ref(frame)).map(|mut found| found.remove(0)))
        })?;
        Ok(Self { model, pass, max_batch, workers })
    }

    /// Pixels of a frame as the network is fed them, which is what `observe` takes.
    pub fn draw(&mut self, frame: &Frame) -> Result<Vec<u8>, InferError> {
        draw(&mut self.pass.boxer, slice::from_ref(frame))?;
        Ok(self.pass.boxer.batch(1).to_vec())
    }

    /// Runs the network on a picture and shows what its convolutions read; see `Network::observe`.
    pub fn observe(&self, pixels: &[u8], see: &mut See<'_>) -> Result<(), InferError> {
        let _inference = Inference::begin();
        let Loaded { input, network, .. } = &self.model.loaded;
        let batch = self.pass.normalize.batch(pixels, 1, input.height, input.width);
        let observed = batch.and_then(|batch| network.observe(&batch, see));
        observed.map(|_| ()).map_err(|error| torch_error(&self.model.name, error))
    }

    /// What was found in the model.
    pub fn about(&self) -> About<'_> {
        let Loaded { card, input, head, classes, decisions, .. } = &self.model.loaded;
        About { card, input, family: head.family(), expected: head.expected(), classes, decisions }
    }
}

impl Detector for TorchDetector {
    fn detect(&mut self, batch: &[Frame], out: &mut Vec<Vec<Detection>>) -> Result<(), InferError> {
        out.clear();
        let _inference = Inference::begin();
        for frames in batch.chunks(self.max_batch) {
            match &self.workers {
                Some(workers) if frames.len() > 1 => out.append(&mut workers.map(frames)?),
                _ => {
                    for frames in frames.chunks(self.model.loaded.network.max_batch()) {
                        out.append(&mut self.model.detect(&mut self.pass, frames)?);
                    }
                }
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
        let input = &model.loaded.input;
        let normalize = Normalize::new(input, model.device).map_err(|error| torch_error(&model.name, error))?;
        Ok(Self { boxer: LetterBoxer::new(input.size(), input.fill).fitting(input.fit), normalize })
    }
}

impl Model {
    fn new(plan: &DetectPlan, loaded: Loaded, device: tch::Device) -> Result<Self, InferError> {
        let mut classes = load::wanted_classes(plan, &loaded.classes)?;
        classes.retain(|class| Some(*class) != loaded.head.background());
        let min_scores = load::min_scores(plan, &loaded.classes)?;
        let lowest = |class: &ClassId| min_score(&min_scores, *class).unwrap_or(plan.min_score);
        let least = classes.iter().map(lowest).fold(f32::INFINITY, f32::min);
        let (max_iou, overlapped) = match loaded.head.duplicates() {
            Duplicates::Many => (plan.max_iou, plan.overlapped),
            // No two boxes overlap by more than wholly: all stay.
            Duplicates::None => (1.0, Overlapped::Goes),
        };
        let wanted = Wanted { min_score: if least.is_finite() { least } else { plan.min_score }, classes };
        let nms = NmsSettings {
            max_iou,
            scope: plan.suppress,
            max_detections: plan.max_detections,
            overlapped,
            min_score: wanted.min_score,
        };
        let min_scores = if min_scores.is_empty() {
            min_scores
        } else {
            wanted.classes.iter().map(|class| (*class, lowest(class))).collect()
        };
        Ok(Self { name: plan.model.clone(), wanted, min_scores, nms, loaded, device })
    }

    /// Runs the network once and checks what it gives.
    fn warm_up(&self, pass: &Pass) -> Result<(), InferError> {
        let input = self.loaded.input;
        let pixels = vec![input.fill; input.width as usize * input.height as usize * 3];
        self.forward(&pass.normalize, &pixels, 1).map(|_| ())
    }

    fn detect(&self, pass: &mut Pass, frames: &[Frame]) -> Result<Vec<Vec<Detection>>, InferError> {
        let places = draw(&mut pass.boxer, frames)?;
        let outputs = self.forward(&pass.normalize, pass.boxer.batch(frames.len()), frames.len())?;
        let decode = |(index, place): (usize, &LetterBox)| {
            let mut found = Vec::new();
            self.loaded.head.read(&outputs.picture(index), &self.wanted, &mut found);
            let is_enough = |d: &Detection| min_score(&self.min_scores, d.class).is_none_or(|least| d.score >= least);
            found.retain(is_enough);
            nms::suppress(&mut found, &self.nms);
            // Boxes may have lost score.
            found.retain(is_enough);
            to_source(&mut found, place);
            found
        };
        Ok(places.iter().enumerate().map(decode).collect())
    }

    /// Outputs of the network for pictures of its input's size, their shapes checked.
    fn forward(&self, normalize: &Normalize, pixels: &[u8], pictures: usize) -> Result<Outputs, InferError> {
        let Loaded { input, network, outputs, .. } = &self.loaded;
        let run = || {
            let batch = normalize.batch(pixels, pictures, input.height, input.width)?;
            Outputs::of(&network.forward(&batch)?, outputs, pictures)
        };
        let outputs = run().map_err(|error| torch_error(&self.name, error))?;
        if self.loaded.head.fits(&outputs.shapes()) {
            return Ok(outputs);
        }
        let (got, expected) = (outputs.to_string(), self.loaded.head.expected());
        Err(InferError::Shape { model: self.name.clone(), got, expected })
    }
}

/// The least score of a class, where it has one of its own.
fn min_score(min_scores: &[(ClassId, f32)], class: ClassId) -> Option<f32> {
    min_scores.iter().find(|(of, _)| *of == class).map(|(_, score)| *score)
}

/// Draws the frames into the batch; where each lies comes back.
fn draw(boxer: &mut LetterBoxer, frames: &[Frame]) -> Result<Vec<LetterBox>, InferError> {
    let drawn = frames.iter().enumerate().map(|(slot, frame)| {
        let seq = frame.meta.seq;
        boxer.draw(slot, frame).map_err(|problem| InferError::Frame { seq, problem })
    });
    drawn.collect()
}

/// Moves boxes from the network's input to the picture, cuts them at its edges and drops those outside.
fn to_source(detections: &mut Vec<Detection>, place: &LetterBox) {
    detections.retain_mut(|detection| {
        detection.bbox = place.bbox_source_from_model(&detection.bbox).clipped_to(place.source);
        detection.bbox.is_sound()
    });
}
