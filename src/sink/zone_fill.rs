//! The tinted inside of a zone. Pure: which pixels it covers is worked out once, tinting them is a few additions each.

use super::{palette::Rgb, placement::Placement};
use crate::config::plan::ZonePlan;
use std::ops::Range;

/// Share of the tint, of 256.
const TINT: u16 = 46;

/// The pixels of one zone on one canvas, and their tint.
#[derive(Clone, Debug)]
pub struct ZoneFill {
    /// Ranges of bytes, row by row, none overlapping.
    spans: Vec<Range<usize>>,
    /// What is added to each byte of a row of pixels, times 256.
    addends: Vec<u16>,
}

impl ZoneFill {
    /// The inside of `zone` (even-odd rule) on a canvas of packed 8-bit RGB.
    pub fn new(zone: &ZonePlan, colour: Rgb, placement: &Placement) -> Self {
        let (width, height) = (placement.source.width as f32, placement.source.height as f32);
        let corner = |x_norm: f32, y_norm: f32| placement.canvas_from_source((x_norm * width, y_norm * height));
        let corners: Vec<_> = zone.polygon.iter().map(|c| corner(c.x_norm, c.y_norm)).collect();
        let columns = placement.canvas.width as usize;
        let mut spans = Vec::new();
        for row in 0..placement.canvas.height as usize {
            for [from, to] in crossings(&corners, row as f32 + 0.5).as_chunks::<2>().0 {
                let [from, to] = [from, to].map(|x| (x.round().max(0.0) as usize).min(columns));
                if from < to {
                    spans.push((row * columns + from) * 3..(row * columns + to) * 3);
                }
            }
        }
        let addends = colour.map(|channel| u16::from(channel) * TINT).repeat(columns);
        Self { spans, addends }
    }

    /// Tints the zone on a canvas of the size it was made for.
    pub fn blend(&self, canvas: &mut [u8]) {
        for span in &self.spans {
            let Some(bytes) = canvas.get_mut(span.clone()) else { continue };
            // A span starts with a pixel's red, and so do the addends.
            for (byte, addend) in bytes.iter_mut().zip(&self.addends) {
                *byte = ((u16::from(*byte) * (256 - TINT) + addend) >> 8) as u8;
            }
        }
    }
}

/// Where a horizontal line at `y` crosses the edges of a polygon, from left to right; always an even number.
fn crossings(corners: &[(f32, f32)], y: f32) -> Vec<f32> {
    let next = corners.iter().cycle().skip(1);
    let edges = corners.iter().zip(next).filter(|(a, b)| (a.1 <= y) != (b.1 <= y));
    let mut xs: Vec<_> = edges.map(|(a, b)| a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0)).collect();
    xs.sort_by(f32::total_cmp);
    xs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::plan::ZonePoint, frame::ImageSize};

    const SIZE: ImageSize = ImageSize { width: 10, height: 8 };

    fn covered(corners: &[(f32, f32)]) -> Vec<String> {
        let polygon = corners.iter().map(|&(x_norm, y_norm)| ZonePoint { x_norm, y_norm }).collect();
        let zone = ZonePlan::new("zone", polygon);
        let mut canvas = vec![0; 10 * 8 * 3];
        ZoneFill::new(&zone, [255; 3], &Placement::fit(SIZE, SIZE)).blend(&mut canvas);
        let mark = |pixel: &[u8]| if pixel.iter().all(|&byte| byte > 0) { '#' } else { '.' };
        canvas.chunks(30).map(|row| row.chunks(3).map(mark).collect()).collect()
    }

    #[test]
    fn a_triangle_a_notch_and_a_crossing() {
        let full = "##########".to_owned();
        assert_eq!(covered(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]), vec![full; 8]);
        let triangle = covered(&[(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)]);
        assert_eq!([&triangle[0], &triangle[3], &triangle[7]], ["#.........", "####......", "#########."]);
        let notch = covered(&[(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.5, 1.0)]);
        assert_eq!(notch[1], "#........#");
        let bow = covered(&[(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)]);
        assert_eq!(bow[2], "###....###");
    }

    #[test]
    fn corners_outside_the_picture_are_cut() {
        assert_eq!(covered(&[(-9.0, -9.0), (9.0, -9.0), (9.0, 9.0), (-9.0, 9.0)]), vec!["##########"; 8]);
        assert_eq!(covered(&[(2.0, 2.0), (3.0, 2.0), (3.0, 3.0)]), vec![".........."; 8]);
        assert_eq!(covered(&[]), vec![".........."; 8]);
    }

    #[test]
    fn tints_and_never_overflows() {
        let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
        let zone = ZonePlan::new("all", corners.map(|(x_norm, y_norm)| ZonePoint { x_norm, y_norm }).into());
        let fill = ZoneFill::new(&zone, [255, 0, 128], &Placement::fit(SIZE, SIZE));
        let mut white = vec![255; 240];
        fill.blend(&mut white);
        assert_eq!(white[..3], [255, 209, 232]);
        fill.blend(&mut [0; 9]);
    }
}
