//! A stream's events as a whole: order, ends, and made-up scenes counted exactly.

use super::*;
use crate::{
    config::plan::{LinePlan, ZonePlan, ZonePoint},
    detect::ClassId,
    event::{Clock, Direction, Keep, StreamEnd, TrackEnded, state::Totals},
    frame::{ImageSize, StreamId},
    geometry::BBox,
    time::MediaTime,
};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

mod motion;

const SIZE: ImageSize = ImageSize { width: 1000, height: 1000 };

fn meta(seq: u64) -> FrameMeta {
    FrameMeta {
        stream: StreamId(0),
        epoch: 0,
        seq,
        pts: MediaTime(seq as i64 * 100_000_000),
        captured: None,
        arrived: Instant::now(),
        size: SIZE,
    }
}

/// A track whose feet are at `feet`, source pixels.
fn track(id: u64, state: TrackState, score: f32, seq: u64, feet: [f32; 2]) -> Track {
    Track {
        id: TrackId(id),
        state,
        bbox: BBox::new(feet[0] - 20.0, feet[1] - 100.0, feet[0] + 20.0, feet[1]),
        class: ClassId(0),
        score,
        detection: Some(0),
        first_seen: MediaTime(0),
        last_seen: MediaTime(seq as i64 * 100_000_000),
        reidentified_from: None,
        shown: true,
    }
}

fn info() -> SourceInfo {
    SourceInfo { size: SIZE, fps: Some(10.0), frames: None, codec: None }
}

fn settings() -> AnalysisSettings {
    AnalysisSettings { stream: "gate".into(), classes: Arc::from(["person".to_owned()]), ..AnalysisSettings::default() }
}

fn with_places() -> AnalysisSettings {
    let corners = vec![[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]];
    let area = area("door", corners);
    let line = LineRule { name: "kerb".into(), from: [0.1, 0.5], to: [0.9, 0.5] };
    let rules = Rules { counts: Some(Duration::from_secs(5)), ..Rules::default() };
    AnalysisSettings { areas: vec![area], lines: vec![line], rules, ..settings() }
}

fn area(name: &str, corners: Vec<[f64; 2]>) -> AreaRule {
    AreaRule { name: name.into(), corners, dwell: None, max_occupancy: None, heading: None, kept: None }
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(Event::kind).collect()
}

#[test]
fn each_beginning_and_end_is_told_once_and_in_order() {
    let mut analysis =
        StreamAnalysis::new(AnalysisSettings { first_sequence: 7, site: Some("north".into()), ..settings() });
    let mut events = Vec::new();
    let at = [100.0, 200.0];
    analysis.begin(&info(), &mut events);
    analysis.frame(&meta(0), &[track(1, TrackState::Confirmed, 0.5, 0, at)], &mut events);
    analysis.begin(&info(), &mut events);
    let both = [track(1, TrackState::Confirmed, 0.9, 1, at), track(2, TrackState::Confirmed, 0.7, 1, at)];
    analysis.frame(&meta(1), &both, &mut events);
    analysis.frame(&meta(2), &[track(1, TrackState::Lost, 0.9, 1, at)], &mut events);
    analysis.frame(&meta(3), &[track(1, TrackState::Removed, 0.9, 1, at)], &mut events);
    analysis.end(EndReason::EndOfStream, &mut events);
    let expected = ["stream.started", "track.started", "track.started", "track.ended", "track.ended", "stream.ended"];
    assert_eq!(kinds(&events), expected);
    assert_eq!(events.iter().map(|e| e.sequence).collect::<Vec<_>>(), [7, 8, 9, 10, 11, 12]);
    assert_eq!((events[0].id.as_str(), events[0].site()), ("north/gate/7", Some("north")));
    assert_eq!(analysis.started(), 2);
    let What::TrackEnded(TrackEnded { detections, top_score, reason, path, .. }) = &events[3].what else {
        panic!("not an end")
    };
    assert_eq!((*detections, *top_score, *reason, path.len()), (2, 0.9, TrackEnd::Gone, 2));
    assert!(matches!(&events[4].what, What::TrackEnded(ended) if ended.reason == TrackEnd::StreamEnded));
    assert!(matches!(events[5].what, What::StreamEnded { frames: 4, reason: StreamEnd::EndOfStream }));
}

