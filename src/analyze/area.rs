//! Zones: who is in, since when, and whether it is too many. Pure: points and media time in, what happened out.

use super::{left::ObjectRule, millis, settings::ROUNDING};
use crate::{
    config::plan::ZonePlan,
    event::{TrackSeen, What},
    geometry::is_inside,
    track::TrackId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A track goes the wrong way once it has for this long. Empirical: who turns around on the spot has not.
const WRONG: f64 = 1.0;

/// A named polygon and what it watches for.
#[derive(Clone, Debug, PartialEq)]
pub struct AreaRule {
    /// Its name.
    pub name: String,
    /// At least three corners, shares of the picture's width and height.
    pub corners: Vec<[f64; 2]>,
    /// A track that stays this long has dwelled.
    pub dwell: Option<Duration>,
    /// More tracks than this are a crowd.
    pub max_occupancy: Option<u32>,
    /// The way tracks should go.
    pub heading: Option<HeadingRule>,
    /// Objects that belong here and should not be taken away.
    pub kept: Option<ObjectRule>,
}

/// The way tracks should go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadingRule {
    /// Degrees clockwise from up in the picture.
    pub degrees: f64,
    /// Headings that differ by more are wrong, degrees.
    pub tolerance: f64,
}

impl From<&ZonePlan> for AreaRule {
    fn from(plan: &ZonePlan) -> Self {
        let ZonePlan { name, polygon, dwell, max_occupancy, heading, kept } = plan.clone();
        let corners = polygon.iter().map(|corner| [corner.x_norm, corner.y_norm].map(f64::from)).collect();
        Self { name, corners, dwell, max_occupancy, heading, kept }
    }
}

/// What happened in a zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AreaNews {
    /// A track came in.
    Entered,
    /// A track left after this many seconds, from its first to its last moment inside.
    Left(f64),
    /// A track has been inside for this many seconds, as long as the rule says.
    Dwelled(f64),
}

impl AreaNews {
    /// What happened as it is told; `occupancy` counts who is in the zone now.
    pub fn told(self, seen: TrackSeen, zone: String, occupancy: u32) -> What {
        match self {
            Self::Entered => What::ZoneEntered { seen, zone, occupancy },
            Self::Left(seconds) => What::ZoneLeft { seen, zone, occupancy, dwell_seconds: millis(seconds) },
            Self::Dwelled(seconds) => What::ZoneDwelled { seen, zone, dwell_seconds: millis(seconds) },
        }
    }
}

/// One zone at work. Times are seconds of the stream, never decreasing.
#[derive(Debug)]
pub struct Area {
    rule: AreaRule,
    /// How long a track must be in or out before it counts, seconds.
    settle: f64,
    visits: BTreeMap<TrackId, Visit>,
    inside: BTreeSet<TrackId>,
    crowd: Option<f64>,
    is_crowded: bool,
    counted: Counted,
}

/// A track at a zone.
#[derive(Clone, Copy, Debug)]
struct Visit {
    /// When it was first inside, and last.
    first: f64,
    last: f64,
    /// Since when it has been on the other side than it counts for, if it has.
    other: Option<f64>,
    has_dwelled: bool,
    /// Since when it has gone the wrong way, and whether that was told.
    wrong_since: Option<f64>,
    is_wrong: bool,
}

impl Visit {
    const fn at(now: f64) -> Self {
        Self { first: now, last: now, other: Some(now), has_dwelled: false, wrong_since: None, is_wrong: false }
    }
}

/// What a zone held since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// Tracks that came in.
    pub entered: u64,
    /// Most at once.
    pub most: u32,
    /// Tracks times seconds.
    track_seconds: f64,
    seconds: f64,
    at: Option<f64>,
}

impl Counted {
    /// Mean number of tracks, weighted by time.
    pub fn mean(&self) -> f64 {
        if self.seconds > 0.0 { self.track_seconds / self.seconds } else { f64::from(self.most) }
    }
}

impl Area {
    /// An empty zone; who has been in or out for `settle` is.
    pub fn new(rule: AreaRule, settle: Duration) -> Self {
        Self {
            rule,
            settle: settle.as_secs_f64() - ROUNDING,
            visits: BTreeMap::new(),
            inside: BTreeSet::new(),
            crowd: None,
            is_crowded: false,
            counted: Counted::default(),
        }
    }

    /// The same zone with another shape or other limits: who is in it stays until seen outside.
    pub fn with_rule(self, rule: AreaRule) -> Self {
        Self { rule, ..self }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.rule.name
    }

    /// Tracks in it, by ascending id.
    pub fn tracks(&self) -> Vec<TrackId> {
        self.inside.iter().copied().collect()
    }

    /// Most tracks it should hold.
    pub const fn limit(&self) -> Option<u32> {
        self.rule.max_occupancy
    }

    /// Tracks in it.
    pub fn occupancy(&self) -> u32 {
        self.inside.len() as u32
    }

