//! Greedy non-maximum suppression, within each class or across them: of boxes that overlap too much, the best stays, or
//! the others lose score (Soft-NMS).
//!
//! Pure. What a head decodes goes in, what the tracker sees comes out. Ties are broken by the boxes themselves, so the
//! result does not depend on the order in which a head emits them.

use super::Detection;
use crate::geometry::{intersection_area, iou};
use std::cmp::Ordering;

/// What suppression keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NmsSettings {
    /// A box goes if its IoU with a better kept box of its scope is above this, 0..=1.
    pub max_iou: f32,
    /// Which boxes may suppress one another.
    pub scope: Scope,
    /// At most this many detections stay, the best ones.
    pub max_detections: usize,
    /// What becomes of a box that a better one overlaps.
    pub overlapped: Overlapped,
    /// With a score below, a box that lost some goes, 0..=1.
    pub min_score: f32,
}

/// What becomes of a box that a better kept box of its scope overlaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overlapped {
    /// It goes if the IoU is above `max_iou`.
    #[default]
    Goes,
    /// Its score is multiplied by 1 - IoU if the IoU is above `max_iou`. Source: Bodla et al. 2017, section 3.
    FadesLinearly,
    /// Its score is multiplied by exp(-IoU² / `SIGMA`), whatever `max_iou`. Source: same, equation 3.
    FadesSmoothly,
}

/// How far overlap reaches in smooth fading. Source: Bodla et al. 2017, section 4.
const SIGMA: f32 = 0.5;

/// Which boxes may suppress one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scope {
    /// Those of one class.
    #[default]
    WithinClass,
    /// All, for detectors that call one thing by two names.
    AcrossClasses,
}

/// Suppresses in place; what stays is sorted by falling score.
///
/// Detections whose box is unsound or whose score is not finite are dropped first. Applying it twice changes nothing.
/// (but for boxes that fade). Takes O(n log n + n·kept) time and no memory. Source: the greedy rule of Felzenszwalb et al.
/// 2010, section 4.4. Differs: overlap is the IoU, and classes suppress one another only where `settings.scope` says so.
pub fn suppress(detections: &mut Vec<Detection>, settings: &NmsSettings) {
    detections.retain(|d| d.score.is_finite() && d.bbox.is_sound());
    match settings.overlapped {
        Overlapped::Goes => remove_overlapped(detections, settings),
        Overlapped::FadesLinearly | Overlapped::FadesSmoothly => fade_overlapped(detections, settings),
    }
}

fn remove_overlapped(detections: &mut Vec<Detection>, settings: &NmsSettings) {
    detections.sort_unstable_by(better_first);
    let mut kept = 0;
    for candidate in 0..detections.len() {
        if kept == settings.max_detections {
            break;
        }
        let detection = detections[candidate];
        let beaten = detections[..kept]
            .iter()
            .any(|better| settings.is_rival(better, &detection) && overlaps(better, &detection, settings.max_iou));
        if !beaten {
            detections[kept] = detection;
            kept += 1;
        }
    }
    detections.truncate(kept);
}

/// The best of what is left stays as it is, and what it overlaps fades, until nothing worth keeping is left.
fn fade_overlapped(detections: &mut Vec<Detection>, settings: &NmsSettings) {
    let mut kept = 0;
    while kept < detections.len().min(settings.max_detections) {
        let best = (kept..detections.len()).min_by(|&a, &b| better_first(&detections[a], &detections[b]));
        let Some(best) = best.filter(|&best| detections[best].score >= settings.min_score) else { break };
        detections.swap(kept, best);
        let better = detections[kept];
        kept += 1;
        for detection in detections[kept..].iter_mut().filter(|d| settings.is_rival(&better, d)) {
            let iou = iou(&better.bbox, &detection.bbox);
            detection.score *= match settings.overlapped {
                Overlapped::FadesSmoothly => (-iou * iou / SIGMA).exp(),
                _ if iou > settings.max_iou => 1.0 - iou,
                _ => 1.0,
            };
        }
    }
    detections.truncate(kept);
}

impl NmsSettings {
    /// Whether the two may suppress one another.
    fn is_rival(&self, a: &Detection, b: &Detection) -> bool {
        self.scope == Scope::AcrossClasses || a.class == b.class
    }
}

/// Whether the IoU is above `max_iou`, without the division.
fn overlaps(a: &Detection, b: &Detection, max_iou: f32) -> bool {
    let shared = intersection_area(&a.bbox, &b.bbox);
    shared > 0.0 && shared > max_iou * (a.bbox.area() + b.bbox.area() - shared)
}

