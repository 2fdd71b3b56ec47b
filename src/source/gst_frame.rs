//! A decoded GStreamer buffer as pixels: mapped, not copied. The decoder's pool gets it back when the frame is dropped.

use crate::frame::{PixelBuffer, PixelFormat, Plane};
use gstreamer as gst;
use gstreamer_video::{VideoFrame, VideoFrameExt, VideoInfo, video_frame::Readable};

/// A read-only view of a buffer in GStreamer's memory, 8-bit RGB.
pub struct GstPixels(VideoFrame<Readable>);

impl GstPixels {
    /// Maps `buffer`, laid out as `info` (or the buffer's own video meta) says; `None` if the two do not fit, or if the
    /// rows run bottom-up, which no decoder's RGB does.
    pub fn map(buffer: gst::Buffer, info: &VideoInfo) -> Option<Self> {
        let frame = VideoFrame::from_buffer_readable(buffer, info).ok()?;
        (frame.plane_stride()[0] > 0).then_some(Self(frame))
    }
}

impl PixelBuffer for GstPixels {
    fn format(&self) -> PixelFormat {
        PixelFormat::Rgb8
    }

    fn plane(&self, index: usize) -> Plane<'_> {
        let plane = u32::try_from(index).ok().and_then(|index| self.0.plane_data(index).ok());
        let stride = self.0.plane_stride().get(index).map_or(0, |&stride| usize::try_from(stride).unwrap_or(0));
        Plane { data: plane.unwrap_or(&[]), stride }
    }
}
