//! Objects that were left alone. Pure: who stands where and since when in, what was abandoned out.

use crate::track::TrackId;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A person this near to an object may belong to it: share of the person's own height, which is some 1.7 m. Empirical.
const NEAR_HEIGHTS: f32 = 1.0;

/// Who is near for less than this passes by. Empirical.
const PASSING: f64 = 2.0;

/// Who looks after an object.
const KEEPER: &str = "person";

/// Objects that should not be left alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectRule {
    /// Names of their classes.
    pub classes: Vec<String>,
    /// How long they may be.
    pub after: Duration,
}

/// A track in a frame, as far as this is about it.
#[derive(Clone, Copy, Debug)]
pub struct Present<'a> {
    /// The track.
    pub track: TrackId,
    /// Its class.
    pub class: &'a str,
    /// The middle of its box's lower edge, pixels.
    pub foot_px: [f32; 2],
    /// Its box's height, pixels.
    pub height_px: f32,
    /// How long it has stood at one point, seconds.
    pub stood: f64,
}

/// Watches one stream's objects. Times are seconds of the stream, never decreasing.
#[derive(Debug)]
pub struct LeftObjects {
    rule: ObjectRule,
    objects: BTreeMap<TrackId, Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    /// Since when each person has been near.
    near_since: BTreeMap<TrackId, f64>,
    /// When somebody was last with it; at first, when it was first seen.
    attended: f64,
    is_told: bool,
}

impl LeftObjects {
    /// Watches what `rule` says.
    pub const fn new(rule: ObjectRule) -> Self {
        Self { rule, objects: BTreeMap::new() }
    }

    /// Takes in who was seen in a frame. Gives the objects abandoned now and how long each has been alone, by ascending id.
    /// An object that moves, or that somebody comes back to, may be abandoned anew.
    pub fn frame(&mut self, present: &[Present<'_>], now: f64) -> Vec<(TrackId, f64)> {
        let mut told = Vec::new();
        let after = self.rule.after.as_secs_f64();
        let is_object = |seen: &&Present<'_>| self.rule.classes.iter().any(|class| class == seen.class);
        for object in present.iter().filter(is_object) {
            let fresh = || Watched { attended: now, ..Watched::default() };
            let watched = self.objects.entry(object.track).or_insert_with(fresh);
            watched.look_around(object, present, now);
            let alone = (now - watched.attended).min(object.stood);
            let is_left = alone >= after;
            if is_left && !std::mem::replace(&mut watched.is_told, is_left) {
                told.push((object.track, alone));
            }
            watched.is_told &= is_left;
        }
        told
    }

    /// A track is gone.
    pub fn end(&mut self, track: TrackId) {
        self.objects.remove(&track);
        self.objects.values_mut().for_each(|object| _ = object.near_since.remove(&track));
    }
}

impl Watched {
    fn look_around(&mut self, object: &Present<'_>, present: &[Present<'_>], now: f64) {
        let near: BTreeSet<TrackId> = present.iter().filter(|seen| is_keeper(seen, object)).map(|s| s.track).collect();
        self.near_since.retain(|keeper, _| near.contains(keeper));
        for keeper in near {
            let since = *self.near_since.entry(keeper).or_insert(now);
            if now - since >= PASSING {
                self.attended = now;
            }
        }
    }
}

fn is_keeper(seen: &Present<'_>, object: &Present<'_>) -> bool {
    let [x, y] = [0, 1].map(|axis| seen.foot_px[axis] - object.foot_px[axis]);
    seen.class == KEEPER && x.hypot(y) <= NEAR_HEIGHTS * seen.height_px
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bag(stood: f64) -> Present<'static> {
        Present { track: TrackId(1), class: "suitcase", foot_px: [500.0, 500.0], height_px: 40.0, stood }
    }

    fn person(id: u64, x: f32) -> Present<'static> {
        Present { track: TrackId(id), class: "person", foot_px: [x, 500.0], height_px: 150.0, stood: 0.0 }
    }

    /// What is told in `seconds` at ten frames a second, and when.
    fn told(seconds: u32, at: impl Fn(f64) -> Vec<Present<'static>>) -> Vec<(f64, f64)> {
        let mut left =
            LeftObjects::new(ObjectRule { classes: vec!["suitcase".into()], after: Duration::from_secs(10) });
        let times = (0..seconds * 10).map(|frame| f64::from(frame) / 10.0);
        times.flat_map(|now| left.frame(&at(now), now).into_iter().map(move |(_, alone)| (now, alone))).collect()
    }

    #[test]
    fn a_bag_whose_owner_goes_is_abandoned_once() {
        let scene =
            |now: f64| vec![bag(now), person(2, 510.0 + if now > 20.0 { 100.0 * (now - 20.0) as f32 } else { 0.0 })];
        let told = told(60, scene);
        assert_eq!(told.len(), 1, "{told:?}");
        // He is out of reach after 1.4 s more.
        assert!((told[0].0 - 31.4).abs() < 0.3 && (told[0].1 - 10.0).abs() < 0.11, "{told:?}");
    }

    #[test]
    fn a_bag_with_its_owner_is_not_and_passers_by_are_no_owners() {
        assert_eq!(told(60, |now| vec![bag(now), person(2, 560.0)]), []);
        // Somebody else passes every second.
        let passing = |now: f64| vec![bag(now), person(2 + now as u64, 500.0)];
        assert_eq!(told(30, passing).len(), 1);
    }

    #[test]
    fn a_bag_that_moves_is_not_and_one_that_was_picked_up_may_be_again() {
        assert_eq!(told(60, |_| vec![bag(0.0)]), []);
        let scene = |now: f64| {
            let owner = (25.0..40.0).contains(&now).then(|| person(2, 500.0));
            std::iter::once(bag(now)).chain(owner).collect()
        };
        assert_eq!(told(60, scene).len(), 2);
        let other = |now: f64| vec![Present { class: "bench", ..bag(now) }];
        assert_eq!(told(60, other), []);
    }
}
