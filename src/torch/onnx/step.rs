//! What a network does for a batch, step by step.

use super::operators::{Inputs, Operation};
use crate::torch::{
    Activation,
    layers::{ConvLayer, activate},
    quantized::Scale,
    runtime::TorchError,
};
use tch::{Device, Kind, Tensor};

/// Where a step reads.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Slot(usize),
    Constant(usize),
}

pub(super) struct Step {
    pub label: String,
    pub work: Work,
    pub inputs: Vec<Option<Place>>,
    pub outputs: Vec<Option<usize>>,
    /// Slots nobody reads after this step.
    pub ends: Vec<usize>,
}

pub(super) enum Work {
    Stored(Operation),
    Conv {
        layer: Box<ConvLayer>,
        border: Option<Border>,
        /// What it reads, in the file's words.
        reads: String,
    },
    /// In place where nobody else sees the input.
    Activate {
        activation: Activation,
        in_place: bool,
    },
    Reshape(Vec<i64>),
    ChannelShuffle(i64),
    To(Kind),
    ToBytes(Scale),
}

/// What is put around a convolution's input where the sides differ.
pub(super) struct Border {
    /// Left, right, above, below.
    pub sides: [i64; 4],
    /// What stands for 0.
    pub fill: f64,
}

impl Step {
    /// What a convolution reads, and its name.
    pub fn reads<'a>(&'a self, constants: &'a [Tensor], slots: &'a [Option<Tensor>]) -> Option<(&'a str, &'a Tensor)> {
        let Work::Conv { reads, .. } = &self.work else { return None };
        let value = match (*self.inputs.first()?)? {
            Place::Slot(slot) => slots[slot].as_ref()?,
            Place::Constant(index) => &constants[index],
        };
        Some((reads, value))
    }

    /// Reads and writes slots.
    pub fn run(&self, constants: &[Tensor], slots: &mut [Option<Tensor>], device: Device) -> Result<(), TorchError> {
        if let Work::Activate { activation, in_place: true } = &self.work
            && let (Some(Some(Place::Slot(input))), Some(Some(output))) = (self.inputs.first(), self.outputs.first())
        {
            let value = slots[*input].take().ok_or_else(|| TorchError("a value was dropped early".into()))?;
            slots[*output] = Some(activate(value, *activation)?);
            return Ok(());
        }
        let results = {
            let read = |place: &Option<Place>| match place {
                Some(Place::Slot(slot)) => slots[*slot].as_ref(),
                Some(Place::Constant(index)) => Some(&constants[*index]),
                None => None,
            };
            let inputs: Vec<Option<&Tensor>> = self.inputs.iter().map(read).collect();
            self.work.run(&Inputs(&inputs), device)?
        };
        for (output, result) in self.outputs.iter().zip(results) {
            if let Some(output) = output {
                slots[*output] = Some(result);
            }
        }
        self.ends.iter().for_each(|&slot| slots[slot] = None);
        Ok(())
    }
}

impl Work {
    fn run(&self, inputs: &Inputs<'_>, device: Device) -> Result<Vec<Tensor>, TorchError> {
        let one = match self {
            Self::Stored(operation) if device == Device::Cpu => return operation(inputs),
            Self::Stored(operation) => return on_device(operation, inputs, device),
            Self::Conv { layer, border: None, .. } => layer.forward(inputs.at(0)?)?,
            Self::Conv { layer, border: Some(Border { sides, fill }), .. } => {
                layer.forward(&inputs.at(0)?.f_pad(sides, "constant", *fill)?)?
            }
            Self::Activate { activation, .. } => activate(copy(inputs.at(0)?)?, *activation)?,
            Self::Reshape(target) => inputs.at(0)?.f_reshape(target)?,
            Self::ChannelShuffle(groups) => inputs.at(0)?.f_channel_shuffle(*groups)?,
            Self::To(kind) => inputs.at(0)?.f_to_kind(*kind)?,
            Self::ToBytes(scale) => scale.bytes_of(inputs.at(0)?)?,
        };
        Ok(vec![one])
    }
}

fn copy(values: &Tensor) -> Result<Tensor, TorchError> {
    Ok(values.f_to_dtype(values.kind(), false, true)?)
}

/// Runs an operation whose inputs may lie partly on the processor: shapes always do.
pub(super) fn on_device(operation: &Operation, inputs: &Inputs<'_>, device: Device) -> Result<Vec<Tensor>, TorchError> {
    let anywhere = inputs.0.iter().flatten().any(|input| input.device() == device);
    if !anywhere {
        return operation(inputs);
    }
    let moved = |input: &Option<&Tensor>| input.map(|input| input.f_to_device(device)).transpose();
    let moved = inputs.0.iter().map(moved).collect::<Result<Vec<_>, _>>()?;
    operation(&Inputs(&moved.iter().map(Option::as_ref).collect::<Vec<_>>()))
}
