//! TorchScript models (`torch.jit.trace`, `torch.jit.script`) on libtorch.
//!
//! Such a file is a program; it is run as it is, in 32-bit floats, because its own operations decide what narrow floats
//! would do to coordinates. It is frozen first where it lets itself: its weights become constants, what only training
//! needs goes. Load only files you trust as you would trust a program.

use super::{
    native,
    runtime::{Network, TorchError},
};
use tch::{CModule, Device, IValue, Kind, Tensor};

/// A TorchScript network. What it returns is flattened in order: tuples and lists from first to last, dictionaries by key.
pub struct ScriptNetwork {
    module: CModule,
    device: Device,
    takes: Takes,
    outputs: usize,
    is_frozen: bool,
}

/// What the module's `forward` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// A batch (N, 3, height, width).
    Batch,
    /// The same, but of one picture: its export fixed the batch.
    One,
    /// A list of pictures (3, height, width), as torchvision's detectors do; each is run alone.
    Pictures,
}

/// Outputs of a network; a detection list of torchvision has three to five.
const MAX_OUTPUTS: usize = 64;

/// Largest difference, relative to the largest value, of a picture in a batch and alone.
const BATCH_TOLERANCE: f64 = 1e-2;

impl ScriptNetwork {
    /// Loads a file's bytes and runs it once on a picture of `input` (channels, height, width) and once on two, which shows
    /// how it wants to be called.
    pub fn load(bytes: &[u8], device: Device, input: [i64; 3]) -> Result<Self, TorchError> {
        let _no_grad = tch::no_grad_guard();
        let frozen =
            native::freeze_script(bytes).map_err(TorchError).and_then(|frozen| Self::open(&frozen, device, input));
        match frozen {
            Ok(network) => Ok(Self { is_frozen: true, ..network }),
            Err(reason) => {
                let network = Self::open(bytes, device, input)?;
                tracing::warn!(%reason, "the module cannot be frozen; it is run as it was saved");
                Ok(network)
            }
        }
    }

    fn open(mut bytes: &[u8], device: Device, input: [i64; 3]) -> Result<Self, TorchError> {
        let mut module = CModule::load_data_on_device(&mut bytes, device)?;
        module.f_set_eval()?;
        let mut network = Self { module, device, takes: Takes::Batch, outputs: 0, is_frozen: false };
        let picture = probe(input, device)?;
        let outputs = match network.call(&picture) {
            Ok(outputs) => outputs,
            Err(as_batch) => {
                network.takes = Takes::Pictures;
                // The batch is the usual way, so its error is the one that helps.
                network.call(&picture).map_err(|_| as_batch)?
            }
        };
        network.outputs = outputs.len();
        if network.takes == Takes::Batch && !network.second_is_the_same(&picture, &outputs) {
            network.takes = Takes::One;
        }
        Ok(network)
    }

    /// Whether it takes one picture at a time, and gives lists of as many boxes as it found.
    pub fn is_detection_list(&self) -> bool {
        self.takes == Takes::Pictures
    }

    /// Whether it was frozen.
    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// How many tensors it gives.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Whether the second of two pictures gives what it gives alone.
    fn second_is_the_same(&self, picture: &Tensor, alone: &[Tensor]) -> bool {
        let compare = || -> Result<bool, TorchError> {
            let together = self.call(&Tensor::f_cat(&[&picture.f_flip([1, 2, 3])?, picture], 0)?)?;
            for (alone, together) in alone.iter().zip(&together) {
                if together.size().first() != Some(&2) || alone.size().first() != Some(&1) {
                    return Ok(false);
                }
                let (alone, second) =
                    (alone.f_to_kind(Kind::Double)?, together.f_narrow(0, 1, 1)?.f_to_kind(Kind::Double)?);
                if alone.size() != second.size() {
                    return Ok(false);
                }
                let scale = if alone.numel() == 0 { 0.0 } else { alone.f_abs()?.f_max()?.f_double_value(&[])? };
                if !alone.f_allclose(&second, BATCH_TOLERANCE, BATCH_TOLERANCE * scale.min(1.0), true)? {
                    return Ok(false);
                }
            }
            Ok(together.len() == alone.len())
        };
        compare().unwrap_or(false)
    }

