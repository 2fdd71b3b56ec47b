//! The networks that are timed.

use eyeline::{
    config::zoo::models_dir,
    torch::{
        calibration::{Calibration, Observed},
        darknet::{cfg::Cfg, network::DarknetNetwork, weights},
        onnx::{BuildOptions, OnnxFile, OnnxNetwork},
        runtime::{Network, Placement, Precision, SharedNetwork},
    },
};
use std::{env, fs, path::PathBuf};
use tch::{Device, Kind, Tensor};

/// A network, the shape it takes, and what the script is told of it.
pub struct Entry {
    pub name: &'static str,
    pub network: SharedNetwork,
    pub shape: [i64; 4],
    pub told: String,
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
pub fn entries_in_bytes() -> Vec<Entry> {
    let all = [
        onnx_in_bytes("ssd-mobilenet-v1-0.75 300", "ssd_mobilenet_v1_075_coco_300.onnx"),
        onnx_in_bytes("yolox-nano 416", "yolox_nano.onnx"),
        onnx_in_bytes("nanodet-m 416", "nanodet_m_416.onnx"),
    ];
    all.into_iter().flatten().collect()
}

pub fn entries(place: Placement) -> Vec<Entry> {
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

/// A picture of that shape in the order the line gives: channels innermost.
pub fn picture([n, channels, height, width]: [i64; 4]) -> Tensor {
    Tensor::rand([n, height, width, channels], (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2])
}

pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
