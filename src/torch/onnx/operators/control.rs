//! If and Loop: nodes that run a graph of their own.
//!
//! What such a graph reads from outside is among the node's inputs, by name (`branches`). An If whose condition is known
//! at load does not come here: its branch takes its place. A branch that cannot be run is a fault only where it may be
//! taken.

use super::{
    super::{proto::GraphProto, step::on_device, value::StoredTensor},
    Inputs, MAX_MADE, Node, Operation, Table, build, fault, scalar_of,
};
use crate::torch::runtime::TorchError;
use std::{cell::Cell, collections::HashMap};
use tch::{Device, Tensor};

pub(super) const TABLE: Table = &[("If", branch), ("Loop", repeat)];

/// Nodes that one Loop may run, those of loops inside it included; a damaged trip count would never end.
const MAX_STEPS: u64 = 200_000;

/// Loops inside loops.
const MAX_DEPTH: u32 = 8;

/// A graph inside a node, ready to run.
struct Body {
    /// Known before it runs, by slot.
    constants: Vec<Option<Tensor>>,
    steps: Vec<Step>,
    /// Slots of its inputs.
    parameters: Vec<usize>,
    /// Inputs of the node that it reads, with their slots.
    captured: Vec<(usize, usize)>,
    outputs: Vec<usize>,
}

struct Step {
    label: String,
    operation: Operation,
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
}

/// Builds a body: names become slots, what is constant is computed at once.
#[derive(Default)]
struct Builder<'g> {
    slots: HashMap<&'g str, usize>,
    constants: Vec<Option<Tensor>>,
    captured: Vec<(usize, usize)>,
}

impl<'g> Builder<'g> {
    fn add(&mut self, name: &'g str, constant: Option<Tensor>) -> usize {
        self.slots.insert(name, self.constants.len());
        self.constants.push(constant);
        self.constants.len() - 1
    }

    /// The slot of a value, which may be one of the node's inputs.
    fn find(&mut self, name: &'g str, node: &Node<'_>) -> Result<usize, String> {
        if let Some(slot) = self.slots.get(name) {
            return Ok(*slot);
        }
        let outside = node.proto.input.iter().position(|input| input == name);
        let outside = outside.ok_or_else(|| format!("its graph reads {name:?}, which nothing gives"))?;
        let slot = self.add(name, node.known.get(outside).copied().flatten().map(Tensor::shallow_clone));
        self.captured.push((outside, slot));
        Ok(slot)
    }

    fn finish(mut self, graph: &'g GraphProto, node: &Node<'_>) -> Result<Body, String> {
        let parameters = graph.input.iter().map(|info| self.add(&info.name, None)).collect();
        for tensor in &graph.initializer {
            let stored = StoredTensor::read(tensor.clone(), &format!("tensor {:?}", tensor.name));
            let value = stored.and_then(|stored| stored.to_torch()).map_err(|error| error.to_string())?;
            self.add(&tensor.name, Some(value));
        }
        let mut steps = Vec::new();
        for inner in &graph.node {
            let label = format!("{} {:?}", inner.op_type, super::super::graph::node_name(inner));
            let slot = |name: &'g String, builder: &mut Self| match name.as_str() {
                "" => Ok(None),
                name => builder.find(name, node).map(Some),
            };
            let inputs: Vec<_> = inner.input.iter().map(|name| slot(name, &mut self)).collect::<Result<_, _>>()?;
            let known: Vec<_> = inputs.iter().map(|slot| self.constants[(*slot)?].as_ref()).collect();
            let is_constant = inputs.iter().zip(&known).all(|(slot, known)| slot.is_none() == known.is_none());
            let operation = build(&Node::new(inner, node.opset, known.clone()));
            let operation = operation.map_err(|reason| format!("{label} inside it: {reason}"))?;
            let results = if is_constant { Some(operation(&Inputs(&known))) } else { None };
            let results = results.transpose().map_err(|error| format!("{label} inside it: {}", error.0))?;
            let mut results = results.into_iter().flatten();
            let outputs = inner.output.iter().map(|name| {
                let result = results.next();
                (!name.is_empty()).then(|| self.add(name, result))
            });
            let outputs = outputs.collect();
            if !is_constant {
                steps.push(Step { label, operation, inputs, outputs });
            }
        }
        let outputs = graph.output.iter().map(|info| self.find(&info.name, node)).collect::<Result<_, _>>()?;
        Ok(Body { constants: self.constants, steps, parameters, captured: self.captured, outputs })
    }
}

impl Body {
    fn of(node: &Node<'_>, attribute: &'static str) -> Result<Self, String> {
        Builder::default().finish(node.attributes.graph(attribute)?, node)
    }

