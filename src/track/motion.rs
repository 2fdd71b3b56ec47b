//! Motion of one track: filter, recent observations, and what to do after a gap.
//!
//! The filter holds centre, width and height, all with noise in proportion to the box (Aharon et al. 2022, BoT-SORT).
//! Knows neither scores' meaning nor identities.

use super::{
    camera_motion::Warp,
    kalman::{BoxFilter, ProcessNoise},
};
use crate::geometry::BBox;

/// Standard deviations as shares of width or height: Wojke et al. 2017.
const POSITION_WEIGHT: f64 = 1.0 / 20.0;
const VELOCITY_WEIGHT: f64 = 1.0 / 160.0;
/// A score of 1 would leave no measurement noise; so much always stays.
const LEAST_NOISE: f64 = 0.05;
/// Observations kept to tell the direction of motion; older ones say nothing about now.
const HISTORY: usize = 8;
/// Boxes are reported no further out and no larger, pixels.
const MAX_COORDINATE_PX: f64 = 1e6;
/// Steps of a virtual trajectory; a longer gap takes longer steps.
const MAX_VIRTUAL_STEPS: f64 = 60.0;

/// Noise settings of a motion.
#[derive(Clone, Copy, Debug)]
pub(super) struct MotionNoise {
    /// How much of the measurement noise a score of 1 takes away, 0..=1 (NSA: Du et al. 2021).
    pub score_trust: f64,
    /// Multiplies the standard deviations of the process.
    pub process: f64,
}

/// One observation: when (frames) and where.
#[derive(Clone, Copy, Debug)]
struct Observation {
    at: f64,
    bbox: BBox,
}

/// Motion of one track.
#[derive(Clone, Debug)]
pub(super) struct Motion {
    filter: BoxFilter,
    /// The filter as the last observation left it, and that observation.
    anchor: BoxFilter,
    history: [Observation; HISTORY],
    observations: usize,
}

impl Motion {
    pub fn new(bbox: &BBox, now: f64) -> Self {
        let measured = measure(bbox);
        let sizes = [measured[2], measured[3], measured[2], measured[3]];
        let filter = BoxFilter::new(
            measured,
            sizes.map(|size| square(2.0 * POSITION_WEIGHT * size)),
            sizes.map(|size| square(10.0 * VELOCITY_WEIGHT * size)),
        );
        Self { filter, anchor: filter, history: [Observation { at: now, bbox: *bbox }; HISTORY], observations: 1 }
    }

    /// Moves `dt` frames on.
    pub fn predict(&mut self, dt: f64, noise: &MotionNoise) {
        predict(&mut self.filter, dt, noise);
    }

    /// An unseen object keeps its size: nothing tells whether a change went on.
    pub fn hold_size(&mut self) {
        for axis in &mut self.filter.axes[2..] {
            axis.state.y = 0.0;
        }
    }

    /// Slows down by `factor`, 0..=1.
    pub fn damp(&mut self, factor: f64) {
        for axis in &mut self.filter.axes[..2] {
            axis.state.y *= factor;
        }
    }

    /// Follows the camera.
    pub fn warp(&mut self, warp: &Warp) {
        warp.apply_to_filter(&mut self.filter);
        warp.apply_to_filter(&mut self.anchor);
        for observation in &mut self.history {
            observation.bbox = warp.apply_to_box(&observation.bbox);
        }
    }

    /// Takes in an observation made at `now`.
    ///
    /// After a gap the filter goes back to the last observation and runs along the straight line from there to here, so
    /// that the error heaped up meanwhile is gone: observation-centric re-update, Cao et al. 2023, section 4.1.
    pub fn see(&mut self, bbox: &BBox, score: f32, now: f64, noise: &MotionNoise) {
        let last = *self.latest();
        let gap = now - last.at;
        if gap >= 1.5 {
            self.filter = self.anchor;
            let steps = gap.round().clamp(1.0, MAX_VIRTUAL_STEPS);
            let (from, to) = (measure(&last.bbox), measure(bbox));
            for step in 1..steps as u32 {
                let share = f64::from(step) / steps;
                predict(&mut self.filter, gap / steps, noise);
                let virtual_box = std::array::from_fn(|i| from[i] + (to[i] - from[i]) * share);
                self.filter.update(virtual_box, measurement_variance(&self.filter, score, noise));
            }
            predict(&mut self.filter, gap / steps, noise);
        }
        self.filter.update(measure(bbox), measurement_variance(&self.filter, score, noise));
        self.anchor = self.filter;
        self.history[self.observations % HISTORY] = Observation { at: now, bbox: *bbox };
        self.observations = if self.observations + 1 >= 2 * HISTORY { HISTORY } else { self.observations + 1 };
    }

    fn latest(&self) -> &Observation {
        &self.history[(self.observations + HISTORY - 1) % HISTORY]
    }

    /// The box of the last observation, moved with the camera since.
    pub fn last_box(&self) -> BBox {
        self.latest().bbox
    }

