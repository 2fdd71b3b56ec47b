//! Directed lines: who crossed, which way. Pure: points in, crossings out.

use crate::{config::plan::LinePlan, event::Direction, track::TrackId};
use std::collections::BTreeMap;

/// A line from one point to another. Who looks from the first to the second has `Out` on the left and `In` on the right.
#[derive(Clone, Debug, PartialEq)]
pub struct LineRule {
    /// Its name.
    pub name: String,
    /// Where it begins, shares of the picture's width and height.
    pub from: [f32; 2],
    /// Where it ends.
    pub to: [f32; 2],
}

impl From<&LinePlan> for LineRule {
    fn from(plan: &LinePlan) -> Self {
        let [from, to] = [plan.from, plan.to].map(|point| [point.x_norm, point.y_norm]);
        Self { name: plan.name.clone(), from, to }
    }
}

/// One line at work.
#[derive(Debug)]
pub struct Line {
    rule: LineRule,
    /// Frames in a row a track must be seen beyond before it has crossed.
    confirm_frames: u32,
    tracks: BTreeMap<TrackId, Passage>,
}

/// A track at a line.
#[derive(Clone, Copy, Debug)]
struct Passage {
    /// The side it counts for.
    side: Side,
    /// Its last point on that side.
    last: [f32; 2],
    /// Frames in a row on the other side, and whether it got there across the line rather than around its ends.
    beyond: u32,
    is_across: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Line {
    /// A line nobody is at; who was seen beyond it in `confirm_frames` frames in a row has crossed it.
    pub const fn new(rule: LineRule, confirm_frames: u32) -> Self {
        Self { rule, confirm_frames, tracks: BTreeMap::new() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.rule.name
    }

    /// Where it is.
    pub const fn rule(&self) -> &LineRule {
        &self.rule
    }

    /// A track is seen with its anchor at `point`, which trembles by `slack` (share of the picture): nearer to the line than
    /// that it is on neither side. Gives the way it crossed, once that is certain.
    ///
    /// A track that is first seen beyond the line has not crossed it, so an identity that changes hands at the line is not
    /// counted twice.
    pub fn see(&mut self, track: TrackId, point: [f32; 2], slack: f32) -> Option<Direction> {
        let distance = turn(self.rule.from, self.rule.to, point) / self.length();
        let slack = f64::from(slack.max(0.0));
        // On the line itself, or no number: nothing new.
        let side = match distance {
            d if d > slack => Side::Right,
            d if d < -slack => Side::Left,
            _ => return None,
        };
        let fresh = Passage { side, last: point, beyond: 0, is_across: false };
        let passage = self.tracks.entry(track).or_insert(fresh);
        if side == passage.side {
            *passage = fresh;
            return None;
        }
        if passage.beyond == 0 {
            passage.is_across = is_between(passage.last, point, self.rule.from, self.rule.to);
        }
        passage.beyond += 1;
        if passage.beyond < self.confirm_frames {
            return None;
        }
        let is_across = passage.is_across;
        *passage = fresh;
        is_across.then_some(if side == Side::Right { Direction::In } else { Direction::Out })
    }

    fn length(&self) -> f64 {
        let [dx, dy] = [0, 1].map(|k| f64::from(self.rule.to[k] - self.rule.from[k]));
        dx.hypot(dy).max(f64::MIN_POSITIVE)
    }

    /// A track is gone.
    pub fn end(&mut self, track: TrackId) {
        self.tracks.remove(&track);
    }
}

/// Twice the signed area of the triangle a, b, c; positive where c is to the right of a → b in a picture, whose y grows
/// downwards.
fn turn(a: [f32; 2], b: [f32; 2], c: [f32; 2]) -> f64 {
    let [a, b, c] = [a, b, c].map(|point| point.map(f64::from));
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// Whether the way from `before` to `after`, on two sides of a line, passes between its ends, which count as part of it.
fn is_between(before: [f32; 2], after: [f32; 2], from: [f32; 2], to: [f32; 2]) -> bool {
    turn(before, after, from) * turn(before, after, to) <= 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::CONFIRM_FRAMES;
    use proptest::prelude::*;

    /// As much as the made-up walkers tremble.
    const SLACK: f32 = 0.01;

    /// From left to right through the middle: in is down, out is up.
    fn line() -> Line {
        Line::new(LineRule { name: "kerb".into(), from: [0.2, 0.5], to: [0.8, 0.5] }, CONFIRM_FRAMES)
    }

    fn crossings(path: impl IntoIterator<Item = [f32; 2]>) -> Vec<Direction> {
        let mut line = line();
        path.into_iter().filter_map(|point| line.see(TrackId(1), point, SLACK)).collect()
    }

    fn walk(x: f32, from_y: f32, to_y: f32) -> impl Iterator<Item = [f32; 2]> {
        (0..=20).map(move |step| [x, from_y + (to_y - from_y) * step as f32 / 20.0])
    }

    #[test]
    fn each_crossing_is_told_once_with_its_direction() {
        assert_eq!(crossings(walk(0.5, 0.1, 0.9)), [Direction::In]);
        assert_eq!(crossings(walk(0.5, 0.9, 0.1)), [Direction::Out]);
        assert_eq!(crossings(walk(0.5, 0.1, 0.9).chain(walk(0.5, 0.9, 0.1))), [Direction::In, Direction::Out]);
    }

    #[test]
    fn around_the_ends_is_no_crossing() {
        assert_eq!(crossings(walk(0.1, 0.1, 0.9)), []);
        // Around the end and back across.
        assert_eq!(crossings(walk(0.1, 0.1, 0.9).chain(walk(0.5, 0.9, 0.1))), [Direction::Out]);
    }

    #[test]
    fn trembling_on_the_line_is_no_crossing() {
        let tremble = (0..100).map(|frame: i32| [0.5, if frame % 3 == 0 { 0.49 } else { 0.51 }]);
        assert_eq!(crossings(tremble), []);
        assert_eq!(crossings([[0.5, 0.5]; 50]), []);
        assert_eq!(crossings([[0.5, f32::NAN]; 50]), []);
    }

    #[test]
    fn a_gap_over_the_line_is_a_crossing_and_a_change_of_identity_is_not_two() {
        let unseen = [[0.4, 0.3], [0.6, 0.7], [0.6, 0.72], [0.6, 0.74]];
        assert_eq!(crossings(unseen), [Direction::In]);
        let mut line = line();
        let mut told = 0;
        for point in walk(0.5, 0.1, 0.7) {
            told += usize::from(line.see(TrackId(1), point, SLACK).is_some());
        }
        line.end(TrackId(1));
        for point in walk(0.5, 0.7, 0.9) {
            told += usize::from(line.see(TrackId(2), point, SLACK).is_some());
        }
        assert_eq!(told, 1);
    }

    proptest! {
        /// A walker with jitter: exactly one crossing, in the direction it walked.
        #[test]
        fn walkers_with_jitter_are_counted_exactly(
            x in 0.3f32..0.7,
            frames in 20u32..200,
            jitter in proptest::collection::vec(-0.01f32..0.01, 400),
            is_down in any::<bool>(),
        ) {
            let path = (0..=frames).map(|frame| {
                let share = frame as f32 / frames as f32;
                let y = 0.1 + 0.8 * if is_down { share } else { 1.0 - share };
                [x + jitter[2 * frame as usize % 400], y + jitter[(2 * frame as usize + 1) % 400]]
            });
            prop_assert_eq!(crossings(path), [if is_down { Direction::In } else { Direction::Out }]);
        }

        /// Whatever a track does, its crossings take turns.
        #[test]
        fn crossings_on_a_line_without_ends_take_turns(path in proptest::collection::vec(0.0f32..1.0, 1..300)) {
            let told = crossings(path.into_iter().map(|y| [0.5, y]));
            prop_assert!(told.windows(2).all(|two| two[0] != two[1]), "{:?}", told);
        }
    }
}
