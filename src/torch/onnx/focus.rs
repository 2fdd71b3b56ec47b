//! Undoes a trick of YOLOv5 and YOLOX: every other pixel of every other row goes to a map of its own, the four maps are joined
//! and convolved (Focus). A convolution with twice the kernel and twice the step reads the same pixels with the same weights
//! where they are, and saves five copies of the picture.

use super::{
    graph::{Action, Convolution, Graph, ValueId},
    operators::{ConvSpec, Padding, ints_of},
    trace::Trace,
};
use crate::torch::runtime::TorchError;
use tch::{Kind, Tensor};

/// One of the four maps: the picture it is taken from and its first row and column there, 0 or 1.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Quarter {
    picture: ValueId,
    row: i64,
    column: i64,
}

/// Rewrites every convolution that reads such maps.
pub(super) fn join_focus(graph: &mut Graph<'_>, one: &Trace) -> Result<(), TorchError> {
    for index in 0..graph.nodes.len() {
        let Some((picture, convolution)) = whole(graph, one, index)? else { continue };
        let node = &mut graph.nodes[index];
        node.action = Action::Conv(Box::new(convolution));
        node.inputs = vec![Some(picture)];
    }
    graph.drop_dead();
    Ok(())
}

/// The convolution of the picture itself, if node `index` convolves its quarters.
fn whole(graph: &Graph<'_>, one: &Trace, index: usize) -> Result<Option<(ValueId, Convolution)>, TorchError> {
    let node = &graph.nodes[index];
    let (Action::Conv(convolution), &[Some(input)]) = (&node.action, &node.inputs[..]) else { return Ok(None) };
    let Padding::Fixed(pads) = &convolution.spec.padding else { return Ok(None) };
    if convolution.spec.groups != 1 || convolution.spec.dilation != [1, 1] {
        return Ok(None);
    }
    let Some(quarters) = quarters(graph, one, input)? else { return Ok(None) };
    let picture = quarters[0].picture;
    let &[filters, joined, rows, columns] = convolution.weight.size().as_slice() else { return Ok(None) };
    let channels = joined / 4;
    let weight = Tensor::f_zeros([filters, channels, 2 * rows, 2 * columns], (Kind::Float, tch::Device::Cpu))?;
    for (quarter, of) in quarters.iter().zip(0..) {
        let mut place = weight.f_slice(2, quarter.row, 2 * rows, 2)?.f_slice(3, quarter.column, 2 * columns, 2)?;
        place.f_copy_(&convolution.weight.f_narrow(1, of * channels, channels)?)?;
    }
    let double = |list: &[i64]| list.iter().map(|value| 2 * value).collect::<Vec<_>>();
    let spec = ConvSpec {
        kernel: vec![2 * rows, 2 * columns],
        stride: double(&convolution.spec.stride),
        padding: Padding::Fixed(double(pads)),
        ..convolution.spec.clone()
    };
    let bias = convolution.bias.shallow_clone();
    Ok(Some((picture, Convolution { weight, bias, spec, activation: convolution.activation })))
}

/// The four quarters of one picture that are joined into `value`, in that order.
fn quarters(graph: &Graph<'_>, one: &Trace, value: ValueId) -> Result<Option<Vec<Quarter>>, TorchError> {
    let producer = |value: ValueId| graph.nodes.iter().find(|node| node.outputs.contains(&Some(value)));
    let Some(join) = producer(value).filter(|node| graph.operator(node) == "Concat") else { return Ok(None) };
    let Some(&[_, joined, ..]) = one.shapes[value].as_deref() else { return Ok(None) };
    let mut found = Vec::new();
    for part in &join.inputs {
        let Some(quarter) = (*part).map(|part| quarter(graph, one, part)).transpose()?.flatten() else {
            return Ok(None);
        };
        if found.contains(&quarter) {
            return Ok(None);
        }
        found.push(quarter);
    }
    let Some(first) = found.first() else { return Ok(None) };
    let Some(&[_, channels, height, width]) = one.shapes[first.picture].as_deref() else { return Ok(None) };
    let same = found.iter().all(|quarter| quarter.picture == first.picture);
    // Joined along the channels, as their number tells.
    let sound = found.len() == 4 && same && joined == 4 * channels && height % 2 == 0 && width % 2 == 0;
    Ok(sound.then_some(found))
}

/// The quarter a value is, through one slice or two.
fn quarter(graph: &Graph<'_>, one: &Trace, value: ValueId) -> Result<Option<Quarter>, TorchError> {
    let (mut at, mut firsts) = (value, [None; 2]);
    while let Some(node) = graph.nodes.iter().find(|node| node.outputs.contains(&Some(at))) {
        if graph.operator(node) != "Slice" {
            break;
        }
        let [Some(from), Some(starts), Some(ends), Some(axes), Some(steps)] = node.inputs[..] else { return Ok(None) };
        let ints = |id: ValueId| graph.constants.get(&id).map(ints_of).transpose();
        let (Some(starts), Some(ends), Some(axes), Some(steps)) =
            (ints(starts)?, ints(ends)?, ints(axes)?, ints(steps)?)
        else {
            return Ok(None);
        };
        let Some(shape) = &one.shapes[from] else { return Ok(None) };
        for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
            let first = match axis {
                2 | -2 => &mut firsts[0],
                3 | -1 => &mut firsts[1],
                _ => return Ok(None),
            };
            let size = shape.get(if matches!(axis, 2 | -2) { 2 } else { 3 });
            let whole = size.is_some_and(|size| end >= *size);
            if step != 2 || !(0..=1).contains(&start) || !whole || first.replace(start).is_some() {
                return Ok(None);
            }
        }
        at = from;
    }
    Ok(match firsts {
        [Some(row), Some(column)] => Some(Quarter { picture: at, row, column }),
        _ => None,
    })
}
