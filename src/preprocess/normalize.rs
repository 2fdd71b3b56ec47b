//! From bytes of pixels to the floats a network was trained on.

use crate::{
    config::zoo::{Colours, InputSpec},
    torch::runtime::TorchError,
};
use tch::{Device, Kind, Tensor};

/// Turns batches of 8-bit RGB into floats (value / 255 · white - mean) / std, in the network's order of colours.
pub struct Normalize {
    device: Device,
    colours: Colours,
    factor: Tensor,
    /// `None` where it is zero for every colour.
    shift: Option<Tensor>,
}

impl Normalize {
    /// For inputs that are fed as `spec` says; every `std` must be above 0.
    pub fn new(spec: &InputSpec, device: Device) -> Result<Self, TorchError> {
        let colours = |values: [f64; 3]| -> Result<Tensor, TorchError> {
            let mut values = values.map(|value| value as f32);
            if spec.colours == Colours::Bgr {
                values.reverse();
            }
            Ok(Tensor::f_from_slice(&values)?.f_reshape([1, 3, 1, 1])?.f_to_device(device)?)
        };
        let factor = colours(spec.std.map(|std| spec.white / (255.0 * std)))?;
        let shift = [0, 1, 2].map(|colour| -spec.mean[colour] / spec.std[colour]);
        let shift = if shift.iter().any(|shift| *shift != 0.0) { Some(colours(shift)?) } else { None };
        Ok(Self { device, colours: spec.colours, factor, shift })
    }

    /// `pixels`: `count * height * width * 3` bytes. Gives (count, 3, height, width) in channels_last order.
    pub fn batch(&self, pixels: &[u8], count: usize, height: u32, width: u32) -> Result<Tensor, TorchError> {
        let shape = [count as i64, i64::from(height), i64::from(width), 3];
        let expected = count * height as usize * width as usize * 3;
        if pixels.len() != expected {
            return Err(TorchError(format!("{} bytes for a batch of {expected}", pixels.len())));
        }
        let bytes = match self.colours {
            Colours::Rgb => Tensor::f_from_data_size(pixels, &shape, Kind::Uint8)?,
            Colours::Bgr => {
                let swapped: Vec<u8> = pixels.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]).collect();
                Tensor::f_from_data_size(&swapped, &shape, Kind::Uint8)?
            }
        };
        let bytes = bytes.f_to_device(self.device)?;
        // The bytes lie channels innermost already, so naming the dimensions anew makes channels_last of them for free.
        let mut values = bytes.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?;
        let _ = values.f_mul_(&self.factor)?;
        if let Some(shift) = &self.shift {
            let _ = values.f_add_(shift)?;
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ImageSize;

    fn plain() -> InputSpec {
        InputSpec::plain(ImageSize { width: 2, height: 1 })
    }

    #[test]
    fn colours_are_normalized_each_on_its_own() {
        let spec = InputSpec { mean: [0.5, 0.0, 0.25], std: [0.5, 1.0, 0.25], ..plain() };
        let normalize = Normalize::new(&spec, Device::Cpu).unwrap();
        let batch = normalize.batch(&[255, 255, 255, 0, 51, 102], 1, 1, 2).unwrap();
        assert_eq!(batch.size(), [1, 3, 1, 2]);
        let got = Vec::<f32>::try_from(batch.flatten(0, -1)).unwrap();
        for (got, expected) in got.iter().zip([1.0, -1.0, 1.0, 0.2, 3.0, 0.6]) {
            assert!((got - expected).abs() < 1e-5, "{got}, expected {expected}");
        }
        assert!(normalize.batch(&[0; 5], 1, 1, 2).is_err());
    }

    #[test]
    fn a_network_may_want_blue_first_and_bytes() {
        let spec = InputSpec { colours: Colours::Bgr, white: 255.0, mean: [1.0, 2.0, 3.0], ..plain() };
        let batch = Normalize::new(&spec, Device::Cpu).unwrap().batch(&[10, 20, 30, 40, 50, 60], 1, 1, 2).unwrap();
        let got = Vec::<f32>::try_from(batch.flatten(0, -1)).unwrap();
        for (got, expected) in got.iter().zip([27.0, 57.0, 18.0, 48.0, 9.0, 39.0]) {
            assert!((got - expected).abs() < 1e-4, "{got}, expected {expected}");
        }
    }
}
