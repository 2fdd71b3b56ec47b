//! Random local search: change a few settings at a time, keep what scores better. Repeatable: the seed decides all.
//!
//! With caution, a change must earn its keep (a price for each step from the start), a loss on one scene weighs more than
//! a gain on another, and the winners of several searches are averaged, which lands on plateaus rather than on peaks.

use super::scene::Scene;
use crate::track::settings::{Knob, TrackSettings};
use std::thread;

/// A search to be run over one choice of scenes or another.
pub struct Search {
    pub start: TrackSettings,
    pub knobs: Vec<&'static Knob>,
    pub trials: usize,
    pub seed: u64,
    /// Searches whose winners are averaged, >= 1.
    pub searches: u64,
    /// Points of score that each step from the start must earn; 0 searches for the highest mean.
    pub caution: f64,
}

/// Most settings changed in one trial: single changes climb, pairs and triples get past ridges.
const MAX_CHANGES: u64 = 3;
/// Size of a change as a share of the value, and the least change of a plain number.
const RELATIVE_STEP: f64 = 0.2;
const LEAST_STEP: f64 = 0.03;
/// With caution, how much more a point lost on a scene weighs than a point gained.
const LOSS_WEIGHT: f64 = 2.0;

impl Search {
    /// The settings found: the mean of the winners of every search.
    pub fn run(&self, scenes: &[&Scene]) -> TrackSettings {
        let base = scores(&self.start, scenes);
        let seeds = self.seed..self.seed + self.searches.max(1);
        let winners: Vec<TrackSettings> = seeds.map(|seed| self.climb(scenes, &base, seed)).collect();
        let mut mean = self.start.clone();
        for knob in &self.knobs {
            let sum: f64 = winners.iter().map(|winner| knob.get(winner)).sum();
            // Between values in range, so it cannot be refused.
            let _ = knob.set(&mut mean, sum / winners.len() as f64);
        }
        mean
    }

    /// The winner of one search.
    fn climb(&self, scenes: &[&Scene], base: &[f64], seed: u64) -> TrackSettings {
        let mut random = Random::new(seed);
        let mut best = (self.start.clone(), self.objective(&self.start, base, base));
        for trial in 0..self.trials {
            let tried = self.change(&best.0, &mut random);
            let reached = self.objective(&tried, &scores(&tried, scenes), base);
            if reached > best.1 {
                tracing::info!(seed, trial, objective = reached, "better settings");
                best = (tried, reached);
            }
        }
        best.0
    }

    /// Mean gain over the start, less what caution asks.
    fn objective(&self, settings: &TrackSettings, scores: &[f64], base: &[f64]) -> f64 {
        let weight = |gain: f64| if gain < 0.0 && self.caution > 0.0 { gain * LOSS_WEIGHT } else { gain };
        let gains: f64 = scores.iter().zip(base).map(|(score, base)| weight(score - base)).sum();
        gains / base.len() as f64 - self.caution * self.steps_from_start(settings)
    }

    /// Sum over the knobs of the distance from the start, in steps.
    fn steps_from_start(&self, settings: &TrackSettings) -> f64 {
        let steps = |knob: &&Knob| {
            let value = knob.get(&self.start);
            (knob.get(settings) - value).abs() / step(knob, value)
        };
        self.knobs.iter().map(steps).sum()
    }

    fn change(&self, from: &TrackSettings, random: &mut Random) -> TrackSettings {
        let mut settings = from.clone();
        for _ in 0..1 + random.below(MAX_CHANGES) {
            let knob = self.knobs[random.below(self.knobs.len() as u64) as usize];
            // With caution, now and then back to the start: what earns nothing is given up.
            let moved = if self.caution > 0.0 && random.below(4) == 0 {
                knob.get(&self.start)
            } else {
                let value = knob.get(&settings);
                (value + step(knob, value) * random.bell()).clamp(knob.min, knob.max)
            };
            // Inside the range, so it cannot be refused.
            let _ = knob.set(&mut settings, moved);
        }
        settings
    }
}

/// Size of a change of a knob from `value`.
fn step(knob: &Knob, value: f64) -> f64 {
    (RELATIVE_STEP * value.abs()).max(knob.least_step().max(LEAST_STEP))
}

/// Objective of each scene, one scene a thread; a scene that cannot be scored counts nothing.
fn scores(settings: &TrackSettings, scenes: &[&Scene]) -> Vec<f64> {
    thread::scope(|scope| {
        let running: Vec<_> = scenes.iter().map(|scene| scope.spawn(|| scene.score(settings))).collect();
        let score = |thread: thread::ScopedJoinHandle<'_, anyhow::Result<super::scene::Score>>| {
            thread.join().ok().and_then(Result::ok).map_or(0.0, |score| score.objective())
        };
        running.into_iter().map(score).collect()
    })
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
        let search = Search {
            start: TrackSettings::default(),
            knobs: KNOBS.iter().collect(),
            trials: 0,
            seed: 3,
            searches: 1,
            caution: 0.1,
        };
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
