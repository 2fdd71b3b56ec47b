//! The native detector gives the boxes another implementation gives for the same weights and pixels, and the embedder the
//! same vectors every time.
//!
//! `golden/yolov3_tiny_*.csv` was recorded by `golden/generate/yolov3_tiny.py` from OpenCV's DNN module.
#![cfg(all(feature = "torch", feature = "opencv", feature = "gst"))]

mod inference;

use eyeline::{
    detect::{self, Detection},
    embed,
    frame::Frame,
    geometry::BBox,
    torch::runtime,
};
use inference::{detect_plan, embed_plan, noise_frame, vtest_frames};
use std::collections::BTreeMap;

/// Largest difference of a corner, source pixels.
const MAX_CORNER_PX: f32 = 0.5;
/// Largest difference of a score.
const MAX_SCORE: f32 = 0.005;

/// Detections by frame number, recorded at one input size.
fn golden(csv: &str) -> BTreeMap<usize, Vec<Detection>> {
    let mut frames: BTreeMap<usize, Vec<Detection>> = BTreeMap::new();
    for line in csv.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |index: usize| fields[index].parse::<f32>().unwrap();
        frames.entry(fields[0].parse().unwrap()).or_default().push(Detection {
            bbox: BBox::new(number(2), number(3), number(4), number(5)),
            class: detect::ClassId(fields[1].parse().unwrap()),
            score: number(6),
        });
    }
    frames
}

fn largest_difference(a: &BBox, b: &BBox) -> f32 {
    let sides = [(a.left, b.left), (a.top, b.top), (a.right, b.right), (a.bottom, b.bottom)];
    sides.into_iter().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Takes each expected detection out of `got`; what stays in either list is a difference.
fn assert_same_detections(context: &str, got: &[Detection], expected: &[Detection]) {
    let mut left = got.to_vec();
    for wanted in expected {
        let same = |d: &Detection| {
            d.class == wanted.class
                && (d.score - wanted.score).abs() <= MAX_SCORE
                && largest_difference(&d.bbox, &wanted.bbox) <= MAX_CORNER_PX
        };
        let found = left.iter().position(same);
        left.remove(found.unwrap_or_else(|| panic!("{context}: {wanted:?} is missing from {got:#?}")));
    }
    assert!(left.is_empty(), "{context}: {left:?} was not expected");
}

fn assert_parity(input_px: u32, csv: &str) {
    let expected = golden(csv);
    assert!(expected.len() >= 5, "{} frames", expected.len());
    let numbers: Vec<usize> = expected.keys().copied().collect();
    let frames: Vec<Frame> = vtest_frames(&numbers);
    let (mut detector, _) = detect::torch::open(&detect_plan(input_px)).unwrap();
    let mut got = Vec::new();
    detector.detect(&frames, &mut got).unwrap();
    for ((number, expected), got) in expected.iter().zip(&got) {
        assert_same_detections(&format!("{input_px} px, frame {number}"), got, expected);
    }
}

#[test]
fn yolov3_tiny_at_416_agrees_with_opencv() {
    assert_parity(416, include_str!("golden/yolov3_tiny_416.csv"));
}

#[test]
fn yolov3_tiny_at_608_agrees_with_opencv() {
    assert_parity(608, include_str!("golden/yolov3_tiny_608.csv"));
}

#[test]
fn a_batch_gives_what_its_frames_give_alone() {
    let frames = vtest_frames(&[0, 100, 250]);
    let (mut detector, _) = detect::torch::open(&detect_plan(320)).unwrap();
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    detector.detect(&frames, &mut together).unwrap();
    for (frame, together) in frames.iter().zip(&together) {
        detector.detect(std::slice::from_ref(frame), &mut alone).unwrap();
        assert_eq!(&alone[0], together);
    }
}

#[test]
fn workers_find_what_all_threads_together_find() {
    runtime::set_threads(2);
    let frames = vtest_frames(&[0, 50, 100, 150, 200, 250, 300]);
    let (mut detector, _) = detect::torch::open(&detect_plan(320)).unwrap();
    let (mut side_by_side, mut again, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    detector.detect(&frames, &mut side_by_side).unwrap();
    detector.detect(&frames, &mut again).unwrap();
    assert_eq!(side_by_side, again);
    for (index, frame) in frames.iter().enumerate() {
        detector.detect(std::slice::from_ref(frame), &mut alone).unwrap();
        assert_same_detections(&format!("picture {index}"), &side_by_side[index], &alone[0]);
    }
}

#[test]
fn pictures_of_any_size_are_detected_in() {
    let (mut detector, _) = detect::torch::open(&detect_plan(320)).unwrap();
    let mut out = Vec::new();
    let frames: Vec<_> = [(1, 1), (7681, 33), (33, 4001), (2, 500)].map(|(w, h)| noise_frame(w, h)).into();
    detector.detect(&frames, &mut out).unwrap();
    assert_eq!(out.len(), frames.len());
    detector.detect(&[], &mut out).unwrap();
    assert!(out.is_empty());
}

fn crop(frame: &Frame, [left, top, right, bottom]: [f32; 4]) -> embed::Crop<'_> {
    embed::Crop { frame, bbox: BBox::new(left, top, right, bottom), class: detect::ClassId(0) }
}

#[test]
fn embeddings_are_of_norm_one_and_the_same_every_time() {
    let frames = vtest_frames(&[0, 100]);
    let people = [crop(&frames[0], [499.0, 161.0, 530.0, 221.0]), crop(&frames[1], [348.0, 186.0, 374.0, 281.0])];
    let outside = [crop(&frames[0], [900.0, 10.0, 950.0, 90.0]), crop(&frames[1], [5.0, 5.0, 5.2, 90.0])];
    let crops = [people[0], outside[0], people[1], outside[1]];
    let (mut embedder, cards) = embed::torch::open(&embed_plan(), &[]).unwrap();
    assert_eq!(cards[0].name, "mobilenet-v2");
    let (mut first, mut second) = (Vec::new(), Vec::new());
    embedder.embed(&crops, &mut first).unwrap();
    embedder.embed(&crops, &mut second).unwrap();
    assert_eq!(first, second);
    assert!(first[1].is_none() && first[3].is_none());
    for embedding in [&first[0], &first[2]] {
        let values = &embedding.as_ref().unwrap().0;
        assert_eq!(values.len(), embedder.dim());
        assert!((values.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-4);
    }
    embedder.embed(&[], &mut second).unwrap();
    assert!(second.is_empty());
}
