//! Camera motion measured from pixels: known motions of a real picture, a still camera with people in front of it, and
//! what it does for identities.
#![cfg(all(feature = "gst", feature = "opencv"))]

mod common;

use common::{frame_of, vtest_frames};
use eyeline::{
    detect::{ClassId, Detection},
    frame::{Frame, ImageSize},
    geometry::BBox,
    preprocess::{
        camera_motion::{CameraMotion, MeasureCamera},
        flow::FlowCamera,
    },
    time::MediaTime,
    track::{Observations, TrackIds, build, settings::TrackSettings},
};
use std::{collections::BTreeMap, path::Path};

type Map = [f64; 6];

const IDENTITY: Map = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];

fn at(mut frame: Frame, number: usize) -> Frame {
    frame.meta.pts = MediaTime::from_secs_f64(number as f64 / 10.0);
    frame.meta.seq = number as u64;
    frame
}

/// The part of `frame` that a camera sees whose picture maps to the frame's as `map` says (edges of pixels at whole
/// numbers), bilinear.
fn seen_through(frame: &Frame, map: &Map, size: ImageSize) -> Frame {
    let plane = frame.pixels.plane(0);
    let (columns, rows) = (frame.meta.size.width as usize, frame.meta.size.height as usize);
    let mut data = Vec::with_capacity(size.width as usize * size.height as usize * 3);
    for y in 0..size.height {
        for x in 0..size.width {
            let (x, y) = (f64::from(x) + 0.5, f64::from(y) + 0.5);
            let (u, v) = (map[0] * x + map[1] * y + map[2] - 0.5, map[3] * x + map[4] * y + map[5] - 0.5);
            let (u, v) = (u.clamp(0.0, columns as f64 - 1.001), v.clamp(0.0, rows as f64 - 1.001));
            let (left, top) = (u as usize, v as usize);
            let (right_share, lower_share) = (u - left as f64, v - top as f64);
            for channel in 0..3 {
                let pixel =
                    |dx: usize, dy: usize| f64::from(plane.data[(top + dy) * plane.stride + (left + dx) * 3 + channel]);
                let upper = pixel(0, 0) + (pixel(1, 0) - pixel(0, 0)) * right_share;
                let lower = pixel(0, 1) + (pixel(1, 1) - pixel(0, 1)) * right_share;
                data.push((upper + (lower - upper) * lower_share).round() as u8);
            }
        }
    }
    frame_of(size.width, size.height, data)
}

/// A similarity about the middle of a picture of `size`, then a shift.
fn similarity(size: ImageSize, scale: f64, degrees: f64, (dx, dy): (f64, f64)) -> Map {
    let (cx, cy) = (f64::from(size.width) / 2.0, f64::from(size.height) / 2.0);
    let (a, b) = (scale * degrees.to_radians().cos(), scale * degrees.to_radians().sin());
    [a, -b, cx - a * cx + b * cy + dx, b, a, cy - b * cx - a * cy + dy]
}

fn apply(map: &Map, (x, y): (f64, f64)) -> (f64, f64) {
    (map[0] * x + map[1] * y + map[2], map[3] * x + map[4] * y + map[5])
}

/// Greatest distance between where two maps take the corners of a picture.
fn disagreement(one: &Map, other: &Map, size: ImageSize) -> f64 {
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let corners = [(0.0, 0.0), (width, 0.0), (0.0, height), (width, height)];
    let off = |corner| {
        let ((x, y), (u, v)) = (apply(one, corner), apply(other, corner));
        (x - u).hypot(y - v)
    };
    corners.into_iter().map(off).fold(0.0, f64::max)
}

