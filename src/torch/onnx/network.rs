//! A network ready to run.

use super::{
    OnnxError, OnnxFile, branches,
    feed::Feed,
    fold, fuse,
    graph::{Graph, ValueId},
    lower::Lowering,
    step::{Place, Step},
    trace::{self, Trace, doubled_axis},
};
use crate::{
    frame::ImageSize,
    torch::{
        calibration::Calibration,
        runtime::{Network, Placement, See, TorchError},
    },
};
use std::{borrow::Cow, collections::BTreeMap, time::Instant};
use tch::{Device, Kind, Tensor};

/// What the file does not say.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptions<'a> {
    /// Where and in which precision the network runs.
    pub place: Placement,
    /// Size of its input, for files that leave it free, or another one than they say where the network allows it.
    pub size: Option<ImageSize>,
    /// Pictures it will mostly see at once; decides the layout of weights on a CPU.
    pub usual_batch: i64,
    /// What `Precision::Int8` needs.
    pub calibration: Option<&'a Calibration>,
}

impl Default for BuildOptions<'_> {
    /// On the processor in 32 bits, one picture at a time.
    fn default() -> Self {
        Self { place: Device::Cpu.into(), size: None, usual_batch: 1, calibration: None }
    }
}

/// An output as it comes out of `forward`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputInfo {
    /// Its name in the file.
    pub name: String,
    /// Shape for one picture, without the batch: `forward` gives (N, these).
    pub dims: Vec<i64>,
}

/// An ONNX network. Takes (N, channels, height, width) whatever the order in the file.
pub struct OnnxNetwork {
    pub(super) steps: Vec<Step>,
    pub(super) constants: Vec<Tensor>,
    pub(super) slots: usize,
    pub(super) input: Input,
    pub(super) outputs: Vec<Output>,
    pub(super) infos: Vec<OutputInfo>,
    pub(super) pictures_at_once: i64,
}

/// How the input is fed.
pub(super) struct Input {
    pub slot: usize,
    pub kind: Kind,
    pub channels: i64,
    pub size: ImageSize,
    /// Whether the file wants the channels last.
    pub channels_last: bool,
    pub device: Device,
}

pub(super) struct Output {
    pub place: Place,
    pub form: Form,
}

/// What came of an attempt to build a network.
enum Round {
    Built(Box<OnnxNetwork>),
    /// Branches that are taken whatever the picture, by the place of their If in the file.
    Decided(BTreeMap<usize, bool>),
}

/// How an output's axes carry the batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// In a first axis of its own.
    First,
    /// In the first axis, together with this much else.
    Within,
    /// Not at all, with a first axis of size 1.
    Same,
    /// Not at all.
    SameWithoutAxis,
    /// Not at all, of another length for each picture; with a first axis of size 1 or without.
    Counted,
}

/// Largest relative difference between a picture in a batch and alone; they are computed in different orders.
const BATCH_TOLERANCE: f64 = 1e-2;

impl OnnxNetwork {
    /// Builds the network, running it once as it is written for one picture and once for two.
    pub fn build(file: &OnnxFile, options: &BuildOptions<'_>) -> Result<Self, OnnxError> {
        let _no_grad = tch::no_grad_guard();
        // Each round takes out the branches of one depth; the reader of files bounds that.
        let mut file = Cow::Borrowed(file);
        loop {
            match Self::build_or_decide(&file, options)? {
                Round::Built(network) => return Ok(*network),
                Round::Decided(decided) => file = Cow::Owned(branches::inlined(&file, &decided)?),
            }
        }
    }

