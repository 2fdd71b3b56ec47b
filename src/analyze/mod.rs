//! Events from tracks: beginnings and ends, zones, lines, motion, counts. Knows neither pixels nor where events go.
//!
//! `StreamAnalysis` is what the line calls, one a stream; behind it `lifecycle` remembers the open tracks, `area` and `line`
//! watch one zone and one line each, `movement` says who stands and how fast the others go (`ground`: in metres), `left`
//! watches objects left alone, `counts` sums up, `teller` makes the events.

pub mod area;
mod counts;
pub mod ground;
pub mod left;
mod lifecycle;
pub mod line;
mod movement;
mod settings;
mod teller;

pub use settings::{AnalysisSettings, Anchor, CONFIRM_FRAMES, Rules, SETTLE, UpdateCause, Updates};

use crate::{
    config::plan::StreamPlan,
    event::{Event, TrackEnd, TrackSeen, What},
    frame::FrameMeta,
    pipeline::flow::{EndReason, Turn},
    preprocess::illumination::LightChange,
    source::SourceInfo,
    track::{Track, TrackId, TrackState},
};
use area::{Area, AreaRule};
use counts::Counting;
use ground::Ground;
use left::{LeftObjects, Present};
use lifecycle::Lifecycle;
use line::{Line, LineRule};
use movement::{Movement, Sighting};
use teller::Teller;

/// How far a box trembles, as a share of its height: the slack of lines. Empirical, see `Line::see`.
const SLACK: f32 = 0.05;

/// One stream's events.
///
/// Order: `stream.started`; within a frame first the ends (of each removed track by ascending id: what was taken away, the
/// zones it was in, then itself), then what the seen tracks do by ascending id (start, update, standing, zones, lines), then
/// what was abandoned, what is true of zones, counts; at the end of the stream the ends of every open track, the last
/// counts, `stream.ended`. An ended track never reopens.
#[derive(Debug)]
pub struct StreamAnalysis {
    teller: Teller,
    lifecycle: Lifecycle,
    areas: Vec<Area>,
    lines: Vec<Line>,
    movement: Movement,
    left: Option<LeftObjects>,
    counting: Counting,
    ground: Option<Ground>,
    rules: Rules,
    began: bool,
}

impl StreamAnalysis {
    /// The analysis that `settings` ask for.
    pub fn new(settings: AnalysisSettings) -> Self {
        let teller = Teller::new(&settings);
        let AnalysisSettings { areas, lines, ground, rules, totals, .. } = settings;
        Self {
            teller,
            lifecycle: Lifecycle::new(rules.updates),
            areas: areas.into_iter().map(|rule| Area::new(rule, rules.settle)).collect(),
            lines: lines.into_iter().map(|rule| Line::new(rule, rules.confirm_frames)).collect(),
            movement: Movement::new(rules.settle),
            left: rules.abandoned.clone().map(LeftObjects::new),
            counting: Counting::new(rules.counts, totals),
            ground,
            rules,
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
        for track in tracks.iter().filter(|track| track.state == TrackState::Removed) {
            self.end_track(track.id, TrackEnd::Gone, events);
        }
        for track in tracks.iter().filter(|track| track.state == TrackState::Confirmed) {
            self.see(track, now, events);
        }
        self.watch_objects(tracks, now, events);
        for area in &mut self.areas {
            let (occupancy, limit) = (area.occupancy(), area.limit().unwrap_or(0));
            let zone = area.name().to_owned();
            match area.settle(now) {
                Some(true) => self.teller.tell(What::ZoneCrowded { zone, occupancy, limit }, events),
                Some(false) => self.teller.tell(What::ZoneCleared { zone, occupancy, limit }, events),
                None => {}
            }
        }
        let counts = self.counting.due(now, &mut self.areas);
        counts.into_iter().for_each(|counts| self.teller.tell(What::Counts(counts), events));
    }

    /// The light of the scene has changed in the frame just taken in.
    pub fn light_changed(&mut self, change: &LightChange, events: &mut Vec<Event>) {
        let [before, after] = [change.was, change.now].map(|state| state.as_str().to_owned());
        self.teller.tell(What::SceneLightChanged { before, after }, events);
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
            Turn::Changed { plan } => self.change(plan, events),
            Turn::Paused | Turn::Resumed => {}
        }
    }

