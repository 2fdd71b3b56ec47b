//! What illumination normalization is worth: person AP of YOLOX-nano on every fifth frame of PETS09-S2L1 under seven
//! lights, with the light corrected as `preprocess.light: auto` corrects it.
//!
//! The lights are made here, the same on every run. Figures: `models/README.md`.
#![cfg(all(feature = "torch", feature = "opencv", feature = "gst"))]

mod inference;

use eyeline::{
    config::plan::DetectPlan,
    detect::{self, Detector},
    embed::{self, Embedder, Embedding},
    frame::{Frame, ImageSize},
    geometry::BBox,
    preprocess::illumination::{Correction, Illumination, LightSettings},
    time::MediaTime,
    torch::runtime,
};
use inference::{
    embed_plan, frame_of,
    people::{PERSON, ap50, eval_data, scored, truth},
    vtest_frames,
};
use std::{collections::BTreeMap, env, fs};

const SIZE: ImageSize = ImageSize { width: 768, height: 576 };
fn detector() -> Box<dyn Detector> {
    runtime::set_threads(2);
    let model = eval_data().join("weights/yolox_nano.onnx").to_string_lossy().into_owned();
    let plan = DetectPlan { model, min_score: 0.1, max_iou: 0.45, max_batch: 8, ..DetectPlan::default() };
    detect::torch::open(&plan).expect("YOLOX-nano").0
}

/// Noise of deviation 1, the same for the same place everywhere: the sum of four even numbers is near enough to normal.
fn noise(frame: usize, index: usize) -> f32 {
    let state = ((frame as u64) << 32 | index as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let state = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ state >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    let sum: u64 = (0..4).map(|part| state >> (16 * part) & 0xFFFF).sum();
    (sum as f32 / 65_536.0 - 2.0) * 3f32.sqrt()
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
    let table = |colour| -> [f32; 256] {
        std::array::from_fn(|level| (255.0 * become_of(colour, level as f64 / 255.0)) as f32)
    };
    let tables = [table(0), table(1), table(2)];
    let rounded = tables.map(|table| table.map(|value| value.round() as u8));
    let (plane, row_bytes) = (frame.pixels.plane(0), SIZE.width as usize * 3);
    let mut data = Vec::with_capacity(row_bytes * SIZE.height as usize);
    for y in 0..SIZE.height as usize {
        data.extend_from_slice(plane.row(y, row_bytes));
    }
    for (index, value) in data.iter_mut().enumerate() {
        let (colour, level) = (index % 3, usize::from(*value));
        *value = if noisy {
            (tables[colour][level] + 2.0 * noise(number, index)).round() as u8
        } else {
            rounded[colour][level]
        };
    }
    let mut degraded = frame_of(SIZE.width, SIZE.height, data);
    degraded.meta.pts = MediaTime::from_secs_f64(number as f64 / 10.0);
    degraded
}

/// AP of the people found in every fifth frame, of which `frames` are all.
fn score(detector: &mut dyn Detector, frames: &[Frame], light: Degrading, settings: &LightSettings) -> f64 {
    let mut truth = truth();
    let mut illumination = Illumination::new(settings);
    let (mut results, mut found) = (Vec::new(), Vec::new());
    for (batch, frames) in frames.chunks(8).enumerate() {
        let numbers: Vec<usize> = (0..frames.len()).map(|index| (batch * 8 + index) * 5).collect();
        let seen = frames.iter().zip(&numbers).map(|(frame, &number)| {
            let mut frame = degraded(frame, number, light);
            if let Some(illumination) = &mut illumination {
                illumination.observe(&mut frame);
            }
            frame
        });
        detector.detect(&seen.collect::<Vec<_>>(), &mut found).expect("runs");
        let frame = |(number, found): (&usize, Vec<_>)| scored(truth.remove(number).unwrap_or_default(), &found);
        results.extend(numbers.iter().zip(found.drain(..)).map(frame));
    }
    ap50(&results)
}

/// A crop of a person: who, in which frame (from 0), where.
type Person = (u32, usize, BBox);

fn crops() -> Vec<Person> {
    let text = fs::read_to_string(eval_data().join("mot15/PETS09-S2L1/reid_crops.csv")).expect("crops");
    let crop = |line: &str| {
        let fields: Vec<f32> = line.split(',').map(|field| field.parse().expect("a number")).collect();
        (fields[0] as u32, fields[1] as usize - 1, BBox::from_tlwh(fields[2], fields[3], fields[4], fields[5]))
    };
    text.lines().skip(1).map(crop).collect()
}

/// Looks of the crops; each frame's light is judged alone.
fn looks(
    embedder: &mut dyn Embedder,
    crops: &[Person],
    frames: &BTreeMap<usize, Frame>,
    settings: &LightSettings,
) -> Vec<Embedding> {
    let seen = frames.iter().map(|(number, frame)| {
        let mut frame = frame.clone();
        if let Some(mut illumination) = Illumination::new(settings) {
            illumination.observe(&mut frame);
        }
        (*number, frame)
    });
    let seen: BTreeMap<usize, Frame> = seen.collect();
    let cut = |&(_, frame, bbox): &Person| embed::Crop { frame: &seen[&frame], bbox, class: PERSON };
    let mut out = Vec::new();
    embedder.embed(&crops.iter().map(cut).collect::<Vec<_>>(), &mut out).expect("runs");
    out.into_iter().map(|look| look.expect("every crop has pixels")).collect()
}

/// Share of the queries whose nearest look in the gallery is the same person's, of those at least 40 frames away and of
/// everybody else's.
fn rank_1(crops: &[Person], queries: &[Embedding], gallery: &[Embedding]) -> f64 {
    let nearest = |query: usize| {
        let (person, frame, _) = crops[query];
        let inside = |other: &usize| crops[*other].0 != person || crops[*other].1.abs_diff(frame) >= 40;
        let scored =
            (0..crops.len()).filter(inside).map(|j| (queries[query].cosine(&gallery[j]), crops[j].0 == person));
        let scored: Vec<_> = scored.collect();
        scored.iter().any(|(_, same)| *same).then(|| scored.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)))?
    };
    let answers: Vec<bool> = (0..crops.len()).filter_map(nearest).map(|(_, same)| same).collect();
    answers.iter().filter(|same| **same).count() as f64 / answers.len() as f64
}

