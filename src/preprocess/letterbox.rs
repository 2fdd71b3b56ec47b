//! Fits a picture into a network's input without changing its aspect; what is left over gets one grey.
//!
//! `LetterBox` is the geometry, pure. `LetterBoxer` (feature `opencv`) moves pixels: one resize from the frame's strided
//! planes straight into a buffer that is kept from batch to batch. This is the line's only copy of a picture.

use crate::{config::zoo::Fit, frame::ImageSize, geometry::BBox};

/// Where a picture lies in a network's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LetterBox {
    /// The picture.
    pub source: ImageSize,
    /// Size it is drawn at, at least 1x1 and at most the input.
    pub drawn: ImageSize,
    /// Input pixels left of it.
    pub left_px: u32,
    /// Input pixels above it.
    pub top_px: u32,
}

impl LetterBox {
    /// The largest centred fit of a `source` picture into a `model` input. `None` where either has no pixels.
    ///
    /// A side that would shrink to nothing keeps one pixel; an odd remainder goes to the right and below.
    pub fn fit(source: ImageSize, model: ImageSize) -> Option<Self> {
        if [source.width, source.height, model.width, model.height].contains(&0) {
            return None;
        }
        let across = f64::from(model.width) / f64::from(source.width);
        let down = f64::from(model.height) / f64::from(source.height);
        let scale = across.min(down);
        let side = |source: u32, model: u32| ((f64::from(source) * scale).round() as u32).clamp(1, model);
        let drawn = ImageSize { width: side(source.width, model.width), height: side(source.height, model.height) };
        Some(Self {
            source,
            drawn,
            left_px: (model.width - drawn.width) / 2,
            top_px: (model.height - drawn.height) / 2,
        })
    }

    /// Where a `source` picture lies in a `model` input that is filled as `fit` says. `None` where either has no pixels.
    pub fn placed(source: ImageSize, model: ImageSize, fit: Fit) -> Option<Self> {
        let centred = Self::fit(source, model)?;
        Some(match fit {
            Fit::Letterbox => centred,
            Fit::LetterboxCorner => Self { left_px: 0, top_px: 0, ..centred },
            Fit::Stretch => Self { source, drawn: model, left_px: 0, top_px: 0 },
        })
    }

    /// Input pixels per source pixel, (x, y): equal but for the rounding of `drawn` to whole pixels, unless stretched.
    fn scale(&self) -> (f32, f32) {
        (self.drawn.width as f32 / self.source.width as f32, self.drawn.height as f32 / self.source.height as f32)
    }

    /// A box of the network's input in source pixels, not clipped.
    pub fn bbox_source_from_model(&self, bbox: &BBox) -> BBox {
        let (x, y) = self.scale();
        let (left, top) = (self.left_px as f32, self.top_px as f32);
        BBox::new((bbox.left - left) / x, (bbox.top - top) / y, (bbox.right - left) / x, (bbox.bottom - top) / y)
    }

    /// A box of the source in the network's input, not clipped.
    pub fn bbox_model_from_source(&self, bbox: &BBox) -> BBox {
        let (x, y) = self.scale();
        let (left, top) = (self.left_px as f32, self.top_px as f32);
        BBox::new(bbox.left * x + left, bbox.top * y + top, bbox.right * x + left, bbox.bottom * y + top)
    }
}

#[cfg(feature = "opencv")]
pub use pixels::LetterBoxer;

#[cfg(feature = "opencv")]
mod pixels {
    use super::LetterBox;
    use crate::{
        config::zoo::Fit,
        frame::{Frame, ImageSize},
        preprocess::{
            PreprocessError,
            resize::{Region, resize_into},
        },
    };

    /// Draws frames into the slots of a batch.
    ///
    /// The batch is one buffer of shape (slots, height, width, 3), red, green, blue, 8 bits, that grows to the largest batch
    /// seen and is then reused. The border of a slot is painted only when the geometry of its picture changes.
    pub struct LetterBoxer {
        model: ImageSize,
        fit: Fit,
        fill: u8,
        buffer: Vec<u8>,
        drawn: Vec<Option<LetterBox>>,
    }

    impl LetterBoxer {
        /// For network inputs of size `model` with borders of grey `fill`, pictures in the middle.
        pub fn new(model: ImageSize, fill: u8) -> Self {
            Self { model, fit: Fit::Letterbox, fill, buffer: Vec::new(), drawn: Vec::new() }
        }

