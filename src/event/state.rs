//! What is open and what is counted after a stream's events: followed event by event, so that whoever has the events has
//! this too. The log keeps it beside them; after a crash it says which ends were never told.

use super::{Clock, Counts, Direction, Event, PathPoint, StreamEnd, Timestamp, TrackEnd, TrackEnded, TrackSeen, What};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One stream after some of its events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamState {
    /// Sequence number of the next event.
    pub next_sequence: u64,
    /// One more than the greatest track id told of; 0 before the first.
    pub next_track: u64,
    /// Whether the stream began and did not end.
    pub is_open: bool,
    /// Frame and media time of the newest event.
    pub latest: (u64, f64),
    /// When that was captured, as far as it was known, and by which clock. The log's file has it in the event only.
    pub captured: (Option<Timestamp>, Clock),
    /// Tracks started and not ended.
    pub open: BTreeMap<u64, OpenTrack>,
    /// Everything counted so far.
    pub totals: Totals,
}

/// A track that started and did not end, as far as events told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenTrack {
    /// The last that was told of it.
    pub last: TrackSeen,
    /// When it was told of first and last: media time, seconds.
    pub first_seconds: f64,
    /// See `first_seconds`.
    pub last_seconds: f64,
    /// Best score told of.
    pub top_score: f32,
    /// Zones it is in, and since when: media time, seconds.
    pub zones: BTreeMap<String, f64>,
}

/// What was counted since the log began, restarts included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Crossings by line, class and direction.
    pub lines: BTreeMap<(String, String, Direction), u64>,
    /// Entries by zone.
    pub zones: BTreeMap<String, u64>,
}

/// What an event changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// An open track: begun, moved on or ended.
    Track(u64),
    /// A line's total.
    Line(String, String, Direction),
    /// A zone's total.
    Zone(String),
}

impl StreamState {
    /// Takes the next event in; tells through `changed` what it changed besides the newest frame.
    pub fn follow(&mut self, event: &Event, changed: &mut impl FnMut(Change)) {
        self.next_sequence = self.next_sequence.max(event.sequence + 1);
        self.latest = (event.frame, event.time_seconds);
        self.captured = (event.captured_at, event.clock);
        match &event.what {
            What::StreamStarted { .. } => self.is_open = true,
            What::StreamEnded { .. } => self.is_open = false,
            What::TrackEnded(ended) => {
                self.open.remove(&ended.last.track);
                changed(Change::Track(ended.last.track));
            }
            what => {
                if let Some(seen) = what.seen() {
                    self.follow_track(seen, event, changed);
                }
                self.count(what, changed);
            }
        }
    }

    fn follow_track(&mut self, seen: &TrackSeen, event: &Event, changed: &mut impl FnMut(Change)) {
        self.next_track = self.next_track.max(seen.track + 1);
        let now = event.time_seconds;
        if let What::TrackStarted { .. } = event.what {
            let fresh = OpenTrack {
                last: seen.clone(),
                first_seconds: now,
                last_seconds: now,
                top_score: seen.score,
                zones: BTreeMap::new(),
            };
            self.open.insert(seen.track, fresh);
        }
        // What happens to a track that has ended (an object taken away) opens nothing.
        let Some(open) = self.open.get_mut(&seen.track) else { return };
        open.last = TrackSeen { embedding: None, ..seen.clone() };
        open.last_seconds = now;
        open.top_score = open.top_score.max(seen.score);
        match &event.what {
            What::ZoneEntered { zone, .. } => {
                open.zones.insert(zone.clone(), now);
            }
            What::ZoneLeft { zone, .. } => {
                open.zones.remove(zone);
            }
            _ => {}
        }
        changed(Change::Track(seen.track));
    }

    fn count(&mut self, what: &What, changed: &mut impl FnMut(Change)) {
        match what {
            What::LineCrossed { seen, line, direction, total } => {
                let counted = self.totals.lines.entry((line.clone(), seen.class.clone(), *direction)).or_default();
                *counted = (*counted + 1).max(*total);
                changed(Change::Line(line.clone(), seen.class.clone(), *direction));
            }
            What::ZoneEntered { zone, .. } => {
                *self.totals.zones.entry(zone.clone()).or_default() += 1;
                changed(Change::Zone(zone.clone()));
            }
            _ => {}
        }
    }

    /// Whether there are ends that were never told.
    pub fn is_unfinished(&self) -> bool {
        self.is_open || !self.open.is_empty()
    }