#[test]
fn a_stream_that_never_opened_says_nothing() {
    let mut events = Vec::new();
    StreamAnalysis::new(with_places()).end(EndReason::Failed, &mut events);
    assert!(events.is_empty());
}

#[test]
fn updates_come_as_often_as_asked_for_and_not_at_all_by_default() {
    let count = |interval: Option<Duration>| {
        let updates = interval.map(|interval| Updates { interval, cause: UpdateCause::Time });
        let rules = Rules { updates, ..Rules::default() };
        let mut analysis = StreamAnalysis::new(AnalysisSettings { rules, ..settings() });
        let mut events = Vec::new();
        for seq in 0..51 {
            analysis.frame(&meta(seq), &[track(1, TrackState::Confirmed, 0.5, seq, [1.0, 1.0])], &mut events);
        }
        events.iter().filter(|event| event.kind() == "track.updated").count()
    };
    assert_eq!((count(None), count(Some(Duration::from_secs(1)))), (0, 5));
}

#[test]
fn updates_on_change_tell_of_steps_zones_and_standing_only_and_no_more_often_than_asked_for() {
    let updates = Some(Updates { interval: Duration::from_millis(500), cause: UpdateCause::Change });
    let stopped = Some(Duration::from_secs(2));
    let rules = Rules { updates, stopped, ..Rules::default() };
    let mut analysis = StreamAnalysis::new(AnalysisSettings { rules, ..with_places() });
    let mut events = Vec::new();
    // It trembles outside and stands, steps into the zone, trembles there until it counts as standing, then runs away.
    let at = |seq: u64| match seq {
        0..30 => [300.0 + 3.0 * noise(seq, 1), 500.0],
        30..90 => [500.0 + 3.0 * noise(seq, 1), 500.0],
        _ => [500.0 + 40.0 * (seq - 90) as f32, 500.0],
    };
    for seq in 0..101 {
        analysis.frame(&meta(seq), &[track(1, TrackState::Confirmed, 0.5, seq, at(seq))], &mut events);
    }
    let updated = events.iter().filter(|event| event.kind() == "track.updated");
    let told: Vec<_> = updated.map(|event| (event.frame, event.what.seen().map(|seen| seen.zones.len()))).collect();
    let stopped: Vec<_> = events.iter().filter(|event| event.kind() == "track.stopped").map(|e| e.frame).collect();
    let [before, within] = stopped[..] else { panic!("{stopped:?}") };
    // Standing in the frame behind, the step at once, the zone half a second later at the earliest, standing again.
    let expected = [(before + 1, Some(0)), (30, Some(0)), (35, Some(1)), (within + 1, Some(1))];
    assert_eq!(told[..4], expected, "{told:?}");
    let running: Vec<u64> = told[4..].iter().map(|(frame, _)| *frame).collect();
    assert!((1..=3).contains(&running.len()) && running.iter().all(|frame| *frame > 90), "{told:?}");
    assert!(running.windows(2).all(|two| two[1] - two[0] >= 5), "{running:?}");
}

