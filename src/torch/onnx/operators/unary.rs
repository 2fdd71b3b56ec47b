//! One value in, one value out: activations and functions.

use super::{Node, Operation, Table, one, scalar_of};
use crate::torch::runtime::TorchError;
use tch::{Kind, Tensor};

pub(super) const TABLE: Table = &[
    ("Abs", |_| plain(Tensor::f_abs)),
    ("Acos", |_| plain(Tensor::f_acos)),
    ("Asin", |_| plain(Tensor::f_asin)),
    ("Atan", |_| plain(Tensor::f_atan)),
    ("Ceil", |_| plain(Tensor::f_ceil)),
    ("Cos", |_| plain(Tensor::f_cos)),
    ("Cosh", |_| plain(Tensor::f_cosh)),
    ("Erf", |_| plain(Tensor::f_erf)),
    ("Exp", |_| plain(Tensor::f_exp)),
    ("Floor", |_| plain(Tensor::f_floor)),
    ("HardSwish", |_| plain(Tensor::f_hardswish)),
    ("Log", |_| plain(Tensor::f_log)),
    ("Mish", |_| plain(Tensor::f_mish)),
    ("Neg", |_| plain(Tensor::f_neg)),
    ("Not", |_| plain(Tensor::f_logical_not)),
    ("Reciprocal", |_| plain(Tensor::f_reciprocal)),
    ("Relu", |_| plain(Tensor::f_relu)),
    // Both round halves to even.
    ("Round", |_| plain(Tensor::f_round)),
    ("Sigmoid", |_| plain(Tensor::f_sigmoid)),
    ("Sign", |_| plain(Tensor::f_sign)),
    ("Sin", |_| plain(Tensor::f_sin)),
    ("Sinh", |_| plain(Tensor::f_sinh)),
    ("Softplus", |_| plain(Tensor::f_softplus)),
    ("Sqrt", |_| plain(Tensor::f_sqrt)),
    ("Tan", |_| plain(Tensor::f_tan)),
    ("Tanh", |_| plain(Tensor::f_tanh)),
    ("IsNaN", |_| plain(Tensor::f_isnan)),
    ("Softsign", softsign),
    ("Identity", identity),
    ("Dropout", dropout),
    ("Clip", clip),
    ("LeakyRelu", leaky_relu),
    ("Elu", elu),
    ("Celu", celu),
    ("Selu", selu),
    ("Gelu", gelu),
    ("HardSigmoid", hard_sigmoid),
    ("ThresholdedRelu", thresholded_relu),
    ("IsInf", is_inf),
];

fn plain(function: fn(&Tensor) -> Result<Tensor, tch::TchError>) -> Result<Operation, String> {
    one(move |inputs| Ok(function(inputs.at(0)?)?))
}

fn softsign(_: &Node<'_>) -> Result<Operation, String> {
    one(|inputs| {
        let x = inputs.at(0)?;
        Ok(x.f_div(&x.f_abs()?.f_add_scalar(1.0)?)?)
    })
}

fn identity(_: &Node<'_>) -> Result<Operation, String> {
    one(|inputs| Ok(inputs.at(0)?.shallow_clone()))
}

/// Does nothing outside training.
fn dropout(node: &Node<'_>) -> Result<Operation, String> {
    node.at_most_outputs(1)?;
    node.attributes.ignore(&["ratio", "seed"]);
    identity(node)
}

fn clip(node: &Node<'_>) -> Result<Operation, String> {
    // Attributes until opset 10, inputs since.
    let (low, high) = (node.attributes.float("min", f64::NEG_INFINITY)?, node.attributes.float("max", f64::INFINITY)?);
    let known = |index: usize| node.known.get(index).copied().flatten().map(scalar_of).transpose();
    let (known_low, known_high) = (known(1).map_err(|e| e.0)?, known(2).map_err(|e| e.0)?);
    one(move |inputs| {
        let bound = |index: usize, known: Option<f64>, otherwise: f64| match (known, inputs.optional(index)) {
            (Some(known), _) => Ok(known),
            (None, Some(input)) => scalar_of(input),
            (None, None) => Ok(otherwise),
        };
        let (low, high) = (bound(1, known_low, low)?, bound(2, known_high, high)?);
        let x = inputs.at(0)?;
        Ok(match (low.is_finite(), high.is_finite()) {
            (true, true) => x.f_clamp(low, high)?,
            (true, false) => x.f_clamp_min(low)?,
            (false, true) => x.f_clamp_max(high)?,
            (false, false) => x.shallow_clone(),
        }
        .f_to_kind(x.kind())?)
    })
}

