//! Random local search: change a few settings at a time, keep what scores better. Repeatable: the seed decides all.

use super::scene::Scene;
use crate::track::settings::{Knob, TrackSettings};
use std::thread;

/// A search to be run over one choice of scenes or another.
pub struct Search {
    pub start: TrackSettings,
    pub knobs: Vec<&'static Knob>,
    pub trials: usize,
    pub seed: u64,
}

/// Most settings changed in one trial: single changes climb, pairs and triples get past ridges.
const MAX_CHANGES: u64 = 3;
/// Size of a change as a share of the value, and the least change of a plain number.
const RELATIVE_STEP: f64 = 0.2;
const LEAST_STEP: f64 = 0.03;

impl Search {
    /// The best settings found and their objective: the mean over scenes.
    pub fn run(&self, scenes: &[&Scene]) -> (TrackSettings, f64) {
        let mut random = Random::new(self.seed);
        let mut best = (self.start.clone(), objective(&self.start, scenes));
        for trial in 0..self.trials {
            let tried = self.change(&best.0, &mut random);
            let reached = objective(&tried, scenes);
            if reached > best.1 {
                tracing::info!(trial, objective = reached, "better settings");
                best = (tried, reached);
            }
        }
        best
    }

    fn change(&self, from: &TrackSettings, random: &mut Random) -> TrackSettings {
        let mut settings = from.clone();
        for _ in 0..1 + random.below(MAX_CHANGES) {
            let knob = self.knobs[random.below(self.knobs.len() as u64) as usize];
            let value = knob.get(&settings);
            let step = (RELATIVE_STEP * value.abs()).max(knob.least_step().max(LEAST_STEP));
            let moved = (value + step * random.bell()).clamp(knob.min, knob.max);
            // Inside the range, so it cannot be refused.
            let _ = knob.set(&mut settings, moved);
        }
        settings
    }
}

/// Mean objective, one scene a thread; a scene that cannot be scored counts nothing.
fn objective(settings: &TrackSettings, scenes: &[&Scene]) -> f64 {
    let sum: f64 = thread::scope(|scope| {
        let running: Vec<_> = scenes.iter().map(|scene| scope.spawn(|| scene.score(settings))).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()?.ok()).map(|score| score.objective()).sum()
    });
    sum / scenes.len() as f64
}

/// Xorshift64* (Marsaglia 2003, Vigna 2016): enough for a search, and the same everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// Roughly normal: the sum of twelve uniform numbers, shifted.
    fn bell(&mut self) -> f64 {
        (0..12).map(|_| (self.next() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::settings::KNOBS;

    #[test]
    fn changes_stay_in_range_and_repeat_with_the_seed() {
        let search = Search { start: TrackSettings::default(), knobs: KNOBS.iter().collect(), trials: 0, seed: 3 };
        let (mut one, mut two) = (Random::new(3), Random::new(3));
        let mut settings = search.start.clone();
        for _ in 0..500 {
            let next = search.change(&settings, &mut one);
            assert_eq!(next, search.change(&settings, &mut two));
            settings = next;
        }
        assert_ne!(settings, search.start);
        for knob in KNOBS {
            assert!((knob.min..=knob.max).contains(&knob.get(&settings)), "{}", knob.name);
        }
    }
}
