//! Networks on libtorch: loaders and the runtime they share. Knows nothing of boxes.
//!
//! What a model file says is read and checked in pure Rust (`darknet::cfg`, `darknet::weights`, `state_dict`), so that a
//! damaged file is refused with a name and a number before libtorch hears of it; `layers` and the networks on top of it
//! are the only ones that compute.

pub mod calibration;
pub mod darknet;
pub mod model_file;
pub mod pickle;
pub mod state_dict;

#[cfg(feature = "torch")]
pub mod layers;
#[cfg(feature = "torch")]
pub mod mobilenet_v2;
#[cfg(feature = "torch")]
mod native;
#[cfg(feature = "torch")]
pub mod onnx;
#[cfg(feature = "torch")]
pub mod quantized;
#[cfg(feature = "torch")]
pub mod runtime;
#[cfg(feature = "torch")]
pub mod script;
#[cfg(feature = "torch")]
pub mod tfjs;

/// What a layer does to each of its outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    Linear,
    /// x, or slope·x where negative.
    Leaky {
        /// Between 0 and 1.
        slope: f64,
    },
    /// max(x, 0).
    Relu,
    /// x clamped to a range; 0 to 6 is MobileNet's ReLU6.
    Clamp {
        /// Least value.
        low: f64,
        /// Greatest value.
        high: f64,
    },
    /// 1 / (1 + exp(-x)).
    Logistic,
    /// x · logistic(x), also called SiLU.
    Swish,
    /// x · tanh(ln(1 + exp(x))) (Misra 2019).
    Mish,
    /// x · clamp(x + 3, 0, 6) / 6 (Howard et al. 2019).
    HardSwish,
    /// clamp(x + 3, 0, 6) / 6.
    HardSigmoid,
    /// x · Φ(x), Φ the normal distribution (Hendrycks 2016).
    Gelu,
    /// Hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// MobileNet's activation.
    pub const RELU6: Self = Self::Clamp { low: 0.0, high: 6.0 };
}

/// Weights of a convolution with its batch normalization folded in, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldedConv {
    /// Shape (output channels, input channels / groups, rows, columns).
    pub shape: [usize; 4],
    /// As many as the shape says, last index fastest.
    pub weights: Vec<f32>,
    /// One an output channel.
    pub biases: Vec<f32>,
}

/// Statistics and affine part of a batch normalization, one value a channel each.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a> {
    /// Factor.
    pub scale: &'a [f32],
    /// Summand.
    pub shift: &'a [f32],
    /// Running mean.
    pub mean: &'a [f32],
    /// Running variance.
    pub variance: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

impl FoldedConv {
    /// Folds y = (conv(x) - mean) / sqrt(variance + epsilon) · scale + shift into the convolution's own weights.
    ///
    /// Every slice of `norm` has one value an output channel. The convolution must have no bias of its own.
    pub fn fold(shape: [usize; 4], mut weights: Vec<f32>, norm: &BatchNorm<'_>) -> Self {
        let per_output: usize = shape[1..].iter().product();
        let mut biases = norm.shift.to_vec();
        for (output, bias) in biases.iter_mut().enumerate() {
            let factor = norm.scale[output] / (norm.variance[output] + norm.epsilon).sqrt();
            *bias -= norm.mean[output] * factor;
            weights[output * per_output..][..per_output].iter_mut().for_each(|weight| *weight *= factor);
        }
        Self { shape, weights, biases }
    }

    /// How many values are NaN or infinite; none in a sound file.
    pub fn count_not_finite(&self) -> usize {
        self.weights.iter().chain(&self.biases).filter(|value| !value.is_finite()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_equals_normalizing_after_the_convolution() {
        // Two outputs of a 1x1 convolution over one input, x = 3.
        let norm = BatchNorm {
            scale: &[2.0, -1.0],
            shift: &[0.5, 0.25],
            mean: &[1.0, -2.0],
            variance: &[4.0, 0.25],
            epsilon: 0.0,
        };
        let folded = FoldedConv::fold([2, 1, 1, 1], vec![5.0, 7.0], &norm);
        for (output, expected) in [(15.0 - 1.0) / 2.0 * 2.0 + 0.5, -(21.0 + 2.0) / 0.5 + 0.25].into_iter().enumerate() {
            assert_eq!(folded.weights[output] * 3.0 + folded.biases[output], expected);
        }
        assert_eq!(folded.count_not_finite(), 0);
    }
}
