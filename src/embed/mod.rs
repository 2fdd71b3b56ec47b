//! Turns crops of detections into appearance embeddings. Knows nothing of tracks.

pub mod crop;
#[cfg(all(feature = "torch", feature = "opencv"))]
pub mod torch;

use crate::{detect::InferError, frame::Frame, geometry::BBox};

/// Appearance of one object: D values with L2 norm 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding(pub Box<[f32]>);

impl Embedding {
    /// Cosine similarity, -1..=1. Embeddings of different length have none: 0.
    pub fn cosine(&self, other: &Embedding) -> f32 {
        if self.0.len() != other.0.len() {
            return 0.0;
        }
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum()
    }
}

/// Embeds crops of frames in one batch.
pub trait Embedder: Send {
    /// Length D of an embedding.
    fn dim(&self) -> usize;
    /// One embedding a crop, in order; `out` is cleared first. A crop without area inside its frame gives `None`.
    fn embed(&mut self, crops: &[(&Frame, BBox)], out: &mut Vec<Option<Embedding>>) -> Result<(), InferError>;
}
