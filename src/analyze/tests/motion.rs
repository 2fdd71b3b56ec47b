//! Made-up scenes of motion: speed, wrong way, standing, objects left and taken.

use super::*;
use crate::analyze::{area::HeadingRule, left::ObjectRule};

const PERSON: ClassId = ClassId(0);
const SUITCASE: ClassId = ClassId(1);

/// 20 m x 20 m seen from straight above.
fn from_above() -> Ground {
    let corners = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
    Ground::from_edges(corners, [20.0; 4]).expect("sound")
}

fn with(areas: Vec<AreaRule>, rules: Rules) -> StreamAnalysis {
    let classes = Arc::from(["person".to_owned(), "suitcase".to_owned()]);
    StreamAnalysis::new(AnalysisSettings { classes, areas, rules, ground: Some(from_above()), ..settings() })
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

/// Who is where in a frame: id, class, feet in pixels.
type Scene = Vec<(u64, ClassId, [f32; 2])>;

/// What is told of a scene of ten frames a second in which everything trembles by 2 px; who is not in it any more is
/// removed a second later.
fn told(analysis: &mut StreamAnalysis, frames: u64, scene: impl Fn(f32) -> Scene) -> Vec<Event> {
    let mut events = Vec::new();
    let mut last_seen: std::collections::BTreeMap<u64, (u64, Track)> = std::collections::BTreeMap::new();
    for seq in 0..frames {
        let trembles = |id: u64, [x, y]: [f32; 2]| [x + 2.0 * noise(seq, 2 * id), y + 2.0 * noise(seq, 2 * id + 1)];
        for (id, class, feet) in scene(seq as f32 / 10.0) {
            let seen = Track { class, ..track(id, TrackState::Confirmed, 0.8, seq, trembles(id, feet)) };
            last_seen.insert(id, (seq, seen));
        }
        let tracks: Vec<Track> = last_seen
            .values()
            .filter_map(|&(at, seen)| match seq - at {
                0 => Some(seen),
                1..10 => Some(Track { state: TrackState::Lost, ..seen }),
                10 => Some(Track { state: TrackState::Removed, ..seen }),
                _ => None,
            })
            .collect();
        analysis.frame(&meta(seq), &tracks, &mut events);
    }
    events
}

fn of<'a>(events: &'a [Event], kind: &str) -> Vec<&'a Event> {
    events.iter().filter(|event| event.kind() == kind).collect()
}

#[test]
fn speed_is_told_in_metres_a_second() {
    let rules = Rules {
        updates: seconds(1).map(|interval| Updates { interval, cause: UpdateCause::Time }),
        ..Rules::default()
    };
    // 1.4 m/s at 50 px/m, then twice as fast.
    let walk = |now: f32| vec![(1, PERSON, [100.0 + 70.0 * (now + (now - 5.0).max(0.0)), 500.0])];
    let events = told(&mut with(Vec::new(), rules), 80, walk);
    let speeds: Vec<f32> =
        of(&events, "track.updated").iter().map(|e| e.what.seen().unwrap().speed_mps.unwrap()).collect();
    assert_eq!(speeds.len(), 7);
    for (index, speed) in speeds.iter().enumerate() {
        let expected = match index {
            0..5 => 1.4,
            5 => continue, // half a second ago it was slower
            _ => 2.8,
        };
        assert!((speed - expected).abs() < 0.1, "{index}: {speed}");
    }
    let started = of(&events, "track.started")[0].what.seen().unwrap();
    assert_eq!(started.speed_mps, None);
}

#[test]
fn who_goes_against_the_direction_of_a_zone_is_told_once() {
    let heading = Some(HeadingRule { degrees: 90.0, tolerance: 60.0 });
    let road = AreaRule { heading, ..area("road", vec![[0.1, 0.4], [0.9, 0.4], [0.9, 0.6], [0.1, 0.6]]) };
    // One to the right, one to the left, one who stands, one to the left outside.
    let scene = |now: f32| {
        vec![
            (1, PERSON, [150.0 + 70.0 * now, 450.0]),
            (2, PERSON, [850.0 - 70.0 * now, 550.0]),
            (3, PERSON, [500.0, 500.0]),
            (4, PERSON, [850.0 - 70.0 * now, 700.0]),
        ]
    };
    let events = told(&mut with(vec![road], Rules::default()), 80, scene);
    let wrong = of(&events, "track.wrong_way");
    assert_eq!(wrong.len(), 1);
    let What::TrackWrongWay { seen, zone, heading_degrees } = &wrong[0].what else { panic!("not a wrong way") };
    assert_eq!((seen.track, zone.as_str()), (2, "road"));
    assert!((heading_degrees - 270.0).abs() < 5.0, "{heading_degrees}");
    assert!((1.0..3.0).contains(&wrong[0].time_seconds), "{}", wrong[0].time_seconds);
}

