//! The anchor-free heads since YOLOv8 (v8, v9, v11, v12, YOLO-NAS): a box and the classes, no objectness.
//!
//! The distances of a box's sides from its cell come as distributions (DFL); most exports decode them in the graph.
//! Source: ultralytics, `nn/modules/head.py`, `Detect`; super-gradients, `yolo_nas` export.

use super::{Head, Order, Output, Scores, Wanted, expectation, likeliest, push};
use crate::{detect::Detection, frame::ImageSize, geometry::BBox};

/// Bins of a distance. Source: `Detect.reg_max`.
pub const DFL_BINS: usize = 16;

/// The head.
#[derive(Clone, Debug, PartialEq)]
pub struct Yolov8Head {
    /// What the network gives.
    pub form: Yolov8Form,
    /// Number of classes.
    pub classes: usize,
    /// The network's input.
    pub input: ImageSize,
}

/// How far the graph decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yolov8Form {
    /// To the end: one output of boxes × (4 + classes + extra): centre, width, height in pixels, classes as probabilities.
    Decoded {
        /// Which way it lies; Ultralytics writes (4 + classes, boxes).
        order: Order,
        /// Numbers after the classes (masks, key points), which are passed over.
        extra: usize,
    },
    /// To the end, in two outputs: (boxes, 4) corners in pixels and (boxes, classes) probabilities.
    Corners,
    /// Not at all: one map a scale, (rows, columns, 4 × bins + classes) of logits.
    Maps {
        /// Number of scales.
        scales: usize,
        /// Values of a distribution.
        bins: usize,
    },
}

impl Yolov8Head {
    fn decode_decoded(
        &self,
        output: &Output<'_>,
        (order, extra): (Order, usize),
        wanted: &Wanted,
        out: &mut Vec<Detection>,
    ) {
        let (values, numbers) = (output.values(), 4 + self.classes + extra);
        let boxes = values.len() / numbers;
        let (number_stride, box_stride) = Output::strides(order, boxes, numbers);
        for index in 0..boxes {
            let at = |number: usize| values[index * box_stride + number * number_stride];
            if let Some((class, score)) = likeliest(&wanted.classes, self.classes, |class| at(4 + class))
                && score >= wanted.min_score
            {
                push(BBox::from_cxcywh(at(0), at(1), at(2), at(3)), class, score, wanted, out);
            }
        }
    }

    fn decode_map(&self, output: &Output<'_>, bins: usize, wanted: &Wanted, out: &mut Vec<Detection>) {
        let [rows, columns, channels] = *output.shape else { return };
        let cell = (self.input.width as f32 / columns as f32, self.input.height as f32 / rows as f32);
        let floor = Scores::Logit.floor(wanted.min_score);
        for (index, values) in output.rows(channels).enumerate() {
            let Some((class, logit)) = likeliest(&wanted.classes, self.classes, |class| values[4 * bins + class])
            else {
                continue;
            };
            if logit < floor {
                continue;
            }
            let center = ((index % columns) as f32 + 0.5, (index / columns) as f32 + 0.5);
            let bbox = bbox_from_distances(&values[..4 * bins], bins, center, cell);
            push(bbox, class, Scores::Logit.probability(logit), wanted, out);
        }
    }
}

/// The box whose sides lie a mean distance (left, top, right, bottom; cells) from `center` (cells).
fn bbox_from_distances(logits: &[f32], bins: usize, center: (f32, f32), cell: (f32, f32)) -> BBox {
    let distance = |side: usize| expectation(logits[side * bins..][..bins].iter().copied());
    BBox::new(
        (center.0 - distance(0)) * cell.0,
        (center.1 - distance(1)) * cell.1,
        (center.0 + distance(2)) * cell.0,
        (center.1 + distance(3)) * cell.1,
    )
}