mod eval_data {
    use super::*;

    /// What `EYELINE_LIGHT` asks for, in the words of `preprocess.light`, several joined by commas.
    fn asked_for() -> Option<LightSettings> {
        let words = env::var("EYELINE_LIGHT").ok()?;
        let correction = |word| match word {
            "stretch" => Correction::Stretch,
            "gamma" => Correction::Gamma,
            "clahe" => Correction::Clahe,
            "white_balance" => Correction::WhiteBalance,
            other => panic!("EYELINE_LIGHT: {other}"),
        };
        Some(match &*words {
            "auto" => LightSettings::Auto,
            "off" => LightSettings::Off,
            several => LightSettings::Always(several.split(',').map(correction).collect()),
        })
    }

    /// With `EYELINE_LIGHT` it prints the figures of another setting and holds them against nothing.
    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn people_are_found_in_any_light() {
        let mut detector = detector();
        let frames = vtest_frames(&(0..795).step_by(5).collect::<Vec<_>>());
        let asked_for = asked_for();
        let settings = asked_for.clone().unwrap_or_default();
        let mut missed = Vec::new();
        for light in LIGHTS {
            let ap = score(&mut *detector, &frames, light, &settings);
            println!("{}: AP@0.5 {ap:.4}", light.0);
            if asked_for.is_none() && ap < light.3 {
                missed.push(format!("{}: {ap:.4} < {}", light.0, light.3));
            }
        }
        assert!(missed.is_empty(), "{missed:?}");
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn people_are_known_again_in_another_light() {
        let crops = crops();
        let mut numbers: Vec<usize> = crops.iter().map(|crop| crop.1).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let frames: BTreeMap<usize, Frame> = numbers.iter().copied().zip(vtest_frames(&numbers)).collect();
        let mut embedder = embed::torch::open(&embed_plan(), &[]).expect("`make setup` installs it").0;
        let auto = looks(&mut *embedder, &crops, &frames, &LightSettings::Auto);
        let gallery = looks(&mut *embedder, &crops, &frames, &LightSettings::Off);
        assert!(auto == gallery, "daylight is left as it is");
        for light in [LIGHTS[2], LIGHTS[6]] {
            let seen = frames.iter().map(|(number, frame)| (*number, degraded(frame, *number, light)));
            let seen: BTreeMap<usize, Frame> = seen.collect();
            let [without, with] = [LightSettings::Off, LightSettings::Auto]
                .map(|settings| rank_1(&crops, &looks(&mut *embedder, &crops, &seen, &settings), &gallery));
            println!("{}: rank-1 {without:.3} without, {with:.3} with", light.0);
            assert!(with > without, "{}: rank-1 {without:.3} without, {with:.3} with", light.0);
        }
    }
}
