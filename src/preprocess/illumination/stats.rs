//! Measures the light of a frame on a sparse grid of its pixels. The grid is the same for frames of one size, so a still
//! scene measures the same every time.

use crate::frame::{Frame, ImageSize};

/// Pixels measured across and down, at most: a percentile of 27,000 samples is good to half a grey level, and reading
/// every fourth row of a 576-line picture costs a tenth of a letterbox.
const GRID: ImageSize = ImageSize { width: 192, height: 144 };
/// Share of the pixels that may be darker than black and brighter than white.
const TAIL: f32 = 0.01;

/// Pixels of a frame on the grid, by row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Samples {
    pub columns: usize,
    /// Red, green, blue.
    pub pixels: Vec<[u8; 3]>,
}

/// Samples a frame. `None` where it has no pixels or fewer than its size says.
pub(super) fn sample(frame: &Frame) -> Option<Samples> {
    let ImageSize { width, height } = frame.meta.size;
    let (plane, row_bytes) = (frame.pixels.plane(0), width as usize * 3);
    let needed = (height as usize).checked_sub(1)?.checked_mul(plane.stride)?.checked_add(row_bytes)?;
    if width == 0 || plane.stride < row_bytes || plane.data.len() < needed {
        return None;
    }
    let columns = width.min(GRID.width) as usize;
    let rows = height.min(GRID.height) as usize;
    // Middles of equal cells.
    let place = |index: usize, count: usize, side: u32| (2 * index + 1) * side as usize / (2 * count);
    let offsets: Vec<usize> = (0..columns).map(|x| place(x, columns, width) * 3).collect();
    let mut pixels = Vec::with_capacity(columns * rows);
    for y in 0..rows {
        let row = plane.row(place(y, rows, height), row_bytes);
        pixels.extend(offsets.iter().map(|&at| [row[at], row[at + 1], row[at + 2]]));
    }
    Some(Samples { columns, pixels })
}

/// Luma of a pixel, 0..=255. Source: ITU-R BT.601, weights in 256ths.
pub(super) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue) + 128) >> 8) as u8
}

/// What the light of a frame is like, grey levels 0..=255.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LightStats {
    /// A hundredth of the pixels is darker (luma).
    pub black: f32,
    /// A hundredth of the pixels is brighter (luma).
    pub white: f32,
    /// Mean luma.
    pub mean: f32,
    /// Mean red, green and blue.
    pub colours: [f32; 3],
    /// Mean difference between a pixel's strongest and weakest colour; near 0 for infrared pictures.
    pub chroma: f32,
}

impl LightStats {
    pub(super) fn of(samples: &Samples) -> Self {
        let mut histogram = [0u32; 256];
        let (mut colours, mut chroma) = ([0u64; 3], 0u64);
        for &pixel in &samples.pixels {
            histogram[usize::from(luma(pixel))] += 1;
            for (sum, value) in colours.iter_mut().zip(pixel) {
                *sum += u64::from(value);
            }
            let (least, most) = pixel.iter().fold((u8::MAX, 0), |(a, b), &v| (a.min(v), b.max(v)));
            chroma += u64::from(most - least);
        }
        let count = samples.pixels.len().max(1) as f32;
        let levels = histogram.iter().enumerate();
        let mean = levels.map(|(level, &n)| level as f32 * n as f32).sum::<f32>() / count;
        Self {
            black: level_at(&histogram, TAIL * count),
            white: level_at(&histogram, (1.0 - TAIL) * count),
            mean,
            colours: colours.map(|sum| sum as f32 / count),
            chroma: chroma as f32 / count,
        }
    }

    /// The greatest difference of a measurement of the two.
    pub(super) fn distance(&self, other: &Self) -> f32 {
        self.values().iter().zip(other.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    /// `share` of the way from here to `other`.
    pub(super) fn towards(&self, other: &Self, share: f32) -> Self {
        let mix = |a: f32, b: f32| a + (b - a) * share;
        Self {
            black: mix(self.black, other.black),
            white: mix(self.white, other.white),
            mean: mix(self.mean, other.mean),
            colours: std::array::from_fn(|colour| mix(self.colours[colour], other.colours[colour])),
            chroma: mix(self.chroma, other.chroma),
        }
    }

    fn values(&self) -> [f32; 7] {
        let [red, green, blue] = self.colours;
        [self.black, self.white, self.mean, red, green, blue, self.chroma]
    }
}

/// The level below which `rank` of the counted pixels lie, between levels by proportion, so that it moves smoothly.
fn level_at(histogram: &[u32; 256], rank: f32) -> f32 {
    let mut below = 0.0;
    for (level, &count) in histogram.iter().enumerate() {
        let count = count as f32;
        if count > 0.0 && below + count >= rank {
            return (level as f32 - 0.5 + (rank - below).max(0.0) / count).clamp(0.0, 255.0);
        }
        below += count;
    }
    255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_plain_and_of_even_pictures() {
        let plain = Samples { columns: 10, pixels: vec![[100, 100, 100]; 100] };
        let stats = LightStats::of(&plain);
        assert!((stats.black - 99.51).abs() < 0.01 && (stats.white - 100.49).abs() < 0.01, "{stats:?}");
        assert_eq!((stats.mean, stats.colours, stats.chroma), (100.0, [100.0; 3], 0.0));
        let even = Samples { columns: 256, pixels: (0..=255).map(|v| [v; 3]).collect() };
        let stats = LightStats::of(&even);
        assert!((stats.black - 2.06).abs() < 0.1 && (stats.white - 252.94).abs() < 0.1, "{stats:?}");
        assert!((stats.mean - 127.5).abs() < 0.01);
        assert_eq!(LightStats::of(&Samples { columns: 0, pixels: vec![] }).mean, 0.0);
    }

    #[test]
    fn luma_of_grey_is_its_level() {
        assert!((0..=255).all(|level| luma([level; 3]) == level));
        assert_eq!([[255, 0, 0], [0, 255, 0], [0, 0, 255]].map(luma), [77, 149, 29]);
    }
}
