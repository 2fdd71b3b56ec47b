//! What moves values without changing them.

use super::{Inputs, Ints, Node, Operation, Table, axes, axis, bounded, broadcast, fault, one, scalar_of};
use crate::torch::runtime::TorchError;
use tch::{Kind, Tensor};

pub(super) const TABLE: Table = &[
    ("Reshape", reshape),
    ("Flatten", flatten),
    ("Transpose", transpose),
    ("Squeeze", squeeze),
    ("Unsqueeze", unsqueeze),
    ("Expand", expand),
    ("Tile", tile),
    ("Concat", concat),
    ("Split", split),
    ("Slice", slice),
    ("Pad", pad),
    ("DepthToSpace", depth_to_space),
    ("SpaceToDepth", space_to_depth),
    ("Trilu", trilu),
];

fn reshape(node: &Node<'_>) -> Result<Operation, String> {
    let target = node.ints(1)?;
    let zero_is_a_size = node.attributes.flag("allowzero")?;
    one(move |inputs| {
        let x = inputs.at(0)?;
        let target = target.get(inputs)?;
        let sizes = x.size();
        let size = |(index, &size): (usize, &i64)| match size {
            0 if !zero_is_a_size => sizes.get(index).copied().ok_or_else(|| fault(format!("no axis {index} to keep"))),
            size => Ok(size),
        };
        let target = target.iter().enumerate().map(size).collect::<Result<Vec<_>, _>>()?;
        Ok(x.f_reshape(target)?)
    })
}

fn flatten(node: &Node<'_>) -> Result<Operation, String> {
    let at = node.attributes.int("axis", 1)?;
    one(move |inputs| {
        let x = inputs.at(0)?;
        let sizes = x.size();
        let at = if at == sizes.len() as i64 { sizes.len() } else { axis(at, sizes.len())? };
        let (rows, columns) = (sizes[..at].iter().product(), sizes[at..].iter().product());
        Ok(x.f_reshape([rows, columns])?)
    })
}

fn transpose(node: &Node<'_>) -> Result<Operation, String> {
    let order = node.attributes.ints("perm")?;
    one(move |inputs| {
        let x = inputs.at(0)?;
        let turned = || (0..x.dim() as i64).rev().collect();
        Ok(x.f_permute(order.clone().unwrap_or_else(turned))?)
    })
}

fn squeeze(node: &Node<'_>) -> Result<Operation, String> {
    let wanted = node.ints_or_input("axes", 1)?;
    one(move |inputs| {
        let x = inputs.at(0)?;
        let sizes = x.size();
        let dropped = match wanted.read(inputs)? {
            Some(wanted) => axes(&wanted, sizes.len())?,
            None => (0..sizes.len()).filter(|&axis| sizes[axis] == 1).collect(),
        };
        if let Some(&axis) = dropped.iter().find(|&&axis| sizes[axis] != 1) {
            return Err(fault(format!("axis {axis} of {sizes:?} is not of size 1")));
        }
        let kept = (0..sizes.len()).filter(|axis| !dropped.contains(axis)).map(|axis| sizes[axis]);
        Ok(x.f_reshape(kept.collect::<Vec<_>>())?)
    })
}

fn unsqueeze(node: &Node<'_>) -> Result<Operation, String> {
    let wanted = node.ints_or_input("axes", 1)?;
    one(move |inputs| {
        let x = inputs.at(0)?;
        let wanted = wanted.get(inputs)?;
        let mut new = axes(&wanted, x.dim() + wanted.len())?;
        new.sort_unstable();
        let mut shape = x.size();
        new.iter().for_each(|&axis| shape.insert(axis.min(shape.len()), 1));
        Ok(x.f_reshape(shape)?)
    })
}

fn expand(node: &Node<'_>) -> Result<Operation, String> {
    let target = node.ints(1)?;
    one(move |inputs| {
        let x = inputs.at(0)?;
        let shape = broadcast(&x.size(), &target.get(inputs)?)?;
        bounded(&shape)?;
        Ok(x.f_expand(shape, false)?)
    })
}

