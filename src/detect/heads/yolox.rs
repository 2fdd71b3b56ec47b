//! The head of YOLOX, and of YOLOv6's export, which has the same form: one box a cell, objectness times class.
//!
//! Source: Megvii-BaseDetection/YOLOX, `models/yolo_head.py` and `utils/demo_utils.py`, `demo_postprocess`.

use super::{Head, Output, Scale, Wanted, likeliest, push};
use crate::{detect::Detection, frame::ImageSize, geometry::BBox};

/// Box numbers before the classes: x, y, width, height, objectness.
const BOX_VALUES: usize = 5;

/// Sizes of the cells. Source: `YOLOXHead.strides`.
pub const STRIDES: [u32; 3] = [8, 16, 32];

/// The head.
#[derive(Clone, Debug, PartialEq)]
pub struct YoloxHead {
    /// What the network gives.
    pub form: YoloxForm,
    /// Sizes of the cells, from the first scale of the output.
    pub strides: Vec<u32>,
    /// Number of classes.
    pub classes: usize,
    /// The network's input.
    pub input: ImageSize,
}

/// How far the graph decodes; the output is (cells of all scales, 5 + classes) with probabilities either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YoloxForm {
    /// To the end: centre, width, height in pixels (`--decode_in_inference`, and YOLOv6).
    Decoded,
    /// Offsets from the cell in cells and logarithms of sizes in cells (the official releases).
    Offsets,
}

impl YoloxHead {
    fn bbox(&self, values: &[f32], corner: (f32, f32), stride: f32) -> BBox {
        match self.form {
            YoloxForm::Decoded => BBox::from_cxcywh(values[0], values[1], values[2], values[3]),
            YoloxForm::Offsets => BBox::from_cxcywh(
                (values[0] + corner.0) * stride,
                (values[1] + corner.1) * stride,
                values[2].exp() * stride,
                values[3].exp() * stride,
            ),
        }
    }
}

impl Head for YoloxHead {
    fn family(&self) -> &'static str {
        "yolox"
    }

    fn expected(&self) -> String {
        format!("({}, 5 + {})", super::cells(self.input, &self.strides), self.classes)
    }

    fn fits(&self, shapes: &[&[usize]]) -> bool {
        let cells = super::cells(self.input, &self.strides);
        matches!(shapes, [[boxes, numbers]] if *boxes == cells && *numbers == BOX_VALUES + self.classes)
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn decode(&self, outputs: &[Output<'_>], wanted: &Wanted, out: &mut Vec<Detection>) {
        let mut boxes = outputs[0].rows(BOX_VALUES + self.classes);
        for scale in Scale::all(self.input, &self.strides) {
            for (cell, values) in (0..scale.cells()).zip(&mut boxes) {
                // Written so that NaN passes over the box too.
                if values[4] >= wanted.min_score
                    && let Some((class, share)) =
                        likeliest(&wanted.classes, self.classes, |class| values[BOX_VALUES + class])
                {
                    let corner = ((cell % scale.columns) as f32, (cell / scale.columns) as f32);
                    let bbox = self.bbox(values, corner, scale.stride as f32);
                    push(bbox, class, values[4] * share, wanted, out);
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

    fn head(form: YoloxForm) -> YoloxHead {
        YoloxHead { form, strides: vec![16, 32], classes: 2, input: INPUT }
    }

    fn read(form: YoloxForm, boxes: [[f32; 7]; 3]) -> Vec<Detection> {
        let values = boxes.concat();
        let mut out = Vec::new();
        let wanted = Wanted { min_score: 0.4, classes: vec![ClassId(0), ClassId(1)] };
        head(form).read(&[Output::new(&[3, 7], &values).unwrap()], &wanted, &mut out);
        out
    }

    #[test]
    fn offsets_count_from_their_cell() {
        let nothing = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0];
        let found = [0.5, 0.25, 2f32.ln(), 0.0, 0.9, 0.1, 0.5];
        let got = read(YoloxForm::Offsets, [nothing, found, nothing]);
        let bbox = BBox::from_cxcywh(1.5 * 16.0, 0.25 * 16.0, 32.0, 16.0);
        assert_eq!(got, [Detection { bbox, class: ClassId(1), score: 0.45 }]);
        let got = read(YoloxForm::Offsets, [nothing, nothing, found]);
        assert_eq!(got[0].bbox, BBox::from_cxcywh(16.0, 8.0, 64.0, 32.0));
    }

    #[test]
    fn decoded_boxes_are_taken_as_they_are() {
        let nothing = [f32::NAN; 7];
        let got = read(YoloxForm::Decoded, [nothing, [20.0, 10.0, 8.0, 4.0, 1.0, 0.8, 0.1], nothing]);
        assert_eq!(got, [Detection { bbox: BBox::new(16.0, 8.0, 24.0, 12.0), class: ClassId(0), score: 0.8 }]);
    }

    #[test]
    fn any_outputs_give_sound_boxes() {
        hammer(&head(YoloxForm::Offsets), &[&[3, 7]]);
        hammer(&head(YoloxForm::Decoded), &[&[3, 7]]);
    }
}
