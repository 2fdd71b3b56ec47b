//! torchvision's scripted detectors give the detections torchvision gives.
//!
//! `golden/torchvision_*.pt` and `golden/torchvision_detections.csv` were made by `golden/generate/torchvision_detectors.py`,
//! which says what is in them and how the picture is made up.
#![cfg(all(feature = "torch", feature = "opencv"))]

mod inference;

use eyeline::{
    config::plan::DetectPlan,
    detect::{ClassId, Detection, Detector, torch::TorchDetector},
    frame::Frame,
    geometry::BBox,
    torch::runtime::Device,
};
use inference::frame_of;
use std::fs;

const DETECTORS: [(&str, &[u8]); 3] = [
    ("faster_rcnn", include_bytes!("golden/torchvision_faster_rcnn.pt")),
    ("retinanet", include_bytes!("golden/torchvision_retinanet.pt")),
    ("ssd", include_bytes!("golden/torchvision_ssd.pt")),
];

const DETECTIONS: &str = include_str!("golden/torchvision_detections.csv");

const NOTES: &str = "input: { width: 96, height: 64, fit: stretch, mean: [0, 0, 0], std: [1, 1, 1] }\n\
    classes: [nothing, cat, dog, bird]\n";

/// Largest difference of a corner, pixels.
const MAX_CORNER_PX: f32 = 0.5;
/// Largest difference of a score.
const MAX_SCORE: f32 = 0.002;

fn picture() -> Frame {
    let value = |x: usize, y: usize, c: usize| ((7 * x + 13 * y + 29 * c + x * y / 5) % 256) as u8;
    let pixels = (0..64).flat_map(|y| (0..96).flat_map(move |x| (0..3).map(move |c| value(x, y, c))));
    frame_of(96, 64, pixels.collect())
}

/// What torchvision found with a model. Label 0 is nothing, though an untrained RetinaNet gives it.
fn recorded(model: &str) -> Vec<Detection> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |index: usize| fields[index].parse::<f32>().unwrap();
        let bbox = BBox::new(number(2), number(3), number(4), number(5));
        (fields[0] == model && fields[1] != "0").then(|| Detection {
            bbox,
            class: ClassId(number(1) as u16),
            score: number(6),
        })
    };
    DETECTIONS.lines().skip(1).filter_map(row).collect()
}

fn are_the_same(a: &Detection, b: &Detection) -> bool {
    let corners = |d: &Detection| [d.bbox.left, d.bbox.top, d.bbox.right, d.bbox.bottom];
    let corner = corners(a).iter().zip(corners(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    a.class == b.class && corner <= MAX_CORNER_PX && (a.score - b.score).abs() <= MAX_SCORE
}

#[test]
fn scripted_detectors_give_what_torchvision_gives() {
    for (name, program) in DETECTORS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.pt");
        fs::write(&path, program).unwrap();
        fs::write(folder.path().join("m.model.yml"), NOTES).unwrap();
        let model = path.to_str().unwrap().to_owned();
        let plan = DetectPlan { model, min_score: 0.0, max_detections: 1000, ..DetectPlan::default() };
        let mut detector = TorchDetector::open(&plan, Device::Cpu).unwrap();
        assert_eq!((detector.about().family, detector.classes().len()), ("torchvision", 4), "{name}");
        let mut found = Vec::new();
        detector.detect(&[picture(), picture()], &mut found).unwrap();
        assert_eq!(found[0], found[1], "{name}: a batch gives what a picture alone gives");
        let (mut left, recorded) = (found.swap_remove(0), recorded(name));
        assert!(recorded.len() >= 5, "{name}: {} recorded", recorded.len());
        for wanted in &recorded {
            let same = left.iter().position(|got| are_the_same(got, wanted));
            left.remove(same.unwrap_or_else(|| panic!("{name}: {wanted:?} is missing")));
        }
        assert!(left.is_empty(), "{name}: {left:?} was not recorded");
        println!("{name}: {} detections", recorded.len());
    }
}
