//! Graph models of TensorFlow.js: a graph in JSON and its weights in shards beside it. They are not run as they are but made
//! into an ONNX file, once, by `eyeline models import`.
//!
//! Only the networks of TensorFlow's object detection API (SSD) are known: from the scaled picture to raw offsets and
//! scores. What comes before (resizing in a loop) and after (decoding) eyeline does itself.

mod build;
mod convert;
mod file;

pub use convert::{Converted, convert};
pub use file::TfjsFile;

/// Why a model cannot be made into an ONNX file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TfjsError {
    /// Another kind of file, or a damaged one.
    #[error("not a graph model of TensorFlow.js: {0}")]
    NotTfjs(String),
    /// A shard is missing or has another length.
    #[error("{0}")]
    Weights(String),
    /// A node that is not known here.
    #[error("node {node:?} ({operator}): {problem}")]
    Node {
        /// Its name.
        node: String,
        /// Its operator.
        operator: String,
        /// What about it.
        problem: String,
    },
}
