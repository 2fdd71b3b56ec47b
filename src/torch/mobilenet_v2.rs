//! MobileNetV2 (width 1.0) as a source of appearance features: its first half, pooled in stripes.
//!
//! An ImageNet classifier's last layers know what a thing is, and everybody on a street is a person. What tells people
//! apart is what they wear at which height, so the features are taken half-way (block 8, before its projection) and pooled
//! per horizontal stripe instead of over the whole picture. Measured in `models/README.md`, where the last layer's 1280
//! channels fall behind in every figure and cost twice the time.

use super::{
    Activation, BatchNorm, FoldedConv,
    layers::{ConvLayer, Geometry},
    runtime::{Network, Placement, TorchError},
    state_dict::{StateDict, StateDictError},
};
use tch::{Kind, Tensor};

/// Stages of inverted residual blocks up to the one the features come from: expansion, output channels, blocks, stride
/// of the first block. Source: Sandler et al. 2018, table 2 (the fourth stage's blocks after its first are not needed).
const STAGES: [(usize, usize, usize, i64); 4] = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 1, 2)];

/// Channels of the first convolution. Source: table 2.
const STEM: usize = 32;

/// Expanded channels of block 8, whose depthwise convolution gives the features: 6 · 64.
const FEATURES: usize = 384;

/// Horizontal stripes pooled on their own: head and shoulders, trunk, legs.
pub const STRIPES: usize = 3;

/// Length of the feature vector.
pub const DIM: usize = FEATURES * STRIPES;

/// Added to a variance. Source: PyTorch's default for BatchNorm2d, which these weights were trained with.
const EPSILON: f32 = 1e-5;

/// The network. Gives one output (N, `DIM`): per stripe from top to bottom, `FEATURES` means, each stripe with L2 norm 1.
pub struct MobileNetV2 {
    stem: ConvLayer,
    blocks: Vec<Block>,
    expand: ConvLayer,
    features: ConvLayer,
    kind: Kind,
}

/// An inverted residual block; without expansion in the first stage.
struct Block {
    expand: Option<ConvLayer>,
    depthwise: ConvLayer,
    project: ConvLayer,
    residual: bool,
}

/// Why the network could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The file does not hold its weights.
    #[error(transparent)]
    File(#[from] StateDictError),
    /// Values in the file that no training leaves.
    #[error("{1} weights of {0} are not finite: the file is damaged")]
    NotFinite(String, usize),
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl MobileNetV2 {
    /// Builds the network for crops of `input`: (N, 3, rows, columns).
    pub fn new(weights: &StateDict, place: impl Into<Placement>, input: [i64; 4]) -> Result<Self, BuildError> {
        let mut maker = Maker { weights, place: place.into(), shape: input };
        let stem = maker.conv("features.0.0", "features.0.1", [STEM, 3, 3, 3], 2, Activation::RELU6)?;
        let (mut inputs, mut blocks) = (STEM, Vec::new());
        for (expansion, outputs, count, stride) in STAGES {
            for index in 0..count {
                let prefix = format!("features.{}.conv.", blocks.len() + 1);
                let stride = if index == 0 { stride } else { 1 };
                blocks.push(maker.block(&prefix, inputs, expansion, outputs, stride)?);
                inputs = outputs;
            }
        }
        let prefix = format!("features.{}.conv.", blocks.len() + 1);
        let name = |part: usize| format!("{prefix}{part}");
        let expand = maker.conv(&name(0), &name(1), [FEATURES, inputs, 1, 1], 1, Activation::RELU6)?;
        let features = maker.whitened(&name(3), &name(4), [FEATURES, 1, 3, 3])?;
        Ok(Self { stem, blocks, expand, features, kind: maker.place.precision.kind() })
    }
}

impl Network for MobileNetV2 {
    fn forward(&self, batch: &Tensor) -> Result<Vec<Tensor>, TorchError> {
        let mut values = self.stem.forward(&batch.f_to_kind(self.kind)?)?;
        for block in &self.blocks {
            values = block.forward(values)?;
        }
        let features = self.features.forward(&self.expand.forward(&values)?)?;
        let stripes = features.f_to_kind(Kind::Float)?.f_adaptive_avg_pool2d([STRIPES as i64, 1])?;
        // (N, channels, stripes, 1) to (N, stripes, channels), so that a stripe's values lie together.
        let stripes = stripes.f_squeeze_dim(3)?.f_transpose(1, 2)?.f_contiguous()?;
        let norms = stripes.f_norm_scalaropt_dim(2.0, [2i64], true)?.f_clamp_min(f64::from(f32::MIN_POSITIVE))?;
        Ok(vec![stripes.f_div(&norms)?.f_reshape([-1, DIM as i64])?])
    }
}

impl Block {
    fn forward(&self, input: Tensor) -> Result<Tensor, TorchError> {
        let expanded = self.expand.as_ref().map(|expand| expand.forward(&input)).transpose()?;
        let mut output = self.project.forward(&self.depthwise.forward(expanded.as_ref().unwrap_or(&input))?)?;
        if self.residual {
            let _ = output.f_add_(&input)?;
        }
        Ok(output)
    }
}

/// Makes layers one after the other and follows the shape of the values through them.
struct Maker<'a> {
    weights: &'a StateDict,
    place: Placement,
    shape: [i64; 4],
}

