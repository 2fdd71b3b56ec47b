//! Runs a graph as it is written, for one picture and then for two, and so learns every shape, which values depend on
//! shapes alone, and how the batch moves through it.
//!
//! An export often fixes the batch to 1 in the targets of its Reshape nodes. The batch is the outermost part of the axis it
//! is in, so in the target it belongs to the axis with as many values before it: that axis becomes free. Whether this was
//! right is not believed but compared: the second of two pictures must give what it gives alone.

use super::{
    OnnxError,
    branches::CONTROL,
    graph::{Graph, GraphNode, ValueId},
    operators::{COUNTING, Inputs, Operation, ints_of},
};
use crate::torch::runtime::TorchError;
use std::collections::BTreeMap;
use tch::Tensor;

/// What a value is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Constants and shapes: known once the input's size is.
    Shapes,
    /// The picture.
    Picture,
}

/// One run.
pub(super) struct Trace {
    /// Shape of each value; none where it was not computed.
    pub shapes: Vec<Option<Vec<i64>>>,
    /// Values that depend on shapes alone.
    pub known: BTreeMap<ValueId, Tensor>,
    pub outputs: Vec<Tensor>,
    /// Targets of Reshape nodes by node, where they were made free.
    pub freed: BTreeMap<usize, Vec<i64>>,
}

/// Where each value comes from, constants aside.
pub(super) fn origins(graph: &Graph<'_>) -> Vec<Origin> {
    follow(graph).0
}

/// Values of another length for each picture: what a suppression leaves, and whatever is made of it.
pub(super) fn counted(graph: &Graph<'_>) -> Vec<bool> {
    follow(graph).1
}

fn follow(graph: &Graph<'_>) -> (Vec<Origin>, Vec<bool>) {
    let (mut origins, mut counted) = (vec![Origin::Shapes; graph.values], vec![false; graph.values]);
    origins[graph.input] = Origin::Picture;
    for node in &graph.nodes {
        let reads = |is: &dyn Fn(usize) -> bool| node.inputs.iter().flatten().any(|&input| is(input));
        let (pictures, varies) = (reads(&|input| origins[input] == Origin::Picture), reads(&|input| counted[input]));
        let operator = graph.operator(node);
        let measures = matches!(operator, "Shape" | "Size") && !varies;
        let origin = if pictures && !measures { Origin::Picture } else { Origin::Shapes };
        // What a picture decides may differ in its shape.
        let varies = varies || (pictures && (COUNTING.contains(&operator) || CONTROL.contains(&operator)));
        for &output in node.outputs.iter().flatten() {
            (origins[output], counted[output]) = (origin, varies);
        }
    }
    (origins, counted)
}

/// Runs the graph's stored nodes, whose operations are given in order. With a trace of one picture, `input` holds two.
pub(super) fn run(
    graph: &Graph<'_>,
    operations: &[Operation],
    input: Tensor,
    single: Option<&Trace>,
) -> Result<Trace, OnnxError> {
    let origins = origins(graph);
    let last_use = last_uses(graph);
    let mut values: Vec<Option<Tensor>> = (0..graph.values).map(|_| None).collect();
    let mut trace =
        Trace { shapes: vec![None; graph.values], known: BTreeMap::new(), outputs: Vec::new(), freed: BTreeMap::new() };
    for (&value, tensor) in &graph.constants {
        trace.shapes[value] = Some(tensor.size());
    }
    trace.shapes[graph.input] = Some(input.size());
    values[graph.input] = Some(input);
    for (index, node) in graph.nodes.iter().enumerate() {
        let read = |value: ValueId| values[value].as_ref().or_else(|| graph.constants.get(&value));
        let inputs: Vec<_> = node.inputs.iter().map(|input| input.and_then(read)).collect();
        let freed = single.and_then(|single| freed_target(graph, node, &trace, single));
        let result = match &freed {
            Some(target) => Inputs(&inputs).at(0).and_then(|x| Ok(vec![x.f_reshape(target)?])),
            None => operations[index](&Inputs(&inputs)),
        };
        let results = result.map_err(|error| at_node(node, error))?;
        trace.freed.extend(freed.map(|target| (index, target)));
        for (&output, result) in node.outputs.iter().zip(results) {
            let Some(output) = output else { continue };
            trace.shapes[output] = Some(result.size());
            if origins[output] == Origin::Shapes {
                trace.known.insert(output, result.shallow_clone());
            }
            values[output] = Some(result);
        }
        let ends = node.inputs.iter().chain(&node.outputs).flatten().filter(|&&value| last_use[value] <= index);
        ends.for_each(|&value| values[value] = None);
    }
    let given = |&output: &ValueId| {
        let found = values[output].as_ref().or_else(|| graph.constants.get(&output));
        found.map(Tensor::shallow_clone).ok_or_else(|| OnnxError::Malformed("a node gives too few outputs".into()))
    };
    trace.outputs = graph.outputs.iter().map(given).collect::<Result<_, _>>()?;
    Ok(trace)
}

