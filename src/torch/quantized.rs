//! Numbers in a byte: what a byte stands for, and weights as bytes. `calibration` finds the ranges, libtorch computes.
//!
//! Values a convolution reads are unsigned bytes, one scale a tensor, from the range seen in calibration; weights are
//! signed bytes, one scale a filter, symmetric about 0. Source: Krishnamoorthi 2018, "Quantizing deep convolutional
//! networks for efficient inference", sections 2.1 and 3.1.

use super::{
    calibration::Range,
    layers::Geometry,
    native::quantized::{Convolution, Given, Parts, quantize},
    runtime::TorchError,
};
use crate::torch::Activation;
use std::{ffi::CStr, fs, sync::OnceLock};
use tch::{Kind, Tensor};

/// What the byte b stands for: (b - zero) · step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// What one more stands for, above 0.
    pub step: f64,
    /// The byte that stands for 0.
    pub zero: i64,
    /// The largest byte in use.
    pub most: i64,
}

/// The least step: a value that was 0 in every frame still needs one.
const MIN_STEP: f64 = 1e-8;

/// Largest weight; -128 is left out, so that weights are symmetric.
const MAX_WEIGHT: f64 = 127.0;

impl Scale {
    /// Where nothing is scaled.
    pub(super) const ONE: Self = Self { step: 1.0, zero: 0, most: 255 };

    /// The scale that spreads the bytes this processor may use over a range and hits 0 exactly, as padding needs.
    pub fn over(range: Range) -> Self {
        Self::with(range, if multiplies_bytes() { 255 } else { 127 })
    }

    fn with(range: Range, most: i64) -> Self {
        let (low, high) = (f64::from(range.low.min(0.0)), f64::from(range.high.max(0.0)));
        let step = ((high - low) / most as f64).max(MIN_STEP);
        Self { step, zero: ((-low / step).round() as i64).clamp(0, most), most }
    }

    /// Bytes of floats on the processor.
    pub fn bytes_of(self, values: &Tensor) -> Result<Tensor, TorchError> {
        quantize(values, self).map_err(TorchError)
    }
}

/// Whether the processor adds up products of bytes in 32 bits (VNNI). Without, two products are added in 16 bits, where
/// they overflow unless one factor has only 7 bits.
fn multiplies_bytes() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| tells_vnni(&text)))
}

fn tells_vnni(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|flags| flags.split_whitespace().any(|flag| matches!(flag, "avx512_vnni" | "avx_vnni")))
}

/// What one convolution needs beside its weights.
pub(super) struct QuantizedLayer {
    pub geometry: Geometry,
    pub activation: Activation,
    /// The shape it will mostly see, (N, channels, rows, columns).
    pub shape: [i64; 4],
    pub input: Scale,
    pub output: Given,
}

/// What oneDNN computes along with a convolution over bytes: its name and parameters. `None` where it comes after.
pub(super) fn fused(activation: Activation) -> Option<(&'static CStr, Vec<f64>)> {
    match activation {
        Activation::Linear => Some((c"none", Vec::new())),
        Activation::Relu => Some((c"relu", Vec::new())),
        Activation::Clamp { low, high } => Some((c"hardtanh", vec![low, high])),
        Activation::HardSwish => Some((c"hardswish", Vec::new())),
        Activation::Swish => Some((c"swish", Vec::new())),
        _ => None,
    }
}

/// A convolution over bytes, of weights and biases in 32-bit floats on the host. The activation must be `fused` where bytes
/// come out; else it is left out where it is not.
pub(super) fn convolution(weight: &Tensor, bias: &Tensor, layer: &QuantizedLayer) -> Result<Convolution, TorchError> {
    let scales = weight.f_abs()?.f_amax([1, 2, 3], false)?.f_div_scalar(MAX_WEIGHT)?.f_clamp_min(MIN_STEP)?;
    let rounded = weight.f_div(&scales.f_reshape([-1, 1, 1, 1])?)?.f_round()?.f_clamp(-MAX_WEIGHT, MAX_WEIGHT)?;
    let (name, scalars) = fused(layer.activation).unwrap_or((c"none", Vec::new()));
    let parts = Parts {
        weight: &rounded.f_to_kind(Kind::Int8)?.f_contiguous()?,
        scales: &scales,
        bias,
        geometry: layer.geometry,
        input: layer.input,
        shape: layer.shape,
        output: layer.output,
        activation: (name, &scalars),
    };
    Convolution::new(&parts).map_err(TorchError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_hit_zero_exactly_and_reach_both_ends() {
        // Low, high, most, expected step and zero.
        let cases = [
            (0.0, 255.0, 255, 1.0, 0),
            (-1.0, 1.0, 254, 2.0 / 254.0, 127),
            (-0.25, 1.75, 127, 2.0 / 127.0, 16),
            (2.0, 5.1, 255, 5.1 / 255.0, 0),
            (-5.1, -2.0, 255, 5.1 / 255.0, 255),
            (0.0, 0.0, 255, MIN_STEP, 0),
        ];
        for (low, high, most, step, zero) in cases {
            let scale = Scale::with(Range { low, high }, most);
            assert!((scale.step - step).abs() < 1e-7 && scale.zero == zero, "{low} to {high}: {scale:?}");
        }
    }

    #[test]
    fn floats_become_the_nearest_bytes_in_their_own_order() {
        let scale = Scale { step: 0.5, zero: 3, most: 127 };
        let floats = [-2.0f32, -1.5, -0.2, 0.0, 0.2, 0.3, 61.9, 62.0, 1e9, f32::NAN, f32::NEG_INFINITY, f32::INFINITY];
        let expected = [0u8, 0, 3, 3, 3, 4, 127, 127, 127, 0, 0, 127];
        let values = Tensor::from_slice(&floats).reshape([1, 3, 2, 2]).permute([0, 2, 3, 1]);
        let bytes = scale.bytes_of(&values).unwrap();
        assert_eq!((bytes.kind(), bytes.stride()), (Kind::Uint8, values.stride()));
        let in_memory = bytes.permute([0, 3, 1, 2]).contiguous().reshape([-1]);
        assert_eq!(Vec::<u8>::try_from(in_memory).unwrap(), expected);
        let narrow = scale.bytes_of(&values.to_kind(Kind::BFloat16)).unwrap();
        assert!((narrow.to_kind(Kind::Int) - bytes.to_kind(Kind::Int)).abs().max().int64_value(&[]) <= 1);
    }

    #[test]
    fn byte_products_are_read_off_the_flags() {
        assert!(tells_vnni("flags\t\t: fpu avx512_vnni\n") && tells_vnni("flags : avx_vnni avx2\n"));
        assert!(!tells_vnni("flags\t\t: avx512f\nmodel name : avx_vnni\n"));
    }
}
