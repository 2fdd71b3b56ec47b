//! The scene that tracking is timed on, here and against other crates.

use eyeline::{
    detect::{ClassId, Detection},
    embed::Embedding,
    geometry::BBox,
};

/// Frames of the scene, repeated.
pub const FRAMES: usize = 64;
/// Length of an embedding.
const DIM: usize = 512;

/// `objects` people on a street: in the same density whatever their number, so that neighbours overlap a little.
fn street(objects: usize, frame: usize) -> Vec<Detection> {
    let columns = (objects as f32 * 1.8).sqrt().ceil() as usize;
    let place = |i: usize| {
        // To and fro, so that the last frame leads back to the first.
        let phase = frame as f32 / FRAMES as f32 * std::f32::consts::TAU + i as f32;
        let x = 110.0 * (i % columns) as f32 + 25.0 * phase.sin();
        let y = 160.0 * (i / columns) as f32 + 10.0 * phase.cos();
        let bbox = BBox::from_cxcywh(x, y, 80.0, 200.0);
        let score = if (frame + i).is_multiple_of(10) { 0.4 } else { 0.9 };
        Detection { bbox, class: ClassId(0), score }
    };
    (0..objects).map(place).collect()
}

/// A look for each object, a little different in every frame.
fn looks(objects: usize, frame: usize) -> Vec<Option<Embedding>> {
    let value = |i: usize, k: usize| {
        let own = ((i * 7919 + k * 104_729) % 1000) as f32 / 500.0 - 1.0;
        own + 0.3 * (((frame * 31 + i * 17 + k * 13) % 100) as f32 / 50.0 - 1.0)
    };
    let look = |i: usize| {
        let raw: Vec<f32> = (0..DIM).map(|k| value(i, k)).collect();
        let norm = raw.iter().map(|v| v * v).sum::<f32>().sqrt();
        Some(Embedding(raw.iter().map(|v| v / norm).collect()))
    };
    (0..objects).map(look).collect()
}

/// A scene that repeats.
pub struct Scene {
    /// Detections of each frame and their embeddings, or none.
    pub frames: Vec<(Vec<Detection>, Vec<Option<Embedding>>)>,
}

impl Scene {
    /// Boxes alone.
    pub fn motion(objects: usize) -> Self {
        Self { frames: (0..FRAMES).map(|frame| (street(objects, frame), Vec::new())).collect() }
    }

    /// Boxes with embeddings.
    pub fn with_looks(objects: usize) -> Self {
        Self { frames: (0..FRAMES).map(|frame| (street(objects, frame), looks(objects, frame))).collect() }
    }
}