pub(super) fn at_node(node: &GraphNode, error: TorchError) -> OnnxError {
    OnnxError::Node { node: node.label.clone(), problem: error.0 }
}

/// Index of the last node that reads each value; the number of nodes for outputs of the graph.
pub(super) fn last_uses(graph: &Graph<'_>) -> Vec<usize> {
    let mut last = vec![0; graph.values];
    for (index, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().flatten().for_each(|&input| last[input] = index);
        // What nobody reads goes at once.
        node.outputs.iter().flatten().for_each(|&output| last[output] = index);
    }
    graph.outputs.iter().for_each(|&output| last[output] = graph.nodes.len());
    last
}

/// The target of a Reshape node whose export fixed the batch, with the batch free.
fn freed_target(graph: &Graph<'_>, node: &GraphNode, trace: &Trace, single: &Trace) -> Option<Vec<i64>> {
    if !matches!(graph.operator(node), "Reshape") {
        return None;
    }
    let [Some(input), Some(target)] = node.inputs[..] else { return None };
    // A target computed from shapes says itself where the batch goes.
    graph.constants.get(&target)?;
    let before = single.shapes[input].as_ref()?;
    let now = trace.shapes[input].as_ref()?;
    let axis = doubled_axis(before, now)?;
    let result = single.shapes[(*node.outputs.first()?)?].as_ref()?;
    let values_before: i64 = before[..axis].iter().product();
    let mut product = 1;
    for (index, &size) in result.iter().enumerate() {
        if product == values_before {
            let mut freed = result.clone();
            freed[index] = -1;
            return Some(freed);
        }
        product *= size;
    }
    None
}

/// The one axis that is twice as long for two pictures as for one.
pub(super) fn doubled_axis(one: &[i64], two: &[i64]) -> Option<usize> {
    let differs: Vec<_> = (0..one.len().min(two.len())).filter(|&axis| one[axis] != two[axis]).collect();
    match (one.len() == two.len(), differs.as_slice()) {
        (true, &[axis]) if one[axis].checked_mul(2) == Some(two[axis]) => Some(axis),
        _ => None,
    }
}

/// The target of a Reshape node for any batch, as two runs tell: at most one size is free.
pub(super) fn target_of(one: &[i64], two: Option<&[i64]>) -> Option<Vec<i64>> {
    match two {
        None => Some(one.to_vec()),
        Some(two) if one == two => Some(one.to_vec()),
        Some(two) => {
            let mut target = one.to_vec();
            target[doubled_axis(one, two)?] = -1;
            Some(target)
        }
    }
}

/// Whether two integer tensors, or two small ones of any kind, hold the same.
pub(super) fn same(a: &Tensor, b: &Tensor) -> bool {
    a.size() == b.size()
        && a.kind() == b.kind()
        && match (ints_of(a), ints_of(b)) {
            (Ok(left), Ok(right)) if !a.is_floating_point() => left == right,
            _ => a.f_equal(b).unwrap_or(false),
        }
}