    fn build_or_decide(file: &OnnxFile, options: &BuildOptions) -> Result<Round, OnnxError> {
        let feed = Feed::of(file, options)?;
        let mut graph = Graph::read(file, Some(&feed.info.name), &feed.known)?;
        let mut operations = graph.build_all()?;
        fold::fold_constants(&mut graph, &mut operations)?;
        let decided = branches::decided(&graph, None)?;
        if !decided.is_empty() {
            return Ok(Round::Decided(decided));
        }
        let picture = feed.picture()?;
        let one = trace::run(&graph, &operations, picture.shallow_clone(), None)?;
        let decided = branches::decided(&graph, Some(&one))?;
        if !decided.is_empty() {
            return Ok(Round::Decided(decided));
        }
        graph.check_branches()?;
        let other = picture.f_flip([1, 2, 3]).map_err(TorchError::from)?;
        let two = Tensor::f_cat(&[&other, &picture], 0).map_err(TorchError::from)?;
        let two = trace::run(&graph, &operations, two, Some(&one));
        let two = two.ok().filter(|two| second_is_the_same(&one, two));
        let counted = trace::counted(&graph);
        let counted: Vec<bool> = graph.outputs.iter().map(|&output| counted[output]).collect();
        let forms = two.as_ref().filter(|_| !counted.contains(&true)).and_then(|two| forms(&one, two));
        let two = two.filter(|_| forms.is_some());
        fold::fold_shapes(&mut graph, &one, two.as_ref());
        fold::skip_identities(&mut graph, &one, two.as_ref());
        fuse::fuse(&mut graph, &one, options.place.precision)?;
        Ok(Round::Built(Box::new(Lowering { options, feed, one, forms, counted }.network(graph)?)))
    }

    /// Its outputs, in the order `forward` gives them.
    pub fn outputs(&self) -> &[OutputInfo] {
        &self.infos
    }

    /// Size of the pictures it takes.
    pub fn input_size(&self) -> ImageSize {
        self.input.size
    }

    /// Channels of the pictures it takes.
    pub fn input_channels(&self) -> i64 {
        self.input.channels
    }

    /// Steps it runs for a batch.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// What each step of a batch takes: its node and milliseconds, the least of some rounds.
    pub fn times(&self, batch: &Tensor, rounds: usize) -> Result<Vec<(String, f64)>, TorchError> {
        let mut times: Vec<_> = self.steps.iter().map(|step| (step.label.clone(), f64::INFINITY)).collect();
        for _ in 0..rounds {
            let mut slots: Vec<Option<Tensor>> = (0..self.slots).map(|_| None).collect();
            slots[self.input.slot] = Some(self.input.fed(batch)?);
            for (step, (_, least)) in self.steps.iter().zip(&mut times) {
                let begun = Instant::now();
                step.run(&self.constants, &mut slots, self.input.device)?;
                *least = least.min(begun.elapsed().as_secs_f64() * 1e3);
            }
        }
        Ok(times)
    }

    fn forward_at_once(&self, batch: &Tensor, mut see: Option<&mut See<'_>>) -> Result<Vec<Tensor>, TorchError> {
        let pictures = batch.size()[0];
        let mut slots: Vec<Option<Tensor>> = (0..self.slots).map(|_| None).collect();
        slots[self.input.slot] = Some(self.input.fed(batch)?);
        for step in &self.steps {
            let failed = |error: TorchError| TorchError(format!("node {}: {}", step.label, error.0));
            if let (Some(see), Some((name, value))) = (see.as_mut(), step.reads(&self.constants, &slots)) {
                see(name, value)?;
            }
            step.run(&self.constants, &mut slots, self.input.device).map_err(failed)?;
        }
        let read = |place: Place| match place {
            Place::Slot(slot) => slots[slot].as_ref().ok_or_else(|| TorchError("an output was not computed".into())),
            Place::Constant(index) => Ok(&self.constants[index]),
        };
        let outputs = self.outputs.iter().zip(&self.infos);
        outputs.map(|(output, info)| output.form.batched(read(output.place)?, pictures, &info.dims)).collect()
    }
}

impl Input {
    /// A batch as the file wants it.
    fn fed(&self, batch: &Tensor) -> Result<Tensor, TorchError> {
        let batch = if self.channels_last { batch.f_permute([0, 2, 3, 1])? } else { batch.shallow_clone() };
        Ok(batch.f_to_device(self.device)?.f_to_kind(self.kind)?)
    }
}

impl Network for OnnxNetwork {
    fn observe(&self, batch: &Tensor, see: &mut See<'_>) -> Result<Vec<Tensor>, TorchError> {
        self.forward_at_once(batch, Some(see))
    }

