//! How streams are looked at, through the whole line on made-up pictures: which frames cost an inference, which part of
//! them counts, what is told of their light. No model, no decoder.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use eyeline::{
    analyze::AnalysisSettings,
    config::plan::StreamPlan,
    detect::{
        ClassId, Detection, Detector, InferError,
        attention::AttentionSettings,
        watch::{View, WatchSettings},
    },
    embed::{Crop, Embedder, Embedding, worth::WorthSettings},
    event::Event,
    frame::{Frame, FrameMeta, ImageSize, OwnedPixels, StreamId},
    geometry::{BBox, iou},
    pipeline::{
        self, EmbedPart, Feed, Lifetime, Parts, Roster, Running,
        flow::{Analyzed, Flow},
    },
    preprocess::illumination::LightSettings,
    sink::{Recorder, SinkError},
    source::{OpenSource, Pull, Source, SourceError, SourceInfo},
    time::MediaTime,
    track::{self, Track, TrackIds, TrackState, settings::TrackSettings},
};
use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

const SIZE: ImageSize = ImageSize { width: 320, height: 240 };
const FPS: f64 = 10.0;

/// Pictures by number: red, green and blue of a pixel.
type Picture = Arc<dyn Fn(u64, u32, u32) -> [u8; 3] + Send + Sync>;
/// Where things are in a picture.
type Truth = Arc<dyn Fn(u64) -> Vec<BBox> + Send + Sync>;

#[derive(Clone)]
struct Pictures {
    frames: u64,
    picture: Picture,
    info: SourceInfo,
    next: u64,
}

impl OpenSource for Pictures {
    fn open(&self, _epoch: u32, _first_seq: u64) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(self.clone()))
    }
}

impl Source for Pictures {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn pull(&mut self, _wait: Duration) -> Result<Pull, SourceError> {
        if self.next == self.frames {
            return Ok(Pull::End { damage: None });
        }
        let seq = self.next;
        self.next += 1;
        let meta = FrameMeta {
            stream: StreamId(0),
            epoch: 0,
            seq,
            pts: MediaTime::from_secs_f64(seq as f64 / FPS),
            captured: None,
            arrived: Instant::now(),
            size: SIZE,
        };
        let pixel = |index| (self.picture)(seq, index % SIZE.width, index / SIZE.width);
        let data = (0..SIZE.width * SIZE.height).flat_map(pixel).collect();
        let pixels = Arc::new(OwnedPixels { data, stride: SIZE.width as usize * 3 });
        Ok(Pull::Frame(Frame { meta, pixels }))
    }
}

/// What the detector was shown of a frame.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    seq: u64,
    size: ImageSize,
    lit: bool,
}

/// Finds what is there, in the part of the picture it sees, and notes what that was.
struct Finds {
    truth: Truth,
    /// Where the part begins.
    corner: (f32, f32),
    shown: Arc<Mutex<Vec<Shown>>>,
}

impl Detector for Finds {
    fn detect(&mut self, batch: &[Frame], out: &mut Vec<Vec<Detection>>) -> Result<(), InferError> {
        out.clear();
        for frame in batch {
            let FrameMeta { seq, size, .. } = frame.meta;
            self.shown.lock().unwrap().push(Shown { seq, size, lit: frame.pixels.light().is_some() });
            let seen = (self.truth)(seq).into_iter().map(|bbox| bbox.shifted(-self.corner.0, -self.corner.1));
            let seen = seen.map(|bbox| bbox.clipped_to(size)).filter(BBox::is_sound);
            out.push(seen.map(|bbox| Detection { bbox, class: ClassId(0), score: 0.9 }).collect());
        }
        Ok(())
    }

    fn classes(&self) -> &[String] {
        &[]
    }
}

/// One look for all; notes of which frames crops came.
struct Embeds(Arc<Mutex<Vec<u64>>>);

impl Embedder for Embeds {
    fn dim(&self) -> usize {
        2
    }

