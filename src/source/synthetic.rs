//! Pictures made up on the spot: rectangles that move over a plain background, and the truth about them. For tests,
//! benches and trials without a video; needs no GStreamer.

use super::{OpenSource, Pull, Source, SourceError, SourceInfo};
use crate::{
    detect::ClassId,
    frame::{Frame, FrameMeta, ImageSize, OwnedPixels, StreamId},
    geometry::BBox,
    time::MediaTime,
};
use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

const BACKGROUND: [u8; 3] = [96, 104, 96];

/// A rectangle in straight and steady motion.
#[derive(Clone, Debug, PartialEq)]
pub struct Mover {
    /// Identity in the truth.
    pub id: u64,
    /// What it is.
    pub class: ClassId,
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// Where it is in frame 0 (even if it appears later), pixels.
    pub start: BBox,
    /// Motion to the right and downwards, pixels a second.
    pub velocity_px_per_sec: (f32, f32),
    /// Frames it is there in.
    pub frames: Range<u64>,
}

/// Something that happens to the source itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incident {
    /// The frame opens a new epoch.
    NewEpoch,
    /// Nothing is there for one pull; the frame comes with the next.
    Pause,
    /// The source fails instead of giving the frame.
    Failure,
}

/// What a synthetic source shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Picture size.
    pub size: ImageSize,
    /// Frames a second, > 0.
    pub fps: f64,
    /// How many frames there are.
    pub frames: u64,
    /// What moves; later ones cover earlier ones.
    pub movers: Vec<Mover>,
    /// What happens, by frame.
    pub incidents: Vec<(u64, Incident)>,
}

/// Where one mover is in one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// Its `Mover::id`.
    pub id: u64,
    /// What it is.
    pub class: ClassId,
    /// The visible part, clipped to the picture, pixels.
    pub bbox: BBox,
}

impl Scene {
    /// `count` person-shaped rectangles that walk across on rows of their own, every second one from right to left.
    pub fn walkers(size: ImageSize, fps: f64, frames: u64, count: u16) -> Self {
        let (width, height) = (size.width as f32, size.height as f32);
        let row = height / f32::from(count.max(1));
        let crossing_secs = (frames.max(1) as f64 / fps) as f32;
        let walker = |index: u16| {
            let (box_width, box_height) = (row * 0.36, row * 0.9);
            let leftwards = index % 2 == 1;
            let way = (width - box_width).max(0.0);
            let left = if leftwards { way } else { 0.0 };
            let speed = way / crossing_secs * if leftwards { -1.0 } else { 1.0 };
            Mover {
                id: u64::from(index) + 1,
                class: ClassId(0),
                colour: [(40 + 83 * u32::from(index) % 200) as u8, (230 - 61 * u32::from(index) % 200) as u8, 60],
                start: BBox::from_tlwh(left, row * f32::from(index) + row * 0.05, box_width, box_height),
                velocity_px_per_sec: (speed, 0.0),
                frames: 0..frames,
            }
        };
        Self { size, fps, frames, movers: (0..count).map(walker).collect(), incidents: Vec::new() }
    }

    /// Every mover that shows in frame `frame`, in the order of `movers`.
    pub fn truth(&self, frame: u64) -> Vec<Truth> {
        let seconds = (frame as f64 / self.fps) as f32;
        let present = self.movers.iter().filter(|mover| mover.frames.contains(&frame));
        let placed = present.map(|mover| {
            let (dx, dy) = (mover.velocity_px_per_sec.0 * seconds, mover.velocity_px_per_sec.1 * seconds);
            let BBox { left, top, right, bottom } = mover.start;
            let bbox = BBox::new(left + dx, top + dy, right + dx, bottom + dy).clipped_to(self.size);
            Truth { id: mover.id, class: mover.class, bbox }
        });
        placed.filter(|truth| truth.bbox.is_sound()).collect()
    }

    /// Frame `frame` as packed 8-bit RGB.
    pub fn render(&self, frame: u64) -> OwnedPixels {
        let stride = self.size.width as usize * 3;
        let mut data = BACKGROUND.repeat(self.size.width as usize * self.size.height as usize);
        for truth in self.truth(frame) {
            let colour = self.movers.iter().find(|mover| mover.id == truth.id).map_or(BACKGROUND, |m| m.colour);
            let [left, right] = [truth.bbox.left, truth.bbox.right].map(|x| x.round() as usize * 3);
            let [top, bottom] = [truth.bbox.top, truth.bbox.bottom].map(|y| y.round() as usize);
            for row in data.chunks_exact_mut(stride).take(bottom).skip(top) {
                row[left..right].chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&colour));
            }
        }
        OwnedPixels { data, stride }
    }
}

/// Opens a scene as a source.
#[derive(Clone, Debug)]
pub struct SyntheticOpener {
    /// What it shows.
    pub scene: Arc<Scene>,
    /// Stream its frames belong to.
    pub stream: StreamId,
}