fn tile(node: &Node<'_>) -> Result<Operation, String> {
    let repeats = node.ints(1)?;
    one(move |inputs| {
        let (x, repeats) = (inputs.at(0)?, repeats.get(inputs)?);
        if repeats.len() != x.dim() || repeats.iter().any(|&times| times < 0) {
            return Err(fault(format!("repeats {repeats:?} of an input {:?}", x.size())));
        }
        let sizes = x.size();
        bounded(&sizes.iter().zip(&*repeats).map(|(a, b)| a.saturating_mul(*b)).collect::<Vec<_>>())?;
        Ok(x.f_repeat(&repeats[..])?)
    })
}

fn concat(node: &Node<'_>) -> Result<Operation, String> {
    let along = node.attributes.int("axis", 1)?;
    one(move |inputs| {
        let parts = inputs.all()?;
        let total = parts.iter().map(|part| part.numel() as i64).sum();
        bounded(&[total])?;
        Ok(Tensor::f_cat(&parts, along)?)
    })
}

fn split(node: &Node<'_>) -> Result<Operation, String> {
    let along = node.attributes.int("axis", 0)?;
    let sizes = node.ints_or_input("split", 1)?;
    node.attributes.ignore(&["num_outputs"]);
    let parts = node.proto.output.len() as i64;
    Ok(Box::new(move |inputs| {
        let x = inputs.at(0)?;
        let along = axis(along, x.dim())?;
        let total = x.size()[along];
        let sizes = match sizes.read(inputs)? {
            Some(sizes) => sizes.into_owned(),
            None => {
                // Equal parts, the last one smaller where they do not come out even.
                let each = (total + parts - 1) / parts;
                (0..parts).map(|part| (total - part * each).clamp(0, each)).collect()
            }
        };
        Ok(x.f_split_with_sizes(sizes, along as i64)?)
    }))
}

fn slice(node: &Node<'_>) -> Result<Operation, String> {
    // Attributes until opset 9, inputs since.
    let starts = node.ints_or_input("starts", 1)?;
    let ends = node.ints_or_input("ends", 2)?;
    let along = node.ints_or_input("axes", 3)?;
    let steps = node.ints(4)?;
    one(move |inputs| {
        let (starts, ends) = (starts.get(inputs)?, ends.get(inputs)?);
        let along = along.read(inputs)?.map_or_else(|| (0..starts.len() as i64).collect(), |along| along.into_owned());
        let steps = steps.read(inputs)?.map_or_else(|| vec![1; starts.len()], |steps| steps.into_owned());
        if [ends.len(), along.len(), steps.len()].iter().any(|&length| length != starts.len()) {
            return Err(fault(format!("starts {starts:?}, ends {ends:?}, axes {along:?}, steps {steps:?}")));
        }
        let mut values = inputs.at(0)?.shallow_clone();
        for index in 0..starts.len() {
            let along = axis(along[index], values.dim())?;
            values = slice_along(&values, along, starts[index], ends[index], steps[index])?;
        }
        Ok(values)
    })
}

fn slice_along(x: &Tensor, along: usize, start: i64, end: i64, step: i64) -> Result<Tensor, TorchError> {
    let size = x.size()[along];
    let counted = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    if step > 0 {
        let (start, end) = (counted(start).clamp(0, size), counted(end).clamp(0, size));
        return Ok(x.f_slice(along as i64, start, end.max(start), step)?);
    }
    if step == 0 || step == i64::MIN {
        return Err(fault(format!("a step of {step}")));
    }
    let (start, end) = (counted(start).clamp(-1, size - 1), counted(end).clamp(-1, size - 1));
    let picked: Vec<i64> = (0..).map(|index| start + index * step).take_while(|&at| at > end && at >= 0).collect();
    let picked = Tensor::f_from_slice(&picked)?.f_to_device(x.device())?;
    Ok(x.f_index_select(along as i64, &picked)?)
}

fn pad(node: &Node<'_>) -> Result<Operation, String> {
    // Attributes until opset 10, inputs since.
    let pads = node.ints_or_input("pads", 1)?;
    let along = node.ints(3)?;
    let value = node.attributes.float("value", 0.0)?;
    let mode = match node.attributes.text("mode", "constant")?.as_str() {
        "constant" => "constant",
        "reflect" => "reflect",
        "edge" => "replicate",
        "wrap" => "circular",
        other => return Err(format!("mode = {other:?}")),
    };
    one(move |inputs| {
        let x = inputs.at(0)?;
        let pads = pads.get(inputs)?;
        let along = match along.read(inputs)? {
            Some(along) => axes(&along, x.dim())?,
            None => (0..x.dim()).collect(),
        };
        if pads.len() != 2 * along.len() {
            return Err(fault(format!("{} borders of {} axes", pads.len(), along.len())));
        }
        let mut borders = vec![(0, 0); x.dim()];
        for (index, &axis) in along.iter().enumerate() {
            borders[axis] = (pads[index], pads[index + along.len()]);
        }
        let value = inputs.optional(2).map_or(Ok(value), scalar_of)?;
        pad_with(x, &borders, mode, value)
    })
}

