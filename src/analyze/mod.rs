//! Events from tracks: beginnings and ends, zones, lines, counts. Knows neither pixels nor where events go.
//!
//! `StreamAnalysis` is what the line calls, one a stream; behind it `lifecycle` remembers the open tracks, `area` and `line`
//! watch one zone and one line each, `counts` sums up, `teller` makes the events.

pub mod area;
mod counts;
mod lifecycle;
pub mod line;
mod teller;

use crate::{
    config::plan::{LinePlan, StreamPlan, ZonePlan},
    event::{AreaCount, Counts, Event, ModelRef, TrackEnd, TrackSeen, What, state::Totals},
    frame::FrameMeta,
    pipeline::flow::{EndReason, Turn},
    source::SourceInfo,
    track::{Track, TrackId, TrackState},
};
use area::{Area, AreaNews, AreaRule};
use counts::LineCounts;
use lifecycle::Lifecycle;
use line::{Line, LineRule};
use std::{sync::Arc, time::Duration};
use teller::Teller;

/// How far a box trembles, as a share of its height: the slack of lines. Empirical, see `Line::see`.
const SLACK: f32 = 0.05;

/// What a stream's analysis is to do and where it goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnalysisSettings {
    /// Stream name of the plan.
    pub stream: String,
    /// Class names of the detector.
    pub classes: Arc<[String]>,
    /// Whether its events have a wall-clock time: a recording's have none.
    pub is_live: bool,
    /// The networks, told when the stream starts.
    pub models: Vec<ModelRef>,
    /// Zones.
    pub areas: Vec<AreaRule>,
    /// Lines.
    pub lines: Vec<LineRule>,
    /// Which point of a box stands for it.
    pub anchor: Anchor,
    /// A `track.updated` for each track at most this often; none for `None`.
    pub updates: Option<Duration>,
    /// A `counts` this often, where there are zones or lines; none for `None`.
    pub counts: Option<Duration>,
    /// Sequence number of the first event.
    pub first_sequence: u64,
    /// What was counted before.
    pub totals: Totals,
}

impl AnalysisSettings {
    /// What a stream's plan says of it; everything else at its default.
    pub fn of(plan: &StreamPlan) -> Self {
        Self {
            stream: plan.name.clone(),
            is_live: plan.live.is_some(),
            areas: plan.zones.iter().map(AreaRule::from).collect(),
            lines: plan.lines.iter().map(LineRule::from).collect(),
            ..Self::default()
        }
    }
}

/// The point of a box that zones and lines look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anchor {
    /// Middle of the lower edge: where a person stands.
    #[default]
    Bottom,
    /// The middle: for a camera that looks straight down.
    Center,
    /// Middle of the upper edge: where lower parts are often hidden.
    Top,
}

/// One stream's events.
///
/// Order: `stream.started`; within a frame first the ends (of each removed track by ascending id: the zones it was in, then
/// itself), then what the seen tracks do by ascending id (start, update, zones, lines), then what is true of zones, then
/// counts; at the end of the stream the ends of every open track, the last counts, `stream.ended`. An ended track never
/// reopens.
#[derive(Debug)]
pub struct StreamAnalysis {
    teller: Teller,
    lifecycle: Lifecycle,
    areas: Vec<Area>,
    lines: Vec<Line>,
    line_counts: LineCounts,
    anchor: Anchor,
    counts: Option<Duration>,
    /// When the interval being counted began, seconds of the stream.
    counting_since: Option<f64>,
    began: bool,
}

impl StreamAnalysis {
    /// The analysis that `settings` ask for.
    pub fn new(settings: AnalysisSettings) -> Self {
        let teller = Teller::new(&settings);
        let AnalysisSettings { areas, lines, anchor, updates, counts, .. } = settings;
        Self {
            teller,
            lifecycle: Lifecycle::new(updates),
            areas: areas.into_iter().map(Area::new).collect(),
            lines: lines.into_iter().map(Line::new).collect(),
            line_counts: LineCounts::new(settings.totals),
            anchor,
            counts,
            counting_since: None,
            began: false,
        }
    }

    /// Tracks started so far.
    pub const fn started(&self) -> u64 {
        self.lifecycle.started()
    }

