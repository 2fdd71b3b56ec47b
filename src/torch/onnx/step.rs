//! What a network does for a batch, step by step.

use super::operators::{Inputs, Operation};
use crate::torch::{
    Activation,
    layers::{ConvLayer, activate},
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
        border: Option<[i64; 4]>,
    },
    /// In place where nobody else sees the input.
    Activate {
        activation: Activation,
        in_place: bool,
    },
    Reshape(Vec<i64>),
    ChannelShuffle(i64),
    To(Kind),
}

impl Step {
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
            Self::Conv { layer, border: None } => layer.forward(inputs.at(0)?)?,
            Self::Conv { layer, border: Some(border) } => layer.forward(&inputs.at(0)?.f_constant_pad_nd(border)?)?,
            Self::Activate { activation, .. } => activate(copy(inputs.at(0)?)?, *activation)?,
            Self::Reshape(target) => inputs.at(0)?.f_reshape(target)?,
            Self::ChannelShuffle(groups) => inputs.at(0)?.f_channel_shuffle(*groups)?,
            Self::To(kind) => inputs.at(0)?.f_to_kind(*kind)?,
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