#[test]
fn pans_zooms_and_rotations_of_a_real_picture_are_recovered_to_a_part_of_a_pixel() {
    let picture = &vtest_frames(&[0])[0];
    let size = ImageSize { width: 640, height: 480 };
    let start: Map = [1.0, 0.0, 64.0, 0.0, 1.0, 48.0];
    let motions = [
        similarity(size, 1.0, 0.0, (3.0, 0.0)),
        similarity(size, 1.0, 0.0, (-1.4, 0.7)),
        similarity(size, 1.0, 0.0, (14.0, -9.0)),
        similarity(size, 1.0, 0.0, (-35.0, 20.0)),
        similarity(size, 1.02, 0.0, (0.0, 0.0)),
        similarity(size, 0.97, 0.0, (4.0, 1.0)),
        similarity(size, 1.0, 1.5, (0.0, 0.0)),
        similarity(size, 1.01, -1.0, (-6.0, 3.0)),
    ];
    for motion in motions {
        let mut camera = FlowCamera::new(CameraMotion::On);
        // A point p of the first picture lies at motion(p) in the second, so the second looks through its inverse.
        let first = at(seen_through(picture, &start, size), 0);
        let second = at(seen_through(picture, &compose(&start, &inverse(&motion)), size), 1);
        assert_eq!(camera.measure(&first, &[]).unwrap(), None);
        let measured = camera.measure(&second, &[]).unwrap().expect("the camera moved").map(f64::from);
        let off = disagreement(&measured, &motion, size);
        assert!(off < 0.5, "{motion:?}: off by {off:.3} pixels: {measured:?}");
        // And the same again, to the bit.
        let mut again = FlowCamera::new(CameraMotion::On);
        again.measure(&first, &[]).unwrap();
        assert_eq!(again.measure(&second, &[]).unwrap().unwrap().map(f64::from), measured);
    }
}

/// First `second`, then `first`.
fn compose(first: &Map, second: &Map) -> Map {
    let [a, b, c, d, e, f] = *first;
    let [p, q, r, s, t, u] = *second;
    [a * p + b * s, a * q + b * t, a * r + b * u + c, d * p + e * s, d * q + e * t, d * r + e * u + f]
}

fn inverse([a, b, c, d, e, f]: &Map) -> Map {
    let det = a * e - b * d;
    [e / det, -b / det, (b * f - e * c) / det, -d / det, a / det, (d * c - a * f) / det]
}

#[test]
fn a_still_camera_with_people_before_it_never_moves() {
    let frames = vtest_frames(&(0..120).collect::<Vec<_>>());
    for mode in [CameraMotion::Auto, CameraMotion::On] {
        let mut camera = FlowCamera::new(mode);
        for (number, frame) in frames.iter().enumerate() {
            // Nothing is masked: the people themselves must not be taken for the scene.
            let motion = camera.measure(&at(frame.clone(), number), &[]).unwrap();
            let off = motion.map_or(0.0, |map| disagreement(&map.map(f64::from), &IDENTITY, frame.meta.size));
            assert!(motion.is_none() || (mode == CameraMotion::On && off < 0.5), "{mode} frame {number}: {off}");
        }
    }
}

#[test]
fn what_is_found_is_no_scene() {
    // Half of the picture moves, half of it stands still; only one half is the scene.
    let picture = &vtest_frames(&[0])[0];
    let size = ImageSize { width: 640, height: 480 };
    let half = |shift: f64| {
        let still = seen_through(picture, &[1.0, 0.0, 64.0, 0.0, 1.0, 48.0], size);
        let moved = seen_through(picture, &[1.0, 0.0, 64.0 - shift, 0.0, 1.0, 48.0], size);
        let mut data = still.pixels.plane(0).data.to_vec();
        let right = moved.pixels.plane(0);
        for y in 0..480 {
            let row = y * 640 * 3;
            data[row + 250 * 3..row + 640 * 3].copy_from_slice(&right.data[row + 250 * 3..row + 640 * 3]);
        }
        frame_of(640, 480, data)
    };
    let bus = Detection { bbox: BBox::new(250.0, 0.0, 640.0, 480.0), class: ClassId(5), score: 0.9 };
    let mut camera = FlowCamera::new(CameraMotion::On);
    camera.measure(&at(half(0.0), 0), &[bus]).unwrap();
    assert_eq!(camera.measure(&at(half(6.0), 1), &[bus]).unwrap(), None, "the bus drives, the camera stands");
    let wall = Detection { bbox: BBox::new(0.0, 0.0, 250.0, 480.0), ..bus };
    let mut camera = FlowCamera::new(CameraMotion::On);
    camera.measure(&at(half(0.0), 0), &[wall]).unwrap();
    let map = camera.measure(&at(half(6.0), 1), &[wall]).unwrap().expect("the camera pans");
    assert!((map[2] - 6.0).abs() < 0.3 && map[5].abs() < 0.3, "{map:?}");
}