    /// The stream ends, and every open track with it. Says nothing of a stream that never started.
    pub fn end(&mut self, reason: EndReason, events: &mut Vec<Event>) {
        for track in self.lifecycle.open_tracks() {
            self.end_track(track, TrackEnd::StreamEnded, events);
        }
        if self.began {
            let counts = self.counting.last(self.teller.now(), &mut self.areas);
            counts.into_iter().for_each(|counts| self.teller.tell(What::Counts(counts), events));
            let ended = self.teller.ended(reason);
            self.teller.tell(ended, events);
        }
    }

    /// Zones and lines are others from here on. Who is in a zone that goes leaves it; a zone that stays under its name keeps
    /// who is in it, whatever its shape is now, until they are seen elsewhere. Totals go on by name.
    fn change(&mut self, plan: &StreamPlan, events: &mut Vec<Event>) {
        let rules: Vec<AreaRule> = plan.zones.iter().map(AreaRule::from).collect();
        let is_kept = |area: &Area| rules.iter().any(|rule| rule.name == area.name());
        let gone: Vec<usize> = (0..self.areas.len()).filter(|&index| !is_kept(&self.areas[index])).collect();
        for index in gone {
            for track in self.areas[index].tracks() {
                self.leave(index, track, events);
            }
        }
        let mut before = std::mem::take(&mut self.areas);
        for rule in rules {
            let same = before.iter().position(|area| area.name() == rule.name);
            let area = same.map(|index| before.swap_remove(index).with_rule(rule.clone()));
            self.areas.push(area.unwrap_or_else(|| Area::new(rule, self.rules.settle)));
        }
        let mut before = std::mem::take(&mut self.lines);
        for rule in plan.lines.iter().map(LineRule::from) {
            let same = before.iter().position(|line| *line.rule() == rule);
            let line = same.map(|index| before.swap_remove(index));
            self.lines.push(line.unwrap_or_else(|| Line::new(rule, self.rules.confirm_frames)));
        }
        if self.ground != plan.ground {
            self.ground.clone_from(&plan.ground);
            self.movement.forget_metres();
        }
    }

    fn see(&mut self, track: &Track, now: f64, events: &mut Vec<Event>) {
        let at_px = self.rules.anchor.of(track);
        let point = self.teller.normalized(at_px);
        let diagonal_px = track.bbox.width().hypot(track.bbox.height());
        let at_m = self.ground.as_ref().and_then(|ground| ground.metres(point));
        let had_stood = self.movement.see(track.id, Sighting { at_px, at_m, diagonal_px }, now);
        let mut seen = self.seen(track);
        if let Some(what) = self.lifecycle.see(track, &seen, point, now) {
            self.teller.tell(what, events);
        }
        self.see_standing(track.id, &seen, had_stood, now, events);
        self.see_zones(track.id, &mut seen, point, now, events);
        let slack = SLACK * seen.bbox_norm.height;
        for line in &mut self.lines {
            let Some(direction) = line.see(track.id, point, slack) else { continue };
            let total = self.counting.crossed(line.name(), &seen.class, direction);
            let line = line.name().to_owned();
            self.teller.tell(What::LineCrossed { seen: seen.clone(), line, direction, total }, events);
        }
    }

    /// Tells of a track that stopped, or that moves on after it `had_stood` so many seconds.
    fn see_standing(
        &mut self,
        track: TrackId,
        seen: &TrackSeen,
        had_stood: Option<f64>,
        now: f64,
        events: &mut Vec<Event>,
    ) {
        if let Some(stood) = had_stood {
            self.take_away(track, stood, events);
            if self.lifecycle.moves_on(track) {
                let moved = What::TrackMoved { seen: seen.clone(), stopped_seconds: millis(stood) };
                self.teller.tell(moved, events);
            }
        }
        let stood = self.movement.stood(track, now);
        let is_long = self.rules.stopped.is_some_and(|after| stood >= after.as_secs_f64());
        if is_long && self.lifecycle.stands(track) {
            self.teller.tell(What::TrackStopped { seen: seen.clone(), stopped_seconds: millis(stood) }, events);
        }
    }

