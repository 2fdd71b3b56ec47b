//! Networks that report each object once: YOLOv10 and 26, RT-DETR and its kin. No suppression follows.
//!
//! Source: ultralytics, `nn/modules/head.py`, `v10Detect` and `RTDETRDecoder`; Zhao et al. 2024 (RT-DETR).

use super::{Duplicates, Head, Output, Scores, Wanted, likeliest, push};
use crate::{
    detect::{ClassId, Detection},
    frame::ImageSize,
    geometry::BBox,
};

/// The head.
#[derive(Clone, Debug, PartialEq)]
pub struct EndToEndHead {
    /// What the network gives.
    pub form: EndToEndForm,
    /// Number of classes.
    pub classes: usize,
    /// The network's input.
    pub input: ImageSize,
}

/// What the outputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndToEndForm {
    /// One output (boxes, 6): corners in pixels, score, class (YOLOv10, YOLO26).
    Rows,
    /// One output (queries, 6): centre, width, height as shares of the input, score, class (RT-DETR from Ultralytics since 8.4).
    ShareRows,
    /// Two outputs (queries, classes) and (queries, 4): centre, width, height as shares of the input (RT-DETR, RF-DETR).
    Queries(Scores),
    /// The same in one output (queries, 4 + classes), boxes first (RT-DETR from Ultralytics).
    JoinedQueries(Scores),
}

impl EndToEndHead {
    fn push_query(&self, shares: &[f32], values: &[f32], scores: Scores, wanted: &Wanted, out: &mut Vec<Detection>) {
        let Some((class, raw)) = likeliest(&wanted.classes, self.classes, |class| values[class]) else { return };
        if raw < scores.floor(wanted.min_score) {
            return;
        }
        push(self.bbox_from_shares(shares), class, scores.probability(raw), wanted, out);
    }

    fn bbox_from_shares(&self, shares: &[f32]) -> BBox {
        let (width, height) = (self.input.width as f32, self.input.height as f32);
        BBox::from_cxcywh(shares[0] * width, shares[1] * height, shares[2] * width, shares[3] * height)
    }
}

/// The class a float stands for; `None` where it stands for none.
pub(super) fn class_of(value: f32, classes: usize) -> Option<ClassId> {
    let is_class = value >= 0.0 && value < classes as f32 && value <= f32::from(u16::MAX);
    is_class.then(|| ClassId(value.round() as u16)).filter(|class| usize::from(class.0) < classes)
}

impl Head for EndToEndHead {
    fn family(&self) -> &'static str {
        "end_to_end"
    }

    fn expected(&self) -> String {
        let classes = self.classes;
        match self.form {
            EndToEndForm::Rows | EndToEndForm::ShareRows => "(boxes, 6)".into(),
            EndToEndForm::Queries(_) => format!("(queries, {classes}), (queries, 4)"),
            EndToEndForm::JoinedQueries(_) => format!("(queries, 4 + {classes})"),
        }
    }

    fn fits(&self, shapes: &[&[usize]]) -> bool {
        match (self.form, shapes) {
            (EndToEndForm::Rows | EndToEndForm::ShareRows, [[_, numbers]]) => *numbers == 6,
            (EndToEndForm::Queries(_), [[scores, classes], [boxes, 4]]) => scores == boxes && *classes == self.classes,
            (EndToEndForm::JoinedQueries(_), [[_, numbers]]) => *numbers == 4 + self.classes,
            _ => false,
        }
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn duplicates(&self) -> Duplicates {
        Duplicates::None
    }

    fn decode(&self, outputs: &[Output<'_>], wanted: &Wanted, out: &mut Vec<Detection>) {
        match self.form {
            EndToEndForm::Rows | EndToEndForm::ShareRows => {
                for row in outputs[0].rows(6) {
                    if let Some(class) = class_of(row[5], self.classes).filter(|class| wanted.classes.contains(class)) {
                        let bbox = match self.form {
                            EndToEndForm::ShareRows => self.bbox_from_shares(row),
                            _ => BBox::new(row[0], row[1], row[2], row[3]),
                        };
                        push(bbox, class, row[4], wanted, out);
                    }
                }
            }
            EndToEndForm::Queries(scores) => {
                for (values, shares) in outputs[0].rows(self.classes).zip(outputs[1].rows(4)) {
                    self.push_query(shares, values, scores, wanted, out);
                }
            }
            EndToEndForm::JoinedQueries(scores) => {
                for row in outputs[0].rows(4 + self.classes) {
                    self.push_query(&row[..4], &row[4..], scores, wanted, out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fuzz::hammer, *};

    const INPUT: ImageSize = ImageSize { width: 200, height: 100 };

    fn head(form: EndToEndForm) -> EndToEndHead {
        EndToEndHead { form, classes: 3, input: INPUT }
    }

    fn read(form: EndToEndForm, outputs: &[(&[usize], &[f32])]) -> Vec<Detection> {
        let outputs: Vec<_> = outputs.iter().map(|(shape, values)| Output::new(shape, values).unwrap()).collect();
        let mut out = Vec::new();
        head(form).read(&outputs, &Wanted { min_score: 0.5, classes: vec![ClassId(0), ClassId(2)] }, &mut out);
        out
    }

    #[test]
    fn rows_name_their_class() {
        let rows = [
            [1.0, 2.0, 3.0, 4.0, 0.9, 2.0],
            [1.0, 2.0, 3.0, 4.0, 0.9, 1.0],
            [1.0, 2.0, 3.0, 4.0, 0.9, 3.0],
            [1.0, 2.0, 3.0, 4.0, 0.9, -1.0],
            [1.0, 2.0, 3.0, 4.0, 0.9, f32::NAN],
            [1.0, 2.0, 3.0, 4.0, 0.4, 0.0],
            [3.0, 2.0, 1.0, 4.0, 0.9, 0.0],
        ];
        let got = read(EndToEndForm::Rows, &[(&[7, 6], &rows.concat())]);
        assert_eq!(got, [Detection { bbox: BBox::new(1.0, 2.0, 3.0, 4.0), class: ClassId(2), score: 0.9 }]);
    }

    #[test]
    fn queries_are_shares_of_the_input() {
        let shares = [0.5, 0.5, 0.1, 0.2];
        let expected = [Detection { bbox: BBox::new(90.0, 40.0, 110.0, 60.0), class: ClassId(2), score: 0.5 }];
        let logits = [-9.0, 9.0, 0.0];
        let scores = EndToEndForm::Queries(Scores::Logit);
        assert_eq!(read(scores, &[(&[1, 3], &logits), (&[1, 4], &shares)]), expected);
        let row = [0.5, 0.5, 0.1, 0.2, 0.5, 2.0];
        assert_eq!(read(EndToEndForm::ShareRows, &[(&[1, 6], &row)]), expected);
        let joined = [&shares[..], &[0.1, 0.9, 0.5]].concat();
        assert_eq!(read(EndToEndForm::JoinedQueries(Scores::Probability), &[(&[1, 7], &joined)]), expected);
    }

    #[test]
    fn any_outputs_give_sound_boxes() {
        hammer(&head(EndToEndForm::Rows), &[&[3, 6]]);
        hammer(&head(EndToEndForm::ShareRows), &[&[3, 6]]);
        hammer(&head(EndToEndForm::Queries(Scores::Logit)), &[&[3, 3], &[3, 4]]);
        hammer(&head(EndToEndForm::JoinedQueries(Scores::Probability)), &[&[3, 7]]);
    }
}
