//! Crossings by line, class and direction: in this interval and ever.

use crate::event::{Direction, LineCount, state::Totals};
use std::collections::BTreeMap;

/// The crossings of one stream.
#[derive(Debug)]
pub(super) struct LineCounts {
    totals: BTreeMap<(String, String, Direction), u64>,
    interval: BTreeMap<(String, String, Direction), u64>,
}

impl LineCounts {
    /// Goes on from `totals`.
    pub fn new(totals: Totals) -> Self {
        Self { totals: totals.lines, interval: BTreeMap::new() }
    }

    /// One more crossing; gives its number.
    pub fn crossed(&mut self, line: &str, class: &str, direction: Direction) -> u64 {
        let key = (line.to_owned(), class.to_owned(), direction);
        *self.interval.entry(key.clone()).or_default() += 1;
        let total = self.totals.entry(key).or_default();
        *total += 1;
        *total
    }

    /// Every line and class that was ever crossed, and what the interval brought; the next interval begins.
    pub fn take(&mut self) -> Vec<LineCount> {
        let interval = std::mem::take(&mut self.interval);
        let mut counts: BTreeMap<(&str, &str), LineCount> = BTreeMap::new();
        for (key, total) in &self.totals {
            let (line, class, direction) = key;
            let fresh = || LineCount {
                line: line.clone(),
                class: class.clone(),
                crossed_in: 0,
                crossed_out: 0,
                total_in: 0,
                total_out: 0,
            };
            let count = counts.entry((line, class)).or_insert_with(fresh);
            let crossed = interval.get(key).copied().unwrap_or(0);
            match direction {
                Direction::In => (count.crossed_in, count.total_in) = (crossed, *total),
                Direction::Out => (count.crossed_out, count.total_out) = (crossed, *total),
            }
        }
        counts.into_values().collect()
    }
}
