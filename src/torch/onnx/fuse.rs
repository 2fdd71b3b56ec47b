//! Joins nodes that libtorch computes in one pass: normalization and activation into convolutions, activations that
//! exporters take apart, ShuffleNet's shuffle.

use super::{
    OnnxError,
    focus::join_focus,
    graph::{Action, Convolution, Graph, GraphNode, ValueId},
    operators::{ConvSpec, EPSILON, Node, scalar_of},
    precision::makes_scores,
    trace::Trace,
};
use crate::torch::{
    Activation,
    runtime::{Precision, TorchError},
};
use tch::{Kind, Tensor};

/// Who gives and how many read each value.
struct Wiring {
    producer: Vec<Option<usize>>,
    uses: Vec<usize>,
}

impl Wiring {
    fn of(graph: &Graph<'_>) -> Self {
        let mut producer = vec![None; graph.values];
        for (index, node) in graph.nodes.iter().enumerate() {
            node.outputs.iter().flatten().for_each(|&output| producer[output] = Some(index));
        }
        Self { producer, uses: graph.uses() }
    }

    /// The node that gives `value`, if nobody else reads it.
    fn sole<'g>(&self, graph: &'g Graph<'_>, value: ValueId) -> Option<&'g GraphNode> {
        if self.uses[value] == 1 { self.any(graph, value) } else { None }
    }

    fn any<'g>(&self, graph: &'g Graph<'_>, value: ValueId) -> Option<&'g GraphNode> {
        Some(&graph.nodes[self.producer[value]?])
    }
}

/// Everything, in the order in which one makes the next possible.
pub(super) fn fuse(graph: &mut Graph<'_>, one: &Trace, precision: Precision) -> Result<(), OnnxError> {
    take_convolutions(graph, one)?;
    join_focus(graph, one)?;
    while fold_into_convolutions(graph, one)? {
        graph.drop_dead();
    }
    name_activations(graph)?;
    while join_activations(graph) {
        graph.drop_dead();
    }
    activate_in_convolutions(graph, one, precision);
    join_shuffles(graph);
    graph.drop_dead();
    Ok(())
}

/// Reads the settings and weights of convolutions in two directions.
fn take_convolutions(graph: &mut Graph<'_>, one: &Trace) -> Result<(), OnnxError> {
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let Action::Stored(stored) = node.action else { continue };
        if graph.operator(node) != "Conv" {
            continue;
        }
        let Some(input) = node.inputs.first().copied().flatten() else { continue };
        let constant = |at: usize| graph.constants.get(&node.inputs.get(at).copied().flatten()?);
        let has_bias = node.inputs.get(2).copied().flatten().is_some();
        let flat = one.shapes[input].as_ref().is_some_and(|shape| shape.len() == 4);
        let (Some(weight), bias) = (constant(1), constant(2)) else { continue };
        if !flat || has_bias != bias.is_some() || weight.kind() != Kind::Float {
            continue;
        }
        let read = || -> Result<Convolution, TorchError> {
            let node = Node::new(&graph.file.nodes[stored], graph.file.opset(), Vec::new());
            let mut spec = ConvSpec::read(&node).map_err(TorchError)?;
            spec.groups = node.attributes.int("group", 1).map_err(TorchError)?;
            let bias = match bias {
                Some(bias) => bias.shallow_clone(),
                None => Tensor::f_zeros([weight.size()[0]], (Kind::Float, tch::Device::Cpu))?,
            };
            let spec = spec.resolved(2, &weight.size()[2..])?;
            Ok(Convolution { weight: weight.shallow_clone(), bias, spec, activation: Activation::Linear })
        };
        let convolution = read()?;
        let node = &mut graph.nodes[index];
        node.action = Action::Conv(Box::new(convolution));
        node.inputs.truncate(1);
    }
    Ok(())
}

/// Folds what scales and shifts a convolution's output by channel into its weights. Says whether anything was done.
fn fold_into_convolutions(graph: &mut Graph<'_>, one: &Trace) -> Result<bool, OnnxError> {
    let wiring = Wiring::of(graph);
    let mut done = false;
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let Some((value, affine)) = affine_of(graph, node, one)? else { continue };
        let Some(producer) = wiring.producer[value].filter(|_| wiring.uses[value] == 1) else { continue };
        let Action::Conv(convolution) = &graph.nodes[producer].action else { continue };
        let filters = convolution.weight.size()[0];
        if convolution.activation != Activation::Linear || !affine.fits(filters) {
            continue;
        }
        let Some(output) = node.outputs.first().copied().flatten() else { continue };
        let folded = affine.folded_into(convolution)?;
        let producer = &mut graph.nodes[producer];
        producer.action = Action::Conv(Box::new(folded));
        // The convolution takes the place of what followed it; that is left without readers.
        producer.outputs = vec![Some(output)];
        graph.nodes[index].outputs = vec![Some(value)];
        done = true;
        // What is known of producers and readers no longer holds for these two.
        break;
    }
    Ok(done)
}

