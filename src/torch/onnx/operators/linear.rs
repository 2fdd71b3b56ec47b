//! Products of matrices.

use super::{Node, Operation, Table, bounded, broadcast, fault, one};
use crate::torch::runtime::TorchError;
use tch::Tensor;

pub(super) const TABLE: Table = &[("MatMul", matmul), ("Gemm", gemm), ("Einsum", einsum)];

fn matmul(_: &Node<'_>) -> Result<Operation, String> {
    one(|inputs| {
        let (a, b) = (inputs.at(0)?, inputs.at(1)?);
        bounded(&product_shape(&a.size(), &b.size())?)?;
        Ok(a.f_matmul(b)?)
    })
}

/// At least as many values as the product of two stacks of matrices has.
fn product_shape(a: &[i64], b: &[i64]) -> Result<Vec<i64>, TorchError> {
    let stack = |shape: &[i64]| shape[..shape.len().saturating_sub(2)].to_vec();
    let mut shape = broadcast(&stack(a), &stack(b))?;
    shape.extend(a.len().checked_sub(2).map(|row| a[row]));
    shape.extend((b.len() >= 2).then(|| b[b.len() - 1]));
    Ok(shape)
}

fn gemm(node: &Node<'_>) -> Result<Operation, String> {
    let attributes = &node.attributes;
    let (alpha, beta) = (attributes.float("alpha", 1.0)?, attributes.float("beta", 1.0)?);
    let (turn_a, turn_b) = (attributes.flag("transA")?, attributes.flag("transB")?);
    one(move |inputs| {
        let (a, b) = (inputs.at(0)?, inputs.at(1)?);
        if a.dim() != 2 || b.dim() != 2 {
            return Err(fault(format!("a product of shapes {:?} and {:?}", a.size(), b.size())));
        }
        let a = if turn_a { a.f_transpose(0, 1)? } else { a.shallow_clone() };
        let b = if turn_b { b.f_transpose(0, 1)? } else { b.shallow_clone() };
        let shape = [a.size()[0], b.size()[1]];
        bounded(&shape)?;
        let product = match (inputs.optional(2), alpha == 1.0) {
            (Some(c), true) if beta == 1.0 => return Ok(c.f_addmm(&a, &b)?),
            (_, true) => a.f_matmul(&b)?,
            (_, false) => a.f_matmul(&b)?.f_mul_scalar(alpha)?,
        };
        match inputs.optional(2) {
            Some(c) => {
                bounded(&broadcast(&c.size(), &shape)?)?;
                Ok(product.f_add(&c.f_mul_scalar(beta)?)?)
            }
            None => Ok(product),
        }
    })
}

fn einsum(node: &Node<'_>) -> Result<Operation, String> {
    let equation = node.attributes.text("equation", "")?;
    one(move |inputs| {
        let operands = inputs.all()?;
        let sizes: Vec<i64> = operands.iter().map(|operand| operand.numel().max(1) as i64).collect();
        // No output has more values than all combinations of the inputs' values.
        bounded(&sizes).or_else(|_| bounded_einsum(&equation, &operands))?;
        Ok(Tensor::f_einsum(&equation, &operands, None::<i64>)?)
    })
}

/// The sizes an equation's output names.
fn bounded_einsum(equation: &str, operands: &[&Tensor]) -> Result<(), TorchError> {
    let Some((terms, output)) = equation.split_once("->") else {
        return Err(fault(format!("equation {equation:?} names no output")));
    };
    let size_of = |letter: char| {
        terms.split(',').zip(operands).find_map(|(term, operand)| {
            let index = term.trim().chars().position(|other| other == letter)?;
            operand.size().get(index).copied()
        })
    };
    let sizes = output.trim().chars().map(size_of).collect::<Option<Vec<_>>>();
    bounded(&sizes.ok_or_else(|| fault(format!("equation {equation:?} is too large to check")))?)
}
