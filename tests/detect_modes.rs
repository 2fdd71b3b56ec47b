//! What ways of looking are worth on the sample video: tiles for small people, two detectors for one, every n-th frame.
//! Figures: `models/README.md`.
#![cfg(all(feature = "torch", feature = "opencv", feature = "gst"))]

mod inference;

use eyeline::{
    config::plan::DetectPlan,
    detect::{self, Detection, Detector, fusion::Ensemble, tiled::Tiled},
    eval::{
        average_precision::DetectionFrame,
        detections::MotDetections,
        exact_box::ExactBox,
        mot_io::{MotRows, PEDESTRIAN, ResultRow},
        seqinfo::SeqInfo,
        sequence::Sequence,
        tracking::{self, DEFAULT_MIN_IOU},
    },
    frame::{Frame, ImageSize},
    preprocess::tiles::TileGrid,
    time::MediaTime,
    torch::runtime,
    track::{self, Observations, Track, TrackIds, bridge::Bridge, settings::TrackSettings},
};
use inference::{
    frame_of,
    people::{ap50, eval_data, scored, truth},
    vtest_frames,
};
use std::path::PathBuf;

const SIZE: ImageSize = ImageSize { width: 768, height: 576 };

/// A model of the evaluation data at thresholds that leave ranking to the scores.
fn open(file: &str) -> Box<dyn Detector> {
    runtime::set_threads(2);
    let model = eval_data().join("weights").join(file).to_string_lossy().into_owned();
    let plan = DetectPlan { model, min_score: 0.05, max_iou: 0.45, max_batch: 8, ..DetectPlan::default() };
    detect::torch::open(&plan).expect("a sound model").0
}

/// AP of the people that `detector` finds in pictures of which the truth is known.
fn ap(detector: &mut dyn Detector, pictures: &[(Frame, Vec<ExactBox>)]) -> f64 {
    let mut results: Vec<DetectionFrame> = Vec::new();
    let mut found: Vec<Vec<Detection>> = Vec::new();
    for part in pictures.chunks(4) {
        let frames: Vec<Frame> = part.iter().map(|(frame, _)| frame.clone()).collect();
        detector.detect(&frames, &mut found).expect("runs");
        results.extend(part.iter().zip(&found).map(|((_, truth), found)| scored(truth.clone(), found)));
    }
    ap50(&results)
}

/// Every tenth frame and the people in it.
fn frames() -> Vec<(Frame, Vec<ExactBox>)> {
    let numbers: Vec<usize> = (0..800).step_by(10).filter(|&number| number < 795).collect();
    let mut truth = truth();
    let with_truth = |(frame, number)| (frame, truth.remove(number).unwrap_or_default());
    vtest_frames(&numbers).into_iter().zip(&numbers).map(with_truth).collect()
}

/// Four frames at half their size in one picture.
fn four_in_one(four: &[(Frame, Vec<ExactBox>)]) -> (Frame, Vec<ExactBox>) {
    let (width, height) = (SIZE.width as usize, SIZE.height as usize);
    let mut data = vec![0u8; width * height * 3];
    let mut truth = Vec::new();
    for (place, (frame, people)) in four.iter().enumerate() {
        let (left, top) = (place % 2 * width / 2, place / 2 * height / 2);
        let plane = frame.pixels.plane(0);
        for y in 0..height / 2 {
            let rows = [plane.row(2 * y, width * 3), plane.row(2 * y + 1, width * 3)];
            let line = &mut data[((top + y) * width + left) * 3..][..width / 2 * 3];
            for (at, value) in line.iter_mut().enumerate() {
                let from = at / 3 * 6 + at % 3;
                let sum: u16 = rows.iter().map(|row| u16::from(row[from]) + u16::from(row[from + 3])).sum();
                *value = ((sum + 2) / 4) as u8;
            }
        }
        let half = |b: &ExactBox| {
            ExactBox::from_tlwh(
                left as f64 + b.left / 2.0,
                top as f64 + b.top / 2.0,
                (b.right - b.left) / 2.0,
                (b.bottom - b.top) / 2.0,
            )
        };
        truth.extend(people.iter().map(half));
    }
    (frame_of(SIZE.width, SIZE.height, data), truth)
}

