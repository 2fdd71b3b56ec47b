//! Turns crops of detections into appearance embeddings. Knows nothing of tracks.

pub mod by_class;
pub mod crop;
#[cfg(feature = "torch")]
mod load;
#[cfg(all(feature = "torch", feature = "opencv"))]
pub mod torch;
pub mod worth;

use crate::{
    detect::{ClassId, InferError},
    frame::Frame,
    geometry::BBox,
};

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

/// A detection to be described.
#[derive(Clone, Copy)]
pub struct Crop<'a> {
    /// The frame it is in.
    pub frame: &'a Frame,
    /// Where.
    pub bbox: BBox,
    /// What, as the detector numbers it.
    pub class: ClassId,
}

/// Embeds crops of frames in one batch.
pub trait Embedder: Send {
    /// Length D of an embedding. Where classes differ in it, that of a class that is not named.
    fn dim(&self) -> usize;
    /// One embedding a crop, in order; `out` is cleared first. A crop without area inside its frame gives `None`, and so
    /// does one of a class that is not embedded.
    fn embed(&mut self, crops: &[Crop<'_>], out: &mut Vec<Option<Embedding>>) -> Result<(), InferError>;
}
