//! What illumination normalization is worth: person AP of YOLOX-nano on every fifth frame of PETS09-S2L1 under seven
//! lights, with the light corrected as `preprocess.light: auto` corrects it.
//!
//! The lights are made here, the same on every run. Figures: `models/README.md`.
#![cfg(all(feature = "torch", feature = "opencv", feature = "gst"))]

mod inference;

use eyeline::{
    detect::{
        ClassId, Detection,
        nms::{self, NmsSettings},
    },
    eval::{
        average_precision::{DetectionFrame, OperatingPoint, evaluate},
        exact_box::ExactBox,
    },
    frame::{Frame, ImageSize},
    geometry::BBox,
    preprocess::{
        illumination::{Illumination, LightSettings},
        letterbox::LetterBoxer,
        normalize::Normalize,
    },
    time::MediaTime,
    torch::{
        onnx::{BuildOptions, OnnxFile, OnnxNetwork},
        runtime::{self, Inference, Network},
    },
};
use inference::{frame_of, vtest_frames};
use std::{collections::BTreeMap, env, fs, path::PathBuf};

const INPUT: ImageSize = ImageSize { width: 416, height: 416 };
const SIZE: ImageSize = ImageSize { width: 768, height: 576 };

fn data() -> PathBuf {
    PathBuf::from(env::var("EYELINE_EVAL_DATA").expect("EYELINE_EVAL_DATA names the evaluation data"))
}

/// YOLOX-nano, decoded for people alone.
struct People {
    network: OnnxNetwork,
    boxer: LetterBoxer,
    normalize: Normalize,
}

impl People {
    fn open() -> Self {
        runtime::set_threads(2);
        let bytes = fs::read(data().join("weights/yolox_nano.onnx")).expect("weights");
        let file = OnnxFile::parse(&bytes).expect("an ONNX file");
        let network = OnnxNetwork::build(&file, &BuildOptions::default()).expect("a network");
        // YOLOX takes 0..=255.
        let normalize = Normalize::new([0.0; 3], [1.0 / 255.0; 3], tch::Device::Cpu).expect("three numbers");
        Self { network, boxer: LetterBoxer::new(INPUT, 114), normalize }
    }

    fn find(&mut self, frame: &Frame) -> Vec<Detection> {
        let _inference = Inference::begin();
        let place = self.boxer.draw(0, frame).expect("a sound frame");
        let batch = self.normalize.batch(self.boxer.batch(1), 1, INPUT.height, INPUT.width).expect("a batch");
        // It was trained on blue, green, red.
        let output = self.network.forward(&batch.flip([1])).expect("runs").remove(0);
        let values = Vec::<f32>::try_from(output.contiguous().flatten(0, -1)).expect("numbers");
        let mut found: Vec<Detection> = values.chunks_exact(85).zip(cells()).filter_map(person).collect();
        nms::suppress(&mut found, &NmsSettings { max_iou: 0.45, max_detections: 300 });
        found.iter_mut().for_each(|d| d.bbox = place.bbox_source_from_model(&d.bbox).clipped_to(SIZE));
        found
    }
}

/// Column, row and stride of each line of the output.
fn cells() -> impl Iterator<Item = (f32, f32, f32)> {
    [8u16, 16, 32].into_iter().flat_map(|stride| {
        let side = 416 / stride;
        (0..side * side).map(move |cell| (f32::from(cell % side), f32::from(cell / side), f32::from(stride)))
    })
}

/// Source: Ge et al. 2021, section 2.1: centre = (xy + cell) · stride, size = exp(wh) · stride.
fn person((values, (column, row, stride)): (&[f32], (f32, f32, f32))) -> Option<Detection> {
    let best = values[5..].iter().copied().fold(0.0, f32::max);
    let score = values[4] * values[5];
    let bbox = BBox::from_cxcywh(
        (values[0] + column) * stride,
        (values[1] + row) * stride,
        values[2].exp() * stride,
        values[3].exp() * stride,
    );
    (values[5] >= best && score >= 0.1).then_some(Detection { bbox, class: ClassId(0), score })
}

/// About normal, deviation 1, the same for the same place everywhere.
fn noise(frame: usize, index: usize) -> f64 {
    let mut state = (frame as u64) << 32 | index as u64;
    let sum: f64 = (0..12)
        .map(|_| {
            state = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9).wrapping_add(0x9E37_79B9_7F4A_7C15);
            (state >> 11) as f64 / (1u64 << 53) as f64
        })
        .sum();
    sum - 6.0
}

