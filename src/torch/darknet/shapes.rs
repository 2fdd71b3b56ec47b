//! Turns the sections of a cfg into layers and follows the shape of the values through them.

use super::{
    cfg::{CfgError, Conv, Layer, LayerKind, MaxPool, Shape, Yolo},
    sections::Section,
};
use crate::{frame::ImageSize, torch::Activation};

/// Shape of one input picture: `input` where given, else what `[net]` says.
pub(super) fn of_input(net: &Section<'_>, input: Option<ImageSize>) -> Result<Shape, CfgError> {
    let channels = net.count("channels", 1, 3)?;
    if channels != 3 {
        return Err(net.error_at("channels", format!("channels = {channels}, expected 3 (red, green, blue)")));
    }
    let (width, height) = match input {
        Some(size) => (size.width as usize, size.height as usize),
        None => (net.count("width", 1, 416)?, net.count("height", 1, 416)?),
    };
    Ok(Shape { channels, height, width })
}

/// The layers read so far; each new one is checked against them.
pub(super) struct Builder {
    /// Shape of one input picture.
    pub input: Shape,
    /// In order.
    pub layers: Vec<Layer>,
}

impl Builder {
    /// Output of the layer before.
    fn last(&self) -> Shape {
        self.layers.last().map_or(self.input, |layer| layer.output)
    }

    /// What a section does and the shape it leaves.
    pub fn layer(&self, section: &Section<'_>) -> Result<(LayerKind, Shape), CfgError> {
        match section.kind {
            "convolutional" | "conv" => self.convolution(section),
            "maxpool" | "max" => self.max_pool(section),
            "route" => self.route(section),
            "upsample" => self.upsample(section),
            "shortcut" => self.shortcut(section),
            "yolo" => self.yolo(section),
            _ => Ok((LayerKind::Identity, self.last())),
        }
    }

    fn convolution(&self, section: &Section<'_>) -> Result<(LayerKind, Shape), CfgError> {
        let neutral = ["dilation", "stride_x", "stride_y"].map(|key| (key, "1"));
        let zero = ["antialiasing", "binary", "xnor", "assisted_excitation", "deform", "sway", "rotate", "stretch"];
        section.refuse(&neutral)?;
        section.refuse(&zero.map(|key| (key, "0")))?;
        let input = self.last();
        let size = section.count("size", 1, 1)?;
        let padding = if section.switch("pad")? { size / 2 } else { section.count("padding", 0, 0)? };
        let conv = Conv {
            inputs: input.channels,
            filters: section.count("filters", 1, 1)?,
            size,
            stride: section.count("stride", 1, 1)?,
            padding,
            groups: section.count("groups", 1, 1)?,
            batch_normalize: section.switch("batch_normalize")?,
            activation: activation(section, "logistic")?,
        };
        if !conv.inputs.is_multiple_of(conv.groups) || !conv.filters.is_multiple_of(conv.groups) {
            let problem = format!(
                "{} input and {} output channels do not split into {} groups",
                conv.inputs, conv.filters, conv.groups
            );
            return Err(section.error_at("groups", problem));
        }
        let side = |input: usize| window_steps(input + 2 * padding, size, conv.stride);
        let (height, width) = both(section, side(input.height), side(input.width))?;
        Ok((LayerKind::Conv(conv), Shape { channels: conv.filters, height, width }))
    }

    fn max_pool(&self, section: &Section<'_>) -> Result<(LayerKind, Shape), CfgError> {
        section.refuse(&[("maxpool_depth", "0"), ("antialiasing", "0")])?;
        let stride = section.count("stride", 1, 1)?;
        let size = section.count("size", 1, stride)?;
        let pool = MaxPool { size, stride, padding: section.count("padding", 0, size - 1)? };
        if pool.padding >= 2 * size {
            return Err(
                section.error_at("padding", format!("padding = {}, expected less than {}", pool.padding, 2 * size))
            );
        }
        let input = self.last();
        let side = |input: usize| window_steps(input + pool.padding, size, stride);
        let (height, width) = both(section, side(input.height), side(input.width))?;
        Ok((LayerKind::MaxPool(pool), Shape { height, width, ..input }))
    }

    fn route(&self, section: &Section<'_>) -> Result<(LayerKind, Shape), CfgError> {
        let wanted = section.list::<i64>("layers", "layer numbers")?;
        let layers =
            wanted.iter().map(|&number| self.resolve(section, "layers", number)).collect::<Result<Vec<_>, _>>()?;
        let groups = section.count("groups", 1, 1)?;
        let group = section.count("group_id", 0, 0)?;
        if group >= groups {
            return Err(
                section.error_at("group_id", format!("group_id = {group}, expected less than groups = {groups}"))
            );
        }
        let mut output = Shape { channels: 0, ..self.layers[layers[0]].output };
        for &index in &layers {
            let part = self.layers[index].output;
            if (part.height, part.width) != (output.height, output.width) {
                let problem = format!(
                    "layer {index} gives {}x{}, the first one {}x{}: they cannot be joined; is the input a multiple of 32?",
                    part.width, part.height, output.width, output.height
                );
                return Err(section.error_at("layers", problem));
            }
            if !part.channels.is_multiple_of(groups) {
                return Err(
                    section.error_at("groups", format!("{} channels do not split into {groups} groups", part.channels))
                );
            }
            output.channels += part.channels / groups;
        }
        Ok((LayerKind::Route { layers, groups, group }, output))
    }

