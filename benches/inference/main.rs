//! Time of networks. First a table of single networks against ONNX Runtime in the same run, then one against TorchScript, then
//! the default models whole: pixels in, detections or embeddings out. Threads from EYELINE_BENCH_THREADS (2).
//!
//! The tables need ONNX files in $EYELINE_EVAL_DATA/weights and, for the columns of others, $EYELINE_BENCH_PYTHON with numpy, onnx,
//! onnxruntime and torch. Networks whose file is not there are left out. EYELINE_BENCH_STEPS=yolox also prints what each step of the
//! networks takes whose names begin so, in bf16.

#[cfg(feature = "torch")]
mod networks;
#[cfg(feature = "torch")]
mod table;
#[cfg(feature = "torch")]
mod torchscript;

#[cfg(all(feature = "torch", feature = "opencv"))]
mod with_models {
    use criterion::Criterion;
    use eyeline::{
        config::plan::{DetectPlan, EmbedPlan},
        detect::{
            self, ClassId,
            nms::{Overlapped, Scope},
        },
        embed::{self, Crop, worth::WorthSettings},
        frame::{Frame, ImageSize},
        geometry::BBox,
        preprocess::tiles::TileGrid,
        torch::runtime,
    };
    use std::{env, hint::black_box, time::Duration};

    fn frame() -> Frame {
        let size = ImageSize { width: 768, height: 576 };
        let data = (0..size.width as usize * size.height as usize * 3).map(|i| (i * 31 % 251) as u8).collect();
        Frame::alone(size, data, size.width as usize * 3)
    }

    pub fn bench(criterion: &mut Criterion) {
        let threads = env::var("EYELINE_BENCH_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
        runtime::set_threads(threads);
        super::table::print(threads);
        super::torchscript::print(threads);
        let picture = frame();
        let mut group = criterion.benchmark_group(format!("inference, {threads} threads"));
        for input_px in [416, 608] {
            let plan = DetectPlan {
                model: "yolov3-tiny".into(),
                input_px: Some(input_px),
                classes: Vec::new(),
                min_score: 0.1,
                min_score_by_class: Vec::new(),
                max_iou: 0.45,
                suppress: Scope::WithinClass,
                overlapped: Overlapped::Goes,
                max_detections: 1000,
                max_batch: 1,
                tiles: TileGrid { columns: 1, rows: 1, overlap: 0.2 },
                also: Vec::new(),
            };
            let (mut detector, _) = detect::torch::open(&plan).expect("`make setup` installs it");
            let mut out = Vec::new();
            group.bench_function(format!("yolov3-tiny {input_px}"), |bencher| {
                bencher.iter(|| detector.detect(black_box(std::slice::from_ref(&picture)), &mut out));
            });
        }
        let plan = EmbedPlan {
            model: "mobilenet-v2".into(),
            by_class: Vec::new(),
            worth: WorthSettings { min_score: 0.0, settled_after: 1, interval: Duration::ZERO },
            max_batch: 32,
        };
        let (mut embedder, _) = embed::torch::open(&plan, &[]).expect("`make setup` installs it");
        for people in [1, 7, 30] {
            let crop = |i: usize| {
                let bbox = BBox::from_tlwh(20.0 * i as f32, 100.0, 31.0, 75.0);
                Crop { frame: &picture, bbox, class: ClassId(0) }
            };
            let crops: Vec<_> = (0..people).map(crop).collect();
            let mut out = Vec::new();
            group.bench_function(format!("mobilenet-v2, {people} crops"), |bencher| {
                bencher.iter(|| embedder.embed(black_box(&crops), &mut out));
            });
        }
        group.finish();
    }
}

#[cfg(all(feature = "torch", feature = "opencv"))]
criterion::criterion_group!(benches, with_models::bench);
#[cfg(all(feature = "torch", feature = "opencv"))]
criterion::criterion_main!(benches);

#[cfg(not(all(feature = "torch", feature = "opencv")))]
fn main() {
    eprintln!("needs the features torch and opencv");
}
