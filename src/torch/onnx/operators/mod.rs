//! The operators of ONNX on libtorch: a table from name to builder, one file a family.
//!
//! A builder reads a node's attributes and those inputs that are known by then, refuses what it cannot do, and leaves a
//! closure that computes. Source of every meaning: onnx/docs/Operators.md; `tests/onnx_operators.rs` holds each against
//! values recorded from ONNX Runtime.

mod constants;
mod control;
mod convolution;
mod elementwise;
mod gather;
mod linear;
mod normalization;
mod pooling;
mod reduce;
mod regions;
mod resize;
mod shape;
mod suppression;
mod unary;

use super::{attributes::Attributes, proto::NodeProto};
use crate::torch::runtime::TorchError;
use std::borrow::Cow;
use tch::{Kind, Tensor};

pub(super) use control::check_branches;
pub(super) use convolution::{ConvSpec, Padding};
pub(super) use normalization::EPSILON;
pub(super) use suppression::COUNTING;

/// Computes a node's outputs, in order, from its inputs.
pub(super) type Operation = Box<dyn Fn(&Inputs<'_>) -> Result<Vec<Tensor>, TorchError> + Send>;

type Builder = fn(&Node<'_>) -> Result<Operation, String>;

type Table = &'static [(&'static str, Builder)];

const FAMILIES: [Table; 14] = [
    constants::TABLE,
    control::TABLE,
    convolution::TABLE,
    elementwise::TABLE,
    gather::TABLE,
    linear::TABLE,
    normalization::TABLE,
    pooling::TABLE,
    reduce::TABLE,
    regions::TABLE,
    resize::TABLE,
    shape::TABLE,
    suppression::TABLE,
    unary::TABLE,
];

/// Names of all operators, in the order of the families.
pub fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().flat_map(|table| table.iter()).map(|(name, _)| *name)
}

/// Builds a node. An error says why it is not supported.
pub(super) fn build(node: &Node<'_>) -> Result<Operation, String> {
    if !super::file::is_default_domain(&node.proto.domain) {
        return Err(format!("operators of the domain {:?} are not supported", node.proto.domain));
    }
    let found = FAMILIES.iter().flat_map(|table| table.iter()).find(|(name, _)| *name == node.proto.op_type);
    let (_, builder) = found.ok_or("not supported")?;
    let operation = builder(node)?;
    node.attributes.check_all_asked()?;
    Ok(operation)
}

/// A node as its builder sees it.
pub(super) struct Node<'a> {
    pub proto: &'a NodeProto,
    pub attributes: Attributes<'a>,
    pub opset: i64,
    /// Inputs that are known before anything is run.
    pub known: Vec<Option<&'a Tensor>>,
}

impl<'a> Node<'a> {
    pub fn new(proto: &'a NodeProto, opset: i64, known: Vec<Option<&'a Tensor>>) -> Self {
        Self { proto, attributes: Attributes::new(proto), opset, known }
    }

    /// Whether input `index` is given.
    pub fn has(&self, index: usize) -> bool {
        self.proto.input.get(index).is_some_and(|name| !name.is_empty())
    }

    /// Input `index` as a list of integers, read now if it is known.
    pub fn ints(&self, index: usize) -> Result<Ints, String> {
        match self.known.get(index).copied().flatten() {
            Some(tensor) => Ok(Ints::Known(ints_of(tensor).map_err(|error| error.0)?)),
            None if self.has(index) => Ok(Ints::Input(index)),
            None => Ok(Ints::Absent),
        }
    }

    /// The attribute `name`, as files before some opset had it, or else input `index`.
    pub fn ints_or_input(&self, name: &'static str, index: usize) -> Result<Ints, String> {
        self.attributes.ints(name)?.map_or_else(|| self.ints(index), |values| Ok(Ints::Known(values)))
    }

    /// Refuses a node that wants more outputs than are computed.
    pub fn at_most_outputs(&self, most: usize) -> Result<(), String> {
        let wanted = self.proto.output.iter().skip(most).find(|name| !name.is_empty());
        wanted.map_or(Ok(()), |_| Err(format!("more than {most} outputs are not supported")))
    }
}

/// Integers that steer an operation: sizes, axes, bounds.
pub(super) enum Ints {
    Known(Vec<i64>),
    Input(usize),
    Absent,
}

