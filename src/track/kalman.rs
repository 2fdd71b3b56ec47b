//! Constant-velocity Kalman filters of a box.
//!
//! With diagonal noise the 8-state filter of the field (centre, size and their velocities) falls apart into four
//! 2-state filters that never meet; `AxisFilter` is one of them and `BoxFilter` the four. The dense form lives on as the
//! oracle of the tests. Knows neither tracks nor detections. Source: Kalman 1960; Bewley et al. 2016 for the box model.

use nalgebra::{Matrix2, Vector2};

/// Position and velocity of one coordinate. Time unit: nominal frame intervals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AxisFilter {
    /// Position, velocity a frame.
    pub state: Vector2<f64>,
    /// Covariance of the two.
    pub covariance: Matrix2<f64>,
}

impl AxisFilter {
    /// At rest at `position`, with the variances of position and velocity.
    pub fn new(position: f64, position_variance: f64, velocity_variance: f64) -> Self {
        Self {
            state: Vector2::new(position, 0.0),
            covariance: Matrix2::new(position_variance, 0.0, 0.0, velocity_variance),
        }
    }

    /// Moves `dt` frames on, `dt >= 0`; the process noise is given a frame.
    ///
    /// One step of `dt = n` equals n steps of 1, so that a dropped frame changes nothing. Differs from the sources,
    /// whose dt is 1.
    pub fn predict(&mut self, dt: f64, position_noise: f64, velocity_noise: f64) {
        let p = self.covariance;
        self.state.x += self.state.y * dt;
        // Sums over the n steps of what velocity noise does to the position; zero up to one step.
        let steps = (dt - 1.0).max(0.0) * dt;
        let cross = p[(0, 1)] + dt * p[(1, 1)] + velocity_noise * steps / 2.0;
        let position = p[(0, 0)]
            + 2.0 * dt * p[(0, 1)]
            + dt * dt * p[(1, 1)]
            + dt * position_noise
            + velocity_noise * steps * (2.0 * dt - 1.0) / 6.0;
        self.covariance = Matrix2::new(position, cross, cross, p[(1, 1)] + dt * velocity_noise);
    }

    /// Takes in a measured position of the given variance, `> 0`.
    pub fn update(&mut self, measured: f64, variance: f64) {
        let p = self.covariance;
        let innovation_variance = p[(0, 0)] + variance;
        let gain = Vector2::new(p[(0, 0)], p[(0, 1)]) * innovation_variance.recip();
        self.state += gain * (measured - self.state.x);
        let cross = p[(0, 1)] - gain.x * p[(0, 1)];
        self.covariance = Matrix2::new(p[(0, 0)] - gain.x * p[(0, 0)], cross, cross, p[(1, 1)] - gain.y * p[(0, 1)]);
    }

    /// Position.
    pub fn position(&self) -> f64 {
        self.state.x
    }

    /// Velocity, units a frame.
    pub fn velocity(&self) -> f64 {
        self.state.y
    }
}

/// Process noise of four axes, variances a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessNoise {
    /// Of the positions.
    pub position: [f64; 4],
    /// Of the velocities.
    pub velocity: [f64; 4],
}

/// Four independent axes. Which quantity an axis holds (width, area, aspect …) is the user's choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxFilter {
    /// The axes; the first two are the centre's x and y for every user.
    pub axes: [AxisFilter; 4],
}

impl BoxFilter {
    /// At rest at `measured`, with the variances of positions and velocities.
    pub fn new(measured: [f64; 4], position_variance: [f64; 4], velocity_variance: [f64; 4]) -> Self {
        Self { axes: std::array::from_fn(|i| AxisFilter::new(measured[i], position_variance[i], velocity_variance[i])) }
    }

    /// Moves `dt` frames on.
    pub fn predict(&mut self, dt: f64, noise: &ProcessNoise) {
        for (axis, (position, velocity)) in self.axes.iter_mut().zip(noise.position.into_iter().zip(noise.velocity)) {
            axis.predict(dt, position, velocity);
        }
    }

    /// Takes in a measurement with its variances.
    pub fn update(&mut self, measured: [f64; 4], variance: [f64; 4]) {
        for (axis, (value, variance)) in self.axes.iter_mut().zip(measured.into_iter().zip(variance)) {
            axis.update(value, variance);
        }
    }

    /// The four positions.
    pub fn position(&self) -> [f64; 4] {
        self.axes.map(|axis| axis.position())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{SMatrix, SVector};
    use proptest::prelude::*;

    type Dense = (SVector<f64, 8>, SMatrix<f64, 8, 8>);

    /// The textbook 8-state filter: predict with F = [I, dt·I; 0, I], then update with H = [I, 0].
    fn dense_step((x, p): Dense, noise: &ProcessNoise, measured: [f64; 4], variance: [f64; 4]) -> Dense {
        let mut f = SMatrix::<f64, 8, 8>::identity();
        let mut h = SMatrix::<f64, 4, 8>::zeros();
        let mut q = SMatrix::<f64, 8, 8>::zeros();
        for i in 0..4 {
            f[(i, i + 4)] = 1.0;
            h[(i, i)] = 1.0;
            q[(i, i)] = noise.position[i];
            q[(i + 4, i + 4)] = noise.velocity[i];
        }
        let (x, p) = (f * x, f * p * f.transpose() + q);
        let s = h * p * h.transpose() + SMatrix::<f64, 4, 4>::from_diagonal(&variance.into());
        let gain = p * h.transpose() * s.try_inverse().unwrap();
        let x = x + gain * (SVector::<f64, 4>::from(measured) - h * x);
        (x, (SMatrix::<f64, 8, 8>::identity() - gain * h) * p)
    }

    proptest! {
        #[test]
        fn four_axes_equal_the_dense_filter(
            start in prop::array::uniform4(0.0..2000.0f64),
            steps in prop::collection::vec(prop::array::uniform4(0.0..2000.0f64), 1..30),
        ) {
            let noise = ProcessNoise { position: [9.0, 8.0, 7.0, 6.0], velocity: [0.5, 0.4, 0.3, 0.2] };
            let variance = [4.0, 5.0, 6.0, 7.0];
            let mut split = BoxFilter::new(start, [10.0; 4], [100.0; 4]);
            let mut x = SVector::<f64, 8>::zeros();
            let mut p = SMatrix::<f64, 8, 8>::identity() * 10.0;
            for i in 0..4 {
                x[i] = start[i];
                p[(i + 4, i + 4)] = 100.0;
            }
            let mut dense = (x, p);
            for measured in steps {
                split.predict(1.0, &noise);
                split.update(measured, variance);
                dense = dense_step(dense, &noise, measured, variance);
            }
            for (i, axis) in split.axes.iter().enumerate() {
                prop_assert!((axis.position() - dense.0[i]).abs() < 1e-8);
                prop_assert!((axis.velocity() - dense.0[i + 4]).abs() < 1e-8);
                prop_assert!((axis.covariance[(0, 1)] - dense.1[(i, i + 4)]).abs() < 1e-8);
            }
        }

        #[test]
        fn one_long_step_equals_many_short_ones(n in 1usize..40, velocity in -20.0..20.0f64) {
            let mut long = AxisFilter::new(5.0, 3.0, 2.0);
            long.state.y = velocity;
            let mut short = long;
            long.predict(n as f64, 0.7, 0.3);
            for _ in 0..n {
                short.predict(1.0, 0.7, 0.3);
            }
            prop_assert!((long.state - short.state).norm() < 1e-9);
            prop_assert!((long.covariance - short.covariance).norm() < 1e-6 * short.covariance.norm());
        }
    }
}
