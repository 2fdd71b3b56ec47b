//! The layers networks are made of, in the form that is fastest where they run.
//!
//! On a CPU a convolution's weights are laid out for oneDNN once, at load, and its activation is computed in the same
//! pass; together that takes a fifth off YOLOv3-tiny. Values travel in channels_last order everywhere.

use super::{
    Activation, FoldedConv,
    native::{self, Fused},
    runtime::TorchError,
};
use tch::{Device, Kind, Tensor};

/// How a convolution moves over its input; the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Step.
    pub stride: i64,
    /// Zeros on each side.
    pub padding: i64,
    /// Independent groups of channels.
    pub groups: i64,
}

/// A convolution with bias and activation.
pub struct ConvLayer {
    weight: Weight,
    bias: Tensor,
    geometry: Geometry,
    activation: Activation,
}

enum Weight {
    /// Laid out for oneDNN.
    Packed(Tensor),
    /// In channels_last order.
    Plain(Tensor),
}

impl ConvLayer {
    /// Moves weights to `device`. `input`: shape (N, channels, rows, columns) it will mostly see, which on a CPU decides
    /// the layout of the weights; other shapes work too.
    pub fn new(
        folded: &FoldedConv,
        geometry: Geometry,
        activation: Activation,
        device: Device,
        input: [i64; 4],
    ) -> Result<Self, TorchError> {
        let weight = host_tensor(&folded.weights, &folded.shape.map(|size| size as i64))?;
        let bias = host_tensor(&folded.biases, &[folded.biases.len() as i64])?.f_to_device(device)?;
        let weight = if device == Device::Cpu && native::has_fused_convolution() {
            let Geometry { stride, padding, groups } = geometry;
            let packed = weight.f_to_mkldnn(Kind::Float)?.f_mkldnn_reorder_conv2d_weight(
                [padding; 2],
                [stride; 2],
                [1, 1],
                groups,
                &input[..],
            )?;
            Weight::Packed(packed)
        } else {
            Weight::Plain(channels_last(&weight)?.f_to_device(device)?)
        };
        Ok(Self { weight, bias, geometry, activation })
    }

    /// Output of shape (N, filters, rows, columns).
    pub fn forward(&self, input: &Tensor) -> Result<Tensor, TorchError> {
        let (output, rest) = match &self.weight {
            Weight::Packed(weight) => {
                let (fused, rest) = fuse(self.activation);
                let refused = || TorchError(format!("convolution of {:?} failed; out of memory?", input.size()));
                let output = native::convolution(input, weight, &self.bias, &self.geometry, fused);
                (output.ok_or_else(refused)?, rest)
            }
            Weight::Plain(weight) => {
                let Geometry { stride, padding, groups } = self.geometry;
                let output = input.f_conv2d(weight, Some(&self.bias), [stride; 2], [padding; 2], [1, 1], groups)?;
                (output, self.activation)
            }
        };
        activate(output, rest)
    }
}

/// What oneDNN computes along with a convolution, and what is left to do after it.
fn fuse(activation: Activation) -> (Fused, Activation) {
    let fused = |name, scalars| (Fused { name, scalars }, Activation::Linear);
    match activation {
        Activation::Leaky => fused(c"leaky_relu", &[LEAKY_SLOPE]),
        Activation::Relu => fused(c"relu", &[]),
        Activation::Relu6 => fused(c"hardtanh", &[0.0, 6.0]),
        Activation::Logistic => fused(c"sigmoid", &[]),
        Activation::Swish => fused(c"swish", &[]),
        Activation::Linear | Activation::Mish => (Fused { name: c"none", scalars: &[] }, activation),
    }
}

/// Darknet's slope below zero. Source: activations.h, leaky_activate.
const LEAKY_SLOPE: f64 = 0.1;

