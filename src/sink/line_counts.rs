//! How often the lines of a stream were crossed, for whoever draws them: followed event by event. Pure.

use crate::event::{Direction, Event, What};
use std::collections::BTreeMap;

/// Crossings of each line as the stream's events tell them, restarts included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineCounts(BTreeMap<String, BTreeMap<(String, Direction), u64>>);

impl LineCounts {
    /// Takes in the next events.
    pub fn follow(&mut self, events: &[Event]) {
        for event in events {
            match &event.what {
                What::LineCrossed { seen, line, direction, total } => self.set(line, &seen.class, *direction, *total),
                What::Counts(counts) => {
                    for count in &counts.lines {
                        self.set(&count.line, &count.class, Direction::In, count.total_in);
                        self.set(&count.line, &count.class, Direction::Out, count.total_out);
                    }
                }
                _ => {}
            }
        }
    }

    /// Crossings of a line in a direction by tracks of any class.
    pub fn of(&self, line: &str, direction: Direction) -> u64 {
        let classes = self.0.get(line).into_iter().flatten();
        classes.filter(|((_, counted), _)| *counted == direction).map(|(_, total)| total).sum()
    }

    fn set(&mut self, line: &str, class: &str, direction: Direction, total: u64) {
        self.0.entry(line.to_owned()).or_default().insert((class.to_owned(), direction), total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        Counts, LineCount, TrackSeen,
        state::tests::{event, seen},
    };

    fn crossed(class: &str, direction: Direction, total: u64) -> What {
        What::LineCrossed { seen: TrackSeen { class: class.into(), ..seen(1) }, line: "kerb".into(), direction, total }
    }

    #[test]
    fn classes_are_added_and_totals_of_earlier_runs_count() {
        let mut counts = LineCounts::default();
        assert_eq!(counts.of("kerb", Direction::In), 0);
        let whats = [crossed("person", Direction::In, 7), crossed("car", Direction::In, 1)];
        counts.follow(&whats.map(|what| event("gate", 0, what)));
        counts.follow(&[event("gate", 1, crossed("person", Direction::In, 8))]);
        assert_eq!((counts.of("kerb", Direction::In), counts.of("kerb", Direction::Out)), (9, 0));
        let told = LineCount {
            line: "kerb".into(),
            class: "person".into(),
            crossed_in: 0,
            crossed_out: 0,
            total_in: 8,
            total_out: 3,
        };
        let what = What::Counts(Counts { from_seconds: 0.0, to_seconds: 1.0, lines: vec![told], zones: Vec::new() });
        counts.follow(&[event("gate", 2, what)]);
        assert_eq!((counts.of("kerb", Direction::In), counts.of("kerb", Direction::Out)), (9, 3));
        assert_eq!(counts.of("door", Direction::Out), 0);
    }
}