    /// An epoch begins; the first one starts the stream.
    pub fn begin(&mut self, info: &SourceInfo, events: &mut Vec<Event>) {
        self.teller.begin_epoch(info.size);
        if !std::mem::replace(&mut self.began, true) {
            let started = self.teller.started(info);
            self.teller.tell(started, events);
        }
    }

    /// Takes in the tracks of one frame.
    pub fn frame(&mut self, meta: &FrameMeta, tracks: &[Track], events: &mut Vec<Event>) {
        self.teller.frame(meta);
        let now = self.teller.now();
        self.counting_since.get_or_insert(now);
        for track in tracks.iter().filter(|track| track.state == TrackState::Removed) {
            self.end_track(track.id, TrackEnd::Gone, events);
        }
        for track in tracks.iter().filter(|track| track.state == TrackState::Confirmed) {
            self.see(track, now, events);
        }
        for area in &mut self.areas {
            let (occupancy, limit) = (area.occupancy(), area.limit().unwrap_or(0));
            let zone = area.name().to_owned();
            match area.settle(now) {
                Some(true) => self.teller.tell(What::ZoneCrowded { zone, occupancy, limit }, events),
                Some(false) => self.teller.tell(What::ZoneCleared { zone, occupancy, limit }, events),
                None => {}
            }
        }
        self.count(now, events);
    }

    /// Something happened to the scene that no track did, in the frame taken in last.
    pub fn note(&mut self, what: What, events: &mut Vec<Event>) {
        self.teller.tell(what, events);
    }

    /// A turn in the stream's life.
    pub fn turn(&mut self, turn: &Turn, events: &mut Vec<Event>) {
        self.teller.between_frames();
        match turn {
            Turn::Lost { cause } => self.teller.tell(What::StreamLost { reason: cause.to_string() }, events),
            Turn::Recovered { outage } => {
                let outage_seconds = millis(outage.as_secs_f64());
                self.teller.tell(What::StreamRecovered { outage_seconds }, events);
            }
            Turn::Changed { plan } => self.change(&plan.zones, &plan.lines, events),
            Turn::Paused | Turn::Resumed => {}
        }
    }

    /// Zones and lines are others from here on. Who is in a zone that goes leaves it; a zone that stays under its name keeps
    /// who is in it, whatever its shape is now, until they are seen elsewhere. Totals go on by name.
    fn change(&mut self, zones: &[ZonePlan], lines: &[LinePlan], events: &mut Vec<Event>) {
        let rules: Vec<AreaRule> = zones.iter().map(AreaRule::from).collect();
        let is_kept = |area: &Area| rules.iter().any(|rule| rule.name == area.name());
        for index in (0..self.areas.len()).filter(|&index| !is_kept(&self.areas[index])).collect::<Vec<_>>() {
            for track in self.areas[index].tracks() {
                self.leave(index, track, events);
            }
        }
        let mut before = std::mem::take(&mut self.areas);
        for rule in rules {
            let same = before.iter().position(|area| area.name() == rule.name);
            let area = same.map(|index| before.swap_remove(index).with_rule(rule.clone()));
            self.areas.push(area.unwrap_or_else(|| Area::new(rule)));
        }
        let mut before = std::mem::take(&mut self.lines);
        for rule in lines.iter().map(LineRule::from) {
            let same = before.iter().position(|line| *line.rule() == rule);
            self.lines.push(same.map_or_else(|| Line::new(rule), |index| before.swap_remove(index)));
        }
    }

    /// The stream ends, and every open track with it. Says nothing of a stream that never started.
    pub fn end(&mut self, reason: EndReason, events: &mut Vec<Event>) {
        for track in self.lifecycle.open_tracks() {
            self.end_track(track, TrackEnd::StreamEnded, events);
        }
        if self.began {
            self.tell_counts(self.teller.now(), events);
            let ended = self.teller.ended(reason);
            self.teller.tell(ended, events);
        }
    }

