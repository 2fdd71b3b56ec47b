//! Motion of the camera between two frames, as the tracker needs it: an affine map of pixels, applied to boxes and filters.
//!
//! Where the map comes from (optical flow, a gmc file) is not known here. Source: Aharon et al. 2022 (BoT-SORT), eq. 5–8.

use super::kalman::{AxisFilter, BoxFilter};
use crate::geometry::BBox;

/// A sound affine map x' = a·x + b·y + c, y' = d·x + e·y + f.
#[derive(Clone, Copy, Debug)]
pub(super) struct Warp {
    a: f64,
    b: f64,
    c: f64,
    d: f64,
    e: f64,
    f: f64,
    /// Change of lengths.
    scale: f64,
}

impl Warp {
    /// The map as a warp; `None` for one that is not finite, mirrors, or changes lengths by more than half in a frame:
    /// no camera does, so the estimate failed.
    pub fn new(map: [f32; 6]) -> Option<Self> {
        let [a, b, c, d, e, f] = map.map(f64::from);
        let scale = (a * e - b * d).sqrt();
        let sound = map.iter().all(|v| v.is_finite()) && (0.5..=2.0).contains(&scale);
        sound.then_some(Self { a, b, c, d, e, f, scale })
    }

    /// The box around the moved centre, scaled; a rotation moves boxes but does not turn them.
    pub fn apply_to_box(&self, bbox: &BBox) -> BBox {
        let (x, y) = bbox.center();
        let (x, y) = (f64::from(x), f64::from(y));
        let (cx, cy) = (self.a * x + self.b * y + self.c, self.d * x + self.e * y + self.f);
        let scale = self.scale as f32;
        BBox::from_cxcywh(cx as f32, cy as f32, bbox.width() * scale, bbox.height() * scale)
    }

    /// Moves a filter of centre x, centre y, width and height.
    ///
    /// Differs from the source: the covariance a rotation brings in between x and y is left out, as it is small and
    /// would bind the axes together.
    pub fn apply_to_filter(&self, filter: &mut BoxFilter) {
        let [x, y, ..] = filter.axes;
        filter.axes[0] = blend(&x, self.a, &y, self.b, self.c);
        filter.axes[1] = blend(&x, self.d, &y, self.e, self.f);
        for axis in &mut filter.axes[2..] {
            axis.state *= self.scale;
            axis.covariance *= self.scale * self.scale;
        }
    }
}

/// wx·x + wy·y + shift, of independent x and y.
fn blend(x: &AxisFilter, wx: f64, y: &AxisFilter, wy: f64, shift: f64) -> AxisFilter {
    let mut state = x.state * wx + y.state * wy;
    state.x += shift;
    AxisFilter { state, covariance: x.covariance * (wx * wx) + y.covariance * (wy * wy) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_and_filters_move_alike() {
        let warp = Warp::new([1.1, 0.0, 5.0, 0.0, 1.1, -3.0]).unwrap();
        let bbox = BBox::from_cxcywh(100.0, 50.0, 20.0, 40.0);
        let mut filter = BoxFilter::new([100.0, 50.0, 20.0, 40.0], [1.0; 4], [1.0; 4]);
        warp.apply_to_filter(&mut filter);
        let moved = warp.apply_to_box(&bbox);
        let expected = [moved.center().0, moved.center().1, moved.width(), moved.height()];
        for (got, expected) in filter.position().into_iter().zip(expected) {
            assert!((got - f64::from(expected)).abs() < 1e-3, "{got} {expected}");
        }
        assert!((moved.center().0 - 115.0).abs() < 1e-3 && (moved.width() - 22.0).abs() < 1e-3);
    }

    #[test]
    fn maps_no_camera_makes_are_refused() {
        let cases = [
            ([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], true),
            ([f32::NAN, 0.0, 0.0, 0.0, 1.0, 0.0], false),
            ([1.0, 0.0, f32::INFINITY, 0.0, 1.0, 0.0], false),
            ([-1.0, 0.0, 0.0, 0.0, 1.0, 0.0], false),
            ([0.0; 6], false),
            ([9.0, 0.0, 0.0, 0.0, 9.0, 0.0], false),
        ];
        for (map, sound) in cases {
            assert_eq!(Warp::new(map).is_some(), sound, "{map:?}");
        }
    }
}
