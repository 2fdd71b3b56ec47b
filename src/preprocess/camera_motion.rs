//! Camera motion: when it is worth measuring, and what a measurement means. Pure; `flow` looks at the pixels.
//!
//! A camera that stands still is glanced at a few times a second, one that moves is measured in every frame. What comes
//! out goes into the tracker as `Observations::camera`.

use super::PreprocessError;
use crate::{detect::Detection, frame::Frame, frame::ImageSize, time::MediaTime};
use std::{fmt, str::FromStr, time::Duration};

/// Whether camera motion is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CameraMotion {
    /// Never: the camera is known to stand still.
    Off,
    /// In every frame while the camera moves, a few times a second while it stands still.
    #[default]
    Auto,
    /// In every frame.
    On,
}

impl CameraMotion {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Auto, Self::On];

    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Auto => "auto",
            Self::On => "on",
        }
    }
}

impl fmt::Display for CameraMotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is none of `CameraMotion`'s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("camera motion {0:?}: expected one of off, auto, on")]
pub struct UnknownCameraMotion(String);

impl FromStr for CameraMotion {
    type Err = UnknownCameraMotion;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|switch| switch.name() == name).ok_or_else(|| UnknownCameraMotion(name.to_owned()))
    }
}

/// Measures how the camera of one stream moves.
pub trait MeasureCamera: Send {
    /// Motion from the frame given before to this one: x' = a·x + b·y + c, y' = d·x + e·y + f as [a, b, c, d, e, f] in
    /// source pixels, pixel edges at whole numbers. `None`: it stood still, or what it did cannot be told.
    ///
    /// `foreground`: what was found in this frame; what lies behind it is not taken for the scene.
    fn measure(&mut self, frame: &Frame, foreground: &[Detection]) -> Result<Option<[f32; 6]>, PreprocessError>;
    /// Begins a new epoch: the next frame has no predecessor.
    fn restart(&mut self);
}

/// A rotation, a uniform scale and a shift: x' = a·x - b·y + c, y' = b·x + a·y + f.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// Scale times the cosine of the rotation.
    pub a: f64,
    /// Scale times its sine.
    pub b: f64,
    /// Shift to the right, pixels.
    pub c: f64,
    /// Shift downwards, pixels.
    pub f: f64,
}

impl Similarity {
    /// No motion.
    pub const NONE: Self = Self { a: 1.0, b: 0.0, c: 0.0, f: 0.0 };

    /// How far the corners of a picture go at most, in its pixels.
    pub fn reach(&self, size: ImageSize) -> f64 {
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let gone = |(x, y): (f64, f64)| {
            let (to_x, to_y) = (self.a * x - self.b * y + self.c, self.b * x + self.a * y + self.f);
            (to_x - x).hypot(to_y - y)
        };
        [(0.0, 0.0), (width, 0.0), (0.0, height), (width, height)].into_iter().map(gone).fold(0.0, f64::max)
    }

    /// The same motion for a picture `factor` times as large, and with whole numbers at the edges of pixels, not at their
    /// middles.
    pub fn enlarged(&self, factor: f64) -> [f32; 6] {
        let (a, b) = (self.a, self.b);
        let shift_x = factor * (self.c + 0.5 - 0.5 * (a - b));
        let shift_y = factor * (self.f + 0.5 - 0.5 * (a + b));
        [a, -b, shift_x, b, a, shift_y].map(|value| value as f32)
    }
}

/// Motion of a corner of the small picture that counts as none, pixels a frame. Flow is exact to about 0.05.
const STILL_PX: f64 = 0.12;
/// Motion between two glances from which on the camera moves, pixels of the small picture.
const MOVED_PX: f64 = 0.5;
/// Time between two glances at a camera that stands still.
const GLANCE_INTERVAL: Duration = Duration::from_millis(250);
/// How long a camera must have stood still to be only glanced at again: longer than the pauses of a hand or a sweep.
const CALM: Duration = Duration::from_secs(2);

/// Decides in which frames to look, with hysteresis.
#[derive(Debug)]
pub struct Vigilance {
    mode: CameraMotion,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Stands still as far as is known. When it was last glanced at.
    Glancing(Option<MediaTime>),
    /// Moves. When it last did.
    Following(MediaTime),
}

impl Vigilance {
    /// For a stream that has not begun.
    pub fn new(mode: CameraMotion) -> Self {
        Self { mode, state: State::Glancing(None) }
    }

    /// Forgets everything: a new epoch.
    pub fn restart(&mut self) {
        self.state = State::Glancing(None);
    }

    /// Whether to look at the frame of this time.
    pub fn looks(&self, at: MediaTime) -> bool {
        match (self.mode, self.state) {
            (CameraMotion::Off, _) => false,
            (CameraMotion::On, _) | (_, State::Following(_) | State::Glancing(None)) => true,
            (CameraMotion::Auto, State::Glancing(Some(last))) => at.since(last) >= GLANCE_INTERVAL,
        }
    }

