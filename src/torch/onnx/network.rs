//! A network ready to run.

use super::{
    OnnxError, OnnxFile, ValueInfo, fold, fuse,
    graph::{Action, Convolution, Graph, GraphNode, ValueId},
    operators::{Inputs, Operation},
    precision,
    trace::{self, Trace, doubled_axis},
};
use crate::{
    frame::ImageSize,
    torch::{
        Activation,
        layers::{ConvLayer, Geometry, activate},
        runtime::{Network, Placement, Precision, TorchError},
    },
};
use tch::{Device, Kind, Tensor};

/// What the file does not say.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptions {
    /// Where and in which precision the network runs.
    pub place: Placement,
    /// Size of its input, for files that leave it free, or another one than they say where the network allows it.
    pub size: Option<ImageSize>,
    /// Pictures it will mostly see at once; decides the layout of weights on a CPU.
    pub usual_batch: i64,
}

impl Default for BuildOptions {
    /// On the processor in 32 bits, one picture at a time.
    fn default() -> Self {
        Self { place: Device::Cpu.into(), size: None, usual_batch: 1 }
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
    steps: Vec<Step>,
    constants: Vec<Tensor>,
    slots: usize,
    input: Input,
    outputs: Vec<Output>,
    infos: Vec<OutputInfo>,
    pictures_at_once: i64,
}

/// How the input is fed.
struct Input {
    slot: usize,
    kind: Kind,
    channels: i64,
    size: ImageSize,
    /// Whether the file wants the channels last.
    channels_last: bool,
    device: Device,
}

/// Where a step reads.
#[derive(Clone, Copy)]
enum Place {
    Slot(usize),
    Constant(usize),
}

struct Step {
    label: String,
    work: Work,
    inputs: Vec<Option<Place>>,
    outputs: Vec<Option<usize>>,
    /// Slots nobody reads after this step.
    ends: Vec<usize>,
}

enum Work {
    Stored(Operation),
    Conv {
        layer: Box<ConvLayer>,
        border: Option<[i64; 4]>,
    },
    /// In place where nobody else sees the input.
    Activate {
        activation: Activation,
        in_place: bool,
    },
    Reshape(Vec<i64>),
    ChannelShuffle(i64),
    To(Kind),
}

struct Output {
    place: Place,
    form: Form,
}

/// How an output's axes carry the batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In a first axis of its own.
    First,
    /// In the first axis, together with this much else.
    Within,
    /// Not at all, with a first axis of size 1.
    Same,
    /// Not at all.
    SameWithoutAxis,
}

/// As many bytes as one value may have before a batch is run picture by picture; see `darknet::network`.
const CPU_ACTIVATION_BYTES: i64 = 16 << 20;

/// Largest relative difference between a picture in a batch and alone; they are computed in different orders.
const BATCH_TOLERANCE: f64 = 1e-2;

