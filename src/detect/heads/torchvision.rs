//! Lists of detections as torchvision's models give them for one picture (Faster R-CNN, RetinaNet, SSD): boxes, labels,
//! scores, already suppressed. How many there are changes from picture to picture, so pictures go through one by one. RT-DETR's
//! own export gives the same lists, as long for every picture and without a background.
//!
//! Source: pytorch/vision, `torchvision/models/detection`; lyuwenyu/RT-DETR, `rtdetr_postprocessor.py`.

use super::{Duplicates, Head, Output, Wanted, end_to_end::class_of, push};
use crate::{
    detect::{ClassId, Detection},
    geometry::BBox,
};

/// The head. Outputs: (detections, 4) corners in input pixels, (detections) labels, (detections) scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TorchvisionHead {
    /// Number of labels, the background included if there is one.
    pub classes: usize,
    /// Whether label 0 is the background.
    pub background: bool,
}

impl Head for TorchvisionHead {
    fn family(&self) -> &'static str {
        "torchvision"
    }

    fn expected(&self) -> String {
        "(detections, 4), (detections), (detections)".into()
    }

    fn fits(&self, shapes: &[&[usize]]) -> bool {
        matches!(shapes, [[boxes, 4], [labels], [scores]] if boxes == labels && labels == scores)
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn background(&self) -> Option<ClassId> {
        self.background.then_some(ClassId(0))
    }

    fn duplicates(&self) -> Duplicates {
        Duplicates::None
    }

    fn decode(&self, outputs: &[Output<'_>], wanted: &Wanted, out: &mut Vec<Detection>) {
        let (labels, scores) = (outputs[1].values(), outputs[2].values());
        for (corners, (label, score)) in outputs[0].rows(4).zip(labels.iter().zip(scores)) {
            if let Some(class) = class_of(*label, self.classes).filter(|class| wanted.classes.contains(class)) {
                push(BBox::new(corners[0], corners[1], corners[2], corners[3]), class, *score, wanted, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fuzz::hammer, *};

    #[test]
    fn lists_are_read_side_by_side() {
        let boxes = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 0.0, 0.0, 9.0, 9.0];
        let outputs = [
            Output::new(&[3, 4], &boxes).unwrap(),
            Output::new(&[3], &[1.0, 2.0, 0.0]).unwrap(),
            Output::new(&[3], &[0.3, 0.8, 0.9]).unwrap(),
        ];
        let mut out = Vec::new();
        let wanted = Wanted { min_score: 0.5, classes: vec![ClassId(1), ClassId(2)] };
        TorchvisionHead { classes: 3, background: true }.read(&outputs, &wanted, &mut out);
        assert_eq!(out, [Detection { bbox: BBox::new(5.0, 6.0, 7.0, 8.0), class: ClassId(2), score: 0.8 }]);
    }

    #[test]
    fn an_empty_list_fits() {
        assert!(TorchvisionHead { classes: 3, background: true }.fits(&[&[0, 4], &[0], &[0]]));
        assert!(!TorchvisionHead { classes: 3, background: true }.fits(&[&[1, 4], &[0], &[0]]));
    }

    #[test]
    fn any_outputs_give_sound_boxes() {
        hammer(&TorchvisionHead { classes: 3, background: true }, &[&[2, 4], &[2], &[2]]);
    }
}
