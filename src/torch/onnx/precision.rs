//! Decides which values of a network travel in narrow floats, and converts where they begin and end to.
//!
//! Narrow floats pay in convolutions and do harm in coordinates: 8 bits of accuracy tell 416 from 418, not from 417. So
//! narrow values begin at a convolution, go through what only moves, pools, joins or activates them, and end for good at
//! the first operation of another kind: where boxes and scores are made of them, everything is in 32 bits, the last
//! convolutions included.

use super::{
    OnnxError,
    fuse::is_by_channel,
    graph::{Action, Graph, GraphNode, ValueId},
    trace::Trace,
};
use crate::torch::{
    Activation,
    runtime::{Precision, TorchError},
};

/// Operators that keep narrow values narrow.
const CARRIERS: [&str; 17] = [
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "ReduceMean",
    "Concat",
    "Split",
    "Slice",
    "Transpose",
    "Flatten",
    "Resize",
    "Upsample",
    "Pad",
    "DepthToSpace",
    "SpaceToDepth",
    "Identity",
    "Add",
];

/// Operators that do so with constants of their own.
const WEIGHTED: [&str; 5] = ["BatchNormalization", "InstanceNormalization", "Gemm", "MatMul", "PRelu"];

/// How a value travels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// As it came: not through a convolution yet, or no float at all.
    Fed,
    Narrow,
    /// In 32 bits for good.
    Wide,
}

/// Inserts the conversions for a network in this precision. Convolutions that compute in 32 bits are those whose input is
/// not narrow; returned is for every node whether it is one.
pub(super) fn narrow(graph: &mut Graph<'_>, one: &Trace, precision: Precision) -> Result<Vec<bool>, OnnxError> {
    if precision == Precision::Fp32 {
        return Ok(vec![true; graph.nodes.len()]);
    }
    let last = last_layers(graph);
    let mut pass = Pass {
        last,
        states: vec![State::Fed; graph.values],
        nodes: Vec::with_capacity(graph.nodes.len()),
        wide: Vec::new(),
        narrow_of: vec![None; graph.values],
        wide_of: vec![None; graph.values],
        precision,
    };
    for (index, node) in std::mem::take(&mut graph.nodes).into_iter().enumerate() {
        pass.node(graph, one, node, index)?;
    }
    graph.nodes = pass.nodes;
    Ok(pass.wide)
}

struct Pass {
    /// Whether a node, by its index, is the last of its kind before an output.
    last: Vec<bool>,
    states: Vec<State>,
    nodes: Vec<GraphNode>,
    wide: Vec<bool>,
    /// The narrow and the wide version of a value, once there is one.
    narrow_of: Vec<Option<ValueId>>,
    wide_of: Vec<Option<ValueId>>,
    precision: Precision,
}

impl Pass {
    fn node(&mut self, graph: &mut Graph<'_>, one: &Trace, mut node: GraphNode, index: usize) -> Result<(), OnnxError> {
        let read: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
        let computed = read.iter().filter(|id| !graph.constants.contains_key(id));
        let states: Vec<State> = computed.map(|&id| self.states[id]).collect();
        let any_wide = states.contains(&State::Wide);
        let measures = matches!(graph.operator(&node), "Shape" | "Size");
        let output = if matches!(node.action, Action::Conv(_)) && !any_wide && !self.last[index] {
            self.convert_inputs(graph, &mut node, Action::ToNetwork);
            State::Narrow
        } else if measures || !states.contains(&State::Narrow) {
            if any_wide && !measures { State::Wide } else { State::Fed }
        } else if !states.contains(&State::Fed) && !any_wide && !self.last[index] && carries(graph, one, &node) {
            self.narrow_constants(graph, &mut node)?;
            State::Narrow
        } else {
            self.convert_inputs(graph, &mut node, Action::ToFloat);
            State::Wide
        };
        node.outputs.iter().flatten().for_each(|&id| self.states[id] = output);
        self.wide.push(output != State::Narrow);
        self.nodes.push(node);
        Ok(())
    }