impl OnnxNetwork {
    /// Builds the network, running it once as it is written for one picture and once for two.
    pub fn build(file: &OnnxFile, options: &BuildOptions) -> Result<Self, OnnxError> {
        let _no_grad = tch::no_grad_guard();
        let feed = Feed::of(file, options)?;
        let mut graph = Graph::read(file, Some(&feed.info.name))?;
        let mut operations = graph.build_all()?;
        fold::fold_constants(&mut graph, &mut operations)?;
        let picture = feed.picture()?;
        let one = trace::run(&graph, &operations, picture.shallow_clone(), None)?;
        let other = picture.f_flip([1, 2, 3]).map_err(TorchError::from)?;
        let two = Tensor::f_cat(&[&other, &picture], 0).map_err(TorchError::from)?;
        let two = trace::run(&graph, &operations, two, Some(&one));
        let two = two.ok().filter(|two| second_is_the_same(&one, two));
        let forms = two.as_ref().and_then(|two| forms(&one, two));
        let two = two.filter(|_| forms.is_some());
        fold::fold_shapes(&mut graph, &one, two.as_ref());
        fold::skip_identities(&mut graph, &one, two.as_ref());
        fuse::fuse(&mut graph, &one, options.place.precision)?;
        Lowering { options, feed, one, forms }.network(graph)
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

    fn forward_at_once(&self, batch: &Tensor) -> Result<Vec<Tensor>, TorchError> {
        let pictures = batch.size()[0];
        let batch = if self.input.channels_last { batch.f_permute([0, 2, 3, 1])? } else { batch.shallow_clone() };
        let mut slots: Vec<Option<Tensor>> = (0..self.slots).map(|_| None).collect();
        slots[self.input.slot] = Some(batch.f_to_device(self.input.device)?.f_to_kind(self.input.kind)?);
        for step in &self.steps {
            let failed = |error: TorchError| TorchError(format!("node {}: {}", step.label, error.0));
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

impl Network for OnnxNetwork {
    fn forward(&self, batch: &Tensor) -> Result<Vec<Tensor>, TorchError> {
        let shape = batch.size();
        let expected = [self.input.channels, i64::from(self.input.size.height), i64::from(self.input.size.width)];
        if shape.len() != 4 || shape[1..] != expected || shape[0] < 1 {
            return Err(TorchError(format!("a batch {shape:?}, expected (N, then {expected:?})")));
        }
        if shape[0] <= self.pictures_at_once {
            return self.forward_at_once(batch);
        }
        let mut parts: Vec<Vec<Tensor>> = self.outputs.iter().map(|_| Vec::new()).collect();
        let mut first = 0;
        while first < shape[0] {
            let count = self.pictures_at_once.min(shape[0] - first);
            let outputs = self.forward_at_once(&batch.f_narrow(0, first, count)?)?;
            parts.iter_mut().zip(outputs).for_each(|(parts, output)| parts.push(output));
            first += count;
        }
        parts.iter().map(|parts| Ok(Tensor::f_cat(parts, 0)?)).collect()
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
            Self::SameWithoutAxis => Ok(output.f_unsqueeze(0)?.f_expand(shape, false)?),
        }
    }
}

/// Computes a graph that takes no input. Its outputs, in order.
pub fn evaluate(file: &OnnxFile) -> Result<Vec<Tensor>, OnnxError> {
    let _no_grad = tch::no_grad_guard();
    let mut graph = Graph::read(file, None)?;
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

/// What a network is fed with.
struct Feed<'f> {
    info: &'f ValueInfo,
    size: ImageSize,
    channels: i64,
    channels_last: bool,
}

impl<'f> Feed<'f> {
    fn of(file: &'f OnnxFile, options: &BuildOptions) -> Result<Self, OnnxError> {
        let [info] = file.inputs() else {
            let names: Vec<_> = file.inputs().iter().map(|info| info.name.as_str()).collect();
            return Err(OnnxError::Inputs(format!("it takes the inputs {names:?}, expected one picture only")));
        };
        let &[batch, a, b, c] = info.dims.as_slice() else {
            let (name, dims) = (&info.name, &info.dims);
            return Err(OnnxError::Inputs(format!(
                "its input {name:?} is {dims:?}, expected batch, channels, rows, columns"
            )));
        };
        let is_channels = |size: Option<i64>| matches!(size, Some(1 | 3));
        let channels_last = is_channels(c) && !is_channels(a);
        let (channels, rows, columns) = if channels_last { (c, a, b) } else { (a, b, c) };
        if batch.is_some_and(|batch| batch != 1) {
            tracing::info!(batch, "the export fixed the batch; it is run with any");
        }
        let free = |what: &str| OnnxError::Inputs(format!("its input leaves the {what} free; say which to use"));
        let given = options.size.map(|size| (i64::from(size.height), i64::from(size.width)));
        let (rows, columns) = match (given, rows, columns) {
            (Some(given), ..) => given,
            (None, Some(rows), Some(columns)) => (rows, columns),
            _ => return Err(free("size")),
        };
        let size = ImageSize { width: side(columns)?, height: side(rows)? };
        Ok(Self { info, size, channels: channels.unwrap_or(3), channels_last })
    }

    /// A picture of scattered values from 0 to 1, in the order the file wants.
    fn picture(&self) -> Result<Tensor, TorchError> {
        let (rows, columns) = (i64::from(self.size.height), i64::from(self.size.width));
        let shape = match self.channels_last {
            true => [1, rows, columns, self.channels],
            false => [1, self.channels, rows, columns],
        };
        // Multiples of the golden ratio lie everywhere between whole numbers.
        let steps = Tensor::f_arange(rows * columns * self.channels, (Kind::Double, Device::Cpu))?;
        let values = steps.f_mul_scalar(0.618_033_988_749_895)?.f_frac()?;
        Ok(values.f_reshape(shape)?.f_to_kind(self.info.kind.torch())?)
    }
}

/// No picture is larger; see `file`.
fn side(size: i64) -> Result<u32, OnnxError> {
    match u32::try_from(size) {
        Ok(size @ 1..=32_768) => Ok(size),
        _ => Err(OnnxError::Inputs(format!("an input of {size} pixels"))),
    }
}

/// Makes steps of nodes.
struct Lowering<'a> {
    options: &'a BuildOptions,
    feed: Feed<'a>,
    one: Trace,
    /// None where only one picture can be run at a time.
    forms: Option<Vec<Form>>,
}

impl Lowering<'_> {
    fn network(self, mut graph: Graph<'_>) -> Result<OnnxNetwork, OnnxError> {
        let place = self.options.place;
        let wide = precision::narrow(&mut graph, &self.one, place.precision)?;
        let last = trace::last_uses(&graph);
        let uses = graph.uses();
        let constants: Vec<ValueId> = graph.constants.keys().copied().collect();
        let at = |id: ValueId| constants.binary_search(&id).map_or(Place::Slot(id), Place::Constant);
        let fresh = fresh_values(&graph);
        let mut steps = Vec::with_capacity(graph.nodes.len());
        for (index, node) in graph.nodes.iter().enumerate() {
            let touched = node.inputs.iter().chain(&node.outputs).flatten();
            let mut ends: Vec<usize> = touched.copied().filter(|&id| last[id] <= index).collect();
            ends.sort_unstable();
            ends.dedup();
            let in_place = node.inputs.first().copied().flatten().is_some_and(|id| fresh[id] && uses[id] == 1);
            steps.push(Step {
                label: node.label.clone(),
                work: self.work(&graph, node, wide[index], in_place)?,
                inputs: node.inputs.iter().map(|id| id.map(at)).collect(),
                outputs: node.outputs.clone(),
                ends,
            });
        }
        let outputs = graph.outputs.iter().enumerate();
        let outputs = outputs.map(|(index, &id)| Output { place: at(id), form: self.form(index) }).collect();
        let moved = constants.iter().map(|id| Ok(graph.constants[id].f_to_device(place.device)?));
        Ok(OnnxNetwork {
            steps,
            constants: moved.collect::<Result<_, TorchError>>()?,
            slots: graph.values,
            input: Input {
                slot: graph.input,
                kind: self.feed.info.kind.torch(),
                channels: self.feed.channels,
                size: self.feed.size,
                channels_last: self.feed.channels_last,
                device: place.device,
            },
            outputs,
            infos: self.infos(graph.file),
            pictures_at_once: self.pictures_at_once(),
        })
    }

    fn form(&self, index: usize) -> Form {
        match &self.forms {
            Some(forms) => forms[index],
            // One picture at a time: whatever it gives is that picture's.
            None if self.one.outputs[index].size().first() == Some(&1) => Form::Same,
            None => Form::SameWithoutAxis,
        }
    }

    fn infos(&self, file: &OnnxFile) -> Vec<OutputInfo> {
        let dims = |output: &Tensor| match output.size() {
            shape if shape.first() == Some(&1) => shape[1..].to_vec(),
            shape => shape,
        };
        let outputs = file.outputs().iter().zip(&self.one.outputs);
        outputs.map(|(info, output)| OutputInfo { name: info.name.clone(), dims: dims(output) }).collect()
    }

    fn pictures_at_once(&self) -> i64 {
        if self.forms.is_none() {
            return 1;
        }
        if self.options.place.device != Device::Cpu {
            return i64::MAX;
        }
        let largest = self.one.shapes.iter().flatten().map(|shape| shape.iter().product::<i64>()).max();
        (CPU_ACTIVATION_BYTES / (4 * largest.unwrap_or(1).max(1))).max(1)
    }

    fn work(&self, graph: &Graph<'_>, node: &GraphNode, wide: bool, in_place: bool) -> Result<Work, OnnxError> {
        Ok(match &node.action {
            Action::Stored(index) => {
                let built = graph.build(node, *index).map_err(|fault| OnnxError::Unsupported(vec![fault]))?;
                Work::Stored(built)
            }
            Action::Conv(convolution) => self.convolution(convolution, node, wide)?,
            Action::Activate(activation) => Work::Activate { activation: *activation, in_place },
            Action::Reshape(target) => Work::Reshape(target.clone()),
            Action::ChannelShuffle(groups) => Work::ChannelShuffle(*groups),
            Action::ToFloat => Work::To(Kind::Float),
            Action::ToNetwork => Work::To(self.options.place.precision.kind()),
        })
    }

    fn convolution(&self, convolution: &Convolution, node: &GraphNode, wide: bool) -> Result<Work, OnnxError> {
        let Convolution { weight, bias, spec, activation } = convolution;
        let input = node.inputs.first().copied().flatten();
        // A converted input has the shape of what was converted, which is all the layout of weights needs.
        let shape = input.and_then(|input| self.one.shapes.get(input)?.clone());
        let channels = weight.size()[1] * spec.groups;
        let mut shape = shape.and_then(|shape| <[i64; 4]>::try_from(shape).ok()).unwrap_or([1, channels, 64, 64]);
        shape[0] *= self.options.usual_batch.max(1);
        let pair = |list: &[i64]| -> [i64; 2] { [list[0], list[1]] };
        let (before, after) = spec.pads(&shape[2..]);
        let even = before == after;
        let border = (!even).then(|| [before[1], after[1], before[0], after[0]]);
        let padding = if even { pair(&before) } else { [0, 0] };
        if let Some([left, right, above, below]) = border {
            shape[2] += above + below;
            shape[3] += left + right;
        }
        let geometry =
            Geometry { stride: pair(&spec.stride), padding, dilation: pair(&spec.dilation), groups: spec.groups };
        let mut place = self.options.place;
        if wide {
            place.precision = Precision::Fp32;
        }
        let layer = ConvLayer::from_tensors(weight, bias, geometry, *activation, place, shape)?;
        Ok(Work::Conv { layer: Box::new(layer), border })
    }
}

/// Values that are no view of another one and no output, so that the only reader may write over them.
fn fresh_values(graph: &Graph<'_>) -> Vec<bool> {
    const MAKERS: [&str; 8] = ["Add", "Mul", "Sub", "Div", "MatMul", "Gemm", "BatchNormalization", "MaxPool"];
    let mut fresh = vec![false; graph.values];
    for node in &graph.nodes {
        let made = matches!(node.action, Action::Conv(_)) || MAKERS.contains(&graph.operator(node));
        node.outputs.iter().flatten().for_each(|&output| fresh[output] = made);
    }
    fresh
}

impl Step {
    fn run(&self, constants: &[Tensor], slots: &mut [Option<Tensor>], device: Device) -> Result<(), TorchError> {
        if let Work::Activate { activation, in_place: true } = &self.work
            && let (Some(Some(Place::Slot(input))), Some(Some(output))) = (self.inputs.first(), self.outputs.first())
        {
            let value = slots[*input].take().ok_or_else(|| TorchError("a value was dropped early".into()))?;
            slots[*output] = Some(activate(value, *activation)?);
            return Ok(());
        }
        let results = {
            let read = |place: &Option<Place>| match place {
                Some(Place::Slot(slot)) => slots[*slot].as_ref(),
                Some(Place::Constant(index)) => Some(&constants[*index]),
                None => None,
            };
            let inputs: Vec<Option<&Tensor>> = self.inputs.iter().map(read).collect();
            self.work.run(&Inputs(&inputs), device)?
        };
        for (output, result) in self.outputs.iter().zip(results) {
            if let Some(output) = output {
                slots[*output] = Some(result);
            }
        }
        self.ends.iter().for_each(|&slot| slots[slot] = None);
        Ok(())
    }
}

impl Work {
    fn run(&self, inputs: &Inputs<'_>, device: Device) -> Result<Vec<Tensor>, TorchError> {
        let one = match self {
            Self::Stored(operation) if device == Device::Cpu => return operation(inputs),
            Self::Stored(operation) => return on_device(operation, inputs, device),
            Self::Conv { layer, border: None } => layer.forward(inputs.at(0)?)?,
            Self::Conv { layer, border: Some(border) } => layer.forward(&inputs.at(0)?.f_constant_pad_nd(border)?)?,
            Self::Activate { activation, .. } => activate(copy(inputs.at(0)?)?, *activation)?,
            Self::Reshape(target) => inputs.at(0)?.f_reshape(target)?,
            Self::ChannelShuffle(groups) => inputs.at(0)?.f_channel_shuffle(*groups)?,
            Self::To(kind) => inputs.at(0)?.f_to_kind(*kind)?,
        };
        Ok(vec![one])
    }
}

fn copy(values: &Tensor) -> Result<Tensor, TorchError> {
    Ok(values.f_to_dtype(values.kind(), false, true)?)
}

/// Runs an operation whose inputs may lie partly on the processor: shapes always do.
fn on_device(operation: &Operation, inputs: &Inputs<'_>, device: Device) -> Result<Vec<Tensor>, TorchError> {
    let anywhere = inputs.0.iter().flatten().any(|input| input.device() == device);
    if !anywhere {
        return operation(inputs);
    }
    let moved = |input: &Option<&Tensor>| input.map(|input| input.f_to_device(device)).transpose();
    let moved = inputs.0.iter().map(moved).collect::<Result<Vec<_>, _>>()?;
    operation(&Inputs(&moved.iter().map(Option::as_ref).collect::<Vec<_>>()))
}