/// A total order: score, then class, then corners. Detections equal in all of them are interchangeable.
fn better_first(a: &Detection, b: &Detection) -> Ordering {
    let corners = |d: &Detection| [d.bbox.left, d.bbox.top, d.bbox.right, d.bbox.bottom];
    b.score.total_cmp(&a.score).then_with(|| a.class.cmp(&b.class)).then_with(|| {
        corners(a)
            .iter()
            .zip(&corners(b))
            .map(|(x, y)| x.total_cmp(y))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{detect::ClassId, geometry::BBox};
    use proptest::prelude::*;

    const SETTINGS: NmsSettings = NmsSettings {
        max_iou: 0.5,
        scope: Scope::WithinClass,
        max_detections: 300,
        overlapped: Overlapped::Goes,
        min_score: 0.0,
    };

    fn det(left: f32, width: f32, class: u16, score: f32) -> Detection {
        Detection { bbox: BBox::from_tlwh(left, 0.0, width, 10.0), class: ClassId(class), score }
    }

    fn suppressed(mut detections: Vec<Detection>) -> Vec<Detection> {
        suppress(&mut detections, &SETTINGS);
        detections
    }

    #[test]
    fn table() {
        let unsound = Detection { bbox: BBox::new(5.0, 0.0, 5.0, 10.0), class: ClassId(0), score: 0.9 };
        let infinite = Detection { bbox: BBox::new(0.0, 0.0, f32::INFINITY, 10.0), class: ClassId(0), score: 0.9 };
        let cases: [(&str, Vec<Detection>, Vec<Detection>); 9] = [
            ("empty", vec![], vec![]),
            ("one", vec![det(0.0, 10.0, 0, 0.5)], vec![det(0.0, 10.0, 0, 0.5)]),
            (
                "the better of two stays",
                vec![det(0.0, 10.0, 0, 0.5), det(1.0, 10.0, 0, 0.6)],
                vec![det(1.0, 10.0, 0, 0.6)],
            ),
            (
                "classes do not suppress one another",
                vec![det(0.0, 10.0, 0, 0.5), det(1.0, 10.0, 1, 0.6)],
                vec![det(1.0, 10.0, 1, 0.6), det(0.0, 10.0, 0, 0.5)],
            ),
            (
                "touching boxes stay",
                vec![det(0.0, 10.0, 0, 0.5), det(10.0, 10.0, 0, 0.6)],
                vec![det(10.0, 10.0, 0, 0.6), det(0.0, 10.0, 0, 0.5)],
            ),
            (
                "an IoU of exactly max_iou stays",
                vec![det(0.0, 20.0, 0, 0.6), det(0.0, 10.0, 0, 0.5)],
                vec![det(0.0, 20.0, 0, 0.6), det(0.0, 10.0, 0, 0.5)],
            ),
            (
                "a suppressed box suppresses nothing",
                vec![det(0.0, 10.0, 0, 0.9), det(3.0, 10.0, 0, 0.8), det(6.0, 10.0, 0, 0.7)],
                vec![det(0.0, 10.0, 0, 0.9), det(6.0, 10.0, 0, 0.7)],
            ),
            ("of equals one stays", vec![det(0.0, 10.0, 0, 0.5); 3], vec![det(0.0, 10.0, 0, 0.5)]),
            (
                "what is not finite goes",
                vec![
                    det(0.0, 10.0, 0, f32::NAN),
                    det(f32::NAN, 10.0, 0, 0.9),
                    unsound,
                    infinite,
                    det(50.0, 10.0, 0, 0.1),
                ],
                vec![det(50.0, 10.0, 0, 0.1)],
            ),
        ];
        for (name, input, expected) in cases {
            assert_eq!(suppressed(input), expected, "{name}");
        }
    }

    #[test]
    fn faded_boxes_lose_what_the_paper_says() {
        // Of width 10: 2 apart overlap by 8/12, 6 apart by 4/16; 20 apart by nothing.
        let input = [det(0.0, 10.0, 0, 0.9), det(2.0, 10.0, 0, 0.8), det(6.0, 10.0, 1, 0.7), det(20.0, 10.0, 0, 0.6)];
        let faded = |overlapped, min_score, scope| {
            let mut detections = input.to_vec();
            suppress(&mut detections, &NmsSettings { overlapped, min_score, scope, ..SETTINGS });
            detections.iter().map(|d| ((d.bbox.left), (d.score * 1e4).round() / 1e4)).collect::<Vec<_>>()
        };
        let (linearly, smoothly) = (Overlapped::FadesLinearly, Overlapped::FadesSmoothly);
        let smooth = |iou: f32| (-iou * iou / 0.5).exp();
        let close = |got: Vec<(f32, f32)>, expected: [(f32, f32); 4]| {
            assert_eq!(got.len(), 4);
            for ((left, score), (expected_left, expected_score)) in got.iter().zip(expected) {
                assert!(*left == expected_left && (score - expected_score).abs() < 2e-4, "{got:?}, {expected:?}");
            }
        };
        let within = Scope::WithinClass;
        close(faded(linearly, 0.1, within), [(0.0, 0.9), (6.0, 0.7), (20.0, 0.6), (2.0, 0.8 / 3.0)]);
        close(faded(smoothly, 0.1, within), [(0.0, 0.9), (6.0, 0.7), (20.0, 0.6), (2.0, 0.8 * smooth(2.0 / 3.0))]);
        let twice = 0.8 * smooth(2.0 / 3.0) * smooth(6.0 / 14.0);
        let across = faded(smoothly, 0.1, Scope::AcrossClasses);
        close(across, [(0.0, 0.9), (6.0, 0.7 * smooth(0.25)), (20.0, 0.6), (2.0, twice)]);
        assert_eq!(faded(linearly, 0.3, within).len(), 3, "what fell below goes");
    }

    #[test]
    fn keeps_the_best_when_there_are_too_many() {
        let mut detections: Vec<_> =
            (0..10u16).map(|i| det(20.0 * f32::from(i), 10.0, 0, 0.1 * f32::from(i))).collect();
        suppress(&mut detections, &NmsSettings { max_detections: 3, ..SETTINGS });
        assert_eq!(detections.iter().map(|d| d.bbox.left).collect::<Vec<_>>(), [180.0, 160.0, 140.0]);
    }

    #[test]
    fn across_classes_the_better_of_two_stays() {
        let mut detections = vec![det(0.0, 10.0, 0, 0.5), det(1.0, 10.0, 1, 0.6)];
        suppress(&mut detections, &NmsSettings { scope: Scope::AcrossClasses, ..SETTINGS });
        assert_eq!(detections, [det(1.0, 10.0, 1, 0.6)]);
    }

    fn any_detections() -> impl Strategy<Value = Vec<Detection>> {
        let value = prop_oneof![8 => 0f32..60.0, 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)];
        // Few distinct scores, so that ties are common.
        let score = prop_oneof![6 => (0u8..5).prop_map(|s| f32::from(s) / 4.0), 1 => Just(f32::NAN)];
        let one = (value.clone(), value.clone(), value.clone(), value, 0u16..3, score).prop_map(
            |(left, top, width, height, class, score)| Detection {
                bbox: BBox::from_tlwh(left, top, width, height),
                class: ClassId(class),
                score,
            },
        );
        prop::collection::vec(one, 0..60)
    }

    proptest! {
        #[test]
        fn is_idempotent(detections in any_detections()) {
            let once = suppressed(detections);
            prop_assert_eq!(&suppressed(once.clone()), &once);
        }

        #[test]
        fn does_not_depend_on_the_order(detections in any_detections()) {
            let mut backwards = detections.clone();
            backwards.reverse();
            prop_assert_eq!(suppressed(detections), suppressed(backwards));
        }

        #[test]
        fn what_stays_is_sound_sorted_and_apart(detections in any_detections()) {
            let kept = suppressed(detections.clone());
            for (i, d) in kept.iter().enumerate() {
                prop_assert!(d.bbox.is_sound() && d.score.is_finite() && detections.contains(d));
                for better in &kept[..i] {
                    prop_assert!(better.score >= d.score);
                    prop_assert!(better.class != d.class || iou(&better.bbox, &d.bbox) <= SETTINGS.max_iou + 1e-5);
                }
            }
        }

        #[test]
        fn what_goes_was_beaten(detections in any_detections()) {
            let kept = suppressed(detections.clone());
            for d in detections.iter().filter(|d| d.bbox.is_sound() && d.score.is_finite() && !kept.contains(d)) {
                let beaten = kept.iter().any(|k| {
                    k.class == d.class && k.score >= d.score && iou(&k.bbox, &d.bbox) >= SETTINGS.max_iou - 1e-5
                });
                prop_assert!(beaten, "{:?} is gone for no reason", d);
            }
        }
    }
}
