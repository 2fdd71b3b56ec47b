//! Appearance of one track: a few embeddings from different moments instead of one average, so that a person seen from
//! the front and from behind is known from both sides. Bounded; knows neither motion nor time.

use crate::embed::Embedding;

/// Up to `slots` embeddings of one length, the oldest replaced first.
#[derive(Clone, Debug)]
pub(super) struct Gallery {
    slots: usize,
    dim: usize,
    /// `filled` rows of `dim` values with L2 norm 1.
    values: Vec<f32>,
    filled: usize,
    next: usize,
}

impl Gallery {
    /// An empty gallery; it takes the length of the first embedding given.
    pub const fn new(slots: usize) -> Self {
        Self { slots, dim: 0, values: Vec::new(), filled: 0, next: 0 }
    }

    /// Whether anything is known yet.
    pub const fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Adds an embedding of norm 1 / `inverse_norm`; one of another length than the first is ignored.
    pub fn add(&mut self, embedding: &Embedding, inverse_norm: f32) {
        if self.slots == 0 || embedding.0.is_empty() {
            return;
        }
        if self.dim == 0 {
            self.dim = embedding.0.len();
            self.values.resize(self.dim * self.slots, 0.0);
        }
        if embedding.0.len() != self.dim {
            return;
        }
        let row = &mut self.values[self.next * self.dim..][..self.dim];
        for (to, from) in row.iter_mut().zip(&embedding.0) {
            *to = from * inverse_norm;
        }
        self.next = (self.next + 1) % self.slots;
        self.filled = (self.filled + 1).min(self.slots);
    }

    /// Cosine similarity to the nearest embedding held, -1..=1; `None` where nothing can be compared.
    pub fn similarity(&self, embedding: &Embedding, inverse_norm: f32) -> Option<f32> {
        if self.is_empty() || embedding.0.len() != self.dim {
            return None;
        }
        let rows = self.values[..self.filled * self.dim].chunks_exact(self.dim);
        let best = rows.map(|row| dot(row, &embedding.0)).fold(f32::NEG_INFINITY, f32::max);
        Some((best * inverse_norm).clamp(-1.0, 1.0))
    }
}

/// 1 / L2 norm of an embedding; `None` for one that is empty, zero or not finite.
pub(super) fn inverse_norm(embedding: &Embedding) -> Option<f32> {
    let norm = dot(&embedding.0, &embedding.0).sqrt();
    (norm.is_finite() && norm > 1e-6).then(|| 1.0 / norm)
}

/// Dot product of two vectors of equal length, in eight lanes so that the compiler may use vector registers.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let (head_a, tail_a) = a.as_chunks::<8>();
    let (head_b, tail_b) = b.as_chunks::<8>();
    for (x, y) in head_a.iter().zip(head_b) {
        for lane in 0..8 {
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

    #[test]
    fn keeps_the_newest_and_compares_with_the_nearest() {
        let mut gallery = Gallery::new(2);
        assert_eq!(gallery.similarity(&unit(9, 0), 1.0), None);
        for axis in [0, 1, 2] {
            gallery.add(&unit(9, axis), 1.0);
        }
        let similar: Vec<_> = (0..4).map(|axis| gallery.similarity(&unit(9, axis), 1.0)).collect();
        assert_eq!(similar, [Some(0.0), Some(1.0), Some(1.0), Some(0.0)]);
    }

    #[test]
    fn other_lengths_are_ignored() {
        let mut gallery = Gallery::new(2);
        gallery.add(&unit(0, 0), 1.0);
        gallery.add(&unit(9, 0), 1.0);
        gallery.add(&unit(4, 0), 1.0);
        assert_eq!(gallery.similarity(&unit(4, 0), 1.0), None);
        assert_eq!(gallery.similarity(&unit(9, 0), 1.0), Some(1.0));
    }

    #[test]
    fn only_a_finite_direction_has_a_norm() {
        let cases = [(vec![], false), (vec![0.0; 4], false), (vec![f32::NAN, 1.0], false), (vec![3.0, 4.0], true)];
        for (values, has) in cases {
            assert_eq!(inverse_norm(&Embedding(values.into())).is_some(), has);
        }
    }
}
