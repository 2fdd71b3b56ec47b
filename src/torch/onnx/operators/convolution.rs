//! Convolutions.

use super::{Node, Operation, Table, bounded, fault, one};
use crate::torch::runtime::TorchError;
use tch::Tensor;

pub(super) const TABLE: Table = &[("Conv", conv), ("ConvTranspose", conv_transpose)];

/// How a window's border is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::torch::onnx) enum Padding {
    /// All beginnings, then all ends.
    Fixed(Vec<i64>),
    /// So much that the output has ceil(input / stride) places; an odd one at the end.
    SameUpper,
    /// The same, an odd one at the beginning.
    SameLower,
}

/// Windows that move over an input; one number an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::torch::onnx) struct ConvSpec {
    /// Empty where the weights tell.
    pub kernel: Vec<i64>,
    pub stride: Vec<i64>,
    pub dilation: Vec<i64>,
    pub padding: Padding,
    pub groups: i64,
}

/// No sound network has a step, a kernel or a border beyond its input.
const MAX_STEP: i64 = 1 << 16;

impl ConvSpec {
    /// Reads the attributes convolutions and pooling share.
    pub fn read(node: &Node<'_>) -> Result<Self, String> {
        let attributes = &node.attributes;
        let list = |name: &'static str| Ok::<_, String>(attributes.ints(name)?.unwrap_or_default());
        let (kernel, stride, dilation) = (list("kernel_shape")?, list("strides")?, list("dilations")?);
        let pads = list("pads")?;
        if kernel.iter().chain(&stride).chain(&dilation).any(|size| !(1..=MAX_STEP).contains(size)) {
            return Err(format!("kernel {kernel:?}, strides {stride:?}, dilations {dilation:?}"));
        }
        if pads.iter().any(|size| !(0..=MAX_STEP).contains(size)) || pads.len() % 2 != 0 {
            return Err(format!("pads {pads:?}"));
        }
        let padding = match attributes.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" | "" => Padding::Fixed(pads),
            "VALID" => Padding::Fixed(Vec::new()),
            "SAME_UPPER" => Padding::SameUpper,
            "SAME_LOWER" => Padding::SameLower,
            other => return Err(format!("auto_pad = {other:?}")),
        };
        Ok(Self { kernel, stride, dilation, padding, groups: 1 })
    }

    /// Fills in defaults for `spatial` axes; `kernel` is used where the node names none.
    pub fn resolved(&self, spatial: usize, kernel: &[i64]) -> Result<Self, TorchError> {
        let mut resolved = self.clone();
        if resolved.kernel.is_empty() {
            resolved.kernel = kernel.to_vec();
        }
        for list in [&mut resolved.stride, &mut resolved.dilation] {
            if list.is_empty() {
                *list = vec![1; spatial];
            }
        }
        if let Padding::Fixed(pads) = &mut resolved.padding
            && pads.is_empty()
        {
            *pads = vec![0; 2 * spatial];
        }
        let pads = match &resolved.padding {
            Padding::Fixed(pads) => pads.len(),
            Padding::SameUpper | Padding::SameLower => 2 * spatial,
        };
        let lengths = [resolved.kernel.len(), resolved.stride.len(), resolved.dilation.len(), pads / 2];
        if lengths.iter().any(|&length| length != spatial) {
            return Err(fault(format!(
                "{lengths:?} numbers of kernel, stride, dilation and border for {spatial} axes"
            )));
        }
        Ok(resolved)
    }

    /// Border before and after each axis of an input of this size. Only for a resolved spec.
    pub fn pads(&self, input: &[i64]) -> (Vec<i64>, Vec<i64>) {
        let upper = match &self.padding {
            Padding::Fixed(pads) => {
                let (before, after) = pads.split_at(pads.len() / 2);
                return (before.to_vec(), after.to_vec());
            }
            Padding::SameUpper => true,
            Padding::SameLower => false,
        };
        let total = |axis: usize| {
            let outputs = (input[axis] + self.stride[axis] - 1) / self.stride[axis];
            ((outputs - 1) * self.stride[axis] + self.reach(axis) - input[axis]).max(0)
        };
        let totals: Vec<i64> = (0..input.len()).map(total).collect();
        let small: Vec<i64> = totals.iter().map(|total| total / 2).collect();
        let large: Vec<i64> = totals.iter().map(|total| total - total / 2).collect();
        if upper { (small, large) } else { (large, small) }
    }

    /// Places a window covers along an axis.
    pub fn reach(&self, axis: usize) -> i64 {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    /// Places of the output along each axis.
    fn output(&self, input: &[i64], before: &[i64], after: &[i64]) -> Vec<i64> {
        let places =
            |axis: usize| (input[axis] + before[axis] + after[axis] - self.reach(axis)) / self.stride[axis] + 1;
        (0..input.len()).map(places).collect()
    }
}

