//! Runs a Darknet network on libtorch.

use super::cfg::{Cfg, Conv, LayerKind, MaxPool, Shape};
use crate::torch::{
    Activation, FoldedConv,
    calibration::{Calibration, Range},
    layers::{ConvLayer, Geometry, activate, host_tensor},
    native::quantized::Given,
    quantized::{QuantizedLayer, Scale},
    runtime::{Network, Placement, Precision, See, TorchError},
};
use tch::{Device, Kind, Tensor};

/// A network ready to run. Its outputs are what enters each `[yolo]` section: (N, anchors · (5 + classes), rows, columns),
/// channels innermost in memory.
pub struct DarknetNetwork {
    steps: Vec<Step>,
    pictures_at_once: i64,
    kind: Kind,
}

struct Step {
    operation: Operation,
    /// Whether a later route or shortcut reads this step's output.
    kept: bool,
    /// Outputs that nobody reads after this step.
    done_with: Vec<usize>,
}

enum Operation {
    Conv(ConvLayer),
    MaxPool(Pool),
    Route { layers: Vec<usize>, groups: usize, group: usize },
    Upsample { height: i64, width: i64 },
    Shortcut { from: usize, activation: Activation },
    Identity,
    Output,
}

/// A pooling window with the border it needs: left, right, above, below.
struct Pool {
    size: i64,
    stride: i64,
    border: [i64; 4],
}

/// On a CPU a batch saves nothing that a picture alone does not, but its activations outgrow the caches, and beyond this
/// many bytes the allocator gives them back to the system after every layer, which costs more than the layer.
const CPU_ACTIVATION_BYTES: usize = 16 << 20;

impl DarknetNetwork {
    /// Builds the network; `weights` are those of the cfg's convolutions in order.
    pub fn new(cfg: &Cfg, weights: &[FoldedConv], place: impl Into<Placement>) -> Result<Self, TorchError> {
        Self::calibrated(cfg, weights, place.into(), None)
    }

    /// As `new`, with what `Precision::Int8` needs.
    pub fn calibrated(
        cfg: &Cfg,
        weights: &[FoldedConv],
        place: Placement,
        calibration: Option<&Calibration>,
    ) -> Result<Self, TorchError> {
        let largest = cfg.layers.iter().map(|layer| values(layer.output)).max().unwrap_or(1).max(1);
        let pictures_at_once =
            if place.device == Device::Cpu { (CPU_ACTIVATION_BYTES / (4 * largest)).max(1) } else { usize::MAX };
        let last_uses = last_uses(cfg);
        let mut weights = weights.iter();
        let mut input = cfg.input;
        let mut steps = Vec::with_capacity(cfg.layers.len());
        for (index, layer) in cfg.layers.iter().enumerate() {
            let operation = match &layer.kind {
                LayerKind::Conv(conv) => {
                    let folded = weights.next().ok_or_else(|| TorchError("fewer weights than convolutions".into()))?;
                    // What a head reads are coordinates, which need more than 8 bits.
                    let is_head = matches!(cfg.layers.get(index + 1).map(|next| &next.kind), Some(LayerKind::Yolo(_)));
                    let place = if is_head { Placement { precision: Precision::Fp32, ..place } } else { place };
                    let range = calibration.and_then(|known| known.ranges.get(&index.to_string()).copied());
                    Operation::Conv(match range.filter(|_| place.precision == Precision::Int8) {
                        Some(range) => over_bytes(conv, folded, input, range)?,
                        None => convolution(conv, folded, input, place)?,
                    })
                }
                LayerKind::MaxPool(pool) => Operation::MaxPool(Pool::new(pool, input, layer.output)),
                LayerKind::Route { layers, groups, group } => {
                    Operation::Route { layers: layers.clone(), groups: *groups, group: *group }
                }
                LayerKind::Upsample { .. } => {
                    Operation::Upsample { height: layer.output.height as i64, width: layer.output.width as i64 }
                }
                LayerKind::Shortcut { from, activation } => {
                    Operation::Shortcut { from: *from, activation: *activation }
                }
                LayerKind::Identity => Operation::Identity,
                LayerKind::Yolo(_) => Operation::Output,
            };
            let done_with = (0..index).filter(|&earlier| last_uses[earlier] == Some(index)).collect();
            steps.push(Step { operation, kept: last_uses[index].is_some(), done_with });
            input = layer.output;
        }
        let pictures_at_once = i64::try_from(pictures_at_once).unwrap_or(i64::MAX);
        Ok(Self { steps, pictures_at_once, kind: place.precision.kind() })
    }

    fn forward_at_once(&self, batch: Tensor, mut see: Option<&mut See<'_>>) -> Result<Vec<Tensor>, TorchError> {
        let mut kept: Vec<Option<Tensor>> = Vec::with_capacity(self.steps.len());
        let mut outputs = Vec::new();
        let mut current = batch.f_to_kind(self.kind)?;
        for (index, step) in self.steps.iter().enumerate() {
            if let (Some(see), Operation::Conv(_)) = (see.as_mut(), &step.operation) {
                see(&index.to_string(), &current)?;
            }
            current = step.operation.run(current, &kept, &mut outputs)?;
            for &index in &step.done_with {
                kept[index] = None;
            }
            kept.push(step.kept.then(|| current.shallow_clone()));
        }
        outputs.iter().map(|output| Ok(output.f_to_kind(Kind::Float)?)).collect()
    }
}

impl Network for DarknetNetwork {
    fn observe(&self, batch: &Tensor, see: &mut See<'_>) -> Result<Vec<Tensor>, TorchError> {
        self.forward_at_once(batch.shallow_clone(), Some(see))
    }

