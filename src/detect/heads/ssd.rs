//! The head of SSD: prior boxes all over the picture, each moved and scaled, and a score a class, the background first.
//!
//! Source: Liu et al. 2016, section 2; tensorflow/models, `object_detection/box_coders/faster_rcnn_box_coder.py` and
//! `anchor_generators/multiple_grid_anchor_generator.py`.

use super::{Head, Output, Scores, Wanted, likeliest, push};
use crate::{
    detect::{ClassId, Detection},
    frame::ImageSize,
    geometry::BBox,
};

/// A prior box, shares of the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Centre, along the width.
    pub cx: f32,
    /// Centre, along the height.
    pub cy: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

/// The head.
#[derive(Clone, Debug, PartialEq)]
pub struct SsdHead {
    /// As many as the network has boxes.
    pub priors: Vec<Prior>,
    /// Factor of the centre's offset and of the size's logarithm. TensorFlow writes their inverse, 10 and 5.
    pub variances: (f32, f32),
    /// Order of a box's four offsets.
    pub offsets: Offsets,
    /// What the scores are.
    pub scores: SsdScores,
    /// Number of classes, the background (0) included.
    pub classes: usize,
    /// The network's input.
    pub input: ImageSize,
}

/// Order of the offsets of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offsets {
    /// y, x, height, width (TensorFlow).
    YxHw,
    /// x, y, width, height (Caffe, PyTorch).
    XyWh,
}

/// What the scores are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SsdScores {
    /// One number a class.
    Independent(Scores),
    /// Logits of which the classes and the background share a probability of 1.
    Softmax,
}

/// The factors SSD was trained with everywhere. Source: Liu et al.'s code, `prior_box` variance 0.1, 0.2.
pub const VARIANCES: (f32, f32) = (0.1, 0.2);

impl SsdHead {
    fn bbox(&self, raw: &[f32], prior: &Prior) -> BBox {
        let [x, y, width, height] = match self.offsets {
            Offsets::YxHw => [raw[1], raw[0], raw[3], raw[2]],
            Offsets::XyWh => [raw[0], raw[1], raw[2], raw[3]],
        };
        let (center, size) = self.variances;
        let (across, down) = (self.input.width as f32, self.input.height as f32);
        BBox::from_cxcywh(
            (x * center * prior.width + prior.cx) * across,
            (y * center * prior.height + prior.cy) * down,
            (width * size).exp() * prior.width * across,
            (height * size).exp() * prior.height * down,
        )
    }

    /// Probability of a class whose raw value is `raw` among `values`.
    fn probability(&self, raw: f32, values: &[f32]) -> f32 {
        match self.scores {
            SsdScores::Independent(scores) => scores.probability(raw),
            SsdScores::Softmax => {
                let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                (raw - highest).exp() / values.iter().map(|value| (value - highest).exp()).sum::<f32>()
            }
        }
    }
}