#[test]
fn pictures_that_tell_nothing_give_no_motion() {
    let grey = |width: u32, height: u32| frame_of(width, height, vec![90; (width * height * 3) as usize]);
    for (width, height) in [(640, 480), (64, 48), (20, 20), (4, 900)] {
        let mut camera = FlowCamera::new(CameraMotion::On);
        for number in 0..3 {
            assert_eq!(camera.measure(&at(grey(width, height), number), &[]).unwrap(), None);
        }
    }
    // A picture of another size has no predecessor.
    let mut camera = FlowCamera::new(CameraMotion::On);
    let picture = &vtest_frames(&[0])[0];
    for (number, size) in [(640, 480), (320, 240), (640, 480)].into_iter().enumerate() {
        let size = ImageSize { width: size.0, height: size.1 };
        let frame = at(seen_through(picture, &[1.0, 0.0, 30.0 * number as f64, 0.0, 1.0, 0.0], size), number);
        assert_eq!(camera.measure(&frame, &[]).unwrap(), None);
    }
}

/// Four people in a row who walk slowly to the right, seen by a camera that is `shift` pixels to the right.
fn walkers(number: usize, shift: f32) -> Vec<Detection> {
    let walker = |index: usize| {
        let left = 200.0 + 45.0 * index as f32 + 1.5 * number as f32 - shift;
        Detection { bbox: BBox::from_tlwh(left, 200.0, 30.0, 75.0), class: ClassId(0), score: 0.9 }
    };
    (0..4).map(walker).collect()
}

#[test]
fn identities_outlive_a_shaken_camera() {
    let picture = &vtest_frames(&[0])[0];
    let size = ImageSize { width: 640, height: 480 };
    let switches = |mode: Option<CameraMotion>| {
        let mut camera = mode.map(FlowCamera::new);
        let mut tracker = build(&TrackSettings::default(), 10.0, TrackIds::default());
        let (mut tracks, mut last, mut switches) = (Vec::new(), BTreeMap::new(), 0);
        for number in 0..60 {
            // After a second of calm, jumps of most of a walker's distance to the next one.
            let shift = if number < 10 { 0.0 } else { 38.0 * f64::from((number * 7 % 3) - 1) };
            let frame = at(seen_through(picture, &[1.0, 0.0, 64.0 + shift, 0.0, 1.0, 48.0], size), number as usize);
            let detections: Vec<Detection> = walkers(number as usize, shift as f32);
            let motion = camera.as_mut().and_then(|camera| camera.measure(&frame, &detections).unwrap());
            let seen = Observations { at: frame.meta.pts, detections: &detections, embeddings: &[], camera: motion };
            tracker.update(&seen, &mut tracks);
            for track in tracks.iter().filter(|track| track.shown && track.detection.is_some()) {
                let before = last.insert(track.detection, track.id);
                switches += usize::from(before.is_some_and(|before| before != track.id));
            }
        }
        switches
    };
    let (without, on, auto) = (switches(None), switches(Some(CameraMotion::On)), switches(Some(CameraMotion::Auto)));
    assert_eq!(on, 0);
    // Noticing takes a glance, within which identities may be lost.
    assert!(auto <= 12 && without >= 100, "without {without}, auto {auto}");
}

/// Prints what is measured on the videos in a folder, for calibrating: EYELINE_MOTION_VIDEOS=DIR cargo test -- --nocapture.
#[test]
fn motions_of_videos_at_hand() {
    let Some(folder) = std::env::var_os("EYELINE_MOTION_VIDEOS") else { return };
    for entry in std::fs::read_dir(Path::new(&folder)).unwrap() {
        report(&entry.unwrap().path());
    }
}

fn report(path: &Path) {
    use eyeline::{
        frame::StreamId,
        source::{OpenSource, Pull, gst::FileOpener},
    };
    let Ok(mut source) = FileOpener::new(path, StreamId(0)).open(0, 0) else { return };
    let mut cameras = [CameraMotion::Auto, CameraMotion::On].map(FlowCamera::new);
    let mut told = [0; 2];
    let mut spent = [std::time::Duration::ZERO; 2];
    let (mut frames, mut most) = (0, 0.0f64);
    while let Ok(Pull::Frame(frame)) = source.pull(std::time::Duration::from_secs(10)) {
        frames += 1;
        for (index, camera) in cameras.iter_mut().enumerate() {
            let began = std::time::Instant::now();
            let motion = camera.measure(&frame, &[]).unwrap();
            spent[index] += began.elapsed();
            told[index] += usize::from(motion.is_some());
            let off = motion.map_or(0.0, |map| disagreement(&map.map(f64::from), &IDENTITY, frame.meta.size));
            most = most.max(off);
        }
    }
    let each = spent.map(|spent| spent.as_secs_f64() * 1e3 / f64::from(frames));
    println!("{}: {frames} frames, motion in {told:?} (auto, on), at most {most:.2} px, {each:.3?} ms", path.display());
}
