//! Detectors and embedders from ONNX files give what ONNX Runtime gives for the same pixels.
#![cfg(feature = "line")]

mod inference;

use eyeline::{
    config::{
        plan::{DetectPlan, EmbedPlan},
        zoo,
    },
    detect::{self, ClassId, Detection},
    embed::{self, Crop},
    frame::Frame,
    geometry::BBox,
};
use gstreamer::prelude::*;
use inference::{embed_plan, frame_of};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Largest difference of a corner, source pixels.
const MAX_CORNER_PX: f32 = 0.5;
/// Largest difference of a score.
const MAX_SCORE: f32 = 0.002;

fn data() -> PathBuf {
    PathBuf::from(std::env::var_os("EYELINE_EVAL_DATA").expect("EYELINE_EVAL_DATA names the evaluation data"))
}

/// The pixels of a PNG file.
fn png(path: &Path) -> Frame {
    gstreamer::init().unwrap();
    let text = format!(
        "filesrc location={} ! pngdec ! videoconvert ! video/x-raw,format=RGB ! appsink name=sink sync=false",
        path.display()
    );
    let pipeline = gstreamer::parse::launch(&text).unwrap().downcast::<gstreamer::Pipeline>().unwrap();
    let sink = pipeline.by_name("sink").unwrap().downcast::<gstreamer_app::AppSink>().unwrap();
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    let sample = sink.pull_sample().unwrap();
    let info = gstreamer_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    let map = sample.buffer().unwrap().map_readable().unwrap();
    let (width, height, stride) = (info.width(), info.height(), info.stride()[0] as usize);
    let rows = (0..height as usize).flat_map(|row| map[row * stride..][..width as usize * 3].to_vec());
    let frame = frame_of(width, height, rows.collect());
    pipeline.set_state(gstreamer::State::Null).unwrap();
    frame
}

fn golden_frame() -> Frame {
    png(&data().join("golden/models/frame_000200.png"))
}

fn golden(file: &str) -> Vec<Detection> {
    let path = data().join("golden/models").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let detection = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |index: usize| fields[index].parse::<f32>().unwrap();
        let bbox = BBox::new(number(2), number(3), number(4), number(5));
        Detection { bbox, class: ClassId(fields[0].parse().unwrap()), score: number(6) }
    };
    text.lines().skip(1).map(detection).collect()
}

