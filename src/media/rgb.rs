//! A picture, or a part of one, in memory of its own. Pure.

use crate::{
    frame::{Frame, ImageSize},
    geometry::BBox,
};

/// Bytes of a pixel: red, green, blue.
const BYTES: usize = 3;

/// Whole pixels of a picture: `left..left + size.width`, `top..top + size.height`, all within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelRect {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns and rows.
    pub size: ImageSize,
}

impl PixelRect {
    /// A whole picture.
    pub const fn whole(size: ImageSize) -> Self {
        Self { left: 0, top: 0, size }
    }

    /// The pixels that `bbox` touches in a picture of `size`; `None` where it touches none, or is unsound.
    pub fn touched(bbox: &BBox, size: ImageSize) -> Option<Self> {
        if !bbox.is_sound() {
            return None;
        }
        let inside = bbox.clipped_to(size);
        let (left, top) = (inside.left.floor() as u32, inside.top.floor() as u32);
        let (right, bottom) = (inside.right.ceil() as u32, inside.bottom.ceil() as u32);
        let size = ImageSize { width: right.saturating_sub(left), height: bottom.saturating_sub(top) };
        (size.width > 0 && size.height > 0).then_some(Self { left, top, size })
    }
}

/// 8-bit RGB, rows without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    /// `width * height * 3` bytes.
    pub data: Vec<u8>,
    /// Width and height.
    pub size: ImageSize,
}

impl Rgb {
    /// Copies a part of a frame; `rect` lies within it.
    pub fn copied(frame: &Frame, rect: PixelRect) -> Self {
        let plane = frame.pixels.plane(0);
        let (from, bytes) = (rect.left as usize * BYTES, rect.size.width as usize * BYTES);
        let mut data = Vec::with_capacity(bytes * rect.size.height as usize);
        for y in rect.top..rect.top + rect.size.height {
            data.extend_from_slice(&plane.row(y as usize, from + bytes)[from..]);
        }
        Self { data, size: rect.size }
    }

    /// Replaces a part by the means of its blocks of `block_px`, which nothing brings back. `rect` lies within the picture.
    pub fn pixelate(&mut self, rect: PixelRect, block_px: u32) {
        let block = block_px.max(1) as usize;
        let end = [rect.left + rect.size.width, rect.top + rect.size.height];
        for top in (rect.top..end[1]).step_by(block) {
            for left in (rect.left..end[0]).step_by(block) {
                let (right, bottom) = ((left + block_px.max(1)).min(end[0]), (top + block_px.max(1)).min(end[1]));
                self.flatten(left as usize..right as usize, top as usize..bottom as usize);
            }
        }
    }

    /// Gives pixels their mean.
    fn flatten(&mut self, columns: std::ops::Range<usize>, rows: std::ops::Range<usize>) {
        let width = self.size.width as usize;
        let span = |y: usize| (y * width + columns.start) * BYTES..(y * width + columns.end) * BYTES;
        let mut sums = [0_u64; BYTES];
        for y in rows.clone() {
            for pixel in self.data[span(y)].chunks_exact(BYTES) {
                sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += u64::from(*value));
            }
        }
        let count = (columns.len() * rows.len()).max(1) as u64;
        let mean = sums.map(|sum| (sum / count) as u8);
        for y in rows {
            self.data[span(y)].chunks_exact_mut(BYTES).for_each(|pixel| pixel.copy_from_slice(&mean));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        frame::{FrameMeta, OwnedPixels, StreamId},
        time::MediaTime,
    };
    use std::{sync::Arc, time::Instant};

    /// A frame whose rows are padded, of the pixels that `color` says.
    pub fn frame(size: ImageSize, color: impl Fn(u32, u32) -> [u8; 3]) -> Frame {
        let stride = size.width as usize * BYTES + 5;
        let mut data = vec![0xEE; stride * size.height as usize];
        for y in 0..size.height {
            for x in 0..size.width {
                let at = y as usize * stride + x as usize * BYTES;
                data[at..at + BYTES].copy_from_slice(&color(x, y));
            }
        }
        let meta = FrameMeta {
            stream: StreamId(0),
            epoch: 0,
            seq: 0,
            pts: MediaTime::default(),
            captured: None,
            arrived: Instant::now(),
            size,
        };
        Frame { meta, pixels: Arc::new(OwnedPixels { data, stride }) }
    }

    const SIZE: ImageSize = ImageSize { width: 20, height: 10 };

    #[test]
    fn a_box_touches_the_pixels_it_covers_even_in_part() {
        let rect = |left, top, width, height| Some(PixelRect { left, top, size: ImageSize { width, height } });
        let cases = [
            (BBox::new(1.0, 2.0, 3.0, 4.0), rect(1, 2, 2, 2)),
            (BBox::new(1.5, 2.0, 3.1, 4.0), rect(1, 2, 3, 2)),
            (BBox::new(-5.0, -5.0, 100.0, 100.0), rect(0, 0, 20, 10)),
            (BBox::new(20.0, 0.0, 30.0, 5.0), None),
            (BBox::new(-9.0, 0.0, -3.0, 5.0), None),
            (BBox::new(3.0, 3.0, 3.0, 5.0), None),
            (BBox::new(f32::NAN, 3.0, 3.0, 5.0), None),
        ];
        for (bbox, expected) in cases {
            assert_eq!(PixelRect::touched(&bbox, SIZE), expected, "{bbox:?}");
        }
    }

    #[test]
    fn a_part_is_copied_without_the_padding_of_rows() {
        let frame = frame(SIZE, |x, y| [x as u8, y as u8, 7]);
        let part = PixelRect { left: 3, top: 2, size: ImageSize { width: 2, height: 2 } };
        assert_eq!(Rgb::copied(&frame, part).data, [3, 2, 7, 4, 2, 7, 3, 3, 7, 4, 3, 7]);
        assert_eq!(Rgb::copied(&frame, PixelRect::whole(SIZE)).data.len(), 20 * 10 * 3);
    }

    #[test]
    fn pixelated_parts_have_one_color_a_block_and_the_rest_is_untouched() {
        let frame = frame(SIZE, |x, y| [(x * 10) as u8, (y * 10) as u8, ((x * y) % 7 * 30) as u8]);
        let whole = Rgb::copied(&frame, PixelRect::whole(SIZE));
        let mut changed = whole.clone();
        changed.pixelate(PixelRect { left: 4, top: 1, size: ImageSize { width: 9, height: 6 } }, 4);
        let pixel = |picture: &Rgb, x: usize, y: usize| picture.data[(y * 20 + x) * 3..][..3].to_vec();
        for (y, x) in (0..10).flat_map(|y| (0..20).map(move |x| (y, x))) {
            if (4..13).contains(&x) && (1..7).contains(&y) {
                let corner = (4 + (x - 4) / 4 * 4, 1 + (y - 1) / 4 * 4);
                assert_eq!(pixel(&changed, x, y), pixel(&changed, corner.0, corner.1));
            } else {
                assert_eq!(pixel(&changed, x, y), pixel(&whole, x, y));
            }
        }
        assert_ne!(changed, whole);
    }
}