impl Head for SsdHead {
    fn family(&self) -> &'static str {
        "ssd"
    }

    fn expected(&self) -> String {
        format!("({0}, 4), ({0}, {1})", self.priors.len(), self.classes)
    }

    fn fits(&self, shapes: &[&[usize]]) -> bool {
        let priors = self.priors.len();
        // Caffe's networks give both flat.
        let holds = |shape: &[usize], numbers| {
            matches!(*shape, [boxes, n] if boxes == priors && n == numbers)
                || matches!(*shape, [all] if all == priors * numbers)
        };
        matches!(shapes, [boxes, scores] if holds(boxes, 4) && holds(scores, self.classes))
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn background(&self) -> Option<ClassId> {
        Some(ClassId(0))
    }

    fn decode(&self, outputs: &[Output<'_>], wanted: &Wanted, out: &mut Vec<Detection>) {
        let boxes = outputs[0].rows(4).zip(outputs[1].rows(self.classes));
        for ((raw, values), prior) in boxes.zip(&self.priors) {
            let Some((class, value)) = likeliest(&wanted.classes, self.classes, |class| values[class]) else {
                continue;
            };
            let score = self.probability(value, values);
            if score >= wanted.min_score {
                push(self.bbox(raw, prior), class, score, wanted, out);
            }
        }
    }
}

/// The priors of TensorFlow's SSD with MobileNet: six maps, the first with three boxes a cell, the others with six.
///
/// `maps`: rows and columns of each. Scales run from 0.2 to 0.95. Source: `create_ssd_anchors` with
/// `reduce_boxes_in_lowest_layer`.
pub fn tensorflow_priors(maps: &[usize]) -> Vec<Prior> {
    const LEAST: f32 = 0.2;
    const MOST: f32 = 0.95;
    let step = |index: usize| LEAST + (MOST - LEAST) * index as f32 / (maps.len().max(2) - 1) as f32;
    let mut priors = Vec::new();
    for (index, &cells) in maps.iter().enumerate() {
        let (scale, next) = (step(index), if index + 1 < maps.len() { step(index + 1) } else { 1.0 });
        let boxes: Vec<(f32, f32)> = if index == 0 {
            vec![(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        } else {
            let ratios = [1.0, 2.0, 0.5, 3.0, 0.3333].map(|ratio| (scale, ratio));
            ratios.into_iter().chain([((scale * next).sqrt(), 1.0)]).collect()
        };
        for cell in 0..cells * cells {
            let center = |at: usize| (at as f32 + 0.5) / cells as f32;
            let (cx, cy) = (center(cell % cells), center(cell / cells));
            priors.extend(boxes.iter().map(|(scale, ratio): &(f32, f32)| {
                let root = ratio.sqrt();
                Prior { cx, cy, width: scale * root, height: scale / root }
            }));
        }
    }
    priors
}

/// Priors from text: a heading, then y, x, height, width of one prior a line, shares of the input.
///
/// Errors: the line and what is wrong with it.
pub fn priors_from_csv(text: &str) -> Result<Vec<Prior>, String> {
    let prior = |(index, line): (usize, &str)| {
        let numbers: Result<Vec<f32>, _> = line.split(',').map(|field| field.trim().parse::<f32>()).collect();
        match numbers.as_deref() {
            Ok(&[cy, cx, height, width]) if [cy, cx, height, width].iter().all(|value| value.is_finite()) => {
                Ok(Prior { cx, cy, width, height })
            }
            _ => Err(format!("line {}: {line:?}, expected y_center,x_center,height,width", index + 1)),
        }
    };
    let lines = text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty());
    lines.map(prior).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::fuzz::hammer, *};

    const INPUT: ImageSize = ImageSize { width: 200, height: 100 };

    fn head(offsets: Offsets, scores: SsdScores) -> SsdHead {
        let prior = Prior { cx: 0.5, cy: 0.5, width: 0.1, height: 0.2 };
        let priors = vec![prior, Prior { cx: 0.25, ..prior }];
        SsdHead { priors, variances: VARIANCES, offsets, scores, classes: 3, input: INPUT }
    }

    fn read(head: &SsdHead, raw: [f32; 8], values: [f32; 6]) -> Vec<Detection> {
        let outputs = [Output::new(&[2, 4], &raw).unwrap(), Output::new(&[2, 3], &values).unwrap()];
        let mut out = Vec::new();
        head.read(&outputs, &Wanted { min_score: 0.5, classes: vec![ClassId(1), ClassId(2)] }, &mut out);
        out
    }

    const PROBABILITY: SsdScores = SsdScores::Independent(Scores::Probability);

    #[test]
    fn offsets_move_and_scale_the_prior() {
        let nothing = [0.0; 4];
        let scores = [0.0, 0.0, 0.0, 0.9, 0.1, 0.8];
        // Half a prior to the right, a whole one down; twice as wide.
        let (x, y, wider) = (5.0, 10.0, 2f32.ln() / 0.2);
        let expected = BBox::from_cxcywh(0.25 * 200.0 + 10.0, 50.0 + 20.0, 40.0, 20.0);
        for (offsets, raw) in [(Offsets::XyWh, [x, y, wider, 0.0]), (Offsets::YxHw, [y, x, 0.0, wider])] {
            let raw: [f32; 8] = std::array::from_fn(|i| if i < 4 { nothing[i] } else { raw[i - 4] });
            let got = read(&head(offsets, PROBABILITY), raw, scores);
            assert_eq!((got.len(), got[0].class, got[0].score), (1, ClassId(2), 0.8));
            let corners = |b: BBox| [b.left, b.top, b.right, b.bottom];
            let pairs = corners(got[0].bbox).into_iter().zip(corners(expected));
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-3), "{got:?}, expected {expected:?}");
        }
    }

    #[test]
    fn scores_are_shared_or_independent() {
        let values = [0.0, 3f32.ln(), 0.0, 0.0, -20.0, -20.0];
        let score = |scores| read(&head(Offsets::XyWh, scores), [0.0; 8], values)[0].score;
        assert!((score(SsdScores::Softmax) - 0.6).abs() < 1e-6);
        assert!((score(SsdScores::Independent(Scores::Logit)) - 0.75).abs() < 1e-6);
    }

    #[test]
    fn generated_priors_are_tensorflows() {
        let priors = tensorflow_priors(&[19, 10, 5, 3, 2, 1]);
        assert_eq!(priors.len(), 1917);
        // From the model coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.
        let expected = [
            (1, (0.025_812_24, 0.025_812_24, 0.141_967_33, 0.283_934_65)),
            (1083, (0.051_624_48, 0.051_624_48, 0.348_465_26, 0.348_465_26)),
            (1087, (0.051_624_48, 0.051_624_48, 0.606_587_7, 0.200_044_87)),
        ];
        for (index, (cy, cx, height, width)) in expected {
            let got = priors[index];
            // The file is quantized to 1/100.
            for (a, b) in [(got.cy, cy), (got.cx, cx), (got.height, height), (got.width, width)] {
                assert!((a - b).abs() < 0.012, "{index}: {got:?}");
            }
        }
    }

    #[test]
    fn priors_are_read_with_their_faults() {
        let prior = Prior { cy: 0.1, cx: 0.2, height: 0.3, width: 0.4 };
        assert_eq!(priors_from_csv("y,x,h,w\n0.1,0.2,0.3,0.4\n\n"), Ok(vec![prior]));
        for bad in ["1,2,3", "1,2,3,x", "1,2,3,NaN", "1,2,3,4,5"] {
            let error = priors_from_csv(&format!("y,x,h,w\n{bad}\n")).unwrap_err();
            assert!(error.starts_with("line 2: "), "{error}");
        }
    }

    #[test]
    fn any_outputs_give_sound_boxes() {
        for scores in [PROBABILITY, SsdScores::Independent(Scores::Logit), SsdScores::Softmax] {
            hammer(&head(Offsets::YxHw, scores), &[&[2, 4], &[2, 3]]);
        }
    }
}
