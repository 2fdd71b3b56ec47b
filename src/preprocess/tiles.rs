//! Parts of a picture as pictures of their own, without copying a pixel: views of regions, and grids of tiles.

use super::{Region, illumination::PartLight};
use crate::frame::{Frame, ImageSize, PixelBuffer, PixelFormat, Plane};
use std::sync::Arc;

/// Pixels of a part of a picture; the whole picture keeps them alive.
struct PartPixels {
    whole: Arc<dyn PixelBuffer>,
    part: Region,
}

impl PixelBuffer for PartPixels {
    fn format(&self) -> PixelFormat {
        self.whole.format()
    }

    /// From the first pixel of the part on; rows keep the stride of the whole.
    fn plane(&self, index: usize) -> Plane<'_> {
        let Plane { data, stride } = self.whole.plane(index);
        let from = self.part.top as usize * stride + self.part.left as usize * 3;
        Plane { data: data.get(from..).unwrap_or(&[]), stride }
    }

    fn light(&self) -> Option<PartLight<'_>> {
        let of_whole = self.whole.light()?;
        let (left, top) = (of_whole.part.left + self.part.left, of_whole.part.top + self.part.top);
        Some(PartLight { part: Region { left, top, ..self.part }, ..of_whole })
    }
}

/// A part of a frame as a frame: the same in everything but size and pixels. `part` must lie inside.
pub fn part_of(frame: &Frame, part: Region) -> Frame {
    let whole = Arc::clone(&frame.pixels);
    let mut meta = frame.meta.clone();
    meta.size = part.size;
    Frame { meta, pixels: Arc::new(PartPixels { whole, part }) }
}

/// A grid of equal tiles that overlap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TileGrid {
    /// Tiles across, >= 1.
    pub columns: u32,
    /// Tiles down, >= 1.
    pub rows: u32,
    /// Share of a tile's side that it has in common with its neighbour, 0..1.
    pub overlap: f32,
}

impl TileGrid {
    /// The tiles of a picture, by row; they cover it, and all lie inside. Fewer where it has fewer pixels than tiles.
    pub fn tiles(&self, picture: ImageSize) -> Vec<Region> {
        let across = spans(picture.width, self.columns, self.overlap);
        let down = spans(picture.height, self.rows, self.overlap);
        let row = |&(top, height): &(u32, u32)| {
            across.iter().map(move |&(left, width)| Region { left, top, size: ImageSize { width, height } })
        };
        down.iter().flat_map(row).collect()
    }
}

/// `count` spans of equal length over `side`, as (from, length).
fn spans(side: u32, count: u32, overlap: f32) -> Vec<(u32, u32)> {
    let count = count.clamp(1, side.max(1));
    let steps = f64::from(count) - 1.0;
    // side = length + steps · length · (1 - overlap)
    let length = f64::from(side) / (1.0 + steps * (1.0 - f64::from(overlap.clamp(0.0, 0.9))));
    let length = (length.ceil() as u32).clamp(1, side.max(1));
    let from = |index: u32| {
        if count == 1 { 0 } else { ((side - length) as u64 * u64::from(index) / u64::from(count - 1)) as u32 }
    };
    (0..count).map(|index| (from(index), length)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table() {
        let grid = |columns, rows, overlap| TileGrid { columns, rows, overlap };
        let size = |width, height| ImageSize { width, height };
        let region = |left, top, width, height| Region { left, top, size: size(width, height) };
        assert_eq!(grid(1, 1, 0.2).tiles(size(100, 50)), [region(0, 0, 100, 50)]);
        assert_eq!(grid(2, 1, 0.0).tiles(size(100, 50)), [region(0, 0, 50, 50), region(50, 0, 50, 50)]);
        assert_eq!(grid(2, 1, 0.5).tiles(size(90, 50)), [region(0, 0, 60, 50), region(30, 0, 60, 50)]);
        assert_eq!(grid(3, 3, 0.2).tiles(size(1, 1)), [region(0, 0, 1, 1)]);
    }

    proptest! {
        #[test]
        fn tiles_cover_the_picture_and_stay_inside(
            width in 1u32..5000, height in 1u32..5000, columns in 1u32..9, rows in 1u32..9, overlap in 0f32..0.9,
        ) {
            let tiles = TileGrid { columns, rows, overlap }.tiles(ImageSize { width, height });
            let (mut right, mut bottom) = (0, 0);
            for tile in &tiles {
                prop_assert!(tile.size.width > 0 && tile.size.height > 0);
                prop_assert!(tile.left + tile.size.width <= width && tile.top + tile.size.height <= height);
                if tile.top == 0 {
                    prop_assert!(tile.left <= right);
                    right = tile.left + tile.size.width;
                }
                if tile.left == 0 {
                    prop_assert!(tile.top <= bottom);
                    bottom = tile.top + tile.size.height;
                }
            }
            prop_assert_eq!((right, bottom), (width, height));
        }
    }
}
