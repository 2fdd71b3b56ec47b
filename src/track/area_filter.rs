//! The motion model of SORT and OC-SORT: centre, area and aspect ratio of a box, where the aspect ratio stands still.
//!
//! Source of the model: Bewley et al. 2016, section III-B; of the noise: the constants SORT is published with.

use super::kalman::{BoxFilter, ProcessNoise};
use crate::geometry::BBox;

const NOISE: ProcessNoise = ProcessNoise { position: [1.0; 4], velocity: [0.01, 0.01, 1e-4, 0.0] };
const MEASUREMENT_VARIANCE: [f64; 4] = [1.0, 1.0, 10.0, 10.0];
const FIRST_POSITION_VARIANCE: [f64; 4] = [10.0; 4];
/// The aspect ratio has no velocity: variance 0 keeps it at 0.
const FIRST_VELOCITY_VARIANCE: [f64; 4] = [1e4, 1e4, 1e4, 0.0];

/// Filter over (centre x, centre y, area, width / height).
#[derive(Clone, Copy, Debug)]
pub(super) struct AreaFilter(BoxFilter);

impl AreaFilter {
    pub fn new(bbox: &BBox) -> Self {
        Self(BoxFilter::new(measure(bbox), FIRST_POSITION_VARIANCE, FIRST_VELOCITY_VARIANCE))
    }

    /// Moves on; an area that would shrink to nothing stops shrinking.
    pub fn predict(&mut self, dt: f64) {
        let area = &mut self.0.axes[2];
        if area.position() + area.velocity() * dt <= 0.0 {
            area.state.y = 0.0;
        }
        self.0.predict(dt, &NOISE);
    }

    pub fn update(&mut self, bbox: &BBox) {
        self.0.update(measure(bbox), MEASUREMENT_VARIANCE);
    }

    /// The box, unsound once the area or aspect ratio has no square root.
    pub fn bbox(&self) -> BBox {
        let [cx, cy, area, aspect] = self.0.position();
        let width = (area * aspect).sqrt();
        BBox::from_cxcywh(cx as f32, cy as f32, width as f32, (area / width) as f32)
    }
}

fn measure(bbox: &BBox) -> [f64; 4] {
    let (cx, cy) = bbox.center();
    let (width, height) = (f64::from(bbox.width()), f64::from(bbox.height()));
    [f64::from(cx), f64::from(cy), width * height, width / height]
}
