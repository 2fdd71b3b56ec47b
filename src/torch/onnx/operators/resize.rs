//! Resizing and sampling of pictures.

use super::{Ints, Node, Operation, Table, bounded, fault, one};
use crate::torch::runtime::TorchError;
use tch::{Kind, Tensor};

pub(super) const TABLE: Table = &[("Resize", resize), ("Upsample", upsample), ("GridSample", grid_sample)];

/// Where a place of the output lies in the input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coordinates {
    HalfPixel,
    /// Half-pixel, but the one place of a size of 1 lies at 0.
    TorchHalfPixel,
    AlignCorners,
    Asymmetric,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Interpolation {
    Nearest(Rounding),
    Linear,
    Cubic,
}

/// Which neighbour is nearest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
}

struct Resize {
    coordinates: Coordinates,
    interpolation: Interpolation,
}

fn resize(node: &Node<'_>) -> Result<Operation, String> {
    let attributes = &node.attributes;
    let old = node.opset < 11;
    let coordinates =
        attributes.text("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" })?;
    let nearest = attributes.text("nearest_mode", if old { "floor" } else { "round_prefer_floor" })?;
    let coefficient = attributes.float("cubic_coeff_a", -0.75)?;
    attributes.ignore(&["extrapolation_value"]);
    if attributes.flag("antialias")? || attributes.flag("exclude_outside")? {
        return Err("antialias and exclude_outside are not supported".into());
    }
    if attributes.ints("axes")?.is_some() || attributes.text("keep_aspect_ratio_policy", "stretch")? != "stretch" {
        return Err("axes and keep_aspect_ratio_policy are not supported".into());
    }
    let rounding = match nearest.as_str() {
        "round_prefer_floor" => Rounding::PreferFloor,
        "round_prefer_ceil" => Rounding::PreferCeil,
        "floor" => Rounding::Floor,
        "ceil" => Rounding::Ceil,
        other => return Err(format!("nearest_mode = {other:?}")),
    };
    let interpolation = match attributes.text("mode", "nearest")?.as_str() {
        "nearest" => Interpolation::Nearest(rounding),
        "linear" => Interpolation::Linear,
        "cubic" if (coefficient + 0.75).abs() < 1e-6 => Interpolation::Cubic,
        "cubic" => return Err(format!("cubic_coeff_a = {coefficient}, expected -0.75")),
        other => return Err(format!("mode = {other:?}")),
    };
    let coordinates = match coordinates.as_str() {
        "half_pixel" => Coordinates::HalfPixel,
        "pytorch_half_pixel" => Coordinates::TorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        other => return Err(format!("coordinate_transformation_mode = {other:?}")),
    };
    if interpolation == Interpolation::Cubic && coordinates == Coordinates::Asymmetric {
        return Err("cubic interpolation with asymmetric coordinates is not supported".into());
    }
    // Opset 10 had no region of interest before the scales.
    let (scales, sizes) = if old { (1, usize::MAX) } else { (2, 3) };
    let sizes = if sizes == usize::MAX { Ints::Absent } else { node.ints(sizes)? };
    let resize = Resize { coordinates, interpolation };
    one(move |inputs| {
        let x = inputs.at(0)?;
        let sizes = sizes.read(inputs)?.filter(|sizes| !sizes.is_empty());
        let target = match sizes {
            Some(sizes) => Target::from_sizes(x, &sizes)?,
            None => Target::from_scales(x, &floats_of(inputs.at(scales)?)?)?,
        };
        resize.run(x, &target)
    })
}

fn upsample(node: &Node<'_>) -> Result<Operation, String> {
    let interpolation = match node.attributes.text("mode", "nearest")?.as_str() {
        "nearest" => Interpolation::Nearest(Rounding::Floor),
        "linear" => Interpolation::Linear,
        other => return Err(format!("mode = {other:?}")),
    };
    let scales = node.attributes.floats("scales")?;
    let resize = Resize { coordinates: Coordinates::Asymmetric, interpolation };
    one(move |inputs| {
        let x = inputs.at(0)?;
        let scales = match &scales {
            Some(scales) => scales.iter().map(|&scale| f64::from(scale)).collect(),
            None => floats_of(inputs.at(1)?)?,
        };
        resize.run(x, &Target::from_scales(x, &scales)?)
    })
}

