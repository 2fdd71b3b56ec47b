//! Makes steps of a graph's nodes: weights are laid out, constants moved to where they are used.

use super::{
    OnnxError, OnnxFile,
    feed::Feed,
    graph::{Action, ByteConvolution, Convolution, Graph, GraphNode, ValueId},
    network::{BuildOptions, Form, Input, OnnxNetwork, Output, OutputInfo},
    precision, quantize,
    step::{Border, Place, Step, Work},
    trace::{self, Trace},
};
use crate::torch::{
    layers::{ConvLayer, Geometry},
    native::quantized::Given,
    quantized::QuantizedLayer,
    runtime::{Precision, TorchError},
};
use tch::{Device, Kind, Tensor};

/// As many bytes as one value may have before a batch is run picture by picture; see `darknet::network`.
const CPU_ACTIVATION_BYTES: i64 = 16 << 20;

/// Makes steps of nodes.
pub(super) struct Lowering<'a> {
    pub options: &'a BuildOptions<'a>,
    pub feed: Feed<'a>,
    pub one: Trace,
    /// None where only one picture can be run at a time.
    pub forms: Option<Vec<Form>>,
    /// Outputs that are of another length for each picture.
    pub counted: Vec<bool>,
}

impl Lowering<'_> {
    pub fn network(self, mut graph: Graph<'_>) -> Result<OnnxNetwork, OnnxError> {
        let place = self.options.place;
        let mut wide = precision::narrow(&mut graph, &self.one, place.precision)?;
        if place.precision == Precision::Int8 {
            let without = || OnnxError::Inputs("precision int8 needs a calibration".into());
            wide = quantize::quantize(&mut graph, &wide, self.options.calibration.ok_or_else(without)?)?;
        }
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
            None if self.counted[index] => Form::Counted,
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
            Action::Conv(convolution) => {
                let read = node.inputs.first().copied().flatten();
                let layout = self.layout(convolution, read, 0.0);
                let mut place = self.options.place;
                if wide {
                    place.precision = Precision::Fp32;
                }
                let Convolution { weight, bias, activation, .. } = convolution.as_ref();
                let layer = ConvLayer::from_tensors(weight, bias, layout.geometry, *activation, place, layout.shape)?;
                let reads = read.and_then(|read| graph.names.get(read)).copied().unwrap_or_default().to_owned();
                Work::Conv { layer: Box::new(layer), border: layout.border, reads }
            }
            Action::ConvBytes(bytes) => self.byte_convolution(bytes)?,
            Action::ToBytes(scale) => Work::ToBytes(*scale),
            Action::Activate(activation) => Work::Activate { activation: *activation, in_place },
            Action::Reshape(target) => Work::Reshape(target.clone()),
            Action::ChannelShuffle(groups) => Work::ChannelShuffle(*groups),
            Action::ToFloat => Work::To(Kind::Float),
            Action::ToNetwork => Work::To(self.options.place.precision.kind()),
        })
    }

    fn byte_convolution(&self, bytes: &ByteConvolution) -> Result<Work, OnnxError> {
        let ByteConvolution { convolution, input, output, seen } = bytes;
        let layout = self.layout(convolution, Some(*seen), input.zero as f64);
        let floats = Given::Floats(self.options.place.precision.kind());
        let layer = QuantizedLayer {
            geometry: layout.geometry,
            activation: convolution.activation,
            shape: layout.shape,
            input: *input,
            output: output.map_or(floats, Given::Bytes),
        };
        let layer = ConvLayer::over_bytes(&convolution.weight, &convolution.bias, &layer)?;
        Ok(Work::Conv { layer: Box::new(layer), border: layout.border, reads: String::new() })
    }

    /// How a convolution of `input` lies over it. `zero`: what stands for 0 there.
    fn layout(&self, convolution: &Convolution, input: Option<ValueId>, zero: f64) -> Layout {
        let Convolution { weight, spec, .. } = convolution;
        // A converted input has the shape of what was converted, which is all the layout of weights needs.
        let shape = input.and_then(|input| self.one.shapes.get(input)?.clone());
        let channels = weight.size()[1] * spec.groups;
        let mut shape = shape.and_then(|shape| <[i64; 4]>::try_from(shape).ok()).unwrap_or([1, channels, 64, 64]);
        shape[0] *= self.options.usual_batch.max(1);
        let pair = |list: &[i64]| -> [i64; 2] { [list[0], list[1]] };
        let (before, after) = spec.pads(&shape[2..]);
        let even = before == after;
        let border = (!even).then(|| Border { sides: [before[1], after[1], before[0], after[0]], fill: zero });
        let padding = if even { pair(&before) } else { [0, 0] };
        if let Some(Border { sides: [left, right, above, below], .. }) = border {
            shape[2] += above + below;
            shape[3] += left + right;
        }
        let geometry =
            Geometry { stride: pair(&spec.stride), padding, dilation: pair(&spec.dilation), groups: spec.groups };
        Layout { geometry, border, shape }
    }
}

/// How a convolution lies over its input.
struct Layout {
    geometry: Geometry,
    border: Option<Border>,
    /// Of the input, border and usual batch included.
    shape: [i64; 4],
}

/// Values that are no view of another one and no output, so that the only reader may write over them.
fn fresh_values(graph: &Graph<'_>) -> Vec<bool> {
    const MAKERS: [&str; 8] = ["Add", "Mul", "Sub", "Div", "MatMul", "Gemm", "BatchNormalization", "MaxPool"];
    let mut fresh = vec![false; graph.values];
    for node in &graph.nodes {
        let made =
            matches!(node.action, Action::Conv(_) | Action::ConvBytes(_)) || MAKERS.contains(&graph.operator(node));
        node.outputs.iter().flatten().for_each(|&output| fresh[output] = made);
    }
    fresh
}
