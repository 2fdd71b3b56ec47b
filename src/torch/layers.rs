//! The layers networks are made of, in the form that is fastest where they run.
//!
//! On a CPU a convolution's weights are laid out for oneDNN once, at load, and its activation is computed in the same
//! pass; together that takes a fifth off YOLOv3-tiny. Values travel in channels_last order everywhere.

use super::{
    Activation, FoldedConv,
    native::{self, Fused, quantized::Convolution, thin::Thin},
    quantized::{self, QuantizedLayer, Scale},
    runtime::{Placement, TorchError},
};
use std::cell::Cell;
use tch::{Device, Kind, Tensor};

/// Whose code layers run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    /// The fastest.
    Any,
    /// oneDNN's, where libtorch has it.
    #[cfg(test)]
    OneDnn,
    /// libtorch's own operations.
    Plain,
}

thread_local! {
    static CODE: Cell<Code> = const { Cell::new(Code::Any) };
}

fn made_of<T>(code: Code, build: impl FnOnce() -> T) -> T {
    let before = CODE.replace(code);
    let built = build();
    CODE.set(before);
    built
}

/// Builds a network of libtorch's own operations alone, which `tch::CModule::create_by_tracing` can follow. What is computed
/// in one pass otherwise takes several then.
pub fn of_plain_operations<T>(build: impl FnOnce() -> T) -> T {
    made_of(Code::Plain, build)
}

/// How a convolution moves over its input: (rows, columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Step.
    pub stride: [i64; 2],
    /// Zeros on each side.
    pub padding: [i64; 2],
    /// Distance between a kernel's neighbours.
    pub dilation: [i64; 2],
    /// Independent groups of channels.
    pub groups: i64,
}

impl Geometry {
    /// The same in both directions, the kernel in one piece.
    pub fn square(stride: i64, padding: i64, groups: i64) -> Self {
        Self { stride: [stride; 2], padding: [padding; 2], dilation: [1; 2], groups }
    }
}

/// A convolution with bias and activation.
pub struct ConvLayer {
    weight: Weight,
    bias: Tensor,
    geometry: Geometry,
    activation: Activation,
    input_channels: i64,
    kind: Kind,
}

enum Weight {
    /// Laid out for oneDNN, with what it computes along.
    Packed { weight: Tensor, fused: Fused, rest: Activation },
    /// In brain floats, with code of our own.
    Thin(Thin),
    /// In channels_last order.
    Plain(Tensor),
    /// Over bytes of this scale; floats are made bytes first.
    Bytes { convolution: Convolution, scale: Scale, rest: Activation },
}

impl ConvLayer {
    /// Moves weights to where they are used. `input`: shape (N, channels, rows, columns) it will mostly see, which on a CPU
    /// decides the layout of the weights; other shapes work too.
    pub fn new(
        folded: &FoldedConv,
        geometry: Geometry,
        activation: Activation,
        place: impl Into<Placement>,
        input: [i64; 4],
    ) -> Result<Self, TorchError> {
        let weight = host_tensor(&folded.weights, &folded.shape.map(|size| size as i64))?;
        let bias = host_tensor(&folded.biases, &[folded.biases.len() as i64])?;
        Self::from_tensors(&weight, &bias, geometry, activation, place.into(), input)
    }

    /// As `new`, of 32-bit floats on the host: weights (filters, channels / groups, rows, columns), one bias a filter.
    pub fn from_tensors(
        weight: &Tensor,
        bias: &Tensor,
        geometry: Geometry,
        activation: Activation,
        place: Placement,
        input: [i64; 4],
    ) -> Result<Self, TorchError> {
        let kind = place.precision.kind();
        let input_channels = weight.size().get(1).copied().unwrap_or(0) * geometry.groups;
        let thin = if place.device == Device::Cpu && kind == Kind::BFloat16 && CODE.get() == Code::Any {
            Thin::new(weight, bias, &geometry, activation).map_err(TorchError)?
        } else {
            None
        };
        let bias = bias.f_to_device(place.device)?.f_to_kind(kind)?;
        let weight = if let Some(thin) = thin {
            Weight::Thin(thin)
        } else if place.device == Device::Cpu && native::has_fused_convolution() && may_be_packed(kind, input) {
            let Geometry { stride, padding, dilation, groups } = geometry;
            let packed = weight.f_contiguous()?.f_to_mkldnn(kind)?.f_mkldnn_reorder_conv2d_weight(
                padding,
                stride,
                dilation,
                groups,
                &input[..],
            )?;
            let (fused, rest) = fuse(activation);
            Weight::Packed { weight: packed, fused, rest }
        } else {
            Weight::Plain(channels_last(weight)?.f_to_device(place.device)?.f_to_kind(kind)?)
        };
        Ok(Self { weight, bias, geometry, activation, input_channels, kind })
    }

