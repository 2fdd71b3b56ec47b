//! Decides which convolutions of a network multiply bytes, and between which of them values stay bytes.
//!
//! A convolution reads bytes where a calibration knows the range of its input and the body of the network is allowed narrow
//! values at all (`precision`). It gives bytes, in the scale in which they are read, where nothing else reads them than
//! such convolutions and what only moves or joins values; else floats, of which bytes are made once for all readers.

use super::{
    OnnxError,
    graph::{Action, ByteConvolution, Graph, GraphNode, ValueId},
    operators::Node,
};
use crate::torch::{
    calibration::{Calibration, Range},
    quantized::{self, Scale},
};
use std::collections::BTreeMap;

/// Operators that move or join bytes as they are. The first input is moved; Concat joins all.
const CARRIERS: [&str; 8] = ["Concat", "Split", "Slice", "Transpose", "Flatten", "Identity", "Resize", "Upsample"];

/// What is decided.
struct Decision {
    /// Nodes that convolve bytes.
    convolves: Vec<bool>,
    /// Values that are bytes as they come out of their node.
    bytes: Vec<bool>,
    /// For each value one that stands for all that share its scale.
    group: Vec<ValueId>,
}

/// Lets convolutions compute in bytes where the calibration knows what they read. `wide`: nodes that `precision` leaves in
/// 32 bits; returned for the nodes as they are then.
pub(super) fn quantize(
    graph: &mut Graph<'_>,
    wide: &[bool],
    calibration: &Calibration,
) -> Result<Vec<bool>, OnnxError> {
    let sources = sources(graph);
    let names = graph.names.clone();
    let named = |value: ValueId| calibration.ranges.get(*names.get(value)?).copied();
    let range = |value: ValueId| named(sources[value]);
    let decision = Decision::of(graph, wide, &range);
    if !decision.convolves.contains(&true) {
        let problem = "no convolution of it is in the calibration; make it again with `eyeline models quantize`";
        return Err(OnnxError::Inputs(problem.into()));
    }
    let scales = decision.scales(graph, &range);
    let nodes = std::mem::take(&mut graph.nodes);
    let mut rewrite =
        Rewrite { sources, scales, decision, made: BTreeMap::new(), values: graph.values, nodes: Vec::new() };
    for (index, node) in nodes.into_iter().enumerate() {
        rewrite.node(graph, index, node, wide[index], &named);
    }
    graph.values = rewrite.values;
    let mut wide;
    (graph.nodes, wide) = rewrite.nodes.into_iter().unzip();
    graph.drop_dead_with(&mut wide);
    Ok(wide)
}

/// For each value what it was before it was narrowed: bytes are made of that.
fn sources(graph: &Graph<'_>) -> Vec<ValueId> {
    let mut sources: Vec<ValueId> = (0..graph.values).collect();
    for node in &graph.nodes {
        if let (Action::ToNetwork, [Some(from)], [Some(to)]) = (&node.action, &node.inputs[..], &node.outputs[..]) {
            sources[*to] = *from;
        }
    }
    sources
}

impl Decision {
    fn of(graph: &Graph<'_>, wide: &[bool], range: &dyn Fn(ValueId) -> Option<Range>) -> Self {
        let convolves: Vec<bool> = graph
            .nodes
            .iter()
            .zip(wide)
            .map(|(node, wide)| {
                let reads = node.inputs.first().copied().flatten();
                matches!(node.action, Action::Conv(_)) && !wide && reads.and_then(range).is_some()
            })
            .collect();
        let bytes = bytes(graph, &convolves);
        let group = groups(graph, &bytes);
        Self { convolves, bytes, group }
    }

    /// The scale of each group of values: over all that is read of it.
    fn scales(&self, graph: &Graph<'_>, range: &dyn Fn(ValueId) -> Option<Range>) -> BTreeMap<ValueId, Scale> {
        let mut ranges: BTreeMap<ValueId, Range> = BTreeMap::new();
        for (node, _) in graph.nodes.iter().zip(&self.convolves).filter(|(_, convolves)| **convolves) {
            let Some(read) = node.inputs[0].filter(|&read| self.bytes[read]) else { continue };
            let Some(range) = range(read) else { continue };
            let joined = ranges.get(&self.group[read]).map_or(range, |known| known.joined(range));
            ranges.insert(self.group[read], joined);
        }
        ranges.into_iter().map(|(group, range)| (group, Scale::over(range))).collect()
    }
}

/// Values that are bytes as they come out of their node: begun with all that could be, without those that cannot.
fn bytes(graph: &Graph<'_>, convolves: &[bool]) -> Vec<bool> {
    let mut bytes = vec![false; graph.values];
    for (node, convolves) in graph.nodes.iter().zip(convolves) {
        let gives = match &node.action {
            Action::Conv(convolution) => *convolves && quantized::fused(convolution.activation).is_some(),
            _ => carried(graph, node).is_some_and(|read| read.iter().any(|&value| bytes[value])),
        };
        node.outputs.iter().flatten().for_each(|&output| bytes[output] = gives);
    }
    graph.outputs.iter().for_each(|&output| bytes[output] = false);
    loop {
        let before = bytes.clone();
        for (node, convolves) in graph.nodes.iter().zip(convolves) {
            let carried = carried(graph, node);
            let gives = node.outputs.iter().flatten().all(|&output| bytes[output]);
            let takes = *convolves || (carried.is_some() && gives);
            if !takes {
                node.inputs.iter().flatten().for_each(|&input| bytes[input] = false);
            }
            let begins = matches!(node.action, Action::Conv(_));
            let any = carried.is_some_and(|read| read.iter().any(|&value| bytes[value]));
            if !gives || !(begins || any) {
                node.outputs.iter().flatten().for_each(|&output| bytes[output] = false);
            }
        }
        if bytes == before {
            return bytes;
        }
    }
}

