//! Cuts detections out of their frames and brings them to one size.
//!
//! Which pixels a box means is pure; `Cropper` (feature `opencv`) moves them into the slots of a batch.

use crate::{frame::ImageSize, geometry::BBox};

/// Pixels of a frame, whole ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropArea {
    /// Columns left of it.
    pub left: u32,
    /// Rows above it.
    pub top: u32,
    /// Its size, at least 1x1.
    pub size: ImageSize,
}

impl CropArea {
    /// The pixels nearest to a box, clipped to a frame of `size`. `None` where no pixel is inside.
    pub fn inside(bbox: &BBox, size: ImageSize) -> Option<Self> {
        if ![bbox.left, bbox.top, bbox.right, bbox.bottom].iter().all(|corner| corner.is_finite()) {
            return None;
        }
        let span = |from: f32, to: f32, side: u32| {
            let edge = |at: f32| at.round().clamp(0.0, side as f32) as u32;
            let (from, to) = (edge(from), edge(to).min(side));
            (to > from).then(|| (from, to - from))
        };
        let (left, width) = span(bbox.left, bbox.right, size.width)?;
        let (top, height) = span(bbox.top, bbox.bottom, size.height)?;
        Some(Self { left, top, size: ImageSize { width, height } })
    }
}

#[cfg(feature = "opencv")]
pub use pixels::Cropper;

#[cfg(feature = "opencv")]
mod pixels {
    use super::CropArea;
    use crate::{
        frame::{Frame, ImageSize},
        preprocess::{
            PreprocessError,
            resize::{Region, resize_into},
        },
    };

    /// A batch of crops, shape (slots, height, width, 3), red, green, blue, 8 bits. Grows to the largest batch seen.
    pub struct Cropper {
        size: ImageSize,
        buffer: Vec<u8>,
    }

    impl Cropper {
        /// For crops of `size`; their aspect is not kept.
        pub fn new(size: ImageSize) -> Self {
            Self { size, buffer: Vec::new() }
        }

        /// Resizes an area of `frame` into `slot`, counted from 0, in the frame's light.
        pub fn draw(&mut self, slot: usize, frame: &Frame, area: CropArea) -> Result<(), PreprocessError> {
            let bytes = self.slot_bytes();
            if self.buffer.len() < (slot + 1) * bytes {
                self.buffer.resize((slot + 1) * bytes, 0);
            }
            let part = Region { left: area.left, top: area.top, size: area.size };
            let whole = Region { left: 0, top: 0, size: self.size };
            let canvas = &mut self.buffer[slot * bytes..][..bytes];
            resize_into(frame, Some(part), canvas, self.size, whole)?;
            if let Some(light) = frame.pixels.light() {
                light.apply(canvas, self.size, whole, part);
            }
            Ok(())
        }

        /// The first `slots` crops, all of which must have been drawn.
        pub fn batch(&self, slots: usize) -> &[u8] {
            &self.buffer[..slots * self.slot_bytes()]
        }

        fn slot_bytes(&self) -> usize {
            self.size.width as usize * self.size.height as usize * 3
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: ImageSize = ImageSize { width: 100, height: 50 };

    #[test]
    fn table() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let cases = [
            (BBox::new(10.0, 20.0, 30.0, 40.0), Some((10, 20, 20, 20))),
            (BBox::new(10.4, 20.5, 30.6, 40.4), Some((10, 21, 21, 19))),
            (BBox::new(-5.0, -5.0, 200.0, 200.0), Some((0, 0, 100, 50))),
            (BBox::new(99.4, 49.4, 120.0, 60.0), Some((99, 49, 1, 1))),
            (BBox::new(99.6, 0.0, 120.0, 60.0), None),
            (BBox::new(-20.0, 0.0, -10.0, 10.0), None),
            (BBox::new(10.0, 10.0, 10.2, 30.0), None),
            (BBox::new(30.0, 40.0, 10.0, 20.0), None),
            (BBox::new(nan, 0.0, 10.0, 10.0), None),
            (BBox::new(0.0, 0.0, inf, 10.0), None),
        ];
        for (bbox, expected) in cases {
            let expected =
                expected.map(|(left, top, width, height)| CropArea { left, top, size: ImageSize { width, height } });
            assert_eq!(CropArea::inside(&bbox, FRAME), expected, "{bbox:?}");
        }
        assert_eq!(CropArea::inside(&BBox::new(0.0, 0.0, 5.0, 5.0), ImageSize { width: 0, height: 0 }), None);
    }

    proptest! {
        #[test]
        fn an_area_is_never_empty_nor_outside(bits in prop::array::uniform4(any::<u32>()), width in 0u32..9000, height in 0u32..9000) {
            let [left, top, right, bottom] = bits.map(f32::from_bits);
            let size = ImageSize { width, height };
            if let Some(area) = CropArea::inside(&BBox::new(left, top, right, bottom), size) {
                prop_assert!(area.size.width > 0 && area.size.height > 0);
                prop_assert!(area.left + area.size.width <= width && area.top + area.size.height <= height);
            }
        }
    }
}
