//! The head of YOLOv5 and v7: anchors as in YOLOv3, but bounded sizes and centres, decoded in the graph or not.
//!
//! Source: ultralytics/yolov5, `models/yolo.py`, `Detect.forward`; WongKinYiu/yolov7, `models/yolo.py`, `IDetect`.

use super::{Head, Output, Scores, Wanted, darknet::Anchor, likeliest, push, sigmoid};
use crate::{detect::Detection, frame::ImageSize, geometry::BBox};

/// Box numbers before the classes: x, y, width, height, objectness.
const BOX_VALUES: usize = 5;

/// The anchors YOLOv5 was published with for 640 pixels, one list a scale. Source: `models/yolov5s.yaml`.
pub const V5_ANCHORS: [[f32; 6]; 3] = [
    [10.0, 13.0, 16.0, 30.0, 33.0, 23.0],
    [30.0, 61.0, 62.0, 45.0, 59.0, 119.0],
    [116.0, 90.0, 156.0, 198.0, 373.0, 326.0],
];

/// Those of YOLOv7. Source: `cfg/training/yolov7.yaml`.
pub const V7_ANCHORS: [[f32; 6]; 3] = [
    [12.0, 16.0, 19.0, 36.0, 40.0, 28.0],
    [36.0, 75.0, 76.0, 55.0, 72.0, 146.0],
    [142.0, 110.0, 192.0, 243.0, 459.0, 401.0],
];

/// The head.
#[derive(Clone, Debug, PartialEq)]
pub struct Yolov5Head {
    /// What the network gives.
    pub form: Yolov5Form,
    /// Number of classes.
    pub classes: usize,
    /// The network's input.
    pub input: ImageSize,
}

/// How far the graph decodes.
#[derive(Clone, Debug, PartialEq)]
pub enum Yolov5Form {
    /// To the end: one output (boxes, 5 + classes): centre, width, height in pixels, objectness, classes as probabilities.
    Decoded,
    /// Not at all: logits, one output a scale, (anchors, rows, columns, 5 + classes) or as a map (rows, columns, anchors ×
    /// (5 + classes)). Here are the anchors of each scale.
    Maps(Vec<Vec<Anchor>>),
}

/// Anchors of a scale from pairs of width and height.
pub fn anchors(pairs: &[f32]) -> Vec<Anchor> {
    pairs.chunks_exact(2).map(|pair| Anchor { width_px: pair[0], height_px: pair[1] }).collect()
}

impl Yolov5Head {
    fn numbers(&self) -> usize {
        BOX_VALUES + self.classes
    }

    /// Rows and columns of a scale's output; `None` where it has another shape.
    fn grid(&self, shape: &[usize], anchors: usize) -> Option<(usize, usize)> {
        match *shape {
            [count, rows, columns, numbers] if count == anchors && numbers == self.numbers() => Some((rows, columns)),
            [rows, columns, channels] if channels == anchors * self.numbers() => Some((rows, columns)),
            _ => None,
        }
    }

    fn decode_decoded(&self, output: &Output<'_>, wanted: &Wanted, out: &mut Vec<Detection>) {
        for values in output.rows(self.numbers()) {
            // Written so that NaN passes over the box too.
            if values[4] >= wanted.min_score
                && let Some((class, share)) =
                    likeliest(&wanted.classes, self.classes, |class| values[BOX_VALUES + class])
            {
                let bbox = BBox::from_cxcywh(values[0], values[1], values[2], values[3]);
                push(bbox, class, values[4] * share, wanted, out);
            }
        }
    }

    fn decode_map(&self, output: &Output<'_>, anchors: &[Anchor], wanted: &Wanted, out: &mut Vec<Detection>) {
        let Some((rows, columns)) = self.grid(output.shape, anchors.len()) else { return };
        let cell = (self.input.width as f32 / columns as f32, self.input.height as f32 / rows as f32);
        let floor = Scores::Logit.floor(wanted.min_score);
        for (index, values) in output.rows(self.numbers()).enumerate() {
            if values[4].is_nan() || values[4] < floor {
                continue;
            }
            let Some((class, logit)) = likeliest(&wanted.classes, self.classes, |class| values[BOX_VALUES + class])
            else {
                continue;
            };
            let (anchor, position) = if output.shape.len() == 4 {
                (index / (rows * columns), index % (rows * columns))
            } else {
                (index % anchors.len(), index / anchors.len())
            };
            let corner = ((position % columns) as f32, (position / columns) as f32);
            let bbox = bbox(values, anchors[anchor], corner, cell);
            push(bbox, class, sigmoid(values[4]) * sigmoid(logit), wanted, out);
        }
    }
}

/// Centre up to half a cell beyond its own, sides up to four times the anchor's.
fn bbox(values: &[f32], anchor: Anchor, corner: (f32, f32), cell: (f32, f32)) -> BBox {
    let along = |raw: f32| 2.0 * sigmoid(raw) - 0.5;
    let times = |raw: f32| (2.0 * sigmoid(raw)).powi(2);
    BBox::from_cxcywh(
        (corner.0 + along(values[0])) * cell.0,
        (corner.1 + along(values[1])) * cell.1,
        anchor.width_px * times(values[2]),
        anchor.height_px * times(values[3]),
    )
}

