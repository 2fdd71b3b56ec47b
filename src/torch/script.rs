//! TorchScript models (`torch.jit.trace`, `torch.jit.script`) on libtorch.
//!
//! Such a file is a program; it is run as it is, in 32-bit floats, because its own operations decide what narrow floats
//! would do to coordinates. Load only files you trust as you would trust a program.

use super::runtime::{Network, TorchError};
use tch::{CModule, Device, IValue, Kind, Tensor};

/// A TorchScript network. What it returns is flattened in order: tuples and lists from first to last, dictionaries by key.
pub struct ScriptNetwork {
    module: CModule,
    device: Device,
    takes: Takes,
    outputs: usize,
}

/// What the module's `forward` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// A batch (N, 3, height, width).
    Batch,
    /// A list of pictures (3, height, width), as torchvision's detectors do; each is run alone.
    Pictures,
}

/// Outputs of a network; a detection list of torchvision has three to five.
const MAX_OUTPUTS: usize = 64;

impl ScriptNetwork {
    /// Loads a file's bytes and runs it once on a grey picture of `input` (channels, height, width), which shows how it
    /// wants to be called.
    pub fn load(mut bytes: &[u8], device: Device, input: [i64; 3]) -> Result<Self, TorchError> {
        let _no_grad = tch::no_grad_guard();
        let mut module = CModule::load_data_on_device(&mut bytes, device)?;
        module.f_set_eval()?;
        let [channels, height, width] = input;
        let picture = Tensor::f_full([1, channels, height, width], 0.5, (Kind::Float, device))?;
        let mut network = Self { module, device, takes: Takes::Batch, outputs: 0 };
        let outputs = match network.call(&picture) {
            Ok(outputs) => outputs,
            Err(as_batch) => {
                network.takes = Takes::Pictures;
                // The batch is the usual way, so its error is the one that helps.
                network.call(&picture).map_err(|_| as_batch)?
            }
        };
        network.outputs = outputs.len();
        Ok(network)
    }

    /// Whether it takes one picture at a time, and gives lists of as many boxes as it found.
    pub fn is_detection_list(&self) -> bool {
        self.takes == Takes::Pictures
    }

    /// How many tensors it gives.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    fn call(&self, batch: &Tensor) -> Result<Vec<Tensor>, TorchError> {
        let batch = batch.f_to_device(self.device)?;
        let given = match self.takes {
            Takes::Batch => IValue::Tensor(batch),
            Takes::Pictures => IValue::TensorList(vec![batch.f_squeeze_dim(0)?]),
        };
        let mut outputs = Vec::new();
        flatten(self.module.forward_is(&[given])?, &mut outputs)?;
        if outputs.is_empty() {
            return Err(TorchError("the module gives no tensor".into()));
        }
        Ok(outputs)
    }
}

impl Network for ScriptNetwork {
    fn forward(&self, batch: &Tensor) -> Result<Vec<Tensor>, TorchError> {
        let pictures = batch.size().first().copied().unwrap_or(0);
        let outputs = match self.takes {
            Takes::Pictures if pictures != 1 => {
                return Err(TorchError(format!("{pictures} pictures, the module takes one at a time")));
            }
            Takes::Pictures => {
                let outputs = self.call(batch)?;
                outputs.iter().map(|output| output.f_unsqueeze(0)).collect::<Result<_, _>>()?
            }
            Takes::Batch => self.call(batch)?,
        };
        if outputs.len() != self.outputs {
            return Err(TorchError(format!("{} outputs, {} for the first picture", outputs.len(), self.outputs)));
        }
        outputs.iter().map(|output| Ok(output.f_to_kind(Kind::Float)?)).collect()
    }
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

    /// A module of tch's own tracing, saved and read back: twice the picture.
    fn traced() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.pt");
        let example = Tensor::ones([1, 3, 4, 6], (Kind::Float, Device::Cpu));
        let mut closure = |inputs: &[Tensor]| vec![&inputs[0] * 2.0];
        CModule::create_by_tracing("Doubler", "forward", &[example], &mut closure).unwrap().save(&path).unwrap();
        fs::read(path).unwrap()
    }

    #[test]
    fn a_traced_module_runs_on_any_batch() {
        let network = ScriptNetwork::load(&traced(), Device::Cpu, [3, 4, 6]).unwrap();
        assert_eq!((network.outputs(), network.is_detection_list()), (1, false));
        let batch = Tensor::arange(2 * 72, (Kind::Float, Device::Cpu)).reshape([2, 3, 4, 6]);
        let outputs = network.forward(&batch).unwrap();
        assert_eq!(outputs.iter().map(Tensor::size).collect::<Vec<_>>(), [vec![2, 3, 4, 6]]);
        assert_eq!(outputs[0].double_value(&[1, 2, 3, 5]), 2.0 * 143.0);
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