    /// A convolution over bytes, of 32-bit floats on the host as in `from_tensors`. Bytes come out only where
    /// `quantized::fused` knows the activation.
    pub(super) fn over_bytes(weight: &Tensor, bias: &Tensor, layer: &QuantizedLayer) -> Result<Self, TorchError> {
        let convolution = quantized::convolution(weight, bias, layer)?;
        let rest = if quantized::fused(layer.activation).is_some() { Activation::Linear } else { layer.activation };
        Ok(Self {
            weight: Weight::Bytes { convolution, scale: layer.input, rest },
            bias: bias.shallow_clone(),
            geometry: layer.geometry,
            activation: layer.activation,
            input_channels: weight.size().get(1).copied().unwrap_or(0) * layer.geometry.groups,
            kind: Kind::Uint8,
        })
    }

    /// Output of shape (N, filters, rows, columns), of the precision the layer was made in, whatever the input's is.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor, TorchError> {
        let shape = input.size();
        if shape.get(1) != Some(&self.input_channels) {
            return Err(TorchError(format!("input {shape:?} of a convolution over {} channels", self.input_channels)));
        }
        match &self.weight {
            Weight::Bytes { convolution, scale, rest } => {
                let run = |bytes: &Tensor| convolution.run(bytes).map_err(TorchError);
                let output = if input.kind() == self.kind { run(input) } else { run(&scale.bytes_of(input)?) };
                activate(output?, *rest)
            }
            Weight::Thin(thin) => thin.run(&input.f_to_kind(self.kind)?).map_err(TorchError),
            Weight::Packed { weight, fused, rest } => {
                let input = &input.f_to_kind(self.kind)?;
                let refused = || TorchError(format!("convolution of {shape:?} failed; out of memory?"));
                let output = native::convolution(input, weight, &self.bias, &self.geometry, fused);
                activate(output.ok_or_else(refused)?, *rest)
            }
            Weight::Plain(weight) => {
                let Geometry { stride, padding, dilation, groups } = self.geometry;
                let input = input.f_to_kind(self.kind)?;
                let output = input.f_conv2d(weight, Some(&self.bias), stride, padding, dilation, groups)?;
                activate(output, self.activation)
            }
        }
    }
}

/// Whether a convolution is worth oneDNN's own layout. One pixel, as in gates of channels, takes libtorch's 5 us, while
/// calling oneDNN takes 24; brain floats stay with it even then, because it rounds once. Few processors have half
/// floats, and oneDNN none for the others.
fn may_be_packed(kind: Kind, input: [i64; 4]) -> bool {
    let is_pixel = input[2] == 1 && input[3] == 1;
    CODE.get() != Code::Plain && kind != Kind::Half && !(is_pixel && kind == Kind::Float)
}

/// What oneDNN computes along with a convolution, and what is left to do after it.
fn fuse(activation: Activation) -> (Fused, Activation) {
    let named = |name, scalars, algorithm| (Fused { name, scalars, algorithm }, Activation::Linear);
    let fused = |name| named(name, Vec::new(), None);
    match activation {
        Activation::Leaky { slope } => named(c"leaky_relu", vec![slope], None),
        Activation::Relu => fused(c"relu"),
        Activation::Clamp { low, high } => named(c"hardtanh", vec![low, high], None),
        Activation::Logistic => fused(c"sigmoid"),
        Activation::Swish => fused(c"swish"),
        Activation::HardSwish => fused(c"hardswish"),
        Activation::HardSigmoid => fused(c"hardsigmoid"),
        Activation::Tanh => fused(c"tanh"),
        Activation::Gelu => named(c"gelu", Vec::new(), Some(c"none")),
        Activation::Linear => fused(c"none"),
        Activation::Mish => (fused(c"none").0, activation),
    }
}