impl Head for Yolov8Head {
    fn family(&self) -> &'static str {
        "yolov8"
    }

    fn expected(&self) -> String {
        let classes = self.classes;
        match self.form {
            Yolov8Form::Decoded { order: Order::BoxesInner, extra } => format!("(4 + {classes} + {extra}, boxes)"),
            Yolov8Form::Decoded { order: Order::BoxesOuter, extra } => format!("(boxes, 4 + {classes} + {extra})"),
            Yolov8Form::Corners => format!("(boxes, 4), (boxes, {classes})"),
            Yolov8Form::Maps { scales, bins } => format!("{scales} maps, each (rows, columns, 4 * {bins} + {classes})"),
        }
    }

    fn fits(&self, shapes: &[&[usize]]) -> bool {
        match self.form {
            Yolov8Form::Decoded { order, extra } => {
                let numbers = 4 + self.classes + extra;
                match (order, shapes) {
                    (Order::BoxesInner, [[got, _]]) | (Order::BoxesOuter, [[_, got]]) => *got == numbers,
                    _ => false,
                }
            }
            Yolov8Form::Corners => {
                matches!(shapes, [[boxes, 4], [scores, classes]] if boxes == scores && *classes == self.classes)
            }
            Yolov8Form::Maps { scales, bins } => {
                let is_map =
                    |shape: &&[usize]| matches!(**shape, [_, _, channels] if channels == 4 * bins + self.classes);
                shapes.len() == scales && bins > 0 && shapes.iter().all(is_map)
            }
        }
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn decode(&self, outputs: &[Output<'_>], wanted: &Wanted, out: &mut Vec<Detection>) {
        match self.form {
            Yolov8Form::Decoded { order, extra } => self.decode_decoded(&outputs[0], (order, extra), wanted, out),
            Yolov8Form::Corners => {
                for (corners, scores) in outputs[0].rows(4).zip(outputs[1].rows(self.classes)) {
                    if let Some((class, score)) = likeliest(&wanted.classes, self.classes, |class| scores[class]) {
                        push(BBox::new(corners[0], corners[1], corners[2], corners[3]), class, score, wanted, out);
                    }
                }
            }
            Yolov8Form::Maps { bins, .. } => {
                outputs.iter().for_each(|output| self.decode_map(output, bins, wanted, out));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fuzz::hammer, *};
    use crate::detect::ClassId;

    const INPUT: ImageSize = ImageSize { width: 64, height: 32 };

    fn head(form: Yolov8Form) -> Yolov8Head {
        Yolov8Head { form, classes: 2, input: INPUT }
    }

    fn decoded(order: Order, extra: usize) -> Yolov8Head {
        head(Yolov8Form::Decoded { order, extra })
    }

    fn read(head: &Yolov8Head, outputs: &[(&[usize], &[f32])]) -> Vec<Detection> {
        let outputs: Vec<_> = outputs.iter().map(|(shape, values)| Output::new(shape, values).unwrap()).collect();
        let mut out = Vec::new();
        head.read(&outputs, &Wanted { min_score: 0.5, classes: vec![ClassId(0), ClassId(1)] }, &mut out);
        out
    }

    #[test]
    fn both_orders_decode_alike() {
        let expected = [Detection { bbox: BBox::new(16.0, 8.0, 24.0, 12.0), class: ClassId(1), score: 0.75 }];
        let outer = [[20.0, 10.0, 8.0, 4.0, 0.25, 0.75], [1.0, 1.0, 1.0, 1.0, 0.1, f32::NAN]].concat();
        assert_eq!(read(&decoded(Order::BoxesOuter, 0), &[(&[2, 6], &outer)]), expected);
        let inner: Vec<f32> = (0..6).flat_map(|number| [outer[number], outer[6 + number]]).collect();
        assert_eq!(read(&decoded(Order::BoxesInner, 0), &[(&[6, 2], &inner)]), expected);
        let with_mask = [&outer[..6], &[9.0; 3]].concat();
        assert_eq!(read(&decoded(Order::BoxesOuter, 3), &[(&[1, 9], &with_mask)]), expected);
    }

    #[test]
    fn corners_and_scores_come_apart() {
        let got = read(
            &head(Yolov8Form::Corners),
            &[(&[2, 4], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]), (&[2, 2], &[0.1, 0.2, 0.9, 0.2])],
        );
        assert_eq!(got, [Detection { bbox: BBox::new(5.0, 6.0, 7.0, 8.0), class: ClassId(0), score: 0.9 }]);
    }

    #[test]
    fn a_map_decodes_to_mean_distances() {
        // One row, two columns of 32x32 cells, four bins; the second cell's sides are 0, 1, 2 and 3 cells away.
        let mut cell = vec![-50.0; 16];
        for (side, bin) in [0, 1, 2, 3].into_iter().enumerate() {
            cell[side * 4 + bin] = 50.0;
        }
        cell.extend([30.0, -30.0]);
        let values = [vec![-30.0; 18], cell].concat();
        let got = read(&head(Yolov8Form::Maps { scales: 1, bins: 4 }), &[(&[1, 2, 18], &values)]);
        let bbox = BBox::new(48.0, 16.0 - 32.0, 48.0 + 64.0, 16.0 + 96.0);
        assert_eq!(got, [Detection { bbox, class: ClassId(0), score: 1.0 }]);
    }

    #[test]
    fn any_outputs_give_sound_boxes() {
        hammer(&decoded(Order::BoxesInner, 0), &[&[6, 3]]);
        hammer(&decoded(Order::BoxesOuter, 2), &[&[3, 8]]);
        hammer(&head(Yolov8Form::Corners), &[&[3, 4], &[3, 2]]);
        hammer(&head(Yolov8Form::Maps { scales: 2, bins: 3 }), &[&[1, 2, 14], &[1, 1, 14]]);
    }
}