/// What a node moves or joins, if it does nothing else.
fn carried(graph: &Graph<'_>, node: &GraphNode) -> Option<Vec<ValueId>> {
    let first = || node.inputs.first().copied().flatten().map(|input| vec![input]);
    let read = match node.action {
        Action::Reshape(_) | Action::ChannelShuffle(_) => first(),
        Action::Stored(index) => {
            let operator = graph.operator(node);
            if !CARRIERS.contains(&operator) {
                return None;
            }
            if matches!(operator, "Resize" | "Upsample") {
                let stored = Node::new(&graph.file.nodes[index], graph.file.opset(), Vec::new());
                stored.attributes.text("mode", "nearest").ok().filter(|mode| mode == "nearest")?;
            }
            if operator == "Concat" { node.inputs.iter().copied().collect() } else { first() }
        }
        _ => None,
    }?;
    let rest = node.inputs.iter().flatten().filter(|input| !read.contains(input));
    let sound = rest.into_iter().all(|input| graph.constants.contains_key(input));
    let computed = !read.iter().any(|value| graph.constants.contains_key(value));
    (sound && computed).then_some(read)
}

/// One value for all that share a scale, because one is moved or joined into the other.
fn groups(graph: &Graph<'_>, bytes: &[bool]) -> Vec<ValueId> {
    let mut group: Vec<ValueId> = (0..graph.values).collect();
    for node in &graph.nodes {
        let Some(read) = carried(graph, node) else { continue };
        let mut shared = read.iter().chain(node.outputs.iter().flatten()).copied().filter(|&value| bytes[value]);
        let gives = node.outputs.iter().flatten().any(|&output| bytes[output]);
        let Some(first) = shared.next().filter(|_| gives) else { continue };
        for other in shared {
            let (from, to) = (group[other], group[first]);
            group.iter_mut().filter(|value| **value == from).for_each(|value| *value = to);
        }
    }
    group
}

/// Makes the nodes anew.
struct Rewrite {
    sources: Vec<ValueId>,
    scales: BTreeMap<ValueId, Scale>,
    decision: Decision,
    /// Bytes that were made of floats, by these and by their scale (its step's bits).
    made: BTreeMap<(ValueId, u64), ValueId>,
    values: usize,
    nodes: Vec<(GraphNode, bool)>,
}

impl Rewrite {
    fn node(
        &mut self,
        graph: &Graph<'_>,
        index: usize,
        mut node: GraphNode,
        wide: bool,
        range: &dyn Fn(ValueId) -> Option<Range>,
    ) {
        let output = node.outputs.first().copied().flatten();
        let scale_of = |this: &Self, value: ValueId| {
            this.decision.bytes[value].then(|| this.scales.get(&this.decision.group[value]).copied()).flatten()
        };
        let output_scale = output.and_then(|output| scale_of(self, output));
        let read = node.inputs.first().copied().flatten().filter(|_| self.decision.convolves[index]);
        let own = |read: ValueId| range(self.sources[read]).map(Scale::over);
        let input = read.and_then(|read| Some((read, scale_of(self, read).or_else(|| own(read))?)));
        if let Some((seen, input)) = input {
            node.inputs[0] = Some(self.bytes_of(seen, input));
            node.action = match node.action {
                Action::Conv(convolution) => {
                    let convolution = *convolution;
                    Action::ConvBytes(Box::new(ByteConvolution { convolution, input, output: output_scale, seen }))
                }
                other => other,
            };
        } else if let (Some(scale), Some(read)) = (output_scale, carried(graph, &node)) {
            for value in read {
                let bytes = self.bytes_of(value, scale);
                node.inputs.iter_mut().filter(|input| **input == Some(value)).for_each(|input| *input = Some(bytes));
            }
        }
        self.nodes.push((node, wide));
    }

    /// The value as bytes of this scale.
    fn bytes_of(&mut self, value: ValueId, scale: Scale) -> ValueId {
        if self.decision.bytes[value] {
            return value;
        }
        let source = self.sources[value];
        let key = (source, scale.step.to_bits());
        if let Some(made) = self.made.get(&key) {
            return *made;
        }
        let made = self.values;
        self.values += 1;
        self.made.insert(key, made);
        let (inputs, outputs) = (vec![Some(source)], vec![Some(made)]);
        let node = GraphNode { label: "conversion".into(), action: Action::ToBytes(scale), inputs, outputs };
        self.nodes.push((node, true));
        made
    }
}
