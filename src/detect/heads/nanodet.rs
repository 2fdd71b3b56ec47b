//! The head of NanoDet and NanoDet-Plus: one box a cell, its sides as distributions (generalized focal loss).
//!
//! Source: RangiLyu/nanodet, `nanodet/model/head/gfl_head.py` and `nanodet_plus_head.py`.

use super::{Head, Output, Scale, Wanted, expectation, likeliest, push};
use crate::{detect::Detection, frame::ImageSize, geometry::BBox};

/// The head.
#[derive(Clone, Debug, PartialEq)]
pub struct NanodetHead {
    /// What the network gives; classes are probabilities.
    pub form: NanodetForm,
    /// Sizes of the cells, from the first scale of the output.
    pub strides: Vec<u32>,
    /// Values of a side's distribution: the training's `reg_max` + 1.
    pub bins: usize,
    /// Where in its cell a box's centre counts from, share of the cell: 0.5 for NanoDet-m, 0 for NanoDet-Plus.
    pub center: f32,
    /// Number of classes.
    pub classes: usize,
    /// The network's input.
    pub input: ImageSize,
}

/// How classes and sides come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NanodetForm {
    /// One output (cells of all scales, classes + 4 × bins).
    Joined,
    /// For each scale an output (cells, classes), then for each scale one (cells, 4 × bins).
    Split,
}

impl NanodetHead {
    fn decode_scale<'a>(
        &self,
        scale: Scale,
        boxes: impl Iterator<Item = (&'a [f32], &'a [f32])>,
        wanted: &Wanted,
        out: &mut Vec<Detection>,
    ) {
        let stride = scale.stride as f32;
        for (cell, (scores, sides)) in boxes.enumerate() {
            let best = likeliest(&wanted.classes, self.classes, |class| scores[class]);
            let Some((class, score)) = best.filter(|(_, score)| *score >= wanted.min_score) else { continue };
            let distance = |side: usize| stride * expectation(sides[side * self.bins..][..self.bins].iter().copied());
            let center = |index: usize| (index as f32 + self.center) * stride;
            let (x, y) = (center(cell % scale.columns), center(cell / scale.columns));
            let bbox = BBox::new(x - distance(0), y - distance(1), x + distance(2), y + distance(3));
            push(bbox, class, score, wanted, out);
        }
    }

    fn numbers(&self) -> usize {
        self.classes + 4 * self.bins
    }
}

impl Head for NanodetHead {
    fn family(&self) -> &'static str {
        "nanodet"
    }

    fn expected(&self) -> String {
        let (classes, bins) = (self.classes, self.bins);
        match self.form {
            NanodetForm::Joined => {
                format!("({}, {classes} + 4 * {bins})", super::cells(self.input, &self.strides))
            }
            NanodetForm::Split => {
                let scales = Scale::all(self.input, &self.strides);
                let part = |numbers: String| scales.iter().map(move |scale| format!("({}, {numbers})", scale.cells()));
                let parts: Vec<_> = part(classes.to_string()).chain(part(format!("4 * {bins}"))).collect();
                parts.join(", ")
            }
        }
    }

    fn fits(&self, shapes: &[&[usize]]) -> bool {
        let scales = Scale::all(self.input, &self.strides);
        self.bins > 0
            && match self.form {
                NanodetForm::Joined => {
                    let cells: usize = scales.iter().map(Scale::cells).sum();
                    matches!(shapes, [[boxes, numbers]] if *boxes == cells && *numbers == self.numbers())
                }
                NanodetForm::Split => {
                    let part = |numbers: usize| scales.iter().map(move |scale| [scale.cells(), numbers]);
                    let expected: Vec<_> = part(self.classes).chain(part(4 * self.bins)).collect();
                    expected.len() == shapes.len() && expected.iter().zip(shapes).all(|(a, b)| *a == **b)
                }
            }
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn decode(&self, outputs: &[Output<'_>], wanted: &Wanted, out: &mut Vec<Detection>) {
        let scales = Scale::all(self.input, &self.strides);
        match self.form {
            NanodetForm::Joined => {
                let mut boxes = outputs[0].rows(self.numbers()).map(|values| values.split_at(self.classes));
                for scale in scales {
                    self.decode_scale(scale, boxes.by_ref().take(scale.cells()), wanted, out);
                }
            }
            NanodetForm::Split => {
                let (scores, sides) = outputs.split_at(scales.len());
                for (scale, (scores, sides)) in scales.into_iter().zip(scores.iter().zip(sides)) {
                    let boxes = scores.rows(self.classes).zip(sides.rows(4 * self.bins));
                    self.decode_scale(scale, boxes, wanted, out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fuzz::hammer, *};
    use crate::detect::ClassId;

    /// 2 + 1 cells.
    const INPUT: ImageSize = ImageSize { width: 32, height: 16 };

    fn head(form: NanodetForm, center: f32) -> NanodetHead {
        NanodetHead { form, strides: vec![16, 32], bins: 3, center, classes: 2, input: INPUT }
    }

    /// Sides 0, 1, 2 and 1.5 cells away.
    const SIDES: [f32; 12] = [50.0, 0.0, 0.0, 0.0, 50.0, 0.0, 0.0, 0.0, 50.0, -50.0, 50.0, 50.0];

    fn wanted() -> Wanted {
        Wanted { min_score: 0.5, classes: vec![ClassId(0), ClassId(1)] }
    }

    #[test]
    fn sides_are_mean_distances_from_the_cell() {
        let nothing = [0.0; 14];
        let found = [&[0.1, 0.75][..], &SIDES].concat();
        let values = [&nothing[..], &found, &nothing].concat();
        for (center, (x, y)) in [(0.5, (24.0, 8.0)), (0.0, (16.0, 0.0))] {
            let mut out = Vec::new();
            head(NanodetForm::Joined, center).read(&[Output::new(&[3, 14], &values).unwrap()], &wanted(), &mut out);
            let bbox = BBox::new(x, y - 16.0, x + 32.0, y + 24.0);
            assert_eq!(out, [Detection { bbox, class: ClassId(1), score: 0.75 }]);
        }
    }

    #[test]
    fn split_outputs_belong_together_by_scale() {
        let (scores_16, scores_32) = ([0.0; 4], [0.9, 0.0]);
        let (sides_16, sides_32) = ([0.0; 24], SIDES);
        let shapes: [&[usize]; 4] = [&[2, 2], &[1, 2], &[2, 12], &[1, 12]];
        let values: [&[f32]; 4] = [&scores_16, &scores_32, &sides_16, &sides_32];
        let outputs: Vec<_> = shapes.iter().zip(values).map(|(shape, v)| Output::new(shape, v).unwrap()).collect();
        let mut out = Vec::new();
        head(NanodetForm::Split, 0.5).read(&outputs, &wanted(), &mut out);
        let bbox = BBox::new(16.0, 16.0 - 32.0, 16.0 + 64.0, 16.0 + 48.0);
        assert_eq!(out, [Detection { bbox, class: ClassId(0), score: 0.9 }]);
    }

    #[test]
    fn any_outputs_give_sound_boxes() {
        hammer(&head(NanodetForm::Joined, 0.5), &[&[3, 14]]);
        hammer(&head(NanodetForm::Split, 0.0), &[&[2, 2], &[1, 2], &[2, 12], &[1, 12]]);
    }
}
