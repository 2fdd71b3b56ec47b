//! Several values in, one value out, broadcast against each other.

use super::{Inputs, Node, Operation, Table, bounded, broadcast, one};
use crate::torch::runtime::TorchError;
use tch::{Kind, TchError, Tensor};

pub(super) const TABLE: Table = &[
    ("Add", |_| pair(Tensor::f_add)),
    ("Sub", |_| pair(Tensor::f_sub)),
    ("Mul", |_| pair(Tensor::f_mul)),
    ("Div", |_| pair(divide)),
    ("Pow", |_| pair(power)),
    ("Equal", |_| pair(Tensor::f_eq_tensor)),
    ("Less", |_| pair(Tensor::f_lt_tensor)),
    ("LessOrEqual", |_| pair(Tensor::f_le_tensor)),
    ("Greater", |_| pair(Tensor::f_gt_tensor)),
    ("GreaterOrEqual", |_| pair(Tensor::f_ge_tensor)),
    ("And", |_| pair(Tensor::f_logical_and)),
    ("Or", |_| pair(Tensor::f_logical_or)),
    ("Xor", |_| pair(Tensor::f_logical_xor)),
    ("PRelu", |_| pair(prelu)),
    ("Max", |_| several(Tensor::f_maximum)),
    ("Min", |_| several(Tensor::f_minimum)),
    ("Sum", |_| several(Tensor::f_add)),
    ("Mean", mean),
    ("Mod", modulo),
    ("Where", select),
];

type Pair = fn(&Tensor, &Tensor) -> Result<Tensor, TchError>;

fn checked(function: Pair, a: &Tensor, b: &Tensor) -> Result<Tensor, TorchError> {
    if a.numel() != 1 && b.numel() != 1 {
        bounded(&broadcast(&a.size(), &b.size())?)?;
    }
    Ok(function(a, b)?)
}

fn pair(function: Pair) -> Result<Operation, String> {
    one(move |inputs| checked(function, inputs.at(0)?, inputs.at(1)?))
}

fn fold(inputs: &Inputs<'_>, function: Pair) -> Result<Tensor, TorchError> {
    let first = inputs.at(0)?.shallow_clone();
    (1..inputs.0.len()).try_fold(first, |sum, index| checked(function, &sum, inputs.at(index)?))
}

fn several(function: Pair) -> Result<Operation, String> {
    one(move |inputs| fold(inputs, function))
}

fn mean(_: &Node<'_>) -> Result<Operation, String> {
    one(|inputs| Ok(fold(inputs, Tensor::f_add)?.f_div_scalar(inputs.0.len() as f64)?))
}

fn is_float(tensor: &Tensor) -> bool {
    matches!(tensor.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16)
}

/// Integers are divided towards zero. Division by the integer 0 is an error of libtorch.
fn divide(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    if is_float(a) { a.f_div(b) } else { a.f_div_tensor_mode(b, "trunc") }
}

/// Of the base's type.
fn power(base: &Tensor, exponent: &Tensor) -> Result<Tensor, TchError> {
    base.f_pow(exponent)?.f_to_kind(base.kind())
}

fn prelu(x: &Tensor, slope: &Tensor) -> Result<Tensor, TchError> {
    x.f_clamp_min(0.0)?.f_add(&x.f_clamp_max(0.0)?.f_mul(slope)?)
}

/// The remainder has the sign of the divisor, or with `fmod` that of the dividend.
fn modulo(node: &Node<'_>) -> Result<Operation, String> {
    if node.attributes.flag("fmod")? { pair(Tensor::f_fmod_tensor) } else { pair(Tensor::f_remainder_tensor) }
}

fn select(_: &Node<'_>) -> Result<Operation, String> {
    one(|inputs| {
        let (condition, yes, no) = (inputs.at(0)?, inputs.at(1)?, inputs.at(2)?);
        bounded(&broadcast(&broadcast(&condition.size(), &yes.size())?, &no.size())?)?;
        Ok(yes.f_where_self(condition, no)?)
    })
}