        /// The same with pictures placed as `fit` says.
        pub fn fitting(self, fit: Fit) -> Self {
            Self { fit, ..self }
        }

        /// Draws `frame` into `slot`, counted from 0, in its light, and says where it lies.
        pub fn draw(&mut self, slot: usize, frame: &Frame) -> Result<LetterBox, PreprocessError> {
            let size = frame.meta.size;
            let place = LetterBox::placed(size, self.model, self.fit).ok_or(PreprocessError::Size(size))?;
            self.reserve(slot + 1);
            let bytes = self.slot_bytes();
            let canvas = &mut self.buffer[slot * bytes..][..bytes];
            if self.drawn[slot] != Some(place) {
                canvas.fill(self.fill);
            }
            // Forgotten while it is drawn, so that a failure half-way leaves nothing to rely on.
            self.drawn[slot] = None;
            let region = Region { left: place.left_px, top: place.top_px, size: place.drawn };
            resize_into(frame, None, canvas, self.model, region)?;
            if let Some(light) = frame.pixels.light() {
                light.apply(canvas, self.model, region, Region { left: 0, top: 0, size });
            }
            self.drawn[slot] = Some(place);
            Ok(place)
        }

        /// The first `slots` pictures, each `height * width * 3` bytes. Slots never drawn hold the border's grey.
        pub fn batch(&mut self, slots: usize) -> &[u8] {
            self.reserve(slots);
            &self.buffer[..slots * self.slot_bytes()]
        }

        fn slot_bytes(&self) -> usize {
            self.model.width as usize * self.model.height as usize * 3
        }

