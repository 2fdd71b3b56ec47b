//! `annotated.mp4`: the stream's pictures with what was found drawn on them.

use super::{Recorder, SinkError, canvas::Canvas, encoder::Encoder, overlay::Overlay};
use crate::{
    config::plan::ZonePlan,
    pipeline::flow::{Analyzed, Flow, Tracked},
    source::SourceInfo,
    time::MediaTime,
};
use std::{path::Path, sync::Arc, time::Duration};

/// Assumed where the source does not know its rate.
const DEFAULT_FPS: f64 = 25.0;

/// Writes one stream's annotated video. Copies each picture once and draws on the copy.
pub struct AnnotatedVideo {
    canvas: Canvas,
    overlay: Overlay,
    encoder: Encoder,
    clock: VideoClock,
}

impl AnnotatedVideo {
    /// Creates the file for a stream that begins as `info` says.
    pub fn create(
        path: &Path,
        info: &SourceInfo,
        classes: Arc<[String]>,
        zones: &[ZonePlan],
        trail: Duration,
    ) -> Result<Self, SinkError> {
        let canvas = Canvas::new(info.size);
        let fps = info.fps.unwrap_or(DEFAULT_FPS);
        let encoder = Encoder::create(path, canvas.size, fps)?;
        let mut overlay = Overlay::new(classes, zones, trail);
        overlay.begin(&canvas)?;
        Ok(Self { canvas, overlay, encoder, clock: VideoClock::new(fps) })
    }

    fn add(&mut self, tracked: &Tracked) -> Result<(), SinkError> {
        let at = self.clock.shown_at(tracked.frame.meta.pts);
        let mut pixels = self.canvas.paint(&tracked.frame)?;
        self.overlay.draw(&mut pixels, &self.canvas, tracked.frame.meta.pts, &tracked.tracks)?;
        self.encoder.push(pixels, at)
    }
}

impl Recorder for AnnotatedVideo {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        match &item.flow {
            Flow::Data(tracked) => self.add(tracked),
            Flow::Epoch { epoch: 0, .. } | Flow::EndOfStream { .. } => Ok(()),
            Flow::Epoch { info, .. } => {
                self.clock.begin_epoch();
                self.canvas = self.canvas.refit(info.size);
                self.overlay.begin(&self.canvas)
            }
        }
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.encoder.finish()
    }
}

/// Lays the epochs of a stream end to end: a file has one time, and it must grow.
#[derive(Debug)]
struct VideoClock {
    interval_nanos: i64,
    /// Time in the file minus media time, within this epoch; `None` before its first frame.
    offset: Option<i64>,
    last: Option<i64>,
}

impl VideoClock {
    fn new(fps: f64) -> Self {
        Self { interval_nanos: (1e9 / fps.clamp(0.01, 1000.0)) as i64, offset: None, last: None }
    }

    fn begin_epoch(&mut self) {
        self.offset = None;
    }

    /// When a frame of media time `pts` is shown.
    fn shown_at(&mut self, pts: MediaTime) -> MediaTime {
        let next = self.last.map_or(0, |last| last + self.interval_nanos);
        let offset = *self.offset.get_or_insert(next - pts.0);
        let least = self.last.map_or(0, |last| last + 1);
        let at = (pts.0 + offset).max(least);
        self.last = Some(at);
        MediaTime(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_the_file_grows_over_epochs_and_bad_timestamps() {
        let mut clock = VideoClock::new(10.0);
        let mut at = |millis: i64| clock.shown_at(MediaTime(millis * 1_000_000)).0;
        assert_eq!([at(500), at(600), at(900)], [0, 100_000_000, 400_000_000], "begins at 0, keeps irregular steps");
        assert!(at(100) > 400_000_000);
        clock.begin_epoch();
        let first = clock.shown_at(MediaTime(0)).0;
        assert!((500_000_000..510_000_000).contains(&first), "{first}");
    }
}