impl OpenSource for SyntheticOpener {
    fn open(&self, epoch: u32, first_seq: u64) -> Result<Box<dyn Source>, SourceError> {
        let scene = self.scene.clone();
        let info = SourceInfo {
            size: scene.size,
            fps: Some(scene.fps),
            frames: Some(scene.frames),
            codec: Some("synthetic".into()),
        };
        Ok(Box::new(SyntheticSource {
            incidents: scene.incidents.clone(),
            scene,
            stream: self.stream,
            info,
            epoch,
            epoch_began: 0,
            first_seq,
            next: 0,
        }))
    }
}

/// An open scene. Gives frames as fast as they are pulled.
pub struct SyntheticSource {
    scene: Arc<Scene>,
    stream: StreamId,
    info: SourceInfo,
    incidents: Vec<(u64, Incident)>,
    epoch: u32,
    /// Frame the epoch began with.
    epoch_began: u64,
    first_seq: u64,
    next: u64,
}

impl SyntheticSource {
    /// Lets the incidents of the next frame happen; `Some` is what the pull gives instead of the frame.
    fn incident(&mut self) -> Option<Result<Pull, SourceError>> {
        while let Some(index) = self.incidents.iter().position(|&(frame, _)| frame == self.next) {
            match self.incidents.remove(index).1 {
                Incident::NewEpoch => {
                    self.epoch += 1;
                    self.epoch_began = self.next;
                }
                Incident::Pause => return Some(Ok(Pull::Pending)),
                Incident::Failure => {
                    let frames = std::mem::replace(&mut self.next, self.scene.frames);
                    let (source_name, problem) = ("synthetic".into(), "as the scene demands".into());
                    return Some(Err(SourceError::Damaged { source_name, frames, problem }));
                }
            }
        }
        None
    }
}

impl Source for SyntheticSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn pull(&mut self, _wait: Duration) -> Result<Pull, SourceError> {
        if self.next >= self.scene.frames {
            return Ok(Pull::End { damage: None });
        }
        if let Some(instead) = self.incident() {
            return instead;
        }
        let meta = FrameMeta {
            stream: self.stream,
            epoch: self.epoch,
            seq: self.first_seq + self.next,
            pts: MediaTime::from_secs_f64((self.next - self.epoch_began) as f64 / self.scene.fps),
            captured: None,
            arrived: Instant::now(),
            size: self.scene.size,
        };
        let pixels = Arc::new(self.scene.render(self.next));
        self.next += 1;
        Ok(Pull::Frame(Frame { meta, pixels }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: ImageSize = ImageSize { width: 61, height: 40 };

    fn open(scene: Scene) -> Box<dyn Source> {
        let opener = SyntheticOpener { scene: Arc::new(scene), stream: StreamId(2) };
        opener.open(5, 100).expect("opens")
    }

    fn pull(source: &mut dyn Source) -> Result<Pull, SourceError> {
        source.pull(Duration::ZERO)
    }

    #[test]
    fn gives_every_frame_and_then_the_end_for_ever() {
        let mut source = open(Scene::walkers(SIZE, 10.0, 3, 2));
        for expected in 0..3u64 {
            let Ok(Pull::Frame(frame)) = pull(source.as_mut()) else { panic!("frame {expected}") };
            assert_eq!((frame.meta.epoch, frame.meta.seq), (5, 100 + expected));
            assert_eq!(frame.meta.pts, MediaTime(expected as i64 * 100_000_000));
        }
        for _ in 0..2 {
            assert!(matches!(pull(source.as_mut()), Ok(Pull::End { damage: None })));
        }
    }

    #[test]
    fn pixels_agree_with_the_truth() {
        let scene = Scene::walkers(SIZE, 10.0, 30, 3);
        for frame in [0, 13, 29] {
            let pixels = scene.render(frame);
            for (truth, mover) in scene.truth(frame).iter().zip(&scene.movers) {
                let (x, y) = truth.bbox.center();
                let at = y as usize * pixels.stride + x as usize * 3;
                assert_eq!(pixels.data[at..at + 3], mover.colour, "frame {frame}, mover {}", truth.id);
            }
        }
    }

    #[test]
    fn movers_come_go_and_leave_the_picture() {
        let mut scene = Scene::walkers(SIZE, 10.0, 30, 2);
        scene.movers[0].frames = 5..8;
        scene.movers[1].velocity_px_per_sec = (0.0, 1000.0);
        let ids = |frame| scene.truth(frame).iter().map(|truth| truth.id).collect::<Vec<_>>();
        assert_eq!([ids(0), ids(5), ids(8)], [vec![2], vec![1], vec![]]);
    }

    #[test]
    fn incidents_happen_at_their_frame() {
        let incidents = vec![(1, Incident::Pause), (1, Incident::NewEpoch), (2, Incident::Failure)];
        let mut source = open(Scene { incidents, ..Scene::walkers(SIZE, 10.0, 9, 1) });
        assert!(matches!(pull(source.as_mut()), Ok(Pull::Frame(f)) if f.meta.epoch == 5));
        assert!(matches!(pull(source.as_mut()), Ok(Pull::Pending)));
        assert!(matches!(pull(source.as_mut()), Ok(Pull::Frame(f)) if f.meta.epoch == 6 && f.meta.pts == MediaTime(0)));
        assert!(matches!(pull(source.as_mut()), Err(SourceError::Damaged { frames: 2, .. })));
        assert!(matches!(pull(source.as_mut()), Ok(Pull::End { damage: None })));
    }
}