    /// Takes note of a look at the frame of this time: how far the corners went since the last look, pixels of the small
    /// picture, where that could be told. Gives whether the motion is one of the camera, from the frame before.
    pub fn learn(&mut self, at: MediaTime, reach: Option<f64>) -> bool {
        match (self.mode, self.state) {
            (CameraMotion::Off, _) => false,
            (CameraMotion::On, _) => reach.is_some_and(|reach| reach >= STILL_PX),
            (CameraMotion::Auto, State::Glancing(_)) => {
                let moved = reach.is_some_and(|reach| reach >= MOVED_PX);
                self.state = if moved { State::Following(at) } else { State::Glancing(Some(at)) };
                // The glance before lies some frames back: what happened since the last frame is not known.
                false
            }
            (CameraMotion::Auto, State::Following(last)) => {
                let moved = reach.is_some_and(|reach| reach >= STILL_PX);
                if moved {
                    self.state = State::Following(at);
                } else if at.since(last) >= CALM {
                    self.state = State::Glancing(Some(at));
                }
                moved
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: ImageSize = ImageSize { width: 384, height: 288 };

    #[test]
    fn names_read_back() {
        for switch in CameraMotion::ALL {
            assert_eq!(switch.to_string().parse(), Ok(switch));
        }
        assert_eq!("yes".parse::<CameraMotion>(), Err(UnknownCameraMotion("yes".into())));
    }

    #[test]
    fn a_shift_and_a_zoom_grow_with_the_picture() {
        let shift = Similarity { a: 1.0, b: 0.0, c: 3.0, f: -2.0 };
        assert_eq!(shift.enlarged(2.0), [1.0, 0.0, 6.0, 0.0, 1.0, -4.0]);
        assert!((shift.reach(SIZE) - 13f64.sqrt()).abs() < 1e-9);
        // A zoom about the small picture's middle stays one about the large picture's middle.
        let (middle_x, middle_y) = ((384.0 - 1.0) / 2.0, (288.0 - 1.0) / 2.0);
        let zoom = Similarity { a: 1.1, b: 0.0, c: -0.1 * middle_x, f: -0.1 * middle_y };
        let [a, b, c, d, e, f] = zoom.enlarged(2.0);
        assert_eq!((a, b, d, e), (1.1, 0.0, 0.0, 1.1));
        assert!((a * 384.0 + c - 384.0).abs() < 1e-3 && (e * 288.0 + f - 288.0).abs() < 1e-3);
    }

    /// Frames at which a 25 Hz stream is looked at and those whose motion is passed on.
    fn watch(mode: CameraMotion, frames: i64, reach: impl Fn(i64) -> Option<f64>) -> (Vec<i64>, Vec<i64>) {
        let mut vigilance = Vigilance::new(mode);
        let (mut looked, mut told) = (Vec::new(), Vec::new());
        for frame in 0..frames {
            let at = MediaTime(frame * 40_000_000);
            if vigilance.looks(at) {
                looked.push(frame);
                if vigilance.learn(at, reach(frame)) {
                    told.push(frame);
                }
            }
        }
        (looked, told)
    }

    #[test]
    fn a_still_camera_is_glanced_at_four_times_a_second() {
        let (looked, told) = watch(CameraMotion::Auto, 100, |_| Some(0.05));
        assert!(looked.len() <= 16, "{looked:?}");
        assert!(told.is_empty());
        // A scene that tells nothing costs no more.
        assert_eq!(watch(CameraMotion::Auto, 100, |_| None).0, looked);
    }

    #[test]
    fn a_pan_is_followed_until_it_has_been_over_for_a_while() {
        let pan = |frame: i64| Some(if (100..150).contains(&frame) { 2.0 } else { 0.03 });
        let (looked, told) = watch(CameraMotion::Auto, 400, pan);
        let began = told[0];
        assert!((101..=108).contains(&began), "noticed within a glance: {told:?}");
        assert_eq!(told, (began..150).collect::<Vec<_>>());
        let (followed, glanced) = (150..=199, 210..400);
        assert!(followed.clone().all(|frame| looked.contains(&frame)), "hysteresis");
        assert!(glanced.clone().filter(|frame| looked.contains(frame)).count() < 30);
    }

    #[test]
    fn switched_on_every_frame_is_measured_and_switched_off_none() {
        assert_eq!(watch(CameraMotion::On, 30, |_| Some(1.0)), ((0..30).collect(), (0..30).collect()));
        assert!(watch(CameraMotion::On, 30, |_| Some(0.01)).1.is_empty());
        assert_eq!(watch(CameraMotion::Off, 30, |_| Some(1.0)), (vec![], vec![]));
    }
}
