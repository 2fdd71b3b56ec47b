//! Heads: one file a family, each turns a network's raw output into boxes in network-input pixels.
//!
//! Pure: a head sees slices of numbers, never a tensor, a frame or a source pixel. Outputs are hostile until decoded:
//! a value that is not finite makes no detection and no panic.

pub mod darknet;

use super::ClassId;

/// What is worth decoding: everything else is passed over as early as its scores allow.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Detections below are not made, 0..=1.
    pub min_score: f32,
    /// Classes to look for; a box is given the likeliest of these.
    pub classes: Vec<ClassId>,
}

/// The logit below which a sigmoid is below `probability`; minus infinity for 0.
fn logit(probability: f32) -> f32 {
    // A probability of 1 has an infinite logit, yet a sigmoid rounds to 1 from about 17 on.
    let below_one = probability.clamp(0.0, 1.0 - f32::EPSILON);
    (below_one / (1.0 - below_one)).ln()
}

/// The logistic function, 0..=1; NaN for NaN.
fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}
