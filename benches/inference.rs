//! Time of networks. First a table of single networks against ONNX Runtime in the same run, then the default models whole:
//! pixels in, detections or embeddings out. Threads from EYELINE_BENCH_THREADS (2).
//!
//! The table needs ONNX files in $EYELINE_EVAL_DATA/weights and, for its last column, $EYELINE_BENCH_PYTHON with numpy, onnx and
//! onnxruntime. Networks whose file is not there are left out. EYELINE_BENCH_STEPS=yolox also prints what each step of the
//! networks takes whose names begin so, in bf16.

#[cfg(feature = "torch")]
mod table {
    use eyeline::{
        config::zoo::models_dir,
        torch::{
            calibration::{Calibration, Observed},
            darknet::{cfg::Cfg, network::DarknetNetwork, weights},
            onnx::{BuildOptions, OnnxFile, OnnxNetwork},
            runtime::{Inference, Network, Placement, Precision, SharedNetwork, has_brain_floats, limit_this_thread},
        },
    };
    use std::{env, fs, path::PathBuf, process::Command, thread, time::Instant};
    use tch::{Device, Kind, Tensor};

    const RUNS: usize = 40;
    const ROUNDS: usize = 3;

    /// A network, the shape it takes, and what the script is told of it.
    struct Entry {
        name: &'static str,
        network: SharedNetwork,
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
        Some(Entry { name: "yolov3-tiny 416", network: SharedNetwork::new(Box::new(network)), shape, told })
    }

    fn onnx(name: &'static str, file: &str, place: Placement) -> Option<Entry> {
        let path = PathBuf::from(env::var_os("EYELINE_EVAL_DATA")?).join("weights").join(file);
        let model = OnnxFile::parse(&fs::read(&path).ok()?).ok()?;
        let network = OnnxNetwork::build(&model, &BuildOptions { place, ..BuildOptions::default() }).ok()?;
        let size = network.input_size();
        let shape = [1, network.input_channels(), i64::from(size.height), i64::from(size.width)];
        Some(Entry { name, network: SharedNetwork::new(Box::new(network)), shape, told: path.display().to_string() })
    }

    /// The same in int8, its ranges learned from a picture of noise: they decide what comes out, not how long it takes.
    fn onnx_in_bytes(name: &'static str, file: &str) -> Option<Entry> {
        let path = PathBuf::from(env::var_os("EYELINE_EVAL_DATA")?).join("weights").join(file);
        let model = OnnxFile::parse(&fs::read(&path).ok()?).ok()?;
        let wide = OnnxNetwork::build(&model, &BuildOptions::default()).ok()?;
        let size = wide.input_size();
        let shape = [1, wide.input_channels(), i64::from(size.height), i64::from(size.width)];
        let mut observed = Observed::default();
        let mut see = |name: &str, values: &Tensor| {
            observed.add(name, &Vec::<f32>::try_from(&values.reshape([-1])).unwrap_or_default());
            Ok(())
        };
        wide.observe(&Tensor::rand(shape, (Kind::Float, Device::Cpu)), &mut see).ok()?;
        let (eyeline, sha256, input) = (String::new(), String::new(), String::new());
        let calibration = Calibration { eyeline, sha256, input, frames: 1, ranges: observed.ranges() };
        let place = Placement { device: Device::Cpu, precision: Precision::Int8 };
        let options = BuildOptions { place, calibration: Some(&calibration), ..BuildOptions::default() };
        let network = SharedNetwork::new(Box::new(OnnxNetwork::build(&model, &options).ok()?));
        Some(Entry { name, network, shape, told: path.display().to_string() })
    }