impl Head for Yolov5Head {
    fn family(&self) -> &'static str {
        "yolov5"
    }

    fn expected(&self) -> String {
        let classes = self.classes;
        match &self.form {
            Yolov5Form::Decoded => format!("(boxes, 5 + {classes})"),
            Yolov5Form::Maps(anchors) => format!(
                "{} maps, each (anchors, rows, columns, 5 + {classes}) or (rows, columns, anchors * (5 + {classes}))",
                anchors.len()
            ),
        }
    }

    fn fits(&self, shapes: &[&[usize]]) -> bool {
        match &self.form {
            Yolov5Form::Decoded => matches!(shapes, [[_, numbers]] if *numbers == self.numbers()),
            Yolov5Form::Maps(anchors) => {
                let mut pairs = anchors.iter().zip(shapes);
                anchors.len() == shapes.len()
                    && pairs.all(|(anchors, shape)| !anchors.is_empty() && self.grid(shape, anchors.len()).is_some())
            }
        }
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn decode(&self, outputs: &[Output<'_>], wanted: &Wanted, out: &mut Vec<Detection>) {
        match &self.form {
            Yolov5Form::Decoded => self.decode_decoded(&outputs[0], wanted, out),
            Yolov5Form::Maps(anchors) => {
                for (output, anchors) in outputs.iter().zip(anchors) {
                    self.decode_map(output, anchors, wanted, out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fuzz::hammer, *};
    use crate::detect::ClassId;

    const INPUT: ImageSize = ImageSize { width: 64, height: 32 };

    fn head(form: Yolov5Form) -> Yolov5Head {
        Yolov5Head { form, classes: 2, input: INPUT }
    }

    fn maps() -> Yolov5Form {
        Yolov5Form::Maps(vec![anchors(&[10.0, 20.0, 30.0, 40.0])])
    }

    fn read(head: &Yolov5Head, shape: &[usize], values: &[f32], min_score: f32) -> Vec<Detection> {
        let mut out = Vec::new();
        let wanted = Wanted { min_score, classes: vec![ClassId(0), ClassId(1)] };
        head.read(&[Output::new(shape, values).unwrap()], &wanted, &mut out);
        out
    }

    #[test]
    fn decoded_boxes_are_taken_as_they_are() {
        let values = [
            [20.0, 10.0, 8.0, 4.0, 0.9, 0.2, 0.8],
            [20.0, 10.0, 8.0, 4.0, 0.3, 1.0, 0.0],
            [20.0, 10.0, -8.0, 4.0, 0.9, 1.0, 0.0],
            [f32::NAN, 10.0, 8.0, 4.0, 0.9, 1.0, 0.0],
        ]
        .concat();
        let got = read(&head(Yolov5Form::Decoded), &[4, 7], &values, 0.5);
        let bbox = BBox::new(16.0, 8.0, 24.0, 12.0);
        assert_eq!(got, [Detection { bbox, class: ClassId(1), score: 0.9 * 0.8 }]);
    }

    /// The same cell as a map of anchors outermost and as one of channels innermost.
    #[test]
    fn both_layouts_of_a_map_decode_alike() {
        // Grid of 1 row, 2 columns, cells of 32x32. Anchor 1 of the second column: zeros give the cell's centre and the
        // anchor's size.
        let nothing = [0.0, 0.0, 0.0, 0.0, -20.0, 0.0, 0.0];
        let found = [0.0, 0.0, 0.0, 0.0, 30.0, -5.0, 30.0];
        let outer = [nothing, nothing, nothing, found].concat();
        let inner = [nothing, nothing, nothing, found].concat();
        let expected = Detection { bbox: BBox::from_cxcywh(48.0, 16.0, 30.0, 40.0), class: ClassId(1), score: 1.0 };
        assert_eq!(read(&head(maps()), &[2, 1, 2, 7], &outer, 0.5), [expected]);
        assert_eq!(read(&head(maps()), &[1, 2, 14], &inner, 0.5), [expected]);
        // Anchor 1 of the first column, where the two layouts differ.
        let expected = Detection { bbox: BBox::from_cxcywh(16.0, 16.0, 30.0, 40.0), ..expected };
        let outer = [nothing, nothing, found, nothing].concat();
        let inner = [nothing, found, nothing, nothing].concat();
        assert_eq!(read(&head(maps()), &[2, 1, 2, 7], &outer, 0.5), [expected]);
        assert_eq!(read(&head(maps()), &[1, 2, 14], &inner, 0.5), [expected]);
    }

    #[test]
    fn a_box_is_at_most_four_anchors_and_half_a_cell_off() {
        let far = [[30.0, -30.0, 30.0, -30.0, 30.0, 30.0, 0.0], [0.0; 7], [0.0; 7], [0.0; 7]].concat();
        let found = read(&head(maps()), &[2, 1, 2, 7], &far, 0.9);
        assert!(found.is_empty(), "a height of nothing is no box: {found:?}");
        let far = [[30.0, -30.0, 30.0, 30.0, 30.0, 30.0, 0.0], [0.0; 7], [0.0; 7], [0.0; 7]].concat();
        let bbox = read(&head(maps()), &[2, 1, 2, 7], &far, 0.9)[0].bbox;
        assert_eq!((bbox.center(), bbox.width(), bbox.height()), ((48.0, -16.0), 40.0, 80.0));
    }

    #[test]
    fn any_outputs_give_sound_boxes() {
        hammer(&head(Yolov5Form::Decoded), &[&[3, 7]]);
        hammer(&head(maps()), &[&[2, 1, 2, 7]]);
        hammer(
            &head(Yolov5Form::Maps(vec![anchors(&V5_ANCHORS[0]), anchors(&V7_ANCHORS[0])])),
            &[&[1, 1, 21], &[3, 1, 1, 7]],
        );
    }
}