    fn forward(&self, batch: &Tensor) -> Result<Vec<Tensor>, TorchError> {
        let pictures = *batch.size().first().unwrap_or(&0);
        if pictures <= self.pictures_at_once {
            return self.forward_at_once(batch.shallow_clone(), None);
        }
        let mut parts: Vec<Vec<Tensor>> = Vec::new();
        for first in (0..pictures).step_by(usize::try_from(self.pictures_at_once).unwrap_or(1)) {
            let count = self.pictures_at_once.min(pictures - first);
            for (index, output) in self.forward_at_once(batch.f_narrow(0, first, count)?, None)?.into_iter().enumerate()
            {
                if parts.len() <= index {
                    parts.push(Vec::new());
                }
                parts[index].push(output);
            }
        }
        parts.iter().map(|parts| Ok(Tensor::f_cat(parts, 0)?)).collect()
    }
}

impl Operation {
    fn run(&self, input: Tensor, kept: &[Option<Tensor>], outputs: &mut Vec<Tensor>) -> Result<Tensor, TorchError> {
        match self {
            Self::Conv(conv) => conv.forward(&input),
            Self::MaxPool(pool) => pool.forward(&input),
            Self::Route { layers, groups, group } => {
                // A route does not read the layer before it unless it names it.
                drop(input);
                let parts = layers.iter().map(|&layer| part(earlier(kept, layer)?, *groups, *group));
                let mut parts = parts.collect::<Result<Vec<_>, _>>()?;
                if parts.len() == 1 { Ok(parts.remove(0)) } else { Ok(Tensor::f_cat(&parts, 1)?) }
            }
            Self::Upsample { height, width } => Ok(input.f_upsample_nearest2d([*height, *width], None, None)?),
            Self::Shortcut { from, activation } => activate(input.f_add(earlier(kept, *from)?)?, *activation),
            Self::Identity => Ok(input),
            Self::Output => {
                outputs.push(input.shallow_clone());
                Ok(input)
            }
        }
    }
}

fn earlier(kept: &[Option<Tensor>], layer: usize) -> Result<&Tensor, TorchError> {
    kept.get(layer)
        .and_then(Option::as_ref)
        .ok_or_else(|| TorchError(format!("the output of layer {layer} was not kept")))
}

/// Part `group` of `groups` equal parts of the channels.
fn part(values: &Tensor, groups: usize, group: usize) -> Result<Tensor, TorchError> {
    if groups == 1 {
        return Ok(values.shallow_clone());
    }
    let channels = values.size()[1] / groups as i64;
    Ok(values.f_narrow(1, channels * group as i64, channels)?)
}

impl Pool {
    /// Darknet pads above and left with half of the padding and below and right with whatever the last window reaches.
    fn new(pool: &MaxPool, input: Shape, output: Shape) -> Self {
        let before = pool.padding / 2;
        let after =
            |input: usize, output: usize| ((output - 1) * pool.stride + pool.size).saturating_sub(input + before);
        let border = [before, after(input.width, output.width), before, after(input.height, output.height)];
        Self { size: pool.size as i64, stride: pool.stride as i64, border: border.map(|side| side as i64) }
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor, TorchError> {
        let [left, right, above, below] = self.border;
        let pool = |input: &Tensor, padding: i64| {
            input.f_max_pool2d([self.size; 2], [self.stride; 2], [padding; 2], [1, 1], false)
        };
        if left == right && left == above && left == below && left <= self.size / 2 {
            return Ok(pool(input, left)?);
        }
        Ok(pool(&input.f_pad(self.border, "constant", f64::NEG_INFINITY)?, 0)?)
    }
}

fn convolution(conv: &Conv, folded: &FoldedConv, input: Shape, place: Placement) -> Result<ConvLayer, TorchError> {
    let geometry = Geometry::square(conv.stride as i64, conv.padding as i64, conv.groups as i64);
    let shape = [1, input.channels as i64, input.height as i64, input.width as i64];
    ConvLayer::new(folded, geometry, conv.activation, place, shape)
}

/// A convolution whose input lies in a range.
fn over_bytes(conv: &Conv, folded: &FoldedConv, input: Shape, range: Range) -> Result<ConvLayer, TorchError> {
    let layer = QuantizedLayer {
        geometry: Geometry::square(conv.stride as i64, conv.padding as i64, conv.groups as i64),
        activation: conv.activation,
        shape: [1, input.channels as i64, input.height as i64, input.width as i64],
        input: Scale::over(range),
        output: Given::Floats(Precision::Int8.kind()),
    };
    let weight = host_tensor(&folded.weights, &folded.shape.map(|size| size as i64))?;
    let bias = host_tensor(&folded.biases, &[folded.biases.len() as i64])?;
    ConvLayer::over_bytes(&weight, &bias, &layer)
}

fn values(shape: Shape) -> usize {
    shape.channels.saturating_mul(shape.height).saturating_mul(shape.width)
}

/// For each layer the last route or shortcut that reads it.
fn last_uses(cfg: &Cfg) -> Vec<Option<usize>> {
    let mut last = vec![None; cfg.layers.len()];
    for (index, layer) in cfg.layers.iter().enumerate() {
        match &layer.kind {
            LayerKind::Route { layers, .. } => layers.iter().for_each(|&earlier| last[earlier] = Some(index)),
            LayerKind::Shortcut { from, .. } => last[*from] = Some(index),
            _ => {}
        }
    }
    last
}
