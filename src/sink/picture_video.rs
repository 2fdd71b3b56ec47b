//! A video file made of frames with something drawn on them, at the times the frames had. What is drawn is the caller's.

use super::{
    SinkError,
    canvas::copy_onto,
    placement::{CanvasLimits, Placement},
    video_encode::{EncodeError, Encoding},
};
use crate::{
    frame::{Frame, ImageSize},
    source::{SourceInfo, gst_h264},
    time::MediaTime,
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

/// Full HD either way round: larger pictures are scaled down, because encoding them in software takes longer than
/// analysing them. Below 16 pixels OpenH264 refuses.
const LIMITS: CanvasLimits = CanvasLimits { least_px: 16, most_long_px: 1920, most_short_px: 1088 };

/// Rate assumed where a source does not know its own.
const DEFAULT_FPS: f64 = 25.0;

/// Longest wait for the encoder or the disk, for one frame and for the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A video that is being written.
#[derive(Debug)]
pub struct PictureVideo {
    path: PathBuf,
    /// `None` once finished or failed.
    encoding: Option<Encoding>,
    canvas: ImageSize,
    interval: Duration,
    clock: OutputClock,
    frames: u64,
}

impl PictureVideo {
    /// Creates the file (and its folder where missing) for pictures that begin as `info` says. Later pictures of another
    /// size are letterboxed into the first one's.
    pub fn create(path: &Path, info: &SourceInfo) -> Result<Self, SinkError> {
        let make = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create(path)
        };
        // GStreamer opens it again; made here, because the system's own words are the clearer ones.
        make().map_err(|source| SinkError::File { path: path.to_owned(), source })?;
        let fps = info.fps.filter(|fps| fps.is_finite() && *fps > 0.0).unwrap_or(DEFAULT_FPS);
        let canvas = LIMITS.canvas_for(info.size);
        let encoding = Encoding::start(path, canvas, fps)
            .map_err(|error| SinkError::Video { path: path.to_owned(), problem: error.to_string() })?;
        tracing::info!(file = %path.display(), encoder = gst_h264::ENCODER, source = %info.size, size = %canvas, "annotated video");
        Ok(Self {
            path: path.to_owned(),
            encoding: Some(encoding),
            canvas,
            interval: Duration::from_secs_f64(1.0 / fps),
            clock: OutputClock::default(),
            frames: 0,
        })
    }

    /// Appends a copy of `frame` on which `draw` has drawn: packed 8-bit RGB rows that hold the picture as the placement
    /// says. After an error the file ends with the last whole fragment.
    pub fn write(
        &mut self,
        frame: &Frame,
        draw: impl FnOnce(&mut [u8], &Placement) -> opencv::Result<()>,
    ) -> Result<(), SinkError> {
        let Some(encoding) = &self.encoding else {
            return Err(self.error("it was finished already"));
        };
        let pts = self.clock.place(frame.meta.epoch, frame.meta.pts, self.interval);
        let placement = Placement::fit(frame.meta.size, self.canvas);
        let pushed = encoding.push(pts, self.interval, PATIENCE, |canvas| -> Result<(), String> {
            copy_onto(frame, &placement, canvas)?;
            draw(canvas, &placement).map_err(|error| format!("drawing: {error}"))
        });
        match pushed {
            Ok(Ok(())) => {
                self.frames += 1;
                Ok(())
            }
            Ok(Err(problem)) => Err(self.fail(&problem)),
            Err(error) => Err(self.fail_encoding(&error)),
        }
    }

    /// Completes the file. A video without frames is removed, since no MP4 can be empty. Does nothing the second time or
    /// after an error.
    pub fn finish(&mut self) -> Result<(), SinkError> {
        let Some(encoding) = self.encoding.take() else { return Ok(()) };
        if self.frames == 0 {
            drop(encoding);
            return fs::remove_file(&self.path).map_err(|source| SinkError::File { path: self.path.clone(), source });
        }
        encoding.finish(PATIENCE).map_err(|error| self.fail_encoding(&error))
    }

    fn fail_encoding(&mut self, error: &EncodeError) -> SinkError {
        self.fail(&error.to_string())
    }

    /// Closes the file as it is.
    fn fail(&mut self, problem: &str) -> SinkError {
        self.encoding = None;
        self.error(problem)
    }

    fn error(&self, problem: &str) -> SinkError {
        let problem = format!("cannot be written after frame {}: {problem}", self.frames);
        SinkError::Video { path: self.path.clone(), problem }
    }
}

/// Puts the epochs of a stream behind one another: a video has one clock, which never goes back.
#[derive(Clone, Copy, Debug, Default)]
struct OutputClock {
    last: Option<(u32, MediaTime, Duration)>,
}

impl OutputClock {
    fn place(&mut self, epoch: u32, pts: MediaTime, interval: Duration) -> Duration {
        let out = match self.last {
            None => Duration::ZERO,
            Some((last_epoch, last_pts, out)) if last_epoch == epoch && pts > last_pts => out + pts.since(last_pts),
            Some((_, _, out)) => out + interval,
        };
        self.last = Some((epoch, pts, out));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_follow_one_another_and_rates_are_kept() {
        let mut clock = OutputClock::default();
        let interval = Duration::from_millis(100);
        let frames = [(0, 500), (0, 600), (0, 950), (1, 0), (1, 100), (1, 100), (3, 7000)];
        let placed = frames.map(|(epoch, ms)| clock.place(epoch, MediaTime(ms * 1_000_000), interval).as_millis());
        assert_eq!(placed, [0, 100, 450, 550, 650, 750, 850]);
    }
}