/// Name, what becomes of a colour's value 0..=1, whether there is noise, and the least AP with `auto`.
type Degrading = (&'static str, fn(usize, f64) -> f64, bool, f64);

const LIGHTS: [Degrading; 7] = [
    ("original", |_, v| v, false, 0.88),
    ("v^2.5", |_, v| v.powf(2.5), false, 0.88),
    ("v x 0.12", |_, v| v * 0.12, false, 0.88),
    ("v x 0.12, noise 2", |_, v| v * 0.12, true, 0.88),
    ("over-exposed", |_, v| v * 2.2, false, 0.87),
    ("haze", |_, v| 0.55 + 0.15 * v, false, 0.88),
    ("warm", |colour, v| v * [1.2, 0.8, 0.35][colour], false, 0.88),
];

fn degraded(frame: &Frame, number: usize, (_, become_of, noisy, _): Degrading) -> Frame {
    let tables: Vec<Vec<f64>> =
        (0..3).map(|colour| (0..=255).map(|v| 255.0 * become_of(colour, f64::from(v) / 255.0)).collect()).collect();
    let plane = frame.pixels.plane(0);
    let row_bytes = SIZE.width as usize * 3;
    let rows = (0..SIZE.height as usize).flat_map(|y| plane.row(y, row_bytes).iter().copied());
    let value = |(index, v): (usize, u8)| {
        let grain = if noisy { 2.0 * noise(number, index) } else { 0.0 };
        (tables[index % 3][usize::from(v)] + grain).round().clamp(0.0, 255.0) as u8
    };
    let mut degraded = frame_of(SIZE.width, SIZE.height, rows.enumerate().map(value).collect());
    degraded.meta.pts = MediaTime::from_secs_f64(number as f64 / 10.0);
    degraded
}

fn truth() -> BTreeMap<usize, Vec<ExactBox>> {
    let text = fs::read_to_string(data().join("mot15/PETS09-S2L1/gt/gt.txt")).expect("truth");
    let mut frames: BTreeMap<usize, Vec<ExactBox>> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<f64> = line.split(',').map(|field| field.parse().expect("a number")).collect();
        let bbox = ExactBox::from_tlwh(fields[2], fields[3], fields[4], fields[5]);
        frames.entry(fields[0] as usize - 1).or_default().push(bbox);
    }
    frames
}

fn score(people: &mut People, frames: &[Frame], light: Degrading, settings: &LightSettings) -> f64 {
    let mut truth = truth();
    let mut illumination = Illumination::new(settings);
    let scored = frames.iter().enumerate().map(|(index, frame)| {
        let mut frame = degraded(frame, index * 5, light);
        if let Some(illumination) = &mut illumination {
            illumination.observe(&mut frame);
        }
        let exact = |d: Detection| {
            let [left, top, width, height] = [d.bbox.left, d.bbox.top, d.bbox.width(), d.bbox.height()].map(f64::from);
            (ExactBox::from_tlwh(left, top, width, height), f64::from(d.score))
        };
        let detections = people.find(&frame).into_iter().map(exact).collect();
        DetectionFrame { truth: truth.remove(&(index * 5)).unwrap_or_default(), ignored: Vec::new(), detections }
    });
    let scored: Vec<_> = scored.collect();
    evaluate(scored.iter(), OperatingPoint { min_score: 0.3, min_iou: 0.5 }).ap50
}

mod eval_data {
    use super::*;

    /// `EYELINE_LIGHT_OFF=1` prints the figures without correction instead.
    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn people_are_found_in_any_light() {
        let mut people = People::open();
        let frames = vtest_frames(&(0..795).step_by(5).collect::<Vec<_>>());
        let off = env::var_os("EYELINE_LIGHT_OFF").is_some();
        let settings = if off { LightSettings::Off } else { LightSettings::Auto };
        for light in LIGHTS {
            let ap = score(&mut people, &frames, light, &settings);
            println!("{}: AP@0.5 {ap:.4}", light.0);
            assert!(off || ap >= light.3, "{}: AP@0.5 {ap:.4}, expected {}", light.0, light.3);
        }
    }
}