    /// The ends that were never told, in order: for each open track by ascending id the zones it was in and its own, then
    /// the stream's. Nothing if nothing is open. `site` stands before their ids.
    pub fn closing(&self, site: Option<&str>, stream: &str) -> Vec<Event> {
        let mut whats = Vec::new();
        let mut occupancy: BTreeMap<&str, u32> = BTreeMap::new();
        for zone in self.open.values().flat_map(|open| open.zones.keys()) {
            *occupancy.entry(zone).or_default() += 1;
        }
        for open in self.open.values() {
            for (zone, since) in &open.zones {
                let left = occupancy.entry(zone).or_default();
                *left = left.saturating_sub(1);
                whats.push(What::ZoneLeft {
                    seen: open.last.clone(),
                    zone: zone.clone(),
                    occupancy: *left,
                    dwell_seconds: (open.last_seconds - since).max(0.0),
                });
            }
            whats.push(What::TrackEnded(open.crashed()));
        }
        if self.is_open {
            whats.push(What::StreamEnded { frames: self.latest.0 + 1, reason: StreamEnd::Crashed });
        }
        let ((frame, time_seconds), (captured_at, clock)) = (self.latest, self.captured);
        let event = |(sequence, what)| Event {
            id: Event::id_at(site, stream, sequence),
            stream: stream.to_owned(),
            sequence,
            frame,
            time_seconds,
            captured_at,
            clock,
            files: Default::default(),
            what,
        };
        (self.next_sequence..).zip(whats).map(event).collect()
    }
}

impl OpenTrack {
    fn crashed(&self) -> TrackEnded {
        TrackEnded {
            last: self.last.clone(),
            first_seen_seconds: self.first_seconds,
            last_seen_seconds: self.last_seconds,
            duration_seconds: (self.last_seconds - self.first_seconds).max(0.0),
            // How often it was seen died with the program.
            detections: 0,
            top_score: self.top_score,
            reason: TrackEnd::Crashed,
            path: Vec::<PathPoint>::new(),
            snapshot: None,
        }
    }
}

impl Counts {
    /// Whether nothing was counted: no crossing ever and no zone.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.zones.is_empty()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::event::EventBox;

    /// A person of id `track` somewhere.
    pub(crate) fn seen(track: u64) -> TrackSeen {
        let bbox = EventBox { left: 1.0, top: 2.0, width: 3.0, height: 4.0 };
        TrackSeen {
            track,
            class: "person".into(),
            score: 0.5,
            bbox,
            bbox_norm: bbox,
            zones: Vec::new(),
            speed_mps: None,
            embedding: None,
        }
    }

    /// Event `sequence` of `stream`, `sequence` seconds after its beginning.
    pub(crate) fn event(stream: &str, sequence: u64, what: What) -> Event {
        Event {
            id: Event::id_of(stream, sequence),
            stream: stream.into(),
            sequence,
            frame: sequence,
            time_seconds: sequence as f64,
            captured_at: None,
            clock: crate::event::Clock::File,
            files: Default::default(),
            what,
        }
    }

    pub(crate) fn started(track: u64) -> What {
        What::TrackStarted { seen: seen(track), reidentified_from: None }
    }

    fn follow(whats: impl IntoIterator<Item = What>) -> StreamState {
        let mut state = StreamState::default();
        for (sequence, what) in whats.into_iter().enumerate() {
            state.follow(&event("gate", sequence as u64, what), &mut |_| {});
        }
        state
    }

    #[test]
    fn what_a_crash_left_open_is_closed_in_order_and_only_once() {
        let entered = |track| What::ZoneEntered { seen: seen(track), zone: "door".into(), occupancy: 0 };
        let open = What::StreamStarted { width: 1, height: 1, fps: None, models: Vec::new() };
        let mut state = follow([open, started(1), started(2), entered(2), entered(1), started(3)]);
        let ended = OpenTrack::crashed(&state.open[&3]);
        state.follow(&event("gate", 6, What::TrackEnded(ended)), &mut |_| {});

        let closing = state.closing(None, "gate");
        let told: Vec<_> = closing.iter().map(|e| (e.sequence, e.kind(), e.what.seen().map(|s| s.track))).collect();
        let expected = [
            (7, "zone.left", Some(1)),
            (8, "track.ended", Some(1)),
            (9, "zone.left", Some(2)),
            (10, "track.ended", Some(2)),
            (11, "stream.ended", None),
        ];
        assert_eq!(told, expected);
        let What::ZoneLeft { occupancy, dwell_seconds, .. } = closing[0].what else { panic!("not a leave") };
        assert_eq!((occupancy, dwell_seconds), (1, 0.0));

        closing.iter().for_each(|event| state.follow(event, &mut |_| {}));
        assert_eq!(state.closing(None, "gate"), []);
        assert_eq!((state.next_sequence, state.next_track), (12, 4));
        assert_eq!(state.totals.zones["door"], 2);
    }

    #[test]
    fn what_a_crash_left_open_of_a_camera_ends_when_and_by_the_clock_it_was_last_told_of() {
        let mut state = StreamState::default();
        let told = event("gate", 0, started(1));
        let at = Timestamp(1_700_000_000_000);
        state.follow(&Event { captured_at: Some(at), clock: Clock::Rtcp, ..told }, &mut |_| {});
        let closing = state.closing(None, "gate");
        assert!(!closing.is_empty());
        assert!(closing.iter().all(|event| (event.captured_at, event.clock) == (Some(at), Clock::Rtcp)));
    }

    #[test]
    fn totals_follow_the_events_also_across_a_gap() {
        let crossed = |total| What::LineCrossed { seen: seen(1), line: "kerb".into(), direction: Direction::In, total };
        let state = follow([crossed(1), crossed(2), crossed(5)]);
        assert_eq!(state.totals.lines[&("kerb".into(), "person".into(), Direction::In)], 5);
    }
}
