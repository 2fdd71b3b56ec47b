//! A made-up scene through the whole line, held to the byte: walkers who cross, hide and jitter, two recordings at once,
//! the real tracker, the real recorders. No model, no decoder, so it holds on every machine.
//!
//! After a change that is meant to change it: `EYELINE_BLESS=1 cargo test --test golden_scene`, and read the difference.

mod json_schema;

use eyeline::{
    analyze::AnalysisSettings,
    config::plan::StreamPlan,
    detect::{Detection, scripted::ScriptedDetector},
    event::payload::Format,
    frame::{FrameMeta, ImageSize, StreamId},
    geometry::BBox,
    pipeline::{self, Feed, Lifetime, Parts, Roster},
    sink::{Recorder, jsonl::JsonlEvents, mot::MotFile},
    source::synthetic::{Scene, SyntheticOpener},
    track::{self, TrackIds, settings::TrackSettings},
};
use json_schema::Checker;
use std::{fs, path::Path, sync::Arc, time::Duration};

const SIZE: ImageSize = ImageSize { width: 640, height: 480 };
const FPS: f64 = 10.0;

/// Two rows of walkers that meet in the middle; in the second scene one is hidden for a second on the way.
fn scenes() -> [Arc<Scene>; 2] {
    let mut hidden = Scene::walkers(SIZE, FPS, 60, 3);
    let mut back = hidden.movers[1].clone();
    hidden.movers[1].frames = 0..25;
    back.frames = 35..60;
    hidden.movers.push(back);
    [Arc::new(Scene::walkers(SIZE, FPS, 50, 4)), Arc::new(hidden)]
}

/// -1..1, the same for the same numbers everywhere (the last bits of a multiplicative hash).
fn noise(frame: u64, index: usize) -> f32 {
    let hash = (frame * 31 + index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (hash >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

fn detections(scene: &Scene, meta: &FrameMeta) -> Vec<Detection> {
    let seen = scene.truth(meta.seq).into_iter().enumerate();
    let found = |(index, truth): (usize, eyeline::source::synthetic::Truth)| {
        let shift = 1.5 * noise(meta.seq, index);
        let BBox { left, top, right, bottom } = truth.bbox;
        let bbox = BBox::new(left + shift, top - shift, right + shift, bottom - shift);
        // Every ninth sighting is a doubtful one, every fourteenth is missed.
        let at = meta.seq + 3 * index as u64;
        let score = if at.is_multiple_of(9) { 0.3 } else { 0.85 + 0.1 * noise(meta.seq, index + 50) };
        (!(at + 5).is_multiple_of(14)).then_some(Detection { bbox, class: truth.class, score })
    };
    seen.filter_map(found).collect()
}

fn run(folder: &Path) {
    let played = scenes();
    let folder = folder.to_owned();
    let opener = |(index, scene): (usize, Arc<Scene>)| {
        let stream = StreamId(index as u16);
        Feed { stream, opener: Box::new(SyntheticOpener { scene, stream }) }
    };
    let parts = Parts {
        feeds: played.clone().into_iter().enumerate().map(opener).collect(),
        roster: Roster::new(["crossing", "hidden"].map(|name| StreamPlan::recording(name, "scene"))),
        cameras: Vec::new(),
        lifetime: Lifetime::Streams,
        max_wait: Duration::ZERO,
        detector: Box::new(ScriptedDetector::new(
            &["person"],
            Box::new(move |meta| detections(&played[meta.stream.index()], meta)),
        )),
        max_batch: 2,
        embed: None,
        tracker: Box::new(|_, info| {
            track::build(&TrackSettings::default(), info.fps.expect("scenes have a rate"), TrackIds::default())
        }),
        camera: None,
        analyze: Box::new(AnalysisSettings::of),
        records: Box::new(move |stream, _| {
            let name = ["crossing", "hidden"][stream.index()];
            let events = JsonlEvents::create(&folder.join(format!("scene_{name}.events.jsonl")))?;
            let tracks = MotFile::tracks(&folder.join(format!("scene_{name}.tracks.txt")))?;
            Ok(vec![Box::new(events) as Box<dyn Recorder>, Box::new(tracks)])
        }),
        video: None,
    };
    let running = pipeline::start(parts).expect("threads start");
    assert!(running.wait(Duration::from_millis(1), Duration::from_secs(60), |_| {}), "the line hangs");
    assert_eq!(running.faults.broken(), None);
}

#[test]
fn the_scene_is_told_as_recorded_to_the_byte() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    if std::env::var_os("EYELINE_BLESS").is_some() {
        run(&golden);
    }
    let fresh = tempfile::tempdir().expect("temporary folder");
    for _ in 0..3 {
        run(fresh.path());
        for name in ["crossing", "hidden"] {
            for kind in ["events.jsonl", "tracks.txt"] {
                let file = format!("scene_{name}.{kind}");
                let recorded = fs::read_to_string(golden.join(&file)).expect("recorded");
                let got = fs::read_to_string(fresh.path().join(&file)).expect("written");
                assert!(recorded == got, "{file} is not what was recorded; see this file's head");
            }
        }
    }
}

#[test]
fn every_event_of_the_scene_is_as_its_schema_says() {
    let folder = tempfile::tempdir().expect("temporary folder");
    run(folder.path());
    let checker = Checker::of(Format::Compact);
    for name in ["crossing", "hidden"] {
        let text = fs::read_to_string(folder.path().join(format!("scene_{name}.events.jsonl"))).expect("written");
        text.lines().for_each(|line| checker.assert_sound(line.as_bytes()));
    }
}