#[test]
fn who_stands_long_has_stopped_and_moves_on_once() {
    let rules = Rules { stopped: seconds(5), ..Rules::default() };
    // Walks for 5 s, stands for 10 s, walks on; another one pauses for 3 s only.
    let scene = |now: f32| {
        let stops = |at: f32, pause: f32| now.min(at) + (now - at - pause).max(0.0);
        vec![
            (1, PERSON, [100.0 + 40.0 * stops(5.0, 10.0), 300.0]),
            (2, PERSON, [100.0 + 40.0 * stops(5.0, 3.0), 700.0]),
        ]
    };
    let events = told(&mut with(Vec::new(), rules), 200, scene);
    let (stopped, moved) = (of(&events, "track.stopped"), of(&events, "track.moved"));
    assert_eq!((stopped.len(), moved.len()), (1, 1));
    assert!((9.5..10.5).contains(&stopped[0].time_seconds), "{}", stopped[0].time_seconds);
    assert!((15.0..16.5).contains(&moved[0].time_seconds), "{}", moved[0].time_seconds);
    let What::TrackMoved { stopped_seconds, .. } = moved[0].what else { panic!("not a move") };
    assert!((9.5..11.0).contains(&stopped_seconds), "{stopped_seconds}");
}

#[test]
fn a_suitcase_whose_owner_goes_is_abandoned() {
    let abandoned = Some(ObjectRule { classes: vec!["suitcase".into()], after: Duration::from_secs(10) });
    let rules = Rules { abandoned, ..Rules::default() };
    // Two suitcases: one owner leaves after 5 s, the other stays.
    let scene = |now: f32| {
        vec![
            (1, SUITCASE, [300.0, 500.0]),
            (2, PERSON, [320.0 + 70.0 * (now - 5.0).max(0.0), 500.0]),
            (3, SUITCASE, [300.0, 900.0]),
            (4, PERSON, [340.0, 900.0]),
        ]
    };
    let events = told(&mut with(Vec::new(), rules), 300, scene);
    let abandoned = of(&events, "object.abandoned");
    assert_eq!(abandoned.len(), 1);
    assert_eq!(abandoned[0].what.seen().unwrap().track, 1);
    assert!((15.0..17.5).contains(&abandoned[0].time_seconds), "{}", abandoned[0].time_seconds);
}

#[test]
fn what_belongs_in_a_zone_and_is_taken_is_told_before_it_ends() {
    let kept = Some(ObjectRule { classes: vec!["suitcase".into()], after: Duration::from_secs(5) });
    let corners = vec![[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]];
    let shelf = AreaRule { kept, ..area("shelf", corners) };
    // One vanishes, one is carried off, one stands outside of the zone and vanishes, one was there for a moment only.
    let scene = |now: f32| {
        let mut seen = vec![(2, SUITCASE, [500.0 + 60.0 * (now - 10.0).max(0.0), 500.0])];
        if now < 10.0 {
            seen.extend([(1, SUITCASE, [300.0, 300.0]), (3, SUITCASE, [100.0, 900.0])]);
        }
        if (5.0..7.0).contains(&now) {
            seen.push((4, SUITCASE, [700.0, 700.0]));
        }
        seen
    };
    let events = told(&mut with(vec![shelf], Rules::default()), 160, scene);
    let removed: Vec<u64> = of(&events, "object.removed").iter().map(|e| e.what.seen().unwrap().track).collect();
    assert_eq!(removed, [2, 1]);
    let of_first: Vec<&str> =
        events.iter().filter(|e| e.what.seen().is_some_and(|seen| seen.track == 1)).map(Event::kind).collect();
    assert_eq!(of_first, ["track.started", "zone.entered", "object.removed", "zone.left", "track.ended"]);
    // The stream's end takes nothing away.
    let mut analysis = with(vec![AreaRule { kept: None, ..area("shelf", vec![[0.0; 2]; 3]) }], Rules::default());
    let mut events = told(&mut analysis, 100, |_| vec![(1, SUITCASE, [300.0, 300.0])]);
    analysis.end(EndReason::EndOfStream, &mut events);
    assert!(of(&events, "object.removed").is_empty());
}
