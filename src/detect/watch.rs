//! How one stream is looked at: which of its frames, which part of them, in what light.
//!
//! Frames pass `prepare` in the order of the stream before they are dealt out to whoever detects, so what is decided does
//! not depend on threads. Knows no network.

pub use super::attention::Look;
use super::{
    Detection,
    attention::{Attention, AttentionSettings},
};
use crate::{
    frame::{Frame, ImageSize},
    geometry::is_inside,
    preprocess::{
        Region,
        illumination::{Illumination, LightChange, LightSettings},
        tiles::part_of,
    },
};
use std::time::Duration;

/// How a frame was looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sight {
    /// Whether the detector saw it.
    pub look: Look,
    /// The change of light that came with it, if any.
    pub light: Option<LightChange>,
}

/// How a stream is to be looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchSettings {
    /// What to do about its light.
    pub light: LightSettings,
    /// Which frames to look at.
    pub attention: AttentionSettings,
    /// Polygons outside of which nothing counts, corners as shares of the picture's sides; none: everything counts.
    pub regions: Vec<Vec<[f64; 2]>>,
    /// What the detector sees of a picture with regions.
    pub view: View,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            light: LightSettings::Off,
            attention: AttentionSettings::default(),
            regions: Vec::new(),
            view: View::Whole,
        }
    }
}

/// What the detector sees of a picture with regions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// All of it.
    #[default]
    Whole,
    /// The rectangle around the regions, and so what is in there larger.
    AroundRegions,
}

/// Follows one stream.
#[derive(Debug)]
pub struct Watch {
    illumination: Option<Illumination>,
    attention: Attention,
    regions: Vec<Vec<[f64; 2]>>,
    view: View,
    /// What was found when last looked, for frames in which nothing has moved.
    latest: Vec<Detection>,
}

impl Default for Watch {
    fn default() -> Self {
        Self::new(&WatchSettings::default())
    }
}

impl Watch {
    /// Looks as `settings` say.
    pub fn new(settings: &WatchSettings) -> Self {
        Self {
            illumination: Illumination::new(&settings.light),
            attention: Attention::new(&settings.attention),
            regions: settings.regions.clone(),
            view: settings.view,
            latest: Vec::new(),
        }
    }

    /// A new epoch begins: nothing of the old one holds.
    pub fn restart(&mut self) {
        if let Some(illumination) = &mut self.illumination {
            illumination.restart();
        }
        // Looks at the next frame, so what was found before is not told again.
        self.attention.restart();
    }

    /// Time spent on light so far.
    pub fn light_spent(&self) -> Duration {
        self.illumination.as_ref().map(Illumination::spent).unwrap_or_default()
    }

    /// Decides about the next frame and lights it up.
    pub fn prepare(&mut self, frame: &mut Frame) -> Sight {
        let look = self.attention.decide(frame);
        let light = self.illumination.as_mut().and_then(|illumination| illumination.observe(frame));
        Sight { look, light }
    }

    /// What the detector gets to see of a frame.
    pub fn view(&self, frame: &Frame) -> Frame {
        match self.viewed(frame.meta.size) {
            Some(region) => part_of(frame, region),
            None => frame.clone(),
        }
    }

    /// What is to be found in a frame: of `new` (found in its view, if it was looked at) what lies in the regions.
    pub fn found(&mut self, frame: &Frame, new: Option<Vec<Detection>>, look: Look) -> Vec<Detection> {
        let size = frame.meta.size;
        if let Some(mut new) = new {
            if let Some(region) = self.viewed(size) {
                new.iter_mut().for_each(|d| d.bbox = d.bbox.shifted(region.left as f32, region.top as f32));
            }
            if !self.regions.is_empty() {
                new.retain(|detection| self.is_wanted(detection, size));
            }
            self.latest = new;
        }
        if look == Look::Skipped { Vec::new() } else { self.latest.clone() }
    }

    /// Whether the middle of a detection lies in a region.
    fn is_wanted(&self, detection: &Detection, size: ImageSize) -> bool {
        let (x, y) = detection.bbox.center();
        let at = [f64::from(x) / f64::from(size.width), f64::from(y) / f64::from(size.height)];
        self.regions.iter().any(|region| is_inside(at, region))
    }

    /// The rectangle the detector sees of pictures of a size; `None` for all.
    fn viewed(&self, size: ImageSize) -> Option<Region> {
        if self.view == View::Whole || self.regions.is_empty() {
            return None;
        }
        let span = |axis: usize, side: u32| {
            let along = self.regions.iter().flatten().map(|corner| corner[axis]);
            let (low, high) = along.fold((1f64, 0f64), |(low, high), at| (low.min(at), high.max(at)));
            let from = ((low * f64::from(side)).floor() as u32).min(side.saturating_sub(1));
            (from, ((high * f64::from(side)).ceil() as u32).clamp(from + 1, side.max(1)) - from)
        };
        let ((left, width), (top, height)) = (span(0, size.width), span(1, size.height));
        Some(Region { left, top, size: ImageSize { width, height } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{detect::ClassId, geometry::BBox};

    const SIZE: ImageSize = ImageSize { width: 100, height: 50 };

    fn frame() -> Frame {
        let data =
            (0..SIZE.width * SIZE.height).flat_map(|index| [(index % 100) as u8, (index / 100) as u8, 0]).collect();
        Frame::alone(SIZE, data, 300)
    }

    fn at(x: f32, y: f32) -> Detection {
        Detection { bbox: BBox::from_cxcywh(x, y, 8.0, 8.0), class: ClassId(0), score: 0.5 }
    }

    fn settings(view: View) -> WatchSettings {
        let triangle = vec![[0.5, 0.0], [1.0, 0.0], [1.0, 1.0]];
        let square = vec![[0.2, 0.2], [0.4, 0.2], [0.4, 0.6], [0.2, 0.6]];
        WatchSettings { regions: vec![triangle, square], view, ..WatchSettings::default() }
    }

    #[test]
    fn only_what_lies_in_a_region_counts() {
        let mut watch = Watch::new(&settings(View::Whole));
        let new = vec![at(90.0, 10.0), at(55.0, 40.0), at(30.0, 20.0), at(45.0, 20.0)];
        let found = watch.found(&frame(), Some(new), Look::Detected);
        assert_eq!(found, [at(90.0, 10.0), at(30.0, 20.0)]);
        assert_eq!(watch.found(&frame(), None, Look::Still), found, "nothing moved: still there");
        assert_eq!(watch.found(&frame(), None, Look::Skipped), []);
    }

    #[test]
    fn a_view_around_the_regions_shows_their_pixels_and_its_boxes_come_back() {
        let mut watch = Watch::new(&settings(View::AroundRegions));
        let view = watch.view(&frame());
        assert_eq!(view.meta.size, ImageSize { width: 80, height: 50 });
        assert_eq!(view.pixels.plane(0).row(3, 3), [20, 3, 0]);
        assert_eq!(watch.found(&frame(), Some(vec![at(10.0, 20.0)]), Look::Detected), [at(30.0, 20.0)]);
        let whole = Watch::new(&WatchSettings { view: View::AroundRegions, ..WatchSettings::default() });
        assert_eq!(whole.view(&frame()).meta.size, SIZE);
    }
}
