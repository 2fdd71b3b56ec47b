//! From points of the picture to metres on flat ground: what speed rests on. Pure.

use nalgebra::{Matrix3, SMatrix, SVector, Vector3};

/// A homography from the picture (shares of its width and height) to the ground (metres).
#[derive(Clone, Debug, PartialEq)]
pub struct Ground {
    ground_from_picture: Matrix3<f64>,
    /// Sign of the homography's third coordinate on the near side of the horizon.
    near: f64,
}

/// Why a ground cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GroundFault {
    /// No quadrilateral has these edges.
    #[error("edge {index} is as long as the others together, so they enclose no area")]
    Open {
        /// The longest edge.
        index: usize,
    },
    /// Three of the corners are on one line, or the matrix maps everything onto a line.
    #[error("does not map an area of the picture to an area of the ground")]
    Flat,
}

/// Steps of the search for a quadrilateral's diagonal, and of its refinement, each of which divides the step by this.
const STEPS: usize = 200;
const REFINEMENTS: usize = 5;

/// Smallest determinant of a usable map, relative to its size.
const MIN_DETERMINANT: f64 = 1e-9;

impl Ground {
    /// From four points of the ground, in order around a quadrilateral, and the real lengths of its edges: from the first
    /// corner to the second and so on around, metres. Edges alone leave a quadrilateral free to shear; the one with corners
    /// nearest to right angles is meant, for a rectangle the rectangle itself.
    ///
    /// Errors: edges that do not close, corners on one line.
    pub fn from_edges(corners: [[f64; 2]; 4], edges_m: [f64; 4]) -> Result<Self, GroundFault> {
        let sum: f64 = edges_m.iter().sum();
        if let Some(index) = (0..4).find(|&index| edges_m[index] >= sum - edges_m[index]) {
            return Err(GroundFault::Open { index });
        }
        let map = map_of_four(corners, squarest(edges_m)).ok_or(GroundFault::Flat)?;
        let middle = corners.iter().fold([0.0; 2], |sum, corner| [sum[0] + corner[0] / 4.0, sum[1] + corner[1] / 4.0]);
        Self::new(map, middle)
    }

    /// From a homography given as rows: metres = H · (x, y, 1), x and y as shares of the picture's width and height.
    ///
    /// Errors: it maps everything onto a line.
    pub fn from_homography(rows: [[f64; 3]; 3]) -> Result<Self, GroundFault> {
        // Whoever measured it saw the ground at the lower edge of the picture.
        Self::new(Matrix3::from_fn(|row, column| rows[row][column]), [0.5, 1.0])
    }

    fn new(map: Matrix3<f64>, on_ground: [f64; 2]) -> Result<Self, GroundFault> {
        let near = (map * Vector3::new(on_ground[0], on_ground[1], 1.0)).z.signum();
        let size = map.norm();
        let is_sound = map.determinant().abs() > MIN_DETERMINANT * size.powi(3) && size.is_finite();
        if is_sound { Ok(Self { ground_from_picture: map, near }) } else { Err(GroundFault::Flat) }
    }

    /// Where a point of the picture is on the ground, metres; `None` at and beyond the horizon.
    pub fn metres(&self, [x, y]: [f32; 2]) -> Option<[f64; 2]> {
        let point = self.ground_from_picture * Vector3::new(f64::from(x), f64::from(y), 1.0);
        let is_near = point.z * self.near > f64::EPSILON;
        let metres = [point.x / point.z, point.y / point.z];
        (is_near && metres.iter().all(|value| value.is_finite())).then_some(metres)
    }
}

/// The homography that takes four points to four others, h33 = 1; `None` if three of them are on one line.
fn map_of_four(from: [[f64; 2]; 4], to: [[f64; 2]; 4]) -> Option<Matrix3<f64>> {
    if has_line(from) || has_line(to) {
        return None;
    }
    let mut equations = SMatrix::<f64, 8, 8>::zeros();
    let mut right = SVector::<f64, 8>::zeros();
    for (index, ([x, y], [u, v])) in from.into_iter().zip(to).enumerate() {
        let row = 2 * index;
        equations.row_mut(row).copy_from_slice(&[x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y]);
        equations.row_mut(row + 1).copy_from_slice(&[0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y]);
        (right[row], right[row + 1]) = (u, v);
    }
    let h = equations.full_piv_lu().solve(&right)?;
    Some(Matrix3::new(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], 1.0))
}

fn has_line(points: [[f64; 2]; 4]) -> bool {
    (0..4).any(|skipped| {
        let three: Vec<[f64; 2]> = (0..4).filter(|&index| index != skipped).map(|index| points[index]).collect();
        let [a, b, c] = [three[0], three[1], three[2]];
        ((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])).abs() < MIN_DETERMINANT
    })
}

/// The convex quadrilateral with these edges whose angles differ least from right ones.
fn squarest(edges: [f64; 4]) -> [[f64; 2]; 4] {
    let [a, b, c, d] = edges;
    // The diagonal from the first corner to the third closes both triangles.
    let (mut low, mut high) = ((a - b).abs().max((c - d).abs()), (a + b).min(c + d));
    let mut best = (low + high) / 2.0;
    for _ in 0..REFINEMENTS {
        let step = (high - low) / STEPS as f64;
        let diagonals = (0..=STEPS).map(|index| low + step * index as f64);
        best = diagonals.min_by(|p, q| skew(edges, *p).total_cmp(&skew(edges, *q))).unwrap_or(best);
        (low, high) = ((best - step).max(low), (best + step).min(high));
    }
    corners_with(edges, best)
}