fn pad_with(x: &Tensor, borders: &[(i64, i64)], mode: &str, value: f64) -> Result<Tensor, TorchError> {
    let grown = |(size, (before, after)): (&i64, &(i64, i64))| size.saturating_add(*before).saturating_add(*after);
    bounded(&x.size().iter().zip(borders).map(grown).collect::<Vec<_>>())?;
    let first = borders.iter().position(|border| *border != (0, 0)).unwrap_or(borders.len());
    let torch: Vec<i64> = borders[first..].iter().rev().flat_map(|&(before, after)| [before, after]).collect();
    if torch.is_empty() {
        return Ok(x.shallow_clone());
    }
    if mode == "constant" {
        return Ok(x.f_pad(torch, mode, value)?);
    }
    // libtorch's other modes want exactly the axes after batch and channels.
    if first < 2 || x.dim() != 4 {
        return Err(fault(format!("mode {mode} on the axes from {first} of {} is not supported", x.dim())));
    }
    let both: Vec<i64> = borders[2..].iter().rev().flat_map(|&(before, after)| [before, after]).collect();
    Ok(x.f_pad(both, mode, None::<f64>)?)
}

/// Sizes of an input with four axes.
fn four(x: &Tensor) -> Result<[i64; 4], TorchError> {
    <[i64; 4]>::try_from(x.size()).map_err(|shape| fault(format!("input {shape:?}, expected four axes")))
}

fn block_size(node: &Node<'_>) -> Result<i64, String> {
    match node.attributes.int("blocksize", 0)? {
        block @ 1..=1024 => Ok(block),
        other => Err(format!("blocksize = {other}")),
    }
}

fn depth_to_space(node: &Node<'_>) -> Result<Operation, String> {
    let block = block_size(node)?;
    let depth_first = match node.attributes.text("mode", "DCR")?.as_str() {
        "DCR" => true,
        "CRD" => false,
        other => return Err(format!("mode = {other:?}")),
    };
    one(move |inputs| {
        let x = inputs.at(0)?;
        let [n, c, h, w] = four(x)?;
        let left = c / (block * block);
        let blocks = if depth_first {
            x.f_reshape([n, block, block, left, h, w])?.f_permute([0, 3, 4, 1, 5, 2])?
        } else {
            x.f_reshape([n, left, block, block, h, w])?.f_permute([0, 1, 4, 2, 5, 3])?
        };
        Ok(blocks.f_reshape([n, left, h * block, w * block])?)
    })
}

fn space_to_depth(node: &Node<'_>) -> Result<Operation, String> {
    let block = block_size(node)?;
    one(move |inputs| {
        let x = inputs.at(0)?;
        let [n, c, h, w] = four(x)?;
        let (rows, columns) = (h / block, w / block);
        let blocks = x.f_reshape([n, c, rows, block, columns, block])?.f_permute([0, 3, 5, 1, 2, 4])?;
        Ok(blocks.f_reshape([n, c * block * block, rows, columns])?)
    })
}

fn trilu(node: &Node<'_>) -> Result<Operation, String> {
    let upper = node.attributes.int("upper", 1)? != 0;
    let diagonal: Ints = node.ints(1)?;
    let at = move |inputs: &Inputs<'_>| {
        Ok::<_, TorchError>(diagonal.read(inputs)?.and_then(|values| values.first().copied()).unwrap_or(0))
    };
    one(move |inputs| {
        let (x, at) = (inputs.at(0)?, at(inputs)?);
        let kind = x.kind();
        // libtorch's kernels know no bool on every build.
        let x = if kind == Kind::Bool { x.f_to_kind(Kind::Uint8)? } else { x.shallow_clone() };
        Ok(if upper { x.f_triu(at)? } else { x.f_tril(at)? }.f_to_kind(kind)?)
    })
}
