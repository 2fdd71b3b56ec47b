//! From a decoded frame to a network's input.

pub mod camera_motion;
#[cfg(feature = "opencv")]
pub mod flow;
pub mod illumination;
pub mod letterbox;
#[cfg(feature = "torch")]
pub mod normalize;
#[cfg(feature = "opencv")]
pub mod resize;
pub mod tiles;

use crate::frame::ImageSize;

/// A rectangle of whole pixels inside a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Columns left of it.
    pub left: u32,
    /// Rows above it.
    pub top: u32,
    /// Its size.
    pub size: ImageSize,
}

/// Why a frame could not be prepared for a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreprocessError {
    /// A picture of no pixels, or of more than OpenCV can address.
    #[error("a picture of {0} pixels cannot be resized")]
    Size(ImageSize),
    /// The plane holds fewer bytes than its size and stride say.
    #[error("{got} bytes of pixels, expected at least {expected}")]
    Truncated {
        /// Bytes there.
        got: usize,
        /// Bytes needed.
        expected: usize,
    },
    /// OpenCV refused.
    #[error("OpenCV: {0}")]
    OpenCv(String),
}