impl Ints {
    pub fn read(&self, inputs: &Inputs<'_>) -> Result<Option<Cow<'_, [i64]>>, TorchError> {
        match self {
            Self::Known(values) => Ok(Some(Cow::Borrowed(values))),
            Self::Input(index) => Ok(Some(Cow::Owned(ints_of(inputs.at(*index)?)?))),
            Self::Absent => Ok(None),
        }
    }

    /// As `read`, for integers that must be there.
    pub fn get(&self, inputs: &Inputs<'_>) -> Result<Cow<'_, [i64]>, TorchError> {
        self.read(inputs)?.ok_or_else(|| fault("an input that says how is missing"))
    }
}

/// A node's inputs; optional ones may be missing.
pub(super) struct Inputs<'a>(pub &'a [Option<&'a Tensor>]);

impl<'a> Inputs<'a> {
    pub fn at(&self, index: usize) -> Result<&'a Tensor, TorchError> {
        self.optional(index).ok_or_else(|| fault(format!("input {index} is missing")))
    }

    pub fn optional(&self, index: usize) -> Option<&'a Tensor> {
        self.0.get(index).copied().flatten()
    }

    pub fn all(&self) -> Result<Vec<&'a Tensor>, TorchError> {
        (0..self.0.len()).map(|index| self.at(index)).collect()
    }
}

pub(super) fn fault(problem: impl Into<String>) -> TorchError {
    TorchError(problem.into())
}

/// An operation with one output.
fn one(run: impl Fn(&Inputs<'_>) -> Result<Tensor, TorchError> + Send + 'static) -> Result<Operation, String> {
    Ok(Box::new(move |inputs| Ok(vec![run(inputs)?])))
}

/// Longest list of integers read from a tensor; a shape, a list of axes or bounds is far shorter.
const MAX_INTS: usize = 1 << 20;

/// The values of an integer tensor of any shape.
pub(super) fn ints_of(tensor: &Tensor) -> Result<Vec<i64>, TorchError> {
    if tensor.numel() > MAX_INTS {
        return Err(fault(format!("{} values where a short list of integers is expected", tensor.numel())));
    }
    let flat = tensor.f_to_kind(Kind::Int64)?.f_to_device(tch::Device::Cpu)?.f_reshape([-1])?;
    Ok(Vec::<i64>::try_from(&flat)?)
}

/// The one value of a tensor.
pub(super) fn scalar_of(tensor: &Tensor) -> Result<f64, TorchError> {
    if tensor.numel() != 1 {
        return Err(fault(format!("{} values where one is expected", tensor.numel())));
    }
    Ok(tensor.f_to_kind(Kind::Double)?.f_reshape([1])?.f_double_value(&[0])?)
}

/// Most values an operation may make that its input does not hold: 1 GiB of 32-bit floats.
const MAX_MADE: i64 = 1 << 28;

/// Refuses to make a tensor of an impossible shape or one that would fill the memory.
fn bounded(shape: &[i64]) -> Result<(), TorchError> {
    let count = shape.iter().try_fold(1i64, |product, &size| if size < 0 { None } else { product.checked_mul(size) });
    match count {
        Some(count) if count <= MAX_MADE => Ok(()),
        _ => Err(fault(format!("an output of shape {shape:?} is impossible or too large"))),
    }
}

/// An axis of a tensor of `rank` axes, counted from the end where negative.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, TorchError> {
    let rank = rank as i64;
    let counted = if axis < 0 { axis.saturating_add(rank) } else { axis };
    if (0..rank).contains(&counted) {
        return Ok(counted as usize);
    }
    Err(fault(format!("axis {axis} of a tensor with {rank} axes")))
}

fn axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, TorchError> {
    axes.iter().map(|&number| axis(number, rank)).collect()
}

/// Shape of what two shapes give together, counted from the last axis. Source: onnx/docs/Broadcasting.md.
fn broadcast(a: &[i64], b: &[i64]) -> Result<Vec<i64>, TorchError> {
    let rank = a.len().max(b.len());
    let size = |shape: &[i64], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |index| shape[index]);
    let together = |axis: usize| match (size(a, axis), size(b, axis)) {
        (a, b) if a == b || b == 1 => Ok(a),
        (1, b) => Ok(b),
        _ => Err(fault(format!("shapes {a:?} and {b:?} do not fit each other"))),
    };
    (0..rank).map(together).collect()
}
