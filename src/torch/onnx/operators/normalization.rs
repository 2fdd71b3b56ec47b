//! Normalization and softmax.

use super::{Node, Operation, Table, axis, fault, one};
use crate::torch::runtime::TorchError;
use tch::{Kind, TchError, Tensor};

pub(super) const TABLE: Table = &[
    ("BatchNormalization", batch_norm),
    ("InstanceNormalization", instance_norm),
    ("GroupNormalization", group_norm),
    ("LayerNormalization", layer_norm),
    ("LpNormalization", lp_norm),
    ("LRN", local_response_norm),
    ("Softmax", |node| softmax(node, Tensor::f_softmax)),
    ("LogSoftmax", |node| softmax(node, Tensor::f_log_softmax)),
];

/// ONNX's default.
pub(in crate::torch::onnx) const EPSILON: f64 = 1e-5;

fn batch_norm(node: &Node<'_>) -> Result<Operation, String> {
    node.at_most_outputs(1)?;
    let epsilon = node.attributes.float("epsilon", EPSILON)?;
    node.attributes.ignore(&["momentum", "spatial"]);
    if node.attributes.flag("training_mode")? {
        return Err("training_mode is not supported".into());
    }
    one(move |inputs| {
        let [scale, shift, mean, variance] = [inputs.at(1)?, inputs.at(2)?, inputs.at(3)?, inputs.at(4)?];
        let x = inputs.at(0)?;
        let channels = x.size().get(1).copied();
        if [scale, shift, mean, variance].iter().any(|part| Some(part.numel() as i64) != channels) {
            return Err(fault(format!("statistics of {} channels, the input is {:?}", scale.numel(), x.size())));
        }
        Ok(x.f_batch_norm(Some(scale), Some(shift), Some(mean), Some(variance), false, 0.0, epsilon, false)?)
    })
}

fn instance_norm(node: &Node<'_>) -> Result<Operation, String> {
    let epsilon = node.attributes.float("epsilon", EPSILON)?;
    one(move |inputs| {
        let none = None::<&Tensor>;
        let (scale, shift) = (Some(inputs.at(1)?), Some(inputs.at(2)?));
        Ok(inputs.at(0)?.f_instance_norm(scale, shift, none, none, true, 0.0, epsilon, false)?)
    })
}

fn group_norm(node: &Node<'_>) -> Result<Operation, String> {
    let (epsilon, groups) = (node.attributes.float("epsilon", EPSILON)?, node.attributes.int("num_groups", 0)?);
    node.attributes.ignore(&["stash_type"]);
    if groups < 1 {
        return Err("num_groups is missing".into());
    }
    // One scale a group until opset 20, one a channel since.
    let per_group = node.opset < 21;
    one(move |inputs| {
        let x = inputs.at(0)?;
        let channels = x.size().get(1).copied().unwrap_or(0);
        if channels % groups != 0 {
            return Err(fault(format!("{groups} groups of {channels} channels")));
        }
        let spread = |values: &Tensor| match per_group {
            true => values.f_repeat_interleave_self_int(channels / groups, 0, None),
            false => Ok(values.shallow_clone()),
        };
        Ok(x.f_group_norm(groups, Some(spread(inputs.at(1)?)?), Some(spread(inputs.at(2)?)?), epsilon, false)?)
    })
}

fn layer_norm(node: &Node<'_>) -> Result<Operation, String> {
    node.at_most_outputs(1)?;
    let (epsilon, first) = (node.attributes.float("epsilon", EPSILON)?, node.attributes.int("axis", -1)?);
    node.attributes.ignore(&["stash_type"]);
    one(move |inputs| {
        let x = inputs.at(0)?;
        let shape = x.size();
        let normalized = &shape[axis(first, shape.len())?..];
        Ok(x.f_layer_norm(normalized, inputs.optional(1), inputs.optional(2), epsilon, false)?)
    })
}

fn lp_norm(node: &Node<'_>) -> Result<Operation, String> {
    let (along, power) = (node.attributes.int("axis", -1)?, node.attributes.int("p", 2)?);
    if !(1..=2).contains(&power) {
        return Err(format!("p = {power}, expected 1 or 2"));
    }
    one(move |inputs| {
        let x = inputs.at(0)?;
        let norm = x.f_norm_scalaropt_dim(power as f64, [along], true)?;
        // 0 / 0 is 0 here.
        Ok(x.f_div(&norm.f_clamp_min(f64::from(f32::MIN_POSITIVE))?)?)
    })
}

/// Source: Krizhevsky et al. 2012, 3.3, in the form of onnx/docs/Operators.md.
fn local_response_norm(node: &Node<'_>) -> Result<Operation, String> {
    let attributes = &node.attributes;
    let (alpha, beta) = (attributes.float("alpha", 1e-4)?, attributes.float("beta", 0.75)?);
    let (bias, size) = (attributes.float("bias", 1.0)?, attributes.int("size", 0)?);
    if !(1..=1024).contains(&size) {
        return Err(format!("size = {size}"));
    }
    one(move |inputs| {
        let x = inputs.at(0)?;
        if x.dim() != 4 {
            return Err(fault(format!("input {:?}, expected four axes", x.size())));
        }
        let (before, after) = ((size - 1) / 2, size / 2);
        let squares = x.f_mul(x)?.f_constant_pad_nd([0, 0, 0, 0, before, after])?;
        let sums = squares.f_unfold(1, size, 1)?.f_sum_dim_intlist(-1i64, false, None::<Kind>)?;
        let scale = sums.f_mul_scalar(alpha / size as f64)?.f_add_scalar(bias)?.f_pow_tensor_scalar(beta)?;
        Ok(x.f_div(&scale)?)
    })
}

type Softmax = fn(&Tensor, i64, Option<Kind>) -> Result<Tensor, TchError>;

fn softmax(node: &Node<'_>, function: Softmax) -> Result<Operation, String> {
    // Until opset 12 all axes from this one on were one.
    let flat = node.opset < 13;
    let along = node.attributes.int("axis", if flat { 1 } else { -1 })?;
    one(move |inputs| softmax_along(inputs.at(0)?, along, flat, function))
}

fn softmax_along(x: &Tensor, along: i64, flat: bool, function: Softmax) -> Result<Tensor, TorchError> {
    let shape = x.size();
    let along = axis(along, shape.len())?;
    if !flat || along + 1 == shape.len() {
        return Ok(function(x, along as i64, None)?);
    }
    let rows: i64 = shape[..along].iter().product();
    let columns: i64 = shape[along..].iter().product();
    Ok(function(&x.f_reshape([rows, columns])?, 1, None)?.f_reshape(shape)?)
}
