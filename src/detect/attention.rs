//! Which frames of a stream are worth an inference: every so many, and none while nothing moves.
//!
//! Motion is looked for on a small grid of block means, so that single noisy pixels and compression do not count, and
//! against the frame last looked at, so that what moves slowly adds up. A whole picture that grows brighter or darker
//! together has not moved.

use crate::{frame::Frame, time::MediaTime};
use std::time::Duration;

/// Blocks across and down. A person 20 pixels wide in a 768-pixel picture fills two.
const GRID: (usize, usize) = (64, 48);
/// Pixels averaged a block, in each direction.
const SAMPLES: usize = 4;
/// A block has changed if its mean luma differs by more, grey levels: above noise and compression by day.
const CHANGED_LEVELS: f32 = 6.0;

/// When to look.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionSettings {
    /// Look at every n-th frame, >= 1.
    pub every: u32,
    /// Share of the picture that must have changed since the last look, 0..=1; 0 looks whatever has changed.
    pub min_motion: f32,
    /// Look at least this often, whether anything moves or not.
    pub recheck: Duration,
}

impl Default for AttentionSettings {
    fn default() -> Self {
        Self { every: 1, min_motion: 0.0, recheck: Duration::from_secs(5) }
    }
}

/// What is done with a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Look {
    /// The detector sees it.
    #[default]
    Detected,
    /// Nothing has moved since the detector looked: what it found is still there.
    Still,
    /// It is not its turn: nothing is known of it.
    Skipped,
}

/// Decides for the frames of one stream, in order.
#[derive(Clone, Debug)]
pub struct Attention {
    settings: AttentionSettings,
    /// Frames since the last one whose turn it was.
    since_turn: u32,
    /// The frame last looked at: when, and its block means.
    seen: Option<(MediaTime, Vec<f32>)>,
}

impl Attention {
    /// Decides by `settings`; looks at the first frame.
    pub fn new(settings: &AttentionSettings) -> Self {
        Self { settings: settings.clone(), since_turn: 0, seen: None }
    }

    /// Forgets everything: the next frame is looked at.
    pub fn restart(&mut self) {
        (self.since_turn, self.seen) = (0, None);
    }

    /// What to do with the next frame.
    pub fn decide(&mut self, frame: &Frame) -> Look {
        let turn = self.since_turn == 0;
        self.since_turn = (self.since_turn + 1) % self.settings.every.max(1);
        if !turn {
            return Look::Skipped;
        }
        if self.settings.min_motion <= 0.0 {
            return Look::Detected;
        }
        let Some(blocks) = block_means(frame) else { return Look::Detected };
        if let Some((at, seen)) = &self.seen
            && frame.meta.pts.since(*at) < self.settings.recheck
            && changed_share(seen, &blocks) < self.settings.min_motion
        {
            return Look::Still;
        }
        self.seen = Some((frame.meta.pts, blocks));
        Look::Detected
    }
}

/// Mean luma of each block, by row. `None` for a picture smaller than the grid or with fewer pixels than it says.
fn block_means(frame: &Frame) -> Option<Vec<f32>> {
    let (width, height) = (frame.meta.size.width as usize, frame.meta.size.height as usize);
    let (across, down) = (GRID.0 * SAMPLES, GRID.1 * SAMPLES);
    let plane = frame.pixels.plane(0);
    let needed = height.checked_sub(1)? * plane.stride + width * 3;
    if width < across || height < down || plane.stride < width * 3 || plane.data.len() < needed {
        return None;
    }
    let mut means = vec![0f32; GRID.0 * GRID.1];
    for y in 0..down {
        let row = plane.row((2 * y + 1) * height / (2 * down), width * 3);
        for x in 0..across {
            let at = (2 * x + 1) * width / (2 * across) * 3;
            // Green is most of the luma and needs no sum of products.
            means[y / SAMPLES * GRID.0 + x / SAMPLES] += f32::from(row[at + 1]);
        }
    }
    means.iter_mut().for_each(|sum| *sum /= (SAMPLES * SAMPLES) as f32);
    Some(means)
}

