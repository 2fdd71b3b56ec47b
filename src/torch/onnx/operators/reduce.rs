//! Reductions along axes.

use super::{Ints, Node, Operation, Table, axes, axis, fault, one};
use tch::{Kind, TchError, Tensor};

pub(super) const TABLE: Table = &[
    ("ReduceMean", |node| reduce(node, |x, axes, keep| x.f_mean_dim(axes, keep, None::<Kind>))),
    ("ReduceSum", |node| reduce(node, sum)),
    ("ReduceMax", |node| reduce(node, |x, axes, keep| x.f_amax(axes, keep))),
    ("ReduceMin", |node| reduce(node, |x, axes, keep| x.f_amin(axes, keep))),
    ("ReduceProd", |node| reduce(node, product)),
    ("ReduceL1", |node| reduce(node, |x, axes, keep| sum(&x.f_abs()?, axes, keep))),
    ("ReduceL2", |node| reduce(node, |x, axes, keep| sum(&x.f_mul(x)?, axes, keep)?.f_sqrt())),
    ("ReduceSumSquare", |node| reduce(node, |x, axes, keep| sum(&x.f_mul(x)?, axes, keep))),
    ("ReduceLogSum", |node| reduce(node, |x, axes, keep| sum(x, axes, keep)?.f_log())),
    ("ReduceLogSumExp", |node| reduce(node, |x, axes, keep| x.f_logsumexp(axes, keep))),
    ("ArgMax", |node| arg(node, |x, axis, keep| x.f_argmax(axis, keep))),
    ("ArgMin", |node| arg(node, |x, axis, keep| x.f_argmin(axis, keep))),
    ("CumSum", cumulative_sum),
];

type Reduction = fn(&Tensor, &[i64], bool) -> Result<Tensor, TchError>;

fn sum(x: &Tensor, axes: &[i64], keep: bool) -> Result<Tensor, TchError> {
    x.f_sum_dim_intlist(axes, keep, x.kind())
}

fn product(x: &Tensor, axes: &[i64], keep: bool) -> Result<Tensor, TchError> {
    let mut axes = axes.to_vec();
    axes.sort_unstable();
    // From the last axis on, so that the numbers of the others stay.
    axes.iter().rev().try_fold(x.shallow_clone(), |product, &axis| product.f_prod_dim_int(axis, keep, x.kind()))
}

fn reduce(node: &Node<'_>, reduction: Reduction) -> Result<Operation, String> {
    let along = node.ints_or_input("axes", 1)?;
    let keep = node.attributes.int("keepdims", 1)? != 0;
    let nothing_if_empty = node.attributes.flag("noop_with_empty_axes")?;
    one(move |inputs| {
        let x = inputs.at(0)?;
        let along = along.read(inputs)?;
        let mut along = axes(along.as_deref().unwrap_or_default(), x.dim())?;
        along.sort_unstable();
        along.dedup();
        let along: Vec<i64> = match (along.is_empty(), nothing_if_empty) {
            (true, true) => return Ok(x.shallow_clone()),
            (true, false) => (0..x.dim() as i64).collect(),
            (false, _) => along.into_iter().map(|axis| axis as i64).collect(),
        };
        // libtorch takes no axes for all of them.
        if along.is_empty() { Ok(x.shallow_clone()) } else { Ok(reduction(x, &along, keep)?) }
    })
}

type Argument = fn(&Tensor, i64, bool) -> Result<Tensor, TchError>;

fn arg(node: &Node<'_>, argument: Argument) -> Result<Operation, String> {
    let along = node.attributes.int("axis", 0)?;
    let keep = node.attributes.int("keepdims", 1)? != 0;
    if node.attributes.flag("select_last_index")? {
        return Err("select_last_index is not supported".into());
    }
    one(move |inputs| {
        let x = inputs.at(0)?;
        Ok(argument(x, axis(along, x.dim())? as i64, keep)?)
    })
}

fn cumulative_sum(node: &Node<'_>) -> Result<Operation, String> {
    let (exclusive, reverse) = (node.attributes.flag("exclusive")?, node.attributes.flag("reverse")?);
    let along: Ints = node.ints(1)?;
    one(move |inputs| {
        let x = inputs.at(0)?;
        let along = along.get(inputs)?.first().copied().ok_or_else(|| fault("no axis"))?;
        let along = axis(along, x.dim())? as i64;
        let turned = if reverse { x.f_flip([along])? } else { x.shallow_clone() };
        let mut sums = turned.f_cumsum(along, x.kind())?;
        if exclusive {
            sums = sums.f_sub(&turned)?;
        }
        Ok(if reverse { sums.f_flip([along])? } else { sums })
    })
}
