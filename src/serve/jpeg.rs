//! Pictures as JPEG.

use super::view::Picture;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// Thin lines and small letters stay legible; above, files only grow.
const QUALITY: u8 = 80;

/// The picture as baseline JPEG; empty where it cannot be one (a side of 0 or above 65,535 pixels).
pub fn encode(picture: &Picture) -> Vec<u8> {
    let (Ok(width), Ok(height)) = (u16::try_from(picture.size.width), u16::try_from(picture.size.height)) else {
        return Vec::new();
    };
    let mut jpeg = Vec::with_capacity(picture.rgb.len() / 8);
    let mut encoder = Encoder::new(&mut jpeg, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    match encoder.encode(&picture.rgb, width, height, ColorType::Rgb) {
        Ok(()) => jpeg,
        Err(error) => {
            tracing::warn!(%error, size = %picture.size, "a picture cannot be encoded");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ImageSize;
    use std::time::SystemTime;

    fn encoded(width: u32, height: u32) -> Vec<u8> {
        let size = ImageSize { width, height };
        let rgb = vec![90; width as usize * height as usize * 3];
        encode(&Picture::new(rgb, size, 0, SystemTime::UNIX_EPOCH))
    }

    #[test]
    fn a_picture_becomes_a_whole_jpeg() {
        let jpeg = encoded(33, 17);
        assert_eq!((&jpeg[..3], &jpeg[jpeg.len() - 2..]), (&[0xFF, 0xD8, 0xFF][..], &[0xFF, 0xD9][..]));
        assert!(encoded(0, 5).is_empty() && encoded(70_000, 1).is_empty());
    }
}