    fn call(&self, batch: &Tensor) -> Result<Vec<Tensor>, TorchError> {
        let batch = batch.f_to_device(self.device)?;
        let given = match self.takes {
            Takes::Batch | Takes::One => IValue::Tensor(batch),
            Takes::Pictures => IValue::TensorList(vec![batch.f_squeeze_dim(0)?]),
        };
        let mut outputs = Vec::new();
        flatten(self.module.forward_is(&[given])?, &mut outputs)?;
        if outputs.is_empty() {
            return Err(TorchError("the module gives no tensor".into()));
        }
        Ok(outputs)
    }

    fn call_with_batch(&self, batch: &Tensor) -> Result<Vec<Tensor>, TorchError> {
        let outputs = self.call(batch)?;
        if outputs.len() != self.outputs {
            return Err(TorchError(format!("{} outputs, {} for the first picture", outputs.len(), self.outputs)));
        }
        let floats = |output: &Tensor| -> Result<Tensor, TorchError> {
            let output = output.f_to_kind(Kind::Float)?;
            Ok(if self.takes == Takes::Pictures { output.f_unsqueeze(0)? } else { output })
        };
        outputs.iter().map(floats).collect()
    }
}

impl Network for ScriptNetwork {
    fn forward(&self, batch: &Tensor) -> Result<Vec<Tensor>, TorchError> {
        let pictures = batch.size().first().copied().unwrap_or(0);
        match self.takes {
            Takes::Pictures if pictures != 1 => {
                Err(TorchError(format!("{pictures} pictures, the module takes one at a time")))
            }
            Takes::One if pictures > 1 => {
                let mut parts: Vec<Vec<Tensor>> = (0..self.outputs).map(|_| Vec::new()).collect();
                for picture in 0..pictures {
                    let outputs = self.call_with_batch(&batch.f_narrow(0, picture, 1)?)?;
                    parts.iter_mut().zip(outputs).for_each(|(parts, output)| parts.push(output));
                }
                parts.iter().map(|parts| Ok(Tensor::f_cat(parts, 0)?)).collect()
            }
            _ => self.call_with_batch(batch),
        }
    }

    fn max_batch(&self) -> usize {
        if self.takes == Takes::Pictures { 1 } else { usize::MAX }
    }
}

/// Whether bytes are a TorchScript archive. A state dict in the same kind of archive has no table of constants.
pub fn is_torchscript(bytes: &[u8]) -> bool {
    const TABLE: &[u8] = b"/constants.pkl";
    bytes.starts_with(b"PK") && bytes.windows(TABLE.len()).any(|window| window == TABLE)
}

/// A picture of scattered values from 0 to 1.
fn probe(input: [i64; 3], device: Device) -> Result<Tensor, TorchError> {
    let [channels, height, width] = input;
    let steps = Tensor::f_arange(channels * height * width, (Kind::Double, device))?;
    // Multiples of the golden ratio lie everywhere between whole numbers.
    let values = steps.f_mul_scalar(0.618_033_988_749_895)?.f_frac()?.f_to_kind(Kind::Float)?;
    Ok(values.f_reshape([1, channels, height, width])?)
}

