//! The promise: `annotated.mp4` has every frame at its time with every track where it was, plays wherever its writing
//! stopped, and a disk that fills is told in one clear line.

#![cfg(all(feature = "gst", feature = "opencv"))]

mod support;

use eyeline::{
    config::plan::{LinePlan, ZonePlan, ZonePoint},
    detect::{ClassId, watch::Sight},
    event::{Clock, Direction, Event, EventBox, Files, TrackSeen, What},
    frame::{Frame, FrameMeta, ImageSize, OwnedPixels, StreamId},
    geometry::BBox,
    pipeline::flow::{Analyzed, Flow, Tracked},
    sink::{Recorder, overlay::OverlaySettings, palette::colour_of, video::AnnotatedVideo},
    source::{SourceError, SourceInfo},
    time::MediaTime,
    track::{Track, TrackId, TrackState},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use support::{decode, temp_dir};

const VGA: ImageSize = ImageSize { width: 640, height: 480 };
const GREY: u8 = 90;

/// A grey frame; every tenth column is a little darker, so that there is something to encode.
fn frame(size: ImageSize, epoch: u32, seq: u64, millis: i64) -> Frame {
    let row: Vec<u8> =
        (0..size.width).flat_map(|x| [GREY - u8::from((u64::from(x) + seq).is_multiple_of(10)) * 30; 3]).collect();
    let stride = row.len() + 5;
    let mut data = vec![0xee; stride * size.height as usize];
    data.chunks_exact_mut(stride).for_each(|padded| padded[..row.len()].copy_from_slice(&row));
    let meta = FrameMeta {
        stream: StreamId(0),
        epoch,
        seq,
        pts: MediaTime(millis * 1_000_000),
        captured: None,
        arrived: Instant::now(),
        size,
    };
    Frame { meta, pixels: Arc::new(OwnedPixels { data, stride }) }
}

fn track(id: u64, state: TrackState, bbox: BBox) -> Track {
    let at = MediaTime(0);
    let shown = state != TrackState::Removed;
    let class = ClassId(0);
    Track {
        id: TrackId(id),
        state,
        bbox,
        class,
        score: 0.87,
        detection: None,
        first_seen: at,
        last_seen: at,
        reidentified_from: None,
        shown,
    }
}

fn create(path: &Path, size: ImageSize, fps: Option<f64>) -> AnnotatedVideo {
    create_with(path, size, fps, overlay())
}

fn create_with(path: &Path, size: ImageSize, fps: Option<f64>, overlay: OverlaySettings) -> AnnotatedVideo {
    let info = SourceInfo { size, fps, frames: None, codec: None };
    AnnotatedVideo::create(path, &info, overlay).unwrap_or_else(|error| panic!("{error}"))
}

fn overlay() -> OverlaySettings {
    let classes = ["person".to_owned()].into();
    OverlaySettings { classes, zones: Vec::new(), lines: Vec::new(), trail: Duration::from_secs(2) }
}

/// Colour of one pixel.
fn pixel(frame: &Frame, x: usize, y: usize) -> [u8; 3] {
    let row = frame.pixels.plane(0).row(y, frame.meta.size.width as usize * 3);
    [row[x * 3], row[x * 3 + 1], row[x * 3 + 2]]
}

/// Whether a colour survived encoding: halved chroma blurs thin strokes.
fn resembles(got: [u8; 3], wanted: [u8; 3]) -> bool {
    got.iter().zip(wanted).all(|(&got, wanted)| got.abs_diff(wanted) < 70)
}

fn is_grey(colour: [u8; 3]) -> bool {
    resembles(colour, [GREY; 3]) && colour.iter().max().unwrap_or(&0) - colour.iter().min().unwrap_or(&0) < 30
}

#[test]
fn every_frame_is_there_at_its_own_time() {
    let folder = temp_dir();
    let path = folder.path().join("made/on/the/way/annotated.mp4");
    let mut video = create(&path, VGA, Some(10.0));
    // Irregular, as cameras are; then a new epoch that begins at zero.
    let times = [0, 100, 210, 300, 900, 1000, 1050, 4000];
    for (seq, millis) in times.into_iter().enumerate() {
        video.write(&frame(VGA, 0, seq as u64, millis), &[]).expect("writes");
    }
    for seq in 8..28 {
        video.write(&frame(VGA, 1, seq, (seq as i64 - 8) * 100), &[]).expect("writes");
    }
    video.finish().expect("finishes");
    video.finish().expect("nothing more to do");
    let all = decode(&path);
    assert_eq!(all.end, Ok(None));
    let got: Vec<_> = all.frames.iter().map(|frame| frame.meta.pts.0).collect();
    let expected: Vec<_> = times.into_iter().chain((0..20).map(|step| 4100 + step * 100)).collect();
    assert_eq!(got.len(), expected.len());
    for (got, expected_millis) in got.iter().zip(expected) {
        assert!((got - expected_millis * 1_000_000).abs() < 50_000, "{got} ns instead of {expected_millis} ms");
    }
    assert!(all.frames.iter().all(|frame| frame.meta.size == VGA));
}

#[test]
fn what_was_found_is_drawn_where_it_is() {
    let folder = temp_dir();
    let path = folder.path().join("annotated.mp4");
    let corner = |x_norm, y_norm| ZonePoint { x_norm, y_norm };
    let polygon = vec![corner(0.75, 0.5), corner(1.0, 0.5), corner(1.0, 1.0), corner(0.75, 1.0)];
    let zone = ZonePlan::new("door", polygon);
    let mut video = create_with(&path, VGA, Some(10.0), OverlaySettings { zones: vec![zone], ..overlay() });
    let wanted = BBox::from_tlwh(100.0, 150.0, 80.0, 200.0);
    let lost = BBox::from_tlwh(300.0, 150.0, 80.0, 200.0);
    let nan = BBox::new(f32::NAN, 0.0, 9.0, 9.0);
    let vast = BBox::new(-1e30, 400.0, 1e30, 1e30);
    for seq in 0..20 {
        // Number 3 walks in from the left and leaves a trail.
        let came = BBox::from_tlwh(100.0 - (19 - seq) as f32 * 5.0, 150.0, 80.0, 200.0);
        let tracks = [
            track(3, TrackState::Confirmed, came),
            track(4, TrackState::Lost, lost),
            track(5, TrackState::Confirmed, nan),
            track(6, TrackState::Confirmed, vast),
            track(7, TrackState::Removed, BBox::from_tlwh(420.0, 20.0, 30.0, 60.0)),
        ];
        video.write(&frame(VGA, 0, seq, seq as i64 * 100), &tracks).expect("writes");
    }
    video.finish().expect("finishes");
    let all = decode(&path);
    let last = all.frames.last().expect("frames");
    let colour = colour_of(3);
    for (x, y) in [(wanted.left, 250.0), (wanted.right - 1.0, 250.0), (140.0, wanted.bottom - 1.0)] {
        assert!(resembles(pixel(last, x as usize, y as usize), colour), "box at {x},{y}");
    }
    assert!(resembles(pixel(last, 130, 143), colour) || resembles(pixel(last, 104, 141), colour), "label");
    assert!(resembles(pixel(last, 90, 350), colour), "trail");
    assert!(is_grey(pixel(last, 140, 250)), "inside of the box");
    let dashes = (152..348).filter(|&y| !is_grey(pixel(last, 300, y))).count();
    assert!((40..150).contains(&dashes), "{dashes} of 196 rows of a dashed line");
    assert!(is_grey(pixel(last, 435, 20)), "a removed track is not drawn");
    assert!(!is_grey(pixel(last, 560, 300)), "the zone is tinted");
    assert!(is_grey(pixel(last, 560, 200)), "and nothing above it");
}

#[test]
fn a_line_is_drawn_with_a_mark_towards_in_and_its_counts() {
    let folder = temp_dir();
    let end = |x_norm, y_norm| ZonePoint { x_norm, y_norm };
    // From the left to the right: `in` is below.
    let line = LinePlan { name: "kerb".into(), from: end(0.1, 0.5), to: end(0.9, 0.5) };
    let seen = TrackSeen {
        track: 1,
        class: "person".into(),
        score: 0.5,
        bbox: EventBox { left: 0.0, top: 0.0, width: 1.0, height: 1.0 },
        bbox_norm: EventBox { left: 0.0, top: 0.0, width: 1.0, height: 1.0 },
        zones: Vec::new(),
        speed_mps: None,
        embedding: None,
    };
    let event = Event {
        id: Event::id_of("gate", 0),
        stream: "gate".into(),
        sequence: 0,
        frame: 0,
        time_seconds: 0.0,
        captured_at: None,
        clock: Clock::File,
        files: Files::default(),
        what: What::LineCrossed { seen, line: "kerb".into(), direction: Direction::In, total: 8 },
    };
    let drawn = |name: &str, events: Vec<Event>| {
        let path = folder.path().join(name);
        let settings = OverlaySettings { lines: vec![line.clone()], ..overlay() };
        let mut video = create_with(&path, VGA, Some(10.0), settings);
        for seq in 0..5 {
            let frame = frame(VGA, 0, seq, seq as i64 * 100);
            let tracked = Tracked { frame, sight: Sight::default(), detections: Vec::new(), tracks: Vec::new() };
            let events = if seq == 0 { events.clone() } else { Vec::new() };
            video.record(&Analyzed { flow: Flow::Data(tracked), events }).expect("writes");
        }
        video.finish().expect("finishes");
        decode(&path).frames.pop().expect("frames")
    };
    let (none, eight) = (drawn("none.mp4", Vec::new()), drawn("eight.mp4", vec![event]));
    for x in [70, 200, 440, 560] {
        assert!(!is_grey(pixel(&none, x, 240)) && is_grey(pixel(&none, x, 230)), "the line at {x}");
    }
    let marked = |y: usize| (316..=324).any(|x| !is_grey(pixel(&none, x, y)));
    assert!(marked(246) && !marked(234), "the mark points downwards");
    let differs = |x: usize, y: usize| !resembles(pixel(&none, x, y), pixel(&eight, x, y));
    let differing = (244..270).flat_map(|y| (320..460).map(move |x| (x, y))).filter(|&(x, y)| differs(x, y)).count();
    assert!((3..150).contains(&differing), "one digit is another, {differing} pixels");
    let elsewhere = (0..200).flat_map(|y| (0..640).map(move |x| (x, y))).filter(|&(x, y)| differs(x, y)).count();
    assert_eq!(elsewhere, 0);
}

#[test]
fn any_size_can_be_written() {
    let folder = temp_dir();
    // (source, video)
    let sizes = [
        ((1, 1), (16, 16)),
        ((7681, 33), (1920, 16)),
        ((161, 121), (162, 122)),
        ((33, 1), (34, 16)),
        ((3, 500), (16, 500)),
        ((3840, 2160), (1920, 1080)),
    ];
    for ((width, height), (video_width, video_height)) in sizes {
        let size = ImageSize { width, height };
        let path = folder.path().join(format!("{size}.mp4"));
        let mut video = create(&path, size, Some(25.0));
        let whole = BBox::new(0.0, 0.0, width as f32, height as f32);
        for seq in 0..5 {
            let tracks = [track(1, TrackState::Confirmed, whole), track(2, TrackState::Lost, whole)];
            video
                .write(&frame(size, 0, seq, seq as i64 * 40), &tracks)
                .unwrap_or_else(|error| panic!("{size}: {error}"));
        }
        video.finish().unwrap_or_else(|error| panic!("{size}: {error}"));
        let all = decode(&path);
        assert_eq!((all.frames.len(), all.end), (5, Ok(None)), "{size}");
        let video_size = ImageSize { width: video_width, height: video_height };
        assert_eq!(all.frames[0].meta.size, video_size, "{size}");
    }
}

#[test]
fn a_picture_of_another_size_is_letterboxed() {
    let folder = temp_dir();
    let path = folder.path().join("annotated.mp4");
    let mut video = create(&path, VGA, Some(10.0));
    let wide = ImageSize { width: 320, height: 120 };
    for seq in 0..4 {
        video.write(&frame(VGA, 0, seq, seq as i64 * 100), &[]).expect("writes");
    }
    let there = BBox::from_tlwh(160.0, 20.0, 60.0, 80.0);
    for seq in 4..14 {
        let tracks = [track(3, TrackState::Confirmed, there)];
        video.write(&frame(wide, 1, seq, seq as i64 * 100), &tracks).expect("writes");
    }
    video.finish().expect("finishes");
    let all = decode(&path);
    assert_eq!(all.frames.len(), 14);
    let last = all.frames.last().expect("frames");
    assert_eq!(last.meta.size, VGA);
    // Twice as large, between black bars of 120 rows.
    assert!(resembles(pixel(last, 100, 60), [0; 3]) && resembles(pixel(last, 100, 420), [0; 3]));
    assert!(is_grey(pixel(last, 100, 240)));
    assert!(resembles(pixel(last, 320, 240), colour_of(3)));
}

#[test]
fn a_video_cut_off_at_any_moment_plays() {
    let folder = temp_dir();
    let path = folder.path().join("annotated.mp4");
    let copy = folder.path().join("copy.mp4");
    let mut video = create(&path, VGA, Some(10.0));
    let mut whole_before = 0;
    for seq in 0..120 {
        video.write(&frame(VGA, 0, seq, seq as i64 * 100), &[]).expect("writes");
        if [60, 90, 119].contains(&seq) {
            fs::copy(&path, &copy).expect("copies");
            let whole = decode(&copy).frames.len();
            // Fragments are two seconds long, and up to two are on their way.
            assert!(whole + 42 >= seq as usize, "{whole} of {seq} frames play");
            assert!(whole > whole_before);
            whole_before = whole;
        }
    }
    drop(video);
    let whole = decode(&path).frames.len();
    assert!(whole >= 80, "{whole} frames after a writer that never finished");
}

#[test]
fn a_video_without_frames_leaves_no_file() {
    let folder = temp_dir();
    let path = folder.path().join("annotated.mp4");
    let mut video = create(&path, VGA, None);
    video.finish().expect("finishes");
    assert!(!path.exists());
}

#[test]
fn a_place_that_cannot_be_written_is_refused() {
    let folder = temp_dir();
    let info = SourceInfo { size: VGA, fps: None, frames: None, codec: None };
    let file = folder.path().join("file");
    fs::write(&file, "in the way").expect("writes");
    let path = file.join("annotated.mp4");
    let refused = AnnotatedVideo::create(&path, &info, overlay());
    let Err(refused) = refused else { panic!("no folder can be there") };
    let line = refused.to_string();
    assert!(line.starts_with(&format!("{}: cannot be written: ", path.display())), "{line}");
}

#[test]
fn a_full_disk_is_told_and_never_hangs() {
    let folder = temp_dir();
    let path = folder.path().join("annotated.mp4");
    std::os::unix::fs::symlink("/dev/full", &path).expect("links");
    let mut video = create(&path, VGA, Some(10.0));
    let mut errors = Vec::new();
    for seq in 0..60 {
        errors.extend(video.write(&frame(VGA, 0, seq, seq as i64 * 100), &[]).err());
    }
    let first = errors.first().expect("60 frames do not fit into nothing").to_string();
    assert!(first.starts_with(&format!("{}: cannot be written after frame ", path.display())), "{first}");
    assert!(first.contains("no space left on the disk; free some space, choose another --out"), "{first}");
    video.finish().expect("nothing more to say");
}

const SMALL_DISK_VIDEO: &str = "EYELINE_TEST_SMALL_DISK_VIDEO";

/// The child of the test below: writes until the disk is full. Passes at once when it runs as a test like any other.
#[test]
fn writes_until_the_disk_is_full() {
    let Some(path) = env::var_os(SMALL_DISK_VIDEO).map(PathBuf::from) else { return };
    let mut video = create(&path, VGA, Some(10.0));
    let failed = (0..600).find_map(|seq| video.write(&frame(VGA, 0, seq, seq as i64 * 100), &[]).err());
    assert!(failed.or_else(|| video.finish().err()).is_some(), "the disk never filled");
}

#[test]
fn a_disk_that_fills_leaves_a_video_that_plays() {
    let folder = temp_dir();
    let path = folder.path().join("annotated.mp4");
    // A limit on the file's size stands in for the disk's: 64 KiB in blocks of 512 bytes, told as an error.
    let child = "trap '' XFSZ; ulimit -f 128; exec \"$0\" --exact writes_until_the_disk_is_full";
    let program = env::current_exe().expect("own path");
    let run = Command::new("sh").arg("-c").arg(child).arg(program).env(SMALL_DISK_VIDEO, &path).output();
    let run = run.expect("a shell");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    let all = decode(&path);
    assert!(all.frames.len() >= 20, "{} frames play", all.frames.len());
    assert!(matches!(all.end, Ok(Some(SourceError::Damaged { .. }) | None)), "{:?}", all.end);
}

#[test]
fn the_encoder_writes_nothing_to_the_terminal() {
    let program = env::current_exe().expect("own path");
    let run = Command::new(program).args(["--exact", "every_frame_is_there_at_its_own_time"]).output().expect("starts");
    assert!(String::from_utf8_lossy(&run.stdout).contains("1 passed"), "{run:?}");
    assert_eq!(String::from_utf8_lossy(&run.stderr), "");
}
