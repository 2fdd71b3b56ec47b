//! Contrast-limited adaptive histogram equalization of the luma: a curve for each tile of the picture, blended between
//! the middles of the tiles.
//!
//! Source: Zuiderveld 1994. Differs: curves come from the samples of the whole picture, not from the pixels they are
//! applied to, so that a crop and the picture it is cut from are lit alike; and they move from frame to frame no faster
//! than tables do. The change of luma is added to each colour, which keeps the hue.

use super::{
    stats::{Samples, luma},
    table::Table,
};
use crate::{frame::ImageSize, preprocess::Region};
use std::array;

/// Tiles across and down.
const TILES: usize = 8;
/// A level's share of a tile is cut at this many times the even share, and what was cut is spread evenly.
const CLIP: f32 = 2.0;

/// A curve a tile, by row, in fractions of a level.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LocalCurves(Vec<[f32; 256]>);

impl LocalCurves {
    /// The curves that equalize `samples` once they went through `table`.
    pub fn of(samples: &Samples, table: &Table) -> Self {
        let mut histograms = vec![[0f32; 256]; TILES * TILES];
        let rows = samples.pixels.len() / samples.columns.max(1);
        for (y, row) in samples.pixels.chunks_exact(samples.columns.max(1)).enumerate() {
            let down = y * TILES / rows.max(1) * TILES;
            for (x, &pixel) in row.iter().enumerate() {
                let lit = array::from_fn(|colour| table.0[colour][usize::from(pixel[colour])]);
                histograms[down + x * TILES / samples.columns][usize::from(luma(lit))] += 1.0;
            }
        }
        Self(histograms.iter().map(equalizing).collect())
    }

    /// Moves every entry towards `target`, by at most `step` levels.
    pub fn approach(&mut self, target: &Self, step: f32) {
        for (entry, wanted) in self.0.as_flattened_mut().iter_mut().zip(target.0.as_flattened()) {
            *entry += (wanted - *entry).clamp(-step, step);
        }
    }

    /// The curves over the pixels of a region of size `drawn` that shows `part` of the `whole` picture.
    pub fn over(&self, part: Region, whole: ImageSize, drawn: ImageSize) -> Grid<'_> {
        let along = |from: u32, shown: u32, whole: u32, drawn: u32| {
            let scale = f64::from(shown) / f64::from(drawn.max(1));
            (0..drawn).map(move |at| place((f64::from(from) + (f64::from(at) + 0.5) * scale) / f64::from(whole)))
        };
        let columns = along(part.left, part.size.width, whole.width, drawn.width).collect();
        let rows = along(part.top, part.size.height, whole.height, drawn.height).collect();
        Grid { curves: &self.0, columns, rows }
    }
}

/// Between which tiles a place lies, as a share of the side, and how far towards the second.
fn place(share: f64) -> (usize, usize, f32) {
    let at = (share * TILES as f64 - 0.5).clamp(0.0, (TILES - 1) as f64);
    let first = at as usize;
    (first, (first + 1).min(TILES - 1), (at - first as f64) as f32)
}

/// The cumulative histogram, cut, as a curve from 0 to 255; no change for an empty one.
fn equalizing(histogram: &[f32; 256]) -> [f32; 256] {
    let count: f32 = histogram.iter().sum();
    if count == 0.0 {
        return array::from_fn(|level| level as f32);
    }
    let most = CLIP * count / 256.0;
    let cut: f32 = histogram.iter().map(|&n| (n - most).max(0.0)).sum();
    let (mut below, even) = (0.0, cut / 256.0);
    histogram.map(|n| {
        below += n.min(most) + even;
        (255.0 * below / count).min(255.0)
    })
}

/// Curves laid over the pixels of a region.
pub(super) struct Grid<'a> {
    curves: &'a [[f32; 256]],
    columns: Vec<(usize, usize, f32)>,
    rows: Vec<(usize, usize, f32)>,
}

impl Grid<'_> {
    /// Equalizes row `y` of the region: red, green, blue.
    pub fn apply(&mut self, y: usize, row: &mut [u8]) {
        let (upper, lower, down) = self.rows[y];
        let (pixels, _) = row.as_chunks_mut::<3>();
        for (pixel, &(left, right, across)) in pixels.iter_mut().zip(&self.columns) {
            let old = luma(*pixel);
            let at = |row: usize, column: usize| self.curves[row * TILES + column][usize::from(old)];
            let above = at(upper, left) + (at(upper, right) - at(upper, left)) * across;
            let below = at(lower, left) + (at(lower, right) - at(lower, left)) * across;
            let change = (above + (below - above) * down).round() as i16 - i16::from(old);
            *pixel = pixel.map(|value| (i16::from(value) + change).clamp(0, 255) as u8);
        }
    }
}
