//! Where a picture lies on the canvas it is drawn on: as it is, scaled down, or letterboxed. Pure.

use crate::frame::ImageSize;

/// Which canvases an output can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanvasLimits {
    /// Least width and height, pixels; even.
    pub least_px: u32,
    /// Most pixels along the longer side; even.
    pub most_long_px: u32,
    /// Most pixels along the shorter side; even.
    pub most_short_px: u32,
}

impl CanvasLimits {
    /// Canvas for pictures of size `source`: as large as they are, smaller where the limits demand it, and even, as
    /// 4:2:0 chroma needs.
    pub fn canvas_for(&self, source: ImageSize) -> ImageSize {
        let (long, short) = (source.width.max(source.height), source.width.min(source.height));
        let scale = (f64::from(self.most_long_px) / f64::from(long.max(1)))
            .min(f64::from(self.most_short_px) / f64::from(short.max(1)))
            .min(1.0);
        let side = |px: u32| ((f64::from(px) * scale).round() as u32).next_multiple_of(2).max(self.least_px);
        ImageSize { width: side(source.width), height: side(source.height) }
    }
}

/// A picture of one size on a canvas of another, its aspect kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// The picture's own size.
    pub source: ImageSize,
    /// Its size on the canvas.
    pub inner: ImageSize,
    /// The canvas.
    pub canvas: ImageSize,
    /// Canvas columns left of it.
    pub left_px: u32,
    /// Canvas rows above it.
    pub top_px: u32,
}

impl Placement {
    /// As large as fits, in the middle. A canvas that is larger only to be even takes the picture as it is, at its
    /// upper left corner.
    pub fn fit(source: ImageSize, canvas: ImageSize) -> Self {
        let spare = |canvas: u32, source: u32| canvas.checked_sub(source);
        if let (Some(0 | 1), Some(0 | 1)) = (spare(canvas.width, source.width), spare(canvas.height, source.height)) {
            return Self { source, inner: source, canvas, left_px: 0, top_px: 0 };
        }
        let scale = (f64::from(canvas.width) / f64::from(source.width.max(1)))
            .min(f64::from(canvas.height) / f64::from(source.height.max(1)));
        let side = |source: u32, canvas: u32| ((f64::from(source) * scale).round() as u32).clamp(1, canvas.max(1));
        let inner = ImageSize { width: side(source.width, canvas.width), height: side(source.height, canvas.height) };
        let left_px = (canvas.width - inner.width) / 2;
        let top_px = (canvas.height - inner.height) / 2;
        Self { source, inner, canvas, left_px, top_px }
    }

    /// Whether pixels are taken over one to one.
    pub fn is_unscaled(&self) -> bool {
        self.inner == self.source
    }

    /// Canvas position of a point of the picture, both in pixels.
    pub fn canvas_from_source(&self, (x, y): (f32, f32)) -> (f32, f32) {
        let scale = |inner: u32, source: u32| inner as f32 / source.max(1) as f32;
        (
            self.left_px as f32 + x * scale(self.inner.width, self.source.width),
            self.top_px as f32 + y * scale(self.inner.height, self.source.height),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: CanvasLimits = CanvasLimits { least_px: 16, most_long_px: 1920, most_short_px: 1088 };

    fn size(width: u32, height: u32) -> ImageSize {
        ImageSize { width, height }
    }

    #[test]
    fn canvas_table() {
        let cases = [
            ((768, 576), (768, 576)),
            ((161, 121), (162, 122)),
            ((1, 1), (16, 16)),
            ((7681, 33), (1920, 16)),
            ((3840, 2160), (1920, 1080)),
            ((2160, 3840), (1080, 1920)),
            ((1088, 1920), (1088, 1920)),
            ((2000, 2000), (1088, 1088)),
        ];
        for ((w, h), (canvas_w, canvas_h)) in cases {
            assert_eq!(LIMITS.canvas_for(size(w, h)), size(canvas_w, canvas_h), "{w}x{h}");
        }
    }

    #[test]
    fn placement_table() {
        let cases = [
            // (picture, canvas) -> (inner, left, top)
            ((768, 576), (768, 576), (768, 576), 0, 0),
            ((161, 121), (162, 122), (161, 121), 0, 0),
            ((320, 240), (640, 480), (640, 480), 0, 0),
            ((640, 360), (640, 480), (640, 360), 0, 60),
            ((360, 640), (640, 480), (270, 480), 185, 0),
            ((7681, 33), (1920, 16), (1920, 8), 0, 4),
        ];
        for ((w, h), (canvas_w, canvas_h), (inner_w, inner_h), left_px, top_px) in cases {
            let got = Placement::fit(size(w, h), size(canvas_w, canvas_h));
            assert_eq!((got.inner, got.left_px, got.top_px), (size(inner_w, inner_h), left_px, top_px), "{w}x{h}");
        }
    }

    proptest! {
        #[test]
        fn stays_on_an_even_canvas(w in 1u32..9000, h in 1u32..9000, other_w in 1u32..9000, other_h in 1u32..9000) {
            let canvas = LIMITS.canvas_for(size(w, h));
            prop_assert!(canvas.width.is_multiple_of(2) && canvas.height.is_multiple_of(2));
            prop_assert!(canvas.width.max(canvas.height) <= 1920 && canvas.width.min(canvas.height) <= 1088);
            for source in [size(w, h), size(other_w, other_h)] {
                let placed = Placement::fit(source, canvas);
                prop_assert!(placed.left_px + placed.inner.width <= canvas.width);
                prop_assert!(placed.top_px + placed.inner.height <= canvas.height);
                let (x, y) = placed.canvas_from_source((source.width as f32, source.height as f32));
                prop_assert!(x <= canvas.width as f32 + 0.01 && y <= canvas.height as f32 + 0.01);
            }
        }
    }
}
