//! Heads: one file a family, each turns a network's raw outputs into boxes in network-input pixels.
//!
//! Pure: a head sees slices of numbers, never a tensor, a frame or a source pixel. Outputs are hostile until decoded:
//! a value that is not finite makes no detection and no panic. A head is made for one shape of outputs (`fits`), so that a
//! network that gives another is refused when it is loaded.

pub mod darknet;
pub mod end_to_end;
pub mod fastestdet;
#[cfg(test)]
mod fuzz;
pub mod nanodet;
mod output;
pub mod ssd;
pub mod torchvision;
pub mod yolov5;
pub mod yolov8;
pub mod yolox;

pub use output::{Order, Output};

use super::{ClassId, Detection};
use crate::{frame::ImageSize, geometry::BBox};
use std::fmt;

/// What is worth decoding: everything else is passed over as early as its scores allow.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Detections below are not made, 0..=1.
    pub min_score: f32,
    /// Classes to look for; a box is given the likeliest of these.
    pub classes: Vec<ClassId>,
}

/// How a family reads a network's outputs.
///
/// Shapes are those of one picture, without the batch: maps of cells come channels innermost (rows, columns, channels),
/// everything else as the network gives it.
pub trait Head: Send + Sync + fmt::Debug {
    /// The family's name, as in `models/zoo.yml`.
    fn family(&self) -> &'static str;
    /// The outputs it decodes, for people: `(3549, 5 + 80)`.
    fn expected(&self) -> String;
    /// Whether outputs of these shapes, in this order, are what it decodes.
    fn fits(&self, shapes: &[&[usize]]) -> bool;
    /// Number of classes, the background included.
    fn classes(&self) -> usize;
    /// The class that stands for nothing, if there is one.
    fn background(&self) -> Option<ClassId> {
        None
    }
    /// Whether one object may come as many boxes.
    fn duplicates(&self) -> Duplicates {
        Duplicates::Many
    }
    /// Appends the detections of one picture. May rely on `fits`; called through `read`.
    fn decode(&self, outputs: &[Output<'_>], wanted: &Wanted, out: &mut Vec<Detection>);

    /// Appends the detections of one picture, boxes in pixels of the network's input. Outputs of other shapes than the
    /// head's give nothing.
    fn read(&self, outputs: &[Output<'_>], wanted: &Wanted, out: &mut Vec<Detection>) {
        let shapes: Vec<&[usize]> = outputs.iter().map(|output| output.shape).collect();
        if self.fits(&shapes) {
            self.decode(outputs, wanted, out);
        }
    }
}

/// How often a network reports one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// Many times: non-maximum suppression has to follow.
    Many,
    /// Once: it was trained so, or suppression is part of it.
    None,
}

/// What a network gives for a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scores {
    /// Probabilities.
    Probability,
    /// Logits of independent classes.
    Logit,
}

impl Scores {
    /// The probability of a raw value.
    fn probability(self, raw: f32) -> f32 {
        match self {
            Self::Probability => raw,
            Self::Logit => sigmoid(raw),
        }
    }

    /// The raw value below which no probability reaches `min_score`.
    fn floor(self, min_score: f32) -> f32 {
        match self {
            Self::Probability => min_score,
            Self::Logit => logit(min_score),
        }
    }
}

/// A scale of a head without anchors: cells of `stride` × `stride` input pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scale {
    rows: usize,
    columns: usize,
    stride: u32,
}

impl Scale {
    /// The scales of an input, one a stride. A cell that is cut off counts.
    fn all(input: ImageSize, strides: &[u32]) -> Vec<Self> {
        let scale = |&stride: &u32| {
            let cells = |side: u32| side.div_ceil(stride.max(1)) as usize;
            Self { rows: cells(input.height), columns: cells(input.width), stride }
        };
        strides.iter().map(scale).collect()
    }

    fn cells(&self) -> usize {
        self.rows * self.columns
    }
}

/// Cells of all scales together.
pub(super) fn cells(input: ImageSize, strides: &[u32]) -> usize {
    Scale::all(input, strides).iter().map(Scale::cells).sum()
}

/// The wanted class of the highest value among the first `classes`; the first of equals; none if every value is NaN or no
/// class is wanted.
fn likeliest(wanted: &[ClassId], classes: usize, value: impl Fn(usize) -> f32) -> Option<(ClassId, f32)> {
    let mut best: Option<(ClassId, f32)> = None;
    for &class in wanted.iter().filter(|class| usize::from(class.0) < classes) {
        let value = value(usize::from(class.0));
        if !value.is_nan() && best.is_none_or(|(_, highest)| value > highest) {
            best = Some((class, value));
        }
    }
    best
}

/// Appends a detection if it is one: a sound box, a score that reaches what is wanted. Rounding above 1 is cut.
fn push(bbox: BBox, class: ClassId, score: f32, wanted: &Wanted, out: &mut Vec<Detection>) {
    if score >= wanted.min_score && score.is_finite() && bbox.is_sound() {
        out.push(Detection { bbox, class, score: score.clamp(0.0, 1.0) });
    }
}

/// The mean of a distribution over 0, 1, 2, … given as logits, as generalized focal loss trains it (Li et al. 2020, eq. 6).
/// NaN if a logit is, or if none is finite.
fn expectation(bins: impl Iterator<Item = f32> + Clone) -> f32 {
    let highest = bins.clone().fold(f32::NEG_INFINITY, f32::max);
    let (mut total, mut weighted) = (0.0, 0.0);
    for (bin, logit) in bins.enumerate() {
        let weight = (logit - highest).exp();
        total += weight;
        weighted += weight * bin as f32;
    }
    weighted / total
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_is_the_mean_bin() {
        let mean = |bins: &[f32]| expectation(bins.iter().copied());
        assert!((mean(&[0.0; 8]) - 3.5).abs() < 1e-6);
        assert!((mean(&[-100.0, -100.0, 100.0, -100.0]) - 2.0).abs() < 1e-6);
        assert!((mean(&[3f32.ln(), 0.0]) - 0.25).abs() < 1e-6);
        for bad in [&[f32::NAN, 1.0][..], &[f32::INFINITY, 0.0], &[f32::NEG_INFINITY; 2], &[]] {
            assert!(mean(bad).is_nan(), "{bad:?}");
        }
    }

    #[test]
    fn cut_off_cells_count() {
        let size = |width, height| ImageSize { width, height };
        assert_eq!(cells(size(416, 416), &[8, 16, 32]), 3549);
        assert_eq!(cells(size(640, 640), &[8, 16, 32]), 8400);
        assert_eq!(cells(size(300, 300), &[64]), 25);
    }

    #[test]
    fn the_likeliest_is_the_first_of_equals_and_no_nan() {
        let values = [f32::NAN, 0.5, 0.5, 0.9];
        let best = |classes: &[u16]| {
            let wanted: Vec<_> = classes.iter().map(|&class| ClassId(class)).collect();
            likeliest(&wanted, 4, |class| values[class]).map(|(class, _)| class.0)
        };
        assert_eq!((best(&[0, 1, 2]), best(&[2, 1]), best(&[0, 1, 2, 3])), (Some(1), Some(2), Some(3)));
        assert_eq!((best(&[0]), best(&[]), best(&[4])), (None, None, None));
    }
}