fn leaky_relu(node: &Node<'_>) -> Result<Operation, String> {
    let slope = node.attributes.float("alpha", 0.01)?;
    one(move |inputs| leaky(inputs.at(0)?, slope))
}

/// x, or slope · x where negative. tch offers it with libtorch's default slope only.
fn leaky(x: &Tensor, slope: f64) -> Result<Tensor, TorchError> {
    let scaled = x.f_mul_scalar(slope)?;
    Ok(if slope <= 1.0 { x.f_maximum(&scaled)? } else { x.f_minimum(&scaled)? })
}

fn elu(node: &Node<'_>) -> Result<Operation, String> {
    let alpha = node.attributes.float("alpha", 1.0)?;
    one(move |inputs| {
        let x = inputs.at(0)?;
        let below = x.f_clamp_max(0.0)?.f_exp()?.f_sub_scalar(1.0)?.f_mul_scalar(alpha)?;
        Ok(x.f_clamp_min(0.0)?.f_add(&below)?)
    })
}

fn celu(node: &Node<'_>) -> Result<Operation, String> {
    let alpha = node.attributes.float("alpha", 1.0)?;
    one(move |inputs| {
        let x = inputs.at(0)?;
        let below = x.f_div_scalar(alpha)?.f_exp()?.f_sub_scalar(1.0)?.f_mul_scalar(alpha)?.f_clamp_max(0.0)?;
        Ok(x.f_clamp_min(0.0)?.f_add(&below)?)
    })
}

fn selu(node: &Node<'_>) -> Result<Operation, String> {
    // Source: Klambauer et al. 2017, the fixed point's constants.
    let alpha = node.attributes.float("alpha", 1.673_263_192_176_818_8)?;
    let gamma = node.attributes.float("gamma", 1.050_700_998_783_111_6)?;
    one(move |inputs| {
        let x = inputs.at(0)?;
        let below = x.f_clamp_max(0.0)?.f_exp()?.f_sub_scalar(1.0)?.f_mul_scalar(alpha)?;
        Ok(x.f_clamp_min(0.0)?.f_add(&below)?.f_mul_scalar(gamma)?)
    })
}

fn gelu(node: &Node<'_>) -> Result<Operation, String> {
    let approximate = node.attributes.text("approximate", "none")?;
    if !matches!(approximate.as_str(), "none" | "tanh") {
        return Err(format!("approximate = {approximate:?}, expected none or tanh"));
    }
    one(move |inputs| Ok(inputs.at(0)?.f_gelu(&approximate)?))
}

fn hard_sigmoid(node: &Node<'_>) -> Result<Operation, String> {
    let (alpha, beta) = (node.attributes.float("alpha", 0.2)?, node.attributes.float("beta", 0.5)?);
    one(move |inputs| Ok(inputs.at(0)?.f_mul_scalar(alpha)?.f_add_scalar(beta)?.f_clamp(0.0, 1.0)?))
}

fn thresholded_relu(node: &Node<'_>) -> Result<Operation, String> {
    let alpha = node.attributes.float("alpha", 1.0)?;
    one(move |inputs| {
        let x = inputs.at(0)?;
        Ok(x.f_mul(&x.f_gt(alpha)?.f_to_kind(x.kind())?)?)
    })
}

fn is_inf(node: &Node<'_>) -> Result<Operation, String> {
    let (negative, positive) = (node.attributes.int("detect_negative", 1)?, node.attributes.int("detect_positive", 1)?);
    one(move |inputs| {
        let x = inputs.at(0)?;
        let none = || x.f_isinf()?.f_logical_and(&x.f_isnan()?);
        let below = if negative == 0 { none()? } else { x.f_eq(f64::NEG_INFINITY)? };
        let above = if positive == 0 { none()? } else { x.f_eq(f64::INFINITY)? };
        Ok(below.f_logical_or(&above)?.f_to_kind(Kind::Bool)?)
    })
}
