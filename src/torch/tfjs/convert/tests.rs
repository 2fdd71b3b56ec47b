use super::*;
use crate::torch::{
    onnx::{BuildOptions, OnnxFile, OnnxNetwork},
    runtime::Network,
};
use tch::{Device, Kind, Tensor};

const GRAPH: &str = r#"{"modelTopology": {"node": [
    {"name": "conv", "op": "Conv2D", "input": ["Preprocessor/sub", "w"], "attr": {
        "padding": {"s": [83, 65, 77, 69]}, "strides": {"list": {"i": ["1", "2", "2", "1"]}}}},
    {"name": "apart", "op": "DepthwiseConv2dNative", "input": ["conv", "d"], "attr": {
        "padding": {"s": "U0FNRQ=="}, "strides": {"list": {"i": ["1", "1", "1", "1"]}}}},
    {"name": "add", "op": "Add", "input": ["shift", "apart"]},
    {"name": "relu", "op": "Relu6", "input": ["add"]},
    {"name": "four", "op": "Pack", "input": ["batch", "n2", "n1", "n4"]},
    {"name": "two", "op": "Pack", "input": ["batch", "n4", "n2"]},
    {"name": "rows", "op": "Reshape", "input": ["relu", "four"]},
    {"name": "rows_1", "op": "Reshape", "input": ["relu", "two"]},
    {"name": "concat", "op": "ConcatV2", "input": ["rows", "n1"]},
    {"name": "concat_1", "op": "ConcatV2", "input": ["rows_1", "n1"]}]},
    "weightsManifest": [{"paths": ["s"], "weights": [
        {"name": "w", "shape": [1, 1, 3, 2], "dtype": "float32"},
        {"name": "d", "shape": [1, 1, 2, 1], "dtype": "float32"},
        {"name": "shift", "shape": [2], "dtype": "float32"},
        {"name": "Postprocessor/ExpandDims", "shape": [1, 1, 4], "dtype": "float32"},
        {"name": "n1", "shape": [], "dtype": "int32"}, {"name": "n2", "shape": [], "dtype": "int32"},
        {"name": "n4", "shape": [], "dtype": "int32"},
        {"name": "Preprocessor/map/while/ResizeImage/stack", "shape": [2], "dtype": "int32"}]}]}"#;

fn graph() -> TfjsFile {
    // Weights: the first filter reads red, the second twice green; then the second is turned about.
    let floats = [1.0f32, 0.0, 0.0, 2.0, 0.0, 0.0, 1.0, -1.0, 0.5, 7.0, 0.25, 0.5, 0.75, 1.5];
    let ints = [1i32, 2, 4, 4, 4];
    let bytes = floats.iter().flat_map(|v| v.to_le_bytes()).chain(ints.iter().flat_map(|v| v.to_le_bytes()));
    let bytes: Vec<u8> = bytes.collect();
    TfjsFile::parse(GRAPH.as_bytes(), &|_| Ok(bytes.clone())).unwrap()
}

#[test]
fn a_graph_gives_as_an_onnx_file_what_it_gave() {
    let made = convert(&graph()).unwrap();
    assert_eq!(made.anchors, "y,x,h,w\n0.5,1,0.5,1\n");
    let file = OnnxFile::parse(&made.onnx).unwrap();
    let network = OnnxNetwork::build(&file, &BuildOptions::default()).unwrap();
    // Red holds 0 to 15, green 16 to 31, in tenths.
    let picture = Tensor::arange(48, (Kind::Float, Device::Cpu)).reshape([1, 3, 4, 4]) / 10.0;
    let outputs = network.forward(&Tensor::cat(&[&picture, &picture], 0)).unwrap();
    assert_eq!(outputs.iter().map(Tensor::size).collect::<Vec<_>>(), [[2, 2, 4], [2, 4, 2]]);
    let expected = [0, 2, 8, 10].map(|at| {
        let (red, green) = (at as f64 / 10.0, (16 + at) as f64 / 10.0);
        [(red + 0.5).clamp(0.0, 6.0), (7.0 - 2.0 * green).clamp(0.0, 6.0)]
    });
    for output in &outputs {
        let got = Vec::<f64>::try_from(&output.to_kind(Kind::Double).reshape([-1])).unwrap();
        for (got, expected) in got.iter().zip(expected.as_flattened().iter().chain(expected.as_flattened())) {
            assert!((got - expected).abs() < 1e-6, "{got} {expected}");
        }
    }
}

#[test]
fn what_is_not_known_is_named() {
    let mut file = graph();
    file.nodes.get_mut("relu").unwrap().op = "Tan".into();
    let error = convert(&file).err().unwrap().to_string();
    assert_eq!(error, "node \"relu\" (Tan): is not known between the picture and the boxes");
    file.constants.remove(SIZE);
    assert!(convert(&file).err().unwrap().to_string().contains("no SSD of the object detection API"));
    let mut file = graph();
    file.nodes.get_mut("relu").unwrap().input = vec!["rows".into()];
    assert!(convert(&file).err().unwrap().to_string().contains("reads itself"));
}