/// Collects the tensors of a value.
fn flatten(value: IValue, outputs: &mut Vec<Tensor>) -> Result<(), TorchError> {
    match value {
        IValue::Tensor(tensor) => outputs.push(tensor),
        IValue::TensorList(tensors) => outputs.extend(tensors),
        IValue::Tuple(values) | IValue::GenericList(values) => {
            values.into_iter().try_for_each(|value| flatten(value, outputs))?;
        }
        IValue::GenericDict(pairs) => {
            let mut named = Vec::with_capacity(pairs.len());
            for (key, value) in pairs {
                let IValue::String(key) = key else { return Err(TorchError("a dictionary without names".into())) };
                named.push((key, value));
            }
            named.sort_by(|(a, _), (b, _)| a.cmp(b));
            named.into_iter().try_for_each(|(_, value)| flatten(value, outputs))?;
        }
        // Torchvision's detectors return their losses beside the detections, none outside training.
        IValue::None => {}
        other => return Err(TorchError(format!("the module gives {other:?}, expected tensors"))),
    }
    if outputs.len() > MAX_OUTPUTS {
        return Err(TorchError(format!("the module gives more than {MAX_OUTPUTS} tensors")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Made by `tests/golden/generate/torchvision_list.py`, which says what is in it.
    const DETECTION_LIST: &[u8] = include_bytes!("../../tests/golden/torchvision_list.pt");

    /// Made by `tests/golden/generate/roi_align.py`.
    const ROI_ALIGN: &[u8] = include_bytes!("../../tests/golden/roi_align.pt");

    /// A module of tch's own tracing, as a file: twice the picture.
    fn traced() -> Vec<u8> {
        save(&mut |inputs: &[Tensor]| vec![&inputs[0] * 2.0])
    }

    fn save(closure: &mut dyn FnMut(&[Tensor]) -> Vec<Tensor>) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.pt");
        let example = Tensor::ones([1, 3, 4, 6], (Kind::Float, Device::Cpu));
        let mut closure = |inputs: &[Tensor]| closure(inputs);
        CModule::create_by_tracing("Doubler", "forward", &[example], &mut closure).unwrap().save(&path).unwrap();
        fs::read(path).unwrap()
    }

    #[test]
    fn a_traced_module_runs_on_any_batch() {
        let network = ScriptNetwork::load(&traced(), Device::Cpu, [3, 4, 6]).unwrap();
        assert_eq!((network.outputs(), network.is_detection_list(), network.is_frozen()), (1, false, true));
        let batch = Tensor::arange(2 * 72, (Kind::Float, Device::Cpu)).reshape([2, 3, 4, 6]);
        let outputs = network.forward(&batch).unwrap();
        assert_eq!(outputs.iter().map(Tensor::size).collect::<Vec<_>>(), [vec![2, 3, 4, 6]]);
        assert_eq!(outputs[0].double_value(&[1, 2, 3, 5]), 2.0 * 143.0);
    }

    /// Takes one picture however it is called.
    fn traced_for_one() -> Vec<u8> {
        let mut closure = |inputs: &[Tensor]| vec![inputs[0].reshape([1, 72]).cumsum(1, Kind::Float)];
        save(&mut closure)
    }

    #[test]
    fn a_module_that_was_traced_for_one_picture_gets_one_at_a_time() {
        let network = ScriptNetwork::load(&traced_for_one(), Device::Cpu, [3, 4, 6]).unwrap();
        let batch = Tensor::ones([2, 3, 4, 6], (Kind::Float, Device::Cpu))
            * Tensor::from_slice(&[1.0f32, 3.0]).reshape([2, 1, 1, 1]);
        let outputs = network.forward(&batch).unwrap();
        assert_eq!(outputs[0].size(), [2, 72]);
        assert_eq!([0, 1].map(|picture| outputs[0].double_value(&[picture, 71])), [72.0, 216.0]);
    }

    #[test]
    fn a_list_of_detections_is_read_with_torchvisions_suppression() {
        let network = ScriptNetwork::load(DETECTION_LIST, Device::Cpu, [3, 40, 60]).unwrap();
        assert!(network.is_detection_list() && network.is_frozen());
        assert_eq!((network.outputs(), network.max_batch()), (3, 1));
        let white = Tensor::ones([1, 3, 40, 60], (Kind::Float, Device::Cpu));
        let numbers = |tensor: &Tensor| Vec::<f64>::try_from(&tensor.to_kind(Kind::Double).reshape([-1])).unwrap();
        let [boxes, labels, scores] = &network.forward(&white).unwrap()[..] else { panic!("three outputs") };
        assert_eq!((boxes.size(), labels.size(), scores.size()), (vec![1, 2, 4], vec![1, 2], vec![1, 2]));
        assert_eq!(numbers(boxes), [2.0, 1.0, 12.0, 11.0, 30.0, 5.0, 50.0, 25.0]);
        assert_eq!((numbers(labels), numbers(scores)), (vec![1.0, 3.0], vec![0.5, 0.25]));
        let two = Tensor::ones([2, 3, 40, 60], (Kind::Float, Device::Cpu));
        assert!(network.forward(&two).unwrap_err().0.contains("one at a time"));
    }

    /// On a slope the mean of a cell is the slope at the cell's middle, whatever was sampled.
    #[test]
    fn regions_are_cut_out_as_torchvision_does() {
        let network = ScriptNetwork::load(ROI_ALIGN, Device::Cpu, [3, 40, 60]).unwrap();
        let axis = |size: i64| Tensor::arange(size, (Kind::Float, Device::Cpu));
        let slope = axis(3).reshape([1, 3, 1, 1]) * 1000.0 + axis(40).reshape([1, 1, 40, 1]) * 10.0 + axis(60);
        let [aligned, plain] = &network.forward(&slope).unwrap()[..] else { panic!("two outputs") };
        let cells = |regions: &Tensor, region: i64, channel: i64| -> Vec<f64> {
            let all = regions.reshape([-1, 3, 2, 2]);
            Vec::try_from(&all.get(region).get(channel).to_kind(Kind::Double).reshape([-1])).unwrap()
        };
        let near = |got: Vec<f64>, expected: [f64; 4]| {
            assert!(
                got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-2),
                "{got:?} {expected:?}"
            );
        };
        for channel in 0..3 {
            let above = |cells: [f64; 4]| cells.map(|cell| cell + 1000.0 * channel as f64);
            near(cells(aligned, 0, channel), above([52.5, 60.5, 112.5, 120.5]));
            near(cells(plain, 0, channel), above([58.0, 66.0, 118.0, 126.0]));
            // A region without area is a pixel large; one beyond the picture has nothing in it.
            near(cells(plain, 1, channel), above([26.75, 27.25, 31.75, 32.25]));
            near(cells(plain, 2, channel), [0.0; 4]);
        }
    }

    #[test]
    fn a_state_dict_is_no_program() {
        assert!(is_torchscript(&traced()) && is_torchscript(DETECTION_LIST));
        assert!(!is_torchscript(b"PK\x03\x04archive/data.pkl") && !is_torchscript(b"\x80\x02"));
    }

    #[test]
    fn damaged_files_are_refused() {
        let whole = traced();
        for bytes in [&whole[..whole.len() / 2], b"PK\x03\x04", b""] {
            assert!(ScriptNetwork::load(bytes, Device::Cpu, [3, 4, 6]).is_err());
        }
    }

    #[test]
    fn dictionaries_are_read_by_key() {
        let tensor = |value: i64| IValue::Tensor(Tensor::from(value));
        let named = |name: &str, value| (IValue::String(name.into()), tensor(value));
        let found = IValue::GenericDict(vec![named("scores", 3), named("boxes", 1), named("labels", 2)]);
        let mut outputs = Vec::new();
        flatten(IValue::Tuple(vec![IValue::None, IValue::GenericList(vec![found])]), &mut outputs).unwrap();
        assert_eq!(outputs.iter().map(|t| t.int64_value(&[])).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(flatten(IValue::Int(4), &mut outputs).is_err());
    }
}
