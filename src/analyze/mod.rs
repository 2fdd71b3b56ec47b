//! Events from tracks: beginnings and ends, zones, lines, counts. Knows neither pixels nor where events go.
//!
//! `StreamAnalysis` is what the line calls, one a stream; behind it `lifecycle` remembers the open tracks, `area` and `line`
//! watch one zone and one line each, `counts` sums up.

pub mod area;
mod counts;
mod lifecycle;
pub mod line;
mod teller;

use crate::{
    event::{AreaCount, Counts, Event, ModelRef, TrackEnd, What, state::Totals},
    frame::FrameMeta,
    pipeline::flow::EndReason,
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
        let AnalysisSettings { stream, classes, models, areas, lines, anchor, updates, counts, .. } = settings;
        let has_places = !(areas.is_empty() && lines.is_empty());
        Self {
            teller: Teller::new(stream, classes, models, settings.first_sequence),
            lifecycle: Lifecycle::new(updates),
            areas: areas.into_iter().map(Area::new).collect(),
            lines: lines.into_iter().map(Line::new).collect(),
            line_counts: LineCounts::new(settings.totals),
            anchor,
            counts: counts.filter(|_| has_places),
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

    /// Something happened to the stream or its scene that no track did.
    pub fn note(&mut self, what: What, events: &mut Vec<Event>) {
        self.teller.tell(what, events);
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
        let Some(open) = self.lifecycle.end(track) else { return };
        let mut seen = self.teller.seen(&open.last);
        for index in 0..self.areas.len() {
            let news = self.areas[index].end(track);
            if let Some(AreaNews::Left(seconds)) = news {
                seen.zones = self.zones_of(track);
                let (zone, occupancy) = (self.areas[index].name().to_owned(), self.areas[index].occupancy());
                let left = What::ZoneLeft { seen: seen.clone(), zone, occupancy, dwell_seconds: millis(seconds) };
                self.teller.tell(left, events);
            }
        }
        self.teller.tell(What::TrackEnded(open.ended(seen, reason)), events);
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