mod eval_data {
    use super::*;

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn tiles_find_people_that_are_too_small_for_the_whole_picture() {
        let pictures: Vec<_> = frames().chunks_exact(4).map(four_in_one).collect();
        let whole = ap(&mut *open("yolox_nano.onnx"), &pictures);
        let grid = TileGrid { columns: 2, rows: 2, overlap: 0.2 };
        let tiled = ap(&mut Tiled::new(open("yolox_nano.onnx"), grid, 0.45), &pictures);
        println!("people of 15 x 37 px: AP@0.5 {whole:.3} whole, {tiled:.3} in 2 x 2 tiles");
        assert!(tiled >= 0.88 && tiled > whole + 0.12, "{whole} {tiled}");
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn two_detectors_find_more_than_either() {
        let pictures = frames();
        let files = ["yolox_nano.onnx", "nanodet_m_416.onnx"];
        let alone = files.map(|file| ap(&mut *open(file), &pictures));
        let both = ap(&mut Ensemble::new(files.map(open).into(), &[]), &pictures);
        println!("AP@0.5 {alone:.3?} alone, {both:.3} together");
        assert!(alone.iter().all(|alone| both > *alone), "{alone:?} {both}");
    }

    /// HOTA, IDF1 and MOTA in percent where every n-th frame of recorded detections is looked at.
    fn scores(every: u64, bridged: bool) -> [f64; 3] {
        let folder = super::eval_data().join("mot15/PETS09-S2L1");
        let found = MotDetections::read(&folder.join("det_yolox_nano/det.txt")).expect("detections");
        let info = SeqInfo::read(&folder.join("seqinfo.ini")).expect("sequence");
        let fps = info.frame_rate.expect("a rate");
        let mut tracker = track::build(&TrackSettings::default(), fps, TrackIds::default());
        let (mut bridge, mut tracks, mut rows): (Bridge, Vec<Track>, Vec<ResultRow>) = Default::default();
        for index in 0..found.last_frame() {
            let at = MediaTime::from_secs_f64(index as f64 / fps);
            if index % every == 0 {
                let seen = Observations { at, detections: found.frame(index + 1), embeddings: &[], camera: None };
                tracker.update(&seen, &mut tracks);
                bridge.looked(at, &tracks);
            } else if bridged {
                bridge.cross(at, &mut tracks);
            } else {
                tracks.clear();
            }
            rows.extend(tracks.iter().filter(|track| track.shown).map(|track| ResultRow {
                line: 0,
                frame: index + 1,
                id: track.id.0 as i64,
                bbox: track.bbox.into(),
                score: f64::from(track.score),
                class: PEDESTRIAN,
            }));
        }
        let (truth, format) = MotRows::read_truth(&folder.join("gt/gt.txt"), None, "PETS09-S2L1").expect("truth");
        let results = MotRows { path: PathBuf::from("results"), rows };
        let sequence = Sequence::new(&truth, &results, format, info.length).expect("a sequence");
        let whole = tracking::combine(&[tracking::evaluate(&sequence, DEFAULT_MIN_IOU, &mut |_, _, _| ())]);
        let hota = eyeline::eval::hota::mean(&whole.hota.hota);
        [hota, whole.identity.idf1, whole.clear.mota].map(|score| 100.0 * score)
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn tracks_bridge_frames_that_nobody_looked_at() {
        let [every, second, third] = [1, 2, 3].map(|every| scores(every, true));
        let gaps = scores(2, false);
        println!(
            "HOTA, IDF1, MOTA: {every:.1?} of every frame, {second:.1?} of every second, {third:.1?} of every third"
        );
        println!("every second without a bridge: {gaps:.1?}");
        // At the 7 Hz of the sequence, half of it is little: a track is believed after three looks, here a second.
        assert!(second[0] > every[0] - 4.0 && second[1] > every[1] - 3.0, "{every:?} {second:?}");
        assert!(second[2] > every[2] - 15.0, "{every:?} {second:?}");
        assert!(second[0] > gaps[0] + 5.0 && second[2] > gaps[2] + 20.0, "{second:?} {gaps:?}");
    }
}