fn floats_of(tensor: &Tensor) -> Result<Vec<f64>, TorchError> {
    if tensor.numel() > 8 {
        return Err(fault(format!("{} scales", tensor.numel())));
    }
    Ok(Vec::<f64>::try_from(&tensor.f_to_kind(Kind::Double)?.f_reshape([-1])?)?)
}

/// Rows and columns to resize to, and by which factors.
struct Target {
    sizes: [i64; 2],
    scales: [f64; 2],
}

impl Target {
    /// The last two of these; whatever they say of batch and channels stays as it is.
    fn from_sizes(x: &Tensor, sizes: &[i64]) -> Result<Self, TorchError> {
        let [_, channels, height, width] = four(x)?;
        let &[_, new_channels, rows, columns] = sizes else { return Err(fault(format!("sizes {sizes:?}"))) };
        if new_channels != channels {
            return Err(fault(format!("sizes {sizes:?} of an input {:?}", x.size())));
        }
        Self { sizes: [rows, columns], scales: [rows as f64 / height as f64, columns as f64 / width as f64] }.checked(x)
    }

    fn from_scales(x: &Tensor, scales: &[f64]) -> Result<Self, TorchError> {
        let [_, _, height, width] = four(x)?;
        let &[1.0, 1.0, down, right] = scales else { return Err(fault(format!("scales {scales:?}"))) };
        if !(down > 0.0 && right > 0.0) {
            return Err(fault(format!("scales {scales:?}")));
        }
        let size = |size: i64, scale: f64| (size as f64 * scale).floor() as i64;
        Self { sizes: [size(height, down), size(width, right)], scales: [down, right] }.checked(x)
    }

    fn checked(self, x: &Tensor) -> Result<Self, TorchError> {
        let [n, c, ..] = four(x)?;
        if self.sizes.iter().any(|&size| size < 1) {
            return Err(fault(format!("resizing {:?} to {:?}", x.size(), self.sizes)));
        }
        bounded(&[n, c, self.sizes[0], self.sizes[1]])?;
        Ok(self)
    }
}

fn four(x: &Tensor) -> Result<[i64; 4], TorchError> {
    let shape =
        <[i64; 4]>::try_from(x.size()).map_err(|shape| fault(format!("input {shape:?}, expected four axes")))?;
    if shape.contains(&0) { Err(fault(format!("an empty input {shape:?}"))) } else { Ok(shape) }
}

impl Resize {
    fn run(&self, x: &Tensor, target: &Target) -> Result<Tensor, TorchError> {
        let Target { sizes, scales } = target;
        let given = (Some(scales[0]), Some(scales[1]));
        let half = matches!(self.coordinates, Coordinates::HalfPixel | Coordinates::TorchHalfPixel);
        let ends = self.coordinates == Coordinates::AlignCorners;
        match self.interpolation {
            Interpolation::Nearest(rounding) if self.repeats(rounding, scales) => {
                Ok(x.f_upsample_nearest2d(sizes, given.0, given.1)?)
            }
            Interpolation::Nearest(rounding) => self.nearest(x, target, rounding),
            Interpolation::Linear if half && sizes.iter().all(|&size| size > 1) => {
                Ok(x.f_upsample_bilinear2d(sizes, false, given.0, given.1)?)
            }
            Interpolation::Linear if ends => Ok(x.f_upsample_bilinear2d(sizes, true, given.0, given.1)?),
            Interpolation::Linear => self.linear(x, target),
            Interpolation::Cubic => Ok(x.f_upsample_bicubic2d(sizes, ends, given.0, given.1)?),
        }
    }

    /// Whether every output place takes floor(place / scale), which is what libtorch computes.
    fn repeats(&self, rounding: Rounding, scales: &[f64; 2]) -> bool {
        let whole = scales.iter().all(|scale| scale.fract() == 0.0);
        match (self.coordinates, rounding) {
            (Coordinates::Asymmetric, Rounding::Floor) => true,
            // (place + 0.5) / scale - 0.5 rounds to the same place for whole factors.
            (Coordinates::HalfPixel | Coordinates::TorchHalfPixel, Rounding::PreferFloor | Rounding::PreferCeil) => {
                whole
            }
            _ => false,
        }
    }

