//! Polygons of zones and regions: is one sound, what is inside?

/// What makes a polygon unfit to say inside from outside. Numbers are those of the corners, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolygonFault {
    /// A corner is given twice in a row; the last counts as before the first.
    RepeatedCorner(usize, usize),
    /// The edges that begin at these two corners cross, touch or overlap.
    CrossingEdges(usize, usize),
}

/// The first reason why the closed polygon of at least three `corners` (any unit) is unsound; `None` for a simple polygon.
///
/// Compares every edge with every other: meant for polygons drawn by people.
pub fn polygon_fault(corners: &[[f64; 2]]) -> Option<PolygonFault> {
    let count = corners.len();
    let edge = |i: usize| (corners[i], corners[(i + 1) % count]);
    if let Some(i) = (0..count).find(|&i| edge(i).0 == edge(i).1) {
        return Some(PolygonFault::RepeatedCorner(i, (i + 1) % count));
    }
    let pairs = (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j)));
    let crossing = |&(i, j): &(usize, usize)| {
        if j == i + 1 {
            folds_back(edge(i), edge(j))
        } else if (j + 1) % count == i {
            folds_back(edge(j), edge(i))
        } else {
            meet(edge(i), edge(j))
        }
    };
    pairs.into_iter().find(crossing).map(|(i, j)| PolygonFault::CrossingEdges(i, j))
}

/// Whether a point lies in a sound polygon. Points on an edge may count either way, but those on an edge that two
/// polygons share count for exactly one of them. Source: the crossing-number rule.
pub fn is_inside([x, y]: [f64; 2], corners: &[[f64; 2]]) -> bool {
    let edges = (0..corners.len()).map(|i| (corners[i], corners[(i + 1) % corners.len()]));
    let crossed =
        edges.filter(|(a, b)| (a[1] > y) != (b[1] > y) && x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0]);
    crossed.count() % 2 == 1
}

type Edge = ([f64; 2], [f64; 2]);

/// Twice the signed area of the triangle a, b, c: 0 where they lie on one line.
fn turn(a: [f64; 2], b: [f64; 2], c: [f64; 2]) -> f64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// Whether the second of two edges that share a corner runs back along the first.
fn folds_back(first: Edge, second: Edge) -> bool {
    let (a, b, c) = (first.0, first.1, second.1);
    turn(a, b, c) == 0.0 && (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1]) < 0.0
}

/// Whether two edges have a point in common.
fn meet((a, b): Edge, (c, d): Edge) -> bool {
    let (ac, ad, ca, cb) = (turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b));
    let apart = |x: f64, y: f64| (x > 0.0 && y < 0.0) || (x < 0.0 && y > 0.0);
    if apart(ac, ad) && apart(ca, cb) {
        return true;
    }
    let between = |p: [f64; 2], (q, r): Edge| (0..2).all(|k| p[k] >= q[k].min(r[k]) && p[k] <= q[k].max(r[k]));
    [(ac, c, (a, b)), (ad, d, (a, b)), (ca, a, (c, d)), (cb, b, (c, d))]
        .into_iter()
        .any(|(turn, point, edge)| turn == 0.0 && between(point, edge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table() {
        use PolygonFault::{CrossingEdges, RepeatedCorner};
        let cases: [(&str, &[[f64; 2]], Option<PolygonFault>); 9] = [
            ("triangle", &[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], None),
            ("square", &[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], None),
            ("concave", &[[0.0, 0.0], [1.0, 0.0], [0.2, 0.2], [0.0, 1.0]], None),
            ("corner on a straight edge", &[[0.0, 0.0], [0.5, 0.0], [1.0, 0.0], [0.0, 1.0]], None),
            ("bow tie", &[[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]], Some(CrossingEdges(0, 2))),
            ("flat", &[[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]], Some(CrossingEdges(0, 2))),
            ("spike", &[[0.0, 0.0], [1.0, 0.0], [0.5, 0.0], [0.5, 1.0]], Some(CrossingEdges(0, 1))),
            ("touching", &[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.0], [0.0, 1.0]], Some(CrossingEdges(0, 2))),
            ("closed twice", &[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], Some(RepeatedCorner(3, 0))),
        ];
        for (name, corners, expected) in cases {
            assert_eq!(polygon_fault(corners), expected, "{name}");
        }
    }

    proptest! {
        /// Corners by ascending angle around the middle make a star-shaped polygon, which never crosses itself.
        #[test]
        fn star_shaped_polygons_are_sound(radii in proptest::collection::vec(0.1f64..0.5, 3..40)) {
            let step = std::f64::consts::TAU / radii.len() as f64;
            let corner = |(i, r): (usize, &f64)| [0.5 + r * (i as f64 * step).cos(), 0.5 + r * (i as f64 * step).sin()];
            let corners: Vec<_> = radii.iter().enumerate().map(corner).collect();
            prop_assert_eq!(polygon_fault(&corners), None);
        }

        #[test]
        fn a_point_is_in_one_half_of_a_split_rectangle(x in 0.0f64..1.0, y in 0.0f64..1.0, split in 0.01f64..0.99) {
            let left = [[0.0, 0.0], [split, 0.0], [split, 1.0], [0.0, 1.0]];
            let right = [[split, 0.0], [1.0, 0.0], [1.0, 1.0], [split, 1.0]];
            prop_assert!(is_inside([x, y], &left) != is_inside([x, y], &right));
        }
    }
}