    fn upsample(&self, section: &Section<'_>) -> Result<(LayerKind, Shape), CfgError> {
        section.refuse(&[("scale", "1")])?;
        let stride = section.count("stride", 1, 2)?;
        let input = self.last();
        let (height, width) = both(section, input.height.checked_mul(stride), input.width.checked_mul(stride))?;
        Ok((LayerKind::Upsample { stride }, Shape { height, width, ..input }))
    }

    fn shortcut(&self, section: &Section<'_>) -> Result<(LayerKind, Shape), CfgError> {
        section.refuse(&[("weights_type", "none")])?;
        let from = section.list::<i64>("from", "a layer number")?;
        let [number] = from[..] else {
            return Err(section.error_at("from", format!("{} layers, expected one", from.len())));
        };
        let from = self.resolve(section, "from", number)?;
        let (input, other) = (self.last(), self.layers[from].output);
        if input != other {
            let name = |shape: Shape| format!("{}x{}x{}", shape.channels, shape.height, shape.width);
            return Err(section.error_at("from", format!("layer {from} is {}, expected {}", name(other), name(input))));
        }
        Ok((LayerKind::Shortcut { from, activation: activation(section, "linear")? }, input))
    }

    fn yolo(&self, section: &Section<'_>) -> Result<(LayerKind, Shape), CfgError> {
        section.refuse(&[("new_coords", "0")])?;
        let classes = section.count("classes", 1, 20)?;
        let sides = section.list::<f32>("anchors", "pairs of pixels")?;
        if sides.len() % 2 != 0 || sides.iter().any(|side| !(side.is_finite() && *side > 0.0)) {
            return Err(section.error_at("anchors", "anchors: expected an even count of numbers above 0"));
        }
        let anchors: Vec<_> = sides.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let mask = section.list::<usize>("mask", "anchor numbers")?;
        if let Some(index) = mask.iter().find(|&&index| index >= anchors.len()) {
            return Err(
                section.error_at("mask", format!("mask holds {index}, but there are {} anchors", anchors.len()))
            );
        }
        let (input, expected) = (self.last(), mask.len() * (5 + classes));
        if input.channels != expected {
            let problem = format!(
                "the layer before gives {} channels, {} classes and {} anchors need filters = {expected}",
                input.channels,
                classes,
                mask.len()
            );
            return Err(section.error_at("classes", problem));
        }
        let scale_x_y = section.positive("scale_x_y", 1.0)?;
        Ok((LayerKind::Yolo(Yolo { mask, anchors, classes, scale_x_y }), input))
    }

    /// A layer number of the cfg: absolute, or relative to the section it stands in where negative.
    fn resolve(&self, section: &Section<'_>, key: &str, number: i64) -> Result<usize, CfgError> {
        let here = self.layers.len() as i64;
        let absolute = if number < 0 { here.saturating_add(number) } else { number };
        if (0..here).contains(&absolute) {
            return Ok(absolute as usize);
        }
        Err(section.error_at(key, format!("{key} = {number} is no layer before this one, which is number {here}")))
    }
}

/// How many times a window fits; `None` where it does not.
fn window_steps(padded: usize, size: usize, stride: usize) -> Option<usize> {
    padded.checked_sub(size).map(|room| room / stride + 1)
}

/// Most cells of any layer's output: those of an 8K picture; beyond it memory, not the cfg, would be the judge.
const MAX_CELLS: usize = 7680 * 4320;

fn both(section: &Section<'_>, height: Option<usize>, width: Option<usize>) -> Result<(usize, usize), CfgError> {
    match (height, width) {
        (Some(height), Some(width)) if height.saturating_mul(width) <= MAX_CELLS => Ok((height, width)),
        _ => Err(section.error("the input is too small for this layer, or its output too large")),
    }
}

/// Slope below zero. Source: activations.h, leaky_activate.
const LEAKY_SLOPE: f64 = 0.1;

fn activation(section: &Section<'_>, default: &str) -> Result<Activation, CfgError> {
    match section.text("activation", default) {
        "linear" => Ok(Activation::Linear),
        "leaky" => Ok(Activation::Leaky { slope: LEAKY_SLOPE }),
        "relu" => Ok(Activation::Relu),
        "relu6" => Ok(Activation::RELU6),
        "logistic" => Ok(Activation::Logistic),
        "swish" => Ok(Activation::Swish),
        "mish" => Ok(Activation::Mish),
        other => {
            let known = "linear, leaky, relu, relu6, logistic, swish, mish";
            Err(section.error_at("activation", format!("activation = {other:?}, expected one of {known}")))
        }
    }
}
