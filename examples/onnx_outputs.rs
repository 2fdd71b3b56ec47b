//! Runs an ONNX file on a made-up picture and writes its outputs, for `models/compare_onnx.py` to hold against ONNX Runtime.
//!
//!     cargo run --release --example onnx_outputs -- FILE.onnx OUTPUTS [SIDE_PX]
//!
//! The picture is frac(0.618033988749895 * i) for its i-th value. Written are, for each output, the number of its axes, its
//! sizes (both 32-bit integers) and its values (32-bit floats), little-endian.

use eyeline::{
    frame::ImageSize,
    torch::{
        onnx::{BuildOptions, OnnxFile, OnnxNetwork},
        runtime::Network,
    },
};
use std::{env, error::Error, fs, path::Path, time::Instant};
use tch::{Device, Kind, Tensor};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [model, outputs, rest @ ..] = args.as_slice() else {
        return Err("expected FILE.onnx OUTPUTS [SIDE_PX]".into());
    };
    let side = rest.first().map(|side| side.parse::<u32>()).transpose()?;
    let size = side.map(|side| ImageSize { width: side, height: side });
    let file = OnnxFile::parse_at(&fs::read(model)?, Path::new(model))?;
    let network = OnnxNetwork::build(&file, &BuildOptions { size, ..BuildOptions::default() })?;
    let size = network.input_size();
    let shape = [1, network.input_channels(), i64::from(size.height), i64::from(size.width)];
    let steps = Tensor::f_arange(shape.iter().product::<i64>(), (Kind::Double, Device::Cpu))?;
    let picture = steps.f_mul_scalar(0.618_033_988_749_895)?.f_frac()?.f_reshape(shape)?.f_to_kind(Kind::Float)?;
    let begun = Instant::now();
    let results = network.forward(&picture)?;
    let batch = if network.max_batch() == 1 { "1" } else { "of any size" };
    eprintln!("{} steps, {} ms, batch {batch}", network.steps(), begun.elapsed().as_millis());
    let mut bytes = Vec::new();
    for result in results {
        let sizes = result.size();
        bytes.extend((sizes.len() as u32).to_le_bytes());
        sizes.iter().for_each(|&size| bytes.extend((size as u32).to_le_bytes()));
        let values = Vec::<f32>::try_from(&result.f_contiguous()?.f_reshape([-1])?)?;
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    fs::write(outputs, bytes)?;
    Ok(())
}
