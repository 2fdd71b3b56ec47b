//! How well the embedder tells people apart, on the crops of PETS09-S2L1 that `models/README.md` reports.
#![cfg(all(feature = "torch", feature = "opencv", feature = "gst"))]

mod inference;

use eyeline::{
    config::plan::EmbedPlan,
    detect::ClassId,
    embed::{self, Embedder, Embedding, torch::TorchEmbedder},
    frame::Frame,
    geometry::BBox,
    torch::runtime::{Device, Precision},
};
use inference::{embed_plan, vtest_frames};
use std::{collections::BTreeMap, env, fs, path::PathBuf, time::Instant};

/// One crop of a person.
struct Crop {
    person: u32,
    /// From 1.
    frame: usize,
    bbox: BBox,
}

fn crops() -> Vec<Crop> {
    let data = PathBuf::from(env::var("EYELINE_EVAL_DATA").expect("EYELINE_EVAL_DATA names the evaluation data"));
    let path = data.join("mot15/PETS09-S2L1/reid_crops.csv");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let crop = |line: &str| {
        let fields: Vec<f32> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let bbox = BBox::from_tlwh(fields[2], fields[3], fields[4], fields[5]);
        Crop { person: fields[0] as u32, frame: fields[1] as usize, bbox }
    };
    text.lines().skip(1).map(crop).collect()
}

fn embeddings(crops: &[Crop], plan: &EmbedPlan, precision: Precision) -> Vec<Embedding> {
    let mut numbers: Vec<usize> = crops.iter().map(|crop| crop.frame - 1).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let frames: BTreeMap<usize, Frame> = numbers.iter().copied().zip(vtest_frames(&numbers)).collect();
    let cut = |crop: &Crop| embed::Crop { frame: &frames[&(crop.frame - 1)], bbox: crop.bbox, class: ClassId(0) };
    let cut: Vec<_> = crops.iter().map(cut).collect();
    let mut out = Vec::new();
    let mut embedder = TorchEmbedder::open(&plan.model, plan.max_batch, Device::Cpu, precision).unwrap();
    let begun = Instant::now();
    embedder.embed(&cut, &mut out).unwrap();
    println!("{} in {precision}: {:.2} ms a crop", plan.model, begun.elapsed().as_secs_f64() * 1e3 / cut.len() as f64);
    out.into_iter().map(|embedding| embedding.expect("every crop has pixels")).collect()
}

/// Rank-1, mean average precision and area under the curve of same against other.
///
/// The gallery of a crop is every crop of somebody else and those of the same person at least 40 frames away.
fn measure(crops: &[Crop], embeddings: &[Embedding]) -> (f64, f64, f64) {
    let (mut first_right, mut precision, mut queries) = (0.0, 0.0, 0.0);
    let mut pairs: Vec<(f32, bool)> = Vec::new();
    for (i, query) in crops.iter().enumerate() {
        let scored = |j: usize| (embeddings[i].cosine(&embeddings[j]), crops[j].person == query.person);
        pairs.extend((0..i).map(scored));
        let inside = |j: &usize| crops[*j].person != query.person || crops[*j].frame.abs_diff(query.frame) >= 40;
        let mut gallery: Vec<_> = (0..crops.len()).filter(inside).map(scored).collect();
        gallery.sort_by(|a, b| b.0.total_cmp(&a.0));
        let right: Vec<usize> = (0..gallery.len()).filter(|&rank| gallery[rank].1).collect();
        if right.is_empty() {
            continue;
        }
        queries += 1.0;
        first_right += f64::from(u8::from(right[0] == 0));
        let at_each = right.iter().enumerate().map(|(found, rank)| (found + 1) as f64 / (rank + 1) as f64);
        precision += at_each.sum::<f64>() / right.len() as f64;
    }
    (first_right / queries, precision / queries, area_under_curve(&mut pairs))
}

/// Chance that a pair of the same person scores above a pair of two.
fn area_under_curve(pairs: &mut [(f32, bool)]) -> f64 {
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins, mut same) = (0.0, 0.0, 0.0);
    for (_, is_same) in pairs.iter() {
        if *is_same {
            wins += below;
            same += 1.0;
        } else {
            below += 1.0;
        }
    }
    wins / (same * below)
}

mod eval_data {
    use super::*;

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn mobilenetv2_tells_people_apart_as_its_note_says() {
        let crops = crops();
        let (rank_1, mean_precision, area) = measure(&crops, &embeddings(&crops, &embed_plan(), Precision::Fp32));
        println!("rank-1 {rank_1:.3}, mAP {mean_precision:.3}, AUC {area:.3}");
        assert!(rank_1 >= 0.48 && mean_precision >= 0.43 && area >= 0.87);
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn osnet_tells_people_apart_better() {
        let crops = crops();
        let data = PathBuf::from(env::var("EYELINE_EVAL_DATA").unwrap());
        let model = data.join("weights/osnet_x0_25_msmt17.onnx").to_str().unwrap().to_owned();
        let plan = EmbedPlan { model, ..embed_plan() };
        let (rank_1, mean_precision, area) = measure(&crops, &embeddings(&crops, &plan, Precision::Fp32));
        println!("OSNet: rank-1 {rank_1:.3}, mAP {mean_precision:.3}, AUC {area:.3}");
        assert!(rank_1 >= 0.51 && mean_precision >= 0.49 && area >= 0.92);
    }

    /// Least cosine of an embedding with itself in 32 bits, mean cosine, and what rank-1 loses.
    fn loss(plan: &EmbedPlan, precision: Precision) -> (f32, f32, f64) {
        let crops = crops();
        let (wide, narrow) = (embeddings(&crops, plan, Precision::Fp32), embeddings(&crops, plan, precision));
        let cosines: Vec<f32> = wide.iter().zip(&narrow).map(|(wide, narrow)| wide.cosine(narrow)).collect();
        let least = cosines.iter().copied().fold(1.0, f32::min);
        let mean = cosines.iter().sum::<f32>() / cosines.len() as f32;
        let ((wide, wide_precision, _), (narrow, narrow_precision, _)) =
            (measure(&crops, &wide), measure(&crops, &narrow));
        println!(
            "{} in {precision}: cosine >= {least:.5}, mean {mean:.5}; rank-1 {wide:.3} and {narrow:.3}; mAP {wide_precision:.3} and \
             {narrow_precision:.3}",
            plan.model
        );
        (least, mean, wide - narrow)
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn narrow_floats_cost_embedders_what_their_note_says() {
        let data = PathBuf::from(env::var("EYELINE_EVAL_DATA").unwrap());
        let osnet = data.join("weights/osnet_x0_25_msmt17.onnx").to_str().unwrap().to_owned();
        for plan in [embed_plan(), EmbedPlan { model: osnet, ..embed_plan() }] {
            let (least, mean, lost) = loss(&plan, Precision::Bf16);
            assert!(least >= 0.97 && mean >= 0.99 && lost <= 0.01, "bf16: {least} {mean} {lost}");
        }
        // OSNet would take minutes on a processor without half floats.
        let (least, mean, lost) = loss(&embed_plan(), Precision::Fp16);
        assert!(least >= 0.999 && mean >= 0.9995 && lost <= 0.005, "fp16: {least} {mean} {lost}");
    }
}