    /// Whether a track is in it.
    pub fn holds(&self, track: TrackId) -> bool {
        self.inside.contains(&track)
    }

    /// A track is seen with its anchor at `point`. At most one thing happens.
    pub fn see(&mut self, track: TrackId, point: [f32; 2], now: f64) -> Option<AreaNews> {
        let is_inside = is_inside(point.map(f64::from), &self.rule.corners);
        if self.inside.contains(&track) {
            self.see_inside(track, is_inside, now)
        } else {
            self.see_outside(track, is_inside, now)
        }
    }

    fn see_outside(&mut self, track: TrackId, is_inside: bool, now: f64) -> Option<AreaNews> {
        if !is_inside {
            self.visits.remove(&track);
            return None;
        }
        let visit = self.visits.entry(track).or_insert(Visit::at(now));
        visit.last = now;
        if now - visit.first < self.settle {
            return None;
        }
        visit.other = None;
        self.inside.insert(track);
        self.counted.entered += 1;
        Some(AreaNews::Entered)
    }

    fn see_inside(&mut self, track: TrackId, is_inside: bool, now: f64) -> Option<AreaNews> {
        let visit = self.visits.get_mut(&track)?;
        if is_inside {
            visit.last = now;
            visit.other = None;
            let stayed = now - visit.first;
            let is_long = self.rule.dwell.is_some_and(|dwell| stayed >= dwell.as_secs_f64());
            let is_news = is_long && !visit.has_dwelled;
            visit.has_dwelled |= is_long;
            return is_news.then_some(AreaNews::Dwelled(stayed));
        }
        let since = *visit.other.get_or_insert(now);
        if now - since < self.settle { None } else { self.end(track) }
    }

    /// A track in the zone goes in the direction `heading`, degrees, or hardly moves. Gives the heading if it is the wrong way
    /// for certain, once a visit.
    pub fn see_heading(&mut self, track: TrackId, heading: Option<f64>, now: f64) -> Option<f64> {
        let HeadingRule { degrees, tolerance } = self.rule.heading?;
        let visit = self.visits.get_mut(&track).filter(|_| self.inside.contains(&track))?;
        let wrong = heading.filter(|heading| ((heading - degrees + 540.0).rem_euclid(360.0) - 180.0).abs() > tolerance);
        let Some(heading) = wrong else {
            visit.wrong_since = None;
            return None;
        };
        let since = *visit.wrong_since.get_or_insert(now);
        let is_news = now - since >= WRONG && !visit.is_wrong;
        visit.is_wrong |= is_news;
        is_news.then_some(heading)
    }

    /// Whether something of `class` belongs here that had stood for so many seconds.
    pub fn misses(&self, class: &str, stood: f64) -> bool {
        let belongs = |rule: &ObjectRule| rule.classes.iter().any(|known| known == class);
        self.rule.kept.as_ref().is_some_and(|rule| belongs(rule) && stood >= rule.after.as_secs_f64())
    }

    /// A track is gone; it leaves if it was in.
    pub fn end(&mut self, track: TrackId) -> Option<AreaNews> {
        let visit = self.visits.remove(&track)?;
        self.inside.remove(&track).then_some(AreaNews::Left(visit.last - visit.first))
    }

    /// A frame is over. Gives whether the zone became crowded (true) or cleared (false), which takes as long to settle.
    pub fn settle(&mut self, now: f64) -> Option<bool> {
        let occupancy = self.occupancy();
        let counted = &mut self.counted;
        let passed = counted.at.map_or(0.0, |at| now - at);
        counted.at = Some(now);
        counted.seconds += passed;
        counted.track_seconds += passed * f64::from(occupancy);
        counted.most = counted.most.max(occupancy);
        let is_over = self.rule.max_occupancy.is_some_and(|limit| occupancy > limit);
        if is_over == self.is_crowded {
            self.crowd = None;
            return None;
        }
        let since = *self.crowd.get_or_insert(now);
        if now - since < self.settle {
            return None;
        }
        (self.is_crowded, self.crowd) = (is_over, None);
        Some(is_over)
    }