/// y = x · factor + shift, one value a channel, or one for all.
struct Affine {
    factor: Option<Tensor>,
    shift: Option<Tensor>,
}

impl Affine {
    fn fits(&self, filters: i64) -> bool {
        [&self.factor, &self.shift]
            .iter()
            .all(|part| part.as_ref().is_none_or(|part| part.numel() == 1 || part.numel() as i64 == filters))
    }

    fn folded_into(&self, convolution: &Convolution) -> Result<Convolution, TorchError> {
        let filters = convolution.weight.size()[0];
        let spread = |part: &Tensor| part.f_reshape([-1])?.f_expand([filters], false);
        let (mut weight, mut bias) = (convolution.weight.shallow_clone(), convolution.bias.shallow_clone());
        if let Some(factor) = &self.factor {
            let factor = spread(factor)?;
            weight = weight.f_mul(&factor.f_reshape([-1, 1, 1, 1])?)?;
            bias = bias.f_mul(&factor)?;
        }
        if let Some(shift) = &self.shift {
            bias = bias.f_add(&spread(shift)?)?;
        }
        Ok(Convolution { weight, bias, spec: convolution.spec.clone(), activation: convolution.activation })
    }
}

/// The value a node scales and shifts by channel, and by how much.
fn affine_of(graph: &Graph<'_>, node: &GraphNode, one: &Trace) -> Result<Option<(ValueId, Affine)>, TorchError> {
    let Action::Stored(stored) = node.action else { return Ok(None) };
    let constant = |at: usize| graph.constants.get(&node.inputs.get(at).copied().flatten()?);
    let operator = graph.operator(node);
    if operator == "BatchNormalization" {
        let (Some(value), [Some(scale), Some(shift), Some(mean), Some(variance)]) =
            (node.inputs[0], [constant(1), constant(2), constant(3), constant(4)])
        else {
            return Ok(None);
        };
        let attributes = Node::new(&graph.file.nodes[stored], graph.file.opset(), Vec::new()).attributes;
        let epsilon = attributes.float("epsilon", EPSILON).map_err(TorchError)?;
        let factor = scale.f_div(&variance.f_add_scalar(epsilon)?.f_sqrt()?)?;
        let shift = shift.f_sub(&mean.f_mul(&factor)?)?;
        return Ok(Some((value, Affine { factor: Some(factor), shift: Some(shift) })));
    }
    if !matches!(operator, "Add" | "Mul" | "Sub" | "Div") || node.inputs.len() != 2 {
        return Ok(None);
    }
    let (value, other) = match (constant(0), constant(1), &node.inputs[..]) {
        (None, Some(other), &[Some(value), _]) => (value, other),
        (Some(other), None, &[_, Some(value)]) if matches!(operator, "Add" | "Mul") => (value, other),
        _ => return Ok(None),
    };
    if other.kind() != Kind::Float || !is_by_channel(&other.size(), one.shapes[value].as_deref()) {
        return Ok(None);
    }
    let affine = match operator {
        "Mul" => Affine { factor: Some(other.shallow_clone()), shift: None },
        "Div" => Affine { factor: Some(other.f_reciprocal()?), shift: None },
        "Sub" => Affine { factor: None, shift: Some(other.f_neg()?) },
        _ => Affine { factor: None, shift: Some(other.shallow_clone()) },
    };
    Ok(Some((value, affine)))
}

/// Whether a constant, broadcast against an output of a convolution, holds one value a channel or one for all.
pub(super) fn is_by_channel(constant: &[i64], value: Option<&[i64]>) -> bool {
    let Some(&[_, channels, ..]) = value.filter(|value| value.len() == 4) else { return false };
    match constant {
        [] | [1] | [1, 1, 1] | [1, 1, 1, 1] => true,
        [count, 1, 1] | [1, count, 1, 1] => *count == channels,
        _ => false,
    }
}

