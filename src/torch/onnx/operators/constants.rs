//! Values that come from the graph itself or from a shape.

use super::{Node, Operation, Table, bounded, fault, one, scalar_of};
use crate::torch::onnx::value::{ElementKind, StoredTensor};
use tch::{Device, Kind, Tensor};

pub(super) const TABLE: Table = &[
    ("Constant", constant),
    ("ConstantOfShape", constant_of_shape),
    ("Shape", shape),
    ("Size", size),
    ("Range", range),
    ("Cast", cast),
    ("CastLike", cast_like),
    ("EyeLike", eye_like),
];

fn constant(node: &Node<'_>) -> Result<Operation, String> {
    let text = |error: crate::torch::runtime::TorchError| error.0;
    let attributes = &node.attributes;
    let value = if let Some(stored) = attributes.tensor("value")? {
        to_torch(&stored)?
    } else if let Some(ints) = attributes.ints("value_ints")? {
        Tensor::f_from_slice(&ints).map_err(|error| text(error.into()))?
    } else if let Some(floats) = attributes.floats("value_floats")? {
        Tensor::f_from_slice(&floats).map_err(|error| text(error.into()))?
    } else if node.proto.attribute.iter().any(|attribute| attribute.name == "value_int") {
        Tensor::from(attributes.int("value_int", 0)?)
    } else if node.proto.attribute.iter().any(|attribute| attribute.name == "value_float") {
        Tensor::from(attributes.float("value_float", 0.0)? as f32)
    } else {
        return Err("no value of a kind that is supported".into());
    };
    one(move |_| Ok(value.shallow_clone()))
}

fn to_torch(stored: &StoredTensor) -> Result<Tensor, String> {
    stored.to_torch().map_err(|error| error.to_string())
}

fn constant_of_shape(node: &Node<'_>) -> Result<Operation, String> {
    let value = match node.attributes.tensor("value")? {
        Some(stored) => to_torch(&stored)?.f_reshape([-1]).map_err(|error| error.to_string())?,
        None => Tensor::from_slice(&[0f32]),
    };
    if value.numel() != 1 {
        return Err("its value is not one number".into());
    }
    let shape = node.ints(0)?;
    one(move |inputs| {
        let shape = shape.get(inputs)?;
        bounded(&shape)?;
        // No sizes make one number.
        let value = if shape.is_empty() { value.f_reshape([0i64; 0])? } else { value.shallow_clone() };
        Ok(value.f_expand(&shape[..], false)?.f_contiguous()?)
    })
}

fn shape(node: &Node<'_>) -> Result<Operation, String> {
    let (start, end) = (node.attributes.int("start", 0)?, node.attributes.int("end", i64::MAX)?);
    one(move |inputs| {
        let sizes = inputs.at(0)?.size();
        let rank = sizes.len() as i64;
        let bound = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
        Ok(Tensor::f_from_slice(sizes.get(bound(start)..bound(end)).unwrap_or_default())?)
    })
}

fn size(_: &Node<'_>) -> Result<Operation, String> {
    one(move |inputs| Ok(Tensor::from(inputs.at(0)?.numel() as i64)))
}

fn range(_: &Node<'_>) -> Result<Operation, String> {
    one(move |inputs| {
        let kind = inputs.at(0)?.kind();
        let [start, limit, delta] = [scalar_of(inputs.at(0)?)?, scalar_of(inputs.at(1)?)?, scalar_of(inputs.at(2)?)?];
        let count = ((limit - start) / delta).ceil().max(0.0);
        if !count.is_finite() {
            return Err(fault(format!("a range from {start} to {limit} in steps of {delta}")));
        }
        bounded(&[count as i64])?;
        let steps = Tensor::f_arange(count as i64, (Kind::Double, Device::Cpu))?;
        Ok((steps.f_mul_scalar(delta)?.f_add_scalar(start)?).f_to_kind(kind)?)
    })
}

fn cast(node: &Node<'_>) -> Result<Operation, String> {
    let to = ElementKind::from_onnx(node.attributes.int("to", 0)?)?.torch();
    node.attributes.ignore(&["saturate", "round_mode"]);
    one(move |inputs| Ok(inputs.at(0)?.f_to_kind(to)?))
}

fn cast_like(node: &Node<'_>) -> Result<Operation, String> {
    node.attributes.ignore(&["saturate", "round_mode"]);
    one(move |inputs| Ok(inputs.at(0)?.f_to_kind(inputs.at(1)?.kind())?))
}

fn eye_like(node: &Node<'_>) -> Result<Operation, String> {
    let diagonal = node.attributes.int("k", 0)?;
    let kind = match node.attributes.int("dtype", 0)? {
        0 => None,
        number => Some(ElementKind::from_onnx(number)?.torch()),
    };
    one(move |inputs| {
        let like = inputs.at(0)?;
        let &[rows, columns] = like.size().as_slice() else {
            return Err(fault("EyeLike of a tensor without two axes"));
        };
        let ones = Tensor::f_ones([rows, columns], (Kind::Float, like.device()))?;
        Ok(ones.f_triu(diagonal)?.f_tril(diagonal)?.f_to_kind(kind.unwrap_or(like.kind()))?)
    })
}