    /// Runs it once. `inputs`: those of the node; `given`: those of the graph.
    fn run(&self, inputs: &Inputs<'_>, given: &[Tensor]) -> Result<Vec<Tensor>, TorchError> {
        spend(self.steps.len() as u64)?;
        let mut slots: Vec<Option<Tensor>> =
            self.constants.iter().map(|known| known.as_ref().map(Tensor::shallow_clone)).collect();
        for &(input, slot) in &self.captured {
            slots[slot] = Some(inputs.at(input)?.shallow_clone());
        }
        for (&slot, value) in self.parameters.iter().zip(given) {
            slots[slot] = Some(value.shallow_clone());
        }
        for step in &self.steps {
            let values: Vec<_> = step.inputs.iter().map(|slot| slots[(*slot)?].as_ref()).collect();
            let device = values.iter().flatten().map(|value| value.device()).find(|device| *device != Device::Cpu);
            let results = match device {
                Some(device) => on_device(&step.operation, &Inputs(&values), device),
                None => (step.operation)(&Inputs(&values)),
            };
            let results = results.map_err(|error| fault(format!("{} inside it: {}", step.label, error.0)))?;
            for (output, result) in step.outputs.iter().zip(results) {
                if let Some(output) = output {
                    slots[*output] = Some(result);
                }
            }
        }
        let missing = || fault("its graph gives too few values");
        let given = |&slot: &usize| slots[slot].as_ref().map(Tensor::shallow_clone).ok_or_else(missing);
        self.outputs.iter().map(given).collect()
    }
}

/// The inputs of an If are its condition and what its branches read.
fn branch(node: &Node<'_>) -> Result<Operation, String> {
    let (taken, otherwise) = (Body::of(node, "then_branch"), Body::of(node, "else_branch"));
    if let (Err(reason), Err(_)) = (&taken, &otherwise) {
        return Err(reason.clone());
    }
    Ok(Box::new(move |inputs| {
        let branch = if scalar_of(inputs.at(0)?)? != 0.0 { &taken } else { &otherwise };
        let branch = branch.as_ref().map_err(|reason| fault(reason.clone()))?;
        nested(|| branch.run(inputs, &[]))
    }))
}

/// What is wrong with the branches of an If that may take either.
pub(in crate::torch::onnx) fn check_branches(node: &Node<'_>) -> Result<(), String> {
    Body::of(node, "then_branch")?;
    Body::of(node, "else_branch").map(|_| ())
}

/// Inputs: how often at most, whether at all, what is handed from turn to turn, what the body reads. Its body gives whether
/// to go on, what is handed on, and values that are stacked over all turns.
fn repeat(node: &Node<'_>) -> Result<Operation, String> {
    let body = Body::of(node, "body")?;
    let carried = body.parameters.len().checked_sub(2).ok_or("its body takes no turn and condition")?;
    let stacked = body.outputs.len().checked_sub(1 + carried).ok_or("its body hands on less than it takes")?;
    Ok(Box::new(move |inputs| {
        let first: Vec<_> = (2..2 + carried).map(|index| inputs.at(index).map(Tensor::shallow_clone)).collect();
        let handed = first.into_iter().collect::<Result<_, _>>()?;
        nested(|| turns(&body, inputs, handed, stacked))
    }))
}

fn turns(body: &Body, inputs: &Inputs<'_>, handed: Vec<Tensor>, stacked: usize) -> Result<Vec<Tensor>, TorchError> {
    let most = inputs.optional(0).map(scalar_of).transpose()?.unwrap_or(f64::INFINITY);
    let mut goes_on = inputs.optional(1).map(scalar_of).transpose()?.unwrap_or(1.0) != 0.0;
    let (mut handed, mut made) = (handed, 0);
    let mut stacks: Vec<Vec<Tensor>> = (0..stacked).map(|_| Vec::new()).collect();
    let mut turn = 0;
    while goes_on && (turn as f64) < most {
        // A body without nodes does something too.
        spend(1)?;
        let mut given = vec![Tensor::from(turn), Tensor::from(goes_on)];
        given.append(&mut handed);
        let mut results = body.run(inputs, &given)?.into_iter();
        let condition = results.next().ok_or_else(|| fault("its body gives no condition"))?;
        goes_on = scalar_of(&condition)? != 0.0;
        handed = results.by_ref().take(body.parameters.len() - 2).collect();
        for (stack, value) in stacks.iter_mut().zip(results) {
            made += value.numel() as i64;
            stack.push(value);
        }
        if made > MAX_MADE {
            return Err(fault(format!("{made} values in {} turns are too many", turn + 1)));
        }
        turn += 1;
    }
    for stack in stacks {
        if stack.is_empty() {
            return Err(fault("no turn was taken, so that the shape of what it stacks is not known"));
        }
        handed.push(Tensor::f_stack(&stack, 0)?);
    }
    Ok(handed)
}

thread_local! {
    /// Nodes the outermost graph of this thread may still run, and how deep it is in.
    static LEFT: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
}

/// Runs a graph; the outermost one begins to count.
fn nested<T>(run: impl FnOnce() -> Result<T, TorchError>) -> Result<T, TorchError> {
    let (left, depth) = LEFT.get();
    if depth >= MAX_DEPTH {
        return Err(fault(format!("more than {MAX_DEPTH} graphs inside one another")));
    }
    LEFT.set((if depth == 0 { MAX_STEPS } else { left }, depth + 1));
    let result = run();
    LEFT.set((LEFT.get().0, depth));
    result
}

fn spend(steps: u64) -> Result<(), TorchError> {
    let (left, depth) = LEFT.get();
    LEFT.set((left.saturating_sub(steps), depth));
    if left < steps { Err(fault(format!("more than {MAX_STEPS} steps in one node"))) } else { Ok(()) }
}
