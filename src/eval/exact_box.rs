//! Boxes in f64: a metric that must agree with TrackEval to the last match cannot round its corners to f32.

use crate::geometry::BBox;
use ndarray::Array2;

/// Axis-aligned box, corners in pixels, kept as exactly as the file says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExactBox {
    /// x of the left edge.
    pub left: f64,
    /// y of the upper edge.
    pub top: f64,
    /// x of the right edge.
    pub right: f64,
    /// y of the lower edge.
    pub bottom: f64,
}

impl ExactBox {
    /// Box from left, top, width, height (the order of MOTChallenge files).
    pub fn from_tlwh(left: f64, top: f64, width: f64, height: f64) -> Self {
        Self { left, top, right: left + width, bottom: top + height }
    }

    /// Left, top, width, height.
    pub fn tlwh(&self) -> [f64; 4] {
        [self.left, self.top, self.right - self.left, self.bottom - self.top]
    }

    /// Square pixels; positive also where both sides are negative, as TrackEval has it.
    fn area(&self) -> f64 {
        (self.right - self.left) * (self.bottom - self.top)
    }

    /// Intersection over union, 0..=1; 0 where a box has no area.
    ///
    /// The operations stand in TrackEval's order, so that the last bit agrees and ties fall alike.
    pub fn iou(&self, other: &Self) -> f64 {
        let (area, other_area) = (self.area(), other.area());
        let width = (self.right.min(other.right) - self.left.max(other.left)).max(0.0);
        let height = (self.bottom.min(other.bottom) - self.top.max(other.top)).max(0.0);
        let shared = width * height;
        let union = area + other_area - shared;
        let degenerate = [area, other_area, union].into_iter().any(|a| a <= f64::EPSILON);
        if degenerate { 0.0 } else { shared / union }
    }
}

impl From<BBox> for ExactBox {
    fn from(b: BBox) -> Self {
        Self { left: b.left.into(), top: b.top.into(), right: b.right.into(), bottom: b.bottom.into() }
    }
}

impl From<ExactBox> for BBox {
    fn from(b: ExactBox) -> Self {
        Self::new(b.left as f32, b.top as f32, b.right as f32, b.bottom as f32)
    }
}

/// IoU of every pair: `rows` down, `columns` across.
pub fn iou_matrix<'a, C>(rows: impl ExactSizeIterator<Item = &'a ExactBox>, columns: C) -> Array2<f64>
where
    C: ExactSizeIterator<Item = &'a ExactBox> + Clone,
{
    let shape = (rows.len(), columns.len());
    let values = rows.flat_map(|row| columns.clone().map(|column| row.iou(column))).collect();
    Array2::from_shape_vec(shape, values).expect("one value for each pair")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table() {
        let unit = ExactBox::from_tlwh(0.0, 0.0, 2.0, 2.0);
        let cases = [
            ("itself", unit, 1.0),
            ("half beside", ExactBox::from_tlwh(1.0, 0.0, 2.0, 2.0), 1.0 / 3.0),
            ("touching", ExactBox::from_tlwh(2.0, 0.0, 2.0, 2.0), 0.0),
            ("apart", ExactBox::from_tlwh(5.0, 5.0, 1.0, 1.0), 0.0),
            ("no area", ExactBox::from_tlwh(1.0, 1.0, 0.0, 1.0), 0.0),
            ("negative width", ExactBox::from_tlwh(1.0, 1.0, -1.0, 1.0), 0.0),
        ];
        for (name, other, expected) in cases {
            assert_eq!(unit.iou(&other), expected, "{name}");
        }
    }

    fn any_box() -> impl Strategy<Value = ExactBox> {
        (-100f64..100.0, -100f64..100.0, -5f64..80.0, -5f64..80.0)
            .prop_map(|(l, t, w, h)| ExactBox::from_tlwh(l, t, w, h))
    }

    proptest! {
        #[test]
        fn iou_is_symmetric_and_bounded(a in any_box(), b in any_box()) {
            prop_assert_eq!(a.iou(&b), b.iou(&a));
            prop_assert!((0.0..=1.0).contains(&a.iou(&b)));
        }
    }
}