/// Sum of the squared cosines of the four angles.
fn skew(edges: [f64; 4], diagonal: f64) -> f64 {
    let corners = corners_with(edges, diagonal);
    let cosine = |index: usize| {
        let [before, at, after] = [corners[(index + 3) % 4], corners[index], corners[(index + 1) % 4]];
        let (p, q) = ([before[0] - at[0], before[1] - at[1]], [after[0] - at[0], after[1] - at[1]]);
        let lengths = p[0].hypot(p[1]) * q[0].hypot(q[1]);
        (p[0] * q[0] + p[1] * q[1]) / lengths.max(f64::MIN_POSITIVE)
    };
    (0..4).map(|index| cosine(index).powi(2)).sum()
}

/// The corners of the quadrilateral with this diagonal from the first to the third, which lies along the x axis.
fn corners_with([a, b, c, d]: [f64; 4], diagonal: f64) -> [[f64; 2]; 4] {
    let apex = |near: f64, far: f64| {
        let x = (near * near - far * far + diagonal * diagonal) / (2.0 * diagonal.max(f64::MIN_POSITIVE));
        (x, (near * near - x * x).max(0.0).sqrt())
    };
    let ((x1, y1), (x3, y3)) = (apex(a, b), apex(d, c));
    [[0.0, 0.0], [x1, -y1], [diagonal, 0.0], [x3, y3]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn distance(ground: &Ground, from: [f32; 2], to: [f32; 2]) -> f64 {
        let (p, q) = (ground.metres(from).expect("ground"), ground.metres(to).expect("ground"));
        (p[0] - q[0]).hypot(p[1] - q[1])
    }

    /// A camera that sees a rectangle of 4 m x 10 m as a trapezoid.
    const CORNERS: [[f64; 2]; 4] = [[0.4, 0.4], [0.6, 0.4], [0.9, 0.9], [0.1, 0.9]];

    #[test]
    fn edges_keep_their_real_lengths_and_a_rectangle_its_angles() {
        let ground = Ground::from_edges(CORNERS, [4.0, 10.0, 4.0, 10.0]).expect("sound");
        let corners = CORNERS.map(|corner| corner.map(|value| value as f32));
        for (index, length) in [4.0, 10.0, 4.0, 10.0].into_iter().enumerate() {
            let measured = distance(&ground, corners[index], corners[(index + 1) % 4]);
            assert!((measured - length).abs() < 1e-3, "edge {index}: {measured}");
        }
        let diagonals = [distance(&ground, corners[0], corners[2]), distance(&ground, corners[1], corners[3])];
        assert!(diagonals.iter().all(|diagonal| (diagonal - 116f64.sqrt()).abs() < 1e-3), "{diagonals:?}");
        // The middle of the rectangle is where the diagonals cross in the picture, nearer to the far edge.
        let middle = distance(&ground, [0.5, 0.5], corners[0]);
        assert!((middle - 29f64.sqrt()).abs() < 1e-2, "{middle}");
        // Above the point where the long edges meet is no ground.
        assert_eq!(ground.metres([0.5, 0.2]), None);
        assert_eq!(ground.metres([f32::NAN, 0.5]), None);
    }

    #[test]
    fn a_homography_is_taken_as_given() {
        let ground = Ground::from_homography([[20.0, 0.0, 0.0], [0.0, 10.0, 5.0], [0.0, 0.0, 1.0]]).expect("sound");
        assert_eq!(ground.metres([0.5, 0.5]), Some([10.0, 10.0]));
    }

    #[test]
    fn what_encloses_nothing_is_refused() {
        let table: [([[f64; 2]; 4], [f64; 4], GroundFault); 3] = [
            (CORNERS, [30.0, 10.0, 4.0, 10.0], GroundFault::Open { index: 0 }),
            ([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9], [0.1, 0.9]], [4.0; 4], GroundFault::Flat),
            ([[0.5, 0.5]; 4], [4.0; 4], GroundFault::Flat),
        ];
        for (corners, edges, fault) in table {
            assert_eq!(Ground::from_edges(corners, edges), Err(fault));
        }
        assert_eq!(Ground::from_homography([[0.0; 3]; 3]), Err(GroundFault::Flat));
        assert_eq!(Ground::from_homography([[f64::NAN; 3]; 3]), Err(GroundFault::Flat));
    }

    proptest! {
        /// A rectangle of any size, seen by any camera: every point comes back.
        #[test]
        fn rectangles_are_recovered(width in 1.0f64..20.0, depth in 1.0f64..50.0, tilt in 0.0f64..0.9, x in 0.0f64..1.0, y in 0.0f64..1.0) {
            // Foreshortened towards the far edge: a plain projective map of the unit square.
            let seen = |u: f64, v: f64| {
                let w = 1.0 + tilt * (1.0 - v);
                [0.5 + (u - 0.5) * 0.8 / w, 1.0 - 0.6 * (1.0 - v) / w]
            };
            let corners = [seen(0.0, 0.0), seen(1.0, 0.0), seen(1.0, 1.0), seen(0.0, 1.0)];
            let ground = Ground::from_edges(corners, [width, depth, width, depth]).expect("sound");
            let measured = distance(&ground, seen(0.0, 0.0).map(|v| v as f32), seen(x, y).map(|v| v as f32));
            prop_assert!((measured - (x * width).hypot(y * depth)).abs() < 0.01 * (width + depth));
        }
    }
}