/// Applies an activation, in place where libtorch can.
pub fn activate(mut values: Tensor, activation: Activation) -> Result<Tensor, TorchError> {
    let _in_place = match activation {
        Activation::Linear => return Ok(values),
        // tch offers leaky_relu with libtorch's default slope only. A slope in memory of a GPU would have to be copied there.
        Activation::Leaky { slope } if (values.device(), values.kind()) == (Device::Cpu, Kind::Float) => {
            return Ok(values.f_prelu(&Tensor::f_full([1], slope, (Kind::Float, Device::Cpu))?)?);
        }
        Activation::Leaky { slope } => return Ok(values.f_maximum(&values.f_mul_scalar(slope)?)?),
        Activation::Relu => values.f_relu_()?,
        Activation::Clamp { low, high } => values.f_clamp_(low, high)?,
        Activation::Logistic => values.f_sigmoid_()?,
        Activation::Swish => values.f_silu_()?,
        Activation::Mish => values.f_mish_()?,
        Activation::HardSwish => values.f_hardswish_()?,
        Activation::HardSigmoid => values.f_hardsigmoid_()?,
        Activation::Gelu => values.f_gelu_("none")?,
        Activation::Tanh => values.f_tanh_()?,
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
    use crate::torch::runtime::{Precision, has_brain_floats};

    const ALL: [Activation; 11] = [
        Activation::Linear,
        Activation::Leaky { slope: 0.1 },
        Activation::Relu,
        Activation::RELU6,
        Activation::Logistic,
        Activation::Swish,
        Activation::Mish,
        Activation::HardSwish,
        Activation::HardSigmoid,
        Activation::Gelu,
        Activation::Tanh,
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
            let geometry = Geometry::square(stride, padding, groups as i64);
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
                assert!(matches!(packed.weight, Weight::Packed { .. }), "this libtorch has no oneDNN");
                let (got, expected) = (packed.forward(&input).unwrap(), plain.forward(&input).unwrap());
                assert_eq!(got.size(), expected.size());
                let difference = (&got - &expected).abs().max().double_value(&[]);
                assert!(difference < 1e-4, "{activation:?} of {shape:?}: {difference}");
            }
        }
    }

    #[test]
    fn brain_floats_lose_no_more_than_their_rounding() {
        let place = Placement { device: Device::Cpu, precision: Precision::Bf16 };
        for (inputs, filters, kernel, stride, groups) in [(16, 24, 3, 1, 1), (24, 24, 3, 2, 24), (32, 16, 1, 1, 1)] {
            let shape = [filters, inputs / groups, kernel, kernel];
            let weights = scrambled(shape.iter().product()).iter().map(|w| w / 40.0).collect();
            let biases = scrambled(filters).iter().map(|b| b / 8.0).collect();
            let folded = FoldedConv { shape, weights, biases };
            let geometry = Geometry::square(stride, kernel as i64 / 2, groups as i64);
            let size = [1, inputs as i64, 13, 10];
            let values: Vec<f32> = scrambled(inputs * 130).iter().map(|v| v / 8.0).collect();
            let input = channels_last(&host_tensor(&values, &size).unwrap()).unwrap();
            for activation in ALL {
                let wide = ConvLayer::new(&folded, geometry, activation, Device::Cpu, size).unwrap();
                let narrow = ConvLayer::new(&folded, geometry, activation, place, size).unwrap();
                let (got, expected) = (narrow.forward(&input).unwrap(), wide.forward(&input).unwrap());
                assert_eq!(got.kind(), Kind::BFloat16);
                let largest = expected.abs().max().double_value(&[]).max(1.0);
                let off = (&got.to_kind(Kind::Float) - &expected).abs().max().double_value(&[]) / largest;
                assert!(off < 0.02, "{activation:?} of {shape:?}: {off}");
            }
        }
    }

    /// Which detections come of a video hangs on single bits of brain floats, so that code of our own must give oneDNN's. Two
    /// weights that cancel each other out lay bare what was rounded between them, and so the order of all sums.
    #[test]
    fn thin_convolutions_equal_onednns_to_the_bit() {
        let place = Placement { device: Device::Cpu, precision: Precision::Bf16 };
        // (inputs, filters, kernel, stride, padding, groups)
        let cases = [
            (16, 32, 1, 1, 0, 1),
            (64, 16, 1, 1, 0, 1),
            (24, 40, 1, 1, 0, 1),
            (58, 58, 1, 1, 0, 1),
            (96, 200, 1, 1, 0, 1),
            (16, 16, 3, 1, 1, 16),
            (24, 24, 3, 2, 1, 24),
            (58, 58, 5, 1, 2, 58),
            (32, 32, 5, 2, 2, 32),
            (32, 32, 3, 1, 0, 32),
        ];
        let places = [(1, 1), (5, 4), (9, 29)];
        for ((inputs, filters, kernel, stride, padding, groups), (rows, columns)) in
            cases.iter().flat_map(|&case| places.map(|place| (case, place)))
        {
            let (shape, size) = ([filters, inputs / groups, kernel, kernel], [2, inputs as i64, rows, columns]);
            if padding == 0 && kernel > rows as usize {
                continue;
            }
            let products = inputs / groups * kernel * kernel;
            let mut weights: Vec<f32> = scrambled(filters * products).iter().map(|w| w / 40.0).collect();
            weights.chunks_exact_mut(products).step_by(2).for_each(|weights| {
                (weights[products / 4], weights[3 * products / 4]) = (1e6, -1e6);
            });
            let folded = FoldedConv { shape, weights, biases: scrambled(filters) };
            let geometry = Geometry::square(stride, padding, groups as i64);
            let values = host_tensor(&scrambled((2 * rows * columns) as usize), &[2, 1, rows, columns]).unwrap();
            let input = channels_last(&values.expand(size, false)).unwrap().to_kind(Kind::BFloat16);
            for activation in [Activation::Linear, Activation::Relu, Activation::RELU6, Activation::Swish] {
                let make = || ConvLayer::new(&folded, geometry, activation, place, size).unwrap();
                let (ours, theirs) = (make(), made_of(Code::OneDnn, make));
                let is_thin = matches!(ours.weight, Weight::Thin(_));
                assert!(is_thin || !has_brain_floats() || kernel == 5, "{activation:?} of {shape:?} is thin");
                let (ours, theirs) = (ours.forward(&input).unwrap(), theirs.forward(&input).unwrap());
                assert_eq!(ours.size(), theirs.size());
                let differ = ours.ne_tensor(&theirs).sum(Kind::Int64).int64_value(&[]);
                assert_eq!(differ, 0, "{activation:?} of {shape:?} over {size:?}");
            }
        }
    }

    /// The normal distribution at the inputs of the test below. Source: a table of Φ.
    fn normal(x: f32) -> f32 {
        let table = [(-9.0, 0.0), (-1.0, 0.158_655), (-0.1, 0.460_172), (0.0, 0.5), (0.5, 0.691_462)];
        table.iter().find(|(at, _)| *at == x).map_or(1.0, |(_, value)| *value)
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
                    Activation::Leaky { slope } => x.max(0.0) + slope as f32 * x.min(0.0),
                    Activation::Relu => x.max(0.0),
                    Activation::Clamp { low, high } => x.clamp(low as f32, high as f32),
                    Activation::Logistic => logistic(x),
                    Activation::Swish => x * logistic(x),
                    Activation::Mish => x * x.exp().ln_1p().tanh(),
                    Activation::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
                    Activation::HardSigmoid => (x + 3.0).clamp(0.0, 6.0) / 6.0,
                    // x/2 · (1 + erf(x / √2)), values of Φ from a table.
                    Activation::Gelu => x * normal(x),
                    Activation::Tanh => x.tanh(),
                };
                let got = got.double_value(&[index as i64]) as f32;
                assert!((got - expected).abs() < 1e-5, "{activation:?}({x}) = {got}, expected {expected}");
            }
        }
    }
}