    fn see(&mut self, track: &Track, now: f64, events: &mut Vec<Event>) {
        let point = self.teller.normalized(self.anchor.of(track));
        let mut seen = self.teller.seen(track);
        seen.zones = self.zones_of(track.id);
        if let Some(what) = self.lifecycle.see(track, &seen, point, now) {
            self.teller.tell(what, events);
        }
        for index in 0..self.areas.len() {
            let Some(news) = self.areas[index].see(track.id, point, now) else { continue };
            seen.zones = self.zones_of(track.id);
            let (zone, occupancy) = (self.areas[index].name().to_owned(), self.areas[index].occupancy());
            let what = match news {
                AreaNews::Entered => What::ZoneEntered { seen: seen.clone(), zone, occupancy },
                AreaNews::Left(seconds) => {
                    What::ZoneLeft { seen: seen.clone(), zone, occupancy, dwell_seconds: millis(seconds) }
                }
                AreaNews::Dwelled(seconds) => {
                    What::ZoneDwelled { seen: seen.clone(), zone, dwell_seconds: millis(seconds) }
                }
            };
            self.teller.tell(what, events);
        }
        let slack = SLACK * seen.bbox_norm.height;
        for line in &mut self.lines {
            let Some(direction) = line.see(track.id, point, slack) else { continue };
            let total = self.line_counts.crossed(line.name(), &seen.class, direction);
            let line = line.name().to_owned();
            self.teller.tell(What::LineCrossed { seen: seen.clone(), line, direction, total }, events);
        }
    }

    fn end_track(&mut self, track: TrackId, reason: TrackEnd, events: &mut Vec<Event>) {
        self.lines.iter_mut().for_each(|line| line.end(track));
        (0..self.areas.len()).for_each(|index| self.leave(index, track, events));
        let Some(open) = self.lifecycle.end(track) else { return };
        let seen = self.teller.seen(&open.last);
        self.teller.tell(What::TrackEnded(open.ended(seen, reason)), events);
    }

    /// A track is in zone `index` no more, whether or not it was seen to go.
    fn leave(&mut self, index: usize, track: TrackId, events: &mut Vec<Event>) {
        let Some(AreaNews::Left(seconds)) = self.areas[index].end(track) else { return };
        let Some(last) = self.lifecycle.last_of(track) else { return };
        let seen = TrackSeen { zones: self.zones_of(track), ..self.teller.seen(last) };
        let (zone, occupancy) = (self.areas[index].name().to_owned(), self.areas[index].occupancy());
        self.teller.tell(What::ZoneLeft { seen, zone, occupancy, dwell_seconds: millis(seconds) }, events);
    }

    fn zones_of(&self, track: TrackId) -> Vec<String> {
        self.areas.iter().filter(|area| area.holds(track)).map(|area| area.name().to_owned()).collect()
    }

    /// Tells the counts if their interval is over.
    fn count(&mut self, now: f64, events: &mut Vec<Event>) {
        let (Some(interval), Some(since)) = (self.counts, self.counting_since) else { return };
        if now - since >= interval.as_secs_f64() {
            self.tell_counts(now, events);
        }
    }

    fn tell_counts(&mut self, now: f64, events: &mut Vec<Event>) {
        let (Some(_), Some(since)) = (self.counts, self.counting_since.replace(now)) else { return };
        if self.areas.is_empty() && self.lines.is_empty() {
            return;
        }
        let zone = |area: &mut Area| {
            let counted = area.take_counted();
            AreaCount {
                zone: area.name().to_owned(),
                occupancy: area.occupancy(),
                most: counted.most,
                mean: millis(counted.mean()),
                entered: counted.entered,
            }
        };
        let zones = self.areas.iter_mut().map(zone).collect();
        let lines = self.line_counts.take();
        let counts = Counts { from_seconds: millis(since), to_seconds: millis(now), lines, zones };
        self.teller.tell(What::Counts(counts), events);
    }
}

impl Anchor {
    /// The anchor of a track's box, source pixels.
    fn of(self, track: &Track) -> [f32; 2] {
        let bbox = &track.bbox;
        let y = match self {
            Self::Bottom => bbox.bottom,
            Self::Center => (bbox.top + bbox.bottom) / 2.0,
            Self::Top => bbox.top,
        };
        [(bbox.left + bbox.right) / 2.0, y]
    }
}

/// Rounded to 0.001.
fn millis(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn round_to(value: f32, parts: f32) -> f32 {
    (value * parts).round() / parts
}

#[cfg(test)]
mod tests;
