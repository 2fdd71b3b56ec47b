//! Counting on a real recording, against what a person who watched it counted: OpenCV's sample video vtest.avi (PETS 2009
//! S2.L1, 795 frames, 10 a second).
//!
//! The detections were recorded once by the line itself (`fixtures/counting/README.md` says how), so that this takes a
//! second; tracker and analysis are those of the line, at their defaults.

use eyeline::{
    analyze::{AnalysisSettings, StreamAnalysis, area::AreaRule, line::LineRule},
    detect::{ClassId, Detection},
    event::{Direction, Event, What},
    frame::{FrameMeta, ImageSize, StreamId},
    geometry::BBox,
    pipeline::flow::EndReason,
    source::SourceInfo,
    time::MediaTime,
    track::{self, Observations, TrackIds, settings::TrackSettings},
};
use std::{fs, path::Path, sync::Arc, time::Instant};

const SIZE: ImageSize = ImageSize { width: 768, height: 576 };
const FPS: f64 = 10.0;
const FRAMES: usize = 795;

/// Most crossings counted too many or too few, in each direction.
const MAX_MISCOUNT: usize = 1;
/// Largest share of the frames with a wrong number of people in the zone.
const MAX_WRONG_OCCUPANCY: f64 = 0.05;

fn rows(file: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/counting").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.map(|row| row.split(',').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn number<T: std::str::FromStr>(cell: &str) -> T {
    cell.parse().unwrap_or_else(|_| panic!("{cell:?} is no number"))
}

/// The detections of each frame.
fn detections() -> Vec<Vec<Detection>> {
    let mut frames = vec![Vec::new(); FRAMES];
    for row in rows("detections.csv") {
        let [left, top, width, height, score] = [1, 2, 3, 4, 5].map(|column| number::<f32>(&row[column]));
        let bbox = BBox::from_tlwh(left, top, width, height);
        frames[number::<usize>(&row[0])].push(Detection { bbox, class: ClassId(0), score });
    }
    frames
}

/// What a person counted: crossings (frame, direction), and the frames in which each visitor's feet are in the zone.
struct Truth {
    crossings: Vec<(u64, Direction)>,
    visits: Vec<(usize, usize)>,
}

fn truth() -> Truth {
    let (mut crossings, mut visits) = (Vec::new(), Vec::new());
    for row in rows("truth.csv") {
        match row[0].as_str() {
            "in" => crossings.push((number(&row[1]), Direction::In)),
            "out" => crossings.push((number(&row[1]), Direction::Out)),
            "zone" => visits.push((number(&row[1]), number(&row[2]))),
            other => panic!("{other:?} is neither in, out nor zone"),
        }
    }
    Truth { crossings, visits }
}

fn settings() -> AnalysisSettings {
    let corners = vec![[0.10, 0.33], [0.25, 0.33], [0.25, 0.48], [0.10, 0.48]];
    let path = AreaRule { name: "path".into(), corners, dwell: None, max_occupancy: None, heading: None, kept: None };
    AnalysisSettings {
        stream: "vtest".into(),
        classes: Arc::from(["person".to_owned()]),
        areas: vec![path],
        // From the upper to the lower edge: in is to the left.
        lines: vec![LineRule { name: "road".into(), from: [0.66, 0.0], to: [0.66, 1.0] }],
        ..AnalysisSettings::default()
    }
}

/// The events of the whole recording.
fn watched() -> Vec<Event> {
    let mut tracker = track::build(&TrackSettings::default(), FPS, TrackIds::default());
    let mut analysis = StreamAnalysis::new(settings());
    let (mut events, mut tracks) = (Vec::new(), Vec::new());
    analysis.begin(&SourceInfo { size: SIZE, fps: Some(FPS), frames: None, codec: None }, &mut events);
    for (seq, detections) in detections().iter().enumerate() {
        let pts = MediaTime::from_secs_f64(seq as f64 / FPS);
        tracker.update(&Observations { at: pts, detections, embeddings: &[], camera: None }, &mut tracks);
        let meta = FrameMeta {
            stream: StreamId(0),
            epoch: 0,
            seq: seq as u64,
            pts,
            captured: None,
            arrived: Instant::now(),
            size: SIZE,
        };
        analysis.frame(&meta, &tracks, &mut events);
    }
    analysis.end(EndReason::EndOfStream, &mut events);
    events
}

#[test]
fn crossings_are_those_a_person_counted() {
    let truth = truth();
    let crossing = |event: &Event| match event.what {
        What::LineCrossed { direction, .. } => Some((event.frame, direction)),
        _ => None,
    };
    let counted: Vec<(u64, Direction)> = watched().iter().filter_map(crossing).collect();
    for way in [Direction::In, Direction::Out] {
        let of = |all: &[(u64, Direction)]| all.iter().filter(|(_, direction)| *direction == way).count();
        let (counted_of, truth_of) = (of(&counted), of(&truth.crossings));
        println!("{way:?}: {counted_of} counted, {truth_of} true");
        assert!(counted_of.abs_diff(truth_of) <= MAX_MISCOUNT, "{way:?}\n{counted:?}\n{:?}", truth.crossings);
    }
}

#[test]
fn occupancy_is_right_in_nearly_every_frame() {
    let truth = truth();
    let events = watched();
    let (mut occupancy, mut told) = (0, events.iter().peekable());
    let mut wrong = Vec::new();
    for frame in 0..FRAMES {
        while let Some(event) = told.next_if(|event| event.frame <= frame as u64) {
            if let What::ZoneEntered { occupancy: now, .. } | What::ZoneLeft { occupancy: now, .. } = event.what {
                occupancy = now as usize;
            }
        }
        let there = truth.visits.iter().filter(|(first, last)| (*first..=*last).contains(&frame)).count();
        if there != occupancy {
            wrong.push((frame, there, occupancy));
        }
    }
    let share = wrong.len() as f64 / FRAMES as f64;
    println!("occupancy wrong in {} of {FRAMES} frames, {:.1} %", wrong.len(), 100.0 * share);
    assert!(share <= MAX_WRONG_OCCUPANCY, "(frame, true, told): {wrong:?}");
}