/// Names the activations libtorch has.
fn name_activations(graph: &mut Graph<'_>) -> Result<(), OnnxError> {
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let Action::Stored(stored) = node.action else { continue };
        let attributes = Node::new(&graph.file.nodes[stored], graph.file.opset(), Vec::new()).attributes;
        let float = |name: &'static str, default: f64| attributes.float(name, default).map_err(TorchError);
        let bound = |at: usize, name: &'static str| match node.inputs.get(at).copied().flatten() {
            Some(id) => graph.constants.get(&id).map(scalar_of).transpose(),
            None => float(name, f64::NAN).map(|bound| Some(bound).filter(|bound| !bound.is_nan())),
        };
        let activation = match graph.operator(node) {
            "Relu" => Some(Activation::Relu),
            "Sigmoid" => Some(Activation::Logistic),
            "Tanh" => Some(Activation::Tanh),
            "HardSwish" => Some(Activation::HardSwish),
            "Mish" => Some(Activation::Mish),
            "LeakyRelu" => {
                let slope = float("alpha", 0.01)?;
                (0.0..=1.0).contains(&slope).then_some(Activation::Leaky { slope })
            }
            "HardSigmoid" => {
                let (alpha, beta) = (float("alpha", 0.2)?, float("beta", 0.5)?);
                (near(alpha, 1.0 / 6.0) && near(beta, 0.5)).then_some(Activation::HardSigmoid)
            }
            "Clip" => match (bound(1, "min")?, bound(2, "max")?) {
                (Some(low), Some(high)) if low <= high && low.is_finite() && high.is_finite() => {
                    Some(Activation::Clamp { low, high })
                }
                _ => None,
            },
            _ => None,
        };
        if let Some(activation) = activation {
            let node = &mut graph.nodes[index];
            node.action = Action::Activate(activation);
            node.inputs.truncate(1);
        }
    }
    Ok(())
}

/// Attributes and constants are 32-bit floats.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-5
}

/// Joins activations that exporters write as several nodes. Says whether anything was done.
fn join_activations(graph: &mut Graph<'_>) -> bool {
    let wiring = Wiring::of(graph);
    let mut done = false;
    for index in 0..graph.nodes.len() {
        let joined = gated(graph, &wiring, index).or_else(|| scaled_clamp(graph, &wiring, index));
        let joined = joined.or_else(|| gelu(graph, &wiring, index));
        if let Some((value, activation)) = joined {
            let node = &mut graph.nodes[index];
            node.action = Action::Activate(activation);
            node.inputs = vec![Some(value)];
            done = true;
        }
    }
    done
}

/// The two inputs of a stored node.
fn operands(graph: &Graph<'_>, node: &GraphNode, operator: &str) -> Option<[ValueId; 2]> {
    match node.inputs[..] {
        [Some(a), Some(b)] if graph.operator(node) == operator => Some([a, b]),
        _ => None,
    }
}

/// A stored node's computed input and its constant, in either order for what commutes.
fn with_scalar(graph: &Graph<'_>, node: &GraphNode, operator: &str) -> Option<(ValueId, f64)> {
    let [a, b] = operands(graph, node, operator)?;
    let scalar = |id: ValueId| graph.constants.get(&id).and_then(|constant| scalar_of(constant).ok());
    match (scalar(a), scalar(b)) {
        (None, Some(number)) => Some((a, number)),
        (Some(number), None) if matches!(operator, "Add" | "Mul") => Some((b, number)),
        _ => None,
    }
}

/// x · f(x): SiLU, HardSwish, Mish.
fn gated(graph: &Graph<'_>, wiring: &Wiring, index: usize) -> Option<(ValueId, Activation)> {
    let [a, b] = operands(graph, &graph.nodes[index], "Mul")?;
    [(a, b), (b, a)].into_iter().find_map(|(value, gate)| {
        let gate = wiring.sole(graph, gate)?;
        let &[Some(input)] = &gate.inputs[..] else { return None };
        match gate.action {
            Action::Activate(Activation::Logistic) if input == value => Some((value, Activation::Swish)),
            Action::Activate(Activation::HardSigmoid) if input == value => Some((value, Activation::HardSwish)),
            Action::Activate(Activation::Tanh) => {
                let softplus = wiring.sole(graph, input)?;
                let mish = graph.operator(softplus) == "Softplus" && softplus.inputs[..] == [Some(value)];
                mish.then_some((value, Activation::Mish))
            }
            _ => None,
        }
    })
}

/// clamp(x + 3, 0, 6) / 6, and (x · clamp(x + 3, 0, 6)) / 6.
fn scaled_clamp(graph: &Graph<'_>, wiring: &Wiring, index: usize) -> Option<(ValueId, Activation)> {
    let node = &graph.nodes[index];
    let divided = with_scalar(graph, node, "Div").filter(|(_, by)| near(*by, 6.0));
    let scaled = with_scalar(graph, node, "Mul").filter(|(_, by)| near(*by, 1.0 / 6.0));
    let (inner, _) = divided.or(scaled)?;
    let clamped = |value: ValueId| {
        let clamp = wiring.sole(graph, value)?;
        let Action::Activate(Activation::Clamp { low: 0.0, high: 6.0 }) = clamp.action else { return None };
        let (input, _) =
            with_scalar(graph, wiring.sole(graph, clamp.inputs[0]?)?, "Add").filter(|(_, by)| near(*by, 3.0))?;
        Some(input)
    };
    if let Some(value) = clamped(inner) {
        return Some((value, Activation::HardSigmoid));
    }
    let [a, b] = operands(graph, wiring.sole(graph, inner)?, "Mul")?;
    let product = |value: ValueId, gate: ValueId| (clamped(gate)? == value).then_some((value, Activation::HardSwish));
    product(a, b).or_else(|| product(b, a))
}

