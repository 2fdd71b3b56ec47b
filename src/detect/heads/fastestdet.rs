//! The head of FastestDet: one map of cells, one box a cell, objectness and class weighed against each other.
//!
//! Source: dog-qiuqiu/FastestDet, `module/detector.py` (what the export holds) and `utils/tool.py`, `handle_preds`.

use super::{Head, Output, Scale, Wanted, likeliest, push, sigmoid};
use crate::{detect::Detection, frame::ImageSize, geometry::BBox};

/// Numbers before the classes: objectness, x, y, width, height.
const BOX_VALUES: usize = 5;

/// Side of a cell. Source: the network has this one scale.
pub const STRIDE: u32 = 16;

/// Weight of the objectness and of the class in a score, as exponents. Source: `handle_preds`.
const WEIGHTS: (f32, f32) = (0.6, 0.4);

/// The head. The output is a map (rows, columns, 5 + classes): objectness and classes are probabilities, the box is raw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastestDetHead {
    /// Number of classes.
    pub classes: usize,
    /// The network's input.
    pub input: ImageSize,
}

impl FastestDetHead {
    fn scale(&self) -> Scale {
        Scale::all(self.input, &[STRIDE])[0]
    }
}

impl Head for FastestDetHead {
    fn family(&self) -> &'static str {
        "fastestdet"
    }

    fn expected(&self) -> String {
        let Scale { rows, columns, .. } = self.scale();
        format!("({rows}, {columns}, 5 + {})", self.classes)
    }

    fn fits(&self, shapes: &[&[usize]]) -> bool {
        let Scale { rows, columns, .. } = self.scale();
        matches!(shapes, [shape] if **shape == [rows, columns, BOX_VALUES + self.classes])
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn decode(&self, outputs: &[Output<'_>], wanted: &Wanted, out: &mut Vec<Detection>) {
        let Scale { columns, .. } = self.scale();
        let (across, down) = (self.input.width as f32, self.input.height as f32);
        let side = STRIDE as f32;
        for (cell, values) in outputs[0].rows(BOX_VALUES + self.classes).enumerate() {
            let Some((class, share)) = likeliest(&wanted.classes, self.classes, |class| values[BOX_VALUES + class])
            else {
                continue;
            };
            let score = values[0].powf(WEIGHTS.0) * share.powf(WEIGHTS.1);
            // Written so that NaN passes over the box too.
            if score >= wanted.min_score {
                let centre_x = ((cell % columns) as f32 + values[1].tanh()) * side;
                let centre_y = ((cell / columns) as f32 + values[2].tanh()) * side;
                let bbox =
                    BBox::from_cxcywh(centre_x, centre_y, sigmoid(values[3]) * across, sigmoid(values[4]) * down);
                push(bbox, class, score, wanted, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fuzz::hammer, *};
    use crate::detect::ClassId;

    /// 1 x 2 cells.
    const HEAD: FastestDetHead = FastestDetHead { classes: 2, input: ImageSize { width: 32, height: 16 } };

    #[test]
    fn a_box_counts_from_its_cell_and_is_a_share_of_the_picture() {
        let values = [[0.1, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0], [0.81, 0.5, -0.25, 0.0, -1.0, 0.2, 0.6]].concat();
        let mut out = Vec::new();
        let wanted = Wanted { min_score: 0.5, classes: vec![ClassId(0), ClassId(1)] };
        HEAD.read(&[Output::new(&[1, 2, 7], &values).unwrap()], &wanted, &mut out);
        let [found] = out[..] else { panic!("{out:?}") };
        let (x, y) = ((1.0 + 0.5f32.tanh()) * 16.0, -0.25f32.tanh() * 16.0);
        let expected = BBox::from_cxcywh(x, y, 16.0, 16.0 / (1.0 + 1f32.exp()));
        assert_eq!((found.bbox, found.class), (expected, ClassId(1)));
        assert!((found.score - 0.81f32.powf(0.6) * 0.6f32.powf(0.4)).abs() < 1e-6);
    }

    #[test]
    fn any_outputs_give_sound_boxes() {
        hammer(&HEAD, &[&[1, 2, 7]]);
    }
}