    fn see_zones(&mut self, track: TrackId, seen: &mut TrackSeen, point: [f32; 2], now: f64, events: &mut Vec<Event>) {
        let heading = self.movement.heading_degrees(track);
        for index in 0..self.areas.len() {
            let news = self.areas[index].see(track, point, now);
            let (zone, occupancy) = (self.areas[index].name().to_owned(), self.areas[index].occupancy());
            if let Some(news) = news {
                seen.zones = self.zones_of(track);
                self.teller.tell(news.told(seen.clone(), zone.clone(), occupancy), events);
            }
            if let Some(heading) = self.areas[index].see_heading(track, heading, now) {
                let heading_degrees = round_to(heading as f32, 10.0);
                self.teller.tell(What::TrackWrongWay { seen: seen.clone(), zone, heading_degrees }, events);
            }
        }
    }

    /// Tells of objects that were left alone.
    fn watch_objects(&mut self, tracks: &[Track], now: f64, events: &mut Vec<Event>) {
        let Some(left) = &mut self.left else { return };
        let present = |track: &Track| Present {
            track: track.id,
            class: self.teller.class(track),
            foot_px: Anchor::Bottom.of(track),
            height_px: track.bbox.height(),
            stood: self.movement.stood(track.id, now),
        };
        let seen: Vec<&Track> = tracks.iter().filter(|track| track.state == TrackState::Confirmed).collect();
        let present: Vec<Present<'_>> = seen.iter().map(|track| present(track)).collect();
        let abandoned = left.frame(&present, now);
        for (id, alone) in abandoned {
            let Some(track) = seen.iter().find(|track| track.id == id) else { continue };
            let what = What::ObjectAbandoned { seen: self.seen(track), alone_seconds: millis(alone) };
            self.teller.tell(what, events);
        }
    }

    fn end_track(&mut self, track: TrackId, reason: TrackEnd, events: &mut Vec<Event>) {
        if reason == TrackEnd::Gone {
            self.take_away(track, self.movement.had_stood(track), events);
        }
        self.lines.iter_mut().for_each(|line| line.end(track));
        self.left.iter_mut().for_each(|left| left.end(track));
        (0..self.areas.len()).for_each(|index| self.leave(index, track, events));
        let Some(open) = self.lifecycle.end(track) else { return };
        let seen = self.seen(&open.last);
        self.movement.end(track);
        self.teller.tell(What::TrackEnded(open.ended(seen, reason)), events);
    }

    /// An object is where it had stood for so many seconds no more: tells the zones it belongs in.
    fn take_away(&mut self, track: TrackId, stood: f64, events: &mut Vec<Event>) {
        let Some(last) = self.lifecycle.last_of(track) else { return };
        let seen = self.seen(last);
        let is_missed = |area: &&Area| area.holds(track) && area.misses(&seen.class, stood);
        for area in self.areas.iter().filter(is_missed) {
            let (seen, zone) = (seen.clone(), area.name().to_owned());
            self.teller.tell(What::ObjectRemoved { seen, zone, stopped_seconds: millis(stood) }, events);
        }
    }

    /// A track is in zone `index` no more, whether or not it was seen to go.
    fn leave(&mut self, index: usize, track: TrackId, events: &mut Vec<Event>) {
        let Some(news) = self.areas[index].end(track) else { return };
        let Some(last) = self.lifecycle.last_of(track) else { return };
        let (zone, occupancy) = (self.areas[index].name().to_owned(), self.areas[index].occupancy());
        self.teller.tell(news.told(self.seen(last), zone, occupancy), events);
    }

    /// A track as it is told now.
    fn seen(&self, track: &Track) -> TrackSeen {
        let speed = self.movement.speed_mps(track.id).map(|speed| round_to(speed as f32, 100.0));
        TrackSeen { zones: self.zones_of(track.id), speed_mps: speed, ..self.teller.seen(track) }
    }

    fn zones_of(&self, track: TrackId) -> Vec<String> {
        self.areas.iter().filter(|area| area.holds(track)).map(|area| area.name().to_owned()).collect()
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