    fn embed(&mut self, crops: &[Crop<'_>], out: &mut Vec<Option<Embedding>>) -> Result<(), InferError> {
        out.clear();
        out.extend(crops.iter().map(|_| Some(Embedding([1.0, 0.0].into()))));
        self.0.lock().unwrap().extend(crops.iter().map(|crop| crop.frame.meta.seq));
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Told {
    tracks: Arc<Mutex<Vec<Vec<Track>>>>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Recorder for Told {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        self.events.lock().unwrap().extend(item.events.iter().cloned());
        if let Flow::Data(tracked) = &item.flow {
            self.tracks.lock().unwrap().push(tracked.tracks.clone());
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// What is played and how it is looked at.
struct Play {
    frames: u64,
    picture: Picture,
    truth: Truth,
    watch: WatchSettings,
    corner: (f32, f32),
    worth: Option<WorthSettings>,
}

/// What came of it.
struct Came {
    running: Running,
    shown: Vec<Shown>,
    embedded: Vec<u64>,
    tracks: Vec<Vec<Track>>,
    events: Vec<Event>,
}

impl Play {
    fn run(self) -> Came {
        let (shown, embedded, told) = (Arc::default(), Arc::default(), Told::default());
        let info = SourceInfo { size: SIZE, fps: Some(FPS), frames: Some(self.frames), codec: None };
        let pictures = Pictures { frames: self.frames, picture: self.picture, info, next: 0 };
        let plan = StreamPlan { watch: self.watch, ..StreamPlan::recording("gate", "made up") };
        let recorder = told.clone();
        let embed = self.worth.map(|worth| {
            let embedder = Box::new(Embeds(Arc::clone(&embedded)));
            EmbedPart { embedder, worth, max_batch: 3 }
        });
        let parts = Parts {
            roster: Roster::new([plan]),
            feeds: vec![Feed { stream: StreamId(0), opener: Box::new(pictures) }],
            cameras: Vec::new(),
            lifetime: Lifetime::Streams,
            detector: Box::new(Finds { truth: self.truth, corner: self.corner, shown: Arc::clone(&shown) }),
            max_batch: 2,
            max_wait: Duration::ZERO,
            embed,
            tracker: Box::new(|_, _| track::build(&TrackSettings::default(), FPS, TrackIds::default())),
            camera: None,
            analyze: Box::new(AnalysisSettings::of),
            records: Box::new(move |_, _| Ok(vec![Box::new(recorder.clone()) as Box<dyn Recorder>])),
            video: None,
        };
        let running = pipeline::start(parts).unwrap();
        assert!(running.wait(Duration::from_millis(1), Duration::from_secs(60), |_| {}), "the line hangs");
        assert_eq!(running.faults.broken(), None);
        let (shown, embedded) = (shown.lock().unwrap().clone(), embedded.lock().unwrap().clone());
        let (tracks, events) = (told.tracks.lock().unwrap().clone(), told.events.lock().unwrap().clone());
        Came { running, shown, embedded, tracks, events }
    }
}

/// Grain, the same for the same place and frame: what a camera adds.
fn grain(seq: u64, x: u32, y: u32) -> u8 {
    ((u64::from(x) * 7919 + u64::from(y) * 104_729 + seq * 1_299_709) >> 3) as u8 % 5
}

/// A grainy wall with light rectangles where things are.
fn wall(truth: Truth) -> Picture {
    Arc::new(move |seq, x, y| {
        let at = |bbox: &BBox| {
            (bbox.left..bbox.right).contains(&(x as f32)) && (bbox.top..bbox.bottom).contains(&(y as f32))
        };
        [if truth(seq).iter().any(at) { 200 } else { 90 } + grain(seq, x, y); 3]
    })
}

fn play(frames: u64, truth: impl Fn(u64) -> Vec<BBox> + Send + Sync + 'static, watch: WatchSettings) -> Play {
    let truth: Truth = Arc::new(truth);
    Play { frames, picture: wall(Arc::clone(&truth)), truth, watch, corner: (0.0, 0.0), worth: None }
}

/// Two people who walk towards each other on rows of their own, 40 pixels a second.
fn walkers(seq: u64) -> Vec<BBox> {
    let walked = 4.0 * seq as f32;
    vec![BBox::from_tlwh(10.0 + walked, 20.0, 24.0, 60.0), BBox::from_tlwh(280.0 - walked, 140.0, 24.0, 60.0)]
}

fn looked_at(shown: &[Shown]) -> Vec<u64> {
    shown.iter().map(|shown| shown.seq).collect()
}

#[test]
fn every_third_frame_costs_an_inference_and_every_frame_has_its_tracks() {
    let attention = AttentionSettings { every: 3, ..AttentionSettings::default() };
    let came = play(60, walkers, WatchSettings { attention, ..WatchSettings::default() }).run();
    assert_eq!(looked_at(&came.shown), (0..60).step_by(3).collect::<Vec<_>>());
    assert_eq!(came.running.stats.stream(StreamId(0)).not_looked.load(Ordering::Relaxed), 40);
    assert_eq!(came.tracks.len(), 60);
    for (seq, tracks) in came.tracks.iter().enumerate().skip(1) {
        let truth = walkers(seq as u64);
        assert_eq!(tracks.iter().map(|track| track.id.0).collect::<Vec<_>>(), [1, 2], "frame {seq}");
        assert!(tracks.iter().all(|track| track.shown && track.state == TrackState::Confirmed));
        let looked = seq % 3 == 0;
        assert!(tracks.iter().all(|track| track.detection.is_some() == looked), "frame {seq}");
        // The first motion is known at the second look.
        let least = if seq > 6 { 0.75 } else { 0.4 };
        for (track, bbox) in tracks.iter().zip(&truth) {
            assert!(iou(&track.bbox, bbox) > least, "frame {seq}: {:?} for {bbox:?}", track.bbox);
        }
    }
}

#[test]
fn a_scene_without_motion_costs_no_inference_but_for_a_check_now_and_then() {
    let recheck = Duration::from_secs(5);
    let attention = AttentionSettings { every: 1, min_motion: 0.001, recheck };
    // A parked car; after 8 s somebody walks by for 2 s.
    let truth = |seq: u64| {
        let mut there = vec![BBox::from_tlwh(200.0, 150.0, 90.0, 50.0)];
        if (80..100).contains(&seq) {
            there.push(BBox::from_tlwh(10.0 + 6.0 * (seq - 80) as f32, 30.0, 24.0, 60.0));
        }
        there
    };
    let came = play(160, truth, WatchSettings { attention, ..WatchSettings::default() }).run();
    // The first, a check after 5 s, the walk and the frame he is gone in, a check 5 s after that.
    let expected: Vec<u64> = [0, 50].into_iter().chain(80..=100).chain([150]).collect();
    assert_eq!(looked_at(&came.shown), expected);
    assert!(
        came.tracks[1..].iter().all(|tracks| tracks.iter().any(|t| t.id.0 == 1 && t.state == TrackState::Confirmed))
    );
    let walker = |tracks: &&Vec<Track>| tracks.iter().any(|track| track.id.0 == 2 && track.detection.is_some());
    assert!(came.tracks[82..100].iter().all(|tracks| walker(&tracks)), "seen while he walks");
    assert!(!came.tracks[100..].iter().any(|tracks| walker(&tracks)), "and not after he left");
}

#[test]
fn only_regions_count_and_the_detector_may_be_shown_nothing_else() {
    // The lower half, to 0.9 of the width.
    let regions = vec![vec![[0.0, 0.5], [0.9, 0.5], [0.9, 1.0], [0.0, 1.0]]];
    for (view, corner, size) in
        [(View::Whole, (0.0, 0.0), SIZE), (View::AroundRegions, (0.0, 120.0), ImageSize { width: 288, height: 120 })]
    {
        let watch = WatchSettings { regions: regions.clone(), view, ..WatchSettings::default() };
        let came = Play { corner, ..play(40, walkers, watch) }.run();
        assert!(came.shown.iter().all(|shown| shown.size == size), "{view:?}");
        for (seq, tracks) in came.tracks.iter().enumerate().skip(8) {
            assert_eq!(tracks.len(), 1, "{view:?}, frame {seq}");
            assert!(iou(&tracks[0].bbox, &walkers(seq as u64)[1]) > 0.8, "{view:?}, frame {seq}");
        }
    }
}

/// A lively street: many colours and levels.
fn street(x: u32, y: u32) -> [u8; 3] {
    let value = |salt: u32| (x / 4 * 2_654_435 + y / 4 * 97_531).wrapping_mul(2 * salt + 1) >> 5 & 0xFF;
    [1, 2, 3].map(|salt| value(salt) as u8)
}

#[test]
fn a_camera_that_goes_to_infrared_and_back_is_told_once_each_way_and_followed() {
    let night = |seq: u64| (30..70).contains(&seq);
    let picture = move |seq: u64, x: u32, y: u32| {
        let day = street(x, y).map(|v| v.saturating_add(grain(seq, x, y)));
        let grey = day.iter().map(|&v| u32::from(v)).sum::<u32>() / 3;
        if night(seq) { [(grey / 4) as u8; 3] } else { day }
    };
    let watch = WatchSettings { light: LightSettings::Auto, ..WatchSettings::default() };
    let came = Play { picture: Arc::new(picture), ..play(100, walkers, watch) }.run();
    let told: Vec<_> = came.events.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
    let changes: Vec<_> = told.iter().filter(|event| event["type"] == "scene.light_changed").collect();
    let word = |event: &serde_json::Value, key: &str| event[key].as_str().unwrap().to_owned();
    let words: Vec<_> = changes.iter().map(|event| [word(event, "before"), word(event, "after")]).collect();
    assert_eq!(words, [["normal", "monochrome"], ["monochrome", "normal"]]);
    // Believed after a fifth of a second, corrected while it lasts, left alone as soon as it is over.
    let lit: Vec<u64> = came.shown.iter().filter(|shown| shown.lit).map(|shown| shown.seq).collect();
    assert_eq!(lit, (32..72).collect::<Vec<_>>());
    let counters = came.running.stats.stream(StreamId(0));
    assert_eq!(counters.relit.load(Ordering::Relaxed), 40);
    assert_eq!(counters.light_changes.load(Ordering::Relaxed), 2);
    assert!(counters.light_nanos.load(Ordering::Relaxed) > 0);
    // Nobody is lost or found by it.
    let started = told.iter().filter(|event| event["type"] == "track.started").count();
    assert_eq!(started, 2);
}

#[test]
fn settled_objects_are_embedded_now_and_then_and_all_where_they_meet() {
    let interval = Duration::from_millis(500);
    let worth = WorthSettings { min_score: 0.4, settled_after: 3, interval };
    // Both on one row: they meet in the middle after 3.4 s.
    let truth = |seq: u64| walkers(seq).into_iter().map(|b| BBox::from_tlwh(b.left, 50.0, 24.0, 60.0)).collect();
    let came = Play { worth: Some(worth), ..play(66, truth, WatchSettings::default()) }.run();
    let of = |range: std::ops::Range<u64>| came.embedded.iter().filter(|&&seq| range.contains(&seq)).count();
    assert_eq!(of(0..3), 6, "new ones");
    assert_eq!(of(3..25), 8, "settled: frames 7, 12, 17 and 22");
    assert_eq!(of(32..36), 8, "every time while they meet");
    assert_eq!(came.running.stats.stream(StreamId(0)).embedded.load(Ordering::Relaxed), came.embedded.len() as u64);
    assert!(came.embedded.len() < 66, "of 132 detections: {}", came.embedded.len());
}