/// Applies an activation, in place where libtorch can.
pub fn activate(mut values: Tensor, activation: Activation) -> Result<Tensor, TorchError> {
    match activation {
        Activation::Linear => return Ok(values),
        // tch offers leaky_relu with libtorch's default slope only.
        Activation::Leaky => return Ok(values.f_maximum(&values.f_mul_scalar(LEAKY_SLOPE)?)?),
        Activation::Relu => values.f_relu_()?,
        Activation::Relu6 => values.f_clamp_(0.0, 6.0)?,
        Activation::Logistic => values.f_sigmoid_()?,
        Activation::Swish => values.f_silu_()?,
        Activation::Mish => values.f_mish_()?,
    };
    Ok(values)
}

/// A float tensor on the host.
pub fn host_tensor(values: &[f32], shape: &[i64]) -> Result<Tensor, TorchError> {
    Ok(Tensor::f_from_slice(values)?.f_reshape(shape)?)
}

/// The same values with the channels innermost in memory.
pub fn channels_last(values: &Tensor) -> Result<Tensor, TorchError> {
    Ok(values.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 7] = [
        Activation::Linear,
        Activation::Leaky,
        Activation::Relu,
        Activation::Relu6,
        Activation::Logistic,
        Activation::Swish,
        Activation::Mish,
    ];

    /// Values from -8 to 8 in a fixed scramble.
    fn scrambled(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + 31) % 1601) as f32 / 100.0 - 8.0).collect()
    }

    #[test]
    fn packed_and_plain_convolutions_agree() {
        // (inputs, filters, kernel, stride, padding, groups)
        let cases =
            [(3, 8, 3, 1, 1, 1), (8, 16, 1, 1, 0, 1), (16, 16, 3, 2, 1, 16), (8, 8, 3, 2, 1, 2), (4, 6, 5, 1, 2, 1)];
        for (inputs, filters, kernel, stride, padding, groups) in cases {
            let shape = [filters, inputs / groups, kernel, kernel];
            let weights = scrambled(shape.iter().product()).iter().map(|w| w / 20.0).collect();
            let folded = FoldedConv { shape, weights, biases: scrambled(filters) };
            let geometry = Geometry { stride, padding, groups: groups as i64 };
            let size = [2, inputs as i64, 9, 11];
            let input = host_tensor(&scrambled(2 * inputs * 99), &size).unwrap();
            let input = channels_last(&input).unwrap();
            for activation in ALL {
                let layer = ConvLayer::new(&folded, geometry, activation, Device::Cpu, size).unwrap();
                let plain = ConvLayer {
                    weight: Weight::Plain(host_tensor(&folded.weights, &shape.map(|s| s as i64)).unwrap()),
                    bias: layer.bias.shallow_clone(),
                    ..layer
                };
                let packed = ConvLayer::new(&folded, geometry, activation, Device::Cpu, size).unwrap();
                assert!(matches!(packed.weight, Weight::Packed(_)), "this libtorch has no oneDNN");
                let (got, expected) = (packed.forward(&input).unwrap(), plain.forward(&input).unwrap());
                assert_eq!(got.size(), expected.size());
                let difference = (&got - &expected).abs().max().double_value(&[]);
                assert!(difference < 1e-4, "{activation:?} of {shape:?}: {difference}");
            }
        }
    }

    #[test]
    fn activations_match_their_formulas() {
        let inputs = [-9.0f32, -1.0, -0.1, 0.0, 0.5, 5.0, 7.0];
        let logistic = |x: f32| 1.0 / (1.0 + (-x).exp());
        for activation in ALL {
            let got = activate(Tensor::from_slice(&inputs), activation).unwrap();
            for (index, x) in inputs.into_iter().enumerate() {
                let expected = match activation {
                    Activation::Linear => x,
                    Activation::Leaky => {
                        if x < 0.0 {
                            0.1 * x
                        } else {
                            x
                        }
                    }
                    Activation::Relu => x.max(0.0),
                    Activation::Relu6 => x.clamp(0.0, 6.0),
                    Activation::Logistic => logistic(x),
                    Activation::Swish => x * logistic(x),
                    Activation::Mish => x * x.exp().ln_1p().tanh(),
                };
                let got = got.double_value(&[index as i64]) as f32;
                assert!((got - expected).abs() < 1e-5, "{activation:?}({x}) = {got}, expected {expected}");
            }
        }
    }
}