/// Sizes of an input's axes after batch and channels.
pub(super) fn spatial_sizes(x: &Tensor) -> Result<Vec<i64>, TorchError> {
    match x.size() {
        shape if (3..=5).contains(&shape.len()) => Ok(shape[2..].to_vec()),
        shape => Err(fault(format!("input {shape:?}, expected batch, channels and one to three more axes"))),
    }
}

/// Borders as libtorch's pad functions take them: the last axis first, before and after.
pub(super) fn torch_pads(before: &[i64], after: &[i64]) -> Vec<i64> {
    before.iter().zip(after).rev().flat_map(|(&before, &after)| [before, after]).collect()
}

fn conv(node: &Node<'_>) -> Result<Operation, String> {
    let mut spec = ConvSpec::read(node)?;
    spec.groups = node.attributes.int("group", 1)?;
    one(move |inputs| {
        let (x, weight) = (inputs.at(0)?, inputs.at(1)?);
        let sizes = spatial_sizes(x)?;
        let shape = weight.size();
        if shape.len() != sizes.len() + 2 {
            return Err(fault(format!("weights {shape:?} for an input {:?}", x.size())));
        }
        let spec = spec.resolved(sizes.len(), &shape[2..])?;
        let (before, after) = spec.pads(&sizes);
        bounded(&[&[x.size()[0], shape[0]], &spec.output(&sizes, &before, &after)[..]].concat())?;
        bounded(&padded_shape(x, &sizes, &before, &after))?;
        let (input, padding) = if before == after {
            (x.shallow_clone(), before)
        } else {
            (x.f_constant_pad_nd(torch_pads(&before, &after))?, vec![0; sizes.len()])
        };
        let none = vec![0; sizes.len()];
        let bias = inputs.optional(2);
        Ok(input.f_convolution(weight, bias, spec.stride, padding, spec.dilation, false, none, spec.groups)?)
    })
}

/// Shape of an input with its border.
pub(super) fn padded_shape(x: &Tensor, sizes: &[i64], before: &[i64], after: &[i64]) -> Vec<i64> {
    let padded = (0..sizes.len()).map(|axis| sizes[axis] + before[axis] + after[axis]);
    x.size()[..2].iter().copied().chain(padded).collect()
}

fn conv_transpose(node: &Node<'_>) -> Result<Operation, String> {
    let mut spec = ConvSpec::read(node)?;
    spec.groups = node.attributes.int("group", 1)?;
    let extra = node.attributes.ints("output_padding")?.unwrap_or_default();
    if node.attributes.ints("output_shape")?.is_some() {
        return Err("output_shape is not supported".into());
    }
    if !matches!(spec.padding, Padding::Fixed(_)) {
        return Err("auto_pad is not supported".into());
    }
    if extra.iter().any(|size| !(0..=MAX_STEP).contains(size)) {
        return Err(format!("output_padding {extra:?}"));
    }
    one(move |inputs| {
        let (x, weight) = (inputs.at(0)?, inputs.at(1)?);
        let sizes = spatial_sizes(x)?;
        let shape = weight.size();
        if shape.len() != sizes.len() + 2 {
            return Err(fault(format!("weights {shape:?} for an input {:?}", x.size())));
        }
        let spec = spec.resolved(sizes.len(), &shape[2..])?;
        let extra = if extra.is_empty() { vec![0; sizes.len()] } else { extra.clone() };
        let (before, after) = spec.pads(&sizes);
        if extra.len() != sizes.len() {
            return Err(fault(format!("output_padding {extra:?} for {} axes", sizes.len())));
        }
        let full = |axis: usize| (sizes[axis] - 1) * spec.stride[axis] + spec.reach(axis) + extra[axis];
        let full: Vec<i64> = (0..sizes.len()).map(full).collect();
        bounded(&[&[x.size()[0], shape[1].saturating_mul(spec.groups.max(1))], &full[..]].concat())?;
        let none = vec![0; sizes.len()];
        let padding = if before == after { before.clone() } else { none };
        let bias = inputs.optional(2);
        let mut output =
            x.f_convolution(weight, bias, &spec.stride, padding, &spec.dilation, true, &extra, spec.groups)?;
        if before != after {
            for axis in 0..sizes.len() {
                let length = full[axis] - before[axis] - after[axis];
                output = output.f_narrow(axis as i64 + 2, before[axis], length)?;
            }
        }
        Ok(output)
    })
}
