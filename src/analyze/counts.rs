//! What is counted: crossings by line, class and direction, and what zones held, in this interval and ever.

use super::{area::Area, millis};
use crate::event::{AreaCount, Counts, Direction, LineCount, state::Totals};
use std::{collections::BTreeMap, time::Duration};

/// The counting of one stream. Times are seconds of the stream.
#[derive(Debug)]
pub(super) struct Counting {
    interval: Option<Duration>,
    /// When the interval being counted began.
    since: Option<f64>,
    totals: BTreeMap<(String, String, Direction), u64>,
    crossed: BTreeMap<(String, String, Direction), u64>,
}

impl Counting {
    /// Counts on from `totals`, to be told each `interval` or not at all.
    pub fn new(interval: Option<Duration>, totals: Totals) -> Self {
        Self { interval, since: None, totals: totals.lines, crossed: BTreeMap::new() }
    }

    /// One more crossing; gives its number.
    pub fn crossed(&mut self, line: &str, class: &str, direction: Direction) -> u64 {
        let key = (line.to_owned(), class.to_owned(), direction);
        *self.crossed.entry(key.clone()).or_default() += 1;
        let total = self.totals.entry(key).or_default();
        *total += 1;
        *total
    }

    /// What the interval counted, if it is over.
    pub fn due(&mut self, now: f64, areas: &mut [Area]) -> Option<Counts> {
        let since = *self.since.get_or_insert(now);
        if now - since >= self.interval?.as_secs_f64() { self.last(now, areas) } else { None }
    }

    /// What was counted since the last time; the next interval begins. Nothing where there is nothing to count.
    pub fn last(&mut self, now: f64, areas: &mut [Area]) -> Option<Counts> {
        self.interval?;
        let since = self.since.replace(now)?;
        let zone = |area: &mut Area| {
            let counted = area.take_counted();
            AreaCount {
                zone: area.name().to_owned(),
                occupancy: area.occupancy(),
                most: counted.most,
                mean: millis(counted.mean()),
                entered: counted.entered,
            }
        };
        let zones = areas.iter_mut().map(zone).collect();
        let counts = Counts { from_seconds: millis(since), to_seconds: millis(now), lines: self.lines(), zones };
        (!counts.is_empty()).then_some(counts)
    }

    /// Every line and class that was ever crossed, and what the interval brought.
    fn lines(&mut self) -> Vec<LineCount> {
        let crossed = std::mem::take(&mut self.crossed);
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
            let crossed = crossed.get(key).copied().unwrap_or(0);
            match direction {
                Direction::In => (count.crossed_in, count.total_in) = (crossed, *total),
                Direction::Out => (count.crossed_out, count.total_out) = (crossed, *total),
            }
        }
        counts.into_values().collect()
    }
}
