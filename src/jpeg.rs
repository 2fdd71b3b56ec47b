//! Pictures as JPEG.

use crate::frame::ImageSize;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// Thin lines and small letters stay legible; above, files only grow.
const QUALITY: u8 = 80;

/// 8-bit RGB of `size`, rows without padding, as baseline JPEG; empty where it cannot be one (a side of 0 or above 65,535
/// pixels).
pub fn encode(rgb: &[u8], size: ImageSize) -> Vec<u8> {
    let (Ok(width), Ok(height)) = (u16::try_from(size.width), u16::try_from(size.height)) else {
        return Vec::new();
    };
    let mut jpeg = Vec::with_capacity(rgb.len() / 8);
    let mut encoder = Encoder::new(&mut jpeg, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    match encoder.encode(rgb, width, height, ColorType::Rgb) {
        Ok(()) => jpeg,
        Err(error) => {
            tracing::warn!(%error, %size, "a picture cannot be encoded");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(width: u32, height: u32) -> Vec<u8> {
        let size = ImageSize { width, height };
        encode(&vec![90; width as usize * height as usize * 3], size)
    }

    #[test]
    fn a_picture_becomes_a_whole_jpeg() {
        let jpeg = encoded(33, 17);
        assert_eq!((&jpeg[..3], &jpeg[jpeg.len() - 2..]), (&[0xFF, 0xD8, 0xFF][..], &[0xFF, 0xD9][..]));
        assert!(encoded(0, 5).is_empty() && encoded(70_000, 1).is_empty());
    }
}