    /// The box now, always sound: never smaller than a pixel (a lost track may have been shrinking), never so far out
    /// that its sides fall together in f32 (a run of wrong camera motions may throw a track anywhere).
    pub fn bbox(&self) -> BBox {
        let [cx, cy, width, height] = self.filter.position();
        let near = |value: f64| value.clamp(-MAX_COORDINATE_PX, MAX_COORDINATE_PX) as f32;
        let size = |value: f64| value.clamp(1.0, MAX_COORDINATE_PX) as f32;
        BBox::from_cxcywh(near(cx), near(cy), size(width), size(height))
    }

    #[cfg(test)]
    fn velocity(&self) -> (f64, f64) {
        (self.filter.axes[0].velocity(), self.filter.axes[1].velocity())
    }

    /// Unit vector from the observation `lookback` frames before the last one to the last one, where both exist.
    pub fn direction(&self, lookback: f64) -> Option<(f32, f32)> {
        let last = self.latest();
        let known = self.observations.min(HISTORY);
        let earlier = (1..known).map(|back| &self.history[(self.observations + 2 * HISTORY - 1 - back) % HISTORY]);
        let from = earlier.take_while(|o| last.at - o.at <= lookback + 0.01).last()?;
        unit_vector(from.bbox.center(), last.bbox.center())
    }
}

/// Unit vector from one point to another; `None` if they are one.
pub(super) fn unit_vector(from: (f32, f32), to: (f32, f32)) -> Option<(f32, f32)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    // Coordinates are bounded, so the square cannot overflow as `hypot` guards against.
    let length = (dx * dx + dy * dy).sqrt();
    (length > 1e-3).then(|| (dx / length, dy / length))
}

fn predict(filter: &mut BoxFilter, dt: f64, noise: &MotionNoise) {
    let sizes = box_sizes(filter);
    let process = ProcessNoise {
        position: sizes.map(|size| square(noise.process * POSITION_WEIGHT * size)),
        velocity: sizes.map(|size| square(noise.process * VELOCITY_WEIGHT * size)),
    };
    filter.predict(dt, &process);
}

fn measurement_variance(filter: &BoxFilter, score: f32, noise: &MotionNoise) -> [f64; 4] {
    let share = (1.0 - noise.score_trust * f64::from(score)).max(LEAST_NOISE);
    box_sizes(filter).map(|size| share * square(POSITION_WEIGHT * size))
}

/// Width and height as the scales of the four axes; at least a pixel, so that no variance is zero.
fn box_sizes(filter: &BoxFilter) -> [f64; 4] {
    let (width, height) = (filter.axes[2].position().max(1.0), filter.axes[3].position().max(1.0));
    [width, height, width, height]
}

fn square(value: f64) -> f64 {
    value * value
}

fn measure(bbox: &BBox) -> [f64; 4] {
    let (cx, cy) = bbox.center();
    [cx, cy, bbox.width(), bbox.height()].map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: MotionNoise = MotionNoise { score_trust: 0.9, process: 1.0 };

    fn at(x: f32) -> BBox {
        BBox::from_cxcywh(x, 50.0, 20.0, 40.0)
    }

    #[test]
    fn after_a_gap_the_filter_runs_along_the_straight_line() {
        let mut motion = Motion::new(&at(0.0), 0.0);
        for frame in 1..10 {
            motion.predict(1.0, &NOISE);
            motion.see(&at(4.0 * frame as f32), 0.9, f64::from(frame), &NOISE);
        }
        // Stands still behind something, comes out where it went in.
        for _ in 10..30 {
            motion.predict(1.0, &NOISE);
        }
        assert!(motion.bbox().center().0 > 100.0);
        motion.see(&at(36.0), 0.9, 30.0, &NOISE);
        assert!((motion.bbox().center().0 - 36.0).abs() < 1.0);
        assert!(motion.velocity().0.abs() < 0.5, "{:?}", motion.velocity());
    }

    #[test]
    fn camera_motions_gone_wild_leave_a_sound_box() {
        let mut motion = Motion::new(&at(100.0), 0.0);
        let shear = Warp::new([2.0, 1.9, 0.0, 1.9, 2.0, 0.0]).unwrap();
        for _ in 0..200 {
            motion.warp(&shear);
            motion.predict(1.0, &NOISE);
            assert!(motion.bbox().is_sound(), "{:?}", motion.bbox());
        }
    }

    #[test]
    fn direction_looks_back_no_further_than_asked() {
        let mut motion = Motion::new(&at(0.0), 0.0);
        assert_eq!(motion.direction(3.0), None);
        for (frame, x) in (1..40).zip([50.0, 40.0, 30.0].into_iter().cycle()) {
            motion.see(&at(x), 0.9, f64::from(frame), &NOISE);
        }
        // Frames 37, 38, 39: 50, 40, 30.
        assert_eq!(motion.direction(1.0), Some((-1.0, 0.0)));
        assert_eq!(motion.direction(2.0), Some((-1.0, 0.0)));
        assert_eq!(motion.direction(3.0), None, "frame 36 stood where frame 39 stands");
        assert_eq!(motion.direction(0.5), None);
    }
}