    /// Where each place along an axis lies in an input of `size`.
    fn places(&self, size: i64, target: i64, scale: f64) -> Vec<f64> {
        let place = |at: i64| {
            let at = at as f64;
            match self.coordinates {
                Coordinates::TorchHalfPixel if target == 1 => 0.0,
                Coordinates::HalfPixel | Coordinates::TorchHalfPixel => (at + 0.5) / scale - 0.5,
                Coordinates::AlignCorners if target == 1 => 0.0,
                Coordinates::AlignCorners => at * (size - 1) as f64 / (target - 1) as f64,
                Coordinates::Asymmetric => at / scale,
            }
        };
        (0..target).map(place).collect()
    }

    fn nearest(&self, x: &Tensor, target: &Target, rounding: Rounding) -> Result<Tensor, TorchError> {
        let round = |place: f64| match rounding {
            Rounding::PreferFloor => (place - 0.5).ceil(),
            Rounding::PreferCeil => (place + 0.5).floor(),
            Rounding::Floor => place.floor(),
            Rounding::Ceil => place.ceil(),
        };
        let mut values = x.shallow_clone();
        for (axis, (&size, &scale)) in target.sizes.iter().zip(&target.scales).enumerate() {
            let along = axis as i64 + 2;
            let before = x.size()[axis + 2];
            let picked = self.places(before, size, scale);
            let picked: Vec<i64> = picked.iter().map(|&place| (round(place) as i64).clamp(0, before - 1)).collect();
            values = values.f_index_select(along, &Tensor::f_from_slice(&picked)?.f_to_device(x.device())?)?;
        }
        Ok(values)
    }

    fn linear(&self, x: &Tensor, target: &Target) -> Result<Tensor, TorchError> {
        let mut values = x.shallow_clone();
        for (axis, (&size, &scale)) in target.sizes.iter().zip(&target.scales).enumerate() {
            let along = axis as i64 + 2;
            let before = x.size()[axis + 2];
            let last = (before - 1) as f64;
            let places: Vec<f64> =
                self.places(before, size, scale).iter().map(|place| place.clamp(0.0, last)).collect();
            let lower: Vec<i64> = places.iter().map(|place| place.floor() as i64).collect();
            let upper: Vec<i64> = lower.iter().map(|&at| (at + 1).min(before - 1)).collect();
            let share: Vec<f32> = places.iter().map(|place| place.fract() as f32).collect();
            let mut shape = [1i64; 4];
            shape[axis + 2] = size;
            let share = Tensor::f_from_slice(&share)?.f_reshape(shape)?.f_to_device(x.device())?.f_to_kind(x.kind())?;
            let pick = |at: &[i64]| values.f_index_select(along, &Tensor::f_from_slice(at)?.f_to_device(x.device())?);
            let (low, high) = (pick(&lower)?, pick(&upper)?);
            values = low.f_lerp_tensor(&high, &share.f_expand_as(&low)?)?;
        }
        Ok(values)
    }
}

fn grid_sample(node: &Node<'_>) -> Result<Operation, String> {
    // Numbers of libtorch's enumerations.
    let interpolation = match node.attributes.text("mode", "bilinear")?.as_str() {
        "bilinear" | "linear" => 0,
        "nearest" => 1,
        "bicubic" | "cubic" => 2,
        other => return Err(format!("mode = {other:?}")),
    };
    let padding = match node.attributes.text("padding_mode", "zeros")?.as_str() {
        "zeros" => 0,
        "border" => 1,
        "reflection" => 2,
        other => return Err(format!("padding_mode = {other:?}")),
    };
    let ends = node.attributes.flag("align_corners")?;
    one(move |inputs| {
        let (x, grid) = (inputs.at(0)?, inputs.at(1)?);
        let [_, channels, ..] = four(x)?;
        let [n, rows, columns, _] = four(grid)?;
        bounded(&[n, channels, rows, columns])?;
        Ok(x.f_grid_sampler(grid, interpolation, padding, ends)?)
    })
}
