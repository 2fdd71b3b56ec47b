//! When a network is FastestDet: its one output is a map of cells of 16 pixels with probabilities around a raw box.

use super::{Choice, Facts, choice};
use crate::detect::heads::{
    Head,
    fastestdet::{FastestDetHead, STRIDE},
};

pub(super) fn fastestdet(facts: &Facts<'_>) -> Option<Choice> {
    let [output] = facts.outputs else { return None };
    let [_, _, numbers] = *output.shape else { return None };
    let classes = numbers.checked_sub(5).filter(|&classes| facts.is_classes(classes))?;
    let is_share = |value: &f32| (0.0..=1.0).contains(value);
    let are_shares = |row: &[f32]| is_share(&row[0]) && row[5..].iter().all(is_share);
    let head = FastestDetHead { classes, input: facts.input };
    if !head.fits(&[output.shape]) || !output.values().chunks_exact(numbers).all(are_shares) {
        return None;
    }
    let reason = format!("one map of 5 + {classes} numbers a cell of {STRIDE} pixels, probabilities but for the box");
    choice(head, vec![0], reason)
}