/// Share of the blocks that changed, the change of the whole picture (its median) aside.
fn changed_share(before: &[f32], after: &[f32]) -> f32 {
    let mut changes: Vec<f32> = before.iter().zip(after).map(|(a, b)| b - a).collect();
    let middle = changes.len() / 2;
    let whole = *changes.select_nth_unstable_by(middle, f32::total_cmp).1;
    changes.iter().filter(|change| (*change - whole).abs() > CHANGED_LEVELS).count() as f32 / changes.len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameMeta, ImageSize, OwnedPixels, StreamId};
    use std::{sync::Arc, time::Instant};

    const SIZE: ImageSize = ImageSize { width: 320, height: 240 };

    /// A frame at `millis` with noise and a box 12 wide and 30 high at `left`; `light` is added everywhere.
    fn frame(millis: i64, left: usize, light: u8) -> Frame {
        let (width, height) = (SIZE.width as usize, SIZE.height as usize);
        let pixel = |index: usize| {
            let (x, y) = (index % width, index / width);
            let noise = ((index as i64 * 7919 + millis * 104_729) >> 3) as u8 % 5;
            let inside = (left..left + 12).contains(&x) && (100..130).contains(&y);
            [(if inside { 200 } else { 90 }) + noise + light; 3]
        };
        let data = (0..width * height).flat_map(pixel).collect();
        let meta = FrameMeta {
            stream: StreamId(0),
            epoch: 0,
            seq: 0,
            pts: MediaTime(millis * 1_000_000),
            captured: None,
            arrived: Instant::now(),
            size: SIZE,
        };
        Frame { meta, pixels: Arc::new(OwnedPixels { data, stride: width * 3 }) }
    }

    fn gated() -> Attention {
        let recheck = Duration::from_secs(5);
        Attention::new(&AttentionSettings { every: 1, min_motion: 0.001, recheck })
    }

    #[test]
    fn every_nth_frame_has_its_turn() {
        let mut attention = Attention::new(&AttentionSettings { every: 3, ..AttentionSettings::default() });
        let looks = (0..7).map(|i| attention.decide(&frame(i * 100, 0, 0)) == Look::Detected);
        assert_eq!(looks.collect::<Vec<_>>(), [true, false, false, true, false, false, true]);
        attention.restart();
        assert_eq!(attention.decide(&frame(700, 0, 0)), Look::Detected);
    }

    #[test]
    fn a_still_scene_costs_nothing_until_it_is_checked_again() {
        let mut attention = gated();
        let looked: Vec<i64> =
            (0..120).filter(|i| attention.decide(&frame(i * 100, 50, 0)) == Look::Detected).collect();
        assert_eq!(looked, [0, 50, 100]);
    }

    #[test]
    fn whatever_moves_is_looked_at_and_slow_motion_adds_up() {
        let mut attention = gated();
        let fast = (0..20).filter(|&i| attention.decide(&frame(i * 100, 20 + 6 * i as usize, 0)) == Look::Detected);
        assert!(fast.count() >= 18);
        let mut attention = gated();
        let slow = (0..45).filter(|&i| attention.decide(&frame(i * 100, 20 + i as usize / 4, 0)) == Look::Detected);
        let slow = slow.count();
        assert!((2..20).contains(&slow), "{slow}");
    }

    #[test]
    fn light_that_changes_everywhere_is_no_motion() {
        let mut attention = gated();
        attention.decide(&frame(0, 50, 0));
        assert_eq!(attention.decide(&frame(100, 50, 40)), Look::Still);
    }

    #[test]
    fn pictures_too_small_to_tell_are_looked_at() {
        let mut attention = gated();
        let mut tiny = frame(0, 0, 0);
        tiny.meta.size = ImageSize { width: 16, height: 16 };
        assert!((0..3).all(|_| attention.decide(&tiny) == Look::Detected));
        tiny.meta.size = ImageSize { width: 4000, height: 4000 };
        assert_eq!(attention.decide(&tiny), Look::Detected);
    }
}
