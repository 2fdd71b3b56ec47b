//! `annotated.mp4`: every frame of a stream with its zones, lines, trails, boxes and labels, at the times the frames had.

use super::{
    Recorder, SinkError,
    overlay::{Overlay, OverlaySettings},
    picture_video::PictureVideo,
};
use crate::{
    frame::Frame,
    pipeline::flow::{Analyzed, Flow},
    source::SourceInfo,
    track::Track,
};
use std::path::Path;

/// Writes one stream's annotated video.
#[derive(Debug)]
pub struct AnnotatedVideo {
    pictures: PictureVideo,
    overlay: Overlay,
}

impl AnnotatedVideo {
    /// Creates the file (and its folder where missing) for a stream that begins as `info` says.
    ///
    /// Later pictures of another size are letterboxed into the first one's.
    pub fn create(path: &Path, info: &SourceInfo, overlay: OverlaySettings) -> Result<Self, SinkError> {
        Ok(Self { pictures: PictureVideo::create(path, info)?, overlay: Overlay::new(overlay) })
    }

    /// Draws `tracks` on a copy of `frame` and appends it. After an error the file ends with the last whole fragment.
    pub fn write(&mut self, frame: &Frame, tracks: &[Track]) -> Result<(), SinkError> {
        let overlay = &mut self.overlay;
        self.pictures.write(frame, |canvas, placement| overlay.draw(canvas, placement, &frame.meta, tracks))
    }

    /// Completes the file. A video without frames is removed, since no MP4 can be empty. Does nothing the second time or
    /// after an error.
    pub fn finish(&mut self) -> Result<(), SinkError> {
        self.pictures.finish()
    }
}

impl Recorder for AnnotatedVideo {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        self.overlay.follow(&item.events);
        match &item.flow {
            Flow::Data(tracked) => self.write(&tracked.frame, &tracked.tracks),
            Flow::Epoch { .. } | Flow::Turn { .. } | Flow::EndOfStream { .. } => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        AnnotatedVideo::finish(self)
    }
}
