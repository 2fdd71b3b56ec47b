//! Pooling.

use super::{
    Node, Operation, Table, bounded,
    convolution::{ConvSpec, padded_shape, spatial_sizes, torch_pads},
    fault, one,
};
use crate::torch::runtime::TorchError;
use tch::{Kind, Tensor};

pub(super) const TABLE: Table = &[
    ("MaxPool", max_pool),
    ("AveragePool", average_pool),
    ("GlobalAveragePool", global_average),
    ("GlobalMaxPool", global_max),
];

/// What pooling knows of a window once the input is there. Everything is done in two axes; one axis is given a second
/// of size 1.
struct Window {
    spec: ConvSpec,
    before: Vec<i64>,
    after: Vec<i64>,
    sizes: Vec<i64>,
}

fn window(spec: &ConvSpec, x: &Tensor) -> Result<Window, TorchError> {
    let sizes = spatial_sizes(x)?;
    if sizes.len() != 2 {
        return Err(fault(format!("pooling of an input {:?}, expected four axes", x.size())));
    }
    let spec = spec.resolved(2, &[])?;
    let (before, after) = spec.pads(&sizes);
    bounded(&padded_shape(x, &sizes, &before, &after))?;
    let fits = |axis: usize| sizes[axis] + before[axis] + after[axis] >= spec.reach(axis);
    if !(0..2).all(fits) {
        return Err(fault(format!("a window of {:?} over an input {:?}", spec.kernel, x.size())));
    }
    Ok(Window { spec, before, after, sizes })
}

impl Window {
    /// Whether libtorch can make the border itself.
    fn is_even(&self) -> bool {
        self.before == self.after && (0..2).all(|axis| self.before[axis] <= self.spec.kernel[axis] / 2)
    }

    fn padded(&self, x: &Tensor, value: f64) -> Result<Tensor, TorchError> {
        Ok(x.f_pad(torch_pads(&self.before, &self.after), "constant", value)?)
    }
}

fn max_pool(node: &Node<'_>) -> Result<Operation, String> {
    node.at_most_outputs(1)?;
    let spec = ConvSpec::read(node)?;
    let ceil = node.attributes.flag("ceil_mode")?;
    node.attributes.ignore(&["storage_order"]);
    one(move |inputs| {
        let x = inputs.at(0)?;
        let window = window(&spec, x)?;
        let ConvSpec { kernel, stride, dilation, .. } = &window.spec;
        if window.is_even() {
            return Ok(x.f_max_pool2d(kernel, stride, &window.before, dilation, ceil)?);
        }
        let x = if x.is_floating_point() { x.shallow_clone() } else { x.f_to_kind(Kind::Float)? };
        Ok(window.padded(&x, f64::NEG_INFINITY)?.f_max_pool2d(kernel, stride, [0, 0], dilation, ceil)?)
    })
}

fn average_pool(node: &Node<'_>) -> Result<Operation, String> {
    let spec = ConvSpec::read(node)?;
    let ceil = node.attributes.flag("ceil_mode")?;
    let border_counts = node.attributes.flag("count_include_pad")?;
    if spec.dilation.iter().any(|&dilation| dilation != 1) {
        return Err(format!("dilations {:?}", spec.dilation));
    }
    one(move |inputs| {
        let x = inputs.at(0)?;
        let window = window(&spec, x)?;
        let ConvSpec { kernel, stride, .. } = &window.spec;
        if window.is_even() {
            return Ok(x.f_avg_pool2d(kernel, stride, &window.before, ceil, border_counts, None::<i64>)?);
        }
        let pool = |x: &Tensor| x.f_avg_pool2d(kernel, stride, [0, 0], ceil, false, None::<i64>);
        let means = pool(&window.padded(x, 0.0)?)?;
        if border_counts {
            return Ok(means);
        }
        let ones = Tensor::f_ones([&[1, 1], &window.sizes[..]].concat(), (x.kind(), x.device()))?;
        Ok(means.f_div(&pool(&window.padded(&ones, 0.0)?)?)?)
    })
}

fn global_axes(x: &Tensor) -> Result<Vec<i64>, TorchError> {
    spatial_sizes(x).map(|sizes| (2..sizes.len() as i64 + 2).collect())
}

fn global_average(_: &Node<'_>) -> Result<Operation, String> {
    one(|inputs| {
        let x = inputs.at(0)?;
        Ok(x.f_mean_dim(global_axes(x)?, true, None::<Kind>)?)
    })
}

fn global_max(_: &Node<'_>) -> Result<Operation, String> {
    one(|inputs| {
        let x = inputs.at(0)?;
        Ok(x.f_amax(global_axes(x)?, true)?)
    })
}