/// 0.5 · x · (1 + erf(x / √2)), in the orders exporters write it.
fn gelu(graph: &Graph<'_>, wiring: &Wiring, index: usize) -> Option<(ValueId, Activation)> {
    let node = &graph.nodes[index];
    // One plus the error function of x / √2.
    let bell = |value: ValueId| {
        let (erf, _) = with_scalar(graph, wiring.sole(graph, value)?, "Add").filter(|(_, by)| near(*by, 1.0))?;
        let erf = wiring.sole(graph, erf).filter(|node| graph.operator(node) == "Erf")?;
        let scale = wiring.sole(graph, erf.inputs[0]?)?;
        let divided = with_scalar(graph, scale, "Div").filter(|(_, by)| near(*by, 2f64.sqrt()));
        let scaled = with_scalar(graph, scale, "Mul").filter(|(_, by)| near(*by, 0.5f64.sqrt()));
        divided.or(scaled).map(|(input, _)| input)
    };
    let half_of = |value: ValueId| {
        let (whole, _) = with_scalar(graph, wiring.sole(graph, value)?, "Mul").filter(|(_, by)| near(*by, 0.5))?;
        Some(whole)
    };
    let product = |a: ValueId, b: ValueId| (bell(b)? == a).then_some(a);
    let either = |[a, b]: [ValueId; 2]| product(a, b).or_else(|| product(b, a));
    // (x · bell) · 0.5
    if let Some((inner, _)) = with_scalar(graph, node, "Mul").filter(|(_, by)| near(*by, 0.5)) {
        let value = either(operands(graph, wiring.sole(graph, inner)?, "Mul")?)?;
        return Some((value, Activation::Gelu));
    }
    // x · (bell · 0.5) and (x · 0.5) · bell
    let [a, b] = operands(graph, node, "Mul")?;
    [(a, b), (b, a)].into_iter().find_map(|(a, b)| {
        let late = half_of(b).and_then(|whole| product(a, whole));
        let early = half_of(a).and_then(|whole| product(whole, b));
        late.or(early).map(|value| (value, Activation::Gelu))
    })
}

/// Lets convolutions compute the activation that follows them. Scores are left to 32 bits.
fn activate_in_convolutions(graph: &mut Graph<'_>, one: &Trace, precision: Precision) {
    let wiring = Wiring::of(graph);
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let (Action::Activate(activation), &[Some(value)]) = (&node.action, &node.inputs[..]) else { continue };
        let (activation, output) = (*activation, node.outputs[0]);
        if precision != Precision::Fp32 && makes_scores(activation, one.shapes[value].as_deref()) {
            continue;
        }
        let Some(producer) = wiring.producer[value].filter(|_| wiring.uses[value] == 1) else { continue };
        let producer = &mut graph.nodes[producer];
        let Action::Conv(convolution) = &mut producer.action else { continue };
        if convolution.activation != Activation::Linear {
            continue;
        }
        convolution.activation = activation;
        producer.outputs = vec![output];
        graph.nodes[index].outputs = vec![None];
    }
    graph.drop_dead();
}

/// (N, groups · k, h, w) reshaped to (N, groups, k, h, w), its groups and k swapped, reshaped back.
fn join_shuffles(graph: &mut Graph<'_>) {
    let wiring = Wiring::of(graph);
    for index in 0..graph.nodes.len() {
        let Some((value, groups)) = shuffle(graph, &wiring, index) else { continue };
        let node = &mut graph.nodes[index];
        node.action = Action::ChannelShuffle(groups);
        node.inputs = vec![Some(value)];
    }
}

fn shuffle(graph: &Graph<'_>, wiring: &Wiring, index: usize) -> Option<(ValueId, i64)> {
    let Action::Reshape(to) = &graph.nodes[index].action else { return None };
    let turn = wiring.sole(graph, graph.nodes[index].inputs[0]?)?;
    let Action::Stored(stored) = turn.action else { return None };
    if graph.operator(turn) != "Transpose" {
        return None;
    }
    let order = Node::new(&graph.file.nodes[stored], graph.file.opset(), Vec::new()).attributes.ints("perm").ok()??;
    let apart = wiring.sole(graph, turn.inputs[0]?)?;
    let Action::Reshape(from) = &apart.action else { return None };
    match (&to[..], &from[..], &order[..]) {
        (&[_, channels, rows, columns], &[_, groups, each, rows_of, columns_of], [0, 2, 1, 3, 4])
            if groups * each == channels && (rows, columns) == (rows_of, columns_of) =>
        {
            Some((apart.inputs[0]?, groups))
        }
        _ => None,
    }
}