    /// What it held since it was last asked.
    pub fn take_counted(&mut self) -> Counted {
        let at = self.counted.at;
        let occupancy = self.occupancy();
        std::mem::replace(&mut self.counted, Counted { most: occupancy, at, ..Counted::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::SETTLE;
    use proptest::prelude::*;

    const IN: [f32; 2] = [0.5, 0.5];
    const OUT: [f32; 2] = [0.1, 0.5];

    fn area(dwell: Option<u64>, max_occupancy: Option<u32>) -> Area {
        let heading = Some(HeadingRule { degrees: 350.0, tolerance: 60.0 });
        let kept = Some(ObjectRule { classes: vec!["bicycle".into()], after: Duration::from_secs(5) });
        let corners = vec![[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]];
        let dwell = dwell.map(Duration::from_secs);
        Area::new(AreaRule { name: "door".into(), corners, dwell, max_occupancy, heading, kept }, SETTLE)
    }

    /// What a track does that is at `at(frame)` in each of `frames` frames, ten a second.
    fn told(area: &mut Area, frames: u32, at: impl Fn(u32) -> [f32; 2]) -> Vec<(u32, AreaNews)> {
        let see = |frame| area.see(TrackId(1), at(frame), f64::from(frame) / 10.0).map(|news| (frame, news));
        (0..frames).filter_map(see).collect()
    }

    #[test]
    fn a_visit_is_told_once_with_its_whole_length() {
        let at = |frame| if (10..30).contains(&frame) { IN } else { OUT };
        let told = told(&mut area(None, None), 60, at);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0], (12, AreaNews::Entered));
        let (32, AreaNews::Left(seconds)) = told[1] else { panic!("{told:?}") };
        assert!((seconds - 1.9).abs() < 1e-9, "{seconds}");
    }

    #[test]
    fn a_box_that_trembles_at_the_edge_neither_comes_nor_goes() {
        let flicker = |frame: u32| if frame.is_multiple_of(2) { IN } else { OUT };
        assert_eq!(told(&mut area(None, None), 100, flicker), []);
        let inside = |frame: u32| if frame > 10 && frame.is_multiple_of(2) { OUT } else { IN };
        assert_eq!(told(&mut area(None, None), 100, inside), [(2, AreaNews::Entered)]);
    }

    #[test]
    fn the_wrong_way_is_told_once_a_visit_and_only_inside() {
        let going = |at: [f32; 2], heading: &dyn Fn(u32) -> Option<f64>| -> Vec<u32> {
            let mut area = area(None, None);
            let mut wrong = |frame: u32| {
                let now = f64::from(frame) / 10.0;
                area.see(TrackId(1), at, now);
                area.see_heading(TrackId(1), heading(frame), now)
            };
            (0..100).filter(|&frame| wrong(frame).is_some()).collect()
        };
        // In since the third frame, wrong for a second.
        assert_eq!(going(IN, &|_| Some(170.0)), [12]);
        assert_eq!(going(IN, &|_| Some(51.0)), [12]);
        for right in [Some(350.0), Some(0.0), Some(49.0), Some(291.0), None] {
            assert!(going(IN, &|_| right).is_empty(), "{right:?}");
        }
        assert!(going(OUT, &|_| Some(170.0)).is_empty());
        // Nobody turns around for less than a second at a time.
        assert!(going(IN, &|frame| Some(if frame % 10 < 8 { 170.0 } else { 0.0 })).is_empty());
    }

    #[test]
    fn what_stood_long_enough_is_missed() {
        let area = area(None, None);
        assert!(area.misses("bicycle", 5.0));
        assert!(!area.misses("bicycle", 4.9) && !area.misses("person", 50.0));
    }

    #[test]
    fn who_stays_has_dwelled_once() {
        let told = told(&mut area(Some(2), None), 100, |_| IN);
        assert_eq!(told, [(2, AreaNews::Entered), (20, AreaNews::Dwelled(2.0))]);
    }

    #[test]
    fn a_track_that_ends_inside_leaves_and_one_outside_does_not() {
        let mut area = area(None, None);
        told(&mut area, 10, |_| IN);
        assert_eq!(area.occupancy(), 1);
        assert!(matches!(area.end(TrackId(1)), Some(AreaNews::Left(_))));
        assert_eq!((area.end(TrackId(1)), area.occupancy()), (None, 0));
    }

    #[test]
    fn a_crowd_is_told_when_it_lasts() {
        let mut area = area(None, Some(1));
        let mut told = Vec::new();
        for frame in 0..60 {
            let now = f64::from(frame) / 10.0;
            area.see(TrackId(1), IN, now);
            area.see(TrackId(2), if (10..30).contains(&frame) { IN } else { OUT }, now);
            told.extend(area.settle(now).map(|crowded| (frame, crowded)));
        }
        // Settled twice: the track, then the crowd.
        assert_eq!(told, [(14, true), (34, false)]);
        let counted = area.take_counted();
        assert_eq!((counted.entered, counted.most), (2, 2));
        assert!((counted.mean() - (5.9 - 0.2 + 2.0) / 5.9).abs() < 0.05, "{}", counted.mean());
        assert_eq!(area.take_counted().entered, 0);
    }

    proptest! {
        #[test]
        fn entries_less_leaves_are_those_inside(path in proptest::collection::vec((0.0f32..1.0, 0.0f32..1.0), 1..200)) {
            let mut area = area(None, None);
            let told = told(&mut area, path.len() as u32, |frame| path[frame as usize].into());
            let entered = told.iter().filter(|(_, news)| *news == AreaNews::Entered).count();
            prop_assert_eq!(told.len() - entered + area.occupancy() as usize, entered);
            // They take turns.
            for (index, (_, news)) in told.iter().enumerate() {
                prop_assert_eq!(*news == AreaNews::Entered, index % 2 == 0);
            }
        }
    }
}