    /// Puts a conversion before each computed input that needs it, once a value.
    fn convert_inputs(&mut self, graph: &mut Graph<'_>, node: &mut GraphNode, conversion: Action) {
        let narrowing = matches!(conversion, Action::ToNetwork);
        for input in node.inputs.iter_mut().flatten() {
            let is_narrow = self.states[*input] == State::Narrow;
            if graph.constants.contains_key(input) || is_narrow == narrowing {
                continue;
            }
            if !narrowing && self.states[*input] == State::Fed {
                continue;
            }
            let made = if narrowing { &mut self.narrow_of[*input] } else { &mut self.wide_of[*input] };
            let id = *made.get_or_insert(graph.values);
            if id == graph.values {
                graph.values += 1;
                self.states.push(if narrowing { State::Narrow } else { State::Wide });
                self.narrow_of.push(None);
                self.wide_of.push(None);
                let action = if narrowing { Action::ToNetwork } else { Action::ToFloat };
                let (inputs, outputs) = (vec![Some(*input)], vec![Some(id)]);
                self.nodes.push(GraphNode { label: "conversion".into(), action, inputs, outputs });
                self.wide.push(true);
            }
            *input = id;
        }
    }

    /// Gives a node narrow copies of its floating constants.
    fn narrow_constants(&mut self, graph: &mut Graph<'_>, node: &mut GraphNode) -> Result<(), TorchError> {
        let weighted = WEIGHTED.contains(&graph.operator(node)) || matches!(graph.operator(node), "Add" | "Mul");
        for input in node.inputs.iter_mut().flatten().filter(|_| weighted) {
            let Some(constant) = graph.constants.get(input) else { continue };
            if !constant.is_floating_point() {
                continue;
            }
            let narrow = constant.f_to_kind(self.precision.kind())?;
            *input = graph.values;
            graph.constants.insert(graph.values, narrow);
            graph.values += 1;
            self.states.push(State::Fed);
            self.narrow_of.push(None);
            self.wide_of.push(None);
        }
        Ok(())
    }
}

/// Convolutions and products that no other one follows on the way to an output.
fn last_layers(graph: &Graph<'_>) -> Vec<bool> {
    let mut late = vec![false; graph.values];
    graph.outputs.iter().for_each(|&output| late[output] = true);
    let mut last = vec![false; graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        if !node.outputs.iter().flatten().any(|&output| late[output]) {
            continue;
        }
        last[index] = matches!(node.action, Action::Conv(_)) || matches!(graph.operator(node), "Gemm" | "MatMul");
        if !last[index] {
            node.inputs.iter().flatten().for_each(|&input| late[input] = true);
        }
    }
    last
}

/// Whether an activation makes scores of values of this shape: a gate over channels belongs to the network, one over
/// places or boxes does not.
pub(super) fn makes_scores(activation: Activation, shape: Option<&[i64]>) -> bool {
    let gates = matches!(activation, Activation::Logistic | Activation::HardSigmoid | Activation::Tanh);
    gates && !matches!(shape, Some(&[_, _, 1, 1]))
}

/// Whether a node that reads narrow values gives narrow values.
fn carries(graph: &Graph<'_>, one: &Trace, node: &GraphNode) -> bool {
    let shape = |id: Option<ValueId>| one.shapes.get(id?)?.as_deref();
    match node.action {
        Action::Activate(activation) => !makes_scores(activation, shape(node.inputs[0])),
        Action::Reshape(_) | Action::ChannelShuffle(_) | Action::Conv(_) => true,
        Action::ToFloat | Action::ToNetwork | Action::ToBytes(_) | Action::ConvBytes(_) => false,
        Action::Stored(_) => {
            let operator = graph.operator(node);
            let constant = node.inputs.iter().flatten().find_map(|id| graph.constants.get(id));
            match operator {
                "Add" | "Mul" => constant.is_none_or(|constant| {
                    // A number for all is a stride or a scale of boxes, one a channel a normalization.
                    constant.numel() > 1 && is_by_channel(&constant.size(), shape(node.outputs[0]))
                }),
                _ => CARRIERS.contains(&operator) || WEIGHTED.contains(&operator),
            }
        }
    }
}