    fn forward(&self, batch: &Tensor) -> Result<Vec<Tensor>, TorchError> {
        let shape = batch.size();
        let expected = [self.input.channels, i64::from(self.input.size.height), i64::from(self.input.size.width)];
        if shape.len() != 4 || shape[1..] != expected || shape[0] < 1 {
            return Err(TorchError(format!("a batch {shape:?}, expected (N, then {expected:?})")));
        }
        if shape[0] <= self.pictures_at_once {
            return self.forward_at_once(batch, None);
        }
        let mut parts: Vec<Vec<Tensor>> = self.outputs.iter().map(|_| Vec::new()).collect();
        let mut first = 0;
        while first < shape[0] {
            let count = self.pictures_at_once.min(shape[0] - first);
            let outputs = self.forward_at_once(&batch.f_narrow(0, first, count)?, None)?;
            parts.iter_mut().zip(outputs).for_each(|(parts, output)| parts.push(output));
            first += count;
        }
        parts.iter().map(|parts| Ok(Tensor::f_cat(parts, 0)?)).collect()
    }

    fn max_batch(&self) -> usize {
        let counts = self.outputs.iter().any(|output| output.form == Form::Counted);
        if counts { 1 } else { usize::MAX }
    }
}

impl Form {
    /// The output as (N, dims), 32-bit floats.
    fn batched(self, output: &Tensor, pictures: i64, dims: &[i64]) -> Result<Tensor, TorchError> {
        let shape = [&[pictures], dims].concat();
        let output = output.f_to_kind(Kind::Float)?;
        match self {
            Self::First => Ok(output),
            Self::Within => Ok(output.f_reshape(shape)?),
            Self::Same => Ok(output.f_expand(shape, false)?),
            Self::Counted if output.dim() > 2 && output.size()[0] == 1 => Ok(output),
            Self::Counted => Ok(output.f_unsqueeze(0)?),
            Self::SameWithoutAxis => Ok(output.f_unsqueeze(0)?.f_expand(shape, false)?),
        }
    }
}

/// Computes a graph that takes no input. Its outputs, in order.
pub fn evaluate(file: &OnnxFile) -> Result<Vec<Tensor>, OnnxError> {
    let _no_grad = tch::no_grad_guard();
    let mut graph = Graph::read(file, None, &[])?;
    let mut operations = graph.build_all()?;
    fold::fold_constants(&mut graph, &mut operations)?;
    let given = |output: &ValueId| graph.constants.get(output).map(Tensor::shallow_clone);
    let needs = || OnnxError::Inputs("it takes an input".into());
    graph.outputs.iter().map(|output| given(output).ok_or_else(needs)).collect()
}

/// Whether the second of two pictures gives what it gives alone.
fn second_is_the_same(one: &Trace, two: &Trace) -> bool {
    let close = |(alone, together): (&Tensor, &Tensor)| -> Option<bool> {
        let (before, now) = (alone.size(), together.size());
        let together = match doubled_axis(&before, &now) {
            Some(axis) => together.f_narrow(axis as i64, before[axis], before[axis]).ok()?,
            None if before == now => together.shallow_clone(),
            None => return Some(false),
        };
        let (alone, together) = (alone.f_to_kind(Kind::Double).ok()?, together.f_to_kind(Kind::Double).ok()?);
        if alone.numel() == 0 {
            return Some(true);
        }
        let scale = alone.f_abs().ok()?.f_max().ok()?.f_double_value(&[]).ok()?;
        alone.f_allclose(&together, BATCH_TOLERANCE, BATCH_TOLERANCE * scale.min(1.0), true).ok()
    };
    one.outputs.iter().zip(&two.outputs).all(|pair| close(pair).unwrap_or(false))
}

/// How each output carries the batch; none where one does so in a way of its own.
fn forms(one: &Trace, two: &Trace) -> Option<Vec<Form>> {
    let form = |(one, two): (&Tensor, &Tensor)| {
        let (one, two) = (one.size(), two.size());
        match (doubled_axis(&one, &two), one.first()) {
            (Some(0), Some(1)) => Some(Form::First),
            (Some(0), _) => Some(Form::Within),
            (Some(_), _) => None,
            (None, Some(1)) if one == two => Some(Form::Same),
            (None, _) if one == two => Some(Form::SameWithoutAxis),
            _ => None,
        }
    };
    one.outputs.iter().zip(&two.outputs).map(form).collect()
}
