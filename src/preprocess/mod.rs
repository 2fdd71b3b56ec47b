//! From a decoded frame to a network's input.

pub mod camera_motion;
#[cfg(feature = "opencv")]
pub mod flow;
pub mod letterbox;
#[cfg(feature = "torch")]
pub mod normalize;
#[cfg(feature = "opencv")]
pub mod resize;

/// Why a frame could not be prepared for a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreprocessError {
    /// A picture of no pixels, or of more than OpenCV can address.
    #[error("a picture of {0} pixels cannot be resized")]
    Size(crate::frame::ImageSize),
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