/// -1..1, the same everywhere.
fn noise(frame: u64, index: u64) -> f32 {
    let hash = (frame * 31 + index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (hash >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

/// Walkers who each go down through the zone and over the line, one a second, trembling by 4 px; every eighth sighting is
/// missed.
fn walkers(analysis: &mut StreamAnalysis, events: &mut Vec<Event>, count: u64) {
    analysis.begin(&info(), events);
    for seq in 0..count * 10 + 100 {
        let walker = |id: u64| {
            let age = seq.checked_sub(id * 10)?;
            let feet = [480.0 + 40.0 * noise(id, 99), 100.0 + 10.0 * age as f32];
            let feet = [feet[0] + 4.0 * noise(seq, 2 * id), feet[1] + 4.0 * noise(seq, 2 * id + 1)];
            let state = match age {
                0..80 if (age + id) % 8 == 7 => TrackState::Lost,
                0..80 => TrackState::Confirmed,
                80 => TrackState::Removed,
                _ => return None,
            };
            Some(track(id + 1, state, 0.8, seq, feet))
        };
        let tracks: Vec<Track> = (0..count).filter_map(walker).collect();
        analysis.frame(&meta(seq), &tracks, events);
    }
    analysis.end(EndReason::EndOfStream, events);
}

#[test]
fn walkers_with_jitter_are_counted_exactly() {
    let mut events = Vec::new();
    walkers(&mut StreamAnalysis::new(with_places()), &mut events, 40);
    let of = |kind: &str| kinds(&events).iter().filter(|k| **k == kind).count();
    for kind in ["track.started", "track.ended", "zone.entered", "zone.left", "line.crossed"] {
        assert_eq!(of(kind), 40, "{kind}");
    }
    let totals: Vec<u64> = events
        .iter()
        .filter_map(|event| match event.what {
            What::LineCrossed { direction: Direction::In, total, .. } => Some(total),
            _ => None,
        })
        .collect();
    assert_eq!(totals, (1..=40).collect::<Vec<_>>());
    // The intervals add up to everything.
    let mut counts = events.iter().filter_map(|event| match &event.what {
        What::Counts(counts) => Some(counts),
        _ => None,
    });
    let sums = counts.clone().fold((0, 0), |(crossed, entered), counts| {
        let lines: u64 = counts.lines.iter().map(|line| line.crossed_in).sum();
        (crossed + lines, entered + counts.zones[0].entered)
    });
    assert_eq!(sums, (40, 40));
    let last = counts.next_back().expect("counted");
    assert_eq!((last.lines[0].total_in, last.lines[0].total_out, last.zones[0].occupancy), (40, 0, 0));
}

#[test]
fn counting_goes_on_where_an_earlier_run_stopped() {
    let mut totals = Totals::default();
    totals.lines.insert(("kerb".into(), "person".into(), Direction::In), 100);
    let mut events = Vec::new();
    walkers(&mut StreamAnalysis::new(AnalysisSettings { totals, ..with_places() }), &mut events, 3);
    let total = |event: &Event| if let What::LineCrossed { total, .. } = event.what { Some(total) } else { None };
    assert_eq!(events.iter().filter_map(total).collect::<Vec<_>>(), [101, 102, 103]);
}

#[test]
fn a_track_that_ends_in_a_zone_leaves_it_first() {
    let mut analysis = StreamAnalysis::new(with_places());
    let mut events = Vec::new();
    analysis.begin(&info(), &mut events);
    for seq in 0..10 {
        analysis.frame(&meta(seq), &[track(1, TrackState::Confirmed, 0.5, seq, [500.0, 450.0])], &mut events);
    }
    analysis.end(EndReason::Interrupted, &mut events);
    let expected =
        ["stream.started", "track.started", "zone.entered", "zone.left", "track.ended", "counts", "stream.ended"];
    assert_eq!(kinds(&events), expected);
    assert_eq!(events[2].what.seen().map(|seen| seen.zones.clone()), Some(vec!["door".to_owned()]));
}

#[test]
fn time_in_a_zone_goes_on_over_an_epoch() {
    let mut analysis = StreamAnalysis::new(with_places());
    let mut events = Vec::new();
    let inside = |seq| [track(1, TrackState::Confirmed, 0.5, seq, [500.0, 450.0])];
    for _ in 0..2 {
        analysis.begin(&info(), &mut events);
        (0..21).for_each(|seq| analysis.frame(&meta(seq), &inside(seq), &mut events));
    }
    analysis.end(EndReason::EndOfStream, &mut events);
    let dwell =
        |event: &Event| if let What::ZoneLeft { dwell_seconds, .. } = event.what { Some(dwell_seconds) } else { None };
    assert_eq!(events.iter().find_map(dwell), Some(4.0));
}

#[test]
fn events_follow_to_the_state_that_a_crash_would_leave() {
    let mut events = Vec::new();
    walkers(&mut StreamAnalysis::new(with_places()), &mut events, 5);
    let mut kept: Vec<Event> = Vec::new();
    for event in &events {
        kept.keep(std::slice::from_ref(event));
        let mut state = crate::event::state::StreamState::default();
        kept.iter().chain(&[]).for_each(|event| state.follow(event, &mut |_| {}));
        let closing = state.closing(None, "gate");
        closing.iter().for_each(|event| state.follow(event, &mut |_| {}));
        assert!(state.open.is_empty() && !state.is_open);
        assert!(closing.iter().zip(kept.len() as u64..).all(|(event, sequence)| event.sequence == sequence));
    }
}

fn with_zones(names: &[&str], left_x: f32) -> Arc<StreamPlan> {
    let corner = |x_norm, y_norm| ZonePoint { x_norm, y_norm };
    let polygon = vec![corner(left_x, 0.4), corner(0.6, 0.4), corner(0.6, 0.6), corner(left_x, 0.6)];
    let line = LinePlan { name: "kerb".into(), from: corner(0.1, 0.5), to: corner(0.9, 0.5) };
    Arc::new(StreamPlan {
        zones: names.iter().map(|name| ZonePlan::new(name, polygon.clone())).collect(),
        lines: vec![line],
        ..StreamPlan::recording("gate", "x.mp4")
    })
}

#[test]
fn zones_change_while_the_stream_runs() {
    let mut analysis = StreamAnalysis::new(AnalysisSettings::of(&with_zones(&["door", "mat"], 0.4)));
    let mut events = Vec::new();
    let stand = |analysis: &mut StreamAnalysis, seqs: std::ops::Range<u64>, events: &mut Vec<Event>| {
        for seq in seqs {
            analysis.frame(&meta(seq), &[track(1, TrackState::Confirmed, 0.5, seq, [450.0, 450.0])], events);
        }
    };
    stand(&mut analysis, 0..10, &mut events);
    assert_eq!(kinds(&events), ["track.started", "zone.entered", "zone.entered"]);
    // One goes, one stays as it is and one is new.
    events.clear();
    analysis.turn(&Turn::Changed { plan: with_zones(&["door", "step"], 0.4) }, &mut events);
    assert_eq!((kinds(&events), events[0].what.zone()), (vec!["zone.left"], Some("mat")));
    events.clear();
    stand(&mut analysis, 10..20, &mut events);
    assert_eq!((kinds(&events), events[0].what.zone()), (vec!["zone.entered"], Some("step")));
    // The shape of both is another one, which the track is not in.
    events.clear();
    analysis.turn(&Turn::Changed { plan: with_zones(&["door", "step"], 0.5) }, &mut events);
    assert_eq!(kinds(&events), Vec::<&str>::new());
    stand(&mut analysis, 20..30, &mut events);
    assert_eq!(kinds(&events), ["zone.left", "zone.left"]);
}

#[test]
fn totals_go_on_when_lines_change() {
    let mut analysis = StreamAnalysis::new(with_places());
    let mut events = Vec::new();
    walkers(&mut analysis, &mut events, 3);
    let mut moved = (*with_zones(&[], 0.4)).clone();
    moved.lines[0].from.y_norm = 0.6;
    moved.lines[0].to.y_norm = 0.6;
    analysis.turn(&Turn::Changed { plan: Arc::new(moved) }, &mut events);
    walkers(&mut analysis, &mut events, 2);
    let total = |event: &Event| if let What::LineCrossed { total, .. } = event.what { Some(total) } else { None };
    assert_eq!(events.iter().filter_map(total).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

#[test]
fn live_streams_have_a_wall_clock_and_say_whose() {
    let mut analysis = StreamAnalysis::new(AnalysisSettings { is_live: true, ..settings() });
    let mut events = Vec::new();
    let captured = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    analysis.begin(&info(), &mut events);
    let at = |seq| [track(seq + 1, TrackState::Confirmed, 0.5, seq, [1.0, 1.0])];
    analysis.frame(&FrameMeta { captured: Some(captured), ..meta(0) }, &at(0), &mut events);
    analysis.frame(&meta(1), &at(1), &mut events);
    analysis.turn(&Turn::Lost { cause: "gone".into() }, &mut events);
    analysis.turn(&Turn::Recovered { outage: Duration::from_millis(1234) }, &mut events);
    let expected = [
        ("stream.started", Clock::Arrival),
        ("track.started", Clock::Rtcp),
        ("track.started", Clock::Arrival),
        ("stream.lost", Clock::Arrival),
        ("stream.recovered", Clock::Arrival),
    ];
    assert_eq!(events.iter().map(|event| (event.kind(), event.clock)).collect::<Vec<_>>(), expected);
    assert_eq!(events[1].captured_at.map(|at| at.0), Some(1_900_000_000_000));
    assert!(events.iter().all(|event| event.captured_at.is_some()));
}