fn far(a: &BBox, b: &BBox) -> f32 {
    let sides = [(a.left, b.left), (a.top, b.top), (a.right, b.right), (a.bottom, b.bottom)];
    sides.into_iter().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Holds a detector's boxes on the golden frame against those recorded, one to one.
fn assert_parity(weights: &str, csv: &str, min_score: f32, max_iou: f32) {
    let model = data().join("weights").join(weights).to_str().unwrap().to_owned();
    let plan = DetectPlan { model, min_score, max_iou, max_batch: 2, ..DetectPlan::default() };
    let (mut detector, _) = detect::torch::open(&plan).unwrap();
    let mut found = Vec::new();
    let frame = golden_frame();
    detector.detect(&[frame.clone(), frame], &mut found).unwrap();
    assert_eq!(found[0].len(), found[1].len(), "{weights}: a batch gives what a picture alone gives");
    let (mut left, mut corner, mut score) = (found[0].clone(), 0f32, 0f32);
    for wanted in golden(csv) {
        // The recorded boxes were not cut at the edges of the picture.
        let bbox = wanted.bbox.clipped_to(eyeline::frame::ImageSize { width: 768, height: 576 });
        let nearest = (0..left.len())
            .filter(|&index| left[index].class == wanted.class)
            .min_by(|&a, &b| far(&left[a].bbox, &bbox).total_cmp(&far(&left[b].bbox, &bbox)));
        let got = left.remove(nearest.unwrap_or_else(|| panic!("{weights}: {wanted:?} is missing")));
        corner = corner.max(far(&got.bbox, &bbox));
        score = score.max((got.score - wanted.score).abs());
        assert!(corner <= MAX_CORNER_PX && score <= MAX_SCORE, "{weights}: {got:?}, recorded {wanted:?}");
    }
    println!("{weights}: corners within {corner:.3} px, scores within {score:.5}");
    assert!(left.is_empty(), "{weights}: {left:?} was not recorded");
}

/// Values of a JSON report by its path.
fn number(report: &serde_json::Value, path: &str) -> f64 {
    report.pointer(path).and_then(serde_json::Value::as_f64).unwrap_or_else(|| panic!("{path} in {report:#}"))
}

fn eval(args: &[&str]) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_eyeline")).arg("eval").args(args).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

mod eval_data {
    use super::*;

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn yolox_nano_agrees_with_onnx_runtime() {
        assert_parity("yolox_nano.onnx", "yolox_nano.csv", 0.25, 0.45);
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn nanodet_m_agrees_with_onnx_runtime() {
        assert_parity("nanodet_m_416.onnx", "nanodet_m_416.csv", 0.4, 0.5);
        assert_parity("nanodet_m_320.onnx", "nanodet_m_320.csv", 0.4, 0.5);
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn ssd_mobilenet_v1_agrees_with_onnx_runtime() {
        assert_parity("ssd_mobilenet_v1_075_coco_300.onnx", "ssd_mobilenet_v1_075_coco_300.csv", 0.35, 0.5);
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn osnet_agrees_with_onnx_runtime() {
        let text = fs::read_to_string(data().join("golden/models/osnet_x0_25_msmt17.csv")).unwrap();
        let rows: Vec<Vec<f32>> =
            text.lines().skip(1).map(|line| line.split(',').map(|field| field.parse().unwrap()).collect()).collect();
        let frame = golden_frame();
        let crop = |row: &Vec<f32>| Crop {
            frame: &frame,
            bbox: BBox::from_tlwh(row[1], row[2], row[3], row[4]),
            class: ClassId(0),
        };
        let crops: Vec<_> = rows.iter().map(crop).collect();
        let model = data().join("weights/osnet_x0_25_msmt17.onnx").to_str().unwrap().to_owned();
        let (mut embedder, cards) = embed::torch::open(&EmbedPlan { model, ..embed_plan() }, &[]).unwrap();
        assert_eq!((cards[0].name.as_str(), embedder.dim()), ("osnet-x0.25", 512));
        let mut out = Vec::new();
        embedder.embed(&crops, &mut out).unwrap();
        for (row, embedding) in rows.iter().zip(&out) {
            let expected = embed::Embedding(row[5..].into());
            let cosine = embedding.as_ref().unwrap().cosine(&expected);
            assert!(cosine >= 0.9999, "person {}: cosine {cosine}", row[0]);
        }
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn yolox_nano_and_osnet_find_and_follow_the_people_of_pets() {
        let weights = |file: &str| data().join("weights").join(file).to_str().unwrap().to_owned();
        let out = tempfile::tempdir().unwrap();
        let video = zoo::home_dir().join("video/vtest.avi");
        let run = Command::new(env!("CARGO_BIN_EXE_eyeline"))
            .arg("process")
            .arg(&video)
            .args(["--detector", &weights("yolox_nano.onnx"), "--embedder", &weights("osnet_x0_25_msmt17.onnx")])
            .args(["--classes", "person", "--detections", "--no-video", "--out", out.path().to_str().unwrap()])
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let truth = data().join("mot15/PETS09-S2L1/gt/gt.txt");
        let file = |name: &str| out.path().join("vtest").join(name).to_str().unwrap().to_owned();
        let truth = truth.to_str().unwrap();
        let detection = eval(&["--truth", truth, "--results", &file("detections.txt"), "--task", "detection"]);
        let ap50 = number(&detection, "/results/0/combined/pedestrian/AP50");
        assert!(ap50 >= 0.885, "AP@0.5 {ap50}");
        let tracking = eval(&["--truth", truth, "--results", &file("tracks.txt")]);
        let score = |path: &str| number(&tracking, &format!("/results/0/combined/{path}"));
        let (hota, idf1, mota) = (score("HOTA/HOTA"), score("Identity/IDF1"), score("CLEAR/MOTA"));
        println!("AP@0.5 {ap50:.4}, HOTA {hota:.4}, IDF1 {idf1:.4}, MOTA {mota:.4}");
        assert!(hota >= 0.57 && idf1 >= 0.80 && mota >= 0.79, "HOTA {hota}, IDF1 {idf1}, MOTA {mota}");
        assert!(score("CLEAR/IDSW") <= 12.0, "{} identity switches", score("CLEAR/IDSW"));
    }
}
