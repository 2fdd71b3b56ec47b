//! Graphs inside nodes: what they read from outside, and branches that take the place of their If.
//!
//! A graph in a node (a branch of If, the body of Loop) may read every value that is known where the node stands. Such
//! values are added to the node's inputs, by name, so that whoever follows values sees them; `operators::control` finds
//! them there. Exporters write an If wherever a shape decides; its condition is known once the input's size is, and then
//! the branch is all there is.

use super::{
    OnnxError, OnnxFile,
    graph::{Action, Graph},
    operators::scalar_of,
    proto::{GraphProto, NodeProto},
    trace::Trace,
    value::StoredTensor,
};
use std::collections::{BTreeMap, BTreeSet};

/// Nodes that run a graph of their own.
pub(super) const CONTROL: [&str; 2] = ["If", "Loop"];

/// Adds to the inputs of nodes what the graphs in them read from outside, the innermost first. Returns how many nodes
/// there are, those inside others included.
pub(super) fn close(nodes: &mut [NodeProto]) -> usize {
    let mut count = nodes.len();
    for node in nodes {
        let mut read = Vec::new();
        for graph in node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_deref_mut()) {
            count += close(&mut graph.node);
            read.extend(read_from_outside(graph));
            if node.op_type == "Loop" {
                // Trip count and condition, which may be left out, have their places before all others.
                let least = graph.input.len().max(2);
                node.input.resize(node.input.len().max(least), String::new());
            }
        }
        for name in read {
            if !node.input.contains(&name) {
                node.input.push(name);
            }
        }
    }
    count
}

fn read_from_outside(graph: &GraphProto) -> Vec<String> {
    let mut own: BTreeSet<&str> = graph.input.iter().map(|info| info.name.as_str()).collect();
    own.extend(graph.initializer.iter().map(|tensor| tensor.name.as_str()));
    let mut read = Vec::new();
    for node in &graph.node {
        read.extend(node.input.iter().filter(|name| !name.is_empty() && !own.contains(name.as_str())).cloned());
        own.extend(node.output.iter().map(String::as_str));
    }
    let given = graph.output.iter().map(|info| &info.name);
    read.extend(given.filter(|name| !own.contains(name.as_str())).cloned());
    read
}

/// Which branch each If takes whose condition does not depend on the picture, by its place in the file. `one`: a run,
/// which tells the conditions that depend on shapes.
pub(super) fn decided(graph: &Graph<'_>, one: Option<&Trace>) -> Result<BTreeMap<usize, bool>, OnnxError> {
    let mut decided = BTreeMap::new();
    for node in graph.nodes.iter().filter(|node| graph.operator(node) == "If") {
        let (Action::Stored(index), Some(Some(condition))) = (&node.action, node.inputs.first()) else { continue };
        let known = graph.constants.get(condition).or_else(|| one?.known.get(condition));
        if let Some(known) = known {
            decided.insert(*index, scalar_of(known)? != 0.0);
        }
    }
    Ok(decided)
}

/// The file with the branches that are taken in place of the nodes that chose them.
pub(super) fn inlined(file: &OnnxFile, decided: &BTreeMap<usize, bool>) -> Result<OnnxFile, OnnxError> {
    let mut result = file.clone();
    result.nodes.clear();
    for (index, node) in file.nodes.iter().enumerate() {
        let Some(&taken) = decided.get(&index) else {
            result.nodes.push(node.clone());
            continue;
        };
        let name = if taken { "then_branch" } else { "else_branch" };
        let found = node.attribute.iter().find(|attribute| attribute.name == name).and_then(|found| found.g.as_deref());
        let branch = found.ok_or_else(|| OnnxError::Malformed(format!("an If without {name}")))?;
        splice(&mut result, node, index, branch.clone())?;
    }
    Ok(result)
}

/// Appends a branch's nodes; its values get names of their own, for those of another branch may be called the same.
fn splice(file: &mut OnnxFile, node: &NodeProto, index: usize, mut branch: GraphProto) -> Result<(), OnnxError> {
    let own = branch.initializer.iter().map(|tensor| &tensor.name);
    let own = own.chain(branch.node.iter().flat_map(|node| &node.output)).filter(|name| !name.is_empty());
    let names: BTreeMap<String, String> = own.map(|name| (name.clone(), format!("{name}@{index}"))).collect();
    rename(&mut branch, &names);
    for tensor in branch.initializer {
        let name = tensor.name.clone();
        let stored = StoredTensor::read(tensor, &format!("tensor {name:?}"))?;
        file.initializers.insert(name, stored);
    }
    file.nodes.append(&mut branch.node);
    for (given, output) in branch.output.iter().zip(&node.output).filter(|(_, output)| !output.is_empty()) {
        let (input, output) = (vec![given.name.clone()], vec![output.clone()]);
        let op_type = "Identity".to_owned();
        file.nodes.push(NodeProto { input, output, op_type, name: node.name.clone(), ..NodeProto::default() });
    }
    Ok(())
}

fn rename(graph: &mut GraphProto, names: &BTreeMap<String, String>) {
    let change = |name: &mut String| {
        if let Some(new) = names.get(name) {
            name.clone_from(new);
        }
    };
    graph.initializer.iter_mut().for_each(|tensor| change(&mut tensor.name));
    graph.output.iter_mut().for_each(|info| change(&mut info.name));
    for node in &mut graph.node {
        node.input.iter_mut().chain(&mut node.output).for_each(&change);
        let inner = node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_deref_mut());
        inner.for_each(|graph| rename(graph, names));
    }
}
