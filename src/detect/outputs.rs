//! A network's outputs as numbers on the host, picture by picture.

use super::heads::Output;
use crate::torch::runtime::TorchError;
use std::fmt;
use tch::{Kind, Tensor};

/// The outputs a head reads, in its order.
pub(super) struct Outputs {
    parts: Vec<Part>,
}

/// One output for all pictures.
struct Part {
    /// Shape for one picture.
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Outputs {
    /// Copies the outputs numbered `picked` of a batch of `pictures`: maps (N, channels, rows, columns) with their channels
    /// innermost, everything else as it is. The first dimension must be the batch.
    pub fn of(tensors: &[Tensor], picked: &[usize], pictures: usize) -> Result<Self, TorchError> {
        let part = |&index: &usize| {
            let count = tensors.len();
            let missing = || TorchError(format!("the network gives {count} outputs, its head reads number {index}"));
            Part::of(tensors.get(index).ok_or_else(missing)?, pictures)
        };
        Ok(Self { parts: picked.iter().map(part).collect::<Result<_, _>>()? })
    }

    /// Shape of each output for one picture.
    pub fn shapes(&self) -> Vec<&[usize]> {
        self.parts.iter().map(|part| part.shape.as_slice()).collect()
    }

    /// What a head reads of one picture.
    pub fn picture(&self, index: usize) -> Vec<Output<'_>> {
        self.parts.iter().filter_map(|part| Output::new(&part.shape, part.values_of(index))).collect()
    }
}

impl fmt::Display for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            let sizes: Vec<String> = part.shape.iter().map(usize::to_string).collect();
            write!(f, "{}({})", if index == 0 { "" } else { ", " }, sizes.join(", "))?;
        }
        Ok(())
    }
}

impl Part {
    fn of(tensor: &Tensor, pictures: usize) -> Result<Self, TorchError> {
        let size = tensor.size();
        if size.first() != Some(&(pictures as i64)) {
            return Err(TorchError(format!("an output of shape {size:?} for a batch of {pictures}")));
        }
        let host = tensor.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?;
        let host = if size.len() == 4 { host.f_permute([0, 2, 3, 1])? } else { host }.f_contiguous()?;
        let mut values = vec![0.0; host.numel()];
        host.f_copy_data(&mut values, host.numel())?;
        let shape = host.size()[1..].iter().map(|&side| side as usize).collect();
        Ok(Self { shape, values })
    }

    fn values_of(&self, picture: usize) -> &[f32] {
        let count: usize = self.shape.iter().product();
        self.values.get(picture * count..(picture + 1) * count).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_come_channels_innermost_and_pictures_apart() {
        let map = Tensor::from_slice(&[0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).reshape([2, 2, 1, 2]);
        let table = Tensor::from_slice(&[1i64, 2, 3, 4]).reshape([2, 2]);
        let outputs = Outputs::of(&[map, table], &[1, 0], 2).unwrap();
        assert_eq!((outputs.to_string().as_str(), outputs.shapes()), ("(2), (1, 2, 2)", vec![&[2][..], &[1, 2, 2]]));
        let second = outputs.picture(1);
        assert_eq!((second[0].values(), second[1].values()), (&[3.0, 4.0][..], &[4.0, 6.0, 5.0, 7.0][..]));
    }

    #[test]
    fn an_output_without_the_batch_is_refused() {
        let error = Outputs::of(&[Tensor::from_slice(&[1.0f32; 6])], &[0], 2).err().unwrap();
        assert_eq!(error.to_string(), "an output of shape [6] for a batch of 2");
        let error = Outputs::of(&[], &[0], 2).err().unwrap();
        assert_eq!(error.to_string(), "the network gives 0 outputs, its head reads number 0");
    }
}