impl Maker<'_> {
    /// A convolution named `conv` followed by the batch normalization `norm`.
    fn conv(
        &mut self,
        conv: &str,
        norm: &str,
        shape: [usize; 4],
        stride: i64,
        activation: Activation,
    ) -> Result<ConvLayer, BuildError> {
        let [scale, shift] = [".weight", ".bias"].map(|part| self.weights.get(&format!("{norm}{part}"), &shape[..1]));
        self.folded(conv, norm, shape, stride, activation, (scale?, shift?))
    }

    /// A depthwise convolution normalized to mean 0 and variance 1 over ImageNet, without scale, shift and activation, so
    /// that every channel has the same say in a cosine.
    fn whitened(&mut self, conv: &str, norm: &str, shape: [usize; 4]) -> Result<ConvLayer, BuildError> {
        let (ones, zeros) = (vec![1.0; shape[0]], vec![0.0; shape[0]]);
        self.folded(conv, norm, shape, 1, Activation::Linear, (&ones, &zeros))
    }

    fn folded(
        &mut self,
        conv: &str,
        norm: &str,
        shape: [usize; 4],
        stride: i64,
        activation: Activation,
        (scale, shift): (&[f32], &[f32]),
    ) -> Result<ConvLayer, BuildError> {
        let weights = self.weights.get(&format!("{conv}.weight"), &shape)?.to_vec();
        let mean = self.weights.get(&format!("{norm}.running_mean"), &shape[..1])?;
        let variance = self.weights.get(&format!("{norm}.running_var"), &shape[..1])?;
        let folded = FoldedConv::fold(shape, weights, &BatchNorm { scale, shift, mean, variance, epsilon: EPSILON });
        match folded.count_not_finite() {
            0 => {}
            count => return Err(BuildError::NotFinite(conv.to_owned(), count)),
        }
        let groups = self.shape[1] / shape[1] as i64;
        let geometry = Geometry::square(stride, shape[2] as i64 / 2, groups);
        let layer = ConvLayer::new(&folded, geometry, activation, self.place, self.shape)?;
        let side = |side: i64| (side + 2 * geometry.padding[0] - shape[2] as i64) / stride + 1;
        self.shape = [self.shape[0], shape[0] as i64, side(self.shape[2]), side(self.shape[3])];
        Ok(layer)
    }

    fn block(
        &mut self,
        prefix: &str,
        inputs: usize,
        expansion: usize,
        outputs: usize,
        stride: i64,
    ) -> Result<Block, BuildError> {
        let hidden = inputs * expansion;
        let name = |part: usize| format!("{prefix}{part}");
        let expand = if expansion == 1 {
            None
        } else {
            Some(self.conv(&name(0), &name(1), [hidden, inputs, 1, 1], 1, Activation::RELU6)?)
        };
        let at = if expand.is_some() { 3 } else { 0 };
        let depthwise = self.conv(&name(at), &name(at + 1), [hidden, 1, 3, 3], stride, Activation::RELU6)?;
        let project = self.conv(&name(at + 3), &name(at + 4), [outputs, hidden, 1, 1], 1, Activation::Linear)?;
        Ok(Block { expand, depthwise, project, residual: stride == 1 && inputs == outputs })
    }
}