        fn reserve(&mut self, slots: usize) {
            if slots > self.drawn.len() {
                self.buffer.resize(slots * self.slot_bytes(), self.fill);
                self.drawn.resize(slots, None);
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::frame::OwnedPixels;
        use std::sync::Arc;

        /// A frame of one colour whose rows carry `padding` bytes of another.
        fn plain(width: u32, height: u32, colour: [u8; 3], padding: usize) -> Frame {
            let mut row = colour.repeat(width as usize);
            row.extend(std::iter::repeat_n(0, padding));
            let data = row.repeat(height as usize);
            Frame::alone(ImageSize { width, height }, data, row.len())
        }

        const MODEL: ImageSize = ImageSize { width: 64, height: 32 };

        #[test]
        fn odd_sizes_are_drawn_whole_with_grey_borders() {
            for (width, height) in [(1, 1), (7681, 33), (33, 7681), (64, 32), (63, 31), (640, 480), (3, 2)] {
                let mut boxer = LetterBoxer::new(MODEL, 128);
                let place = boxer.draw(0, &plain(width, height, [10, 20, 30], 5)).unwrap();
                let batch = boxer.batch(1);
                for (index, pixel) in batch.chunks_exact(3).enumerate() {
                    let (x, y) = (index as u32 % MODEL.width, index as u32 / MODEL.width);
                    let inside = (place.left_px..place.left_px + place.drawn.width).contains(&x)
                        && (place.top_px..place.top_px + place.drawn.height).contains(&y);
                    let expected = if inside { [10, 20, 30] } else { [128; 3] };
                    assert_eq!(pixel, expected, "{width}x{height} at ({x}, {y})");
                }
            }
        }

        #[test]
        fn a_slot_reused_for_another_shape_shows_nothing_of_the_first() {
            let mut boxer = LetterBoxer::new(MODEL, 128);
            boxer.draw(0, &plain(64, 32, [9, 9, 9], 0)).unwrap();
            boxer.draw(0, &plain(8, 32, [1, 2, 3], 0)).unwrap();
            assert!(!boxer.batch(1).chunks_exact(3).any(|pixel| pixel == [9; 3]));
        }

        #[test]
        fn a_plane_shorter_than_it_says_is_an_error_that_spoils_nothing() {
            let mut boxer = LetterBoxer::new(MODEL, 128);
            let mut frame = plain(64, 32, [1, 2, 3], 0);
            let data = vec![0; 64 * 32 * 3 - 1];
            frame.pixels = Arc::new(OwnedPixels { data, stride: 64 * 3 });
            let error = boxer.draw(1, &frame).unwrap_err();
            assert_eq!(error, PreprocessError::Truncated { got: 6143, expected: 6144 });
            assert_eq!(
                boxer.draw(0, &plain(0, 5, [0; 3], 0)).unwrap_err().to_string(),
                "a picture of 0x5 pixels cannot be resized"
            );
            assert!(boxer.draw(1, &plain(64, 32, [1, 2, 3], 0)).is_ok());
        }

        #[test]
        fn the_last_row_may_lack_its_padding() {
            let mut boxer = LetterBoxer::new(MODEL, 128);
            let mut frame = plain(8, 4, [7, 8, 9], 0);
            let stride = 8 * 3 + 4;
            let mut data = [[7u8, 8, 9].repeat(8), vec![0; 4]].concat().repeat(4);
            data.truncate(3 * stride + 24);
            frame.pixels = Arc::new(OwnedPixels { data, stride });
            boxer.draw(0, &frame).unwrap();
            assert!(boxer.batch(1).chunks_exact(3).all(|pixel| pixel == [7, 8, 9]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(width: u32, height: u32) -> ImageSize {
        ImageSize { width, height }
    }

    #[test]
    fn table() {
        // source, model, drawn, left, top
        let cases = [
            (size(768, 576), size(416, 416), size(416, 312), 0, 52),
            (size(576, 768), size(416, 416), size(312, 416), 52, 0),
            (size(100, 100), size(416, 416), size(416, 416), 0, 0),
            (size(1, 1), size(416, 416), size(416, 416), 0, 0),
            (size(7681, 33), size(608, 608), size(608, 3), 0, 302),
            (size(7681, 1), size(608, 608), size(608, 1), 0, 303),
            (size(1, 7681), size(608, 608), size(1, 608), 303, 0),
            (size(641, 480), size(640, 640), size(640, 479), 0, 80),
            (size(u32::MAX, 1), size(32, 32), size(32, 1), 0, 15),
        ];
        for (source, model, drawn, left_px, top_px) in cases {
            let expected = LetterBox { source, drawn, left_px, top_px };
            assert_eq!(LetterBox::fit(source, model), Some(expected), "{source} in {model}");
        }
        let placed = |fit| LetterBox::placed(size(768, 576), size(416, 416), fit).unwrap();
        let corner = placed(Fit::LetterboxCorner);
        assert_eq!((corner.drawn, corner.left_px, corner.top_px), (size(416, 312), 0, 0));
        let stretched = placed(Fit::Stretch);
        assert_eq!((stretched.drawn, stretched.left_px, stretched.top_px), (size(416, 416), 0, 0));
        let whole = stretched.bbox_source_from_model(&BBox::new(0.0, 0.0, 416.0, 416.0));
        assert_eq!(whole, BBox::new(0.0, 0.0, 768.0, 576.0));
        assert_eq!(LetterBox::placed(size(0, 4), size(32, 32), Fit::Stretch), None);
        assert_eq!(LetterBox::fit(size(0, 4), size(32, 32)), None);
        assert_eq!(LetterBox::fit(size(4, 4), size(32, 0)), None);
    }

    proptest! {
        #[test]
        fn the_inverse_is_within_half_a_pixel(
            (width, height) in (1u32..8000, 1u32..8000),
            model in (1u32..40).prop_map(|n| size(32 * n, 32 * n)),
            corners in prop::array::uniform4(0f32..=1.0),
        ) {
            let place = LetterBox::fit(size(width, height), model).unwrap();
            let (w, h) = (width as f32, height as f32);
            let bbox = BBox::new(corners[0] * w, corners[1] * h, corners[2] * w, corners[3] * h);
            let back = place.bbox_source_from_model(&place.bbox_model_from_source(&bbox));
            for (a, b) in [(bbox.left, back.left), (bbox.top, back.top), (bbox.right, back.right), (bbox.bottom, back.bottom)] {
                prop_assert!((a - b).abs() <= 0.5, "{:?} came back as {:?}", bbox, back);
            }
        }

        #[test]
        fn the_picture_fills_one_side_and_stays_inside(width in 1u32..9000, height in 1u32..9000, n in 1u32..40, m in 1u32..40) {
            let model = size(32 * n, 32 * m);
            let place = LetterBox::fit(size(width, height), model).unwrap();
            prop_assert!(place.drawn.width == model.width || place.drawn.height == model.height);
            prop_assert!(place.left_px + place.drawn.width <= model.width);
            prop_assert!(place.top_px + place.drawn.height <= model.height);
        }
    }
}
