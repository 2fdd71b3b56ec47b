//! From bytes of pixels to the floats a network was trained on.

use crate::torch::runtime::TorchError;
use tch::{Device, Kind, Tensor};

/// Turns batches of 8-bit RGB into floats (value / 255 - mean) / std.
pub struct Normalize {
    device: Device,
    factor: Tensor,
    /// `None` where it is zero for every colour.
    shift: Option<Tensor>,
}

impl Normalize {
    /// `mean` and `std` of red, green and blue within 0..=1; `std` above 0.
    pub fn new(mean: [f64; 3], std: [f64; 3], device: Device) -> Result<Self, TorchError> {
        let colours = |values: [f64; 3]| -> Result<Tensor, TorchError> {
            let values = values.map(|value| value as f32);
            Ok(Tensor::f_from_slice(&values)?.f_reshape([1, 3, 1, 1])?.f_to_device(device)?)
        };
        let factor = colours(std.map(|std| 1.0 / (255.0 * std)))?;
        let shift = [0, 1, 2].map(|colour| -mean[colour] / std[colour]);
        let shift = if shift.iter().any(|shift| *shift != 0.0) { Some(colours(shift)?) } else { None };
        Ok(Self { device, factor, shift })
    }

    /// `pixels`: `count * height * width * 3` bytes. Gives (count, 3, height, width) in channels_last order.
    pub fn batch(&self, pixels: &[u8], count: usize, height: u32, width: u32) -> Result<Tensor, TorchError> {
        let shape = [count as i64, i64::from(height), i64::from(width), 3];
        let expected = count * height as usize * width as usize * 3;
        if pixels.len() != expected {
            return Err(TorchError(format!("{} bytes for a batch of {expected}", pixels.len())));
        }
        let bytes = Tensor::f_from_data_size(pixels, &shape, Kind::Uint8)?.f_to_device(self.device)?;
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

    #[test]
    fn colours_are_normalized_each_on_its_own() {
        let normalize = Normalize::new([0.5, 0.0, 0.25], [0.5, 1.0, 0.25], Device::Cpu).unwrap();
        let batch = normalize.batch(&[255, 255, 255, 0, 51, 102], 1, 1, 2).unwrap();
        assert_eq!(batch.size(), [1, 3, 1, 2]);
        let got = Vec::<f32>::try_from(batch.flatten(0, -1)).unwrap();
        for (got, expected) in got.iter().zip([1.0, -1.0, 1.0, 0.2, 3.0, 0.6]) {
            assert!((got - expected).abs() < 1e-5, "{got}, expected {expected}");
        }
        assert!(normalize.batch(&[0; 5], 1, 1, 2).is_err());
    }
}
