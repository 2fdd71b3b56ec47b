//! Picking and placing by index.

use super::{Node, Operation, Table, axis, bounded, fault, one, scalar_of};
use crate::torch::runtime::TorchError;
use tch::{Kind, Tensor};

pub(super) const TABLE: Table = &[
    ("Gather", gather),
    ("GatherElements", gather_elements),
    ("GatherND", gather_nd),
    ("ScatterElements", scatter_elements),
    ("ScatterND", scatter_nd),
    ("TopK", top_k),
    ("OneHot", one_hot),
    ("NonZero", non_zero),
];

/// Indices as libtorch takes them: 64-bit, counted from the beginning, inside `size` (it does not check on every device).
fn counted(indices: &Tensor, size: i64) -> Result<Tensor, TorchError> {
    let indices = indices.f_to_kind(Kind::Int64)?;
    if indices.numel() == 0 {
        return Ok(indices);
    }
    let indices = indices.f_where_self(&indices.f_ge(0)?, &indices.f_add_scalar(size)?)?;
    let (least, most) = (indices.f_min()?.f_int64_value(&[])?, indices.f_max()?.f_int64_value(&[])?);
    if least < 0 || most >= size {
        return Err(fault(format!("indices from {least} to {most} into {size} values")));
    }
    Ok(indices)
}

fn gather(node: &Node<'_>) -> Result<Operation, String> {
    let along = node.attributes.int("axis", 0)?;
    one(move |inputs| {
        let (x, indices) = (inputs.at(0)?, inputs.at(1)?);
        let along = axis(along, x.dim())?;
        let sizes = x.size();
        let shape = [&sizes[..along], &indices.size(), &sizes[along + 1..]].concat();
        bounded(&shape)?;
        let indices = counted(indices, sizes[along])?;
        if indices.dim() == 0 {
            return Ok(x.f_select(along as i64, indices.f_int64_value(&[])?)?);
        }
        Ok(x.f_index_select(along as i64, &indices.f_reshape([-1])?)?.f_reshape(shape)?)
    })
}

fn gather_elements(node: &Node<'_>) -> Result<Operation, String> {
    let along = node.attributes.int("axis", 0)?;
    one(move |inputs| {
        let (x, indices) = (inputs.at(0)?, inputs.at(1)?);
        let along = axis(along, x.dim())?;
        Ok(x.f_gather(along as i64, &counted(indices, x.size()[along])?, false)?)
    })
}

/// One index tensor an axis that the last axis of `indices` names.
fn index_columns(indices: &Tensor, sizes: &[i64]) -> Result<Vec<Option<Tensor>>, TorchError> {
    let width = indices.size().last().copied().unwrap_or(0);
    if width < 1 || width > sizes.len() as i64 {
        return Err(fault(format!("indices {:?} into {sizes:?}", indices.size())));
    }
    (0..width).map(|column| Ok(Some(counted(&indices.f_select(-1, column)?, sizes[column as usize])?))).collect()
}

fn gather_nd(node: &Node<'_>) -> Result<Operation, String> {
    if node.attributes.int("batch_dims", 0)? != 0 {
        return Err("batch_dims is not supported".into());
    }
    one(|inputs| {
        let (x, indices) = (inputs.at(0)?, inputs.at(1)?);
        let sizes = x.size();
        let columns = index_columns(indices, &sizes)?;
        let picked = indices.size();
        bounded(&[&picked[..picked.len() - 1], &sizes[columns.len()..]].concat())?;
        Ok(x.f_index(&columns)?)
    })
}

/// Whether values are added to what is there instead of replacing it.
fn adds(node: &Node<'_>) -> Result<bool, String> {
    match node.attributes.text("reduction", "none")?.as_str() {
        "none" => Ok(false),
        "add" => Ok(true),
        other => Err(format!("reduction = {other:?} is not supported")),
    }
}

fn scatter_elements(node: &Node<'_>) -> Result<Operation, String> {
    let along = node.attributes.int("axis", 0)?;
    let add = adds(node)?;
    one(move |inputs| {
        let (x, indices, updates) = (inputs.at(0)?, inputs.at(1)?, inputs.at(2)?);
        let along = axis(along, x.dim())?;
        let indices = counted(indices, x.size()[along])?;
        let along = along as i64;
        Ok(if add { x.f_scatter_add(along, &indices, updates)? } else { x.f_scatter(along, &indices, updates)? })
    })
}

fn scatter_nd(node: &Node<'_>) -> Result<Operation, String> {
    let add = adds(node)?;
    one(move |inputs| {
        let (x, indices, updates) = (inputs.at(0)?, inputs.at(1)?, inputs.at(2)?);
        let columns = index_columns(indices, &x.size())?;
        Ok(x.f_index_put(&columns, updates, add)?)
    })
}

fn top_k(node: &Node<'_>) -> Result<Operation, String> {
    let along = node.attributes.int("axis", -1)?;
    let largest = node.attributes.int("largest", 1)? != 0;
    let sorted = node.attributes.int("sorted", 1)? != 0;
    let count = node.ints(1)?;
    Ok(Box::new(move |inputs| {
        let x = inputs.at(0)?;
        let along = axis(along, x.dim())?;
        let count = count.get(inputs)?.first().copied().unwrap_or(-1);
        if !(0..=x.size()[along]).contains(&count) {
            return Err(fault(format!("the {count} largest of {}", x.size()[along])));
        }
        let (values, indices) = x.f_topk(count, along as i64, largest, sorted)?;
        Ok(vec![values, indices])
    }))
}

fn one_hot(node: &Node<'_>) -> Result<Operation, String> {
    let along = node.attributes.int("axis", -1)?;
    one(move |inputs| {
        let (indices, depth, pair) = (inputs.at(0)?, scalar_of(inputs.at(1)?)? as i64, inputs.at(2)?);
        if pair.numel() != 2 {
            return Err(fault(format!("{} values, expected those for off and on", pair.numel())));
        }
        bounded(&[&indices.size()[..], &[depth]].concat())?;
        let along = axis(along, indices.dim() + 1)? as i64;
        let indices = indices.f_to_kind(Kind::Int64)?.f_unsqueeze(along)?;
        let indices = indices.f_where_self(&indices.f_ge(0)?, &indices.f_add_scalar(depth)?)?;
        let mut ladder = vec![1; indices.dim()];
        ladder[along as usize] = depth;
        let ladder = Tensor::f_arange(depth, (Kind::Int64, indices.device()))?.f_reshape(ladder)?;
        // An index outside is off everywhere.
        let on = indices.f_eq_tensor(&ladder)?;
        Ok(pair.f_select(0, 1)?.f_where_self(&on, &pair.f_select(0, 0)?)?)
    })
}

/// Shape (axes, count).
fn non_zero(_: &Node<'_>) -> Result<Operation, String> {
    one(|inputs| Ok(inputs.at(0)?.f_nonzero()?.f_transpose(0, 1)?))
}
