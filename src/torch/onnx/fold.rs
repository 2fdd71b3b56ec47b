//! Takes out of a graph what is the same for every picture: constants, what is computed from them, and what depends on
//! shapes alone once the size of the input is fixed.

use super::{
    OnnxError,
    graph::{Action, Graph},
    operators::{Inputs, Operation},
    trace::{Trace, at_node, counted, same, target_of},
};
use std::collections::BTreeSet;

/// Computes nodes that read nothing but constants, once, and takes them out. `operations` are those of the nodes.
pub(super) fn fold_constants(graph: &mut Graph<'_>, operations: &mut Vec<Operation>) -> Result<(), OnnxError> {
    let mut kept = Vec::with_capacity(graph.nodes.len());
    let mut kept_operations = Vec::with_capacity(graph.nodes.len());
    for (node, operation) in std::mem::take(&mut graph.nodes).into_iter().zip(operations.drain(..)) {
        let inputs: Option<Vec<_>> =
            node.inputs.iter().map(|input| input.map_or(Some(None), |id| graph.constants.get(&id).map(Some))).collect();
        let Some(inputs) = inputs else {
            kept.push(node);
            kept_operations.push(operation);
            continue;
        };
        let results = operation(&Inputs(&inputs)).map_err(|error| at_node(&node, error))?;
        for (&output, result) in node.outputs.iter().zip(results) {
            if let Some(output) = output {
                graph.constants.insert(output, result);
            }
        }
    }
    graph.nodes = kept;
    *operations = kept_operations;
    Ok(())
}

/// Makes constants of what depends on shapes alone and is the same for one picture and for two (for one, where two could
/// not be run), and gives every Reshape its target.
pub(super) fn fold_shapes(graph: &mut Graph<'_>, one: &Trace, two: Option<&Trace>) {
    let fixed =
        |value: &usize| two.is_none_or(|two| two.known.get(value).is_some_and(|other| same(&one.known[value], other)));
    let fixed: BTreeSet<_> = one.known.keys().copied().filter(|value| fixed(value)).collect();
    for &value in &fixed {
        graph.constants.insert(value, one.known[&value].shallow_clone());
    }
    let counted = counted(graph);
    for index in 0..graph.nodes.len() {
        let operator = graph.operator(&graph.nodes[index]);
        if !matches!(operator, "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze") {
            continue;
        }
        let Some(Some(output)) = graph.nodes[index].outputs.first().copied() else { continue };
        let Some(shape) = one.shapes[output].as_ref().filter(|_| !counted[output]) else { continue };
        let doubled = two.and_then(|two| two.shapes[output].as_deref());
        if let Some(target) = target_of(shape, doubled) {
            let node = &mut graph.nodes[index];
            node.action = Action::Reshape(target);
            node.inputs.truncate(1);
        }
    }
    let constants = &graph.constants;
    graph.nodes.retain(|node| !node.outputs.iter().flatten().all(|output| constants.contains_key(output)));
    graph.drop_dead();
}

/// Lets readers of what is only handed through read its source.
pub(super) fn skip_identities(graph: &mut Graph<'_>, one: &Trace, two: Option<&Trace>) {
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let ([Some(input), ..], [Some(output), ..]) = (&node.inputs[..], &node.outputs[..]) else { continue };
        let (input, output) = (*input, *output);
        let nothing = match &node.action {
            Action::Stored(_) => matches!(graph.operator(node), "Identity" | "Dropout"),
            Action::Reshape(_) => {
                same_shape(one, input, output) && two.is_none_or(|two| same_shape(two, input, output))
            }
            _ => false,
        };
        if nothing {
            graph.replace(output, input);
        }
    }
    graph.drop_dead();
}

fn same_shape(trace: &Trace, input: usize, output: usize) -> bool {
    matches!((&trace.shapes[input], &trace.shapes[output]), (Some(input), Some(output)) if input == output)
}
