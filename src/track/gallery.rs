//! Appearance of one track: a few embeddings from different moments instead of one average, so that a person seen from
//! the front and from behind is known from both sides. Bounded; knows neither motion nor what a similarity is worth.

use super::appearance::Look;
use crate::embed::Embedding;

/// Up to `slots` embeddings of one length: the newest, and keepsakes of earlier moments, the oldest replaced first.
#[derive(Clone, Debug)]
pub(super) struct Gallery {
    slots: usize,
    dim: usize,
    /// `filled` rows of `dim` values with L2 norm 1. Row 0 is the newest look.
    values: Vec<f32>,
    filled: usize,
    next: usize,
    kept_at: f64,
}

impl Gallery {
    /// An empty gallery; it takes the length of the first embedding given.
    pub const fn new(slots: usize) -> Self {
        Self { slots, dim: 0, values: Vec::new(), filled: 0, next: 1, kept_at: f64::NEG_INFINITY }
    }

    /// Whether anything is known yet.
    pub const fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Adds a look at time `now`. It becomes the newest; if the last keepsake is at least `interval` old, the newest so
    /// far is kept too. A look of another length than the first is ignored.
    pub fn add(&mut self, look: &Look<'_>, now: f64, interval: f64) {
        let values = &look.embedding.0;
        if self.slots == 0 || values.is_empty() {
            return;
        }
        if self.dim == 0 {
            self.dim = values.len();
            self.values.resize(self.dim * self.slots, 0.0);
        }
        if values.len() != self.dim {
            return;
        }
        if self.filled > 0 && self.slots > 1 && now - self.kept_at >= interval {
            self.values.copy_within(..self.dim, self.next * self.dim);
            self.filled = self.filled.max(self.next + 1);
            self.next = if self.next + 1 < self.slots { self.next + 1 } else { 1 };
            self.kept_at = now;
        }
        for (to, from) in self.values[..self.dim].iter_mut().zip(values) {
            *to = from * look.inverse_norm;
        }
        self.filled = self.filled.max(1);
    }

    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values[..self.filled * self.dim].chunks_exact(self.dim.max(1))
    }

    /// Cosine similarity to the nearest embedding held, -1..=1; `None` where nothing can be compared.
    pub fn similarity(&self, look: &Look<'_>) -> Option<f32> {
        if self.is_empty() || look.embedding.0.len() != self.dim {
            return None;
        }
        let best = self.rows().map(|row| dot(row, &look.embedding.0)).fold(f32::NEG_INFINITY, f32::max);
        Some((best * look.inverse_norm).clamp(-1.0, 1.0))
    }

    /// Mean cosine similarity of another gallery's looks to the nearest held here; `None` where nothing can be compared.
    pub fn similarity_to(&self, other: &Gallery) -> Option<f32> {
        if self.is_empty() || other.is_empty() || self.dim != other.dim {
            return None;
        }
        let nearest = |look: &[f32]| self.rows().map(|row| dot(row, look)).fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = other.rows().map(nearest).sum();
        Some((sum / other.filled as f32).clamp(-1.0, 1.0))
    }
}

/// 1 / L2 norm of an embedding; `None` for one that is empty, zero or not finite.
pub(super) fn inverse_norm(embedding: &Embedding) -> Option<f32> {
    let norm = dot(&embedding.0, &embedding.0).sqrt();
    (norm.is_finite() && norm > 1e-6).then(|| 1.0 / norm)
}

/// Dot product of two vectors of equal length, in sixteen lanes so that the compiler uses several vector registers.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let (head_a, tail_a) = a.as_chunks::<16>();
    let (head_b, tail_b) = b.as_chunks::<16>();
    for (x, y) in head_a.iter().zip(head_b) {
        for lane in 0..16 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f32>() + tail_a.iter().zip(tail_b).map(|(x, y)| x * y).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(dim: usize, axis: usize) -> Embedding {
        Embedding((0..dim).map(|i| if i == axis { 1.0 } else { 0.0 }).collect())
    }

    fn look(embedding: &Embedding) -> Look<'_> {
        Look { embedding, inverse_norm: 1.0 }
    }

    #[test]
    fn keeps_the_newest_and_the_last_keepsakes() {
        let mut gallery = Gallery::new(3);
        assert_eq!(gallery.similarity(&look(&unit(9, 0))), None);
        for axis in 0..5 {
            gallery.add(&look(&unit(9, axis)), axis as f64, 1.0);
        }
        let similar: Vec<_> = (0..5).map(|axis| gallery.similarity(&look(&unit(9, axis)))).collect();
        assert_eq!(similar, [Some(0.0), Some(0.0), Some(1.0), Some(1.0), Some(1.0)]);
    }

    #[test]
    fn looks_in_quick_succession_leave_no_keepsakes() {
        let mut gallery = Gallery::new(3);
        for (axis, now) in [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3)] {
            gallery.add(&look(&unit(9, axis)), now, 5.0);
        }
        let similar: Vec<_> = (0..4).map(|axis| gallery.similarity(&look(&unit(9, axis)))).collect();
        assert_eq!(similar, [Some(1.0), Some(0.0), Some(0.0), Some(1.0)], "the first is kept at once");
    }

    #[test]
    fn other_lengths_are_ignored() {
        let mut gallery = Gallery::new(2);
        gallery.add(&look(&unit(0, 0)), 0.0, 0.0);
        gallery.add(&look(&unit(9, 0)), 1.0, 0.0);
        gallery.add(&look(&unit(4, 0)), 2.0, 0.0);
        assert_eq!(gallery.similarity(&look(&unit(4, 0))), None);
        assert_eq!(gallery.similarity(&look(&unit(9, 0))), Some(1.0));
        assert_eq!(gallery.similarity_to(&Gallery::new(2)), None);
        assert_eq!(gallery.similarity_to(&gallery.clone()), Some(1.0));
    }

    #[test]
    fn only_a_finite_direction_has_a_norm() {
        let cases = [(vec![], false), (vec![0.0; 4], false), (vec![f32::NAN, 1.0], false), (vec![3.0, 4.0], true)];
        for (values, has) in cases {
            assert_eq!(inverse_norm(&Embedding(values.into())).is_some(), has);
        }
    }
}
