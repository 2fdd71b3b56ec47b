//! How good a picture of a track a frame gives: sharpness × size × score. Pure.

use super::rgb::PixelRect;
use crate::{frame::Frame, geometry::BBox};

/// Points at which sharpness is measured along each side of a box: enough for a steady figure, and the same work for a
/// near object as for a far one.
const GRID: u32 = 64;

/// Of a track that touches the picture's edge, part is out of view. Ours to choose: half as good.
const CUT_OFF: f32 = 0.5;

/// Closer to an edge than this, pixels, a box touches it.
const EDGE_PX: f32 = 2.0;

/// Quality of `bbox` as a picture of a track: sharpness times the side of a square of the same area (pixels) times score,
/// halved where the box touches an edge of the picture. 0 where nothing of it is in the picture.
pub fn quality(frame: &Frame, bbox: &BBox, score: f32) -> f32 {
    let size = frame.meta.size;
    let Some(rect) = PixelRect::touched(bbox, size) else { return 0.0 };
    let side = ((rect.size.width * rect.size.height) as f32).sqrt();
    let (right, bottom) = (size.width as f32 - EDGE_PX, size.height as f32 - EDGE_PX);
    let is_cut = bbox.left < EDGE_PX || bbox.top < EDGE_PX || bbox.right > right || bbox.bottom > bottom;
    sharpness(frame, rect) * side * score.max(0.0) * if is_cut { CUT_OFF } else { 1.0 }
}

/// Standard deviation of the Laplacian of luma, at up to 64 x 64 points of `rect`.
///
/// Source: Pech-Pacheco et al. 2000 (variance of the Laplacian). Differs: at points of a grid, each with its neighbours in
/// the full picture; the deviation, so that it grows as contrast does.
fn sharpness(frame: &Frame, rect: PixelRect) -> f32 {
    let plane = frame.pixels.plane(0);
    let size = frame.meta.size;
    let luma = |x: u32, y: u32| {
        let at = x as usize * 3;
        let pixel = &plane.row(y as usize, at + 3)[at..];
        // Weights of BT.601 in eighths, roughly.
        f32::from(2 * u16::from(pixel[0]) + 5 * u16::from(pixel[1]) + u16::from(pixel[2])) / 8.0
    };
    let (mut sum, mut squares, mut count) = (0.0_f64, 0.0_f64, 0.0_f64);
    let step = |side: u32| (side.div_ceil(GRID)).max(1) as usize;
    for y in (rect.top..rect.top + rect.size.height).step_by(step(rect.size.height)) {
        for x in (rect.left..rect.left + rect.size.width).step_by(step(rect.size.width)) {
            if x == 0 || y == 0 || x + 1 >= size.width || y + 1 >= size.height {
                continue;
            }
            let around = luma(x - 1, y) + luma(x + 1, y) + luma(x, y - 1) + luma(x, y + 1);
            let laplacian = f64::from(around - 4.0 * luma(x, y));
            (sum, squares, count) = (sum + laplacian, squares + laplacian * laplacian, count + 1.0);
        }
    }
    if count == 0.0 {
        return 0.0;
    }
    let mean = sum / count;
    (squares / count - mean * mean).max(0.0).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{frame::ImageSize, media::rgb::tests::frame};

    const SIZE: ImageSize = ImageSize { width: 200, height: 160 };

    /// Stripes whose edges are ramps of `soft` pixels.
    fn stripes(soft: u32) -> Frame {
        frame(SIZE, |x, _| {
            let phase = x % 16;
            let rise = (phase.min(16 - phase) * 255 / soft.max(1)).min(255);
            [rise as u8; 3]
        })
    }

    #[test]
    fn sharper_larger_and_surer_is_better() {
        let (sharp, soft) = (stripes(1), stripes(8));
        let (large, small) = (BBox::new(40.0, 40.0, 120.0, 140.0), BBox::new(40.0, 40.0, 80.0, 90.0));
        let best = quality(&sharp, &large, 0.9);
        assert!(best > 2.0 * quality(&soft, &large, 0.9));
        assert!(best > 1.5 * quality(&sharp, &small, 0.9));
        assert!(best > quality(&sharp, &large, 0.5));
    }

    #[test]
    fn cut_off_and_outside_are_worth_less_or_nothing() {
        let sharp = stripes(1);
        let inside = quality(&sharp, &BBox::new(40.0, 40.0, 80.0, 90.0), 0.9);
        assert!(quality(&sharp, &BBox::new(-20.0, 40.0, 20.0, 90.0), 0.9) < inside);
        for bbox in [BBox::new(300.0, 0.0, 320.0, 50.0), BBox::new(5.0, 5.0, 5.0, 9.0), BBox::default()] {
            assert_eq!(quality(&sharp, &bbox, 0.9), 0.0, "{bbox:?}");
        }
        assert_eq!(quality(&frame(SIZE, |_, _| [90; 3]), &BBox::new(40.0, 40.0, 80.0, 90.0), 0.9), 0.0);
        assert_eq!(quality(&sharp, &BBox::new(0.0, 0.0, 1.0, 1.0), 0.9), 0.0, "nothing but the edge");
    }
}
