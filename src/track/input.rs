//! What of a detector's list a tracker may believe: sound boxes of finite size and a score.

use crate::{
    detect::{ClassId, Detection},
    geometry::BBox,
};

/// Corners further out are taken for garbage, pixels. Keeps areas and their sums finite in f32.
const MAX_COORDINATE_PX: f32 = 1e6;

/// A detection that passed the checks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Place in the frame's list.
    pub index: usize,
    pub bbox: BBox,
    pub class: ClassId,
    /// 0..=1.
    pub score: f32,
}

/// Clears `out` and fills it with the usable detections of at least `min_score`, in order.
///
/// Dropped: boxes with a corner that is not finite or absurdly far out, boxes without area, scores that are NaN.
/// Scores outside 0..=1 are clamped.
pub(super) fn collect_usable(detections: &[Detection], min_score: f32, out: &mut Vec<Candidate>) {
    out.clear();
    out.extend(detections.iter().enumerate().filter_map(|(index, detection)| {
        let bbox = detection.bbox;
        let corners = [bbox.left, bbox.top, bbox.right, bbox.bottom];
        let near = corners.iter().all(|v| v.abs() <= MAX_COORDINATE_PX);
        let score = detection.score.clamp(0.0, 1.0);
        let usable = bbox.is_sound() && near && bbox.area() > 0.0 && score >= min_score;
        usable.then_some(Candidate { index, bbox, class: detection.class, score })
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sound_boxes_with_a_score_pass() {
        let good = BBox::new(1.0, 1.0, 5.0, 9.0);
        let tiny = 1e-30;
        let cases = [
            (good, 0.5, true),
            (good, 7.0, true),
            (good, f32::INFINITY, true),
            (good, -1.0, false),
            (good, f32::NAN, false),
            (good, 0.05, false),
            (BBox::new(f32::NAN, 0.0, 1.0, 1.0), 0.5, false),
            (BBox::new(0.0, 0.0, f32::INFINITY, 1.0), 0.5, false),
            (BBox::new(0.0, 0.0, 1e9, 1.0), 0.5, false),
            (BBox::new(5.0, 5.0, 1.0, 1.0), 0.5, false),
            (BBox::new(2.0, 2.0, 2.0, 8.0), 0.5, false),
            (BBox::new(0.0, 0.0, tiny, tiny), 0.5, false),
        ];
        let mut out = Vec::new();
        for (bbox, score, passes) in cases {
            collect_usable(&[Detection { bbox, class: ClassId(0), score }], 0.1, &mut out);
            assert_eq!(!out.is_empty(), passes, "{bbox:?} {score}");
            assert!(out.iter().all(|c| (0.0..=1.0).contains(&c.score)));
        }
    }
}
