//! Time of networks. First a table of single networks against ONNX Runtime in the same run, then the default models whole:
//! pixels in, detections or embeddings out. Threads from EYELINE_BENCH_THREADS (2).
//!
//! The table needs ONNX files in $EYELINE_EVAL_DATA/weights and, for its last column, $EYELINE_BENCH_PYTHON with numpy, onnx and
//! onnxruntime. Networks whose file is not there are left out.

#[cfg(feature = "torch")]
mod table {
    use eyeline::{
        config::zoo::models_dir,
        torch::{
            darknet::{cfg::Cfg, network::DarknetNetwork, weights},
            onnx::{BuildOptions, OnnxFile, OnnxNetwork},
            runtime::{Inference, Network, Placement, Precision, has_brain_floats},
        },
    };
    use std::{env, fs, path::PathBuf, process::Command, time::Instant};
    use tch::{Device, Kind, Tensor};

    const RUNS: usize = 60;

    /// A network, the shape it takes, and what the script is told of it.
    struct Entry {
        name: &'static str,
        network: Box<dyn Network>,
        shape: [i64; 4],
        told: String,
    }

    fn darknet(place: Placement) -> Option<Entry> {
        let path = |extension: &str| models_dir().join("yolov3-tiny").with_extension(extension);
        let cfg = Cfg::parse(&fs::read_to_string(path("cfg")).ok()?, None).ok()?;
        let folded = weights::folded(&cfg, &fs::read(path("weights")).ok()?).ok()?;
        let network = DarknetNetwork::new(&cfg, &folded, place).ok()?;
        let told = format!("{},{}", path("cfg").display(), path("weights").display());
        let shape = [1, 3, cfg.input.height as i64, cfg.input.width as i64];
        Some(Entry { name: "yolov3-tiny 416", network: Box::new(network), shape, told })
    }

    fn onnx(name: &'static str, file: &str, place: Placement) -> Option<Entry> {
        let path = PathBuf::from(env::var_os("EYELINE_EVAL_DATA")?).join("weights").join(file);
        let model = OnnxFile::parse(&fs::read(&path).ok()?).ok()?;
        let network = OnnxNetwork::build(&model, &BuildOptions { place, ..BuildOptions::default() }).ok()?;
        let size = network.input_size();
        let shape = [1, network.input_channels(), i64::from(size.height), i64::from(size.width)];
        Some(Entry { name, network: Box::new(network), shape, told: path.display().to_string() })
    }

    fn entries(place: Placement) -> Vec<Entry> {
        let onnx = |name, file| onnx(name, file, place);
        let all = [
            darknet(place),
            onnx("ssd-mobilenet-v1-0.75 300", "ssd_mobilenet_v1_075_coco_300.onnx"),
            onnx("yolox-nano 416", "yolox_nano.onnx"),
            onnx("nanodet-m 416", "nanodet_m_416.onnx"),
            onnx("osnet-x0.25", "osnet_x0_25_msmt17.onnx"),
        ];
        all.into_iter().flatten().collect()
    }

    /// Median of a picture, milliseconds.
    fn median(entry: &Entry) -> f64 {
        let [n, channels, height, width] = entry.shape;
        let picture = Tensor::rand([n, height, width, channels], (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2]);
        let time = |_| {
            let begun = Instant::now();
            entry.network.forward(&picture).expect("it ran when it was built");
            begun.elapsed().as_secs_f64() * 1e3
        };
        let mut times: Vec<f64> = (0..RUNS).map(time).collect();
        times.sort_by(f64::total_cmp);
        times[RUNS / 2]
    }

    fn onnx_runtime(entry: &Entry, threads: usize) -> Option<f64> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/time_onnxruntime.py");
        let python = env::var_os("EYELINE_BENCH_PYTHON")?;
        let output = Command::new(python).args([script, &entry.told, &threads.to_string()]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    }

    pub fn print(threads: usize) {
        let _inference = Inference::begin();
        let place = |precision| Placement { device: Device::Cpu, precision };
        let narrow = if has_brain_floats() { entries(place(Precision::Bf16)) } else { Vec::new() };
        println!("{threads} threads, ms a picture        fp32     bf16  ONNX Runtime");
        for entry in entries(place(Precision::Fp32)) {
            let fp32 = median(&entry);
            let bf16 = narrow.iter().find(|other| other.name == entry.name).map(median);
            let shown = |time: Option<f64>| time.map_or("-".into(), |time| format!("{time:.2}"));
            let peer = onnx_runtime(&entry, threads);
            println!("{:<28} {fp32:>8.2} {:>8} {:>13}", entry.name, shown(bf16), shown(peer));
        }
    }
}

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
        frame::{Frame, FrameMeta, ImageSize, OwnedPixels, StreamId},
        geometry::BBox,
        preprocess::tiles::TileGrid,
        time::MediaTime,
        torch::runtime,
    };
    use std::{
        env,
        hint::black_box,
        sync::Arc,
        time::{Duration, Instant},
    };

    fn frame() -> Frame {
        let size = ImageSize { width: 768, height: 576 };
        let data = (0..size.width as usize * size.height as usize * 3).map(|i| (i * 31 % 251) as u8).collect();
        let meta = FrameMeta {
            stream: StreamId(0),
            epoch: 0,
            seq: 0,
            pts: MediaTime(0),
            captured: None,
            arrived: Instant::now(),
            size,
        };
        Frame { meta, pixels: Arc::new(OwnedPixels { data, stride: size.width as usize * 3 }) }
    }

    pub fn bench(criterion: &mut Criterion) {
        let threads = env::var("EYELINE_BENCH_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
        runtime::set_threads(threads);
        super::table::print(threads);
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
