//! The picture a video is made of: one size for the whole file, whatever the stream does.

use super::SinkError;
use crate::{
    frame::{Frame, ImageSize},
    geometry::BBox,
    preprocess::resize::{Region, resize_into},
};

/// The encoder's smallest side, pixels (H.264 codes blocks of 16).
const MIN_SIDE: u32 = 16;
/// The encoder's largest picture, long and short side, pixels (OpenH264: level 5.2).
const MAX_SIDES: (u32, u32) = (3840, 2160);

/// Where a stream's pictures lie in the video's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Canvas {
    /// Size of the video, even in both directions.
    pub size: ImageSize,
    /// The part the picture fills; the rest is black.
    region: Region,
    /// Canvas pixels a source pixel, across and down.
    scale: (f32, f32),
}

impl Canvas {
    /// A canvas for a stream that begins with pictures of `first`: of their size, scaled down only where the encoder
    /// needs it and filled up to its least.
    pub fn new(first: ImageSize) -> Self {
        let (long, short) = MAX_SIDES;
        let (max_width, max_height) = if first.width >= first.height { (long, short) } else { (short, long) };
        let shrink = (max_width as f32 / first.width as f32).min(max_height as f32 / first.height as f32).min(1.0);
        let shown = scaled(first, shrink);
        let even = |side: u32| side.max(MIN_SIDE).next_multiple_of(2);
        let size = ImageSize { width: even(shown.width), height: even(shown.height) };
        Self { size, region: Region { left: 0, top: 0, size: shown }, scale: scale(first, shown) }
    }

    /// The same canvas for pictures of another size, fitted into it without changing their aspect.
    pub fn refit(self, picture: ImageSize) -> Self {
        let ImageSize { width, height } = self.size;
        let fit = (width as f32 / picture.width as f32).min(height as f32 / picture.height as f32);
        let mut shown = scaled(picture, fit);
        shown = ImageSize { width: shown.width.min(width), height: shown.height.min(height) };
        let (left, top) = ((width - shown.width) / 2, (height - shown.height) / 2);
        Self { region: Region { left, top, size: shown }, scale: scale(picture, shown), ..self }
    }

    /// The frame as packed RGB of the canvas's size.
    pub fn paint(&self, frame: &Frame) -> Result<Vec<u8>, SinkError> {
        let row_bytes = self.size.width as usize * 3;
        let bytes = row_bytes * self.size.height as usize;
        if frame.meta.size == self.size && self.region.size == self.size {
            let plane = frame.pixels.plane(0);
            let mut pixels = Vec::with_capacity(bytes);
            (0..self.size.height as usize).for_each(|y| pixels.extend_from_slice(plane.row(y, row_bytes)));
            return Ok(pixels);
        }
        let mut pixels = vec![0; bytes];
        resize_into(frame, None, &mut pixels, self.size, self.region).map_err(|e| SinkError::Draw(e.to_string()))?;
        Ok(pixels)
    }

    /// A point of the source picture on the canvas.
    pub fn point(&self, (x, y): (f32, f32)) -> (i32, i32) {
        let on = |at: f32, scale: f32, offset: u32| (at * scale).round() as i32 + offset as i32;
        (on(x, self.scale.0, self.region.left), on(y, self.scale.1, self.region.top))
    }

    /// A box of the source picture on the canvas: left, top, right, bottom.
    pub fn corners(&self, bbox: &BBox) -> [i32; 4] {
        let ((left, top), (right, bottom)) = (self.point((bbox.left, bbox.top)), self.point((bbox.right, bbox.bottom)));
        [left, top, right, bottom]
    }

    /// A point given as shares of the picture's sides, on the canvas.
    pub fn point_from_norm(&self, x_norm: f32, y_norm: f32) -> (i32, i32) {
        let ImageSize { width, height } = self.region.size;
        let on = |share: f32, side: u32, offset: u32| (share * side as f32).round() as i32 + offset as i32;
        (on(x_norm, width, self.region.left), on(y_norm, height, self.region.top))
    }
}

fn scaled(size: ImageSize, by: f32) -> ImageSize {
    let side = |pixels: u32| ((pixels as f32 * by).round() as u32).max(1);
    ImageSize { width: side(size.width), height: side(size.height) }
}

fn scale(from: ImageSize, to: ImageSize) -> (f32, f32) {
    (to.width as f32 / from.width.max(1) as f32, to.height as f32 / from.height.max(1) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_size_becomes_one_the_encoder_takes() {
        for (width, height) in [(1, 1), (7681, 33), (33, 7681), (768, 576), (767, 575), (7680, 4320), (20_000, 20_000)]
        {
            let canvas = Canvas::new(ImageSize { width, height });
            let ImageSize { width: w, height: h } = canvas.size;
            assert!(w % 2 == 0 && h % 2 == 0 && w >= MIN_SIDE && h >= MIN_SIDE, "{width}x{height} -> {w}x{h}");
            assert!(w.max(h) <= MAX_SIDES.0 && w.min(h) <= MAX_SIDES.1, "{width}x{height} -> {w}x{h}");
            for other in [ImageSize { width: 1, height: 999 }, ImageSize { width: 5000, height: 3 }] {
                let region = canvas.refit(other).region;
                assert!(region.left + region.size.width <= w && region.top + region.size.height <= h);
            }
        }
    }

    #[test]
    fn an_ordinary_picture_is_left_as_it_is() {
        let canvas = Canvas::new(ImageSize { width: 768, height: 576 });
        assert_eq!(canvas.corners(&BBox::new(10.0, 20.0, 30.0, 40.0)), [10, 20, 30, 40]);
        assert_eq!(canvas.point_from_norm(0.5, 1.0), (384, 576));
    }
}
