//! Finds objects in frames: preprocess, network, head, non-maximum suppression. Knows nothing of time or identity.

pub mod attention;
pub mod fusion;
pub mod heads;
#[cfg(feature = "torch")]
mod load;
pub mod match_head;
pub mod nms;
#[cfg(feature = "torch")]
mod outputs;
pub mod scripted;
pub mod tiled;
#[cfg(all(feature = "torch", feature = "opencv"))]
pub mod torch;
pub mod watch;
#[cfg(feature = "torch")]
mod workers;

use crate::{frame::Frame, geometry::BBox, preprocess::PreprocessError};

/// Index into the class names of the detector that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClassId(pub u16);

/// One object found in one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Where, source pixels.
    pub bbox: BBox,
    /// What.
    pub class: ClassId,
    /// How sure, 0..=1.
    pub score: f32,
}

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The model's file is missing, unreadable, truncated or of another kind.
    #[error("model {model}: {problem}")]
    Model {
        /// Name or path of the model.
        model: String,
        /// What is wrong, what was expected, what to do.
        problem: String,
    },
    /// The network's output does not fit the head that should decode it.
    #[error("model {model}: output {got}, expected {expected}")]
    Shape {
        /// Name or path of the model.
        model: String,
        /// Shape found.
        got: String,
        /// Shape the head decodes.
        expected: String,
    },
    /// A frame cannot be brought to the network's input.
    #[error("frame {seq}: {problem}")]
    Frame {
        /// Its number in its stream, from 0.
        seq: u64,
        /// What is wrong with it.
        problem: PreprocessError,
    },
    /// The system gave no thread to run it on.
    #[error("no thread for inference: {problem}")]
    Thread {
        /// What the system said.
        problem: String,
    },
    /// libtorch refused; out of memory is the usual reason.
    #[error("model {model}: libtorch: {message}")]
    Torch {
        /// Name or path of the model.
        model: String,
        /// libtorch's message, first line.
        message: String,
    },
}

/// Finds objects in a batch of frames, which may be of different sizes and streams.
pub trait Detector: Send {
    /// Detections of each frame, in the order of `batch`; `out` is cleared first.
    ///
    /// Boxes are in source pixels and clipped to the picture; scores fall within a frame.
    fn detect(&mut self, batch: &[Frame], out: &mut Vec<Vec<Detection>>) -> Result<(), InferError>;
    /// Class names; a detection's `ClassId` indexes it.
    fn classes(&self) -> &[String];
}