    /// Whichever of the ONNX networks below are run in int8.
    fn entries_in_bytes() -> Vec<Entry> {
        let all = [
            onnx_in_bytes("ssd-mobilenet-v1-0.75 300", "ssd_mobilenet_v1_075_coco_300.onnx"),
            onnx_in_bytes("yolox-nano 416", "yolox_nano.onnx"),
            onnx_in_bytes("nanodet-m 416", "nanodet_m_416.onnx"),
        ];
        all.into_iter().flatten().collect()
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

    /// A picture in the order the line gives: channels innermost.
    fn picture(entry: &Entry) -> Tensor {
        let [n, channels, height, width] = entry.shape;
        Tensor::rand([n, height, width, channels], (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2])
    }

    fn median(mut times: Vec<f64>) -> f64 {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }

    /// Milliseconds each picture takes with all threads, one after the other.
    fn alone(entry: &Entry) -> f64 {
        let picture = picture(entry);
        let time = |_| {
            let begun = Instant::now();
            entry.network.forward(&picture).expect("it ran when it was built");
            begun.elapsed().as_secs_f64() * 1e3
        };
        median((0..RUNS).map(time).collect())
    }

    /// Milliseconds a picture where each thread runs pictures of its own, as the line does with batches.
    fn side_by_side(entry: &Entry, threads: usize) -> f64 {
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let _inference = Inference::begin();
                    limit_this_thread(1);
                    let picture = picture(entry);
                    (0..RUNS).for_each(|_| drop(entry.network.forward(&picture).expect("it ran when it was built")));
                });
            }
        });
        begun.elapsed().as_secs_f64() * 1e3 / (RUNS * threads) as f64
    }

    /// The same two figures of ONNX Runtime.
    fn onnx_runtime(entry: &Entry, threads: usize) -> Option<[f64; 2]> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/time_onnxruntime.py");
        let python = env::var_os("EYELINE_BENCH_PYTHON")?;
        let output = Command::new(python).args([script, &entry.told, &threads.to_string()]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let mut numbers = text.split_whitespace().map(str::parse);
        Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
    }

    /// The least of several rounds, in which the contestants take turns: other work on the machine slows one round down, not
    /// one contestant.
    fn least(rounds: &[Option<[f64; 2]>]) -> Option<[f64; 2]> {
        let known = rounds.iter().flatten().copied();
        known.reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1])])
    }

    pub fn print(threads: usize) {
        let _inference = Inference::begin();
        let place = |precision| Placement { device: Device::Cpu, precision };
        let narrow = if has_brain_floats() { entries(place(Precision::Bf16)) } else { Vec::new() };
        println!(
            "{threads} threads, ms a picture: one after the other / side by side; speed against ONNX Runtime likewise"
        );
        println!(
            "{:<28} {:>15} {:>15} {:>15} {:>15} {:>13}",
            "", "fp32", "bf16", "int8", "ONNX Runtime", "auto, times"
        );
        let bytes = entries_in_bytes();
        for entry in entries(place(Precision::Fp32)) {
            let narrow = narrow.iter().find(|other| other.name == entry.name);
            let time = |entry: &Entry| [alone(entry), side_by_side(entry, threads)];
            let bytes = bytes.iter().find(|other| other.name == entry.name);
            let round = |_| [Some(time(&entry)), narrow.map(time), bytes.map(time), onnx_runtime(&entry, threads)];
            let rounds: Vec<_> = (0..ROUNDS).map(round).collect();
            let [wide, narrow, bytes, peer] =
                [0, 1, 2, 3].map(|which| least(&rounds.iter().map(|round| round[which]).collect::<Vec<_>>()));
            let shown = |times: Option<[f64; 2]>| times.map_or("-".into(), |[a, b]| format!("{a:.2} / {b:.2}"));
            let ratio = narrow.or(wide).zip(peer).map(|(ours, theirs)| [theirs[0] / ours[0], theirs[1] / ours[1]]);
            let [wide, narrow, bytes, peer, ratio] = [wide, narrow, bytes, peer, ratio].map(shown);
            println!("{:<28} {wide:>15} {narrow:>15} {bytes:>15} {peer:>15} {ratio:>13}", entry.name);
            if env::var_os("EYELINE_BENCH_STEPS")
                .is_some_and(|wanted| entry.name.starts_with(&*wanted.to_string_lossy()))
            {
                steps(&entry.told, place(Precision::Bf16));
            }
        }
    }

    /// What each step of a network takes.
    fn steps(path: &str, place: Placement) {
        let Some(model) = fs::read(path).ok().and_then(|bytes| OnnxFile::parse(&bytes).ok()) else { return };
        let network =
            OnnxNetwork::build(&model, &BuildOptions { place, ..BuildOptions::default() }).expect("it was built");
        let size = network.input_size();
        let shape = [1, i64::from(size.height), i64::from(size.width), network.input_channels()];
        let picture = Tensor::rand(shape, (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2]);
        let times = network.times(&picture, RUNS).expect("it ran before");
        println!("{:.2} ms in {} steps", times.iter().map(|(_, time)| time).sum::<f64>(), times.len());
        times.iter().for_each(|(step, time)| println!("  {time:8.3} {step}"));
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
