//! A decoded picture and what is known about it. The decoder's pool owns the memory; everybody after it borrows.

use crate::{preprocess::illumination::PartLight, time::MediaTime};
use std::{
    fmt,
    sync::Arc,
    time::{Instant, SystemTime},
};

/// Dense index into the plan's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u16);

impl StreamId {
    /// Position in a per-stream table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Width and height of a picture, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageSize {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// How the bytes of a picture are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// One plane, three bytes a pixel: red, green, blue.
    Rgb8,
}

/// One plane of a picture. Rows are `stride` bytes apart, which is more than `width * bytes per pixel` where the
/// decoder pads them.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// The bytes; the last row may end without its padding.
    pub data: &'a [u8],
    /// Bytes from one row's start to the next.
    pub stride: usize,
}

impl<'a> Plane<'a> {
    /// The first `bytes` bytes of row `y`.
    pub fn row(&self, y: usize, bytes: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..bytes]
    }
}

/// Read-only pixels in somebody's memory.
pub trait PixelBuffer: Send + Sync {
    /// Layout of the planes.
    fn format(&self) -> PixelFormat;
    /// Plane `index`, from 0.
    fn plane(&self, index: usize) -> Plane<'_>;
    /// The light a network should see them in; `None`: as they are.
    fn light(&self) -> Option<PartLight<'_>> {
        None
    }
}

/// Everything known about a frame but its pixels.
#[derive(Clone, Debug)]
pub struct FrameMeta {
    /// Which stream of the plan.
    pub stream: StreamId,
    /// Grows by one on reconnect, seek and change of picture size.
    pub epoch: u32,
    /// Decoded frames of this stream before this one, over all epochs; a gap is a drop.
    pub seq: u64,
    /// Presentation time within the epoch.
    pub pts: MediaTime,
    /// Wall-clock time of capture, where the source knows it.
    pub captured: Option<SystemTime>,
    /// When the decoder handed the frame over.
    pub arrived: Instant,
    /// Picture size.
    pub size: ImageSize,
}

/// A decoded picture.
#[derive(Clone)]
pub struct Frame {
    /// What is known about it.
    pub meta: FrameMeta,
    /// Its pixels, shared and read-only.
    pub pixels: Arc<dyn PixelBuffer>,
}

impl Frame {
    /// A picture that belongs to no video: the first of stream 0, at time 0. `data`: rows of `stride` bytes, three a pixel: red,
    /// green, blue.
    pub fn alone(size: ImageSize, data: Vec<u8>, stride: usize) -> Self {
        let meta = FrameMeta {
            stream: StreamId(0),
            epoch: 0,
            seq: 0,
            pts: MediaTime(0),
            captured: None,
            arrived: Instant::now(),
            size,
        };
        Self { meta, pixels: Arc::new(OwnedPixels { data, stride }) }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("meta", &self.meta).finish_non_exhaustive()
    }
}

/// Pixels that own their memory: synthetic pictures and tests.
pub struct OwnedPixels {
    /// Rows of `stride` bytes.
    pub data: Vec<u8>,
    /// Bytes from row to row.
    pub stride: usize,
}

impl PixelBuffer for OwnedPixels {
    fn format(&self) -> PixelFormat {
        PixelFormat::Rgb8
    }

    fn plane(&self, _index: usize) -> Plane<'_> {
        Plane { data: &self.data, stride: self.stride }
    }
}
